"""How it is measured, and what is written."""

import importlib.util
import io
import json
import os
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree

from .. import cases, compare, growth, markdown, noise, report, rounds, summary, terminal
from ..figures import Figure, Table
from ..progress import Progress
from .recorded import made, recorded_rows, report_of

FIGURES = pathlib.Path(__file__).parents[2] / "figures"
needs_matplotlib = unittest.skipUnless(
    importlib.util.find_spec("matplotlib"), "matplotlib is not there"
)


class Effort(unittest.TestCase):
    def test_dear_cases_get_fewer_rounds(self):
        cheap, dear = made("1_to_1", "bare", [1]).case, made("1_to_1", "py", [1]).case
        self.assertEqual(rounds.shares({cheap: 1, dear: 10}, 9, 30), {cheap: 9, dear: 3})
        self.assertEqual(rounds.shares({cheap: 1, dear: 10}, 9, 0), {cheap: 1, dear: 1})

    def test_the_quick_effort_does_without_the_dearest(self):
        names = [
            "spawn_join/bare/2000/0/real_time",
            "1_to_1/py_JoinableQueue/64/manual_time",
            "spawn_join/bare/500/0/real_time",
            "1_to_1/py_Queue/64/manual_time",
        ]
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
        progress.begin(1, "queue_bench", "1_to_1", [None] * 4, 90)
        progress.step()
        progress.end(75)
        self.assertIn("round 1/3  queue_bench 1_to_1", out.getvalue())
        self.assertIn("1/4  cases   at most 1:15 left\n", out.getvalue())


class Readme(unittest.TestCase):
    def test_its_table_is_the_recorded_report_in_short(self):
        recorded = (FIGURES / "report.json").read_text(encoding="utf-8")
        lines = list(summary.rows(report.from_json(recorded).table))
        self.assertEqual(len(lines), sum(len(places) for *_, places in summary.PLACES))
        readme = (FIGURES.parents[1] / "README.md").read_text(encoding="utf-8")
        self.assertIn(f"\n{markdown.summary_table(lines)}\n", readme)


class Reports(unittest.TestCase):
    def test_json_comes_back_as_it_was(self):
        mine = report_of(recorded_rows())
        again = report.from_json(report.to_json(mine))
        self.assertEqual(again.table.rows, mine.table.rows)
        self.assertEqual(compare.changes(mine.table, again.table), [])

    def test_markdown_has_figures_aims_growth_and_commands(self):
        text = markdown.to_markdown(report_of(recorded_rows()))
        self.assertIn(
            "build/release/benchmarks/process_bench '--benchmark_filter=^start_join/coproc/10/0/'",
            text,
        )
        self.assertRegex(
            text, r"to a bare fork server, 10 MB parent \| ≤ 1.3 times the cost \| \d\.\d\d \|"
        )
        self.assertRegex(text, r"parent, 10 MB – 2 GB \| coproc \| flat, × \d\.\d\d \| as meant")
        self.assertRegex(text, r"\| parent 500 MB, open fds 0 \| coproc \| \d+ µs \|")

    def test_what_went_wrong_is_there(self):
        trouble = {"errors": ["lock_bench: lost"], "skipped": ["node: cannot be installed"]}
        for text in (f(report_of([], **trouble)) for f in (markdown.to_markdown, terminal.to_text)):
            self.assertIn("lock_bench: lost", text)
            self.assertIn("node: cannot be installed", text)

    def test_a_comparison_is_there(self):
        slower = [
            Figure(row.case, row.unit, tuple(2 * v for v in row.values)) for row in recorded_rows()
        ]
        text = markdown.to_markdown(report_of(slower, old=report_of(recorded_rows())))
        self.assertRegex(
            text,
            r"open fds 0 \| bare \| .* µs \| .* ms \| 2.00 \| 2.00 \|",
        )
        self.assertIn(
            "Nothing has changed", terminal.to_text(report_of(slower, old=report_of(slower)))
        )

    @needs_matplotlib
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


class Committed(unittest.TestCase):
    """The figures that benchmarks/README.md shows."""

    def setUp(self):
        with open(os.path.join(FIGURES, "report.json"), encoding="utf-8") as file:
            self.text = file.read()
        self.table = report.from_json(self.text).table

    def test_the_growth_that_they_tell_of_is_that_of_their_rows(self):
        def judged(entry):
            return entry["question"], entry["argument"], entry["contender"], entry["kind"]

        told = json.loads(self.text)["growth"]
        again = json.loads(report.to_json(report_of(self.table.rows)))["growth"]
        self.assertGreater(len(told), 50)
        self.assertEqual([judged(each) for each in again], [judged(each) for each in told])

    @needs_matplotlib
    def test_their_charts_are_whole_and_name_everybody(self):
        from .. import charts

        with tempfile.TemporaryDirectory() as directory:
            drawn = charts.draw(self.table, directory)
            overview = charts.draw_overview(self.table, directory)
            names = sorted([overview, *(name for some in drawn.values() for name in some)])
            committed = [name for name in os.listdir(FIGURES) if name.endswith(".svg")]
            self.assertEqual(names, sorted(committed))
            sweeps = growth.sweeps(self.table)
            self.assertEqual(len(sweeps), len(names) - 1)
            for sweep in sweeps:
                words = self._words(os.path.join(directory, charts.name_of(sweep)))
                self.assertLessEqual(set(sweep.rows), words, sweep)
            words = self._words(os.path.join(directory, overview))
            self.assertLessEqual({"bare", "python", "boost", "go", "node"}, words)

    def _words(self, path):
        """All texts of a chart."""
        root = xml.etree.ElementTree.parse(path).getroot()
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        return {"".join(each.itertext()).strip() for each in root.iter(root.tag[:-3] + "text")}
