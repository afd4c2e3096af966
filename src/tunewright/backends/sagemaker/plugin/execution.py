"""How trials become training jobs: a job per run, or workers that take run after run; chosen before anything is created."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final, cast

from tunewright.backends.sagemaker.config import Execution
from tunewright.backends.sagemaker.settings import JobSettings
from tunewright.backends.sagemaker.workers import busy_in_jobs_mode, plan_fleet, refuse_what_workers_cannot
from tunewright.backends.sagemaker.workers.sizing import COLD_STARTUP_SECONDS, WARM_STARTUP_SECONDS
from tunewright.events import ResultEvent
from tunewright.exceptions import JournalError, SettingsError
from tunewright.journal import read_events
from tunewright.storage import ExperimentFolder, experiments

MANY_WORKERS: Final = 100
"""Above this number, ``auto`` takes workers if the training time of a run is unknown."""

_LOOKED_AT: Final = 30
"""Newest experiments that are searched for runs of the same benchmark."""
_ENOUGH_RUNS: Final = 5
_LEAST_SHOWN: Final = 0.1
"""Smallest shown number of busy workers."""
_WORKER_TIME: Final = "st_worker_time"
"""Key that a Reporter adds to each report: seconds since the script began."""
_TYPE_NAMES: Final = ("instance_type", "st_instance_type", "instance_count", "st_instance_count")


def choose_execution(settings: JobSettings) -> tuple[Execution, str]:
    """Choose between a job per run and workers.

    Returns
    -------
    (str, str)
        ``"jobs"`` or ``"workers"``, and which mode would keep how many workers busy.

    Raises
    ------
    SettingsError
        Workers were asked for, and the trials cannot run on them.
    """
    benchmark, mode = settings.benchmark, settings.config.execution
    try:
        _check_workers(settings)
    except SettingsError as error:
        if mode == "workers":
            raise
        return "jobs", f"Each run is a training job. {error}"
    found = training_seconds(benchmark.name)
    if mode == "auto":
        mode = _better(benchmark.n_workers, found[0] if found else None)
    return mode, _execution_text(settings, mode, found)


def _check_workers(settings: JobSettings) -> None:
    """Refuse trials that choose their instances or need several, and instances with an unknown number of GPUs."""
    for name in _TYPE_NAMES:
        if name in settings.benchmark.space:
            raise SettingsError(
                f"All workers have the same instance, and the space has {name!r}: use --execution jobs"
            )
    refuse_what_workers_cannot(settings)
    plan_fleet(settings.benchmark.n_workers, settings.instance_type, settings.config.trials_per_instance)


def training_seconds(benchmark: str) -> tuple[float, str] | None:
    """Mean training time of a benchmark's runs in the newest experiment that has enough of them.

    Returns
    -------
    (float, str) or None
        Seconds and the experiment's name; None if no stored experiment has enough runs.
    """
    for folder in list(experiments())[: -_LOOKED_AT - 1 : -1]:
        with suppress(SettingsError, JournalError, OSError):
            if _benchmark_name(folder) == benchmark:
                seconds = list(_run_seconds(folder))
                if len(seconds) >= _ENOUGH_RUNS:
                    return statistics.fmean(seconds), folder.name
    return None


def _benchmark_name(folder: ExperimentFolder) -> str:
    """The benchmark of an experiment in real time; empty for others."""
    metadata = folder.metadata()
    benchmark = metadata.get("benchmark")
    if not isinstance(benchmark, dict) or metadata.get("clock") != "wall":
        return ""
    return str(cast("Mapping[str, object]", benchmark).get("name", ""))


def _run_seconds(folder: ExperimentFolder) -> Iterator[float]:
    """Training time of each run, from its last report."""
    last: dict[tuple[int, int], float] = {}
    for event in read_events(folder.journal_path):
        if isinstance(event, ResultEvent) and _WORKER_TIME in event.metrics:
            last[event.trial_id, event.attempt] = event.metrics[_WORKER_TIME]
    yield from last.values()


def _better(n_workers: int, seconds: float | None) -> Execution:
    """Workers if a job per run cannot keep all busy: the service takes one CreateTrainingJob a second."""
    if seconds is None:
        return "workers" if n_workers > MANY_WORKERS else "jobs"
    return "workers" if seconds < n_workers else "jobs"


def _execution_text(settings: JobSettings, mode: Execution, found: tuple[float, str] | None) -> str:
    config, n_workers = settings.config, settings.benchmark.n_workers
    startup = WARM_STARTUP_SECONDS if config.warm_pool else COLD_STARTUP_SECONDS
    if found is None:
        known = (
            f"A job per run keeps {n_workers} workers busy if a run trains for {n_workers} s at least "
            f"(SageMaker takes 1 CreateTrainingJob a second), and for much more than the {startup:g} s of a start"
        )
    else:
        seconds, name = found
        busy = busy_in_jobs_mode(n_workers, seconds, startup)
        shown = f"{busy:.1f}" if busy >= _LEAST_SHOWN else f"less than {_LEAST_SHOWN}"
        known = (
            f"On AWS a job per run would keep {shown} of {n_workers} workers busy (1 CreateTrainingJob a second, "
            f"{startup:g} s of start, {seconds:.2g} s of training a run as in {name})"
        )
    fleet = plan_fleet(n_workers, settings.instance_type, config.trials_per_instance)
    workers = f"{fleet.jobs} job{'s' if fleet.jobs > 1 else ''} of up to {fleet.job_size} x {settings.instance_type}"
    if fleet.slots > 1:
        workers += f" with {fleet.slots} trials each"
    chosen = f"workers mode ({workers})" if mode == "workers" else "a job per run"
    return f"{known}; workers mode all {n_workers}. --execution {config.execution}: {chosen}"
