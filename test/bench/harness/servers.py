"""What stands behind the subjects: the canned server and a throwaway Postgres.

Each has `port`, `pid`, `address()` and `verifier`: what it stores of the password. A pooler that was given the same can log
in with what the client has proved.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from . import secrets
from .lab import Unusable, free_port, program, unprivileged_user, wait_for_port

USER = PASSWORD = DATABASE = "bench"


class Address(NamedTuple):
    """A host (or, beginning with '/', the folder of a Unix socket) and a port."""

    host: str
    port: int

    @property
    def text(self):
        """As the benchmark programs take it."""
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else f"{self.host}:{self.port}"


def write(path, text, user=None, mode=0o644):
    path.write_text(text)
    path.chmod(mode)
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


class Server:
    """Common to both: where it listens."""

    def address(self, transport="tcp"):
        return Address(str(self.folder) if transport == "unix" else "127.0.0.1", self.port)


class Canned(Server):
    """The Postgres without a database."""

    name = "canned"
    verifier = secrets.scram_verifier(PASSWORD)

    def __init__(self, lab, *extra, threads=None):
        self.port = free_port()
        self.folder = lab.subfolder(f"canned-{self.port}")
        socket = self.address("unix").text
        arguments = [program("canned_server"), "--listen", self.address().text, "--listen", socket, "--auth", "scram",
                     "--threads", threads or lab.cores.load_threads]
        self.process = lab.start(f"canned-{self.port}", arguments + list(extra), cpus=lab.cores.others)
        wait_for_port(self.port, self.process)
        os.chmod(socket, 0o777)  # PgBouncer comes as somebody else
        self.pid = self.process.pid

    def stats(self):
        """What it has counted so far."""
        seen = self.process.log.stat().st_size
        self.process.send_signal(signal.SIGUSR1)
        for _ in range(200):
            time.sleep(0.01)
            lines = self.process.log.read_bytes()[seen:].decode().splitlines(keepends=True)
            if lines and lines[-1].endswith("\n"):
                return json.loads(lines[-1])
        raise Unusable("the canned server does not say what it has counted")


class Postgres(Server):
    """A throwaway cluster of Debian's Postgres 15, with the database and user `bench`."""

    name = "postgres"

    def __init__(self, lab, max_connections=200, *, settings=()):
        self.bin = Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))
        if not (self.bin / "initdb").exists():
            raise Unusable(f"there is no Postgres 15 in {self.bin}")
        self.lab = lab
        user = unprivileged_user()
        self.folder = folder = lab.subfolder("postgres", user)
        self.port = free_port()
        password = write(folder / "password", PASSWORD + "\n", user, 0o600)
        made = subprocess.run(
            lab.command(
                [self.bin / "initdb", "-D", folder / "data", "-U", USER, f"--pwfile={password}", "--no-sync",
                 "--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"], user=user,
            ), capture_output=True, text=True, cwd=folder,
        )
        if made.returncode != 0:
            raise Unusable(f"initdb failed: {made.stderr[-300:]}")
        options = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", f"max_connections={max_connections}",
                   "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "shared_buffers=256MB",
                   "log_min_messages=fatal", "autovacuum=off", *settings]
        arguments = [self.bin / "postgres", "-D", folder / "data", "-p", self.port]
        for option in options:
            arguments += ["-c", option]
        self.process = lab.start("postgres", arguments, cpus=lab.cores.others, user=user, how=signal.SIGINT, cwd=folder)
        self.pid = self.process.pid
        wait_for_port(self.port, self.process)
        self.query("CREATE DATABASE bench", database="postgres", retries=50)
        self.query("CREATE TABLE bench_sink (line text)")
        self.verifier = self.query(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{USER}'")

    def query(self, sql, database=DATABASE, retries=0):
        for attempt in range(retries + 1):
            answer = subprocess.run(
                [self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql,
                 f"host=127.0.0.1 port={self.port} user={USER} password={PASSWORD} dbname={database}"],
                capture_output=True, text=True, timeout=60,
            )
            if answer.returncode == 0:
                return answer.stdout.strip()
            subprocess.run(["sleep", "0.1"])
        raise Unusable(f"psql: {answer.stderr.strip()}")


SERVERS = {"canned": Canned, "postgres": Postgres}
