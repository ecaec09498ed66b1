"""Clients that vanish: their work ends on the server, the server connection lives on."""

from __future__ import annotations

import time

import pytest

from pooler import Pooler
from wire import SYNC, TERMINATE, bind, execute, parse, query

pytestmark = pytest.mark.penstock


@pytest.fixture
def single(pooler_of) -> Pooler:
    """One server only, so that its pid tells whether it was kept."""
    return pooler_of({"pool.size": 1})


@pytest.mark.parametrize("how", ["close", "reset", "terminate"])
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_running_query_is_cancelled_and_the_server_reused(single: Pooler, pg, how: str, mode: str):
    at = single.endpoint(mode=mode)
    wire = at.wire()
    pid = wire.value("SELECT pg_backend_pid()")
    wire.send(query("SELECT pg_sleep(30), 'vanishing'"))
    time.sleep(0.2)
    if how == "terminate":
        wire.send(TERMINATE)
    wire.reset() if how == "reset" else wire.close()
    assert not pg.wait_backends("query LIKE '%vanishing%' AND state = 'active' AND usename = 'app'", 0, timeout=3)
    with at.wire() as next_one:
        assert next_one.value("SELECT pg_backend_pid()") == pid


def test_open_transaction_is_rolled_back_and_the_server_reused(single: Pooler, pg):
    at = single.endpoint()
    pg.sql("DROP TABLE IF EXISTS kept", dbname="app")
    pg.sql("CREATE TABLE kept (a int); GRANT ALL ON kept TO app", dbname="app")
    wire = at.wire()
    wire.query("BEGIN")
    pid = wire.value("SELECT pg_backend_pid()")
    wire.query("INSERT INTO kept VALUES (1)")
    wire.close()
    with at.wire() as next_one:
        assert next_one.query("SELECT count(*), pg_backend_pid() FROM kept").rows == [[b"0", (pid or "").encode()]]


def test_failed_transaction(single: Pooler):
    at = single.endpoint()
    wire = at.wire()
    wire.query("BEGIN")
    pid = wire.value("SELECT pg_backend_pid()")
    wire.query("SELECT 1/0")
    wire.close()
    with at.wire() as next_one:
        assert next_one.value("SELECT pg_backend_pid()") == pid


def test_in_the_middle_of_a_pipeline(single: Pooler, pg):
    at = single.endpoint()
    wire = at.wire()
    pid = wire.value("SELECT pg_backend_pid()")
    wire.send(*[parse("", "SELECT pg_sleep(0.5), 'piped'") + bind() + execute() + SYNC for _ in range(20)])
    time.sleep(0.1)
    wire.close()
    begun = time.monotonic()
    with at.wire() as next_one:
        assert next_one.value("SELECT pg_backend_pid()") == pid
    assert time.monotonic() - begun < 5


def test_without_a_sync(single: Pooler):
    at = single.endpoint()
    wire = at.wire()
    wire.send(parse("", "SELECT 1"), bind(), execute())
    time.sleep(0.1)
    wire.close()
    with at.wire() as next_one:
        assert next_one.value("SELECT 2") == "2"


@pytest.mark.parametrize("cut", [1, 4, 5, 9])
def test_half_a_message(single: Pooler, cut: int):
    at = single.endpoint()
    wire = at.wire()
    wire.send(query("SELECT 1")[:cut])
    time.sleep(0.05)
    wire.close()
    with at.wire() as next_one:
        assert next_one.value("SELECT 2") == "2"


def test_half_a_large_message_already_on_its_way(single: Pooler):
    at = single.endpoint()
    wire = at.wire()
    wire.send(query("SELECT length('" + "x" * 5_000_000 + "')")[:2_000_000])
    time.sleep(0.2)
    wire.close()
    with at.wire() as next_one:
        assert next_one.value("SELECT 2") == "2"


def test_while_waiting_in_the_queue(single: Pooler):
    at = single.endpoint()
    with at.wire() as holder:
        holder.query("BEGIN")
        gone = [at.wire() for _ in range(5)]
        for wire in gone:
            wire.send(query("CREATE TABLE must_never_be (a int)"))
        time.sleep(0.1)
        for wire in gone:
            wire.reset()
        time.sleep(0.1)
        holder.query("COMMIT")
        assert holder.value("SELECT to_regclass('must_never_be') IS NULL") == "t"


def test_half_closed_client_gets_its_answer(single: Pooler):
    """shutdown(SHUT_WR) after a query and Terminate, as some load balancers' checks do: no harm to the pool."""
    import socket
    at = single.endpoint()
    with at.wire() as wire:
        wire.send(query("SELECT 1"))
        wire.socket.shutdown(socket.SHUT_WR)
        try:
            wire.reply()
        except Exception:
            pass
    with at.wire() as next_one:
        assert next_one.value("SELECT 2") == "2"


def test_storm_of_vanishing_clients_leaks_nothing(pooler_of, pg):
    import random
    import threading
    pooler = pooler_of({"pool.size": 4})
    at = pooler.endpoint().but(dbname="app")
    wrong: list[object] = []

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(25):
            try:
                wire = at.wire()
            except Exception as error:
                wrong.append(error)
                return
            kind = chance.randrange(5)
            if kind == 0:
                wire.send(query("SELECT pg_sleep(5), 'storm'"))
            elif kind == 1:
                wire.query("BEGIN")
            elif kind == 2:
                wire.send(parse("s", "SELECT 'storm'") + bind("s") + execute())
            elif kind == 3:
                wire.send(query("SELECT repeat('storm', 100000) FROM generate_series(1,1000)"))
            else:
                mark = f"{number}{chance.random()}"
                if wire.value(f"SELECT '{mark}'") != mark:
                    wrong.append("cross talk")
            time.sleep(chance.random() * 0.01)
            wire.reset() if chance.random() < 0.5 else wire.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    assert not pg.wait_backends("query LIKE '%storm%' AND state <> 'idle' AND usename = 'app'", 0)
    wires = [at.wire() for _ in range(4)]
    for wire in wires:  # all four servers can still be had at once
        assert wire.query("BEGIN").status == "T"
    for wire in wires:
        wire.close()
