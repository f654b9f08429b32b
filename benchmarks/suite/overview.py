"""One chart of all questions: what everybody's cost is, in times of ours."""

import os

from .cases import FLOOR, OURS, family
from .figures import ratio, written
from .questions import question

NAME = "overview.svg"
LEFT_OUT = 0.02  # a floor that is no more than that of our cost would make the rest small


def draw(table, directory, looks):
    """Of each question its first place; the file's name, or None where there is nothing to show."""
    import matplotlib.pyplot as plt

    places = list(filter(None, (_first(table, rows) for rows in table.questions().values())))
    if not places:
        return None
    figure, axes = plt.subplots(figsize=(10, 1.2 + 0.4 * len(places)), layout="constrained")
    shown = {}
    for height, ours in enumerate(reversed(places)):
        for row in table.places(ours):
            x = ratio(row, ours)
            if not row.case.is_ours and x > LEFT_OUT:
                shown[_name(row.case)] = _dot(axes, x, height, row.case, looks)
    axes.axvline(1, color=looks[OURS][0], linewidth=2, zorder=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    labels = [_label(row) for row in reversed(places)]
    axes.set_yticks(range(len(places)), labels, fontsize=8.5, linespacing=1.05)
    axes.set_ylim(-0.7, len(places) - 0.3)
    axes.set_xlabel("times the cost of coproc, which is the line: who is left of it is faster")
    axes.grid(color="#e4e7ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    names = sorted(shown, key=lambda name: (name != FLOOR, name))
    axes.legend(
        [shown[n] for n in names],
        names,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
    )
    figure.savefig(os.path.join(directory, NAME), metadata={"Date": None})
    plt.close(figure)
    return NAME


def _first(table, rows):
    """Our row with the first arguments at which somebody else is there."""
    for row in rows:
        if row.case.contender == OURS and len(table.places(row)) > 1:
            return row
    return None


def _name(case):
    return case.contender if case.contender == FLOOR else family(case.contender)


def _dot(axes, x, height, case, looks):
    if case.contender == FLOOR:
        return axes.plot(
            x, height, marker="|", color="black", markersize=13, mew=2.2, linestyle=""
        )[0]
    color, marker = looks[_name(case)]
    return axes.plot(x, height, marker=marker, color=color, markersize=7, linestyle="", alpha=0.9)[
        0
    ]


def _label(row):
    asked = question(row.case.program, row.case.question)
    place = asked.written(row.case.args)
    return f"{asked.text}\n{place + ':  ' if place else ''}{written(row.median, row.unit)}"
