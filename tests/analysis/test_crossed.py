"""Comparisons over several benchmarks: benchmarks and seeds as factors, scales, and setups that repeat one another."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.analysis import (
    Over,
    all_curves,
    anytime_area,
    critical_difference,
    curves,
    equal_setups,
    final_regrets,
    hypervolume_curves,
    load,
    mean_ranks,
    normalised_regret,
    overall_tests,
    probability_of_improvement,
)
from tunewright.analysis.aggregate import crossed_weights
from tunewright.analysis.report import compare, comparison_page
from tunewright.analysis.report.wording import headline
from tunewright.cli import main
from tunewright.storage import ExperimentFolder

Store = Callable[..., ExperimentFolder]


def store_tasks(
    store: Store, differences: list[float], n_seeds: int = 10, *, is_mixed: bool = True, noise: float = 0.01
) -> None:
    """B is better than A by these differences, plus noise, on as many benchmarks; all begin at 1, the best is 0."""
    rng = np.random.default_rng(0)
    for number, difference in enumerate(differences):
        name = f"b{number:02}"
        for seed in range(n_seeds):
            draws: dict[str, Any] = {"effective_seed": 1000 * number + seed} if is_mixed else {}
            loss = 0.5 + noise * rng.normal()
            store([(1, 1.0), (5, loss)], method="A", seed=seed, benchmark=name, **draws)
            better = loss - difference + noise * rng.normal()
            store([(1, 1.0), (5, better)], method="B", seed=seed, benchmark=name, **draws)
            store([(1, 1.0), (5, 0.0)], method="Zero", seed=seed, benchmark=name, **draws)


# --- two factors


def test_benchmarks_are_drawn_first_and_then_seeds() -> None:
    rng = np.random.default_rng(0)
    levels = rng.normal(size=6)
    values = levels[:, None] + 0.1 * rng.normal(size=(6, 10))
    weights = crossed_weights([10] * 6, n_samples=4000)
    assert weights.shape == (4000, 60)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    spread = (weights @ values.ravel()).std()
    assert spread == pytest.approx(levels.std() / np.sqrt(6), rel=0.1), (
        "that of six benchmarks, not of 60 runs"
    )
    whole = weights.reshape(4000, 6, 10)
    drawn = whole[0, whole[0].sum(axis=1) > 0]
    np.testing.assert_allclose(
        drawn / drawn.sum(axis=1, keepdims=True), np.tile(drawn[0] / drawn[0].sum(), (len(drawn), 1))
    )
    single = crossed_weights([10], n_samples=4000)
    assert (single @ values[0]).std() == pytest.approx(values[0].std() / np.sqrt(10), rel=0.1)
    assert crossed_weights([3, 5, 1], n_samples=7).shape == (7, 9)


def test_ranks_count_benchmarks_alike_and_are_as_sure_as_their_number(store: Store) -> None:
    """B is ahead on one benchmark of three; ten seeds each do not make thirty benchmarks of it."""
    store_tasks(store, [0.3, -0.3, -0.3])
    found = mean_ranks(all_curves(load("t")))
    band = found.bands["B"]
    assert band.centre[-1] == pytest.approx(1.5 * 0 + (2 + 3 + 3) / 3)
    assert (band.low[-1], band.high[-1]) == pytest.approx((2, 3))
    for seed in range(10, 40):
        for method, loss in (("A", 0.5), ("B", 0.2), ("Zero", 0.0)):
            store([(1, 1.0), (5, loss)], method=method, seed=seed, benchmark="b00")
    many = mean_ranks(all_curves(load("t"))).bands["B"].centre[-1]
    assert many == pytest.approx(band.centre[-1]), "forty seeds weigh as much as ten"


def test_with_few_benchmarks_a_difference_holds_for_these(store: Store) -> None:
    store_tasks(store, [0.2, 0.2, 0.2], n_seeds=4)
    every = all_curves(load("t"))
    (test,) = overall_tests(every, reference="A")[:1]
    assert (test.first, test.second, test.over, test.n_pairs) == ("A", "B", Over.RUNS, 12)
    assert test.better == "B"
    (test,) = overall_tests(every, reference="A", over="benchmarks")[:1]
    assert (test.n_pairs, test.p, test.better) == (3, 0.25, None), "three benchmarks say nothing about others"
    comparison = compare(load("t"), reference="A")
    assert "on these 3 benchmarks" in headline(comparison)
    assert "on these 3 benchmarks" in repr(comparison_page(comparison, title="t"))


def test_a_seed_that_draws_the_same_on_all_benchmarks_is_one_pair(store: Store) -> None:
    store_tasks(store, [0.2, 0.2, 0.2], n_seeds=4, is_mixed=False)
    every = all_curves(load("t"))
    (test,) = overall_tests(every, reference="A")[:1]
    assert (test.over, test.n_pairs, test.better) == (Over.SEEDS, 4, None)
    comparison = compare(load("t"), reference="A")
    assert any("One seed draws the same" in warning for warning in comparison.warnings)
    assert "4 seeds are too few" in headline(comparison)


def test_so_it_is_on_many_benchmarks(store: Store) -> None:
    store_tasks(store, [0.2] * 8, n_seeds=3, is_mixed=False)
    found = critical_difference(all_curves(load("t")))
    assert (found.over, found.n_pairs) == (Over.SEEDS, 3), "what a seed draws is common to all benchmarks"


def test_with_many_benchmarks_the_pairs_are_benchmarks(store: Store) -> None:
    store_tasks(store, [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1, 0.2], n_seeds=2)
    found = critical_difference(all_curves(load("t")))
    assert (found.over, found.n_pairs) == (Over.BENCHMARKS, 8)
    test = next(test for test in found.tests if {test.first, test.second} == {"A", "B"})
    assert (test.n_pairs, test.p, test.better) == (8, 2 / 2**8, "B")
    assert test.difference == pytest.approx(0.2, abs=0.03)
    assert "these" not in headline(compare(load("t")))


def test_the_terminal_shows_ranks_and_regrets_over_all_benchmarks(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store_tasks(store, [0.1, 0.2], n_seeds=3)
    with pytest.raises(SystemExit):
        main(["compare", "t", "--reference", "A"])
    shown = capsys.readouterr().out
    assert "Over 2 benchmarks; tests over 6 pairs of benchmark and seed" in shown
    assert "median regret" in shown
    assert "difference to A" in shown


def test_the_probability_of_improvement_draws_benchmarks(store: Store) -> None:
    store_tasks(store, [0.2, -0.2])
    found = probability_of_improvement(all_curves(load("t")), "B", "A")
    assert (found.probability, found.low, found.high) == pytest.approx((0.5, 0, 1))


def test_regrets_over_all_benchmarks_have_medians_and_means(store: Store) -> None:
    store_tasks(store, [0.1, 0.2, 0.3])
    found = final_regrets(all_curves(load("t")), reference="A")
    assert found["A"].mean.centre[0] == pytest.approx(0.5, abs=0.02)
    assert found["B"].mean.centre[0] == pytest.approx(0.3, abs=0.02)
    assert found["B"].median == pytest.approx(0.3, abs=0.03)
    difference = found["B"].difference
    assert difference is not None
    assert difference.centre[0] == pytest.approx(-0.2, abs=0.02)
    assert (difference.low[0], difference.high[0]) == pytest.approx((-0.3, -0.1), abs=0.03)
    assert found["A"].difference is None


# --- setups that repeat one another


def store_repeated(store: Store, *, benchmarks: tuple[str, ...] = ("one", "two")) -> None:
    for benchmark in benchmarks:
        for seed in range(6):
            for method in ("KDE", "REA", "RS"):
                store([(1, 1.0), (5, 0.5 + seed / 100)], method=method, seed=seed, benchmark=benchmark)
            store([(1, 1.0), (5, 0.4 + seed / 100)], method="A", seed=seed, benchmark=benchmark)


def test_setups_with_equal_curves_count_once(store: Store) -> None:
    store_repeated(store)
    every = all_curves(load("t"))
    assert equal_setups(every, prefer="RS") == {"A": (), "RS": ("KDE", "REA")}
    ranks = mean_ranks(every)
    assert {label: band.centre[-1] for label, band in ranks.bands.items()} == {"A": 1, "KDE": 2}
    assert ranks.equal == {"A": (), "KDE": ("REA", "RS")}
    comparison = compare(load("t"))
    assert comparison.critical is not None
    assert list(comparison.critical.ranks) == ["A", "RS"]
    assert len(comparison.critical.tests) == 1
    (note,) = (warning for warning in comparison.warnings if "KDE" in warning)
    assert (
        note
        == "KDE and REA had the same curve as RS in every run: they count once in ranks, tests and scales"
    )
    page = repr(comparison_page(comparison, title="t"))
    assert note in page
    assert "RS (= KDE, REA)" in page
    rows = {row.label: row for row in comparison.benchmarks[0].rows}
    assert len(rows) == 4
    assert len(comparison.benchmarks[0].tests) == 1
    assert (rows["KDE"].equal_to, rows["KDE"].test, rows["A"].equal_to) == ("RS", None, None)
    assert rows["A"].test is not None
    assert "as RS" in page
    for benchmark in ("one", "two"):
        store([(1, 1.0), (5, 0.45)], method="KDE", seed=7, benchmark=benchmark)
    assert equal_setups(all_curves(load("t")), prefer="RS") == {"A": (), "KDE": (), "RS": ("REA",)}


def test_repeated_setups_do_not_move_the_scale(store: Store) -> None:
    for seed in range(6):
        store([(1, 0.9), (5, 0.2)], method="A", seed=seed)
        for method in ("RS", "REA", "KDE"):
            store([(1, 0.5 + seed / 100), (5, 0.4)], method=method, seed=seed)
    scale = curves(load("t"), "toy").scale
    assert (scale.best, scale.start) == pytest.approx(
        (0.2, np.median([0.9] * 6 + [0.5 + s / 100 for s in range(6)]))
    )


# --- scales


def test_the_scale_does_not_depend_on_the_setups_that_are_shown(store: Store) -> None:
    for seed in range(6):
        store([(1, 1.0), (5, 0.5)], method="A", seed=seed)
        store([(1, 0.9), (5, 0.4 + seed / 100)], method="B", seed=seed)
        store([(1, 0.8), (5, 0.1)], method="Best", seed=seed)
    results = load("t")
    whole, part = curves(results, "toy"), curves(results, "toy", setups=["A", "B"])
    assert (whole.scale.best, whole.scale.start) == (0.1, 0.9)
    assert part.scale == whole.scale
    for label, regret in normalised_regret(part).items():
        np.testing.assert_array_equal(regret, normalised_regret(whole)[label])
    np.testing.assert_array_equal(anytime_area(part)["A"], anytime_area(whole)["A"])
    shown, all_of_them = compare(results, setups=["A", "B"]), compare(results)
    assert [row.label for row in shown.benchmarks[0].rows] == ["B", "A"]
    areas = {row.label: row.area for row in all_of_them.benchmarks[0].rows}
    assert {row.label: row.area for row in shown.benchmarks[0].rows} == {k: areas[k] for k in ("A", "B")}


def test_neither_does_that_of_several_objectives(store: Store) -> None:
    for seed in range(2):
        store([(1, 0.9), (2, 0.5)], method="A", seed=seed)
        store([(1, 0.8), (2, 0.4)], method="B", seed=seed)
        store([(0.5, 0.1)], method="Best", seed=seed)
    results = load("t")
    whole = hypervolume_curves(results, "toy", metrics=["loss", "extra"])
    part = hypervolume_curves(results, "toy", metrics=["loss", "extra"], setups=["A", "B"])
    assert list(part.setups) == ["A", "B"]
    assert part.scale == whole.scale
    np.testing.assert_array_equal(part.setups["A"].losses, whole.setups["A"].losses)


def test_regret_is_capped_at_the_value_of_an_untrained_model(store: Store) -> None:
    table = {"values": "recorded", "note": "", "space": {}, "untrained": {"accuracy": 0.5}}
    for seed, (bad, good) in enumerate([(-1e6, 0.7), (0.2, 0.8), (0.6, 0.9)]):
        for method, final in (("A", bad), ("B", good)):
            reports = [(1.0, bad), (5.0, final)]
            store(reports, method=method, seed=seed, metric="accuracy", goal="max", table=table)
    found = curves(load("t"), "toy")
    assert (found.scale.best, found.scale.start, found.scale.cap) == (-0.9, -0.5, -0.5)
    regret = normalised_regret(found)
    np.testing.assert_allclose(regret["A"][:, -1], [1, 1, 0.75])
    np.testing.assert_allclose(regret["B"][:, -1], [0.5, 0.25, 0.0])


# --- the same in every process

_SCRIPT = """
from tunewright.analysis import load
from tunewright.analysis.report import compare

found = compare(load("t"))
print(found.ranks, found.critical, found.improvements, found.regrets, found.warnings)
print([(row.label, row.final, row.area, row.target, row.test) for part in found.benchmarks for row in part.rows])
"""


def test_intervals_are_the_same_in_every_process(
    store: Store, tunewright_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_tasks(store, [0.01, 0.02, -0.01], n_seeds=3)
    for number in range(3):
        for label in ("a", "b", "zero"):  # beside A, B and Zero: their order is one of letters, not of hashes
            for seed in range(3):
                loss = 0.4 + len(label) / 100
                store([(1, 1.0), (5, loss)], method=label, seed=seed, benchmark=f"b{number:02}")
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    runpy.run_path(str(script))  # the hashes of texts have a random seed here
    shown = capsys.readouterr().out
    assert len(shown) > 1000
    elsewhere = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONHASHSEED": "1", "TUNEWRIGHT_HOME": str(tunewright_home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert elsewhere == shown


def test_intervals_do_not_depend_on_the_order_of_making(store: Store) -> None:
    rng = np.random.default_rng(0)
    values = {(b, m, s): rng.random() for b in ("x", "y", "z") for m in ("A", "B") for s in range(5)}
    for tag, keys in (("first", list(values)), ("second", list(reversed(values)))):
        for benchmark, method, seed in keys:
            loss = values[benchmark, method, seed]
            store([(1, 1.0), (5, loss)], method=method, seed=seed, benchmark=benchmark, tag=tag)
    first, second = (compare(load(tag)) for tag in ("first", "second"))
    assert [part.curves.benchmark for part in second.benchmarks] == ["x", "y", "z"]
    assert first.improvements == second.improvements
    assert str(first.ranks) == str(second.ranks)
    assert str(first.regrets) == str(second.regrets)
