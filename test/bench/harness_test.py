"""Tests of the harness's own arithmetic: python3 test/bench/harness_test.py"""

import base64
import contextlib
import importlib
import io
import unittest

import bench
import checkout
import idle
from harness import document, measure, report, secrets, swarm
from harness.lab import Cores


class Report(unittest.TestCase):
    def test_a_median_leaves_out_what_was_not_measured(self):
        self.assertEqual(report.median([3, None, 1, 2]), 2)
        self.assertIsNone(report.median([None]))

    def test_spread_is_a_share_of_the_median(self):
        self.assertAlmostEqual(report.spread([9, 10, 12]), 0.3)
        self.assertEqual(report.spread([10]), 0)

    def test_a_table_is_as_wide_as_its_widest_cells(self):
        text = report.table(["subject", "µs"], [["a", 1], ["longer name", 22]])
        self.assertEqual(text.splitlines(), ["| subject     |  µs |", "| ----------- | --: |", "| a           |   1 |",
                                             "| longer name |  22 |"])

    def test_a_target_that_was_not_measured_says_nothing(self):
        section = report.Section("query", "Query", Cores("", ""))
        section.target("speed", None, 1.0)
        section.target("cost", 1.2, 1.05)
        section.target("scale", 1.9, 1.8, at_least=True)
        self.assertEqual([(t["what"], t["met"]) for t in section.targets], [("cost", False), ("scale", True)])


class Document(unittest.TestCase):
    def test_a_section_replaces_only_its_own_and_keeps_the_order(self):
        text = document.with_section("", "login", "## Login\n\nold")
        text = document.with_section(text, "query", "## Query\n\nfigures")
        text = document.with_section(text, "login", "## Login\n\nnew")
        self.assertEqual(document.sections(text), {"query": "## Query\n\nfigures", "login": "## Login\n\nnew"})
        self.assertLess(text.index("## Query"), text.index("## Login"))
        self.assertTrue(text.startswith("# Benchmarks"))


class Secrets(unittest.TestCase):
    def test_a_verifier_is_the_one_that_postgres_would_store(self):
        # CREATE ROLE … PASSWORD 'pencil' with the salt of RFC 7677's example; keys by its formulas.
        verifier = secrets.scram_verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
        self.assertEqual(verifier, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                                   "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")


class Swarm(unittest.TestCase):
    def test_parts_are_nearly_equal_and_none_is_too_large(self):
        self.assertEqual(swarm.split(10, 4), [4, 3, 3])
        self.assertEqual(sum(swarm.split(250_000, 18_000)), 250_000)

    def test_results_of_many_loaders_become_one(self):
        one = {"clients": 2, "queries": 10, "qps": 5.0, "overdue": 0, "unanswered": 0, "violations": 0, "errors": {"57P01": 1},
               "seconds": 2.0, "first_violations": [], "histogram_ns": [[1000, 9], [5000, 1]]}
        other = {**one, "errors": {"57P01": 2}, "histogram_ns": [[1000, 9], [9000, 1]]}
        merged = swarm.merge([one, other])
        self.assertEqual((merged["clients"], merged["qps"], merged["errors"]), (4, 10.0, {"57P01": 3}))
        self.assertEqual(merged["latency_us"], {"p50": 1.0, "p99": 9.0, "p99.9": 9.0})


class Benchmarks(unittest.TestCase):
    def test_each_can_say_what_it_takes(self):
        for name, (module, _) in bench.BENCHMARKS.items():
            with self.subTest(name), contextlib.redirect_stdout(io.StringIO()), self.assertRaises(SystemExit) as ended:
                importlib.import_module(module).main(["--help"])
            self.assertEqual(ended.exception.code, 0)

    def test_repetitions_of_the_micro_benchmark_become_one_line(self):
        runs = [{"run_type": "iteration", "name": "check_out/1/4/real_time/threads:2", "threads": 2, "cpu_time": cpu,
                 "items_per_second": 1e9 / cpu, "iterations": 100} for cpu in (10, 30, 20)]
        rows = checkout.summary([*runs, {"run_type": "aggregate", "name": "check_out_mean"}])
        self.assertEqual([(row["name"], row["threads"], row["cpu_ns"]) for row in rows], [("check_out", 2, 20)])

    def test_what_stays_after_all_have_left_is_a_share_of_the_most(self):
        row = {name: {"rss": rss} for name, rss in {"before": 100, "idle": 500, "after_queries": 600, "left": 150}.items()}
        self.assertAlmostEqual(idle.kept(row), 0.1)


class Perf(unittest.TestCase):
    def test_counts_are_read_by_event_and_what_was_not_counted_is_left_out(self):
        text = ("1000123456,,duration_time,1000123456,100.00,,\n"
                "42,,raw_syscalls:sys_enter,1,100.00,,\n"
                "<not counted>,,syscalls:sys_enter_read,0,100.00,,\n")
        self.assertEqual(measure.parse_perf(text), {"duration_time": 1000123456.0, "raw_syscalls:sys_enter": 42.0})


if __name__ == "__main__":
    unittest.main()
