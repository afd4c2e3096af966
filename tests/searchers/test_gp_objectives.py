"""Bayesian optimisation of several objectives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.exceptions import SettingsError
from tunewright.metric import Goal, Metric
from tunewright.models.pareto import dominated_volume
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.gp_objectives import (
    HypervolumeSettings,
    ObjectiveModelSettings,
    ScalarizationSettings,
    objectives_searcher,
)
from tunewright.searchers.model_free import SearcherContext
from tunewright.space import Float, SearchSpace

MODELS = ObjectiveModelSettings(n_initial=5)
NEAR, FAR = Metric("near"), Metric("far", Goal.MAXIMIZE)
PLANE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})


def found(settings: ScalarizationSettings | HypervolumeSettings, n: int, seed: int = 0) -> np.ndarray:
    """Losses (n, 2) whose front is the line from (0, 0) to (1, 1)."""
    tuning = AskTell(
        FIFO(objectives_searcher(SearcherContext(space=PLANE, seed=seed), settings, metrics=(NEAR, FAR))),
        [NEAR, FAR],
    )
    losses: list[list[float]] = []
    for _ in range(n):
        asked = tuning.ask()
        assert asked is not None
        x, y = float(asked.config["x"]), float(asked.config["y"])
        near, far = x**2 + y**2, (x - 1) ** 2 + (y - 1) ** 2
        tuning.tell(asked, {"near": near, "far": -far})
        tuning.complete(asked)
        losses.append([near, far])
    return np.array(losses)


def test_both_dominate_nearly_all_that_can_be() -> None:
    reference = np.array([2.0, 2.0])
    t = np.linspace(0, 1, 500)
    best = dominated_volume(np.stack([2 * t**2, 2 * (1 - t) ** 2], axis=1), reference)
    scalarized = ScalarizationSettings(models=MODELS)
    expected = HypervolumeSettings(models=MODELS, reference=(2.0, -2.0))
    assert dominated_volume(found(scalarized, 18), reference) > 0.88 * best
    assert dominated_volume(found(expected, 18), reference) > 0.94 * best


def test_fixed_weights_lead_to_one_end_of_the_front() -> None:
    for how in ("linear", "chebyshev"):
        near = found(ScalarizationSettings(weights=(1.0, 0.0), scalarization=how, models=MODELS), 14)  # type: ignore[arg-type]
        far = found(ScalarizationSettings(weights=(0.0, 1.0), scalarization=how, models=MODELS), 14)  # type: ignore[arg-type]
        assert near[-3:, 0].mean() < 0.1 < far[-3:, 0].mean()


def test_a_reference_keeps_the_search_in_its_corner() -> None:
    losses = found(HypervolumeSettings(reference=(0.5, -2.0), models=MODELS), 18)
    assert (losses[-8:, 0] < 0.6).all()


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (ScalarizationSettings, {"weights": (1.0, -1.0)}, "weights"),
        (ScalarizationSettings, {"weights": ()}, "weights"),
        (ScalarizationSettings, {"weights": (math.inf, 1.0)}, "weights"),
        (ScalarizationSettings, {"weights": (1.0, math.nan)}, "weights"),
        (HypervolumeSettings, {"reference": (math.nan, 1.0)}, "reference"),
        (HypervolumeSettings, {"reference": (1.0, math.inf)}, "reference"),
        (ScalarizationSettings, {"scalarization": "max"}, "chebyshev, linear"),
        (ScalarizationSettings, {"kappa": -1.0}, "kappa"),
        (ObjectiveModelSettings, {"n_initial": 1}, "n_initial"),
        (ObjectiveModelSettings, {"max_observations": 1}, "max_observations"),
    ],
)
def test_settings_that_cannot_work(kind: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        kind(**fields)


@pytest.mark.parametrize(
    "settings", [ScalarizationSettings(weights=(1.0,)), HypervolumeSettings(reference=(1.0, 2.0, 3.0))]
)
def test_there_is_a_value_for_each_metric(settings: Any) -> None:
    with pytest.raises(SettingsError, match="2 metrics: near, far"):
        objectives_searcher(SearcherContext(space=PLANE, seed=0), settings, metrics=(NEAR, FAR))


@pytest.mark.parametrize(
    "settings",
    [
        ScalarizationSettings(models=ObjectiveModelSettings(n_initial=3)),
        HypervolumeSettings(models=ObjectiveModelSettings(n_initial=3)),
    ],
)
def test_huge_values_are_borne(settings: Any) -> None:
    tuning = AskTell(
        FIFO(objectives_searcher(SearcherContext(space=PLANE, seed=0), settings, metrics=(NEAR, FAR))),
        [NEAR, FAR],
    )
    for near, far in (
        (1e308, 0.0),
        (-1e308, 1e300),
        (1e200, -1e308),
        (1.0, 1e308),
        (0.0, 0.0),
        (-1e308, 1.0),
    ):
        asked = tuning.ask()
        assert asked is not None
        PLANE.validate(asked.config)
        tuning.tell(asked, {"near": near, "far": far})
        tuning.complete(asked)
