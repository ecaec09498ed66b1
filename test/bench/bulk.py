"""`bulk`: what a gigabyte costs on its way through, both ways; and clients that read slowly.

CPU per GB is the subject's CPU time over the bytes that arrived (COPY in: left) in the same window, whatever statement they
belong to. Slow readers: each asks for a large result and reads it at a fixed rate, while 64 other clients ask small questions.
"""

import sys
import time
from dataclasses import dataclass

from harness import benchmark, measure, report
from harness.lab import Lab, say
from harness.servers import SERVERS, Canned
from harness.subjects import SUBJECTS, Setup

GB = 1e9
TOKEN_BYTES = 17  # an answer is a multiple of it
READER_BUFFER = 64 * 1024  # SO_RCVBUF: who reads slowly has no need of megabytes


@dataclass(frozen=True)
class Kind:
    title: str
    mode: str
    row_bytes: int  # on the wire, header included

    def options(self, total_bytes):
        rows = max(1, int(total_bytes / self.row_bytes))
        return {"mode": self.mode, "rows": rows, "repeat": max(1, self.row_bytes // TOKEN_BYTES) if self.mode != "copyin" else 1}


KINDS = {
    "copy-out": Kind("COPY out, rows of 100 bytes", "copyout", 108),
    "copy-in": Kind("COPY in, rows of 100 bytes", "copyin", 109),
    "select": Kind("SELECT, rows of 100 bytes", "simple", 113),
    "select-wide": Kind("SELECT, rows of 8 kB", "simple", 8_000),
}


def parse(arguments):
    parser = benchmark.parser("bulk", __doc__)
    parser.add_argument("--kinds", type=benchmark.words, default=list(KINDS), help=",".join(KINDS))
    parser.add_argument("--servers", type=benchmark.words, default=["canned"], help=",".join(SERVERS))
    parser.add_argument("--subjects", type=benchmark.words,
                        default=["relay-uring", "relay-epoll", "pgbouncer", "penstock", "penstock-epoll"], help=",".join(SUBJECTS))
    parser.add_argument("--transports", type=benchmark.words, default=["tcp", "tls"], help="tcp,tls,unix")
    parser.add_argument("--clients", type=benchmark.numbers, default=[1, 8], help="fast readers and writers at the same time")
    parser.add_argument("--bytes", type=float, default=GB, help="of one statement")
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--readers", type=int, help="slow ones; default 1000, 0: leave them out")
    parser.add_argument("--reader-bytes", type=float, default=100e6, help="that each asks for")
    parser.add_argument("--reader-rate", type=int, default=100_000, help="bytes per second of each")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (0.7 if options.quick else 3.0)
    if options.quick:
        options.bytes, options.clients, options.transports = min(options.bytes, GB / 10), [1], ["tcp"]
    if options.readers is None:
        options.readers = 100 if options.quick else 1_000
    for name in options.kinds:
        if name not in KINDS:
            parser.error(f"no kind {name}; there are {', '.join(KINDS)}")
    return options


class Bulk(benchmark.Benchmark):
    name = "bulk"
    title = "Bulk: CPU per gigabyte, slow readers"

    def __init__(self, options):
        super().__init__(options)
        self.rows = []
        self.slow = []

    def measure(self):
        for server_name in self.options.servers:
            for transport in self.options.transports:
                with Lab(self.cores) as lab, self.excused(f"{server_name}, {transport}"):
                    self.measure_fast(lab, SERVERS[server_name](lab), transport)
        if self.options.readers:
            for name in self.options.subjects:
                if not name.startswith("relay"):
                    say(f"{self.options.readers} slow readers, {name}")
                    with Lab(self.cores) as lab, self.excused(f"slow readers, {name}"):
                        self.measure_slow(lab, name)
        self.tell()
        self.judge()
        self.section.figures.update(results=self.rows, slow_readers=self.slow)

    def measure_fast(self, lab, server, transport):
        subjects = []
        for name in self.options.subjects:
            with self.excused(f"{name}, {transport}"):
                subjects.append(SUBJECTS[name](lab, server, Setup(transport=transport)))
        for kind in self.options.kinds:
            for clients in self.options.clients:
                say(f"{server.name}, {transport}, {kind}, {clients} clients")
                self.measure_cell(lab, server, subjects, transport, kind, clients)

    def measure_cell(self, lab, server, subjects, transport, kind, clients):
        load = {"clients": clients, "warmup": 0.5, "seconds": self.options.seconds, **KINDS[kind].options(self.options.bytes)}
        rounds = {subject.name: [] for subject in subjects}
        for _ in range(self.options.rounds):
            for subject in subjects:
                with self.excused(f"{subject.name}, {transport}, {kind}, {clients} clients"):
                    rounds[subject.name].append(self.checked(measure.run_load(lab, subject, **load)))
        for name, results in rounds.items():
            if not results:
                continue
            gigabytes = [(r["bytes_out"] if kind == "copy-in" else r["bytes_in"]) / GB for r in results]
            cpu = [report.ratio(r["cpu_s"], size) for r, size in zip(results, gigabytes)]
            self.rows.append({
                "server": server.name, "transport": transport, "kind": kind, "clients": clients, "subject": name,
                "cpu_s_per_gb": report.median(cpu), "spread": report.spread(cpu),
                "gb_per_s": report.median([size / r["seconds"] for r, size in zip(results, gigabytes)]),
                "cpu_share": report.median([r["cpu_share"] for r in results]),
                "errors": sum(sum(r["errors"].values()) for r in results), "rounds": results,
            })

    def measure_slow(self, lab, name):
        options = self.options
        server = Canned(lab)
        subject = SUBJECTS[name](lab, server, Setup(pool_size=options.readers + 100))
        others = {"mode": "simple", "clients": 64, "rate": 5_000, "seconds": 1.0 if options.quick else 5.0, "warmup": 1.0}
        before = self.checked(measure.run_load(lab, subject, **others))
        memory = measure.rss_bytes(subject.pid)
        kernel = measure.kernel_memory()
        readers = measure.LoadRun(lab, subject, clients=options.readers, read_rate=options.reader_rate, until_line=True,
                                  receive_buffer=READER_BUFFER, seconds=600, warmup=0, **KINDS["select"].options(options.reader_bytes))
        readers.wait_for("measuring")
        for _ in range(30):  # until each has a server and all buffers on the way are full
            time.sleep(1)
            if server.stats()["connections"] > options.readers:
                break
        time.sleep(2)
        during = self.checked(measure.run_load(lab, subject, **others))
        full, kernel_full = measure.rss_bytes(subject.pid), measure.kernel_memory()
        read = self.checked(readers.result())
        self.slow.append({
            "subject": subject.name, "readers": options.readers, "before": before, "during": during,
            "own_each": (full - memory) / options.readers,
            "kernel_each": (kernel_full["tcp_buffers"] - kernel["tcp_buffers"]) / options.readers,
            "read_bytes_per_s": read["bytes_in"] / read["seconds"], "errors": read["errors"],
        })

    def cpu_ratio(self, row, subject):
        same = ("server", "transport", "kind", "clients")
        other = next((o for o in self.rows if o["subject"] == subject and all(o[key] == row[key] for key in same)), None)
        return report.ratio(row["cpu_s_per_gb"], other["cpu_s_per_gb"]) if other else None

    def tell(self):
        number = report.number
        for server, transport, kind in dict.fromkeys((r["server"], r["transport"], r["kind"]) for r in self.rows):
            head = ["subject", "clients", "CPU s/GB", "× relay", "× PgBouncer", "spread", "GB/s", "CPUs used", "errors"]
            body = [[row["subject"], row["clients"], number(row["cpu_s_per_gb"], 3), number(self.cpu_ratio(row, "relay-uring"), 2),
                     number(self.cpu_ratio(row, "pgbouncer"), 2), report.percent(row["spread"]), number(row["gb_per_s"], 2),
                     number(row["cpu_share"], 2), row["errors"]]
                    for row in self.rows if (row["server"], row["transport"], row["kind"]) == (server, transport, kind)]
            self.section.add_table(f"{KINDS[kind].title} ({transport}, {server} server)", head, body)
        head = ["subject", "own memory each, KiB", "TCP buffers each, KiB", "read, MB/s", "others: p50 before, µs", "during",
                "p99 before, µs", "during", "p99 ratio", "errors"]
        body = [[slow["subject"], report.kib(slow["own_each"], 1), report.kib(slow["kernel_each"], 1),
                 number(slow["read_bytes_per_s"] / 1e6, 1),
                 *(number(slow[when]["latency_us"][key], 0) for key in ("p50", "p99") for when in ("before", "during")),
                 number(slow_ratio(slow), 2), sum(slow["errors"].values()) + sum(slow["during"]["errors"].values())]
                for slow in self.slow]
        self.section.add_table(f"{self.options.readers:,} clients, each reading {self.options.reader_bytes / 1e6:,.0f} MB at "
                               f"{self.options.reader_rate / 1000:,.0f} kB/s; 64 others at 5,000 queries/s", head, body)

    def judge(self):
        for row in self.rows:
            if row["subject"].startswith("penstock"):
                where = "{subject}, {transport}, {kind}, {clients} clients".format(**row)
                aim = 0.6 if row["kind"] == "copy-out" and row["transport"] == "tcp" else 1.0
                what = "CPU per GB, COPY out, of PgBouncer's" if aim == 0.6 else "CPU per GB, all else, of PgBouncer's"
                self.section.target(what, self.cpu_ratio(row, "pgbouncer"), aim, where=where)
        for slow in self.slow:
            if slow["subject"].startswith("penstock"):
                self.section.target("own memory for a slow reader", slow["own_each"] / 1024, 64, where=slow["subject"], digits=1,
                                    unit="KiB")
                self.section.target("p99 of others while many read slowly, of before", slow_ratio(slow), 1.5,
                                    where=slow["subject"])


def slow_ratio(slow):
    if slow["during"]["queries"] == 0:
        return float("inf")
    return report.ratio(slow["during"]["latency_us"]["p99"], slow["before"]["latency_us"]["p99"])


def main(arguments):
    return Bulk(parse(arguments)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
