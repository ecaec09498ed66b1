"""`penstock top`: once for scripts, and live on a pseudo terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

from api import Api, api_settings, token
from pooler import Pooler, default_tenant
from postgres import free_port
from wire import query

pytestmark = pytest.mark.penstock


@pytest.fixture
def watched(pooler_of, pg, tmp_path):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port) | {"pool.size": 1, "log.slow_query": "100ms"},
                       tenants=[default_tenant(pg)])
    Api(port)
    key = tmp_path / "token"
    key.write_text(token())
    pooler.top = ["top", "--api", f"http://127.0.0.1:{port}", "--token-file", str(key)]  # type: ignore[attr-defined]
    return pooler


def top(pooler: Pooler, *args: str, code: int = 0) -> str:
    done = subprocess.run([str(pooler.program), *pooler.top, *args], capture_output=True, text=True,  # type: ignore[attr-defined]
                          timeout=30)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_once_for_scripts(watched):
    at = watched.endpoint()
    stop = threading.Event()

    def work() -> None:
        with at.wire() as wire:
            while not stop.is_set():
                wire.query("SELECT 1")

    with at.wire() as sleeper, watched.endpoint(user="other").wire() as other:
        other.query("SELECT 1")
        worker = threading.Thread(target=work)
        worker.start()
        shown = top(watched, "--once", "--interval", "500ms")
        stop.set()
        worker.join()
        rows = [line.split() for line in shown.splitlines() if line.startswith("default")]
        assert [row[1] for row in rows[:1]] == ["app"], shown
        assert float(rows[0][3]) > 10, "queries per second"
        assert re.search(r"workers \d+ %", shown) and "ready" in shown
        # Who waits, and for how long.
        with at.wire() as waiting:
            sleeper.send(query("SELECT pg_sleep(2)"))
            time.sleep(0.2)
            waiting.send(query("SELECT 1"))
            shown = top(watched, "--once", "--interval", "300ms", "--sort", "longest")
            row = next(line.split() for line in shown.splitlines() if line.startswith("default"))
            assert row[1] == "app" and row[6] == "1" and row[7].endswith("s") and row[9] == "1", shown
            sleeper.reply()
            waiting.reply()
    time.sleep(0.2)
    assert re.search(r"default +app +\d+ +\S+ +SELECT pg_sleep\(\$1\)", top(watched, "--once", "--show", "slow"))
    tenants = top(watched, "--once", "--interval", "100ms", "--show", "tenants", "--tenant", "default")
    assert "DATABASE" not in tenants and re.search(r"^default ", tenants, re.MULTILINE)
    shown = top(watched, "--once", "--interval", "100ms", "--filter", "OTH")
    assert re.search(r"^default +other ", shown, re.MULTILINE) and not re.search(r"^default +app ", shown, re.MULTILINE)


def test_mistakes_are_told(watched, tmp_path):
    assert "there is no column" in top(watched, "--once", "--sort", "x", code=2)
    assert "100ms to 1min" in top(watched, "--once", "--interval", "0", code=2)
    (tmp_path / "token").write_text("nonsense\n")
    assert "status 403" in top(watched, "--once", code=1)
    (tmp_path / "token").write_text(token())
    done = subprocess.run([str(watched.program), *watched.top], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "there is no terminal" in done.stderr and "--once" in done.stderr


class Terminal:
    """`penstock top` on a pseudo terminal."""

    def __init__(self, pooler: Pooler, *args: str, size: tuple[int, int] = (24, 100)):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(*size, told=False)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen([str(pooler.program), *pooler.top, "--interval", "200ms", *args],  # type: ignore[attr-defined]
                                        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.seen = ""

    def resize(self, rows: int, columns: int, told: bool = True) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if told:
            self.process.send_signal(signal.SIGWINCH)

    def read(self, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        fresh = ""
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                fresh += os.read(self.master, 65536).decode(errors="replace")
        self.seen += fresh
        return fresh

    def wait(self, text: str, seconds: float = 5) -> str:
        deadline = time.monotonic() + seconds
        fresh = ""
        while text not in fresh:
            assert time.monotonic() < deadline, f"no {text!r} in {fresh[-2000:]!r}"
            fresh += self.read(0.1)
        return fresh

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def screen(self) -> list[str]:
        """The lines drawn last."""
        frame = self.read(0.6).split("\033[H")[-2]
        return re.sub(r"\033\[[0-9;?]*[a-zA-Z]", "", frame).split("\r\n")

    def end(self, seconds: float = 3) -> int:
        code = self.process.wait(seconds)
        self.read(0.2)
        assert self.seen.count("\033[?1049h") == 1 and self.seen.rstrip().endswith("\033[?1049l"), self.seen[-200:]
        assert "\033[?25h" in self.seen.split("\033[?1049h")[-1]
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is as it was"
        os.close(self.master)
        os.close(self.slave)
        return code


def test_live_on_a_terminal(watched):
    with watched.endpoint().wire() as wire, watched.endpoint(user="other").wire() as other:
        wire.query("SELECT pg_sleep(0.2)")
        other.query("SELECT 1")
        terminal = Terminal(watched)
        terminal.wait("QPS")
        lines = terminal.screen()
        assert len(lines) <= 24 and all(len(line) <= 100 for line in lines)
        assert any(re.match(r"default +app ", line) for line in lines)
        terminal.resize(10, 60)
        lines = terminal.screen()
        assert len(lines) <= 10 and all(len(line) <= 60 for line in lines) and len(lines[0]) == 60
        terminal.resize(40, 150)
        assert "SLOW/S" in terminal.wait("SLOW/S")
        terminal.press("/oth")
        terminal.wait("filter: oth_")
        terminal.press("\r")
        lines = terminal.screen()
        assert any(" other " in line for line in lines) and not any(re.match(r"default +app ", line) for line in lines)
        terminal.press("\033")
        terminal.press("s")
        terminal.wait("pg_sleep($1)")
        terminal.press("h")
        terminal.wait("slow queries")
        terminal.press("t>")
        terminal.wait("tenants by mean_ms")
        terminal.press("\033[B\033[6~\033[99~")
        terminal.press("q")
        assert terminal.end() == 0


@pytest.mark.parametrize("how", ["ctrl-c", "SIGTERM", "SIGHUP"])
def test_the_terminal_is_restored_however_it_ends(watched, how):
    terminal = Terminal(watched)
    terminal.wait("QPS")
    if how == "ctrl-c":
        terminal.press("\x03")
    else:
        terminal.process.send_signal(getattr(signal, how))
    assert terminal.end() == 0


def test_it_goes_on_while_the_server_is_away(watched):
    terminal = Terminal(watched)
    terminal.wait("QPS")
    watched.stop()
    terminal.wait("could not be reached")
    watched.launch()
    deadline = time.monotonic() + 8
    while "could not be reached" in "".join(terminal.screen()):
        assert time.monotonic() < deadline
    terminal.press("q")
    assert terminal.end() == 0
