"""Comparisons where values are skewed, missing, alike or measured over unequal times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tunewright.analysis import (
    anytime_area,
    curves,
    load,
    mean_ranks,
    normalised_regret,
    overall_tests,
    paired_tests,
    times_to_target,
)
from tunewright.exceptions import SettingsError
from tunewright.storage import ExperimentFolder

Store = Callable[..., ExperimentFolder]


def test_the_better_setup_is_the_one_that_the_ranks_speak_for(store: Store) -> None:
    """A loses 31 pairs by little and wins 29 by much: the signed ranks, and so the p-value, speak for A."""
    losses = [*range(1, 32), *range(-32, -61, -1)]
    for seed, loss in enumerate(losses):
        store([(1, float(loss))], method="A", seed=seed)
        store([(1, 0.0)], method="B", seed=seed)
    found = curves(load("t"), "toy", n_times=3)
    (test,) = paired_tests(found)
    assert (test.wins, test.losses) == (29, 31)
    assert test.is_significant
    assert test.better == "A"
    assert test.effect == pytest.approx((496 - 1334) / 1830)
    (mirrored,) = paired_tests(found, reference="B")
    assert (mirrored.better, mirrored.effect) == ("A", -test.effect)


def test_a_run_without_results_costs_its_setup_and_nobody_else(store: Store) -> None:
    for seed in range(8):
        reports = [] if seed == 3 else [(1, 0.9), (5, 0.1 + seed / 100)]
        store(reports, method="A", seed=seed)
        store([(1, 1.0), (5, 0.5 + seed / 100)], method="B", seed=seed)
    found = curves(load("t"), "toy", n_times=11)
    regret = normalised_regret(found)
    np.testing.assert_allclose(regret["A"][[0, 7], -1], [0.0, 0.07 / 0.9])
    assert np.isnan(regret["A"][3]).all()
    assert anytime_area(found)["A"][3] == 1.0
    (test,) = overall_tests([found])
    assert (test.wins, test.losses) == (7, 1)


def test_a_start_that_is_the_best_does_not_blow_up_the_scale(store: Store) -> None:
    for seed, loss in enumerate([0.0, 0.0, 0.0, 1.0]):
        store([(1, loss)], method="A", seed=seed)
    found = curves(load("t"), "toy", n_times=11)
    assert normalised_regret(found)["A"][:, -1].tolist() == [0, 0, 0, 1]
    store([(1, 0.0)], method="A", benchmark="flat")
    store([(1, 0.0)], method="B", benchmark="flat")
    assert anytime_area(curves(load("t"), "flat", n_times=2))["A"].tolist() == [0.5]


def test_setups_of_different_benchmarks_are_never_paired(store: Store) -> None:
    for seed in range(6):
        store([(1, 0.1)], method="A", seed=seed, benchmark="one")
        store([(1, 0.2)], method="B", seed=seed, benchmark="two")
    every = [curves(load("t"), name) for name in ("one", "two")]
    with pytest.raises(SettingsError, match="Not every setup was run on every benchmark"):
        overall_tests(every)
    for compared in (overall_tests, mean_ranks):
        with pytest.raises(SettingsError, match="no benchmark"):
            compared([])


def test_a_target_that_the_reference_never_reached_is_none(store: Store) -> None:
    for seed in range(3):
        store([] if seed else [(1, 0.5)], method="RS", seed=seed)
        store([(2, 0.4)], method="A", seed=seed)
    found = times_to_target(curves(load("t"), "toy"), reference="RS")
    assert [found[label].share for label in ("RS", "A")] == [0, 0]
    assert np.isnan(found["A"].speed_up)
    assert found["A"].median == np.inf


def test_one_short_experiment_is_named_where_it_shortens_all(store: Store) -> None:
    store([(1, 0.5)], end=100)
    short = store([(1, 0.5)], seed=1, end=20)
    note = f"toy: unequal budgets: compared after 20 s, where {short.name} ended, although others ran for up to 100 s"
    assert [n for n in curves(load("t"), "toy").notes if n.startswith(note)]
    assert curves(load("t"), "toy", until=22).notes == ()
    assert curves(load("t", where={"seed": 0}), "toy").notes == ()


def test_a_metric_named_like_a_column_does_not_take_its_place(store: Store) -> None:
    pytest.importorskip("pandas")
    store([(1, 0.5), (2, 0.4)], metric="time")
    frame = load("t").frame()
    assert frame.time.tolist() == [1, 2]
    assert frame.metric_time.tolist() == [0.5, 0.4]


def test_the_newest_experiment_counts_in_whatever_order_tags_are_named(store: Store) -> None:
    store([(1, 0.5)], tag="b")
    store([(1, 0.3)], tag="a")
    for tags in (["a", "b"], ["b", "a"]):
        results = load(tags)
        assert [info.tag for info in results.infos] == ["b", "a"]
        assert curves(results, "toy").setups["A"].losses[0, -1] == 0.3
