#!/usr/bin/env python3
"""Checks the rules of the house that a machine can check: who may include whom, and what is allowed where.

    tools/check_layers.py [--root DIR]

Reads tools/layers.toml, CMakeLists.txt and every C++ file of src/; prints one line per broken rule
(`file:line: rule: what and what to do`) and exits 1 if there was one. Standard library only.

Rules, by the name to use in a written exception, `// HOUSE(rule): reason`, on the line itself or the one before:

    layer     a module includes only itself and the modules that layers.toml allows it
    coroutine no coroutine in the modules before `io`
    syscall   no system-call header in pure modules and in those after `io`
    size      no source above 500 lines (the exception may stand anywhere in the file)

No exception exists for include cycles, for modules that layers.toml does not know, for a CMakeLists.txt that
disagrees with layers.toml, and for a HOUSE line without a reason.
"""

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
EXCEPTION = re.compile(r"//\s*HOUSE\(([^)]*)\)(:?)\s*(.*)")
COROUTINE = re.compile(r"\bco_(?:await|return|yield)\b")
MODULE_CALL = re.compile(r"^\s*penstock_module\(([^)]*)\)", re.MULTILINE)
TEST_SUFFIXES = ("_test.cc", "_sim.cc", "_fuzz.cc", "_bench.cc", "_test.h")
SOURCE_SUFFIXES = {".cc", ".h", ".inc"}


@dataclass
class Module:
    name: str
    uses: list
    pure: bool = False


@dataclass
class Layers:
    modules: list
    loop_module: str
    test_folders: list
    max_lines: int
    system_headers: list
    index: dict = field(default_factory=dict)

    def __post_init__(self):
        self.index = {module.name: place for place, module in enumerate(self.modules)}

    def get(self, name):
        return self.modules[self.index[name]] if name in self.index else None


def load_layers(text):
    data = tomllib.loads(text)
    modules = [Module(m["name"], m["uses"], m.get("pure", False)) for m in data["module"]]
    return Layers(modules, **data["rules"])


def check_table(layers):
    """layers.toml itself: names once, and `uses` only upwards, so that no cycle can be written down."""
    where = "tools/layers.toml"
    seen = set()
    for module in layers.modules:
        if module.name in seen:
            yield f"{where}: table: module '{module.name}' is listed twice"
        for used in module.uses:
            if used not in layers.index:
                yield f"{where}: table: '{module.name}' uses the unknown module '{used}'"
            elif used not in seen:
                yield f"{where}: table: '{module.name}' may only use modules listed before it, not '{used}'"
        seen.add(module.name)
    if layers.loop_module not in layers.index:
        yield f"{where}: table: loop_module '{layers.loop_module}' is not a module"


def check_cmake(layers, text):
    """Every penstock_module() call must say what layers.toml says, in the same order."""
    where = "CMakeLists.txt"
    last = -1
    for call in MODULE_CALL.finditer(re.sub(r"#[^\n]*", "", text)):
        name, *words = call.group(1).split()
        module = layers.get(name)
        if module is None:
            yield f"{where}: layer: module '{name}' is not in tools/layers.toml"
            continue
        uses = words[words.index("USES") + 1 :] if "USES" in words else []
        uses = uses[: uses.index("LIBS")] if "LIBS" in uses else uses
        if set(uses) != set(module.uses):
            yield (
                f"{where}: layer: USES of '{name}' differ from tools/layers.toml: "
                f"only here {sorted(set(uses) - set(module.uses))}, only there {sorted(set(module.uses) - set(uses))}"
            )
        if layers.index[name] < last:
            yield f"{where}: layer: '{name}' stands after a module that tools/layers.toml lists later"
        last = max(last, layers.index[name])


class CommentStripper:
    """Blanks comments and string literals line by line, so that words in them do not count."""

    def __init__(self):
        self.in_block = False

    def strip(self, line):
        out = []
        i = 0
        while i < len(line):
            if self.in_block:
                end = line.find("*/", i)
                if end < 0:
                    return "".join(out)
                self.in_block = False
                i = end + 2
            elif line.startswith("//", i):
                break
            elif line.startswith("/*", i):
                self.in_block = True
                i += 2
            elif line[i] in "\"'" and not (line[i] == "'" and i > 0 and line[i - 1].isalnum()):
                i = self._after_literal(line, i)
                out.append('""')
            else:
                out.append(line[i])
                i += 1
        return "".join(out)

    @staticmethod
    def _after_literal(line, start):
        i = start + 1
        while i < len(line):
            if line[i] == "\\":
                i += 2
            elif line[i] == line[start]:
                return i + 1
            else:
                i += 1
        return i


class FileCheck:
    def __init__(self, layers, path, text):
        self.layers = layers
        self.path = path  # relative to the root: src/module/…
        self.lines = text.splitlines()
        self.module = layers.get(Path(path).parts[1])
        self.is_test = path.endswith(TEST_SUFFIXES)
        self.exceptions = {}  # line number → rules broken in writing there
        self.includes = []  # (line number, path) of quoted includes of other sources
        self.problems = []

    def run(self):
        if self.module is None:
            self.problem(1, "layer", f"module '{Path(self.path).parts[1]}' is not in tools/layers.toml")
            return self
        self.read_exceptions()
        stripper = CommentStripper()
        for number, line in enumerate(self.lines, 1):
            include = None if stripper.in_block else INCLUDE.match(line)
            code = stripper.strip(line)
            if include and include.group(1):
                self.check_quoted(number, include.group(1))
            elif include:
                self.check_system(number, include.group(2))
            elif COROUTINE.search(code):
                self.check_coroutine(number)
        self.check_size()
        return self

    def problem(self, number, rule, text):
        self.problems.append(f"{self.path}:{number}: {rule}: {text}")

    def read_exceptions(self):
        for number, line in enumerate(self.lines, 1):
            found = EXCEPTION.search(line)
            if not found:
                continue
            rule, colon, reason = found.groups()
            if not rule or not colon or len(reason.strip()) < 3:
                self.problem(number, "house", "write exceptions as '// HOUSE(rule): reason'")
            self.exceptions.setdefault(number, set()).add(rule)

    def excepted(self, number, rule):
        if rule in self.exceptions.get(number, ()):
            return True
        # A comment above may take several lines: walk up through it.
        above = number - 1
        while above >= 1 and self.lines[above - 1].lstrip().startswith("//"):
            if rule in self.exceptions.get(above, ()):
                return True
            above -= 1
        return False

    def check_quoted(self, number, included):
        folder = included.split("/")[0]
        if "/" not in included:
            self.problem(number, "layer", f'write "{self.module.name}/{included}": includes start at src/')
            return
        if folder in self.layers.test_folders:
            if not self.is_test and not self.excepted(number, "layer"):
                self.problem(number, "layer", f'"{included}" is for tests only')
            return
        if self.layers.get(folder) is None:
            self.problem(number, "layer", f'"{included}": there is no module \'{folder}\'; libraries go in <>')
            return
        self.includes.append((number, f"src/{included}"))
        allowed = folder == self.module.name or folder in self.module.uses
        if not allowed and not self.excepted(number, "layer"):
            self.problem(
                number,
                "layer",
                f"'{self.module.name}' may not include '{folder}' "
                f"(it may: {', '.join(self.module.uses) or 'nothing'}; see tools/layers.toml)",
            )

    def check_system(self, number, header):
        loop = self.layers.index[self.layers.loop_module]
        here = self.layers.index[self.module.name]
        if self.is_test or not (self.module.pure or here > loop):
            return
        matches = any(
            header.startswith(name) if name.endswith("/") else header == name for name in self.layers.system_headers
        )
        if matches and not self.excepted(number, "syscall"):
            self.problem(
                number,
                "syscall",
                f"<{header}> in '{self.module.name}': system calls live in '{self.layers.loop_module}'",
            )

    def check_coroutine(self, number):
        loop = self.layers.index[self.layers.loop_module]
        if self.layers.index[self.module.name] < loop and not self.excepted(number, "coroutine"):
            self.problem(number, "coroutine", f"no coroutines in '{self.module.name}': take events, return decisions")

    def check_size(self):
        count = len(self.lines)
        written = any("size" in rules for rules in self.exceptions.values())
        if count > self.layers.max_lines and not written:
            self.problem(count, "size", f"{count} lines (at most {self.layers.max_lines}): split it by what it does")


def find_cycle(graph):
    """One cycle of the graph {node: [nodes]} as a list that begins and ends with the same node; else None."""
    done, path, on_path = set(), [], set()

    def visit(node):
        path.append(node)
        on_path.add(node)
        for following in graph.get(node, ()):
            if following in on_path:
                return path[path.index(following) :] + [following]
            if following not in done:
                cycle = visit(following)
                if cycle:
                    return cycle
        path.pop()
        on_path.discard(node)
        done.add(node)
        return None

    for node in sorted(graph):
        if node not in done:
            cycle = visit(node)
            if cycle:
                return cycle
    return None


def check_tree(root):
    """All problems of the tree at `root`, sorted."""
    layers = load_layers((root / "tools/layers.toml").read_text())
    problems = list(check_table(layers))
    if problems:
        return problems
    problems += check_cmake(layers, (root / "CMakeLists.txt").read_text())
    graph = {}
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in SOURCE_SUFFIXES or not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        if name.count("/") < 2:
            problems.append(f"{name}:1: layer: sources live in a module's folder")
            continue
        check = FileCheck(layers, name, path.read_text(errors="replace")).run()
        problems += check.problems
        graph[name] = [included for _, included in check.includes]
    cycle = find_cycle(graph)
    if cycle:
        problems.append(f"{cycle[0]}:1: cycle: " + " includes ".join(cycle))
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    problems = check_tree(parser.parse_args().root)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
