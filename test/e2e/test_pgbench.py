"""pgbench: three protocols × two scripts, with more clients than servers in transaction mode."""

from __future__ import annotations

import re

import pytest

from conftest import Profile
from pooler import Endpoint
from postgres import Postgres
from programs import run


@pytest.fixture(scope="module")
def tables(pg: Postgres) -> None:
    """pgbench's tables, of scale 2, in database app."""
    at = Endpoint(host=str(pg.run_directory), port=pg.port, user="app")
    run("pgbench", "-i", "-s", "2", "-q", "-n", at=at)


@pytest.mark.parametrize("script", ["tpcb-like", "select-only"])
@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_runs_to_the_end_without_an_error(tables: None, profile: Profile, endpoint: Endpoint, protocol: str,
                                          script: str):
    # More clients than servers (20), but not with -M prepared: there pgbench waits for the answer to each Parse and lets
    # its other clients, who hold the servers, wait with it.
    clients, transactions = (15 if protocol == "prepared" else 30), 10
    done = run("pgbench", "-n", "-b", script, "-M", protocol, "-c", str(clients), "-j", "2", "-t", str(transactions),
               at=endpoint)
    assert f"number of transactions actually processed: {clients * transactions}/{clients * transactions}" in done.stdout
    assert re.search(r"number of failed transactions: 0 ", done.stdout)
    assert "error" not in done.stderr.lower()


def test_balances_agree_after_many_transactions(tables: None, plain: Endpoint, pg: Postgres):
    run("pgbench", "-n", "-b", "tpcb-like", "-M", "extended", "-c", "40", "-j", "2", "-t", "20", at=plain)
    sums = pg.sql("SELECT (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(tbalance) FROM pgbench_tellers), "
                  "(SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(delta) FROM pgbench_history)", dbname="app")
    assert len(set(sums[0])) == 1, sums


def test_pipeline_script(tables: None, endpoint: Endpoint, tmp_path):
    script = tmp_path / "pipeline.sql"
    script.write_text("\\startpipeline\n" + "SELECT 1;\n" * 10 + "\\endpipeline\n")
    done = run("pgbench", "-n", "-f", str(script), "-M", "prepared", "-c", "10", "-t", "20", at=endpoint)
    assert "number of failed transactions: 0 " in done.stdout


def test_a_new_connection_for_every_transaction(tables: None, plain: Endpoint):
    done = run("pgbench", "-n", "-C", "-b", "select-only", "-c", "8", "-t", "20", at=plain)
    assert "number of transactions actually processed: 160/160" in done.stdout
