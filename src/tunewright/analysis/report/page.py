"""A comparison as one self-contained HTML page: figures, style and the script that sorts its tables are inside.

The page itself is the template ``templates/report.html``; this module prepares its values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, final

from tunewright.analysis.aggregate import Aggregate
from tunewright.analysis.comparison import Ranks
from tunewright.analysis.curves import with_equals
from tunewright.analysis.extras import need
from tunewright.analysis.figures import (
    plot_area,
    plot_attainment,
    plot_critical_difference,
    plot_curves,
    plot_ranks,
)
from tunewright.analysis.figures.style import svg
from tunewright.analysis.report.summary import BenchmarkComparison, Comparison, SetupRow
from tunewright.analysis.report.wording import (
    band_text,
    budget_text,
    chance_text,
    headline,
    interval_text,
    p_text,
    pairs_text,
    row_verdict_text,
    seeds_text,
    speed_text,
    time_text,
    value_text,
    verdict_text,
)
from tunewright.analysis.significance import ALPHA, CriticalDifference, PairedTest
from tunewright.formatting import duration, plural
from tunewright.types import package_version

if TYPE_CHECKING:
    import jinja2
    from matplotlib.figure import Figure

_MAX_OPEN_PAIRS: Final = 15
"""Tables with more pairs are folded."""
_MARKS: Final = {"better": "good", "worse": "bad"}


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: object
    number: float | None = None
    """Sort value; None: the text."""
    mark: str = ""
    """A class of the style: ``good`` or ``bad``."""

    @property
    def sort_key(self) -> str:
        """Sort value for the script; infinities and NaN are very large numbers, and empty stands for the text."""
        if self.number is None:
            return ""
        if math.isnan(self.number):
            return "1e308"
        return str(self.number) if math.isfinite(self.number) else f"{math.copysign(1e308, self.number):g}"


@final
@dataclass(frozen=True, slots=True)
class Table:
    """A table with sortable columns."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@final
@dataclass(frozen=True, slots=True)
class TestTable:
    """A table of paired tests."""

    caption: str
    table: Table
    is_folded: bool


def build_page(
    comparison: Comparison, *, title: str, kind: Aggregate | str = Aggregate.IQM, log_time: bool = False
) -> str:
    """HTML of the page.

    Parameters
    ----------
    comparison
        Comparison to show.
    title
        Title of the page, usually the tag.
    kind
        Aggregation of the curves.
    log_time
        Whether curves have a logarithmic time axis.

    Raises
    ------
    MissingExtraError
        matplotlib or jinja2 is not installed.
    """
    parts = comparison.benchmarks
    with_two_objectives = [part.sets for part in parts if part.sets and len(part.sets.metrics) == 2]
    results = comparison.results
    n_cells = f"{plural(len(comparison.labels), 'setup')} on {plural(len(parts), 'benchmark')}"
    values: Mapping[str, object] = {
        "title": f"Comparison: {title}",
        "headline": headline(comparison),
        "scope": f"{n_cells}, {plural(len(results), 'experiment')}, {results.n_results:,} results.",
        "budget": budget_text(comparison),
        "reference": comparison.reference,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": package_version(),
        "versions": ", ".join(_versions(comparison)),
        "warnings": comparison.warnings,
        "curves": _figure(plot_curves([part.curves for part in parts], kind=kind, log_time=log_time)),
        "overall": _overall(comparison),
        "n_benchmarks": comparison.critical.n_benchmarks if comparison.critical else 0,
        "ranks": _ranks(comparison.ranks, comparison.critical),
        "attainment": _figure(plot_attainment(with_two_objectives)) if with_two_objectives else None,
        "area": _figure(plot_area({part.curves.benchmark: part.areas for part in parts})),
        "benchmarks": [_benchmark(part, comparison.reference) for part in parts],
        "runs": _runs(comparison),
        "alpha": ALPHA,
    }
    return _environment().get_template("report.html").render(values)


def _environment() -> jinja2.Environment:
    engine = need("jinja2", "The report page")
    loader = engine.PackageLoader("tunewright.analysis.report")
    return engine.Environment(loader=loader, autoescape=True, undefined=engine.StrictUndefined)


def _figure(figure: Figure) -> object:
    """SVG of a figure, exempt from escaping."""
    return need("markupsafe", "The report page").Markup(svg(figure))  # matplotlib escapes its texts


def _versions(comparison: Comparison) -> list[str]:
    versions = {
        f"{name} {number}"
        for info in comparison.results.infos
        if info.record is not None
        for name, number in info.record.versions.items()
    }
    return sorted(versions)


def _ranks(ranks: Ranks | None, critical: CriticalDifference | None) -> Mapping[str, object] | None:
    if ranks is None or critical is None:
        return None
    is_overall = critical.n_benchmarks > 1
    is_folded = len(critical.tests) > _MAX_OPEN_PAIRS
    caption = f"All pairs over all benchmarks, {pairs_text(critical)}"
    return {
        "critical_difference": _figure(plot_critical_difference(critical)),
        "over_time": _figure(plot_ranks(ranks)),
        "tests": _tests(critical.tests, caption, "regrets", is_folded=is_folded) if is_overall else None,
    }


def _overall(comparison: Comparison) -> Table | None:
    """Ranks and regrets over all benchmarks; None if there is one."""
    ranks, critical = comparison.ranks, comparison.critical
    if ranks is None or critical is None or critical.n_benchmarks == 1:
        return None
    base = comparison.reference
    against = {
        test.second if test.first == base else test.first: test
        for test in critical.tests
        if base in (test.first, test.second)
    }
    head = (
        "setup",
        "mean rank",
        "median regret",
        "mean regret",
        f"difference to {base}",
        f"against {base}",
        "p (Holm)",
    )
    rows: list[Sequence[Cell]] = []
    for label, rank in critical.ranks.items():
        regret, test = comparison.regrets[label], against.get(label)
        verdict = verdict_text(test, label)
        less = regret.difference
        rows.append(
            (
                Cell(with_equals(label, critical.equal)),
                Cell(interval_text(ranks.bands[label], ".2f"), rank),
                Cell(f"{regret.median:.3f}", regret.median),
                Cell(interval_text(regret.mean), float(regret.mean.centre[-1])),
                Cell(
                    "" if less is None else interval_text(less, "+.3f"),
                    math.nan if less is None else float(less.centre[-1]),
                ),
                Cell(verdict, mark=_MARKS.get(verdict, "")),
                Cell("" if test is None else p_text(test.p_holm), math.nan if test is None else test.p_holm),
            )
        )
    return Table(head, rows)


def _benchmark(part: BenchmarkComparison, reference: str) -> Mapping[str, object]:
    curves = part.curves
    base = reference if reference in curves.setups else next(iter(curves.setups))
    head = (
        "setup",
        "seeds",
        curves.metric.name,
        "median",
        "best seed",
        "area",
        "to target (reached)",
        "speed-up",
        f"against {base}",
        "p (Holm)",
    )
    return {
        "name": curves.benchmark,
        "metric": curves.metric.name,
        "goal": "highest" if curves.metric.goal == "max" else "lowest",
        "seeds": seeds_text(part),
        "duration": duration(float(curves.times[-1])),
        "clock": curves.clock,
        "target": value_text(curves, part.target),
        "is_surrogate": curves.values == "surrogate",
        "table": Table(head, [_row(part, row) for row in part.rows]),
        "tests": _tests(part.tests, "All pairs", "losses", is_folded=True) if len(part.tests) > 1 else None,
    }


def _row(part: BenchmarkComparison, row: SetupRow) -> Sequence[Cell]:
    curves, test = part.curves, row.test
    verdict = row_verdict_text(row)
    return (
        Cell(row.label),
        Cell(row.n_seeds),
        Cell(band_text(curves, row.final, row.n_seeds), float(row.final.centre[0])),
        Cell(value_text(curves, row.median), row.median),
        Cell(value_text(curves, row.best), row.best),
        Cell(f"{row.area:.4f}", row.area),
        Cell(
            f"{time_text(row.target.median)} ({100 * row.target.share:.0f} %)",
            row.target.median if math.isfinite(row.target.median) else math.inf,
        ),
        Cell(speed_text(row.target), row.target.speed_up),
        Cell(verdict, mark=_MARKS.get(verdict, "")),
        Cell("" if test is None else p_text(test.p_holm), math.nan if test is None else test.p_holm),
    )


def _tests(tests: Sequence[PairedTest], caption: str, values: str, *, is_folded: bool) -> TestTable:
    head = ("setups", "pairs", "wins", f"median difference of {values}", "p", "p (Holm)", "significant")
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
    return TestTable(caption, Table(head, rows), is_folded)


def _runs(comparison: Comparison) -> Table:
    rows: list[Sequence[Cell]] = []
    for label in comparison.labels:
        infos = [info for info in comparison.results.infos if info.method == label]
        totals = [info.totals for info in infos]
        n_trials = sum(t.n_trials for t in totals)
        per_trial = sum(t.suggest_time for t in totals) / max(1, n_trials)
        cost = sum(t.cost for t in totals)
        found = comparison.improvements.get(label)
        rows.append(
            (
                Cell(label),
                Cell(len(infos)),
                Cell(f"{n_trials:,}", n_trials),
                Cell(f"{1000 * per_trial:.2f} ms", per_trial),
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
    return Table(head, rows)
