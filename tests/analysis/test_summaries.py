"""Runs in short, and claims about them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tunewright.analysis import load, mean_ranks
from tunewright.analysis.claims import Contrast, Measure, Verdict, evaluate, lead_of
from tunewright.analysis.summaries import (
    SHARES,
    BenchmarkSummary,
    RunSummary,
    SetupSummary,
    curves_of,
    merged,
    read_summaries,
    summarise,
    write_summaries,
)
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, ExperimentPlan, Limits, method, run_plan
from tunewright.metric import Goal


def summary(setups: dict[str, list[list[float]]], *, seconds: float = 100.0) -> BenchmarkSummary:
    """A benchmark with the losses of each setup and seed at a tenth, a quarter, half and all of the time."""
    return BenchmarkSummary(
        metric="loss",
        goal=Goal.MINIMIZE,
        values="recorded",
        until=100.0,
        untrained=1.0,
        setups={
            label: SetupSummary(
                runs=tuple(
                    RunSummary(seed, 10, seconds * (1 + i), 0.5, tuple(losses))
                    for seed, losses in enumerate(runs)
                )
            )
            for i, (label, runs) in enumerate(setups.items())
        },
    )


def ground(n_tasks: int = 6, n_seeds: int = 4) -> dict[str, BenchmarkSummary]:
    """``fast`` is as good at a tenth of the time as ``slow`` at its end; ``even`` beats ``slow`` on every other task and seed."""
    found = {}
    for task in range(n_tasks):
        noise = np.random.default_rng(task).uniform(0, 0.01, (3, n_seeds, 1))
        fast = np.array([0.3, 0.25, 0.2, 0.1]) + noise[0]
        slow = np.array([0.9, 0.8, 0.6, 0.4]) + noise[1]
        even = slow + np.array([(-1) ** (task + seed) * 0.05 for seed in range(n_seeds)])[:, None]
        found[f"task{task}"] = summary({"fast": fast.tolist(), "slow": slow.tolist(), "even": even.tolist()})
    return found


def test_a_summary_of_runs_has_their_losses_at_shares_of_the_time(
    tunewright_home: Path, tmp_path: Path
) -> None:
    digits = simulated_benchmark("digits")
    shared = Experiment(
        tag="short",
        benchmark=digits,
        method=method("RandomSearch"),
        label="RS",
        backend=SimulatedConfig(profile="ideal"),
        limits=Limits(max_wallclock_time=8.0),
    )
    methods = {"RS": method("RandomSearch"), "ASHA": method("ASHA")}
    run_plan(ExperimentPlan.product(shared, methods=methods, benchmarks=[digits], seeds=range(2)))
    results = load("short")
    found = summarise(results, "digits")
    for label, setup in found.setups.items():
        for run in setup.runs:
            part = results.where(method=label, seed=run.seed)
            assert run.n_trials == part.infos[0].totals.n_trials
            for share, loss in zip(SHARES, run.losses, strict=True):
                known = part.columns[0].metrics["accuracy"][part.columns[0].time <= share * 8.0]
                assert loss == (pytest.approx(-known.max(), rel=1e-6) if len(known) else None)
    path = tmp_path / "a.json"
    write_summaries(path, {"digits": found})
    assert read_summaries(path) == {"digits": found}
    first = path.read_bytes()
    write_summaries(path, merged(read_summaries(path), {"digits": found}))
    assert path.read_bytes() == first


def test_a_new_run_replaces_the_old_one_and_others_stay() -> None:
    old, new = summary({"a": [[4.0] * 4, [3.0] * 4]}), summary({"a": [[2.0] * 4], "b": [[1.0] * 4]})
    joined = merged({"x": old}, {"x": new})["x"]
    assert [run.losses[-1] for run in joined.setups["a"].runs] == [2.0, 3.0]
    assert set(joined.setups) == {"a", "b"}
    other = BenchmarkSummary(metric="x", goal=Goal.MINIMIZE, values="recorded", until=100.0, setups={})
    with pytest.raises(SettingsError, match="different metrics"):
        merged({"x": old}, {"x": other})


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    assert read_summaries(tmp_path / "none.json") == {}
    (tmp_path / "a.json").write_text('{"x": 1}')
    with pytest.raises(SettingsError, match="holds no summaries"):
        read_summaries(tmp_path / "a.json")


def test_ranks_of_summaries_are_those_of_their_losses() -> None:
    every = [curves_of(one, name) for name, one in ground().items()]
    ranks = mean_ranks(every, shares=np.array(SHARES))
    assert ranks.bands["fast"].centre.tolist() == [1.0] * 4
    assert ranks.bands["slow"].centre[-1] == pytest.approx(2.5, abs=0.2)


@pytest.mark.parametrize(
    ("contrast", "verdict", "centre"),
    [
        (Contrast(first="fast", second="slow"), Verdict.HOLDS, 1.0),
        (Contrast(first="slow", second="fast"), Verdict.FAILS, 0.0),
        (Contrast(first="fast", second="slow", share_of_first=0.1), Verdict.HOLDS, 1.0),
        (Contrast(first="slow", second="fast", share_of_first=0.1), Verdict.FAILS, 0.0),
        (Contrast(first="even", second="slow"), Verdict.OPEN, 0.5),
        (Contrast(first="fast", second="slow", measure=Measure.REGRET), Verdict.HOLDS, -0.333),
        (Contrast(first="fast", second="slow", measure=Measure.REGRET, bound=-0.5), Verdict.FAILS, -0.333),
        (Contrast(first="fast", second="slow", measure=Measure.SECONDS), Verdict.HOLDS, 0.5),
        (Contrast(first="fast", second="slow", measure=Measure.SECONDS, bound=0.4), Verdict.FAILS, 0.5),
    ],
)
def test_the_interval_decides_a_claim(contrast: Contrast, verdict: Verdict, centre: float) -> None:
    found = evaluate(contrast, ground())
    assert found.verdict is verdict
    assert found.centre == pytest.approx(centre, abs=0.01)
    assert found.low <= found.centre <= found.high
    assert (found.n_benchmarks, found.n_pairs) == (6, 24)


@pytest.mark.parametrize(("n_tasks", "n_seeds"), [(2, 9), (9, 1), (3, 1), (0, 0)])
def test_few_runs_decide_nothing(n_tasks: int, n_seeds: int) -> None:
    assert evaluate(Contrast(first="fast", second="slow"), ground(n_tasks, n_seeds)).verdict is Verdict.OPEN


def test_a_claim_needs_runs_of_both_with_one_seed() -> None:
    one = ground(1)["task0"]
    apart = {"fast": one.setups["fast"], "slow": SetupSummary(runs=one.setups["slow"].runs[:0])}
    lone = BenchmarkSummary(
        metric="loss", goal=Goal.MINIMIZE, values="recorded", until=100.0, setups={"fast": apart["fast"]}
    )
    assert evaluate(Contrast(first="fast", second="slow"), {"a": lone}).n_pairs == 0
    with pytest.raises(SettingsError, match=r"not at 0\.3"):
        evaluate(Contrast(first="fast", second="slow", share_of_first=0.3), {})


def test_the_lead_names_who_is_ahead_and_who_is_so_significantly() -> None:
    every = [curves_of(one, name) for name, one in ground(12).items()]
    first, last = lead_of(every, "fast"), lead_of(every, "slow")
    assert (first.is_first, first.rank, first.n_setups) == (True, 1.0, 3)
    assert (last.is_first, last.best, last.best_rank) == (False, "fast", 1.0)
    early = [curves_of(one, name, share=0.1) for name, one in ground(12).items()]
    assert [curves.times[-1] for curves in early] == [10.0] * 12
    assert lead_of(early, "fast").is_first


def test_order_of_benchmarks_and_setups_changes_no_figure() -> None:
    straight = ground()
    turned = dict(itertools.islice(reversed(straight.items()), None))
    contrast = Contrast(first="even", second="slow", measure=Measure.REGRET)
    assert evaluate(contrast, straight) == evaluate(contrast, turned)
