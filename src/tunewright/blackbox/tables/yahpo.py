"""YAHPO Gym: curves predicted by networks in ONNX form (onnxruntime), and spaces in its JSON form (that of ConfigSpace 0.4)."""

from __future__ import annotations

import importlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from typing_extensions import override

from tunewright.blackbox.tables.blackbox import Array, Blackbox, Description, Values
from tunewright.blackbox.tables.stored import TableInfo, check_files
from tunewright.blackbox.tables.tabular import repair_elapsed
from tunewright.exceptions import MissingExtraError, TableError
from tunewright.space import Categorical, Domain, Float, Integer, Ordinal, SearchSpace
from tunewright.types import Config, ConfigValue

_TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "LT": operator.lt,
    "GT": operator.gt,
    "IN": lambda value, values: value in values,
}


@final
@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The space with its constants and conditions.

    The space is flat: a searcher sets all hyperparameters, and those whose condition does not hold change nothing.
    """

    entries: Mapping[str, Domain | ConfigValue]
    conditions: Sequence[Mapping[str, Any]]

    @property
    def space(self) -> SearchSpace:
        """Search space of the tuned hyperparameters."""
        return SearchSpace({name: entry for name, entry in self.entries.items() if isinstance(entry, Domain)})

    def fix(self, values: Config, *left_out: str) -> Hyperparameters:
        """Set some hyperparameters to a value for good, and leave out others."""
        entries = {name: entry for name, entry in self.entries.items() if name not in left_out}
        return Hyperparameters({**entries, **values}, self.conditions)

    def active(self, config: Config) -> dict[str, ConfigValue]:
        """The values of the hyperparameters that count, the fixed ones included."""
        values = {
            name: config[name] if isinstance(entry, Domain) else entry for name, entry in self.entries.items()
        }
        inactive = self._inactive(values)
        while inactive:  # dependents of inactive ones are inactive as well
            for name in inactive:
                del values[name]
            inactive = self._inactive(values)
        return values

    def _inactive(self, values: Config) -> list[str]:
        children = [(str(condition["child"]), condition) for condition in self.conditions]
        return list(
            {child for child, condition in children if child in values and not _holds(condition, values)}
        )


def read_hyperparameters(data: Mapping[str, Any]) -> Hyperparameters:
    """Read the content of a ``config_space.json``.

    Raises
    ------
    TableError
        It holds something that is not known.
    """
    try:
        entries = {str(spec["name"]): _entry(spec) for spec in data["hyperparameters"]}
        conditions = list(data.get("conditions", ()))
    except (KeyError, TypeError) as error:
        raise TableError(f"The stored space cannot be read: {error!r}") from None
    return Hyperparameters(entries, conditions)


def _entry(spec: Mapping[str, Any]) -> Domain | ConfigValue:
    kind = spec["type"]
    if kind == "uniform_float":
        low, high = float(spec["lower"]), float(spec["upper"])
        return Float(low, high, log=spec["log"], default=min(max(float(spec["default"]), low), high))
    if kind == "uniform_int":
        return Integer(spec["lower"], spec["upper"], log=spec["log"], default=spec["default"])
    if kind == "categorical":
        choices = spec["choices"]
        return Categorical(choices, default=spec["default"]) if len(choices) > 1 else choices[0]
    if kind == "ordinal":
        return Ordinal(spec["sequence"], default=spec["default"])
    if kind == "constant":
        return spec["value"]
    raise TableError(f"The hyperparameter {spec['name']!r} is of the unknown kind {kind!r}")


def _holds(condition: Mapping[str, Any], values: Config) -> bool:
    kind = condition["type"]
    if kind in {"AND", "OR"}:
        parts = [_holds(part, values) for part in condition["components"]]
        return all(parts) if kind == "AND" else any(parts)
    if condition["parent"] not in values:
        return False
    expected = condition["values"] if kind == "IN" else condition["value"]
    return _TESTS[kind](values[condition["parent"]], expected)


FILES: Final = ("model.onnx", "config_space.json", "encoding.json")
"""Required files of a scenario's folder."""
FIRST_WITHOUT_UNTRAINED: Final = 2
"""Version of the recipe from which on points before training are no levels. Version 1 counted them as level 1."""
_NO_VALUE: Final = "#na#"
_N_UNTRAINED: Final = 15
"""Configurations of the median before training."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Order and meaning of a network's inputs and outputs, which the files of a scenario lack."""

    continuous: tuple[str, ...]
    categorical: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    """Names of the outputs, for each number of outputs that versions of the network have."""
    elapsed: str
    instance: str | None
    """The hyperparameter that names the data set; None: there is one."""
    fidelity: str
    levels: tuple[int, ...]
    share: float = 1.0
    """The fidelity's value is the level, after `n_untrained` points, times this."""
    n_untrained: int = 0
    """Points of the network that lie before training; they are no levels, and times count from their end."""
    uninformative: str = ""
    """Reason why the order at level 1 says little about the last level; empty: it says much."""
    resource: str = "epoch"
    fixed: tuple[tuple[str, ConfigValue], ...] = ()
    """Hyperparameters that are not tuned."""

    def for_encoding(self, encoding: Mapping[str, object]) -> Scenario:
        """Adapt to newer files, in which categorical inputs without codes are the last continuous ones."""
        numbers = tuple(name for name in self.categorical if name not in encoding)
        categorical = tuple(name for name in self.categorical if name in encoding)
        return replace(self, continuous=self.continuous + numbers, categorical=categorical)


_IAML_TARGETS: Final = (
    (
        "mmce",
        "f1",
        "auc",
        "logloss",
        "ramtrain",
        "rammodel",
        "rampredict",
        "timetrain",
        "timepredict",
        "mec",
        "ias",
        "nf",
    ),
)
_RBV2_TARGETS: Final = (
    ("acc", "bac", "auc", "brier", "logloss", "timetrain", "timepredict"),
    ("acc", "bac", "auc", "brier", "f1", "logloss", "timetrain", "timepredict", "memory"),
)
_XGBOOST: Final = (
    "nrounds", "eta", "gamma", "lambda", "alpha", "subsample", "max_depth", "min_child_weight", "colsample_bytree",
    "colsample_bylevel", "rate_drop", "skip_drop", "trainsize",
)  # fmt: skip


_TWENTIETH: Final = (
    "level 1 is a twentieth of the data, where some metrics order configurations unlike all data"
)


def _iaml(continuous: Sequence[str], categorical: Sequence[str] = ()) -> Scenario:
    return Scenario(
        continuous=tuple(continuous),
        categorical=("task_id", *categorical),
        targets=_IAML_TARGETS,
        elapsed="timetrain",
        instance="task_id",
        fidelity="trainsize",
        levels=tuple(range(1, 21)),
        share=0.05,
        uninformative=_TWENTIETH,
        resource="trainsize",
    )


def _rbv2(continuous: Sequence[str], categorical: Sequence[str] = ()) -> Scenario:
    return Scenario(
        continuous=tuple(continuous),
        categorical=("task_id", *categorical, "num.impute.selected.cpo", "repl"),
        targets=_RBV2_TARGETS,
        elapsed="timetrain",
        instance="task_id",
        fidelity="trainsize",
        levels=tuple(range(1, 21)),
        share=0.05,
        uninformative=_TWENTIETH,
        resource="trainsize",
        fixed=(("repl", "10"),),
    )


_RPART: Final = ("cp", "maxdepth", "minbucket", "minsplit", "trainsize")
_RANGER: Final = ("min.node.size", "num.random.splits", "trainsize")
_DARTS: Final = "NetworkSelectorDatasetInfo_COLON_darts_COLON_"

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "lcbench": Scenario(
        continuous=(
            "epoch", "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout",
        ),
        categorical=("OpenML_task_id",),
        targets=(
            (
                "time", "val_accuracy", "val_cross_entropy", "val_balanced_accuracy", "test_cross_entropy",
                "test_balanced_accuracy",
            ),
        ),
        elapsed="time",
        instance="OpenML_task_id",
        fidelity="epoch",
        levels=tuple(range(1, 51)),
        n_untrained=1,  # LCBench logs 52 points: before training, after each of 50 epochs, and the last one again
    ),
    "nb301": Scenario(
        continuous=("epoch",),
        categorical=(
            *(f"{_DARTS}edge_{cell}_{i}" for cell in ("normal", "reduce") for i in range(14)),
            *(f"{_DARTS}inputs_node_{cell}_{i}" for cell in ("normal", "reduce") for i in (3, 4, 5)),
        ),
        targets=(
            ("val_accuracy", "runtime"),
            ("val_accuracy", "val_cross_entropy", "runtime", "runtime_increase"),
            ("val_accuracy", "val_cross_entropy", "runtime", "runtime_increase", "model_parameters"),
        ),
        elapsed="runtime",
        instance=None,
        fidelity="epoch",
        levels=tuple(range(1, 99)),
    ),
    "iaml_rpart": _iaml(_RPART),
    "iaml_glmnet": _iaml(("alpha", "s", "trainsize")),
    "iaml_ranger": _iaml(
        ("num.trees", "sample.fraction", "mtry.ratio", *_RANGER),
        ("replace", "respect.unordered.factors", "splitrule"),
    ),
    "iaml_xgboost": _iaml(_XGBOOST, ("booster",)),
    "rbv2_rpart": _rbv2(_RPART),
    "rbv2_glmnet": _rbv2(("alpha", "s", "trainsize")),
    "rbv2_ranger": _rbv2(
        ("num.trees", "sample.fraction", "mtry.power", *_RANGER), ("respect.unordered.factors", "splitrule")
    ),
    "rbv2_xgboost": _rbv2(_XGBOOST, ("booster",)),
    "rbv2_svm": _rbv2(("cost", "gamma", "tolerance", "degree", "trainsize"), ("kernel",)),
    "rbv2_aknn": _rbv2(("k", "M", "ef", "ef_construction", "trainsize"), ("distance",)),
}  # fmt: skip
"""The scenarios whose inputs and outputs are known (YAHPO Gym, Pfisterer et al. 2022)."""

ONLY_INSTANCE: Final = "CIFAR10"
"""The data set of scenarios that have one."""


@final
class YahpoBlackbox(Blackbox):
    """One instance of a scenario. Every value is predicted; times are made ascending over the levels.

    Tables of version 1 keep the levels that they had: an experiment on them is resumed as it began.
    """

    def __init__(
        self,
        description: Description,
        scenario: Scenario,
        hyperparameters: Hyperparameters,
        encoding: Mapping[str, Mapping[str, int]],
        session: Any,
    ) -> None:
        super().__init__(description)
        self._scenario = scenario
        self._hyperparameters = hyperparameters
        self._encoding = encoding
        self._session = session
        self._inputs = [item.name for item in session.get_inputs()]
        self._n_untrained = _n_untrained(scenario, description.version)
        last = self._n_untrained + description.levels[-1]
        self._fidelity = np.arange(1, last + 1) * scenario.share

    @override
    def curve(self, config: Config, seed: int = 0) -> Array:
        """The network's prediction; it has one seed."""
        values = self._points(config)
        if self._n_untrained:
            values[:, self.elapsed_index] -= values[self._n_untrained - 1, self.elapsed_index]
            values = values[self._n_untrained :]
        values[:, self.elapsed_index], _ = repair_elapsed(values[:, self.elapsed_index])
        return values

    def untrained(self) -> dict[str, float]:
        """Metrics at the last point before training, medians over random configurations; empty without such a point."""
        if not self._n_untrained:
            return {}
        rng = np.random.default_rng(0)
        points = [self._points(self.space.sample(rng))[self._n_untrained - 1] for _ in range(_N_UNTRAINED)]
        medians = dict(zip(self.metrics, np.median(points, axis=0).tolist(), strict=True))
        return {name: value for name, value in medians.items() if name != self.description.elapsed}

    def _points(self, config: Config) -> Array:
        """All predicted points, shape (points, metrics)."""
        active = self._hyperparameters.active(config)
        codes = [self._code(name, active) for name in self._scenario.categorical]
        numbers = [float(active.get(name, 0.0)) for name in self._scenario.continuous]
        x_cat = np.tile(np.array(codes, dtype=np.int32), (len(self._fidelity), 1))
        x_cont = np.tile(np.array(numbers, dtype=np.float32), (len(self._fidelity), 1))
        x_cont[:, self._scenario.continuous.index(self._scenario.fidelity)] = self._fidelity
        outputs = self._session.run(None, dict(zip(self._inputs, (x_cat, x_cont), strict=True)))
        return outputs[0].astype(np.float64)

    def _code(self, name: str, active: Config) -> int:
        codes = self._encoding[name]
        value = str(active.get(name, _NO_VALUE))
        if value not in codes:
            raise TableError(f"The network does not know {name}={value!r}")
        return codes[value]


def scenario_of(dataset: str) -> str:
    """Return the scenario of a data set, which is named ``{scenario}-{instance}``."""
    return dataset.rsplit("-", 1)[0]


def _n_untrained(scenario: Scenario, version: int) -> int:
    return scenario.n_untrained if version >= FIRST_WITHOUT_UNTRAINED else 0


def read_network(folder: Path, info: TableInfo, dataset: str) -> YahpoBlackbox:
    """Open one instance of a stored scenario.

    Raises
    ------
    TableError
        A file is missing or damaged.
    MissingExtraError
        onnxruntime is not installed.
    """
    sums = info.datasets[dataset]
    check_files(folder, sums)
    place = folder / Path(next(iter(sums))).parent
    encoding = _read_json(place / "encoding.json")
    scenario = SCENARIOS[place.name].for_encoding(encoding)
    session = _open_session(place / "model.onnx")
    hyperparameters = read_hyperparameters(_read_json(place / "config_space.json"))
    fixed = dict(scenario.fixed)
    if scenario.instance is not None:
        fixed[scenario.instance] = dataset.removeprefix(f"{place.name}-")
    n_targets = session.get_outputs()[0].shape[-1]
    targets = next((names for names in scenario.targets if len(names) == n_targets), None)
    if targets is None:
        raise TableError(f"{place / 'model.onnx'} has {n_targets} outputs: this version of it is not known")
    hyperparameters = hyperparameters.fix(fixed, scenario.fidelity)
    note = f"surrogate values: predictions of YAHPO Gym's network for {place.name}"
    n_untrained = _n_untrained(scenario, info.version)
    if n_untrained:
        note += "; the point before training is left out: levels are epochs of training, and times count from its begin"
    elif scenario.n_untrained:
        note += "; level 1 is the network before training"
    if scenario.uninformative:
        note += f"; {scenario.uninformative}"
    description = Description(
        name=info.name,
        dataset=dataset,
        space=hyperparameters.space,
        metrics=targets,
        elapsed=scenario.elapsed,
        levels=scenario.levels,
        resource=scenario.resource,
        values=Values.SURROGATE,
        note=note,
        version=info.version,
        digest=info.digest(dataset, f"level 1 is point {1 + n_untrained}" if n_untrained else ""),
    )
    network = YahpoBlackbox(description, scenario, hyperparameters, encoding, session)
    network.description = replace(description, untrained=network.untrained())
    return network


def _open_session(path: Path) -> Any:
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        raise MissingExtraError("yahpo", "The networks of YAHPO Gym") from None
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"Cannot read {path}: {error}. Add the table again") from None
