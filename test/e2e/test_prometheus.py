"""The dashboard and the alert rules of this repository, in a real Prometheus that scrapes a loaded Penstock.

One Penstock, one Prometheus; the tests make the causes of alerts one after the other and see them fire.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from api import api_settings, token
from pooler import Pooler, Tenant, users_of
from postgres import APP_PASSWORD, REPOSITORY, Postgres, free_port
from swarm import Swarm
from wire import ServerError, query

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(180)]

RULES = REPOSITORY / "packaging" / "prometheus" / "penstock.rules.yml"
DASHBOARDS = sorted((REPOSITORY / "packaging" / "grafana").glob("*.json"))
CLIENTS_MAX = 40


class Prometheus:
    def __init__(self, directory: Path, target: int, token_file: Path):
        directory.mkdir()
        self.port = free_port()
        # The rules are taken as they are, but nobody waits for minutes here.
        (directory / "rules.yml").write_text(re.sub(r"for: \d+m", "for: 1s", RULES.read_text()))
        (directory / "prometheus.yml").write_text(f"""
global: {{ scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s }}
rule_files: [ {directory}/rules.yml ]
scrape_configs:
  - job_name: penstock
    authorization: {{ credentials_file: {token_file} }}
    static_configs: [ {{ targets: ["127.0.0.1:{target}"] }} ]
""")
        self.log = directory / "log"
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "--", "prometheus", f"--config.file={directory}/prometheus.yml",
                 f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None and time.monotonic() < deadline, self.log.read_text()[-2000:]
                time.sleep(0.1)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def get(self, path: str, **parameters: object) -> object:
        """The answer's data; fails with Prometheus' own words."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def value_of(self, expression: str) -> list[dict[str, object]]:
        return self.get("query", query=expression)["result"]  # type: ignore[index,return-value]

    def firing(self) -> dict[str, dict[str, str]]:
        """Labels of the alerts that fire, with their annotations as they are told."""
        alerts = self.get("alerts")["alerts"]  # type: ignore[index]
        return {alert["labels"]["alertname"]: alert["labels"] | alert["annotations"] for alert in alerts if alert["state"] == "firing"}

    def wait_firing(self, name: str, timeout: float = 30) -> dict[str, str]:
        deadline = time.monotonic() + timeout
        while name not in (firing := self.firing()):
            assert time.monotonic() < deadline, f"{name} does not fire; those that do: {list(firing)}"
            time.sleep(0.2)
        return firing[name]

    def wait_quiet(self, *names: str, timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while set(names) & set(firing := self.firing()):
            assert time.monotonic() < deadline, f"still firing: {list(firing)}"
            time.sleep(0.2)


class Scene:
    def __init__(self, pooler: Pooler, prometheus: Prometheus, swarm: Swarm, pg: Postgres, breakable: Postgres):
        self.pooler, self.prometheus, self.swarm, self.pg, self.breakable = pooler, prometheus, swarm, pg, breakable


@pytest.fixture(scope="module")
def scene(module_io, scratch, pg, pg_of, ca, pooler_pair) -> Iterator[Scene]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed: test/e2e/setup.sh")
    directory = scratch / f"prometheus-{module_io}"
    port = free_port()
    breakable = pg_of(max_connections=20)
    tenants = [Tenant("default", [f"{pg.host}:{pg.port}"], {"upstream-tls": "disable", "pool-size": "4"}, users_of("app")),
               Tenant("narrow", [f"{pg.host}:{pg.port}"], {"upstream-tls": "disable", "pool-size": "1"}, users_of("app")),
               Tenant("fragile", [f"{breakable.host}:{breakable.port}"], {"upstream-tls": "disable"}, users_of("app"))]
    settings = api_settings(directory / "keys", port) | {"pool.max_clients": CLIENTS_MAX, "log.level": "info"}
    pooler = Pooler(directory / "pooler", pg, pooler_pair, ca, io=module_io, tenants=tenants, settings=settings).start()
    token_file = directory / "token"
    token_file.write_text(token(scope="metrics"))
    prometheus = Prometheus(directory / "prometheus", port, token_file)
    with Swarm() as swarm:
        swarm.add(8, pooler.endpoint(password=APP_PASSWORD), "load", every=0.05)
        use_everything(pooler)
        time.sleep(4)  # a few scrapes
        use_everything(pooler)
        time.sleep(2)
        yield Scene(pooler, prometheus, swarm, pg, breakable)
    prometheus.stop()
    assert not pooler.problems()
    pooler.stop()


def use_everything(pooler: Pooler) -> None:
    """What the dashboard shows and ordinary load does not do."""
    with pooler.endpoint(password=APP_PASSWORD).connect() as connection:
        for _ in range(5):
            connection.execute("SELECT %s::int", (1,), prepare=True)
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM no_such_table")
        connection.execute("LISTEN something")
        connection.execute("CREATE TEMPORARY TABLE t (x int)")
        connection.execute("DROP TABLE t")
    with pytest.raises(psycopg.OperationalError):
        pooler.endpoint(password="wrong").connect()


def panels(dashboard: dict[str, object]) -> Iterator[tuple[str, str]]:
    for panel in dashboard["panels"]:  # type: ignore[attr-defined]
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
        yield from panels(panel) if panel.get("panels") else ()


def expressions() -> list[tuple[str, str]]:
    return [found for path in DASHBOARDS for found in panels(json.loads(path.read_text()))]


def filled_in(expression: str) -> str:
    """With Grafana's variables replaced, as it does when all is chosen."""
    text = expression.replace("$__rate_interval", "10s").replace("$__interval", "5s").replace("$__range", "1m")
    text = re.sub(r"\$\{?(instance|tenant|user|database|datasource)\}?", ".*", text)
    assert "$" not in text, f"a variable that this test does not know: {text}"
    return text


def rules() -> dict[str, str]:
    """alert → expression, as promtool's own reader would; the file is simple enough."""
    found, name = {}, ""
    for line in RULES.read_text().splitlines():
        if match := re.match(r"\s*- alert: (\w+)", line):
            name = match[1]
        elif match := re.match(r"\s*expr: (.*)", line):
            found[name] = match[1]
    return found


def test_promtool_has_no_complaint_about_the_rules():
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_every_metric_that_is_named_exists(scene: Scene):
    known = set(scene.prometheus.get("label/__name__/values"))  # type: ignore[call-overload]
    for where, expression in [*expressions(), *rules().items()]:
        for name in re.findall(r"\b((?:penstock|process)_\w+)", expression):
            assert name in known, f"{where}: nobody knows {name}"


def test_every_query_of_the_dashboard_shows_something(scene: Scene):
    missing = {text: panel for panel, expression in expressions()
               # Shown once there are some: when a server is down, below.
               if "connect_failures" not in (text := filled_in(expression))}
    assert len(missing) > 15
    for text in missing:
        drawn = scene.prometheus.get("query_range", query=text, start=time.time() - 20, end=time.time(), step=1)
        assert drawn["resultType"] == "matrix"  # type: ignore[index,call-overload]
    deadline = time.monotonic() + 30
    while missing:
        assert time.monotonic() < deadline, f"these show nothing: {missing}"
        use_everything(scene.pooler)
        time.sleep(1)
        for text in list(missing):
            series = scene.prometheus.value_of(text)
            if series and all(one["value"][1] != "NaN" for one in series):  # type: ignore[index]
                del missing[text]


def test_the_dashboards_variables_offer_what_there_is(scene: Scene):
    offered = {}
    for path in DASHBOARDS:
        for variable in json.loads(path.read_text())["templating"]["list"]:
            if variable["type"] != "query":
                continue
            text = variable["query"]["query"] if isinstance(variable["query"], dict) else variable["query"]
            series, label = re.fullmatch(r"label_values\((.*), *(\w+)\)", text).groups()  # type: ignore[union-attr]
            offered[variable["name"]] = {one.get(label) for one in scene.prometheus.get("series", **{"match[]": filled_in(series)})}  # type: ignore[attr-defined]
    assert len(offered["instance"]) == 1 and "default" in offered["tenant"]


def test_every_rule_is_evaluated_without_a_complaint(scene: Scene):
    groups = scene.prometheus.get("rules")["groups"]  # type: ignore[index,call-overload]
    found = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(found) == set(rules())
    assert [rule["lastError"] for rule in found.values() if rule["health"] != "ok"] == []
    quiet = {"PenstockNotReady", "PenstockCatalogFailing", "PenstockWorkerSaturated", "PenstockLosesLogLines"}
    assert not quiet & set(scene.prometheus.firing()), "nothing of that has happened"


def test_an_alert_fires_when_clients_wait_long(scene: Scene):
    narrow = scene.pooler.endpoint(user="app.narrow", password=APP_PASSWORD)
    with narrow.connect(autocommit=False) as holder, narrow.wire(timeout=60) as waiter:
        holder.execute("SELECT 1")
        waiter.send(query("SELECT 1"))
        told = scene.prometheus.wait_firing("PenstockPoolSaturated")
        assert told["tenant"] == "narrow" and told["user"] == "app" and told["database"] == "app"
        told = scene.prometheus.wait_firing("PenstockClientsWaitLong")
        assert told["tenant"] == "narrow" and re.search(r"waits \d+", told["summary"]), told["summary"]
        holder.rollback()
        assert waiter.reply().value() == "1"
        scene.prometheus.wait_quiet("PenstockPoolSaturated", "PenstockClientsWaitLong")


def test_an_alert_fires_when_a_server_is_down(scene: Scene):
    fragile = scene.pooler.endpoint(user="app.fragile", password=APP_PASSWORD)
    fragile.connect().close()
    scene.breakable.stop()
    try:
        with pytest.raises(psycopg.Error):
            for _ in range(3):
                with fragile.connect() as connection:
                    connection.execute("SELECT 1")
        told = scene.prometheus.wait_firing("PenstockServerUnreachable")
        assert told["tenant"] == "fragile" and told["severity"] == "critical"
    finally:
        scene.breakable.start()
    deadline = time.monotonic() + 30
    while True:
        try:
            fragile.connect().close()
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.3)
    with fragile.connect() as connection:
        connection.execute("SELECT 1")
    scene.prometheus.wait_quiet("PenstockServerUnreachable")
    shown = [filled_in(text) for _, text in expressions() if "connect_failures" in text]
    assert shown and all(scene.prometheus.value_of(text) for text in shown)


def test_an_alert_fires_when_many_log_ins_are_refused(scene: Scene):
    wrong = scene.pooler.endpoint(password="wrong")
    end = time.monotonic() + 60
    tries = 0
    while "PenstockManyRefusedLogins" not in scene.prometheus.firing():
        assert time.monotonic() < end, f"{tries} wrong passwords are not enough"
        for _ in range(40):
            with pytest.raises((ServerError, ConnectionError)):
                wrong.wire()
            tries += 1
    told = scene.prometheus.firing()["PenstockManyRefusedLogins"]
    assert told["reason"] == "password" and "refuses" in told["summary"]


def test_an_alert_fires_near_the_limit_of_clients(scene: Scene):
    with Swarm() as swarm:
        swarm.add(CLIENTS_MAX - 10, scene.pooler.endpoint(password=APP_PASSWORD), "many", every=1)
        told = scene.prometheus.wait_firing("PenstockClientsNearLimit")
        assert re.search(r"has \d+ clients", told["summary"])
    scene.prometheus.wait_quiet("PenstockClientsNearLimit")


def test_an_alert_fires_when_the_catalog_is_damaged(scene: Scene):
    file = scene.pooler.directory / "penstock.db"
    away = file.with_suffix(".away")
    file.rename(away)
    scene.prometheus.wait_firing("PenstockCatalogFailing")
    assert "PenstockNotReady" not in scene.prometheus.firing(), "clients are served"
    away.rename(file)
    scene.prometheus.wait_quiet("PenstockCatalogFailing")


def test_alerts_fire_when_the_process_drains_and_when_it_is_gone(scene: Scene):
    connection = scene.pooler.endpoint(password=APP_PASSWORD).connect()
    connection.execute("BEGIN")
    scene.pooler.signal(signal.SIGTERM)
    scene.prometheus.wait_firing("PenstockNotReady")
    scene.pooler.signal(signal.SIGKILL)
    connection.close()
    scene.pooler.wait_exit(10)
    told = scene.prometheus.wait_firing("PenstockDown")
    assert told["severity"] == "critical" and told["instance"] in told["summary"]
    scene.pooler.launch()
    scene.prometheus.wait_quiet("PenstockDown", "PenstockNotReady")
