"""What has changed since another report, beyond noise.

The floor and the peers are not ours to change: what has become of their rows is what the machine
has done, which is faster on one day than on another, and noisier.
"""

import dataclasses
import math
import statistics

from .cases import FLOOR
from .figures import Figure, ratio

LEAST = 1.05
SPREADS = 3
FEWEST = 8  # rows of others that tell anything
NORMAL = 1.4826  # median absolute deviations in a standard deviation, were it a normal distribution
CRITERION = (
    "the rows of the floor and of the peers, which are not changed by changes of coproc, tell the "
    f"machine's pace, their median factor, and how far factors are spread. A row has changed if "
    f"its own factor is off the pace by more than {100 * (LEAST - 1):.0f} % and by more than "
    f"{SPREADS} such spreads (1.48 median absolute deviations of the logarithms), and if the "
    "quartile ranges, the pace allowed for, have nothing in common"
)
SAME = ("kernel", "cpu", "cpus", "compiler", "build", "packages")


@dataclasses.dataclass(frozen=True)
class Pace:
    """What the machine has done meanwhile."""

    factor: float = 1.0
    spread: float = 1.0  # a factor, too

    def explains(self, factor):
        off = abs(math.log(factor / self.factor))
        return off <= max(math.log(LEAST), SPREADS * math.log(self.spread))


@dataclasses.dataclass(frozen=True)
class Change:
    old: Figure
    new: Figure
    floor: float | None  # the factor of the floor in the same place

    @property
    def factor(self):
        return ratio(self.new, self.old)


def changes(old, new):
    """Rows in both tables that have changed; the slowest first."""
    meanwhile = pace(old, new)
    found = []
    for before, row in pairs(old, new):
        change = Change(before, row, ratio(new.beside(row, FLOOR), old.beside(row, FLOOR)))
        allowed_for = [value * meanwhile.factor for value in before.values]
        expected = dataclasses.replace(before, values=tuple(allowed_for))
        if not meanwhile.explains(change.factor) and row.is_apart_from(expected):
            found.append(change)
    return sorted(found, key=lambda change: -change.factor)


def pairs(old, new):
    """(before, now) of the rows in both tables."""
    both = ((old.row(*row.case.key), row) for row in new.rows)
    return [(before, row) for before, row in both if before and before.unit == row.unit]


def pace(old, new):
    others = [ratio(row, before) for before, row in pairs(old, new) if not row.case.is_ours]
    if len(others) < FEWEST:
        return Pace()
    logarithms = [math.log(factor) for factor in others]
    middle = statistics.median(logarithms)
    deviation = statistics.median(abs(each - middle) for each in logarithms)
    return Pace(math.exp(middle), math.exp(NORMAL * deviation))


def gone(old, new):
    """Rows that only the old table has."""
    return [row for row in old.rows if new.row(*row.case.key) is None]


def differences(old, new):
    """What else is not the same, of two descriptions of machines."""
    return [name for name in SAME if old.get(name) != new.get(name)]
