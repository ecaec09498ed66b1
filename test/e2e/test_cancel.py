"""Cancelling: it must hit the query that is meant, or nothing."""

from __future__ import annotations

import random
import threading
import time

import psycopg
import pytest

from pooler import Endpoint, Pooler
from wire import ServerError, Wire, cancel_request, query


def test_running_query(endpoint: Endpoint):
    with endpoint.wire() as wire:
        wire.send(query("SELECT pg_sleep(20)"))
        time.sleep(0.2)
        begun = time.monotonic()
        wire.cancel()
        reply = wire.reply()
        assert [error["C"] for error in reply.errors] == ["57014"]
        assert time.monotonic() - begun < 3
        assert wire.value("SELECT 1") == "1"


def test_cancel_over_tls(pooler: Pooler):
    with pooler.endpoint(tls=True).wire() as wire:
        wire.send(query("SELECT pg_sleep(20)"))
        time.sleep(0.2)
        with Wire("127.0.0.1", pooler.port) as other:
            other.start_tls()
            other.send(cancel_request(wire.pid, wire.key))
            assert other.at_end()
        assert wire.reply().errors[0]["C"] == "57014"


def test_idle_client_is_not_disturbed(endpoint: Endpoint):
    with endpoint.wire() as wire:
        wire.cancel()
        assert wire.value("SELECT 1") == "1"
        wire.cancel()
        for _ in range(20):
            assert wire.value("SELECT 1") == "1"


@pytest.mark.penstock
def test_idle_inside_a_transaction(endpoint: Endpoint):
    with endpoint.wire() as wire:
        wire.query("BEGIN")
        wire.cancel()
        time.sleep(0.2)
        assert wire.value("SELECT 1") == "1"
        assert wire.query("COMMIT").tags == ["COMMIT"]


def test_wrong_key_does_nothing(endpoint: Endpoint):
    with endpoint.wire() as wire:
        wire.send(query("SELECT pg_sleep(0.5), 'done'"))
        for key in (b"\0" * 4, bytes(4), b"\xff" * 4, b"\1" * 32):
            with Wire(endpoint.host, endpoint.port) as other:
                other.send(cancel_request(wire.pid, key))
                assert other.at_end()
        assert wire.reply().rows[0][1] == b"done"


@pytest.mark.penstock
@pytest.mark.parametrize("raw", [b"", b"\0", b"\0" * 3, b"\0" * 257, b"\0" * 4096], ids=len)
def test_keys_of_impossible_length(plain: Endpoint, raw: bytes):
    with plain.wire() as wire:
        with Wire(plain.host, plain.port) as other:
            other.send(cancel_request(wire.pid, raw))
            assert other.at_end()
        assert wire.value("SELECT 1") == "1"


@pytest.mark.penstock
def test_waiting_client_is_told(pooler_of):
    at = pooler_of({"pool.size": 1}).endpoint()
    with at.wire() as holder, at.wire() as waiting:
        holder.query("BEGIN")
        waiting.send(query("SELECT 'never runs'"))
        time.sleep(0.2)
        waiting.cancel()
        reply = waiting.reply()
        assert [error["C"] for error in reply.errors] == ["57014"] and reply.status == "I"
        assert holder.value("SELECT 1") == "1"
        holder.query("COMMIT")
        assert waiting.value("SELECT 2") == "2"


@pytest.mark.penstock
def test_waiting_client_with_a_pipeline(pooler_of):
    from wire import SYNC, bind, execute, parse
    at = pooler_of({"pool.size": 1}).endpoint()
    with at.wire() as holder, at.wire() as waiting:
        holder.query("BEGIN")
        waiting.send(parse("", "SELECT 1"), bind(), execute(), SYNC)
        time.sleep(0.2)
        waiting.cancel()
        reply = waiting.reply()
        assert reply.types == "EZ" and reply.errors[0]["C"] == "57014"
        holder.query("COMMIT")
        assert waiting.run("SELECT 3").rows == [[b"3"]]


@pytest.mark.penstock
def test_never_hits_another_client(pooler_of):
    """Clients share few servers; one half sends cancels at random times, also too late. Nobody else may see 57014."""
    pooler = pooler_of({"pool.size": 2})
    at = pooler.endpoint()
    wrong: list[str] = []
    hits = 0
    stop = time.monotonic() + 4

    def victim(number: int) -> None:
        with at.wire() as wire:
            turn = 0
            while time.monotonic() < stop:
                turn += 1
                try:
                    mark = f"{number}:{turn}"
                    if wire.value(f"SELECT '{mark}' FROM (SELECT pg_sleep(0.002)) s") != mark:
                        wrong.append(f"wrong answer for {mark}")
                except ServerError as error:
                    wrong.append(f"victim {number}: {error}")

    def canceller(number: int) -> None:
        nonlocal hits
        chance = random.Random(number)
        with at.wire() as wire:
            while time.monotonic() < stop:
                wire.send(query("SELECT pg_sleep(0.004)"))
                time.sleep(chance.random() * 0.012)
                with Wire(at.host, at.port) as other:
                    other.send(cancel_request(wire.pid, wire.key))
                    if chance.random() < 0.7:
                        other.at_end()
                    reply = wire.reply()
                    if reply.errors:
                        hits += 1

    threads = [threading.Thread(target=victim, args=(number,)) for number in range(4)]
    threads += [threading.Thread(target=canceller, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:5]
    assert hits > 0, "no cancel ever came in time: the test proves nothing"


def test_storm_of_cancels_for_one_query(endpoint: Endpoint):
    with endpoint.wire() as wire:
        wire.send(query("SELECT pg_sleep(20)"))
        time.sleep(0.1)
        others = [Wire(endpoint.host, endpoint.port) for _ in range(20)]
        for other in others:
            other.send(cancel_request(wire.pid, wire.key))
        assert wire.reply().errors[0]["C"] == "57014"
        for other in others:
            assert other.at_end()
            other.close()
        if endpoint.io != "none":  # Postgres itself lets late cancels hit the next query
            for _ in range(10):
                assert wire.value("SELECT 1") == "1"


@pytest.mark.penstock
def test_cancel_in_a_pipeline_ends_one_query_and_skips_to_sync(plain: Endpoint):
    from wire import SYNC, bind, execute, parse
    with plain.wire() as wire:
        wire.send(parse("", "SELECT pg_sleep(20)"), bind(), execute(), parse("", "SELECT 2"), bind(), execute(), SYNC,
                  parse("", "SELECT 3"), bind(), execute(), SYNC)
        time.sleep(0.2)
        wire.cancel()
        first, second = wire.reply(), wire.reply()
        assert first.errors[0]["C"] == "57014" and not first.rows
        assert second.rows == [[b"3"]]


@pytest.mark.penstock
def test_key_dies_with_its_client(plain: Endpoint):
    with plain.wire() as first:
        pid, key = first.pid, first.key
    with plain.wire() as second:
        second.send(query("SELECT pg_sleep(0.3), 'mine'"))
        with Wire(plain.host, plain.port) as other:
            other.send(cancel_request(pid, key))
            other.at_end()
        assert second.reply().rows[0][1] == b"mine"


@pytest.mark.penstock
def test_protocol_3_2_has_long_keys_that_cancel(pooler: Pooler):
    if psycopg.pq.version() < 180000:
        pytest.skip("needs libpq 18")
    with pooler.endpoint().connect(max_protocol_version="3.2") as connection:
        timer = threading.Timer(0.2, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")
        timer.join()
