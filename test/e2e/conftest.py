"""Fixtures of the end-to-end suite.

A *profile* is one way to run a test: event loop × pool mode × TLS. Eight exist; by default a test sees the four that
together hold every pair of values, `--full` gives it all eight. Tests about one behaviour of the pooler (`io`) run on one
loop, chosen by the test's name so that both get their share, and on both with `--full`; `module_io` is the same for modules
whose tests share one pooler.

PENSTOCK_E2E_SUBJECT=direct runs what makes sense there straight against Postgres: the check of the tests themselves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from certs import Authority, Pair
from pooler import Endpoint, Pooler, Tenant, binary
from postgres import APP_PASSWORD, Postgres

DIRECT = os.environ.get("PENSTOCK_E2E_SUBJECT", "penstock") == "direct"
LOOPS = ("io_uring", "epoll")


@dataclass(frozen=True)
class Profile:
    io: str
    mode: str
    tls: bool

    def __str__(self) -> str:
        return f"{self.io}-{self.mode}-{'tls' if self.tls else 'plain'}"


ALL_PROFILES = [Profile(io, mode, tls) for io in LOOPS for mode in ("transaction", "session") for tls in (False, True)]
PAIRWISE = [Profile("io_uring", "transaction", False), Profile("io_uring", "session", True),
            Profile("epoll", "transaction", True), Profile("epoll", "session", False)]
DIRECT_PROFILES = [Profile("none", "session", False), Profile("none", "session", True)]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="every profile and the slow tests (default: a covering sample)")
    parser.addoption("--keep", action="store_true", help="keep data directories and logs even when all is well")
    parser.addoption("--io", choices=LOOPS, help="only this event loop")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    full, only = metafunc.config.getoption("--full"), metafunc.config.getoption("--io")
    if "profile" in metafunc.fixturenames:
        chosen = DIRECT_PROFILES if DIRECT else ALL_PROFILES if full or only else PAIRWISE
        chosen = [profile for profile in chosen if only in (None, profile.io)]
        metafunc.parametrize("profile", chosen, ids=str, scope="session")
    for name, decides in (("io", metafunc.definition.nodeid), ("module_io", metafunc.module.__name__)):
        if name not in metafunc.fixturenames:
            continue
        loops = list(LOOPS)
        if only:
            loops = [only]
        elif not full:
            loops = [LOOPS[zlib.crc32(decides.encode()) % 2]]
        metafunc.parametrize(name, ["none"] if DIRECT else loops, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if DIRECT and (item.get_closest_marker("penstock") or "pooler_of" in getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.skip(reason="needs the pooler"))
        if item.get_closest_marker("slow") and not config.getoption("--full"):
            item.add_marker(pytest.mark.skip(reason="slow: use --full"))


@pytest.fixture(scope="session")
def scratch(request: pytest.FixtureRequest) -> Iterator[Path]:
    """This run's directory; kept, and named, when a test failed."""
    path = Path(tempfile.mkdtemp(prefix="penstock-e2e-"))
    path.chmod(0o755)
    yield path
    if request.session.testsfailed or request.config.getoption("--keep"):
        print(f"\nlogs and data of this run: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def ca(scratch: Path) -> Authority:
    return Authority(scratch / "ca")


@pytest.fixture(scope="session")
def server_pair(ca: Authority) -> Pair:
    return ca.issue("server", cn="localhost")


@pytest.fixture(scope="session")
def pooler_pair(ca: Authority) -> Pair:
    return ca.issue("pooler", cn="localhost", alt="DNS:localhost,DNS:*.tenants.test,IP:127.0.0.1,IP:::1")


@pytest.fixture(scope="session")
def pg_of(scratch: Path, ca: Authority, server_pair: Pair) -> Iterator[Callable[..., Postgres]]:
    """Starts further servers: pg_of(version="17", max_connections=10, conf="…", hba="…"). Kept until the run ends."""
    started: list[Postgres] = []

    def start(**options: object) -> Postgres:
        server = Postgres(scratch, ca, server_pair, **options)  # type: ignore[arg-type]
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def pg(pg_of: Callable[..., Postgres]) -> Postgres:
    """The ordinary server behind everything."""
    return pg_of(max_connections=200)


@pytest.fixture(scope="session")
def _shared(scratch: Path, pg: Postgres, ca: Authority, pooler_pair: Pair) -> Iterator[Callable[[str], Pooler]]:
    """One pooler per event loop for all tests that change nothing about it."""
    running: dict[str, Pooler] = {}
    dead: list[Pooler] = []  # told of at the end of the module in which it happened

    def get(io: str) -> Pooler:
        if io in running and not running[io].alive():
            dead.append(running.pop(io))
        if io not in running:
            name = f"shared-{io}-{len(list(scratch.glob('shared-*')))}"
            running[io] = Pooler(scratch / name, pg, pooler_pair, ca, io=io).start()
        return running[io]

    get.running, get.dead = running, dead  # type: ignore[attr-defined]
    yield get
    for pooler in running.values():
        pooler.stop()
        pooler.expect_dead = True
        assert not pooler.problems()


@pytest.fixture(scope="module", autouse=True)
def _module_leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test module: the shared poolers live, and no server connection of theirs is stuck in work."""
    yield
    if DIRECT or "_shared" not in request.session._fixturemanager._arg2fixturedefs:
        return
    fixture = request.session._fixturemanager._arg2fixturedefs["_shared"][-1]
    if fixture.cached_result is None or fixture.cached_result[0] is None:
        return
    running, dead = fixture.cached_result[0].running, fixture.cached_result[0].dead
    problems = [f"{problem}: {pooler.log_path}" for pooler in [*dead, *running.values()] for problem in pooler.problems()]
    dead.clear()
    if running:
        server = next(iter(running.values())).pg
        stuck = server.wait_backends("state <> 'idle' AND usename <> 'postgres' AND backend_type = 'client backend'", 0)
        problems += [f"leaked backend {row}" for row in stuck]
    assert not problems, "\n".join(problems)


@pytest.fixture
def endpoint(profile: Profile, request: pytest.FixtureRequest, pg: Postgres) -> Endpoint:
    """Where a client of this profile connects: TLS profiles use TLS in both directions."""
    if DIRECT:
        return Endpoint(host="127.0.0.1", port=pg.port, tls=profile.tls, ca=str(pg.ca.cert))
    pooler: Pooler = request.getfixturevalue("_shared")(profile.io)
    found = pooler.endpoint(mode=profile.mode, tls=profile.tls)
    return found.but(user="app.secure", password=APP_PASSWORD) if profile.tls else found


@pytest.fixture
def pooler(io: str, request: pytest.FixtureRequest) -> Pooler:
    """The shared pooler on one loop, for tests of the pooler itself that change nothing about it."""
    if DIRECT:
        pytest.skip("needs the pooler")
    return request.getfixturevalue("_shared")(io)


@pytest.fixture
def plain(io: str, request: pytest.FixtureRequest, pg: Postgres) -> Endpoint:
    """Transaction mode without TLS on one loop."""
    if DIRECT:
        return Endpoint(host="127.0.0.1", port=pg.port)
    return request.getfixturevalue("_shared")(io).endpoint()


@pytest.fixture
def direct(pg: Postgres) -> Endpoint:
    """Postgres itself: what an answer is compared with."""
    return Endpoint(host="127.0.0.1", port=pg.port, ca=str(pg.ca.cert))


@pytest.fixture(scope="session")
def _ending() -> Iterator[list[Pooler]]:
    """Poolers of tests that are over: what a sanitizer says at their end is looked at when all is done."""
    told: list[Pooler] = []
    yield told
    problems = []
    for pooler in told:
        pooler.stop()
        problems += [f"{problem}: {pooler.log_path}" for problem in pooler.problems()]
    assert not problems, "\n".join(problems)


@pytest.fixture
def pooler_of(io: str, tmp_path_factory: pytest.TempPathFactory, scratch: Path, pg: Postgres, ca: Authority,
              pooler_pair: Pair, request: pytest.FixtureRequest,
              _ending: list[Pooler]) -> Iterator[Callable[..., Pooler]]:
    """A pooler of this test's own: pooler_of({"pool.pool_size": 1}, tenants=[…])."""
    made: list[Pooler] = []

    def make(settings: dict[str, object] | None = None, *, tenants: list[Tenant] | None = None,
             server: Postgres | None = None, start: bool = True, **options: object) -> Pooler:
        name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:36]
        number = len(list(scratch.glob(f"own-{name}-*")))
        pooler = Pooler(scratch / f"own-{name}-{number}", server or pg, options.pop("pair", pooler_pair), ca, io=io,
                        tenants=tenants, settings=settings, **options)  # type: ignore[arg-type]
        made.append(pooler)
        return pooler.start() if start else pooler

    yield make
    problems = [problem for pooler in made for problem in pooler.problems()]
    for pooler in made:
        pooler.ask_to_stop()
        pooler.expect_dead = True
    _ending.extend(made)
    assert not problems, "\n".join(problems)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Servers and drivers' programs that are missing are installed and built now; a moment when all is there."""
    if hasattr(session.config, "workerinput") or os.environ.get("PENSTOCK_E2E_SETUP") == "no":
        return
    subprocess.run([str(Path(__file__).parent / "setup.sh"), "--no-python"], check=True)


def pytest_report_header() -> str:
    return f"subject: {'Postgres itself' if DIRECT else binary() or 'no penstock binary'}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        scratch_path = item.funcargs.get("scratch") if hasattr(item, "funcargs") else None
        if scratch_path:
            newest = sorted(Path(scratch_path).glob("*-*/log"), key=lambda path: path.stat().st_mtime)
            newest = [path for path in newest if not path.parent.name.startswith("pg")][-2:]
            for path in newest:
                tail = path.read_text(errors="replace")[-2500:]
                report.sections.append((f"end of {path}", tail))
