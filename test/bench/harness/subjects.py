"""What is measured, and the servers behind it. Each starts in a lab and then has `port` and `pid`."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from . import lab as lab_module
from .lab import Unusable, free_port, program, unprivileged_user, wait_for_port

USER = PASSWORD = DATABASE = "bench"


def write(path, text, user=None, mode=0o644):
    path.write_text(text)
    path.chmod(mode)
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


class Canned:
    """The Postgres without a database."""

    name = "canned"

    def __init__(self, lab, *extra):
        self.port = free_port()
        arguments = [program("canned_server"), "--listen", f"127.0.0.1:{self.port}", "--auth", "scram"]
        self.process = lab.start("canned_server", arguments + list(extra), cpus=lab.cores.others)
        wait_for_port(self.port, self.process)
        self.pid = self.process.pid


class Postgres:
    """A throwaway cluster of Debian's Postgres 15, with the database and user `bench`."""

    name = "postgres"

    def __init__(self, lab, max_connections=200, *, settings=()):
        self.bin = Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))
        if not (self.bin / "initdb").exists():
            raise Unusable(f"there is no Postgres 15 in {self.bin}")
        self.lab = lab
        user = unprivileged_user()
        folder = lab.subfolder("postgres", user)
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


class PgBouncer:
    """Debian's PgBouncer in transaction mode."""

    name = "pgbouncer"
    holds_server_per_client = False

    def __init__(self, lab, server, pool_size):
        binary = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if binary is None:
            raise Unusable("pgbouncer is not installed")
        text = subprocess.run([binary, "-V"], capture_output=True, text=True).stdout
        self.version = re.search(r"(\d+)\.(\d+)(\.\d+)?", text).group(0)
        major, minor = map(int, self.version.split(".")[:2])
        self.prepares = (major, minor) >= (1, 21)
        user = unprivileged_user()
        self.port = free_port()
        folder = lab.subfolder(f"pgbouncer-{self.port}", user)
        users = write(folder / "userlist.txt", f'"{USER}" "{PASSWORD}"\n', user, 0o600)
        config = write(folder / "pgbouncer.ini", f"""
[databases]
{DATABASE} = host=127.0.0.1 port={server.port} dbname={DATABASE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 19000
log_connections = 0
log_disconnections = 0
log_stats = 0
{"max_prepared_statements = 200" if self.prepares else ""}
""", user)
        self.process = lab.start(f"pgbouncer-{server.name}", [binary, config], cpus=lab.cores.proxy, user=user,
                                 how=signal.SIGTERM, cwd=folder)
        wait_for_port(self.port, self.process)
        self.pid = self.process.pid

    def cannot(self, mode):
        if mode == "prepared" and not self.prepares:
            return f"PgBouncer {self.version} has no prepared statements in transaction mode (1.21 was the first)"
        return None


class Penstock:
    """The pooler of this repository, on one kind of event loop."""

    holds_server_per_client = False

    def __init__(self, lab, server, pool_size, *, backend="io_uring", workers=1, settings=""):
        self.name = "penstock" if backend == "io_uring" else f"penstock-{backend}"
        binary = Path(os.environ.get("PENSTOCK_BINARY", lab_module.BUILD_DIR / "penstock"))
        if not binary.exists():
            raise Unusable(f"penstock is not built ({binary})")
        self.port = free_port()
        folder = lab.subfolder(f"{self.name}-{self.port}")
        config = write(folder / "penstock.toml", f"""
[server]
workers = {workers}
io_backend = "{backend}"
catalog = "{folder}/catalog.db"
[[listener]]
address = "127.0.0.1"
port = {self.port}
[pool]
size = {pool_size}
max_clients = 300000
connects_per_second = 10000
[log]
connections = false
disconnections = false
{settings}
""")
        where = ["--config", config]
        self._run(lab, [binary, "tenant", "add", "default", "--host", f"127.0.0.1:{server.port}", *where])
        self._run(lab, [binary, "user", "add", USER, "--password-stdin", *where], PASSWORD + "\n")
        self.process = lab.start(f"{self.name}-{server.name}", [binary, "serve", *where], cpus=lab.cores.proxy)
        wait_for_port(self.port, self.process)
        self.pid = self.process.pid

    @staticmethod
    def _run(lab, arguments, text=""):
        done = subprocess.run(lab.command(arguments), input=text, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise Unusable(f"{Path(arguments[0]).name} {arguments[1]}: {(done.stderr or done.stdout).strip()[-300:]}")

    def cannot(self, _mode):
        return None


class Relay:
    """Bytes one to one: the limit of the machine."""

    holds_server_per_client = True

    def __init__(self, lab, server, _pool_size, *, kind="uring"):
        self.name = f"relay-{kind}"
        self.port = free_port()
        self.process = lab.start(
            f"{self.name}-{server.name}",
            [program(f"relay_{kind}"), "--listen", f"127.0.0.1:{self.port}", "--target", f"127.0.0.1:{server.port}"],
            cpus=lab.cores.proxy,
        )
        wait_for_port(self.port, self.process)
        self.pid = self.process.pid

    def cannot(self, _mode):
        return None


SUBJECTS = {
    "relay-uring": lambda lab, server, size: Relay(lab, server, size, kind="uring"),
    "relay-epoll": lambda lab, server, size: Relay(lab, server, size, kind="epoll"),
    "pgbouncer": PgBouncer,
    "penstock": lambda lab, server, size: Penstock(lab, server, size, backend="io_uring"),
    "penstock-epoll": lambda lab, server, size: Penstock(lab, server, size, backend="epoll"),
}
