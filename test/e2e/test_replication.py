"""Replication connections: a server connection of their own, passed through."""

from __future__ import annotations

import subprocess
import time
import uuid

import pytest

from pooler import Endpoint
from programs import BIN, run


@pytest.fixture
def repl(plain: Endpoint) -> Endpoint:
    return plain.but(user="repl", password="repl-secret")


@pytest.mark.parametrize("kind", ["database", "true"])
def test_identify_system(repl: Endpoint, pg, kind: str):
    out = run("psql", "-XAt", repl.dsn(replication=kind), "-c", "IDENTIFY_SYSTEM", at=repl).stdout
    system, timeline, _, database = out.strip().split("|")
    assert system == str(pg.sql("SELECT system_identifier FROM pg_control_system()")[0][0]) and timeline == "1"
    assert database == ("app" if kind == "database" else "")


def test_logical_connection_runs_sql_too(repl: Endpoint):
    with repl.wire(replication="database") as wire:
        assert wire.value("SELECT current_user") == "repl"
        assert wire.value("SHOW wal_level") == "logical"


def test_receivewal(repl: Endpoint, pg, tmp_path):
    position = pg.sql("SELECT pg_current_wal_lsn()")[0][0]
    worker = subprocess.Popen([f"{BIN}/pg_receivewal", "-D", str(tmp_path), "--no-sync", "-n"], env=repl.env(),
                              stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 10
        while not list(tmp_path.glob("0*")):
            assert worker.poll() is None and time.monotonic() < deadline, worker.stderr and worker.stderr.read()
            pg.sql("SELECT pg_logical_emit_message(true, 'x', repeat('y', 10000))")
            time.sleep(0.1)
        assert position is not None
    finally:
        worker.terminate()
        worker.wait(10)
    assert not pg.wait_backends("usename = 'repl'", 0)


def test_recvlogical(repl: Endpoint, pg, tmp_path):
    slot, target = f"slot_{uuid.uuid4().hex[:10]}", tmp_path / "changes"
    run("pg_recvlogical", "--create-slot", "-S", slot, "-P", "test_decoding", "-d", "app", at=repl)
    worker = subprocess.Popen([f"{BIN}/pg_recvlogical", "--start", "-S", slot, "-d", "app", "-f", str(target), "-F", "0", "-n"],
                              env=repl.env(), stderr=subprocess.PIPE)
    try:
        pg.sql("CREATE TABLE IF NOT EXISTS watched (a int)", dbname="app")
        deadline = time.monotonic() + 10
        while not (target.exists() and "watched: INSERT: a[integer]:42" in target.read_text()):
            assert worker.poll() is None and time.monotonic() < deadline, worker.stderr and worker.stderr.read()
            pg.sql("INSERT INTO watched VALUES (42)", dbname="app")
            time.sleep(0.1)
    finally:
        worker.terminate()
        worker.wait(10)
        pg.wait_backends("usename = 'repl'", 0)
        run("pg_recvlogical", "--drop-slot", "-S", slot, "-d", "app", at=repl)


def test_basebackup(repl: Endpoint, tmp_path):
    target = tmp_path / "backup"
    run("pg_basebackup", "-D", str(target), "--no-sync", "-X", "stream", "-c", "fast", at=repl, timeout=80)
    assert (target / "PG_VERSION").exists() and (target / "backup_manifest").exists()


def test_ordinary_user_gets_the_servers_refusal(plain: Endpoint):
    done = run("psql", "-XAt", plain.dsn(replication="database"), "-c", "IDENTIFY_SYSTEM", at=plain, check=False)
    assert done.returncode != 0 and "replication" in done.stderr


@pytest.mark.penstock
def test_replication_servers_are_not_reused(pooler, pg):
    at = pooler.endpoint(user="repl")
    with at.wire(replication="database", application_name="once") as wire:
        first = wire.value("SELECT pg_backend_pid()")
    assert not pg.wait_backends("application_name = 'once'", 0)
    with at.wire(application_name="ordinary") as wire:
        assert wire.value("SELECT pg_backend_pid()") != first
