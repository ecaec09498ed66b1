"""What a benchmark found: tables, targets, and the machine and commit that the figures belong to; as Markdown and JSON."""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from .lab import REPOSITORY


def lines(path):
    return Path(path).read_text().splitlines()


def machine(cores):
    model = next((line.split(":", 1)[1].strip() for line in lines("/proc/cpuinfo") if line.startswith("model name")),
                 platform.machine())
    memory = next(int(line.split()[1]) for line in lines("/proc/meminfo") if line.startswith("MemTotal:"))
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "memory_gib": round(memory / 1024 / 1024, 1),
        "kernel": platform.release(),
        "commit": commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        "command": " ".join(["./dev bench", *sys.argv[1:]]),
        "pinning": cores.describe(),
        "load_before": os.getloadavg()[0],
    }


def commit():
    """The commit, with a "+" when the sources differ from it."""
    def git(*arguments):
        return subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "src") else "")


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def spread(values):
    """How far the rounds lie apart, as a share of the median: how much a difference must be to mean anything."""
    values = [value for value in values if value is not None]
    return (max(values) - min(values)) / statistics.median(values) if len(values) > 1 and statistics.median(values) else 0


def ratio(value, other):
    return value / other if value is not None and other else None


def number(value, digits=1):
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.{digits}f}"


def percent(value):
    return number(None if value is None else 100 * value, 0) + "%"


def kib(value, digits=2):
    return number(None if value is None else value / 1024, digits)


def table(head, rows):
    """Markdown, readable as it is; the first column is set to the left, all others to the right."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(head))]
    lines = []
    for row in cells:
        padded = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("| " + " | ".join(padded) + " |")
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines)


class Section:
    """The report of one benchmark."""

    def __init__(self, name, title, cores):
        self.name = name
        self.title = title
        self.machine = machine(cores)
        self.parts = []
        self.targets = []
        self.skipped = []
        self.figures = {}  # for --json

    def note(self, text):
        self.parts.append(text)

    def add_table(self, caption, head, rows):
        if rows:
            self.parts.append(f"**{caption}**\n\n" + table(head, rows))

    def target(self, what, figure, aim, *, where="", digits=2, unit="×", at_least=False):
        """Judges one aim of the project at one place; a figure that is None was not measured and says nothing."""
        if figure is not None:
            met = figure >= aim if at_least else figure <= aim
            self.targets.append({"what": what, "where": where, "met": met, "figure": figure, "aim": aim,
                                 "at_least": at_least, "digits": digits, "unit": unit})

    def targets_table(self):
        """One line for each aim: the worst figure, where it was, and at how many of all places the aim is met."""
        rows = []
        for what in dict.fromkeys(target["what"] for target in self.targets):
            places = [target for target in self.targets if target["what"] == what]
            worst = max(places, key=lambda place: place["figure"] * (-1 if place["at_least"] else 1))
            met = sum(place["met"] for place in places)
            figure, aim = (f"{number(worst[key], worst['digits'])} {worst['unit']}".strip() for key in ("figure", "aim"))
            rows.append([what, "ok" if met == len(places) else "NOT", figure, ("≥ " if worst["at_least"] else "≤ ") + aim,
                         f"{met} of {len(places)}", worst["where"]])
        return table(["target", "", "worst figure", "aim", "met at", "the worst is"], rows)

    def skip(self, what, why):
        entry = {"what": what, "why": why}
        if entry not in self.skipped:
            self.skipped.append(entry)

    def markdown(self):
        where = self.machine
        head = (f"{where['cpu']}, {where['cpus']} CPUs, {where['memory_gib']} GiB, Linux {where['kernel']}; "
                f"{where['pinning']}. Commit {where['commit']}, {where['date']}. To repeat it: `{where['command']}`")
        parts = [f"## {self.title}", head, *self.parts]
        if self.targets:
            parts.append("**Targets**\n\n" + self.targets_table())
        if self.skipped:
            parts.append("\n".join(["Not measured:", "", *(f"- {entry['what']}: {entry['why']}" for entry in self.skipped)]))
        return "\n\n".join(parts) + "\n"

    def json(self):
        return {"benchmark": self.name, "machine": self.machine, **self.figures, "targets": self.targets,
                "skipped": self.skipped}


def write_json(path, document):
    with open(path, "w") as out:
        json.dump(document, out, indent=1)
        out.write("\n")
