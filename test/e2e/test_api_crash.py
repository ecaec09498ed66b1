"""What is left of the catalog when the process is killed in the middle of API calls, and when its file fails under a running
server: everything before or everything after, a clear answer, and pools that go on.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from api import Api, Answer, api_settings, token, value
from pooler import Pooler, default_tenant
from postgres import APP_PASSWORD, free_port

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(180)]


# --- SIGKILL


@dataclass
class Writer:
    """Changes one tenant again and again, over one connection, until the other side is gone."""
    tenant: str
    port: int
    acknowledged: int | None = None  # None: there is no such tenant
    asked: int | None = None         # what the last call asked for, whether it was answered or not
    calls: int = 0
    unexpected: list[str] = field(default_factory=list)

    def body(self, number: int) -> bytes:
        return json.dumps({"tenant": {
            "hosts": [f"h{number}:5432"], "pool_size": number, "connect_query": f"SELECT '{number}'" + " " * (number * 997 % 30_000),
            "users": [{"name": f"u{i}", "secret": f"s{number}", "pool_size": number} for i in range(number % 7)]}}).encode()

    def run(self, rng: random.Random) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
        try:
            while True:
                number = (self.acknowledged or 0) + 1 if rng.random() < 0.9 or self.acknowledged is None else None
                self.asked = number
                method, body = ("DELETE", None) if number is None else ("PUT", self.body(number))
                link.request(method, f"/api/tenants/{self.tenant}", body, headers)
                answer = link.getresponse()
                text = answer.read()
                if answer.status not in (200, 201, 204):
                    self.unexpected.append(f"{method}: {answer.status} {text[:200]!r}")
                    return
                self.acknowledged = number
                self.calls += 1
        except (OSError, http.client.HTTPException):
            return


def state_of(tenant: dict[str, object] | None) -> int | None:
    """Which body it came from; fails when it is a mixture of two."""
    if tenant is None:
        return None
    number = tenant["pool_size"]
    assert isinstance(number, int)
    assert tenant["hosts"] == [f"h{number}:5432"] and tenant["connect_query"].startswith(f"SELECT '{number}'"), tenant  # type: ignore[attr-defined]
    users = tenant.get("users", [])
    assert [(user["name"], user["secret"], user["pool_size"]) for user in users] == [  # type: ignore[attr-defined,index]
        (f"u{i}", f"s{number}", number) for i in range(number % 7)], tenant
    return number


def check_file(path: Path) -> None:
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        version, newest, audited, entries = database.execute(
            "SELECT (SELECT version FROM catalog), (SELECT max(revision) FROM tenants), (SELECT max(revision) FROM audit), "
            "(SELECT count(*) = count(DISTINCT revision) FROM audit)").fetchone()
        assert version == audited and (newest or 0) <= version and entries, "the version, the audit log and the tenants agree"
    database.close()


def test_a_server_killed_during_api_calls_leaves_each_before_or_after(pooler_of, pg, tmp_path, request):
    rounds = 120 if request.config.getoption("--full") else 20
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port), tenants=[default_tenant(pg)], start=False)
    pooler.expect_dead = True
    rng = random.Random(11)
    pooler.start()
    known: dict[str, int | None] = {f"t{number}": None for number in range(3)}
    outcomes = {"before": 0, "after": 0, "calls": 0}
    for number in range(rounds):
        if number:
            pooler.launch()
        Api(port)
        writers = [Writer(name, port, acknowledged=known[name]) for name in known]
        threads = [threading.Thread(target=writer.run, args=(random.Random(rng.random()),)) for writer in writers]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0, 0.25))
        pooler.signal(signal.SIGKILL)
        for thread in threads:
            thread.join(20)
        assert pooler.wait_exit(10) == -signal.SIGKILL
        exported = json.loads(pooler.cli("catalog", "export", "--with-secrets", "--format", "json").stdout)["tenants"]
        for writer in writers:
            assert not writer.unexpected
            found = state_of(next((tenant for tenant in exported if tenant["id"] == writer.tenant), None))
            assert found in (writer.acknowledged, writer.asked), f"round {number}: {found} instead of {writer}"
            if writer.asked != writer.acknowledged:
                outcomes["after" if found == writer.asked else "before"] += 1
            outcomes["calls"] += writer.calls
            known[writer.tenant] = found
        check_file(pooler.directory / "penstock.db")
    assert outcomes["calls"] > rounds and outcomes["before"] + outcomes["after"] > rounds / 4, outcomes


def test_a_server_killed_while_it_makes_its_catalog_can_be_started_again(pooler_of, tmp_path, request):
    pooler = pooler_of(tenants=[], start=False)
    pooler.expect_dead = True
    pooler.write_config()
    rng = random.Random(12)
    catalog = pooler.directory / "penstock.db"
    begun = time.monotonic()
    pooler.launch()
    whole = time.monotonic() - begun  # how long a start takes on this machine
    pooler.signal(signal.SIGKILL)
    pooler.wait_exit(10)
    found = set()
    for _ in range(80 if request.config.getoption("--full") else 25):
        for path in pooler.directory.glob("penstock.db*"):
            path.unlink()
        pooler.launch(wait=False)
        time.sleep(rng.uniform(0, whole))
        pooler.signal(signal.SIGKILL)
        pooler.wait_exit(10)
        found.add(catalog.exists())
        assert "no tenants" in pooler.cli("tenant", "list").stdout if catalog.exists() else True
        pooler.launch()
        pooler.signal(signal.SIGKILL)
        pooler.wait_exit(10)
    assert found == {False, True}, "never killed at the right moment"


# --- a file that fails


@pytest.fixture
def served(pooler_of, pg, tmp_path) -> tuple[Pooler, Api]:
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port), tenants=[default_tenant(pg)])
    return pooler, Api(port)


@contextmanager
def clients_go_on(pooler: Pooler) -> Iterator[None]:
    """One who is there keeps the server connection, others may come."""
    with pooler.endpoint().wire() as wire:
        pid = wire.value("SELECT pg_backend_pid()")
        yield
        assert wire.value("SELECT pg_backend_pid()") == pid
    with pooler.endpoint().wire() as wire:
        assert wire.value("SELECT 1") == "1"


_sizes = itertools.count(30)


def change(api: Api) -> Answer:
    """Each time to something else: what changes nothing is not written."""
    return api.call("PATCH", "/api/tenants/default", {"tenant": {"pool_size": next(_sizes)}})


def assert_trouble(answer: Answer, *words: str) -> None:
    assert answer.status == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "catalog file" in answer.json["detail"] and answer.json["hint"], answer.text
    assert all(word in answer.text for word in words), answer.text


def until(condition: Callable[[], object], what: str, timeout: float = 8) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.05)


def test_a_locked_catalog_is_told_of_and_holds_up_nothing_else(served):
    pooler, api = served
    locker = sqlite3.connect(pooler.directory / "penstock.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with clients_go_on(pooler):
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(change(api))) for _ in range(4)]
        for thread in threads:
            thread.start()
        longest = 0.0
        while any(thread.is_alive() for thread in threads):
            begun = time.monotonic()
            assert api.get("/api/health").status == 204
            assert api.get("/api/tenants/default").status == 200
            longest = max(longest, time.monotonic() - begun)
        assert longest < 3, f"whoever watches the process waits {longest:.1f} s"
        assert len(answers) == 4
        for answer in answers:
            assert_trouble(answer, "locked by another process")
    locker.execute("ROLLBACK")
    locker.close()
    assert change(api).status == 200


def test_a_damaged_catalog_is_told_of_and_the_last_good_state_stays(served):
    pooler, api = served
    file = pooler.directory / "penstock.db"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    good = file.read_bytes()
    with clients_go_on(pooler):
        for damage, words in ((good[:3000], "damaged"), (b"", "is empty"), (b"x" * 9000, "no SQLite database")):
            marked = len(pooler.log())
            replace(file, damage)
            until(lambda: value(api.metrics(), "penstock_catalog_failing") == 1, "it is noticed")
            assert_trouble(change(api), words)
            assert api.get("/api/tenants/default").json["data"]["external_id"] == "default"
            assert api.get("/api/tenants").status == 200
            told = Api(api.port, bearer="").get("/api/ready")
            assert told.json["warnings"] == ["catalog: cannot be read; the log says why"], "it may name a tenant or a host"
            one_tenants = Api(api.port, token(tenants=["default"])).get("/api/ready")
            assert one_tenants.json["warnings"] == told.json["warnings"]
            ready = api.get("/api/ready")
            assert ready.status == 200 and ready.json["status"] == "ready", "clients are served"
            assert len(ready.json["warnings"]) == 1 and "catalog file" in ready.json["warnings"][0]
            assert value(api.metrics(), "penstock_ready") == 1
            assert api.get("/api/audit").status == 503
            assert api.call("POST", "/api/reload").status in (204, 409)
            assert api.call("POST", "/api/tenants/default/resume").status == 200, "orders are carried out all the same"
            said = "api.not_audited action=resume tenant=default subjects=\"\" actor=api origin=127.0.0.1"
            until(lambda: said in pooler.log()[marked:], "it is in the log, then")
            with pooler.endpoint().wire() as wire:
                assert wire.value("SELECT 1") == "1"
            replace(file, good)
            until(lambda: value(api.metrics(), "penstock_catalog_failing") == 0, "it is noticed that all is well")
            assert api.get("/api/ready").status == 204
    assert change(api).status == 200


def replace(file: Path, content: bytes) -> None:
    fresh = file.with_suffix(".fresh")
    fresh.write_bytes(content)
    os.replace(fresh, file)


def test_a_catalog_that_is_gone_is_told_of(served):
    pooler, api = served
    file = pooler.directory / "penstock.db"
    away = file.with_suffix(".away")
    with clients_go_on(pooler):
        os.rename(file, away)
        until(lambda: value(api.metrics(), "penstock_catalog_failing") == 1, "it is noticed")
        assert_trouble(change(api), "cannot be found")
        os.rename(away, file)
        until(lambda: value(api.metrics(), "penstock_catalog_failing") == 0, "it is back")
    assert change(api).status == 200


@pytest.mark.parametrize("damage", ["empty", "cut", "cut to a header", "garbage", "another program's", "a directory"])
def test_a_server_does_not_start_with_a_catalog_that_is_damaged(pooler_of, pg, damage):
    """It would take the place of one that is full of tenants, and say that there are none."""
    pooler = pooler_of(tenants=[default_tenant(pg)])
    pooler.stop()
    pooler.expect_dead = True
    file = pooler.directory / "penstock.db"
    good = file.read_bytes()
    for companion in ("-wal", "-shm"):
        Path(f"{file}{companion}").unlink(missing_ok=True)
    file.unlink()
    if damage == "a directory":
        file.mkdir()
    elif damage == "another program's":
        with sqlite3.connect(file) as database:
            database.execute("CREATE TABLE theirs (x)")
        database.close()
    else:
        file.write_bytes({"empty": b"", "cut": good[:len(good) // 2], "cut to a header": good[:100], "garbage": b"garbage " * 4000}[damage])
    before = None if damage == "a directory" else file.read_bytes()
    pooler.launch(wait=False)
    assert pooler.wait_exit(10) == 1, "it has started"
    last = pooler.log()[pooler._log_start:]
    advice = ("Restore it", "Name the right file", "Its directory must")
    assert str(file) in last and any(words in last for words in advice), last[-800:]
    assert before is None or file.read_bytes() == before, "what may still be rescued was changed"
    done = pooler.cli("tenant", "list", check=False)
    assert done.returncode == 1 and str(file) in done.stderr
    done = pooler.cli("tenant", "add", "new", "--host", "127.0.0.1", check=False)
    assert done.returncode == 1 and str(file) in done.stderr


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[..., Path]]:
    """A file system of so many KiB."""
    mounted: list[Path] = []

    def make(kib: int) -> Path:
        path = tmp_path / f"disk{len(mounted)}"
        path.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(path)], capture_output=True).returncode != 0:
            pytest.skip("may not mount a file system")
        mounted.append(path)
        return path

    yield make
    for path in mounted:
        # A test may have mounted another one over it.
        while subprocess.run(["umount", "-l", str(path)], capture_output=True).returncode == 0:
            pass


def fill(directory: Path) -> Path:
    """Takes the rest of the room."""
    file = directory / "filler"
    with open(file, "wb", buffering=0) as out:
        for size in (65536, 4096):
            try:
                while True:
                    out.write(b"x" * size)
            except OSError:
                pass
    return file


def on_disk(pooler_of, pg, tmp_path: Path, disk: Path) -> tuple[Pooler, Api]:
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port) | {"server.catalog": str(disk / "penstock.db")}, tenants=[], start=False)
    pooler.write_config()
    pooler.add_tenant(default_tenant(pg))
    pooler.launch()
    return pooler, Api(port)


def test_a_full_disk_is_told_of_and_the_api_recovers(pooler_of, pg, tmp_path, small_disk):
    disk = small_disk(1000)
    pooler, api = on_disk(pooler_of, pg, tmp_path, disk)
    with clients_go_on(pooler):
        filler = fill(disk)
        big = {"tenant": {"hosts": ["127.0.0.1"], "connect_query": "x" * 60_000}}
        refused = [answer for number in range(10) if (answer := api.call("PUT", f"/api/tenants/big{number}", big)).status != 201]
        assert refused, "the disk is not full"
        for answer in refused:
            assert_trouble(answer, "disk")
        assert api.get("/api/tenants/default").status == 200
        filler.unlink()
        assert api.call("PUT", "/api/tenants/late", big).status == 201
        assert api.get("/api/ready").status == 204
    check_file(disk / "penstock.db")
    pooler.stop()
    pooler.expect_dead = True


def test_a_server_starts_with_its_catalog_on_a_full_disk(pooler_of, pg, tmp_path, small_disk):
    """To read it needs no room worth speaking of, and whoever restarts a server then has trouble enough."""
    disk = small_disk(1000)
    pooler, api = on_disk(pooler_of, pg, tmp_path, disk)
    pooler.stop()
    pooler.expect_dead = True
    filler = fill(disk)
    pooler.launch(wait=False)
    if pooler.wait_exit(3) is not None:
        last = pooler.log()[pooler._log_start:]
        assert "the disk is full" in last and "Make room" in last, last[-600:]
        filler.unlink()
        pooler.launch()
    else:
        pooler.wait_listening()
        with pooler.endpoint().wire() as wire:
            assert wire.value("SELECT 1") == "1"
        assert_trouble(change(Api(api.port)), "disk")
        filler.unlink()
    assert change(Api(api.port)).status == 200
    pooler.stop()
    pooler.expect_dead = True


def test_a_catalog_on_a_read_only_disk(pooler_of, pg, tmp_path, small_disk):
    disk = small_disk(1000)
    pooler, api = on_disk(pooler_of, pg, tmp_path, disk)
    with clients_go_on(pooler):
        # What is open for writing stays so; a second, read-only face of the same directory lies over it.
        assert subprocess.run(["mount", "--bind", str(disk), str(disk)]).returncode == 0
        assert subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)]).returncode == 0
        time.sleep(2)  # it looks once a second
        assert api.get("/api/tenants/default").status == 200
        assert change(api).status in (200, 503)
    # A start has only the read-only one.
    pooler.stop()
    pooler.launch(wait=False)
    if pooler.wait_exit(3) is not None:
        last = pooler.log()[pooler._log_start:]
        assert "cannot be written" in last and "must be writable" in last, last[-600:]
    else:
        pooler.wait_listening()
        with pooler.endpoint().wire() as wire:
            assert wire.value("SELECT 1") == "1"
        assert_trouble(change(Api(api.port)), "cannot be written")
        pooler.stop()
    subprocess.run(["umount", "-l", str(disk)], check=True)
    pooler.launch()
    assert change(Api(api.port)).status == 200
    pooler.stop()
    pooler.expect_dead = True
