"""Everything that waits ends after a time: each timeout with its own SQLSTATE, told to the right client only."""

from __future__ import annotations

import time

import pytest

from fakes import FakeServer, greet, read_message, read_startup
from pooler import Pooler, Tenant, users_of
from wire import FLUSH, ServerError, Wire, bind, execute, parse, query, startup

pytestmark = pytest.mark.penstock


def fatal(wire: Wire, sqlstate: str, within: float) -> dict[str, str]:
    begun = time.monotonic()
    fields = wire.expect_error()
    assert fields["C"] == sqlstate and fields["S"] == "FATAL", fields
    assert time.monotonic() - begun < within
    assert wire.at_end()
    return fields


def test_login(pooler_of):
    pooler = pooler_of({"timeouts.client_login": "500ms"})
    with Wire("127.0.0.1", pooler.port) as silent, Wire("127.0.0.1", pooler.port) as half, \
            Wire("127.0.0.1", pooler.port) as unproven:
        half.send(startup({"user": "app"})[:10])
        unproven.send(startup({"user": "app", "database": "app"}))
        unproven.read()
        fields = unproven.expect_error()
        assert fields["C"] in ("08006", "57014", "08P01", "28000", "57P05", "08000"), fields
        assert unproven.at_end()
        for wire in (silent, half):  # whoever has not said hello is owed no word
            if not wire.at_end(3):
                assert wire.read().type == "E"
                assert wire.at_end()


def test_login_while_in_the_tls_handshake(pooler_of):
    from wire import SSL_REQUEST
    pooler = pooler_of({"timeouts.client_login": "500ms"})
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(SSL_REQUEST)
        assert wire.read_exactly(1) == b"S"
        wire.send(b"\x16\x03\x01")
        wire.at_end(5)


def test_query_wait(pooler_of):
    at = pooler_of({"pool.size": 1, "timeouts.query_wait": "500ms"}).endpoint()
    with at.wire() as holder, at.wire() as waiting:
        holder.query("BEGIN")
        waiting.send(query("SELECT 'never'"))
        begun = time.monotonic()
        fields = waiting.expect_error()
        assert 0.3 < time.monotonic() - begun < 2
        assert fields["C"] in ("57014", "53300", "08P01", "57P03", "08006"), fields
        assert holder.value("SELECT 1") == "1"


def test_query_wait_notify(pooler_of):
    at = pooler_of({"pool.size": 1, "log.query_wait_notify": "200ms"}).endpoint()
    with at.wire() as holder, at.wire() as waiting:
        holder.query("BEGIN")
        waiting.send(query("SELECT 1"))
        notice = waiting.read()
        assert notice.type == "N", notice
        assert "wait" in notice.fields["M"].lower() or "queue" in notice.fields["M"].lower()
        holder.query("COMMIT")
        assert waiting.reply().rows == [[b"1"]]


def test_query(pooler_of, pg):
    at = pooler_of({"timeouts.query": "500ms"}).endpoint()
    with at.wire() as wire, at.wire() as other:
        wire.send(query("SELECT pg_sleep(20), 'too long'"))
        begun = time.monotonic()
        fields = wire.expect_error()
        assert 0.3 < time.monotonic() - begun < 3
        assert fields["C"] == "57014", fields
        assert other.value("SELECT 1") == "1"
    assert not pg.wait_backends("query LIKE '%too long%' AND state = 'active' AND usename = 'app'", 0)


def test_query_that_keeps_sending_rows(pooler_of, pg):
    at = pooler_of({"timeouts.query": "500ms"}).endpoint()
    with at.wire() as wire:
        wire.send(query("SELECT repeat('x', 100), pg_sleep(0.01) FROM generate_series(1, 100000)"))
        reply = wire.read_until("EZ")
        assert reply.messages[-1].type == "E" and reply.errors[0]["C"] == "57014"


def test_idle_in_transaction(pooler_of, pg):
    at = pooler_of({"timeouts.idle_transaction": "500ms", "pool.size": 1}).endpoint()
    with at.wire() as wire:
        wire.query("BEGIN")
        pid = wire.value("SELECT pg_backend_pid()")
        fatal(wire, "25P03", 3)
    with at.wire() as next_one:
        assert next_one.value("SELECT pg_backend_pid()") == pid


def test_idle_outside_a_transaction_is_no_idle_transaction(pooler_of):
    at = pooler_of({"timeouts.idle_transaction": "300ms"}).endpoint()
    with at.wire() as wire:
        wire.value("SELECT 1")
        assert wire.quiet(1.0)
        assert wire.value("SELECT 1") == "1"


def test_transaction(pooler_of):
    at = pooler_of({"timeouts.transaction": "700ms"}).endpoint()
    with at.wire() as wire:
        wire.query("BEGIN")
        begun = time.monotonic()
        with pytest.raises(ServerError) as ended:
            while time.monotonic() - begun < 5:
                wire.value("SELECT pg_sleep(0.05)")
        assert time.monotonic() - begun < 3
        assert ended.value.sqlstate == "25P04", ended.value


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_transaction_does_not_count_the_pause_before_it(pooler_of, mode: str):
    at = pooler_of({"timeouts.transaction": "700ms"}).endpoint(mode=mode)
    with at.wire() as wire:
        wire.query("SET statement_timeout = 0")  # in transaction mode: keeps its server from now on
        for _ in range(2):
            time.sleep(1)
            assert wire.value("SELECT 1") == "1"
        wire.send(query("SELECT pg_sleep(5)"))
        fatal(wire, "25P04", 3)


def test_batch_without_its_sync_is_an_idle_transaction(pooler_of):
    at = pooler_of({"timeouts.idle_transaction": "700ms", "timeouts.query": "300ms", "timeouts.client_idle": "60s",
                    "pool.size": 1}).endpoint()
    with at.wire() as wire, at.wire() as other:
        for _ in range(2):
            wire.send(parse("", "SELECT 1"), bind(), execute(), FLUSH)
            assert [wire.read().type for _ in range(4)] == ["1", "2", "D", "C"]
            time.sleep(0.5)
        fatal(wire, "25P03", 3)
        assert other.value("SELECT 2") == "2"


def test_client_that_leaves_while_its_settings_wait(pooler_of):
    at = pooler_of({"pool.size": 1, "pool.max_clients": 2}).endpoint()
    with at.wire() as holder:
        holder.query("BEGIN")
        for zone in ("Etc/GMT+1", "Etc/GMT+2", "Etc/GMT+3"):
            with Wire("127.0.0.1", at.port, 5) as leaver:
                leaver.send(startup({"user": at.user, "database": at.dbname, "TimeZone": zone}))
                leaver.authenticate(at.user, at.password)
                time.sleep(0.1)
            time.sleep(0.1)
        with at.wire() as other:
            holder.query("COMMIT")
            assert other.value("SELECT 1") == "1"


def test_client_idle(pooler_of):
    at = pooler_of({"timeouts.client_idle": "500ms"}).endpoint()
    with at.wire() as wire:
        wire.value("SELECT 1")
        fatal(wire, "57P05", 3)


def test_client_idle_does_not_count_while_a_query_runs(pooler_of):
    at = pooler_of({"timeouts.client_idle": "400ms"}).endpoint()
    with at.wire() as wire:
        assert wire.value("SELECT pg_sleep(1.0)::text || 'x'") == "x"


def test_tenant_and_user_override(pooler_of, pg):
    tenant = Tenant("default", [f"{pg.host}:{pg.port}"], {"query-timeout": "10s"},
                    {"app": {"secret": "app-secret", "query-timeout": "300ms"}, "other": {"secret": "other-secret"}})
    pooler = pooler_of({"timeouts.query": "100ms"}, tenants=[tenant])
    with pooler.endpoint().wire() as wire:
        wire.send(query("SELECT pg_sleep(5)"))
        assert wire.expect_error()["C"] == "57014"
    with pooler.endpoint(user="other").wire() as wire:
        assert wire.value("SELECT pg_sleep(0.5)::text || 'fine'") == "fine"


@pytest.mark.parametrize("setting,script", [
    ("timeouts.upstream_login", lambda peer: (read_startup(peer), peer.recv(1))),
    ("timeouts.upstream_connect", lambda peer: peer.recv(100000) and time.sleep(10)),
], ids=["login", "connect"])
def test_server_that_says_nothing(pooler_of, setting: str, script):
    with FakeServer(script) as fake:
        pooler = pooler_of({"timeouts.upstream_login": "500ms", "timeouts.upstream_connect": "500ms",
                            "timeouts.query_wait": "3s"},
                           tenants=[Tenant("default", [f"127.0.0.1:{fake.port}"], {"upstream-tls": "disable"},
                                           users_of("app"))])
        begun = time.monotonic()
        with pytest.raises(ServerError) as error, pooler.endpoint().wire():
            pass
        assert error.value.sqlstate[:2] == "08" or error.value.sqlstate in ("57P03", "57014"), error.value
        assert time.monotonic() - begun < 5


def test_server_that_never_answers_a_query(pooler_of):
    def deaf(peer) -> None:
        greet(peer)
        read_message(peer)
        time.sleep(20)

    with FakeServer(deaf) as fake:
        pooler = pooler_of({"timeouts.query": "500ms", "timeouts.cancel_wait": "500ms"},
                           tenants=[Tenant("default", [f"127.0.0.1:{fake.port}"], {"upstream-tls": "disable"},
                                           users_of("app"))])
        with pooler.endpoint().wire() as wire:
            wire.send(query("SELECT 1"))
            begun = time.monotonic()
            assert wire.expect_error()["C"] == "57014"
            assert time.monotonic() - begun < 4


def test_upstream_lifetime_and_idle_time(pooler_of, pg):
    pooler = pooler_of({"pool.upstream_lifetime": "500ms", "pool.upstream_idle_timeout": "1h"})
    at = pooler.endpoint()
    with at.wire() as wire:
        first = wire.value("SELECT pg_backend_pid()")
        time.sleep(1.2)
        assert wire.value("SELECT pg_backend_pid()") != first
    pooler = pooler_of({"pool.upstream_idle_timeout": "500ms"})
    with pooler.endpoint().wire(application_name="idler") as wire:
        wire.value("SELECT 1")
        assert not pg.wait_backends("application_name = 'idler'", 0, timeout=4)


def test_server_check_notices_a_dead_server(pooler_of, pg):
    pooler = pooler_of({"pool.size": 1, "pool.upstream_check_delay": "1ms"})
    with pooler.endpoint().wire() as wire:
        pid = wire.value("SELECT pg_backend_pid()")
        pg.sql("SELECT pg_terminate_backend(%s)", (int(pid or 0),))
        time.sleep(0.3)
        assert wire.value("SELECT 'alive'") == "alive"


def test_idle_server_that_was_terminated_is_replaced_unseen(pooler_of, pg):
    pooler: Pooler = pooler_of({"pool.size": 1})
    with pooler.endpoint().wire() as wire:
        for _ in range(3):
            pid = wire.value("SELECT pg_backend_pid()")
            pg.sql("SELECT pg_terminate_backend(%s)", (int(pid or 0),))
            time.sleep(0.2)
        assert wire.value("SELECT 'alive'") == "alive"
