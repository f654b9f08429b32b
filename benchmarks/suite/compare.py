"""What has changed since another report, beyond noise."""

import dataclasses

from .cases import FLOOR
from .figures import Figure, ratio

LEAST = 1.05
CRITERION = (
    f"changed are rows whose medians differ by more than {100 * (LEAST - 1):.0f} %, and whose "
    "quartile ranges have nothing in common. Chance alone does that to about one row in fifty, and "
    "to more if the machine itself was faster or slower: look at what has become of the floor in "
    "the same place"
)
SAME = ("kernel", "cpu", "cpus", "compiler", "build", "packages")


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
    found = []
    for row in new.rows:
        before = old.row(*row.case.key)
        if before is None or before.unit != row.unit:
            continue
        floor = ratio(new.beside(row, FLOOR), old.beside(row, FLOOR))
        change = Change(before, row, floor)
        is_large = max(change.factor, 1 / change.factor) > LEAST
        if is_large and row.is_apart_from(before):
            found.append(change)
    return sorted(found, key=lambda change: -change.factor)


def gone(old, new):
    """Rows that only the old table has."""
    return [row for row in old.rows if new.row(*row.case.key) is None]


def differences(old, new):
    """What else is not the same, of two descriptions of machines."""
    return [name for name in SAME if old.get(name) != new.get(name)]


def pace(old, new):
    """How many times as long as then the fixed loop takes, at its fastest; None if not known."""
    return new["fastest"] / old["fastest"] if "fastest" in old and "fastest" in new else None
