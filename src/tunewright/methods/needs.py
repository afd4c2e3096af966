"""What methods need of a benchmark, checked before they are built."""

from __future__ import annotations

import logging

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, UnfitError
from tunewright.metric import Metric
from tunewright.space import SearchSpace

SEVERAL_METRICS = ("MOASHA", "MOREA", "NSGA2", "RandomScalarization", "EHVI", "RandomSearch", "GridSearch")
"""Methods that tune any number of metrics; the last two heed none."""

_log = logging.getLogger(__name__)


def only_metric(benchmark: Benchmark, method: str) -> Metric:
    """The benchmark's metric.

    Raises
    ------
    UnfitError
        It has several.
    """
    if len(benchmark.metrics) != 1:
        names = ", ".join(metric.name for metric in benchmark.metrics)
        raise UnfitError(
            method,
            f"tunes one metric, not {len(benchmark.metrics)} ({names}): give one of them, "
            f"or choose a method for several: {', '.join(SEVERAL_METRICS)}",
        )
    return benchmark.metrics[0]


def full_resource(benchmark: Benchmark, method: str) -> int:
    """The resource of a full run.

    Raises
    ------
    UnfitError
        The benchmark does not say.
    """
    if benchmark.max_resource is None:
        raise UnfitError(
            method,
            "compares trials at rungs, so it needs to know how far a full run goes: "
            "give max_resource, or take a benchmark with learning curves",
        )
    return benchmark.max_resource


def only_improvement(acquisition: str, method: str) -> None:
    """Make sure that the acquisition function is the one that a method weighs.

    Raises
    ------
    SettingsError
        It is another one.
    """
    if acquisition != "log_ei":
        raise SettingsError(
            f"{method} weighs the expected improvement: acquisition={acquisition} must be log_ei"
        )


def warn_without_prior(space: SearchSpace, method: str) -> None:
    """Say that a method which heeds priors has none."""
    if not any(domain.prior for domain in space.domains.values()):
        _log.warning(
            "%s is for spaces with priors, and this one has none: give one to a domain, as in Float(..., prior=Prior(best=0.1))",
            method,
        )


def whole_space(benchmark: Benchmark, method: str, why: str) -> SearchSpace:
    """The benchmark's space, all of which may be suggested.

    Parameters
    ----------
    benchmark, method
        Who asks for what.
    why
        What the method does, for the error: "makes configurations of two others".

    Raises
    ------
    UnfitError
        The benchmark lists the only configurations that may be suggested.
    """
    if benchmark.candidates() is not None:
        raise UnfitError(
            method,
            f"{why}, so it cannot keep to the recorded configurations: "
            "drop restrict_configurations and choose a surrogate, or another method",
        )
    return benchmark.space
