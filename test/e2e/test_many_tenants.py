"""Ten thousand tenants made through the API, a thousand of them used: what that takes, and what those take that nobody uses."""

from __future__ import annotations

import http.client
import json
import threading
import time

import pytest

from api import Api, api_settings, token, value
from pooler import Pooler, default_tenant
from postgres import APP_PASSWORD, Postgres, free_port
from swarm import Swarm

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(300)]

ALL = 10_000
USED = 1_000
STEP = 1_000
SERVERS_MAX = 60  # of the process: so few that the pools of a thousand tenants must take turns


class Creator:
    """Creates tenants over one connection."""

    def __init__(self, pg: Postgres, port: int):
        self.pg = pg
        self.link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}

    def create(self, number: int) -> None:
        body = {"tenant": {"db_host": self.pg.host, "db_port": self.pg.port, "db_database": "app", "upstream_ssl": False,
                           "require_user": True, "default_max_clients": 100, "sni_hostname": f"t{number}.example",
                           "users": [{"db_user": "app", "db_password": APP_PASSWORD, "mode_type": "transaction", "pool_size": 2}]}}
        self.link.request("PUT", f"/api/tenants/t{number}", json.dumps(body), self.headers)
        answer = self.link.getresponse()
        text = answer.read()
        assert answer.status == 201, text


class Asker(threading.Thread):
    """Somebody of another tenant, who must not notice."""

    def __init__(self, pooler: Pooler):
        super().__init__(daemon=True)
        self.pooler, self.done, self.times = pooler, False, [0.0]

    def run(self) -> None:
        with self.pooler.endpoint().wire() as wire:
            while not self.done:
                begun = time.monotonic()
                assert wire.value("SELECT 1") == "1"
                self.times.append(time.monotonic() - begun)
                time.sleep(0.002)


def test_ten_thousand_tenants_of_which_a_thousand_are_used(pooler_of, pg, tmp_path):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port) | {"pool.max_upstreams": SERVERS_MAX, "log.level": "info", "log.connections": False,
                                                       "log.disconnections": False, "pool.connects_per_second": 0},
                       tenants=[default_tenant(pg)])
    api = Api(port)
    asker = Asker(pooler)
    asker.start()
    creator = Creator(pg, port)
    creator.create(0)
    empty_kib = pooler.rss_kib()

    steps = []  # seconds per tenant
    for first in range(1, ALL, STEP):
        begun = time.monotonic()
        for number in range(first, min(first + STEP, ALL)):
            creator.create(number)
        steps.append((time.monotonic() - begun) / STEP)
        assert steps[-1] < 5 * steps[0] + 0.005, f"the more there are, the longer each takes; seconds: {steps}"
    unused_kib = pooler.rss_kib()
    print(f"\nms for a tenant, in each thousand: {' '.join(f'{1000 * step:.2f}' for step in steps)}; "
          f"KiB for one that is not used: {(unused_kib - empty_kib) / ALL:.2f}; longest answer meanwhile: {1000 * max(asker.times):.0f} ms")
    assert (unused_kib - empty_kib) / ALL < 8, "KiB of a tenant that nobody uses"
    assert value(api.metrics(), "penstock_tenants") == ALL + 1
    pages, after = 0, ""
    begun = time.monotonic()
    while after is not None:
        page = api.get(f"/api/tenants?limit=1000&after={after}").json
        pages, after = pages + len(page["data"]), page["next"]
    assert pages == ALL + 1 and time.monotonic() - begun < 20

    # A thousand of them at once, one client each; the process may have few servers, so that they have to be passed on.
    with Swarm() as swarm:
        groups = [swarm.add(1, pooler.endpoint(user=f"app.t{number}", password=APP_PASSWORD), f"t{number}", every=60.0, wait=0)
                  for number in range(0, ALL, ALL // USED)]
        deadline = time.monotonic() + 120
        while sum(group.answers >= 1 for group in groups) < USED:
            assert time.monotonic() < deadline, f"{sum(group.answers >= 1 for group in groups)} of {USED} are served"
            time.sleep(0.1)
        assert not any(group.errors or group.refusals or group.wrong for group in groups)
        used_kib = pooler.rss_kib()
        begun = time.monotonic()
        metrics = api.metrics()
        took = time.monotonic() - begun
        assert value(metrics, "penstock_clients") in (USED, USED + 1), "theirs, and at times that of whoever asks meanwhile"
        assert value(metrics, "penstock_servers") <= SERVERS_MAX
        one = [number for (name, labels), number in metrics.items()
               if name == "penstock_queries_total" and ("tenant", "t10") in labels]
        assert one and one[0] >= 1
        assert not [labels for (name, labels), _ in metrics.items() if name == "penstock_queries_total" and ("tenant", "t11") in labels], \
            "one that is not used has no series"
        print(f"KiB for one that is used: {(used_kib - unused_kib) / USED:.1f}; seconds for a scrape, parsing included: {took:.2f}")
    assert (used_kib - unused_kib) / USED < 64
    asker.done = True
    asker.join(20)
    assert len(asker.times) > 100 and max(asker.times) < 2

    pooler.stop()
    begun = time.monotonic()
    pooler.launch()
    assert time.monotonic() - begun < 10, "a start with so many"
    assert value(api.metrics(), "penstock_tenants") == ALL + 1
    pooler.endpoint(user="app.t9999", password=APP_PASSWORD).connect().close()
