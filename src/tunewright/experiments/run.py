"""Run or continue one experiment: folder, scheduler, journal, backend, callbacks, Tuner, in this order."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import numpy as np
from msgspec import UNSET, UnsetType
from typing_extensions import override

from tunewright.blackbox.recipes import check_current
from tunewright.callbacks import PlainProgress, ProgressFacts
from tunewright.callbacks.account import AccountFile, read_account
from tunewright.callbacks.checkpoints import RemoveUnneededCheckpoints
from tunewright.callbacks.notebook import NotebookProgress
from tunewright.callbacks.plugin import CallbackContext, build_callback
from tunewright.callbacks.progress import WarnOfMissingCheckpoint, WarnOfMissingResource
from tunewright.callbacks.results import ResultsTable
from tunewright.codec import to_json
from tunewright.events import EndEvent, Header, ResultEvent, StartEvent
from tunewright.exceptions import BackendError, SettingsError, TunewrightError
from tunewright.experiments.experiment import BEST, Experiment
from tunewright.experiments.known_results import AnsweringBackend, KnownRuns
from tunewright.experiments.on_end import check_command, run_on_end
from tunewright.experiments.outcome import Outcome, load_outcome
from tunewright.experiments.remote_marker import live_marker
from tunewright.experiments.warm_start import store_evaluations, stored_evaluations
from tunewright.history import History
from tunewright.interfaces import Callback, CheckpointPolicy, Scheduler, StoppingCriterion
from tunewright.journal import FileJournal, Journal, read_events, read_header
from tunewright.metadata import ExperimentMetadata, StartFacts, TableMetadata, read_metadata
from tunewright.methods import (
    BuildFunction,
    MethodSpec,
    also_read,
    constraints_of,
    find_method,
    resolved_inner,
    resolved_settings,
)
from tunewright.methods.automatic import NAME as AUTO
from tunewright.methods.automatic import Choice
from tunewright.metric import Metric
from tunewright.replicates import ReplicateMeans
from tunewright.requests import ChangeLimits, RequestInbox, SetWorkers
from tunewright.runner.call_function import load_function
from tunewright.runner.contract import stop_loading
from tunewright.storage import ExperimentFolder, create_experiment, experiments, safe_name
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.trial import KNOWN, TrialStatus
from tunewright.tuner import ExperimentControl, Tuner
from tunewright.types import Config, Json, package_version

JOURNAL_VARIABLE: Final = "TUNEWRIGHT_OPEN_JOURNAL"
"""Environment variable: import path (``module:name``) of the function that opens journals instead of the backend.

A tuning job sets it, so that all experiments of its processes are copied to S3."""
_DEFAULTS_0_1: Final = Path(__file__).with_name("defaults_0_1.json")

Watch: TypeAlias = Callable[[Experiment, ExperimentFolder], Sequence[Callback]]
"""Makes the callbacks of an experiment."""


def unwatched(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """Return no callbacks."""
    del experiment, folder
    return ()


def run_experiment(experiment: Experiment, *, watch: Watch = unwatched) -> Outcome:
    """Run a new experiment to its end, in a folder of its own.

    Raises
    ------
    SettingsError, TableError
        A setting is invalid; no folder was made.
    ExperimentFailedError, BackendError, JournalError
        It could not be completed. All observations are kept, and `resume_experiment` continues; of an experiment whose backend
        started no run nothing is kept.
    KeyboardInterrupt
        It was interrupted. All observations are kept.
    """
    (experiment,) = informed([experiment])
    experiment, scheduler, folder = open_experiment(experiment)
    run_tuner(experiment, scheduler, folder, watch)
    return load_outcome(folder)


def resume_experiment(
    folder: ExperimentFolder, experiment: Experiment | None = None, *, watch: Watch = unwatched
) -> Outcome:
    """Continue an experiment from its journal; its metadata store the new limits and number of workers.

    Parameters
    ----------
    folder
        Where it is stored.
    experiment
        The experiment, with its new limits; None: as its metadata say.
    watch
        Makes the callbacks.

    Raises
    ------
    SettingsError
        Its metadata are damaged, or its method is a function of the user.
    ExperimentFailedError, BackendError, JournalError, KeyboardInterrupt
        As `run_experiment`.
    """
    experiment = experiment or Experiment.from_json(folder.metadata())
    experiment, scheduler, folder = open_experiment(experiment, folder)
    run_tuner(experiment, scheduler, folder, watch)
    return load_outcome(folder)


def open_experiment(
    experiment: Experiment,
    folder: ExperimentFolder | None = None,
    evaluations: TransferEvaluations | None = None,
) -> tuple[Experiment, Scheduler, ExperimentFolder]:
    """Build the scheduler of an experiment and make its folder, or prepare both to continue.

    Parameters
    ----------
    experiment
        The experiment.
    folder
        Where it is stored; None for a new one.
    evaluations
        Of earlier experiments, if they were read before; for a new one.

    Returns
    -------
    (Experiment, Scheduler, ExperimentFolder)
        An experiment that is continued is returned as it began (:func:`as_begun`).

    Raises
    ------
    SettingsError, TableError
        It cannot run; then there is no new folder.
    """
    stop_loading()
    if folder is None:
        if experiment.backend.is_simulated:
            check_current(experiment.table_benchmark.description)
        experiment.check_settings()
        if experiment.on_end:
            check_command(experiment.on_end)
        evaluations = evaluations or experiment.evaluations()
        scheduler = experiment.build_scheduler(evaluations)
        return experiment, scheduler, new_folder(experiment, evaluations)
    begun = as_begun(folder, experiment)
    scheduler = begun.build_scheduler(stored_evaluations(folder))
    renew_folder(folder, experiment)
    return begun, scheduler, folder


def as_begun(folder: ExperimentFolder, experiment: Experiment) -> Experiment:
    """Return an experiment that continues, with the effective seed, method and settings that it began with.

    The method is the one that ``auto`` chose. Settings that were not given have the defaults of the version that began
    the experiment; settings that it did not have yet, the values with which methods decide as they did in version 0.1.

    Raises
    ------
    SettingsError
        The metadata are damaged, or the recorded table was changed.
    JournalError
        The journal is damaged.
    """
    metadata = read_metadata(folder)
    _check_table(experiment, metadata)
    experiment = replace(experiment, resumed_seed=metadata.effective_seed)
    if metadata.chosen is not None:
        experiment = experiment.with_method(Choice.from_json(metadata.chosen).spec)
    method = experiment.method
    header = read_header(folder.journal_path)
    if not isinstance(method, MethodSpec) or header is None:
        return experiment
    settings = {**_defaults_0_1().get(method.name, {}), **(header.resolved or {}), **method.settings}
    if "TPE" not in (header.inner or {}):
        contains = find_method(method.name).contains
        settings = _with_former_tpe(settings, contains)
        experiment = replace(experiment, settings=_with_former_tpe(experiment.settings, contains))
    inner: dict[str, Mapping[str, Json]] = {}
    if resolved_inner(
        MethodSpec(name=method.name, settings=settings), experiment.benchmark, experiment.settings
    ):
        inner = _inner_as_begun(header)
    return experiment.with_method(MethodSpec(name=method.name, settings=settings, inner=inner))


def _with_former_tpe(settings: Mapping[str, Json], contains: str) -> Mapping[str, Json]:
    """Name KDE as the contained method instead of TPE, which was its alias before there was a method TPE."""
    return {**settings, contains: "KDE"} if str(settings.get(contains)).lower() == "tpe" else settings


def _inner_as_begun(header: Header) -> dict[str, Mapping[str, Json]]:
    """Settings of contained methods by name: those of the header, which win over the defaults of 0.1."""
    defaults, began = _defaults_0_1(), dict(header.inner or {})
    if began.get(AUTO) == {}:  # begun when it had no settings, but took Adaptive already
        began[AUTO] = {"with_rungs": "adaptive"}
    return {**defaults, **{name: {**defaults.get(name, {}), **values} for name, values in began.items()}}


@cache
def _defaults_0_1() -> Mapping[str, Mapping[str, Json]]:
    """Defaults of version 0.1 by method, for settings that a journal's header does not hold."""
    return json.loads(_DEFAULTS_0_1.read_text(encoding="utf-8"))


def _check_table(experiment: Experiment, metadata: ExperimentMetadata) -> None:
    began_with = "" if metadata.table is None else metadata.table.digest
    digest = experiment.table_benchmark.description.digest if began_with else ""
    if began_with and digest and digest != began_with:
        raise SettingsError(
            f"The table of {experiment.benchmark.name} was changed or added again since the experiment began (checksum "
            f"{began_with}, now {digest}): bring the earlier one back to continue"
        )


def informed(cells: Iterable[Experiment]) -> list[Experiment]:
    """Return experiments that know whether pauses of their script repeat its training; ``auto`` chooses by it.

    The newest experiment of the same tag and script with a paused trial decides. The choice is stored, so that a resume
    keeps it.
    """
    pauses_repeat = cache(_pauses_repeat)
    return [
        replace(cell, pauses_repeat=pauses_repeat(cell.tag, cell.real_benchmark.script))
        if not cell.backend.is_simulated and cell.max_num_checkpoints is None and cell.choice() is not None
        else cell
        for cell in cells
    ]


def _pauses_repeat(tag: str, script: str) -> bool:
    """Whether the newest experiment with paused trials kept no checkpoint of them; damaged ones are skipped."""
    for folder in reversed(list(experiments(tag))):
        with suppress(TunewrightError):
            if Experiment.from_json(folder.metadata()).real_benchmark.script != script:
                continue
            events = list(read_events(folder.journal_path))
            starts = [event for event in events if isinstance(event, StartEvent)]
            known = {(start.trial_id, start.attempt) for start in starts if KNOWN in start.note}
            ends = [event for event in events if isinstance(event, EndEvent)]
            paused = [end for end in ends if end.status is TrialStatus.PAUSED]
            if trained := [end for end in paused if (end.trial_id, end.attempt) not in known]:
                return all(end.checkpoint is None for end in trained)
    return False


def announce_choices(plan: Iterable[Experiment], say: Callable[[str], Any]) -> None:
    """Say what ``auto`` chooses, and which limits end an experiment before any full run; each line once."""
    cells = list(plan)
    lines = [f"{cell.benchmark.name}: {choice.text()}" for cell in cells if (choice := cell.choice())]
    lines += [
        f"{cell.benchmark.name}, {cell.label}: {text}. --finish 1 (finish=1 in Python) trains the best trial to the end"
        for cell in cells
        if (text := cell.out_of_reach())
    ]
    for line in dict.fromkeys(lines):
        say(line)


def new_folder(experiment: Experiment, evaluations: TransferEvaluations | None = None) -> ExperimentFolder:
    """Make the folder of a new experiment, with its metadata and the evaluations of earlier experiments.

    Its name contains the benchmark's, unless that is the tag, or the tag of the experiment whose best configuration it trains.
    """
    benchmark = experiment.benchmark.name
    is_tag = safe_name(experiment.tag) in {safe_name(benchmark), safe_name(f"{BEST}{benchmark}")}
    folder = create_experiment(
        experiment.tag, experiment.label, *(() if is_tag else (benchmark,)), str(experiment.seed)
    )
    choice = experiment.choice()
    bounds = experiment.constraints
    facts = StartFacts(
        evaluations=store_evaluations(folder, evaluations),
        chosen=UNSET if choice is None else choice.to_json(),
        constraints=tuple(map(str, bounds)),
        table=_table(experiment),
        experiment=folder.name,
        identity=experiment.identity(),
        clock=experiment.backend.clock,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=_versions(),
        effective_seed=experiment.effective_seed,
    )
    folder.write_metadata({**experiment.to_json(), **facts.to_json()})
    return folder


def renew_folder(folder: ExperimentFolder, experiment: Experiment) -> None:
    """Update the metadata of an experiment that is continued.

    Raises
    ------
    SettingsError
        A tuning job worked on it when it was last fetched.
    """
    if note := live_marker(folder.path):
        raise SettingsError(
            f"{folder.name} runs {note.text()}; or stop it first: tunewright remote stop {note.tag}"
        )
    folder.write_metadata({**folder.metadata(), **experiment.to_json()})


def run_tuner(
    experiment: Experiment, scheduler: Scheduler, folder: ExperimentFolder, watch: Watch
) -> History:
    """Run the Tuner of an experiment in its folder; return its history.

    Raises
    ------
    SettingsError
        A setting is invalid; the folder of a new experiment is removed.
    ExperimentFailedError, BackendError, JournalError, KeyboardInterrupt
        As `run_experiment`.
    """
    header = _header(experiment, folder)
    is_new = not folder.journal_path.exists()
    journal: Journal | None = None
    try:
        journal = _open_journal(experiment, folder, header)
        backend = experiment.plugin.build(experiment.backend, experiment.context(folder))
    except BaseException as error:
        if journal is not None:
            journal.close()
        if is_new and isinstance(error, TunewrightError):
            shutil.rmtree(folder.path, ignore_errors=True)  # nothing has begun
        raise
    if isinstance(scheduler, KnownRuns):
        backend = AnsweringBackend(backend, scheduler)
    tuner = Tuner(
        scheduler,
        backend,
        metrics=(
            *experiment.benchmark.metrics,
            *also_read(experiment.method, experiment.benchmark, experiment.settings),
            *_number_of_replicate(experiment),
        ),
        replicates=_replicate_means(experiment),
        stop_when=experiment.criterion(),
        journal=journal,
        callbacks=[
            *_records(experiment, folder),
            *_chosen_callbacks(experiment, folder),
            *watch(experiment, folder),
        ],
        checkpoint_policies=_checkpoint_policies(experiment),
        max_failures=experiment.limits.max_failures,
        inbox=None if experiment.backend.is_simulated else RequestInbox(folder),
        control=_StoredControl(experiment, folder),
    )
    try:
        return _run_to_end(tuner, experiment, folder)
    except BackendError as error:
        if not is_new or not isinstance(journal, FileJournal) or not _nothing_was_begun(folder):
            raise
        shutil.rmtree(folder.path, ignore_errors=True)
        raise error.of_nothing_begun() from error


def _run_to_end(tuner: Tuner, experiment: Experiment, folder: ExperimentFolder) -> History:
    """Run the Tuner, then the command of ``on_end``, whatever the outcome."""
    try:
        return tuner.run()
    finally:
        if experiment.on_end:
            run_on_end(experiment.on_end, folder)


def _nothing_was_begun(folder: ExperimentFolder) -> bool:
    """Whether the backend has started no run, and there is no result."""
    n_jobs = read_account(folder.account_path).get("jobs")
    return n_jobs == 0 and not any(
        isinstance(event, ResultEvent) for event in read_events(folder.journal_path)
    )


@final
class _StoredControl(ExperimentControl):
    """The settings of an experiment that requests change, stored in its metadata."""

    def __init__(self, experiment: Experiment, folder: ExperimentFolder) -> None:
        self._experiment = experiment
        self._folder = folder

    @override
    def full_config(self, config: Config) -> Config:
        return self._experiment.benchmark.space.complete(config)

    @override
    def criterion(self, changes: Mapping[str, float]) -> StoppingCriterion:
        limits = self._experiment.limits
        if limits.finish is not None:
            raise SettingsError(
                "The last part of this experiment (finish) follows from its limits: stop it, and resume it with others"
            )
        self._experiment = replace(self._experiment, limits=limits.replace(**changes))
        return self._experiment.criterion()

    @override
    def store(self, request: ChangeLimits | SetWorkers) -> None:
        data = self._folder.metadata()
        if isinstance(request, ChangeLimits):
            data["limits"] = {**data["limits"], **request.changes}
        else:
            data["benchmark"] = {**data["benchmark"], "n_workers": request.n_workers}
        self._folder.write_metadata(data)


def _number_of_replicate(experiment: Experiment) -> Sequence[Metric]:
    """The key of the replicate's number, if the experiment names one."""
    replicates = experiment.benchmark.replicates
    return () if replicates is None or replicates.attr is None else (Metric(replicates.attr),)


def _replicate_means(experiment: Experiment) -> ReplicateMeans | None:
    """Means of the tuned and the constrained values over replicates; None without replicates."""
    replicates = experiment.benchmark.replicates
    if replicates is None:
        return None
    bounded = [bound.metric for bound in constraints_of(experiment.method, experiment.settings)]
    return ReplicateMeans(replicates, [*experiment.benchmark.metrics, *bounded])


def _open_journal(experiment: Experiment, folder: ExperimentFolder, header: Header) -> Journal:
    """The journal that the environment names, or that of the backend."""
    path = os.environ.get(JOURNAL_VARIABLE)
    if path is None:
        return experiment.plugin.open_journal(experiment.backend, experiment.context(folder), header)
    return load_function(path)(folder, header, is_simulated=experiment.backend.is_simulated)


def _header(experiment: Experiment, folder: ExperimentFolder) -> Header:
    """The first line of the experiment's journal."""
    method, settings = experiment.built_method()
    return Header(
        experiment=folder.name,
        benchmark=experiment.benchmark.name,
        method=experiment.label,
        seed=experiment.seed,
        random_seed=experiment.random_seed,
        settings=dict(experiment.settings),
        evaluations=to_json(read_metadata(folder).evaluations) if experiment.warm_start else None,
        effective_seed=experiment.effective_seed,
        resolved=resolved_settings(method, settings) if isinstance(method, MethodSpec) else None,
        inner=resolved_inner(method, experiment.benchmark, settings) or None,
        table=_table_version(experiment),
    )


def _records(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """Callbacks that write files beside the journal; none for simulations, which run by the thousand."""
    if experiment.backend.is_simulated:
        return ()
    records = [AccountFile(folder.account_path), ResultsTable(folder.journal_path, folder.results_path)]
    attr = experiment.real_benchmark.resource_attr
    warnings = [WarnOfMissingCheckpoint(_without_pauses(experiment.method))]
    return [*records, *warnings, *([WarnOfMissingResource(attr)] if attr else [])]


def _without_pauses(method: MethodSpec | BuildFunction) -> str:
    """The setting of a method with which it pauses no trial, or a method that pauses none."""
    if isinstance(method, MethodSpec) and "kind" in find_method(method.name).parameters:
        return f"{method.name} with kind=stopping"
    return "ASHA with kind=stopping"


def _checkpoint_policies(experiment: Experiment) -> Sequence[CheckpointPolicy]:
    """Checkpoint policies of the experiment's settings."""
    early = experiment.early_removal()
    unneeded = experiment.delete_checkpoints and not experiment.backend.is_simulated
    return [*([] if early is None else [early]), *([RemoveUnneededCheckpoints()] if unneeded else [])]


def _chosen_callbacks(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """The callbacks that the experiment names."""
    if not experiment.callbacks:
        return ()
    context = CallbackContext(
        benchmark=experiment.benchmark,
        folder=folder,
        constraints=experiment.constraints,
        created=datetime.fromisoformat(read_metadata(folder).created).timestamp(),
    )
    return [build_callback(config, context) for config in experiment.callbacks]


def _table(experiment: Experiment) -> TableMetadata | UnsetType:
    if not experiment.backend.is_simulated:
        return UNSET
    description = experiment.table_benchmark.description
    return TableMetadata(
        table=description.name,
        dataset=description.dataset,
        values=str(description.values),
        note=description.note,
        untrained=dict(description.untrained),
        digest=description.digest,
        resource=description.resource,
        max_resource=experiment.table_benchmark.max_resource,
        space=experiment.table_benchmark.space.to_json(),
    )


def _table_version(experiment: Experiment) -> str | None:
    """Name and checksum of the recorded table; None if trials train."""
    if not experiment.backend.is_simulated:
        return None
    description = experiment.table_benchmark.description
    return f"{description.name} {description.digest}".strip()


@cache
def _versions() -> dict[str, str]:
    return {
        "tunewright": package_version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


# --- progress on a plain terminal


def print_progress(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """Return a callback that prints on stderr: progress every ten seconds, failures at once, the result at the end."""
    return [PlainProgress(progress_facts(experiment, folder), _to_stderr, is_verbose=False)]


def show_in_notebook(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """Return a callback that shows progress in the output of a notebook's cell."""
    return [NotebookProgress(progress_facts(experiment, folder))]


def progress_facts(experiment: Experiment, folder: ExperimentFolder) -> ProgressFacts:
    """Return the facts that progress shows."""
    benchmark, backend = experiment.benchmark, experiment.backend
    return ProgressFacts(
        title=f"{experiment.label} on {benchmark.name}, seed {experiment.seed}, {backend.backend_name} backend",
        metric=benchmark.metrics[0],
        others=benchmark.metrics[1:],
        space=benchmark.space,
        n_workers=benchmark.n_workers,
        max_time=experiment.limits.max_wallclock_time,
        max_trials=experiment.limits.max_num_trials,
        max_results=experiment.limits.max_num_evaluations,
        max_cost=experiment.limits.max_cost,
        resource=benchmark.resource_attr or (benchmark.replicates.unit if benchmark.replicates else "report"),
        max_resource=benchmark.max_resource,
        path=str(folder.path),
        name=folder.name,
        is_estimate=not backend.is_billed,
        constraints=experiment.constraints,
    )


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
