"""Runs that have been recorded beside this file, and made-up rows."""

import os

from .. import cases, report, runs
from ..cases import Case
from ..figures import Figure

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
        found, _ = recorded("process_bench", f"start_join-{number}.json", START)
        for case, (unit, value) in found.items():
            values.setdefault((case, unit), []).append(value)
    return [Figure(case, unit, tuple(some)) for (case, unit), some in values.items()]


def made(question, contender, values, args=(64,), program="queue_bench"):
    name = "/".join([question, contender, *map(str, args)])
    return Figure(Case(program, name, question, contender, tuple(args)), "ns", tuple(values))


def report_of(rows, **more):
    quiet = {
        "half": 1.0,
        "tenth": 1.0,
        "others": 0.0,
        "stolen": 0.0,
        "load_before": 0,
        "load_after": 0,
    }
    return report.Report("2026-01-01", "benchmarks/run", {"commit": "abc"}, quiet, rows, **more)
