"""How many instructions the hottest paths take, beside a table of what they took before.

benchmarks/instructions.json has a table for each version of a compiler, with all that the counts
depend on. Where all of that is the same, a count that is off by more than 3 % is a failure, in
either direction: what has become cheaper is to stay so. Elsewhere, the differences are only told.
"""

import argparse
import dataclasses
import json
import os
import platform
import re
import subprocess
import sys
import tempfile

from . import machine

TABLES = "instructions.json"
COUNT = 4000
MOST = 0.03
PACKAGES = "libstdc++6 libc6 libuv1 libboost1.81-dev libboost-dev valgrind".split()
SAME = ("compiler", "build", "machine", "packages")  # or counts cannot be compared
# glibc has a memcpy for each kind of processor: the one that all have.
TUNABLES = "glibc.cpu.hwcaps=-AVX2,-AVX_Fast_Unaligned_Load,-ERMS"


@dataclasses.dataclass(frozen=True)
class Change:
    path: str
    old: float | None  # None: it is not in the table
    new: float | None  # None: it is not in the program any more

    @property
    def factor(self):
        return self.new / self.old if self.old and self.new else None

    @property
    def is_too_large(self):
        return self.factor is None or abs(self.new - self.old) > MOST * self.old


def counted(build):
    """A table."""
    program = os.path.join(build, "benchmarks", "paths")
    names = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    how = machine.built(build)
    return {
        "compiler": compiler(how["compiler"]),
        "build": how["build"],
        "machine": platform.machine(),
        "packages": machine.packages(PACKAGES),
        "instructions": {name: instructions_of(program, name) for name in names},
    }


def compiler(said):
    """GCC 12.2.0, of what it says of itself; the distribution's part is a package's version."""
    name = "clang" if "clang" in said else "GCC"
    version = re.search(r"\d+\.\d+\.\d+", re.sub(r"\(.*?\)", "", said))
    return f"{name} {version[0]}" if version else said


def instructions_of(program, path):
    """What a path takes, without what is done once."""
    once, twice = (_total(program, path, count) for count in (COUNT, 2 * COUNT))
    return round((twice - once) / COUNT, 1)


def _total(program, path, count):
    with tempfile.TemporaryDirectory() as directory:
        output = os.path.join(directory, "counts")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}"]
        command += [program, path, str(count)]
        environment = {**os.environ, "GLIBC_TUNABLES": TUNABLES}
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
        if ran.returncode != 0:
            raise RuntimeError(f"{path}: exit code {ran.returncode}: {ran.stderr.strip()[-2000:]}")
        with open(output, encoding="utf-8") as file:
            total = re.search(r"^totals: (\d+)$", file.read(), re.M)
        if not total:
            raise RuntimeError(f"{path}: callgrind has counted nothing")
        return int(total[1])


def changes(old, new):
    """Of each path, in the order of the program."""
    before, now = old["instructions"], new["instructions"]
    names = [*now, *(name for name in before if name not in now)]
    return [Change(name, before.get(name), now.get(name)) for name in names]


def differences(old, new):
    """What else is not the same."""
    return [name for name in SAME if old[name] != new[name]]


def nearest(tables, new):
    """The one to compare with: best of the same compiler, with most that is the same."""

    def distance(old):
        return old["compiler"] != new["compiler"], len(differences(old, new))

    return min(tables, key=distance, default=None)


def updated(tables, new):
    """Instead of the table of the same compiler, or behind the others."""
    compilers = [old["compiler"] for old in tables]
    if new["compiler"] not in compilers:
        return [*tables, new]
    return [new if old["compiler"] == new["compiler"] else old for old in tables]


def compared(tables, new):
    """(what there is to say, whether it is a failure)"""
    old = nearest(tables, new)
    lines = [f"{new['compiler']}, {new['build']}"]
    if old is None:
        old = {**new, "instructions": {}, "compiler": "no table"}
    found = changes(old, new)
    lines += [_line(change) for change in found]
    other = differences(old, new)
    if other:
        lines += ["only told, since it is not the same as in the table:"]
        lines += [f"  {name}: {_difference(old[name], new[name])}" for name in other]
    return lines, not other and any(change.is_too_large for change in found)


def _line(change):
    old, new = ("–" if count is None else f"{count:.1f}" for count in (change.old, change.new))
    percent = "" if change.factor is None else f"{round(100 * (change.factor - 1), 1) + 0:+} %"
    mark = "  *" if change.is_too_large else ""
    return f"  {change.path:<14} {old:>9} {new:>9} {percent:>9}{mark}"


def _difference(old, new):
    if not isinstance(old, dict):
        return f"{old}; here {new}"
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {old.get(name, '–')}; here {new.get(name, '–')}" for name in names)


def read(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write(path, tables):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(tables, file, indent=2, ensure_ascii=False)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(prog="benchmarks/run --instructions")
    parser.add_argument("--update", action="store_true", help="make what is found the table")
    # From benchmarks/run: what has been built.
    parser.add_argument("builds", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    path = os.path.join(os.path.dirname(__file__), os.pardir, TABLES)
    try:
        return run(path, asked.builds, asked.update)
    except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"benchmarks/run: {error}", file=sys.stderr)
        return 2


def run(path, builds, update):
    tables = read(path)
    after, failed = tables, False
    for build in builds:
        new = counted(build)
        lines, is_off = compared(tables, new)
        print(*lines, sep="\n", flush=True)
        after, failed = updated(after, new), failed or is_off
    if update:
        write(path, after)
    elif failed:
        print(f"FAILED: * is off by more than {100 * MOST:.0f} %, or in one of the two only.")
        print("Where that is meant: benchmarks/run --instructions --update")
    return 1 if failed and not update else 0


if __name__ == "__main__":
    sys.exit(main())
