from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tunewright.exceptions import SettingsError
from tunewright.interfaces import Searcher
from tunewright.metric import Metric
from tunewright.searchers.bore import BOREProposer, BORESettings, bore_searcher
from tunewright.searchers.encoding import Rows, Snapshot
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import SearchSpace
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.testing.spaces import CONTINUOUS
from tunewright.types import Config


class TestContract(SearcherContract):
    n_trials = 12

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        settings = BORESettings(n_candidates=50, n_initial=3, n_trees=3)
        return bore_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            settings,
            metric=Metric("loss"),
        )


def snapshot(points: np.ndarray, losses: np.ndarray, levels: np.ndarray | None = None) -> Snapshot:
    n, nobody = len(losses), np.empty(0, dtype=np.intp)
    at = np.zeros(n, dtype=np.intp) if levels is None else levels
    return Snapshot(points, Rows(np.arange(n), at, losses), nobody, nobody, {})


def propose(seen: Snapshot, seed: int = 0, **settings) -> np.ndarray | None:
    proposer = BOREProposer(UnitCube(CONTINUOUS), BORESettings(**settings), 3)
    proposal = proposer.propose(seen, np.random.default_rng(seed))
    return None if proposal is None else proposal.points


def test_it_proposes_where_the_good_ones_are() -> None:
    points = np.random.default_rng(0).random((60, 2))
    losses = np.abs(points - [0.2, 0.7]).sum(axis=1)
    proposed = propose(snapshot(points, losses))
    assert proposed is not None
    assert np.abs(proposed - [0.2, 0.7]).mean() < 0.2


def test_the_highest_level_with_enough_results_counts() -> None:
    points = np.random.default_rng(0).random((40, 2))
    levels = np.repeat([0, 1], 20)
    losses = np.where(levels == 0, points[:, 0], -points[:, 0])
    proposed = propose(snapshot(points, losses, levels))
    assert proposed is not None
    assert proposed[:, 0].mean() > 0.6  # at the upper level large ones are good


def test_too_little_is_known() -> None:
    points = np.random.default_rng(0).random((9, 2))
    assert propose(snapshot(points[:3], np.arange(3.0))) is None
    assert propose(snapshot(points, np.ones(9))) is None


@pytest.mark.parametrize("wrong", [{"gamma": 1.0}, {"n_candidates": 1}, {"n_trees": 0}, {"n_initial": 0}])
def test_settings_that_cannot_work(wrong: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        BORESettings(**wrong)
