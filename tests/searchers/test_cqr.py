from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tunewright.exceptions import SettingsError
from tunewright.interfaces import Searcher
from tunewright.metric import Metric
from tunewright.searchers.cqr import CQRProposer, CQRSettings, cqr_searcher
from tunewright.searchers.encoding import Rows, Snapshot
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import SearchSpace
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.testing.spaces import CONTINUOUS
from tunewright.types import Config


class TestContract(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        settings = CQRSettings(n_candidates=20, n_initial=4, n_quantiles=2, n_trees=2)
        return cqr_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            settings,
            metric=Metric("loss"),
        )


def propose(points: np.ndarray, losses: np.ndarray) -> np.ndarray | None:
    n, nobody = len(losses), np.empty(0, dtype=np.intp)
    seen = Snapshot(points, Rows(np.arange(n), np.zeros(n, dtype=np.intp), losses), nobody, nobody, {})
    proposal = CQRProposer(UnitCube(CONTINUOUS), CQRSettings()).propose(seen, np.random.default_rng(0))
    return None if proposal is None else proposal.points


def test_it_proposes_where_losses_are_low() -> None:
    points = np.random.default_rng(0).random((60, 2))
    proposed = propose(points, np.abs(points - [0.2, 0.7]).sum(axis=1))
    assert proposed is not None
    assert np.abs(proposed - [0.2, 0.7]).mean() < 0.2


def test_one_result_is_too_little() -> None:
    assert propose(np.zeros((1, 2)), np.zeros(1)) is None


@pytest.mark.parametrize("wrong", ["n_quantiles", "n_trees", "n_candidates", "n_initial"])
def test_settings_that_cannot_work(wrong: str) -> None:
    with pytest.raises(SettingsError, match=wrong):
        CQRSettings(**{wrong: 0})
