"""What is printed in the end."""

from . import aims, compare, figures, noise, words
from .cases import FLOOR, OURS
from .figures import written, written_ratio, written_spread
from .questions import question
from .report import broken_flatness


def to_text(report):
    lines = []
    for place, rows in report.table.questions().items():
        asked = question(*place)
        lines += ["", f"{asked.text}  ({place[0]} {place[1]})"]
        lines += [_row(report.table, asked, row) for row in rows]
    verdicts = [aims.judged(aim, report.table) for aim in aims.AIMS]
    judged = [_aim(verdict) for verdict in verdicts if verdict.met is not None]
    lines += ["", "aims", *judged] if judged else []
    broken = broken_flatness(report.table)
    lines += [""] if broken else []
    lines += [
        f"meant to be flat: {sweep.question} {contender}, {words.growth_words(found)}"
        for sweep, contender, found in broken
    ]
    return "\n".join(lines + ["", *_trouble(report)])


def _changes(report):
    found = compare.changes(report.old.table, report.table)
    rows = [
        "  {:<18} {:<28} {:<17} {:>9} {:>9}  × {:<5} bare × {}".format(*words.change_words(c))
        for c in found
    ]
    return ["changes", *rows, *words.comparison_words(report.old, report)]


def _trouble(report):
    lines = _changes(report) if report.old else []
    lines += [f"left out: {each}" for each in report.skipped]
    lines += [f"noisy: {warning}" for warning in noise.warnings(report.noise)]
    return lines + [f"FAILED: {error}" for error in report.errors]


def _row(table, asked, row):
    bare = written_ratio(figures.ratio(row, table.beside(row, FLOOR)))
    ours = written_ratio(figures.ratio(row, table.beside(row, OURS)))
    place = asked.written(row.case.args)
    return (
        f"  {place:<32} {row.case.contender:<17} {written(row.median, row.unit):>9}"
        f"  {written_spread(row):>8}  {bare:>6} bare  {ours:>6} coproc"
    )


def _aim(verdict):
    met = "met    " if verdict.met else "NOT MET"
    measured, limit = words.measured_words(verdict), words.aim_limit(verdict.aim)
    return f"  {met}  {measured:>18}  {limit:<22}  {verdict.aim.text}"
