"""`scrape`: how long Prometheus waits for the metrics of thousands of tenants, and what 64 clients notice of that.

Each tenant has been used once by one client, who has left: its pool is there, with an idle server connection and all its counters.
Then 64 clients of another tenant ask at a fixed rate, first alone and then while somebody scrapes once a second, which is fifteen
times as often as Prometheus does.
"""

import sys
import urllib.request

import tenants as tenants_benchmark
from harness import benchmark, measure, report
from harness.lab import Lab, Unusable, free_port, say
from harness.servers import DATABASE, USER, Canned
from harness.subjects import SUBJECTS, Setup

CLIENTS = 64
SCRAPE_S_MAX = 1.0
DISTURBED_MAX = 1.5


def parse(arguments):
    parser = benchmark.parser("scrape", __doc__)
    parser.add_argument("--tenants", type=benchmark.numbers, help="that are in use; default 1,1000,10000")
    parser.add_argument("--subjects", type=benchmark.words, default=["penstock"],
                        help=",".join(name for name in SUBJECTS if name.startswith("penstock")))
    parser.add_argument("--rate", type=float, default=5_000, help="queries per second of the 64 clients")
    parser.add_argument("--every", type=float, default=1.0, help="seconds from scrape to scrape")
    parser.add_argument("--seconds", type=float, help="of each measurement")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (2.0 if options.quick else 8.0)
    options.tenants = options.tenants or ([1, 300] if options.quick else [1, 1_000, 10_000])
    for name in options.subjects:
        if not name.startswith("penstock"):
            parser.error(f"{name} has no such metrics")
    return options


# Reads what it is sent and throws it away, when nobody else wants its CPU, which is the load's.
SCRAPER = """
import os, sys, time, urllib.request
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
url, every = sys.argv[1], float(sys.argv[2])
while True:
    time.sleep(every)
    start, size = time.monotonic(), 0
    with urllib.request.urlopen(url, timeout=60) as answer:
        while part := answer.read(1 << 20):
            size += len(part)
    print(time.monotonic() - start, size, flush=True)
"""


class Scraper:
    """Scrapes in a rhythm until it is told to stop."""

    def __init__(self, lab, port, every):
        self.lab = lab
        self.process = lab.start("scraper", [sys.executable, "-c", SCRAPER, url_of(port), every], cpus=lab.cores.others)

    def end(self):
        """Seconds and bytes of each scrape."""
        alive = self.process.poll() is None
        self.lab.stop(self.process)
        lines = self.process.log.read_text().splitlines()
        self.process.log.unlink()
        if not alive:
            raise Unusable(f"a scrape failed: {lines[-1:]}")
        return [(float(seconds), int(size)) for seconds, size in map(str.split, lines)]


def url_of(port):
    return f"http://127.0.0.1:{port}/metrics"


def series_of(port):
    with urllib.request.urlopen(url_of(port), timeout=60) as answer:
        return sum(not line.startswith(b"#") for line in answer)


class Instance:
    """One Penstock whose tenants t0, t1, … have all been used."""

    def __init__(self, lab, name, count):
        self.lab, self.tenants, self.port = lab, count, free_port()
        self.server = Canned(lab)
        sets = (f"api.port={self.port}", "api.metrics_without_token=true", "api.requests_per_second=0")
        self.subject = SUBJECTS[name](lab, self.server, Setup(pool_size=20, sets=sets), catalog=tenants_benchmark.add_tenants(count))
        for first in range(0, count, tenants_benchmark.CLIENTS_AT_ONCE):
            clients = min(tenants_benchmark.CLIENTS_AT_ONCE, count - first)
            measure.LoadRun(lab, self.subject, threads=1, clients=clients, first_client=first, names=count, greet=True, seconds=0,
                            user=f"{USER}.t{{}}", database=DATABASE).result()
        pools = self.server.stats()["connections"]
        if pools < count:
            raise Unusable(f"only {pools:,} server connections came to be")

    def load(self, options):
        return measure.LoadRun(self.lab, self.subject, mode="simple", clients=CLIENTS, rate=options.rate, seconds=options.seconds,
                               warmup=0.5)


class Scrape(benchmark.Benchmark):
    name = "scrape"
    title = "Scrapes: thousands of tenants in the metrics"

    def __init__(self, options):
        super().__init__(options)
        self.rows = []

    def measure(self):
        for name in self.options.subjects:
            for count in self.options.tenants:
                say(f"{name}, {count:,} tenants")
                with Lab(self.cores) as lab, self.excused(f"{name}, {count:,} tenants"):
                    self.measure_one(name, Instance(lab, name, count))
        self.tell()
        self.judge()
        self.section.figures["results"] = self.rows

    def measure_one(self, name, instance):
        alone, scraped, scrapes = [], [], []
        for _ in range(self.options.rounds):
            alone.append(self.checked(instance.load(self.options).result()))
            run = instance.load(self.options)
            run.wait_for("measuring")
            scraper = Scraper(instance.lab, instance.port, self.options.every)
            scraped.append(self.checked(run.result()))
            scrapes += scraper.end()
        if not scrapes:
            raise Unusable("there was no scrape during the load")
        times = sorted(time for time, _ in scrapes)
        self.rows.append({
            "subject": name, "tenants": instance.tenants, "scrapes": len(times), "median_s": report.median(times), "worst_s": times[-1],
            "bytes": scrapes[-1][1], "series": series_of(instance.port), "alone": summary(alone), "scraped": summary(scraped)})

    def tell(self):
        number = report.number
        head = ["subject", "tenants", "series", "MB", "scrapes", "median ms", "worst ms"]
        body = [[row["subject"], number(row["tenants"], 0), number(row["series"], 0), number(row["bytes"] / 1e6), row["scrapes"],
                 number(1000 * row["median_s"], 0), number(1000 * row["worst_s"], 0)] for row in self.rows]
        self.section.add_table("A scrape, from the request to its last byte", head, body)
        head = ["subject", "tenants", "CPU µs/query alone", "scraped", *(f"{key}{when}" for key in ("p50", "p99", "p99.9", "max")
                                                                          for when in (" µs alone", " scraped")), "errors"]
        body = [[row["subject"], number(row["tenants"], 0), number(row["alone"]["cpu_us"]), number(row["scraped"]["cpu_us"]),
                 *(number(row[when][key], 0) for key in ("p50", "p99", "p99.9", "max") for when in ("alone", "scraped")),
                 row["alone"]["errors"] + row["scraped"]["errors"]] for row in self.rows]
        self.section.add_table(f"{CLIENTS} clients at {self.options.rate:,.0f} queries/s, with a scrape every {self.options.every:g} s",
                               head, body)

    def judge(self):
        for row in self.rows:
            where = f"{row['subject']}, {row['tenants']:,} tenants"
            self.section.target("a scrape", row["worst_s"], SCRAPE_S_MAX, where=where, unit="s")
            self.section.target("p99 of queries while somebody scrapes, of before", report.ratio(row["scraped"]["p99"], row["alone"]["p99"]),
                                DISTURBED_MAX, where=where)


def summary(results):
    row = {key: report.median([result["latency_us"][key] for result in results]) for key in ("p50", "p99", "p99.9", "max")}
    return row | {"cpu_us": report.median([result["cpu_us"] for result in results]),
                  "errors": sum(sum(result["errors"].values()) + result["unanswered"] for result in results), "rounds": results}


def main(arguments):
    return Scrape(parse(arguments)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
