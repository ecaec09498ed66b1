"""Tenants as code: plan, apply and export, on the catalog and through a running server's API; clients notice what they should."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from api import Api, api_settings, token
from pooler import Pooler, default_tenant
from postgres import ROLES, Postgres, free_port
from wire import ServerError

pytestmark = pytest.mark.penstock

NOTHING, FAILED, CHANGES = 0, 1, 2


def until(condition, timeout: float = 5.0, what: str = "it") -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
        time.sleep(0.05)


def may_log_in(pooler: Pooler, user: str, password: str | None = None) -> bool:
    try:
        with pooler.endpoint(user=user, password=password or ROLES["app"]).wire() as wire:
            return wire.value("SELECT 1") == "1"
    except ServerError:
        return False


@pytest.fixture(params=["catalog", "api"])
def desk(request, pooler_of, pg, tmp_path):
    """A running pooler and a way to call plan and apply: on its catalog, or through its API."""
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path / "api", port), tenants=[default_tenant(pg)])
    pooler.cli("tenant", "remove", "default")
    key = tmp_path / "token"
    key.write_text(token(sub="ci"))
    Api(port)
    more = ["--api", f"http://127.0.0.1:{port}", "--token-file", str(key)] if request.param == "api" else []

    def call(command: str, *args: str, code: int | None = NOTHING, env: dict[str, str] | None = None) -> str:
        done = subprocess.run([str(pooler.program), command, *args, *more, "--config", str(pooler.config_path)],
                              capture_output=True, text=True, timeout=30, env={**os.environ, **(env or {})})
        assert code is None or done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    call.pooler = pooler  # type: ignore[attr-defined]
    call.is_api = request.param == "api"  # type: ignore[attr-defined]
    return call


def tenant_file(path: Path, pg: Postgres, name: str = "acme", more: str = "", users: str = "") -> Path:
    users = users or '  - name: app\n    secret: "${APP_SECRET}"\n'
    path.write_text(f'tenants:\n- id: {name}\n  hosts: ["{pg.host}:{pg.port}"]\n{more}  users:\n{users}')
    return path


ENV = {"APP_SECRET": ROLES["app"]}


def test_the_life_of_a_tenant_from_a_file(desk, pg, tmp_path):
    file = tenant_file(tmp_path / "tenants.yaml", pg, more="  pool_size: 3\n")
    shown = desk("plan", "-f", str(file), code=CHANGES, env=ENV)
    assert "+ tenant acme" in shown and "pool_size: 3" in shown and "secret: set" in shown
    assert ROLES["app"] not in shown
    assert not may_log_in(desk.pooler, "app.acme")
    assert "Applied." in desk("apply", "-f", str(file), env=ENV)
    until(lambda: may_log_in(desk.pooler, "app.acme"))

    # Once more: nothing to do, and no entry in the history.
    history = len(json.loads(desk.pooler.cli("catalog", "audit", "--json").stdout))
    assert "Nothing to do" in desk("apply", "-f", str(file), env=ENV)
    assert "Nothing to do" in desk("plan", "-f", str(file), env=ENV)
    assert len(json.loads(desk.pooler.cli("catalog", "audit", "--json").stdout)) == history

    # A change that is no reason to drop anybody.
    with desk.pooler.endpoint(user="app.acme", password=ROLES["app"]).wire() as wire:
        assert wire.value("SELECT 1") == "1"
        tenant_file(file, pg, more="  pool_size: 5\n  query_timeout: 30s\n")
        assert "pool_size: 3 -> 5" in desk("apply", "-f", str(file), env=ENV)
        time.sleep(1.5)
        assert wire.value("SELECT 2") == "2"

    # Secrets that are left out stay; others replace them.
    tenant_file(file, pg, users="  - name: app\n")
    assert "secret" not in desk("apply", "-f", str(file))
    until(lambda: may_log_in(desk.pooler, "app.acme"))
    (tmp_path / "new-secret").write_text("another secret\n")
    tenant_file(file, pg, users="  - name: app\n    secret: {file: new-secret}\n")
    assert "secret: changed" in desk("apply", "-f", str(file))
    until(lambda: not may_log_in(desk.pooler, "app.acme"))

    tenant_file(file, pg, name="other", users="  - name: app\n")
    shown = desk("apply", "-f", str(file))
    assert "left alone without --prune: tenant acme." in shown
    assert "- tenant acme, with 1 user" in desk("plan", "-f", str(file), "--prune", code=CHANGES)
    desk("apply", "-f", str(file), "--prune")
    listed = desk.pooler.cli("tenant", "list").stdout
    assert "other" in listed and "acme" not in listed


def test_a_ban_is_not_lifted_by_a_file_that_does_not_speak_of_it(desk, pg, tmp_path):
    file = tenant_file(tmp_path / "tenants.yaml", pg)
    desk("apply", "-f", str(file), env=ENV)
    desk.pooler.cli("tenant", "set", "acme", "--banned", "true", "--ban-reason", "unpaid bills")
    until(lambda: not may_log_in(desk.pooler, "app.acme"))
    assert "Nothing to do" in desk("apply", "-f", str(file), env=ENV)
    tenant_file(file, pg, more="  banned: false\n")
    assert "banned" in desk("apply", "-f", str(file), env=ENV)
    until(lambda: may_log_in(desk.pooler, "app.acme"))


def test_bad_files_change_nothing_and_name_every_mistake(desk, pg, tmp_path):
    good = tenant_file(tmp_path / "a.yaml", pg, name="good")
    bad = tmp_path / "b.yaml"
    bad.write_text("- id: bad\n  hosts: [x]\n  pool_size: many\n  colour: red\n- id: good\n  hosts: [x]\n")
    shown = desk("apply", "-f", str(tmp_path), code=FAILED, env=ENV)
    assert f"{bad}:3: tenants.bad.pool_size: must be a whole number" in shown
    assert f'{bad}:4: tenants.bad: there is no field "colour"' in shown
    assert f"{bad}:5: tenants.good: is in {good}, too" in shown
    assert f"{good}:6: tenants.good.users.app.secret: environment variable APP_SECRET is not set" in \
        desk("plan", "-f", str(good), code=FAILED, env={"APP_SECRET_": "x"})
    # What only the catalog can know.
    bad.write_text("- id: bad\n  hosts: [x]\n  pool_size: 2\n  min_pool_size: 3\n")
    shown = desk("apply", "-f", str(tmp_path), code=FAILED, env=ENV)
    assert f"{bad}:4: tenants.bad.min_pool_size: must not be larger than pool_size" in shown
    bad.write_text("- id: [")
    assert "line 1" in desk("apply", "-f", str(tmp_path), code=FAILED, env=ENV)
    bad.write_text("{\n \"tenants\": [{\"id\": \"bad\",\n\"hosts\": 5}]}")
    assert f"{bad}:3: tenants.bad.hosts: must be a list" in desk("plan", "-f", str(bad), code=FAILED)
    assert "tenants" in desk.pooler.cli("tenant", "list").stdout
    assert json.loads(desk.pooler.cli("tenant", "list", "--json").stdout) == []


def test_what_is_exported_is_nothing_to_do(desk, pg, tmp_path):
    desk("apply", "-f", str(tenant_file(tmp_path / "t.yaml", pg, more='  default_parameters: {a.b: "$${X}"}\n')), env=ENV)
    for name in ("e.yaml", "e.json"):
        file = tmp_path / name
        desk("export", "--output", str(file))
        text = file.read_text()
        assert "$${X}" in text and ROLES["app"] not in text
        assert "Nothing to do" in desk("plan", "-f", str(file), "--prune")
    assert 'tenant "nobody" does not exist' in desk("export", "--tenant", "nobody", code=FAILED)
    assert "acme" in desk("export", "--tenant", "acme")


def test_the_plan_as_json(desk, pg, tmp_path):
    file = tenant_file(tmp_path / "t.yaml", pg)
    plan = json.loads(desk("plan", "-f", str(file), "--json", code=CHANGES, env=ENV))
    assert [(change["action"], change["tenant"]) for change in plan["changes"]] == [("add", "acme")]
    assert ROLES["app"] not in json.dumps(plan)


def on_terminal(desk, args: list[str], answer: bytes, before_answer=lambda: None) -> tuple[int, str]:
    """The command on a pseudo terminal, which answers the question."""
    pooler = desk.pooler
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(ENV)
        os.execv(str(pooler.program), [str(pooler.program), *args, "--config", str(pooler.config_path)])
    seen = b""
    answered = False
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            break
        if not more:
            break
        seen += more
        if b"Only \"yes\" is taken" in seen and not answered:
            answered = True
            before_answer()
            os.write(terminal, answer + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def test_a_person_is_asked(desk, pg, tmp_path):
    if desk.is_api:
        pytest.skip("the same question")
    file = tenant_file(tmp_path / "t.yaml", pg)
    code, shown = on_terminal(desk, ["apply", "-f", str(file)], b"no")
    assert code == FAILED and "nothing was changed" in shown
    assert json.loads(desk.pooler.cli("tenant", "list", "--json").stdout) == []
    code, shown = on_terminal(desk, ["apply", "-f", str(file)], b"yes")
    assert code == NOTHING and "Applied." in shown


def test_what_has_changed_since_the_plan_is_not_overwritten(desk, pg, tmp_path):
    if desk.is_api:
        pytest.skip("see the next test")
    file = tenant_file(tmp_path / "t.yaml", pg)
    desk("apply", "-f", str(file), env=ENV)
    tenant_file(file, pg, more="  pool_size: 9\n")
    code, shown = on_terminal(desk, ["apply", "-f", str(file)], b"yes",
                              lambda: desk.pooler.cli("tenant", "set", "acme", "--pool-size", "4"))
    assert code == FAILED and 'tenant "acme" has changed since revision' in shown and "Nothing was changed" in shown
    assert json.loads(desk.pooler.cli("tenant", "show", "acme", "--json").stdout)["pool_size"] == 4


def test_a_plan_is_one_of_what_is_there_now(desk, pg, tmp_path):
    file = tenant_file(tmp_path / "t.yaml", pg)
    desk("apply", "-f", str(file), env=ENV)
    tenant_file(file, pg, more="  pool_size: 9\n")
    for size in range(10, 20):  # a server looks at its catalog once per second
        desk.pooler.cli("tenant", "set", "acme", "--pool-size", str(size))
        assert f"pool_size: {size} -> 9" in desk("plan", "-f", str(file), env=ENV, code=CHANGES)
    desk("apply", "-f", str(file), env=ENV)
    desk.pooler.cli("tenant", "set", "acme", "--pool-size", "4")
    desk("apply", "-f", str(file), env=ENV)
    assert json.loads(desk.pooler.cli("tenant", "show", "acme", "--json").stdout)["pool_size"] == 9


def test_commands_show_a_certificate_where_one_is_demanded(pooler_of, pg, tmp_path, ca, server_pair):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path / "api", port) | {
        "api.tls_cert_file": str(server_pair.cert), "api.tls_key_file": str(server_pair.key),
        "api.tls_ca_file": str(ca.cert), "api.require_client_certificate": True}, tenants=[default_tenant(pg)])
    Api(port, scheme="https")
    mine = ca.issue("operator", cn="operator")
    both = tmp_path / "both.pem"
    both.write_text(mine.cert.read_text() + mine.key.read_text())
    key = tmp_path / "token"
    key.write_text(token(sub="ci"))
    file = str(tenant_file(tmp_path / "t.yaml", pg))
    commands = (["plan", "-f", file], ["apply", "-f", file, "--yes"], ["export"], ["top", "--once", "--interval", "100ms"])
    for command in commands:
        def run(*more: str):
            call = [*command, "--api", f"https://localhost:{port}", "--token-file", str(key), "--ca-file", str(ca.cert), *more]
            return subprocess.run([str(pooler.program), *call], capture_output=True, text=True, timeout=30,
                                  env={**os.environ, **ENV})
        without = run()
        assert without.returncode == 1 and "demands a certificate" in without.stderr, without.stderr
        assert "--cert-file" in without.stderr
        done = run("--cert-file", str(mine.cert), "--key-file", str(mine.key))
        assert done.returncode == (CHANGES if command[0] == "plan" else NOTHING), done.stderr
        assert run("--cert-file", str(both)).returncode == NOTHING or command[0] == "plan"
        broken = run("--cert-file", str(tmp_path / "none.pem"))
        assert broken.returncode == 1 and "none.pem" in broken.stderr
        assert run("--key-file", str(mine.key)).returncode in (1, 2)


def test_the_api_refuses_what_was_not_shown(desk, pg):
    if not desk.is_api:
        pytest.skip("of the API")
    port = desk.pooler.settings["api.port"]
    api = Api(port)
    body = {"tenants": [{"id": "acme", "hosts": [f"{pg.host}:{pg.port}"], "users": [{"name": "app", "secret": ROLES["app"]}]}]}
    plan = api.call("POST", "/api/apply?dry_run=true", body).json["data"]
    assert plan["changes"][0]["revision"] == 0
    assert api.get("/api/tenants/acme").status == 404
    assert api.call("POST", "/api/apply", body | {"expected": {}}).status == 412, "not what was shown"
    assert api.call("POST", "/api/apply", body | {"expected": {"acme": 5}}).status == 412, "there is none yet"
    done = api.call("POST", "/api/apply", body | {"expected": {"acme": 0}})
    assert done.status == 200, done.text
    assert may_log_in(desk.pooler, "app.acme"), "at once"
    assert api.call("POST", "/api/apply", body | {"expected": {"acme": 0}}).status == 412
    assert api.call("POST", "/api/apply", body).json["data"]["changes"] == []
    for bad in ({}, {"tenants": 5}, {"tenants": [5]}, {"tenants": [], "prune": True}, {"tenants": [{"id": "a b"}]},
                {"tenants": [{"id": "x"}]}, {"tenants": [], "expected": {"x": -1}}, {"tenants": [], "expected": 5},
                {"tenants": [{"id": "x", "users": [{"name": 5}]}]}):
        answer = api.call("POST", "/api/apply", bad)
        assert answer.status == 422, (bad, answer.text)
    for scope in ("read", "metrics"):
        assert Api(port, bearer=token(scope=scope)).call("POST", "/api/apply", body).status == 403
    limited = Api(port, bearer=token(tenants=["acme"]))
    assert limited.call("POST", "/api/apply", body).status == 403, "it is about all tenants"
    assert [entry["id"] for entry in limited.get("/api/export").json["tenants"]] == ["acme"]
    assert ROLES["app"] not in api.get("/api/export").text
    entry = json.loads(desk.pooler.cli("catalog", "audit", "--json").stdout)[0]
    assert entry["action"] == "create" and entry["tenant"] == "acme"


def test_without_a_server_or_a_token_the_reason_is_told(desk, pg, tmp_path):
    if not desk.is_api:
        pytest.skip("of the API")
    file = str(tenant_file(tmp_path / "t.yaml", pg))
    dead = desk.pooler.cli("plan", "-f", file, "--api", f"http://127.0.0.1:{free_port()}", check=False)
    assert dead.returncode == FAILED
    port = desk.pooler.settings["api.port"]
    os.environ["APP_SECRET"] = "x"
    try:
        refused = desk.pooler.cli("plan", "-f", file, "--api", f"http://127.0.0.1:{port}", check=False)
        dead = desk.pooler.cli("plan", "-f", file, "--api", f"http://127.0.0.1:{free_port()}", check=False)
    finally:
        del os.environ["APP_SECRET"]
    assert refused.returncode == FAILED and "status 403" in refused.stderr and "--token-file" in refused.stderr
    assert "could not be reached" in dead.stderr


class Proxy(ThreadingHTTPServer):
    """Stands between the command and the server, as load balancers do, and may lose the answer to a change."""

    daemon_threads = True

    def __init__(self, port: int, loses: str = "", idle: float = 30.0):
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = idle

            def do_POST(self) -> None:  # noqa: N802: the library's name
                body = self.rfile.read(int(self.headers["content-length"]))
                bearer = self.headers["authorization"].removeprefix("Bearer ")
                answer = Api(port, bearer=bearer).call("POST", self.path, body)
                status, text = answer.status, answer.text.encode()
                if loses and "dry_run" not in self.path:
                    proxy.lost += 1
                    if loses == "connection":
                        self.close_connection = True
                        return
                    status, text = 504, b"<html>gateway time-out</html>"
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if status == 504 else answer.headers["content-type"])
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.lost = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def options(self, tmp_path: Path) -> list[str]:
        return ["--api", f"http://127.0.0.1:{self.server_port}", "--token-file", str(tmp_path / "token")]


@pytest.mark.parametrize("loses", ["connection", "answer"])
def test_an_answer_that_is_lost_may_have_been_a_yes(desk, pg, tmp_path, monkeypatch, loses):
    if not desk.is_api:
        pytest.skip("of the API")
    for name, text in ENV.items():
        monkeypatch.setenv(name, text)
    file = str(tenant_file(tmp_path / "t.yaml", pg))
    with Proxy(desk.pooler.settings["api.port"], loses) as proxy:
        done = desk.pooler.cli("apply", "-f", file, "--yes", *proxy.options(tmp_path), check=False)
        assert proxy.lost == 1
        proxy.shutdown()
    assert done.returncode == 3, done.stderr
    assert "may have been made" in done.stderr and "penstock plan" in done.stderr
    assert "othing was changed" not in done.stderr
    assert "Nothing to do" in desk("plan", "-f", file, env=ENV), "it was"


def test_a_person_may_think_for_longer_than_a_connection_is_kept(desk, pg, tmp_path):
    if not desk.is_api:
        pytest.skip("of the API")
    file = tenant_file(tmp_path / "t.yaml", pg)
    with Proxy(desk.pooler.settings["api.port"], idle=1.5) as proxy:
        code, shown = on_terminal(desk, ["apply", "-f", str(file), *proxy.options(tmp_path)], b"yes",
                                  before_answer=lambda: time.sleep(2.5))
        proxy.shutdown()
    assert code == NOTHING and "Applied" in shown, shown


def test_a_thousand_tenants_at_once(desk, pg, tmp_path):
    file = tmp_path / "many.json"
    file.write_text(json.dumps({"tenants": [{"id": f"t{number}", "hosts": [f"{pg.host}:{pg.port}"],
                                             "users": [{"name": "app", "secret": ROLES["app"]}]}
                                            for number in range(1000)]}))
    begun = time.monotonic()
    assert "1000 to add" in desk("apply", "-f", str(file))
    assert time.monotonic() - begun < 20
    until(lambda: may_log_in(desk.pooler, "app.t999"))
    assert "Nothing to do" in desk("plan", "-f", str(file), "--prune")
