"""Orders to pools over the API: pause, resume, reconnect, drain; with real Postgres behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from api import Api, api_settings, token, value
from pooler import Pooler, default_tenant
from postgres import APP_PASSWORD, free_port

pytestmark = pytest.mark.penstock

DEFAULT = "/api/tenants/default"


@pytest.fixture
def served(pooler_of, pg, tmp_path) -> tuple[Pooler, Api]:
    port = free_port()
    settings = api_settings(tmp_path, port, **{"timeouts.query_wait": "30s", "server.workers": 4})
    return pooler_of(settings, tenants=[default_tenant(pg)]), Api(port)


def pools(api: Api) -> dict[tuple[str, str], dict[str, object]]:
    return {(pool["user"], pool["database"]): pool for pool in api.get(f"{DEFAULT}/pools").json["data"]}


def servers(api: Api) -> list[int]:
    return sorted(server["process_id"] for server in api.get(f"{DEFAULT}/servers").json["data"])


class Later:
    """What `call` gives, when it does."""

    def __init__(self, call: Callable[[], object]):
        self._result: object = None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], object]) -> None:
        try:
            self._result = call()
        except Exception as error:  # noqa: BLE001: it is told to who asks
            self._result = error

    def waits(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return self._thread.is_alive()

    def result(self, seconds: float = 10) -> object:
        assert not self.waits(seconds), "it still waits"
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


def wait_until(what: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_user_who_gets_another_pool_does_not_keep_the_first(served, pg, tmp_path):
    """An upstream_secret makes a user share the pool of its role: the one of its own is nobody's then."""
    pooler, api = served
    at = pooler.endpoint()
    secret = tmp_path / "upstream-secret"
    secret.write_text(APP_PASSWORD)
    before = [at.wire() for _ in range(3)]
    for wire in before:
        wire.query("BEGIN")
    for wire in before[1:]:
        wire.query("COMMIT")
        wire.close()
    before[0].query("COMMIT")
    assert len(servers(api)) == 3
    pooler.cli("user", "set", "app", "--upstream-secret-file", str(secret))
    with at.wire() as after:
        wait_until(lambda: after.value("SELECT 1") == "1" and len(servers(api)) == 1)
        # Who came before goes on.
        assert before[0].value("SELECT 1") == "1"
        before[0].close()
        wait_until(lambda: len(servers(api)) == 1)
        wait_until(lambda: pools(api)[("app", "app")]["size"] == 20, 15)


def test_an_order_with_a_body_is_refused_not_misunderstood(served):
    _, api = served
    orders = [f"{DEFAULT}/{order}" for order in ("pause", "resume", "reconnect", "drain", "terminate")] + ["/api/reload"]
    for path in orders:
        for body in (b'{"timeout_ms": 500}', b"garbage{", b"null"):
            answer = api.call("POST", path, body)
            assert (answer.status, answer.json["detail"]) == (422, "this call takes no body"), path
    assert "?timeout_ms=" in api.call("POST", f"{DEFAULT}/pause", {"timeout_ms": 500}).text
    assert api.get(DEFAULT).json["data"]["paused"] is False
    for body in (b"{}", b" { }\n", b""):
        assert api.call("POST", f"{DEFAULT}/resume", body).status == 200


def test_a_paused_tenant_has_no_servers_and_its_clients_wait(served):
    pooler, api = served
    with pooler.endpoint().connect() as one, pooler.endpoint().connect() as two:
        before = one.execute("SELECT pg_backend_pid()").fetchone()[0]
        answer = api.call("POST", f"{DEFAULT}/pause")
        assert (answer.status, answer.json["data"]) == (200, {"state": "paused", "servers": 0})
        assert servers(api) == []
        assert api.get(DEFAULT).json["data"]["paused"] is True
        assert pools(api)["app", "app"]["state"] == "paused"
        metrics = api.metrics()
        assert value(metrics, "penstock_tenants_paused") == 1
        assert value(metrics, "penstock_pool_paused", tenant="default", user="app", database="app") == 1

        first = Later(lambda: one.execute("SELECT pg_backend_pid()").fetchone()[0])
        second = Later(lambda: two.execute("SELECT 2").fetchone()[0])
        newcomer = Later(lambda: pooler.endpoint().connect().execute("SELECT 3").fetchone()[0])
        assert first.waits(0.5) and second.waits(0) and newcomer.waits(0)
        assert pools(api)["app", "app"]["clients_waiting"] == 3
        # Neither a change of the tenant nor a reload ends it.
        assert api.call("PATCH", DEFAULT, {"tenant": {"pool_size": 7}}).status == 200
        assert api.call("POST", "/api/reload").status == 204
        assert first.waits(0.3) and servers(api) == []

        resumed = api.call("POST", f"{DEFAULT}/resume")
        assert (resumed.status, resumed.json["data"]["state"]) == (200, "active")
        assert first.result() != before
        assert (second.result(), newcomer.result()) == (2, 3)
    assert api.get(DEFAULT).json["data"]["paused"] is False
    assert value(api.metrics(), "penstock_pool_paused") == 0


def test_a_pause_waits_for_transactions_but_not_for_ever(served):
    pooler, api = served
    with pooler.endpoint().connect(autocommit=False) as busy:
        busy.execute("SELECT 1")
        begun = time.monotonic()
        answer = api.call("POST", f"{DEFAULT}/pause?timeout_ms=300")
        assert (answer.status, answer.json["data"]) == (202, {"state": "pausing", "servers": 1})
        assert 0.25 < time.monotonic() - begun < 5
        assert pools(api)["app", "app"]["state"] == "pausing"
        again = Later(lambda: api.call("POST", f"{DEFAULT}/pause"))
        assert again.waits(0.3)
        # It goes on to its end, and then its server closes.
        assert busy.execute("SELECT 5").fetchone() == (5,)
        busy.commit()
        assert again.result().json["data"] == {"state": "paused", "servers": 0}
        assert pools(api)["app", "app"]["state"] == "paused"
        later = Later(lambda: busy.execute("SELECT 6").fetchone())
        assert later.waits(0.3)
        api.call("POST", f"{DEFAULT}/resume")
        assert later.result() == (6,)


def test_pauses_that_wait_leave_places_on_the_port(pooler_of, pg, tmp_path):
    port = free_port()
    settings = api_settings(tmp_path, port, **{"api.max_connections": 12})
    pooler = pooler_of(settings, tenants=[default_tenant(pg), replace(default_tenant(pg), id="acme"),
                                          replace(default_tenant(pg), id="zoo")])
    api = Api(port)

    def pause(tenant: str, timeout_ms: int = 30_000) -> Later:
        return Later(lambda: api.call("POST", f"/api/tenants/{tenant}/pause?timeout_ms={timeout_ms}"))

    clients = [pooler.endpoint(user=user, password=APP_PASSWORD).connect(autocommit=False)
               for user in ("app", "app.acme", "app.zoo")]
    for client in clients:
        client.execute("SELECT 1")
    own = [pause("default"), pause("default")]
    assert own[0].waits(0.5) and own[1].waits(0)
    # Whoever comes beyond two of a tenant, or a quarter of all places, is answered as if the time had run out.
    assert pause("default").result(2).json["data"] == {"state": "pausing", "servers": 1}
    third = pause("acme")
    assert third.waits(0.5)
    beyond = pause("zoo").result(2)
    assert (beyond.status, beyond.json["data"]["state"]) == (202, "pausing")
    # They are paused nevertheless, and the places become free with the pauses' ends.
    for client in clients:
        client.rollback()
        client.close()
    for waiting in (*own, third):
        assert waiting.result().json["data"] == {"state": "paused", "servers": 0}
    assert pause("zoo").result().json["data"] == {"state": "paused", "servers": 0}
    api.call("POST", f"{DEFAULT}/resume")
    with pooler.endpoint().connect(autocommit=False) as client:
        client.execute("SELECT 1")
        assert pause("default").waits(0.5)


def test_a_session_keeps_its_server_through_a_pause(served):
    pooler, api = served
    session = pooler.endpoint(mode="session").connect()
    assert session.execute("SELECT 1").fetchone() == (1,)
    assert api.call("POST", f"{DEFAULT}/pause?timeout_ms=100").status == 202
    assert session.execute("SELECT 2").fetchone() == (2,)
    session.close()
    assert api.call("POST", f"{DEFAULT}/pause").status == 200


@pytest.mark.parametrize("scope", [DEFAULT, f"{DEFAULT}/pools/repl/app"])
def test_a_pause_waits_for_replication_connections(served, scope):
    pooler, api = served
    with pooler.endpoint(user="repl").wire(replication="database") as wire:
        process = int(wire.value("SELECT pg_backend_pid()"))
        assert servers(api) == [process]
        assert pools(api)["repl", "app"]["servers"]["active"] == 1
        assert value(api.metrics(), "penstock_servers", tenant="default", user="repl", state="active") == 1
        answer = api.call("POST", f"{scope}/pause?timeout_ms=300")
        assert (answer.status, answer.json["data"]) == (202, {"state": "pausing", "servers": 1})
        assert pools(api)["repl", "app"]["state"] == "pausing"
        assert int(wire.value("SELECT pg_backend_pid()")) == process
    answer = api.call("POST", f"{scope}/pause")
    assert (answer.status, answer.json["data"]) == (200, {"state": "paused", "servers": 0})


def test_a_replication_connection_is_one_outside_of_the_pools_size(served, pg):
    pooler, api = served
    sizes = {"tenant": {"pool_size": 2, "min_pool_size": 2}}
    assert api.call("PATCH", DEFAULT, sizes).status == 200
    repl = pooler.endpoint(user="repl")
    with repl.wire(replication="database") as one, repl.wire(replication="true") as two, repl.wire() as ordinary:
        processes = {int(wire.value("SELECT pg_backend_pid()")) for wire in (one, ordinary)}
        assert two.query("IDENTIFY_SYSTEM").rows
        time.sleep(1.5)  # a pool looks after its least size every second
        assert len(pg.backends("usename = 'repl' AND backend_type = 'walsender'")) == 2
        assert len(servers(api)) == 4 and processes < set(servers(api))
        pool = pools(api)["repl", "app"]
        assert (pool["size"], pool["pool_mode"]) == (2, "transaction")
        assert pool["servers"]["active"] + pool["servers"]["idle"] == 4
        # Who is between transactions ends.
        assert api.call("POST", f"{DEFAULT}/pools/repl/app/drain").json["data"]["clients"] == 3
        assert not pg.wait_backends("usename = 'repl' AND backend_type = 'walsender'", 0)


def test_who_waits_too_long_is_told(pooler_of, pg, tmp_path):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port, **{"timeouts.query_wait": "500ms"}), tenants=[default_tenant(pg)])
    api = Api(port)
    with pooler.endpoint().connect() as client:
        client.execute("SELECT 1")
        api.call("POST", f"{DEFAULT}/pause")
        with pytest.raises(psycopg.OperationalError, match="query_wait") as told:
            client.execute("SELECT 1")
        assert "The pool is paused" in str(told.value)


def test_one_pool_can_be_paused(served, pg):
    pooler, api = served
    other = {"user": {"secret": "p", "upstream_user": "app", "upstream_secret": pooler.endpoint().password}}
    assert api.call("PUT", f"{DEFAULT}/users/alias", other).status == 201
    with pooler.endpoint().connect() as app, pooler.endpoint(dbname="postgres").connect() as elsewhere:
        app.execute("SELECT 1")
        elsewhere.execute("SELECT 1")
        # Under its other name it is the same pool.
        answer = api.call("POST", f"{DEFAULT}/pools/alias/app/pause")
        assert answer.status == 200, answer.text
        assert pools(api)["app", "app"]["state"] == "paused"
        assert pools(api)["app", "postgres"]["state"] == "active"
        assert api.get(DEFAULT).json["data"]["paused"] is False
        held = Later(lambda: app.execute("SELECT 2").fetchone())
        assert held.waits(0.3)
        assert elsewhere.execute("SELECT 3").fetchone() == (3,)

        assert api.call("POST", f"{DEFAULT}/pause").status == 200
        refused = api.call("POST", f"{DEFAULT}/pools/app/app/resume")
        assert refused.status == 409 and "tenant is paused" in refused.text
        assert api.call("POST", f"{DEFAULT}/resume").status == 200
        assert held.result() == (2,)


def test_a_pool_can_be_paused_before_it_is_there(served):
    pooler, api = served
    assert api.call("POST", f"{DEFAULT}/pools/app/app/pause").status == 200
    early = Later(lambda: pooler.endpoint().connect().execute("SELECT 1").fetchone())
    assert early.waits(0.5)
    assert api.call("POST", f"{DEFAULT}/pools/app/app/resume").status == 200
    assert early.result() == (1,)


def test_pools_that_cannot_be_are_not_paused(served, pg):
    _, api = served
    body = {"tenant": {"hosts": [f"{pg.host}:{pg.port}"], "upstream_database": "app", "users": [
        {"name": "app", "secret": "p"}, {"name": "alias", "upstream_user": "role", "secret": "p"}]}}
    assert api.call("PUT", "/api/tenants/acme", body).status == 201
    for user, database in (("nobody", "app"), ("app", "elsewhere")):
        refused = api.call("POST", f"/api/tenants/acme/pools/{user}/{database}/pause")
        assert refused.status == 404, refused.text
    for user in ("app", "alias", "role"):
        assert api.call("POST", f"/api/tenants/acme/pools/{user}/app/pause").status == 200
    # Where the server tells who there is, anybody may be.
    asking = {"tenant": {"auth_query": "SELECT usename, passwd FROM pg_shadow WHERE usename=$1", "auth_user": "app"}}
    assert api.call("PATCH", "/api/tenants/acme", asking).status == 200
    assert api.call("POST", "/api/tenants/acme/pools/anybody/app/pause").status == 200


def test_orders_reach_what_lists_show_or_are_refused(served):
    pooler, api = served
    solo = {"user": {"secret": "p", "upstream_user": "app", "upstream_secret": pooler.endpoint().password}}
    assert api.call("PUT", f"{DEFAULT}/users/solo", solo).status == 201
    with pooler.endpoint(user="solo", password="p").connect() as client:
        client.execute("SELECT 1")
        assert api.call("DELETE", f"{DEFAULT}/users/solo").status == 204
        [(user, database)] = pools(api)
        assert api.call("POST", f"{DEFAULT}/pools/{user}/{database}/reconnect").status == 202
        answer = api.call("POST", f"{DEFAULT}/pools/{user}/{database}/drain")
        assert (answer.status, answer.json["data"]["clients"]) == (202, 1)
        with pytest.raises(psycopg.errors.AdminShutdown):
            client.execute("SELECT 1")
    for order in ("pause", "resume", "reconnect", "drain"):
        refused = api.call("POST", f"{DEFAULT}/pools/nobody/app/{order}")
        assert refused.status == 404 and "nobody" in refused.text, (order, refused.text)


def test_one_tenant_cannot_use_up_the_places_of_paused_pools(served, pg):
    _, api = served
    own = Api(api.port, bearer=token(tenants=["default"]))
    for number in range(100):
        assert own.call("POST", f"{DEFAULT}/pools/app/d{number}/pause").status == 200
    refused = own.call("POST", f"{DEFAULT}/pools/app/one_more/pause")
    assert refused.status == 409 and "of the tenant" in refused.text
    assert own.call("POST", f"{DEFAULT}/pools/app/d7/pause").status == 200
    other = {"tenant": {"hosts": [f"{pg.host}:{pg.port}"], "users": [{"name": "app", "secret": "p"}]}}
    assert api.call("PUT", "/api/tenants/acme", other).status == 201
    assert api.call("POST", "/api/tenants/acme/pools/app/app/pause").status == 200
    assert own.call("POST", f"{DEFAULT}/resume").status == 200
    assert own.call("POST", f"{DEFAULT}/pools/app/one_more/pause").status == 200


def test_a_tenant_made_anew_is_not_paused(served, pg):
    pooler, api = served
    tenant = {"tenant": {"hosts": [f"{pg.host}:{pg.port}"], "upstream_database": "app", "users": [
        {"name": "app", "secret": pooler.endpoint().password}]}}
    assert api.call("PUT", "/api/tenants/acme", tenant).status == 201
    assert api.call("POST", "/api/tenants/acme/pause").status == 200
    assert api.call("DELETE", "/api/tenants/acme").status == 204
    assert api.call("POST", "/api/tenants/acme/pause").status == 404
    assert api.call("PUT", "/api/tenants/acme", tenant).status == 201
    assert api.get("/api/tenants/acme").json["data"]["paused"] is False
    pooler.endpoint(user="app.acme", password=pooler.endpoint().password).connect().close()


def test_reconnect_replaces_servers_as_they_become_free(served):
    pooler, api = served
    with pooler.endpoint().connect() as idle, pooler.endpoint(dbname="postgres").connect(autocommit=False) as busy:
        old = idle.execute("SELECT pg_backend_pid()").fetchone()[0]
        held = busy.execute("SELECT pg_backend_pid()").fetchone()[0]
        assert api.call("POST", f"{DEFAULT}/pools/app/postgres/reconnect").status == 202
        assert idle.execute("SELECT pg_backend_pid()").fetchone()[0] == old
        assert busy.execute("SELECT pg_backend_pid()").fetchone()[0] == held
        busy.commit()
        assert busy.execute("SELECT pg_backend_pid()").fetchone()[0] != held
        busy.commit()
        assert api.call("POST", f"{DEFAULT}/reconnect").status == 202
        assert idle.execute("SELECT pg_backend_pid()").fetchone()[0] != old
    assert api.call("POST", "/api/tenants/nobody/reconnect").status == 404


def test_drain_ends_clients_between_transactions(served):
    pooler, api = served
    with pooler.endpoint().connect() as idle, pooler.endpoint().connect(autocommit=False) as busy, \
            pooler.endpoint(dbname="postgres").connect() as other:
        idle.execute("SELECT 1")
        busy.execute("SELECT 1")
        other.execute("SELECT 1")
        answer = api.call("POST", f"{DEFAULT}/pools/app/app/drain")
        assert (answer.status, answer.json["data"]["clients"]) == (202, 2)
        with pytest.raises(psycopg.errors.AdminShutdown):
            idle.execute("SELECT 1")
        assert busy.execute("SELECT 2").fetchone() == (2,)
        busy.commit()
        with pytest.raises(psycopg.errors.AdminShutdown):
            busy.execute("SELECT 1")
        assert other.execute("SELECT 1").fetchone() == (1,)
        assert api.call("POST", f"{DEFAULT}/drain").json["data"]["clients"] == 1
        with pytest.raises(psycopg.errors.AdminShutdown):
            other.execute("SELECT 1")
    wait_until(lambda: servers(api) == [])
    # Nobody is kept out.
    pooler.endpoint().connect().close()


@pytest.mark.parametrize("order", ["pause", "resume", "reconnect", "drain"])
def test_orders_need_a_token_that_may_give_them(served, order):
    _, api = served
    for bearer in (token(scope="read"), token(tenants=["acme"])):
        assert Api(api.port, bearer=bearer).call("POST", f"{DEFAULT}/{order}").status == 403
        assert Api(api.port, bearer=bearer).call("POST", f"{DEFAULT}/pools/app/app/{order}").status == 403
    assert api.call("POST", f"/api/tenants/nobody/{order}").status == 404
    assert api.get(DEFAULT).json["data"]["paused"] is False


def test_pausing_under_load_costs_no_client(served):
    """Queries wait while it lasts; none fails, none is lost."""
    pooler, api = served
    done, counts = threading.Event(), []

    def work() -> None:
        with pooler.endpoint().connect() as client:
            count = 0
            while not done.is_set():
                count += 1
                assert client.execute("SELECT %s::int", (count,)).fetchone() == (count,)
            counts.append(count)

    workers = [Later(work) for _ in range(20)]
    for _ in range(20):
        assert api.call("POST", f"{DEFAULT}/pause").status == 200
        assert servers(api) == []
        assert api.call("POST", f"{DEFAULT}/resume").status == 200
        time.sleep(0.05)
    done.set()
    for worker in workers:
        worker.result()
    assert len(counts) == 20 and min(counts) >= 10
