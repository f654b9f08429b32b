"""What benchmarks/run makes of figures, tried on runs that have been recorded beside this file.

python3 -m unittest suite.test.suite_test, in benchmarks/
"""

import importlib.util
import io
import os
import tempfile
import unittest

from .. import aims, cases, compare, figures, growth, markdown, noise, report, rounds, runs, terminal
from ..cases import Case
from ..figures import Figure, Table
from ..progress import Progress

HERE = os.path.dirname(__file__)
START = [
    f"start_join/{contender}"
    for contender in (
        "bare/10/0/real_time",
        "bare/500/0/real_time",
        "bare/2000/0/real_time",
        "coproc/10/0/real_time",
        "coproc/500/0/real_time",
        "coproc/2000/0/real_time",
        "py_fork/10/0/iterations:1/manual_time",
        "py_fork/500/0/iterations:1/manual_time",
        "py_fork/2000/0/iterations:1/manual_time",
    )
]


def recorded(program, file, names):
    return runs.read(os.path.join(HERE, file), [cases.parse(program, name) for name in names])


def recorded_rows():
    """Three rounds; the third is without the dearest case."""
    values = {}
    for number in (1, 2, 3):
        for case, (unit, value) in recorded("process_bench", f"start_join-{number}.json", START)[0].items():
            values.setdefault((case, unit), []).append(value)
    return [Figure(case, unit, tuple(some)) for (case, unit), some in values.items()]


def made(question, contender, values, args=(64,), program="queue_bench"):
    name = "/".join([question, contender, *map(str, args)])
    return Figure(Case(program, name, question, contender, tuple(args)), "ns", tuple(values))


def report_of(rows, **more):
    quiet = {"half": 1.0, "tenth": 1.0, "others": 0.0, "stolen": 0.0, "load_before": 0, "load_after": 0}
    return report.Report("2026-01-01", "benchmarks/run", {"commit": "abc"}, quiet, rows, **more)


class Names(unittest.TestCase):
    def test_a_name_is_question_contender_and_arguments(self):
        case = cases.parse("queue_bench", "1_to_1/py_Queue/64/iterations:1/manual_time")
        self.assertEqual(case.key, ("queue_bench", "1_to_1", "py_Queue", (64,)))
        self.assertEqual(case.filter, "^1_to_1/py_Queue/64/")
        self.assertEqual(case.short, "1_to_1/py_Queue/64")
        self.assertEqual(cases.parse("engine_bench", "yield/bare").filter, "^yield/bare$")
        self.assertEqual(cases.parse("x", "call/go/waiters:4/real_time").args, (4,))

    def test_other_names_are_no_cases(self):
        self.assertIsNone(cases.parse("x", "call/go/many"))

    def test_peers_are_chosen_by_name_or_family_and_ours_and_the_floor_stay(self):
        some = [made("1_to_1", c, [1]).case for c in ("bare", "coproc", "coproc_batch", "boost", "py_Queue")]
        chosen = [case.contender for case in cases.of_peers(some, ["python"])]
        self.assertEqual(chosen, ["bare", "coproc", "coproc_batch", "py_Queue"])
        self.assertEqual(len(cases.of_peers(some, ["none"])), 3)
        self.assertEqual(len(cases.of_peers(some, ["py_Queue", "boost"])), 5)
        with self.assertRaisesRegex(ValueError, "no peer zeromq; there are: boost, py, py_Queue, python"):
            cases.of_peers(some, ["zeromq"])

    def test_only_a_question_or_a_program(self):
        some = [made("1_to_1", "bare", [1]).case, made("asleep", "bare", [1], program="trip_bench").case]
        self.assertEqual(cases.only(some, ["asleep"]), some[1:])
        self.assertEqual(cases.only(some, ["queue"]), some[:1])
        with self.assertRaisesRegex(ValueError, "nothing is named lock"):
            cases.only(some, ["lock"])


class Recorded(unittest.TestCase):
    def test_times_are_in_nanoseconds(self):
        values, errors = recorded("process_bench", "start_join-1.json", START)
        self.assertEqual(errors, [])
        case = cases.parse("process_bench", START[3])
        self.assertEqual(values[case][0], "ns")
        self.assertTrue(1e5 < values[case][1] < 1e7)

    def test_the_time_of_an_item_where_a_turn_has_many(self):
        case = cases.parse("pipe_bench", "one_way/coproc/64/real_time")
        values, _ = recorded("pipe_bench", "one_way.json", [case.name])
        self.assertTrue(100 < values[case][1] < 10_000)

    def test_a_wrong_result_is_an_error(self):
        names = [f"alone/{c}/1/iterations:1/manual_time" for c in ("bare", "coproc", "py_Lock")]
        values, errors = recorded("lock_bench", "failed.json", names)
        self.assertEqual(len(values), 2)
        self.assertEqual(errors, [f"lock_bench {names[2]}: Python failed"])

    def test_a_case_that_is_not_there_is_an_error(self):
        _, errors = recorded("pipe_bench", "one_way.json", ["one_way/coproc/1/real_time"])
        self.assertEqual(errors, ["pipe_bench: no figure of one_way/coproc/1/real_time"])

    def test_a_program_that_is_killed_is_an_error(self):
        program = self._program("echo lost >&2; kill -9 $$")
        found = runs.run([made("1_to_1", "bare", [1]).case], program, program + ".json")
        self.assertEqual(found.errors, ["queue_bench 1_to_1: ended by SIGKILL: lost"])

    def test_a_program_that_fails_although_its_figures_are_there_is_an_error(self):
        source = os.path.join(HERE, "one_way.json")
        program = self._program(f"cp {source} $0.json; exit 3")
        case = cases.parse("pipe_bench", "one_way/coproc/64/real_time")
        found = runs.run([case], program, program + ".json")
        self.assertEqual(found.errors, ["pipe_bench one_way: exit code 3: "])

    def _program(self, text):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "bench")
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)
        return path


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
        rows = [made("1_to_1", "coproc", [2]), made("1_to_1", "bare", [1]), made("1_to_1", "boost", [8])]
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
        self.assertEqual([row.case.contender for row in compare.gone(old, new)], ["zeromq"])

    def test_what_is_not_the_same_machine_is_said(self):
        self.assertEqual(compare.differences({"cpu": "a"}, {"cpu": "b"}), ["cpu"])


class Effort(unittest.TestCase):
    def test_dear_cases_get_fewer_rounds(self):
        cheap, dear = made("1_to_1", "bare", [1]).case, made("1_to_1", "py", [1]).case
        self.assertEqual(rounds.shares({cheap: 1, dear: 10}, 9, 30), {cheap: 9, dear: 3})
        self.assertEqual(rounds.shares({cheap: 1, dear: 10}, 9, 0), {cheap: 1, dear: 1})

    def test_the_quick_effort_does_without_the_dearest(self):
        names = ["spawn_join/bare/2000/0/real_time", "1_to_1/py_JoinableQueue/64/manual_time",
                 "spawn_join/bare/500/0/real_time", "1_to_1/py_Queue/64/manual_time"]
        wanted = [rounds.QUICK.wants(cases.parse("x", name)) for name in names]
        self.assertEqual(wanted, [False, False, True, True])
        self.assertTrue(rounds.FULL.wants(cases.parse("x", names[0])))

    def test_noise_is_said_with_its_figures(self):
        quiet = {"half": 1.01, "tenth": 1.1, "others": 0.02, "stolen": 0.0}
        self.assertEqual(noise.warnings(quiet), [])
        self.assertEqual(len(noise.warnings(quiet | {"half": 1.5, "others": 0.5})), 2)

    def test_noise_is_sampled(self):
        listening = noise.Noise()
        listening.sample()
        self.assertGreaterEqual(listening.found()["half"], 1)

    def test_progress_is_a_line_for_each_step_where_nobody_looks(self):
        out = io.StringIO()
        progress = Progress(3, 100, out)
        progress.begin(1, "queue_bench", "1_to_1", [None] * 4)
        progress.step()
        progress.end(75)
        self.assertIn("round 1/3  queue_bench 1_to_1", out.getvalue())
        self.assertIn("1/4  cases   at most 1:15 left\n", out.getvalue())


class Reports(unittest.TestCase):
    def test_json_comes_back_as_it_was(self):
        mine = report_of(recorded_rows())
        again = report.from_json(report.to_json(mine))
        self.assertEqual(again.table.rows, mine.table.rows)
        self.assertEqual(compare.changes(mine.table, again.table), [])

    def test_markdown_has_figures_aims_growth_and_commands(self):
        text = markdown.to_markdown(report_of(recorded_rows()))
        self.assertIn("build/release/benchmarks/process_bench '--benchmark_filter=^start_join/coproc/10/0/'", text)
        self.assertRegex(text, r"start and join, to a bare fork server \| ≤ 1.3 times the cost \| \d\.\d\d \|")
        self.assertRegex(text, r"parent, 10 MB – 2 GB \| coproc \| flat, × \d\.\d\d \| as meant")
        self.assertRegex(text, r"\| parent 500 MB, open fds 0 \| coproc \| \d+ µs \|")

    def test_what_went_wrong_is_there(self):
        trouble = {"errors": ["lock_bench: lost"], "skipped": ["node: cannot be installed"]}
        for text in (f(report_of([], **trouble)) for f in (markdown.to_markdown, terminal.to_text)):
            self.assertIn("lock_bench: lost", text)
            self.assertIn("node: cannot be installed", text)

    def test_a_comparison_is_there(self):
        slower = [Figure(row.case, row.unit, tuple(2 * v for v in row.values)) for row in recorded_rows()]
        text = markdown.to_markdown(report_of(slower, old=report_of(recorded_rows())))
        self.assertRegex(text, r"\| start_join \| parent 10 MB, open fds 0 \| bare \| .* µs \| .* ms \| 2.00 \|")
        self.assertIn("Nothing has changed", terminal.to_text(report_of(slower, old=report_of(slower))))

    @unittest.skipUnless(importlib.util.find_spec("matplotlib"), "matplotlib is not there")
    def test_the_same_figures_make_the_same_chart(self):
        from .. import charts

        drawn = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as directory:
                found = charts.draw(Table(recorded_rows()), directory)
                (name,) = found["process_bench", "start_join"]
                with open(os.path.join(directory, name), encoding="utf-8") as file:
                    drawn.append(file.read())
        self.assertEqual(drawn[0], drawn[1])
        self.assertIn("10 MB", drawn[0])


if __name__ == "__main__":
    unittest.main()
