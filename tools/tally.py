#!/usr/bin/env python3
"""Adds up test reports: what failed, a line per suite, and as the last line `N passed, N failed[, N skipped]`.

    tools/tally.py RESULTS

RESULTS holds one folder per suite with JUnit files of any make (GoogleTest, pytest, ours). A file named ctest.xml is
special: it says how each *program* ended, so a program that died before it could write its own report counts as one
failure, and one that has no report of its own counts as one test. Exits 1 if anything failed, or if nothing ran.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def outcome(case):
    skipped = case.find("skipped")
    if skipped is not None and "Unable to find executable" in skipped.get("message", ""):
        return FAILED  # ctest calls a program that was not built "not run"
    if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
        return FAILED
    if skipped is not None or case.get("status") in ("notrun", "disabled"):
        return SKIPPED
    if case.get("result") in ("skipped", "suppressed"):
        return SKIPPED
    return PASSED


def cases_of(path):
    """[(name, outcome)] of a JUnit file; a file that cannot be read is a failure of its own."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as error:
        return [(f"{path.name}: {error}", FAILED)]
    return [(".".join(filter(None, (c.get("classname"), c.get("name")))), outcome(c)) for c in root.iter("testcase")]


def suite_cases(folder):
    """All cases of one suite's folder."""
    reports = {path.stem: cases_of(path) for path in sorted(folder.glob("*.xml")) if path.name != "ctest.xml"}
    cases = [case for report in reports.values() for case in report]
    programs = folder / "ctest.xml"
    if not programs.exists():
        return cases
    for case in ElementTree.parse(programs).getroot().iter("testcase"):
        name, ended = case.get("name"), outcome(case)
        report = reports.get(f"{name}_test")
        if report is None:
            cases.append((name, ended))
        elif ended == FAILED and all(result != FAILED for _, result in report):
            cases.append((f"{name} (the program failed, though no test in it did)", FAILED))
    return cases


def line(counts):
    text = f"{counts[PASSED]} passed, {counts[FAILED]} failed"
    return text + (f", {counts[SKIPPED]} skipped" if counts[SKIPPED] else "")


def main(folder):
    total = Counter()
    width = max((len(path.name) for path in folder.iterdir()), default=0)
    lines = []
    for suite in sorted(path for path in folder.iterdir() if path.is_dir()):
        cases = suite_cases(suite)
        counts = Counter(result for _, result in cases)
        for name in sorted(name for name, result in cases if result == FAILED):
            print(f"FAILED {suite.name}: {name}")
        lines.append(f"{suite.name:{width}}  {line(counts)}")
        total += counts
    print("\n".join(lines))
    print(line(total))
    return 1 if total[FAILED] or not total[PASSED] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
