"""The searchers of transfer keep the contracts and use what is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler, Searcher
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.models.arrays import Array
from tunewright.models.gp.process import GaussianProcess
from tunewright.searchers.encoding import Rows, Snapshot
from tunewright.searchers.gp import AcquisitionKind, FittedProcess, GPSettings, Targets, config_kernel
from tunewright.searchers.model_free import SearcherContext
from tunewright.space import SearchSpace
from tunewright.state import replay_history
from tunewright.testing.histories import earlier_evaluations
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.testing.spaces import CONTINUOUS
from tunewright.transfer.copula import Rescaled, ResidualLearner, copula_searcher
from tunewright.transfer.ensemble import EnsembleDeviation, RankingEnsemble, transfer_gp_searcher
from tunewright.transfer.evaluations import Task, TransferEvaluations
from tunewright.transfer.sampling import QuantileSettings, model_of_tasks, quantile_searcher
from tunewright.transfer.task_models import normal_scores
from tunewright.types import Config

LOSS = Metric("loss")


class TestQuantileSearcher(SearcherContract):
    n_trials = 10

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        options = QuantileSettings(n_candidates=100)
        return quantile_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            earlier_evaluations(space),
            options,
            metric=LOSS,
        )


class TestCopula(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return copula_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            earlier_evaluations(space),
            GPSettings(n_initial=3, n_fantasies=2, acquisition=AcquisitionKind.LOG_EI),
            QuantileSettings(n_candidates=100),
            metric=LOSS,
        )


class TestTransferGP(SearcherContract):
    n_trials = 6

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        settings = GPSettings(n_initial=1, n_fantasies=2)
        return transfer_gp_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            earlier_evaluations(space),
            settings,
            metric=LOSS,
        )


def build(name: str, space: SearchSpace, metric: Metric, seed: int) -> Scheduler:
    benchmark = RealBenchmarkDefinition(
        name="contract", script="none", space=space, metrics=(metric,), max_resource=27
    )
    return build_scheduler(method(name), benchmark, seed, {}, earlier_evaluations(space))


class TestASHACGP(SchedulerContract):
    max_resource = 9
    n_trials = 12
    restart_every = 20

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        benchmark = RealBenchmarkDefinition(
            name="contract", script="none", space=space, metrics=(metric,), max_resource=9
        )
        small = method("ASHACGP", n_initial=3, n_fantasies=2, n_candidates=100)
        return build_scheduler(small, benchmark, seed, {}, earlier_evaluations(space))


class TestRUSH(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build("RUSH", space, metric, seed)


class TestRUSHStopping(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        benchmark = RealBenchmarkDefinition(
            name="contract", script="none", space=space, metrics=(metric,), max_resource=27
        )
        chosen = method("RUSH", kind="stopping")
        return build_scheduler(chosen, benchmark, seed, {}, earlier_evaluations(space))


def test_samples_lie_where_earlier_tasks_did_well() -> None:
    known = earlier_evaluations(CONTINUOUS, n_tasks=3, n_trials=40)
    searcher = quantile_searcher(
        SearcherContext(space=CONTINUOUS, seed=0, points_to_evaluate=()),
        known,
        QuantileSettings(),
        metric=LOSS,
    )
    suggestion = searcher.suggest(replay_history([]))
    assert suggestion is not None
    assert float(suggestion.config["x"]) < -2.0


def test_the_ensemble_is_as_uncertain_as_the_present_process() -> None:
    """Many earlier tasks that agree make the sum certain; the present process has seen three results."""
    rng = np.random.default_rng(0)
    known = earlier_evaluations(CONTINUOUS, n_tasks=6, n_trials=30)
    trials = [CONTINUOUS.sample(rng) for _ in range(3)]
    x = CONTINUOUS.encode(trials)
    rows = Rows(np.arange(3), np.zeros(3, dtype=np.intp), np.array([2.0, 1.0, 3.0]))
    none = np.empty(0, dtype=np.intp)
    seen = Snapshot(x, rows, none, none, {})
    a = rng.random((20, 2))
    surrogates = {}
    for deviation in EnsembleDeviation:
        learner = RankingEnsemble(CONTINUOUS, known, GPSettings(), deviation)
        surrogates[deviation] = learner.learn(seen, np.random.default_rng(1)).surrogate
    target, total = surrogates[EnsembleDeviation.TARGET], surrogates[EnsembleDeviation.SUM]
    np.testing.assert_allclose(target.means(a), total.means(a))
    process = FittedProcess(GaussianProcess(config_kernel(2, input_warping=False)), "test")
    present, _ = process.posterior(x, Targets(GPSettings().targets).of(rows.losses), None, 3)
    np.testing.assert_allclose(target.predict(a)[1], present.predict(a)[1])
    assert (target.predict(a)[1] > 1.2 * total.predict(a)[1]).all()
    means, deviations, pullback = target.predict_with_pullback(a)
    gradient = pullback(np.full_like(means, 0.7), np.full(20, -1.3))
    for column, unit in enumerate(1e-6 * np.eye(2)):
        up, down = target.predict(a + unit), target.predict(a - unit)
        slope = (0.7 * (up[0] - down[0]).sum(axis=1) - 1.3 * (up[1] - down[1])) / 2e-6
        np.testing.assert_allclose(gradient[:, column], slope, rtol=1e-4, atol=1e-6)
    draws = target.samples(a, np.random.default_rng(2).standard_normal((20, 4000)))
    np.testing.assert_allclose(draws.mean(axis=1), means[:, 0], atol=0.1)
    np.testing.assert_allclose(draws.std(axis=1), deviations, rtol=0.1)


def test_tasks_that_rank_alike_are_trusted_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    configs = tuple(CONTINUOUS.sample(rng) for _ in range(25))
    first = CONTINUOUS.encode(configs)[:, 0]
    tasks = (
        Task(name="alike", configs=configs, losses=tuple(first.tolist())),
        Task(name="opposite", configs=configs, losses=tuple((-first).tolist())),
    )
    options = GPSettings()
    ensemble = RankingEnsemble(CONTINUOUS, TransferEvaluations(sources=("t",), tasks=tasks), options)
    x = CONTINUOUS.encode([CONTINUOUS.sample(rng) for _ in range(6)])
    y = x[:, 0] - x[:, 0].mean()
    process = FittedProcess(GaussianProcess(config_kernel(2, input_warping=options.input_warping)), "test")
    posterior, _ = process.posterior(x, y, None, len(x))
    weights = ensemble.weights(posterior, x, y, rng)
    assert weights.sum() == 1.0
    assert weights[1] == 0.0
    assert weights[0] > 0.3


def snapshot_of(configs: Sequence[Config], losses: Array) -> Snapshot:
    """Every configuration with its loss, none running."""
    n = len(losses)
    none = np.empty(0, dtype=np.intp)
    return Snapshot(
        CONTINUOUS.encode(configs), Rows(np.arange(n), np.zeros(n, dtype=np.intp), losses), none, none, {}
    )


def test_normal_scores_are_residuals_on_the_scale_of_the_earlier_tasks() -> None:
    """The surrogate's gradients are those of its values, its draws have its means and deviations."""
    rng = np.random.default_rng(0)
    prior = model_of_tasks(CONTINUOUS, earlier_evaluations(CONTINUOUS, n_tasks=3, n_trials=20), 500)
    configs = [CONTINUOUS.sample(rng) for _ in range(5)]
    losses = np.array([2.0, 1.0, 3.0, 7.0, 0.5])
    context = SearcherContext(space=CONTINUOUS, seed=0)
    learned = ResidualLearner(context, prior, GPSettings(), 2).learn(snapshot_of(configs, losses), rng)
    assert learned is not None
    surrogate = learned.surrogate
    assert isinstance(surrogate, Rescaled)
    assert np.corrcoef(surrogate.means(learned.observed)[:, 0], normal_scores(losses))[0, 1] > 0.9
    a = rng.random((20, 2))
    means, deviations, pullback = surrogate.predict_with_pullback(a)
    np.testing.assert_allclose(means, surrogate.means(a))
    np.testing.assert_allclose(deviations, surrogate.predict(a)[1])
    gradient = pullback(np.full_like(means, 0.7), np.full(20, -1.3))
    for column, unit in enumerate(1e-6 * np.eye(2)):
        up, down = surrogate.predict(a + unit), surrogate.predict(a - unit)
        slope = (0.7 * (up[0] - down[0]).sum(axis=1) - 1.3 * (up[1] - down[1])) / 2e-6
        np.testing.assert_allclose(gradient[:, column], slope, rtol=1e-4, atol=1e-5)
    draws = surrogate.samples(a, rng.standard_normal((20, 4000)))
    np.testing.assert_allclose(draws.mean(axis=1), means[:, 0], atol=0.1)
    np.testing.assert_allclose(draws.std(axis=1), deviations, rtol=0.1)


def test_the_present_task_corrects_what_earlier_tasks_predict() -> None:
    """Earlier losses grow with x and present ones fall: after some results the low end is no longer preferred."""
    known = earlier_evaluations(CONTINUOUS, n_tasks=3, n_trials=20)
    prior = model_of_tasks(CONTINUOUS, known, 500)
    rng = np.random.default_rng(1)
    configs = [CONTINUOUS.sample(rng) for _ in range(12)]
    opposite = -CONTINUOUS.encode(configs)[:, 0]
    ends = np.array([[0.05, 0.5], [0.95, 0.5]])
    context = SearcherContext(space=CONTINUOUS, seed=0)
    learned = ResidualLearner(context, prior, GPSettings(), 2).learn(snapshot_of(configs, opposite), rng)
    assert learned is not None
    low, high = learned.surrogate.means(ends)[:, 0]
    assert prior.scores(ends)[0][0] < prior.scores(ends)[0][1]
    assert low > high


def test_scores_need_two_results() -> None:
    prior = model_of_tasks(CONTINUOUS, earlier_evaluations(CONTINUOUS), 500)
    rng = np.random.default_rng(0)
    learner = ResidualLearner(SearcherContext(space=CONTINUOUS, seed=0), prior, GPSettings(), 2)
    assert learner.learn(snapshot_of([CONTINUOUS.sample(rng)], np.array([1.0])), rng) is None


def test_cgp_learns_from_ranks_only() -> None:
    with pytest.raises(SettingsError, match="targets=standardize must be rank"):
        method("CGP", targets="standardize")
