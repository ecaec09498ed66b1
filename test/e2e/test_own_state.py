"""Several clients with settings of their own on one server connection: each finds its own, whatever the others do there."""

from __future__ import annotations

import time

import pytest

from pooler import Endpoint, default_tenant
from wire import SYNC, Reply, Wire, bind, execute, message, parse, query

pytestmark = pytest.mark.penstock
TERMINATE = message("X")
OWN = {"TimeZone": "Asia/Tokyo", "options": "-c lock_timeout=11s"}
DEFERRABLE = " ".join(f"-c default_transaction_{what}" for what in ("isolation=serializable", "read_only=on", "deferrable=on"))


@pytest.fixture
def one(pooler_of) -> Endpoint:
    return pooler_of({"pool.size": 1}).endpoint()


def prepared(wire: Wire, sql: str, *values: str) -> Reply:
    wire.send(parse("s", sql), bind("s", values), execute(), SYNC)
    return wire.reply()


def own_settings(wire: Wire) -> tuple[str | None, str | None]:
    return wire.value("SHOW TimeZone"), wire.value("SHOW lock_timeout")


# ---- what a prepared text means ----


@pytest.mark.parametrize("name, first, second, sql, answer", [
    ("TimeZone", "Asia/Tokyo", "UTC", "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')::bigint", "1577836800"),
    ("DateStyle", "ISO, DMY", "ISO, MDY", "SELECT date '01/02/2020'", "2020-01-02"),
    ("client_encoding", "LATIN1", "UTF8", "SELECT length('é')", "1"),
    ("options", "-c transform_null_equals=on", "-c transform_null_equals=off",
     "SELECT count(*) FROM (VALUES (NULL)) AS t(a) WHERE a = NULL", "0")])
def test_prepared_text_means_what_its_own_client_means(one: Endpoint, name, first, second, sql, answer):
    with one.wire(**{name: first}) as a, one.wire(**{name: second}) as b:
        assert not prepared(a, sql).errors
        assert prepared(b, sql).value() == answer


def test_prepared_text_finds_the_tables_of_its_own_client(one: Endpoint, direct: Endpoint):
    with direct.wire() as wire:
        for schema, kind, value in (("first_schema", "int", "1"), ("second_schema", "text", "b")):
            assert not wire.query(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};"
                                  f"CREATE TABLE {schema}.t (x {kind}); INSERT INTO {schema}.t VALUES ('{value}')").errors
    with one.wire(search_path="first_schema") as a, one.wire(search_path="second_schema") as b:
        assert prepared(a, "SELECT x FROM t WHERE x = $1", "1").rows == [[b"1"]]
        reply = prepared(b, "SELECT x FROM t WHERE x = $1", "b")
        assert not reply.errors and reply.rows == [[b"b"]]


def test_text_that_has_come_to_mean_something_else_is_not_shared(one: Endpoint, direct: Endpoint):
    """Parsed anew behind a SET, on a server connection that lacks it."""
    sql = "SELECT extract(epoch FROM timestamptz '2021-01-01 00:00')::bigint"
    with one.wire(TimeZone="UTC") as a, one.wire(TimeZone="UTC") as b:
        assert prepared(a, sql).value() == prepared(b, sql).value() == "1609459200"
        a.query("SET TimeZone TO 'Asia/Tokyo'")
        server = a.value("SELECT pg_backend_pid()")
        with direct.wire() as killer:
            killer.query(f"SELECT pg_terminate_backend({server})")
        time.sleep(0.3)
        for wire in (a, b):
            wire.send(bind("s"), execute(), SYNC)
        assert not a.reply().errors
        assert b.reply().value() == "1609459200"


@pytest.mark.parametrize("setting", ["SET TimeZone TO 'Asia/Tokyo'", "BEGIN; SET LOCAL TimeZone TO 'Asia/Tokyo'"])
def test_text_behind_a_set_that_has_not_been_answered_is_not_shared(one: Endpoint, setting: str):
    sql = f"SELECT extract(epoch FROM timestamptz '2021-01-01 00:00')::bigint, {len(setting)}"
    with one.wire(TimeZone="UTC") as a, one.wire(TimeZone="UTC") as b:
        a.send(query(setting), parse("s", sql), SYNC, query("COMMIT"))
        assert [a.reply().errors for _ in range(3)] == [[], [], []]
        assert prepared(b, sql).value() == "1609459200"


def test_text_behind_the_end_of_a_set_local_is_not_shared(one: Endpoint):
    sql = "SELECT extract(epoch FROM timestamptz '2022-01-01 00:00')::bigint"
    with one.wire(TimeZone="UTC") as a, one.wire(TimeZone="UTC") as b:
        a.query("BEGIN")
        a.query("SET LOCAL TimeZone TO 'Asia/Tokyo'")
        a.send(query("COMMIT"), parse("s", sql), SYNC)
        assert not a.reply().errors and not a.reply().errors
        b.query("BEGIN")
        b.query("SET LOCAL TimeZone TO 'Asia/Tokyo'")
        assert prepared(b, sql).value() == "1640962800"


def test_prepared_text_finds_the_tables_of_its_own_transaction(one: Endpoint, direct: Endpoint):
    """SET LOCAL search_path, which the server does not report before PostgreSQL 18."""
    with direct.wire() as wire:
        for schema, kind, value in (("third_schema", "int", "1"), ("fourth_schema", "text", "b")):
            assert not wire.query(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};"
                                  f"CREATE TABLE {schema}.own (x {kind}); INSERT INTO {schema}.own VALUES ('{value}')").errors
    with one.wire() as a, one.wire() as b, one.wire() as c:
        for wire, schema, value in ((a, "third_schema", "1"), (b, "fourth_schema", "b"), (c, "third_schema", "1")):
            wire.query("BEGIN")
            wire.query(f"SET LOCAL search_path TO {schema}")
            reply = prepared(wire, "SELECT x FROM own WHERE x = $1", value)
            assert not reply.errors and reply.value() == value
            wire.query("COMMIT")
        shared = c.value("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%FROM own%'")
        assert shared == "2"  # one for each schema


def test_now_is_when_a_client_itself_prepares(one: Endpoint):
    with one.wire() as a, one.wire() as b:
        first = prepared(a, "SELECT timestamptz 'now'").value()
        time.sleep(0.05)
        assert prepared(b, "SELECT timestamptz 'now'").value() > first


# ---- clients that leave ----


def test_settings_whose_change_was_cancelled_are_not_taken_for_made(one: Endpoint, direct: Endpoint):
    own = {"search_path": "pg_catalog", "TimeZone": "Asia/Tokyo"}
    with direct.wire() as writer, one.wire(options=DEFERRABLE) as a, one.wire(**own) as b, one.wire(**own) as c:
        writer.query("CREATE TABLE IF NOT EXISTS deferred (a int)")
        c.query("SELECT 1")
        a.query("SELECT 1")
        writer.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
        writer.query("INSERT INTO deferred VALUES (1)")
        b.send(query("SELECT 1"))
        time.sleep(0.2)
        b.socket.close()  # while the server is being told its settings
        time.sleep(0.3)
        writer.query("ROLLBACK")
        assert c.value("SHOW TimeZone") == "Asia/Tokyo"
        assert c.value("SHOW search_path") == "pg_catalog"
        assert c.value("SHOW transaction_isolation") == "read committed"


@pytest.mark.parametrize("sql", ["LISTEN own_state", "PREPARE own_state AS SELECT 1",
                                 "PREPARE own_state AS SELECT 1; SELECT pg_sleep(2)"])
def test_state_of_a_client_that_leaves_before_the_answer(one: Endpoint, sql: str):
    for _ in range(5):
        wire = one.wire()
        wire.send(query(sql) + (b"" if "sleep" in sql else TERMINATE))
        time.sleep(0.2 if "sleep" in sql else 0)
        wire.socket.close()
        time.sleep(0.1)
        with one.wire() as other:
            assert other.query("NOTIFY own_state, 'of another'").types == "CZ"
            assert not other.query("PREPARE own_state AS SELECT 2").errors
            other.query("DISCARD ALL")


def test_reset_whose_client_leaves_before_the_answer(one: Endpoint):
    for _ in range(5):
        wire = one.wire(options="-c lock_timeout=11s")
        wire.send(query("RESET ALL") + TERMINATE)
        wire.socket.close()
        time.sleep(0.1)
        with one.wire(options="-c lock_timeout=11s") as other:
            assert other.value("SHOW lock_timeout") == "11s"


# ---- RESET goes back to what a client started with ----


@pytest.mark.parametrize("sql", ["RESET ALL", "RESET lock_timeout", "DISCARD ALL"])
def test_reset_that_was_parsed_before(one: Endpoint, sql: str):
    with one.wire(**OWN) as a, one.wire(**OWN) as b:
        a.send(parse("", sql), SYNC)
        assert a.reply().types == "1Z"
        a.send(bind(), execute(), SYNC)
        assert not a.reply().errors
        assert own_settings(b) == own_settings(a) == ("Asia/Tokyo", "11s")


def test_reset_before_a_savepoint_that_fails(one: Endpoint):
    with one.wire(**OWN) as a, one.wire(**OWN) as b:
        a.query("BEGIN; RESET ALL; SAVEPOINT s; SELECT 1/0")
        a.query("ROLLBACK TO s")
        a.query("COMMIT")
        assert own_settings(b) == own_settings(a) == ("Asia/Tokyo", "11s")


@pytest.mark.parametrize("sql, zone, lock", [
    ("RESET ALL; SET TimeZone TO 'America/New_York'; SET lock_timeout TO '5s'", "America/New_York", "5s"),
    ("RESET ALL; SELECT 1/0", "Europe/Berlin", "7s"),
    ("BEGIN; RESET ALL; ROLLBACK", "Europe/Berlin", "7s")])
def test_reset_with_more_behind_it(one: Endpoint, sql: str, zone: str, lock: str):
    with one.wire(**OWN) as wire:
        wire.query("SET TimeZone TO 'Europe/Berlin'; SET lock_timeout TO '7s'")
        wire.query(sql)
        assert own_settings(wire) == (zone, lock)


@pytest.mark.parametrize("parsed_before", [False, True])
def test_reset_of_another_setting_leaves_what_was_set(one: Endpoint, parsed_before: bool):
    """Also where that is what the server has by default."""
    with one.wire(TimeZone="Asia/Tokyo") as wire:
        wire.query("SET TimeZone TO 'UTC'")
        if parsed_before:
            wire.send(parse("", "RESET statement_timeout"), SYNC)
            assert wire.reply().types == "1Z"
            wire.send(bind(), execute(), SYNC)
            assert wire.reply().types == "2CZ"
        else:
            assert wire.query("RESET statement_timeout").types == "CZ"
        assert wire.value("SHOW TimeZone") == "UTC"


def test_reset_and_set_in_a_pipeline(one: Endpoint):
    with one.wire(application_name="at start") as wire:
        wire.send(query("RESET ALL") + query("SET application_name TO 'set'"))
        wire.reply(), wire.reply()
        assert wire.value("SHOW application_name") == "set"


@pytest.mark.parametrize("sql", ["RESET lock_timeout", "RESET ALL", "DISCARD ALL"])
def test_connect_query_survives_a_reset(pooler_of, pg, sql: str):
    tenant = default_tenant(pg, **{"connect-query": "SET lock_timeout = '7s'"})
    at = pooler_of({"pool.size": 1}, tenants=[tenant]).endpoint()
    with at.wire() as a, at.wire() as b:
        assert b.value("SHOW lock_timeout") == "7s"
        a.query(sql)
        assert b.value("SHOW lock_timeout") == "7s"


# ---- the unnamed statement ----


def test_unnamed_statement_that_was_skipped(one: Endpoint):
    with one.wire() as wire:
        wire.send(bind("missing") + parse("", "CREATE TABLE IF NOT EXISTS never_parsed (a int)") + SYNC)
        assert wire.reply().types == "EZ"
        wire.send(bind(), execute(), SYNC)
        assert wire.reply().errors[0]["C"] == "26000"
        assert wire.value("SELECT to_regclass('never_parsed')") is None


def test_unnamed_statement_before_one_that_was_skipped(one: Endpoint):
    with one.wire() as wire:
        wire.send(parse("", "SELECT 'first'"), SYNC)
        assert wire.reply().types == "1Z"
        wire.send(bind("missing") + parse("", "SELECT 'never parsed'") + SYNC)
        assert wire.reply().types == "EZ"
        wire.send(bind(), execute(), SYNC)
        assert wire.reply().rows == [[b"first"]]


# ---- encodings ----


def test_value_from_start_up_behind_a_client_of_another_encoding(one: Endpoint):
    with one.wire(client_encoding="LATIN1") as a, one.wire(options="-c my.own=é") as b:
        for _ in range(2):
            a.query("SELECT 1")
            assert b.value("SELECT length(current_setting('my.own'))") == "1"


def test_reported_value_in_another_encoding(pooler_of, pg_of):
    one = pooler_of({"pool.size": 1}, server=pg_of(version="18")).endpoint()  # reports search_path
    with one.wire(client_encoding="LATIN1") as a, one.wire() as b:
        a.send(message("Q", 'SET search_path TO "schéma"'.encode("latin-1") + b"\0"))
        assert not a.reply().errors
        assert b.value("SHOW search_path") != '"schéma"'
        a.send(query("SHOW search_path"))
        assert a.reply().rows == [['"schéma"'.encode("latin-1")]]
