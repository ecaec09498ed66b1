"""`tenants`: what pools cost that nobody uses, the first query of a pool, and the memory of a tenant.

Each tenant (PgBouncer: each database) has been used once by one client, who has left; its pool keeps one idle server connection.
Then the clients of another tenant ask. Instances with few and with many idle pools take turns.
"""

import json
import sqlite3
import sys
import time

from harness import benchmark, measure, report
from harness.lab import Lab, say
from harness.servers import DATABASE, USER, Canned
from harness.subjects import SUBJECTS, PgBouncer, Setup

CLIENTS_AT_ONCE = 2_000  # that warm up pools: they and the servers share a table of 20,000 descriptors
COLD_POOLS = 200


def parse(arguments):
    parser = benchmark.parser("tenants", __doc__)
    parser.add_argument("--tenants", type=benchmark.numbers, help="idle pools; default 1,1000,10000")
    parser.add_argument("--subjects", type=benchmark.words, default=["pgbouncer", "penstock", "penstock-epoll"],
                        help=",".join(SUBJECTS))
    parser.add_argument("--clients", type=benchmark.numbers, help="that ask; default 8,64,512")
    parser.add_argument("--seconds", type=float, help="of each measurement")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.5 if options.quick else 2.0)
    options.tenants = options.tenants or ([1, 300] if options.quick else [1, 1_000, 10_000])
    options.clients = options.clients or ([64] if options.quick else [8, 64, 512])
    return options


def add_tenants(count):
    """What fills a catalog: tenants t0, t1, … like the default one, in one transaction."""
    def fill(path):
        with sqlite3.connect(path) as catalog:
            tenant = json.loads(catalog.execute("SELECT record FROM tenants WHERE id = 'default'").fetchone()[0])
            user = json.loads(catalog.execute("SELECT record FROM users WHERE tenant = 'default'").fetchone()[0])
            names = [f"t{i}" for i in range(count)]
            catalog.executemany("INSERT INTO tenants (id, record) VALUES (?, ?)",
                                [(name, json.dumps({**tenant, **({"id": name} if "id" in tenant else {})})) for name in names])
            catalog.executemany("INSERT INTO users (tenant, name, record) VALUES (?, ?, ?)", [
                (name, USER, json.dumps({**user, **({"tenant": name} if "tenant" in user else {})})) for name in names])
            catalog.execute("UPDATE catalog SET version = version + 1")
        catalog.close()

    return fill


class Instance:
    """One subject that knows so many tenants."""

    def __init__(self, lab, name, tenants):
        self.lab = lab
        self.tenants = tenants
        self.server = Canned(lab)
        setup = Setup(pool_size=20)
        start = time.monotonic()
        if name == "pgbouncer":
            self.subject = PgBouncer(lab, self.server, setup, databases=[f"t{i}" for i in range(tenants)])
        else:
            self.subject = SUBJECTS[name](lab, self.server, setup, catalog=add_tenants(tenants))
        self.start_s = time.monotonic() - start
        self.names = {"database": "t{}"} if name == "pgbouncer" else {"user": f"{USER}.t{{}}", "database": DATABASE}
        self.rss = {"started": measure.rss_bytes(self.subject.pid)}

    def visit(self, first, count, **options):
        """One client for each of these tenants logs in, asks once and leaves when all have."""
        run = measure.LoadRun(self.lab, self.subject, threads=1, clients=count, first_client=first, names=self.tenants, greet=True,
                              seconds=0, **self.names, **options)
        return run.result()

    def measure_cold(self):
        """(first, second visit): connecting to the first answer, one client after the other."""
        count = min(COLD_POOLS, self.tenants)
        return [self.visit(0, count, connecting=1)["greeting_us"] for _ in range(2)]

    def warm_up(self):
        for first in range(0, self.tenants, CLIENTS_AT_ONCE):
            self.visit(first, min(CLIENTS_AT_ONCE, self.tenants - first))
        self.rss["pools"] = measure.rss_bytes(self.subject.pid)


class Tenants(benchmark.Benchmark):
    name = "tenants"
    title = "Tenants: idle pools, cold pools, memory"

    def __init__(self, options):
        super().__init__(options)
        self.rows = []
        self.instances = []

    def measure(self):
        for name in self.options.subjects:
            with Lab(self.cores) as lab, self.excused(name):
                self.measure_subject(lab, name)
        self.tell()
        self.judge()
        self.section.figures.update(results=self.rows, instances=self.instances)

    def measure_subject(self, lab, name):
        instances = []
        for tenants in self.options.tenants:
            say(f"{name}, {tenants:,} tenants")
            with self.excused(f"{name}, {tenants:,} tenants"):
                instance = Instance(lab, name, tenants)
                cold, again = instance.measure_cold()
                instance.warm_up()
                pools = instance.server.stats()["connections"]
                if pools < tenants:
                    self.skip(f"{name}, {tenants:,} tenants", f"only {pools:,} server connections came to be")
                    continue
                instances.append(instance)
                self.instances.append({"subject": name, "tenants": tenants, "start_s": instance.start_s, "rss": instance.rss,
                                       "cold_us": cold, "again_us": again})
        for clients in self.options.clients:
            rounds = {instance.tenants: [] for instance in instances}
            for _ in range(self.options.rounds):
                for instance in instances:
                    rounds[instance.tenants].append(self.checked(measure.run_load(
                        lab, instance.subject, mode="simple", clients=clients, seconds=self.options.seconds, warmup=0.4)))
            for tenants, results in rounds.items():
                cpu = [result["cpu_us"] for result in results]
                self.rows.append({"subject": name, "tenants": tenants, "clients": clients, "cpu_us": report.median(cpu),
                                  "cpu_us_spread": report.spread(cpu), "qps": report.median([r["qps"] for r in results]),
                                  "p99": report.median([r["latency_us"]["p99"] for r in results]),
                                  "errors": sum(sum(r["errors"].values()) for r in results), "rounds": results})

    def cpu_ratio(self, row):
        """Of the cost with the fewest tenants."""
        least = min(self.options.tenants)
        one = next((other for other in self.rows if (other["subject"], other["clients"], other["tenants"])
                    == (row["subject"], row["clients"], least)), None)
        return report.ratio(row["cpu_us"], one["cpu_us"]) if one else None

    def per_tenant(self, instance):
        """(in the catalog only, with a pool that was used), bytes; against the instance with the fewest."""
        least = next(other for other in self.instances if other["subject"] == instance["subject"])
        more = instance["tenants"] - least["tenants"]
        if more == 0:
            return None, None
        return tuple((instance["rss"][when] - least["rss"][when]) / more for when in ("started", "pools"))

    def tell(self):
        number, kib = report.number, report.kib
        head = ["subject", "clients", "idle pools", "CPU µs/query", "× of one pool", "spread", "queries/s", "p99 µs", "errors"]
        body = [[row["subject"], row["clients"], number(row["tenants"], 0), number(row["cpu_us"], 2),
                 number(self.cpu_ratio(row), 2), report.percent(row["cpu_us_spread"]), number(row["qps"], 0),
                 number(row["p99"], 0), row["errors"]] for row in self.rows]
        self.section.add_table("A query, while so many other pools are idle", head, body)
        head = ["subject", "tenants", "start s", "KiB each in the catalog", "KiB each with a pool", "first answer, cold µs", "p99",
                "second visit µs", "p99"]
        body = []
        for instance in self.instances:
            catalog, pool = self.per_tenant(instance)
            cold, again = instance["cold_us"], instance["again_us"]
            body.append([instance["subject"], number(instance["tenants"], 0), number(instance["start_s"], 2), kib(catalog), kib(pool),
                         number(cold["p50"], 0), number(cold["p99"], 0), number(again["p50"], 0), number(again["p99"], 0)])
        self.section.add_table("Memory of a tenant (RSS), and from connecting to the first answer, with login", head, body)

    def judge(self):
        for row in self.rows:
            if row["subject"].startswith("penstock") and row["tenants"] > min(self.options.tenants):
                self.section.target("CPU per query with many idle pools, of with one", self.cpu_ratio(row), 1.05,
                                    where=f"{row['subject']}, {row['tenants']:,} pools, {row['clients']} clients")


def main(arguments):
    return Tenants(parse(arguments)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
