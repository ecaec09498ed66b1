"""Runs PostgreSQL's regression suite against a fresh server, straight and through the pooler, and compares the results.

Started by pg_regress.sh, which fetches the suite.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from certs import Authority
from pooler import Pooler, Tenant
from postgres import Postgres, as_unprivileged, unprivileged

PGXS_REGRESS = "/usr/lib/postgresql/15/lib/pgxs/src/test/regress/pg_regress"
# Every client gets a server connection of its own age: what DISCARD ALL cannot undo (loaded libraries, the schema for
# temporary tables, the count of sessions) would show in guc, temp and stats with any pooler that uses one again.
FRESH = "1ms"
PARALLEL_MAX = "20"  # the largest group of parallel_schedule

# The suite logs in without passwords, as roles that it makes itself.
HBA = "local all all trust\nhost all all all trust\n"
CONF = "autovacuum = on\nwal_level = replica\nlc_messages = 'C'\n"
# From contrib, used by some tests.
CONTRIB = Path("/usr/lib/postgresql/15/lib")
# A COPY whose next line is not data: the server refuses it, or there is nothing to copy.
COPY_OF_NOTHING = re.compile(r"^copy\b.*\bfrom stdin\b.*(?<!\\);[ \t]*(?:--.*)?\n(?!\n\\\.)(?=--|\n|\w+ .*;|SELECT\b)",
                             re.IGNORECASE | re.MULTILINE)


def roles_of(suite: Path) -> list[str]:
    """Every role that a test connects as: \\c and \\connect with a user name."""
    found = {"postgres"}
    for file in [*suite.glob("sql/*.sql"), *suite.glob("input/*.source")]:
        for _, user in re.findall(r"^\\c(?:onnect)?\s+(\S+)\s+(\w+)", file.read_text(errors="replace"), re.MULTILINE):
            found.add(user)
    return sorted(found)


def end_empty_copies(scripts: Path) -> None:
    """Newer minor versions of psql take what follows a refused COPY for its data: without an end the rest of the test
    would be lost."""
    for file in scripts.glob("*.sql"):
        text = file.read_text(encoding="latin-1")
        ended = COPY_OF_NOTHING.sub(lambda match: match.group(0) + "\\.\n", text)
        if ended != text:
            file.write_text(ended, encoding="latin-1")


def run_suite(args: argparse.Namespace, where: Path, environment: dict[str, str]) -> Path:
    """One run; returns the directory of its results."""
    where.mkdir(parents=True)
    # Written to by pg_regress and, through COPY, by the server itself.
    inputs = where / "input"
    shutil.copytree(args.suite, inputs)
    for name in ("results", "testtablespace", "expected", "sql"):
        (inputs / name).mkdir(exist_ok=True)
    end_empty_copies(inputs / "sql")
    if unprivileged():
        subprocess.run(["chown", "-R", str(unprivileged().pw_uid), str(where)], check=True)  # type: ignore[union-attr]
    command = [PGXS_REGRESS, "--bindir=/usr/lib/postgresql/15/bin", f"--inputdir={inputs}", f"--outputdir={inputs}",
               f"--dlpath={args.library.parent}", "--dbname=regression", f"--max-concurrent-tests={PARALLEL_MAX}",
               "--user=postgres", f"--host={environment['PGHOST']}", f"--port={environment['PGPORT']}"]
    if args.tests:
        command += ["test_setup", *args.tests.split()]
    else:
        command += [f"--schedule={inputs}/parallel_schedule", "--max-connections=10"]
    with open(where / "log", "w") as log:
        done = subprocess.run(as_unprivileged(command), cwd=inputs, env=environment, stdout=log, stderr=subprocess.STDOUT)
    summary = [line for line in (where / "log").read_text().splitlines() if "tests passed" in line or "tests failed" in line]
    print(f"  pg_regress ended with {done.returncode}: {' '.join(summary).strip(' #') or 'it could not run'}")
    if not summary:
        raise SystemExit((where / "log").read_text()[-2000:] + f"logs are kept in {where.parent}")
    return inputs / "results"


def differences(straight: Path, through: Path) -> list[str]:
    names = {path.name for path in straight.glob("*.out")} | {path.name for path in through.glob("*.out")}
    return sorted(name for name in names if not ((straight / name).exists() and (through / name).exists()
                                                 and filecmp.cmp(straight / name, through / name, shallow=False)))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--io", choices=("io_uring", "epoll"), help="only this event loop")
    parser.add_argument("--tls", action="store_true", help="TLS from psql to the pooler and on to the server")
    parser.add_argument("--straight-only", action="store_true", help="only the run without Penstock, to check the set-up")
    parser.add_argument("--tests", help="names of tests instead of the whole suite")
    args = parser.parse_args()

    # Paths show in some results: both runs use the same directory, one after the other.
    scratch = Path(tempfile.mkdtemp(prefix="penstock-regress-"))
    scratch.chmod(0o755)
    for name in ("refint.so", "autoinc.so"):
        if not (args.library.parent / name).exists():
            (args.library.parent / name).symlink_to(CONTRIB / name)
    ca = Authority(scratch / "ca")
    server_pair, pooler_pair = ca.issue("server", cn="localhost"), ca.issue("pooler", cn="localhost")
    # HOME: libpq looks for certificates there, and the account it runs as may not read ours.
    base = {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {
        "LC_ALL": "C", "PGGSSENCMODE": "disable", "HOME": str(scratch)}

    def fresh_server() -> Postgres:
        return Postgres(scratch, ca, server_pair, conf=CONF, hba=HBA).start()

    print("straight to the server", flush=True)
    server = fresh_server()
    results = run_suite(args, scratch / "run", base | {"PGHOST": "localhost", "PGPORT": str(server.port),
                                                       "PGSSLMODE": "require" if args.tls else "disable"})
    server.stop()
    straight = scratch / "straight"
    shutil.copytree(results, straight)

    if args.straight_only:
        print(f"results are kept in {straight}")
        return 0
    failed = False
    for io in [args.io] if args.io else ["io_uring", "epoll"]:
        print(f"through Penstock on {io}{' with TLS' if args.tls else ''}", flush=True)
        shutil.rmtree(scratch / "run")
        server = fresh_server()
        tenant = Tenant("default", [f"localhost:{server.port}"],
                        {"upstream-tls": "verify-full" if args.tls else "disable", "upstream-tls-ca-file": str(ca.cert)},
                        {role: {"auth-method": "trust"} for role in roles_of(args.suite)})
        pooler = Pooler(scratch / f"pooler-{io}", server, pooler_pair, ca, io=io, tenants=[tenant],
                        settings={"pool.size": 40, "pool.upstream_lifetime": FRESH}).start()
        env = base | {"PGHOST": "localhost", "PGPORT": str(pooler.session_port),
                      "PGSSLMODE": "require" if args.tls else "disable"}
        results = run_suite(args, scratch / "run", env)
        through = scratch / f"through-{io}"
        shutil.copytree(results, through)
        for problem in pooler.problems():
            print(f"  {problem}")
            failed = True
        pooler.stop()
        server.stop()
        different = differences(straight, through)
        total = len(list(straight.glob("*.out")))
        print(f"  {total - len(different)} of {total} result files are the same")
        for name in different:
            failed = True
            print(f"  different: {name}")
            diff = subprocess.run(["diff", "-u", straight / name, through / name], capture_output=True, text=True)
            print("\n".join("    " + line for line in diff.stdout.splitlines()[:30]))
    if failed:
        print(f"results are kept in {scratch}")
    else:
        shutil.rmtree(scratch, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
