"""``tunewright compare``: a comparison as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.analysis import load
from tunewright.analysis.report import compare
from tunewright.analysis.report.summary import BenchmarkComparison
from tunewright.analysis.report.wording import (
    band_text,
    budget_text,
    headline,
    p_text,
    seeds_text,
    speed_text,
    time_text,
    value_text,
    verdict_text,
)
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser


def run(arguments: Sequence[str]) -> int:
    """Print a table per benchmark, and what may be concluded."""
    parser = Parser("tunewright compare", "Compare setups on the terminal.")
    parser.add_argument("what", nargs="+", help="tags, experiments, or folders with experiments")
    parser.flag("reference", "the setup that others are compared with (default: random search)")
    given = parser.read(arguments)
    comparison = compare(load(given.what), reference=given.reference)
    for warning in comparison.warnings:
        say(f"Note: {warning}")
    for part in comparison.benchmarks:
        _show(part)
    say(f"\n{budget_text(comparison)}\n{headline(comparison)}")
    return 0


def _show(part: BenchmarkComparison) -> None:
    curves = part.curves
    say(f"\n{curves.benchmark}: {seeds_text(part)}; target {value_text(curves, part.target)}")
    head = ("setup", curves.metric.name, "area", "to target", "speed-up", "verdict", "p (Holm)")
    rows = [
        (
            row.label,
            band_text(curves, row.final, row.n_seeds),
            f"{row.area:.4f}",
            time_text(row.target.median),
            speed_text(row.target),
            "reference" if row.test is None else verdict_text(row.test, row.label),
            "" if row.test is None else p_text(row.test.p_holm),
        )
        for row in part.rows
    ]
    print_table(head, rows)
