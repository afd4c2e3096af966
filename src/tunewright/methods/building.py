"""Parts that the builders of methods share: the searcher's context, requirements on the benchmark, short compositions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, UnfitError
from tunewright.interfaces import Searcher
from tunewright.methods.method import Method
from tunewright.metric import Metric
from tunewright.schedulers.asha import RungSettings
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import SearcherContext
from tunewright.space import SearchSpace

SettingsT = TypeVar("SettingsT")
SettingsT_contra = TypeVar("SettingsT_contra", contravariant=True)

_log = logging.getLogger(__name__)


def context_of(benchmark: Benchmark, seed: int) -> SearcherContext:
    """Return the benchmark's space, initial points and listed configurations, with the seed."""
    return SearcherContext(
        space=benchmark.space,
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
        candidates=benchmark.candidates(),
    )


def full_resource(benchmark: Benchmark, method: str) -> int:
    """Return the resource of a full run.

    Raises
    ------
    UnfitError
        The benchmark does not define it.
    """
    if benchmark.max_resource is None:
        raise UnfitError(
            method,
            "compares trials at rungs, so it needs to know how far a full run goes: "
            "give max_resource, or take a benchmark with learning curves",
        )
    return benchmark.max_resource


def whole_space(benchmark: Benchmark, method: str, why: str) -> SearchSpace:
    """Return the benchmark's space if all of it may be suggested.

    Parameters
    ----------
    benchmark, method
        The benchmark, and the name of the method for the error.
    why
        Property of the method, for the error: "makes configurations of two others".

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


def only_improvement(acquisition: str, method: str) -> None:
    """Check that the acquisition function is ``log_ei``, the only one that a method can weigh.

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
    """Warn that a method which uses priors gets a space without any."""
    if not any(domain.prior for domain in space.domains.values()):
        _log.warning(
            "%s is for spaces with priors, and this one has none: give one to a domain, as in Float(..., prior=Prior(best=0.1))",
            method,
        )


class SearcherFactory(Protocol[SettingsT_contra]):
    """Builds a searcher for one metric."""

    def __call__(
        self, context: SearcherContext, settings: SettingsT_contra, /, *, metric: Metric
    ) -> Searcher:
        """Build it."""
        ...


def fifo_method(
    name: str,
    summary: str,
    settings: type[SettingsT],
    searcher: SearcherFactory[SettingsT],
    for_trials: Callable[[SettingsT, int], SettingsT] | None = None,
) -> Method[SettingsT]:
    """Return a method that runs every trial of a searcher to its end."""

    def build(benchmark: Benchmark, seed: int, values: SettingsT) -> FIFO:
        return FIFO(searcher(context_of(benchmark, seed), values, metric=benchmark.metrics[0]))

    return Method(name=name, summary=summary, settings=settings, build=build, for_trials=for_trials)


class HasRungs(Protocol):
    """Settings with a group of rungs."""

    @property
    def rungs(self) -> RungSettings:
        """The rungs."""
        ...


def promotion_eta_of_rungs(settings: HasRungs) -> float | None:
    """Return the reduction factor if trials wait at rungs for their promotion, else None."""
    return settings.rungs.promotion_eta
