"""Sessions of small pools settle together on one worker: nothing of a client may get lost on the way there."""

from __future__ import annotations

import threading

import pytest

from postgres import ROLES
from wire import Wire, query

WORKERS = 4


@pytest.mark.penstock
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_requests_sent_at_once_after_the_greeting(pooler_of, tls: bool, mode: str):
    at = pooler_of({"pool.size": 8, "pool.mode": mode, "server.workers": WORKERS}).endpoint(tls=tls)
    failures: list[object] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                with at.wire(application_name=f"app {number}") as wire:
                    token = f"{number}.{turn}"
                    wire.send(*[query(f"SELECT '{token}.{i}', current_setting('application_name')") for i in range(3)])
                    for i in range(3):
                        rows = wire.reply().rows
                        if rows != [[f"{token}.{i}".encode(), f"app {number}".encode()]]:
                            failures.append((token, rows))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures[:3]


@pytest.mark.penstock
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_cancel_finds_a_session_that_has_moved(pooler_of, tls: bool):
    at = pooler_of({"pool.size": 2, "server.workers": WORKERS}).endpoint(tls=tls)
    for _ in range(WORKERS * 2):
        with at.wire() as wire:
            wire.send(query("SELECT pg_sleep(20)"))
            assert wire.quiet(0.1)
            wire.cancel()
            assert wire.reply().errors[0]["C"] == "57014"
            assert wire.value("SELECT 1") == "1"


@pytest.mark.penstock
def test_servers_go_where_clients_wait(pooler_of):
    # A pool larger than one worker's share, with clients on all of them: servers go where clients wait.
    at = pooler_of({"pool.size": 9, "server.workers": WORKERS}).endpoint()
    wires = [at.wire() for _ in range(30)]
    for turn in range(3):
        for number, wire in enumerate(wires):
            wire.send(query(f"SELECT {turn}, {number}"))
        for number, wire in enumerate(wires):
            assert wire.reply().rows == [[str(turn).encode(), str(number).encode()]]
    for wire in wires:
        wire.close()


@pytest.mark.penstock
def test_limits_hold_for_sessions_that_have_moved(pooler_of):
    import psycopg
    pooler = pooler_of({"pool.size": 2, "server.workers": WORKERS, "pool.max_clients": 10})
    for _ in range(3):
        held = [pooler.endpoint().connect() for _ in range(10)]
        with pytest.raises(psycopg.OperationalError, match="no more connections allowed"):
            pooler.endpoint().connect()
        for connection in held:
            connection.close()
        # Leaving is noticed a moment later.
        for _ in range(50):
            try:
                pooler.endpoint().connect().close()
                break
            except psycopg.OperationalError:
                threading.Event().wait(0.05)


@pytest.mark.penstock
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_more_than_a_session_may_hold_behind_the_log_in(pooler_of, tls: bool):
    """Sent with the last message of the log-in, before the session can have moved."""
    pooler = pooler_of({"pool.size": 2, "server.workers": WORKERS})
    text = "x" * 400_000
    for _ in range(WORKERS * 3):
        with Wire("127.0.0.1", pooler.port) as wire:
            if tls:
                wire.start_tls()
            passwords = 0
            plain_send = wire.send

            def send(*pieces: bytes) -> None:
                nonlocal passwords
                raw = b"".join(pieces)
                passwords += raw[:1] == b"p"
                if raw[:1] == b"p" and passwords == 2:
                    raw += query(f"SELECT length('{text}')") + query("SELECT 2")
                plain_send(raw)

            wire.send = send  # type: ignore[method-assign]
            wire.login("app", ROLES["app"], "app")
            assert wire.reply().rows == [[str(len(text)).encode()]]
            assert wire.reply().rows == [[b"2"]]
    assert pooler.alive()
