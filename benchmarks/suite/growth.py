"""How a cost grows along a sweep: flat, logarithmic or linear.

The medians are fitted, with relative errors, to  a + b log2(1 + x)  and to  a + b x. The one with
the smaller residual is the growth, if it rises over the whole sweep by more than FLAT_LIMIT;
otherwise the cost is flat. Of a handful of points no more can be said: two show that a cost grows,
and not how, and what rises less than the runs are spread is unclear.
"""

import dataclasses
import math

FLAT_LIMIT = 1.25
POOR_FIT = 0.25

CRITERION = (
    f"a cost is flat when the fit rises by at most {FLAT_LIMIT:g} times from the first to the last "
    "point of the sweep; otherwise it grows as the better of a + b log2(1 + x) and a + b x, fitted "
    f"to the medians with relative errors; a fit that is off by more than {100 * POOR_FIT:.0f} % "
    "(root mean square) is called poor. Two points tell that a cost grows, not how; where the "
    "quartiles of the first and the last point overlap, growth is unclear"
)


@dataclasses.dataclass(frozen=True)
class Growth:
    kind: str  # flat, logarithmic, linear, grows, falls, unclear
    rise: float  # last to first, of the fit
    error: float  # of the fit: root mean square, relative
    first: int
    last: int

    @property
    def is_flat(self):
        return self.kind in ("flat", "falls")

    @property
    def is_grown(self):
        return not self.is_flat and self.kind != "unclear"

    @property
    def is_poor(self):
        return self.error > POOR_FIT


def fitted(points):
    """points: (x, y) with different x, at least two."""
    points = sorted(points)
    fits = {
        "logarithmic": _line([(math.log2(1 + x), y) for x, y in points]),
        "linear": _line(points),
    }
    kind, (error, rise) = min(fits.items(), key=lambda fit: fit[1][0])
    if rise <= 1 / FLAT_LIMIT:
        kind = "falls"
    elif rise <= FLAT_LIMIT:
        kind = "flat"
    elif len(points) == 2:
        kind = "grows"
    return Growth(kind, rise, error, points[0][0], points[-1][0])


def _line(points):
    """Weighted least squares; (relative error, rise) of the line, of which no end is below zero."""
    weights = [1 / y**2 for _, y in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points)) / total
    slope = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points)) / sum(
        w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points)
    )
    ends = [mean_y + slope * (x - mean_x) for x, _ in points]
    error = math.sqrt(sum((e / y - 1) ** 2 for e, (_, y) in zip(ends, points)) / len(points))
    lowest = min(y for _, y in points)
    rise = max(ends[-1], lowest / 10) / max(ends[0], lowest / 10)
    return error, rise


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The rows of a question that differ in one argument alone."""

    program: str
    question: str
    index: int  # of the argument
    others: tuple[int, ...]  # the other arguments
    rows: dict  # of each contender, by the argument


def sweeps(table):
    """Every set of rows with at least two values of one argument, the others being the same."""
    found = []
    for (program, question), rows in table.questions().items():
        for index in range(max(len(row.case.args) for row in rows)):
            groups = {}
            for row in rows:
                args = row.case.args
                if index < len(args):
                    others = args[:index] + args[index + 1 :]
                    group = groups.setdefault(others, {})
                    group.setdefault(row.case.contender, {})[args[index]] = row
            for others, contenders in groups.items():
                if any(len(at) > 1 for at in contenders.values()):
                    found.append(Sweep(program, question, index, others, contenders))
    return found


def growth_of(rows_by_x):
    found = fitted([(x, row.median) for x, row in rows_by_x.items()])
    first, last = rows_by_x[found.first], rows_by_x[found.last]
    have_ranges = min(len(first.values), len(last.values)) > 1
    if not found.is_flat and have_ranges and not last.is_apart_from(first):
        return dataclasses.replace(found, kind="unclear")
    return found
