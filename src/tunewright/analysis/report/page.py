"""Report pages as data: the sections of a comparison, and those of one experiment.

`tunewright.dashboard` shows them, live and in the file that ``tunewright report`` writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, final

import numpy as np

from tunewright.advice import NextStep
from tunewright.analysis.aggregate import Aggregate
from tunewright.analysis.charts import (
    Chart,
    area_chart,
    attainment_chart,
    critical_chart,
    curve_chart,
    rank_chart,
)
from tunewright.analysis.comparison import Ranks
from tunewright.analysis.curves import newest_infos, with_equals
from tunewright.analysis.report.summary import BenchmarkComparison, Comparison, SetupRow
from tunewright.analysis.report.wording import (
    band_text,
    budget_text,
    chance_text,
    costs_text,
    failed_text,
    headline,
    importance_text,
    interval_text,
    p_text,
    pairs_text,
    row_verdict_text,
    scope_of_one,
    seeds_text,
    single_headline,
    speed_text,
    time_text,
    value_text,
    verdict_text,
    workers_text,
)
from tunewright.analysis.results import ExperimentInfo
from tunewright.analysis.significance import ALPHA, CriticalDifference, PairedTest
from tunewright.analysis.single import SingleReport, TopTrial
from tunewright.callbacks.account import read_account
from tunewright.formatting import duration, number, percent, plural
from tunewright.metric import Goal
from tunewright.storage import ExperimentFolder
from tunewright.types import package_version

_MAX_OPEN_PAIRS: Final = 15
"""Tables with more pairs are folded."""
_NEVER: Final = 1e308
"""Sort value of a target that is not reached: after all others, and a number of JSON."""
_MARKS: Final = {"better": "good", "worse": "bad"}


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: str
    number: float | None = None
    """Sort value; None: the text."""
    mark: str = ""
    """``good``, ``bad``, ``constant`` or empty."""


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


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Part of a page; its content is shown in the order of the fields."""

    title: str
    text: str = ""
    alert: str = ""
    """Shown in bold after the text."""
    steps: Sequence[NextStep] = ()
    table: Table | None = None
    code: str = ""
    """Lines to copy, or output."""
    charts: Sequence[Chart] = ()
    view: str = ""
    """View of the dashboard that draws the subject of the section; empty: none."""
    tests: TestTable | None = None
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Printed lines by their caption."""
    note: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A report."""

    title: str
    headline: str
    """The main finding."""
    lead: str
    """Scope: methods, benchmarks, trials, time."""
    made: str
    """Date and versions."""
    warnings: Sequence[str]
    sections: Sequence[Section]
    guide: Sequence[tuple[str, str]] = ()
    """Terms and their meaning."""


def comparison_page(
    comparison: Comparison, *, title: str, kind: Aggregate | str = Aggregate.IQM, log_time: bool = False
) -> Page:
    """Report of a comparison; without several setups there are no statistics.

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
    """
    parts, results = comparison.benchmarks, comparison.results
    has_several = len(comparison.labels) > 1
    n_cells = f"{plural(len(comparison.labels), 'setup')} on {plural(len(parts), 'benchmark')}"
    scope = f"{n_cells}, {plural(len(results), 'experiment')}, {results.n_results:,} results."
    reference = f" Reference: {comparison.reference}." if has_several else ""
    return Page(
        title=f"Comparison: {title}" if has_several else title,
        headline=headline(comparison),
        lead=f"{scope} {budget_text(comparison)}{reference}",
        made=_made(results.infos),
        warnings=comparison.warnings,
        sections=list(_comparison_sections(comparison, kind, log_time=log_time)),
        guide=_GUIDE if has_several else (),
    )


def single_page(report: SingleReport) -> Page:
    """Report of one experiment."""
    info = report.run.info
    return Page(
        title=info.name,
        headline=single_headline(report),
        lead=scope_of_one(report),
        made=_made([info]),
        warnings=[f"The values are predicted, not recorded: {info.note}"]
        if info.values == "surrogate"
        else [],
        sections=list(_single_sections(report)),
    )


def _made(infos: Sequence[ExperimentInfo]) -> str:
    versions = {
        f"{name} {number}"
        for info in infos
        if info.record is not None
        for name, number in info.record.versions.items()
    }
    run_with = ", ".join(sorted(versions)) or "unknown versions"
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"Made {made} by Tunewright {package_version()}; run with {run_with}."


_GUIDE: Final = (
    (
        "Value",
        (
            "interquartile mean over seeds of the best value found until the end, with a 95 % bootstrap interval (1,000 resamples), "
            "and the median over seeds."
        ),
    ),
    (
        "Regret",
        (
            "distance of the best value so far from the best value of all runs; the unit is the distance of an untrained model if the "
            "table of the benchmark has its value (worse values then count as it), else the median distance of all first results. All "
            "loaded experiments count for this scale, also those of setups that are not shown."
        ),
    ),
    ("Area", "mean over time of the regret; a low area means good values at every time."),
    (
        "To target",
        (
            "median time until the value that the reference reaches in half of its runs (or one more); speed-up: the reference's "
            "median over it, with a 95 % bootstrap interval."
        ),
    ),
    (
        "Several benchmarks",
        "means and medians over seeds, then over benchmarks, each benchmark counting once; intervals draw benchmarks, and then seeds.",
    ),
    (
        "Tests",
        (
            "Wilcoxon's signed-rank test, two-sided; p-values are corrected by Holm's method for all pairs of a table, and a difference "
            f"is called significant below {ALPHA}. On one benchmark the pairs are runs with the same seed. Over several they are the "
            "benchmarks, if these are enough for a significant difference; else they are the runs, and the result holds for these "
            "benchmarks and not for others. If one seed draws the same random numbers on several benchmarks, they are the seeds. Setups "
            "that had equal curves in every run count once."
        ),
    ),
    (
        "Probability",
        "that a random run of the setup ends better than a random run of the reference; 50 % is no difference.",
    ),
    (
        "Hypervolume",
        (
            "with several objectives: the volume dominated by the Pareto set of all reports so far, with each objective scaled to the "
            "range of the Pareto sets of all runs and a reference point a tenth beyond the worst corner; 1 is a single point that is "
            "best in all objectives."
        ),
    ),
)


# --- a comparison


def _comparison_sections(
    comparison: Comparison, kind: Aggregate | str, *, log_time: bool
) -> Iterator[Section]:
    parts = comparison.benchmarks
    has_several = len(comparison.labels) > 1
    over_time = curve_chart([part.curves for part in parts], kind=kind, log_time=log_time)
    yield Section(title="Best value over time", charts=[over_time])
    overall, critical = _overall(comparison), comparison.critical
    if overall is not None and critical is not None:
        note = (
            f"Means and medians of normalised regret at the end, over {critical.n_benchmarks} benchmarks that count alike; "
            "95 % intervals draw benchmarks, then seeds."
        )
        yield Section(title="Over all benchmarks", table=overall, note=note)
    if comparison.ranks is not None and critical is not None:
        yield _ranks(comparison.ranks, critical)
    sets = [part.sets for part in parts if part.sets and len(part.sets.metrics) == 2]
    if sets:
        yield Section(title="Attainment", charts=[attainment_chart(sets)])
    if has_several:
        areas = area_chart({part.curves.benchmark: part.areas for part in parts})
        yield Section(title="At every time", charts=[areas])
    for part in parts:
        yield _benchmark(part, comparison.reference)
    yield Section(title="Runs", text=_prices(comparison), table=_runs(comparison))
    if not has_several:
        names = [_best_run(comparison, part).name for part in parts]
        lines = [f"tunewright {command} {name}" for name in names for command in ("best", "report")]
        yield Section(title=f"Best {'run' if len(parts) == 1 else 'runs'}", code="\n".join(lines))


def _best_run(comparison: Comparison, part: BenchmarkComparison) -> ExperimentInfo:
    """The experiment of one setup with the best value at the end of the curves."""
    ((label, setup),) = part.curves.setups.items()
    last = setup.losses[:, -1]
    seed = setup.seeds[int(np.nanargmin(last))] if np.isfinite(last).any() else setup.seeds[0]
    return newest_infos(comparison.results, part.curves.benchmark)[label, seed]


def _ranks(ranks: Ranks, critical: CriticalDifference) -> Section:
    is_folded = len(critical.tests) > _MAX_OPEN_PAIRS
    caption = f"All pairs over all benchmarks, {pairs_text(critical)}"
    is_overall = critical.n_benchmarks > 1
    return Section(
        title="Ranks",
        charts=[critical_chart(critical), rank_chart(ranks)],
        tests=_tests(critical.tests, caption, "regrets", is_folded=is_folded) if is_overall else None,
    )


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


def _benchmark(part: BenchmarkComparison, reference: str) -> Section:
    curves = part.curves
    base = reference if reference in curves.setups else next(iter(curves.setups))
    head = ["setup", "seeds", curves.metric.name, "median", "best seed"]
    target = ""
    if len(curves.setups) > 1:
        head += ["area", "to target (reached)", "speed-up", f"against {base}", "p (Holm)"]
        target = f"; target {value_text(curves, part.target)}"
    goal = "highest" if curves.metric.goal is Goal.MAXIMIZE else "lowest"
    time = f"after {duration(float(curves.times[-1]))} ({curves.clock} time)"
    return Section(
        title=curves.benchmark,
        text=f"{curves.metric.name}, the {goal} is best; {seeds_text(part)}; {time}{target}.",
        alert="Surrogate values." if curves.values == "surrogate" else "",
        table=Table(head, [_row(part, row)[: len(head)] for row in part.rows]),
        tests=_tests(part.tests, "All pairs", "losses", is_folded=True) if len(part.tests) > 1 else None,
    )


def _row(part: BenchmarkComparison, row: SetupRow) -> Sequence[Cell]:
    curves, test = part.curves, row.test
    verdict = row_verdict_text(row)
    return (
        Cell(row.label),
        Cell(str(row.n_seeds), row.n_seeds),
        Cell(band_text(curves, row.final, row.n_seeds), float(row.final.centre[0])),
        Cell(value_text(curves, row.median), row.median),
        Cell(value_text(curves, row.best), row.best),
        Cell(f"{row.area:.4f}", row.area),
        Cell(
            f"{time_text(row.target.median)} ({percent(row.target.share)})",
            row.target.median if math.isfinite(row.target.median) else _NEVER,
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
            Cell(str(test.n_pairs), test.n_pairs),
            Cell(f"{test.wins} : {test.losses}", test.wins),
            Cell(f"{test.difference:.3g}", test.difference),
            Cell(p_text(test.p), test.p),
            Cell(p_text(test.p_holm), test.p_holm),
            Cell(f"{test.better} is better" if test.better else "no", mark="good" if test.better else ""),
        )
        for test in tests
    ]
    return TestTable(caption, Table(head, rows), is_folded)


def _prices(comparison: Comparison) -> str:
    """Origin of the prices behind the costs of runs; empty if it is unknown."""
    infos = [info for info in comparison.results.infos if info.totals.cost and info.clock == "wall"]
    accounts = [read_account(ExperimentFolder(info.path).account_path) for info in infos]
    found = dict.fromkeys(filter(None, (str(account.get("prices", "")) for account in accounts)))
    return f"Prices: {'; '.join(found)}." if found else ""


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
                Cell(str(len(infos)), len(infos)),
                Cell(f"{n_trials:,}", n_trials),
                Cell(f"{1000 * per_trial:.2f} ms", per_trial),
                Cell(f"${cost:.2f}" if cost else "-", cost),
                Cell(chance_text(found, len(infos)), math.nan if found is None else found.probability),
            )
        )
    head = ["setup", "experiments", "trials", "deciding per trial", "cost"]
    if len(comparison.labels) > 1:
        head.append(f"P(better than {comparison.reference})")
    return Table(head, [row[: len(head)] for row in rows])


# --- one experiment


def _single_sections(report: SingleReport) -> Iterator[Section]:
    run, info = report.run, report.run.info
    if report.best is not None:
        yield _best(report, report.best)
    if report.next_steps:
        yield Section(title="Next steps", steps=report.next_steps)
    several = len(info.metrics) > 1
    yield Section(
        title="Pareto set" if several else f"Best {plural(len(report.top), 'trial')}",
        table=_trials(report),
        view="pareto" if several else "curves",
    )
    if run.space is not None:
        yield Section(title="Hyperparameters", text=importance_text(report), view="importance")
    yield Section(title="Workers", text=workers_text(report), view="workers")
    if costs := costs_text(report):
        yield Section(title="Cost", text=costs)
    if report.failures:
        yield Section(
            title="Failures",
            text=f"{sum(len(one.trial_ids) for one in report.failures)} of {plural(info.totals.n_trials, 'trial')} failed.",
            outputs={failed_text(one): one.lines for one in report.failures},
        )


def _best(report: SingleReport, best: TopTrial) -> Section:
    run = report.run
    names = run.space.names if run.space is not None else list(best.config)
    by = f" by {run.metric.name}" if len(run.info.metrics) > 1 else ""
    rows = [
        (Cell(name), Cell(_value(value), mark="" if name in names else "constant"))
        for name, value in best.config.items()
    ]
    lines = [report.arguments, "", f"tunewright best {run.info.name}"]
    return Section(
        title=f"Best configuration{by}", table=Table(("hyperparameter", "value"), rows), code="\n".join(lines)
    )


def _trials(report: SingleReport) -> Table:
    run = report.run
    names = list(run.space.names) if run.space is not None else []
    values = list(report.top[0].values) if report.top else []
    rows = [
        (
            Cell(str(trial.trial_id), trial.trial_id),
            Cell(str(trial.status)),
            Cell(str(trial.resource), trial.resource),
            *(Cell(number(value), value) for value in trial.values.values()),
            *(Cell(_value(trial.config.get(name, ""))) for name in names),
        )
        for trial in report.top
    ]
    return Table(("trial", "status", run.info.resource, *values, *names), rows)


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
