"""Clients that send what no client should: a clear answer, bounded memory, no effect on others."""

from __future__ import annotations

import os
import random
import struct
import threading
import time

import pytest

from pooler import Endpoint, Pooler
from wire import SYNC, Closed, Wire, bind, cancel_request, execute, message, parse, query, startup

pytestmark = pytest.mark.penstock


@pytest.fixture(autouse=True)
def others_are_unharmed(plain: Endpoint):
    """Somebody ordinary is connected all the time."""
    with plain.wire() as bystander:
        assert bystander.value("SELECT 1") == "1"
        yield
        assert bystander.value("SELECT 2") == "2"


def answer_to(plain: Endpoint, raw: bytes) -> bytes:
    """All that comes back until the pooler closes (or 3 s of silence)."""
    with Wire(plain.host, plain.port, timeout=3) as wire:
        wire.send(raw)
        got = b""
        try:
            while piece := wire.socket.recv(65536):
                got += piece
        except ConnectionError:
            pass
        return got


def sqlstate(raw: bytes) -> str:
    assert raw[:1] == b"E", raw[:100]
    if b"\0C" not in raw:
        return "old"  # protocols 1 and 2 have errors without fields
    return raw.split(b"\0C", 1)[1].split(b"\0", 1)[0].decode()


def padded(body: bytes) -> bytes:
    return struct.pack("!i", len(body) + 4) + body


START = struct.pack("!i", 196608)
BAD_STARTS = {
    "length zero": b"\0\0\0\0" + START,
    "length of itself only": b"\0\0\0\4",
    "length seven": b"\0\0\0\7" + b"\0\0\0",
    "negative length": b"\xff\xff\xff\xff" + START,
    "length beyond the limit": struct.pack("!i", 20000) + START + b"x" * 100,
    "length of a gigabyte": struct.pack("!i", 1 << 30) + START,
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "protocol 1": padded(struct.pack("!i", 1 << 16) + b"user\0app\0\0"),
    "protocol 2": padded(struct.pack("!i", 2 << 16) + b"x" * 288),
    "protocol 4": padded(struct.pack("!i", 4 << 16) + b"user\0app\0\0"),
    "protocol from nowhere": padded(struct.pack("!i", 0x7fffffff) + b"user\0app\0\0"),
    "no last terminator": padded(START + b"user\0app\0"),
    "name without value": padded(START + b"user\0app\0database\0"),
    "name without end": padded(START + b"user\0app\0data"),
    "more behind the terminator": padded(START + b"user\0app\0\0extra\0"),
    "empty": padded(START),
    "user of 5000 bytes": padded(START + b"user\0" + b"u" * 5000 + b"\0\0"),
    "user that is not utf-8": padded(START + b"user\0\xff\xfe\0\0"),
    "thousands of parameters": padded(START + b"user\0app\0" + b"a\0b\0" * 2000 + b"\0"),
    "replication nonsense": padded(START + b"user\0app\0replication\0perhaps\0\0"),
}


@pytest.mark.parametrize("what", BAD_STARTS)
def test_malformed_start_up(plain: Endpoint, what: str):
    try:
        got = answer_to(plain, BAD_STARTS[what])
    except TimeoutError:
        if what in ("user of 5000 bytes", "user that is not utf-8", "thousands of parameters", "more behind the terminator"):
            return  # taken for what it says and asked for a password: fine as well
        raise
    if got and got[:1] != b"R":
        assert sqlstate(got) in ("08P01", "28000", "0A000", "54000", "22023", "28P01", "old"), got


def test_the_log_has_the_details_of_what_is_malformed(plain: Endpoint, pooler: Pooler):
    before = len(pooler.log())
    answer_to(plain, BAD_STARTS["length seven"])
    pooler.wait_log("invalid length of startup packet: The length word says 7 bytes", start=before)


def test_protocol_3_2_is_granted_and_3_9_negotiated_down(plain: Endpoint):
    with Wire(plain.host, plain.port) as wire:
        wire.login(plain.user, plain.password or "", plain.dbname, protocol=(3 << 16) | 2)
        assert len(wire.key) == 32
        assert "v" not in [m.type for m in wire.greeting]
        wire.send(query("SELECT pg_sleep(10)"))
        time.sleep(0.2)
        wire.cancel()
        assert wire.reply().errors[0]["C"] == "57014"
    with Wire(plain.host, plain.port) as wire:
        wire.login(plain.user, plain.password or "", plain.dbname, protocol=(3 << 16) | 9)
        told = [m for m in wire.greeting if m.type == "v"]
        assert len(told) == 1 and struct.unpack_from("!ii", told[0].body) == ((3 << 16) | 2, 0)
        assert wire.value("SELECT 1") == "1"


def test_unknown_protocol_options_are_named(plain: Endpoint):
    with Wire(plain.host, plain.port) as wire:
        wire.login(plain.user, plain.password or "", plain.dbname, **{"_pq_.fancy": "on", "_pq_.other": "1"})
        told = [m for m in wire.greeting if m.type == "v"]
        assert len(told) == 1
        version, count = struct.unpack_from("!ii", told[0].body)
        assert version == 196608 and count == 2
        assert told[0].body[8:] == b"_pq_.fancy\0_pq_.other\0"
        assert wire.value("SELECT 1") == "1"


BAD_MESSAGES = {
    "length zero": b"Q\0\0\0\0",
    "length three": b"Q\0\0\0\3",
    "negative length": b"Q\xff\xff\xff\xff",
    "length of two gigabytes": b"Q\x7f\xff\xff\xff",
    "unknown type": message("@", b"abc"),
    "zero type": message("\0", b"abc"),
    "a server's message": message("T", b"\0\0"),
    "a second start-up": startup({"user": "app"}),
    "a password out of turn": message("p", b"x\0"),
    "bind without terminators": message("B", b"xyz"),
    "bind with impossible counts": message("B", b"\0\0\x7f\xff\x7f\xff"),
    "bind with a negative size": message("B", b"\0\0" + struct.pack("!hhi", 0, 1, -2)),
    "parse without terminators": message("P", b"abc"),
    "parse with impossible counts": message("P", b"s\0SELECT 1\0\x7f\xff"),
    "parse of an empty body": message("P", b""),
    "describe of nothing": message("D", b""),
    "describe of an unknown kind": message("D", b"Q\0"),
    "close of an unknown kind": message("C", b"Q\0"),
    "execute without a count": message("E", b"\0"),
    "query without terminator": message("Q", b"SELECT 1"),
    "sync with a body": message("S", b"body"),
    "query with a zero inside": message("Q", b"SELECT 1\0; SELECT 2\0"),
    "copy data out of turn": message("d", b"abc"),
    "copy done out of turn": message("c"),
    "function call cut short": message("F", b"\0\0"),
}


@pytest.mark.parametrize("what", BAD_MESSAGES)
def test_malformed_message(plain: Endpoint, what: str):
    """An error (by us or by the server), or the connection's end; never silence for ever, never a crash."""
    with plain.wire(timeout=5) as wire:
        wire.send(BAD_MESSAGES[what], SYNC)
        try:
            got = wire.read_until("EZ")
        except (Closed, ConnectionError):
            return
        if got.errors:
            assert got.errors[0]["C"] in ("08P01", "26000", "54000", "0A000", "22021", "42601"), got.errors
        try:
            for _ in range(3):
                if wire.quiet(0.2):
                    break
                wire.read()
        except (Closed, ConnectionError, AssertionError):
            pass


@pytest.mark.parametrize("what", BAD_MESSAGES)
def test_malformed_message_in_a_transaction_frees_the_server(plain: Endpoint, pg, what: str):
    with plain.wire(timeout=5, application_name="malformed") as wire:
        wire.query("BEGIN")
        wire.send(BAD_MESSAGES[what])
        time.sleep(0.05)
    assert not pg.wait_backends("application_name = 'malformed' AND state <> 'idle'", 0)


def test_random_bytes_at_every_stage(plain: Endpoint, pooler: Pooler):
    chance = random.Random(1)
    before = pooler.rss_kib()
    for turn in range(150):
        raw = chance.randbytes(chance.randrange(1, 300))
        try:
            if turn % 3 == 0:
                with Wire(plain.host, plain.port, timeout=2) as wire:
                    wire.send(raw)
            elif turn % 3 == 1:
                with Wire(plain.host, plain.port, timeout=2) as wire:
                    wire.send(startup({"user": "app", "database": "app"}), raw)
            else:
                with plain.wire(timeout=2) as wire:
                    wire.send(raw)
        except OSError:
            pass
    assert pooler.alive()
    assert pooler.rss_kib() - before < 30_000


def test_mutated_conversations(plain: Endpoint, pooler: Pooler):
    """A valid conversation with a few bytes changed, inserted or left out."""
    chance = random.Random(int(os.environ.get("PENSTOCK_E2E_SEED", "7")))
    talk = (parse("s", "SELECT $1::int") + bind("s", (1,)) + execute() + SYNC + query("SELECT 1")
            + message("D", b"Ss\0") + message("C", b"Ss\0") + SYNC)
    for _ in range(150):
        raw = bytearray(talk)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(raw))
            kind = chance.randrange(3)
            if kind == 0:
                raw[at] = chance.randrange(256)
            elif kind == 1:
                raw.insert(at, chance.randrange(256))
            else:
                del raw[at]
        with plain.wire(timeout=2) as wire:
            try:
                wire.send(bytes(raw))
                wire.socket.settimeout(0.02)
                while wire.socket.recv(65536):
                    pass
            except OSError:
                pass
    assert pooler.alive()


@pytest.mark.penstock
@pytest.mark.parametrize("bad", [message("D", b"?s\0"), message("C", b"?s\0"), message("B", b"no end"), message("y", b"")],
                         ids=["describe", "close", "bind", "type"])
def test_invalid_message_behind_valid_ones_leaves_the_server_in_order(pooler_of, bad: bytes):
    at = pooler_of({"pool.size": 1, "timeouts.query_wait": "3s"}).endpoint()
    with at.wire() as wire:
        wire.send(parse("s", "SELECT $1::int"), SYNC)
        wire.reply()
        wire.send(bind("s", (1,)) + execute() + SYNC + query("SELECT 2") + bad)
        while True:
            reply = wire.read()
            if reply.type == "E":
                assert b"08P01" in reply.body
                break
    with at.wire() as wire:
        assert wire.value("SELECT 3") == "3"


def test_silent_and_half_open_connections_cost_little(plain: Endpoint, pooler: Pooler):
    before = pooler.rss_kib()
    wires = [Wire(plain.host, plain.port) for _ in range(500)]
    for number, wire in enumerate(wires):
        if number % 2:
            wire.send(startup({"user": "app", "database": "app"})[:number % 30 + 1])
    time.sleep(0.3)
    assert pooler.rss_kib() - before < 20_000
    for wire in wires:
        wire.close()


def test_cancel_requests_of_every_shape(plain: Endpoint, pooler: Pooler):
    for raw in (cancel_request(0, b""), cancel_request(1, b"\0" * 4)[:10], cancel_request(-1, b"\xff" * 4),
                cancel_request(1, b"\0" * 4) + b"extra", struct.pack("!ii", 8, 80877102)):
        with Wire(plain.host, plain.port, timeout=3) as wire:
            wire.send(raw)
            if len(raw) != 10:
                assert wire.at_end()
    assert pooler.alive()


def test_terminate_before_and_after_login(plain: Endpoint):
    with Wire(plain.host, plain.port) as wire:
        wire.send(message("X"))
    with plain.wire() as wire:
        wire.send(message("X"))
        assert wire.at_end()


def test_connection_flood(plain: Endpoint, pooler: Pooler):
    wrong: list[object] = []

    def flood() -> None:
        for _ in range(100):
            try:
                Wire(plain.host, plain.port, timeout=5).close()
            except OSError as error:
                wrong.append(error)

    threads = [threading.Thread(target=flood) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and pooler.alive()


def test_password_message_too_long(plain: Endpoint):
    with Wire(plain.host, plain.port, timeout=5) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        wire.read()
        wire.send(b"p" + struct.pack("!i", 1 << 29) + b"x" * 100000)
        try:
            assert wire.expect_error()["C"] in ("08P01", "28P01", "54000", "28000")
        except (Closed, ConnectionError):
            pass


BAD_SASL = {
    "unknown mechanism": b"SCRAM-SHA-1\0" + struct.pack("!i", 5) + b"n,,n=",
    "no mechanism end": b"SCRAM-SHA-256",
    "length beyond the message": b"SCRAM-SHA-256\0" + struct.pack("!i", 1000) + b"n,,n=,r=x",
    "no initial response": b"SCRAM-SHA-256\0" + struct.pack("!i", -1),
    "garbage": b"SCRAM-SHA-256\0" + struct.pack("!i", 4) + b"\0\1\2\3",
    "plus without tls": b"SCRAM-SHA-256-PLUS\0" + struct.pack("!i", 40) + b"p=tls-server-end-point,,n=,r=abcdefghijk",
    "empty nonce": b"SCRAM-SHA-256\0" + struct.pack("!i", 8) + b"n,,n=,r=",
}


@pytest.mark.parametrize("what", BAD_SASL)
def test_malformed_sasl(plain: Endpoint, what: str):
    with Wire(plain.host, plain.port, timeout=5) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        assert wire.read().type == "R"
        wire.send(message("p", BAD_SASL[what]))
        if what == "empty nonce" or what == "no initial response":
            got = wire.read()
            if got.type == "R":
                return
            fields = got.fields
        else:
            fields = wire.expect_error()
        assert fields["C"] in ("08P01", "28P01", "28000", "0A000"), fields
        assert wire.at_end()
