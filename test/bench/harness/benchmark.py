"""What all benchmarks have in common: options, what could not be measured, and where the report goes."""

import argparse
import contextlib
from pathlib import Path

from . import document, report
from .lab import Cores, Unusable, build_programs, say


def words(text):
    return text.split(",")


def numbers(text):
    return [int(word) for word in words(text.replace("_", ""))]


def parser(name, description):
    made = argparse.ArgumentParser(prog=f"./dev bench {name}", description=description)
    made.add_argument("--quick", action="store_true", help="small and short: is everything alive? Not written to docs/")
    made.add_argument("--json", metavar="FILE", help="write all figures there")
    made.add_argument("--document", type=Path, metavar="FILE",
                      help="replace the section of this benchmark there (docs/benchmarks.md, unless --quick)")
    made.add_argument("--no-document", action="store_true", help="print only")
    made.add_argument("--rounds", type=int, help="of which the median counts")
    made.add_argument("--proxy-cpus", help="CPUs for the subject, as taskset takes them; empty: no pinning")
    made.add_argument("--other-cpus", help="CPUs for load and server")
    return made


class Benchmark:
    """One benchmark: measure() fills the section, judge() its targets."""

    name = title = ""

    def __init__(self, options, subject_cpus=1):
        self.options = options
        self.cores = Cores(options.proxy_cpus, options.other_cpus, subject_cpus)
        self.section = report.Section(self.name, self.title, self.cores)
        self.wrong = 0  # answers that did not belong to their question

    def measure(self):
        raise NotImplementedError

    def skip(self, what, why):
        say(f"skipped: {what}: {why}")
        self.section.skip(what, why)

    @contextlib.contextmanager
    def excused(self, what):
        """What cannot be measured here is named in the report, and all else goes on."""
        try:
            yield
        except Unusable as error:
            self.skip(what, str(error))

    def checked(self, result):
        """Counts wrong answers of a run of the load generator."""
        self.wrong += result["violations"]
        if result["violations"]:
            say(f"WRONG ANSWERS: {result['first_violations']}")
        return result

    def run(self):
        """The exit code: 1 when an answer was wrong."""
        build_programs()
        self.measure()
        if self.wrong:
            self.section.note(f"**{self.wrong} answers were wrong.**")
        print(self.section.markdown())
        if self.options.json:
            report.write_json(self.options.json, self.section.json())
        path = self.options.document or (None if self.options.quick else document.PATH)
        if path and not self.options.no_document:
            document.write(self.name, self.section.markdown(), path)
            say(f"written to {path}")
        return 1 if self.wrong else 0
