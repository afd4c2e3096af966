"""Adaptive: successive halving that follows the evidence: model or chance, repeats, the first rung."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import choice
from tunewright.interfaces import Scheduler
from tunewright.methods.building import context_of, full_resource
from tunewright.methods.method import Method
from tunewright.methods.model_based_halving import HyperTuneSettings, hypertune_parts
from tunewright.methods.transfer import QuantileTransferSettings, WarmBenchmark, sampling_searcher
from tunewright.schedulers.asha import ASHA
from tunewright.searchers.encoding import Failures
from tunewright.searchers.gp import GPSettings
from tunewright.searchers.gp_levels import LevelModel, LevelModelSettings
from tunewright.searchers.mixture import Arm, MixtureSearcher, Outcomes, check_shares


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveSettings:
    """Settings of Adaptive.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    halving: HyperTuneSettings = HyperTuneSettings(
        models=LevelModelSettings(model=LevelModel.JOINT, gp=GPSettings(n_initial=6, max_observations=200))
    )
    """Rungs, brackets and model: those of HyperTune with ``model=joint``."""
    random_share: float | None = None
    """Share of new configurations that no model proposes, from 0 to 1; None: it follows the results. These are random, or drawn where
    earlier experiments did well (``--warm_start``)."""
    least_share: float = 0.2
    """Least share of the model, and of the other configurations, if the shares follow the results; from 0 to 0.5."""
    drop_repeats: bool = True
    """Whether a trial whose report at a rung repeats an earlier one in all values, the elapsed time included, is stopped."""
    drop_first_rung: bool = True
    """Whether new trials start at the second rung while the first one's order says nothing about it."""

    failed_draws: Failures = Failures.IMPUTE
    """``impute``: draws where earlier experiments did well are weighted by the probability of success, once trials have failed;
    ``drop``: they are not."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "failed_draws", choice("failed_draws", Failures, self.failed_draws))
        check_shares(self.random_share, self.least_share)


def _adaptive(benchmark: Benchmark, seed: int, settings: AdaptiveSettings) -> Scheduler:
    metric, halving = benchmark.metrics[0], settings.halving
    elapsed = benchmark.time_attr if settings.drop_repeats else None
    rungs = halving.rungs.within(
        full_resource(benchmark, "Adaptive"),
        fewer_brackets=True,
        elapsed=elapsed,
        drop_first_rung=settings.drop_first_rung,
    )
    model, weights = hypertune_parts(benchmark, seed, halving, rungs)
    context = context_of(benchmark, seed)
    random = context.random_searcher()
    if isinstance(benchmark, WarmBenchmark):
        draws = QuantileTransferSettings(failures=settings.failed_draws)
        other = Arm("transfer", sampling_searcher(benchmark, seed, draws), "from earlier experiments")
        n_given = 0 if benchmark.points_to_evaluate is None else random.n_initial
    else:
        other, n_given = Arm("random", random, "random"), random.n_initial
    searcher = MixtureSearcher(
        Arm("model", model, "from the model"),
        other,
        Outcomes(metric, (*rungs.levels, rungs.max_resource), rungs.eta, elapsed),
        seed=seed,
        n_initial=model.n_initial,
        n_given=n_given,
        share=settings.random_share,
        least_share=settings.least_share,
    )
    return ASHA(searcher, rungs, metric=metric, seed=seed, weights=weights)


def _promotion_eta(settings: AdaptiveSettings) -> float | None:
    return settings.halving.rungs.promotion_eta


METHODS: Final[tuple[Method[Any], ...]] = (
    Method(
        name="Adaptive",
        summary="HyperTune with a joint model, mixed with random configurations by their results; drops repeats and useless rungs",
        settings=AdaptiveSettings,
        build=_adaptive,
        promotion_eta=_promotion_eta,
    ),
)
