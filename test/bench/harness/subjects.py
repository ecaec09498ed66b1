"""What is measured. Each subject starts in a lab and then has `address`, `pid` and what the load needs (`load`)."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import lab as lab_module
from . import secrets
from .lab import Unusable, free_port, program, unprivileged_user, wait_for_port
from .servers import DATABASE, PASSWORD, USER, Address, write


@dataclass
class Setup:
    """How a subject is started. What it cannot do raises Unusable."""

    transport: str = "tcp"  # tcp; tls: towards clients; unix: on both sides
    pool_size: int = 20
    max_clients: int = 300_000
    workers: int = 1  # Penstock
    backend: str = "io_uring"  # Penstock
    sets: tuple = ()  # Penstock: further settings, "section.key=value"
    auth: str = "scram"  # scram: with a verifier; scram-plain: with the password; trust
    key: str = "rsa"  # tls
    shared_cpus: bool = False  # with load and server, not on CPUs of its own


class Subject:
    holds_server_per_client = False

    def __init__(self, lab, setup):
        self.lab = lab
        self.setup = setup
        self.port = free_port()
        self.load = {"tls": True} if setup.transport == "tls" else {}
        self.cpus = None if setup.shared_cpus else lab.cores.proxy

    def is_up(self, process, folder):
        self.process = process
        wait_for_port(self.port, process)
        self.pid = process.pid
        self.address = Address(str(folder) if self.setup.transport == "unix" else "127.0.0.1", self.port)

    def stop(self):
        self.lab.stop(self.process)

    def cannot(self, _mode):
        """Why it cannot serve this mode, or None."""
        return None


COMPACT = "client_tls.compact=true"


def pgbouncer_binary():
    """The newest one there is: named by the environment, built by `./dev setup pgbouncer`, or Debian's."""
    built = lab_module.BUILD_DIR.parent / "pgbouncer" / "pgbouncer"
    named = os.environ.get("PENSTOCK_BENCH_PGBOUNCER", str(built) if built.exists() else "pgbouncer")
    binary = shutil.which(named, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if binary is None:
        raise Unusable(f"there is no {named}")
    return binary


def pgbouncer_version():
    text = subprocess.run([pgbouncer_binary(), "-V"], capture_output=True, text=True).stdout
    return re.search(r"(\d+)\.(\d+)(\.\d+)?", text).group(0)


class PgBouncer(Subject):
    """In transaction mode."""

    name = "pgbouncer"

    def __init__(self, lab, server, setup, databases=()):
        super().__init__(lab, setup)
        self.version = pgbouncer_version()
        self.prepares = tuple(map(int, self.version.split(".")[:2])) >= (1, 21)
        user = unprivileged_user()
        folder = lab.subfolder(f"pgbouncer-{self.port}", user)
        secret = PASSWORD if setup.auth == "scram-plain" else server.verifier
        users = write(folder / "userlist.txt", f'"{USER}" "{secret}"\n', user, 0o600)
        behind = server.address("unix" if setup.transport == "unix" else "tcp")
        lines = [f"{name} = host={behind.host} port={behind.port} dbname={DATABASE}" for name in (DATABASE, *databases)]
        if setup.auth == "trust":  # it has no client whose proof it could pass on
            lines = [f"{line} user={USER} password={PASSWORD}" for line in lines]
        tls = ""
        if setup.transport == "tls":
            cert, key = secrets.certificate(lab.folder, setup.key)
            tls = f"client_tls_sslmode = allow\nclient_tls_cert_file = {cert}\nclient_tls_key_file = {key}"
        config = write(folder / "pgbouncer.ini", "\n".join([
            "[databases]", *lines, "[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {self.port}",
            f"unix_socket_dir = {folder}", f"auth_type = {'trust' if setup.auth == 'trust' else 'scram-sha-256'}",
            f"auth_file = {users}", "pool_mode = transaction", f"default_pool_size = {setup.pool_size}",
            f"max_client_conn = {min(setup.max_clients, 19_000)}", "listen_backlog = 4096", "log_connections = 0",
            "log_disconnections = 0", "log_stats = 0", "client_login_timeout = 600",
            "max_prepared_statements = 200" if self.prepares else "", tls, "",
        ]), user)
        process = lab.start(f"pgbouncer-{self.port}", [pgbouncer_binary(), config], cpus=self.cpus, user=user,
                            how=signal.SIGTERM, cwd=folder)
        self.is_up(process, folder)

    def cannot(self, mode):
        if mode == "prepared" and not self.prepares:
            return f"PgBouncer {self.version} has no prepared statements in transaction mode (1.21 was the first)"
        return None


class Penstock(Subject):
    """The pooler of this repository, on one kind of event loop."""

    def __init__(self, lab, server, setup, catalog=None):
        """`catalog`: called with the catalog's path before the server starts."""
        super().__init__(lab, setup)
        self.name = "penstock" + ("" if setup.backend == "io_uring" else f"-{setup.backend}")
        self.name += "" if setup.workers == 1 else f"-{setup.workers}"
        self.name += "-busy" if any("busy_poll_us" in setting for setting in setup.sets) else ""
        self.name += "-compact" if COMPACT in setup.sets else ""
        binary = Path(os.environ.get("PENSTOCK_BINARY", lab_module.BUILD_DIR / "penstock"))
        if not binary.exists():
            raise Unusable(f"penstock is not built ({binary})")
        folder = lab.subfolder(f"{self.name}-{self.port}")
        tls = ""
        if setup.transport == "tls":
            cert, key = secrets.certificate(lab.folder, setup.key)
            tls = f'[client_tls]\ncert_file = "{cert}"\nkey_file = "{key}"\nhandshakes_per_second = 0'
        config = write(folder / "penstock.toml", f"""
[server]
workers = {setup.workers}
io_backend = "{setup.backend}"
catalog = "{folder}/catalog.db"
[[listener]]
address = "127.0.0.1"
port = {self.port}
[[listener]]
address = "{folder}"
port = {self.port}
[pool]
size = {setup.pool_size}
max_clients = {setup.max_clients}
connects_per_second = 10000
[timeouts]
client_login = "10min"
[log]
connections = false
disconnections = false
{tls}
""")
        behind = server.address("unix" if setup.transport == "unix" else "tcp")
        where = ["--config", config]
        sets = [word for setting in setup.sets for word in ("--set", setting)]
        self._run([binary, "tenant", "add", "default", "--host", f"{behind.host}:{behind.port}", *where])
        self._run([binary, "user", "add", USER, *self._secret(folder, server), *where])
        if catalog is not None:
            catalog(folder / "catalog.db")
        self.is_up(lab.start(f"{self.name}-{self.port}",
                             [binary, "serve", *where, *sets], cpus=self.cpus), folder)

    def _secret(self, folder, server):
        if self.setup.auth == "scram":
            return ["--secret", server.verifier]
        password = ["--password-file", write(folder / "password", PASSWORD + "\n", mode=0o600)]
        return password + (["--auth", "trust"] if self.setup.auth == "trust" else [])

    def _run(self, arguments):
        done = subprocess.run(self.lab.command(arguments), capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Unusable(f"{Path(arguments[0]).name} {arguments[1]}: {(done.stderr or done.stdout).strip()[-300:]}")


class Relay(Subject):
    """Bytes one to one: the limit of the machine."""

    holds_server_per_client = True

    def __init__(self, lab, server, setup, *, kind="uring"):
        super().__init__(lab, setup)
        if setup.transport == "tls":
            raise Unusable("a relay has no TLS")
        self.name = f"relay-{kind}"
        folder = lab.subfolder(f"{self.name}-{self.port}")
        self.address = Address(str(folder) if setup.transport == "unix" else "127.0.0.1", self.port)
        self.process = lab.start(
            f"{self.name}-{self.port}",
            [program(f"relay_{kind}"), "--listen", self.address.text, "--target", server.address(setup.transport).text],
            cpus=self.cpus,
        )
        lab_module.wait_for_address(self.address.text, self.process)
        self.pid = self.process.pid


class Direct(Subject):
    """Nothing in between: what a client would see without a pooler."""

    name = "direct"
    holds_server_per_client = True

    def __init__(self, lab, server, setup):
        super().__init__(lab, setup)
        if setup.transport == "tls":
            raise Unusable("the server has no TLS")
        self.address = server.address(setup.transport)
        self.port = server.port
        self.pid = None

    def stop(self):
        pass


def _penstock(backend, workers, *sets):
    def start(lab, server, setup, **more):
        changed = dataclasses.replace(setup, backend=backend, workers=workers, sets=(*setup.sets, *sets))
        return Penstock(lab, server, changed, **more)

    return start


SUBJECTS = {
    "direct": Direct,
    "relay-uring": lambda lab, server, setup: Relay(lab, server, setup, kind="uring"),
    "relay-epoll": lambda lab, server, setup: Relay(lab, server, setup, kind="epoll"),
    "pgbouncer": PgBouncer,
    "penstock": _penstock("io_uring", 1),
    "penstock-2": _penstock("io_uring", 2),
    "penstock-busy": _penstock("io_uring", 1, "server.busy_poll_us=200"),
    "penstock-compact": _penstock("io_uring", 1, COMPACT),
    "penstock-epoll": _penstock("epoll", 1),
    "penstock-epoll-2": _penstock("epoll", 2),
}
