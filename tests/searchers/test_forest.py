"""Proposals by a random forest: good regions, categories of many values, conditions, failures, running trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tunewright.exceptions import SettingsError
from tunewright.interfaces import Searcher
from tunewright.metric import Metric
from tunewright.models.arrays import Indices
from tunewright.searchers.encoding import Rows, Snapshot, no_indices
from tunewright.searchers.forest import ForestProposer, ForestSettings, forest_searcher
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.types import Config

GOOD = {"c3", "c11", "c29"}
SPACE = SearchSpace(
    {
        "step": Categorical([f"c{i}" for i in range(40)]),
        "model": Categorical(["net", "tree"]),
        "rate": Float(1e-4, 1.0, log=True, active_if={"model": "net"}),
        "depth": Float(1.0, 9.0, active_if={"model": "tree"}),
    }
)
NUMBERS = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})


class TestContract(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return forest_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            ForestSettings(n_initial=4, n_candidates=50, n_trees=3),
            metric=Metric("loss"),
        )


def loss(config: Config) -> float:
    base = float(config["step"] not in GOOD)
    if config["model"] == "net":
        return base + abs(float(np.log10(float(config["rate"]))) + 2.0)
    return base + 2.0 + abs(float(config["depth"]) - 5.0)


def proposed(
    space: SearchSpace,
    configs: Sequence[Config],
    losses: Sequence[float],
    n_seeds: int = 8,
    failed: Indices | None = None,
) -> list[Config]:
    """The first proposal of each seed."""
    n, bad = len(losses), no_indices() if failed is None else failed
    rows = Rows(np.arange(n), np.zeros(n, dtype=np.intp), np.array(losses))
    others = np.setdiff1d(rows.trials, bad) if len(bad) else bad
    points = space.encode(configs)
    seen = Snapshot(points, rows, no_indices(), no_indices(), {}, failed=bad, succeeded=others)
    proposer = ForestProposer(UnitCube(space), ForestSettings(random_fraction=0.0))
    found = [proposer.propose(seen, np.random.default_rng(seed)) for seed in range(n_seeds)]
    return [space.decode(one.points[:1])[0] for one in found if one is not None]


def test_it_finds_the_branch_and_the_category_of_a_conditional_space() -> None:
    rng = np.random.default_rng(0)
    configs = [SPACE.sample(rng) for _ in range(150)]
    drawn = proposed(SPACE, configs, list(map(loss, configs)))
    assert all(c["model"] == "net" and "depth" not in c for c in drawn)
    assert np.mean([loss(c) for c in drawn]) < np.quantile([loss(c) for c in configs], 0.1)


def test_configurations_that_differ_in_inactive_hyperparameters_are_one() -> None:
    settings, rng = ForestSettings(random_fraction=0.0), np.random.default_rng(0)
    configs = [SPACE.sample(rng) for _ in range(30)]
    n = len(configs)
    rows = Rows(np.arange(n), np.zeros(n, dtype=np.intp), np.array(list(map(loss, configs))))
    seen = Snapshot(SPACE.encode(configs), rows, no_indices(), no_indices(), {})
    proposal = ForestProposer(UnitCube(SPACE), settings).propose(seen, rng)
    assert proposal is not None
    settled = SPACE.encode(SPACE.decode(proposal.points))
    np.testing.assert_allclose(settled, proposal.points, atol=1e-9)


def on_numbers(n: int = 60) -> tuple[Sequence[Config], list[float]]:
    rng = np.random.default_rng(1)
    configs = [NUMBERS.sample(rng) for _ in range(n)]
    return configs, [abs(float(c["x"]) - 0.3) + abs(float(c["y"]) - 0.6) for c in configs]


def distance(configs: list[Config]) -> float:
    return float(np.mean([abs(float(c["x"]) - 0.3) + abs(float(c["y"]) - 0.6) for c in configs]))


def test_local_search_finds_the_minimum_of_numbers() -> None:
    assert distance(proposed(NUMBERS, *on_numbers())) < 0.15


def batch(*, counts_running: bool) -> np.ndarray:
    """The points (16, 2) of trials that begin one after the other while none reports."""
    configs, losses = on_numbers()
    rows = Rows(np.arange(60), np.zeros(60, dtype=np.intp), np.array(losses))
    proposer = ForestProposer(UnitCube(NUMBERS), ForestSettings(random_fraction=0.0))
    points = NUMBERS.encode(configs)
    for seed in range(16):
        ids: Indices = np.arange(60, len(points)) if counts_running else no_indices()
        seen = Snapshot(points, rows, ids, np.zeros_like(ids), {})
        proposal = proposer.propose(seen, np.random.default_rng(seed))
        assert proposal is not None
        is_new = (proposal.points[:, np.newaxis] != points).any(axis=2).all(axis=1)
        points = np.concatenate([points, proposal.points[is_new][:1]])
    return points[60:]


def test_running_trials_spread_the_proposals() -> None:
    assert batch(counts_running=True).std(axis=0).sum() > 2 * batch(counts_running=False).std(axis=0).sum()


def test_proposals_leave_the_region_that_fails() -> None:
    """All trials left of the minimum failed; their losses count as the worst."""
    configs, losses = on_numbers()
    failed = np.array([i for i, c in enumerate(configs) if float(c["x"]) < 0.5])
    given = [max(losses) if i in failed else value for i, value in enumerate(losses)]
    drawn = proposed(NUMBERS, configs, given, failed=failed)
    assert np.mean([float(c["x"]) > 0.45 for c in drawn]) >= 0.75


def test_a_share_of_the_trials_is_random() -> None:
    configs, losses = on_numbers(20)
    rows = Rows(np.arange(20), np.zeros(20, dtype=np.intp), np.array(losses))
    seen = Snapshot(NUMBERS.encode(configs), rows, no_indices(), no_indices(), {})
    proposer = ForestProposer(
        UnitCube(NUMBERS), ForestSettings(random_fraction=0.5, n_candidates=5, n_trees=2)
    )
    found = [proposer.propose(seen, np.random.default_rng(seed)) for seed in range(60)]
    assert 15 < sum(one is None for one in found) < 45


def test_extreme_losses_are_no_obstacle() -> None:
    configs, _ = on_numbers(12)
    for losses in ([1.0] * 12, [0.0] * 11 + [1e300], list(np.linspace(-1e-300, 1e-300, 12))):
        assert len(proposed(NUMBERS, configs, losses, n_seeds=2)) == 2


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"n_initial": 0}, "n_initial"),
        ({"random_fraction": 1.0}, "random_fraction"),
        ({"n_trees": 1}, "n_trees"),
        ({"n_candidates": 0}, "n_candidates"),
        ({"max_observations": 1}, "max_observations"),
        ({"targets": "cube"}, "targets"),
        ({"failures": "ignore"}, "failures"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        ForestSettings(**settings)
