"""Searchers with Gaussian processes: what they find, remember and refuse."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tunewright.backends.simulated import SimulatedBackend
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.journal import MemoryJournal
from tunewright.metric import Metric
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.surrogate import Pullback, Surrogate, WeightedSum
from tunewright.models.targets import TargetTransform
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers import gp as fitting
from tunewright.searchers.acquisition_optimizer import AcquisitionOptimizer, SearchWidth, Spread
from tunewright.searchers.encoding import Fit, Rows, Snapshot
from tunewright.searchers.gp import (
    AcquisitionKind,
    FittedProcess,
    GPProposer,
    GPSettings,
    Learned,
    Learner,
    column_groups,
    config_kernel,
    gp_searcher,
)
from tunewright.searchers.kde import KDESettings, kde_searcher
from tunewright.searchers.model_free import RandomSearcher, SearcherContext
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import Categorical, Float, Integer, Ordinal, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.spaces import SMALL
from tunewright.tuner import Tuner
from tunewright.types import Config

LOSS = Metric("loss")
MIXED = SearchSpace(
    {
        "x": Float(-1.0, 1.0),
        "y": Float(1e-4, 1.0, log=True),
        "n": Integer(1, 16),
        "kind": Categorical(["a", "b", "c", "d"]),
    }
)


def bowl(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    del epoch
    kind = {"a": 0.5, "b": 0.0, "c": 0.7, "d": 0.3}[str(config["kind"])]
    y = np.log10(float(config["y"])) + 2
    return {
        "loss": (float(config["x"]) - 0.3) ** 2 + 0.2 * y**2 + (int(config["n"]) - 5) ** 2 / 50 + kind
    }, 1.0


def play(searcher: Searcher, n_trials: int, function=bowl) -> History:
    return Tuner(
        FIFO(searcher),
        SimulatedBackend(function, n_workers=2, max_resource=1),
        metrics=[LOSS],
        stop_when=MaxTrialsStarted(n_trials),
        journal=MemoryJournal(),
    ).run()


def best(history: History) -> float:
    return min(history.last(i).metrics["loss"] for i in range(history.n_trials))


@pytest.mark.parametrize("kind", AcquisitionKind)
def test_a_mixed_bowl_is_found(kind: AcquisitionKind) -> None:
    settings = GPSettings(acquisition=kind)
    found = [
        best(play(gp_searcher(SearcherContext(space=MIXED, seed=s), settings, metric=LOSS), 30))
        for s in (0, 1)
    ]
    drawn = [best(play(RandomSearcher(MIXED, seed=s), 30)) for s in (0, 1)]
    assert max(found) < 0.05
    assert max(found) < 0.5 * min(drawn)


def test_a_fit_is_written_when_it_is_made_and_not_again() -> None:
    history = play(gp_searcher(SearcherContext(space=MIXED, seed=0), GPSettings(), metric=LOSS), 40)
    sizes: list[int] = []
    for trial in range(history.n_trials):
        note: Any = history.note(trial, 0).get("searcher", {})
        if note:
            (fit,) = note["fits"].values()
            sizes.append(fit[0])
            assert len(fit) == 1 + MIXED.n_columns + 3
    assert sizes == sorted(set(sizes))
    assert 8 < len(sizes) < 25
    assert all(later >= 1.15 * sooner for sooner, later in pairwise(sizes) if sooner > 10)


def test_pending_trials_push_the_next_one_away() -> None:
    """Eight workers that ask at the same instant get eight places."""
    space = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})

    def flat(config: Config, epoch: int) -> tuple[dict[str, float], float]:
        return {"loss": abs(float(config["x"]) - 0.5)}, 1.0 + 1e-9 * float(config["y"])

    history = Tuner(
        FIFO(gp_searcher(SearcherContext(space=space, seed=0), GPSettings(n_initial=8), metric=LOSS)),
        SimulatedBackend(flat, n_workers=8, max_resource=1),
        metrics=[LOSS],
        stop_when=MaxTrialsStarted(16),
        journal=MemoryJournal(),
    ).run()
    points = space.encode([history.trial(i).config for i in range(8, 16)])
    distances = np.linalg.norm(points[:, np.newaxis] - points, axis=2) + np.eye(8)
    assert distances.min() > 0.02


def test_a_finite_space_is_searched_best_first() -> None:
    def loss(config: Config, epoch: int) -> tuple[dict[str, float], float]:
        return {"loss": float(config["depth"]) + (config["norm"] == "none")}, 1.0

    history = play(
        gp_searcher(SearcherContext(space=SMALL, seed=0), GPSettings(n_initial=2), metric=LOSS), 6, loss
    )
    assert history.n_trials == 6


def test_a_failed_fit_falls_back_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = GaussianProcess(Matern52(2))
    good = Fit(4, process.prior.mean + 0.1)
    x, y = np.random.default_rng(0).random((6, 2)), np.arange(6.0)
    monkeypatch.setattr(fitting, "fit", lambda *_: None)
    fitted = FittedProcess(process, "loss")
    with caplog.at_level(logging.WARNING):
        _, first = fitted.posterior(x[:3], y[:3], None, 3)
        posterior, second = fitted.posterior(x, y, good, 6)
    np.testing.assert_array_equal(first.theta, process.prior.mean)
    np.testing.assert_array_equal(second.theta, good.theta)
    assert second.n_rows == 6
    assert isinstance(posterior, Surrogate)
    assert len(caplog.records) == 1


def test_box_cox_of_losses_of_both_signs_gives_way_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    space = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})

    def lowest(shift: float) -> float:
        def loss(config: Config, epoch: int) -> tuple[dict[str, float], float]:
            del epoch
            return {"loss": np.expm1(4 * np.hypot(config["x"] - 0.3, config["y"] - 0.6)) + shift}, 1.0

        settings = GPSettings(targets=TargetTransform.BOX_COX, spread=Spread.SOBOL)
        return (
            best(play(gp_searcher(SearcherContext(space=space, seed=0), settings, metric=LOSS), 25, loss))
            - shift
        )

    with caplog.at_level(logging.WARNING):
        assert lowest(0.5) < 0.2
        assert not caplog.records
        assert lowest(-1.0) < 0.2
    (record,) = caplog.records
    assert "targets=power is used instead" in record.getMessage()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"n_initial": 0}, "n_initial"),
        ({"kappa": -1.0}, "kappa"),
        ({"n_fantasies": -1}, "n_fantasies"),
        ({"max_observations": 1}, "max_observations"),
        ({"acquisition": "ei"}, "log_ei"),
        ({"targets": "roots"}, "standardize"),
        ({"spread": "grid"}, "latin_hypercube"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        GPSettings(**settings)


@pytest.mark.parametrize("n_listed", [14, 3000])
def test_only_listed_configurations_are_suggested(n_listed: int) -> None:
    rng = np.random.default_rng(1)
    listed = [MIXED.sample(rng) for _ in range(n_listed)]
    searcher = gp_searcher(
        SearcherContext(space=MIXED, seed=0, points_to_evaluate=[], candidates=listed),
        GPSettings(),
        metric=LOSS,
    )
    history = play(searcher, 20)
    assert history.n_trials == min(n_listed, 20)
    keys = {MIXED.key(config) for config in listed}
    tried = [MIXED.key(history.trial(i).config) for i in range(history.n_trials)]
    assert set(tried) <= keys
    assert len(set(tried)) == len(tried)
    if n_listed > 20:
        values = sorted(bowl(config, 1)[0]["loss"] for config in listed)
        assert best(history) <= values[n_listed // 50]


def test_a_draw_between_listed_configurations_becomes_the_nearest() -> None:
    listed = [{"x": x, "y": 0.01, "n": 5, "kind": "b"} for x in np.linspace(-1.0, 1.0, 30).tolist()]
    searcher = kde_searcher(
        SearcherContext(space=MIXED, seed=0, points_to_evaluate=[], candidates=listed),
        KDESettings(random_fraction=0.0),
        metric=LOSS,
    )
    history = play(searcher, 40)
    assert sorted(history.trial(i).config["x"] for i in range(30)) == [config["x"] for config in listed]
    assert history.n_trials == 30


class Normal(Surrogate):
    """Standard normal everywhere; draws are the given numbers, with a sign."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def means(self, a: np.ndarray) -> np.ndarray:
        return np.zeros((len(a), 1))

    def predict(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.means(a), np.ones(len(a))

    def predict_with_pullback(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, Pullback]:
        return *self.predict(a), lambda by_means, by_deviations: np.zeros_like(a)

    def samples(self, a: np.ndarray, normal: np.ndarray) -> np.ndarray:
        return self.means(a) + self.sign * normal


class Opposites(Learner):
    """Two independent functions whose draws would cancel each other if they were made of the same numbers."""

    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned:
        del snapshot, rng
        return Learned(WeightedSum([(Normal(1.0), 0.5), (Normal(-1.0), 0.5)]), np.zeros((1, 2)), {})


@pytest.mark.parametrize(
    ("width", "n_observations", "n_candidates"), [("wide", 100, 1024), ("wide", 101, 384), ("narrow", 0, 384)]
)
def test_a_wide_search_has_more_candidates_while_that_is_cheap(
    width: str, n_observations: int, n_candidates: int
) -> None:
    cube = UnitCube(SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}))
    optimizer = AcquisitionOptimizer(cube, width=SearchWidth(width))
    assert len(optimizer.pool(np.zeros((1, 2)), np.random.default_rng(0), n_observations)) == n_candidates


def test_a_thompson_draw_of_a_sum_draws_each_part_independently() -> None:
    cube = UnitCube(SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}))
    proposer = GPProposer(Opposites(), cube, GPSettings(acquisition=AcquisitionKind.THOMPSON))
    none = np.empty(0, dtype=np.intp)
    nothing = Snapshot(np.empty((0, 2)), Rows(none, none, np.empty(0)), none, none, {})
    proposal = proposer.propose(nothing, np.random.default_rng(0))
    assert proposal is not None
    pool = AcquisitionOptimizer(cube).pool(np.zeros((1, 2)), np.random.default_rng(0))
    assert not np.array_equal(proposal.points, pool), "all draws are zero: the pool's order is left as it is"


def test_a_category_of_many_values_has_one_length_scale() -> None:
    space = SearchSpace(
        {
            "x": Float(0.0, 1.0),
            "few": Categorical(["a", "b", "c", "d", "e"]),
            "many": Categorical([f"v{i}" for i in range(12)]),
            "ordered": Ordinal(list(range(20))),
        }
    )
    groups = column_groups(space, 5)
    assert groups == [1, 1, 1, 1, 1, 1, 12, 1]
    assert column_groups(space, None) == [1] * 19
    assert len(config_kernel(groups, input_warping=True).prior.mean) == 8 + 2 * 19


def error_of(hamming_above: int | None, seed: int) -> float:
    """Squared error of predictions for new combinations of three categories, of eight values each with an effect."""
    space = SearchSpace({f"c{i}": Categorical([f"v{j}" for j in range(8)]) for i in range(3)})
    rng = np.random.default_rng(seed)
    chosen = rng.integers(8, size=(160, 3))
    effects = rng.normal(size=(3, 8))
    losses = effects[np.arange(3), chosen].sum(axis=1)
    losses = (losses - losses[:40].mean()) / losses[:40].std()
    x = space.encode([{f"c{i}": f"v{j}" for i, j in enumerate(row)} for row in chosen])
    kernel = config_kernel(column_groups(space, hamming_above), input_warping=False)
    posterior, _ = FittedProcess(GaussianProcess(kernel), "test").posterior(x[:40], losses[:40], None, 40)
    return float(np.mean((posterior.means(x[40:])[:, 0] - losses[40:]) ** 2))


def test_one_length_scale_learns_categories_of_many_values_from_fewer_results() -> None:
    shared = [error_of(5, seed) for seed in range(6)]
    single = [error_of(None, seed) for seed in range(6)]
    assert np.mean(shared) < 0.8 * np.mean(single)
