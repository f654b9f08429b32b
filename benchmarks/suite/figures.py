"""Medians, quartiles, ratios, and how they are written."""

import dataclasses
import statistics

from .cases import FLOOR, OURS, Case
from .questions import rank

NANOSECONDS, BYTES = "ns", "B"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One row: a case, and what each of its runs has given."""

    case: Case
    unit: str
    values: tuple[float, ...]

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def quartiles(self):
        """Half of the runs lie between; the only run, if there is one."""
        if len(self.values) == 1:
            return self.values * 2
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    @property
    def spread(self):
        """Half the distance of the quartiles, as a part of the median; None of one run."""
        low, high = self.quartiles
        return None if len(self.values) < 2 else (high - low) / 2 / self.median

    def is_apart_from(self, other):
        """Whether the quartile ranges have nothing in common. One run has no range: never."""
        if min(len(self.values), len(other.values)) < 2:
            return False
        return self.quartiles[0] > other.quartiles[1] or self.quartiles[1] < other.quartiles[0]


class Table:
    """All rows of a report, to be looked up."""

    def __init__(self, rows):
        self.rows = sorted(rows, key=lambda row: place(row.case))
        self._by_key = {row.case.key: row for row in self.rows}

    def row(self, program, question, contender, args):
        return self._by_key.get((program, question, contender, tuple(args)))

    def beside(self, row, contender):
        """The row of another contender in the same place."""
        return self.row(row.case.program, row.case.question, contender, row.case.args)

    def questions(self):
        """(program, question) and the rows of each, in order."""
        found = {}
        for row in self.rows:
            found.setdefault((row.case.program, row.case.question), []).append(row)
        return found

    def best_peer(self, row):
        peers = [r for r in self.places(row) if r.case.is_peer]
        return min(peers, key=lambda peer: peer.median, default=None)

    def places(self, row):
        """Everybody's rows with the same question and arguments."""
        rows = self.questions()[row.case.program, row.case.question]
        return [r for r in rows if r.case.args == row.case.args]


def place(case):
    """The floor first, then ours, then the peers."""
    side = 0 if case.contender == FLOOR else 1 if case.is_ours else 2
    return rank(case.program, case.question), case.args, side, case.contender


def has_one_run(*rows):
    return any(len(row.values) == 1 for row in rows)


def ratio(row, to):
    return None if row is None or to is None or to.median == 0 else row.median / to.median


def losses(table):
    """(ours, the fastest peer), where that peer is faster; the worst first.

    Not by chance: their quartiles are apart, or one of them has run once, which only says so much.
    """
    found = []
    for row in table.rows:
        peer = table.best_peer(row) if row.case.contender == OURS else None
        if peer is None or peer.median >= row.median:
            continue
        if row.is_apart_from(peer) or has_one_run(row, peer):
            found.append((row, peer))
    return sorted(found, key=lambda pair: -ratio(*pair))


# -- how they are written

SCALES = {
    NANOSECONDS: [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")],
    BYTES: [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")],
}


def digits(value):
    """Three of them, and no exponent."""
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def written(value, unit=NANOSECONDS):
    scale, name = next((s for s in SCALES[unit] if abs(value) >= s[0] * 0.9995), SCALES[unit][-1])
    return f"{digits(value / scale)} {name}"


def written_ratio(value):
    return "–" if value is None else f"{digits(value)}" if value >= 9.995 else f"{value:.2f}"


def written_spread(row):
    return "one run" if row.spread is None else f"± {100 * row.spread:.0f} %"


def written_range(row):
    low, high = row.quartiles
    return (
        "one run" if row.spread is None else f"{written(low, row.unit)} – {written(high, row.unit)}"
    )
