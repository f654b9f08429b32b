"""Charts of the sweeps: the floor as a dashed line, ours in blue, peers in other colors."""

import os

from . import overview
from .cases import FLOOR, family
from .figures import written
from .growth import sweeps
from .questions import question

COLORS = {
    "coproc": ["#0b5cad", "#3f8fe0", "#7fb8f0"],
    "python": ["#2e7d32", "#66a75b", "#a3c98d", "#557a3d"],
    "boost": ["#e07b00", "#f0a850"],
    "asio": ["#7d8600"],
    "zeromq": ["#b3261e"],
    "seqpacket": ["#8d6e63"],
    "libuv": ["#7b3fa0"],
    "node": ["#00838f"],
    "go": ["#c2185b"],
}
OTHERS = ["#5f6b76", "#9a8c00", "#4b5fa5"]
MARKERS = {
    "coproc": "oXP",
    "python": "sDdp",
    "boost": "^",
    "asio": ">",
    "zeromq": "v",
    "seqpacket": "P",
    "libuv": "<",
    "node": "h",
    "go": "*",
}
WIDE = 50  # largest to smallest: from here on a scale is logarithmic
WIDE_COST = 8


def draw(table, directory):
    """The files of each (program, question), relative to the directory."""
    _set_up()
    found = {}
    for sweep in sweeps(table):
        name = name_of(sweep)
        _draw(sweep, os.path.join(directory, name))
        found.setdefault((sweep.program, sweep.question), []).append(name)
    return found


def draw_overview(table, directory):
    """Its file's name, or None."""
    _set_up()
    families = {family(row.case.contender) for row in table.rows}
    return overview.draw(table, directory, _looks(families))


def _set_up():
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {
            "svg.hashsalt": "coproc",  # the same figures make the same file
            "svg.fonttype": "none",
            "font.family": ["DejaVu Sans"],
            "font.size": 9.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )


def name_of(sweep):
    parts = [sweep.program.removesuffix("_bench"), sweep.question]
    argument = question(sweep.program, sweep.question).argument(sweep.index)
    if sweep.others:
        parts += [argument.label.replace(" ", "_"), *map(str, sweep.others)]
    return "-".join(parts) + ".svg"


def _draw(sweep, path):
    import matplotlib.pyplot as plt

    asked = question(sweep.program, sweep.question)
    argument = asked.argument(sweep.index)
    figure, axes = plt.subplots(figsize=(7.6, 4.2), layout="constrained")
    looks = _looks(sweep.rows)
    # The legend in the order of the lines' right ends, the dearest first.
    order = sorted(sweep.rows, key=lambda name: -sweep.rows[name][max(sweep.rows[name])].median)
    for contender in order:
        _line(axes, contender, sweep.rows[contender], looks[contender])
    _scale_x(axes, sorted({x for rows in sweep.rows.values() for x in rows}), argument)
    _scale_y(axes, [row for rows in sweep.rows.values() for row in rows.values()])
    axes.set_xlabel(argument.label)
    axes.set_title(f"{asked.text[0].upper()}{asked.text[1:]}", loc="left", fontsize=11, pad=20)
    axes.text(0, 1.02, _subtitle(sweep), transform=axes.transAxes, color="#5f6b76", fontsize=8.5)
    axes.grid(color="#e4e7ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _subtitle(sweep):
    asked = question(sweep.program, sweep.question)
    runs = sorted({len(row.values) for rows in sweep.rows.values() for row in rows.values()})
    several = f"{runs[0]} to {runs[-1]}" if len(runs) > 1 else f"{runs[0]}"
    return ", ".join([f"medians and quartiles of {several} runs", *asked.others(sweep)])


def _looks(contenders):
    """(color, marker) of each: one color for a family, in several shades."""
    looks, used = {}, {}
    for contender in sorted(contenders):
        key = family(contender) if family(contender) in COLORS else ""
        number = used[key] = used.get(key, -1) + 1
        colors, markers = COLORS.get(key, OTHERS), MARKERS.get(key, "X")
        looks[contender] = colors[number % len(colors)], markers[number % len(markers)]
    return looks


def _line(axes, contender, rows, look):
    color, marker = look
    xs = sorted(rows)
    medians = [rows[x].median for x in xs]
    below = [rows[x].median - rows[x].quartiles[0] for x in xs]
    above = [rows[x].quartiles[1] - rows[x].median for x in xs]
    style = {"color": color, "linewidth": 1.6, "marker": marker}
    if contender == FLOOR:
        style |= {
            "color": "black",
            "linestyle": "--",
            "linewidth": 1.4,
            "marker": None,
            "zorder": 3,
        }
    elif family(contender) == "coproc":
        style |= {"linewidth": 2.4, "zorder": 4}
    axes.errorbar(
        xs,
        medians,
        yerr=[below, above],
        markersize=5,
        capsize=3,
        elinewidth=1,
        label=contender,
        **style,
    )


def _scale_x(axes, xs, argument):
    from matplotlib import ticker

    positive = [x for x in xs if x > 0]
    if positive[-1] / positive[0] >= WIDE:
        if xs[0] > 0:
            axes.set_xscale("log", base=2)
        else:
            axes.set_xscale("symlog", linthresh=positive[0])
    axes.set_xticks(xs, [argument.written(x) for x in xs])
    axes.xaxis.set_minor_locator(ticker.NullLocator())


def _scale_y(axes, rows):
    from matplotlib import ticker

    unit = rows[0].unit
    medians = [row.median for row in rows]
    if max(medians) / min(medians) >= WIDE_COST:
        axes.set_yscale("log")
        decades = max(medians) / min(medians)
        steps = (1, 2, 5) if decades < 500 else (1,)
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=steps))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(
        ticker.FuncFormatter(lambda y, _: written(y, unit) if y else "0")
    )
