"""`checkout`: getting an upstream and giving it back, with no byte sent; 1 to 16 threads, each a worker.

`reserve` is the ledger that all workers share: what opening a server connection reserves in the scopes that have limits (process,
tenant, database, pool). `check_out` is a worker's own shard of a pool, as a query finds it: a hot pool has an idle server, in a
small pool whoever comes has to wait behind 63 others, and 1,000 pools take turns. Threads beyond the CPUs show waiting, not cost.
"""

import json
import os
import subprocess
import sys

from harness import benchmark, report
from harness.lab import BUILD_DIR, Unusable, build_programs


def parse(arguments):
    parser = benchmark.parser("checkout", __doc__)
    parser.add_argument("--filter", default="", help="regular expression for the names of benchmarks")
    parser.add_argument("--seconds", type=float, help="of each measurement, at least")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.02 if options.quick else 0.2)
    return options


class Checkout(benchmark.Benchmark):
    name = "checkout"
    title = "Check-out: the ledger and the pool alone"

    def measure(self):
        build_programs("pool_bench")
        done = subprocess.run(
            [BUILD_DIR / "pool_bench", "--benchmark_format=json", f"--benchmark_min_time={self.options.seconds}",
             f"--benchmark_repetitions={self.options.rounds}", f"--benchmark_filter={self.options.filter or '.'}"],
            capture_output=True, text=True)
        if done.returncode != 0:
            raise Unusable(f"pool_bench: status {done.returncode}, {done.stderr[-300:]}")
        rows = self.rows = summary(json.loads(done.stdout)["benchmarks"])
        cpus = os.cpu_count()
        head = ["benchmark", "threads", "CPU ns each", "spread", "millions/s of all threads", "× of one thread", "refused"]
        body = []
        for row in rows:
            one = next(other for other in rows if other["name"] == row["name"])
            body.append([row["name"], row["threads"], report.number(row["cpu_ns"], 0), report.percent(row["spread"]),
                         report.number(row["per_s"] / 1e6, 1), report.number(row["per_s"] / one["per_s"], 2),
                         report.percent(row["refused"])])
            if row["name"].startswith("check_out") and 1 < row["threads"] <= cpus:
                self.section.target("check-outs of all workers together, of one's, per worker", row["per_s"] / one["per_s"]
                                    / row["threads"], 0.9, where=f"{row['name']}, {row['threads']} threads", at_least=True)
        self.section.add_table("Taken and given back", head, body)
        self.section.figures["results"] = rows


def summary(results):
    """Medians of the repetitions, in the order of the first ones."""
    groups = {}
    for result in results:
        if result["run_type"] == "iteration":
            groups.setdefault((result["name"].split("/")[0], result["threads"]), []).append(result)
    rows = []
    for (name, threads), runs in groups.items():
        # Google Benchmark adds up the threads' time and divides it by all iterations.
        cpu = [run["cpu_time"] for run in runs]
        rows.append({"name": name, "threads": threads, "cpu_ns": report.median(cpu), "spread": report.spread(cpu),
                     "per_s": report.median([run["items_per_second"] for run in runs]),
                     "refused": report.median([run.get("refused", 0) / run["iterations"] for run in runs])})
    return rows


def main(arguments):
    return Checkout(parse(arguments)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
