"""Names of cases, and what programs say."""

import os
import shutil
import tempfile
import unittest

from .. import cases, runs
from .recorded import HERE, START, made, recorded


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
        some = [
            made("1_to_1", c, [1]).case
            for c in ("bare", "coproc", "coproc_batch", "boost", "py_Queue")
        ]
        chosen = [case.contender for case in cases.of_peers(some, ["python"])]
        self.assertEqual(chosen, ["bare", "coproc", "coproc_batch", "py_Queue"])
        self.assertEqual(len(cases.of_peers(some, ["none"])), 3)
        self.assertEqual(len(cases.of_peers(some, ["py_Queue", "boost"])), 5)
        with self.assertRaisesRegex(
            ValueError, "no peer zeromq; there are: boost, py, py_Queue, python"
        ):
            cases.of_peers(some, ["zeromq"])

    def test_only_a_question_or_a_program(self):
        some = [
            made("1_to_1", "bare", [1]).case,
            made("asleep", "bare", [1], program="trip_bench").case,
        ]
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
        shutil.copy(os.path.join(HERE, "one_way.json"), program + ".json")  # of an older run
        case = cases.parse("pipe_bench", "one_way/coproc/64/real_time")
        found = runs.run([case], program, program + ".json")
        self.assertEqual(found.values, {})
        self.assertEqual(found.errors, ["pipe_bench one_way: ended by SIGKILL: lost"])

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
