"""Pool sizes and limits: never exceeded, refused with the right word, first come first served."""

from __future__ import annotations

import threading
import time

import pytest

from pooler import Endpoint, Pooler, Tenant, default_tenant
from wire import ServerError, query

pytestmark = pytest.mark.penstock


def refused(at: Endpoint) -> str:
    with pytest.raises(ServerError) as error, at.wire():
        pass
    return error.value.sqlstate


@pytest.mark.parametrize("workers", [1, 2])
def test_pool_size_is_never_exceeded(pooler_of, pg, workers: int):
    pooler = pooler_of({"pool.size": 3, "server.workers": workers})
    at = pooler.endpoint()
    seen: set[str] = set()
    stop = time.monotonic() + 2
    most = 0

    def work() -> None:
        with at.wire(application_name="sized") as wire:
            while time.monotonic() < stop:
                seen.add(wire.value("SELECT pg_backend_pid() FROM (SELECT pg_sleep(0.003)) s") or "")

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    while time.monotonic() < stop:
        most = max(most, len(pg.backends("usename = 'app' AND application_name = 'sized'")))
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert len(seen) <= 3 and most <= 3, (seen, most)
    assert len(seen) == 3


def test_a_smaller_pool_size_closes_what_is_too_much(pooler_of, pg):
    pooler = pooler_of({"pool.size": 4, "server.workers": 2})
    at = pooler.endpoint()
    mine = "application_name = 'shrunk'"
    wires = [at.wire(application_name="shrunk") for _ in range(4)]
    try:
        for wire in wires:
            wire.send(query("SELECT pg_sleep(1)"))
        for wire in wires:
            wire.reply()
        assert len(pg.backends(mine)) > 1
        pooler.settings["pool.size"] = 1
        pooler.reload()
        deadline = time.monotonic() + 10
        while len(pg.backends(mine)) > 1 and time.monotonic() < deadline:
            wires[0].value("SELECT 1")
            time.sleep(0.1)
        assert len(pg.backends(mine)) == 1
    finally:
        for wire in wires:
            wire.close()


def test_waiting_clients_are_served_in_order_of_arrival(pooler_of):
    at = pooler_of({"pool.size": 1}).endpoint()
    order: list[int] = []
    with at.wire() as holder:
        holder.query("BEGIN")
        wires = [at.wire() for _ in range(10)]
        threads = []
        for number, wire in enumerate(wires):
            wire.send(query("SELECT pg_sleep(0.02)"))

            def wait(number: int = number, wire=wire) -> None:
                wire.reply()
                order.append(number)

            threads.append(threading.Thread(target=wait))
            threads[-1].start()
            time.sleep(0.03)
        holder.query("COMMIT")
        for thread in threads:
            thread.join()
        for wire in wires:
            wire.close()
    assert order == list(range(10))


def test_clients_of_the_process(pooler_of):
    pooler = pooler_of({"pool.max_clients": 3})
    at = pooler.endpoint()
    wires = [at.wire() for _ in range(3)]
    assert refused(at) == "53300"
    wires.pop().close()
    time.sleep(0.2)
    with at.wire() as wire:
        assert wire.value("SELECT 1") == "1"
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("setting", ["max_clients_per_tenant", "max_clients_per_user", "max_clients_per_database"])
def test_clients_of_a_scope(pooler_of, setting: str):
    pooler = pooler_of({f"pool.{setting}": 2})
    at = pooler.endpoint()
    wires = [at.wire() for _ in range(2)]
    assert refused(at) == "53300"
    others = {"max_clients_per_tenant": at.but(user="app.secure"), "max_clients_per_user":
              pooler.endpoint(user="other"), "max_clients_per_database": at.but(dbname="postgres")}
    with others[setting].wire() as wire:
        assert wire.value("SELECT 1") == "1"
    for wire in wires:
        wire.close()


def test_clients_of_a_user_from_the_catalog(pooler_of, pg):
    tenant = default_tenant(pg)
    tenant.users["app"]["max-clients"] = "1"
    pooler = pooler_of(tenants=[tenant])
    with pooler.endpoint().wire():
        with pytest.raises(ServerError) as told:
            pooler.endpoint().wire()
        assert told.value.sqlstate == "53300"
        assert told.value.fields["D"] == "There may be 1 at the same time (max_clients of the user)."
        with pooler.endpoint(user="other").wire() as wire:
            assert wire.value("SELECT 1") == "1"


@pytest.mark.parametrize("setting", ["max_upstreams", "max_upstreams_per_tenant", "max_upstreams_per_database"])
def test_servers_of_a_scope_are_shared_between_its_pools(pooler_of, pg, setting: str):
    pooler = pooler_of({f"pool.{setting}": 2, "pool.size": 5})
    with pooler.endpoint().wire() as a, pooler.endpoint(user="other").wire() as b, pooler.endpoint().wire() as c:
        a.query("BEGIN")
        b.query("BEGIN")
        c.send(query("SELECT 'third'"))
        assert c.quiet(0.4), "a third server was opened"
        a.query("COMMIT")
        assert c.reply().rows == [[b"third"]]


def test_idle_server_of_another_pool_makes_room(pooler_of):
    pooler = pooler_of({"pool.max_upstreams": 1, "pool.size": 5, "timeouts.query_wait": "5s"})
    with pooler.endpoint().wire() as a, pooler.endpoint(user="other").wire() as b:
        for _ in range(3):
            assert a.value("SELECT current_user") == "app"
            assert b.value("SELECT current_user") == "other"


def test_upstreams_of_a_user(pooler_of):
    pooler = pooler_of({"pool.max_upstreams_per_user": 1, "pool.size": 5})
    with pooler.endpoint().wire() as a, pooler.endpoint().wire() as b, pooler.endpoint(user="other").wire() as c:
        a.query("BEGIN")
        b.send(query("SELECT 1"))
        assert b.quiet(0.3)
        assert c.value("SELECT 1") == "1"
        a.query("COMMIT")
        assert b.reply().rows == [[b"1"]]


def test_waiting_clients_of_a_pool(pooler_of):
    at = pooler_of({"pool.size": 1, "pool.max_waiting_clients": 2}).endpoint()
    holder, *wires = [at.wire() for _ in range(4)]
    holder.query("BEGIN")
    for wire in wires[:2]:
        wire.send(query("SELECT 1"))
    time.sleep(0.1)
    wires[2].send(query("SELECT 1"))
    assert wires[2].expect_error()["C"] in ("53300", "53000", "54000")
    holder.query("COMMIT")
    for wire in wires[:2]:
        assert wire.reply().rows == [[b"1"]]
    for wire in (holder, *wires):
        wire.close()


def test_minimum_size_is_opened_ahead(pooler_of, pg):
    pooler = pooler_of({"pool.min_size": 4})
    with pooler.endpoint().wire(application_name="minimum") as wire:
        wire.value("SELECT 1")
        found = pg.wait_backends("usename = 'app' AND application_name IN ('minimum', '') AND datname = 'app'", 4)
        assert len(found) >= 4


def test_reserve_is_opened_after_a_wait(pooler_of):
    at = pooler_of({"pool.size": 1, "pool.reserve_size": 1, "pool.reserve_timeout": "300ms"}).endpoint()
    with at.wire() as holder, at.wire() as waiting:
        holder.query("BEGIN")
        waiting.send(query("SELECT 'reserve'"))
        assert waiting.quiet(0.15)
        assert waiting.reply().rows == [[b"reserve"]]


def test_pool_mode_of_tenant_user_and_listener(pooler_of, pg):
    tenant = Tenant("default", [f"{pg.host}:{pg.port}"], {"pool-mode": "session", "pool-size": "1"},
                    {"app": {"secret": "app-secret"}, "other": {"secret": "other-secret", "pool-mode": "transaction"}})
    pooler = pooler_of(tenants=[tenant])
    with pooler.endpoint().wire() as a:
        a.value("SELECT 1")
        b = pooler.endpoint()
        from wire import Wire, startup
        with Wire("127.0.0.1", b.port) as waiting:  # session mode: the only server is taken until a leaves
            waiting.send(startup({"user": "app", "database": "app"}))
            waiting.authenticate("app", "app-secret")
            waiting.finish_greeting()
            waiting.send(query("SELECT 1"))
            assert waiting.quiet(0.4)
            a.close()
            assert waiting.reply().rows == [[b"1"]]
    with pooler.endpoint(user="other").wire() as a, pooler.endpoint(user="other").wire() as b:
        for _ in range(3):
            assert a.value("SELECT 1") == b.value("SELECT 1") == "1"


def test_statement_mode_forbids_transaction_blocks(pooler_of):
    at = pooler_of().endpoint(mode="statement")
    with at.wire() as wire:
        assert wire.value("SELECT 1") == "1"
        wire.send(query("BEGIN"))
        fields = wire.expect_error()
        assert fields["C"] in ("0A000", "08P01", "25001"), fields
        assert "statement" in fields["M"]


def test_unused_pools_and_clients_leave_nothing(pooler_of, pg):
    pooler: Pooler = pooler_of()
    at = pooler.endpoint()
    for _ in range(20):
        with at.wire() as wire:
            wire.value("SELECT 1")
    import os
    before = len(os.listdir(f"/proc/{pooler.pid}/fd"))
    for _ in range(200):
        with at.wire() as wire:
            wire.value("SELECT 1")
    time.sleep(0.3)
    assert len(os.listdir(f"/proc/{pooler.pid}/fd")) <= before + 4


def test_servers_own_connection_limit_makes_clients_wait_or_tells_them(pooler_of, pg_of):
    if not hasattr(pg_of, "small"):
        pg_of.small = pg_of(max_connections=12)
    small = pg_of.small
    pooler = pooler_of({"pool.size": 30, "timeouts.query_wait": "10s"}, server=small, tenants=[default_tenant(small)])
    at = pooler.endpoint()
    wrong: list[object] = []

    def work() -> None:
        try:
            with at.wire(timeout=20) as wire:
                for _ in range(5):
                    wire.value("SELECT pg_sleep(0.02)")
        except ServerError as error:
            if error.sqlstate != "53300":
                wrong.append(error)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    time.sleep(0.5)
    with at.wire() as wire:
        assert wire.value("SELECT 1") == "1"


