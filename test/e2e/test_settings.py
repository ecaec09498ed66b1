"""Session settings that a client keeps although it has no server of its own."""

from __future__ import annotations

import threading
import time

import pytest

from pooler import Endpoint, Pooler
from wire import ServerError, SYNC, bind, execute, parse, query


@pytest.fixture
def one(pooler_of) -> Endpoint:
    """A single server for all."""
    return pooler_of({"pool.size": 1}).endpoint()


REPORTED = {"TimeZone": ("Asia/Tokyo", "America/New_York"), "application_name": ("first", "it's second"),
            "DateStyle": ("German, DMY", "SQL, MDY"), "IntervalStyle": ("iso_8601", "sql_standard"),
            "client_encoding": ("UTF8", "LATIN1"), "standard_conforming_strings": ("off", "on")}


@pytest.mark.penstock
@pytest.mark.parametrize("name", REPORTED)
def test_start_up_values_do_not_mix(one: Endpoint, name: str):
    first, second = REPORTED[name]
    with one.wire(**{name: first}) as a, one.wire(**{name: second}) as b, one.wire() as c:
        plain_value = c.value(f"SHOW {name}")
        for _ in range(3):
            assert a.value(f"SHOW {name}") == first
            assert b.value(f"SHOW {name}") == second
            assert c.value(f"SHOW {name}") == plain_value


@pytest.mark.penstock
@pytest.mark.parametrize("name", REPORTED)
def test_set_stays_with_its_client(one: Endpoint, name: str):
    value, quoted = REPORTED[name][1], REPORTED[name][1].replace("'", "''")
    if name == "DateStyle":
        quoted = f"{value}"
    with one.wire() as a, one.wire() as b:
        before = b.value(f"SHOW {name}")
        a.query(f"SET {name} = '{quoted}'" if name != "DateStyle" else f"SET DateStyle = {value}")
        for _ in range(3):
            assert b.value(f"SHOW {name}") == before
            assert a.value(f"SHOW {name}") == value
        a.query(f"RESET {name}")
        assert a.value(f"SHOW {name}") == before


@pytest.mark.penstock
@pytest.mark.parametrize("parameters", [{"extra_float_digits": "0"}, {"options": "-c extra_float_digits=0"}])
def test_unreported_start_up_value(one: Endpoint, parameters: dict[str, str]):
    with one.wire(**parameters) as a, one.wire() as b:
        for _ in range(3):
            assert a.value("SHOW extra_float_digits") == "0"
            assert b.value("SHOW extra_float_digits") == "1"


@pytest.mark.penstock
@pytest.mark.parametrize("options,setting,value", [
    ("-S 1000", "work_mem", "1000kB"), ("-e", "DateStyle", "ISO, DMY"), ("-eS2000", "work_mem", "2000kB"),
    ("-fs", "enable_seqscan", "off"), ("-f m", "enable_mergejoin", "off")])
def test_short_options_mean_what_they_mean_on_a_direct_connection(one: Endpoint, options: str, setting: str, value: str):
    with one.wire(options=options) as a, one.wire() as b:
        for _ in range(2):
            assert a.value(f"SHOW {setting}") == value
            assert b.value(f"SHOW {setting}") != value


@pytest.mark.penstock
@pytest.mark.parametrize("options,code", [("-s", "42501"), ("-tpa", "42501"), ("-F", "55P02"), ("-N 5", "55P02"), ("-X", "42601")])
def test_short_options_that_the_server_refuses(one: Endpoint, options: str, code: str):
    with pytest.raises(ServerError) as refused:
        one.wire(options=options)
    assert refused.value.sqlstate == code


@pytest.mark.penstock
@pytest.mark.parametrize("setting,value", [("statement_timeout", "9s"), ("search_path", "pg_catalog"),
                                           ("work_mem", "5MB"), ("my.own", "thing")])
def test_unreported_setting_neither_leaks_nor_gets_lost(pooler_of, setting: str, value: str):
    # Two servers: whoever has changed what nobody reports may be kept on one of them.
    at = pooler_of({"pool.size": 2}).endpoint()
    with at.wire() as a, at.wire() as b:
        before = b.value(f"SELECT current_setting('{setting}', true)")
        a.query(f"SET {setting} = '{value}'")
        for _ in range(2):
            assert (b.value(f"SELECT current_setting('{setting}', true)") or None) == (before or None)
            assert a.value(f"SHOW {setting}") == value


@pytest.mark.penstock
def test_values_that_differ_in_case_only(one: Endpoint):
    with one.wire(application_name="SHOP") as a, one.wire(application_name="shop") as b:
        for _ in range(3):
            assert a.value("SHOW application_name") == "SHOP"
            assert b.value("SHOW application_name") == "shop"


@pytest.mark.penstock
def test_long_value(one: Endpoint):
    path = ", ".join(f"schema_{number}" for number in range(100))
    with one.wire(search_path=path) as a, one.wire() as b:
        for _ in range(2):
            assert a.value("SHOW search_path") == path
            assert b.value("SHOW search_path") == '"$user", public'


@pytest.mark.penstock
def test_values_with_quotes_backslashes_and_unicode(one: Endpoint):
    for name in ("a'b", 'a"b', "a\\b", "a b", "';SELECT 1;--", "$$"):
        with one.wire(application_name=name) as a, one.wire(application_name="other") as b:
            for _ in range(2):
                assert a.value("SHOW application_name") == name
                assert b.value("SHOW application_name") == "other"


def test_set_local_ends_with_its_transaction(plain: Endpoint):
    with plain.wire() as wire:
        before = wire.value("SHOW TimeZone")
        wire.query("BEGIN")
        wire.query("SET LOCAL TimeZone = 'Asia/Tokyo'")
        assert wire.value("SHOW TimeZone") == "Asia/Tokyo"
        wire.query("COMMIT")
        assert wire.value("SHOW TimeZone") == before


def test_set_in_a_transaction_rolled_back(plain: Endpoint):
    with plain.wire() as wire:
        before = wire.value("SHOW TimeZone")
        wire.query("BEGIN")
        wire.query("SET TimeZone = 'Asia/Tokyo'")
        wire.query("ROLLBACK")
        assert wire.value("SHOW TimeZone") == before


@pytest.mark.penstock
def test_set_config_and_extended_protocol(one: Endpoint):
    with one.wire() as a, one.wire() as b:
        a.run("SELECT set_config('TimeZone', $1, false)", ("Asia/Tokyo",))
        assert b.value("SHOW TimeZone") == "UTC"
        assert a.run("SHOW TimeZone").rows == [[b"Asia/Tokyo"]]


@pytest.mark.penstock
def test_reset_all_and_discard_all_return_to_the_start_up_values(one: Endpoint):
    with one.wire(TimeZone="Asia/Tokyo") as a, one.wire() as b:
        for sql in ("RESET ALL", "DISCARD ALL"):
            a.query("SET TimeZone = 'America/New_York'")
            assert b.value("SHOW TimeZone") == "UTC"
            assert not a.query(sql).errors
            assert b.value("SHOW TimeZone") == "UTC"
            assert a.value("SHOW TimeZone") == "Asia/Tokyo", sql


@pytest.mark.penstock
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_reset_of_one_setting_returns_to_its_start_up_value(pooler_of, mode):
    at = pooler_of({"pool.size": 2, "pool.mode": mode}).endpoint()
    with at.wire(TimeZone="Asia/Tokyo", options="-c statement_timeout=70s -c DateStyle=German") as a:
        for statement in ("RESET TimeZone", 'reset "TimeZone"', "RESET ALL", "DISCARD ALL"):
            a.query("SET TimeZone = 'America/New_York'")
            reply = a.query(statement)
            assert not reply.errors and reply.tags == [statement.split()[0].upper() + (" ALL" if "DISCARD" in statement else "")]
            assert reply.types.endswith("Z") and reply.types.count("C") == 1
            statuses = [m.body for m in reply.messages if m.type == "S" and m.body.startswith(b"TimeZone")]
            assert statuses[-1:] == [b"TimeZone\0Asia/Tokyo\0"], reply
            assert [a.value(f"SHOW {name}") for name in ("TimeZone", "statement_timeout", "DateStyle")] == \
                ["Asia/Tokyo", "70s", "German, DMY"], statement
        # By the extended protocol, in a transaction that is rolled back, and in a pipeline.
        a.query("SET TimeZone = 'America/New_York'")
        a.query("BEGIN")
        a.run("RESET TimeZone")
        assert a.value("SHOW TimeZone") == "Asia/Tokyo"
        a.query("ROLLBACK")
        assert a.value("SHOW TimeZone") == "America/New_York"
        a.send(query("RESET ALL"), query("SELECT 1"), query("SELECT 2"))
        assert [a.reply().tags for _ in range(3)] == [["RESET"], ["SELECT 1"], ["SELECT 1"]]
        assert a.value("SHOW TimeZone") == "Asia/Tokyo"


@pytest.mark.penstock
def test_start_up_values_are_tried_from_the_servers_defaults(one: Endpoint):
    with one.wire(DateStyle="German, DMY") as german:
        assert german.value("SHOW DateStyle") == "German, DMY"
        with one.wire(DateStyle="SQL") as other:
            assert other.value("SHOW DateStyle") == "SQL, MDY"


@pytest.mark.penstock
def test_settings_apply_before_a_pipeline(one: Endpoint):
    with one.wire(TimeZone="Asia/Tokyo") as a, one.wire(TimeZone="America/New_York") as b:
        for _ in range(3):
            for wire, zone in ((a, b"Asia/Tokyo"), (b, b"America/New_York")):
                wire.send(parse("", "SHOW TimeZone"), bind(), execute(), SYNC, query("SHOW TimeZone"))
                first, second = wire.reply(), wire.reply()
                assert first.types == "12DCZ", first
                assert first.rows == second.rows == [[zone]]


@pytest.mark.penstock
def test_no_status_messages_of_the_switch_reach_the_client(one: Endpoint):
    with one.wire(TimeZone="Asia/Tokyo") as a, one.wire() as b:
        for wire in (a, b, a, b):
            assert wire.query("SELECT 1").types == "TDCZ"


@pytest.mark.penstock
def test_many_clients_many_servers(pooler_of):
    at = pooler_of({"pool.size": 4}).endpoint()
    zones = ["UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin", "Asia/Kolkata"]
    wrong: list[object] = []

    def work(number: int) -> None:
        zone = zones[number % len(zones)]
        try:
            with at.wire(TimeZone=zone, application_name=f"app {number}") as wire:
                for _ in range(50):
                    reply = wire.query("SELECT current_setting('TimeZone'), current_setting('application_name')")
                    if reply.rows != [[zone.encode(), f"app {number}".encode()]]:
                        wrong.append((zone, number, reply))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


@pytest.mark.penstock
def test_ignored_start_up_parameters(pooler_of):
    at = pooler_of({"pool.ignore_startup_parameters": ["driver_junk"]}).endpoint()
    with at.wire(driver_junk="1") as wire:
        assert wire.value("SELECT 1") == "1"
    with pytest.raises(ServerError), at.wire(other_junk="1"):
        pass


@pytest.mark.penstock
def test_session_mode_resets_the_server_between_clients(pooler_of):
    pooler: Pooler = pooler_of({"pool.size": 1})
    at = pooler.endpoint(mode="session")
    with at.wire() as wire:
        pid = wire.value("SELECT pg_backend_pid()")
        wire.query("SET statement_timeout = '9s'")
        wire.query("CREATE TEMP TABLE mine (a int)")
        wire.query("PREPARE q AS SELECT 1")
        wire.query("SELECT pg_advisory_lock(42)")
        wire.query("LISTEN somewhere")
    with at.wire() as wire:
        assert wire.value("SELECT pg_backend_pid()") == pid
        assert wire.value("SHOW statement_timeout") == "0"
        assert wire.value("SELECT to_regclass('mine') IS NULL") == "t"
        assert wire.value("SELECT count(*) FROM pg_prepared_statements") == "0"
        assert wire.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
        assert wire.value("SELECT count(*) FROM pg_listening_channels()") == "0"


@pytest.mark.penstock
def test_reset_query_can_be_changed(pooler_of):
    at = pooler_of({"pool.size": 1, "pool.reset_query": "RESET ALL"}).endpoint(mode="session")
    with at.wire() as wire:
        wire.query("SET statement_timeout = '9s'")
        wire.query("CREATE TEMP TABLE mine (a int)")
    with at.wire() as wire:
        assert wire.value("SHOW statement_timeout") == "0"
        assert wire.value("SELECT to_regclass('mine') IS NULL") == "f"


LONG = "/* " + "x" * 100 + " */"
FILLER = "a;b''c; " * 3000


@pytest.mark.penstock
@pytest.mark.parametrize("text,at", [
    (f"SET {LONG} statement_timeout = '4321ms'", 40),
    (f"SET statement_timeout = '4321ms' {LONG}", 90),
    (f"SELECT 1; SET statement_timeout = '4321ms' {LONG}", 90),
    ("SELECT 1;" * 20 + "SET statement_timeout = '4321ms'", 1000),
    (f"SELECT '{FILLER}'; SET statement_timeout = '4321ms'", 20_000),
    (f"SET statement_timeout = '4321ms'; SELECT '{FILLER}'", 20_000),
], ids=["name behind", "comment behind", "second", "21st", "end of a long text", "begin of a long text"])
def test_setting_neither_leaks_wherever_its_text_is_cut(pooler_of, text: str, at: int):
    endpoint = pooler_of({"pool.size": 2}).endpoint()
    with endpoint.wire() as a, endpoint.wire() as b:
        before = b.value("SHOW statement_timeout")
        whole = query(text)
        a.send(whole[:at])
        time.sleep(0.1)
        a.send(whole[at:])
        assert not a.reply().errors
        for _ in range(2):
            assert b.value("SHOW statement_timeout") == before
            assert a.value("SHOW statement_timeout") == "4321ms"


@pytest.mark.penstock
@pytest.mark.parametrize("text", ["SELECT 1 AS x INTO TEMP leak", "SELECT 1 AS x INTO LOCAL TEMPORARY TABLE leak",
                                  "EXPLAIN ANALYZE CREATE TEMP TABLE leak AS SELECT 1 AS x",
                                  "CREATE TABLE pg_temp.leak AS SELECT 1 AS x",
                                  "SELECT '" + "x" * 20_000 + "' AS y, 1 AS x INTO TEMP leak"],
                         ids=["into", "into local", "explain", "pg_temp", "long"])
def test_temporary_table_neither_leaks_nor_gets_lost(pooler_of, text: str):
    endpoint = pooler_of({"pool.size": 2}).endpoint()
    with endpoint.wire() as a, endpoint.wire() as b:
        assert not a.query(text).errors
        for _ in range(2):
            assert b.query("SELECT x FROM leak").errors[0]["C"] == "42P01"
            assert a.value("SELECT x FROM leak") == "1"


@pytest.mark.penstock
def test_long_text_with_semicolons_pins_nobody(one: Endpoint):
    with one.wire() as a, one.wire() as b:
        for _ in range(2):
            assert not a.query(f"SELECT '{FILLER}'; SELECT 2").errors
            assert b.value("SELECT 1") == "1"
