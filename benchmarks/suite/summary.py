"""The report in short: the table that the README has, too."""

from .cases import FLOOR, OURS, family
from .figures import ratio, written, written_ratio
from .questions import question

# (program, question) and the arguments of which it tells.
PLACES = [
    ("process_bench", "start_join", [(10, 0), (500, 0), (2000, 0), (10, 10000)]),
    ("process_bench", "spawn_join", [(10, 0)]),
    ("call_bench", "call", [()]),
    ("memory_bench", "idle_child", [()]),
    ("queue_bench", "1_to_1", [(64,), (65536,), (1 << 20,)]),
    ("queue_bench", "4_to_1", [(64,)]),
    ("queue_bench", "4_to_4", [(64,)]),
    ("queue_trip_bench", "asleep", [(64,)]),
    ("queue_trip_bench", "busy", [(64,)]),
    ("pipe_bench", "round_trip", [(64,), (1 << 20,)]),
    ("lock_bench", "alone", [(1,)]),
    ("lock_bench", "relay", [(2,)]),
    ("event_bench", "fan_out", [(16,)]),
    ("wordcount_bench", "wordcount", [(2,)]),
    ("engine_bench", "ready_await", [()]),
    ("engine_bench", "spawn_join", [()]),
]
HEADER = ["", OURS, FLOOR, "Python's fastest", "the fastest other peer"]


def rows(table):
    """A line for each place that has been measured; the others' ratios are times our cost."""
    for program, asked, places in PLACES:
        for args in places:
            ours = table.row(program, asked, OURS, args)
            if ours is not None:
                yield _line(table, ours)


def _line(table, ours):
    asked = question(ours.case.program, ours.case.question)
    place = asked.written(ours.case.args)
    peers = [row for row in table.places(ours) if row.case.is_peer]
    pythons = [row for row in peers if family(row.case.contender) == "python"]
    others = [row for row in peers if row not in pythons]
    return [
        asked.text + (f": {place}" if place else ""),
        written(ours.median, ours.unit),
        _cell(table.beside(ours, FLOOR), ours, named=False),
        _cell(_fastest(pythons), ours),
        _cell(_fastest(others), ours),
    ]


def _fastest(peers):
    return min(peers, key=lambda row: row.median, default=None)


def _cell(row, ours, named=True):
    if row is None:
        return "–"
    name = f"{row.case.contender}: " if named else ""
    return f"{name}{written(row.median, row.unit)}, {written_ratio(ratio(row, ours))} ×"
