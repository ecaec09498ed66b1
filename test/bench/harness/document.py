"""docs/benchmarks.md: one section for each benchmark, written by the benchmark itself."""

from .lab import REPOSITORY

PATH = REPOSITORY / "docs" / "benchmarks.md"
ORDER = ["query", "bulk", "idle", "login", "tenants", "scrape", "checkout"]

HEAD = """# Benchmarks

Each section is written by the command that it names; run it again and the section is replaced. Poolers take turns in the same
run on the same machine, figures are medians. [How they are measured](internals/benchmarks.md) says what each figure means and
what it does not.
"""


def _marks(name):
    return f"<!-- section {name} -->", f"<!-- end of {name} -->"


def sections(text):
    """{name: text between its marks}"""
    found = {}
    for name in ORDER:
        begin, end = _marks(name)
        if begin in text and end in text:
            found[name] = text.split(begin, 1)[1].split(end, 1)[0].strip("\n")
    return found


def with_section(text, name, section):
    """The document `text` with this section in place of the former one of that name."""
    found = {**sections(text), name: section.strip("\n")}
    parts = [HEAD.strip("\n")]
    for known in ORDER:
        if known in found:
            begin, end = _marks(known)
            parts.append(f"{begin}\n\n{found[known].strip()}\n\n{end}")
    return "\n\n".join(parts) + "\n"


def write(name, section, path=PATH):
    text = path.read_text() if path.exists() else ""
    path.write_text(with_section(text, name, section))
