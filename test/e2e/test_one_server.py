"""Several clients, one server connection: what one of them leaves there, half done, must not reach the others."""

from __future__ import annotations

import time

import pytest

from pooler import Endpoint
from wire import (COPY_DONE, FLUSH, SYNC, Wire, bind, close, copy_data, describe, execute, message, parse, query)

pytestmark = pytest.mark.penstock
FUNCTION_CALL = message("F", b"\0\0\x04\xa9" + b"\0\0" + b"\0\0" + b"\0\0")  # without arguments: never gets that far


@pytest.fixture
def one(pooler_of) -> Endpoint:
    return pooler_of({"pool.size": 1}).endpoint()


@pytest.fixture
def table(one: Endpoint) -> str:
    with one.wire() as wire:
        wire.query("DROP TABLE IF EXISTS one_server CASCADE")
        wire.query("CREATE TABLE one_server (a int)")
        wire.query("CREATE VIEW one_server_view AS SELECT a FROM one_server")
    return "one_server"


# ---- settings that the server does not report ----


def test_settings_that_are_not_reported_stay_with_their_client(one: Endpoint):
    with (one.wire(options="-c lock_timeout=11s") as a, one.wire(options="-c statement_timeout=13s") as b,
          one.wire() as c):
        for _ in range(3):
            for wire, lock, statement in ((a, "11s", "0"), (b, "0", "13s"), (c, "0", "0")):
                assert wire.value("SHOW lock_timeout") == lock
                assert wire.value("SHOW statement_timeout") == statement
    with one.wire(options="-c statement_timeout=13s") as later:
        assert later.value("SHOW statement_timeout") == "13s"


# ---- COPY FROM STDIN whose Sync is sent ahead of the data, as libpq's PQexecParams does ----


def begin_copy(wire: Wire, sql: str) -> None:
    wire.send(parse("", sql), bind(), execute(), SYNC)
    assert wire.read_until("GE").types == "12G"


def test_copy_that_fails_and_whose_client_leaves(one: Endpoint, table: str):
    with one.wire() as wire:
        begin_copy(wire, f"COPY {table} FROM STDIN")
        wire.send(copy_data(b"x\n"))
        assert wire.read().fields["C"] == "22P02"
    with one.wire() as other:
        assert other.value("SELECT 1") == "1"


def test_copy_that_fails_and_whose_client_goes_on(one: Endpoint, table: str):
    with one.wire() as wire, one.wire() as other:
        begin_copy(wire, f"COPY {table} FROM STDIN")
        wire.send(copy_data(b"x\n"))
        assert wire.read().fields["C"] == "22P02"
        wire.send(copy_data(b"2\n"))
        other.send(query("SELECT 'waited'"))
        wire.send(COPY_DONE, SYNC)
        assert wire.reply().types == "Z"
        assert other.reply().rows == [[b"waited"]]
        assert wire.run("SELECT 3").rows == [[b"3"]]


def test_copy_whose_client_leaves_before_its_sync_is_rolled_back(one: Endpoint, table: str):
    with one.wire() as wire:
        begin_copy(wire, f"COPY {table} FROM STDIN")
        wire.send(copy_data(b"1\n"), COPY_DONE, FLUSH)
        assert wire.read().type == "C"
    with one.wire() as other:
        assert other.value(f"SELECT count(*) FROM {table}") == "0"


@pytest.mark.parametrize("in_transaction", [False, True])
def test_copy_that_fails_before_the_server_reads(one: Endpoint, table: str, in_transaction: bool):
    with one.wire() as wire, one.wire() as other:
        if in_transaction:
            wire.query("BEGIN")
        begin_copy(wire, f"COPY {table}_view FROM STDIN")
        reply = wire.reply()  # the Sync was sent ahead, and has not been read with the data
        assert reply.types == "EZ" and reply.errors[0]["C"] == "42809"
        assert reply.status == ("E" if in_transaction else "I")
        if in_transaction:
            assert wire.query("ROLLBACK").status == "I"
        assert other.value("SELECT 1") == "1"
        assert wire.value("SELECT 2") == "2"


def test_copy_in_one_write(one: Endpoint, table: str):
    with one.wire() as wire, one.wire() as other:
        wire.send(parse("", f"COPY {table} FROM STDIN") + bind() + execute() + copy_data(b"5\n") + COPY_DONE + SYNC)
        assert wire.reply().types == "12GCZ"
        wire.send(parse("", f"COPY {table} FROM STDIN") + bind() + execute() + SYNC + copy_data(b"6\n") + COPY_DONE + SYNC)
        assert wire.reply().types == "12GCZ"
        assert other.value(f"SELECT sum(a) FROM {table}") == "11"


def test_client_that_leaves_in_the_second_copy_of_a_text(one: Endpoint, table: str):
    with one.wire() as wire:
        wire.send(query(f"COPY {table} FROM STDIN; COPY {table} FROM STDIN"))
        assert wire.read().type == "G"
        wire.send(copy_data(b"1\n"), COPY_DONE)
        assert wire.read_until("G").types.endswith("CG")
    began = time.monotonic()
    with one.wire() as other:
        assert other.value(f"SELECT count(*) FROM {table}") == "0"
    assert time.monotonic() - began < 5  # nobody waits until cleaning up is given up


# ---- the unnamed statement ----


def test_bind_behind_a_failed_batch_does_not_run_anothers_statement(one: Endpoint):
    with one.wire() as x, one.wire() as y:
        x.send(parse("", "SELECT 'of another'"), bind(), execute(), SYNC)
        assert x.reply().rows == [[b"of another"]]
        y.send(parse("s", "SELEC") + parse("", "SELECT 'own'") + SYNC + bind() + execute() + SYNC)
        assert y.reply().types == "EZ"
        assert b"of another" not in [row[0] for row in y.reply().rows]


def test_close_of_the_unnamed_statement_leaves_that_of_others(one: Endpoint):
    with one.wire() as x, one.wire() as y:
        x.send(parse("", "SELECT 'kept'"), SYNC)
        assert x.reply().types == "1Z"
        y.send(close("S", ""), SYNC)
        assert y.reply().types == "3Z"
        x.send(bind(), execute(), SYNC)
        assert x.reply().rows == [[b"kept"]]


# ---- answers of the pooler's own ----


@pytest.mark.parametrize("last, answer", [(close("S", "s"), "3"), (parse("other", "SELECT 1"), "1")], ids=["close", "parse"])
def test_own_answer_at_the_end_of_a_batch_without_sync(one: Endpoint, last: bytes, answer: str):
    with one.wire() as wire, one.wire() as other:
        wire.send(parse("s", "SELECT 1"), SYNC)
        assert wire.reply().types == "1Z"
        wire.send(bind("s"), execute(), last, FLUSH)
        assert wire.read_until(answer).types.startswith("2DC")
        wire.send(SYNC)
        assert wire.reply().types == "Z"
        assert other.value("SELECT 2") == "2"


def test_cancel_of_a_waiting_batch_without_sync(one: Endpoint):
    with one.wire() as holder, one.wire() as waiting:
        holder.query("BEGIN")
        waiting.send(parse("", "SELECT 1"), describe("S"), FLUSH)
        time.sleep(0.2)
        waiting.cancel()
        assert waiting.read().fields["C"] == "57014"
        waiting.send(SYNC)
        assert waiting.reply().types == "Z"
        holder.query("COMMIT")
        assert waiting.value("SELECT 3") == "3"


def test_cancel_of_a_waiting_function_call(one: Endpoint):
    with one.wire() as holder, one.wire() as waiting:
        holder.query("BEGIN")
        waiting.send(FUNCTION_CALL)
        time.sleep(0.2)
        waiting.cancel()
        assert waiting.reply().types == "EZ"
        holder.query("COMMIT")
        assert waiting.value("SELECT 3") == "3"


def test_close_of_a_name_that_only_the_server_knows(one: Endpoint):
    with one.wire() as wire:
        wire.query("PREPARE by_sql AS SELECT 1")
        wire.send(close("S", "by_sql"), SYNC)
        assert wire.reply().types == "3Z"
        assert wire.query("EXECUTE by_sql").errors[0]["C"] == "26000"


def test_deallocate_in_a_failed_transaction(one: Endpoint):
    with one.wire() as wire:
        wire.send(parse("s", "SELECT 4"), SYNC)
        assert wire.reply().types == "1Z"
        wire.query("BEGIN")
        wire.query("SELECT 1/0")
        assert wire.query("DEALLOCATE s").errors[0]["C"] == "25P02"
        wire.query("ROLLBACK")
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().rows == [[b"4"]]


@pytest.mark.parametrize("ahead", [query("SELECT 1/0"), bind("missing")], ids=["refused", "skipped"])
def test_deallocate_behind_an_error(one: Endpoint, ahead: bytes):
    with one.wire() as wire:
        wire.send(parse("s", "SELECT 4"), SYNC)
        assert wire.reply().types == "1Z"
        wire.query("BEGIN")
        wire.send(ahead, query("DEALLOCATE s"), SYNC)
        replies = [wire.reply() for _ in range(3 if ahead[:1] == b"Q" else 1)]
        assert all(not reply.tags and reply.status == "E" for reply in replies)
        if len(replies) > 1:
            assert replies[1].errors[0]["C"] == "25P02"
        wire.query("ROLLBACK")
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().rows == [[b"4"]]
        assert wire.query("DEALLOCATE s").tags == ["DEALLOCATE"]
        wire.send(bind("s"), SYNC)
        assert wire.reply().errors[0]["C"] == "26000"


@pytest.mark.parametrize("skipped", [query("SELECT 1"), close("S", "")], ids=["query", "close"])
def test_unnamed_statement_whose_end_is_skipped(one: Endpoint, skipped: bytes):
    with one.wire() as wire:
        wire.send(parse("", "SELECT 'still there'"), SYNC)
        assert wire.reply().types == "1Z"
        wire.send(bind("missing") + skipped + SYNC)
        assert wire.reply().types == "EZ"
        wire.send(bind(), execute(), SYNC)
        assert wire.reply().rows == [[b"still there"]]


def test_names_that_are_taken_are_each_told(one: Endpoint):
    with one.wire() as wire:
        wire.send(parse("first", "SELECT 1"), parse("second", "SELECT 2"), parse("third", "SELECT 3"), SYNC)
        assert wire.reply().types == "111Z"
        wire.send(parse("first", "SELECT 4") + parse("third", "SELECT 4") + SYNC + parse("second", "SELECT 4") + SYNC)
        for name in ("first", "second"):
            assert wire.reply().errors[0]["M"] == f'prepared statement "{name}" already exists'


def test_query_in_a_batch_does_not_harm_others(pooler_of, pg_of):
    """PostgreSQL 18.4 fails the next command on such a connection."""
    one = pooler_of({"pool.size": 1}, server=pg_of(version="18")).endpoint()
    with one.wire() as wire, one.wire(TimeZone="Asia/Tokyo") as other:
        for _ in range(2):
            wire.send(parse("", "SHOW DateStyle") + bind() + execute() + query("SHOW DateStyle") + SYNC)
            assert wire.reply().types == "12DCTDCZ" and wire.reply().types == "Z"
            assert other.value("SHOW TimeZone") == "Asia/Tokyo"


def test_client_that_reads_nothing_of_the_poolers_own_answers(pooler_of):
    """100 MB of requests that no server is needed for: their answers must not pile up."""
    pooler = pooler_of({"pool.size": 1})
    at = pooler.endpoint()
    with at.wire() as wire:
        assert wire.value("SELECT 1") == "1"
        before = pooler.rss_kib()
        burst = (close("S", "x") + FLUSH) * 20_000
        wire.socket.settimeout(1)
        sent = 0
        try:
            while sent < 100_000_000:
                sent += wire.socket.send(burst)
        except TimeoutError:
            pass
        assert sent < 100_000_000
        assert pooler.rss_kib() - before < 8_000
