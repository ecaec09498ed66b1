"""`compare`: every subject in turn under the same load, several rounds, medians.

Within a round the subjects alternate (A B C, A B C, …), so that a machine that becomes slower does so for all of them.
"""

import argparse
import contextlib
import sys

from harness import measure, report
from harness.lab import Cores, Lab, Unusable, build_programs, say
from harness.subjects import SUBJECTS, Canned, Postgres

MODES = ["simple", "extended", "prepared"]
FLOOR = "relay-uring"
# One Postgres process per client: beyond this the relays measure fork(), not relaying.
RELAY_CLIENTS_MAX_ON_POSTGRES = 64


def words(text):
    return text.split(",")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer clients, short, one round: is everything alive?")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--subjects", type=words, default=list(SUBJECTS), help=",".join(SUBJECTS))
    parser.add_argument("--servers", type=words, default=["canned", "postgres"], help="canned,postgres")
    parser.add_argument("--modes", type=words, default=MODES, help=",".join(MODES))
    parser.add_argument("--clients", type=lambda text: [int(word) for word in words(text)])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--pool-size", type=int, default=20, help="server connections of a pooler")
    parser.add_argument("--idle-clients", type=int, help="for the memory figure")
    parser.add_argument("--no-syscalls", action="store_true")
    parser.add_argument("--no-idle", action="store_true")
    parser.add_argument("--proxy-cpus", help="CPUs for the subject, as taskset takes them; empty: no pinning")
    parser.add_argument("--other-cpus", help="CPUs for load and server")
    options = parser.parse_args(arguments)
    quick = options.quick
    options.clients = options.clients or ([1, 64] if quick else [1, 8, 64, 512])
    options.rounds = options.rounds or (1 if quick else 3)
    options.seconds = options.seconds or (0.7 if quick else 3.0)
    options.idle_clients = options.idle_clients or (500 if quick else 5000)
    for name in options.subjects:
        if name not in SUBJECTS:
            parser.error(f"no subject {name}; there are {', '.join(SUBJECTS)}")
    return options


class Comparison:
    def __init__(self, options):
        self.options = options
        self.cores = Cores(options.proxy_cpus, options.other_cpus)
        self.machine = report.machine(self.cores)
        self.rows = []
        self.idle = []
        self.skipped = []

    def skip(self, what, why):
        entry = {"what": what, "why": why}
        if entry not in self.skipped:
            self.skipped.append(entry)
            say(f"skipped: {what}: {why}")

    def start_all(self, lab, server):
        subjects = []
        for name in self.options.subjects:
            try:
                subjects.append(SUBJECTS[name](lab, server, self.options.pool_size))
            except Unusable as error:
                self.skip(name, str(error))
        return subjects

    def measure_cell(self, lab, server, subjects, mode, clients):
        able = []
        for subject in subjects:
            reason = subject.cannot(mode)
            if (server.name == "postgres" and subject.holds_server_per_client
                    and clients > RELAY_CLIENTS_MAX_ON_POSTGRES):
                reason = f"would need {clients} Postgres processes"
            if reason:
                self.skip(f"{subject.name}, {server.name}, {mode}" + (f", {clients} clients" if "need" in reason else ""), reason)
            else:
                able.append(subject)
        load = {"mode": mode, "clients": clients}
        rounds = {subject.name: [] for subject in able}
        for _ in range(self.options.rounds):
            for subject in able:
                with self.excused(f"{subject.name}, {server.name}, {mode}, {clients} clients"):
                    rounds[subject.name].append(
                        measure.run_load(lab, subject, seconds=self.options.seconds, warmup=0.4, **load))
        for subject in able:
            calls = None
            if not self.options.no_syscalls and rounds[subject.name]:
                with self.excused(f"system calls of {subject.name}, {server.name}, {mode}, {clients} clients"):
                    calls = measure.syscalls_per_query(lab, subject, seconds=0.5 if self.options.quick else 1.0, **load)
            if rounds[subject.name]:
                self.rows.append(self.summarize(server, subject, load, rounds[subject.name], calls))

    @contextlib.contextmanager
    def excused(self, what):
        try:
            yield
        except Unusable as error:
            self.skip(what, str(error))

    @staticmethod
    def summarize(server, subject, load, rounds, calls):
        errors = {}
        for result in rounds:
            for code, count in result["errors"].items():
                errors[code] = errors.get(code, 0) + count
        cpu = [result["cpu_us"] for result in rounds]
        return {
            "server": server.name, "subject": subject.name, **load,
            "cpu_us": report.median(cpu), "cpu_us_spread": report.spread(cpu),
            "cpu_share": report.median([result["cpu_share"] for result in rounds]),
            "qps": report.median([result["qps"] for result in rounds]),
            **{key: report.median([result["latency_us"][key] for result in rounds]) for key in ("p50", "p99", "p99.9", "max")},
            "syscalls": calls, "errors": errors, "violations": sum(result["violations"] for result in rounds),
            "rounds": rounds,
        }

    def measure_idle(self, lab, server):
        """A process of its own for each, fresh: what was used before would hide what is used now."""
        for name in self.options.subjects:
            if name.startswith("relay"):
                continue
            with self.excused(f"memory of {name}"):
                subject = SUBJECTS[name](lab, server, self.options.pool_size)
                self.idle.append({"subject": name, **measure.idle_memory(lab, subject, self.options.idle_clients)})
                lab.stop(subject.process)

    def run(self):
        for server_name in self.options.servers:
            with Lab(self.cores) as lab, self.excused(f"server {server_name}"):
                server = Canned(lab) if server_name == "canned" else Postgres(lab)
                subjects = self.start_all(lab, server)
                for mode in self.options.modes:
                    for clients in self.options.clients:
                        say(f"{server_name}, {mode}, {clients} clients")
                        self.measure_cell(lab, server, subjects, mode, clients)
                for subject in subjects:
                    lab.stop(subject.process)
                if server_name == "canned" and not self.options.no_idle:
                    self.measure_idle(lab, server)

    def floor_of(self, row):
        same = ("server", "mode", "clients")
        for other in self.rows:
            if other["subject"] == FLOOR and all(other[key] == row[key] for key in same):
                return other["cpu_us"]
        return None

    def text(self):
        parts = ["{cpu}, {cpus} CPUs, Linux {kernel}, commit {commit}, {date}; {pinning}".format(**self.machine)]
        for server, mode in dict.fromkeys((row["server"], row["mode"]) for row in self.rows):
            body = []
            for row in self.rows:
                if (row["server"], row["mode"]) != (server, mode):
                    continue
                floor = self.floor_of(row)
                body.append([
                    row["subject"], row["clients"], report.number(row["cpu_us"], 2),
                    report.number(row["cpu_us"] / floor if floor and row["cpu_us"] else None, 2),
                    report.number(100 * row["cpu_us_spread"], 0) + "%", report.number(row["qps"], 0),
                    report.number(row["p50"], 0), report.number(row["p99"], 0),
                    report.number(row["syscalls"]["total"] if row["syscalls"] else None, 2),
                    sum(row["errors"].values()), row["violations"],
                ])
            body.sort(key=lambda cells: cells[1])
            head = ["subject", "clients", "CPU µs/query", "× relay", "spread", "queries/s", "p50 µs", "p99 µs",
                    "calls/query", "errors", "wrong"]
            parts.append(f"{server}, {mode}:\n" + report.table(head, body))
        if self.idle:
            head = ["idle clients", "number", "bytes each", "RSS before", "RSS after"]
            body = [[row["subject"], row["clients"], report.number(row["per_client"], 0),
                     report.number(row["before"] / 1024, 0) + " KiB", report.number(row["after"] / 1024, 0) + " KiB"]
                    for row in self.idle]
            parts.append(report.table(head, body))
        if self.skipped:
            parts.append("\n".join(["not measured:", *(f"  {entry['what']}: {entry['why']}" for entry in self.skipped)]))
        parts.append("\n".join(self.verdicts()) or "no figures of Penstock to judge")
        return "\n\n".join(parts)

    def verdicts(self):
        """Whether the aims are met, in one line each; only what was measured counts."""
        lines = []
        cpu = {(row["server"], row["subject"], row["mode"], row["clients"]): row["cpu_us"] for row in self.rows}
        for (server, subject, mode, clients), ours in cpu.items():
            if not subject.startswith("penstock") or not ours:
                continue
            where = f"{subject}, {server}, {mode}, {clients} clients"
            bouncer = cpu.get((server, "pgbouncer", mode, clients))
            if bouncer:
                lines.append(f"{'ok ' if ours <= bouncer else 'NOT'} {where}: {ours / bouncer:.2f} × PgBouncer's CPU (aim 1.00)")
            simple = cpu.get((server, subject, "simple", clients))
            if mode == "prepared" and simple:
                lines.append(f"{'ok ' if ours <= 1.15 * simple else 'NOT'} {where}: {ours / simple:.2f} × own simple mode (aim 1.15)")
        return lines


def main(arguments):
    options = parse(arguments)
    build_programs()
    comparison = Comparison(options)
    comparison.run()
    print(comparison.text())
    if options.json:
        report.write_json(options.json, {"machine": comparison.machine, "results": comparison.rows,
                                         "idle": comparison.idle, "skipped": comparison.skipped})
    return 1 if any(row["violations"] for row in comparison.rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
