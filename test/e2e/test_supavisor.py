"""What was written for Supavisor's API works as it is: requests by curl, as its manual has them, and answers in its form."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone

import psycopg
import pytest

from api import Api, api_settings, token
from pooler import Pooler, default_tenant
from postgres import APP_PASSWORD, free_port

pytestmark = pytest.mark.penstock


@pytest.fixture
def served(pooler_of, pg, tmp_path) -> tuple[Pooler, Api]:
    port = free_port()
    # Tokens of its manual never end.
    settings = api_settings(tmp_path, port, **{"api.tokens_need_expiry": False})
    return pooler_of(settings, tenants=[default_tenant(pg)]), Api(port)


@pytest.fixture
def curl(served):
    """Runs a command line as people type it; gives the status and the body."""
    _, api = served

    def run(command: str) -> tuple[int, str]:
        text = command.replace("\\\n", " ").replace("localhost:4000", f"127.0.0.1:{api.port}")
        text = text.replace("JWT", token(expires_in=None))
        done = subprocess.run([*shlex.split(text), "-sS", "-w", "\n%{http_code}"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    return run


def test_a_tenant_with_listed_users(served, curl, pg):
    pooler, _ = served
    command = f"""curl -X PUT \\
  'http://localhost:4000/api/tenants/dev_tenant' \\
  --header 'Accept: application/json' \\
  --header 'Authorization: Bearer JWT' \\
  --header 'Content-Type: application/json' \\
  --data-raw '{{
  "tenant": {{
    "db_host": "{pg.host}",
    "db_port": {pg.port},
    "db_database": "app",
    "ip_version": "auto",
    "require_user": true,
    "upstream_ssl": true,
    "enforce_ssl": false,
    "upstream_verify": "none",
    "default_max_clients": 200,
    "default_pool_size": 15,
    "default_parameter_status": {{"server_version": "15.0"}},
    "users": [
      {{
        "db_user": "app",
        "db_password": "{APP_PASSWORD}",
        "pool_size": 20,
        "mode_type": "transaction",
        "pool_checkout_timeout": 1000
      }}
    ]
  }}
}}'"""
    status, body = curl(command)
    assert status == 201, body
    data = json.loads(body)["data"]
    expected = {"external_id": "dev_tenant", "db_host": pg.host, "db_port": pg.port, "db_database": "app",
                "ip_version": "auto", "require_user": True, "upstream_ssl": True, "upstream_verify": "none",
                "enforce_ssl": False, "default_max_clients": 200, "default_pool_size": 15}
    assert {name: data[name] for name in expected} == expected
    user = {"db_user": "app", "db_user_alias": "app", "pool_size": 20, "mode_type": "transaction",
            "pool_checkout_timeout": 1000, "is_manager": False}
    assert {name: data["users"][0][name] for name in user} == user
    with pooler.endpoint(user="app.dev_tenant", password=APP_PASSWORD).connect() as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
    assert curl(command)[0] == 200


def test_a_tenant_whose_users_the_server_knows(served, curl, pg):
    pooler, _ = served
    status, body = curl(f"""curl  -X PUT \\
  'http://localhost:4000/api/tenants/dev_tenant' \\
  --header 'Accept: */*' \\
  --header 'User-Agent: Thunder Client (https://www.thunderclient.com)' \\
  --header 'Authorization: Bearer JWT' \\
  --header 'Content-Type: application/json' \\
  --data-raw '{{
  "tenant": {{
    "db_host": "{pg.host}",
    "db_port": {pg.port},
    "db_database": "app",
    "ip_version": "auto",
    "enforce_ssl": false,
    "require_user": false,
    "auth_query": "SELECT rolname, rolpassword FROM pg_authid WHERE rolname=$1;",
    "users": [
      {{
        "db_user": "postgres",
        "db_password": "postgres",
        "pool_size": 20,
        "mode_type": "transaction",
        "is_manager": true
      }}
    ]
  }}
}}'""")
    assert status == 201, body
    pooler.endpoint(user="app.dev_tenant", password=APP_PASSWORD).connect().close()


def test_reading_banning_and_removing(served, curl, pg):
    pooler, api = served
    wish = {"tenant": {"db_host": pg.host, "db_port": pg.port, "db_database": "app", "require_user": True, "users": [
        {"db_user": "app", "db_password": APP_PASSWORD, "pool_size": 3, "mode_type": "transaction"}]}}
    assert api.call("PUT", "/api/tenants/dev_tenant", wish).status == 201
    head = "--header 'Authorization: Bearer JWT' --header 'Content-Type: application/json'"
    tenant = "'http://localhost:4000/api/tenants/dev_tenant'"
    status, body = curl(f"curl {tenant} {head}")
    assert status == 200 and json.loads(body)["data"]["external_id"] == "dev_tenant"
    login = pooler.endpoint(user="app.dev_tenant", password=APP_PASSWORD)

    with login.connect() as connection:
        connection.execute("SELECT 1")
        until = (datetime.now(timezone.utc) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        ban = json.dumps({"banned": True, "ban_reason": "too loud", "banned_until": until})
        assert curl(f"curl -X PATCH {tenant} {head} -d '{ban}'")[0] == 200
        with pytest.raises(psycopg.OperationalError, match="too loud"):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="too loud"):
        login.connect()
    deadline = time.monotonic() + 10
    while True:
        try:
            login.connect().close()
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the ban does not end"
            time.sleep(0.2)
    status, body = curl(f"""curl -X PATCH {tenant} {head} -d '{{"banned": true}}'""")
    assert status == 422 and "ban_reason" in body, "each ban needs a reason of its own"
    # Nor does the end of the last one hold for the next.
    assert curl(f"""curl -X PATCH {tenant} {head} -d '{{"banned": true, "ban_reason": "again"}}'""")[0] == 200
    assert api.get("/api/tenants/dev_tenant").json["data"]["banned_at"]
    with pytest.raises(psycopg.OperationalError, match="again"):
        login.connect()
    assert curl(f"""curl -X PATCH {tenant} {head} -d '{{"banned": false}}'""")[0] == 200

    with login.connect() as connection:
        connection.execute("SELECT 1")
        status, body = curl(f"curl http://localhost:4000/api/tenants/dev_tenant/terminate {head}")
        assert status == 200 and "dev_tenant" in json.loads(body)["result"]
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    bans = "http://localhost:4000/api/tenants/dev_tenant/network_bans"
    assert curl(f"curl {bans} {head}") == (200, '{"banned_ipv4_addresses":[]}')
    lift = """-d '{"ipv4_addresses": ["1.2.3.4"]}'"""
    assert curl(f"curl -X DELETE {bans} {head} {lift}") == (200, '{"banned_ipv4_addresses":[]}')
    assert curl(f"curl -X DELETE {tenant} {head}") == (204, "")
    assert curl(f"curl -X DELETE {tenant} {head}")[0] == 404
    status, body = curl(f"curl {tenant} {head}")
    assert status == 404 and json.loads(body)["error"] == "not found"


def test_credentials_of_the_manager(served, curl, pg):
    _, api = served
    wish = {"tenant": {"db_host": pg.host, "db_port": pg.port, "db_database": "app", "require_user": True, "users": [
        {"db_user": "app", "db_password": APP_PASSWORD, "pool_size": 3, "mode_type": "transaction"}]}}
    assert api.call("PUT", "/api/tenants/dev_tenant", wish).status == 201
    command = """curl -X POST http://localhost:4000/api/tenants/dev_tenant/update_auth_credentials \\
        --header 'Authorization: Bearer JWT' --header 'Content-Type: application/json' -d '%s'"""
    assert curl(command % '{"db_user": "app"}')[0] == 422
    assert curl(command % '{"db_user": "app", "db_password": "p"}')[0] == 400, "nobody runs an auth_query"
    more = {"tenant": {"require_user": False, "auth_query": "SELECT $1, 'x'", "auth_user": "app"}}
    assert api.call("PATCH", "/api/tenants/dev_tenant", more).status == 200
    assert curl(command % '{"db_user": "app", "db_password": "p"}') == (204, "")
    assert curl(command.replace("dev_tenant", "nobody") % '{"db_user": "app", "db_password": "p"}')[0] == 404


def test_health_and_tokens(served, curl):
    assert curl("curl http://localhost:4000/api/health") == (204, "")
    assert curl("curl http://localhost:4000/api/openapi")[0] == 200
    assert curl("curl http://localhost:4000/api/tenants/dev_tenant")[0] == 403
    assert curl("curl http://localhost:4000/metrics --header 'Authorization: Bearer JWT'")[0] == 200


def cluster_of(api: Api, pg, **databases: str) -> None:
    for name, database in databases.items():
        wish = {"tenant": {"db_host": pg.host, "db_port": pg.port, "db_database": database, "require_user": True,
                           "users": [{"db_user": "app", "db_password": APP_PASSWORD, "pool_size": 3,
                                      "mode_type": "transaction"}]}}
        assert api.call("PUT", f"/api/tenants/{name}", wish).status == 201


def test_a_cluster_is_a_name_for_tenants(served, curl, pg):
    pooler, api = served
    cluster_of(api, pg, east="app", west="postgres")
    command = """curl -X PUT http://localhost:4000/api/clusters/shop --header 'Authorization: Bearer JWT' \\
      --header 'Content-Type: application/json' --data-raw '%s'"""
    members = [{"type": "write", "active": True, "tenant_external_id": "east"},
               {"type": "read", "active": True, "tenant_external_id": "west"}]
    status, body = curl(command % json.dumps({"cluster": {"active": True, "cluster_tenants": members}}))
    assert status == 201, body
    data = json.loads(body)["data"]
    assert (data["alias"], data["active"]) == ("shop", True)
    assert [(member["tenant_external_id"], member["cluster_alias"], member["active"])
            for member in data["cluster_tenants"]] == [("east", "shop", True), ("west", "shop", True)]
    read = curl("curl http://localhost:4000/api/clusters/shop --header 'Authorization: Bearer JWT'")
    assert (read[0], json.loads(read[1])["data"]) == (200, data)

    def database() -> str:
        with pooler.endpoint(user="app.cluster.shop", password=APP_PASSWORD).connect() as connection:
            return connection.execute("SELECT current_database()").fetchone()[0]

    assert database() == "app"
    # The other way round, at once.
    members[0]["type"], members[1]["type"] = "read", "write"
    status, body = curl(command % json.dumps({"cluster": {"active": True, "cluster_tenants": members}}))
    assert status == 200, body
    assert database() == "postgres"
    assert curl(command % json.dumps({"cluster": {"active": False}}))[0] == 200
    with pytest.raises(psycopg.OperationalError):
        database()
    assert curl("curl -X DELETE http://localhost:4000/api/clusters/shop --header 'Authorization: Bearer JWT'")[0] == 204
    assert curl("curl http://localhost:4000/api/clusters/shop --header 'Authorization: Bearer JWT'")[0] == 404
    assert api.get("/api/tenants/east").status == 200
    entries = api.get("/api/tenants/west/audit").json["data"]
    assert entries[0]["fields"] and all("cluster" in field for field in entries[0]["fields"])


def members(*names: str) -> dict[str, object]:
    return {"cluster": {"cluster_tenants": [{"type": "write", "tenant_external_id": name} for name in names]}}


def test_nobody_overwrites_what_somebody_else_made_of_a_cluster(served, pg):
    _, api = served
    cluster_of(api, pg, east="app", west="app", north="app")
    path = "/api/clusters/shop"
    assert api.call("PUT", path, members("east"), if_match='"1-1"').status == 412, "there is none yet"
    assert api.call("PUT", path, members("east"), if_match="*").status == 412
    made = api.call("PUT", path, members("east", "west"), if_none_match="*")
    assert made.status == 201 and made.headers["etag"] == api.get(path).headers["etag"]
    assert api.call("PUT", path, members("east"), if_none_match="*").status == 412
    assert api.get(path, if_none_match=made.headers["etag"]).status == 304

    seen = {made.headers["etag"]}
    for change in (("PUT", path, members("east")), ("PUT", path, members("east", "west")), ("PUT", path, members("east", "north")),
                   ("PUT", path, members("west", "north")), ("PATCH", "/api/tenants/west", {"tenant": {"pool_size": 7}})):
        old = api.get(path).headers["etag"]
        assert api.call(*change).status == 200
        fresh = api.get(path).headers["etag"]
        assert fresh not in seen, "a tag is of one state only"
        seen.add(fresh)
        before = api.get(path).json
        for verb, body in (("PUT", members("east")), ("DELETE", None)):
            assert api.call(verb, path, body, if_match=old).status == 412
        assert api.get(path).json == before
    assert api.call("PUT", path, members("west"), if_match=fresh).status == 200
    assert api.call("DELETE", path, if_match=fresh).status == 412
    assert api.call("DELETE", path, if_match=api.get(path).headers["etag"]).status == 204


def test_a_cluster_can_be_tried_first(served, pg):
    _, api = served
    cluster_of(api, pg, east="app", west="nowhere")
    trial = api.call("PUT", "/api/clusters/shop?dry_run=true", members("east", "west"))
    assert trial.status == 200 or trial.status == 201, trial.text
    assert [member["id"] for member in trial.json["data"]["cluster_tenants"]] == ["east", "west"]
    assert api.get("/api/clusters/shop").status == 404
    refused = api.call("PUT", "/api/clusters/shop?check=true", members("east", "west"))
    assert refused.status == 400 and 'tenant "west"' in refused.json["detail"] and "nowhere" in refused.json["detail"], refused.text
    assert api.get("/api/clusters/shop").status == 404
    assert api.call("PUT", "/api/clusters/shop?check=true", members("east")).status == 201
    assert api.call("PUT", "/api/clusters/shop?dry_run=true", members("west")).status == 200
    assert api.call("DELETE", "/api/clusters/shop?dry_run=true").status == 204
    assert [member["id"] for member in api.get("/api/clusters/shop").json["data"]["cluster_tenants"]] == ["east"]


@contextmanager
def late_server(pg, seconds: float) -> Iterator[int]:
    """The port of a server that says nothing for a while; then it is `pg`."""
    over = threading.Event()

    def forward(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        if over.wait(seconds):
            return client.close()
        server = socket.create_connection((pg.host, pg.port))
        back = threading.Thread(target=forward, args=(server, client), daemon=True)
        back.start()
        forward(client, server)
        back.join()
        client.close()
        server.close()

    def accept() -> None:
        while not over.is_set():
            with suppress(OSError):
                client, _ = listener.accept()
                client.settimeout(None)
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(0.1)
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            accepting.join()


def late_tenant(port: int) -> dict[str, object]:
    return {"tenant": {"db_host": "127.0.0.1", "db_port": port, "db_database": "app", "upstream_tls": "disable", "users": [
        {"db_user": "app", "db_password": APP_PASSWORD, "mode_type": "transaction"}]}}


def test_slow_members_of_a_cluster_are_tried_at_once(served, pg):
    """One after the other, seven took longer than a client has to wait; the cluster was stored behind its back."""
    _, api = served
    names = [f"m{number}" for number in range(11)]
    with late_server(pg, 1) as port:
        for name in names:
            assert api.call("PUT", f"/api/tenants/{name}", late_tenant(port)).status == 201
        begun = time.monotonic()
        made = api.call("PUT", "/api/clusters/shop?check=true", members(*names))
        assert made.status == 201, made.text
        assert 2 <= time.monotonic() - begun < 5, "eight at a time"
        assert len(made.json["data"]["cluster_tenants"]) == len(names)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_answers_that_are_under_way_go_out_when_the_process_ends(served, pg, number):
    pooler, api = served
    with late_server(pg, 0.5) as port, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(api.call, "PUT", "/api/tenants/late?check=true", late_tenant(port))
        time.sleep(0.2)
        pooler.expect_dead = True
        pooler.signal(number)
        told = answer.result(5)
        assert told.status == 201, told.text
        assert pooler.wait_exit(3) == 0


def test_mistakes_in_clusters_are_named(served, pg):
    _, api = served
    cluster_of(api, pg, east="app", west="app")

    def put(alias: str, *names: str) -> object:
        members = [{"type": "write", "active": True, "tenant_external_id": name} for name in names]
        return api.call("PUT", f"/api/clusters/{alias}", {"cluster": {"active": True, "cluster_tenants": members}})

    assert put("shop", "east").status == 201
    for answer in (put("other", "east"), put("shop", "nobody"), put("empty")):
        assert answer.status == 422 and "cluster.cluster_tenants" in answer.json["errors"], answer.text
    assert api.call("PUT", "/api/clusters/new", {"cluster": {"active": True}}).status == 422
    wrong = {"cluster": {"cluster_tenants": [{"type": "both", "tenant_external_id": "east"}]}}
    assert list(api.call("PUT", "/api/clusters/shop", wrong).json["errors"]) == ["cluster.cluster_tenants.0.type"]
    assert [cluster["alias"] for cluster in api.get("/api/clusters").json["data"]] == ["shop"]
    assert Api(api.port, bearer=token(tenants=["east"])).get("/api/clusters/shop").status == 403
    # Who is not named any more is out.
    assert put("shop", "west").status == 200
    assert "cluster" not in api.get("/api/tenants/east").json["data"]


def test_a_tenant_can_be_tried_out_first(served, pg):
    _, api = served

    def put(**more: object) -> object:
        wish = {"db_host": pg.host, "db_port": pg.port, "db_database": "app", "require_user": True, "users": [
            {"db_user": "app", "db_password": APP_PASSWORD, "pool_size": 3, "mode_type": "transaction"}]}
        return api.call("PUT", "/api/tenants/tried?check=true", {"tenant": wish | more})

    others = {backend["pid"] for backend in pg.backends("usename = 'app'")}
    closed = free_port()
    refused = put(db_port=closed)
    assert refused.status == 400 and f"{pg.host}:{closed}" in refused.json["error"], refused.text
    assert "refused" in refused.json["error"]
    unknown = put(db_database="nowhere")
    assert unknown.status == 400 and 'database "nowhere" does not exist' in unknown.json["detail"]
    wrong = put(users=[{"db_user": "app", "db_password": "wrong", "pool_size": 3, "mode_type": "transaction"}])
    assert wrong.status == 400 and "password authentication failed" in wrong.json["detail"]
    assert "wrong" not in wrong.text.replace("password", "")
    query = put(require_user=False, auth_query="SELECT nothing WHERE 'a' = $1",
                users=[{"db_user": "app", "db_password": APP_PASSWORD, "is_manager": True, "mode_type": "session"}])
    assert query.status == 400 and "nothing" in query.json["detail"]
    empty = put(require_user=False, auth_query="SELECT 'a', 'b' WHERE 'a' = $1",
                users=[{"db_user": "app", "db_password": APP_PASSWORD, "is_manager": True, "mode_type": "session"}])
    assert empty.status == 400 and "auth_query must return one row" in empty.json["detail"]
    assert put(db_host="no-such-host.invalid").status == 400
    assert put(db_port="x").status == 422
    assert api.get("/api/tenants/tried").status == 404
    assert put().status == 201
    # Nothing is left open; Postgres notices a moment later.
    deadline = time.monotonic() + 5
    while {backend["pid"] for backend in pg.backends("usename = 'app'")} - others:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_tenant_at_its_limit_can_be_tried_out(served, pg):
    pooler, api = served
    wish = {"tenant": {"db_host": pg.host, "db_port": pg.port, "db_database": "app", "max_upstreams": 1, "users": [
        {"db_user": "app", "db_password": APP_PASSWORD, "mode_type": "transaction"}]}}
    assert api.call("PUT", "/api/tenants/small", wish).status == 201
    with pooler.endpoint(user="app.small", password=APP_PASSWORD).connect() as client:
        process = client.execute("SELECT pg_backend_pid()").fetchone()
        begun = time.monotonic()
        tried = api.call("PUT", "/api/tenants/small?check=true", wish)
        assert tried.status == 200, tried.text
        assert time.monotonic() - begun < 5
        assert client.execute("SELECT pg_backend_pid()").fetchone() == process


def test_one_tenant_cannot_use_up_the_places_of_trials(served, pg):
    """A server that accepts connections and says nothing keeps a trial busy until it gives up."""
    _, api = served

    def wish(port: int) -> dict[str, object]:
        return {"tenant": {"db_host": pg.host, "db_port": port, "db_database": "app", "users": [
            {"db_user": "app", "db_password": APP_PASSWORD, "mode_type": "transaction"}]}}

    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent, ThreadPoolExecutor(20) as pool:
        path, port = "/api/tenants/slow?check=true", silent.getsockname()[1]
        answers = [pool.submit(api.call, "PUT", path, wish(port)) for _ in range(20)]
        done, waiting = wait(answers, timeout=5)
        assert len(waiting) == 2
        for answer in done:
            assert answer.result().status == 503, answer.result().text
            assert answer.result().headers["content-type"] == "application/problem+json"
            assert answer.result().headers["retry-after"]
        assert api.call("PUT", "/api/tenants/other?check=true", wish(pg.port)).status == 201
        assert [answer.result().status for answer in waiting] == [400, 400]
    assert api.call("PUT", path, wish(pg.port)).status == 201
