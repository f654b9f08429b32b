"""What coproc is meant to reach: each a row of the report, with its ratio, met or not."""

import dataclasses

from .figures import BYTES, NANOSECONDS, ratio

FLOOR, BEST_PEER = "bare", "the best peer"


@dataclasses.dataclass(frozen=True)
class Aim:
    text: str
    source: str  # where the aim comes from
    program: str
    question: str
    args: tuple[int, ...]
    to: str | None = None  # another contender in the same place, or BEST_PEER
    to_args: tuple[int, ...] | None = None  # instead: the same contender in another place
    at_most: float | None = None  # times the other's cost; without another: a figure
    at_least: float | None = None  # times faster than the other
    contender: str = "coproc"
    unit: str = NANOSECONDS  # of a figure

    @property
    def is_figure(self):
        """Not a ratio."""
        return self.to is None and self.to_args is None


@dataclasses.dataclass(frozen=True)
class Verdict:
    aim: Aim
    measured: float | None  # in the aim's own direction: times the cost, times faster, or a figure
    to: str  # who the other was
    met: bool | None  # None: not measured


def judged(aim, table):
    mine = table.row(aim.program, aim.question, aim.contender, aim.args)
    if mine and aim.is_figure:
        return Verdict(aim, mine.median, "", mine.median <= aim.at_most)
    other = _other(aim, mine, table) if mine else None
    if other is None:
        return Verdict(aim, None, aim.to or "", None)
    if aim.at_least is not None:
        faster = ratio(other, mine)
        return Verdict(aim, faster, other.case.contender, faster >= aim.at_least)
    cost = ratio(mine, other)
    return Verdict(aim, cost, other.case.contender, cost <= aim.at_most)


def _other(aim, mine, table):
    if aim.to_args is not None:
        return table.row(aim.program, aim.question, aim.contender, aim.to_args)
    if aim.to == BEST_PEER:
        return table.best_peer(mine)
    return table.beside(mine, aim.to)


PROCESS, QUEUE, TRIP = "process_bench", "queue_bench", "queue_trip_bench"
FLOWS = {"1_to_1": "1 → 1", "4_to_1": "4 → 1", "4_to_4": "4 → 4"}
SIZES = {64: "64 B", 64 << 10: "64 KiB", 1 << 20: "1 MiB"}
PARENTS = {
    (10, 0): "10 MB parent",
    (500, 0): "500 MB parent",
    (2000, 0): "2 GB parent",
    (10, 10000): "10 MB parent with 10000 fds",
}


def of_all_parents(text, question, to, **limit):
    return [
        Aim(f"{text}, {parent}", "processes", PROCESS, question, args, to=to, **limit)
        for args, parent in PARENTS.items()
    ]


def of_all_flows(text, size, to, at_least, contender="coproc"):
    return [
        Aim(text.format(flow=flow), "queues",
            QUEUE, question, (size,), to=to, at_least=at_least, contender=contender)
        for question, flow in FLOWS.items()
    ]


AIMS = [
    Aim("await of a ready task (on the machine of README)", "engine",
        "engine_bench", "ready_await", (), at_most=12),
    *of_all_parents("start and join, to a bare fork server", "start_join", FLOOR, at_most=1.3),
    *of_all_parents("start and join, to Python's fork", "start_join", "py_fork", at_least=10),
    *of_all_parents("start and join, to Python's forkserver", "start_join", "py_forkserver",
                    at_least=25),
    *of_all_parents("start and join with .method = spawn, to bare clone and exec", "spawn_join",
                    FLOOR, at_most=1.1),
    Aim("start and join among 1000 children alive, to 1", "processes",
        PROCESS, "start_join_among", (1000,), to_args=(1,), at_most=1.2),
    Aim("spawn with 10000 open fds, to none", "processes",
        PROCESS, "spawn_join", (10, 10000), to_args=(10, 0), at_most=2),
    Aim("memory of an idle child of the fork server: PSS", "processes",
        "memory_bench", "idle_child", (), at_most=0.5 * (1 << 20), unit=BYTES),
    # The messages of these are std::array: coproc_array and coproc_batch. All others are bytes.
    *of_all_flows("64 B, {flow}, one at a time, to Python's Queue", 64, "py_Queue", 60,
                  "coproc_array"),
    *of_all_flows("64 B, {flow}, one at a time, to Boost.Interprocess", 64, "boost", 3,
                  "coproc_array"),
    *of_all_flows("64 B, {flow}, in batches, to Python's Queue", 64, "py_Queue", 300,
                  "coproc_batch"),
    *of_all_flows("64 KiB, {flow}, to the best peer", 64 << 10, BEST_PEER, 2),
    *of_all_flows("1 MiB, {flow}, to the best peer", 1 << 20, BEST_PEER, 1.3),
    Aim("there and back asleep, 64 B, to bare eventfd and uv_poll", "queues",
        TRIP, "asleep", (64,), to=FLOOR, at_most=1.3),
    Aim("there and back asleep, 64 B, to Python's Queue", "queues",
        TRIP, "asleep", (64,), to="py_Queue", at_least=5),
    *(Aim(f"a pipe there and back, {text}, to bare read and write", "pipes",
          "pipe_bench", "round_trip", (size,), to=FLOOR, at_most=1.25)
      for size, text in SIZES.items()),
]
