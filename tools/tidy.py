#!/usr/bin/env python3
"""Runs clang-tidy over the sources and remembers what it found, so that only what changed is looked at again.

    tools/tidy.py --build DIR [--jobs N] [--deep] [FILES…]

DIR holds compile_commands.json; results are kept there too. A result is good for as long as the source, every header
of ours it includes, its compiler command and .clang-tidy stay the same. Without FILES: all sources but tests, fuzzers
and benchmarks. --deep adds clang's static analyzer, which takes three times as long. Prints findings, then one line of
counts; exits 1 if there were findings. Standard library only.
"""

import argparse
import concurrent.futures
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
FINDING = re.compile(r"^(/[^:]+):(\d+):(\d+): (?:error|warning): ")
LEFT_OUT = ("_test.cc", "_sim.cc", "_fuzz.cc", "_bench.cc")
CLANG_TIDY = "clang-tidy-19"
DEEP = (
    "clang-analyzer-core.*,clang-analyzer-cplusplus.*,-clang-analyzer-cplusplus.NewDeleteLeaks,"
    "clang-analyzer-deadcode.*,clang-analyzer-unix.*"
)


def closure(path, src, seen=None):
    """The file and all our headers it includes, directly or not."""
    seen = {} if seen is None else seen
    if path in seen:
        return seen
    try:
        seen[path] = path.read_bytes()
    except OSError:
        return seen
    for name in INCLUDE.findall(seen[path].decode(errors="replace")):
        closure(src / name, src, seen)
    return seen


def key_of(path, command, src, settings):
    digest = hashlib.sha256(settings)
    digest.update(command.encode())
    for name, text in sorted(closure(path, src).items()):
        digest.update(str(name).encode() + b"\0" + text + b"\0")
    return digest.hexdigest()[:40]


def select(entries, wanted):
    """{path: command} of the sources to look at."""
    commands = {Path(e["directory"], e["file"]).resolve(): e.get("command", "") for e in entries}
    if wanted:
        return {path: commands[path] for path in wanted if path in commands}
    return {path: text for path, text in commands.items() if not path.name.endswith(LEFT_OUT)}


def run_one(path, build, stamp, checks):
    """clang-tidy's findings on one source, from memory when nothing changed; None when clang-tidy itself failed."""
    if stamp.exists():
        return stamp.read_text()
    done = subprocess.run(
        [CLANG_TIDY, "--quiet", f"--checks={checks}", "-p", str(build), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 and not FINDING.search(done.stdout):
        print(done.stdout + done.stderr, file=sys.stderr)
        return None
    stamp.write_text(done.stdout)
    return done.stdout


def findings_of(output):
    """The output split into its findings, each with its notes; what stands outside a finding is dropped."""
    found = []
    for line in output.splitlines():
        if FINDING.match(line):
            found.append([line])
        elif found:
            found[-1].append(line)
    return ["\n".join(lines).rstrip() for lines in found]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()

    build = options.build.resolve()
    entries = json.loads((build / "compile_commands.json").read_text())
    version = subprocess.run([CLANG_TIDY, "--version"], capture_output=True, check=True).stdout
    checks = DEEP if options.deep else ""
    settings = version + checks.encode() + (ROOT / ".clang-tidy").read_bytes()
    sources = select(entries, [path.resolve() for path in options.files])
    memory = build / ("tidy-deep" if options.deep else "tidy")
    memory.mkdir(exist_ok=True)
    stamps = {path: memory / key_of(path, command, ROOT / "src", settings) for path, command in sources.items()}

    found, broken = [], 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for output in pool.map(lambda path: run_one(path, build, stamps[path], checks), sorted(sources)):
            if output is None:
                broken += 1
            else:
                found += findings_of(output)
    for old in set(memory.iterdir()) - set(stamps.values()):
        if not options.files:
            old.unlink()
    # A finding in a header comes once per source that includes it.
    found = sorted(set(found))
    for text in found:
        print(text.replace(f"{ROOT}/", ""))
    print(f"tidy: {len(sources)} sources, {len(found)} findings" + (f", {broken} not analysed" if broken else ""))
    return 1 if found or broken else 0


if __name__ == "__main__":
    sys.exit(main())
