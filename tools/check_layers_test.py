#!/usr/bin/env python3
"""Tests of check_layers.py: every rule is shown to bite, and every exception to hold."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import check_layers

LAYERS = """
[rules]
loop_module = "io"
test_folders = ["support"]
max_lines = 10
system_headers = ["sys/", "unistd.h"]

[[module]]
name = "base"
uses = []

[[module]]
name = "wire"
uses = ["base"]
pure = true

[[module]]
name = "io"
uses = ["base"]

[[module]]
name = "session"
uses = ["base", "wire", "io"]
"""

CMAKE = """
penstock_module(base LIBS Boost::headers)
penstock_module(wire USES base)
penstock_module(io USES base LIBS liburing)   # the loop
penstock_module(session USES base wire
                io)
"""


class Tree(unittest.TestCase):
    def problems(self, files, layers=LAYERS, cmake=CMAKE):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in {"tools/layers.toml": layers, "CMakeLists.txt": cmake, **files}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            (root / "src").mkdir(exist_ok=True)
            return check_layers.check_tree(root)

    def assert_clean(self, files, **more):
        self.assertEqual(self.problems(files, **more), [])

    def assert_one(self, start, files, **more):
        found = self.problems(files, **more)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(start), found[0])


class Includes(Tree):
    def test_a_module_may_include_itself_and_what_it_uses(self):
        self.assert_clean({"src/session/a.cc": '#include "session/a.h"\n#include "wire/b.h"\n#include <vector>\n'})

    def test_a_lower_module_may_not_include_a_higher_one(self):
        self.assert_one("src/wire/a.h:2: layer:", {"src/wire/a.h": '#pragma once\n#include "session/a.h"\n'})

    def test_a_test_obeys_the_same_layers(self):
        self.assert_one("src/wire/a_test.cc:1: layer:", {"src/wire/a_test.cc": '#include "io/a.h"\n'})

    def test_a_written_exception_holds(self):
        self.assert_clean({"src/wire/a.h": '#include "io/a.h"  // HOUSE(layer): one word is shared\n'})
        self.assert_clean({"src/wire/a.h": '// HOUSE(layer): a reason that\n// takes two lines\n#include "io/a.h"\n'})

    def test_an_exception_for_another_rule_does_not_hold(self):
        self.assert_one("src/wire/a.h:1: layer:", {"src/wire/a.h": '#include "io/a.h"  // HOUSE(size): because\n'})

    def test_an_exception_needs_a_reason(self):
        self.assert_one("src/wire/a.h:1: house:", {"src/wire/a.h": '#include "io/a.h"  // HOUSE(layer):\n'})

    def test_an_unknown_module_is_refused(self):
        self.assert_one("src/wire/a.h:1: layer:", {"src/wire/a.h": '#include "util/a.h"\n'})
        self.assert_one("src/util/a.h:1: layer:", {"src/util/a.h": "\n"})

    def test_an_include_starts_at_src(self):
        self.assert_one("src/wire/a.cc:1: layer:", {"src/wire/a.cc": '#include "a.h"\n'})

    def test_test_support_is_for_tests(self):
        self.assert_clean({"src/wire/a_test.cc": '#include "support/a.h"\n'})
        self.assert_one("src/wire/a.cc:1: layer:", {"src/wire/a.cc": '#include "support/a.h"\n'})

    def test_a_commented_include_does_not_count(self):
        self.assert_clean({"src/wire/a.h": '/* once:\n#include "io/a.h"\n*/\n// #include "io/a.h"\n'})

    def test_a_cycle_between_files_is_found(self):
        self.assert_one(
            "src/wire/a.h:1: cycle: src/wire/a.h includes src/wire/b.h includes src/wire/a.h",
            {"src/wire/a.h": '#include "wire/b.h"\n', "src/wire/b.h": '#include "wire/a.h"\n'},
        )


class Rules(Tree):
    def test_no_coroutine_below_the_loop(self):
        self.assert_one("src/wire/a.cc:1: coroutine:", {"src/wire/a.cc": "co_await x;\n"})
        self.assert_clean({"src/io/a.cc": "co_await x;\n", "src/session/a.cc": "co_await x;\n"})

    def test_words_in_comments_and_texts_do_not_count(self):
        self.assert_clean({"src/wire/a.cc": '// no co_await\nf("co_await", \'"\'); /* co_await\nco_await */\n'})
        self.assert_one("src/wire/a.cc:1: coroutine:", {"src/wire/a.cc": "int x = 1'000; co_await y('a');\n"})

    def test_no_system_call_above_the_loop_or_in_a_pure_module(self):
        self.assert_one("src/session/a.cc:1: syscall:", {"src/session/a.cc": "#include <unistd.h>\n"})
        self.assert_one("src/wire/a.cc:1: syscall:", {"src/wire/a.cc": "#include <sys/socket.h>\n"})
        self.assert_clean({"src/io/a.cc": "#include <unistd.h>\n", "src/base/a.cc": "#include <sys/random.h>\n"})

    def test_system_calls_are_allowed_in_writing_and_in_tests(self):
        self.assert_clean(
            {
                "src/session/a.cc": "#include <unistd.h>  // HOUSE(syscall): sd_notify\n",
                "src/session/a_io_test.cc": "#include <unistd.h>\n",
            }
        )

    def test_a_long_source_is_refused_unless_in_writing(self):
        self.assert_clean({"src/wire/a.cc": "\n" * 10})
        self.assert_one("src/wire/a.cc:11: size:", {"src/wire/a.cc": "\n" * 11})
        self.assert_clean({"src/wire/a.cc": "// HOUSE(size): one table\n" + "\n" * 11})


class Tables(Tree):
    def test_a_module_may_not_use_a_later_one(self):
        wrong = LAYERS.replace('name = "base"\nuses = []', 'name = "base"\nuses = ["io"]')
        self.assert_one("tools/layers.toml: table:", {}, layers=wrong)

    def test_cmake_must_agree(self):
        self.assert_one("CMakeLists.txt: layer:", {}, cmake=CMAKE.replace("wire\n", "\n"))
        self.assert_one("CMakeLists.txt: layer:", {}, cmake=CMAKE + "penstock_module(util)\n")
        self.assert_one(
            "CMakeLists.txt: layer:", {}, cmake="penstock_module(io USES base)\npenstock_module(wire USES base)\n"
        )

    def test_cmake_may_lack_modules_that_are_not_there_yet(self):
        self.assert_clean({}, cmake="penstock_module(base)\n")


if __name__ == "__main__":
    unittest.main()
