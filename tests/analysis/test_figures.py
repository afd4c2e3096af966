"""Figures and reports: what is in them, and that they can be made of what experiments leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tunewright.analysis import all_curves, anytime_area, critical_difference, load, mean_ranks
from tunewright.analysis.charts import LineChart, time_scale
from tunewright.analysis.claims import Finding, Verdict
from tunewright.analysis.figures import (
    plot_area,
    plot_critical_difference,
    plot_curves,
    plot_findings,
    plot_importance,
    plot_learning_curves,
    plot_parallel,
    plot_ranks,
    plot_workers,
    save,
)
from tunewright.analysis.figures.style import COLOURS, look_of
from tunewright.analysis.importance import importance
from tunewright.analysis.one_run import one_run
from tunewright.analysis.report import compare, comparison_page
from tunewright.analysis.report.page import Cell
from tunewright.analysis.report.wording import headline
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.cli import main
from tunewright.exceptions import MissingExtraError, SettingsError, UnknownNameError
from tunewright.experiments import Experiment, Limits, method
from tunewright.experiments.plan import run_cell
from tunewright.storage import ExperimentFolder

pytest.importorskip("matplotlib")
Store = Callable[..., ExperimentFolder]


def texts(figure: object) -> str:
    return " | ".join(t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text")))  # type: ignore[attr-defined]


@pytest.fixture
def compared(store: Store) -> None:
    """Two benchmarks, three setups, seven seeds; B is best, and the values of one benchmark are predicted."""
    rng = np.random.default_rng(0)
    for benchmark, goal in (("up", "max"), ("down", "min")):
        table = {"values": "surrogate" if benchmark == "up" else "recorded", "note": "made <up>", "space": {}}
        for seed in range(7):
            for label, level in (("RS", 0.6), ("B", 0.3), ("A & <C>", 0.55)):
                final = level + 0.05 * rng.random()
                values = [0.9, 0.8, final] if goal == "min" else [0.1, 0.2, 1 - final]
                reports = list(zip([1.0, 2.0, 3.0 + level], values, strict=True))
                store(reports, method=label, seed=seed, benchmark=benchmark, goal=goal, table=table)


@pytest.mark.usefixtures("compared")
def test_figures_of_comparisons_say_units_seeds_and_surrogates(tmp_path: Path) -> None:
    every = all_curves(load("t"))
    for kind in ("iqm", "mean", "median"):
        shown = texts(plot_curves(every, kind=kind, log_time=kind == "mean"))
    for text in (
        "up\n(7 seeds, surrogate values)",
        "down\n(7 seeds)",
        "simulated time [s]",
        "(higher is better)",
        "RS",
    ):
        assert text in shown
    assert "mean rank (1 is best)" in texts(plot_ranks(mean_ranks(every)))
    difference = plot_critical_difference(critical_difference(every))
    assert "B  (1.00)" in texts(difference)
    save(plot_area({c.benchmark: anytime_area(c) for c in every}), tmp_path / "area.svg")
    save(difference, tmp_path / "one.svg")
    save(plot_critical_difference(critical_difference(every)), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_setups_differ_in_more_than_their_colour() -> None:
    labels = [str(i) for i in range(24)]
    looks = {tuple(look_of(labels, label).values()) for label in labels}
    assert len(looks) == 24
    assert len(set(COLOURS)) == 8
    assert [time_scale(s)[1] for s in (60, 3600, 36000)] == ["s", "min", "h"]


@pytest.mark.usefixtures("compared")
def test_the_page_is_whole_and_names_what_matters() -> None:
    comparison = compare(load("t"))
    assert comparison.reference == "RS"
    assert headline(comparison).startswith("B has the best mean rank at the end (1.00 of 3)")
    page = comparison_page(comparison, title="t <1>", log_time=True)
    text = repr(page)
    assert "A & <C>" in text
    assert page.title == "Comparison: t <1>"
    assert "up: made <up>" in page.warnings
    assert "is significantly better than" in page.headline
    tables = [section.table for section in page.sections if section.table]
    assert Cell("better", mark="good") in [cell for table in tables for row in table.rows for cell in row]
    charts = [chart for section in page.sections for chart in section.charts]
    assert [chart.kind for chart in charts] == ["lines", "ranks", "lines", "intervals"]
    assert isinstance(charts[0], LineChart)
    assert {panel.x.log for panel in charts[0].panels} == {True}


@pytest.mark.usefixtures("compared")
def test_report_and_compare_from_the_command_line(
    tmp_path: Path,
    tunewright_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> int:
        with pytest.raises(SystemExit) as exited:
            main(arguments)
        return int(exited.value.code or 0)

    few = ("--benchmark", "up", "--method", "RS,B")
    assert call("report", "t", *few, "--out", "own.html") == 0
    assert "Report: " in capsys.readouterr().out
    assert '"title":"down"' not in (tmp_path / "own.html").read_text()
    assert call("report", "t") == 0
    assert (tmp_path / "t.html").exists()
    assert call("report", "t", *few, "--out", str(tmp_path / "no" / "x.html")) == 2
    assert "Cannot write" in capsys.readouterr().err
    assert call("report", "t", "--reference", "BB") == 2
    monkeypatch.chdir(tunewright_home / "experiments" / "t")
    assert call("report", ".", *few) == 0
    assert "<title>Comparison: t</title>" in Path("t.html").read_text()
    capsys.readouterr()
    assert call("report", ",") == 2
    assert "',' names no experiments" in capsys.readouterr().err
    assert call("report", "u") == 2
    assert "Unknown tag or experiment 'u'" in capsys.readouterr().err
    assert call("compare", "t", "--reference", "A & <C>") == 0
    shown = capsys.readouterr().out
    assert "up: 7 seeds; target" in shown
    assert "better" in shown
    assert "Note: up: made <up>" in shown


def test_seeds_that_do_not_pair_and_single_setups_are_told(store: Store) -> None:
    store([(1, 0.5)], method="A", seed=0)
    page = repr(comparison_page(compare(load("t")), title="t"))
    assert "A reached loss 0.5 on toy, 1 seed." in page
    store([(1, 0.4)], method="B", seed=1)
    comparison = compare(load("t"), reference="A")
    assert any("no seed was run with every setup" in w for w in comparison.warnings)
    store([(1, 0.5)], method="A", seed=1)
    comparison = compare(load("t"), reference="A")
    assert "toy: seeds 0 of A have no partner and are not in the tests" in comparison.warnings
    assert any("no difference on a single benchmark can be significant" in w for w in comparison.warnings)
    with pytest.raises(UnknownNameError, match="Unknown setup 'C'"):
        compare(load("t"), setups=["A", "C"])
    with pytest.raises(UnknownNameError, match="Unknown setup 'C'"):
        compare(load("t"), reference="C")


def test_few_seeds_have_no_intervals_and_prove_nothing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(25):
        store([(1, 0.5 + number / 100)], method=f"M{number:02}", cost=0.0)
    comparison = compare(load("t"))
    assert headline(comparison) == (
        "M00 has the best mean rank at the end (1.00 of 25); "
        "1 pair of benchmark and seed is too few to tell it from chance."
    )
    page = repr(comparison_page(comparison, title="t"))
    assert "1 seed;" in page
    assert "0.5 [" not in page
    assert comparison.critical is not None
    assert comparison.ranks is not None
    ranks = plot_critical_difference(comparison.critical)
    assert " 1 | 3 | 5 |" in f" {texts(ranks)} "
    assert "over 1 pair of" in texts(ranks)
    assert plot_ranks(comparison.ranks).axes[0].get_yticks().tolist() == list(range(1, 26, 2))
    last = dict(list(comparison.ranks.bands.items())[-2:])
    few = plot_ranks(replace(comparison.ranks, bands=last))
    assert few.axes[0].get_yticks().max() >= max(band.centre[-1] for band in last.values()) - 2
    with pytest.raises(SystemExit):
        main(["compare", "t"])
    assert "toy: 1 seed; target" in capsys.readouterr().out


def test_ranks_are_over_the_benchmarks_that_all_were_run_on(store: Store) -> None:
    for seed in range(6):
        for number in range(3):
            store([(1, 0.5 + number / 10)], method=f"M{number}", seed=seed)
        store([(1, 0.5)], method="M0", seed=seed, benchmark="once")
    comparison = compare(load("t"))
    assert comparison.ranks is not None
    assert {benchmark for benchmark, _ in comparison.ranks.blocks} == {"toy"}
    assert "Ranks leave out once: not every setup was run there" in comparison.warnings
    assert "Over all benchmarks" not in repr(comparison_page(comparison, title="t"))
    store([(1, 0.5)], method="A0", seed=0)
    legend = plot_curves(list(reversed(all_curves(load("t"))))).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["A0", "M0", "M1", "M2"]


def test_many_that_are_alike_are_not_listed(store: Store) -> None:
    for seed in range(7):
        for number in range(3):
            store([(1, 0.5 + (number - 1) * (-1) ** seed / 100)], method=f"M{number}", seed=seed)
    assert headline(compare(load("t"))) == (
        "M0 has the best mean rank at the end (1.86 of 3); it differs significantly from none of the others."
    )


def test_experiments_without_any_value_are_last(store: Store) -> None:
    for seed in range(6):
        store([(1, float("nan"))], method="A", seed=seed)
        store([(1, 0.4)], method="B", seed=seed)
    comparison = compare(load("t"), reference="A")
    assert [row.label for row in comparison.benchmarks[0].rows] == ["B", "A"]
    assert "better" in repr(comparison_page(comparison, title="t"))


@pytest.fixture
def asha_run() -> ExperimentFolder:
    """A real experiment on the shipped table."""
    result = run_cell(
        Experiment(
            tag="one",
            benchmark=simulated_benchmark("digits"),
            method=method("ASHA", kind="promotion"),
            label="ASHA",
            backend=SimulatedConfig(profile="sagemaker", keep_alive=600),
            limits=Limits(max_num_evaluations=150),
        )
    )
    assert result.status == "stopped", result.error
    assert result.folder is not None
    return result.folder


def test_figures_of_one_experiment(
    asha_run: ExperimentFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = one_run(asha_run)
    assert run.rungs == [1, 3, 9]
    assert {record.worker for record in run.runs} == {0, 1, 2, 3}
    for worker in range(4):
        mine = sorted((r.begin, r.end) for r in run.runs if r.worker == worker)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(mine))
    starts = sorted({round(record.ready - record.begin) for record in run.runs if record.ready is not None})
    assert starts == [20, 130]
    assert "paused at a rung" in texts(plot_learning_curves(run))
    assert "starting" in texts(plot_workers(run))
    assert "learning_rate" in texts(plot_parallel(run))
    found = importance(run)
    assert set(found.mean) == set(simulated_benchmark("digits").space.names)
    assert list(found.mean.values()) == sorted(found.mean.values(), reverse=True)
    assert "of the variance explained" in texts(plot_importance(found, run))
    with pytest.raises(SystemExit) as exited:
        main(["plot", asha_run.name, "--out", str(tmp_path), "--format", "svg", "--figure", "curves,workers"])
    assert not exited.value.code
    assert len(capsys.readouterr().out.splitlines()) == len(list(tmp_path.glob("*.svg"))) == 2


def test_what_one_experiment_lacks_is_said(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store([(1, 0.5), (2, 0.3)], goal="max")
    with pytest.raises(SettingsError, match="needs at least 10 trials"):
        importance(one_run(folder))
    with pytest.raises(UnknownNameError, match="Did you mean 'extra'"):
        one_run(folder, metric="extr")
    with pytest.raises(SystemExit) as exited:
        main(["plot", folder.name, "--out", str(tmp_path), "--metric", "extra"])
    assert not exited.value.code
    assert "Left out importance: Importance needs at least 10 trials" in capsys.readouterr().out
    with pytest.raises(SystemExit) as exited:
        main(["plot", folder.name, "--figure", "importance"])
    assert exited.value.code == 2
    empty = store([], seed=1)
    with pytest.raises(SettingsError, match="has no results yet"):
        one_run(empty)
    bare = store([(1, 0.5)] * 12, seed=2, table={})
    with pytest.raises(SettingsError, match="do not hold its search space"):
        importance(one_run(bare))
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtraError):
        plot_workers(one_run(folder))


def test_the_figure_of_claims_has_a_line_for_each_and_the_bound() -> None:
    shared = {"n_benchmarks": 6, "n_pairs": 12}
    found = {
        "a beats b": Finding(verdict=Verdict.HOLDS, centre=0.8, low=0.7, high=0.9, **shared),
        "b beats c": Finding(verdict=Verdict.OPEN, centre=0.5, low=0.3, high=0.7, **shared),
    }
    axis = plot_findings(found).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(found)
    intervals = [line.get_xdata() for line in axis.get_lines() if len(line.get_xdata()) == 2]
    assert [tuple(ends) for ends in intervals] == [(0.7, 0.9), (0.3, 0.7), (0.5, 0.5)]
