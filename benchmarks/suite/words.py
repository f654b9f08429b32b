"""Words that the terminal and report.md have in common."""

import shlex

from . import aims, compare
from .figures import written, written_ratio
from .questions import question


def growth_words(found):
    poor = ", a poor fit" if found.is_poor and found.kind not in ("flat", "unclear") else ""
    return f"{found.kind}{poor}, × {written_ratio(found.rise)}"


def aim_limit(aim):
    if aim.at_least is not None:
        return f"≥ {aim.at_least:g} times as fast"
    if aim.is_figure:
        return f"≤ {written(aim.at_most, aim.unit)}"
    return f"≤ {aim.at_most:g} times the cost"


def measured_words(verdict):
    if verdict.measured is None:
        return "–"
    if verdict.aim.is_figure:
        return written(verdict.measured, verdict.aim.unit)
    who = f" ({verdict.to})" if verdict.aim.to == aims.BEST_PEER else ""
    return written_ratio(verdict.measured) + who


def place_words(row):
    asked = question(row.case.program, row.case.question)
    return row.case.question, asked.written(row.case.args)


def alone(case):
    """The command that runs a row by itself."""
    pattern = f"--benchmark_filter={case.filter}"
    return f"build/release/benchmarks/{case.program} {shlex.quote(pattern)}"


def change_words(change):
    return (
        *place_words(change.new),
        change.new.case.contender,
        written(change.old.median, change.old.unit),
        written(change.new.median, change.new.unit),
        written_ratio(change.factor),
        written_ratio(change.floor),
    )


def comparison_words(old, new):
    """Sentences on what the changes between two reports are worth."""
    said = [f"Compared with the report of {old.date}, commit {old.machine.get('commit')}."]
    other = compare.differences(old.machine, new.machine)
    if other:
        said.append(f"Not the same there: {', '.join(other)}.")
    pace = compare.pace(old.table, new.table)
    if pace.spread > 1:
        said.append(
            f"Floor and peers take {written_ratio(pace.factor)} times as long as then in the "
            f"median, spread by {100 * (pace.spread - 1):.0f} %."
        )
    gone = compare.gone(old.table, new.table)
    if gone:
        said.append(f"Not in this run: {len(gone)} of its rows.")
    if not compare.changes(old.table, new.table):
        said.append("Nothing has changed.")
    return said
