"""Servers that die, lie or babble: the client hears of it, nobody else does, and memory stays bounded."""

from __future__ import annotations

import os
import struct
import time

import pytest

from fakes import GREETING, FakeServer, error, greet, read_message, read_startup
from pooler import Endpoint, Pooler, Tenant, default_tenant, users_of
from wire import Closed, ServerError, message, query

pytestmark = pytest.mark.penstock


def in_front_of(pooler_of, fake: FakeServer, settings: dict[str, object] | None = None) -> Pooler:
    return pooler_of({"timeouts.query_wait": "3s", "timeouts.upstream_login_retry": "100ms", "pool.size": 2} | (settings or {}),
                     tenants=[Tenant("default", [f"127.0.0.1:{fake.port}"], {"upstream-tls": "disable"}, users_of("app"))])


def login_fails(at: Endpoint) -> ServerError:
    with pytest.raises(ServerError) as caught, at.wire():
        pass
    return caught.value


def test_backend_killed_in_the_middle_of_rows(pooler_of, pg_of):
    server = pg_of()
    pooler = pooler_of({"pool.size": 2}, server=server, tenants=[default_tenant(server)])
    at = pooler.endpoint()
    with at.wire() as victim, at.wire() as other:
        other.value("SELECT 1")
        pid = int(victim.value("SELECT pg_backend_pid()") or 0)
        victim.send(query("SELECT repeat('x', 1000), pg_sleep(0.001) FROM generate_series(1, 100000)"))
        victim.read_until("D")
        server.sql("SELECT pg_terminate_backend(%s)", (pid,))
        reply = victim.read_until("E")
        assert reply.errors[-1]["C"] in ("57P01", "08006"), reply.errors
        assert reply.errors[-1]["S"] == "FATAL"
        for _ in range(3):
            assert other.value("SELECT 1") == "1"
    with at.wire() as again:
        assert again.value("SELECT 1") == "1"


def test_fatal_answer_to_a_setting_of_ours_is_told_as_it_is(pooler_of):
    def dies(peer) -> None:
        greet(peer)
        kind, body = read_message(peer)
        assert kind == "Q" and body.startswith(b"SET ")
        peer.sendall(error("57P01", "terminating connection due to administrator command", "FATAL"))

    with FakeServer(dies) as fake:
        pooler = in_front_of(pooler_of, fake)
        with pooler.endpoint().wire(application_name="told") as wire:
            wire.send(query("SELECT 1"))
            assert wire.read_until("E").errors[-1]["C"] == "57P01"


def test_backend_crashes_and_the_server_recovers(pooler_of, pg_of):
    server = pg_of()
    pooler = pooler_of({"timeouts.upstream_login_retry": "100ms", "timeouts.query_wait": "10s"}, server=server,
                       tenants=[default_tenant(server)])
    at = pooler.endpoint()
    with at.wire() as victim:
        pid = int(victim.value("SELECT pg_backend_pid()") or 0)
        victim.send(query("SELECT repeat('x', 1000), pg_sleep(0.001) FROM generate_series(1, 100000)"))
        victim.read_until("D")
        os.kill(pid, 9)
        # In the middle of a row nothing more can be said; between rows the client is told.
        try:
            reply = victim.read_until("E")
            assert reply.errors[-1]["C"] in ("57P02", "57P01", "08006"), reply.errors
        except Closed:
            pass
    deadline = time.monotonic() + 15
    while True:
        try:
            with at.wire() as again:
                assert again.value("SELECT 1") == "1"
                break
        except ServerError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_idle_clients_survive_a_restart_of_the_server(pooler_of, pg_of):
    import signal
    server = pg_of()
    pooler = pooler_of({"timeouts.upstream_login_retry": "100ms", "timeouts.query_wait": "10s"}, server=server,
                       tenants=[default_tenant(server)])
    with pooler.endpoint().wire(timeout=20) as wire:
        wire.send(query("SELECT 1"))
        wire.reply()
        server.stop(signal.SIGINT)
        server.start()
        assert wire.value("SELECT 'survived'") == "survived"


BABBLE = {
    "not the protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a length of zero": b"R\0\0\0\0",
    "a negative length": b"R\xff\xff\xff\xff",
    "a huge length": b"R\x7f\xff\xff\xff",
    "an unknown type": message("\x01", b"abc"),
    "an unknown authentication": message("R", struct.pack("!i", 99)),
    "a truncated authentication": message("R", b"\0"),
    "query answers before login": message("Z", b"I"),
    "nothing": b"",
    "an endless error": b"E\x3f\xff\xff\xff" + b"x" * 200000,
    "an error without fields": message("E", b""),
    "sasl without mechanisms": message("R", struct.pack("!i", 10) + b"\0"),
    "sasl that continues first": message("R", struct.pack("!i", 11) + b"r=x,s=eA==,i=4096"),
    "parameters for ever": message("S", b"a\0" + b"b" * 60000 + b"\0") * 2000,
}


@pytest.mark.parametrize("what", BABBLE)
def test_babble_during_login(pooler_of, what: str):
    def babble(peer) -> None:
        read_startup(peer)
        peer.sendall(BABBLE[what])

    with FakeServer(babble) as fake:
        pooler = in_front_of(pooler_of, fake, {"timeouts.upstream_login": "1s"})
        before = pooler.rss_kib()
        failed = login_fails(pooler.endpoint())
        assert failed.sqlstate[:2] in ("08", "0A", "57", "XX", "28", "54"), failed
        assert pooler.rss_kib() - before < 50_000


@pytest.mark.parametrize("what", ["not the protocol", "a length of zero", "a negative length", "a huge length",
                                  "an unknown type", "a truncated authentication", "nothing", "an error without fields"])
def test_babble_as_the_answer_to_a_query(pooler_of, what: str):
    def babble(peer) -> None:
        greet(peer)
        while True:
            kind, _ = read_message(peer)
            if kind == "Q":
                peer.sendall(BABBLE[what])
                return

    with FakeServer(babble) as fake:
        pooler = in_front_of(pooler_of, fake, {"timeouts.query": "2s", "timeouts.cancel_wait": "500ms"})
        with pooler.endpoint().wire() as wire:
            wire.send(query("SELECT 1"))
            try:
                got = wire.read_until("EZ")
                assert got.messages[-1].type == "E"
            except (Closed, AssertionError, ConnectionError):
                pass
        with pooler.endpoint().wire():
            pass  # still takes clients


def test_answers_that_nobody_asked_for(pooler_of):
    """An idle server speaks up: what it says belongs to no client, and the server is not trusted any more."""
    def speaks(peer) -> None:
        greet(peer)
        while True:
            kind, _ = read_message(peer)
            if kind == "Q":
                peer.sendall(message("C", b"SELECT 1\0") + message("Z", b"I"))
                time.sleep(0.2)
                peer.sendall(message("D", b"\0\1\0\0\0\6secret") + message("C", b"SELECT 1\0") + message("Z", b"I"))

    with FakeServer(speaks) as fake:
        pooler = in_front_of(pooler_of, fake)
        with pooler.endpoint().wire() as a, pooler.endpoint().wire() as b:
            assert a.query("SELECT 1").types == "CZ"
            time.sleep(0.5)
            assert b.query("SELECT 1").types == "CZ"
            assert a.quiet(0.1)
        assert fake.connections >= 2


def test_one_answer_too_many(pooler_of):
    def generous(peer) -> None:
        greet(peer)
        while True:
            kind, _ = read_message(peer)
            if kind == "Q":
                peer.sendall((message("C", b"SELECT 1\0") + message("Z", b"I")) * 2)

    with FakeServer(generous) as fake:
        pooler = in_front_of(pooler_of, fake)
        with pooler.endpoint().wire() as a:
            assert a.query("SELECT 1").types == "CZ"
            assert a.query("SELECT 2").types == "CZ"
        with pooler.endpoint().wire() as b:
            assert b.query("SELECT 3").types == "CZ"
            assert b.quiet(0.2)


def test_server_closes_after_the_greeting(pooler_of):
    with FakeServer(greet) as fake:
        pooler = in_front_of(pooler_of, fake)
        at = pooler.endpoint()
        try:
            with at.wire() as wire:
                wire.send(query("SELECT 1"))
                fields = wire.expect_error()
                assert fields["C"][:2] in ("08", "57")
        except ServerError as failed:
            assert failed.sqlstate[:2] in ("08", "57")
        time.sleep(1)
        assert fake.connections < 60, "servers are opened as fast as they close"


def test_failing_server_is_not_stormed(pooler_of):
    def refuse(peer) -> None:
        read_startup(peer)
        peer.sendall(error("57P03", "the database system is starting up", "FATAL"))

    with FakeServer(refuse) as fake:
        pooler = in_front_of(pooler_of, fake, {"timeouts.query_wait": "2s", "timeouts.upstream_login_retry": "300ms"})
        failed = login_fails(pooler.endpoint())
        assert failed.sqlstate in ("57P03", "08006", "08001", "57014"), failed
        assert fake.connections <= 20


def test_greeting_in_single_bytes(pooler_of):
    def dribble(peer) -> None:
        read_startup(peer)
        for byte in GREETING:
            peer.sendall(bytes([byte]))
        while True:
            read_message(peer)
            for byte in message("T", b"\0\0") + message("C", b"SELECT 0\0") + message("Z", b"I"):
                peer.sendall(bytes([byte]))

    with FakeServer(dribble) as fake:
        with in_front_of(pooler_of, fake).endpoint().wire() as wire:
            assert wire.query("SELECT 1").types == "TCZ"


def test_server_that_offers_no_plain_scram_signature(pooler_of):
    """A server that cannot prove that it knows the verifier is not the server."""
    def liar(peer) -> None:
        read_startup(peer)
        peer.sendall(message("R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"))
        _, first = read_message(peer)
        nonce = first.split(b"r=", 1)[1]
        peer.sendall(message("R", struct.pack("!i", 11) + b"r=" + nonce + b"more,s=c2FsdHNhbHQ=,i=4096"))
        read_message(peer)
        peer.sendall(message("R", struct.pack("!i", 12) + b"v=" + b"A" * 43 + b"=") + GREETING)
        read_message(peer)

    with FakeServer(liar) as fake:
        assert login_fails(in_front_of(pooler_of, fake).endpoint()).sqlstate[:2] in ("08", "28")


@pytest.mark.parametrize("first", [b"r=notmine,s=c2FsdA==,i=4096", b"r=,s=,i=0", b"i=4096", b"garbage", b"",
                                   b"r=x,s=c2FsdA==,i=99999999999", b"e=other-error"])
def test_nonsense_scram_from_the_server(pooler_of, first: bytes):
    def liar(peer) -> None:
        read_startup(peer)
        peer.sendall(message("R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"))
        read_message(peer)
        peer.sendall(message("R", struct.pack("!i", 11) + first))
        read_message(peer)

    with FakeServer(liar) as fake:
        assert login_fails(in_front_of(pooler_of, fake).endpoint()).sqlstate[:2] in ("08", "28", "57")


def test_cleartext_is_not_sent_to_a_server_without_tls_unless_it_asks(pooler_of):
    asked: list[bytes] = []

    def curious(peer) -> None:
        read_startup(peer)
        peer.sendall(message("R", struct.pack("!i", 3)))
        _, body = read_message(peer)
        asked.append(body)
        peer.sendall(GREETING)
        read_message(peer)

    with FakeServer(curious) as fake:
        with in_front_of(pooler_of, fake).endpoint().wire():
            assert asked == [b"app-secret\0"]


def test_notices_and_parameters_of_an_idle_server_do_no_harm(pooler_of):
    def chatty(peer) -> None:
        greet(peer)
        while True:
            kind, _ = read_message(peer)
            if kind == "Q":
                peer.sendall(message("N", b"SNOTICE\0VNOTICE\0C00000\0Mhello\0\0")
                             + message("C", b"SELECT 1\0") + message("Z", b"I"))
                time.sleep(0.1)
                peer.sendall(message("S", b"application_name\0\0") + message("N", b"SNOTICE\0C00000\0Mlate\0\0"))

    with FakeServer(chatty) as fake:
        pooler = in_front_of(pooler_of, fake)
        with pooler.endpoint().wire() as wire:
            for _ in range(3):
                assert "C" in wire.query("SELECT 1").types
                time.sleep(0.2)
