"""Prepared statements whose client does not keep its server: names, errors, evictions, schema changes."""

from __future__ import annotations

import random
import threading

import pytest

from pooler import Endpoint, Pooler
from wire import SYNC, FLUSH, Wire, bind, close, describe, execute, parse, query


@pytest.fixture
def few(pooler_of) -> Endpoint:
    """Two servers for everybody."""
    return pooler_of({"pool.size": 2}).endpoint()


def holders(at: Endpoint, count: int) -> list[Wire]:
    """Clients with an open transaction each: they keep `count` servers."""
    wires = [at.wire() for _ in range(count)]
    for wire in wires:
        assert wire.query("BEGIN").status == "T"
    return wires


@pytest.mark.penstock
def test_statement_follows_its_client_to_every_server(few: Endpoint):
    with few.wire() as wire:
        wire.send(parse("s", "SELECT $1::int + 1, pg_backend_pid()"), SYNC)
        assert wire.reply().types == "1Z"
        pids = set()
        for turn in range(40):
            # Somebody holds the server that came back last; ours is to come back after it, so that they alternate.
            held = holders(few, 1)
            wire.query("BEGIN")
            held[0].query("COMMIT")
            held[0].close()
            wire.send(bind("s", (turn,)), execute(), SYNC)
            reply = wire.reply()
            assert reply.types == "2DCZ", reply
            assert reply.rows[0][0] == str(turn + 1).encode()
            pids.add(reply.rows[0][1])
            wire.query("COMMIT")
        assert len(pids) == 2


@pytest.mark.penstock
def test_many_clients_use_the_same_name_for_different_statements(few: Endpoint):
    wires = [few.wire() for _ in range(12)]
    for number, wire in enumerate(wires):
        wire.send(parse("same", f"SELECT {number} * $1::int"), SYNC)
        assert wire.reply().types == "1Z"
    for turn in range(5):
        for number, wire in enumerate(wires):
            wire.send(bind("same", (turn,)), execute(), SYNC)
        for number, wire in enumerate(wires):
            assert wire.reply().rows == [[str(number * turn).encode()]]
    for wire in wires:
        wire.close()


@pytest.mark.penstock
def test_shared_statement_is_prepared_once_per_server(few: Endpoint, pg):
    wires = [few.wire() for _ in range(10)]
    for wire in wires:
        wire.send(parse("mine", "SELECT 'shared one'"), bind("mine"), execute(), SYNC)
        assert wire.reply().rows == [[b"shared one"]]
    found = wires[0].query("SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT ''shared one'''").value()
    assert found == "1"
    for wire in wires:
        wire.close()


def test_same_text_with_other_parameter_types_is_another_statement(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("a", "SELECT pg_typeof($1)", (23,)), parse("b", "SELECT pg_typeof($1)", (25,)), SYNC)
        assert wire.reply().types == "11Z"
        wire.send(bind("a", ("1",)), execute(), bind("b", ("1",)), execute(), SYNC)
        assert wire.reply().rows == [[b"integer"], [b"text"]]


def test_unknown_name_is_an_error_not_a_disconnect(plain: Endpoint):
    with plain.wire() as wire:
        for request in (bind("nowhere"), describe("S", "nowhere")):
            wire.send(request, SYNC)
            reply = wire.reply()
            assert reply.types == "EZ" and reply.errors[0]["C"] == "26000"
            assert reply.errors[0]["S"] == "ERROR"
            assert 'prepared statement "nowhere" does not exist' in reply.errors[0]["M"]
        assert wire.value("SELECT 1") == "1"


def test_duplicate_name_is_an_error_and_keeps_the_first(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT 1"), SYNC)
        wire.reply()
        wire.send(parse("s", "SELECT 2"), SYNC)
        reply = wire.reply()
        assert reply.types == "EZ" and reply.errors[0]["C"] == "42P05"
        assert 'prepared statement "s" already exists' in reply.errors[0]["M"]
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().rows == [[b"1"]]


def test_failed_parse_leaves_the_name_free(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT FROM WHERE"), SYNC)
        assert wire.reply().errors[0]["C"] == "42601"
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().errors[0]["C"] == "26000"
        wire.send(parse("s", "SELECT 5"), bind("s"), execute(), SYNC)
        assert wire.reply().rows == [[b"5"]]


def test_failed_parse_in_a_pipeline(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("good", "SELECT 1"), bind("good"), execute(), parse("bad", "SELECT nonsense"),
                  parse("skipped", "SELECT 2"), bind("skipped"), execute(), SYNC)
        reply = wire.reply()
        assert reply.types == "12DCEZ"
        for name, state in (("bad", "26000"), ("skipped", "26000"), ("good", None)):
            wire.send(bind(name), execute(), SYNC)
            reply = wire.reply()
            assert (reply.errors[0]["C"] if reply.errors else None) == state, name
        wire.send(parse("skipped", "SELECT 2"), bind("skipped"), execute(), SYNC)
        assert wire.reply().rows == [[b"2"]]


def test_statement_parsed_in_a_transaction_survives_its_rollback(plain: Endpoint):
    with plain.wire() as wire:
        wire.query("BEGIN")
        wire.send(parse("s", "SELECT 7"), SYNC)
        wire.reply()
        wire.query("ROLLBACK")
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().rows == [[b"7"]]


@pytest.mark.parametrize("known", [False, True], ids=["new text", "known text"])
def test_parse_in_a_failed_transaction(plain: Endpoint, known: bool):
    text = f"SELECT {random.randrange(10**9)}"
    with plain.wire() as wire:
        wire.query("BEGIN")
        if known:
            wire.send(parse("first", text), SYNC)
            assert not wire.reply().errors
        wire.query("SELECT 1/0")
        wire.send(parse("s", text), SYNC)
        assert wire.reply().errors[0]["C"] == "25P02"
        wire.query("ROLLBACK")
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().errors[0]["C"] == "26000"
        if known:
            wire.send(bind("first"), execute(), SYNC)
            assert wire.reply().rows == [[text.removeprefix("SELECT ").encode()]]


def test_bind_in_a_failed_transaction(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT 7"), SYNC)
        wire.reply()
        wire.query("BEGIN")
        wire.query("SELECT 1/0")
        wire.send(bind("s"), execute(), SYNC)
        reply = wire.reply()
        assert reply.errors[0]["C"] == "25P02" and reply.status == "E"
        wire.query("ROLLBACK")
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().rows == [[b"7"]]


@pytest.mark.penstock
def test_bind_in_a_failed_transaction_on_a_server_that_lacks_the_statement(few: Endpoint):
    with few.wire() as wire, few.wire() as spare:
        wire.send(parse("s", "SELECT 7"), SYNC)
        wire.reply()
        for _ in range(4):  # until both servers have been met
            held = holders(few, 1)
            wire.query("BEGIN")
            wire.query("SELECT 1/0")
            wire.send(bind("s"), execute(), SYNC)
            assert wire.reply().errors[0]["C"] == "25P02"
            wire.query("ROLLBACK")
            held[0].query("COMMIT")
            held[0].close()
            wire.send(bind("s"), execute(), SYNC)
            assert wire.reply().rows == [[b"7"]]
        assert spare.value("SELECT 1") == "1"


def test_close_forgets_the_name(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT 1"), close("S", "s"), close("S", "never was"), SYNC)
        assert wire.reply().types == "133Z"
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().errors[0]["C"] == "26000"
        wire.send(parse("s", "SELECT 2"), bind("s"), execute(), SYNC)
        assert wire.reply().rows == [[b"2"]]


def test_close_and_parse_again_in_one_pipeline(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT 1"), bind("s"), execute(), close("S", "s"), parse("s", "SELECT 2"), bind("s"), execute(),
                  SYNC)
        reply = wire.reply()
        assert reply.types == "12DC312DCZ" and reply.rows == [[b"1"], [b"2"]]


def test_close_behind_an_error_is_not_done(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT 1"), SYNC)
        wire.reply()
        wire.send(parse("", "SELECT 1/0"), bind(), execute(), close("S", "s"), SYNC)
        assert wire.reply().types == "1EZ"  # the planner divides already
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().rows == [[b"1"]]


@pytest.mark.parametrize("sql", ["DEALLOCATE s", "DEALLOCATE PREPARE s", "DEALLOCATE ALL", "DISCARD ALL",
                                 "DISCARD PLANS; DEALLOCATE ALL"])
def test_sql_ends_protocol_level_statements(plain: Endpoint, sql: str):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT 1"), SYNC)
        wire.reply()
        assert not wire.query(sql).errors
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().errors[0]["C"] == "26000"
        wire.send(parse("s", "SELECT 2"), bind("s"), execute(), SYNC)
        assert wire.reply().rows == [[b"2"]]


def test_deallocate_of_an_unknown_name_is_the_servers_error(plain: Endpoint):
    with plain.wire() as wire:
        assert wire.query("DEALLOCATE nowhere").errors[0]["C"] == "26000"


def test_deallocate_by_extended_protocol(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT 1"), SYNC)
        wire.reply()
        reply = wire.run("DEALLOCATE s")
        assert reply.tags == ["DEALLOCATE"], reply
        wire.send(bind("s"), execute(), SYNC)
        assert wire.reply().errors[0]["C"] == "26000"


@pytest.mark.penstock
def test_deallocate_all_of_one_client_leaves_the_others_alone(few: Endpoint):
    with few.wire() as one, few.wire() as two:
        for wire in (one, two):
            wire.send(parse("s", "SELECT 'common'"), bind("s"), execute(), SYNC)
            assert wire.reply().rows == [[b"common"]]
        for sql in ("DEALLOCATE ALL", "DISCARD ALL"):
            one.query(sql)
            for _ in range(4):
                two.send(bind("s"), execute(), SYNC)
                assert two.reply().rows == [[b"common"]], sql


def test_pipelined_deallocate_all_spares_what_comes_after(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("a", "SELECT 1"), SYNC)
        wire.reply()
        wire.send(parse("", "DEALLOCATE ALL"), bind(), execute(), parse("b", "SELECT 2"), bind("b"), execute(), SYNC)
        reply = wire.reply()
        assert not reply.errors and reply.rows == [[b"2"]]
        wire.send(bind("b"), execute(), SYNC)
        assert wire.reply().rows == [[b"2"]]
        wire.send(bind("a"), execute(), SYNC)
        assert wire.reply().errors[0]["C"] == "26000"


def test_sql_level_prepare_and_execute(plain: Endpoint):
    with plain.wire() as wire:
        wire.query("PREPARE q (int) AS SELECT $1 + 1")
        for turn in range(10):
            assert wire.value(f"EXECUTE q({turn})") == str(turn + 1)
        wire.query("DEALLOCATE q")
        assert wire.query("EXECUTE q(1)").errors[0]["C"] == "26000"


@pytest.mark.penstock
def test_sql_level_prepare_with_other_clients_between(pooler_of):
    # One server each, should the pooler keep a client on its server for this; but not more than these.
    at = pooler_of({"pool.size": 5}).endpoint()
    wires = [at.wire() for _ in range(5)]
    for number, wire in enumerate(wires):
        assert not wire.query(f"PREPARE q (int) AS SELECT $1 * {number}").errors
    for turn in range(5):
        for number, wire in enumerate(wires):
            assert wire.value(f"EXECUTE q({turn})") == str(turn * number)
    for wire in wires:
        wire.close()


@pytest.mark.penstock
def test_more_statements_than_a_server_keeps(pooler_of):
    at = pooler_of({"pool.size": 1, "pool.max_prepared_statements": 20}).endpoint()
    with at.wire() as wire:
        for number in range(60):
            wire.send(parse(f"s{number}", f"SELECT {number}"), SYNC)
            assert wire.reply().types == "1Z"
        for turn in range(2):
            for number in range(60):
                wire.send(bind(f"s{number}"), execute(), SYNC)
                assert wire.reply().rows == [[str(number).encode()]]
        assert int(wire.value("SELECT count(*) FROM pg_prepared_statements") or 0) <= 20


@pytest.mark.penstock
def test_pipeline_longer_than_the_limit(pooler_of):
    at = pooler_of({"pool.size": 1, "pool.max_prepared_statements": 5}).endpoint()
    with at.wire() as wire:
        wire.send(*[parse(f"s{n}", f"SELECT {n}") for n in range(30)], *[bind(f"s{n}") + execute() for n in range(30)], SYNC)
        reply = wire.reply()
        assert not reply.errors
        assert [int(row[0]) for row in reply.rows] == list(range(30))


def test_schema_change_under_a_prepared_statement(plain: Endpoint, pg):
    import uuid
    table = f"t_{uuid.uuid4().hex}"
    with plain.wire() as wire:
        wire.query(f"CREATE TABLE {table} (a int)")
        wire.query(f"INSERT INTO {table} VALUES (1)")
        wire.send(parse("s", f"SELECT * FROM {table}"), bind("s"), describe("P"), execute(), SYNC)
        wire.reply()
        wire.query(f"ALTER TABLE {table} ADD b int")
        wire.send(bind("s"), describe("P"), execute(), SYNC)
        reply = wire.reply()
        # As Postgres says it, or healed; but never a row of the wrong shape.
        if reply.errors:
            assert reply.errors[0]["C"] == "0A000"
        else:
            assert len(reply.rows[0]) == 2
        wire.send(close("S", "s"), parse("s", f"SELECT * FROM {table}"), bind("s"), execute(), SYNC)
        reply = wire.reply()
        assert not reply.errors, reply.errors
        assert len(reply.rows[0]) == 2
        wire.query(f"DROP TABLE {table}")


@pytest.mark.penstock
def test_new_client_after_a_schema_change_prepares_afresh(few: Endpoint, pg):
    import uuid
    table = f"t_{uuid.uuid4().hex}"
    with few.wire() as wire:
        wire.query(f"CREATE TABLE {table} (a int)")
        wire.query(f"INSERT INTO {table} VALUES (1)")
        wire.send(parse("s", f"SELECT * FROM {table}"), bind("s"), execute(), SYNC)
        wire.reply()
        wire.query(f"ALTER TABLE {table} ADD b int")
    with few.wire() as late:
        late.send(parse("s", f"SELECT * FROM {table}"), bind("s"), describe("P"), execute(), SYNC)
        reply = late.reply()
        assert not reply.errors, reply.errors
        assert len(reply.rows[0]) == 2
        late.query(f"DROP TABLE {table}")


def test_describe_statement_and_portal(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT $1::int AS a, $2::text AS b"), describe("S", "s"), SYNC)
        reply = wire.reply()
        assert reply.types == "1tTZ"
        assert reply.messages[1].body == b"\0\2" + (23).to_bytes(4, "big") + (25).to_bytes(4, "big")
        wire.send(bind("s", ("1", "x")), describe("P"), execute(), SYNC)
        assert wire.reply().types == "2TDCZ"


def test_flush_without_sync(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("s", "SELECT 1"), describe("S", "s"), FLUSH)
        assert wire.read_until("T").types == "1tT"
        assert wire.quiet(0.1)
        wire.send(bind("s"), execute(), FLUSH)
        assert wire.read_until("C").types == "2DC"
        wire.send(SYNC)
        assert wire.reply().types == "Z"


def test_named_portal_fetched_in_parts(plain: Endpoint):
    with plain.wire() as wire:
        wire.query("BEGIN")
        wire.send(parse("s", "SELECT n FROM generate_series(1, 10) n"), bind("s", portal="p"), SYNC)
        wire.reply()
        got: list[bytes | None] = []
        while True:
            wire.send(execute("p", 3), SYNC)
            reply = wire.reply()
            got += [row[0] for row in reply.rows]
            if "s" not in reply.types:
                break
        assert [int(value or 0) for value in got] == list(range(1, 11))
        wire.send(close("P", "p"), SYNC)
        assert wire.reply().types == "3Z"
        wire.query("COMMIT")


def test_suspended_portal_before_sync_keeps_its_server(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("", "SELECT n FROM generate_series(1, 10) n"), bind(), execute("", 3), FLUSH)
        assert wire.read_until("s").types == "12DDDs"
        wire.send(execute("", 3), FLUSH)
        assert wire.read_until("s").types == "DDDs"
        wire.send(SYNC)
        assert wire.reply().status == "I"


def test_several_syncs_in_one_write(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(*[parse("", f"SELECT {n}") + bind() + execute() + SYNC for n in range(100)])
        for n in range(100):
            assert wire.reply().rows == [[str(n).encode()]]


def test_error_in_the_middle_of_several_syncs(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(*[parse("", f"SELECT 10 / {n % 3}") + bind() + execute() + SYNC for n in range(30)])
        for n in range(30):
            reply = wire.reply()
            assert bool(reply.errors) == (n % 3 == 0)


def test_simple_and_extended_mixed_in_one_write(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(query("SELECT 1"), parse("s", "SELECT 2"), bind("s"), execute(), SYNC, query("SELECT 3; SELECT 4"),
                  bind("s"), execute(), SYNC, query(""))
        assert [wire.reply().rows for _ in range(5)] == [[[b"1"]], [[b"2"]], [[b"3"], [b"4"]], [[b"2"]], []]


def test_implicit_transaction_of_a_pipeline_with_begin_inside(plain: Endpoint):
    with plain.wire() as wire:
        wire.send(parse("", "BEGIN"), bind(), execute(), parse("", "SELECT 1"), bind(), execute(), SYNC)
        assert wire.reply().status == "T"
        wire.send(parse("", "COMMIT"), bind(), execute(), SYNC)
        assert wire.reply().status == "I"


@pytest.mark.penstock
def test_many_threads_prepare_use_and_close(pooler_of):
    at = pooler_of({"pool.size": 3, "pool.max_prepared_statements": 8}).endpoint()
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            with at.wire() as wire:
                for turn in range(60):
                    name, text = f"s{turn % 5}", f"SELECT {(number + turn) % 20}, $1::text"
                    wire.send(parse(name, text), bind(name, (f"{number}.{turn}",)), execute(), close("S", name), SYNC)
                    reply = wire.reply()
                    wanted = [[str((number + turn) % 20).encode(), f"{number}.{turn}".encode()]]
                    if reply.rows != wanted:
                        wrong.append((wanted, reply))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


@pytest.mark.penstock
def test_statement_too_large_to_move_still_works(pooler_of):
    at = pooler_of({"pool.size": 2, "limits.statement_bytes_max": "4kB"}).endpoint()
    with at.wire() as wire:
        text = "SELECT '" + "x" * 20000 + "', $1::int"
        wire.send(parse("big", text), SYNC)
        assert wire.reply().types == "1Z"
        for turn in range(5):
            wire.send(bind("big", (turn,)), execute(), SYNC)
            assert wire.reply().rows[0][1] == str(turn).encode()


def test_function_call(plain: Endpoint):
    import struct
    from wire import message
    with plain.wire() as wire:
        oid = int(wire.value("SELECT 'int4pl'::regproc::oid") or 0)
        wire.send(message("F", struct.pack("!Ihh", oid, 1, 1) + struct.pack("!h", 2)
                          + struct.pack("!iiii", 4, 40, 4, 2) + struct.pack("!h", 1)))
        reply = wire.reply()
        assert reply.types == "VZ" and reply.messages[0].body == struct.pack("!ii", 4, 42)
