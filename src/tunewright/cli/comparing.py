"""``tunewright compare``, ``report`` and ``plot``: comparisons, pages of experiments, and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from tunewright.analysis import Aggregate, load
from tunewright.analysis.curves import newest_infos, with_equals
from tunewright.analysis.figures import (
    plot_history,
    plot_importance,
    plot_learning_curves,
    plot_parallel,
    plot_pareto,
    plot_slices,
    plot_workers,
    save,
)
from tunewright.analysis.importance import importance
from tunewright.analysis.one_run import OneRun, one_run
from tunewright.analysis.report import compare, comparison_page
from tunewright.analysis.report.summary import BenchmarkComparison, Comparison
from tunewright.analysis.report.wording import (
    band_text,
    budget_text,
    headline,
    interval_text,
    p_text,
    pairs_text,
    row_verdict_text,
    seeds_text,
    single_headline,
    speed_text,
    time_text,
    value_text,
)
from tunewright.analysis.single import single_report
from tunewright.cli.exits import say
from tunewright.cli.output import print_table, select, writing
from tunewright.cli.parsing import command_app
from tunewright.dashboard.report import comparison_file, experiment_file
from tunewright.exceptions import SettingsError
from tunewright.formatting import plural
from tunewright.storage import ExperimentFolder, write_atomically

_FIGURES: Final[Mapping[str, Callable[[OneRun], Any]]] = {
    "curves": plot_learning_curves,
    "history": plot_history,
    "workers": plot_workers,
    "slices": plot_slices,
    "parallel": plot_parallel,
    "importance": lambda run: plot_importance(importance(run), run),
    "pareto": plot_pareto,
}

compare_app = command_app(
    "compare",
    "Compare setups on the terminal: a table per benchmark, and a conclusion.",
    usage="tunewright compare [OPTIONS] [WHAT...]",
)
report_app = command_app(
    "report", "Write an HTML page: one experiment, or a comparison of the experiments of a tag."
)
plot_app = command_app("plot", "Draw an experiment: learning curves, workers, configurations, importance.")


@compare_app.default
def compare_setups(*what: str, reference: str | None = None) -> int:
    """Print a table per benchmark, and a conclusion.

    Parameters
    ----------
    what
        Tags, experiments, or folders with experiments.
    reference
        Setup that the others are compared with (default: random search).
    """
    if not what:
        raise SettingsError(
            "WHAT is required: a tag, an experiment or a folder. See tunewright compare --help"
        )
    comparison = compare(load(what), reference=reference)
    for warning in comparison.warnings:
        say(f"Note: {warning}")
    for part in comparison.benchmarks:
        _show_benchmark(part)
    _show_overall(comparison)
    say(f"\n{budget_text(comparison)}\n{headline(comparison)}")
    return 0


@report_app.default
def report(
    what: str,
    /,
    *,
    out: str | None = None,
    method: str | None = None,
    benchmark: str | None = None,
    reference: str | None = None,
    aggregate: Literal["iqm", "mean", "median"] = "iqm",
    log_time: bool = False,
) -> int:
    """Write the page and print its path; a comparison if there are several experiments.

    Parameters
    ----------
    what
        A tag, an experiment, or a folder with experiments (also of Syne Tune); several with commas.
    out
        The file (default: WHAT.html).
    method
        Setups to compare: names or globs, with commas (default: all).
    benchmark
        Benchmarks to compare: names or globs, with commas (default: all).
    reference
        Setup that the others are compared with (default: random search).
    aggregate
        Aggregation of curves over seeds.
    log_time
        Draw curves over the logarithm of time.
    """
    sources = [part for part in what.split(",") if part]
    if not sources:
        raise SettingsError(f"{what!r} names no experiments: give a tag, an experiment or a folder")
    results = load(sources)
    if benchmark is not None:
        results = results.where(benchmark=select("benchmark", benchmark, results.benchmarks))
    setups = None if method is None else select("method", method, results.methods)
    shown = results if setups is None else results.where(method=setups)
    names = [Path(source).name or Path(source).resolve().name for source in sources]
    counting = [info for name in shown.benchmarks for info in newest_infos(shown, name).values()]
    if counting:
        names = [counting[0].path.name if name == "@last" else name for name in names]
    path = Path(out or f"{names[0]}.html")
    if len(counting) == 1 and counting[0].record is not None:
        folder = ExperimentFolder(counting[0].path)
        single = single_report(one_run(folder)) if load(folder).n_results else None
        _write(path, experiment_file(folder, single))
        if n_older := len(shown) - 1:
            say(f"Note: {plural(n_older, 'older experiment')} of the same setup and seed left out")
        if single is None:
            say(f"{folder.name} has no results: the page shows its trials and their errors")
        else:
            say(single_headline(single))
            for step in single.next_steps:
                say(f"Next: {step.text}" + (f"\n      {step.command}" if step.command else ""))
    else:
        comparison = compare(results, reference=reference, setups=setups)
        title = ", ".join(names)
        page = comparison_page(comparison, title=title, kind=Aggregate(aggregate), log_time=log_time)
        _write(path, comparison_file(page))
        for warning in comparison.warnings:
            say(f"Note: {warning}")
        say(headline(comparison))
    say(f"Report: {path.absolute()}")
    return 0


def _write(path: Path, text: str) -> None:
    with writing(path):
        write_atomically(path, text)


@plot_app.default
def plot(
    experiment: str,
    /,
    *,
    figure: str | None = None,
    metric: str | None = None,
    out: Path = Path(),
    format: Literal["png", "pdf", "svg"] = "png",  # noqa: A002 - the flag's name
) -> int:
    """Write the figures and print their paths.

    Parameters
    ----------
    experiment
        Name, unique beginning of a name, or path of the folder.
    figure
        Figures, with commas: curves, history, workers, slices, parallel, importance, pareto (default: all).
    metric
        Another reported value than the tuned one.
    out
        Folder of the files (default: this one).
    format
        Of the files.
    """
    run = one_run(experiment, metric=metric)
    usual = [name for name in _FIGURES if name != "pareto" or len(run.info.metrics) > 1]
    for name in usual if figure is None else select("figure", figure, list(_FIGURES)):
        try:
            drawn = _FIGURES[name](run)
        except SettingsError as error:
            if figure is not None:
                raise
            say(f"Left out {name}: {error}")
            continue
        path = out / f"{run.info.name}-{name}.{format}"
        with writing(path, "folder"):
            out.mkdir(parents=True, exist_ok=True)
            save(drawn, path)
        say(str(path.absolute()))
    return 0


def _show_overall(comparison: Comparison) -> None:
    """Ranks and regrets over several benchmarks."""
    critical, ranks = comparison.critical, comparison.ranks
    if critical is None or ranks is None or critical.n_benchmarks == 1:
        return
    say(f"\nOver {critical.n_benchmarks} benchmarks; tests over {pairs_text(critical)}")
    head = ("setup", "mean rank", "median regret", "mean regret", f"difference to {comparison.reference}")
    rows = [
        (
            with_equals(label, critical.equal),
            interval_text(ranks.bands[label], ".2f"),
            f"{comparison.regrets[label].median:.3f}",
            interval_text(comparison.regrets[label].mean),
            "" if (less := comparison.regrets[label].difference) is None else interval_text(less, "+.3f"),
        )
        for label in critical.ranks
    ]
    print_table(head, rows)


def _show_benchmark(part: BenchmarkComparison) -> None:
    curves = part.curves
    say(f"\n{curves.benchmark}: {seeds_text(part)}; target {value_text(curves, part.target)}")
    head = ("setup", curves.metric.name, "median", "area", "to target", "speed-up", "verdict", "p (Holm)")
    rows = [
        (
            row.label,
            band_text(curves, row.final, row.n_seeds),
            value_text(curves, row.median),
            f"{row.area:.4f}",
            time_text(row.target.median),
            speed_text(row.target),
            row_verdict_text(row),
            "" if row.test is None else p_text(row.test.p_holm),
        )
        for row in part.rows
    ]
    print_table(head, rows)
