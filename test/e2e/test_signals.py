"""SIGHUP, SIGTERM, SIGQUIT: what clients see of them."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time

import psycopg
import pytest

from pooler import binary
from postgres import free_port
from wire import Closed, ServerError, query

pytestmark = pytest.mark.penstock


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def test_a_second_server_on_the_same_port_does_not_start(pooler_of, tmp_path):
    pooler = pooler_of()
    second = subprocess.run([pooler.program, "serve", "--catalog", str(tmp_path / "second.db"),
                             "--set", f"listeners=127.0.0.1:{pooler.port}"],
                            capture_output=True, text=True, timeout=15, check=False)
    assert second.returncode == 1
    assert "already in use" in second.stderr


def test_a_pid_file_that_cannot_be_written_is_told(pooler_of, tmp_path):
    done = subprocess.run([pooler_of().program, "serve", "--catalog", str(tmp_path / "own.db"),
                           "--set", f"listeners=127.0.0.1:{free_port()}", "--set", f"server.pid_file={tmp_path}/no/pid"],
                          capture_output=True, text=True, timeout=15, check=False)
    assert done.returncode == 1
    assert "could not write" in done.stderr


def test_a_pid_file_belongs_to_one_server(pooler_of, tmp_path):
    pid_file = tmp_path / "penstock.pid"
    first = pooler_of({"server.pid_file": str(pid_file)})
    assert pid_file.read_text() == f"{first.pid}\n"
    second = subprocess.run([first.program, "serve", "--catalog", str(tmp_path / "second.db"),
                             "--set", f"listeners=127.0.0.1:{free_port()}", "--set", f"server.pid_file={pid_file}"],
                            capture_output=True, text=True, timeout=15, check=False)
    assert second.returncode == 1
    assert f"Its process is {first.pid}." in second.stderr
    assert pid_file.read_text() == f"{first.pid}\n"
    first.stop()
    first.expect_dead = True
    assert not pid_file.exists()


def test_the_last_line_is_why_it_did_not_start(pooler_of, tmp_path):
    pooler = pooler_of()
    for _ in range(20):
        done = subprocess.run([pooler.program, "serve", "--catalog", str(tmp_path / "own.db"),
                               "--set", f"listeners=127.0.0.1:{free_port()}", "--set", f"api.port={pooler.port}"],
                              capture_output=True, text=True, timeout=15, check=False)
        assert done.returncode == 1
        assert "api.no_keys" in done.stderr
        assert "already in use" in done.stderr.splitlines()[-1]


def test_sighup_changes_settings_and_drops_nobody(pooler_of):
    pooler = pooler_of({"timeouts.query": "0"})
    at = pooler.endpoint()
    with at.wire() as idle, at.wire() as busy:
        busy.send(query("SELECT pg_sleep(1)::text || 'kept'"))
        pooler.settings["timeouts.query"] = "300ms"
        pooler.reload()
        assert idle.value("SELECT 1") == "1"
        busy.read_until("Z")
        with at.wire() as wire:
            wire.send(query("SELECT pg_sleep(5)"))
            assert wire.expect_error()["C"] == "57014"


def test_sighup_with_a_broken_file_keeps_everything(pooler_of):
    pooler = pooler_of()
    good = pooler.config_path.read_text()
    pooler.config_path.write_text(good + "\n[pool]\nsize = \n")
    before = len(pooler.log())
    pooler.signal(signal.SIGHUP)
    pooler.wait_log("penstock.toml", start=before)
    with pooler.endpoint().wire() as wire:
        assert wire.value("SELECT 1") == "1"


def test_sighup_storm_under_load(pooler_of):
    pooler = pooler_of()
    with pooler.endpoint().wire() as wire:
        for number in range(100):
            if number % 5 == 0:
                pooler.signal(signal.SIGHUP)
            assert wire.value(f"SELECT {number}") == str(number)


def test_sigterm_ends_idle_clients_with_57p01(pooler_of):
    pooler = pooler_of()
    pooler.expect_dead = True
    with pooler.endpoint().wire() as idle:
        idle.value("SELECT 1")
        pooler.signal(signal.SIGTERM)
        fields = idle.expect_error()
        assert (fields["C"], fields["S"]) == ("57P01", "FATAL")
        assert idle.at_end()
    assert pooler.wait_exit(5) == 0


def test_sigterm_lets_transactions_finish(pooler_of):
    pooler = pooler_of()
    pooler.expect_dead = True
    at = pooler.endpoint()
    with at.wire() as wire, at.wire() as running:
        wire.query("BEGIN")
        running.send(query("SELECT pg_sleep(1)::text || 'finished'"))
        time.sleep(0.1)
        pooler.signal(signal.SIGTERM)
        time.sleep(0.3)
        assert wire.value("SELECT 'still in'") == "still in"
        assert not listening(pooler.port)
        reply = running.reply()
        assert reply.rows == [[b"finished"]]
        assert running.expect_error()["C"] == "57P01"
        assert wire.query("COMMIT").tags == ["COMMIT"]
        assert wire.expect_error()["C"] == "57P01"
    assert pooler.wait_exit(5) == 0


def test_sigterm_gives_up_after_the_drain_time(pooler_of, pg):
    pooler = pooler_of({"timeouts.drain": "1s"})
    pooler.expect_dead = True
    with pooler.endpoint().wire(application_name="drained") as wire:
        wire.query("BEGIN")
        begun = time.monotonic()
        pooler.signal(signal.SIGTERM)
        fields = wire.expect_error()
        assert fields["C"] == "57P01"
        assert 0.5 < time.monotonic() - begun < 4
    assert pooler.wait_exit(5) is not None
    assert not pg.wait_backends("application_name = 'drained'", 0)


def test_second_sigterm_ends_at_once(pooler_of):
    pooler = pooler_of()
    pooler.expect_dead = True
    with pooler.endpoint().wire() as wire:
        wire.query("BEGIN")
        pooler.signal(signal.SIGTERM)
        time.sleep(0.3)
        pooler.signal(signal.SIGTERM)
        assert pooler.wait_exit(3) is not None


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM]],
                         ids=["at-once", "after-the-drain-time", "second-sigterm"])
@pytest.mark.parametrize("transaction", [False, True], ids=["autocommit", "transaction"])
def test_what_runs_at_the_end_is_cancelled(pooler_of, pg, signals, transaction):
    """Clients that hear 57P01 send their statement again elsewhere: it must not be done by both."""
    pooler = pooler_of({"timeouts.drain": "500ms" if len(signals) == 1 else "30s"})
    pooler.expect_dead = True
    name = f"ended_{len(signals)}_{signals[0].name}_{transaction}".lower()
    with pooler.endpoint().wire(application_name=name) as wire:
        wire.query(f"CREATE TABLE {name} AS SELECT 0 AS n WHERE false")
        if transaction:
            wire.query("BEGIN")
        wire.send(query(f"INSERT INTO {name} SELECT 1 FROM pg_sleep(3)"))
        assert pg.wait_backends(f"application_name = '{name}' AND state = 'active'", 1)
        for number in signals:
            pooler.signal(number)
            time.sleep(0.1)
        assert wire.expect_error()["C"] == "57P01"
    assert pooler.wait_exit(5) == 0
    # Not that they end by and by: there are none when the process has gone.
    assert not pg.wait_backends(f"application_name = '{name}'", 0, 0.5)
    assert pg.sql(f"SELECT count(*) FROM {name}", dbname="app") == [(0,)]
    pg.sql(f"DROP TABLE {name}", dbname="app")


def test_sigquit_stops_now(pooler_of):
    pooler = pooler_of()
    pooler.expect_dead = True
    with pooler.endpoint().wire(application_name="quit") as wire:
        wire.send(query("SELECT pg_sleep(2)"))
        time.sleep(0.1)
        pooler.signal(signal.SIGQUIT)
        assert pooler.wait_exit(3) is not None
        with pytest.raises((ServerError, Closed, ConnectionError, AssertionError)):
            wire.expect_error() and wire.read()
            raise Closed


def test_busy_clients_hear_why_they_are_ended(pooler_of):
    """Not with an answer in one read: libpq would take it for a notice, and find the connection closed."""
    pooler = pooler_of()
    pooler.expect_dead = True
    ends: list[BaseException] = []

    def ask_without_a_pause() -> None:
        with pooler.endpoint().connect() as connection:
            try:
                while True:
                    connection.execute("SELECT pg_sleep(0.005)")
            except psycopg.Error as error:
                ends.append(error)

    threads = [threading.Thread(target=ask_without_a_pause) for _ in range(10)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    pooler.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    assert [type(end) for end in ends] == [psycopg.errors.AdminShutdown] * 10
    assert pooler.wait_exit(5) == 0


def test_session_mode_clients_are_drained_too(pooler_of):
    pooler = pooler_of()
    pooler.expect_dead = True
    with pooler.endpoint(mode="session").wire() as wire:
        wire.value("SELECT 1")
        pooler.signal(signal.SIGTERM)
        assert wire.expect_error()["C"] == "57P01"
    assert pooler.wait_exit(5) == 0


def test_waiting_clients_are_served_while_draining(pooler_of):
    pooler = pooler_of({"pool.size": 1})
    pooler.expect_dead = True
    at = pooler.endpoint()
    with at.wire() as holder, at.wire() as waiting:
        holder.query("BEGIN")
        waiting.send(query("SELECT 'my turn'"))
        time.sleep(0.1)
        pooler.signal(signal.SIGTERM)
        time.sleep(0.1)
        holder.query("COMMIT")
        got = waiting.read_until("ZE")
        # Served, or sent away with the reason: never left hanging.
        assert got.rows == [[b"my turn"]] or got.errors[0]["C"] == "57P01"
    assert pooler.wait_exit(5) == 0


def test_all_addresses_means_those_of_ipv6_too(tmp_path):
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind(("::", 0))
        other.listen()
        done = subprocess.run([str(binary()), "serve", "--catalog", str(tmp_path / "c.db"),
                               "--set", f"listeners=*:{other.getsockname()[1]}"],
                              capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 1
    assert "already in use" in done.stderr


def test_start_twice_on_the_same_port_fails_clearly(pooler_of):
    import subprocess
    pooler = pooler_of()
    done = subprocess.run([str(pooler.program), "serve", "--config", str(pooler.config_path)], capture_output=True, text=True,
                          timeout=10)
    assert done.returncode != 0
    assert "in use" in (done.stdout + done.stderr).lower()


def test_unix_socket_of_a_dead_process_is_replaced(pooler_of):
    pooler = pooler_of()
    pooler.signal(signal.SIGKILL)
    pooler.wait_exit(5)
    pooler.launch()
    with pooler.unix_endpoint.wire() as wire:
        assert wire.value("SELECT 1") == "1"


def test_sigkill_leaves_no_backend(pooler_of, pg):
    pooler = pooler_of()
    with pooler.endpoint().wire(application_name="killed") as wire:
        wire.value("SELECT 1")
        pooler.signal(signal.SIGKILL)
        pooler.wait_exit(5)
        assert not pg.wait_backends("application_name = 'killed'", 0, 30)
    pooler.expect_dead = True


