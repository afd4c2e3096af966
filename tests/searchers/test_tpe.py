"""Multivariate Parzen estimation: it draws where results are good, and neither where trials run nor where they fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunewright.exceptions import SettingsError
from tunewright.models.arrays import Indices
from tunewright.searchers.encoding import Rows, Snapshot, no_indices
from tunewright.searchers.tpe import TPEProposer, TPESettings
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.types import Config

SPACE = SearchSpace({"x": Float(0.0, 1.0), "kind": Categorical(["a", "b", "c"])})
CONDITIONAL = SearchSpace(
    {
        "kind": Categorical(["a", "b"]),
        "x": Float(0.0, 1.0, active_if={"kind": "a"}),
        "n": Integer(1, 4, active_if={"kind": "b"}),
    }
)


def loss(config: Config) -> float:
    return abs(float(config["x"]) - 0.8) + (config["kind"] != "b")


def snapshot(n: int, *, pending: int = 0, failed: Indices | None = None) -> Snapshot:
    """Random results, good where x is near 0.8 and the kind is b; the pending trials come last, near the optimum."""
    rng = np.random.default_rng(0)
    configs = [SPACE.sample(rng) for _ in range(n)]
    near = [{"x": float(0.75 + 0.1 * rng.random()), "kind": "b"} for _ in range(pending)]
    rows = Rows(np.arange(n), np.zeros(n, dtype=np.intp), np.array([loss(c) for c in configs]))
    ids = np.arange(n, n + pending)
    bad = no_indices() if failed is None else failed
    others = np.setdiff1d(rows.trials, bad) if len(bad) else bad
    points = SPACE.encode([*configs, *near])
    return Snapshot(points, rows, ids, np.zeros_like(ids), {}, failed=bad, succeeded=others)


def firsts(seen: Snapshot, space: SearchSpace = SPACE, **settings: Any) -> list[Config]:
    """The first proposal of thirty generators."""
    proposer = TPEProposer(UnitCube(space), TPESettings(**settings))
    proposals = [proposer.propose(seen, np.random.default_rng(seed)) for seed in range(30)]
    return [space.decode(p.points[:1])[0] for p in proposals if p is not None]


def share_near(configs: list[Config]) -> float:
    return float(np.mean([0.7 < float(c["x"]) < 0.9 and c["kind"] == "b" for c in configs]))


def test_proposals_lie_where_good_results_are() -> None:
    assert share_near(firsts(snapshot(60))) > 0.6


def test_running_trials_are_bad_so_that_many_workers_spread() -> None:
    assert share_near(firsts(snapshot(60, pending=64))) < share_near(firsts(snapshot(60))) / 2


def test_failed_trials_are_bad() -> None:
    """The trials near the optimum failed, apart from the best one."""
    seen = snapshot(60)
    configs = SPACE.decode(seen.points)
    near = np.array([i for i, c in enumerate(configs) if c["kind"] == "b" and float(c["x"]) > 0.6])
    assert share_near(firsts(snapshot(60, failed=near))) < share_near(firsts(seen)) / 2


def test_it_begins_with_enough_results_that_did_not_fail() -> None:
    assert firsts(snapshot(9)) == []
    assert len(firsts(snapshot(10))) == 30
    assert firsts(snapshot(10, failed=np.array([3]))) == []
    assert len(firsts(snapshot(4), n_initial=4)) == 30


def test_equal_losses_and_tiny_values_are_no_obstacle() -> None:
    seen = snapshot(20)
    for losses in (np.zeros(20), np.full(20, 1e300), np.linspace(0.0, 1e-300, 20)):
        rows = Rows(seen.rows.trials, seen.rows.levels, losses)
        assert len(firsts(Snapshot(seen.points, rows, no_indices(), no_indices(), {}))) == 30


def test_in_a_conditional_space_the_better_branch_is_drawn() -> None:
    rng = np.random.default_rng(1)
    configs = [CONDITIONAL.sample(rng) for _ in range(40)]
    losses = np.array([abs(int(c["n"]) - 3) if "n" in c else 2.0 + float(c["x"]) for c in configs])
    rows = Rows(np.arange(40), np.zeros(40, dtype=np.intp), losses.astype(float))
    seen = Snapshot(CONDITIONAL.encode(configs), rows, no_indices(), no_indices(), {})
    drawn = firsts(seen, CONDITIONAL)
    assert sum(c == {"kind": "b", "n": 3} for c in drawn) > 15


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"gamma": 0.0}, "gamma"),
        ({"gamma": 1.0}, "gamma"),
        ({"n_candidates": 0}, "n_candidates"),
        ({"n_initial": 1}, "n_initial"),
        ({"min_bandwidth": 0.0}, "min_bandwidth"),
        ({"failures": "ignore"}, "failures"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        TPESettings(**settings)
