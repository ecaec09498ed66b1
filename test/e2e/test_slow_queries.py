"""The slow-query log: which queries, with which text, and never a value in it."""

from __future__ import annotations

import re
import time

import pytest

from api import Api, api_settings, token, value
from pooler import Tenant, default_tenant, users_of
from postgres import free_port
from wire import bind, execute, message, parse, query

pytestmark = pytest.mark.penstock

SYNC = message("S")


def lines(pooler) -> list[str]:
    return [line for line in pooler.log().splitlines() if " query.slow " in line]


def wait_lines(pooler, count: int) -> list[str]:
    deadline = time.monotonic() + 5
    while len(found := lines(pooler)) < count:
        assert time.monotonic() < deadline, f"{len(found)} lines of {count}: {found}"
        time.sleep(0.05)
    return found


def field(line: str, name: str) -> str:
    found = re.search(rf' {name}=(?:"((?:[^"\\]|\\.)*)"|(\S+))', line)
    assert found, f"no {name} in {line}"
    return found[1] if found[1] is not None else found[2]


@pytest.fixture
def slow(pooler_of, pg):
    return pooler_of({"log.slow_query": "200ms"}, tenants=[default_tenant(pg)])


def test_only_slow_queries_are_written_and_without_values(slow):
    with slow.endpoint().wire(application_name="shop") as wire:
        wire.query("SELECT 'quick and hidden'")
        wire.query("SELECT name, pg_sleep(0.3) FROM (VALUES ('Jane Doe')) AS t(name) WHERE name = 'Jane Doe' /* Jane */")
    line, = wait_lines(slow, 1)
    assert field(line, "msg") == "SELECT name, pg_sleep($1) FROM (VALUES ($2)) AS t(name) WHERE name = $3"
    assert "Jane" not in slow.log() and "hidden" not in slow.log()
    assert 280 < float(field(line, "duration_ms")) < 2000
    assert field(line, "tenant") == "default" and field(line, "user") == "app" and field(line, "database") == "app"
    assert field(line, "application") == "shop" and field(line, "rows") == "1" and int(field(line, "bytes")) > 20
    assert len(field(line, "fingerprint")) == 16


def test_strings_of_the_old_kind_are_no_words(slow):
    with slow.endpoint().wire() as wire:
        wire.query("SET standard_conforming_strings = off")
        assert wire.value(r"SELECT pg_sleep(0.3), 'it\'s hidden', 'more\'s hidden' || ''") is not None
        wire.query(r"SELECT pg_sleep(0.3), 'x\' || hidden -- '")
    first, second = wait_lines(slow, 2)
    assert field(first, "msg") == field(second, "msg") == "SELECT pg_sleep(?), ? …"
    assert "hidden" not in slow.log()


def test_the_wait_for_a_server_is_told_apart(pooler_of, pg):
    pooler = pooler_of({"log.slow_query": "200ms", "pool.size": 1}, tenants=[default_tenant(pg)])
    with pooler.endpoint().wire() as first, pooler.endpoint().wire() as second:
        first.send(query("SELECT pg_sleep(0.5)"))
        time.sleep(0.1)
        second.send(query("SELECT pg_sleep(0.25)"))
        first.reply()
        second.reply()
        second.query("SELECT 1")
    one, two = wait_lines(pooler, 2)
    assert float(field(one, "wait_ms")) < 300 < float(field(two, "wait_ms"))
    assert float(field(two, "duration_ms")) < 450, "the wait is no part of it"


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_of_a_prepared_statement_the_text_is_told(slow, mode):
    with slow.endpoint(mode=mode).wire() as wire:
        wire.send(parse("p1", "SELECT 'named', pg_sleep($1)"), parse("p2", "SELECT 'other'"), SYNC)
        wire.reply()
        wire.query("SELECT 1")
        wire.send(bind("p1", ("0.3",)), execute(), bind("p2"), execute(), SYNC)
        wire.reply()
        wire.send(parse("", "SELECT 'unnamed', pg_sleep($1)"), bind("", ("0.3",)), execute(), SYNC)
        wire.reply()
        wire.send(parse("", "SELECT 'parsed before', pg_sleep($1)"), SYNC)
        wire.reply()
        wire.send(bind("", ("0.3",)), execute(), SYNC)
        wire.reply()
    named, unnamed, before = wait_lines(slow, 3)
    assert field(named, "msg") == "SELECT $2, pg_sleep($1)" and field(named, "statements") == "2"
    assert field(unnamed, "msg") == "SELECT $2, pg_sleep($1)"
    if mode == "transaction":  # elsewhere only the server knows it
        assert field(before, "msg") == "SELECT $2, pg_sleep($1)"


def test_each_query_of_a_pipeline_has_its_own_text_and_time(slow):
    with slow.endpoint().wire() as wire:
        wire.send(query("SELECT 1 AS one, pg_sleep(0.3)"), query("SELECT 2 AS two"),
                  query("SELECT 3 AS three, pg_sleep(0.25)"), query("SELECT 4 AS four"))
        for _ in range(4):
            wire.reply()
    one, three = wait_lines(slow, 2)
    assert " one" in field(one, "msg") and " three" in field(three, "msg")
    assert float(field(three, "duration_ms")) < 500
    time.sleep(0.3)
    assert len(lines(slow)) == 2


def test_a_long_query_is_put_together(slow):
    text = "SELECT pg_sleep(0.3), " + ", ".join(f"'value {number:030}'" for number in range(1200))
    assert len(text) > 40_000
    with slow.endpoint().wire() as wire:
        for piece in (7, 5000):
            wire.send_in_pieces(query(text), piece if piece > 1000 else 20_000)
            wire.reply()
        wire.query("SELECT pg_sleep(0.3), '" + "x" * 300_000 + "'")
    one, two, huge = wait_lines(slow, 3)
    assert field(one, "fingerprint") == field(two, "fingerprint") != ""
    assert field(one, "msg").startswith("SELECT pg_sleep($1), $2, $3")
    assert field(huge, "fingerprint") == ""
    assert "value" not in slow.log() and "xxx" not in slow.log()


def test_full_texts_when_told_to(pooler_of, pg):
    pooler = pooler_of({"log.slow_query": "100ms", "log.slow_query_text": "full"}, tenants=[default_tenant(pg)])
    with pooler.endpoint().wire() as wire:
        wire.query("SELECT 'Jane', pg_sleep(0.2)")
    line, = wait_lines(pooler, 1)
    assert field(line, "msg") == "SELECT 'Jane', pg_sleep(0.2)"


def test_off_unless_set_and_by_tenant_and_user(pooler_of, pg):
    host = [f"{pg.host}:{pg.port}"]
    pooler = pooler_of(tenants=[Tenant("default", host, {}, users_of("app")),
                                Tenant("acme", host, {"slow-query": "100ms"}, users_of("app", "other"))])
    with pooler.endpoint().wire() as off, pooler.endpoint(user="app.acme", password=None).but(
            password=pooler.endpoint().password).wire() as on:
        for wire in (off, on):
            wire.query("SELECT pg_sleep(0.2)")
        assert field(wait_lines(pooler, 1)[0], "tenant") == "acme"
        # In force at once, for clients that are there.
        pooler.cli("user", "set", "app.acme", "--slow-query", "10s")
        pooler.cli("tenant", "set", "default", "--slow-query", "100ms")
        time.sleep(2)
        for wire in (off, on):
            wire.query("SELECT pg_sleep(0.2)")
        assert [field(line, "tenant") for line in wait_lines(pooler, 2)] == ["acme", "default"]
    time.sleep(0.3)
    assert len(lines(pooler)) == 2


def test_counted_and_listed(pooler_of, pg, tmp_path):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port) | {"log.slow_query": "100ms"}, tenants=[default_tenant(pg)])
    api = Api(port)
    with pooler.endpoint().wire() as wire:
        for number in range(3):
            wire.query(f"SELECT {number}, pg_sleep(0.15)")
        wire.query("SELECT 1")
    wait_lines(pooler, 3)
    assert value(api.metrics(), "penstock_slow_queries_total", tenant="default") == 3
    listed = api.get("/api/slow-queries").json["data"]
    assert [entry["query"] for entry in listed] == ["SELECT $1, pg_sleep($2)"] * 3
    assert listed[0]["at"] >= listed[2]["at"] and listed[0]["duration_ms"] > 140
    assert api.get("/api/slow-queries?tenant=nobody").json["data"] == []
    assert Api(port, bearer=token(tenants=["another"])).get("/api/slow-queries").json["data"] == []


def test_a_flood_of_slow_queries_is_bounded(pooler_of, pg):
    pooler = pooler_of({"log.slow_query": "1ms"}, tenants=[default_tenant(pg)])
    with pooler.endpoint().wire() as wire:
        for _ in range(300):
            wire.query("SELECT pg_sleep(0.002)")
        time.sleep(1.1)
        wire.query("SELECT pg_sleep(0.01)")
        time.sleep(0.3)
    found = lines(pooler)
    assert len(found) < 250
    told = sum(int(field(line, "skipped")) for line in found)
    assert told + len(found) == 301


@pytest.mark.parametrize("text", ["SELECT 1" + "+1" * 30_000, "SELECT " + "(" * 9000 + "1" + ")" * 9000,
                                  "SELECT " + "NOT " * 9000 + "true"])
def test_deep_queries_do_no_harm(slow, text):
    with slow.endpoint().wire() as wire:
        wire.query(f"{text}; SELECT pg_sleep(0.3)")
        assert wire.value("SELECT 1") == "1"
    # The server may refuse the depth at once, and then it was not slow.
    time.sleep(0.5)
    assert slow.alive()
