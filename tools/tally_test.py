#!/usr/bin/env python3
"""Tests of tally.py on the dialects of JUnit that our test programs write."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tally

GTEST = """<testsuites><testsuite name="A">
  <testcase name="Works" status="run" result="completed" classname="A"/>
  <testcase name="Breaks" status="run" result="completed" classname="A"><failure message="x"/></testcase>
  <testcase name="Skips" status="run" result="skipped" classname="A"><skipped message="x"/></testcase>
  <testcase name="DISABLED_Off" status="notrun" result="suppressed" classname="A"/>
</testsuite></testsuites>"""
PYTEST = """<testsuites><testsuite name="pytest">
  <testcase classname="test_a" name="test_b"/><testcase classname="test_a" name="test_c"><error message="x"/></testcase>
  <testcase classname="test_a" name="test_d"><skipped message="x"/></testcase>
</testsuite></testsuites>"""
PASSING = '<testsuites><testsuite name="A"><testcase name="W" status="run" result="completed"/></testsuite></testsuites>'
CTEST = '<testsuite><testcase name="base" status="{}"/></testsuite>'


class Tally(unittest.TestCase):
    def tally(self, files):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
            for name, text in files.items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_text(text)
            status = tally.main(Path(folder))
        return out.getvalue().splitlines()[-1], status

    def test_all_dialects_are_added_up(self):
        files = {"unit/base_test.xml": GTEST, "e2e/pytest.xml": PYTEST}
        self.assertEqual(self.tally(files), ("2 passed, 2 failed, 3 skipped", 1))

    def test_success_is_a_zero(self):
        self.assertEqual(self.tally({"unit/base_test.xml": PASSING}), ("1 passed, 0 failed", 0))

    def test_a_program_with_a_report_is_not_counted_again(self):
        files = {"unit/base_test.xml": PASSING, "unit/ctest.xml": CTEST.format("run")}
        self.assertEqual(self.tally(files), ("1 passed, 0 failed", 0))

    def test_a_program_that_died_without_a_report_is_a_failure(self):
        self.assertEqual(self.tally({"unit/ctest.xml": CTEST.format("fail")}), ("0 passed, 1 failed", 1))

    def test_a_program_that_was_not_built_is_a_failure(self):
        case = '<testsuite><testcase name="a" status="notrun"><skipped message="{}"/></testcase></testsuite>'
        missing = case.format("Unable to find executable")
        self.assertEqual(self.tally({"unit/ctest.xml": missing}), ("0 passed, 1 failed", 1))
        self.assertEqual(self.tally({"unit/ctest.xml": case.format("")}), ("0 passed, 0 failed, 1 skipped", 1))

    def test_a_program_that_failed_after_its_tests_is_a_failure(self):
        files = {"unit/base_test.xml": PASSING, "unit/ctest.xml": CTEST.format("fail")}
        self.assertEqual(self.tally(files), ("1 passed, 1 failed", 1))

    def test_a_broken_report_is_a_failure(self):
        self.assertEqual(self.tally({"unit/base_test.xml": "<testsuites>"}), ("0 passed, 1 failed", 1))

    def test_nothing_run_is_not_success(self):
        self.assertEqual(self.tally({"unit/base_test.xml": "<testsuites/>"}), ("0 passed, 0 failed", 1))


if __name__ == "__main__":
    unittest.main()
