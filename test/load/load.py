"""`load`: real Postgres behind a pooler, thousands of clients that do everything at once, server connections that are killed.

Fails on any wrong byte, any answer that never comes, any server connection or transaction left over, and on growth.
"""

import argparse
import contextlib
import json
import subprocess
import threading
import time

from harness import report
from harness.lab import Cores, Lab, Unusable, build_programs, program, say
from harness.measure import rss_bytes
from harness.servers import DATABASE, PASSWORD, USER, Canned, Postgres
from harness.subjects import Penstock, PgBouncer, Setup

POOLERS = ["penstock", "penstock-epoll", "pgbouncer", "none"]
# What PgBouncer says of a killed server, besides the server's own words.
TOLERATED = {"pgbouncer": ["08P01"]}
# PgBouncer loses a cancel that comes while the client waits for a server, and before 1.21 it has no named statements in
# transaction mode.
NOT_WITH_PGBOUNCER = {"cancelled query"}
NOT_WITH_OLD_PGBOUNCER = {"prepared", "forget statement", "pipeline"}
# RSS may rise by so much after the first third of the run: caches fill, allocators keep what was used at the peak.
GROWTH_MAX = 1.25
GROWTH_FREE_BYTES = 8 << 20
DRAIN_SECONDS = 30
SELF_TEST_ARGUMENTS = ["--clients", "100", "--seconds", "3", "--think-ms", "20"]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--servers", type=int, default=20, help="the pool's size")
    parser.add_argument("--pooler", choices=POOLERS, default="penstock", help="'none': straight to Postgres")
    parser.add_argument("--workers", type=int, default=2, help="of Penstock")
    parser.add_argument("--kill-ms", type=int, default=500, help="between two kills of a server connection; 0: none")
    parser.add_argument("--think-ms", type=int, default=1000, help="at most, between two actions of a client")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--action", action="append", default=[], help="only these; `--action list` names them")
    parser.add_argument("--quick", action="store_true", help="20 seconds, 200 clients")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--self-test", action="store_true", help="plant mistakes and demand that the checker finds them")
    options = parser.parse_args(arguments)
    if options.quick:
        options.minutes, options.clients, options.think_ms = 20 / 60, min(options.clients, 200), 100
    if options.seed is None:
        options.seed = int(time.time()) % 1_000_000
    return options


class Watch(threading.Thread):
    """The pooler's memory, once a second."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.samples = []
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(1):
            with contextlib.suppress(OSError):
                self.samples.append(rss_bytes(self.pid))


class LoadTest:
    def __init__(self, options):
        self.options = options
        self.machine = report.machine(Cores("", ""))
        self.problems = []
        self.result = {}

    def problem(self, text):
        self.problems.append(text)
        say(f"FAILED: {text}")

    def start_pooler(self, lab, server):
        name, size = self.options.pooler, self.options.servers
        if name == "none":
            return server
        if name == "pgbouncer":
            return PgBouncer(lab, server, Setup(pool_size=size))
        backend = "epoll" if name.endswith("epoll") else "io_uring"
        return Penstock(lab, server, Setup(pool_size=size, backend=backend, workers=self.options.workers))

    def run(self):
        with Lab(Cores("", "")) as lab:
            direct = self.options.pooler == "none"
            room = self.options.clients if direct else self.options.servers
            postgres = Postgres(lab, max_connections=room + 30)
            postgres.query("CREATE TABLE load_accounts (id int PRIMARY KEY, token text NOT NULL)")
            postgres.query(f"INSERT INTO load_accounts SELECT n, 'none' FROM generate_series(0, {self.options.clients}) n")
            pooler = self.start_pooler(lab, postgres)
            say(f"seed {self.options.seed}, {self.options.minutes * 60:.0f} s, {self.options.clients} clients, "
                f"{self.options.pooler}")
            watch = Watch(pooler.pid)
            watch.start()
            self.play(lab, pooler, postgres)
            if pooler.process.poll() is not None:
                self.problem(f"the pooler died (status {pooler.process.returncode}): {pooler.process.log.read_text()[-800:]}")
            elif not direct:
                self.check_drained(postgres, pooler, watch)
                self.check_stop(lab, postgres, pooler)
            watch.over.set()
            if not direct:
                self.check_growth(watch.samples)

    def play(self, lab, pooler, postgres):
        options = self.options
        arguments = [program("load_test"), "--target", f"127.0.0.1:{pooler.port}", "--admin", f"127.0.0.1:{postgres.port}",
                     "--clients", options.clients, "--seconds", options.minutes * 60, "--seed", options.seed,
                     "--kill-ms", options.kill_ms, "--think-ms", options.think_ms,
                     "--user", USER, "--password", PASSWORD, "--database", DATABASE]
        for code in TOLERATED.get(options.pooler, []):
            arguments += ["--tolerate", code]
        actions = options.action
        if options.pooler == "pgbouncer" and not actions:
            left_out = NOT_WITH_PGBOUNCER | (set() if pooler.prepares else NOT_WITH_OLD_PGBOUNCER)
            actions = [name for name in list_actions() if name not in left_out]
        for action in actions:
            arguments += ["--action", action]
        done = subprocess.run(lab.command(arguments), capture_output=True, text=True)
        if done.returncode not in (0, 1) or not done.stdout:
            raise Unusable(f"load_test: status {done.returncode}, {done.stderr[-500:]}")
        self.result = json.loads(done.stdout)
        if self.result["violations"]:
            self.problem(f"{self.result['violations']} violations, the first: {self.result['first_violations'][:3]}")
        if options.kill_ms and not self.result["kills"]:
            self.problem("no server connection was killed: the test did not test that")

    def sessions(self, postgres):
        """(all, not idle) server connections of the pooler, as Postgres sees them."""
        text = postgres.query(
            "SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity WHERE backend_type = "
            f"'client backend' AND pid <> pg_backend_pid() AND usename = '{USER}'")
        total, busy = text.split("|")
        return int(total), int(busy)

    def check_drained(self, postgres, pooler, watch):
        """All clients have gone: no query, no transaction, no more connections than the pool may keep."""
        end = time.monotonic() + DRAIN_SECONDS
        while True:
            total, busy = self.sessions(postgres)
            if (busy == 0 and total <= self.options.servers) or time.monotonic() > end:
                break
            time.sleep(0.5)
        self.result["sessions_after"] = {"all": total, "busy": busy}
        if busy:
            self.problem(f"{busy} server connections still at work {DRAIN_SECONDS} s after the last client has gone")
        if total > self.options.servers:
            self.problem(f"{total} server connections for a pool of {self.options.servers}")
        locks = postgres.query("SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid'")
        if int(locks) > 1:
            self.problem(f"{locks} transactions are still open")
        self.result["rss_idle"] = rss_bytes(pooler.pid)

    def check_stop(self, lab, postgres, pooler):
        lab.stop(pooler.process)
        # PgBouncer calls an end by SIGTERM a failure.
        if pooler.process.returncode != 0 and self.options.pooler != "pgbouncer":
            self.problem(f"the pooler ended with status {pooler.process.returncode}")
        end = time.monotonic() + 5
        while self.sessions(postgres)[0] and time.monotonic() < end:
            time.sleep(0.2)
        left = self.sessions(postgres)[0]
        if left:
            self.problem(f"{left} server connections outlived the pooler")

    def check_growth(self, samples):
        """The peak of the first third has seen every client and every action; the last third must not be far above."""
        if len(samples) < 9:
            return
        third = len(samples) // 3
        early, late = max(samples[:third]), max(samples[-third:])
        self.result["rss"] = {"early_peak": early, "late_peak": late, "samples": samples}
        if late > early * GROWTH_MAX + GROWTH_FREE_BYTES:
            self.problem(f"memory grew from {early >> 10} KiB (peak of the first third) to {late >> 10} KiB (of the last)")

    def text(self):
        result = self.result
        rows = [[name, count["good"], count["failed"], count["lost"]] for name, count in result.get("actions", {}).items()]
        lines = [report.table(["action", "good", "failed", "lost"], rows), ""]
        for name in ("exchanges", "messages", "bytes", "connects", "connects_failed", "kills", "cancels", "cancels_hit",
                     "late_errors"):
            lines.append(f"{name:16} {result.get(name, 0):,}")
        lines.append(f"errors           {result.get('errors')}")
        lines.append(f"sessions after   {result.get('sessions_after')}")
        if "rss" in result:
            lines.append(f"RSS              {result['rss']['early_peak'] >> 10:,} KiB early, {result['rss']['late_peak'] >> 10:,} "
                         f"KiB late, {result.get('rss_idle', 0) >> 10:,} KiB after all have gone")
        lines.append("")
        lines += [f"FAILED: {text}" for text in self.problems] or ["passed: 0 violations"]
        return "\n".join(lines)


def list_actions():
    return subprocess.run([program("load_test"), "--list"], capture_output=True, text=True).stdout.splitlines()


def self_test():
    """A checker that cannot fail proves nothing: plant each mistake and see it found, and none where there is none."""
    failed = 0
    for mistake in ("none", "token", "byte", "row"):
        with Lab(Cores("", "")) as lab:
            server = Canned(lab, "--corrupt", mistake, "--corrupt-every", "500")
            done = subprocess.run(
                lab.command([program("load_test"), "--target", f"127.0.0.1:{server.port}", *SELF_TEST_ARGUMENTS]),
                capture_output=True, text=True)
            violations = json.loads(done.stdout)["violations"] if done.stdout else None
            wanted = 0 if mistake == "none" else 1
            good = done.returncode == wanted and (violations == 0) == (wanted == 0)
            failed += not good
            print(f"{'ok ' if good else 'NOT'} planted {mistake}: {violations} violations, status {done.returncode}")
    print("passed: the checker can fail" if not failed else f"FAILED: {failed} of 4")
    return 1 if failed else 0


def main(arguments):
    options = parse(arguments)
    build_programs("load_programs")
    if options.action == ["list"]:
        print("\n".join(list_actions()))
        return 0
    if options.self_test:
        return self_test()
    test = LoadTest(options)
    test.run()
    print(test.text())
    if options.json:
        report.write_json(options.json, {"machine": test.machine, "options": vars(options), "problems": test.problems,
                                         **test.result})
    return 1 if test.problems else 0
