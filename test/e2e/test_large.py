"""Messages of any size in bounded memory, and peers that are slow."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from pooler import Endpoint, Pooler
from wire import SYNC, Wire, bind, execute, message, parse, query

MEGABYTE = 1 << 20


def drain(wire: Wire, until: bytes = b"Z") -> tuple[int, bytes]:
    """Reads messages without keeping them: bytes of all bodies, and the last error's body."""
    total, failed = 0, b""
    while True:
        head = wire.read_exactly(5)
        left = struct.unpack("!i", head[1:])[0] - 4
        total += left
        if head[:1] in (b"E", b"Z"):
            body = wire.read_exactly(left)
            if head[:1] == b"E":
                failed = body
        else:
            taken = min(left, len(wire._buffer))
            del wire._buffer[:taken]
            left -= taken
            while left:
                left -= len(wire.socket.recv(min(left, MEGABYTE)))
        if head[:1] == until:
            return total, failed


def test_hundred_megabyte_row(endpoint: Endpoint):
    with endpoint.wire(timeout=60) as wire:
        wire.send(query("SELECT repeat('x', 100000000)"))
        total, failed = drain(wire)
        assert total > 100_000_000 and not failed
        assert wire.value("SELECT 1") == "1"


def test_hundred_megabyte_parameter(endpoint: Endpoint):
    with endpoint.wire(timeout=60) as wire:
        wire.send(parse("", "SELECT length($1::text)"), bind("", (b"p" * 100_000_000,)), execute(), SYNC)
        assert wire.reply().rows == [[b"100000000"]]


def test_large_parameter_of_a_named_statement(plain: Endpoint):
    with plain.wire(timeout=60) as wire:
        wire.send(parse("s", "SELECT length($1::text)"), SYNC)
        wire.reply()
        for size in (10, 65_531, 65_536, 1_000_003, 20_000_000):
            wire.send(bind("s", (b"p" * size,)), execute(), SYNC)
            assert wire.reply().rows == [[str(size).encode()]]


def test_large_query_text(plain: Endpoint):
    with plain.wire(timeout=60) as wire:
        assert wire.value("SELECT length('" + "q" * 10_000_000 + "')") == "10000000"
        wire.send(parse("big", "SELECT length('" + "q" * 5_000_000 + "')"), bind("big"), execute(), SYNC)
        assert wire.reply().rows == [[b"5000000"]]


@pytest.mark.penstock
def test_memory_stays_bounded(pooler: Pooler):
    at = pooler.endpoint()
    with at.wire(timeout=60) as wire:
        wire.value("SELECT 1")
        before = pooler.rss_kib()
        wire.send(query("SELECT repeat('x', 200000000)"))
        time.sleep(1.0)  # the client does not read: what has arrived must not pile up
        held = pooler.rss_kib()
        drain(wire)
        wire.send(parse("", "SELECT length($1::text)"), bind("", (b"p" * 100_000_000,)), execute(), SYNC)
        wire.reply()
        after = pooler.rss_kib()
    assert held - before < 20_000 and after - before < 40_000, (before, held, after)


@pytest.mark.penstock
def test_slow_reader_disturbs_nobody(pooler_of, pg):
    pooler = pooler_of({"pool.size": 3, "server.workers": 1})
    at = pooler.endpoint()
    with at.wire(timeout=60) as slow, at.wire() as quick:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        slow.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 5000)"))
        worst = 0.0
        for _ in range(200):
            begun = time.monotonic()
            assert quick.value("SELECT 1") == "1"
            worst = max(worst, time.monotonic() - begun)
        assert worst < 0.5
        total, failed = drain(slow)
        assert total > 5_000_000 and not failed


@pytest.mark.penstock
def test_client_that_never_reads_and_leaves(pooler_of, pg):
    pooler = pooler_of({"pool.size": 2})
    at = pooler.endpoint()
    wires = [at.wire() for _ in range(2)]
    for wire in wires:
        wire.send(query("SELECT repeat('never read', 1000) FROM generate_series(1, 10000000)"))
    time.sleep(0.5)
    before = pooler.rss_kib()
    time.sleep(0.5)
    assert pooler.rss_kib() - before < 5000
    for wire in wires:
        wire.reset()
    assert not pg.wait_backends("query LIKE '%never read%' AND state = 'active' AND usename = 'app'", 0)
    with at.wire() as wire:
        assert wire.value("SELECT 1") == "1"


@pytest.mark.penstock
def test_slow_sender_keeps_only_its_own_server(pooler_of):
    """Half a message holds no server: the server is checked out when there is something whole to send, or at worst
    only this client's is."""
    pooler = pooler_of({"pool.size": 2})
    at = pooler.endpoint()
    with at.wire() as slow, at.wire() as quick:
        whole = query("SELECT '" + "s" * 100 + "'")
        slow.send(whole[:20])
        for _ in range(10):
            assert quick.value("SELECT 1") == "1"
        slow.send(whole[20:])
        assert slow.reply().rows == [[b"s" * 100]]


def test_every_split_of_a_conversation(plain: Endpoint):
    """One byte at a time, then in two pieces cut at every place."""
    talk = (query("SELECT 1") + parse("s", "SELECT $1::int") + bind("s", (2,)) + execute() + SYNC
            + query("SELECT 3; SELECT 4"))
    with plain.wire() as wire:
        wire.send_in_pieces(talk, 1)
        assert [wire.reply().types for _ in range(3)] == ["TDCZ", "12DCZ", "TDCTDCZ"]
        wire.query("DEALLOCATE ALL")
        for cut in range(1, len(talk)):
            wire.send(talk[:cut])
            time.sleep(0.0005)
            wire.send(talk[cut:])
            assert [wire.reply().types for _ in range(3)] == ["TDCZ", "12DCZ", "TDCTDCZ"], cut
            wire.query("DEALLOCATE ALL")


def test_start_up_split_at_every_byte(plain: Endpoint):
    from wire import startup
    packet = startup({"user": plain.user, "database": plain.dbname, "application_name": "pieces"})
    with Wire(plain.host, plain.port) as wire:
        wire.send_in_pieces(packet, 1)
        wire.authenticate(plain.user, plain.password)
        wire.finish_greeting()
        assert wire.value("SHOW application_name") == "pieces"


def test_thousands_of_queries_in_one_write(plain: Endpoint):
    with plain.wire(timeout=30) as wire:
        sender = threading.Thread(target=wire.send, args=(query("SELECT 1") * 20000,))
        sender.start()
        for _ in range(20000):
            assert wire.reply().types == "TDCZ"
        sender.join()


def test_pipeline_written_before_anything_is_read(plain: Endpoint):
    """More than the socket buffers hold in both directions: somebody must keep reading, or all stand still."""
    rows = 300
    one = parse("", "SELECT repeat('r', 10000), $1::text") + bind("", (b"w" * 10000,)) + execute() + SYNC
    with plain.wire(timeout=30) as wire:
        sender = threading.Thread(target=wire.send, args=(one * rows,))
        sender.start()
        time.sleep(0.5)
        for _ in range(rows):
            assert len(wire.reply().rows[0][1] or b"") == 10000
        sender.join()


@pytest.mark.penstock
def test_message_larger_than_allowed(pooler_of):
    pooler = pooler_of({"limits.message_bytes_max": "1MB"})
    with pooler.endpoint().wire() as wire:
        wire.send(message("Q", b"")[:1] + struct.pack("!i", 2 * MEGABYTE))
        fields = wire.expect_error()
        assert fields["C"] in ("08P01", "54000") and fields["S"] == "FATAL"
        assert wire.at_end()
