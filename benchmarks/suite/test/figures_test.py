"""What is made of figures: medians, growth, aims, changes."""

import unittest

from .. import aims, compare, figures, growth, report
from ..figures import Table
from .recorded import made, recorded_rows


class Figures(unittest.TestCase):
    def test_median_and_quartiles(self):
        row = made("1_to_1", "coproc", [4, 1, 2, 3, 100])
        self.assertEqual((row.median, row.quartiles), (3, (2, 4)))
        self.assertAlmostEqual(row.spread, 1 / 3)

    def test_one_run_has_no_spread_and_is_apart_from_nothing(self):
        one, other = made("1_to_1", "coproc", [1]), made("1_to_1", "bare", [9, 9, 9])
        self.assertIsNone(one.spread)
        self.assertFalse(one.is_apart_from(other))

    def test_losses_are_those_beyond_the_spread_the_worst_first(self):
        table = Table(
            [
                made("1_to_1", "coproc", [10, 11, 12]),
                made("1_to_1", "boost", [9, 11, 10]),
                made("4_to_1", "coproc", [10, 11, 12]),
                made("4_to_1", "boost", [5, 5, 5]),
                made("4_to_4", "coproc", [10, 11, 12]),
                made("4_to_4", "bare", [1, 1, 1]),
                made("4_to_4", "zeromq", [2, 2, 2]),
                made("asleep", "coproc", [10]),
                made("asleep", "boost", [9, 9, 9]),
            ]
        )
        found = [(mine.case.question, peer.case.contender) for mine, peer in figures.losses(table)]
        self.assertEqual(found, [("4_to_4", "zeromq"), ("4_to_1", "boost"), ("asleep", "boost")])

    def test_figures_are_written_with_three_digits(self):
        written = [figures.written(value) for value in (0.5, 9.999, 153.2, 1500, 999_960, 2.5e9)]
        self.assertEqual(written, ["0.5 ns", "10 ns", "153 ns", "1.5 µs", "1 ms", "2.5 s"])
        self.assertEqual(figures.written(3 << 20, "B"), "3 MiB")


class Growth(unittest.TestCase):
    def kind(self, points):
        return growth.fitted(points).kind

    def test_flat_logarithmic_linear(self):
        xs = [1, 10, 100, 1000]
        self.assertEqual(self.kind([(x, y) for x, y in zip(xs, [10, 11, 10.5, 11])]), "flat")
        self.assertEqual(self.kind([(1, 5), (10, 8.4), (100, 11.7), (1000, 15)]), "logarithmic")
        self.assertEqual(self.kind([(x, 5 + 2 * x) for x in xs]), "linear")
        self.assertEqual(self.kind([(0, 5), (10, 5.5), (10_000, 505)]), "linear")

    def test_rise_and_error_of_the_fit(self):
        found = growth.fitted([(0, 10), (5, 20), (10, 30)])
        self.assertAlmostEqual(found.rise, 3)
        self.assertAlmostEqual(found.error, 0)

    def test_two_points_tell_only_that_it_grows(self):
        self.assertEqual(self.kind([(0, 10), (10, 20)]), "grows")
        self.assertEqual(self.kind([(0, 10), (10, 12)]), "flat")
        self.assertEqual(self.kind([(0, 20), (10, 10)]), "falls")

    def test_what_rises_less_than_it_is_spread_is_unclear(self):
        rows = {1: made("1_to_1", "coproc", [5, 10, 30]), 9: made("1_to_1", "coproc", [8, 15, 20])}
        self.assertEqual(growth.growth_of(rows).kind, "unclear")

    def test_recorded_starts_are_flat_and_forks_are_not(self):
        found = {contender: each for _, contender, each in report.grown(Table(recorded_rows()))}
        self.assertTrue(found["coproc"].is_flat)
        self.assertEqual(found["py_fork"].kind, "linear")

    def test_what_is_meant_to_be_flat_and_is_not_is_found(self):
        rows = [
            made("start_join", "coproc", [y], (x, 0), "process_bench")
            for x, y in ((10, 1), (500, 2), (2000, 5))
        ]
        found = [contender for _, contender, _ in report.broken_flatness(Table(rows))]
        self.assertEqual(found, ["coproc"])


class Aims(unittest.TestCase):
    def judged(self, rows, **aim):
        place = {"program": "queue_bench", "question": "1_to_1", "args": (64,)}
        return aims.judged(aims.Aim("", "", **(place | aim)), Table(rows))

    def test_ratios_in_both_directions(self):
        rows = [
            made("1_to_1", "coproc", [2]),
            made("1_to_1", "bare", [1]),
            made("1_to_1", "boost", [8]),
        ]
        verdict = self.judged(rows, to="bare", at_most=1.5)
        self.assertEqual((verdict.measured, verdict.met), (2, False))
        verdict = self.judged(rows, to=aims.BEST_PEER, at_least=3)
        self.assertEqual((verdict.measured, verdict.met, verdict.to), (4, True, "boost"))

    def test_the_same_in_another_place(self):
        rows = [made("1_to_1", "coproc", [3]), made("1_to_1", "coproc", [2], (0,))]
        self.assertTrue(self.judged(rows, to_args=(0,), at_most=1.5).met)

    def test_a_figure(self):
        self.assertFalse(self.judged([made("1_to_1", "coproc", [3])], at_most=2).met)

    def test_what_is_not_there_is_not_measured(self):
        self.assertIsNone(self.judged([], to="bare", at_most=1).met)
        self.assertIsNone(self.judged([made("1_to_1", "coproc", [1])], to="bare", at_most=1).met)

    def test_each_aim_has_one_limit(self):
        for aim in aims.AIMS:
            self.assertNotEqual(aim.at_most is None, aim.at_least is None, aim.text)


class Changes(unittest.TestCase):
    def test_changes_beyond_noise(self):
        old = Table(
            [
                made("1_to_1", "coproc", [100, 101, 102]),
                made("1_to_1", "bare", [100, 101, 102]),
                made("1_to_1", "boost", [100, 140, 180]),
                made("1_to_1", "zeromq", [1, 2, 3]),
            ]
        )
        new = Table(
            [
                made("1_to_1", "coproc", [120, 121, 122]),
                made("1_to_1", "bare", [103, 104, 105]),
                made("1_to_1", "boost", [140, 170, 190]),
            ]
        )
        (change,) = compare.changes(old, new)
        self.assertEqual(change.new.case.contender, "coproc")
        self.assertAlmostEqual(change.factor, 121 / 101)
        self.assertAlmostEqual(change.floor, 104 / 101)
        self.assertEqual([row.case.contender for row in compare.gone(old, new)], ["zeromq"])

    def test_what_is_not_the_same_machine_is_said(self):
        self.assertEqual(compare.differences({"cpu": "a"}, {"cpu": "b"}), ["cpu"])
        self.assertEqual(compare.pace({"fastest": 2}, {"fastest": 3}), 1.5)
        self.assertIsNone(compare.pace({}, {"fastest": 3}))
