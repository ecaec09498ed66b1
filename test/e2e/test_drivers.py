"""Drivers of other languages: each has a program of named checks (drivers/), built once by setup.sh."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pooler import Endpoint
from postgres import CACHE

HERE = Path(__file__).parent / "drivers"

PROGRAMS = {
    "node-postgres": ["node", str(HERE / "node" / "pg.mjs")],
    "postgres.js": ["node", str(HERE / "node" / "postgresjs.mjs")],
    "pgjdbc": ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{CACHE}/java/classes:{CACHE}/java/lib/*", "Checks"],
    "pgx": [str(CACHE / "go-checks")],
    "tokio-postgres": [str(CACHE / "rust" / "release" / "penstock-e2e-tokio-postgres")],
}


@pytest.mark.parametrize("driver", PROGRAMS)
def test_driver(endpoint: Endpoint, driver: str):
    env = {**endpoint.env(), "E2E_MODULES": str(CACHE / "node" / "node_modules")}
    if driver == "pgx":  # pgx reads the same variables as libpq, and not all of them in the same way
        env = {key: value for key, value in env.items() if key not in ("PGCONNECT_TIMEOUT", "PGGSSENCMODE")}
    try:
        done = subprocess.run(PROGRAMS[driver], env=env, capture_output=True, text=True, timeout=80)
    except FileNotFoundError as error:
        pytest.fail(f"{error}: run test/e2e/setup.sh")
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"{driver} did not end: {(error.stdout or b'').decode()}")
    wrong = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert done.returncode == 0 and not wrong, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert "0 failed" in done.stdout.splitlines()[-1]
