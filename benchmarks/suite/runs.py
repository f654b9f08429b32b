"""One run of a bench program: some cases of one question, once each, in random order."""

import collections
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

from .figures import BYTES, NANOSECONDS

LONGEST = 180  # seconds, after which a run hangs
UNITS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
LAST_WORDS = 3  # lines of what a failed program has said


@dataclasses.dataclass
class Result:
    values: dict  # of each case: (unit, value)
    seconds: dict  # of each case: what its run took
    errors: list  # sentences


def run(cases, path, output, on_case=lambda: None):
    """All cases are of one program, which writes the JSON file `output`."""
    pattern = "^(" + "|".join(case.name for case in cases) + ")$"
    command = [
        path,
        f"--benchmark_filter={pattern}",
        "--benchmark_repetitions=1",
        "--benchmark_report_aggregates_only=false",
        f"--benchmark_out={output}",
        "--benchmark_out_format=json",
    ]
    pathlib.Path(output).unlink(missing_ok=True)  # that of an older run
    status, seconds, last_words = _run(command, {case.name: case for case in cases}, on_case)
    values, errors = read(output, cases)
    if status != 0 and not errors:
        errors = [f"{cases[0].program} {cases[0].question}: {_end(status)}: {last_words}"]
    return Result(values, seconds, errors)


def _run(command, by_name, on_case):
    """Its status, the seconds that each case took, and what it said last."""
    # The distribution's own python3, node and go.
    environment = os.environ | {"PATH": "/usr/bin:/bin:" + os.environ.get("PATH", "")}
    seconds, lines = {}, collections.deque(maxlen=LAST_WORDS)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as program:
        watchdog = threading.Timer(LONGEST, program.kill)
        watchdog.start()
        try:
            then = time.monotonic()
            for line in program.stdout:
                case = by_name.get(line.split(maxsplit=1)[0]) if line.strip() else None
                if case is None:
                    lines.append(line.strip())
                    continue
                now = time.monotonic()
                seconds[case], then = now - then, now
                on_case()
        finally:
            watchdog.cancel()
    return program.returncode, seconds, " | ".join(filter(None, lines))


def _end(status):
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"


def read(path, cases):
    """From a JSON file of Google Benchmark: the values of these cases, and what went wrong."""
    try:
        with open(path, encoding="utf-8") as file:
            entries = json.load(file)["benchmarks"]
    except (OSError, ValueError, KeyError):
        return {}, []  # its status says why
    by_name = {case.name: case for case in cases}
    values, errors = {}, []
    for entry in entries:
        case = by_name.get(entry["name"])
        if case is None or entry.get("run_type") != "iteration":
            continue
        if entry.get("error_occurred"):
            errors.append(f"{case.program} {case.name}: {entry.get('error_message')}")
        else:
            values[case] = _value(entry)
    failed = any(entry.get("error_occurred") for entry in entries)
    missing = [case for case in cases if case not in values]
    if missing and not failed:
        errors.append(f"{missing[0].program}: no figure of {', '.join(c.name for c in missing)}")
    return values, errors


def _value(entry):
    """Its counter `bytes`, where it measures memory; else the time of an item, or of a turn."""
    if "bytes" in entry:
        return BYTES, entry["bytes"]
    is_by_clock = entry["name"].endswith(("/real_time", "/manual_time"))
    if is_by_clock and entry.get("items_per_second"):
        return NANOSECONDS, 1e9 / entry["items_per_second"]
    return NANOSECONDS, entry["real_time"] * UNITS[entry["time_unit"]]
