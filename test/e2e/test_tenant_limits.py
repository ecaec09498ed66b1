"""What a tenant may have and do: shares of its users, pools, log-ins, queries and bytes per second."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest

from pooler import Endpoint, Pooler, Tenant, default_tenant, users_of
from postgres import ROLES, free_port
from wire import ServerError, Wire, query

pytestmark = pytest.mark.penstock


class Mark:
    """Tells the server connections of this test's pooler from what others leave behind while they stop."""
    numbers = itertools.count()
    now = ""


def tenant_with(pg, users: dict[str, dict[str, str]] | None = None, **options: str) -> Tenant:
    """The default tenant with these fields, and these of its users."""
    Mark.now = f"limits {next(Mark.numbers)}"
    tenant = default_tenant(pg, parameter=f"application_name={Mark.now}",
                            **{name.replace("_", "-"): value for name, value in options.items()})
    for name, fields in (users or {}).items():
        tenant.users[name] |= {field.replace("_", "-"): value for field, value in fields.items()}
    return tenant


def of(user: str) -> str:
    return f"usename = '{user}' AND application_name = '{Mark.now}'"


def servers_of(pg, user: str) -> int:
    return len(pg.backends(of(user)))


def refusal(at: Endpoint) -> ServerError:
    with pytest.raises(ServerError) as error, at.wire():
        pass
    return error.value


class Crowd:
    """So many clients of one user that are busy all the time."""

    def __init__(self, at: Endpoint, clients: int, sql: str = "SELECT pg_sleep(0.005)", threads: int = 4):
        self.answers = 0
        self.failures: list[Exception] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(at, clients // threads, sql))
                         for _ in range(threads)]

    def _work(self, at: Endpoint, clients: int, sql: str) -> None:
        try:
            with ExitStack() as stack:
                wires = [stack.enter_context(at.wire(timeout=30)) for _ in range(clients)]
                for wire in wires:
                    wire.send(query(sql))
                while not self._stop.is_set():
                    for wire in wires:  # each waits for its turn: all but one are in the queue
                        wire.reply()
                        with self._lock:
                            self.answers += 1
                        wire.send(query(sql))
        except Exception as error:
            self.failures.append(error)

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self.failures, self.failures[:3]


# ---- shares of users


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_with_few_clients_does_not_wait_behind_one_with_many(pooler_of, pg, workers: int):
    pooler = pooler_of({"server.workers": workers, "pool.size": 50}, tenants=[tenant_with(pg, max_upstreams="6")])
    with Crowd(pooler.endpoint(), 200) as jobs:
        assert len(pg.wait_backends(of("app"), 6)) == 6
        waits: list[float] = []
        with ExitStack() as stack:
            few = [stack.enter_context(pooler.endpoint(user="other").wire()) for _ in range(3)]
            end = time.monotonic() + 4
            while time.monotonic() < end:
                for wire in few:
                    wire.send(query("SELECT 1"))
                began = time.monotonic()
                for wire in few:
                    wire.reply()
                waits.append(time.monotonic() - began)
            assert servers_of(pg, "app") + servers_of(pg, "other") <= 6
        before = jobs.answers
        time.sleep(1)
        served = jobs.answers - before
    # Behind 200 clients at 6 servers a client waits for 200 * 5 ms / 6 = 170 ms at least, each time.
    waits.sort()
    assert waits[len(waits) // 2] < 0.03, f"half of them took longer than {waits[len(waits) // 2]:.3f} s"
    assert waits[-1] < 1.0, waits[-5:]
    assert served > 100, "the others go on"


def test_users_share_evenly_what_is_not_guaranteed(pooler_of, pg):
    pooler = pooler_of({"pool.size": 50}, tenants=[tenant_with(pg, max_upstreams="6")])
    with Crowd(pooler.endpoint(), 40):
        assert len(pg.wait_backends(of("app"), 6)) == 6
        with Crowd(pooler.endpoint(user="other"), 12):
            assert len(pg.wait_backends(of("other"), 3)) == 3
            assert servers_of(pg, "app") == 3
            pids = {row["pid"] for row in pg.backends(f"application_name = '{Mark.now}'")}
            time.sleep(2)
            after = {row["pid"] for row in pg.backends(f"application_name = '{Mark.now}'")}
            assert pids == after, "connections went on changing hands"
        # What nobody else wants is used: the other's have been idle for a second by then.
        assert len(pg.wait_backends(of("app"), 6, timeout=8)) == 6


def test_guaranteed_places_are_there_at_once(pooler_of, pg):
    tenant = tenant_with(pg, {"other": {"guaranteed_pool_size": "2"}}, max_upstreams="5")
    pooler = pooler_of({"pool.size": 50}, tenants=[tenant])
    with ExitStack() as stack:
        hogs = [stack.enter_context(pooler.endpoint().wire()) for _ in range(5)]
        for wire in hogs:
            wire.send(query("BEGIN"))  # and never ends
        assert len(pg.wait_backends(of("app"), 3)) == 3
        time.sleep(0.3)
        assert servers_of(pg, "app") == 3
        for _ in range(2):
            began = time.monotonic()
            wire = stack.enter_context(pooler.endpoint(user="other").wire())
            wire.query("BEGIN")
            assert time.monotonic() - began < 1
        third = stack.enter_context(pooler.endpoint(user="other").wire())
        third.send(query("SELECT 'third'"))
        assert third.quiet(0.5), "all places are taken"
        hogs[0].reply()
        hogs[0].query("COMMIT")
        third.reply()


def test_a_guarantee_takes_effect_at_once(pooler_of, pg):
    pooler: Pooler = pooler_of({"pool.size": 50}, tenants=[tenant_with(pg, max_upstreams="4")])
    with Crowd(pooler.endpoint(), 8):
        with Crowd(pooler.endpoint(user="other"), 8):
            assert len(pg.wait_backends(of("other"), 2)) == 2
            pooler.cli("user", "set", "other", "--guaranteed-pool-size", "3")
            assert len(pg.wait_backends(of("other"), 3)) == 3
            time.sleep(1)
            assert servers_of(pg, "other") >= 3
            assert servers_of(pg, "app") >= 1


def test_more_guarantees_than_places_are_refused(pooler_of, pg):
    pooler: Pooler = pooler_of(tenants=[tenant_with(pg, max_upstreams="4")])
    done = pooler.cli("user", "set", "other", "--guaranteed-pool-size", "5", check=False)
    assert done.returncode != 0 and "guaranteed_pool_size" in done.stderr


# ---- queues


def test_waiting_clients_of_a_tenants_pool(pooler_of, pg):
    tenant = tenant_with(pg, {"other": {"max_waiting_clients": "1"}}, max_waiting_clients="2", pool_size="1")
    pooler = pooler_of(tenants=[tenant])
    for user, most in (("app", 2), ("other", 1)):
        at = pooler.endpoint(user=user)
        with ExitStack() as stack:
            holder, last, *waiting = [stack.enter_context(at.wire()) for _ in range(most + 2)]
            holder.query("BEGIN")
            for wire in waiting:
                wire.send(query("SELECT 'waited'"))
            time.sleep(0.2)
            last.send(query("SELECT 1"))
            error = last.expect_error()
            assert error["C"] == "53300" and "max_waiting_clients" in error["D"], error
            holder.query("COMMIT")
            for wire in waiting:
                assert wire.reply().value() == "waited"


def test_session_mode_clients_wait_for_a_server(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant_with(pg, pool_size="2")])
    at = pooler.endpoint(mode="session")
    order: list[int] = []
    with ExitStack() as stack:
        holders = [stack.enter_context(at.wire()) for _ in range(2)]
        for wire in holders:
            wire.value("SELECT 1")
        waiting = [stack.enter_context(at.wire()) for _ in range(4)]
        for number, wire in enumerate(waiting):
            wire.send(query("SELECT pg_backend_pid()"))
            time.sleep(0.05)
        assert all(wire.quiet(0.2) for wire in waiting), "a session has one of two servers until its client leaves"

        def leave_when_served(number: int) -> None:
            waiting[number].reply()
            order.append(number)
            time.sleep(0.05)
            waiting[number].close()

        threads = [threading.Thread(target=leave_when_served, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        holders[0].close()
        for thread in threads:
            thread.join()
        assert order == [0, 1, 2, 3]
        assert holders[1].value("SELECT 1") == "1"


# ---- the life of a pool


@contextmanager
def forwarding(listener: socket.socket, pg) -> Iterator[None]:
    """What comes to the listener goes on to the server, until the end."""
    links: list[socket.socket] = []
    over = threading.Event()

    def forward(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # the test is over
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        listener.settimeout(0.1)
        while not over.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            server = socket.create_connection((pg.host, pg.port))
            links.extend((client, server))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=forward, args=pair, daemon=True).start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield
    finally:
        over.set()
        accepting.join()
        for link in links:
            link.close()


def test_clients_that_come_before_the_first_server_is_there_wait_for_it(pooler_of, pg):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = listener.getsockname()[1]
        pooler = pooler_of({"pool.size": 3}, tenants=[Tenant("default", [f"127.0.0.1:{port}"],
                                                             {"upstream-tls": "disable"}, users_of("app"))])
        wrong: list[Exception] = []
        served: list[str | None] = []

        def come() -> None:
            try:
                with pooler.endpoint().wire(timeout=20) as wire:
                    served.append(wire.value("SELECT 1"))
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=come) for _ in range(40)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        assert not wrong and not served
        with forwarding(listener, pg):
            for thread in threads:
                thread.join()
        assert not wrong and served == ["1"] * 40, wrong[:3]


def test_clients_are_greeted_before_there_is_a_server(pooler_of, pg):
    port = free_port()
    pooler = pooler_of(tenants=[Tenant("default", [f"127.0.0.1:{port}"], {
        "upstream-tls": "disable", "default-parameter-status": ["server_version=9.9", "client_encoding=UTF8"]},
        users_of("app"))])
    with pooler.endpoint().wire(application_name="early", timezone="Europe/Vienna") as wire:
        assert wire.parameters["server_version"] == "9.9"
        with socket.create_server(("127.0.0.1", port)) as listener, forwarding(listener, pg):
            reply = wire.query("SELECT current_setting('TimeZone'), current_setting('application_name')")
            assert reply.rows == [[b"Europe/Vienna", b"early"]]
            told = dict(got.body.rstrip(b"\0").split(b"\0") for got in reply.messages if got.type == "S")
            assert told[b"server_version"] not in (b"", b"9.9") and told[b"TimeZone"] == b"Europe/Vienna"
            assert b"client_encoding" not in told, "that was true"
            wire.query("SET TimeZone = 'UTC'")
            wire.query("RESET TimeZone")
            assert wire.value("SHOW TimeZone") == "Europe/Vienna"
            with pooler.endpoint().wire() as later:
                assert later.parameters["server_version"] == told[b"server_version"].decode()


def test_a_pool_stops_when_it_has_been_idle(pooler_of, pg):
    pooler = pooler_of({"pool.upstream_idle_timeout": "1s"}, tenants=[tenant_with(pg)])
    with ExitStack() as stack:
        wires = [stack.enter_context(pooler.endpoint().wire()) for _ in range(3)]
        for wire in wires:
            wire.send(query("SELECT pg_sleep(0.2)"))
        for wire in wires:
            wire.reply()
        assert servers_of(pg, "app") == 3
        assert not pg.wait_backends(of("app"), 0, timeout=6)
        assert all(wire.value("SELECT 1") == "1" for wire in wires), "clients stay, and the pool starts again"


def test_pools_of_a_tenant(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant_with(pg, max_pools="2")])
    with pooler.endpoint().wire() as first, pooler.endpoint(dbname="postgres").wire() as second:
        assert first.value("SELECT 1") == second.value("SELECT 1") == "1"
        began = time.monotonic()
        error = refusal(pooler.endpoint(user="other"))
        assert error.sqlstate == "53300" and "no more pools" in str(error), error
        assert time.monotonic() - began < 5
        with pooler.endpoint().wire() as more:
            assert more.value("SELECT 1") == "1", "a pool that is there takes more clients"
    # Nobody has them any more: they make room.
    with pooler.endpoint(user="other").wire() as third:
        assert third.value("SELECT current_user") == "other"


# ---- per second


def test_log_ins_in_a_second(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant_with(pg, connects_per_second="10")])
    at = pooler.endpoint()
    wrong: list[ServerError] = []
    times: list[float] = []

    def come() -> None:
        try:
            with at.wire(timeout=20):
                times.append(time.monotonic())
        except ServerError as error:
            wrong.append(error)

    began = time.monotonic()
    threads = [threading.Thread(target=come) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Ten at once, then ten in a second; who would have to wait for more than 2 s is refused.
    assert 25 <= len(times) <= 36 and len(wrong) == 60 - len(times), (len(times), len(wrong))
    assert max(times) - began > 1.5, "some have waited"
    assert {error.sqlstate for error in wrong} == {"53300"}
    assert "connects_per_second" in wrong[0].fields["D"], wrong[0].fields


def test_wrong_passwords_do_not_use_up_log_ins(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant_with(pg, connects_per_second="2")])
    at = pooler.endpoint()
    for _ in range(20):
        assert refusal(at.but(password="wrong")).sqlstate == "28P01"
    began = time.monotonic()
    with at.wire() as wire:
        assert wire.value("SELECT 1") == "1"
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_queries_in_a_second(pooler_of, pg, mode: str):
    pooler = pooler_of({"server.workers": 2, "pool.size": 10}, tenants=[tenant_with(pg, queries_per_second="50")])
    with Crowd(pooler.endpoint(mode=mode), 8, "SELECT 1") as crowd:
        time.sleep(1.5)  # what may be done at once is over
        before, began = crowd.answers, time.monotonic()
        time.sleep(3)
        rate = (crowd.answers - before) / (time.monotonic() - began)
    assert 40 < rate < 60, rate


def test_a_pipeline_counts_as_many_queries_as_it_has(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant_with(pg, queries_per_second="20")])
    with pooler.endpoint().wire(timeout=20) as wire:
        began = time.monotonic()
        wire.send(*[query("SELECT 1")] * 60)
        for _ in range(60):
            wire.reply()
        wire.value("SELECT 1")
        assert 1.8 < time.monotonic() - began < 5


def test_a_query_that_waits_for_its_turn_can_be_cancelled(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant_with(pg, queries_per_second="1")])
    with pooler.endpoint().wire() as wire, pooler.endpoint().wire() as other:
        for _ in range(4):
            other.send(query("SELECT 1"))
        other.reply()
        wire.send(query("SELECT 1"))
        assert wire.quiet(0.3)
        wire.cancel()
        reply = wire.reply()
        assert reply.errors[0]["C"] == "57014" and reply.status == "I"


def test_a_limit_per_second_is_lifted_at_once(pooler_of, pg):
    pooler: Pooler = pooler_of(tenants=[tenant_with(pg, queries_per_second="1")])
    with pooler.endpoint().wire(timeout=20) as wire:
        wire.send(*[query("SELECT 1")] * 30)
        time.sleep(0.5)
        pooler.cli("tenant", "set", "default", "--queries-per-second", "0")
        began = time.monotonic()
        for _ in range(30):
            wire.reply()
        wire.value("SELECT 1")
        assert time.monotonic() - began < 6


def test_a_query_that_would_wait_too_long_is_refused(pooler_of, pg):
    tenant = tenant_with(pg, queries_per_second="1", query_wait_timeout="2s")
    pooler = pooler_of(tenants=[tenant])
    with pooler.endpoint().wire() as wire, pooler.endpoint().wire() as other:
        wire.send(*[query("SELECT 1")] * 20)
        time.sleep(0.3)
        other.send(query("SELECT 1"))
        error = other.expect_error()
        assert error["C"] == "53300" and "queries_per_second" in error["M"], error


@pytest.mark.parametrize("direction", ["to the client", "from the client"])
def test_bytes_in_a_second(pooler_of, pg, direction: str):
    pooler = pooler_of({"server.workers": 2}, tenants=[tenant_with(pg, bytes_per_second="1000000")])
    sizes = []
    began = time.monotonic()

    def move() -> None:
        with pooler.endpoint().connect() as connection:
            if direction == "to the client":
                sizes.append(connection.execute("SELECT repeat('x', 2000000)").fetchone()[0].__len__())
            else:
                sizes.append(connection.execute("SELECT length(%s)", ["x" * 2_000_000]).fetchone()[0])

    threads = [threading.Thread(target=move) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    assert sizes == [2_000_000] * 2
    assert 2.5 < took < 6, f"4 MB of which 1 MB at once: {took:.1f} s"


@pytest.mark.parametrize("limit", ["query_timeout", "transaction_timeout"])
def test_being_slowed_does_not_stop_the_clock_of_a_query(pooler_of, pg, limit: str):
    pooler = pooler_of(tenants=[tenant_with(pg, bytes_per_second="100000", **{limit: "2s"})])
    with pooler.endpoint().connect() as connection:
        began = time.monotonic()
        # In the middle of a row there is no place for an error: the connection ends, and the log says why.
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
        assert 1.5 < time.monotonic() - began < 5
    pooler.wait_log(limit.replace("_", " ") if limit == "transaction_timeout" else limit)


def test_tenants_without_such_limits_are_not_slowed(pooler_of, pg):
    slow = tenant_with(pg, queries_per_second="1")
    fast = Tenant("fast", slow.hosts, {"upstream-tls": "disable"}, users_of("app"))
    pooler = pooler_of(tenants=[slow, fast])
    with pooler.endpoint().wire() as a, pooler.endpoint().but(user="app.fast", password=ROLES["app"]).wire() as b:
        a.send(*[query("SELECT 1")] * 10)
        began = time.monotonic()
        for _ in range(200):
            b.value("SELECT 1")
        assert time.monotonic() - began < 2


# ---- pool size as a share of what the server has


def test_pool_size_as_a_percentage(pooler_of, pg_of):
    if not hasattr(pg_of, "counted"):
        pg_of.counted = pg_of(max_connections=23)  # less 3 for superusers
    server = pg_of.counted
    tenant = tenant_with(server, pool_size="2", pool_size_percent="25")
    pooler = pooler_of(server=server, tenants=[tenant])
    with Crowd(pooler.endpoint(), 12):
        assert len(server.wait_backends(of("app"), 5)) == 5
        time.sleep(0.5)
        assert servers_of(server, "app") == 5
    pooler.cli("tenant", "set", "default", "--pool-size-percent", "10")
    with Crowd(pooler.endpoint(), 12):
        assert len(server.wait_backends(of("app"), 2)) == 2


# ---- signs of life


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_idle_clients_are_sent_a_sign_of_life(pooler_of, pg, mode: str):
    pooler = pooler_of(tenants=[tenant_with(pg, client_heartbeat_interval="500ms")])
    with pooler.endpoint(mode=mode).wire(application_name="quiet one") as wire:
        assert wire.value("SELECT 1") == "1"
        began = time.monotonic()
        for _ in range(3):
            beat = wire.read()
            assert beat.type == "S" and beat.body == b"application_name\0quiet one\0", beat
        assert 1.2 < time.monotonic() - began < 3
        assert wire.value("SELECT 2") == "2"


def test_drivers_take_the_sign_of_life_as_it_is_meant(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant_with(pg, client_heartbeat_interval="200ms")])
    with pooler.endpoint().connect(application_name="driver") as connection:
        for _ in range(4):
            assert connection.execute("SELECT current_setting('application_name')").fetchone() == ("driver",)
            time.sleep(0.5)
            assert connection.info.parameter_status("application_name") == "driver"


# ---- towards the server


def test_addresses_of_one_kind(pooler_of, pg):
    def lands(host: str, version: str) -> str:
        pooler = pooler_of({"timeouts.query_wait": "2s"}, tenants=[
            Tenant("default", [f"{host}:{pg.port}"], {"upstream-tls": "disable", "ip-version": version},
                   users_of("app"))])
        try:
            with pooler.endpoint().wire() as wire:
                return wire.value("SELECT family(inet_server_addr())") or ""
        except ServerError as error:
            return error.fields["M"]

    assert lands("localhost", "v4") == "4"
    assert lands("127.0.0.1", "auto") == "4"
    assert "no IPv6 address" in lands("127.0.0.1", "v6")


@pytest.mark.parametrize("right", [True, False])
def test_the_servers_authority_as_text(pooler_of, pg, ca, tmp_path, right: bool):
    from certs import Authority
    authority = ca if right else Authority(tmp_path / "another", "Another CA")
    pooler = pooler_of({"timeouts.query_wait": "2s"}, tenants=[
        Tenant("default", [f"localhost:{pg.port}"],
               {"upstream-tls": "verify-full", "upstream-tls-ca": authority.cert.read_text()}, users_of("app"))])
    if right:
        with pooler.endpoint().wire() as wire:
            assert wire.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t"
    else:
        assert "certificate" in str(refusal(pooler.endpoint()))
