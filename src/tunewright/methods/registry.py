"""The methods by name: a table here, and the entry points of group ``tunewright.methods`` of other packages."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.interfaces import Scheduler
from tunewright.methods.method import BuildFunction, Method, MethodSpec
from tunewright.metric import Constraint, Metric
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.types import Json

ENTRY_POINT_GROUP: Final = "tunewright.methods"
_HERE: Final = "tunewright.methods"
N_FIRST: Final = 5
"""Configurations of earlier experiments that come first in methods that know nothing else of them."""

_BUILTIN: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "RandomSearch": ("random_search", ("RS",)),
    "GridSearch": ("grid_search", ("Grid",)),
    "ASHA": ("asha", ()),
    "BayesianOptimization": ("bayesian_optimization", ("BO",)),
    "OneEpochTopK": ("one_epoch_top_k", ("OneEpoch",)),
    "SyncHyperband": ("sync_hyperband", ()),
    "SyncBOHB": ("sync_bohb", ()),
    "SyncMOBSTER": ("sync_mobster", ()),
    "DEHB": ("dehb", ()),
    "PASHA": ("pasha", ()),
    "PBT": ("pbt", ()),
    "MedianStopping": ("median_stopping", ()),
    "REA": ("rea", ("RegularizedEvolution",)),
    "BORE": ("bore", ()),
    "CQR": ("cqr", ()),
    "ASHABORE": ("asha_bore", ()),
    "ASHACQR": ("asha_cqr", ()),
    "MOBSTER": ("mobster", ()),
    "HyperTune": ("hypertune", ()),
    "KDE": ("kde", ("TPE",)),
    "BOHB": ("bohb", ()),
    "MOASHA": ("moasha", ()),
    "MOREA": ("morea", ()),
    "NSGA2": ("nsga2", ()),
    "RandomScalarization": ("random_scalarization", ("MOBO-RS",)),
    "EHVI": ("ehvi", ()),
    "ConstrainedBO": ("constrained_bo", ("ConstrainedBayesianOptimization",)),
    "CostAwareBO": ("cost_aware_bo", ()),
    "PiBO": ("pibo", ()),
    "PriorBand": ("prior_band", ()),
    "auto": ("automatic", ()),
    "FreezeThaw": ("freeze_thaw", ()),
    "DyHPO": ("dyhpo", ()),
    "ZeroShot": ("zero_shot", ("ZeroShotTransfer",)),
    "BoundingBox": ("bounding_box", ()),
    "QuantileTransfer": ("quantile_transfer", ("CTS",)),
    "ASHACTS": ("asha_cts", ()),
    "RUSH": ("rush", ()),
    "TransferGP": ("transfer_gp", ("RGPE",)),
}
"""Name -> module of this package, aliases. The module is loaded when the method is used."""


def method(name: str, **settings: Json) -> MethodSpec:
    """Choose a method and its settings, as in ``method("ASHA", kind="promotion")``.

    Raises
    ------
    UnknownNameError
        There is no such method or setting; the nearest one is said.
    SettingsError
        A value cannot work.
    """
    found = find_method(name)
    found.make_settings(settings)
    return MethodSpec(name=found.name, settings=dict(settings))


def method_names() -> list[str]:
    """All names, those of other packages included; aliases are left out."""
    return sorted({*_BUILTIN, *_third_party()}, key=str.lower)


def aliases(name: str) -> Sequence[str]:
    """Short names of a method."""
    return _BUILTIN[name][1] if name in _BUILTIN else ()


def find_method(name: str) -> Method[Any]:
    """The method of a name or alias, whatever the case of its letters.

    Raises
    ------
    UnknownNameError
        There is none.
    SettingsError
        A package's entry point does not lead to a Method.
    """
    names = {short.lower(): full for full in method_names() for short in (full, *aliases(full))}
    full = names.get(name.lower())
    if full is None:
        raise UnknownNameError("method", name, method_names())
    if full in _BUILTIN:
        return importlib.import_module(f"{_HERE}.{_BUILTIN[full][0]}").METHOD
    found = _third_party()[full]()
    if not isinstance(found, Method):
        raise SettingsError(f"The entry point {full!r} of {ENTRY_POINT_GROUP} is {found!r}, not a Method")
    return found


def build_scheduler(
    choice: MethodSpec | BuildFunction,
    benchmark: Benchmark,
    seed: int,
    settings: Mapping[str, Json],
    evaluations: TransferEvaluations | None = None,
) -> Scheduler:
    """Build the scheduler of a method of ours, or by a user's own function.

    Parameters
    ----------
    choice
        A method by name, or a function ``build(benchmark, seed, settings)``.
    benchmark, seed
        What is tuned, and the seed of all random numbers.
    settings
        Added to those of ``choice``; they win.
    evaluations
        Of earlier experiments, mapped to the benchmark's space. A method that is not made for them begins with the five
        configurations that jointly did best; None: nothing is known.

    Raises
    ------
    SettingsError
        The settings cannot work, or do not fit the benchmark.
    """
    if not isinstance(choice, MethodSpec):
        return choice(_warmed(benchmark, evaluations, N_FIRST), seed, settings)
    found, whole = _chosen(choice, settings)
    benchmark = _warmed(benchmark, evaluations, 0 if found.needs_evaluations else N_FIRST)
    return found.build(benchmark, seed, whole)


def _chosen(choice: MethodSpec, settings: Mapping[str, Json]) -> tuple[Method[Any], Any]:
    """A method of ours with all its settings; those given here win."""
    found = find_method(choice.name)
    return found, found.make_settings({**choice.settings, **settings})


def _warmed(benchmark: Benchmark, evaluations: TransferEvaluations | None, n_first: int) -> Benchmark:
    if evaluations is None:
        return benchmark
    # loaded here, as it brings models, which most runs do without
    warm_benchmark = importlib.import_module(f"{_HERE}.warm_benchmark")
    return warm_benchmark.with_first_points(benchmark, evaluations, n_first)


def constraints_of(
    choice: MethodSpec | BuildFunction, settings: Mapping[str, Json]
) -> tuple[Constraint, ...]:
    """What must hold of the best result; nothing with a user's own function.

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
    """Values that reports must hold beside the tuned metrics.

    Raises
    ------
    SettingsError
        The settings cannot work.
    """
    if not isinstance(choice, MethodSpec):
        return ()
    found, whole = _chosen(choice, settings)
    return tuple(map(Metric, found.reads(benchmark, whole)))


@cache
def _third_party() -> Mapping[str, Callable[[], Any]]:
    return {point.name: point.load for point in entry_points(group=ENTRY_POINT_GROUP)}
