"""`idle`: what a client costs that has logged in (SCRAM), asked once, and now does nothing; then all of them ask again.

A process of the pooler for each stage, fresh: what was used before would hide what is used now. Last, very many clients on this
machine, over several processes of Penstock.
"""

import dataclasses
import sys
import time

from harness import benchmark, measure, report
from harness.lab import Cores, Lab, Unusable, say
from harness.servers import Canned
from harness.subjects import COMPACT, Penstock, PgBouncer, Setup
from harness.swarm import Swarm

START = {
    "pgbouncer": PgBouncer,
    "penstock": Penstock,
    "penstock-compact": lambda lab, server, setup: Penstock(lab, server, dataclasses.replace(setup, sets=(COMPACT,))),
}
# A ring's table of descriptors holds 20,000 here, and the kernel spreads clients over the workers' listeners by hash.
CLIENTS_PER_WORKER = 16_000
# A pool of so many servers per worker is served by all workers; a smaller one would draw its clients to a few of them.
SERVERS_PER_WORKER = 8
FILES_PER_PROCESS_CLIENTS_MAX = 18_000
KEPT_COUNTS_FROM = 100_000  # with fewer, an allocator that keeps a few megabytes decides
KIB = 1024


def parse(arguments):
    parser = benchmark.parser("idle", __doc__)
    parser.add_argument("--clients", type=benchmark.numbers, help="of one process; default 10000,100000,250000")
    parser.add_argument("--transports", type=benchmark.words, default=["tcp", "tls"], help="tcp,tls")
    parser.add_argument("--subjects", type=benchmark.words, default=list(START), help=",".join(START))
    parser.add_argument("--many", type=int, help="clients over several processes; default 1003200, 0: leave it out")
    parser.add_argument("--per-process", type=int, default=250_800, help="of those")
    parser.add_argument("--rate", type=float, default=20_000, help="queries per second over all clients")
    parser.add_argument("--many-rate", type=float, default=8_000,
                        help="the same over the many; two cores that also run load and server answer some 10,000")
    options = parser.parse_args(arguments)
    if options.clients is None:
        options.clients = [1_000] if options.quick else [10_000, 100_000, 250_000]
    if options.many is None:
        options.many = 0 if options.quick else 1_003_200
    for name in options.subjects:
        if name not in START:
            parser.error(f"no subject {name}; there are {', '.join(START)}")
    return options


def workers_for(clients):
    return -(-clients // CLIENTS_PER_WORKER)


class Idle(benchmark.Benchmark):
    name = "idle"
    title = "Idle clients: memory"

    def __init__(self, options):
        options.proxy_cpus = options.proxy_cpus or ""
        super().__init__(options)
        self.rows = []

    def measure(self):
        for transport in self.options.transports:
            for clients in self.options.clients:
                for name in self.options.subjects:
                    if name == "penstock-compact" and transport != "tls":
                        continue
                    if name == "pgbouncer" and clients > FILES_PER_PROCESS_CLIENTS_MAX:
                        self.skip(f"{name}, {transport}, {clients:,} clients",
                                  "a process may not have so many open files, and it has no descriptors but those")
                        continue
                    with self.excused(f"{name}, {transport}, {clients:,} clients"):
                        self.stage(name, transport, clients, 1, self.options.rate)
        if self.options.many:
            with self.excused(f"{self.options.many:,} clients"):
                self.stage("penstock", "tcp", self.options.many, -(-self.options.many // self.options.per_process),
                           self.options.many_rate)
        self.tell()
        self.judge()
        self.section.figures["results"] = self.rows

    def stage(self, name, transport, clients, processes, rate):
        say(f"{name}, {transport}, {clients:,} clients, {processes} processes")
        workers = workers_for(clients / processes)
        setup = Setup(transport=transport, workers=int(workers), pool_size=int(max(20, SERVERS_PER_WORKER * workers)),
                      max_clients=clients + 1000, key="ec")
        with Lab(Cores("", "")) as lab:
            server = Canned(lab)
            subjects = [START[name](lab, server, setup) for _ in range(processes)]
            for subject in subjects:  # pools, caches and one server connection are there from now on
                measure.LoadRun(lab, subject, clients=8, greet=True, seconds=0.5).result()
            self.rows.append({"subject": name, "transport": transport, "clients": clients, "processes": processes,
                              "workers": workers, "rate": rate, **self.observe(lab, subjects, clients, rate)})

    def observe(self, lab, subjects, clients, rate):
        row = {"before": own_memory(subjects), "kernel_before": measure.kernel_memory()}
        # So long that each client is asked at least once.
        seconds = max(2.0 if self.options.quick else 10.0, 1.1 * clients / rate)
        swarm = Swarm(lab, subjects, clients, rate=rate, seconds=seconds)
        row["connecting_s"] = swarm.wait_until_connected()
        time.sleep(2)
        row["idle"], row["kernel_idle"] = own_memory(subjects), measure.kernel_memory()
        row["idle_cpu_share"] = cpu_share(subjects)
        row["load"] = self.checked(swarm.ask())
        row["after_queries"] = None if any(subject.process.poll() is not None for subject in subjects) else own_memory(subjects)
        if row["after_queries"] is None:
            raise Unusable("the pooler died")
        row["left"] = self.memory_after_leaving(subjects, row)
        return row

    def memory_after_leaving(self, subjects, row):
        """When all connections are closed and memory has stopped falling, at most three minutes later."""
        end = time.monotonic() + 180
        least = own_memory(subjects)
        quiet_since = time.monotonic()
        while time.monotonic() < min(end, quiet_since + 15):
            time.sleep(1)
            now = own_memory(subjects)
            gone = measure.kernel_memory()["tcp_sockets"] <= row["kernel_before"]["tcp_sockets"] + 1000
            if now["rss"] < 0.99 * least["rss"] or not gone:
                quiet_since = time.monotonic()
            least = min(least, now, key=lambda memory: memory["rss"])
        return least

    def tell(self):
        number, kib = report.number, report.kib
        head = ["subject", "clients", "processes", "TLS", "own memory each, KiB", "kernel each (both ends), KiB", "logins/s",
                "idle CPU", "queries/s due", "answered", "p50 µs", "p99 µs", "errors", "wrong"]
        body = []
        for row in self.rows:
            load = row["load"]
            body.append([
                row["subject"], number(row["clients"], 0), row["processes"], "yes" if row["transport"] == "tls" else "no",
                kib(own_each(row)), kib(kernel_each(row)), number(row["clients"] / row["connecting_s"], 0),
                f"{100 * row['idle_cpu_share']:.1f}%", number(row["rate"], 0), number(load["qps"], 0), number(load["latency_us"]["p50"], 0),
                number(load["latency_us"]["p99"], 0), sum(load["errors"].values()) + load["unanswered"], load["violations"],
            ])
        self.section.add_table("Idle clients, and then queries spread over all of them", head, body)
        mib = lambda memory: number(memory["rss"] / KIB / KIB, 1)  # noqa: E731
        head = ["RSS of the pooler, MiB", "clients", "TLS", "before", "all idle", "after queries", "all have left", "kept"]
        body = [[row["subject"], number(row["clients"], 0), "yes" if row["transport"] == "tls" else "no", mib(row["before"]),
                 mib(row["idle"]), mib(row["after_queries"]), mib(row["left"]), report.percent(kept(row))] for row in self.rows]
        self.section.add_table("Where the memory goes", head, body)

    def judge(self):
        target = self.section.target
        for row in self.rows:
            if row["subject"].startswith("penstock"):
                where = f"{row['subject']}, {row['clients']:,} clients in {row['processes']} process" + \
                    ("es" if row["processes"] > 1 else "")
                if row["subject"] == "penstock-compact":
                    target("own memory of an idle client with TLS, compact", own_each(row) / KIB, 2.0, where=where, unit="KiB")
                elif row["transport"] == "tls":
                    target("own memory of an idle client with TLS", own_each(row) / KIB, 18.5, where=where, unit="KiB")
                else:
                    target("own memory of an idle client", own_each(row) / KIB, 1.0, where=where, unit="KiB")
                if row["clients"] >= KEPT_COUNTS_FROM:
                    target("memory kept when all have left, of what they took", kept(row), 0.1, where=where, unit="")
                load = row["load"]
                failed = sum(load["errors"].values()) + load["unanswered"] + load["violations"]
                target("clients that lost their connection or got no or a wrong answer", failed, 0, where=where, digits=0, unit="")
                target("queries answered, of those due", load["qps"] / row["rate"], 0.98,
                       where=where, unit="", at_least=True)


def own_memory(subjects):
    parts = [measure.memory(subject.pid) for subject in subjects]
    return {key: sum(part[key] for part in parts) for key in parts[0]}


def cpu_share(subjects, seconds=3.0):
    """CPUs in use by all subjects while nobody asks anything."""
    before, start = sum(map(measure.cpu_seconds, [s.pid for s in subjects])), time.monotonic()
    time.sleep(seconds)
    return (sum(map(measure.cpu_seconds, [s.pid for s in subjects])) - before) / (time.monotonic() - start)


def own_each(row):
    return (row["idle"]["rss"] - row["before"]["rss"]) / row["clients"]


def kernel_each(row):
    taken = lambda kernel: kernel["slab"] + kernel["tcp_buffers"]  # noqa: E731
    return (taken(row["kernel_idle"]) - taken(row["kernel_before"])) / row["clients"]


def kept(row):
    """Of the memory that clients took at most, the share that the process still has when all have left."""
    most = max(row["idle"]["rss"], row["after_queries"]["rss"])
    return (row["left"]["rss"] - row["before"]["rss"]) / (most - row["before"]["rss"])


def main(arguments):
    return Idle(parse(arguments)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
