"""What the questions are, in words; what their arguments are; what is meant to be flat.

A question that is not here is reported all the same, under its own name.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Argument:
    label: str
    unit: str = ""  # "bytes", "MB" or nothing
    flat: tuple[str, ...] = ()  # contenders whose cost is meant not to grow with it

    def written(self, value):
        if self.unit == "bytes":
            return _bytes(value)
        if self.unit == "MB":
            return f"{value} MB" if value < 1000 else f"{value / 1000:g} GB"
        return str(value)


def _bytes(value):
    for scale, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= scale and value % scale == 0:
            return f"{value // scale} {name}"
    return f"{value} B"


@dataclasses.dataclass(frozen=True)
class Question:
    text: str
    arguments: tuple[Argument, ...] = ()

    def argument(self, index):
        if index < len(self.arguments):
            return self.arguments[index]
        return Argument(f"argument {index + 1}")

    def others(self, sweep):
        """The arguments that do not change in a sweep."""
        indices = [i for i in range(len(sweep.others) + 1) if i != sweep.index]
        arguments = [self.argument(index) for index in indices]
        return [f"{a.label} {a.written(value)}" for a, value in zip(arguments, sweep.others)]

    def written(self, args):
        """All arguments of a case, for its row."""
        parts = []
        for index, value in enumerate(args):
            argument = self.argument(index)
            word = "" if argument.unit == "bytes" else argument.label + " "
            parts.append(word + argument.written(value))
        return ", ".join(parts)


SIZE = Argument("message", "bytes")
MEMORY = Argument("parent", "MB", flat=("coproc",))
FDS = Argument("open fds", flat=("coproc",))
SPAWN_FDS = Argument("open fds")
ALIVE = Argument("children alive", flat=("coproc",))
WAITERS = Argument("waiters")
WORKERS = Argument("workers")
ARMED = Argument("others armed")
PROCESSES = Argument("processes")

# In the order of a report.
QUESTIONS = {
    ("process_bench", "start_join"): Question(
        "a function is started in a child and joined", (MEMORY, FDS)
    ),
    ("process_bench", "start_join_among"): Question(
        "a function is started and joined while other children live", (ALIVE,)
    ),
    ("process_bench", "spawn_join"): Question(
        "the program is executed anew for a function, and joined", (MEMORY, SPAWN_FDS)
    ),
    ("call_bench", "call"): Question(
        "a function is called in a fresh child, and its value comes back"
    ),
    ("memory_bench", "idle_child"): Question("memory of its own that an idle child has"),
    ("queue_bench", "1_to_1"): Question("messages from 1 process to 1, each", (SIZE,)),
    ("queue_bench", "4_to_1"): Question("messages from 4 processes to 1, each", (SIZE,)),
    ("queue_bench", "4_to_4"): Question("messages from 4 processes to 4, each", (SIZE,)),
    ("queue_trip_bench", "asleep"): Question(
        "a message there and back, both sides asleep", (SIZE,)
    ),
    ("queue_trip_bench", "busy"): Question("a message there and back, both sides busy", (SIZE,)),
    ("pipe_bench", "round_trip"): Question("a message to a child and back through a pipe", (SIZE,)),
    ("pipe_bench", "one_way"): Question(
        "messages through a pipe as fast as they go, each", (SIZE,)
    ),
    ("lock_bench", "alone"): Question(
        "a lock that nobody else wants, taken and released", (PROCESSES,)
    ),
    ("lock_bench", "both"): Question(
        "a lock that two processes take as fast as they can", (PROCESSES,)
    ),
    ("lock_bench", "relay"): Question("a lock that passes from process to process", (PROCESSES,)),
    ("event_bench", "fan_out"): Question(
        "an event is set until the last waiter is awake", (WAITERS,)
    ),
    ("wordcount_bench", "wordcount"): Question("a program counts the words of a tree", (WORKERS,)),
    ("engine_bench", "ready_await"): Question("co_await of a task that does not wait"),
    ("engine_bench", "yield"): Question("two tasks take turns: two yields"),
    ("engine_bench", "spawn_join"): Question("a task is spawned and joined"),
    ("engine_bench", "when_all"): Question("two tasks that yield once, until both have ended"),
    ("engine_bench", "when_any"): Question(
        "a task that yields, and a long sleep: the first to end"
    ),
    ("engine_bench", "scope_cancel"): Question("a scope with a sleeping child is canceled"),
    ("engine_bench", "sleep_none"): Question("a sleep whose time has come"),
    ("engine_bench", "sleep_cancel"): Question("a long sleep is canceled at once"),
    ("engine_bench", "sleep_cancel_among"): Question(
        "a long sleep is canceled at once while others last", (ARMED,)
    ),
}


def rank(program, name):
    """Where it comes in a report: those that are not known last, by name."""
    known = list(QUESTIONS)
    place = (program, name)
    return known.index(place) if place in QUESTIONS else len(known), program, name


def question(program, name):
    return QUESTIONS.get((program, name), Question(name.replace("_", " ")))
