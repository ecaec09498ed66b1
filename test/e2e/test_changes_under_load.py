"""What is changed through the API while 2,000 clients ask: those whom it concerns see what the change explains and nothing else,
those of another tenant see nothing at all.

Half of the clients belong to the tenant that is changed, half to a bystander, who is there during all tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from api import Api, api_settings
from pooler import Endpoint, Pooler, Tenant, users_of
from postgres import APP_PASSWORD, Postgres, free_port
from swarm import Swarm, Tally

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(180)]

EACH = 1000
EVERY = 1.0  # seconds between two questions of a client, on average
PATIENCE = 20.0


@dataclass
class Crowd:
    pooler: Pooler
    api: Api
    pg: Postgres
    swarm: Swarm

    def make(self, name: str, **more: object) -> Endpoint:
        """A tenant with a role of its own on the server, so that its server connections can be counted there."""
        _make_role(self.pg, name)
        body = {"hosts": [f"{self.pg.host}:{self.pg.port}"], "upstream_tls": "disable", "pool_size": 8,
                "users": [{"name": "app", "upstream_user": name, "secret": "first", "upstream_secret": APP_PASSWORD}]} | more
        answer = self.api.call("PUT", f"/api/tenants/{name}", {"tenant": body})
        assert answer.status in (200, 201), answer.text  # 200: the test is tried again
        return self.pooler.endpoint(user=f"app.{name}", password="first")

    def patch(self, name: str, **changes: object) -> None:
        answer = self.api.call("PATCH", f"/api/tenants/{name}", {"tenant": changes})
        assert answer.status == 200, answer.text


def _make_role(server: Postgres, name: str) -> None:
    if not server.sql("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)):
        server.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{APP_PASSWORD}'")


@pytest.fixture(scope="module")
def crowd(module_io, scratch, pg, ca, pooler_pair) -> Iterator[Crowd]:
    port = free_port()
    settings = api_settings(scratch / f"crowd-{module_io}", port) | {"log.level": "info", "log.connections": False,
                                                             "log.disconnections": False}
    calm = Tenant("calm", [f"{pg.host}:{pg.port}"], {"upstream-tls": "disable", "pool-size": "8"}, users_of("app"))
    pooler = Pooler(scratch / f"crowd-{module_io}", pg, pooler_pair, ca, io=module_io, tenants=[calm], settings=settings).start()
    with Swarm() as swarm:
        swarm.add(EACH, pooler.endpoint(user="app.calm", password=APP_PASSWORD), "calm", every=EVERY)
        yield Crowd(pooler, Api(port), pg, swarm)
    assert not pooler.problems()
    pooler.stop()


@pytest.fixture(autouse=True)
def bystanders(crowd: Crowd) -> Iterator[Tally]:
    """They ask before, during and after, and get their answers in time."""
    crowd.swarm.clear("calm")
    begun = time.monotonic()
    calm = crowd.swarm.of("calm")
    yield calm
    lasted = time.monotonic() - begun
    assert not calm.errors and not calm.refusals and not calm.wrong
    assert calm.clients == EACH and calm.logins == 0
    assert calm.answers > EACH * lasted / EVERY / 4, f"{calm.answers} answers in {lasted:.1f} s"
    assert max(calm.longest_s, crowd.swarm.unanswered("calm")) < 5


def until(condition: Callable[[], object], what: str, timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.05)


@contextmanager
def nobody_notices(crowd: Crowd, name: str, seconds: float = 3.0) -> Iterator[None]:
    """All stay connected and get right answers during what is done and for some seconds more."""
    tally = crowd.swarm.of(name)
    crowd.swarm.clear(name)
    yield
    time.sleep(seconds)
    assert not tally.errors and not tally.refusals and not tally.wrong
    assert tally.clients == EACH and tally.logins == 0
    assert tally.answers > EACH * seconds / EVERY / 4
    assert tally.longest_s < 5


def refusal(endpoint: Endpoint) -> tuple[str, str]:
    with pytest.raises(psycopg.OperationalError) as refused:
        endpoint.connect().close()
    return str(refused.value.sqlstate or ""), str(refused.value)


def test_a_clients_new_password_concerns_new_clients_only(crowd: Crowd):
    login = crowd.make("rotated")
    crowd.swarm.add(EACH, login, "rotated", every=EVERY)
    with nobody_notices(crowd, "rotated"):
        answer = crowd.api.call("PUT", "/api/tenants/rotated/users/app", {"user": {"db_password": "second"}})
        assert answer.status == 200, answer.text
        login.but(password="second").connect().close()
        assert "password authentication failed" in refusal(login)[1]
    crowd.swarm.dismiss("rotated")


def test_a_new_password_of_the_role_is_used_for_new_server_connections(crowd: Crowd):
    login = crowd.make("rolled")
    tally = crowd.swarm.add(EACH, login, "rolled", every=EVERY)
    # Until the pool has grown: who needs a new server connection while only the server knows the password is told so.
    until(lambda: tally.logins >= EACH, "all clients")
    with nobody_notices(crowd, "rolled"):
        crowd.pg.sql("ALTER ROLE rolled PASSWORD 'fresh'")
        time.sleep(0.5)
        crowd.api.call("PUT", "/api/tenants/rolled/users/app", {"user": {"upstream_secret": "fresh"}})
        before = {row["pid"] for row in crowd.pg.backends("usename = 'rolled'")}
        assert crowd.api.call("POST", "/api/tenants/rolled/reconnect").status == 202
        until(lambda: not before & {row["pid"] for row in crowd.pg.backends("usename = 'rolled'")}, "new server connections")
    # The other order: the servers are gone, and for a while no password is right.
    crowd.pg.sql("ALTER ROLE rolled PASSWORD 'fresher'")
    crowd.pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rolled'")
    until(lambda: not crowd.pg.backends("usename = 'rolled'"), "the end of the server connections")
    time.sleep(1)
    crowd.api.call("PUT", "/api/tenants/rolled/users/app", {"user": {"upstream_secret": "fresher"}})
    healed = time.monotonic()
    until(lambda: crowd.pg.backends("usename = 'rolled'"), "a new server connection", 10)
    until(lambda: tally.clients == EACH and crowd.swarm.unanswered("rolled") < 3, "all are served again")
    assert time.monotonic() - healed < 15
    explained = {"57P01", "28P01", "08006", "08P01", "08001", "57P03"}
    assert {state for state, _ in tally.errors} <= explained, tally.errors
    with nobody_notices(crowd, "rolled"):
        pass
    crowd.swarm.dismiss("rolled")


def test_limits_change_under_those_who_are_there(crowd: Crowd):
    login = crowd.make("limited_tenant")
    crowd.swarm.add(EACH, login, "limited_tenant", every=EVERY)
    with nobody_notices(crowd, "limited_tenant", 2):
        crowd.patch("limited_tenant", pool_size=2)
        until(lambda: len(crowd.pg.backends("usename = 'limited_tenant'")) <= 2, "fewer server connections")
    with nobody_notices(crowd, "limited_tenant", 2):
        crowd.patch("limited_tenant", pool_size=12)
    with nobody_notices(crowd, "limited_tenant", 2):
        crowd.patch("limited_tenant", max_clients=EACH // 2)
        assert "no more connections allowed" in refusal(login)[1]
        crowd.patch("limited_tenant", max_clients=EACH + 10)
        login.connect().close()
    crowd.swarm.dismiss("limited_tenant")


def test_a_lower_limit_for_all_servers_of_a_tenant_closes_those_beyond(crowd: Crowd):
    login = crowd.make("shrunk")
    crowd.swarm.add(EACH, login, "shrunk", every=EVERY)
    try:
        with nobody_notices(crowd, "shrunk", 2):
            crowd.patch("shrunk", max_upstreams=3)
            until(lambda: len(crowd.pg.backends("usename = 'shrunk'")) <= 3, "fewer server connections")
    finally:
        crowd.swarm.dismiss("shrunk")


def test_a_tenant_moves_to_another_server_while_its_clients_ask(crowd: Crowd, pg_of):
    other: Postgres = pg_of(max_connections=40)
    login = crowd.make("mover")
    _make_role(other, "mover")
    tally = crowd.swarm.add(EACH, login, "mover", every=EVERY, sql="SELECT '$token', inet_server_port()")
    with login.connect(autocommit=False) as connection:
        assert connection.execute("SELECT inet_server_port()").fetchone() == (crowd.pg.port,)
        with nobody_notices(crowd, "mover"):
            crowd.patch("mover", hosts=[f"{other.host}:{other.port}"])
            until(lambda: len(crowd.pg.backends("usename = 'mover'")) == 1, "all have left the old server, but for one")
            crowd.swarm.clear("mover")
            assert connection.execute("SELECT inet_server_port()").fetchone() == (crowd.pg.port,), "a transaction stays"
            connection.commit()
            assert connection.execute("SELECT inet_server_port()").fetchone() == (other.port,)
            connection.rollback()
            until(lambda: not crowd.pg.backends("usename = 'mover'"), "the old server is free")
        assert set(tally.seen) == {str(other.port)}
        # And back, while the new one is stopped in the same moment.
        crowd.patch("mover", db_host=crowd.pg.host, db_port=crowd.pg.port)
        until(lambda: not other.backends("usename = 'mover'"), "the other server is free")
        with nobody_notices(crowd, "mover"):
            other.stop()
    crowd.swarm.dismiss("mover")


def test_a_ban_ends_all_clients_and_lifting_it_lets_them_in(crowd: Crowd):
    login = crowd.make("banned_tenant")
    tally = crowd.swarm.add(EACH, login, "banned_tenant", every=EVERY)
    for reason in ("unpaid bills", "unpaid again"):
        crowd.swarm.clear("banned_tenant")
        crowd.patch("banned_tenant", banned=True, ban_reason=reason)
        until(lambda: tally.clients == 0, "all are gone")
        assert dict(tally.errors) == {("57P01", f"terminating connection because the tenant is banned: {reason}"): EACH}
        until(lambda: sum(tally.refusals.values()) > EACH / 10, "they try again")
        assert set(tally.refusals) == {("28000", f"tenant is banned: {reason}")}
        crowd.patch("banned_tenant", banned=False)
        until(lambda: tally.clients == EACH, "all are back", 40)
        assert {state for state, _ in tally.refusals} == {"28000"}
        with nobody_notices(crowd, "banned_tenant", 1):
            pass
    crowd.swarm.dismiss("banned_tenant")


def test_a_tenant_is_deleted_under_its_clients(crowd: Crowd):
    login = crowd.make("deleted")
    tally = crowd.swarm.add(EACH, login, "deleted", every=EVERY)
    crowd.swarm.clear("deleted")
    assert crowd.api.call("DELETE", "/api/tenants/deleted").status == 204
    until(lambda: tally.clients == 0, "all are gone")
    assert dict(tally.errors) == {("57P01", "terminating connection because the tenant was removed"): EACH}
    until(lambda: not crowd.pg.backends("usename = 'deleted'"), "no server connection is left")
    until(lambda: sum(tally.refusals.values()) > EACH / 10, "they try again")
    # As with a wrong password, and as with a tenant that never was.
    assert {(state, text.split('"')[0]) for state, text in tally.refusals} == {("28P01", "password authentication failed for user ")}
    assert refusal(login.but(user="app.never_was"))[1].replace("never_was", "deleted") == refusal(login)[1]
    until(lambda: crowd.api.get("/api/pools?tenant=deleted").json["data"] == [], "its pools are forgotten", 30)
    crowd.make("deleted")
    until(lambda: tally.clients == EACH, "all are back", 40)
    crowd.swarm.dismiss("deleted")
