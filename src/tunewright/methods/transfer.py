"""Methods that learn from earlier experiments: ZeroShot, BoundingBox, QuantileTransfer, ASHACTS, CGP, ASHACGP, RUSH, TransferGP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, check_at_least, choice
from tunewright.interfaces import Scheduler, Searcher
from tunewright.methods.building import context_of, full_resource, promotion_eta_of_rungs
from tunewright.methods.method import BuildOther, Method, MethodSpec
from tunewright.metric import Metric
from tunewright.models.targets import TargetTransform
from tunewright.schedulers.asha import ASHA, CandidateLimit, RungSettings
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.acquisition_optimizer import SearchWidth
from tunewright.searchers.encoding import Failures
from tunewright.searchers.gp import AcquisitionKind, GPSettings
from tunewright.searchers.model_free import SearcherContext, initial_configs
from tunewright.space import SearchSpace
from tunewright.transfer.box import bounding_box
from tunewright.transfer.copula import copula_searcher
from tunewright.transfer.ensemble import EnsembleDeviation, transfer_gp_searcher
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.transfer.sampling import QuantileSettings, quantile_searcher
from tunewright.transfer.zero_shot import zero_shot_configs
from tunewright.types import Config


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WarmBenchmark:
    """A benchmark with evaluations of earlier experiments."""

    benchmark: Benchmark
    evaluations: TransferEvaluations
    """Mapped to the benchmark's space."""
    points: tuple[Config, ...] | None = None
    """Configurations to begin with, instead of the benchmark's own; None: the benchmark's."""
    part: SearchSpace | None = None
    """The part of the space that is searched; None: all of it."""

    @property
    def space(self) -> SearchSpace:
        """The space that is searched."""
        return self.part or self.benchmark.space

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those of the benchmark."""
        return self.benchmark.metrics

    @property
    def max_resource(self) -> int | None:
        """Those of the benchmark."""
        return self.benchmark.max_resource

    @property
    def n_workers(self) -> int:
        """Those of the benchmark."""
        return self.benchmark.n_workers

    @property
    def points_to_evaluate(self) -> tuple[Config, ...] | None:
        """The given points, else the benchmark's."""
        return self.benchmark.points_to_evaluate if self.points is None else self.points

    @property
    def time_attr(self) -> str:
        """Those of the benchmark."""
        return self.benchmark.time_attr

    def candidates(self) -> Sequence[Config] | None:
        """The benchmark's candidates in the part that is searched.

        Raises
        ------
        SettingsError
            There is none.
        """
        listed = self.benchmark.candidates()
        if listed is None or self.part is None:
            return listed
        part = self.part
        inside = [config for config in listed if part.contains(config)]
        if not inside:
            raise SettingsError(
                "None of the recorded configurations lies where the earlier experiments did best"
            )
        return inside


def with_first_points(benchmark: Benchmark, evaluations: TransferEvaluations, n: int) -> WarmBenchmark:
    """Return the benchmark with ``n`` >= 0 further initial points: the configurations that jointly did best before."""
    if n == 0:
        return WarmBenchmark(benchmark=benchmark, evaluations=evaluations)
    chosen = zero_shot_configs(evaluations, benchmark.space, n, benchmark.candidates())
    points = (*(benchmark.points_to_evaluate or ()), *chosen)
    return WarmBenchmark(benchmark=benchmark, evaluations=evaluations, points=points)


def known_from_before(benchmark: Benchmark, method: str) -> WarmBenchmark:
    """Return the benchmark with its evaluations.

    Raises
    ------
    SettingsError
        It has none.
    """
    if isinstance(benchmark, WarmBenchmark):
        return benchmark
    raise SettingsError(
        f"{method} learns from earlier experiments: give --warm_start with a tag or an experiment (in Python, warm_start=)"
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShotSettings:
    """Settings of ZeroShot.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_configs: int = 20
    """Configurations of earlier experiments that come first, >= 1."""
    then: str = "RandomSearch"
    """The method that decides everything else, with its defaults."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "n_configs")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BoundingBoxSettings:
    """Settings of BoundingBox.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    within: str = "BayesianOptimization"
    """The method that searches the box, with its defaults."""
    n_per_task: int | None = None
    """Best configurations of each earlier benchmark that span the box, >= 1; None: enough for eight in all."""

    def __post_init__(self) -> None:
        if self.n_per_task is not None:
            check_at_least(self, 1, "n_per_task")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileTransferSettings:
    """Settings of QuantileTransfer.

    Raises
    ------
    SettingsError
        There is no such ``failures``.
    """

    sampling: QuantileSettings = QuantileSettings()
    failures: Failures = Failures.IMPUTE
    """``impute``: draws are weighted by the probability of success, once trials of this experiment have failed; ``drop``: they are not."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "failures", choice("failures", Failures, self.failures))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ASHACTSSettings:
    """Settings of ASHACTS."""

    rungs: RungSettings = RungSettings()
    draws: QuantileTransferSettings = QuantileTransferSettings()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CGPSettings:
    """Settings of CGP.

    Raises
    ------
    SettingsError
        ``targets`` is not ``rank``.
    """

    gp: GPSettings = GPSettings(
        n_initial=5,
        acquisition=AcquisitionKind.LOG_EI,
        targets=TargetTransform.RANK,
        search=SearchWidth.WIDE,
    )
    """The process of the residuals; the first ``n_initial`` trials are draws of the earlier experiments' model."""
    sampling: QuantileSettings = QuantileSettings()

    def __post_init__(self) -> None:
        if self.gp.targets is not TargetTransform.RANK:
            raise SettingsError(f"CGP learns from normal scores: targets={self.gp.targets} must be rank")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ASHACGPSettings:
    """Settings of ASHACGP."""

    rungs: RungSettings = RungSettings()
    model: CGPSettings = CGPSettings()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RUSHSettings:
    """Settings of RUSH.

    Raises
    ------
    SettingsError
        ``n_per_task`` or ``first_limited_rung`` is below 1.
    """

    rungs: RungSettings = RungSettings()
    n_per_task: int = 1
    """Best configurations of each earlier benchmark that come first, beside points of the user's, >= 1."""
    first_limited_rung: int = 2
    """First rung, counted from 1, at which trials must match these configurations, >= 1. The paper has 1."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "n_per_task", "first_limited_rung")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TransferGPSettings:
    """Settings of TransferGP.

    Raises
    ------
    SettingsError
        ``n_first`` is below 1, or there is no such ``deviation``.
    """

    gp: GPSettings = GPSettings(n_initial=1)
    """The process of the present results; with one trial the ensemble is already asked."""
    n_first: int = 3
    """Configurations that jointly did best before and come first, >= 1."""
    deviation: EnsembleDeviation = EnsembleDeviation.TARGET
    """The ensemble's uncertainty: ``target`` (that of the present process) or ``sum`` (of independent processes)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "deviation", choice("deviation", EnsembleDeviation, self.deviation))
        check_at_least(self, 1, "n_first")


def _zero_shot(
    benchmark: Benchmark, seed: int, settings: ZeroShotSettings, build_other: BuildOther
) -> Scheduler:
    known = known_from_before(benchmark, "ZeroShot")
    warm = with_first_points(known.benchmark, known.evaluations, settings.n_configs)
    return build_other(MethodSpec(name=settings.then), warm, seed)


def _bounding_box(
    benchmark: Benchmark, seed: int, settings: BoundingBoxSettings, build_other: BuildOther
) -> Scheduler:
    known = known_from_before(benchmark, "BoundingBox")
    space, points = known.space, known.benchmark.points_to_evaluate
    given = [space.complete(point) for point in points or ()]
    box = bounding_box(known.evaluations, space, n_per_task=settings.n_per_task, include=given)
    warm = WarmBenchmark(
        benchmark=known.benchmark,
        evaluations=known.evaluations,
        part=box,
        points=None if points is None else tuple(given),
    )
    return build_other(MethodSpec(name=settings.within), warm, seed)


def _context_of(benchmark: WarmBenchmark, seed: int) -> SearcherContext:
    """Without initial points of the user's, draws of the earlier tasks' model come first."""
    return replace(context_of(benchmark, seed), points_to_evaluate=benchmark.points_to_evaluate or ())


def sampling_searcher(benchmark: WarmBenchmark, seed: int, settings: QuantileTransferSettings) -> Searcher:
    """Return a searcher that draws where earlier tasks did well. Without initial points of the user's, draws come first."""
    return quantile_searcher(
        _context_of(benchmark, seed),
        benchmark.evaluations,
        settings.sampling,
        metric=benchmark.metrics[0],
        failures=settings.failures,
    )


def _quantile_transfer(benchmark: Benchmark, seed: int, settings: QuantileTransferSettings) -> FIFO:
    return FIFO(sampling_searcher(known_from_before(benchmark, "QuantileTransfer"), seed, settings))


def _asha_cts(benchmark: Benchmark, seed: int, settings: ASHACTSSettings) -> ASHA:
    rungs = settings.rungs.within(full_resource(benchmark, "ASHACTS"))
    searcher = sampling_searcher(known_from_before(benchmark, "ASHACTS"), seed, settings.draws)
    return ASHA(searcher, rungs, metric=benchmark.metrics[0], seed=seed)


def _cgp(benchmark: Benchmark, seed: int, settings: CGPSettings) -> FIFO:
    known = known_from_before(benchmark, "CGP")
    context, metric = _context_of(known, seed), benchmark.metrics[0]
    return FIFO(copula_searcher(context, known.evaluations, settings.gp, settings.sampling, metric=metric))


def _asha_cgp(benchmark: Benchmark, seed: int, settings: ASHACGPSettings) -> ASHA:
    known, metric = known_from_before(benchmark, "ASHACGP"), benchmark.metrics[0]
    rungs = settings.rungs.within(full_resource(benchmark, "ASHACGP"))
    searcher = copula_searcher(
        _context_of(known, seed),
        known.evaluations,
        settings.model.gp,
        settings.model.sampling,
        metric=metric,
        levels=(*rungs.levels, rungs.max_resource),
    )
    return ASHA(searcher, rungs, metric=metric, seed=seed)


def _rush(benchmark: Benchmark, seed: int, settings: RUSHSettings) -> ASHA:
    known = known_from_before(benchmark, "RUSH")
    rungs = settings.rungs.within(full_resource(benchmark, "RUSH"))
    best = [config for task in known.evaluations.tasks for config in task.best(settings.n_per_task)]
    listed = known.benchmark.candidates()
    if listed is not None:
        keys = {known.space.key(config) for config in listed}
        best = [config for config in best if known.space.key(config) in keys]
    points = initial_configs(known.space, (*(known.benchmark.points_to_evaluate or ()), *best))
    warm = WarmBenchmark(benchmark=known.benchmark, evaluations=known.evaluations, points=points)
    levels = (*rungs.levels, rungs.max_resource)
    first_level = levels[min(settings.first_limited_rung, len(levels)) - 1]
    limit = CandidateLimit(len(points), rungs.max_resource, first_level)
    searcher = context_of(warm, seed).random_searcher()
    return ASHA(searcher, rungs, metric=benchmark.metrics[0], seed=seed, limit=limit)


def _transfer_gp(benchmark: Benchmark, seed: int, settings: TransferGPSettings) -> FIFO:
    known = known_from_before(benchmark, "TransferGP")
    warm = with_first_points(known.benchmark, known.evaluations, settings.n_first)
    context = context_of(warm, seed)
    searcher = transfer_gp_searcher(
        context,
        warm.evaluations,
        settings.gp,
        metric=benchmark.metrics[0],
        deviation=settings.deviation,
    )
    return FIFO(searcher)


METHODS: Final[tuple[Method[Any], ...]] = (
    Method(
        name="ZeroShot",
        summary="First the configurations that jointly did best in earlier experiments, then another method",
        settings=ZeroShotSettings,
        build_around=_zero_shot,
        contains="then",
        several_metrics=True,
        needs_evaluations=True,
    ),
    Method(
        name="BoundingBox",
        summary="Another method (Bayesian optimisation by default) in the box of the best earlier configurations",
        settings=BoundingBoxSettings,
        build_around=_bounding_box,
        contains="within",
        several_metrics=True,
        needs_evaluations=True,
    ),
    Method(
        name="QuantileTransfer",
        summary="Samples where a regression of earlier experiments' quantiles expects good results",
        settings=QuantileTransferSettings,
        build=_quantile_transfer,
        needs_evaluations=True,
    ),
    Method(
        name="ASHACTS",
        summary="ASHA whose new trials are sampled where earlier experiments did well",
        settings=ASHACTSSettings,
        build=_asha_cts,
        needs_evaluations=True,
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="CGP",
        summary="Bayesian optimisation of what a regression of earlier experiments' quantiles does not predict",
        settings=CGPSettings,
        build=_cgp,
        needs_evaluations=True,
    ),
    Method(
        name="ASHACGP",
        summary="ASHA whose new trials are those of CGP, by the results of the highest rung that has enough",
        settings=ASHACGPSettings,
        build=_asha_cgp,
        needs_evaluations=True,
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="RUSH",
        summary="ASHA that begins with the best of earlier experiments; others must match them from the second rung on",
        settings=RUSHSettings,
        build=_rush,
        needs_evaluations=True,
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="TransferGP",
        summary="Bayesian optimisation by an ensemble of earlier experiments' models, weighted by how they rank the results",
        settings=TransferGPSettings,
        build=_transfer_gp,
        needs_evaluations=True,
    ),
)
