"""Experiments of Optuna and Syne Tune, imported: stored as finished experiments with a journal of their trials."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import sqlite3
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast, final

from tunewright.backends.local.config import LocalConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.callbacks.optuna import PREFIX, RESULTS, SPACE, load_optuna, open_storage, storage_url
from tunewright.events import EndEvent, Event, Header, ReportDecision, ResultEvent, SessionEvent, StartEvent
from tunewright.exceptions import SettingsError, SpaceError, TunewrightError
from tunewright.experiments.experiment import IMPORTED, Experiment
from tunewright.formatting import plural
from tunewright.journal import FileJournal
from tunewright.metadata import StartFacts, read_metadata
from tunewright.methods import MethodSpec
from tunewright.metric import Goal, Metric, metrics_from
from tunewright.space import Categorical, Domain, Float, Integer, SearchSpace
from tunewright.space.converters import entry_from_optuna, from_syne_tune_json
from tunewright.state import replay_history
from tunewright.storage import ExperimentFolder, create_experiment, experiments
from tunewright.trial import ExperimentStatus, TrialStatus
from tunewright.types import ConfigValue, Json, package_version


@final
@dataclass(slots=True, kw_only=True)
class ImportedTrial:
    """A trial of another tool; times are seconds since 1970."""

    number: int
    """In the other tool."""
    config: dict[str, ConfigValue]
    started: float
    ended: float
    status: TrialStatus
    results: dict[int, tuple[float, dict[str, float]]] = field(
        default_factory=dict[int, tuple[float, dict[str, float]]]
    )
    """Time and values, by resource."""
    error: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedExperiment:
    """An experiment of another tool."""

    tool: str
    source: str
    name: str
    """Of the study or of the tuner."""
    method: str
    benchmark: str
    seed: int | None
    """None: unknown."""
    n_workers: int
    space: SearchSpace
    metrics: tuple[Metric, ...]
    resource: str | None
    """Unit of the resource; None: trials report once."""
    trials: Sequence[ImportedTrial]
    notices: Sequence[str] = ()
    """Things that the source lacks, or that were changed, one line each."""


def store_imported(found: ImportedExperiment, tag: str | None = None) -> tuple[ExperimentFolder, bool]:
    """Store an imported experiment.

    Parameters
    ----------
    found
        The experiment.
    tag
        Its tag; None: the benchmark's name.

    Returns
    -------
    (ExperimentFolder, bool)
        Its folder, and whether it is new: the same trials of the same source are stored once.

    Raises
    ------
    SettingsError
        It has no trial, or the tag is no name.
    """
    if not found.trials:
        raise SettingsError(f"{found.source}: {found.name} has no trial that began")
    tag = tag or found.benchmark
    begin = min(trial.started for trial in found.trials)
    events = _events(found, begin)
    replay_history(events)  # before anything is written
    origin: dict[str, Json] = {
        "tool": found.tool,
        "source": found.source,
        "name": found.name,
        "events": zlib.crc32(repr(events).encode()),
    }
    n_before = 0
    for folder in experiments(tag):
        data = folder.metadata()
        if data.get(IMPORTED) == origin:
            return folder, False
        metadata = read_metadata(folder)
        n_before += (metadata.label, metadata.benchmark.name) == (found.method, found.benchmark)
    seed = n_before if found.seed is None else found.seed
    experiment = _experiment(found, tag, seed)
    folder = create_experiment(tag, found.method, str(seed))
    try:
        facts = StartFacts(
            experiment=folder.name,
            identity=experiment.identity(),
            clock="wall",
            created=datetime.fromtimestamp(begin, UTC).isoformat(),
            versions={"tunewright": package_version()},
            effective_seed=seed,
        )
        stored = {**experiment.to_json(), **facts.to_json(), IMPORTED: origin}
        folder.write_metadata({**stored, "method": f"{found.tool}: {found.method}"})
        header = Header(
            experiment=folder.name,
            benchmark=found.benchmark,
            method=found.method,
            seed=seed,
            effective_seed=seed,
        )
        journal = FileJournal(folder.journal_path, header, hold=1.0)
        for event in events:
            journal.append(event)
        journal.close()
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return folder, True


def _experiment(found: ImportedExperiment, tag: str, seed: int) -> Experiment:
    """The experiment as metadata; it cannot run, since its script is not known."""
    highest = max((max(trial.results) for trial in found.trials if trial.results), default=1)
    return Experiment(
        tag=tag,
        benchmark=RealBenchmarkDefinition(
            name=found.benchmark,
            script=IMPORTED,
            space=found.space,
            metrics=found.metrics,
            n_workers=found.n_workers,
            resource_attr=found.resource,
            max_resource=highest if found.resource else None,
        ),
        method=MethodSpec(name="RandomSearch"),
        label=found.method,
        backend=LocalConfig(),
        seed=seed,
    )


def _events(found: ImportedExperiment, begin: float) -> list[Event]:
    """The journal of an experiment: its trials in the order of their start."""
    timed: list[tuple[float, int, int, Event]] = []
    last = begin
    for trial_id, trial in enumerate(sorted(found.trials, key=lambda one: (one.started, one.number))):
        events = _events_of(trial_id, trial, begin)
        timed += [(event.t, trial_id, place, event) for place, event in enumerate(events)]
        last = max(last, begin + events[-1].t)
    timed.sort(key=lambda one: one[:3])
    end = SessionEvent(t=last - begin, wall=last, event="end", outcome=ExperimentStatus.COMPLETED, summary={})
    return [SessionEvent(t=0.0, wall=begin, event="begin"), *(event for *_, event in timed), end]


def _events_of(trial_id: int, trial: ImportedTrial, begin: float) -> list[Event]:
    time = trial.started
    events: list[Event] = [
        StartEvent(
            t=time - begin,
            wall=time,
            trial_id=trial_id,
            attempt=0,
            config=trial.config,
            until=None,
            from_checkpoint=None,
            note={} if trial.number == trial_id else {"number": trial.number},
            suggest_time=None,
        )
    ]
    is_stopped = trial.status in {TrialStatus.STOPPED, TrialStatus.PAUSED}
    for seq, resource in enumerate(sorted(trial.results), start=1):
        at, values = trial.results[resource]
        time = max(time, at)
        is_last = seq == len(trial.results) and is_stopped
        ending = ReportDecision.STOP if trial.status is TrialStatus.STOPPED else ReportDecision.PAUSE
        events.append(
            ResultEvent(
                t=time - begin,
                wall=time,
                trial_id=trial_id,
                attempt=0,
                retry=0,
                seq=seq,
                resource=resource,
                metrics=values,
                decision=ending if is_last else ReportDecision.CONTINUE,
                reason="",
                cost=0.0,
            )
        )
    time = max(time, trial.ended)
    events.append(
        EndEvent(
            t=time - begin,
            wall=time,
            trial_id=trial_id,
            attempt=0,
            status=trial.status,
            error=trial.error,
            cost=0.0,
            checkpoint=None,
        )
    )
    return events


# --- Optuna


def read_optuna(source: str, study: str | None = None, metrics: str | None = None) -> ImportedExperiment:
    """Read a study of an Optuna storage, which is not changed.

    Reports become results at their step, at times that are spread evenly over their trial: Optuna stores none. The value
    of a completed trial that is not among its reports becomes its last result. Numbers among the attributes of a trial
    are values of its last result.

    Parameters
    ----------
    source
        URL of a database, or path of a sqlite or journal file.
    study
        Name of the study; None: the only one.
    metrics
        Names of the objectives, with commas; None: those of the study, else ``value``, or ``value_0`` and so on.

    Raises
    ------
    SettingsError
        There is no such storage or study, or a hyperparameter has no counterpart.
    MissingExtraError
        Optuna is not installed.
    """
    optuna = load_optuna()
    url = _existing(source)
    storage: Any = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            storage = open_storage(source)
            names = [one.study_name for one in storage.get_all_studies()]
            name = _chosen_study(names, study, source)
            loaded = optuna.load_study(study_name=name, storage=storage)
            hidden = storage.get_study_system_attrs(storage.get_study_id_from_name(name))
            return _StudyReader(loaded, hidden.get(SPACE), metrics).read(source=url, name=name)
    except TunewrightError as error:
        raise error if isinstance(error, SettingsError) else SettingsError(f"{source}: {error}") from error
    except Exception as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise SettingsError(f"{source} cannot be read as an Optuna storage: {first[0]}") from error
    finally:
        engine = getattr(storage, "engine", None)
        if engine is not None:
            storage.remove_session()
            engine.dispose()


def _existing(source: str) -> str:
    """The URL of a storage that exists: opening another one would make it.

    Raises
    ------
    SettingsError
        There is no such file, or it is a database without studies.
    """
    url = storage_url(source)
    path = Path(url.removeprefix("sqlite:///"))
    if "://" in url and not url.startswith("sqlite:///"):
        return url
    if not path.is_file():
        raise SettingsError(
            f"There is no Optuna storage {source}: give the URL of a database, or the path of a sqlite or journal file"
        )
    if url.startswith("sqlite:///"):
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
                tables = database.execute("select name from sqlite_master where name = 'studies'").fetchall()
        except sqlite3.Error as error:
            raise SettingsError(f"{source} cannot be read as a sqlite file: {error}") from None
        if not tables:
            raise SettingsError(f"{source} is a database without studies of Optuna")
    return url


def _chosen_study(names: Sequence[str], study: str | None, source: str) -> str:
    if study is None and len(names) == 1:
        return names[0]
    if study is not None and study in names:
        return study
    known = ", ".join(names) or "none"
    raise SettingsError(
        f"{source} has the studies {known}: choose one with --study"
        if study is None
        else f"{source} has no study {study!r}, but: {known}"
    )


@final
class _StudyReader:
    """Reads one study.

    Parameters
    ----------
    study
        An ``optuna.Study``.
    space
        Its search space as JSON data, if Tunewright wrote it; else None.
    metrics
        Names of the objectives, with commas; None: those of the study.
    """

    def __init__(self, study: Any, space: Mapping[str, Any] | None, metrics: str | None) -> None:
        self._stored_space = space
        self._own: Mapping[str, Any] = {
            name.removeprefix(PREFIX): value
            for name, value in study.user_attrs.items()
            if name.startswith(PREFIX)
        }
        n = len(study.directions)
        names = metrics or study.metric_names or (["value"] if n == 1 else [f"value_{i}" for i in range(n)])
        goals = [Goal.MAXIMIZE if one.name == "MAXIMIZE" else Goal.MINIMIZE for one in study.directions]
        self._metrics = metrics_from(names, [str(goal) for goal in goals])
        every = [
            trial
            for trial in study.trials
            if trial.datetime_start is not None and (trial.params or trial.state.name != "RUNNING")
        ]
        self._n_waiting = len(study.trials) - len(every)
        self._trials = every
        self._notices: list[str] = []

    def read(self, source: str, name: str) -> ImportedExperiment:
        space = self._space()
        steps = [step for trial in self._trials for step in trial.intermediate_values]
        self._shift = 1 - min(steps) if steps and min(steps) < 1 else 0
        if self._shift:
            self._notices.append(f"steps are counted from 1: step {min(steps)} is resource 1")
        done = [one for one in self._trials if one.state.name == "COMPLETE" and one.intermediate_values]
        self._full = max((max(one.intermediate_values) for one in done), default=1 - self._shift)
        trials = [self._trial(trial, space) for trial in self._trials]
        self._notices += self._counts()
        resource = str(self._own.get("resource") or ("step" if steps else "")) or None
        starts = [(trial.started, 1) for trial in trials] + [(trial.ended, -1) for trial in trials]
        busy = most = 0
        for _, change in sorted(starts):
            busy += change
            most = max(most, busy)
        seed = self._own.get("seed")
        return ImportedExperiment(
            tool="Optuna",
            source=source,
            name=name,
            method=str(self._own.get("method", "Optuna")),
            benchmark=str(self._own.get("benchmark", name)),
            seed=seed if isinstance(seed, int) else None,
            n_workers=max(1, most),
            space=space,
            metrics=self._metrics,
            resource=None if resource == "report" else resource,
            trials=trials,
            notices=self._notices,
        )

    def _counts(self) -> list[str]:
        running = sum(trial.state.name == "RUNNING" for trial in self._trials)
        lines = (
            [f"{plural(self._n_waiting, 'trial')} without a configuration yet: left out"]
            if self._n_waiting
            else []
        )
        if running:
            lines.append(
                f"{plural(running, 'trial')} still running: imported as stopped, with the reports so far"
            )
        return lines

    # --- the search space

    def _space(self) -> SearchSpace:
        if self._stored_space is not None:
            return SearchSpace.from_json(self._stored_space)
        merged: dict[str, Any] = {}
        for trial in self._trials:
            for name, distribution in trial.distributions.items():
                entry = self._entry(name, distribution)
                merged[name] = entry if name not in merged else _merged(name, merged[name], entry)
        conditions = self._conditions(merged)
        for name, condition in conditions.items():
            if condition and isinstance(merged[name], Domain):
                merged[name] = replace(merged[name], active_if=condition)
        try:
            return SearchSpace(merged)
        except SpaceError as error:
            raise SettingsError(f"The search space of the study cannot be read: {error}") from None

    def _entry(self, name: str, distribution: Any) -> Domain | ConfigValue:
        """A distribution as a domain; choices that are no plain values become texts."""
        choices = getattr(distribution, "choices", None)
        if choices is not None and any(_plain(value) is not value for value in choices):
            line = f"{name}: choices other than numbers, texts and truth values became texts"
            if line not in self._notices:
                self._notices.append(line)
            values = [_plain(value) for value in choices]
            return Categorical(values) if len(values) > 1 else values[0]
        try:
            return entry_from_optuna(distribution)
        except SpaceError as error:
            raise SettingsError(f"The search space of the study cannot be read: {name}: {error}") from None

    def _conditions(self, merged: Mapping[str, Any]) -> dict[str, dict[str, list[ConfigValue]]]:
        """Of hyperparameters that some trials lack: the values of another one with which they are there."""
        trials = [trial.params for trial in self._trials if trial.params]
        always = [
            name
            for name, entry in merged.items()
            if isinstance(entry, Categorical) and all(name in params for params in trials)
        ]
        found: dict[str, dict[str, list[ConfigValue]]] = {}
        for name in merged:
            n_lacking = sum(name not in params for params in trials)
            if not n_lacking:
                continue
            for parent in always:
                present = {_plain(params[parent]) for params in trials if name in params}
                absent = {_plain(params[parent]) for params in trials if name not in params}
                if not present & absent:
                    found[name] = {parent: [value for value in merged[parent].values if value in present]}
                    break
            else:
                self._notices.append(
                    f"{name}: {plural(n_lacking, 'trial')} do not have it, and no other one decides about that"
                )
        return found

    # --- its trials

    def _trial(self, trial: Any, space: SearchSpace) -> ImportedTrial:
        started = trial.datetime_start.timestamp()
        ended = started if trial.datetime_complete is None else trial.datetime_complete.timestamp()
        config = {name: _plain(value) for name, value in trial.params.items()}
        ordered = {
            name: config.get(name, entry)
            for name, entry in space.items()
            if name in config or not isinstance(entry, Domain)
        }
        values = self._values(trial)
        resources = sorted(values)
        made = ImportedTrial(
            number=trial.number,
            config=cast("dict[str, ConfigValue]", ordered),
            started=started,
            ended=ended,
            status=self._status(trial),
        )
        for place, resource in enumerate(resources, start=1):
            at = started + (ended - started) * place / len(resources)
            made.results[resource] = (at, values[resource])
        if made.status is TrialStatus.FAILED:
            reason = trial.system_attrs.get("fail_reason")
            made.error = str(trial.user_attrs.get(f"{PREFIX}error") or reason or "The trial failed in Optuna")
        return made

    def _status(self, trial: Any) -> TrialStatus:
        state = trial.state.name
        if state == "PRUNED" and trial.user_attrs.get(f"{PREFIX}status") == TrialStatus.PAUSED:
            return TrialStatus.PAUSED
        return _STATUS.get(state, TrialStatus.STOPPED)

    def _values(self, trial: Any) -> dict[int, dict[str, float]]:
        """Values by resource."""
        if RESULTS in trial.system_attrs:
            return {
                int(resource): {name: float(value) for name, value in values.items()}
                for resource, values in trial.system_attrs[RESULTS]
            }
        first = self._metrics[0].name
        found = {
            step + self._shift: {first: float(value)} for step, value in trial.intermediate_values.items()
        }
        if trial.values is not None and trial.state.name == "COMPLETE":
            last = max(found, default=self._full + self._shift)
            before = [values[first] for values in found.values()]
            if len(trial.values) > 1 or trial.values[0] not in before:
                if last in found:
                    found[last]["reported"] = found[last][first]
                    self._notices += _once(_RETURNED, self._notices)
                names = [metric.name for metric in self._metrics]
                found.setdefault(last, {}).update(zip(names, map(float, trial.values), strict=True))
        if found:
            last = found[max(found)]
            for name, value in trial.user_attrs.items():
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                if is_number and not name.startswith(PREFIX) and name not in last:
                    last[name] = float(value)
        return found


_STATUS: Final = {"COMPLETE": TrialStatus.COMPLETED, "FAIL": TrialStatus.FAILED}
_RETURNED: Final = "values that trials returned and had not reported are their last results; the reports in these places are the value 'reported'"


def _once(line: str, lines: Sequence[str]) -> list[str]:
    return [] if line in lines else [line]


def _plain(value: Any) -> ConfigValue:
    """A choice as a value of a configuration; texts for others, such as None and tuples."""
    return value if isinstance(value, str | bool | int | float) else str(value)


def _merged(name: str, one: object, other: object) -> Domain | ConfigValue:
    """One domain for a hyperparameter that is another one in other trials: the union of two ranges or choices."""
    if one == other:
        return cast("Domain | ConfigValue", one)
    if isinstance(one, Categorical) and isinstance(other, Categorical):
        return Categorical(list(dict.fromkeys([*one.values, *other.values])))
    low_is_same = getattr(one, "low", None) == getattr(other, "low", None)
    if isinstance(one, Float) and isinstance(other, Float):
        step = one.step if one.step == other.step and low_is_same else None
        low, high = min(one.low, other.low), max(one.high, other.high)
        return Float(low, high, log=one.log and other.log, step=step)
    if isinstance(one, Integer) and isinstance(other, Integer):
        step = one.step if one.step == other.step and low_is_same else None
        low, high = min(one.low, other.low), max(one.high, other.high)
        return Integer(low, high, log=one.log and other.log, step=step)
    raise SettingsError(
        f"{name} is {type(one).__name__} in some trials and {type(other).__name__} in others: no search space holds both"
    )


# --- Syne Tune

_TABLE: Final = "results.csv.zip"
_DILL: Final = "tuner.dill"
_TUNER_TIME: Final = "st_tuner_time"
_RESOURCES: Final = ("epoch", "hp_epoch", "epochs", "step", "st_worker_iter")
_ENDS: Final = {
    "completed": TrialStatus.COMPLETED,
    "failed": TrialStatus.FAILED,
    "stopped": TrialStatus.STOPPED,
    "stopping": TrialStatus.STOPPED,
    "paused": TrialStatus.PAUSED,
}


def read_syne_tune(source: str, metrics: str | None = None) -> ImportedExperiment:
    """Read the folder of a tuner of Syne Tune: ``metadata.json`` and ``results.csv.zip``.

    ``tuner.dill``, a pickle, is not read. Trials without a report are not in the table.

    Parameters
    ----------
    source
        Path of the folder.
    metrics
        Names of the tuned metrics, with commas; None: those of the metadata.

    Raises
    ------
    SettingsError
        The folder has no such files, or they are damaged.
    """
    folder = Path(source).expanduser()
    missing = [name for name in ("metadata.json", _TABLE) if not (folder / name).is_file()]
    if missing:
        only = f"; {_DILL} is a pickle, which is not read" if (folder / _DILL).is_file() else ""
        raise SettingsError(
            f"{source} has no {' and no '.join(missing)}, as a tuner of Syne Tune writes them{only}"
        )
    try:
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        with zipfile.ZipFile(folder / _TABLE) as archive:
            text = archive.read(archive.namelist()[0]).decode("utf-8")
        return _TunerReader(folder, metadata, list(csv.DictReader(io.StringIO(text))), metrics).read()
    except TunewrightError as error:
        raise SettingsError(f"{source}: {error}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, zlib.error) as error:
        raise SettingsError(f"{source} does not hold results as Syne Tune writes them: {error!r}") from error
    except zipfile.BadZipFile as error:
        raise SettingsError(f"{source}/{_TABLE} is damaged: {error}") from error


_DECISIONS: Final = {"stop": TrialStatus.STOPPED, "pause": TrialStatus.PAUSED}


@final
class _TunerReader:
    """Reads the results of a tuner."""

    def __init__(
        self,
        folder: Path,
        metadata: Mapping[str, Any],
        rows: Sequence[Mapping[str, str]],
        metrics: str | None,
    ) -> None:
        self._folder = folder
        self._metadata = metadata
        self._rows = sorted(rows, key=lambda row: float(row[_TUNER_TIME]))
        if not rows:
            raise SettingsError("the table of results is empty")
        self._columns = list(rows[0])
        names: Sequence[str] = [metrics] if metrics else metadata["metric_names"]
        mode: str | Sequence[str] = metadata.get("metric_mode", "min")
        self._metrics = metrics_from(names, mode)
        for metric in self._metrics:
            if metric.name not in self._columns:
                raise SettingsError(f"the table of results has no column {metric.name!r}")
        wanted = (metadata.get("resource_attr"), *_RESOURCES)
        self._attr = next((name for name in wanted if name in self._columns), None)
        lowest = 1 if self._attr is None else min(int(float(row[self._attr])) for row in self._rows)
        self._shift = max(0, 1 - lowest)
        """Of resources that are counted from 0."""
        self._notices: list[str] = []

    def read(self) -> ImportedExperiment:
        metadata = self._metadata
        space = self._space()
        begin = float(
            metadata.get("st_tuner_start_timestamp") or metadata.get("st_tuner_creation_timestamp") or 0.0
        )
        by_trial: dict[int, list[Mapping[str, str]]] = {}
        for row in self._rows:
            by_trial.setdefault(int(float(row["trial_id"])), []).append(row)
        trials = [self._trial(number, rows, space, begin) for number, rows in sorted(by_trial.items())]
        highest = max(max(trial.results) for trial in trials)
        for trial in trials:
            if trial.status is TrialStatus.RUNNING:  # the tuner ended before
                trial.status = TrialStatus.STOPPED
            is_whole = highest > 1 and max(trial.results) == highest
            if is_whole and trial.status is not TrialStatus.FAILED:  # also if the scheduler stopped it there
                trial.status = TrialStatus.COMPLETED
        numbers = set(range(max(by_trial) + 1))
        if left := sorted(numbers - set(by_trial)):
            self._notices.append(
                f"{plural(len(left), 'trial')} without a report ({', '.join(map(str, left[:5]))}) are not in the table"
            )
        attr = self._attr
        method = str(metadata.get("algorithm") or metadata.get("scheduler_name") or "Syne Tune")
        return ImportedExperiment(
            tool="Syne Tune",
            source=str(self._folder.absolute()),
            name=self._folder.name,
            method=method,
            benchmark=str(metadata.get("benchmark") or metadata.get("entrypoint") or self._folder.name),
            seed=int(metadata["seed"]) if "seed" in metadata else None,
            n_workers=int(metadata.get("n_workers") or 1),
            space=space,
            metrics=self._metrics,
            resource=None if attr is None or (attr == "st_worker_iter" and highest == 1) else attr,
            trials=trials,
            notices=self._notices,
        )

    def _space(self) -> SearchSpace:
        """The search space of the metadata, or one of the values that were tried."""
        stored = self._metadata.get("config_space")
        if stored is not None:
            return from_syne_tune_json(json.loads(stored) if isinstance(stored, str) else stored)
        where = (
            f", but in {_DILL} only, a pickle, which is not read" if (self._folder / _DILL).is_file() else ""
        )
        self._notices.append(
            f"the search space is not in metadata.json{where}: it has the ranges of the values that were tried"
        )
        names = [name for name in self._columns if name.startswith("config_")]
        return SearchSpace(
            {
                name.removeprefix("config_"): _tried({row[name] for row in self._rows if row[name]})
                for name in names
            }
        )

    def _trial(
        self, number: int, rows: Sequence[Mapping[str, str]], space: SearchSpace, begin: float
    ) -> ImportedTrial:
        first, last = rows[0], rows[-1]
        trained = float(first.get("st_worker_time") or 0.0)
        started = begin + max(0.0, float(first[_TUNER_TIME]) - trained)
        status = _ENDS.get(last.get("st_status", "").lower(), TrialStatus.RUNNING)
        if status is not TrialStatus.FAILED:  # a script may have come to its end before it was stopped
            status = _DECISIONS.get(last.get("st_decision", "").lower(), status)
        trial = ImportedTrial(
            number=number,
            config=self._config(first, space),
            started=started,
            ended=begin + float(last[_TUNER_TIME]),
            status=status,
            error="The trial failed in Syne Tune" if status is TrialStatus.FAILED else "",
        )
        for place, row in enumerate(rows, start=1):
            resource = place if self._attr is None else int(float(row[self._attr])) + self._shift
            values = {
                name: value
                for name in self._columns
                if not name.startswith(("config_", "st_")) and name not in {"trial_id", self._attr}
                if (value := _number(row[name])) is not None
            }
            if resource not in trial.results:  # a trial that began again repeats them
                trial.results[resource] = (begin + float(row[_TUNER_TIME]), values)
        return trial

    def _config(self, row: Mapping[str, str], space: SearchSpace) -> dict[str, ConfigValue]:
        config: dict[str, ConfigValue] = {}
        for name, entry in space.items():
            text = row.get(f"config_{name}", "")
            if isinstance(entry, Domain) and text:
                config[name] = entry.cast(_value(text))
            elif not isinstance(entry, Domain):
                config[name] = entry
        return config


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value(text: str) -> ConfigValue:
    """A cell of a table as a value."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"True": True, "False": False}.get(text, text)


def _tried(cells: Iterable[str]) -> Domain | ConfigValue:
    """A domain that holds the values of a column."""
    values = sorted({_value(cell) for cell in cells}, key=lambda value: (isinstance(value, str), value))
    if not values:
        return ""
    if len(values) == 1:
        return values[0]
    if all(type(value) is int for value in values):
        return Integer(int(values[0]), int(values[-1]))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = float(values[0]), float(values[-1])
        return Float(low, high) if math.isfinite(low) and math.isfinite(high) else Categorical(values)
    return Categorical(values)
