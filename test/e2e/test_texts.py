"""What a client's words leave in the server's session, however they are written, must not reach the next client."""

from __future__ import annotations

import time

import pytest

from pooler import Endpoint, default_tenant
from postgres import binaries
from wire import Closed, ServerError

pytestmark = pytest.mark.penstock


@pytest.fixture
def one(pooler_of) -> Endpoint:
    return pooler_of({"pool.size": 1, "timeouts.query_wait": "1s"}).endpoint()


def left_behind(at: Endpoint, *texts: str, ask: str) -> str | None:
    """What `ask` tells another client after one has said these texts and keeps its connection."""
    with at.wire() as first, at.wire() as other:
        for text in texts:
            assert not first.query(text).errors, text
        try:
            return other.value(ask)
        except ServerError as error:  # the only server belongs to the first
            assert error.sqlstate == "53300", error
            return None


# ---- temporary tables ----


@pytest.mark.parametrize("text", [
    'CREATE TABLE "pg_temp"."leak" (x int)',
    'CREATE TABLE "pg_temp" /* a */ . leak (x int)',
    'SELECT 1 AS x INTO "pg_temp".leak',
    'CREATE TABLE U&"pg_temp".leak (x int)',
    'CREATE TABLE U&"pg\\005ftemp".leak (x int)',
    'CREATE TABLE U&"pg!005ftemp" UESCAPE \'!\' .leak (x int)',
    'EXPLAIN ANALYZE CREATE TABLE "pg_temp".leak AS SELECT 1',
])
@pytest.mark.parametrize("by_parse", [False, True])
def test_schema_of_temporary_tables_in_quotes(one: Endpoint, text: str, by_parse: bool):
    with one.wire() as first, one.wire() as other:
        assert not (first.run(text) if by_parse else first.query(text)).errors
        with pytest.raises(ServerError) as caught:
            other.value("SELECT count(*) FROM pg_class WHERE relname = 'leak'")
        assert caught.value.sqlstate == "53300"


@pytest.mark.parametrize("text", [
    "SET search_path TO pg_temp, public",
    "SET search_path = public, pg_temp",
    'SET search_path = "pg_temp"',
    "SET search_path = 'pg_temp', 'public'",
    "SET search_path = E'pg\\x5ftemp'",
    "SET search_path = U&'pg!005ftemp' UESCAPE '!'",
    "SET search_path = $$pg_temp$$",
    "SET search_path = 'pg_'\n'temp'",
    "SET SESSION \"search_path\" = pg_temp",
    "SET SCHEMA 'pg_temp'",
])
def test_search_path_into_the_schema_of_temporary_tables(one: Endpoint, direct: Endpoint, text: str):
    table = "behind_pg_temp"
    try:
        assert left_behind(one, text, f"CREATE TABLE {table} (x int)",
                           ask=f"SELECT count(*) FROM pg_class WHERE relname = '{table}'") is None
    finally:
        with direct.wire() as wire:  # "public, pg_temp" makes it in public
            wire.query(f"DROP TABLE IF EXISTS public.{table}")


def test_search_path_where_the_server_reports_it(pg_of, pooler_of):
    """Postgres 18 does: that alone is no reason to keep the client where it has set it."""
    if binaries("18") is None:
        pytest.skip("Postgres 18 is not installed")
    server = pg_of(version="18")
    try:
        at = pooler_of({"pool.size": 1, "timeouts.query_wait": "1s"}, server=server,
                       tenants=[default_tenant(server)]).endpoint()
        for value, kept in (("public", "1"), ("'pg_temp', public", None)):
            assert left_behind(at, f"SET search_path = {value}", ask="SELECT 1") == kept, value
    finally:
        server.stop()


def test_search_path_of_one_transaction_into_the_schema_of_temporary_tables(one: Endpoint):
    assert left_behind(one, "BEGIN", "SET LOCAL search_path = pg_temp", "CREATE TABLE leak (x int)", "COMMIT",
                       ask="SELECT count(*) FROM pg_class WHERE relname = 'leak'") is None


def test_what_only_looks_like_the_schema_of_temporary_tables(one: Endpoint):
    for text in ("SELECT 'pg_temp', 1 AS \"temp\"", "SELECT U&'pg\\005ftemp'", 'SELECT 1 AS U&"a"',
                 "SET application_name = 'pg_temp'"):
        assert left_behind(one, text, ask="SELECT 1") == "1", text


# ---- settings ----


@pytest.mark.parametrize("name", ["local.foo", "transaction.foo", "constraints.foo", "session.foo", "local . foo",
                                  "names.foo", "schema.foo", "LOCAL/**/.foo", "timezone .foo", "session local.foo"])
def test_setting_whose_name_begins_as_a_word_of_sql(one: Endpoint, name: str):
    real = name.removeprefix("session ").replace("/**/", "").replace(" ", "")
    assert left_behind(one, f"SET {name} = 'x'", ask=f"SELECT current_setting('{real}', true)") is None


def test_start_up_parameter_goes_before_the_options(one: Endpoint):
    zones = {"TimeZone": "Asia/Tokyo", "options": "-c TimeZone=America/New_York"}
    for parameters in (zones, dict(reversed(zones.items()))):
        with one.wire(**parameters) as wire:
            assert wire.value("SHOW TimeZone") == "Asia/Tokyo", parameters
            assert wire.parameters["TimeZone"] == "Asia/Tokyo"


def test_idle_session_timeout_is_the_clients_own(one: Endpoint):
    with one.wire(options="-c idle_session_timeout=300ms") as a, one.wire() as b:
        assert a.value("SELECT 1") == "1"
        assert a.value("SHOW idle_session_timeout") == "0"
        assert b.value("SELECT pg_backend_pid()") == a.value("SELECT pg_backend_pid()")
        pid = b.value("SELECT pg_backend_pid()")
        time.sleep(0.6)
        assert a.read().fields["C"] == "57P05"
        assert a.at_end()
        time.sleep(0.3)
        assert b.value("SELECT pg_backend_pid()") == pid


def test_idle_session_timeout_in_a_transaction_and_as_a_start_up_parameter(one: Endpoint):
    with one.wire(idle_session_timeout="200") as wire:
        wire.query("BEGIN")
        time.sleep(0.5)
        assert wire.query("COMMIT").status == "I"
        assert wire.read().fields["C"] == "57P05"


@pytest.mark.parametrize("mine, theirs, lives", [("1min", "300ms", False), ("300ms", "1h", False), ("0", "300ms", False),
                                                 ("0", "0", True), ("0", "1h", True)])
def test_smaller_idle_time_counts(pooler_of, mine: str, theirs: str, lives: bool):
    at = pooler_of({"pool.size": 1, "timeouts.client_idle": theirs}).endpoint()
    with at.wire(idle_session_timeout=mine) as wire:
        assert wire.value("SELECT 1") == "1"
        if lives:
            assert wire.quiet(0.7)
        else:
            assert wire.read().fields["C"] == "57P05"


@pytest.mark.parametrize("value", ["soon", "-1", "5 weeks", "99999999999"])
def test_idle_time_that_the_server_refuses(one: Endpoint, value: str):
    with pytest.raises((ServerError, Closed)) as caught:
        one.wire(idle_session_timeout=value)
    assert caught.value.sqlstate == "22023"
