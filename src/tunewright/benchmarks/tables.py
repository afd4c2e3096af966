"""The simulated benchmarks by name: one family per table, with the usual times and workers of the literature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, final

from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.blackbox import SurrogateKind, table_names
from tunewright.blackbox.recipes.lcbench import TASKS as LCBENCH_TASKS
from tunewright.blackbox.repository import table_info
from tunewright.exceptions import UnknownNameError
from tunewright.metric import Goal, Metric

_HOUR: Final = 3600.0
_NEAREST: Final = str(SurrogateKind.NEAREST)
_FCNET: Final = {
    "protein": "protein_structure",
    "naval": "naval_propulsion",
    "parkinsons": "parkinsons_telemonitoring",
    "slice": "slice_localization",
}
_NAS201: Final = {"cifar10": 5.0, "cifar100": 6.0, "ImageNet16-120": 8.0, "cifar10-two-fidelities": 5.0}
"""Data set -> hours."""
_TASKSET: Final = tuple(
    f"FixedTextRNNClassification_imdb_patch{task}"
    for task in (
        "32_GRU64_avg_bs128",
        "32_IRNN64_relu_avg_bs128",
        "32_IRNN64_relu_last_bs128",
        "32_LSTM128_E128_bs128",
        "32_LSTM128_bs128",
        "32_VRNN64_relu_avg_bs128",
    )
)
_IAML_SECONDS: Final = {"rpart": 240.0, "glmnet": 180.0, "ranger": 300.0, "xgboost": 300.0}
_IAML_TASKS: Final = ("40981", "41146", "1489", "1067")
_ACCURACY_ONLY: Final = ("rbv2_xgboost", "rbv2_svm")
"""Scenarios with an unreliable predicted AUC."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The benchmarks of one table."""

    table: str
    prefix: str
    """Prefix of the benchmarks' names, before the data set."""
    make: Callable[[str, str], SurrogateBenchmarkDefinition]
    """``(name, suffix) -> definition``."""
    known: tuple[str, ...] = ()
    """Suffixes of known names, also without the table."""
    renamed: bool = False
    """Whether suffixes differ from the names of the data sets."""

    def suffixes(self) -> list[str]:
        """Known suffixes, then those of further data sets in the table on this machine."""
        installed = list(table_info(self.table).datasets) if self.table in table_names() else []
        return list(dict.fromkeys([*self.known, *(() if self.renamed else installed)]))


def _define(
    table: str, metric: str, goal: Goal, **fields: Any
) -> Callable[[str, str], SurrogateBenchmarkDefinition]:
    def make(name: str, dataset: str) -> SurrogateBenchmarkDefinition:
        return SurrogateBenchmarkDefinition(
            name=name, table=table, dataset=dataset, metrics=(Metric(metric, goal),), **fields
        )

    return make


def _nas201(name: str, dataset: str) -> SurrogateBenchmarkDefinition:
    hours = _NAS201.get(dataset, 5.0)
    n_workers = 8 if dataset == "ImageNet16-120" else 4
    make = _define(
        "nasbench201", "valid_error", Goal.MINIMIZE, max_wallclock_time=hours * _HOUR, n_workers=n_workers
    )
    return make(name, dataset)


def _fcnet(name: str, short: str) -> SurrogateBenchmarkDefinition:
    make = _define("fcnet", "valid_loss", Goal.MINIMIZE, max_wallclock_time=_HOUR)
    return make(name, _FCNET[short])


def _yahpo(name: str, dataset: str) -> SurrogateBenchmarkDefinition:
    scenario = dataset.rsplit("-", 1)[0]
    metric, limits = "val_accuracy", {"max_wallclock_time": 2 * _HOUR, "max_num_evaluations": 4000}
    if scenario == "nb301":
        limits = {"max_wallclock_time": 12 * _HOUR}
    elif scenario.startswith("iaml_"):
        seconds = _IAML_SECONDS[scenario.removeprefix("iaml_")]
        metric, limits = "f1", {"max_wallclock_time": seconds, "max_num_evaluations": 1000}
    elif scenario.startswith("rbv2_"):
        metric, limits = "acc" if scenario in _ACCURACY_ONLY else "auc", {"max_wallclock_time": 900.0}
    return _define("yahpo", metric, Goal.MAXIMIZE, **limits)(name, dataset)


def _lemur(name: str, dataset: str) -> SurrogateBenchmarkDefinition:
    metric = "iou" if dataset == "coco" else "accuracy"
    make = _define(
        "lemur", metric, Goal.MAXIMIZE, max_wallclock_time=10 * _HOUR, restrict_configurations=True
    )
    return make(name, dataset)


_YAHPO_KNOWN: Final = (
    *(f"lcbench-{task}" for task in LCBENCH_TASKS),
    *(f"iaml_{learner}-{task}" for learner in _IAML_SECONDS for task in _IAML_TASKS),
    "nb301-CIFAR10",
)

FAMILIES: Final = (
    Family(
        table="digits",
        prefix="digits",
        make=lambda name, _: _define(
            "digits",
            "accuracy",
            Goal.MAXIMIZE,
            max_wallclock_time=30.0,
            surrogate=_NEAREST,
        )(name, "mlp"),
        known=("",),
        renamed=True,
    ),
    Family(table="nasbench201", prefix="nas201", make=_nas201, known=tuple(_NAS201)),
    Family(table="fcnet", prefix="fcnet", make=_fcnet, known=tuple(_FCNET), renamed=True),
    Family(
        table="lcbench",
        prefix="lcbench",
        make=_define(
            "lcbench",
            "val_accuracy",
            Goal.MAXIMIZE,
            max_wallclock_time=2 * _HOUR,
            max_num_evaluations=4000,
            surrogate=_NEAREST,
        ),
        known=tuple(LCBENCH_TASKS.values()),
    ),
    Family(table="yahpo", prefix="yahpo", make=_yahpo, known=_YAHPO_KNOWN),
    Family(table="lemur", prefix="lemur", make=_lemur, known=("cifar10", "mnist", "coco")),
    Family(
        table="taskset",
        prefix="taskset",
        make=_define("taskset", "valid_loss", Goal.MINIMIZE, max_wallclock_time=600.0, surrogate=_NEAREST),
        known=_TASKSET,
    ),
    Family(
        table="pd1",
        prefix="pd1",
        make=_define(
            "pd1", "valid_error_rate", Goal.MINIMIZE, max_wallclock_time=20 * _HOUR, surrogate=_NEAREST
        ),
    ),
    Family(
        table="hpob",
        prefix="hpob",
        make=_define(
            "hpob", "accuracy", Goal.MAXIMIZE, max_num_evaluations=200, restrict_configurations=True
        ),
    ),
    Family(
        table="tabrepo",
        prefix="tabrepo",
        make=_define(
            "tabrepo",
            "error_val",
            Goal.MINIMIZE,
            max_wallclock_time=10 * _HOUR,
            max_num_evaluations=200,
            surrogate=_NEAREST,
        ),
    ),
    Family(
        table="icml-deepar",
        prefix="icml-deepar",
        make=_define(
            "icml-deepar", "CRPS", Goal.MINIMIZE, max_num_evaluations=200, restrict_configurations=True
        ),
    ),
    Family(
        table="icml-xgboost",
        prefix="icml-xgboost",
        make=_define(
            "icml-xgboost", "error", Goal.MINIMIZE, max_num_evaluations=200, restrict_configurations=True
        ),
    ),
)
"""All families; a benchmark's name is ``{prefix}-{suffix}``, or the prefix alone."""


def simulated_benchmark_names() -> list[str]:
    """All names; those of further data sets in a table on this machine are last in their family, own tables last of all."""
    names = [_name(family, suffix) for family in FAMILIES for suffix in family.suffixes()]
    return [*names, *_own_benchmarks()]


def _own_benchmarks() -> dict[str, SurrogateBenchmarkDefinition]:
    """Benchmarks of the tables that were recorded from the user's experiments."""
    stored = [data for table in table_names() for data in table_info(table).benchmarks.values()]
    return {one.name: one for one in map(SurrogateBenchmarkDefinition.from_json, stored)}


def absent_table(name: str) -> str | None:
    """Table of a benchmark whose name is known only from a table that is not on this machine, or None."""
    here = table_names()
    for family in FAMILIES:
        if not family.known and family.table not in here and name.startswith(family.prefix):
            return family.table
    return None


def simulated_benchmark(name: str, **overrides: Any) -> SurrogateBenchmarkDefinition:
    """Definition of a benchmark.

    Parameters
    ----------
    name
        As in `simulated_benchmark_names`.
    **overrides
        Fields of `SurrogateBenchmarkDefinition` that replace those of the benchmark; None changes nothing.

    Raises
    ------
    UnknownNameError
        There is no such benchmark or field; the nearest one is said.
    SettingsError
        An override's value cannot work.
    """
    names = _always_known()
    if name not in names:
        names = _by_name()
    if name not in names:
        own = _own_benchmarks()
        if name in own:
            return own[name].replace(**overrides)
        raise UnknownNameError("simulated benchmark", name, {*names, *own})
    family, suffix = names[name]
    return family.make(name, suffix).replace(**overrides)


@cache
def _always_known() -> Mapping[str, tuple[Family, str]]:
    """Names that do not depend on the tables on this machine."""
    return {_name(family, suffix): (family, suffix) for family in FAMILIES for suffix in family.known}


def _by_name() -> Mapping[str, tuple[Family, str]]:
    return {_name(family, suffix): (family, suffix) for family in FAMILIES for suffix in family.suffixes()}


def _name(family: Family, suffix: str) -> str:
    return f"{family.prefix}-{suffix}" if suffix else family.prefix
