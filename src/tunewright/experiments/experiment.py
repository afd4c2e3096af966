"""Experiment: one cell of a plan, a method that tunes a benchmark with one seed; all of it is data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.callbacks.checkpoints import RemoveEarly
from tunewright.callbacks.tensorboard import check_tensorboard
from tunewright.exceptions import SettingsError
from tunewright.experiments.choices import BackendChoice, SimulatedChoice, choice_from_json, choice_to_json
from tunewright.experiments.limits import Limits, early_removal, stopping_criterion
from tunewright.interfaces import Scheduler, StoppingCriterion
from tunewright.methods import BuildFunction, MethodSpec, build_scheduler, find_method
from tunewright.methods.automatic import NAME as AUTO
from tunewright.methods.automatic import Choice, choose
from tunewright.seeding import effective_seed
from tunewright.storage import safe_name
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.transfer.reading import read_evaluations
from tunewright.types import Json

BenchmarkDefinition: TypeAlias = RealBenchmarkDefinition | SurrogateBenchmarkDefinition
"""A training script, or a recorded table."""

_SCHEMA: Final = 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is run.

    Raises
    ------
    SettingsError
        A seed is negative, or the backend cannot run such a benchmark.
    """

    tag: str
    """Shared by the experiments that belong together."""
    benchmark: BenchmarkDefinition
    method: MethodSpec | BuildFunction
    label: str
    """The method's name among those that are compared."""
    backend: BackendChoice
    settings: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Settings from the command line; they win over those of ``method``."""
    seed: int = 0
    random_seed: int = 0
    """Master seed: another one repeats all cells with other random numbers."""
    limits: Limits = field(default_factory=Limits)
    delete_checkpoints: bool = False
    """Remove checkpoints as soon as nothing can need them."""
    max_num_checkpoints: int | None = None
    """Checkpoints of paused trials that are kept: those whose loss would cost the most; None: all."""
    warm_start: tuple[str, ...] = ()
    """Tags or names of earlier experiments (or files of evaluations) from which the method learns."""
    tensorboard: bool = False
    """Write event files for TensorBoard into the experiment's folder."""
    resumed_seed: int | None = None
    """Effective seed that an experiment began with, if it is continued; not stored with the other fields."""

    def __post_init__(self) -> None:
        if self.seed < 0 or self.random_seed < 0:
            raise SettingsError("Seeds must be >= 0")
        own = next((name for name in self.warm_start if _stored_as(name) == _stored_as(self.tag)), None)
        if own is not None:
            raise SettingsError(
                f"--warm_start {own} is the tag of this very experiment: give another --experiment_tag"
            )
        if isinstance(self.backend, SimulatedChoice) != isinstance(
            self.benchmark, SurrogateBenchmarkDefinition
        ):
            raise self._unfit()

    def _unfit(self) -> SettingsError:
        is_script = isinstance(self.benchmark, RealBenchmarkDefinition)
        kind = "a training script" if is_script else "a recorded table"
        return SettingsError(
            f"{self.benchmark.name} is {kind}: the {self.backend.kind} backend cannot run it"
        )

    @property
    def real_benchmark(self) -> RealBenchmarkDefinition:
        """The training script that is tuned.

        Raises
        ------
        SettingsError
            It is a table.
        """
        if isinstance(self.benchmark, RealBenchmarkDefinition):
            return self.benchmark
        raise self._unfit()

    @property
    def table_benchmark(self) -> SurrogateBenchmarkDefinition:
        """The table that is tuned in simulated time.

        Raises
        ------
        SettingsError
            It is a training script.
        """
        if isinstance(self.benchmark, SurrogateBenchmarkDefinition):
            return self.benchmark
        raise self._unfit()

    @property
    def effective_seed(self) -> int:
        """Seed of all random numbers of this cell; see `tunewright.seeding.effective_seed`."""
        return effective_seed(self.seed, self.random_seed) if self.resumed_seed is None else self.resumed_seed

    def with_method(self, method: MethodSpec | BuildFunction) -> Experiment:
        """A copy that is tuned by another method."""
        return dataclasses.replace(self, method=method)

    def evaluations(self) -> TransferEvaluations | None:
        """What the earlier experiments tell, as they are stored now; None where there are none to learn from.

        Raises
        ------
        SettingsError
            One is not there, or nothing in them can be used.
        JournalError
            A journal is damaged.
        """
        if not self.warm_start:
            return None
        try:
            return read_evaluations(self.warm_start, self.benchmark.space, self.benchmark.metrics[0])
        except SettingsError as error:
            raise SettingsError(f"--warm_start, for {self.benchmark.name}: {error}") from error

    def build_scheduler(self, evaluations: TransferEvaluations | None = None) -> Scheduler:
        """A new scheduler, at the beginning of the experiment.

        Parameters
        ----------
        evaluations
            What is known from before; None: as :meth:`evaluations` says.

        Raises
        ------
        SettingsError
            The script is not there, the method does not fit the benchmark, or nothing would ever end the experiment.
        TableError
            The table is not there.
        MissingExtraError
            Event files are wanted, and tensorboardX is not installed.
        """
        if isinstance(self.benchmark, SurrogateBenchmarkDefinition):
            self.benchmark.blackbox()
        else:
            self.benchmark.check_script()
        if (
            self.limits.is_endless
            and isinstance(self.method, MethodSpec)
            and not self._ends_by_itself(self.method)
        ):
            raise SettingsError(
                f"Nothing would end {self.label}: give max_num_trials, max_wallclock_time or another limit"
            )
        self.criterion()
        self.early_removal()
        if self.tensorboard:
            check_tensorboard()
        known = evaluations or self.evaluations()
        method, settings = self.method, self.settings
        if choice := self.choice():
            find_method(AUTO).make_settings(settings)
            method, settings = choice.spec, dict[str, Json]()
        return build_scheduler(method, self.benchmark, self.effective_seed, settings, known)

    def choice(self) -> Choice | None:
        """What ``auto`` chooses here; None where the method was chosen by its name.

        Raises
        ------
        TableError
            The table is not there.
        """
        if not isinstance(self.method, MethodSpec) or self.method.name.lower() != AUTO:
            return None
        n_trials, n_reports = self.limits.max_num_trials, self.limits.max_num_evaluations
        if n_trials is None and n_reports is not None:
            n_trials = n_reports // (self.benchmark.max_resource or 1)
        return choose(self.benchmark, n_trials)

    def criterion(self) -> StoppingCriterion:
        """What the Tuner asks; a new one.

        Raises
        ------
        SettingsError
            The regret of several metrics is to be bounded.
        """
        return stopping_criterion(self.limits, self.benchmark, self.effective_seed)

    def early_removal(self) -> RemoveEarly | None:
        """Which checkpoints of paused trials are given up; None where all are kept.

        Raises
        ------
        SettingsError
            The method is none that promotes trials.
        """
        return early_removal(
            self.max_num_checkpoints, self.method, self.settings, self.benchmark, self.limits
        )

    def _ends_by_itself(self, method: MethodSpec) -> bool:
        return find_method(method.name).ends_by_itself or self.benchmark.space.size is not None

    def identity(self) -> str:
        """Equal for experiments that are the same cell: what decides is the same, all but the tag and the limits."""
        return identity_of(self.to_json())

    def to_json(self) -> dict[str, Json]:
        """What :meth:`from_json` reads."""
        data: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        data["benchmark"] = self.benchmark.to_json()
        data["method"] = self.method.to_json() if isinstance(self.method, MethodSpec) else _path(self.method)
        data["backend"] = choice_to_json(self.backend)
        data["settings"] = dict(self.settings)
        data["limits"] = self.limits.to_json()
        del data["resumed_seed"]
        if not self.warm_start:
            del data["warm_start"]  # experiments without it keep their identity
        if self.max_num_checkpoints is None:
            del data["max_num_checkpoints"]
        return {"schema": _SCHEMA, **data}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Experiment:
        """Build an experiment from the data of :meth:`to_json`; other keys are passed over.

        Raises
        ------
        SettingsError
            The data describe no experiment, or its method is a function of the user's, which data cannot hold.
        """
        if data.get("schema") != _SCHEMA:
            raise SettingsError(
                f"The experiment was stored in form {data.get('schema')!r}, this version reads {_SCHEMA}"
            )
        names = {f.name for f in dataclasses.fields(Experiment)} - {"resumed_seed"}
        fields = {key: value for key, value in data.items() if key in names}
        if isinstance(fields.get("method"), str):
            raise SettingsError(
                f"The method is the function {fields['method']}: continue with the script that launched it, and --resume"
            )
        try:
            fields["method"] = MethodSpec.from_json(fields["method"])
            fields["backend"] = choice_from_json(fields["backend"])
            is_table = isinstance(fields["backend"], SimulatedChoice)
            kind = SurrogateBenchmarkDefinition if is_table else RealBenchmarkDefinition
            fields["benchmark"] = kind.from_json(fields["benchmark"])
            fields["limits"] = Limits.from_json(fields["limits"])
            fields["warm_start"] = tuple(fields.get("warm_start", ()))
            return Experiment(**fields)
        except (KeyError, TypeError) as error:
            raise SettingsError(f"The stored experiment cannot be read: {error!r}") from None


def identity_of(data: Mapping[str, Any]) -> str:
    """The identity of the experiment that :meth:`Experiment.to_json` or an experiment's metadata describe."""
    names = {"schema", *(f.name for f in dataclasses.fields(Experiment))} - {"tag", "limits", "tensorboard"}
    kept = {key: value for key, value in data.items() if key in names}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _stored_as(name: str) -> str:
    """The folder of a tag; a path, which is none, as it is."""
    try:
        return safe_name(name)
    except SettingsError:
        return name


def _path(function: BuildFunction) -> str:
    module = getattr(function, "__module__", "?")
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or module).stem
    return f"{module}:{getattr(function, '__qualname__', repr(function))}"
