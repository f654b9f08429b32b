"""Runs the benchmarks that have been built, and writes what they have found; see benchmarks/run."""

import argparse
import datetime
import os
import shlex
import sys

from . import cases, machine, markdown, noise, report, rounds, terminal
from .progress import Progress

BUILD = "build/release"
PROGRAMS = os.path.join(BUILD, "benchmarks")
OUTPUT = "build/benchmarks"


def arguments():
    parser = argparse.ArgumentParser(prog="benchmarks/run")
    parser.add_argument("--quick", action="store_true", help="under 3 minutes instead of under 30")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help="only these programs or questions, as queue_bench or round_trip",
    )
    parser.add_argument(
        "--peers", metavar="LIST", help="only these peers, as boost,python,py_fork; or none"
    )
    parser.add_argument("--compare", metavar="OLD.json", help="say what has changed since")
    parser.add_argument("--output", metavar="DIR", help=f"where the report goes: {OUTPUT}")
    # From benchmarks/run: what could not be installed, and where the user is.
    parser.add_argument("--missing", metavar="LIST", default="", help=argparse.SUPPRESS)
    parser.add_argument("--from", dest="place", default=".", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.compare = asked.compare and os.path.join(asked.place, asked.compare)
    asked.output = os.path.join(asked.place, asked.output) if asked.output else OUTPUT
    return asked


def names(text):
    return [name for name in (text or "").split(",") if name]


def main():
    asked = arguments()
    effort = rounds.QUICK if asked.quick else rounds.FULL
    try:
        old = read_old(asked.compare)
        programs = built()
        everything, skipped = listed(programs)
        chosen = choose(everything, asked)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"benchmarks/run: {error}", file=sys.stderr)
        return 2
    skipped = [f"{peer}: cannot be installed" for peer in names(asked.missing)] + skipped
    skipped += [f"{what}: --quick does without" for what in effort.leaves_out(chosen)]
    chosen = [case for case in chosen if effort.wants(case)]
    found = measure(chosen, programs, effort, asked, skipped)
    found.old = old
    write(found, asked.output)
    return 1 if found.errors else 0


def read_old(path):
    if not path:
        return None
    with open(path, encoding="utf-8") as file:
        try:
            return report.from_json(file.read())
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path} is no report: {error}") from error


def built():
    found = sorted(name for name in os.listdir(PROGRAMS) if name.endswith("_bench"))
    return {name: os.path.join(PROGRAMS, name) for name in found}


def listed(programs):
    everything, notes = [], []
    for program, path in programs.items():
        some, said = cases.listed(program, path)
        everything += some
        notes += said
    return everything, notes


def choose(everything, asked):
    chosen = everything
    wanted = [name for text in asked.only for name in names(text)]
    if wanted:
        chosen = cases.only(chosen, wanted)
    if asked.peers is not None:
        chosen = cases.of_peers(chosen, names(asked.peers))
    return chosen


def measure(chosen, programs, effort, asked, skipped):
    raw = os.path.join(asked.output, "runs")
    os.makedirs(raw, exist_ok=True)
    listening = noise.Noise()
    progress = Progress(effort.rounds, effort.seconds)
    print(
        f"{len(chosen)} cases, {effort.rounds} rounds, at most {effort.seconds / 60:.0f} minutes",
        flush=True,
    )
    taking = rounds.Rounds(effort, programs, raw, listening, progress)
    rows = taking.run(chosen)
    progress.close()
    return report.Report(
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        command=shlex.join(["benchmarks/run", *given()]),
        machine=machine.described(BUILD),
        noise=listening.found(),
        rows=rows,
        errors=list(dict.fromkeys(taking.errors)),
        skipped=skipped + [f"{place}: no time was left" for place in taking.unmeasured],
    )


def given():
    """What the user has said; the rest is benchmarks/run's."""
    return [word for word in sys.argv[1:] if not word.startswith(("--missing=", "--from="))]


def write(found, directory):
    try:
        from . import charts

        found.charts = charts.draw(found.table, directory)
        found.overview = charts.draw_overview(found.table, directory)
    except ImportError:
        found.skipped.append("charts: matplotlib is not there")
    texts = {"report.json": report.to_json(found), "report.md": markdown.to_markdown(found)}
    for name, text in texts.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
    print(terminal.to_text(found))
    print(f"written: {os.path.join(directory, 'report.md')}, report.json, {count(found)} charts")


def count(found):
    return sum(len(files) for files in found.charts.values()) + (found.overview is not None)


if __name__ == "__main__":
    sys.exit(main())
