"""Methods that pause all trials at levels and resume the most promising one: DyHPO and FreezeThaw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, check_at_least
from tunewright.methods.building import context_of, full_resource, only_improvement
from tunewright.methods.method import Method
from tunewright.schedulers.dyhpo import DyHPO
from tunewright.schedulers.freeze_thaw import FreezeThaw, Pauses, check_probability
from tunewright.schedulers.rungs import rung_levels
from tunewright.searchers.candidate_selection import CandidateSelector, ForecastLearner
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import AcquisitionKind, GPSettings, column_groups
from tunewright.searchers.gp_curves import CurveLearner, LevelForecastLearner
from tunewright.searchers.gp_levels import JointModel, LevelMean, ResourceKernel

_GP: Final = GPSettings(n_initial=6, acquisition=AcquisitionKind.LOG_EI, max_observations=300)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSettings:
    """Levels at which all trials pause.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    grace_period: int = 1
    """The first level, >= 1."""
    levels: tuple[int, ...] | None = None
    """Own levels, instead of those that follow from ``grace_period``."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "grace_period")
        if self.levels is not None:
            Pauses(max_resource=max((0, *self.levels)) + 1, levels=self.levels)

    def within(self, max_resource: int, spaced: Sequence[int]) -> Pauses:
        """Return the pauses of full runs that are ``max_resource`` long: the own levels, else ``spaced`` ones.

        Raises
        ------
        SettingsError
            They do not fit the benchmark.
        """
        return Pauses(max_resource=max_resource, levels=tuple(self.levels or spaced))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeThawSettings:
    """Settings of FreezeThaw.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    pauses: PauseSettings = PauseSettings()
    eta: float = 2
    """The ratio of one level to the one before it, >= 2."""
    probability_thaw: float = 0.75
    """Probability that only paused trials are compared, >= 0 and below 1."""
    level_mean: LevelMean = LevelMean.CURVE
    """Mean along the resource: the common learning ``curve``, or a ``constant``."""
    gp: GPSettings = _GP
    """The model of curves; trials are weighed by ``log_ei`` only."""

    def __post_init__(self) -> None:
        only_improvement(self.gp.acquisition, "FreezeThaw")
        check_probability("probability_thaw", self.probability_thaw)
        if self.gp.input_warping:
            raise SettingsError("input_warping is not supported by FreezeThaw: leave it out")
        check_at_least(self, 2, "eta")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DyHPOSettings:
    """Settings of DyHPO.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    pauses: PauseSettings = PauseSettings()
    rung_increment: int = 2
    """The distance of two levels, >= 1."""
    probability_sh: float = 0.25
    """Probability that a trial at the top of its rung goes on regardless of the model, >= 0 and below 1."""
    resource_kernel: ResourceKernel = ResourceKernel.PRODUCT
    """How results at different levels hang together."""
    level_mean: LevelMean = LevelMean.CONSTANT
    """Mean along the resource: a ``constant``, or the common learning ``curve``, without whose fall no trial expects an improvement
    from running longer than any other."""
    gp: GPSettings = _GP
    """The model of results; trials are weighed by ``log_ei`` only."""

    def __post_init__(self) -> None:
        only_improvement(self.gp.acquisition, "DyHPO")
        check_probability("probability_sh", self.probability_sh)
        check_at_least(self, 1, "rung_increment")


def _selector(
    benchmark: Benchmark, seed: int, learner: ForecastLearner, levels: Sequence[int], gp: GPSettings
) -> CandidateSelector:
    return CandidateSelector(
        context_of(benchmark, seed),
        learner,
        Observations(benchmark.space, benchmark.metrics[0], levels, failures=gp.failures),
        n_initial=gp.n_initial,
        spread=gp.spread,
        width=gp.search,
    )


def _freeze_thaw(benchmark: Benchmark, seed: int, settings: FreezeThawSettings) -> FreezeThaw:
    max_resource, gp = full_resource(benchmark, "FreezeThaw"), settings.gp
    spaced = rung_levels(max_resource, grace_period=settings.pauses.grace_period, eta=settings.eta)
    pauses = settings.pauses.within(max_resource, spaced)
    levels = (*pauses.levels, max_resource)
    learner = CurveLearner(column_groups(benchmark.space, gp.hamming_above), levels, gp, settings.level_mean)
    return FreezeThaw(
        _selector(benchmark, seed, learner, levels, gp),
        pauses,
        metric=benchmark.metrics[0],
        seed=seed,
        probability_thaw=settings.probability_thaw,
    )


def _dyhpo(benchmark: Benchmark, seed: int, settings: DyHPOSettings) -> DyHPO:
    max_resource, gp = full_resource(benchmark, "DyHPO"), settings.gp
    spaced = range(settings.pauses.grace_period, max_resource, settings.rung_increment)
    pauses = settings.pauses.within(max_resource, spaced)
    levels = (*pauses.levels, max_resource)
    groups = column_groups(benchmark.space, gp.hamming_above)
    joint = JointModel(groups, levels, gp, settings.resource_kernel, settings.level_mean)
    return DyHPO(
        _selector(benchmark, seed, LevelForecastLearner(joint, gp), levels, gp),
        pauses,
        metric=benchmark.metrics[0],
        seed=seed,
        probability_sh=settings.probability_sh,
    )


METHODS: Final[tuple[Method[Any], ...]] = (
    Method(
        name="FreezeThaw",
        summary="Goes on with the paused trial, or begins the new one, that promises most for the end of training",
        settings=FreezeThawSettings,
        build=_freeze_thaw,
    ),
    Method(
        name="DyHPO",
        summary="Goes on with the paused trial, or begins the new one, that promises most at its next level",
        settings=DyHPOSettings,
        build=_dyhpo,
    ),
)
