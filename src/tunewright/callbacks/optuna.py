"""Optuna as a tracker: an experiment as a study in an Optuna storage, for optuna-dashboard and Optuna's plots."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, final

from typing_extensions import override

from tunewright.callbacks.plugin import CallbackConfig, CallbackPlugin
from tunewright.callbacks.tracking import TrackedExperiment, TrackedTrial, Tracker, TrackerPlugin
from tunewright.exceptions import MissingExtraError, SettingsError
from tunewright.metric import Goal
from tunewright.space import Float, Integer
from tunewright.space.domain import Domain
from tunewright.storage import home
from tunewright.trial import TrialStatus
from tunewright.types import ConfigValue

PREFIX: Final = "tunewright:"
"""Beginning of the names of our attributes of studies and trials."""
SPACE: Final = f"{PREFIX}space"
"""System attribute of a study, which pages do not show: its search space as JSON data."""
TRIAL: Final = f"{PREFIX}trial"
"""System attribute of a trial: its number in the experiment."""
RESULTS: Final = f"{PREFIX}results"
"""System attribute of a trial: all its results, as ``[resource, {name: value}]``; absent if Optuna's own fields hold them."""
_SQLITE: Final = (".db", ".sqlite", ".sqlite3")
_BUSY: Final = 60.0  # seconds to wait for another writer of a sqlite file


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OptunaConfig(CallbackConfig):
    """A study of Optuna."""

    callback_name: ClassVar[str] = "optuna"

    storage: str = ""
    """URL of a database, or path of a sqlite or journal file (default: optuna.db in $TUNEWRIGHT_HOME)."""
    study: str = ""
    """Name of the study (default: the experiment's name)."""


@final
class OptunaPlugin(TrackerPlugin[OptunaConfig], CallbackPlugin[OptunaConfig]):
    """A study in an Optuna storage."""

    config = OptunaConfig
    extra: ClassVar[str] = "optuna"

    @override
    def check(self, config: OptunaConfig) -> None:
        load_optuna()

    @override
    def open(self, config: OptunaConfig, experiment: TrackedExperiment) -> Tracker:
        return OptunaTracker(
            experiment, config.storage or str(home() / "optuna.db"), config.study or experiment.name
        )


PLUGIN: Final = OptunaPlugin()


def load_optuna() -> Any:
    """Import Optuna, which then prints warnings only.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        optuna: Any = importlib.import_module("optuna")
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise MissingExtraError("optuna", "An Optuna storage") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def storage_url(place: str) -> str:
    """The URL of a storage; of a sqlite file that is given by its path, too. A path of another file stays: a journal file."""
    if "://" in place:
        return place
    path = Path(place).expanduser().absolute()
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            is_sqlite = file.read(6) == b"SQLite"
    else:
        is_sqlite = path.suffix in _SQLITE
    return f"sqlite:///{path}" if is_sqlite else str(path)


def open_storage(place: str) -> Any:
    """Open a storage (``optuna.storages.BaseStorage``) by its URL or path; a new one is made."""
    storages = load_optuna().storages
    url = storage_url(place)
    if "://" not in url:
        return storages.JournalStorage(storages.journal.JournalFileBackend(url))
    if url.startswith("sqlite"):
        return storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _BUSY}})
    return storages.RDBStorage(url)


def distribution_of(domain: Domain) -> Any:
    """The distribution of a domain; Optuna knows no step on a logarithmic range, no order of choices, and no reverse logarithm."""
    distributions = load_optuna().distributions
    if isinstance(domain, Integer):
        high = domain.at(domain.size - 1)
        step = 1 if domain.log else (domain.step or 1)
        return distributions.IntDistribution(domain.low, high, log=domain.log, step=step)
    if isinstance(domain, Float):
        high = domain.high if domain.size is None else domain.at(domain.size - 1)
        step = None if domain.log else domain.step
        return distributions.FloatDistribution(domain.low, high, log=domain.log, step=step)
    return distributions.CategoricalDistribution([domain.at(index) for index in range(domain.size or 0)])


@final
@dataclass(slots=True)
class _Stored:
    """A trial of the experiment in the study."""

    id: int
    """In the storage."""
    trial: Any
    """Its content (``FrozenTrial``)."""


@final
class OptunaTracker(Tracker):
    """Writes an experiment as a study; its trials keep their numbers.

    Completed trials are COMPLETE with their best value (with several objectives: their last values), stopped ones and,
    after the end, paused ones are PRUNED, failed ones FAIL. Reports are intermediate values, by their resource. Optuna
    does not change finished trials: if one was continued, the study is written anew.

    Parameters
    ----------
    experiment
        The experiment.
    place
        URL or path of the storage.
    study
        Name of the study.

    Raises
    ------
    SettingsError
        The storage has such a study already, of other origin.
    """

    def __init__(self, experiment: TrackedExperiment, place: str, study: str) -> None:
        self._optuna = load_optuna()
        self._states = self._optuna.trial.TrialState
        self._experiment = experiment
        self._url = storage_url(place)
        if self._url == str(Path(place).expanduser().absolute()) or self._url.startswith("sqlite:///"):
            Path(self._url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self._storage = open_storage(place)
        self._name = study
        self._distributions = {
            name: distribution_of(domain) for name, domain in experiment.metadata.space.domains.items()
        }
        self._stored: dict[int, _Stored] = {}
        self._n_others = 0
        self._study_id = self._open_study()
        self._read_study()

    @property
    @override
    def place(self) -> str:
        return f"optuna-dashboard {self._url}"

    @override
    def write_trial(self, trial: TrackedTrial) -> None:
        wanted = self._frozen(trial)
        stored = self._stored.get(trial.id)
        if stored is None:
            self._create(trial.id, wanted)
        elif not stored.trial.state.is_finished():
            self._update(stored, wanted)
        elif _content(stored.trial) != _content(wanted):
            self._write_anew()

    @override
    def write_experiment(self) -> None:
        """Nothing: the study's attributes are written when it is made."""

    @override
    def close(self) -> None:
        self._storage.remove_session()
        engine = getattr(self._storage, "engine", None)
        if engine is not None:
            engine.dispose()

    # --- the study

    def _open_study(self) -> int:
        """The id of the study, which is made if it is missing."""
        experiment = self._experiment
        directions = [
            "maximize" if metric.goal is Goal.MAXIMIZE else "minimize" for metric in experiment.metrics
        ]
        study = self._optuna.create_study(
            storage=self._storage, study_name=self._name, directions=directions, load_if_exists=True
        )
        origin = study.user_attrs.get(f"{PREFIX}experiment")
        if origin is None and not study.trials and not study.user_attrs:
            metadata = experiment.metadata
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is experimental
                study.set_metric_names([metric.name for metric in experiment.metrics])
            facts: dict[str, Any] = {
                "experiment": experiment.name,
                "benchmark": metadata.benchmark.name,
                "method": metadata.label,
                "seed": metadata.seed,
                "resource": metadata.resource,
                "max_resource": metadata.max_resource,
            }
            for key, value in facts.items():
                study.set_user_attr(PREFIX + key, value)
            study_id = self._storage.get_study_id_from_name(self._name)
            self._storage.set_study_system_attr(study_id, SPACE, metadata.space.to_json())
        elif origin != experiment.name:
            raise SettingsError(
                f"{self._url} has another study {self._name}: give a name of its own, --to optuna:study=NAME"
            )
        return self._storage.get_study_id_from_name(self._name)

    def _read_study(self) -> None:
        for found in self._storage.get_all_trials(self._study_id):
            trial_id = found.system_attrs.get(TRIAL)
            if trial_id is None:
                self._n_others += 1
            else:
                self._stored[trial_id] = _Stored(found._trial_id, found)

    def _write_anew(self) -> None:
        """Write the whole study again, since a finished trial was continued."""
        if self._n_others:
            raise SettingsError(
                f"The study {self._name} has trials of others, so that it cannot be written again after the experiment was "
                "continued: give a new name, --to optuna:study=NAME"
            )
        self._storage.delete_study(self._study_id)
        self._stored.clear()
        self._study_id = self._open_study()
        for trial in self._experiment.trials:
            self._create(trial.id, self._frozen(trial))

    # --- its trials

    def _create(self, trial_id: int, wanted: Any) -> None:
        stored = self._storage.create_new_trial(self._study_id, template_trial=wanted)
        self._stored[trial_id] = _Stored(stored, wanted)

    def _update(self, stored: _Stored, wanted: Any) -> None:
        """Bring a trial that is not finished up to date."""
        before = stored.trial
        for step, value in wanted.intermediate_values.items():
            if step not in before.intermediate_values:
                self._storage.set_trial_intermediate_value(stored.id, step, value)
        for key, value in wanted.user_attrs.items():
            if before.user_attrs.get(key) != value:
                self._storage.set_trial_user_attr(stored.id, key, value)
        for key, value in wanted.system_attrs.items():
            if before.system_attrs.get(key) != value:
                self._storage.set_trial_system_attr(stored.id, key, value)
        if wanted.state.is_finished():
            self._storage.set_trial_state_values(stored.id, wanted.state, wanted.values)
        stored.trial = wanted

    def _frozen(self, trial: TrackedTrial) -> Any:
        """The trial as Optuna has it."""
        state, values = self._state(trial), None
        if state.is_finished() and state is not self._states.FAIL:
            values = self._values(trial)
            if values is None and state is self._states.COMPLETE:
                state = self._states.FAIL  # as Optuna does with an objective that returns NaN
        params = {name: trial.config[name] for name in self._distributions if name in trial.config}
        ended = trial.started if trial.ended is None else trial.ended
        return self._optuna.trial.FrozenTrial(
            number=trial.id,
            state=state,
            value=None,
            values=values,
            datetime_start=datetime.fromtimestamp(trial.started),
            datetime_complete=datetime.fromtimestamp(ended) if state.is_finished() else None,
            params={name: _param(self._distributions[name], value) for name, value in params.items()},
            distributions={name: self._distributions[name] for name in params},
            user_attrs=self._attributes(trial),
            system_attrs=self._hidden(trial),
            intermediate_values=self._intermediate(trial),
            trial_id=-1,
        )

    def _state(self, trial: TrackedTrial) -> Any:
        if trial.status is TrialStatus.PAUSED:
            return self._states.PRUNED if self._experiment.is_over else self._states.RUNNING
        return {
            TrialStatus.RUNNING: self._states.RUNNING,
            TrialStatus.COMPLETED: self._states.COMPLETE,
            TrialStatus.STOPPED: self._states.PRUNED,
            TrialStatus.FAILED: self._states.FAIL,
        }[trial.status]

    def _values(self, trial: TrackedTrial) -> list[float] | None:
        """The objective values of a finished trial; None if it has none."""
        metrics = self._experiment.metrics
        if len(metrics) == 1:
            found = trial.best(metrics[0], self._experiment.constraints) or trial.best(metrics[0])
            return None if found is None else [found.values[metrics[0].name]]
        for result in reversed(trial.results):
            values = [result.values.get(metric.name, math.nan) for metric in metrics]
            if all(map(math.isfinite, values)):
                return values
        return None

    def _intermediate(self, trial: TrackedTrial) -> dict[int, float]:
        """Reports by resource; Optuna has none with several objectives."""
        name, *others = (metric.name for metric in self._experiment.metrics)
        if others:
            return {}
        return {result.resource: result.values.get(name, math.nan) for result in trial.results}

    def _attributes(self, trial: TrackedTrial) -> dict[str, Any]:
        """Our own facts of a trial, and the other values of its last report under their names."""
        names = {metric.name for metric in self._experiment.metrics}
        last: Mapping[str, float] = trial.results[-1].values if trial.results else {}
        facts: dict[str, Any] = {
            f"{PREFIX}status": str(trial.status),
            **{name: value for name, value in last.items() if name not in names and math.isfinite(value)},
        }
        if trial.cost:
            facts[f"{PREFIX}cost"] = trial.cost
        if trial.error:
            facts[f"{PREFIX}error"] = trial.error.strip()
        return facts

    def _hidden(self, trial: TrackedTrial) -> dict[str, Any]:
        """System attributes: number and, if Optuna's fields do not hold them, all results of a run that has ended."""
        names = {metric.name for metric in self._experiment.metrics}
        facts: dict[str, Any] = {TRIAL: trial.id}
        has_more = len(names) > 1 or any(set(result.values) - names for result in trial.results)
        if trial.ended is not None and trial.results and has_more:
            facts[RESULTS] = [[one.resource, _as_json(one.values)] for one in trial.results]
        return facts


def _param(distribution: Any, value: ConfigValue) -> ConfigValue:
    """A value of a hyperparameter in the type of its distribution."""
    return float(value) if type(distribution).__name__ == "FloatDistribution" else value


def _as_json(values: Mapping[str, float]) -> dict[str, float | str]:
    """Values of a report; those that JSON lacks are the texts ``nan``, ``inf`` and ``-inf``."""
    return {name: value if math.isfinite(value) else str(value) for name, value in values.items()}


def _content(trial: Any) -> object:
    """What of a finished trial changes if the trial is continued."""
    return trial.state, trial.values, sorted(trial.intermediate_values), trial.system_attrs.get(RESULTS)
