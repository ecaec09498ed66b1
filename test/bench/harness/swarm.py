"""A swarm: more clients than one process may have open files, so many load generators that act as one."""

import time

from . import measure

CLIENTS_PER_LOADER = 18_000  # a process may have 20,000 open files on the development machine
FIRST_SOURCE = 2  # 127.0.0.2
# Each loader comes from addresses of its own. An address has some 28,000 ports per target, of which connect() takes the odd half only
# after a long search for an even one: two addresses are enough to stay within the quick half.
SOURCES_PER_LOADER = 2


def percentile(histogram, share):
    """The upper edge, in microseconds, of the bucket where this share of all values is reached; [[edge_ns, count], …]."""
    total = sum(count for _, count in histogram)
    seen = 0
    for edge, count in sorted(histogram):
        seen += count
        if seen >= share * total:
            return edge / 1000
    return None


def merge(results):
    """One result of those of all loaders."""
    histogram = [bucket for result in results for bucket in result["histogram_ns"]]
    errors = {}
    for result in results:
        for code, count in result["errors"].items():
            errors[code] = errors.get(code, 0) + count
    added = {key: sum(result[key] for result in results)
             for key in ("clients", "queries", "qps", "overdue", "unanswered", "violations")}
    return {**added, "errors": errors, "seconds": max(result["seconds"] for result in results),
            "latency_us": {f"p{100 * share:g}": percentile(histogram, share) for share in (0.5, 0.99, 0.999)},
            "first_violations": [what for result in results for what in result["first_violations"]][:5]}


def split(total, most):
    """`total` as a list of nearly equal parts, none above `most`."""
    count = -(-total // most)
    return [total // count + (i < total % count) for i in range(count)]


class Swarm:
    """Connects `clients` to the subjects in equal parts; each logs in, asks once, and then is idle."""

    def __init__(self, lab, subjects, clients, *, rate=0.0, seconds=0.0, connecting=32, patience=1800, **options):
        self.runs = []
        self.started = time.monotonic()
        number = 0
        source = FIRST_SOURCE
        for subject, part in zip(subjects, split(clients, -(-clients // len(subjects)))):
            for count in split(part, CLIENTS_PER_LOADER):
                self.runs.append(measure.LoadRun(
                    lab, subject, threads=1, clients=count, first_client=number, first_source=source, sources=SOURCES_PER_LOADER, greet=True,
                    hold=True, rate=rate * count / clients, seconds=seconds, warmup=1.0, connecting=connecting,
                    connecting_seconds=patience, **options))
                number += count
                source += SOURCES_PER_LOADER

    def wait_until_connected(self):
        """Seconds from the start until all had logged in and got their first answer."""
        for run in self.runs:
            run.wait_for("connected")
        return time.monotonic() - self.started

    def ask(self):
        """Runs the load, after which all clients leave."""
        for run in self.runs:
            run.go_on()
        return merge([run.result() for run in self.runs])
