"""What /metrics says, read by Prometheus' own parser and compared with what was done."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from api import Api, api_settings, token, value
from pooler import Pooler, default_tenant
from postgres import APP_PASSWORD, free_port
from wire import ServerError, Wire, query, startup

pytestmark = pytest.mark.penstock
POOL = {"tenant": "default", "user": "app", "database": "app"}


@pytest.fixture
def served(pooler_of, pg, tmp_path) -> tuple[Pooler, Api]:
    port = free_port()
    return pooler_of(api_settings(tmp_path, port), tenants=[default_tenant(pg)]), Api(port, token(scope="metrics"))


def test_idle_clients_are_counted_on_workers_without_a_server(pooler_of, pg, tmp_path):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port, **{"server.workers": 4}),
                       tenants=[default_tenant(pg, **{"pool-size": "20"})])
    api = Api(port)
    clients = [pooler.endpoint().connect() for _ in range(12)]
    metrics = api.metrics()
    assert len(api.get("/api/servers").json["data"]) < 4, "some worker has none"
    assert value(metrics, "penstock_clients", state="idle", **POOL) == 12
    assert value(metrics, "penstock_logins_total", **POOL) == 12
    assert sum(value(metrics, "penstock_worker_sessions", worker=str(worker)) for worker in range(4)) == 12
    for client in clients:
        client.close()


def test_open_sockets_make_no_call_dear_that_needs_no_token(pooler_of, pg, tmp_path):
    """To count its open files a process has them all listed."""
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port, **{"server.io_backend": "epoll"}), tenants=[default_tenant(pg)])
    api = Api(port)

    def cpu_ns(calls: int) -> int:
        used = lambda: int((Path("/proc") / str(pooler.pid) / "task" / str(pooler.pid) / "schedstat").read_text().split()[0])
        before = used()
        for _ in range(calls):
            assert api.get("/api/version").status == 200
        return used() - before

    cpu_ns(20)
    alone = cpu_ns(100)
    sockets = [socket.create_connection(("127.0.0.1", pooler.port)) for _ in range(3000)]
    beside_many = cpu_ns(100)
    files = [value(api.metrics(), "process_open_fds") for _ in range(2)]
    for each in sockets:
        each.close()
    assert beside_many < 3 * alone
    assert value(api.metrics(), "process_open_fds") == files[0] == files[1] > 3000, "they are counted every few seconds"


def test_clients_of_pools_beyond_the_table_are_seen(pooler_of, pg, tmp_path):
    port = free_port()
    settings = api_settings(tmp_path, port, **{"api.metrics_pools_max": 10, "server.workers": 1})
    names = [f"t{number}" for number in range(12)]
    pooler = pooler_of(settings, tenants=[replace(default_tenant(pg), id=name) for name in names])
    api = Api(port)
    clients = [pooler.endpoint(user=f"app.{name}", password=APP_PASSWORD).connect() for name in names]
    metrics = api.metrics()
    assert value(metrics, "penstock_clients", tenant="_other", state="idle") == 2
    assert value(metrics, "penstock_clients", state="idle") == 12
    for client in clients:
        client.close()


@pytest.mark.parametrize("openmetrics", [False, True])
def test_both_formats_are_well_formed(served, openmetrics):
    pooler, api = served
    pooler.endpoint().connect().close()
    metrics = api.metrics(openmetrics=openmetrics)
    assert value(metrics, "penstock_ready") == 1
    assert value(metrics, "penstock_tenants") == 1
    assert value(metrics, "penstock_build_info") == 1
    assert value(metrics, "process_resident_memory_bytes") > 1_000_000


def test_promtool_has_no_complaint(served):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    pooler, api = served
    pooler.endpoint().connect().close()
    done = subprocess.run(["promtool", "check", "metrics"], input=api.get("/metrics").text, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_counts_what_was_done(served):
    pooler, api = served
    with pooler.endpoint().connect() as connection:
        for _ in range(10):
            connection.execute("SELECT 1", prepare=False)
        connection.execute("SELECT repeat('x', 100000)")
        for _ in range(3):
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute("SELECT * FROM no_such_table")
        metrics = api.metrics()
        assert value(metrics, "penstock_clients", **POOL) == 1
        assert value(metrics, "penstock_clients", state="idle", **POOL) == 1
        assert value(metrics, "penstock_servers", state="idle", **POOL) == 1
    assert value(metrics, "penstock_logins_total", **POOL) == 1
    assert value(metrics, "penstock_queries_total", **POOL) == 14
    assert value(metrics, "penstock_transactions_total", **POOL) == 14
    assert value(metrics, "penstock_checkouts_total", **POOL) == 14
    assert value(metrics, "penstock_query_duration_seconds_count", **POOL) == 14
    assert value(metrics, "penstock_checkout_duration_seconds_count", **POOL) == 14
    assert value(metrics, "penstock_errors_total", **{"class": "42"}, **POOL) == 3
    assert 100_000 < value(metrics, "penstock_client_sent_bytes_total", **POOL) < 110_000
    assert 200 < value(metrics, "penstock_client_received_bytes_total", **POOL) < 2000
    assert value(metrics, "penstock_server_connects_total", **POOL) == 1


def test_transactions_and_queries_differ(served):
    pooler, api = served
    with pooler.endpoint().connect(autocommit=False) as connection:
        connection.execute("SELECT 1", prepare=False)
        connection.execute("SELECT 2")
        assert value(api.metrics(), "penstock_clients", state="active", **POOL) == 1
        assert value(api.metrics(), "penstock_servers", state="active", **POOL) == 1
        connection.commit()
    metrics = api.metrics()
    assert value(metrics, "penstock_queries_total", **POOL) == 4  # BEGIN, two, COMMIT
    assert value(metrics, "penstock_transactions_total", **POOL) == 1
    assert value(metrics, "penstock_checkouts_total", **POOL) == 1


def test_tells_who_waits_and_how_long(pooler_of, pg, tmp_path):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port) | {"pool.size": 1}, tenants=[default_tenant(pg)])
    api = Api(port)
    with pooler.endpoint().connect(autocommit=False) as holder, pooler.endpoint().wire() as waiter:
        holder.execute("SELECT 1")
        waiter.send(query("SELECT 1"))
        time.sleep(0.3)
        metrics = api.metrics()
        assert value(metrics, "penstock_clients_waiting", **POOL) == 1
        assert 0.2 < value(metrics, "penstock_clients_longest_wait_seconds", **POOL) < 5
        holder.rollback()


@pytest.fixture
def cafe_in_latin1(pg) -> str:
    """A database whose name is not UTF-8."""
    pg.sql("CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pg.connect("bytes", client_encoding="SQL_ASCII") as connection:
        connection.execute(b'CREATE DATABASE "caf\xe9" TEMPLATE template0')
        yield "caf\udce9"
        connection.execute(b'DROP DATABASE "caf\xe9" WITH (FORCE)')
    pg.sql("DROP DATABASE bytes")


def test_names_that_are_not_utf8_spoil_nothing(pooler_of, pg, tmp_path, cafe_in_latin1):
    pooler = pooler_of(api_settings(tmp_path, port := free_port()) | {"log.slow_query": "1ms"}, tenants=[default_tenant(pg)])
    api = Api(port)
    shown = r"caf\xe9"
    with pooler.endpoint(dbname=cafe_in_latin1).wire(application_name=cafe_in_latin1) as wire:
        assert wire.value("SELECT 1 FROM pg_sleep(0.01)") == "1"
        with pytest.raises(ServerError):
            pooler.endpoint(dbname="gone\udcff").wire()
        assert value(api.metrics(), "penstock_logins_total", **POOL | {"database": shown}) == 1
        assert shown in {pool["database"] for pool in api.get("/api/pools").json["data"]}
        assert [(client["database"], client["application_name"]) for client in api.get("/api/clients").json["data"]] == \
            [(shown, "caf?")]
        assert [server["database"] for server in api.get("/api/servers").json["data"]] == [shown]
        assert api.get("/api/slow-queries").json["data"][0]["database"] == shown


def test_invented_names_take_no_place_in_the_metrics(pooler_of, pg, tmp_path):
    quiet = default_tenant(pg)
    quiet.id = "quiet"
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port, **{"api.metrics_pools_max": 8}), tenants=[default_tenant(pg), quiet])
    api = Api(port)
    for number in range(12):
        with pytest.raises(psycopg.OperationalError):
            pooler.endpoint(dbname=f"invented{number}").connect()
    with pooler.endpoint(user="app.quiet", password=pooler.endpoint().password).connect():
        metrics = api.metrics()
    assert value(metrics, "penstock_logins_total", tenant="quiet", user="app", database="app") == 1
    assert value(metrics, "penstock_server_connect_failures_total", tenant="default", user="_other") >= 12
    assert value(metrics, "penstock_metrics_pools_overflow_total") == 0
    databases = {dict(labels).get("database") for _, labels in metrics}
    assert databases == {None, "_other", "app"}


def test_a_pool_that_users_share_is_counted_once(pooler_of, pg, tmp_path):
    tenant = default_tenant(pg)
    tenant.users["app"]["upstream-secret"] = tenant.users["app"]["secret"]  # who has none has pools of its own
    tenant.users |= {name: {"secret": name, "upstream-user": "app", "upstream-secret": tenant.users["app"]["secret"]}
                     for name in ("web", "jobs")}
    pooler = pooler_of(api_settings(tmp_path, port := free_port()), tenants=[tenant])
    api = Api(port)
    names = ["web", "jobs", "jobs", "app"] * 2
    secrets = {"web": "web", "jobs": "jobs", "app": pooler.endpoint().password}
    clients = [pooler.endpoint(user=name, password=secrets[name]).connect() for name in names]
    for client in clients:
        client.execute("SELECT 1")
    metrics = api.metrics()
    assert {dict(labels)["user"] for _, labels in metrics if "user" in dict(labels)} == {"app"}
    assert value(metrics, "penstock_logins_total", **POOL) == len(names)
    assert value(metrics, "penstock_clients", **POOL) == len(names)
    assert value(metrics, "penstock_pool_size", **POOL) == 20
    assert [pool["user"] for pool in api.get("/api/pools").json["data"]] == ["app"]
    assert {server["user"] for server in api.get("/api/servers").json["data"]} == {"app"}
    assert sorted(client["user"] for client in api.get("/api/clients").json["data"]) == sorted(names)
    for client in clients:
        client.close()


def test_refused_logins_are_counted_by_reason(served):
    pooler, api = served
    for _ in range(3):
        with pytest.raises(psycopg.OperationalError):
            pooler.endpoint(password="wrong").connect()
    assert value(api.metrics(), "penstock_login_failures_total", reason="password") == 3


def login_failures(api: Api) -> dict[str, float]:
    return {dict(labels)["reason"]: number for (name, labels), number in api.metrics().items()
            if name == "penstock_login_failures_total" and number > 0}


def test_who_leaves_before_it_has_said_its_password_has_not_failed(served):
    """psql does so at each log-in without a .pgpass: it asks for a password only where one is wanted."""
    pooler, api = served
    for _ in range(3):
        with pooler.endpoint().connect(), socket.create_connection(("127.0.0.1", pooler.port), 5) as client:
            client.sendall(startup({"user": "app", "database": "app"}))
            assert client.recv(1) == b"R"
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(pooler.endpoint(password=None).dsn(), passfile="/dev/null")
    pooler.wait_log("client.left")
    assert login_failures(api) == {}
    assert "client.refused" not in pooler.log()


def test_who_says_no_password_in_time_is_counted_as_late(pooler_of, pg, tmp_path):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port, **{"timeouts.client_login": "500ms"}), tenants=[default_tenant(pg)])
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        assert wire.read().type == "R"
        assert wire.expect_error()["C"] == "57014"
    assert login_failures(Api(port)) == {"timeout": 1}


@pytest.mark.parametrize("loop", ["epoll", "io_uring"])
def test_clients_for_whom_there_is_no_socket_are_counted(pooler_of, pg, tmp_path, loop):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port, **{"server.workers": 1, "server.io_backend": loop}),
                       tenants=[default_tenant(pg)], open_files=40)
    api = Api(port)
    before = login_failures(api).get("limit", 0)  # whoever looked whether it listens
    clients = [socket.create_connection(("127.0.0.1", pooler.port), 5) for _ in range(150)]
    for client in clients:
        client.sendall(startup({"user": "app", "database": "app"}))
    served = 0
    for client in clients:
        client.settimeout(5)
        try:
            served += client.recv(1) == b"R"
        except ConnectionResetError:
            pass
    for client in clients[:100]:
        client.close()
    assert served < 150
    assert login_failures(api) == {"limit": before + 150 - served}
    refusals = [line for line in pooler.log().splitlines() if "client.refused" in line]
    assert refusals and ("address=127.0.0.1" in refusals[0] or "address=\"127.0.0.1" in refusals[0])
    for client in clients[100:]:
        client.close()


def test_prepared_statements_hit_and_miss(served):
    pooler, api = served
    with pooler.endpoint().connect() as connection:
        for _ in range(5):
            connection.execute("SELECT %s::int", (1,), prepare=True)
    metrics = api.metrics()
    assert value(metrics, "penstock_prepared_hits_total", **POOL) >= 4


def test_one_tenant_alone(served):
    pooler, api = served
    pooler.endpoint().connect().close()
    metrics = api.metrics("/metrics/default")
    assert all(dict(labels).get("tenant") == "default" for _, labels in metrics)
    assert value(metrics, "penstock_logins_total", **POOL) == 1
    assert not api.metrics("/metrics/nobody")
    assert Api(api.port, token(scope="read")).get("/metrics").status == 403
    assert Api(api.port, token(scope="metrics", tenants=["acme"])).get("/metrics/default").status == 403


def test_metrics_can_be_open(pooler_of, pg, tmp_path):
    port = free_port()
    pooler_of(api_settings(tmp_path, port, **{"api.metrics_without_token": True}), tenants=[default_tenant(pg)])
    assert Api(port, "").get("/metrics").status == 200
    assert Api(port, "").get("/api/tenants").status == 403
