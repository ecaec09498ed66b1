"""COPY in both directions by hand: pieces of any size, errors on either side, and what follows them."""

from __future__ import annotations

import pytest

from pooler import Endpoint
from wire import message, COPY_DONE, FLUSH, SYNC, Wire, bind, copy_data, copy_fail, execute, parse, query


@pytest.fixture
def wire(plain: Endpoint):
    with plain.wire() as connection:
        connection.query("DROP TABLE IF EXISTS copied")
        connection.query("CREATE TABLE copied (a int)")
        yield connection


def start(wire: Wire, sql: str = "COPY copied FROM STDIN") -> None:
    wire.send(query(sql))
    assert wire.read().type == "G"


def test_in_by_simple_query(wire: Wire):
    start(wire)
    wire.send(*[copy_data(f"{n}\n".encode()) for n in range(1000)], COPY_DONE)
    reply = wire.reply()
    assert reply.tags == ["COPY 1000"] and reply.status == "I"
    assert wire.value("SELECT sum(a) FROM copied") == "499500"


def test_in_by_extended_query(wire: Wire):
    wire.send(parse("", "COPY copied FROM STDIN"), bind(), execute(), FLUSH)
    assert wire.read_until("G").types == "12G"
    wire.send(copy_data(b"1\n2\n"), COPY_DONE, SYNC)
    assert wire.reply().tags == ["COPY 2"]


def test_in_with_sync_already_sent(wire: Wire):
    """A Sync in front of the data is passed over by the server while it copies."""
    wire.send(parse("", "COPY copied FROM STDIN"), bind(), execute(), SYNC)
    assert wire.read_until("G").types == "12G"
    wire.send(copy_data(b"1\n"), COPY_DONE, SYNC)
    reply = wire.reply()
    assert reply.tags == ["COPY 1"]
    assert wire.value("SELECT 1") == "1"


def test_rows_split_anywhere(wire: Wire):
    start(wire)
    text = b"".join(f"{n}\n".encode() for n in range(3000))
    wire.send_in_pieces(b"".join(copy_data(text[at:at + 7]) for at in range(0, len(text), 7)) + COPY_DONE, 1001)
    assert wire.reply().tags == ["COPY 3000"]


def test_in_failed_by_the_client(wire: Wire):
    start(wire)
    wire.send(copy_data(b"1\n"), copy_fail("changed my mind"))
    reply = wire.reply()
    assert reply.errors[0]["C"] == "57014" and "changed my mind" in reply.errors[0]["M"]
    assert wire.value("SELECT count(*) FROM copied") == "0"


def test_in_failed_by_the_server_half_way(wire: Wire):
    start(wire)
    wire.send(copy_data(b"1\nx\n"))
    # The server says so at once; what the client still sends must be swallowed, and the next query answered.
    wire.send(*[copy_data(b"2\n") for _ in range(20000)], COPY_DONE)
    reply = wire.reply()
    assert reply.errors[0]["C"] == "22P02"
    assert wire.value("SELECT count(*) FROM copied") == "0"
    assert wire.value("SELECT 1") == "1"


def test_in_failed_by_the_server_in_extended_mode(wire: Wire):
    wire.send(parse("", "COPY copied FROM STDIN"), bind(), execute(), FLUSH)
    wire.read_until("G")
    wire.send(copy_data(b"x\n"), copy_data(b"2\n"), COPY_DONE, SYNC)
    reply = wire.reply()
    assert reply.errors[0]["C"] == "22P02" and reply.types.count("Z") == 1
    assert wire.run("SELECT 1").rows == [[b"1"]]


def test_in_inside_a_transaction(wire: Wire):
    wire.query("BEGIN")
    start(wire)
    wire.send(copy_data(b"1\n"), COPY_DONE)
    assert wire.reply().status == "T"
    wire.query("ROLLBACK")
    assert wire.value("SELECT count(*) FROM copied") == "0"


def test_several_in_one_query_string(wire: Wire):
    start(wire, "COPY copied FROM STDIN; COPY copied FROM STDIN; SELECT count(*) FROM copied")
    wire.send(copy_data(b"1\n"), COPY_DONE)
    assert wire.read_until("G").types == "CG"
    wire.send(copy_data(b"2\n"), COPY_DONE)
    reply = wire.reply()
    assert reply.types == "CTDCZ" and reply.rows == [[b"2"]]


def test_out(wire: Wire):
    wire.query("INSERT INTO copied SELECT generate_series(1, 50000)")
    reply = wire.query("COPY (SELECT a FROM copied ORDER BY a) TO STDOUT")
    assert reply.types == "H" + "d" * 50000 + "cCZ"
    assert b"".join(m.body for m in reply.messages if m.type == "d") == b"".join(b"%d\n" % n for n in range(1, 50001))


def test_out_with_an_error_half_way(wire: Wire):
    reply = wire.query("COPY (SELECT 10 / (500 - n) FROM generate_series(1, 1000) n) TO STDOUT")
    assert reply.types.startswith("Hd") and reply.types.endswith("EZ") and "c" not in reply.types
    assert wire.value("SELECT 1") == "1"


def test_out_then_in_in_a_pipeline(wire: Wire):
    wire.send(parse("", "COPY (SELECT 1) TO STDOUT"), bind(), execute(), parse("", "SELECT 2"), bind(), execute(), SYNC)
    reply = wire.reply()
    assert reply.types == "12HdcC12DCZ"


def test_client_lost_in_the_middle_of_copy_in(plain: Endpoint, pg):
    with plain.wire() as wire:
        wire.query("DROP TABLE IF EXISTS lost")
        wire.query("CREATE TABLE lost (a int)")
        start(wire, "COPY lost FROM STDIN")
        wire.send(copy_data(b"1\n" * 1000))
        wire.reset()
    assert not pg.wait_backends("query LIKE 'COPY lost%' AND state = 'active'", 0)
    with plain.wire() as wire:
        assert wire.value("SELECT count(*) FROM lost") == "0"


def test_half_a_copy_data_message_then_silence_and_loss(plain: Endpoint, pg):
    with plain.wire() as wire:
        wire.query("CREATE TABLE IF NOT EXISTS lost (a int)")
        start(wire, "COPY lost FROM STDIN")
        wire.send(copy_data(b"1\n" * 1000)[:700])
        wire.close()
    assert not pg.wait_backends("query LIKE 'COPY lost%' AND state = 'active'", 0)
    with plain.wire() as wire:
        assert wire.value("SELECT 1") == "1"


def test_client_lost_in_the_middle_of_copy_out(plain: Endpoint, pg):
    with plain.wire() as wire:
        wire.send(query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT"))
        wire.read_until("d")
        wire.reset()
    assert not pg.wait_backends("query LIKE 'COPY (SELECT repeat%' AND state = 'active'", 0)


def test_one_gigantic_copy_data_message(wire: Wire):
    wire.query("CREATE TABLE IF NOT EXISTS wide (t text)")
    start(wire, "COPY wide FROM STDIN")
    wire.send(copy_data(b"y" * 30_000_000 + b"\n"), COPY_DONE)
    assert wire.reply().tags == ["COPY 1"]
    assert wire.value("SELECT max(length(t)) FROM wide") == "30000000"
    wire.query("DROP TABLE wide")


@pytest.mark.penstock
def test_copy_refused_in_the_middle_of_a_message(pooler_of):
    """The server refuses an early row while the rest of a long CopyData is still on its way: it is still the client's."""
    at = pooler_of({"pool.size": 2}).endpoint()
    with at.wire() as copier, at.wire() as other:
        copier.query("CREATE TABLE IF NOT EXISTS refused (n int)")
        for _ in range(10):
            copier.send(query("COPY refused FROM STDIN"))
            copier.read_until("G")
            raw = message("d", b"no number\n") + message("d", b"1\n" * 200_000)
            copier.send(raw[:150_000])
            assert copier.reply().errors[0]["C"] == "22P02"
            for _ in range(3):
                assert other.value("SELECT 'mine'") == "mine"
            copier.send(raw[150_000:], message("c", b""))
            assert copier.value("SELECT 'copier'") == "copier"
        assert other.value("SELECT 'still mine'") == "still mine"
        copier.query("DROP TABLE refused")
