"""Experiment: a method that tunes a benchmark with one seed, as data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from tunewright.backends.plugin import (
    BackendConfig,
    BackendPlugin,
    BenchmarkDefinition,
    ExperimentContext,
    backend_from_json,
    backend_to_json,
    find_backend,
)
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.callbacks.checkpoints import RemoveEarly
from tunewright.callbacks.plugin import (
    CallbackConfig,
    callback_from_json,
    callback_to_json,
    find_callback,
)
from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError, UnfitError
from tunewright.experiments.known_results import KnownRuns, KnownTrial, check_known
from tunewright.experiments.limits import Limits, early_removal, out_of_reach, stopping_criterion, with_finish
from tunewright.interfaces import Scheduler, StoppingCriterion
from tunewright.methods import (
    BuildFunction,
    MethodSpec,
    also_read,
    build_scheduler,
    constraints_of,
    find_method,
    resolved_inner,
    sized,
)
from tunewright.methods.automatic import NAME as AUTO
from tunewright.methods.automatic import Choice, choose
from tunewright.metric import Constraint
from tunewright.schedulers.racing import Racing
from tunewright.schedulers.stopping_rules import RuleStopping
from tunewright.seeding import effective_seed
from tunewright.space import Integer, SearchSpace
from tunewright.storage import METADATA_SCHEMA, ExperimentFolder, experiments, safe_name, upgrade_metadata
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.transfer.reading import read_evaluations
from tunewright.types import Config, Json


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A method that tunes a benchmark with one seed.

    Raises
    ------
    SettingsError
        A seed is negative, the backend cannot run such a benchmark, or an experiment would learn from its own tag.
    """

    tag: str
    """Name shared by experiments that belong together."""
    benchmark: BenchmarkDefinition
    method: MethodSpec | BuildFunction
    label: str
    """Name of the method in comparisons."""
    backend: BackendConfig
    """Config of the backend that runs the trials."""
    settings: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Settings from the command line; they win over those of ``method``."""
    seed: int = 0
    random_seed: int = 0
    """Master seed: another one repeats all cells with other random numbers."""
    seed_per_benchmark: bool = False
    """Mix the benchmark's name into the seed, as plans do: otherwise one seed draws the same configurations on all
    benchmarks of a search space, and runs on two of them are not independent."""
    limits: Limits = field(default_factory=Limits)
    delete_checkpoints: bool = False
    """Remove checkpoints as soon as no trial can need them."""
    max_num_checkpoints: int | None = None
    """Maximum number of checkpoints of paused trials; the least valuable ones are removed. None: no maximum."""
    warm_start: tuple[str, ...] = ()
    """Tags or names of earlier experiments (or files of evaluations) from which the method learns."""
    known_results: tuple[KnownTrial, ...] = ()
    """Configurations among the first ones of the benchmark whose results are known."""
    callbacks: tuple[CallbackConfig, ...] = ()
    """Callbacks that watch it, also after a resume."""
    on_end: str = ""
    """Command that gets the summary as JSON on its standard input after each session; empty: none."""
    origin: str = ""
    """Name of the experiment whose best configuration it trains again; empty for any other experiment."""
    resumed_seed: int | None = None
    """Effective seed that an experiment began with, if it is continued; not stored with the other fields."""
    pauses_repeat: bool = False
    """Whether an earlier experiment of the script kept no checkpoint at a pause; not stored, as the choice of ``auto`` is."""
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False)
    """The function of the trials, if they cannot import it; not stored."""
    stop_when: StoppingCriterion | None = field(default=None, compare=False, repr=False)
    """Criterion beside the limits; not stored."""

    def __post_init__(self) -> None:
        if self.seed < 0 or self.random_seed < 0:
            raise SettingsError("Seeds must be >= 0")
        own = next((name for name in self.warm_start if _stored_as(name) == _stored_as(self.tag)), None)
        if own is not None:
            raise SettingsError(
                f"--warm_start {own} is the tag of this very experiment: give another --experiment_tag"
            )
        if self.backend.is_simulated != isinstance(self.benchmark, SurrogateBenchmarkDefinition):
            raise self._unfit()

    def _unfit(self) -> SettingsError:
        is_script = isinstance(self.benchmark, RealBenchmarkDefinition)
        kind = "a training script" if is_script else "a recorded table"
        return SettingsError(
            f"{self.benchmark.name} is {kind}: the {self.backend.backend_name} backend cannot run it"
        )

    @property
    def real_benchmark(self) -> RealBenchmarkDefinition:
        """The training script.

        Raises
        ------
        SettingsError
            The benchmark is a table.
        """
        if isinstance(self.benchmark, RealBenchmarkDefinition):
            return self.benchmark
        raise self._unfit()

    @property
    def table_benchmark(self) -> SurrogateBenchmarkDefinition:
        """The recorded table.

        Raises
        ------
        SettingsError
            The benchmark is a training script.
        """
        if isinstance(self.benchmark, SurrogateBenchmarkDefinition):
            return self.benchmark
        raise self._unfit()

    @property
    def effective_seed(self) -> int:
        """Seed of all random numbers of this cell; see `tunewright.seeding.effective_seed`."""
        if self.resumed_seed is not None:
            return self.resumed_seed
        benchmark = self.benchmark.name if self.seed_per_benchmark else None
        return effective_seed(self.seed, self.random_seed, benchmark)

    @property
    def plugin(self) -> BackendPlugin[Any]:
        """The backend's plugin.

        Raises
        ------
        SettingsError
            No installed package brings it.
        """
        return find_backend(self.backend.backend_name)

    def context(self, folder: ExperimentFolder | None = None) -> ExperimentContext:
        """The experiment as its backend sees it, in its folder or before it has one."""
        tag = safe_name(self.tag, "experiment tag")
        return ExperimentContext(
            benchmark=self.benchmark,
            tag=tag,
            seed=self.effective_seed,
            stored=folder,
            function=self.function,
        )

    def check_settings(self) -> None:
        """Check a new experiment: the settings of its backend, and that dollars can be counted if they are limited.

        Raises
        ------
        SettingsError
            A setting has no effect or cannot work, or ``max_cost`` would never end the experiment.
        """
        self.plugin.check(self.backend, self.context())
        if self.limits.max_cost is None:
            return
        if reason := self.plugin.unknown_costs(self.backend, self.context()):
            raise SettingsError(f"max_cost cannot end the experiment, since {reason}, or leave max_cost out")

    def with_method(self, method: MethodSpec | BuildFunction) -> Experiment:
        """Return a copy with another method."""
        return dataclasses.replace(self, method=method)

    def evaluations(self) -> TransferEvaluations | None:
        """Read the evaluations of earlier experiments; None if the experiment learns from none.

        Raises
        ------
        SettingsError
            One is missing, or none has results in this search space.
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
        """Build the scheduler for the beginning of the experiment.

        Parameters
        ----------
        evaluations
            Of earlier experiments; None: read by :meth:`evaluations`.

        Raises
        ------
        SettingsError
            The script is missing, the method does not fit the benchmark, or nothing would end the experiment.
        TableError
            The table is missing.
        MissingExtraError
            A callback needs a package that is not installed.
        """
        if isinstance(self.benchmark, SurrogateBenchmarkDefinition):
            self.benchmark.blackbox()
        else:
            self.benchmark.check_script()
        if (
            self.limits.is_endless
            and self.stop_when is None
            and isinstance(self.method, MethodSpec)
            and not self._ends_by_itself(self.method)
        ):
            raise SettingsError(
                f"Nothing would end {self.label}: give max_num_trials, max_wallclock_time or another limit"
            )
        self.criterion()
        self.early_removal()
        for config in self.callbacks:
            find_callback(config.callback_name).check(config)
        known = evaluations or self.evaluations()
        method, settings = self.built_method()
        scheduler = build_scheduler(method, self.benchmark, self.effective_seed, settings, known)
        replicates, metrics = self.benchmark.replicates, self.benchmark.metrics
        if replicates is not None and len(metrics) == 1:
            race = Racing(replicates, metric=metrics[0], constraints=constraints_of(method, settings))
            scheduler = RuleStopping(scheduler, race)
        scheduler = with_finish(
            scheduler,
            self.limits,
            self.benchmark,
            constraints_of(method, settings),
            keeps_checkpoints=not self.delete_checkpoints,
        )
        return self._with_known_results(scheduler, method, settings) if self.known_results else scheduler

    def _with_known_results(
        self, scheduler: Scheduler, method: MethodSpec | BuildFunction, settings: Mapping[str, Json]
    ) -> Scheduler:
        names = (
            [method.name, *resolved_inner(method, self.benchmark, settings)]
            if isinstance(method, MethodSpec)
            else []
        )
        for name in names:
            if find_method(name).copies_trials:
                raise UnfitError(
                    name,
                    "copies the checkpoints of trials, which known results lack: give these points without results",
                )
        read = also_read(method, self.benchmark, settings)
        check_known(self.known_results, [*self.benchmark.metrics, *read], self.label)
        return KnownRuns(scheduler, self.known_results, self.benchmark.space)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Constraints on the best result: those of the method, and that it has all replicates.

        Raises
        ------
        SettingsError
            The method's settings cannot work.
        """
        bounds, replicates = constraints_of(self.method, self.settings), self.benchmark.replicates
        return bounds if replicates is None else (*bounds, replicates.constraint)

    def built_method(self) -> tuple[MethodSpec | BuildFunction, Mapping[str, Json]]:
        """Return the method whose scheduler is built, and its settings from the command line.

        For ``auto``, this is the method that it chooses. Settings that depend on the number of trials have their values.

        Raises
        ------
        SettingsError
            The method has no such settings.
        TableError
            The table is missing.
        """
        if choice := self.choice():
            return choice.spec, {}
        n_trials = self._n_trials()
        if isinstance(self.method, MethodSpec) and n_trials is not None:
            return sized(self.method, self.settings, n_trials), {}
        return self.method, self.settings

    def choice(self) -> Choice | None:
        """Return the choice of ``auto``; None for any other method.

        Raises
        ------
        SettingsError
            ``auto`` has no such settings.
        TableError
            The table is missing.
        """
        if not isinstance(self.method, MethodSpec) or self.method.name.lower() != AUTO:
            return None
        settings = find_method(AUTO).make_settings({**self.method.settings, **self.settings})
        has_replicates = self.benchmark.replicates is not None
        return choose(
            self.benchmark,
            self._n_trials(),
            has_replicates=has_replicates,
            pauses_repeat=self.pauses_repeat,
            settings=settings,
        )

    def _n_trials(self) -> int | None:
        """Full runs that the limits allow; None: unknown."""
        n_trials, n_reports = self.limits.max_num_trials, self.limits.max_num_evaluations
        if n_trials is None and n_reports is not None:
            return n_reports // (self.benchmark.max_resource or 1)
        return n_trials

    def criterion(self) -> StoppingCriterion:
        """Return a new stopping criterion.

        Raises
        ------
        SettingsError
            ``stop_when_regret_below`` is set, and there are several metrics.
        """
        criterion = stopping_criterion(self.limits, self.benchmark, self.effective_seed)
        return criterion if self.stop_when is None else criterion | self.stop_when

    def out_of_reach(self) -> str:
        """Say which limit ends the experiment before a trial can come to its end; empty if none does, or if that is unknown.

        Raises
        ------
        SettingsError
            The method's settings cannot work.
        """
        if self.known_results:
            return ""
        method, settings = self.built_method()
        return out_of_reach(self.limits, method, settings, self.benchmark)

    def early_removal(self) -> RemoveEarly | None:
        """Return the policy for checkpoints of paused trials; None if all are kept.

        Raises
        ------
        SettingsError
            The method does not promote trials.
        """
        return early_removal(
            self.max_num_checkpoints, self.method, self.settings, self.benchmark, self.limits
        )

    def _ends_by_itself(self, method: MethodSpec) -> bool:
        return find_method(method.name).ends_by_itself or self.benchmark.space.size is not None

    def identity(self) -> str:
        """Return a hash of all fields but tag, limits, callbacks and on_end: equal for repetitions of the same cell."""
        return identity_of(self.to_json())

    def to_json(self) -> dict[str, Json]:
        """Return the experiment as data, from which :meth:`from_json` makes an equal one."""
        fields = [f.name for f in dataclasses.fields(self) if f.name not in _NOT_STORED]
        data: dict[str, Any] = {name: getattr(self, name) for name in fields}
        data["benchmark"] = self.benchmark.to_json()
        data["method"] = self.method.to_json() if isinstance(self.method, MethodSpec) else _path(self.method)
        data["backend"] = backend_to_json(self.backend)
        data["settings"] = dict(self.settings)
        data["limits"] = self.limits.to_json()
        data["callbacks"] = [callback_to_json(config) for config in self.callbacks]
        if not self.callbacks:
            del data["callbacks"]
        if not self.seed_per_benchmark:
            del data["seed_per_benchmark"]  # experiments without it keep their identity
        if not self.warm_start:
            del data["warm_start"]
        if not self.on_end:
            del data["on_end"]
        if not self.origin:
            del data["origin"]
        if self.known_results:
            data["known_results"] = [to_json(trial) for trial in self.known_results]
        else:
            del data["known_results"]
        if self.max_num_checkpoints is None:
            del data["max_num_checkpoints"]
        return {"schema": METADATA_SCHEMA, **data}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Experiment:
        """Build an experiment from the data of :meth:`to_json`, also of version 0.1; other keys are ignored.

        Raises
        ------
        SettingsError
            The data are not an experiment, or its method is a function of the user, which data cannot hold.
        """
        data = upgrade_metadata(data)
        if data.get("schema") != METADATA_SCHEMA:
            raise SettingsError(
                f"The experiment was stored in form {data.get('schema')!r}, this version reads {METADATA_SCHEMA}"
            )
        if IMPORTED in data:
            raise SettingsError(
                f"{data.get('experiment')} was imported from {data[IMPORTED]['tool']}, without its script: it cannot be continued or "
                f"trained again, but others learn from it, --warm_start {data.get('experiment')}"
            )
        names = {f.name for f in dataclasses.fields(Experiment)} - _NOT_STORED
        fields = {key: value for key, value in data.items() if key in names}
        if isinstance(fields.get("method"), str):
            raise SettingsError(
                f"The method is the function {fields['method']}: continue with the script that launched it, and --resume"
            )
        try:
            fields["method"] = MethodSpec.from_json(fields["method"])
            fields["backend"] = backend_from_json(fields["backend"])
            fields["benchmark"] = _benchmark_kind(fields["backend"]).from_json(fields["benchmark"])
            fields["limits"] = Limits.from_json(fields["limits"])
            fields["warm_start"] = tuple(fields.get("warm_start", ()))
            fields["callbacks"] = tuple(map(callback_from_json, fields.get("callbacks", ())))
            known = fields.get("known_results", ())
            fields["known_results"] = from_json(tuple[KnownTrial, ...], known, "known results")
            return Experiment(**fields)
        except (KeyError, TypeError) as error:
            raise SettingsError(f"The stored experiment cannot be read: {error!r}") from None


_OUTSIDE_OF_IDENTITY: Final = frozenset({"tag", "limits", "callbacks", "on_end"})
"""Fields that may differ between repetitions of a cell."""
_NOT_STORED: Final = frozenset({"resumed_seed", "pauses_repeat", "function", "stop_when"})
"""Fields that belong to a session."""


def identity_of(data: Mapping[str, Any]) -> str:
    """Return the identity of an experiment from its data or its metadata.

    Settings that were added after the experiment was stored count as their defaults.

    Raises
    ------
    SettingsError
        The data are not an experiment.
    """
    data = upgrade_metadata(data)
    try:
        backend = backend_from_json(data["backend"])
        benchmark = _benchmark_kind(backend).from_json(data["benchmark"])
    except (KeyError, TypeError) as error:
        raise SettingsError(f"The stored experiment cannot be read: {error!r}") from None
    data |= {"backend": backend_to_json(backend), "benchmark": benchmark.to_json()}
    names = {"schema", *(f.name for f in dataclasses.fields(Experiment))} - _OUTSIDE_OF_IDENTITY
    kept = {key: value for key, value in data.items() if key in names}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


IMPORTED: Final = "imported"
"""Key in the metadata of an experiment that was imported: the tool, the source and its name there."""
SEED_NAMES: Final = ("seed", "random_seed", "random_state")
"""Arguments of a script that are its seed."""
BEST: Final = "best-"
"""Beginning of the tag of experiments that train the best configuration of another one again."""
_LABEL: Final = "Retrained"


def retrainings(
    stored: Experiment,
    name: str,
    config: Config,
    *,
    resource: int | None = None,
    n_seeds: int | None = None,
) -> list[Experiment]:
    """Return experiments that train a configuration of a stored experiment to the end, on its backend.

    Parameters
    ----------
    stored
        The stored experiment.
    name
        Its unique name.
    config
        The configuration.
    resource
        Resource of a full run, >= 1; None: the stored one.
    n_seeds
        Number of runs, >= 1. If the script has an integer argument of `SEED_NAMES`, this is one experiment, whose trials get the
        integers after the one of ``config``: a value that was the best on its seed is too good there. Otherwise there are as many
        experiments of one trial. None: one run of the configuration as it is.

    Raises
    ------
    SettingsError
        The resource of a full run cannot be changed, or the function of the trials is not stored.
    """
    if isinstance(stored.benchmark, RealBenchmarkDefinition) and stored.benchmark.is_of_session:
        raise SettingsError(
            f"{stored.benchmark.name} was a function of a notebook, of a prompt or of another function, and is not stored: call it with "
            "the best configuration, which tunewright best --format python prints"
        )
    benchmark = stored.benchmark if resource is None else _to_resource(stored.benchmark, resource)
    space = benchmark.space
    point = {key: config[key] for key in space.names if key in config}
    points, n_cells = [point], n_seeds or 1
    seed = next((key for key in SEED_NAMES if type(config.get(key)) is int), None)
    if n_seeds is not None and seed is not None and isinstance(benchmark, RealBenchmarkDefinition):
        first = int(config[seed]) + 1
        space = SearchSpace({**space, seed: Integer(first, first + n_seeds)}, space.constraints)
        benchmark = benchmark.replace(space=space, points_to_evaluate=())
        points, n_cells = [{**point, seed: first + k} for k in range(n_seeds)], 1
    benchmark = benchmark.replace(
        points_to_evaluate=tuple(points), n_workers=min(benchmark.n_workers, len(points))
    )
    shared = dataclasses.replace(
        stored,
        tag=f"{BEST}{stored.tag}",
        label=_LABEL,
        benchmark=benchmark,
        method=MethodSpec(name="RandomSearch"),
        settings={},
        limits=Limits(max_num_trials=len(points), max_failures=len(points) - 1),
        delete_checkpoints=False,
        max_num_checkpoints=None,
        warm_start=(),
        known_results=(),
        origin=name,
    )
    return [dataclasses.replace(shared, seed=cell) for cell in range(n_cells)]


def _to_resource(benchmark: BenchmarkDefinition, resource: int) -> BenchmarkDefinition:
    if isinstance(benchmark, SurrogateBenchmarkDefinition):
        return benchmark.replace(resource_limit=resource)
    if benchmark.max_resource_attr is None:
        raise SettingsError(
            f"The script of {benchmark.name} decides how far it trains: the experiment has no max_resource_attr, the name of "
            "its argument for that. Drop --resource"
        )
    return benchmark.replace(max_resource=resource)


def stored_by_identity(tags: Iterable[str]) -> Mapping[str, list[ExperimentFolder]]:
    """Return the stored experiments of these tags by identity, oldest first; those with damaged metadata are left out."""
    stored: dict[str, list[ExperimentFolder]] = defaultdict(list)
    for tag in sorted({safe_name(tag, "experiment tag") for tag in tags}):
        for folder in experiments(tag):
            try:
                identity = identity_of(folder.metadata())
            except SettingsError:
                continue
            stored[identity].append(folder)
    return stored


def _benchmark_kind(
    backend: BackendConfig,
) -> type[SurrogateBenchmarkDefinition] | type[RealBenchmarkDefinition]:
    return SurrogateBenchmarkDefinition if backend.is_simulated else RealBenchmarkDefinition


def _stored_as(name: str) -> str:
    """Return the folder name of a tag; a path as it is."""
    try:
        return safe_name(name)
    except SettingsError:
        return name


def _path(function: BuildFunction) -> str:
    module = getattr(function, "__module__", "?")
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or module).stem
    return f"{module}:{getattr(function, '__qualname__', repr(function))}"
