"""Tests of the harness's own arithmetic: python3 test/bench/harness_test.py"""

import unittest

from harness import measure, report


class Report(unittest.TestCase):
    def test_a_median_leaves_out_what_was_not_measured(self):
        self.assertEqual(report.median([3, None, 1, 2]), 2)
        self.assertIsNone(report.median([None]))

    def test_spread_is_a_share_of_the_median(self):
        self.assertAlmostEqual(report.spread([9, 10, 12]), 0.3)
        self.assertEqual(report.spread([10]), 0)

    def test_a_table_is_as_wide_as_its_widest_cells(self):
        text = report.table(["subject", "µs"], [["a", 1], ["longer name", 22]])
        self.assertEqual(text.splitlines(), ["subject      µs", "-----------  --", "a             1", "longer name  22"])


class Perf(unittest.TestCase):
    def test_counts_are_read_by_event_and_what_was_not_counted_is_left_out(self):
        text = ("1000123456,,duration_time,1000123456,100.00,,\n"
                "42,,raw_syscalls:sys_enter,1,100.00,,\n"
                "<not counted>,,syscalls:sys_enter_read,0,100.00,,\n")
        self.assertEqual(measure.parse_perf(text), {"duration_time": 1000123456.0, "raw_syscalls:sys_enter": 42.0})


if __name__ == "__main__":
    unittest.main()
