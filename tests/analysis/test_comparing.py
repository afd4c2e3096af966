"""Curves, aggregates, ranks, tests and targets, against values known by hand or from SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tunewright.analysis import (
    aggregate,
    all_curves,
    anytime_area,
    bootstrap,
    critical_difference,
    curves,
    hypervolume,
    hypervolume_curve,
    iqm,
    load,
    losses_of,
    mean_ranks,
    normalised_regret,
    overall_tests,
    paired_tests,
    pareto_mask,
    probability_of_improvement,
    target_of,
    times_to_target,
)
from tunewright.analysis.significance import holm, wilcoxon
from tunewright.exceptions import MissingExtraError, SettingsError, UnknownNameError
from tunewright.metric import Goal, Metric
from tunewright.storage import ExperimentFolder

Store = Callable[..., ExperimentFolder]


def store_two(store: Store, n_seeds: int = 10, *, benchmark: str = "toy") -> None:
    """B is better than A by 0.1 at the end on every seed, and twice as fast."""
    for seed in range(n_seeds):
        noise = seed / 1000
        store([(2, 0.9 + noise), (8, 0.5 + noise)], method="A", seed=seed, benchmark=benchmark, end=10 + seed)
        store([(1, 0.9 + noise), (4, 0.4 + noise)], method="B", seed=seed, benchmark=benchmark)


def test_curves_are_the_best_so_far_on_a_common_grid(store: Store) -> None:
    store([(1, 0.5), (2, np.nan), (3, 0.7), (4, 0.2)])
    store([(3, -np.inf), (5, 0.3)], seed=1, end=20)
    found = curves(load("t"), "toy", n_times=11)
    assert found.times.tolist() == list(range(11))
    first, second = found.setups["A"].losses
    np.testing.assert_array_equal(first, [np.nan, 0.5, 0.5, 0.5, *[0.2] * 7])
    np.testing.assert_array_equal(second, [*[np.nan] * 5, *[0.3] * 6])
    assert found.setups["A"].steps[0].reached(0.2) == 4
    assert found.setups["A"].steps[0].reached(0.1) == np.inf


def test_maximised_metrics_rise_and_other_metrics_can_be_asked_for(store: Store) -> None:
    store([(1, 0.5), (2, 0.8)], goal="max")
    found = curves(load("t"), "toy", n_times=11)
    assert found.display(found.setups["A"].losses)[0, -1] == 0.8
    assert curves(load("t"), "toy", metric="extra", n_times=3).setups["A"].losses[0, -1] == 1
    with pytest.raises(UnknownNameError, match="Did you mean 'extra'"):
        curves(load("t"), "toy", metric="extr")
    with pytest.raises(UnknownNameError, match="Unknown benchmark 'toi'"):
        curves(load("t"), "toi")
    with pytest.raises(UnknownNameError, match="Unknown setup on toy 'C'"):
        curves(load("t"), "toy", setups=["C"])


def test_results_that_break_a_constraint_count_for_no_setup(store: Store) -> None:
    store([(1, 0.5), (2, 0.2), (3, 0.4)], method="A", constraints=["loss>=0.3"])
    store([(1, 0.1), (4, 0.35)], method="B")
    store([(1, 0.1)], method="B", seed=1)
    found = curves(load("t"), "toy", n_times=11)
    assert found.setups["A"].losses[0, -1] == 0.4
    assert found.setups["B"].losses[0, -1] == 0.35
    assert np.isnan(found.setups["B"].losses[1]).all()
    assert found.notes == ("toy: results that break loss>=0.3 do not count, whatever setup had them",)
    store([(1, 0.5)], benchmark="other", constraints=["memory<=1"])
    assert np.isnan(curves(load("t"), "other").setups["A"].losses).all()


def test_what_had_nothing_left_to_do_does_not_shorten_the_others(store: Store) -> None:
    store([(1, 0.5)], status="completed", end=2)
    store([(1, 0.5)], seed=1, end=9)
    assert curves(load("t"), "toy").times[-1] == 9
    assert curves(load("t"), "toy", until=3).times[-1] == 3


def test_what_cannot_be_compared_is_refused(store: Store) -> None:
    store([(1, 0.5)], method="A")
    store([(1, 0.5)], method="B", clock="wall")
    with pytest.raises(SettingsError, match="simulated and some in real time"):
        curves(load("t"), "toy")
    store([(1, 0.5)], benchmark="mixed")
    store([(1, 0.5)], benchmark="mixed", metric="other")
    with pytest.raises(SettingsError, match=r"differ in their metrics or goals, as .* delete the others"):
        curves(load("t"), "mixed")
    store([(1, 0.5)], benchmark="lacks")
    results = load("t", where={"benchmark": "lacks"}).with_metric("new", lambda c: c.time)
    store([(1, 0.4)], benchmark="lacks", seed=1)
    results = results.joined(load("t", where={"benchmark": "lacks", "seed": 1}))
    with pytest.raises(SettingsError, match="1 experiment on lacks does not report 'new'"):
        curves(results, "lacks", metric="new")


def test_repeated_and_unfinished_experiments_are_said(store: Store) -> None:
    store([(1, 0.5)])
    store([(1, 0.4)])
    store([(1, 0.1)], status=None)
    store([(1, 0.3)], seed=1, status="interrupted")
    found = curves(load("t"), "toy")
    assert found.setups["A"].losses[:, -1].tolist() == [0.4, 0.3]
    assert "2 older experiments" in found.notes[0]
    assert "1 experiment is not finished" in found.notes[1]


def test_iqm_and_its_interval() -> None:
    values = np.random.default_rng(0).normal(size=(3, 23))
    np.testing.assert_allclose(iqm(values), stats.trim_mean(values, 0.25, axis=1))
    low, high = bootstrap(values, iqm)
    assert (low < iqm(values)).all()
    assert (iqm(values) < high).all()
    again = bootstrap(values, iqm)
    np.testing.assert_array_equal(again[0], low)
    reference = stats.bootstrap((values[0],), iqm, method="percentile", n_resamples=4000, rng=1)
    assert abs(reference.confidence_interval.low - low[0]) < 0.1


@pytest.mark.parametrize("kind", ["iqm", "mean", "median"])
def test_bands_begin_where_every_seed_has_a_value(kind: str) -> None:
    values = np.array([[np.nan, 1.0, 2.0], [0.5, 3.0, 4.0], [0.5, 5.0, 6.0]])
    band = aggregate(values, kind)
    assert np.isnan(band.centre[0])
    assert band.centre[1:].tolist() == [3, 4]
    assert band.n == 3
    assert (band.low[1:] <= band.centre[1:]).all()
    assert aggregate(values[:1, 1:], kind).low.tolist() == [1, 2]


def test_tests_are_scipys_with_holms_correction(store: Store) -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=12), rng.normal(0.4, size=12)
    for seed in range(12):
        store([(1, float(first[seed]))], method="A", seed=seed)
        store([(1, float(second[seed]))], method="B", seed=seed)
    (test,) = paired_tests(curves(load("t"), "toy"))
    assert test.p == pytest.approx(scipys(first - second))
    assert test.wins == (first < second).sum()
    assert test.n_pairs == 12
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert wilcoxon(np.zeros(5)) == 1.0


def scipys(differences: Any, **options: Any) -> float:
    found: Any = stats.wilcoxon(differences, **options)
    return float(found.pvalue)


def test_ties_and_many_pairs_are_tested_as_scipy_does() -> None:
    rng = np.random.default_rng(5)
    tied = rng.integers(-4, 8, 11).astype(float)
    every = stats.PermutationMethod(n_resamples=3000)
    assert wilcoxon(tied) == pytest.approx(scipys(tied[tied != 0], method=every))
    assert wilcoxon(np.full(6, 0.5)) == pytest.approx(2 / 2**6)
    many = rng.normal(0.2, size=80)
    assert wilcoxon(many) == pytest.approx(scipys(many))
    assert wilcoxon(many[:50]) == pytest.approx(scipys(many[:50], method="exact"))


def test_a_clear_difference_is_significant_and_seeds_without_partner_are_named(store: Store) -> None:
    store_two(store)
    store([(1, 0.0)], method="A", seed=77)
    found = curves(load("t"), "toy")
    (test,) = paired_tests(found)
    assert (test.better, test.n_pairs, test.losses) == ("B", 10, 10)
    assert test.difference == pytest.approx(0.1)
    assert "toy: seeds 77 of A have no partner and are not in the tests" in found.paired().notes
    (other,) = paired_tests(found, reference="B")
    assert (other.first, other.better) == ("B", "B")
    with pytest.raises(UnknownNameError):
        paired_tests(found, reference="C")
    store([(1, 0.5)], method="A", benchmark="apart", seed=0)
    store([(1, 0.5)], method="B", benchmark="apart", seed=1)
    with pytest.raises(SettingsError, match="no seed was run with every setup"):
        curves(load("t"), "apart").paired()


def test_ranks_and_critical_differences_over_benchmarks(store: Store) -> None:
    for benchmark in ("one", "two"):
        store_two(store, benchmark=benchmark)
        for seed in range(10):
            store([(1, 0.4 + seed / 1000)], method="C", seed=seed, benchmark=benchmark)
    every = all_curves(load("t"))
    ranks = mean_ranks(every)
    assert len(ranks.blocks) == 20
    assert ranks.bands["A"].centre[-1] == 3
    assert ranks.bands["B"].centre[-1] == ranks.bands["C"].centre[-1] == 1.5
    assert ranks.bands["A"].centre[0] == 2  # nobody has anything yet
    found = critical_difference(every)
    assert list(found.ranks.values()) == [1.5, 1.5, 3]
    assert found.groups == (("B", "C"),)
    assert found.p_friedman < 0.001
    assert {t.better for t in overall_tests(every, reference="A")} == {"B", "C"}
    with pytest.raises(SettingsError, match="two setups"):
        mean_ranks(all_curves(load("t"), setups=["A"]))
    store([(1, 0.4)], method="D", benchmark="one")
    with pytest.raises(SettingsError, match="Not every setup"):
        mean_ranks(all_curves(load("t")))


def test_regret_and_area_are_between_the_start_and_the_best(store: Store) -> None:
    store_two(store)
    found = curves(load("t"), "toy")
    regret = normalised_regret(found)
    assert min(r[:, -1].min() for r in regret.values()) == pytest.approx(0.0)
    assert np.nanmax(regret["A"]) == pytest.approx(1.0, abs=0.02)
    area = anytime_area(found)
    assert area["B"].max() < area["A"].min()


def test_time_to_target_and_speed_up(store: Store) -> None:
    store_two(store, 9)
    found = curves(load("t"), "toy")
    assert target_of(found, "A") == pytest.approx(0.504)
    reached = times_to_target(found, reference="A")
    assert (reached["A"].median, reached["A"].speed_up) == (8, 1)
    assert (reached["B"].median, reached["B"].speed_up, reached["B"].share) == (4, 2, 1)
    assert reached["B"].low <= 2 <= reached["B"].high
    never = times_to_target(found, reference="A", target=0.45)
    assert never["A"].share == 0
    assert never["B"].speed_up == np.inf
    with pytest.raises(UnknownNameError):
        times_to_target(found, reference="C")


def test_probability_of_improvement(store: Store) -> None:
    store_two(store)
    every = all_curves(load("t"))
    found = probability_of_improvement(every, "B", "A")
    assert (found.probability, found.low, found.high) == pytest.approx((1, 1, 1))
    assert probability_of_improvement(every, "A", "A").probability == 0.5
    with pytest.raises(UnknownNameError):
        probability_of_improvement(every, "A", "C")


def test_pareto_sets(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.array([[1, 5], [2, 3], [3, 4], [2, 3], [np.inf, 0], [5, 1.0]])
    assert pareto_mask(points).tolist() == [True, True, False, True, False, True]
    rng = np.random.default_rng(0).random((60, 3))
    brute = [not ((rng <= p).all(1) & (rng < p).any(1)).any() for p in rng]
    assert pareto_mask(rng).tolist() == brute
    store([(1, 0.5), (2, 0.8)], goal="max")
    (columns,) = load("t").columns
    metrics = [Metric("loss", Goal.MAXIMIZE), Metric("extra")]
    assert losses_of(columns, metrics).tolist() == [[-0.5, 1], [-0.8, 2]]
    with pytest.raises(UnknownNameError):
        losses_of(columns, [Metric("absent")])
    with pytest.raises(SettingsError, match="2 objectives"):
        hypervolume(points[:, :2], [1.0])
    assert hypervolume(np.array([[1.0, 3.0], [2.0, 1.0], [np.nan, 0.0]]), [4.0, 4.0]) == 3 * 1 + 2 * 2
    curve = hypervolume_curve(columns, metrics, [0.0, 3.0], np.array([0.0, 1.0, 2.0]))
    assert curve.tolist() == pytest.approx([0.0, 0.5 * 2, 0.5 * 2 + 0.3 * 1])
    four = np.array([[0.0, 0.5, 0.5, 0.5], [np.nan, 0.0, 0.0, 0.0]])
    assert hypervolume(four, [1.0] * 4) == pytest.approx(0.125)
    monkeypatch.setitem(__import__("sys").modules, "moocore", None)
    with pytest.raises(MissingExtraError, match=r"\[moo\]'"):
        hypervolume(four, [1.0] * 4)
