"""What there is to run: the cases of the bench programs, and which of them are wanted.

A case is named question/contender/argument/..., as benchmarks/ratios.hpp wants it; Google Benchmark
adds what it has been told (iterations:1, manual_time).
"""

import dataclasses
import re
import subprocess

SETTINGS = {"iterations", "repeats", "min_time", "min_warmup_time", "threads"}
CLOCKS = {"real_time", "manual_time", "process_time"}
FLOOR = "bare"
OURS = "coproc"
# What users type for --peers, where contenders have another prefix.
FAMILIES = {"py": "python", "uv": "libuv"}


@dataclasses.dataclass(frozen=True)
class Case:
    program: str  # queue_bench
    name: str  # 1_to_1/py_Queue/64/iterations:1/manual_time
    question: str  # 1_to_1
    contender: str  # py_Queue
    args: tuple[int, ...]  # (64,)

    @property
    def key(self):
        return self.program, self.question, self.contender, self.args

    @property
    def is_ours(self):
        return family(self.contender) == OURS

    @property
    def is_peer(self):
        return not self.is_ours and self.contender != FLOOR

    @property
    def short(self):
        """Its name without what Google Benchmark adds."""
        return "/".join([self.question, self.contender, *map(str, self.args)])

    @property
    def filter(self):
        """A pattern that only this case's name has."""
        return f"^{self.short}/" if self.name.startswith(self.short + "/") else f"^{self.short}$"


def family(contender):
    prefix = contender.split("_")[0]
    return FAMILIES.get(prefix, prefix)


def parse(program, name):
    """The case of that name; None if it is not named as ours are."""
    question, contender, *rest = name.split("/")
    args = []
    for part in rest:
        label, _, value = part.rpartition(":")
        if label in SETTINGS or part in CLOCKS:
            continue
        if not value.isdigit():
            return None
        args.append(int(value))
    return Case(program, name, question, contender, tuple(args))


def listed(program, path):
    """The cases of a program, and what else it says: mostly whom it leaves out."""
    command = [path, "--benchmark_list_tests=true"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if output.returncode != 0:
        raise RuntimeError(f"{program} does not list its cases: {output.stderr.strip()}")
    cases, notes = [], []
    for line in filter(None, (output.stdout + output.stderr).splitlines()):
        case = parse(program, line) if re.fullmatch(r"[^\s/]+/\S+", line) else None
        if case:
            cases.append(case)
        else:
            notes.append(f"{program}: {line}")
    return cases, notes


def of_peers(cases, peers):
    """Ours, the floor, and those peers: contenders, or families of them (py_Queue, python, py)."""
    known = {name for case in cases if case.is_peer for name in names_of(case.contender)}
    unknown = sorted(set(peers) - known - {"none"})
    if unknown:
        raise ValueError(f"no peer {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    return [c for c in cases if not c.is_peer or names_of(c.contender) & set(peers)]


def names_of(contender):
    return {contender, contender.split("_")[0], family(contender)}


def only(cases, wanted):
    """Those of programs (with or without _bench) or questions with these names."""
    known = {name for case in cases for name in places_of(case)}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise ValueError(
            f"nothing is named {', '.join(unknown)}; there is: {', '.join(sorted(known))}"
        )
    return [case for case in cases if places_of(case) & set(wanted)]


def places_of(case):
    return {case.program, case.program.removesuffix("_bench"), case.question}
