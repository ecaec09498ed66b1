"""Django: a small application's own test run (migrations, ORM, admin tables, transactions), with psycopg."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pooler import Endpoint
from postgres import REPOSITORY


def test_application_passes_its_own_tests(endpoint: Endpoint, pg, profile):
    site = Path(__file__).parent / "django_site"
    name = f"django_{profile.io}_{profile.mode}".replace("-", "_")
    # --keepdb: a pool's idle servers would stand in the way of DROP DATABASE, as with any pooler.
    # The test runner creates this database through the pooler; only the right to do so is given here.
    pg.sql("ALTER ROLE app CREATEDB")
    done = subprocess.run([sys.executable, "-B", "manage.py", "test", "--noinput", "--keepdb", "-v", "1"], cwd=site, capture_output=True,
                          text=True, timeout=80, env={**endpoint.env(), "E2E_TEST_DATABASE": name})
    pg.sql(f"DROP DATABASE IF EXISTS test_{name} WITH (FORCE)")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n(python of {REPOSITORY})"
    assert "OK" in done.stderr
