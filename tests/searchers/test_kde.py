"""Parzen estimation: it finds what is dense, begins when it knows enough, and checks its settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunewright.exceptions import SettingsError
from tunewright.metric import Metric
from tunewright.searchers.encoding import Rows, Snapshot
from tunewright.searchers.kde import KDEProposer, KDESettings
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import Categorical, Float, SearchSpace

LOSS = Metric("loss")
SPACE = SearchSpace({"x": Float(0.0, 1.0), "kind": Categorical(["a", "b", "c"])})


def snapshot(n: int, level: int = 0) -> Snapshot:
    """Good where x is near 0.8 and the kind is b."""
    rng = np.random.default_rng(0)
    configs = [SPACE.sample(rng) for _ in range(n)]
    losses = np.array([abs(float(c["x"]) - 0.8) + (c["kind"] != "b") for c in configs])
    rows = Rows(np.arange(n), np.full(n, level), losses)
    none = np.empty(0, dtype=np.intp)
    return Snapshot(SPACE.encode(configs), rows, none, none, {})


def proposer(**settings: Any) -> KDEProposer:
    return KDEProposer(UnitCube(SPACE), KDESettings(random_fraction=0.0, **settings))


def test_proposals_lie_where_good_results_are() -> None:
    firsts = []
    for seed in range(20):
        proposal = proposer().propose(snapshot(60), np.random.default_rng(seed))
        assert proposal is not None
        assert proposal.points.shape == (64, 4)
        firsts.append(SPACE.decode(proposal.points[:1])[0])
    assert sum(c["kind"] == "b" for c in firsts) >= 18
    assert np.mean([abs(float(c["x"]) - 0.8) for c in firsts]) < 0.15


def test_it_begins_with_three_more_results_than_hyperparameters() -> None:
    assert proposer().propose(snapshot(4), np.random.default_rng(0)) is None
    assert proposer().propose(snapshot(5), np.random.default_rng(0)) is not None
    assert proposer().propose(snapshot(5, level=2), np.random.default_rng(0)) is not None
    assert proposer(extra_points=0).propose(snapshot(4), np.random.default_rng(0)) is not None


def test_the_least_good_results_are_one_more_than_hyperparameters() -> None:
    """Six results: 15 percent are one, and draws lie around N_min good ones."""
    space = SearchSpace({"x": Float(0.0, 1.0)})
    configs = [{"x": x} for x in (0.1, 0.9, 0.3, 0.4, 0.5, 0.6)]
    none = np.empty(0, dtype=np.intp)
    rows = Rows(np.arange(6), np.zeros(6, dtype=np.intp), np.arange(6.0))
    seen = Snapshot(space.encode(configs), rows, none, none, {})
    ranges = []
    for extra in (0, 1):
        settings = KDESettings(random_fraction=0.0, min_bandwidth=0.01, extra_points=extra)
        proposal = KDEProposer(UnitCube(space), settings).propose(seen, np.random.default_rng(0))
        assert proposal is not None
        ranges.append(float(proposal.points.max() - proposal.points.min()))
    assert ranges[0] < 0.3  # around the best one
    assert ranges[1] > 0.7  # around the two best


def test_a_part_of_the_trials_is_random() -> None:
    always = KDEProposer(UnitCube(SPACE), KDESettings(random_fraction=1.0))
    often = KDEProposer(UnitCube(SPACE), KDESettings())
    assert always.propose(snapshot(60), np.random.default_rng(0)) is None
    n_random = sum(often.propose(snapshot(60), np.random.default_rng(s)) is None for s in range(300))
    assert 70 < n_random < 130


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"top_n_percent": 100}, "top_n_percent"),
        ({"random_fraction": 1.5}, "random_fraction"),
        ({"min_bandwidth": 0.0}, "min_bandwidth"),
        ({"n_candidates": 0}, "n_candidates"),
        ({"bandwidth_factor": -1.0}, "bandwidth_factor"),
        ({"extra_points": -1}, "extra_points"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        KDESettings(**settings)
