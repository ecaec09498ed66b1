"""Real Postgres servers for the tests: several versions, started from a template data directory, thrown away after.

Postgres refuses to run as root, so when we are root its processes run as the first unprivileged account that exists.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psycopg

from certs import Authority, Pair, owned_copy

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache" / "e2e"
DEBIAN_VERSION = "15"
ALL_VERSIONS = ("11", "12", "13", "14", "15", "16", "17", "18")

# Roles that every test server has. The secrets are as public as this file.
APP_PASSWORD = "app-secret"
ROLES = {
    "app": APP_PASSWORD,          # SCRAM, owns database app
    "other": "other-secret",      # SCRAM, a second ordinary user
    "md5user": "md5-secret",      # md5
    "plainuser": "plain-secret",  # the server asks for cleartext
    "repl": "repl-secret",        # may replicate
    "limited": "limited-secret",  # CONNECTION LIMIT 1
    "tlsonly": "tls-secret",      # refused without TLS
    "notls": "notls-secret",      # refused with TLS
}

_HBA = """
local     all          postgres                 trust
host      all          postgres  127.0.0.1/32   trust
hostssl   all          certuser  all            cert
host      all          trusted   all            trust
local     all          trusted                  trust
host      all          md5user   all            md5
local     all          md5user                  md5
host      all          plainuser all            password
hostssl   all          tlsonly   all            scram-sha-256
hostnossl all          tlsonly   all            reject
hostssl   all          notls     all            reject
hostnossl all          notls     all            scram-sha-256
local     replication  repl                     scram-sha-256
host      replication  repl      all            scram-sha-256
local     all          all                      scram-sha-256
host      all          all       all            scram-sha-256
"""

_CONF = """
listen_addresses = '127.0.0.1,::1'
unix_socket_directories = '{run}'
port = {port}
max_connections = {max_connections}
shared_buffers = 32MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
wal_level = logical
max_wal_senders = 6
max_replication_slots = 6
max_prepared_transactions = 5
ssl = on
ssl_cert_file = '{cert}'
ssl_key_file = '{key}'
ssl_ca_file = '{ca}'
password_encryption = 'scram-sha-256'
log_min_messages = info
log_line_prefix = '%m [%p] %q%u@%d/%a '
timezone = 'UTC'
lc_messages = 'C'
"""

_ROLES_SQL = """
CREATE ROLE app LOGIN PASSWORD 'app-secret';
CREATE ROLE other LOGIN PASSWORD 'other-secret';
CREATE ROLE plainuser LOGIN PASSWORD 'plain-secret';
CREATE ROLE repl LOGIN REPLICATION PASSWORD 'repl-secret';
CREATE ROLE limited LOGIN CONNECTION LIMIT 1 PASSWORD 'limited-secret';
CREATE ROLE tlsonly LOGIN PASSWORD 'tls-secret';
CREATE ROLE notls LOGIN PASSWORD 'notls-secret';
CREATE ROLE trusted LOGIN;
CREATE ROLE certuser LOGIN;
SET password_encryption = 'md5';
CREATE ROLE md5user LOGIN PASSWORD 'md5-secret';
RESET password_encryption;
GRANT pg_read_all_stats TO app;
"""


def unprivileged() -> pwd.struct_passwd | None:
    """The account that Postgres runs as; None when we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("running as root, and there is neither a 'postgres' nor a 'nobody' account for Postgres")


def as_unprivileged(command: list[str], dies_with_us: str = "") -> list[str]:
    """The command as the unprivileged account; `dies_with_us`: the signal it gets when this process dies."""
    account = unprivileged()
    bound = [f"--pdeathsig={dies_with_us}"] if dies_with_us else []
    if account is None:
        return ["setpriv", *bound, "--", *command] if bound else command
    return ["setpriv", *bound, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--", *command]


def free_port() -> int:
    """A TCP port that nobody listens on, for both address families."""
    for _ in range(50):
        with socket.socket(socket.AF_INET) as v4, socket.socket(socket.AF_INET6) as v6:
            v4.bind(("127.0.0.1", 0))
            port = v4.getsockname()[1]
            try:
                v6.bind(("::1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def binaries(version: str) -> Path | None:
    """The bin directory of a major version, or None when it is not installed."""
    debian = Path(f"/usr/lib/postgresql/{version}/bin")
    if (debian / "postgres").exists():
        return debian
    npm = CACHE / "postgres_versions" / "node_modules" / f"pg{version}" / "native"
    if not (npm / "bin" / "postgres").exists():
        return None
    return _reachable(version, npm) / "bin"


def _reachable(version: str, native: Path) -> Path:
    """The npm package with its library links made, where the unprivileged account can read it."""
    listing = native / "pg-symlinks.json"
    if listing.exists():
        for link in json.loads(listing.read_text()):
            target = native.parent / link["target"]
            if not target.is_symlink() and not target.exists():
                target.symlink_to(Path(link["source"]).name)
    for program in (native / "bin").iterdir():
        program.chmod(0o755)
    if subprocess.run(as_unprivileged(["test", "-x", str(native / "bin" / "postgres")])).returncode == 0:
        return native
    copy = Path(f"/var/tmp/penstock-e2e-pg{version}")
    if not (copy / "bin").exists():
        shutil.copytree(native, copy, symlinks=True)
    return copy


def _template(version: str, bin_dir: Path, scratch: Path) -> Path:
    """An initialised data directory with our roles in it, made once per version and run."""
    target = scratch / f"template-{version}"
    if (target / "ready").exists():
        return target
    _owned_directory(target)
    data = target / "data"
    _run([str(bin_dir / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C",
          "--no-sync"])
    # Single-user mode needs no port and no second process to watch.
    sql = "".join(line.strip() + "\n" for line in _ROLES_SQL.strip().splitlines()) + "CREATE DATABASE app OWNER app;\n"
    single = as_unprivileged([str(bin_dir / "postgres"), "--single", "-D", str(data), "-c", "fsync=off",
                              "-c", "password_encryption=scram-sha-256", "postgres"])
    done = subprocess.run(single, input=sql, capture_output=True, text=True, cwd="/")
    if done.returncode != 0 or "ERROR" in done.stderr:
        raise RuntimeError(f"cannot create roles in Postgres {version}: {done.stdout}{done.stderr}")
    (target / "ready").touch()
    return target


def _owned_directory(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    account = unprivileged()
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def _run(command: list[str]) -> None:
    done = subprocess.run(as_unprivileged(command), capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


class Postgres:
    """One server on its own port, data directory and socket directory."""

    def __init__(self, scratch: Path, ca: Authority, server_pair: Pair, *, version: str = DEBIAN_VERSION,
                 max_connections: int = 100, conf: str = "", hba: str = ""):
        bin_dir = binaries(version)
        if bin_dir is None:
            raise FileNotFoundError(f"Postgres {version} is not installed: run test/e2e/setup.sh")
        self.version = version
        self.major = int(version)
        self.host = "127.0.0.1"
        self.port = free_port()
        self.bin_dir = bin_dir
        self.ca = ca
        template = _template(version, bin_dir, scratch)
        number = 0
        while (scratch / f"pg{version}-{number}").exists():
            number += 1
        self.directory = scratch / f"pg{version}-{number}"
        _owned_directory(self.directory)
        self.run_directory = self.directory / "run"
        _owned_directory(self.run_directory)
        self.run_directory.chmod(0o755)
        self.data = self.directory / "data"
        _run(["cp", "-a", str(template / "data"), str(self.data)])
        account = unprivileged()
        owner = account.pw_uid if account else None
        pair = owned_copy(server_pair, self.directory, owner)
        ca_file = self.directory / "ca.crt"
        shutil.copy(ca.cert, ca_file)
        ca_file.chmod(0o644)
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(_CONF.format(run=self.run_directory, port=self.port, max_connections=max_connections,
                                    cert=pair.cert, key=pair.key, ca=ca_file) + conf)
        (self.data / "pg_hba.conf").write_text(hba + _HBA)
        self.log_path = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Postgres":
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                as_unprivileged([str(self.bin_dir / "postgres"), "-D", str(self.data)], "QUIT"), stdout=log, stderr=log,
                cwd="/", start_new_session=True)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connect().close()
                return self
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Postgres {self.version} does not start:\n{self.log_path.read_text()}") from None
                time.sleep(0.05)

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def connect(self, dbname: str = "postgres", user: str = "postgres", **more: object) -> psycopg.Connection:
        """A direct connection past the pooler, as superuser over the Unix socket."""
        return psycopg.connect(host=str(self.run_directory), port=self.port, dbname=dbname, user=user,
                               autocommit=True, connect_timeout=10, **more)

    def sql(self, statement: str, args: tuple = (), dbname: str = "postgres") -> list[tuple]:
        with self.connect(dbname) as connection:
            cursor = connection.execute(statement, args or None)
            return cursor.fetchall() if cursor.description else []

    def backends(self, where: str = "true") -> list[dict]:
        """Client backends other than our own probe."""
        with self.connect() as connection:
            cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
            cursor.execute("SELECT pid, usename, datname, application_name, state, query, backend_type "
                           "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
                           f"backend_type IN ('client backend', 'walsender') AND ({where})")
            return cursor.fetchall()

    def wait_backends(self, where: str, count: int, timeout: float = 5.0) -> list[dict]:
        """Waits until exactly `count` backends match; returns what is there at the end either way."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.backends(where)
            if len(found) == count or time.monotonic() > deadline:
                return found
            time.sleep(0.03)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")
