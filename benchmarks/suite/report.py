"""A report: what has been measured, where; kept as report.json."""

import dataclasses
import json

from . import aims, growth
from .cases import Case
from .figures import Figure, Table
from .questions import question

FORMAT = 1


@dataclasses.dataclass
class Report:
    date: str
    command: str
    machine: dict
    noise: dict
    rows: list
    errors: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)  # peers and cases, and why
    charts: dict = dataclasses.field(default_factory=dict)  # files of (program, question)
    overview: str | None = None  # a chart
    old: "Report | None" = None  # to compare with

    @property
    def table(self):
        return Table(self.rows)


# -- report.json


def to_json(report):
    return json.dumps(
        {
            "format": FORMAT,
            "date": report.date,
            "command": report.command,
            "machine": report.machine,
            "noise": report.noise,
            "errors": report.errors,
            "skipped": report.skipped,
            "rows": [_row_json(row) for row in report.table.rows],
            "growth": [_growth_json(*each) for each in grown(report.table)],
            "aims": [_aim_json(aims.judged(aim, report.table)) for aim in aims.AIMS],
        },
        indent=1,
        ensure_ascii=False,
    )


def from_json(text):
    read = json.loads(text)
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        raise ValueError(f"not a report of format {FORMAT}")
    rows = []
    for row in read["rows"]:
        place = row["program"], row["name"], row["question"], row["contender"], tuple(row["args"])
        rows.append(Figure(Case(*place), row["unit"], tuple(row["values"])))
    return Report(read["date"], read["command"], read["machine"], read["noise"], rows)


def _row_json(row):
    low, high = row.quartiles
    return dataclasses.asdict(row.case) | {
        "unit": row.unit,
        "values": list(row.values),
        "median": row.median,
        "quartiles": [low, high],
    }


def _growth_json(sweep, contender, found):
    return {
        "program": sweep.program,
        "question": sweep.question,
        "argument": question(sweep.program, sweep.question).argument(sweep.index).label,
        "others": list(sweep.others),
        "contender": contender,
        "meant_flat": is_meant_flat(sweep, contender),
    } | dataclasses.asdict(found)


def _aim_json(verdict):
    return {
        "text": verdict.aim.text,
        "source": verdict.aim.source,
        "at_most": verdict.aim.at_most,
        "at_least": verdict.aim.at_least,
        "measured": verdict.measured,
        "met": verdict.met,
    }


# -- how cost grows


def grown(table):
    """(sweep, contender, growth) of all sweeps."""
    return [
        (sweep, contender, growth.growth_of(rows))
        for sweep in growth.sweeps(table)
        for contender, rows in sweep.rows.items()
        if len(rows) > 1
    ]


def is_meant_flat(sweep, contender):
    argument = question(sweep.program, sweep.question).argument(sweep.index)
    return contender in argument.flat


def broken_flatness(table):
    """What is meant to be flat and is not."""
    return [
        (sweep, contender, found)
        for sweep, contender, found in grown(table)
        if is_meant_flat(sweep, contender) and found.is_grown
    ]
