"""Counts of instructions, and tables of them."""

import contextlib
import io
import os
import tempfile
import unittest
from unittest import mock

from .. import instructions

VALGRIND = """#!/bin/sh
for word; do case $word in --callgrind-out-file=*) output=${word#*=} ;; esac; done
while [ $# -gt 3 ]; do shift; done
"$@" && echo "totals: $((1000000 + ${COPROC_TEST_COST:-7} * $3))" >$output
"""
PATHS = """#!/bin/sh
[ "$1" = broken ] && { echo wrong >&2; exit 3; }
[ $# -gt 0 ] || echo $COPROC_TEST_PATHS
"""


def table(**more):
    return {
        "compiler": "GCC 12.2.0",
        "build": "Release -O2",
        "machine": "x86_64",
        "packages": {"libc6": "2.36"},
        "instructions": {"lock": 1000.0, "yield": 100.0},
    } | more


def with_counts(**counts):
    return table(instructions={"lock": 1000.0, "yield": 100.0} | counts)


class Comparing(unittest.TestCase):
    def test_three_percent_in_either_direction_are_no_failure_and_more_is_one(self):
        for count, is_off in ((1030.0, False), (970.0, False), (1031.0, True), (969.0, True)):
            _, failed = instructions.compared([table()], with_counts(lock=count))
            self.assertEqual(failed, is_off, count)

    def test_what_has_changed_is_marked(self):
        lines, _ = instructions.compared([table()], with_counts(lock=1100.0))
        self.assertEqual([line for line in lines if line.endswith("*")], [lines[1]])
        self.assertEqual(lines[1].split(), ["lock", "1000.0", "1100.0", "+10.0", "%", "*"])

    def test_a_path_that_only_one_of_them_has_is_a_failure(self):
        new = with_counts(event=1.0)
        self.assertTrue(instructions.compared([table()], new)[1])
        self.assertTrue(instructions.compared([new], table())[1])

    def test_where_anything_else_is_not_the_same_it_is_only_told(self):
        for other in (
            {"compiler": "GCC 13.1.0"},
            {"build": "Release -O3"},
            {"machine": "aarch64"},
            {"packages": {"libc6": "2.37"}},
            {"packages": {}},
        ):
            new = with_counts(lock=2000.0) | other
            lines, failed = instructions.compared([table()], new)
            self.assertFalse(failed, other)
            self.assertRegex("\n".join(lines), rf"only told.*\n  {[*other][0]}: ")

    def test_a_package_that_is_not_the_same_is_named(self):
        lines, _ = instructions.compared([table()], table(packages={"libc6": "2.37"}))
        self.assertEqual(lines[-1], "  packages: libc6 2.36; here 2.37")

    def test_without_any_table_it_is_only_told(self):
        lines, failed = instructions.compared([], table())
        self.assertFalse(failed)
        self.assertIn("1000.0", lines[1])

    def test_the_table_of_the_same_compiler_is_the_one_to_compare_with(self):
        clang = table(compiler="clang 19.1.7")
        older = table(packages={"libc6": "2.31"}, machine="i686")
        for tables in ([clang, older], [older, clang]):
            self.assertIs(instructions.nearest(tables, table()), older)
            self.assertIs(instructions.nearest(tables, clang), clang)

    def test_an_update_replaces_the_table_of_its_compiler_alone(self):
        clang = table(compiler="clang 19.1.7")
        new = table(packages={"libc6": "2.37"})
        self.assertEqual(instructions.updated([table(), clang], new), [new, clang])
        self.assertEqual(instructions.updated([clang], new), [clang, new])

    def test_compilers_by_name_and_version(self):
        said = {
            "c++ (Debian 12.2.0-14+deb12u1) 12.2.0": "GCC 12.2.0",
            "g++ (Ubuntu 13.3.0-6ubuntu2~24.04) 13.3.0": "GCC 13.3.0",
            "g++ (crosstool-NG 1.25.0) 12.2.0": "GCC 12.2.0",
            "Debian clang version 19.1.7 (3~deb12u1)": "clang 19.1.7",
            "something else": "something else",
        }
        self.assertEqual({line: instructions.compiler(line) for line in said}, said)


class Counting(unittest.TestCase):
    """With a valgrind that says 7 for each time, and a million for what is done once."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self._tables = os.path.join(directory.name, "tables.json")
        self._build = os.path.join(directory.name, "build")
        os.makedirs(os.path.join(self._build, "benchmarks"))
        for place, text in (("valgrind", VALGRIND), ("build/benchmarks/paths", PATHS)):
            path = os.path.join(directory.name, place)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o755)
        self._environment(
            PATH=f"{directory.name}:{os.environ['PATH']}", COPROC_TEST_PATHS="one two"
        )

    def test_what_is_done_once_does_not_count(self):
        found = instructions.counted(self._build)["instructions"]
        self.assertEqual(found, {"one": 7.0, "two": 7.0})

    def test_a_path_that_fails_is_an_error(self):
        self._environment(COPROC_TEST_PATHS="one broken")
        with self.assertRaisesRegex(RuntimeError, "broken: exit code 3: wrong"):
            instructions.counted(self._build)

    def test_it_fails_until_the_table_is_updated(self):
        self.assertEqual(self._run(update=True), 0)
        self.assertEqual(self._run(), 0)
        self._environment(COPROC_TEST_COST="8")
        self.assertEqual(self._run(), 1)
        self.assertEqual(self._run(update=True), 0)
        self.assertEqual(self._run(), 0)

    def _environment(self, **variables):
        changed = mock.patch.dict(os.environ, variables)
        changed.start()
        self.addCleanup(changed.stop)

    def _run(self, update=False):
        with contextlib.redirect_stdout(io.StringIO()):
            return instructions.run(self._tables, [self._build], update)
