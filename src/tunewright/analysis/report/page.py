"""A comparison as one HTML page that needs nothing else: figures, styles and the sorting of tables are inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from typing import Final

from tunewright.analysis.aggregate import Aggregate
from tunewright.analysis.comparison import Ranks
from tunewright.analysis.figures import (
    plot_area,
    plot_attainment,
    plot_critical_difference,
    plot_curves,
    plot_ranks,
)
from tunewright.analysis.figures.style import svg
from tunewright.analysis.report.markup import Cell, figure, folded, page, section, table
from tunewright.analysis.report.summary import BenchmarkComparison, Comparison, SetupRow
from tunewright.analysis.report.wording import (
    band_text,
    budget_text,
    chance_text,
    headline,
    p_text,
    seeds_text,
    speed_text,
    time_text,
    value_text,
    verdict_text,
)
from tunewright.analysis.significance import ALPHA, CriticalDifference, PairedTest
from tunewright.formatting import duration, plural

_OPEN: Final = 15  # pairs that are shown without being asked for
_HOW: Final = f"""
<p><b>Value</b>: interquartile mean over seeds of the best value found until the end, with a 95 % bootstrap interval
(1,000 resamples). <b>Area</b>: mean over time of the normalised regret (0: the best value that any run found, 1: the
median value of all runs when each had its first result); it is low for what is good at every time. <b>To target</b>:
median time until the value that the reference reaches in half of its runs (or one more); <b>speed-up</b>: the reference's median
over it, with a 95 % bootstrap interval. <b>Tests</b>: Wilcoxon's signed-rank test on pairs of runs with the same seed,
two-sided; p-values are corrected by Holm's method for all pairs of a table, and below {ALPHA} a difference is called
significant. Over several benchmarks the pairs are benchmark and seed and the values normalised regrets: seeds of one
benchmark are not independent benchmarks. <b>Probability</b>: that a random run of the setup ends better than a random
run of the reference; 50 % is no difference. <b>Hypervolume</b>, with several objectives: what the Pareto set of all
reports so far dominates, with every objective scaled to the range of the Pareto sets of all runs and a reference point
a tenth beyond the worst corner; 1 is one point that is best in everything.</p>
"""


def build_page(
    comparison: Comparison, *, title: str, kind: Aggregate | str = Aggregate.IQM, log_time: bool = False
) -> str:
    """The page's text.

    Parameters
    ----------
    comparison
        What is shown.
    title
        Mostly the tag.
    kind
        How curves are aggregated.
    log_time
        Whether curves have a logarithmic time axis.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    curves = [part.curves for part in comparison.benchmarks]
    sections = [
        _summary(comparison),
        section("Best value over time", figure(svg(plot_curves(curves, kind=kind, log_time=log_time)))),
    ]
    if comparison.ranks is not None and comparison.critical is not None:
        sections.append(
            section(
                "Ranks",
                figure(svg(plot_critical_difference(comparison.critical))),
                figure(svg(plot_ranks(comparison.ranks))),
                _overall_tests(comparison.ranks, comparison.critical),
            )
        )
    two = [part.sets for part in comparison.benchmarks if part.sets and len(part.sets.metrics) == 2]
    if two:
        sections.append(section("What runs attain", figure(svg(plot_attainment(two)))))
    areas = {part.curves.benchmark: part.areas for part in comparison.benchmarks}
    sections.append(section("At every time", figure(svg(plot_area(areas)))))
    sections += [_benchmark(part, comparison.reference) for part in comparison.benchmarks]
    sections += [_runs(comparison), section("How to read this", _HOW)]
    return page(f"Comparison: {title}", sections)


def _summary(comparison: Comparison) -> str:
    results = comparison.results
    n_cells = (
        f"{plural(len(comparison.labels), 'setup')} on {plural(len(comparison.benchmarks), 'benchmark')}"
    )
    versions = sorted(
        {
            f"{name} {number}"
            for info in results.infos
            for name, number in info.metadata.get("versions", {}).items()
        }
    )
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    scope = (
        f"{n_cells}, {len(results)} experiments, {results.n_results:,} results. "
        f"{escape(budget_text(comparison))} Reference: <b>{escape(comparison.reference)}</b>."
    )
    lines = [
        f'<p class="headline">{escape(headline(comparison))}</p>',
        f"<p>{scope}</p>",
        f'<p class="small">Made {now} by Tunewright {version("tunewright")}; run with {escape(", ".join(versions)) or "unknown versions"}.</p>',
    ]
    if comparison.warnings:
        items = "".join(f"<li>{escape(warning)}</li>" for warning in comparison.warnings)
        lines.append(f'<div class="warning"><b>Before you believe it</b><ul>{items}</ul></div>')
    return section("", *lines)


def _benchmark(part: BenchmarkComparison, reference: str) -> str:
    curves = part.curves
    base = reference if reference in curves.setups else next(iter(curves.setups))
    head = (
        "setup",
        "seeds",
        f"{curves.metric.name}",
        "best seed",
        "area",
        "to target (reached)",
        "speed-up",
        f"against {base}",
        "p (Holm)",
    )
    target = value_text(curves, part.target)
    notice = " <b>Surrogate values.</b>" if curves.values == "surrogate" else ""
    goal = "highest" if curves.metric.goal == "max" else "lowest"
    return section(
        curves.benchmark,
        f"<p>{escape(curves.metric.name)}, the {goal} is best; {seeds_text(part)}; after "
        f"{duration(float(curves.times[-1]))} ({escape(curves.clock)} time); target {target}.{notice}</p>",
        table(head, [_row(part, row) for row in part.rows]),
        _tests(part.tests, "All pairs", is_folded=True) if len(part.tests) > 1 else "",
    )


def _row(part: BenchmarkComparison, row: SetupRow) -> Sequence[Cell]:
    curves, test = part.curves, row.test
    verdict = "reference" if test is None else verdict_text(test, row.label)
    return (
        Cell(row.label),
        Cell(row.n_seeds),
        Cell(band_text(curves, row.final, row.n_seeds), float(row.final.centre[0])),
        Cell(value_text(curves, row.best), row.best),
        Cell(f"{row.area:.4f}", row.area),
        Cell(
            f"{time_text(row.target.median)} ({100 * row.target.share:.0f} %)",
            row.target.median if math.isfinite(row.target.median) else math.inf,
        ),
        Cell(speed_text(row.target), row.target.speed_up),
        Cell(verdict, mark={"better": "good", "worse": "bad"}.get(verdict, "")),
        Cell("" if test is None else p_text(test.p_holm), math.nan if test is None else test.p_holm),
    )


def _overall_tests(ranks: Ranks, critical: CriticalDifference) -> str:
    """The pairs over several benchmarks, folded where they are many."""
    if len({benchmark for benchmark, _ in ranks.blocks}) < 2:
        return ""
    return _tests(critical.tests, "Over all benchmarks", is_folded=len(critical.tests) > _OPEN)


def _tests(tests: Sequence[PairedTest], caption: str, *, is_folded: bool = False) -> str:
    rows = [
        (
            Cell(f"{test.first} - {test.second}"),
            Cell(test.n_pairs),
            Cell(f"{test.wins} : {test.losses}", test.wins),
            Cell(f"{test.difference:.3g}", test.difference),
            Cell(p_text(test.p), test.p),
            Cell(p_text(test.p_holm), test.p_holm),
            Cell(f"{test.better} is better" if test.better else "no", mark="good" if test.better else ""),
        )
        for test in tests
    ]
    head = ("pair", "pairs", "wins", "median difference of losses", "p", "p (Holm)", "significant")
    return (
        folded(caption, table(head, rows)) if is_folded else f"<h3>{escape(caption)}</h3>" + table(head, rows)
    )


def _runs(comparison: Comparison) -> str:
    rows: list[Sequence[Cell]] = []
    for label in comparison.labels:
        infos = [info for info in comparison.results.infos if info.method == label]
        totals = [info.totals for info in infos]
        n_trials = sum(t.n_trials for t in totals)
        deciding = sum(t.suggest_time for t in totals)
        cost = sum(t.cost for t in totals)
        found = comparison.improvements.get(label)
        rows.append(
            (
                Cell(label),
                Cell(len(infos)),
                Cell(f"{n_trials:,}", n_trials),
                Cell(f"{1000 * deciding / max(1, n_trials):.2f} ms", deciding / max(1, n_trials)),
                Cell(f"${cost:.2f}" if cost else "-", cost),
                Cell(chance_text(found, len(infos)), math.nan if found is None else found.probability),
            )
        )
    head = (
        "setup",
        "experiments",
        "trials",
        "deciding per trial",
        "cost",
        f"P(better than {comparison.reference})",
    )
    return section("Runs", table(head, rows))
