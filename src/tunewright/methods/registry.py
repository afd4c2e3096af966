"""Methods by name: the table here, and the entry points of group ``tunewright.methods`` of other packages.

The families of methods do not import this module.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import UnfitError, UnknownNameError
from tunewright.interfaces import Scheduler
from tunewright.methods.method import BuildFunction, Method, MethodSpec
from tunewright.methods.settings import flat_settings
from tunewright.metric import Constraint, Metric
from tunewright.plugins import load_plugin, plugin_names
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.types import Json

ENTRY_POINT_GROUP: Final = "tunewright.methods"
_HERE: Final = "tunewright.methods"
N_FIRST: Final = 5
"""Configurations of earlier experiments that come first in methods that use them in no other way."""

_BUILTIN: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "RandomSearch": ("model_free", ("RS",)),
    "GridSearch": ("model_free", ("Grid",)),
    "ASHA": ("early_stopping", ()),
    "PASHA": ("early_stopping", ()),
    "SyncHyperband": ("early_stopping", ()),
    "OneEpochTopK": ("early_stopping", ("OneEpoch",)),
    "MedianStopping": ("early_stopping", ()),
    "PatienceStopping": ("early_stopping", ()),
    "ThresholdStopping": ("early_stopping", ()),
    "REA": ("evolutionary", ("RegularizedEvolution",)),
    "DEHB": ("evolutionary", ()),
    "PBT": ("evolutionary", ()),
    "PB2": ("evolutionary", ()),
    "CMAES": ("evolutionary", ("CMA-ES",)),
    "BayesianOptimization": ("bayesian", ("BO",)),
    "KDE": ("bayesian", ()),
    "TPE": ("bayesian", ()),
    "TuRBO": ("bayesian", ()),
    "BORE": ("bayesian", ()),
    "RandomForestBO": ("bayesian", ("SMAC",)),
    "CQR": ("bayesian", ()),
    "ConstrainedBO": ("bayesian", ("ConstrainedBayesianOptimization",)),
    "CostAwareBO": ("bayesian", ()),
    "ASHABORE": ("model_based_halving", ()),
    "ASHACQR": ("model_based_halving", ()),
    "BOHB": ("model_based_halving", ()),
    "MOBSTER": ("model_based_halving", ()),
    "HyperTune": ("model_based_halving", ()),
    "SyncBOHB": ("model_based_halving", ()),
    "SyncMOBSTER": ("model_based_halving", ()),
    "FreezeThaw": ("freeze_thaw", ()),
    "DyHPO": ("freeze_thaw", ()),
    "MOASHA": ("multi_objective", ()),
    "MOREA": ("multi_objective", ()),
    "NSGA2": ("multi_objective", ()),
    "RandomScalarization": ("multi_objective", ("MOBO-RS",)),
    "EHVI": ("multi_objective", ()),
    "PiBO": ("priors", ()),
    "PriorBand": ("priors", ()),
    "ZeroShot": ("transfer", ("ZeroShotTransfer",)),
    "BoundingBox": ("transfer", ()),
    "QuantileTransfer": ("transfer", ("CTS",)),
    "ASHACTS": ("transfer", ()),
    "CGP": ("transfer", ()),
    "ASHACGP": ("transfer", ()),
    "RUSH": ("transfer", ()),
    "TransferGP": ("transfer", ("RGPE",)),
    "Adaptive": ("adaptive", ()),
    "auto": ("automatic", ()),
}
"""Name -> module of this package, aliases. The module is imported when one of its methods is used."""


def method(name: str, **settings: Json) -> MethodSpec:
    """Choose a method and its settings, as in ``method("ASHA", kind="promotion")``.

    Raises
    ------
    UnknownNameError
        There is no such method or setting; the message has the nearest one.
    SettingsError
        A value cannot work.
    """
    found = find_method(name)
    found.make_settings(settings)
    return MethodSpec(name=found.name, settings=dict(settings))


def method_names() -> list[str]:
    """Return all names without aliases, those of other packages included."""
    return sorted({*_BUILTIN, *plugin_names(ENTRY_POINT_GROUP)}, key=str.lower)


def aliases(name: str) -> Sequence[str]:
    """Return the short names of a method."""
    return _BUILTIN[name][1] if name in _BUILTIN else ()


def find_method(name: str) -> Method[Any]:
    """Return the method of a name or alias; the case of letters does not matter.

    Raises
    ------
    UnknownNameError
        There is no such method.
    SettingsError
        A package's entry point cannot be loaded, or does not lead to a Method.
    """
    names = {short.lower(): full for full in method_names() for short in (full, *aliases(full))}
    full = names.get(name.lower())
    if full is None:
        raise UnknownNameError("method", name, method_names())
    if full in _BUILTIN:
        family: Sequence[Method[Any]] = importlib.import_module(f"{_HERE}.{_BUILTIN[full][0]}").METHODS
        return next(one for one in family if one.name == full)
    return cast("Method[Any]", load_plugin(ENTRY_POINT_GROUP, full, Method))


def build_scheduler(
    choice: MethodSpec | BuildFunction,
    benchmark: Benchmark,
    seed: int,
    settings: Mapping[str, Json],
    evaluations: TransferEvaluations | None = None,
) -> Scheduler:
    """Build the scheduler of a named method or of a user's own function.

    Parameters
    ----------
    choice
        A method by name, or a function ``build(benchmark, seed, settings)``.
    benchmark, seed
        The benchmark to tune, and the seed of all random numbers.
    settings
        Further settings, which win over those of ``choice``.
    evaluations
        Evaluations of earlier experiments, mapped to the benchmark's space. A method that is not made for them begins with
        the five configurations that jointly did best. None: no earlier experiments.

    Raises
    ------
    SettingsError
        The settings cannot work, or do not fit the benchmark.
    """
    if not isinstance(choice, MethodSpec):
        return choice(_warmed(benchmark, evaluations, N_FIRST), seed, settings)
    found, whole = _chosen(choice, settings)
    if len(benchmark.metrics) != 1 and not found.several_metrics:
        raise UnfitError(found.name, _one_metric_only(benchmark.metrics))
    benchmark = _warmed(benchmark, evaluations, 0 if found.needs_evaluations else N_FIRST)
    inner = choice.inner

    def build_other(other: MethodSpec, benchmark: Benchmark, seed: int) -> Scheduler:
        name = find_method(other.name).name
        settings = {**inner.get(name, {}), **other.settings}
        return build_scheduler(MethodSpec(name=name, settings=settings, inner=inner), benchmark, seed, {})

    return found.scheduler(benchmark, seed, whole, build_other)


def _chosen(choice: MethodSpec, settings: Mapping[str, Json]) -> tuple[Method[Any], Any]:
    """A method with its complete settings; the given ones win over those of the choice."""
    found = find_method(choice.name)
    return found, found.make_settings({**choice.settings, **settings})


def _one_metric_only(metrics: Sequence[Metric]) -> str:
    several = [name for name in method_names() if find_method(name).several_metrics]
    suggested = [name for name in several if not find_method(name).needs_evaluations]
    return (
        f"tunes one metric, not {len(metrics)} ({', '.join(metric.name for metric in metrics)}): give one of them, "
        f"or choose a method for several: {', '.join(suggested)}"
    )


def _warmed(benchmark: Benchmark, evaluations: TransferEvaluations | None, n_first: int) -> Benchmark:
    if evaluations is None:
        return benchmark
    # imported here, since it brings models, which most runs do without
    transfer = importlib.import_module(f"{_HERE}.transfer")
    return transfer.with_first_points(benchmark, evaluations, n_first)


def sized(choice: MethodSpec, settings: Mapping[str, Json], n_trials: int) -> MethodSpec:
    """Return a method with all given settings, and with those that depend on the number of trials that the limits allow.

    Raises
    ------
    SettingsError
        The settings cannot work.
    """
    found, whole = _chosen(choice, settings)
    given = {**choice.settings, **settings}
    if found.for_trials is not None:
        before, after = flat_settings(whole), flat_settings(found.for_trials(whole, n_trials))
        given |= {name: value for name, value in after.items() if value != before[name]}
    return replace(choice, settings=given)


def constraints_of(
    choice: MethodSpec | BuildFunction, settings: Mapping[str, Json]
) -> tuple[Constraint, ...]:
    """Return the constraints that the best result must meet; none for a user's own function.

    Raises
    ------
    SettingsError
        The settings cannot work.
    """
    if not isinstance(choice, MethodSpec):
        return ()
    found, whole = _chosen(choice, settings)
    return tuple(found.constraints(whole))


def also_read(
    choice: MethodSpec | BuildFunction, benchmark: Benchmark, settings: Mapping[str, Json]
) -> tuple[Metric, ...]:
    """Return the values that reports must hold beside the tuned metrics.

    Raises
    ------
    SettingsError
        The settings cannot work.
    """
    if not isinstance(choice, MethodSpec):
        return ()
    found, whole = _chosen(choice, settings)
    return tuple(map(Metric, found.reads(benchmark, whole)))


def resolved_settings(choice: MethodSpec | BuildFunction, settings: Mapping[str, Json]) -> dict[str, Json]:
    """Return all settings of a method by flat name, defaults included; those of a user's function as they are given.

    Raises
    ------
    SettingsError
        The settings cannot work.
    """
    if not isinstance(choice, MethodSpec):
        return dict(settings)
    return find_method(choice.name).resolved({**choice.settings, **settings})


def resolved_inner(
    choice: MethodSpec | BuildFunction, benchmark: Benchmark, settings: Mapping[str, Json]
) -> dict[str, dict[str, Json]]:
    """Return all settings of the methods that a method contains for a benchmark, at any depth, by name.

    Raises
    ------
    SettingsError
        The settings cannot work.
    """
    if not isinstance(choice, MethodSpec):
        return {}
    found, whole = _chosen(choice, settings)
    other = found.contained(benchmark, whole)
    if other is None:
        return {}
    inner = find_method(other.name)
    values = inner.resolved({**choice.inner.get(inner.name, {}), **other.settings})
    deeper = MethodSpec(name=inner.name, settings=values, inner=choice.inner)
    return {inner.name: values, **resolved_inner(deeper, benchmark, {})}


def promotion_eta(choice: MethodSpec | BuildFunction, settings: Mapping[str, Json]) -> float | None:
    """Return the reduction factor of a method whose trials wait at rungs for their promotion, else None.

    Raises
    ------
    SettingsError
        The settings cannot work.
    """
    if not isinstance(choice, MethodSpec):
        return None
    found, whole = _chosen(choice, settings)
    return found.promotion_eta(whole)
