"""report.md."""

from . import aims, compare, figures, growth, noise, summary, words
from .cases import FLOOR, OURS
from .figures import written, written_range, written_ratio
from .questions import question
from .report import grown, is_meant_flat


def to_markdown(report):
    parts = [
        _head(report),
        _machine(report),
        _trouble(report),
        _aims(report.table),
        _overview(report),
        _summary(report.table),
        _losses(report.table),
        _growth(report.table),
        *(_question(report, place, rows) for place, rows in report.table.questions().items()),
    ]
    if report.old:
        parts.insert(3, _changes(report))
    return "\n".join(part for part in parts if part)


def _head(report):
    dirty = ", with changes that are not committed" if report.machine.get("dirty") else ""
    return (
        f"# coproc beside the bare system calls and its peers\n\n"
        f"`{report.command}`, {report.date}, commit {report.machine.get('commit')}{dirty}.\n\n"
        "A figure is the median of its runs; beside it are the quartiles, between which half of "
        "the runs lie. In each round all contenders of a question run once, in random order. "
        f"`{FLOOR}` is the least that the system calls need; the ratios are times the cost of "
        f"`{FLOOR}` and of `{OURS}`: more than 1 is slower.\n"
    )


def _machine(report):
    machine = report.machine
    packages = ", ".join(
        f"{name} {version}" for name, version in machine.get("packages", {}).items()
    )
    virtual = ", virtual" if machine.get("virtual") else ""
    rows = [
        ("processor", f"{machine.get('cpu')}, {machine.get('cpus')} to be used{virtual}"),
        ("memory", f"{machine.get('memory_mib')} MiB"),
        ("system", f"{machine.get('system')}, Linux {machine.get('kernel')}"),
        ("frequency governor", machine.get("governor")),
        ("compiler", f"{machine.get('compiler')}, {machine.get('build')}"),
        ("packages", packages),
        ("load", _load(report.noise)),
    ]
    return _lines("## Machine", _markdown_table(["", ""], rows))


def _load(found):
    if not found:
        return ""
    return (
        f"{found['load_before']:.2f} before, {found['load_after']:.2f} after; a fixed loop: "
        f"{100 * (found['half'] - 1):.1f} % above its fastest in the median, "
        f"{100 * (found['tenth'] - 1):.0f} % in the slowest tenth; other processes: "
        f"{100 * found['others']:.0f} % of a processor"
    )


def _trouble(report):
    lines = [f"* **failed**: {error}" for error in report.errors]
    said = noise.warnings(report.noise) if report.noise else []
    lines += [f"* **noisy**: {warning}" for warning in said]
    lines += [f"* left out: {each}" for each in report.skipped]
    if said:
        lines.append(f"\nThe criterion: {noise.CRITERION}.")
    return _lines("## To be known", "\n".join(lines)) if lines else ""


def _aims(table):
    verdicts = [aims.judged(aim, table) for aim in aims.AIMS]
    rows = [_aim(verdict) for verdict in verdicts if verdict.met is not None]
    lines = [_markdown_table(["", "aim", "measured", "", "of"], rows), ""] if rows else []
    missing = [verdict.aim.text for verdict in verdicts if verdict.met is None]
    if missing:
        lines.append(f"Not measured here: {'; '.join(missing)}.")
    return _lines("## Aims", *lines)


def _aim(verdict):
    aim = verdict.aim
    met = "met" if verdict.met else "**not met**"
    return aim.text, words.aim_limit(aim), words.measured_words(verdict), met, aim.source


def _overview(report):
    if not report.overview:
        return ""
    return _lines(
        "## All at one glance", f"![what everybody's cost is, in times of ours]({report.overview})"
    )


def _summary(table):
    lines = list(summary.rows(table))
    return _lines("## In short", summary_table(lines)) if lines else ""


def summary_table(lines):
    return _markdown_table(summary.HEADER, lines)


def _losses(table):
    rows = [
        (
            *words.place_words(mine),
            written(mine.median, mine.unit),
            f"{peer.case.contender}: {written(peer.median, peer.unit)}",
            written_ratio(figures.ratio(mine, peer)),
            "one run" if figures.has_one_run(mine, peer) else "",
        )
        for mine, peer in figures.losses(table)
    ]
    if not rows:
        return ""
    return _lines(
        "## Where coproc loses",
        f"The fastest peer needs less than `{OURS}`, and their quartile ranges have nothing in "
        "common; or one of them has run only once.\n",
        _markdown_table(["question", "", OURS, "fastest peer", "times its cost", ""], rows),
    )


def flatness(found):
    """A verdict on what is meant to be flat."""
    return "as meant" if found.is_flat else "**meant to be flat**" if found.is_grown else "unclear"


def _growth(table):
    rows = []
    for sweep, contender, found in grown(table):
        asked = question(sweep.program, sweep.question)
        argument = asked.argument(sweep.index)
        verdict = flatness(found) if is_meant_flat(sweep, contender) else ""
        rows.append(
            (
                " ".join([sweep.question, *(f"({each})" for each in asked.others(sweep))]),
                f"{argument.label}, {' – '.join(map(argument.written, (found.first, found.last)))}",
                contender,
                words.growth_words(found),
                verdict,
            )
        )
    if not rows:
        return ""
    return _lines(
        "## How cost grows",
        f"The rule: {growth.CRITERION}. The factor is the rise of the fit.\n",
        _markdown_table(["question", "along", "contender", "growth", ""], rows),
    )


def _changes(report):
    found = compare.changes(report.old.table, report.table)
    header = ["question", "", "contender", "before", "now", "times", "bare: times"]
    table = _markdown_table(header, [words.change_words(change) for change in found])
    said = " ".join(words.comparison_words(report.old, report))
    return _lines(
        "## Changes",
        said + "\n",
        *([table, ""] if found else []),
        f"The rule: {compare.CRITERION}.",
    )


def _question(report, place, rows):
    asked = question(*place)
    lines = [f"`{place[0]}`, `{place[1]}`: {asked.text}.", ""]
    lines += [f"![{asked.text}]({chart})\n" for chart in report.charts.get(place, [])]
    header = ["", "contender", "median", "quartiles", "to bare", "to coproc", "runs", "alone"]
    lines.append(_markdown_table(header, [_row(report.table, asked, row) for row in rows]))
    return _lines(f"## {asked.text[0].upper()}{asked.text[1:]}", *lines)


def _row(table, asked, row):
    return (
        asked.written(row.case.args),
        row.case.contender,
        written(row.median, row.unit),
        written_range(row),
        written_ratio(figures.ratio(row, table.beside(row, FLOOR))),
        written_ratio(figures.ratio(row, table.beside(row, OURS))),
        len(row.values),
        f"`{words.alone(row.case)}`",
    )


def _markdown_table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _lines(*parts):
    return "\n".join([parts[0], "", *parts[1:], ""])
