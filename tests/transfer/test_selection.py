"""Portfolios, boxes and scores from earlier tasks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tunewright.exceptions import SettingsError
from tunewright.space import Categorical, FiniteRange, Float, Integer, Ordinal, SearchSpace
from tunewright.testing.histories import earlier_evaluations
from tunewright.testing.spaces import ALL_TYPES, CONTINUOUS, SPACES
from tunewright.transfer.box import bounding_box, shrunk
from tunewright.transfer.evaluations import Task, TransferEvaluations
from tunewright.transfer.task_models import normal_scores
from tunewright.transfer.zero_shot import greedy_portfolio, zero_shot_configs
from tunewright.types import Config


@settings(deadline=None, max_examples=60)
@given(arrays(np.float64, (3, 7), elements=st.floats(0.0, 1.0)), st.integers(1, 4))
def test_greedy_portfolios_are_as_good_as_submodularity_promises(ranks: np.ndarray, n: int) -> None:
    def gain(chosen: list[int]) -> float:
        return float((1.0 - ranks[:, chosen].min(axis=1)).mean())

    chosen = greedy_portfolio(ranks, n)
    assert len(set(chosen)) == n
    assert ranks[:, chosen[0]].mean() == ranks.mean(axis=0).min()
    optimal = max(gain(list(some)) for some in combinations(range(7), n))
    assert gain(chosen) >= (1 - 1 / np.e) * optimal - 1e-12
    assert greedy_portfolio(ranks, 9) == [*greedy_portfolio(ranks, 4), *greedy_portfolio(ranks, 9)[4:]]


def test_specialists_of_each_task_are_chosen() -> None:
    space = SearchSpace({"x": Integer(0, 9)})
    configs = tuple({"x": x} for x in range(10))
    tasks = tuple(
        Task(name=str(best), configs=configs, losses=tuple(float(abs(x - best)) for x in range(10)))
        for best in (1, 8)
    )
    known = TransferEvaluations(sources=("t",), tasks=tasks)
    chosen = zero_shot_configs(known, space, 3)
    assert {config["x"] for config in chosen[:3]} >= {1, 8}
    assert zero_shot_configs(known, space, 2, candidates=[{"x": 5}]) == [{"x": 5}]
    assert zero_shot_configs(known, space, 2, candidates=[]) == []
    assert len(zero_shot_configs(known, space, 99)) == 10


def test_what_was_not_tried_on_a_task_is_predicted() -> None:
    space = SearchSpace({"x": Float(0.0, 1.0)})
    low = tuple({"x": x} for x in np.linspace(0.0, 1.0, 11).tolist())
    other = tuple({"x": x} for x in np.linspace(0.05, 0.95, 10).tolist())
    losses = [tuple((float(c["x"]) - 0.3) ** 2 for c in configs) for configs in (low, other)]
    known = TransferEvaluations(
        sources=("t",),
        tasks=(
            Task(name="a", configs=low, losses=losses[0]),
            Task(name="b", configs=other, losses=losses[1]),
        ),
    )
    assert abs(float(zero_shot_configs(known, space, 1)[0]["x"]) - 0.3) < 0.06


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e6, 1e6)))
def test_scores_keep_the_order_and_do_not_depend_on_the_scale(losses: np.ndarray) -> None:
    scores = normal_scores(losses)
    assert np.isfinite(scores).all()
    assert np.all((losses[:, None] < losses) <= (scores[:, None] <= scores))
    assert np.all((losses[:, None] == losses) <= (scores[:, None] == scores))
    ranks = np.unique(losses, return_inverse=True)[1].astype(np.float64)
    assert np.allclose(normal_scores(np.exp(ranks / 10)), scores)


def test_scores_of_many_losses_are_standard_normal() -> None:
    scores = normal_scores(np.random.default_rng(0).random(2000) ** 3)
    assert abs(scores.mean()) < 1e-12
    assert scores.std() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("space", [s for n, s in SPACES.items() if n != "small"], ids=str)
def test_a_box_holds_the_best_and_lies_in_the_space(space: SearchSpace) -> None:
    known = earlier_evaluations(space, n_tasks=3)
    box = bounding_box(known, space, n_per_task=3)
    for task in known.tasks:
        for config in task.best(3):
            box.validate(config)
    rng = np.random.default_rng(1)
    for _ in range(50):
        space.validate(box.sample(rng))
    assert list(box) == list(space)


def test_a_box_is_as_small_as_it_can_be() -> None:
    known = earlier_evaluations(CONTINUOUS, n_tasks=4, n_trials=30)
    box = bounding_box(known, CONTINUOUS)
    spanning = [config for task in known.tasks for config in task.best(2)]
    x = box.domains["x"]
    assert isinstance(x, Float)
    assert (x.low, x.high) == (min(c["x"] for c in spanning), max(c["x"] for c in spanning))
    wide = bounding_box(known, CONTINUOUS, include=[{"x": 10.0, "y": 0.0}]).domains["x"]
    assert isinstance(wide, Float)
    assert wide.high == 10.0


def test_domains_shrink_by_kind() -> None:
    assert shrunk(Float(1e-4, 1.0, log=True), [0.1, 0.01, 0.05]) == Float(0.01, 0.1, log=True)
    assert shrunk(Integer(0, 20, step=5), [15, 5]) == Integer(5, 15, step=5)
    assert shrunk(Ordinal([1, 2, 4, 8], kind="nearest-log"), [2, 8]) == Ordinal([2, 4, 8], kind="nearest-log")
    assert shrunk(Categorical(["a", "b", "c"]), ["c", "a"]) == Categorical(["a", "c"])
    assert shrunk(FiniteRange(0.0, 1.0, 5), [0.25, 0.75]) == Ordinal([0.25, 0.5, 0.75], kind="nearest")
    assert shrunk(Categorical(["a", "b"]), ["b", "b"]) == "b"


def test_a_box_that_is_a_point_is_an_error() -> None:
    config: Config = {"x": 1.0, "y": 2.0}
    task = Task(name="t", configs=(config, config), losses=(1.0, 1.0))
    with pytest.raises(SettingsError, match="raise n_per_task"):
        bounding_box(TransferEvaluations(sources=("t",), tasks=(task,)), CONTINUOUS)
    assert len(bounding_box(earlier_evaluations(ALL_TYPES), ALL_TYPES)) == len(ALL_TYPES)
