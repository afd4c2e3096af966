"""Limits of an experiment, and the stopping criterion and checkpoint policy that follow from them."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from tunewright.benchmarks import Benchmark
from tunewright.callbacks.checkpoints import RemoveEarly, ahead_by_limits
from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler, StoppingCriterion
from tunewright.methods import BuildFunction, MethodSpec, promotion_eta, resolved_settings
from tunewright.methods.settings import build_settings
from tunewright.metric import Constraint
from tunewright.schedulers.asha import RungSettings
from tunewright.schedulers.finishing import Finishing, FinishSettings
from tunewright.stopping import (
    MaxCost,
    MaxEvaluations,
    MaxTrialsStarted,
    MaxWallclockTime,
    MetricReached,
    Never,
    NoBetterTrial,
)
from tunewright.types import Json, Number


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of an experiment; the first that is reached ends it.

    Raises
    ------
    SettingsError
        A limit is not positive.
    """

    max_wallclock_time: Number | None = field(default=None, metadata={"metavar": "TIME"})
    """Seconds, or a time such as 10m or 2h, on the experiment's clock, which does not count time between sessions."""
    max_num_trials: int | None = None
    """Trials started; running trials continue to their end."""
    max_num_evaluations: int | None = None
    """Number of reports."""
    max_cost: Number | None = None
    """Dollars of all runs, including resumed ones."""
    stop_at: Number | None = None
    """Value of the metric that is good enough: the experiment ends when a result reaches it."""
    patience: int | None = None
    """Trials in a row without a better result, after which the experiment ends."""
    finish: int | None = None
    """Number of trials, the best ones, that are trained to the end in the last part of the limits."""
    stop_when_regret_below: Number | None = None
    """Regret on the metric's scale: the experiment ends if a model bounds the possible improvement by it."""
    max_failures: int = 3
    """Number of trials that may fail; one more ends the experiment."""

    def __post_init__(self) -> None:
        if self.max_failures < 0:
            raise SettingsError(f"max_failures must be >= 0, not {self.max_failures}")
        if self.patience is not None and self.patience < 1:
            raise SettingsError(f"patience must be >= 1, not {self.patience}")
        if self.finish is not None and self.finish < 1:
            raise SettingsError(f"finish must be >= 1, not {self.finish}")
        regret = self.stop_when_regret_below
        if regret is not None and not 0 < regret < math.inf:
            raise SettingsError(f"stop_when_regret_below must be positive, not {regret!r}")
        self.criterion()

    @property
    def is_endless(self) -> bool:
        """Whether nothing is sure to end the experiment: no limit on time, trials, reports and cost, and no patience."""
        ends = (
            self.max_wallclock_time,
            self.max_num_trials,
            self.max_num_evaluations,
            self.max_cost,
            self.patience,
        )
        return set(ends) == {None}

    def criterion(self) -> StoppingCriterion:
        """Return the stopping criterion of time, trials, reports and cost; the others need the benchmark."""
        criterion: StoppingCriterion = Never()
        if self.max_wallclock_time is not None:
            criterion |= MaxWallclockTime(self.max_wallclock_time)
        if self.max_num_trials is not None:
            criterion |= MaxTrialsStarted(self.max_num_trials + (self.finish or 0))  # begun again
        if self.max_num_evaluations is not None:
            criterion |= MaxEvaluations(self.max_num_evaluations)
        if self.max_cost is not None:
            criterion |= MaxCost(self.max_cost)
        return criterion

    def replace(self, **changes: Any) -> Limits:
        """Return a copy with other values; None keeps the old value."""
        return dataclasses.replace(self, **{name: v for name, v in changes.items() if v is not None})

    def to_json(self) -> dict[str, Json]:
        """Return the limits as data, from which :meth:`from_json` makes equal ones."""
        added = ("stop_at", "patience", "finish")  # absent if not set, as in the data of version 0.1
        return {
            name: value for name, value in to_json(self).items() if name not in added or value is not None
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Limits:
        """Build limits from the data of :meth:`to_json`.

        Raises
        ------
        SettingsError
            The data are no limits.
        """
        return from_json(Limits, data, "limits")


def stopping_criterion(limits: Limits, benchmark: Benchmark, seed: int) -> StoppingCriterion:
    """Return the stopping criterion of an experiment.

    Raises
    ------
    SettingsError
        ``stop_at``, ``patience`` or ``stop_when_regret_below`` is set, and there are several metrics.
    """
    criterion = limits.criterion()
    for name in ("stop_at", "patience", "stop_when_regret_below"):
        if getattr(limits, name) is not None and len(benchmark.metrics) != 1:
            raise SettingsError(f"{name} is for one metric: drop it")
    if limits.stop_at is not None:
        criterion |= MetricReached(benchmark.metrics[0], limits.stop_at)
    if limits.patience is not None:
        criterion |= NoBetterTrial(benchmark.metrics[0], limits.patience)
    threshold = limits.stop_when_regret_below
    if threshold is None:
        return criterion
    # loaded late, since it imports models
    module = importlib.import_module("tunewright.searchers.regret")
    regret: StoppingCriterion = module.RegretBelow(
        benchmark.space,
        benchmark.metrics[0],
        threshold,
        max_resource=benchmark.max_resource,
        seed=seed,
    )
    return criterion | regret


def with_finish(
    scheduler: Scheduler,
    limits: Limits,
    benchmark: Benchmark,
    constraints: Sequence[Constraint],
    *,
    keeps_checkpoints: bool,
) -> Scheduler:
    """Return the scheduler that trains the best trials to the end in the last part of the limits, if they say so.

    Raises
    ------
    SettingsError
        There are several metrics, or the resource of a full run is unknown.
    """
    if limits.finish is None:
        return scheduler
    if len(benchmark.metrics) != 1:
        raise SettingsError("finish is for one metric: drop it")
    if benchmark.max_resource is None:
        raise SettingsError("finish needs max_resource: how far a full run goes")
    settings = FinishSettings(
        n_best=limits.finish,
        max_resource=benchmark.max_resource,
        n_workers=benchmark.n_workers,
        max_trials=limits.max_num_trials,
        max_results=limits.max_num_evaluations,
        max_time=limits.max_wallclock_time,
        max_cost=limits.max_cost,
        keeps_checkpoints=keeps_checkpoints,
    )
    return Finishing(scheduler, settings, metric=benchmark.metrics[0], constraints=constraints)


def out_of_reach(
    limits: Limits, method: MethodSpec | BuildFunction, settings: Mapping[str, Json], benchmark: Benchmark
) -> str:
    """Say which limit ends an experiment before a trial can come to its end; empty if none does, or if that is unknown.

    It is known of asynchronous successive halving by promotion in one bracket. A rung promotes the best ``floor(n / eta)`` of its n
    trials, n growing (see `tunewright.schedulers.rungs.Rung`): none of the first ``ceil(eta) - 1``, then at most one with each further
    trial. Each trial of a rung has reported there. Times and costs are not known before.

    Raises
    ------
    SettingsError
        The method's settings cannot work.
    """
    full, eta = benchmark.max_resource, promotion_eta(method, settings)
    if full is None or eta is None or limits.finish is not None or len(benchmark.metrics) != 1:
        return ""
    values = resolved_settings(method, settings)
    rungs = {f.name: values[f.name] for f in dataclasses.fields(RungSettings) if f.name in values}
    if rungs.get("brackets") != 1 or values.get("cost"):
        return ""
    levels = build_settings(RungSettings, rungs, "rungs").within(full).levels
    sizes = [
        1 + k * (math.ceil(eta) - 1) for k in range(len(levels) + 1)
    ]  # full runs, then rungs from the top
    needed = {"max_num_trials": sizes[-1], "max_num_evaluations": sum(sizes)}
    places = ", ".join(map(str, levels))
    return "; ".join(
        f"{name}={most} ends it before a full run ({full}), which needs {needed[name]} at least if trials report at {places}"
        for name in needed
        if (most := getattr(limits, name)) is not None and most < needed[name]
    )


def early_removal(
    most: int | None,
    method: MethodSpec | BuildFunction,
    settings: Mapping[str, Json],
    benchmark: Benchmark,
    limits: Limits,
) -> RemoveEarly | None:
    """Return the policy that keeps at most ``most`` checkpoints of paused trials; None if ``most`` is None.

    Raises
    ------
    SettingsError
        The method does not promote trials from rungs, or there are several metrics; or ``most`` is below 1.
    """
    if most is None:
        return None
    eta = promotion_eta(method, settings)
    if eta is None or len(benchmark.metrics) != 1:
        raise SettingsError(
            "max_num_checkpoints is for methods that pause trials at rungs and promote the best: ASHA and its kin with "
            "kind=promotion, one metric"
        )
    ahead = ahead_by_limits(limits.max_wallclock_time, limits.max_num_trials)
    return RemoveEarly(most, metric=benchmark.metrics[0], eta=eta, ahead=ahead)
