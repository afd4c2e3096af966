"""What ends an experiment, and which checkpoints go early, as its limits and its method say."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from tunewright.benchmarks import Benchmark
from tunewright.callbacks.checkpoints import RemoveEarly, ahead_by_limits
from tunewright.exceptions import SettingsError
from tunewright.experiments.limits import Limits
from tunewright.interfaces import StoppingCriterion
from tunewright.methods import BuildFunction, MethodSpec, find_method
from tunewright.schedulers.asha import ASHAKind
from tunewright.types import Json


def stopping_criterion(limits: Limits, benchmark: Benchmark, seed: int) -> StoppingCriterion:
    """What the Tuner asks.

    Raises
    ------
    SettingsError
        The regret of several metrics is to be bounded.
    """
    threshold = limits.stop_when_regret_below
    if threshold is None:
        return limits.criterion()
    if len(benchmark.metrics) != 1:
        raise SettingsError("stop_when_regret_below is for one metric: drop it")
    # loaded here, as it brings models, which most runs do without
    module = importlib.import_module("tunewright.searchers.regret")
    regret: StoppingCriterion = module.RegretBelow(
        benchmark.space,
        benchmark.metrics[0],
        threshold,
        max_resource=benchmark.max_resource,
        seed=seed,
    )
    return limits.criterion() | regret


def early_removal(
    most: int | None,
    method: MethodSpec | BuildFunction,
    settings: Mapping[str, Json],
    benchmark: Benchmark,
    limits: Limits,
) -> RemoveEarly | None:
    """The policy that keeps at most ``most`` checkpoints of paused trials; None where all are kept.

    Raises
    ------
    SettingsError
        The method does not promote the best of rungs, or compares several metrics; or ``most`` is below 1.
    """
    if most is None:
        return None
    made: object = None
    if isinstance(method, MethodSpec):
        made = find_method(method.name).make_settings({**method.settings, **settings})
    if getattr(made, "kind", None) is not ASHAKind.PROMOTION or len(benchmark.metrics) != 1:
        raise SettingsError(
            "max_num_checkpoints is for methods that pause trials at rungs and promote the best: ASHA and its kin with "
            "kind=promotion, one metric"
        )
    ahead = ahead_by_limits(limits.max_wallclock_time, limits.max_num_trials)
    eta = float(getattr(made, "eta", 3))
    return RemoveEarly(most, metric=benchmark.metrics[0], eta=eta, ahead=ahead)
