"""The pooler under test as a process: its configuration, its tenants, its log, and what must hold when a test is over."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from certs import Authority, Pair
from postgres import APP_PASSWORD, REPOSITORY, ROLES, Postgres, free_port
from wire import Wire

SANITIZER_REPORT = re.compile(r"(ERROR|WARNING): \w*Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|assertion failed",
                              re.IGNORECASE)


def binary() -> Path | None:
    """The program to test: PENSTOCK_BINARY, or the newest build there is."""
    named = os.environ.get("PENSTOCK_BINARY")
    if named:
        return Path(named).resolve()
    built = [path for preset in ("release", "dev", "asan", "tsan")
             if (path := REPOSITORY / "build" / preset / "penstock").exists()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


@dataclass(frozen=True)
class Endpoint:
    """Where and how a client connects; every driver gets its share of this."""
    host: str
    port: int
    user: str = "app"
    password: str | None = APP_PASSWORD
    dbname: str = "app"
    tls: bool = False
    ca: str = ""
    mode: str = "session"
    io: str = "none"

    def but(self, **changes: object) -> "Endpoint":
        return replace(self, **changes)

    @property
    def sslmode(self) -> str:
        return "verify-full" if self.tls else "disable"

    @property
    def tls_host(self) -> str:
        return "localhost" if self.tls and self.host == "127.0.0.1" else self.host

    def params(self, **more: object) -> dict[str, object]:
        """libpq's parameters, as psycopg takes them."""
        found: dict[str, object] = {"host": self.tls_host, "port": self.port, "user": self.user, "dbname": self.dbname,
                                    "sslmode": self.sslmode, "connect_timeout": 6, "gssencmode": "disable"}
        if self.password is not None:
            found["password"] = self.password
        if self.tls:
            found["sslrootcert"] = self.ca
        return {**found, **more}

    def dsn(self, **more: object) -> str:
        return psycopg.conninfo.make_conninfo(**self.params(**more))

    def connect(self, autocommit: bool = True, **more: object) -> psycopg.Connection:
        return psycopg.connect(autocommit=autocommit, **self.params(**more))

    def wire(self, timeout: float = 10.0, **parameters: str) -> Wire:
        """A raw connection that has logged in."""
        wire = Wire(self.host, self.port, timeout)
        try:
            if self.tls:
                wire.start_tls()
            return wire.login(self.user, self.password, self.dbname, **parameters)
        except BaseException:
            wire.close()
            raise

    def env(self) -> dict[str, str]:
        """For libpq programs and for the drivers' test programs."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        env |= {"PGHOST": self.tls_host, "PGPORT": str(self.port), "PGUSER": self.user, "PGDATABASE": self.dbname,
                "PGSSLMODE": self.sslmode, "PGCONNECT_TIMEOUT": "6", "PGGSSENCMODE": "disable", "LC_ALL": "C.UTF-8",
                "E2E_TLS": "1" if self.tls else "0", "E2E_CA": self.ca, "E2E_MODE": self.mode}
        if self.password is not None:
            env["PGPASSWORD"] = self.password
        if self.tls:
            env["PGSSLROOTCERT"] = self.ca
        return env


@dataclass
class Tenant:
    """One `penstock tenant add`: property names as on the command line, without the dashes in front."""
    id: str
    hosts: list[str]
    options: dict[str, str | list[str]] = field(default_factory=dict)
    users: dict[str, dict[str, str]] = field(default_factory=dict)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


class Pooler:
    """One penstock process. Two TCP listeners: `port` (transaction) and `session_port`, and both as Unix sockets.

    `settings` maps "section.key" to values and adds to (or replaces) what every test has.
    """

    def __init__(self, directory: Path, pg: Postgres, pair: Pair, ca: Authority, *, io: str = "epoll",
                 tenants: list[Tenant] | None = None, settings: dict[str, object] | None = None,
                 listeners: list[dict[str, object]] | None = None, open_files: int | None = None):
        program = binary()
        if program is None:
            raise FileNotFoundError("there is no penstock binary: build it, or set PENSTOCK_BINARY")
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        self.directory = directory
        self.program = program
        self.open_files = open_files
        self.pg = pg
        self.io = io
        self.ca = ca
        self.port = free_port()
        self.session_port = free_port()
        self.statement_port = free_port()
        self.config_path = directory / "penstock.toml"
        self.log_path = directory / "log"
        self.settings: dict[str, object] = {
            "server.io_backend": io,
            "server.catalog": str(directory / "penstock.db"),
            "server.workers": int(os.environ.get("PENSTOCK_E2E_WORKERS", "2")),
            "client_tls.mode": "prefer",
            "client_tls.cert_file": str(pair.cert),
            "client_tls.key_file": str(pair.key),
            "client_tls.ca_file": str(ca.cert),
            "client_tls.compact": io == "io_uring",  # so that each of the two is met
            "log.level": "debug",
            "log.events_per_second": 100000,
        } | (settings or {})
        self.listeners = listeners or [
            {"address": "*", "port": self.port},
            {"address": "127.0.0.1", "port": self.session_port, "pool_mode": "session"},
            {"address": "127.0.0.1", "port": self.statement_port, "pool_mode": "statement"},
            {"address": str(directory), "port": self.port},
        ]
        self.tenants = tenants if tenants is not None else [default_tenant(pg), secure_tenant(pg)]
        self._process: subprocess.Popen[bytes] | None = None
        self.expect_dead = False

    # -- what it runs with

    def write_config(self) -> None:
        sections: dict[str, list[str]] = {}
        for name, value in self.settings.items():
            section, key = name.split(".", 1)
            sections.setdefault(section, []).append(f"{key} = {_toml(value)}\n")
        text = "".join(f"[{section}]\n{''.join(lines)}\n" for section, lines in sections.items())
        for listener in self.listeners:
            text += "[[listener]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in listener.items()) + "\n"
        self.config_path.write_text(text)

    def cli(self, *args: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([str(self.program), *args, "--config", str(self.config_path)], capture_output=True,
                              text=True, timeout=30, input=stdin)
        if check and done.returncode != 0:
            raise RuntimeError(f"penstock {' '.join(args)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
        return done

    def add_tenant(self, tenant: Tenant) -> None:
        args = ["tenant", "add", tenant.id]
        for host in tenant.hosts:
            args += ["--host", host]
        # auth_query needs its auth_user, who needs the tenant: so these come last.
        late = {name: value for name, value in tenant.options.items() if name in ("auth-query", "auth-user")}
        self.cli(*args, *_options({name: value for name, value in tenant.options.items() if name not in late}))
        for name, options in tenant.users.items():
            self.add_user(tenant.id, name, options)
        if late:
            self.cli("tenant", "set", tenant.id, *_options(late))

    def add_user(self, tenant: str, name: str, options: dict[str, str]) -> None:
        given = [] if "secret" in options else ["--no-password"]
        self.cli("user", "add", name, "--tenant", tenant, *given, *_options(options))

    # -- its life

    def start(self) -> "Pooler":
        self.write_config()
        catalog = self.directory / "penstock.db"
        if not catalog.exists():
            # Dozens of commands for the same tenants again and again would take longer than the tests themselves.
            same = hashlib.sha256(repr((self.tenants, self.program.stat().st_mtime)).encode()).hexdigest()[:20]
            made_before = self.directory.parent / f"catalog-{same}.db"
            if made_before.exists():
                shutil.copy(made_before, catalog)
            else:
                for tenant in self.tenants:
                    self.add_tenant(tenant)
                if not Path(f"{catalog}-wal").exists():
                    shutil.copy(catalog, made_before)
        return self.launch()

    def launch(self, wait: bool = True) -> "Pooler":
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "PENSTOCK_"))}
        env["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=1:" + env.get("ASAN_OPTIONS", "")
        env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            # It must not outlive a test run that is killed.
            command = ["setpriv", "--pdeathsig=KILL", "--", str(self.program), "serve", "--config", str(self.config_path)]
            if self.open_files is not None:
                command = ["prlimit", f"--nofile={self.open_files}", *command]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
        if wait:
            self.wait_listening()
        return self

    def wait_listening(self) -> None:
        deadline = time.monotonic() + 15
        # Not by connecting alone: the kernel may take a moment to close the sockets of a process that was killed.
        while "server.listening" not in self.log()[self._log_start:]:
            if not self.alive() or time.monotonic() > deadline:
                raise RuntimeError(f"penstock does not start:\n{self.log()[-4000:]}")
            time.sleep(0.02)
        # The listeners open one after the other: all must answer.
        waiting = list(self.listeners)
        while waiting:
            address, port = str(waiting[0]["address"]), waiting[0]["port"]
            try:
                if address.startswith("/"):
                    with socket.socket(socket.AF_UNIX) as probe:
                        probe.connect(f"{address}/.s.PGSQL.{port}")
                elif not address.startswith("@"):
                    host = "127.0.0.1" if address == "*" else address
                    socket.create_connection((host, port), 1).close()  # type: ignore[arg-type]
                waiting.pop(0)
            except OSError:
                if not self.alive() or time.monotonic() > deadline:
                    raise RuntimeError(f"penstock does not start:\n{self.log()[-4000:]}") from None
                time.sleep(0.02)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def reload(self) -> None:
        """Writes the configuration as it is now in `settings` and sends SIGHUP; returns when the log tells of it."""
        self.write_config()
        before = len(self.log())
        self.signal(signal.SIGHUP)
        self.wait_log("reload", start=before)

    def wait_exit(self, timeout: float) -> int | None:
        """The exit status, or None when it still runs after `timeout` seconds."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        if self.alive():
            self.signal(signal.SIGQUIT)

    def stop(self) -> None:
        self.ask_to_stop()
        if self._process is None:
            return
        if self.wait_exit(10) is None:
            assert self._process is not None
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"penstock did not stop within 10 s of SIGQUIT; log: {self.log_path}")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, text: str, timeout: float = 5.0, start: int = 0) -> str:
        """Waits for `text` (any case) in the log behind position `start`; returns that part of the log."""
        deadline = time.monotonic() + timeout
        while True:
            seen = self.log()[start:]
            if text.lower() in seen.lower():
                return seen
            assert time.monotonic() < deadline, f"{text!r} not in the log within {timeout} s:\n{seen[-2000:]}"
            time.sleep(0.02)

    def problems(self) -> list[str]:
        """What must never be, at any moment."""
        found = []
        if not self.alive() and not self.expect_dead:
            status = self._process.returncode if self._process else "never started"
            found.append(f"penstock is dead (status {status})")
        report = SANITIZER_REPORT.search(self.log())
        if report:
            found.append("sanitizer or assertion: " + self.log()[report.start():report.start() + 3000])
        for secret in [password for password in ROLES.values() if password in self.log()]:
            found.append(f"the log shows the secret {secret!r}")
        return found

    # -- ways in

    def endpoint(self, *, mode: str = "transaction", tls: bool = False, user: str = "app", **more: object) -> Endpoint:
        port = {"transaction": self.port, "session": self.session_port, "statement": self.statement_port}[mode]
        return Endpoint(host="127.0.0.1", port=port, user=user, password=more.pop("password", ROLES.get(user)),
                        tls=tls, ca=str(self.ca.cert), mode=mode, io=self.io, **more)  # type: ignore[arg-type]

    @property
    def unix_endpoint(self) -> Endpoint:
        return Endpoint(host=str(self.directory), port=self.port, mode="transaction", io=self.io)

    def rss_kib(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))  # type: ignore[union-attr]


def _options(options: dict[str, str | list[str]] | dict[str, str]) -> list[str]:
    args: list[str] = []
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            args += [f"--{name}", str(one)]
    return args


def users_of(*names: str) -> dict[str, dict[str, str]]:
    return {name: {"secret": ROLES[name]} for name in names}


def default_tenant(pg: Postgres, **options: str | list[str]) -> Tenant:
    """Plain names, plain text to the server."""
    return Tenant("default", [f"{pg.host}:{pg.port}"], {"upstream-tls": "disable", **options},
                  users_of(*ROLES))


def secure_tenant(pg: Postgres, **options: str | list[str]) -> Tenant:
    """`user.secure`: TLS with full verification to the server as well."""
    return Tenant("secure", [f"localhost:{pg.port}"],
                  {"upstream-tls": "verify-full", "upstream-tls-ca-file": str(pg.ca.cert), **options},
                  users_of("app", "other", "md5user"))
