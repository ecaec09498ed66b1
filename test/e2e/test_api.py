"""The HTTP API: who may do what, tenants and users as resources, live views; with real Postgres behind."""

from __future__ import annotations

import psycopg
import pytest

from api import Api, api_settings, token
from pooler import Pooler, default_tenant
from postgres import APP_PASSWORD, free_port

pytestmark = pytest.mark.penstock


@pytest.fixture
def served(pooler_of, pg, tmp_path) -> tuple[Pooler, Api]:
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port), tenants=[default_tenant(pg)])
    return pooler, Api(port)


@pytest.fixture
def api(served) -> Api:
    return served[1]


def tenant_body(pg, **more: object) -> dict[str, object]:
    """As Supavisor's manual writes it."""
    return {"tenant": {
        "db_host": pg.host, "db_port": pg.port, "db_database": "app", "ip_version": "auto", "enforce_ssl": False,
        "require_user": True, "default_parameter_status": {"server_version": "15.0"},
        "users": [{"db_user": "app", "db_password": APP_PASSWORD, "mode_type": "transaction", "pool_size": 5,
                   "pool_checkout_timeout": 5000, "is_manager": False}]} | more}


def test_health_needs_no_token(api):
    open_door = Api(api.port, bearer="")
    assert open_door.get("/api/health").status == 204
    assert open_door.get("/api/ready").status == 204
    assert open_door.get("/api/version").json["name"] == "penstock"
    assert open_door.get("/api/openapi").json["openapi"].startswith("3.")


BAD_TOKENS = {
    "none": lambda: "", "nonsense": lambda: "nonsense", "no token": lambda: "a.b.c",
    "another secret": lambda: token(secret="some other secret of the same length....."),
    "expired": lambda: token(expires_in=-1), "no expiry": lambda: token(expires_in=None), "metrics": lambda: token(scope="metrics"),
    "read": lambda: token(scope="read"), "another tenant": lambda: token(tenants=["another"])}


@pytest.mark.parametrize("fault", BAD_TOKENS)
def test_a_bad_token_is_refused(api, pg, fault):
    bearer = BAD_TOKENS[fault]()
    answer = Api(api.port, bearer=bearer).call("PUT", "/api/tenants/acme", tenant_body(pg))
    assert answer.status == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.get("/api/tenants/acme").status == 404


@pytest.mark.parametrize("wish", [
    {"sni_names": ["default.db.example.com"]}, {"databases": ["app"]}, {"cluster": "c"}, {"banned": False},
    {"banned_until": "2100-01-01T00:00:00Z"}, {"max_clients": 1000}, {"default_max_clients": 1000}, {"queries_per_second": 0},
    {"hosts": ["/tmp"]}, {"db_host": "@abstract"}, {"upstream_tls_ca_file": "/etc/shadow"}, {"upstream_tls_key_file": "/etc/shadow"}])
def test_a_token_of_one_tenant_leaves_what_is_the_operators(api, pg, wish):
    """Else it could take other tenants' clients, lift its own ban, and look around on the machine."""
    operators = {"banned": True, "ban_reason": "unpaid", "max_clients": 7, "queries_per_second": 9,
                 "sni_names": ["db.acme.example.com"]}
    assert api.call("PUT", "/api/tenants/acme", tenant_body(pg, **operators)).status == 201
    before = api.get("/api/tenants/acme").json["data"]
    own = Api(api.port, bearer=token(scope="write", tenants=["acme"]))
    for method in ("PATCH", "PUT"):
        answer = own.call(method, "/api/tenants/acme", {"tenant": wish})
        assert answer.status == 403, answer.text
        assert "may not change tenant." in answer.json["detail"]
        assert "shadow" not in answer.text
    # Nor by a detour.
    answer = own.call("DELETE", "/api/tenants/acme")
    assert answer.status == 403, answer.text
    assert api.get("/api/tenants/acme").json["data"] == before


def test_a_token_of_one_tenant_changes_what_is_its_own(api, pg):
    assert api.call("PUT", "/api/tenants/acme", tenant_body(pg, max_clients=7)).status == 201
    own = Api(api.port, bearer=token(scope="write", tenants=["acme"]))
    assert own.call("PATCH", "/api/tenants/acme", {"tenant": {"pool_size": 9, "db_host": "db.example.com"}}).status == 200
    # What it was told it may send back.
    assert own.call("PUT", "/api/tenants/acme", {"tenant": {"max_clients": 7, "banned": False}}).status == 200
    answer = own.call("PUT", "/api/tenants/acme", {"tenant": own.get("/api/tenants/acme").json["data"]})
    assert answer.status == 200, answer.text
    user = own.call("PUT", "/api/tenants/acme/users/extra", {"user": {"secret": "x", "pool_size": 2}})
    assert user.status in (200, 201), user.text


def test_life_of_a_tenant(served, pg):
    pooler, api = served
    assert api.get("/api/tenants/acme").json["error"] == "not found"
    created = api.call("PUT", "/api/tenants/acme", tenant_body(pg))
    assert created.status == 201, created.text
    assert created.headers["location"] == "/api/tenants/acme"
    assert created.json["data"]["external_id"] == "acme"
    assert created.json["data"]["users"][0]["db_user"] == "app"
    assert APP_PASSWORD not in created.text

    login = pooler.endpoint(user="app.acme", password=APP_PASSWORD)
    with login.connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)
        # A change that concerns nobody who is here drops nobody.
        changed = api.call("PUT", "/api/tenants/acme", {"tenant": {"default_max_clients": 77}})
        assert changed.status == 200 and changed.json["data"]["max_clients"] == 77
        assert changed.json["data"]["db_host"] == pg.host
        assert connection.execute("SELECT 1").fetchone() == (1,)

        clients = api.get("/api/tenants/acme/clients").json["data"]
        assert [(client["user"], client["database"]) for client in clients] == [("app", "app")]
        pools = api.get("/api/tenants/acme/pools").json["data"]
        assert pools[0]["servers"]["idle"] == 1 and pools[0]["size"] == 5
        servers = api.get("/api/tenants/acme/servers").json["data"]
        assert [server["process_id"] for server in servers] == [
            connection.execute("SELECT pg_backend_pid()").fetchone()[0]]

        assert api.call("DELETE", "/api/tenants/acme").status == 204
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert api.get("/api/tenants/acme").status == 404
    assert api.call("DELETE", "/api/tenants/acme").status == 404


@pytest.fixture
def many_workers(pooler_of, pg, tmp_path) -> tuple[Pooler, Api]:
    port = free_port()
    settings = api_settings(tmp_path, port, **{"server.workers": 8})
    return pooler_of(settings, tenants=[default_tenant(pg)]), Api(port)


def test_what_the_api_has_answered_holds_at_once(many_workers, pg):
    """On whichever worker the next connection lands."""
    pooler, api = many_workers
    for number in range(40):
        name = f"quick{number}"
        login = pooler.endpoint(user=f"app.{name}", password=APP_PASSWORD)
        assert api.call("PUT", f"/api/tenants/{name}", tenant_body(pg)).status == 201
        login.connect().close()
        user = f"/api/tenants/{name}/users/app"
        assert api.call("PUT", user, {"user": {"secret": "new", "upstream_secret": APP_PASSWORD}}).status == 200
        login.but(password="new").connect().close()
        assert api.call("PATCH", f"/api/tenants/{name}", {"banned": True, "ban_reason": "a test"}).status == 200
        with pytest.raises(psycopg.OperationalError, match="banned"):
            login.but(password="new").connect()
        assert api.call("DELETE", f"/api/tenants/{name}").status == 204
        with pytest.raises(psycopg.OperationalError):
            login.but(password="new").connect()


def test_network_bans(served, pg):
    _, api = served
    bans = "/api/tenants/default/network_bans"
    assert api.get(bans).json == {"banned_ipv4_addresses": []}
    lifted = api.call("DELETE", bans, {"ipv4_addresses": ["10.0.0.1", "2001:db8::1"]})
    assert lifted.status == 200 and lifted.json == {"banned_ipv4_addresses": []}
    assert api.call("DELETE", bans, {"ipv4_addresses": [1]}).json["errors"] == {
        "ipv4_addresses.0": ["must be of type string"]}
    assert api.get("/api/tenants/nobody/network_bans").status == 404
    assert Api(api.port, bearer=token(tenants=["acme"])).get(bans).status == 403
    assert Api(api.port, bearer=token(scope="read")).call("DELETE", bans, {"ipv4_addresses": []}).status == 403


def test_lifting_many_bans_leaves_a_short_entry(served, pg):
    _, api = served
    bans = "/api/tenants/default/network_bans"
    addresses = [f"10.0.{i // 250}.{i % 250}" for i in range(1001)]
    refused = api.call("DELETE", bans, {"ipv4_addresses": addresses})
    assert refused.status == 422 and refused.json["errors"] == {"ipv4_addresses": ["must have at most 1000 entries, not 1001"]}
    assert api.call("DELETE", bans, {"ipv4_addresses": addresses[:1000]}).status == 200
    assert api.call("DELETE", bans, {"ipv4_addresses": ["10.0.0.1"] * 1000}).status == 200
    page = api.get("/api/audit?limit=1").json
    assert page["data"][0]["fields"] == ["network_bans.10.0.0.1"] and page["next"] == page["data"][0]["number"]
    page = api.get(f"/api/audit?limit=1&before={page['next']}").json
    assert page["data"][0]["fields"] == [f"network_bans.{address}" for address in addresses[:100]] + ["… and 900 more"]
    assert api.get("/api/audit?before=2").json["next"] is None


def test_changes_are_in_the_audit_log(api, pg):
    Api(api.port, bearer=token(sub="ann")).call("PUT", "/api/tenants/acme", tenant_body(pg))
    api.call("PATCH", "/api/tenants/acme", {"tenant": {"pool_size": 3}})
    entries = api.get("/api/tenants/acme/audit").json["data"]
    assert [(entry["actor"], entry["action"]) for entry in entries] == [("api", "change"), ("ann", "create")]
    assert entries[0]["fields"] == ["pool_size"] and entries[0]["origin"] == "127.0.0.1"
    assert APP_PASSWORD not in str(entries)
    assert len(api.get("/api/audit?limit=1").json["data"]) == 1


def test_orders_are_in_the_audit_log(served):
    pooler, api = served
    ann = Api(api.port, bearer=token(sub="ann"))
    with pooler.endpoint().wire() as wire:
        assert wire.value("SELECT 1") == "1"
        client = api.get("/api/tenants/default/clients").json["data"][0]["id"]
        assert ann.call("DELETE", f"/api/clients/{client}").status == 204
    assert ann.call("DELETE", f"/api/clients/{client}").status == 404, "nothing was done, nothing is written down"
    for path in ("pause", "resume", "pools/app/app/pause", "pools/app/app/resume", "reconnect", "drain", "terminate"):
        assert ann.call("POST", f"/api/tenants/default/{path}").status in (200, 202)
    assert ann.call("POST", "/api/tenants/default/pause").status in (200, 202)
    assert ann.call("POST", "/api/tenants/default/pools/app/app/resume").status == 409
    assert ann.call("POST", "/api/tenants/nobody/pause").status == 404
    assert ann.call("DELETE", "/api/tenants/default/network_bans", {"ipv4_addresses": ["10.1.2.3"]}).status == 200
    assert ann.call("POST", "/api/reload").status == 204
    entries = [entry for entry in reversed(api.get("/api/audit").json["data"]) if entry["actor"] == "ann"]
    assert [(entry["action"], entry["tenant"], entry["fields"]) for entry in entries] == [
        ("kill-client", "default", [f"clients.{client}"]), ("pause", "default", []), ("resume", "default", []),
        ("pause", "default", ["pools.app.app"]), ("resume", "default", ["pools.app.app"]), ("reconnect", "default", []),
        ("drain", "default", []), ("terminate", "default", []), ("pause", "default", []),
        ("lift-bans", "default", ["network_bans.10.1.2.3"]), ("reload", "", [])]
    assert all(entry["origin"] == "127.0.0.1" and entry["at"] and entry["revision"] == 0 for entry in entries)
    assert api.get("/api/audit?limit=1").json["data"][0]["action"] == "reload"


def test_mistakes_are_named_by_field(api, pg):
    body = tenant_body(pg, db_port="x", default_pool_size=-1)
    body["tenant"]["users"][0]["pool_size"] = "many"
    answer = api.call("PUT", "/api/tenants/acme", body)
    assert answer.status == 422
    assert set(answer.json["errors"]) == {"tenant.db_port", "tenant.default_pool_size", "tenant.users.0.pool_size"}
    answer = api.call("PUT", "/api/tenants/acme", {"tenant": {"db_database": "x"}})
    assert answer.status == 422 and "hosts" in answer.text
    assert api.call("PUT", "/api/tenants/acme", b"{").status == 400
    assert api.call("PUT", "/api/tenants/acme", b"[" * 100).status == 400
    assert api.call("PUT", "/api/tenants/acme", [1]).status == 422
    assert api.call("PUT", "/api/tenants/acme", b"a=b", Content_Type="application/x-www-form-urlencoded").status == 415
    assert api.call("POST", "/api/tenants/acme").status == 405
    assert api.get("/api/nothing").status == 404
    assert api.get("/api/tenants", Accept="text/html").status == 406
    assert api.call("PUT", "/api/tenants/acme", b"x" * 2_000_000).status == 413


def test_etags_and_dry_runs(api, pg):
    wish = tenant_body(pg)
    assert api.call("PUT", "/api/tenants/acme?dry_run=true", wish).status == 201
    assert api.get("/api/tenants/acme").status == 404
    tag = api.call("PUT", "/api/tenants/acme", wish, If_None_Match="*").headers["etag"]
    assert api.call("PUT", "/api/tenants/acme", wish, If_None_Match="*").status == 412
    assert api.get("/api/tenants/acme").headers["etag"] == tag
    assert api.get("/api/tenants/acme", If_None_Match=tag).status == 304
    fresh = api.call("PATCH", "/api/tenants/acme", {"tenant": {"pool_size": 3}}, If_Match=tag)
    assert fresh.status == 200 and fresh.headers["etag"] != tag
    assert api.call("PATCH", "/api/tenants/acme", {"tenant": {"pool_size": 4}}, If_Match=tag).status == 412
    assert api.get("/api/tenants/acme").json["data"]["pool_size"] == 3


def test_if_match_may_be_a_list(api, pg):
    path, change = "/api/tenants/acme", {"tenant": {"pool_size": 3}}
    for tag in ('"0"', '"0-paused"', '"0", "1"'):
        assert api.call("PUT", path, tenant_body(pg), If_Match=tag).status == 412, tag
    assert api.get(path).status == 404
    first = api.call("PUT", path, tenant_body(pg)).headers["etag"]
    second = api.call("PATCH", path, change, If_Match=f'"another", {first}').headers["etag"]
    assert second != first
    assert api.call("PATCH", f"{path}?dry_run=true", change, If_Match=f"{first}, {second}").status == 200
    for tags in (first, f'{first}, "another"', '"another"', '"', second.strip('"')):
        assert api.call("PATCH", path, change, If_Match=tags).status == 412, tags


def test_preconditions_of_a_user_are_about_the_user(api, pg):
    assert api.call("PUT", "/api/tenants/acme", tenant_body(pg)).status == 201
    path, wish = "/api/tenants/acme/users/bob", {"user": {"secret": "p"}}
    assert api.call("PUT", path, wish, If_Match="*").status == 412
    assert api.call("DELETE", path, If_Match="*").status == 412
    assert api.get(path).status == 404
    made = api.call("PUT", path, wish, If_None_Match="*")
    assert made.status == 201, made.text
    refused = api.call("PUT", path, wish, If_None_Match="*")
    assert refused.status == 412 and "user exists" in refused.json["detail"]
    tag = api.get(path).headers["etag"]
    assert tag == made.headers["etag"]
    again = api.get(path, If_None_Match=tag)
    assert (again.status, again.text, again.headers["etag"]) == (304, "", tag)
    assert api.call("PUT", path, {"user": {"pool_size": 3}}, If_Match=tag).status == 200
    assert api.get(path, If_None_Match=tag).status == 200
    assert api.call("PUT", path, {"user": {"pool_size": 4}}, If_Match=tag).status == 412
    assert api.call("DELETE", path, If_Match="*").status == 204


def test_a_pause_changes_what_is_read_but_not_the_revision(api, pg):
    path, change = "/api/tenants/acme", {"tenant": {"pool_size": 3}}
    before = api.call("PUT", path, tenant_body(pg)).headers["etag"]
    assert api.call("POST", f"{path}/pause").status == 200
    paused = api.get(path, If_None_Match=before)
    assert paused.status == 200 and paused.json["data"]["paused"] is True
    assert api.get(path, If_None_Match=paused.headers["etag"]).status == 304
    assert api.call("PATCH", f"{path}?dry_run=true", change, If_Match=before).status == 200
    assert api.call("PATCH", path, change, If_Match=paused.headers["etag"]).status == 200
    assert api.call("PATCH", path, change, If_Match=before).status == 412
    tag = api.get(path).headers["etag"]
    assert api.call("POST", f"{path}/resume").status == 200
    assert api.get(path, If_None_Match=tag).json["data"]["paused"] is False
    assert api.call("PATCH", path, {"tenant": {"pool_size": 4}}, If_Match=tag).status == 200


def test_a_call_without_a_dry_run_does_nothing_when_asked_for_one(api, pg):
    assert api.call("PUT", "/api/tenants/acme", tenant_body(pg)).status == 201
    assert api.call("POST", "/api/tenants/acme/pause?dry_run=true").status == 422
    assert api.get("/api/tenants/acme").json["data"]["paused"] is False


def test_only_addresses_are_let_in_again(api, pg):
    assert api.call("PUT", "/api/tenants/acme", tenant_body(pg)).status == 201
    path = "/api/tenants/acme/network_bans"
    refused = api.call("DELETE", path, {"ipv4_addresses": ["192.0.2.1", "zz"]})
    assert refused.status == 422 and list(refused.json["errors"]) == ["ipv4_addresses.1"]
    for address in ("192.0.2.1", "2001:db8::1", "2001:db8::/64"):
        assert api.call("DELETE", path, {"ipv4_addresses": [address]}).status == 200


def test_what_a_call_does_not_know_is_an_error(api, pg):
    path = "/api/tenants/acme"
    assert api.call("PUT", path, tenant_body(pg)).status == 201
    before = api.get(path).json["data"]
    for method, at, body, name in (
            ("PATCH", f"{path}?dryrun=true", {"tenant": {"pool_size": 9}}, "dryrun"),
            ("PATCH", path, {"pool_size": 9}, "pool_size"),
            ("PATCH", path, {"tenant": {"pool_size": 9}, "foo": 1}, "foo"),
            ("PUT", path, {"tenant": {"pool_size": 9}, "foo": 1}, "foo"),
            ("PUT", f"{path}/users/new", {"user": {"secret": "x"}, "foo": 1}, "foo"),
            ("POST", f"{path}/update_auth_credentials", {"db_user": "a", "db_password": "b", "zz": 1}, "zz"),
            ("DELETE", f"{path}?force=true", None, "force"),
            ("GET", "/api/tenants?serch=acme", None, "serch")):
        answer = api.call(method, at, body)
        assert answer.status == 422 and list(answer.json["errors"]) == [name], (method, at, body)
    assert api.get(path).json["data"] == before
    assert api.get(f"{path}?_=1700000000").status == 200
    assert api.get("/api/health?anything=1").status in (200, 204)


def test_lists_go_page_by_page_and_tokens_see_their_own(api, pg):
    for number in range(7):
        assert api.call("PUT", f"/api/tenants/many{number}", tenant_body(pg)).status == 201
    seen, after = [], ""
    while True:
        page = api.get(f"/api/tenants?limit=3&search=many&after={after}").json
        seen += [tenant["external_id"] for tenant in page["data"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == [f"many{number}" for number in range(7)]
    own = Api(api.port, bearer=token(scope="read", tenants=["many3"]))
    assert [tenant["external_id"] for tenant in own.get("/api/tenants").json["data"]] == ["many3"]
    assert own.get("/api/tenants/many3").status == 200
    assert own.get("/api/tenants/many4").status == 403
    assert own.get("/api/config").status == 403


def test_users_are_resources(served, pg):
    pooler, api = served
    api.call("PUT", "/api/tenants/acme", tenant_body(pg))
    users = "/api/tenants/acme/users"
    created = api.call("PUT", f"{users}/other", {"user": {"db_password": "first", "upstream_user": "app",
                                                          "upstream_secret": APP_PASSWORD}})
    assert created.status == 201, created.text
    login = pooler.endpoint(user="other.acme", password="first")
    login.connect().close()
    assert api.call("PUT", f"{users}/other", {"user": {"db_password": "second"}}).status == 200
    with pytest.raises(psycopg.OperationalError):
        login.connect()
    login.but(password="second").connect().close()
    assert [user["name"] for user in api.get(users).json["data"]] == ["app", "other"]
    assert api.call("DELETE", f"{users}/other").status == 204
    assert api.get(f"{users}/other").status == 404


def test_one_client_can_be_ended(served):
    pooler, api = served
    with pooler.endpoint().connect(application_name="victim") as victim, pooler.endpoint().connect() as other:
        clients = api.get("/api/clients").json["data"]
        [found] = [client for client in clients if client["application_name"] == "victim"]
        assert Api(api.port, bearer=token(tenants=["acme"])).call("DELETE", f"/api/clients/{found['id']}").status == 404
        assert api.call("DELETE", f"/api/clients/{found['id']}").status == 204
        with pytest.raises(psycopg.errors.AdminShutdown):
            victim.execute("SELECT 1")
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert api.call("DELETE", "/api/clients/nonsense").status == 404


def test_terminate_ends_clients_and_servers(served, pg):
    pooler, api = served
    with pooler.endpoint().connect(application_name="terminated") as connection:
        connection.execute("SELECT 1")
        answer = api.get("/api/tenants/default/terminate")
        assert answer.status == 200 and "1 clients" in answer.json["result"]
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    for method in ("GET", "POST"):
        assert api.call(method, "/api/tenants/nobody/terminate").status == 404
    assert "nobody" not in api.get("/api/audit").text


def test_reload_and_configuration(served):
    pooler, api = served
    assert api.get("/api/config").json["data"]["pool.size"]["value"] == "20"
    pooler.settings["pool.size"] = 33
    pooler.write_config()
    assert api.call("POST", "/api/reload").status == 204
    assert api.get("/api/config").json["data"]["pool.size"]["value"] == "33"
    pooler.settings["pool.size"] = -1
    pooler.write_config()
    refused = api.call("POST", "/api/reload")
    assert refused.status == 409 and "pool.size" in refused.text
    assert api.get("/api/config").json["data"]["pool.size"]["value"] == "33"


def test_too_many_requests_are_refused(pooler_of, pg, tmp_path):
    port = free_port()
    pooler_of(api_settings(tmp_path, port, **{"api.requests_per_second": 2}), tenants=[default_tenant(pg)])
    api = Api(port)
    statuses = [api.get("/api/health").status for _ in range(40)]
    assert statuses[:15] == [204] * 15 and 429 in statuses


def test_drain_ends_the_process(served):
    pooler, api = served
    pooler.expect_dead = True
    assert api.call("POST", "/api/drain").status == 202
    assert pooler.wait_exit(10) == 0
