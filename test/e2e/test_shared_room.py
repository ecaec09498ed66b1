"""Far more tenants than the process may have servers, all of them busy: they take turns, in the order in which they came."""

from __future__ import annotations

import time

import pytest

from pooler import Tenant, default_tenant, users_of
from postgres import APP_PASSWORD, Postgres
from swarm import Swarm

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(120)]

TENANTS = 200
SERVERS_MAX = 10
SECONDS = 10


def test_two_hundred_busy_tenants_share_ten_servers(pooler_of, pg: Postgres):
    everyone = [Tenant(f"t{number}", [f"{pg.host}:{pg.port}"], {"upstream-tls": "disable"}, users_of("app")) for number in range(TENANTS)]
    pooler = pooler_of({"pool.max_upstreams": SERVERS_MAX, "pool.connects_per_second": 0}, tenants=[default_tenant(pg), *everyone])
    with Swarm() as swarm:
        groups = [swarm.add(1, pooler.endpoint(user=f"app.t{number}", password=APP_PASSWORD), f"t{number}", every=0.01, wait=0)
                  for number in range(TENANTS)]
        deadline = time.monotonic() + 60
        while not all(group.answers for group in groups):
            assert time.monotonic() < deadline, f"{sum(group.answers > 0 for group in groups)} of {TENANTS} are served"
            time.sleep(0.1)
        for group in groups:
            group.clear()
        time.sleep(SECONDS)
        answers = sorted(group.answers for group in groups)
        longest = max(group.longest_s for group in groups)
        print(f"\nanswers of each in {SECONDS} s: {answers[0]} to {answers[-1]}, {sum(answers) / SECONDS:.0f} a second in all; longest wait {longest:.2f} s")
        assert not any(group.errors or group.refusals or group.wrong for group in groups)
        assert len(pg.backends("usename = 'app'")) <= SERVERS_MAX
        assert answers[0] >= 1
        assert answers[-1] <= 3 * answers[0] + 3, "no tenant has more turns than the others"
