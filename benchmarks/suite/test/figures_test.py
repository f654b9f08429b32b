"""What is made of figures: medians, growth, aims, changes."""

import dataclasses
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
    def table(self, times, **ours):
        """Rows of others, at such a pace, and ours with medians of their own."""
        others = [
            made("1_to_1", "boost", [n * times, (n + 1) * times, (n + 2) * times], (n,))
            for n in range(100, 120)
        ]
        mine = [made(question, "coproc", [m - 1, m, m + 1], (64,)) for question, m in ours.items()]
        return Table(others + mine)

    def changed(self, old, new):
        return [(change.new.case.question, change.factor) for change in compare.changes(old, new)]

    def test_changes_beyond_noise_the_slowest_first(self):
        old = self.table(1, alone=100, both=100, relay=100)
        new = self.table(1, alone=80, both=104, relay=120)
        self.assertEqual(self.changed(old, new), [("relay", 1.2), ("alone", 0.8)])

    def test_what_the_others_have_done_too_is_the_machine(self):
        old = self.table(1, alone=100, both=100)
        new = self.table(1.5, alone=150, both=100)
        self.assertEqual(self.changed(old, new), [("both", 1)])
        self.assertAlmostEqual(compare.pace(old, new).factor, 1.5)

    def test_where_others_are_all_over_the_place_so_may_we_be(self):
        old = self.table(1, alone=100, both=100)
        spread = [
            dataclasses.replace(row, values=tuple(v * (0.8 + 0.02 * i) for v in row.values))
            for i, row in enumerate(old.rows)
            if not row.case.is_ours
        ]
        new = Table(spread + [made("alone", "coproc", [120]), made("both", "coproc", [499, 500])])
        self.assertEqual(self.changed(old, new), [("both", 4.995)])

    def test_the_floor_in_the_same_place_is_told(self):
        old = Table([made("alone", "coproc", [9, 10, 11]), made("alone", "bare", [1, 1, 1])])
        new = Table([made("alone", "coproc", [19, 20, 21]), made("alone", "bare", [1, 1, 1])])
        (change,) = compare.changes(old, new)
        self.assertEqual((change.factor, change.floor), (2, 1))

    def test_rows_that_are_gone_and_other_machines(self):
        old = Table([made("alone", "coproc", [1]), made("alone", "bare", [1])])
        new = Table([made("alone", "coproc", [1])])
        self.assertEqual([row.case.contender for row in compare.gone(old, new)], ["bare"])
        self.assertEqual(compare.differences({"cpu": "a"}, {"cpu": "b"}), ["cpu"])
