"""`login`: how many logins a pooler takes, and what each costs it; and what a storm of them does to running queries.

A login is: connect, TLS where it is named, StartupMessage, proof, ReadyForQuery; then the client leaves. No query, and no server
connection, is part of it. Both poolers know the SCRAM verifier (`scram`) or the password itself (`scram-plain`).
"""

import sys
import time
from dataclasses import dataclass

from harness import benchmark, measure, report
from harness.lab import Lab, Unusable, say
from harness.servers import Canned
from harness.subjects import SUBJECTS, Setup

# Comes from several addresses: each connection that was closed keeps its port for a minute.
SOURCES = 40


@dataclass(frozen=True)
class Kind:
    auth: str = "scram"
    transport: str = "tcp"
    key: str = "rsa"
    resume: bool = False


KINDS = {
    "trust": Kind(auth="trust"),
    "scram": Kind(),
    "scram-plain": Kind(auth="scram-plain"),
    "tls-full": Kind(transport="tls"),
    "tls-full-ec": Kind(transport="tls", key="ec"),
    "tls-resumed": Kind(transport="tls", resume=True),
}
# The aim, of PgBouncer's at `against`.
AIMS = {"scram": ("scram", 0.7), "tls-full": ("tls-full", 1.0), "tls-resumed": ("tls-full", 0.3)}


def parse(arguments):
    parser = benchmark.parser("login", __doc__)
    parser.add_argument("--kinds", type=benchmark.words, default=list(KINDS), help=",".join(KINDS))
    parser.add_argument("--subjects", type=benchmark.words, default=["pgbouncer", "penstock", "penstock-epoll"],
                        help=",".join(SUBJECTS))
    parser.add_argument("--clients", type=int, default=32, help="that log in at the same time")
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--storm", type=int, help="reconnects of the storm; default 10000, 0: no storm")
    parser.add_argument("--storm-kinds", type=benchmark.words, default=["scram", "tls-full"])
    parser.add_argument("--storm-rate", type=float, default=5_000, help="queries per second of the 64 clients")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 3.0)
    if options.storm is None:
        options.storm = 1000 if options.quick else 10_000
    for name in [*options.kinds, *options.storm_kinds]:
        if name not in KINDS:
            parser.error(f"no kind {name}; there are {', '.join(KINDS)}")
    return options


class Login(benchmark.Benchmark):
    name = "login"
    title = "Logins"

    def __init__(self, options):
        super().__init__(options)
        self.rows = []
        self.storms = []

    def measure(self):
        for name in self.options.kinds:
            say(name)
            with Lab(self.cores) as lab, self.excused(name):
                self.measure_kind(lab, name, KINDS[name])
        if self.options.storm:
            for name in self.options.storm_kinds:
                for subject in self.options.subjects:
                    say(f"storm, {name}, {subject}")
                    with Lab(self.cores) as lab, self.excused(f"storm, {name}, {subject}"):
                        self.measure_storm(lab, name, subject)
        self.tell()
        self.judge()
        self.section.figures.update(logins=self.rows, storms=self.storms)

    def start(self, lab, server, kind, name, **more):
        return SUBJECTS[name](lab, server, Setup(transport=kind.transport, auth=kind.auth, key=kind.key, **more))

    def measure_kind(self, lab, name, kind):
        server = Canned(lab)
        subjects = []
        for subject in self.options.subjects:
            with self.excused(f"{subject}, {name}"):
                subjects.append(self.start(lab, server, kind, subject))
        rounds = {subject.name: [] for subject in subjects}
        for subject in list(subjects):  # PgBouncer asks a server for its settings at the first login
            try:
                measure.run_load(lab, subject, mode="simple", clients=1, warmup=0, seconds=0.2)
            except Unusable as error:
                self.skip(f"{subject.name}, {name}", str(error))
                subjects.remove(subject)
        for _ in range(self.options.rounds):
            for subject in subjects:
                with self.excused(f"{subject.name}, {name}"):
                    rounds[subject.name].append(self.checked(measure.run_load(
                        lab, subject, mode="login", clients=self.options.clients, seconds=self.options.seconds, warmup=0.5,
                        sources=SOURCES, tls_resume=kind.resume)))
        for subject in subjects:
            results = rounds[subject.name]
            if not results:
                continue
            cpu = [result["cpu_us"] for result in results]
            logins = sum(result["queries"] for result in results)
            self.rows.append({
                "kind": name, "subject": subject.name, "cpu_us": report.median(cpu), "cpu_us_spread": report.spread(cpu),
                "logins_per_s": report.median([result["qps"] for result in results]),
                "cpu_share": report.median([result["cpu_share"] for result in results]),
                "p50": report.median([result["latency_us"]["p50"] for result in results]),
                "p99": report.median([result["latency_us"]["p99"] for result in results]),
                "resumed": sum(result["resumed"] for result in results) / logins if logins else None,
                "errors": sum(sum(result["errors"].values()) for result in results), "rounds": results,
            })

    def measure_storm(self, lab, name, subject_name):
        """64 clients ask at a fixed rate; p99 while nothing else happens, and while all others come back at once."""
        kind = KINDS[name]
        server = Canned(lab)
        # As it is delivered: with whatever bound on handshakes a pooler has.
        subject = self.start(lab, server, kind, subject_name,
                             sets=("client_tls.handshakes_per_second=500",) if kind.transport == "tls" else ())
        steady = {"mode": "simple", "clients": 64, "rate": self.options.storm_rate, "warmup": 1.0}
        # They come back: the memory that they need has been touched before, which on a virtual machine can take milliseconds.
        self.connect_all(lab, subject).result()
        before = self.checked(measure.run_load(lab, subject, seconds=2.0 if self.options.quick else 5.0, **steady))
        queries = measure.LoadRun(lab, subject, seconds=600, until_line=True, **steady)
        queries.wait_for("measuring")
        start = time.monotonic()
        storm = self.connect_all(lab, subject)
        seconds = time.monotonic() - start
        during = self.checked(queries.result())
        storm.result()
        self.storms.append({"kind": name, "subject": subject.name, "reconnects": self.options.storm, "seconds": seconds,
                            "before": before, "during": during})

    def connect_all(self, lab, subject):
        # They get what the 64 clients and the server leave of their CPU.
        storm = measure.LoadRun(lab, subject, idle=True, clients=self.options.storm, connecting=self.options.storm, seconds=0,
                                sources=SOURCES, hold=True)
        storm.wait_for("connected")
        return storm

    def find(self, kind, subject):
        return next((row for row in self.rows if row["kind"] == kind and row["subject"] == subject), None)

    def cpu_ratio(self, row, against):
        other = self.find(against, "pgbouncer")
        return report.ratio(row["cpu_us"], other["cpu_us"]) if other else None

    def tell(self):
        number = report.number
        head = ["login", "subject", "CPU µs/login", "× PgBouncer", "spread", "logins/s", "p50 µs", "p99 µs", "resumed", "errors"]
        body = [[row["kind"], row["subject"], number(row["cpu_us"], 0), number(self.cpu_ratio(row, row["kind"]), 2),
                 report.percent(row["cpu_us_spread"]), number(row["logins_per_s"], 0), number(row["p50"], 0),
                 number(row["p99"], 0), report.percent(row["resumed"]), row["errors"]] for row in self.rows]
        self.section.add_table(f"{self.options.clients} clients that log in, leave, and come again", head, body)
        head = ["login", "subject", "storm s", "p50 before, µs", "during", "p99 before, µs", "during", "p99 ratio", "errors"]
        body = [[storm["kind"], storm["subject"], number(storm["seconds"], 1),
                 *(number(storm[when]["latency_us"][key], 0) for key in ("p50", "p99") for when in ("before", "during")),
                 number(storm_ratio(storm), 2), sum(storm["during"]["errors"].values())] for storm in self.storms]
        self.section.add_table(f"64 clients at {self.options.storm_rate:,.0f} queries/s while {self.options.storm:,} reconnect",
                               head, body)

    def judge(self):
        for row in self.rows:
            if row["subject"].startswith("penstock") and row["kind"] in AIMS:
                against, aim = AIMS[row["kind"]]
                self.section.target(f"CPU per login, {row['kind']}, of PgBouncer's {against}", self.cpu_ratio(row, against), aim,
                                    where=row["subject"])
        for storm in self.storms:
            if storm["subject"].startswith("penstock"):
                self.section.target("p99 of queries during a reconnect storm, of before", storm_ratio(storm), 3.0,
                                    where=f"{storm['subject']}, {storm['kind']}")


def storm_ratio(storm):
    if storm["during"]["queries"] == 0:
        return float("inf")
    return report.ratio(storm["during"]["latency_us"]["p99"], storm["before"]["latency_us"]["p99"])


def main(arguments):
    return Login(parse(arguments)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
