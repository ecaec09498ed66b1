"""`query`: the cost of a query. Every subject in turn under the same load, several rounds, medians.

Within a round the subjects alternate (A B C, A B C, …), so that a machine that becomes slower does so for all of them.
A series is a set of cells that belong together; the options narrow or widen all series that are selected.
"""

import dataclasses
import itertools
import sys
from dataclasses import dataclass

from harness import benchmark, measure, report
from harness.lab import Cores, Lab, say
from harness.servers import SERVERS
from harness.subjects import SUBJECTS, Setup

FLOOR = "relay-uring"
POOLERS = ("pgbouncer", "penstock", "penstock-epoll")
ALL = ("relay-uring", "relay-epoll", *POOLERS)
# One Postgres process per client: beyond this, relays measure fork(), not relaying.
RELAY_CLIENTS_MAX_ON_POSTGRES = 64


@dataclass(frozen=True)
class Series:
    title: str
    subjects: tuple
    modes: tuple
    clients: tuple
    transport: str = "tcp"
    pipelines: tuple = (1,)
    shared_cpus: bool = False


SERIES = {
    "plain": Series("TCP", ALL, ("simple", "extended", "prepared"), (1, 8, 64, 512, 5000)),
    "latency": Series("One client", ("direct", "relay-uring", "pgbouncer", "penstock", "penstock-busy", "penstock-epoll"),
                      ("simple", "prepared"), (1,)),
    "pipeline": Series("Pipelines", ALL, ("prepared",), (1, 64), pipelines=(10, 100)),
    "tls": Series("TLS", (*POOLERS, "penstock-compact"), ("simple", "prepared"), (8, 64, 512), "tls"),
    "unix": Series("Unix sockets", ALL, ("simple",), (1, 8, 64, 512), "unix"),
    "workers": Series("One worker and two, on all CPUs", ("penstock", "penstock-2", "penstock-epoll", "penstock-epoll-2"),
                      ("simple", "prepared"), (64, 512), shared_cpus=True),
}


def parse(arguments):
    parser = benchmark.parser("query", __doc__)
    words, numbers = benchmark.words, benchmark.numbers
    parser.add_argument("--series", type=words, default=list(SERIES), help=",".join(SERIES))
    parser.add_argument("--servers", type=words, default=["canned"], help=",".join(SERVERS))
    parser.add_argument("--subjects", type=words, help=",".join(SUBJECTS))
    parser.add_argument("--modes", type=words, help="simple,extended,prepared")
    parser.add_argument("--clients", type=numbers, help="such as 1,8,64,512,5000")
    parser.add_argument("--pipelines", type=numbers, help="statements per batch, such as 1,10,100")
    parser.add_argument("--transports", type=words, help="tcp,tls,unix; instead of the series' own")
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--pool-size", type=int, default=20, help="server connections of a pooler")
    parser.add_argument("--rate", type=float, help="queries per second, open loop; default: as fast as answers come")
    parser.add_argument("--no-syscalls", action="store_true")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (0.5 if options.quick else 2.0)
    for name in options.series:
        if name not in SERIES:
            parser.error(f"no series {name}; there are {', '.join(SERIES)}")
    for name in options.subjects or []:
        if name not in SUBJECTS:
            parser.error(f"no subject {name}; there are {', '.join(SUBJECTS)}")
    return options


class Query(benchmark.Benchmark):
    name = "query"
    title = "Query: CPU, throughput and latency"

    def __init__(self, options):
        super().__init__(options)
        self.rows = []

    def selected(self):
        """(name, series) as the options narrow or widen them."""
        options = self.options
        for name in options.series:
            series = SERIES[name]
            clients = options.clients or (sorted({min(series.clients), 64}) if options.quick else series.clients)
            series = dataclasses.replace(series, modes=options.modes or series.modes, clients=clients,
                                         subjects=options.subjects or series.subjects,
                                         pipelines=options.pipelines or series.pipelines)
            for transport in options.transports or [series.transport]:
                yield name, dataclasses.replace(series, transport=transport)

    def measure(self):
        for server_name in self.options.servers:
            for name, series in self.selected():
                cores = Cores("", "") if series.shared_cpus else self.cores
                with Lab(cores) as lab, self.excused(f"{name}, {server_name}"):
                    server = SERVERS[server_name](lab)
                    self.measure_series(lab, server, name, series)
        self.tell()
        self.judge()
        self.section.figures["results"] = self.rows

    def measure_series(self, lab, server, name, series):
        setup = Setup(transport=series.transport, pool_size=self.options.pool_size, shared_cpus=series.shared_cpus)
        subjects = []
        for subject in series.subjects:
            with self.excused(f"{subject}, {series.transport}, {server.name}"):
                subjects.append(SUBJECTS[subject](lab, server, setup))
        for mode, pipeline, clients in itertools.product(series.modes, series.pipelines, series.clients):
            cell = {"server": server.name, "series": name, "transport": series.transport, "mode": mode,
                    "pipeline": pipeline, "clients": clients}
            say(", ".join(f"{key} {value}" for key, value in cell.items()))
            self.measure_cell(lab, server, subjects, cell)

    def able(self, subjects, cell):
        for subject in subjects:
            reason = subject.cannot(cell["mode"])
            if (cell["server"] == "postgres" and subject.holds_server_per_client
                    and cell["clients"] > RELAY_CLIENTS_MAX_ON_POSTGRES):
                reason = "it would need a Postgres process for each client"
            if subject.name == "direct" and cell["clients"] > 1:
                continue  # what it is for is the latency that others add
            if reason:
                self.skip(f"{subject.name}, {cell['server']}, {cell['mode']}, {cell['clients']} clients", reason)
            else:
                yield subject

    def measure_cell(self, lab, server, subjects, cell):
        load = {"mode": cell["mode"], "clients": cell["clients"], "pipeline": cell["pipeline"], "sources": 8}
        if cell["transport"] == "unix":
            del load["sources"]
        subjects = list(self.able(subjects, cell))
        rounds = {subject.name: [] for subject in subjects}
        for _ in range(self.options.rounds):
            for subject in subjects:
                with self.excused(f"{subject.name}, {cell}"):
                    rounds[subject.name].append(self.checked(measure.run_load(
                        lab, subject, seconds=self.options.seconds, warmup=0.4, rate=self.options.rate, **load)))
        for subject in subjects:
            if not rounds[subject.name]:
                continue
            row = {**cell, "subject": subject.name, **summary(rounds[subject.name])}
            if not self.options.no_syscalls and subject.pid is not None:
                with self.excused(f"system calls of {subject.name}, {cell}"):
                    row["syscalls"] = measure.syscalls_per_query(lab, subject, seconds=0.7, **load)
            if cell["pipeline"] > 1 and cell["transport"] == "tcp" and cell["server"] == "canned":
                with self.excused(f"sends of {subject.name}, {cell}"):
                    row["sends"] = measure.sends_per_batch(lab, subject, server, **load)
            self.rows.append(row)

    def find(self, row, **changed):
        """The row that is like this one but for what is changed, or None."""
        keys = ("server", "series", "transport", "mode", "pipeline", "clients", "subject")
        wanted = {**{key: row[key] for key in keys}, **changed}
        return next((other for other in self.rows if all(other[key] == wanted[key] for key in keys)), None)

    def cpu_ratio(self, row, **changed):
        other = self.find(row, **changed)
        return report.ratio(row["cpu_us"], other["cpu_us"]) if other else None

    def tell(self):
        number = report.number
        group = lambda row: (row["server"], row["series"], row["transport"], row["mode"], row["pipeline"])  # noqa: E731
        for key in dict.fromkeys(map(group, self.rows)):
            server, series, transport, mode, pipeline = key
            caption = f"{SERIES[series].title}, {mode}" + (f", {pipeline} statements at once" if pipeline > 1 else "")
            caption += f" ({transport}, {server} server)"
            head = ["subject", "clients", "CPU µs/query", "× relay", "× PgBouncer", "spread", "queries/s", "p50 µs", "p99 µs",
                    "p99.9 µs", "calls/query", *(["sends to client", "to server"] if pipeline > 1 else []), "errors"]
            body = []
            for row in sorted((row for row in self.rows if group(row) == key), key=lambda row: row["clients"]):
                sends = row.get("sends") or {}
                body.append([
                    row["subject"], row["clients"], number(row["cpu_us"], 2), number(self.cpu_ratio(row, subject=FLOOR), 2),
                    number(self.cpu_ratio(row, subject="pgbouncer"), 2), report.percent(row["cpu_us_spread"]),
                    number(row["qps"], 0), number(row["p50"], 0), number(row["p99"], 0), number(row["p99.9"], 0),
                    number((row.get("syscalls") or {}).get("total"), 2),
                    *([number(sends.get("to_client"), 2), number(sends.get("to_server"), 2)] if pipeline > 1 else []),
                    sum(row["errors"].values()),
                ])
            self.section.add_table(caption, head, body)

    def judge(self):
        for row in self.rows:
            if not row["subject"].startswith("penstock") or not row["cpu_us"]:
                continue
            where = "{subject}, {transport}, {mode}, {clients} clients".format(**row)
            where += f", pipeline {row['pipeline']}" if row["pipeline"] > 1 else ""
            where += "" if row["server"] == "canned" else f", {row['server']}"
            if row["series"] == "workers":
                self.judge_workers(row, where)
            elif row["series"] == "latency":
                self.judge_latency(row, where)
            else:
                self.judge_row(row, where)

    def judge_row(self, row, where):
        target = self.section.target
        if row["subject"] == "penstock" and row["mode"] != "prepared":
            target("CPU per query, simple and extended, of the relay's", self.cpu_ratio(row, subject=FLOOR), 1.05, where=where)
        target("CPU per query, of PgBouncer's", self.cpu_ratio(row, subject="pgbouncer"), 1.0, where=where)
        if row["mode"] == "prepared":
            target("CPU per query, named prepared, of own simple mode's", self.cpu_ratio(row, mode="simple"), 1.10, where=where)
        for side, count in (row.get("sends") or {}).items():
            target(f"sends {side.replace('_', ' the ')} per pipeline", count, 1.05, where=where, unit="")
        if row["clients"] >= 512:
            target("p99 / p50 from 512 clients on", report.ratio(row["p99"], row["p50"]), 1.5, where=where, unit="")

    def judge_latency(self, row, where):
        direct = self.find(row, subject="direct")
        busy = row["subject"].endswith("-busy")
        other = self.find(row, subject="penstock" if busy else "pgbouncer")
        if direct and other:
            added, others = (each["p50"] - direct["p50"] for each in (row, other))
            what = "with busy-poll, of without" if busy else "of what PgBouncer adds"
            self.section.target(f"latency at 1 client, added to a direct connection, {what}", report.ratio(added, others),
                                0.5 if busy else 1.0, where=where)

    def judge_workers(self, row, where):
        """Here the load leaves too little CPU to keep two workers busy: what two could do follows from a query's cost."""
        one = self.find(row, subject=row["subject"].removesuffix("-2"))
        if row["subject"].endswith("-2") and one:
            self.section.target("throughput of two workers, of one's, by CPU per query",
                                2 * report.ratio(one["cpu_us"], row["cpu_us"]), 1.8, where=where, at_least=True)


def summary(rounds):
    """Medians over the rounds of one subject in one cell."""
    errors = {}
    for result in rounds:
        for code, count in result["errors"].items():
            errors[code] = errors.get(code, 0) + count
    cpu = [result.get("cpu_us") for result in rounds]
    return {
        "cpu_us": report.median(cpu), "cpu_us_spread": report.spread(cpu),
        "cpu_share": report.median([result.get("cpu_share") for result in rounds]),
        "qps": report.median([result["qps"] for result in rounds]),
        **{key: report.median([result["latency_us"][key] for result in rounds]) for key in ("p50", "p99", "p99.9", "max")},
        "errors": errors, "violations": sum(result["violations"] for result in rounds), "rounds": rounds,
    }


def main(arguments):
    return Query(parse(arguments)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
