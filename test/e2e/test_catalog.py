"""The catalog under a running server: keys, a database shared by nodes, damage, crashes; and who may log in at all."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from api import Api, api_settings, token
from pooler import Pooler, Tenant, users_of
from postgres import ROLES, Postgres, free_port
from wire import ServerError

pytestmark = pytest.mark.penstock


def until(condition, timeout: float = 5.0, what: str = "it") -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
        time.sleep(0.05)


def may_log_in(pooler: Pooler, user: str = "app", password: str | None = None) -> bool:
    try:
        with pooler.endpoint(user=user, password=password or ROLES["app"]).wire() as wire:
            return wire.value("SELECT 1") == "1"
    except ServerError:
        return False


def refusal(pooler: Pooler, user: str = "app") -> ServerError:
    with pytest.raises(ServerError) as error, pooler.endpoint(user=user, password=ROLES["app"]).wire():
        pass
    return error.value


def tenant(pg: Postgres, name: str = "default", **options: str) -> Tenant:
    return Tenant(name, [f"{pg.host}:{pg.port}"], {k.replace("_", "-"): v for k, v in options.items()}, users_of("app"))


# --- who may log in


def test_only_allowed_networks_may_connect(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant(pg, allow_list="192.0.2.0/24")])
    error = refusal(pooler)
    assert error.sqlstate == "28000" and 'connections from address "127.0.0.1" are not allowed' in error.fields["M"]
    with pooler.unix_endpoint.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    pooler.cli("tenant", "set", "default", "--allow-list", "192.0.2.0/24", "--allow-list", "127.0.0.0/8")
    until(lambda: may_log_in(pooler))


def test_a_ban_ends_clients_and_refuses_new_ones_until_it_is_over(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant(pg)])
    with pooler.endpoint().wire() as wire:
        assert wire.value("SELECT 1") == "1"
        pooler.cli("tenant", "set", "default", "--banned", "true", "--ban-reason", "unpaid bills")
        with pytest.raises((ServerError, ConnectionError, EOFError)) as ended:
            for _ in range(100):
                wire.value("SELECT 1")
                time.sleep(0.05)
        if isinstance(ended.value, ServerError):
            assert ended.value.sqlstate == "57P01" and "unpaid bills" in ended.value.fields['M']
    error = refusal(pooler)
    assert error.sqlstate == "28000" and error.fields['M'] == "tenant is banned: unpaid bills"
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    pooler.cli("tenant", "set", "default", "--banned-until", soon)
    until(lambda: may_log_in(pooler), 8, "the end of the ban")


def test_only_listed_users_when_the_tenant_says_so(pooler_of, pg):
    options = {"auth_user": "postgres", "auth_query": "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1"}
    made = tenant(pg, **options)
    made.users["postgres"] = {}
    pooler = pooler_of(tenants=[made])
    pooler.cli("user", "set", "postgres", "--auth", "trust")
    until(lambda: may_log_in(pooler, "other", ROLES["other"]), what="a log-in by auth_query")
    pooler.cli("tenant", "set", "default", "--require-user", "true")
    until(lambda: not may_log_in(pooler, "other", ROLES["other"]))
    assert may_log_in(pooler)


# --- keys


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.key"
    file.write_text("a1" * 32 + "\n")
    file.chmod(0o600)
    return file


def test_secrets_are_sealed_and_keys_rotate_under_a_running_server(pooler_of, pg, key_file):
    pooler = pooler_of({"server.catalog_key_file": str(key_file)}, tenants=[], start=False)
    pooler.write_config()
    pooler.add_tenant(tenant(pg))
    pooler.launch()
    assert may_log_in(pooler)
    file = pooler.directory / "penstock.db"
    assert ROLES["app"].encode() not in b"".join(p.read_bytes() for p in pooler.directory.glob("penstock.db*"))
    assert "secret" not in pooler.cli("check").stdout

    old = key_file.read_text()
    key_file.write_text("b2" * 32 + "\n" + old)  # the running server has not read it yet
    assert "1 secret" in pooler.cli("check").stdout
    assert "1 secret sealed" in pooler.cli("catalog", "rotate-key").stdout
    assert "nothing to do" in pooler.cli("catalog", "rotate-key").stdout
    pooler.wait_log("catalog.changed")
    key_file.write_text("b2" * 32 + "\n")
    pooler.cli("tenant", "set", "default", "--pool-size", "7")
    until(lambda: pooler.log().count("catalog.changed") >= 2)
    assert may_log_in(pooler)
    assert "catalog.failed" not in pooler.log()

    key_file.write_text(old)
    done = pooler.cli("tenant", "list", check=False)
    assert done.returncode == 1 and "is not among the catalog keys" in done.stderr
    key_file.write_text("c3" * 32 + "\n")
    with sqlite3.connect(file) as database:  # makes the server look
        database.execute("UPDATE catalog SET version = version + 1")
        database.execute("UPDATE tenants SET revision = (SELECT version FROM catalog)")
    pooler.wait_log("catalog.failed")
    assert may_log_in(pooler), "the last good state stays"
    key_file.write_text("b2" * 32 + "\n")
    pooler.wait_log("catalog.recovered")


def test_output_that_cannot_be_written_is_an_error(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant(pg)])
    for words in (["catalog", "export"], ["export"], ["catalog", "new-key"], ["check"], ["tenant", "list"],
                  ["catalog", "audit"], ["version"], ["--help"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([pooler.program, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=15,
                                  check=False, env={"PENSTOCK_SERVER_CATALOG": str(pooler.directory / "penstock.db")})
        assert done.returncode == 1, words
        assert "the standard output cannot be written: No space left on device" in done.stderr


def test_a_server_without_the_key_says_which_one_is_missing(pooler_of, pg, key_file):
    pooler = pooler_of({"server.catalog_key_file": str(key_file)}, tenants=[], start=False)
    pooler.write_config()
    pooler.add_tenant(tenant(pg))
    del pooler.settings["server.catalog_key_file"]
    pooler.write_config()
    pooler.launch(wait=False)
    assert pooler.wait_exit(10) == 1
    assert "no catalog key is configured" in pooler.log()
    assert "can be read by whoever" not in pooler.log(), "sealed secrets cannot be"
    pooler.expect_dead = True


def test_secrets_that_are_not_sealed_are_told_once(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant(pg)])
    assert pooler.log().count("catalog.secrets") == 1
    assert "can be read by whoever can read the catalog" in pooler.cli("check").stdout


# --- export and import


def test_export_and_import_carry_tenants_from_one_catalog_to_another(pooler_of, pg, tmp_path):
    pooler = pooler_of(tenants=[tenant(pg, pool_size="7"), tenant(pg, "red")])
    file = tmp_path / "tenants.yaml"
    pooler.cli("catalog", "export", "--with-secrets", "--output", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert ROLES["app"] not in pooler.cli("catalog", "export").stdout
    other = str(tmp_path / "other.db")
    assert "dry run" in pooler.cli("catalog", "import", str(file), "--catalog", other, "--dry-run").stdout
    assert "no tenants" in pooler.cli("tenant", "list", "--catalog", other).stdout
    pooler.cli("catalog", "import", str(file), "--catalog", other)
    exported = [pooler.cli("catalog", "export", "--with-secrets", "--catalog", where).stdout
                for where in (other, str(pooler.directory / "penstock.db"))]
    assert exported[0] == exported[1]
    assert "nothing changed" in pooler.cli("catalog", "import", str(file), "--catalog", other).stdout

    document = json.loads(pooler.cli("catalog", "export", "--format", "json").stdout)
    document["tenants"] = [entry for entry in document["tenants"] if entry["id"] == "default"]
    document["tenants"][0]["pool_size"] = 3
    changed = pooler.cli("catalog", "import", "-", "--prune", stdin=json.dumps(document)).stdout
    assert "pool_size: 7 -> 3" in changed and "tenant red: removed" in changed
    until(lambda: not may_log_in(pooler, "app.red"))
    assert may_log_in(pooler), "an import without secrets keeps those that are there"
    history = json.loads(pooler.cli("catalog", "audit", "--json").stdout)
    assert {(entry["action"], entry["tenant"]) for entry in history[:2]} == {("change", "default"), ("remove", "red")}


def test_a_backup_made_under_load_is_whole(pooler_of, pg, tmp_path):
    pooler = pooler_of(tenants=[tenant(pg)])
    writer = subprocess.Popen(
        ["sh", "-c", f'i=1; while [ $i -lt 200 ]; do i=$((i+1)); "{pooler.program}" tenant set default --pool-size $i '
                     f'--config "{pooler.config_path}" >/dev/null || exit 1; done'])
    for number in range(5):
        copy = tmp_path / f"copy{number}.db"
        pooler.cli("catalog", "backup", str(copy))
        with sqlite3.connect(copy) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert "default" in pooler.cli("tenant", "list", "--catalog", str(copy)).stdout
    writer.kill()
    writer.wait()
    assert pooler.cli("catalog", "backup", str(copy), check=False).returncode == 1, "nothing is overwritten"


# --- crashes and damage


def test_a_backup_is_restored_under_a_running_server_and_after_a_crash(pooler_of, pg, tmp_path):
    pooler = pooler_of(tenants=[tenant(pg)])
    backup = tmp_path / "backup.db"
    pooler.cli("catalog", "backup", str(backup))
    pooler.cli("tenant", "set", "default", "--banned", "true", "--ban-reason", "a mistake")
    until(lambda: not may_log_in(pooler), what="the ban")
    assert pooler.cli("catalog", "restore", str(backup)).stdout.endswith(": 1 tenant\n")
    until(lambda: may_log_in(pooler), what="the restored catalog")
    # What stands in the write-ahead log of a server that was killed stays away.
    pooler.cli("tenant", "set", "default", "--banned", "true", "--ban-reason", "again")
    until(lambda: not may_log_in(pooler), what="the ban")
    pooler.signal(signal.SIGKILL)
    assert pooler.wait_exit(10) == -signal.SIGKILL
    pooler.cli("catalog", "restore", str(backup))
    assert "banned" not in pooler.cli("tenant", "show", "default").stdout
    pooler.launch()
    assert may_log_in(pooler)


def test_a_command_that_is_killed_leaves_the_catalog_before_or_after(pooler_of, pg, tmp_path):
    pooler = pooler_of(tenants=[tenant(pg)], start=False)
    pooler.write_config()
    catalog = str(tmp_path / "crash.db")

    def document(size: int) -> str:
        entries = [{"id": f"t{i}", "hosts": ["db:5432"], "pool_size": size,
                    "users": [{"name": "app", "secret": f"s{size}"}]} for i in range(300)]
        return json.dumps({"tenants": entries})

    first = tmp_path / "first.json"
    first.write_text(document(1))
    pooler.cli("catalog", "import", str(first), "--catalog", catalog)
    rng = random.Random(4)
    outcomes = set()
    before = 1
    for size in range(2, 22):
        file = tmp_path / "next.json"
        file.write_text(document(size))
        begun = time.monotonic()
        process = subprocess.Popen([str(pooler.program), "catalog", "import", str(file), "--catalog", catalog],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 0.12))
        process.kill()
        process.wait()
        assert time.monotonic() - begun < 30
        text = pooler.cli("catalog", "export", "--with-secrets", "--format", "json", "--catalog", catalog).stdout
        found = {(entry["pool_size"], entry["users"][0]["secret"]) for entry in json.loads(text)["tenants"]}
        assert len(json.loads(text)["tenants"]) == 300
        assert found in ({(before, f"s{before}")}, {(size, f"s{size}")}), "neither before nor after"
        outcomes.add(found == {(size, f"s{size}")})
        before = next(iter(found))[0]
    pooler.expect_dead = True
    assert outcomes, "never killed"


def test_running_pools_do_not_notice_a_catalog_that_is_damaged(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant(pg)])
    file = pooler.directory / "penstock.db"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    good = file.read_bytes()
    with pooler.endpoint().wire() as wire:
        pid = wire.value("SELECT pg_backend_pid()")
        for damage in (good[:4096], good[:1000], b"", b"no database at all, but long enough for a header" * 100):
            start = len(pooler.log())
            replacement = file.with_suffix(".new")
            replacement.write_bytes(damage)
            os.replace(replacement, file)
            pooler.wait_log("catalog.failed", start=start)
            assert may_log_in(pooler)
            replacement.write_bytes(good)
            os.replace(replacement, file)
            pooler.wait_log("catalog.recovered", start=start)
            assert wire.value("SELECT pg_backend_pid()") == pid, "the client kept its server connection"
        assert may_log_in(pooler)


def test_a_locked_catalog_is_waited_for_and_then_told_of(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant(pg)])
    locker = sqlite3.connect(pooler.directory / "penstock.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    done = pooler.cli("tenant", "set", "default", "--pool-size", "3", check=False)
    assert done.returncode == 1 and "is locked by another process" in done.stderr and "Hint:" in done.stderr
    assert may_log_in(pooler)
    locker.execute("ROLLBACK")
    pooler.cli("tenant", "set", "default", "--pool-size", "3")
    locker.close()


def served_with(pooler_of, tmp_path, *tenants: Tenant) -> tuple[Pooler, Api]:
    port = free_port()
    return pooler_of(api_settings(tmp_path, port), tenants=list(tenants)), Api(port)


def damage(pooler: Pooler, name: str) -> None:
    """As another program, or a newer version, may leave it."""
    with sqlite3.connect(pooler.directory / "penstock.db") as database:
        database.execute("UPDATE tenants SET record = '{', revision = revision + 1 WHERE id = ?", (name,))
        database.execute("UPDATE catalog SET version = version + 1")


def test_a_tenants_own_token_cannot_make_the_catalog_unreadable(pooler_of, pg, tmp_path):
    pooler, api = served_with(pooler_of, tmp_path, tenant(pg), tenant(pg, "other"))
    limited = Api(api.port, bearer=token(tenants=["default"]))
    for field, value in {"default_parameters": {"search_path": "x" * 600_000},
                         "default_parameter_status": {f"p{i}": "x" * 400 for i in range(1300)},
                         "allow_list": ["192.0.2.1"] * 1001}.items():
        answer = limited.call("PATCH", "/api/tenants/default", {"tenant": {field: value}})
        assert answer.status == 422 and any(path.endswith(field) for path in answer.json["errors"]), answer.text[:300]
    # Each within its bounds; as JSON, a control character takes six bytes.
    query = "SELECT $1" + "\x01" * 60_000
    answer = limited.call("PATCH", "/api/tenants/default", {"tenant": {"auth_query": query, "auth_user": "app", "connect_query": query}})
    assert answer.status == 422 and "may be stored" in answer.text
    assert "other" in pooler.cli("tenant", "list").stdout


def test_a_change_is_in_force_while_another_tenant_cannot_be_read(pooler_of, pg, tmp_path):
    pooler, api = served_with(pooler_of, tmp_path, tenant(pg), tenant(pg, "other"))
    start = len(pooler.log())
    damage(pooler, "other")
    pooler.wait_log("catalog.failed", start=start)
    banned = api.call("PATCH", "/api/tenants/default", {"tenant": {"banned": True, "ban_reason": "unpaid"}})
    assert banned.status == 200
    until(lambda: not may_log_in(pooler), what="the ban")
    refused = api.call("POST", "/api/reload")
    assert refused.status == 409 and "tenants.other" in refused.text
    assert pooler.cli("tenant", "list", check=False).returncode == 1
    assert pooler.cli("tenant", "remove", "other").stdout == 'tenant "other" removed\n'
    pooler.wait_log("catalog.recovered", start=start)
    assert api.call("POST", "/api/reload").status == 204
    assert api.get("/api/tenants/other").status == 404


def test_a_full_disk_is_told_of_and_changes_nothing(pooler_of, pg, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("may not mount a small file system")
    try:
        pooler = pooler_of({"server.catalog": str(small / "penstock.db")}, tenants=[], start=False)
        pooler.write_config()
        pooler.add_tenant(tenant(pg))
        pooler.launch()
        assert may_log_in(pooler)
        document = json.dumps({"tenants": [{"id": f"t{i}", "hosts": ["db"], "connect_query": "x" * 4000}
                                           for i in range(300)]})
        done = pooler.cli("catalog", "import", "-", check=False, stdin=document)
        assert done.returncode == 1 and "disk" in done.stderr and "Hint:" in done.stderr
        assert "default" in pooler.cli("tenant", "list").stdout and "t0" not in pooler.cli("tenant", "list").stdout
        assert may_log_in(pooler)
        pooler.cli("tenant", "set", "default", "--pool-size", "3")
        pooler.stop()
        pooler.expect_dead = True
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_catalog_that_may_not_be_written_still_serves(pooler_of, pg):
    pooler = pooler_of(tenants=[tenant(pg)])
    if os.geteuid() != 0:
        pytest.skip("needs root to make a file unchangeable")
    files = [str(path) for path in pooler.directory.glob("penstock.db*")]
    if subprocess.run(["chattr", "+i", *files], capture_output=True).returncode != 0:
        pytest.skip("this file system has no unchangeable files")
    try:
        done = pooler.cli("tenant", "set", "default", "--pool-size", "3", check=False)
        assert done.returncode == 1 and "catalog file" in done.stderr and "Hint:" in done.stderr
        assert may_log_in(pooler)
    finally:
        subprocess.run(["chattr", "-i", *files], check=False)


# --- a catalog in Postgres


@pytest.fixture
def catalog_server(pg_of) -> Postgres:
    """A Postgres for the catalog alone, which tests may stop and start."""
    return pg_of(max_connections=20)


def shared(pooler_of, url: str, **settings: str) -> Pooler:
    pooler = pooler_of({"server.catalog": url} | {f"server.{k}": v for k, v in settings.items()}, tenants=[], start=False)
    pooler.write_config()
    return pooler


def shared_with_api(pooler_of, url: str, tmp_path) -> tuple[Pooler, int]:
    """One on a catalog that is up to date, with the port of its API."""
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port) | {"server.catalog": url}, tenants=[], start=False)
    pooler.write_config()
    assert "up to date" in pooler.cli("catalog", "migrate").stdout
    return pooler, port


def test_nodes_share_a_catalog_in_postgres(pooler_of, pg, catalog_server):
    catalog_server.sql("CREATE DATABASE shared")
    url = f"postgres://postgres@{catalog_server.host}:{catalog_server.port}/shared"
    one = shared(pooler_of, url)
    assert "`penstock serve` brings them up to date" in one.cli("check").stdout
    strict = one.cli("check", "--set", "server.catalog_migrate=false", check=False)
    assert strict.returncode == 1 and "penstock catalog migrate" in strict.stdout
    assert "`penstock catalog migrate` makes them" in one.cli("tenant", "list", check=False).stderr
    assert "up to date" in one.cli("catalog", "migrate").stdout
    one.add_tenant(tenant(pg))
    one.launch()
    two = shared(pooler_of, url)
    two.launch()
    assert may_log_in(one) and may_log_in(two)

    begun = time.monotonic()
    one.cli("tenant", "add", "red", "--host", f"{pg.host}:{pg.port}")
    one.cli("user", "add", "app.red", "--password", ROLES["app"])
    added = time.monotonic()
    for pooler in (one, two):
        until(lambda: may_log_in(pooler, "app.red"), 2, "the news")  # noqa: B023
    assert time.monotonic() - added < 3, f"began {begun}"
    text = two.cli("check").stdout
    assert "ok" in text


def test_a_server_works_on_and_starts_again_while_its_catalog_database_is_down(pooler_of, pg, catalog_server, key_file,
                                                                              tmp_path):
    catalog_server.sql("CREATE DATABASE fragile")
    url = f"postgres://postgres:never-shown@{catalog_server.host}:{catalog_server.port}/fragile"
    copy = tmp_path / "copy.db"
    pooler = shared(pooler_of, url, catalog_key_file=str(key_file), catalog_copy_file=str(copy))
    pooler.cli("catalog", "migrate")
    pooler.add_tenant(tenant(pg))
    pooler.launch()
    until(lambda: copy.exists() and "default" in pooler.cli("tenant", "list", "--catalog", str(copy)).stdout, 8, "a copy")
    assert ROLES["app"].encode() not in copy.read_bytes(), "sealed there, too"
    with pooler.endpoint().wire() as wire:
        catalog_server.stop()
        try:
            pooler.wait_log("catalog.failed")
            assert wire.value("SELECT 1") == "1" and may_log_in(pooler)
            done = pooler.cli("tenant", "set", "default", "--pool-size", "3", check=False)
            assert done.returncode == 1 and "catalog database" in done.stderr and "never-shown" not in done.stderr
            time.sleep(3)
            assert pooler.log().count("catalog.failed") <= 2, "trouble is told when it begins or changes"
            pooler.stop()
            pooler.launch()
            pooler.wait_log("starting with the local copy")
            assert may_log_in(pooler), "after a restart, too"
        finally:
            catalog_server.start()
    start = len(pooler.log())
    pooler.cli("tenant", "set", "default", "--pool-size", "4")
    until(lambda: "catalog.changed" in pooler.log()[start:], 45, "contact with the database")
    pooler.cli("tenant", "add", "late", "--host", f"{pg.host}:{pg.port}")
    pooler.cli("user", "add", "app.late", "--password", ROLES["app"])
    until(lambda: may_log_in(pooler, "app.late"), 5)
    assert "never-shown" not in pooler.log()[start:] and "never-shown" not in pooler.log()


def test_the_password_of_the_catalogs_url_is_not_shown(pooler_of, catalog_server):
    pooler = shared(pooler_of, f"postgres://postgres:hidden-word@{catalog_server.host}:{catalog_server.port}/nowhere")
    for words in (["check"], ["check", "--print"], ["tenant", "list"]):
        done = pooler.cli(*words, check=False)
        assert "hidden-word" not in done.stdout + done.stderr
    pooler.launch(wait=False)
    assert pooler.wait_exit(15) == 1
    assert "hidden-word" not in pooler.log() and 'nowhere' in pooler.log()
    pooler.expect_dead = True


def test_the_api_does_not_show_the_password_of_the_catalogs_url(pooler_of, catalog_server, tmp_path):
    catalog_server.sql("CREATE DATABASE shown")
    url = f"postgres://postgres:hidden-word@{catalog_server.host}:{catalog_server.port}/shown"
    pooler, port = shared_with_api(pooler_of, url, tmp_path)
    pooler.launch()
    for bearer in (token(), token(scope="read")):
        answer = Api(port, bearer=bearer).get("/api/config")
        assert "hidden-word" not in answer.text
        assert answer.json["data"]["server.catalog"]["value"] == '"' + url.replace("hidden-word", "***") + '"'


def test_killed_servers_leave_nothing_behind_in_the_shared_catalog(pooler_of, pg, catalog_server):
    catalog_server.sql("CREATE DATABASE crashes")
    url = f"postgres://postgres@{catalog_server.host}:{catalog_server.port}/crashes"
    pooler = shared(pooler_of, url)
    pooler.cli("catalog", "migrate")
    pooler.add_tenant(tenant(pg))
    rng = random.Random(5)
    for size in range(2, 12):
        process = subprocess.Popen([str(pooler.program), "tenant", "set", "default", "--pool-size", str(size),
                                    "--config", str(pooler.config_path)], stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    pooler.cli("tenant", "set", "default", "--pool-size", "50")
    assert "50" in pooler.cli("tenant", "show", "default").stdout
    with psycopg.connect(host=catalog_server.host, port=catalog_server.port, user="postgres", dbname="crashes") as db:
        version, revision, audited = db.execute(
            "SELECT (SELECT version FROM penstock.catalog), (SELECT revision FROM penstock.tenants), "
            "(SELECT max(revision) FROM penstock.audit)").fetchone()
        assert version == revision == audited
    pooler.expect_dead = True


def test_a_change_whose_commit_was_not_answered_may_have_been_made(pooler_of, catalog_server, tmp_path):
    catalog_server.sql("CREATE DATABASE lost")
    url = f"postgres://postgres@{catalog_server.host}:{catalog_server.port}/lost"
    pooler, port = shared_with_api(pooler_of, url, tmp_path)
    # The connection ends within COMMIT.
    catalog_server.sql("CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS "
                       "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$", dbname="lost")
    catalog_server.sql("CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON penstock.tenants DEFERRABLE INITIALLY DEFERRED "
                       "FOR EACH ROW EXECUTE FUNCTION leave()", dbname="lost")
    pooler.launch()
    lost = Api(port).call("PUT", "/api/tenants/acme", {"tenant": {"hosts": ["db.example:5432"]}})
    assert lost.status == 504 and "look whether it is there" in lost.text, lost.text
    file = tmp_path / "t.yaml"
    file.write_text('tenants:\n- id: acme\n  hosts: ["db.example:5432"]\n')
    done = pooler.cli("apply", "-f", str(file), "--yes", check=False)
    assert done.returncode == 3 and "may have been made" in done.stderr, done.stderr
