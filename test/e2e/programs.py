"""Running psql, pgbench and other programs against an endpoint."""

from __future__ import annotations

import subprocess

from pooler import Endpoint
from postgres import DEBIAN_VERSION

BIN = f"/usr/lib/postgresql/{DEBIAN_VERSION}/bin"


def run(program: str, *args: str, at: Endpoint, stdin: str | None = None, timeout: float = 25, check: bool = True,
        **env: str) -> subprocess.CompletedProcess[str]:
    """A Postgres client program; fails the test when the program fails, unless check=False."""
    path = program if "/" in program else f"{BIN}/{program}"
    done = subprocess.run([path, *args], input=stdin, capture_output=True, text=True, timeout=timeout,
                          env={**at.env(), **env})
    if check:
        assert done.returncode == 0, f"{program} {' '.join(args)} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def psql(script: str, *args: str, at: Endpoint, **more: object) -> subprocess.CompletedProcess[str]:
    """`script` on psql's standard input; tuples only, unaligned, so that output is easy to compare."""
    return run("psql", "-XAtq", *args, at=at, stdin=script, **more)  # type: ignore[arg-type]
