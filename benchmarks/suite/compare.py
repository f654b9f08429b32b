"""What has changed since another report, beyond noise."""

import dataclasses

from .figures import Figure, ratio

LEAST = 1.05
CRITERION = (
    f"changed: the medians differ by more than {100 * (LEAST - 1):.0f} %, and the quartile ranges have "
    "nothing in common; by chance alone that is about one row in fifty"
)
SAME = ("kernel", "cpu", "cpus", "compiler", "build", "packages")


@dataclasses.dataclass(frozen=True)
class Change:
    old: Figure
    new: Figure

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
        change = Change(before, row)
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
