"""A tenant's connect_query: when it fails, takes long, or is no longer wanted."""

from __future__ import annotations

import time

import pytest

from api import Api, api_settings
from pooler import default_tenant
from postgres import APP_PASSWORD, free_port
from wire import ServerError, Wire, startup

pytestmark = pytest.mark.penstock

SLOW = "SELECT pg_sleep(8) /* connect_query */"
RUNS = "query LIKE '%connect\\_query%' AND state = 'active' AND pid <> pg_backend_pid()"


def served(pooler_of, pg, tmp_path, connect_query: str, **settings: object):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port, **settings),
                       tenants=[default_tenant(pg, **{"connect-query": connect_query})])
    return pooler, Api(port)


def refusal(pooler) -> dict[str, str]:
    with pytest.raises(ServerError) as error, pooler.endpoint().wire() as wire:
        wire.value("SELECT 1")
    return error.value.fields


def waiting(pooler) -> Wire:
    """A client that has proven itself and waits for a server."""
    wire = Wire("127.0.0.1", pooler.port, 20)
    wire.send(startup({"user": "app", "database": "app"}))
    wire.authenticate("app", APP_PASSWORD)
    return wire


def test_whose_connect_query_fails_gets_no_other_rights(pooler_of, pg, tmp_path):
    pooler, api = served(pooler_of, pg, tmp_path, "SET ROLE nosuchrole")
    fields = refusal(pooler)
    assert (fields["C"], fields["M"]) == ("22023", 'connect_query failed: role "nosuchrole" does not exist')
    line = next(line for line in pooler.wait_log("pool.connect_query").splitlines() if "pool.connect_query" in line)
    assert "warning" in line and 'role \\"nosuchrole\\" does not exist' in line and "tenant=default" in line
    pool = api.get("/api/tenants/default/pools").json["data"][0]
    assert "nosuchrole" in str(pool["last_error"])
    wish = {"db_host": pg.host, "db_port": pg.port, "db_database": "app", "require_user": True,
            "connect_query": "SET ROLE nobodyelse",
            "users": [{"db_user": "app", "db_password": APP_PASSWORD, "pool_size": 3, "mode_type": "transaction"}]}
    tried = api.call("PUT", "/api/tenants/tried?check=true", {"tenant": wish})
    assert tried.status == 400 and 'role "nobodyelse" does not exist' in tried.json["error"], tried.text


def test_a_slow_connect_query_is_one_connection_for_one_client(pooler_of, pg, tmp_path):
    pooler, api = served(pooler_of, pg, tmp_path, SLOW)
    with waiting(pooler):
        assert len(pg.wait_backends(RUNS, 1)) == 1
        time.sleep(3)
        assert len(pg.backends(RUNS)) == 1
        # Not wanted any more, it does not go on at the server.
        assert api.call("POST", "/api/tenants/default/pause").status in (200, 202)
        assert not pg.wait_backends(RUNS, 0, 2)


def test_a_connect_query_may_take_as_long_as_a_log_in(pooler_of, pg, tmp_path):
    pooler, _ = served(pooler_of, pg, tmp_path, SLOW, **{"timeouts.upstream_login": "1s"})
    begun = time.monotonic()
    assert "connect_query took longer" in refusal(pooler)["M"]
    assert time.monotonic() - begun < 4
    assert not pg.wait_backends(RUNS, 0, 2)


def test_a_connect_query_must_not_copy(pooler_of, pg, tmp_path):
    pg.sql("CREATE TABLE IF NOT EXISTS copied (n int)", dbname="app")
    pg.sql("GRANT ALL ON copied TO app", dbname="app")
    pooler, _ = served(pooler_of, pg, tmp_path, "COPY copied FROM STDIN")
    assert "connect_query must not copy data" in refusal(pooler)["M"]
    pg.sql("DROP TABLE copied", dbname="app")


def test_what_runs_in_a_connect_query_is_cancelled_at_the_end(pooler_of, pg, tmp_path):
    pooler, _ = served(pooler_of, pg, tmp_path, SLOW)
    pooler.expect_dead = True
    with waiting(pooler):
        assert len(pg.wait_backends(RUNS, 1)) == 1
        pooler.ask_to_stop()
        assert pooler.wait_exit(5) == 0
    assert not pg.wait_backends(RUNS, 0, 0.5)
