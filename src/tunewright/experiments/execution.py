"""How trials become training jobs: a job each, or runs on workers; decided before anything is created."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final, cast

from tunewright.backends.sagemaker import SageMakerSettings
from tunewright.backends.sagemaker.workers import busy_in_jobs_mode, plan_fleet, refuse_what_workers_cannot
from tunewright.backends.sagemaker.workers.sizing import COLD_STARTUP_SECONDS, WARM_STARTUP_SECONDS
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.events import ResultEvent
from tunewright.exceptions import JournalError, SettingsError
from tunewright.experiments.backends import sagemaker_settings
from tunewright.experiments.choices import AUTO, JOBS, WORKERS, SageMakerChoice
from tunewright.journal import read_events
from tunewright.storage import ExperimentFolder, experiments

MANY_WORKERS: Final = 100
"""Above this number, ``auto`` takes workers where nobody knows how long a run trains."""

_LOOKED_AT: Final = 30
"""Newest experiments that are looked at for runs of the same benchmark."""
_ENOUGH_RUNS: Final = 5
_LEAST_SHOWN: Final = 0.1
"""Busy workers, below which the number says nothing more."""
_WORKER_TIME: Final = "st_worker_time"
"""What a Reporter adds to each report: seconds that its script has run."""
_TYPE_NAMES: Final = ("instance_type", "st_instance_type", "instance_count", "st_instance_count")


def settle_execution(
    benchmark: RealBenchmarkDefinition, choice: SageMakerChoice
) -> tuple[SageMakerChoice, str]:
    """Decide between a job per run and workers.

    Returns
    -------
    (SageMakerChoice, str)
        The choice, never with ``auto``; and which mode would keep how many workers busy, for people.

    Raises
    ------
    SettingsError
        Workers were asked for, and the trials cannot run on them.
    """
    settings = sagemaker_settings(benchmark, choice)
    try:
        check_workers(benchmark, settings)
    except SettingsError as error:
        if choice.execution == WORKERS:
            raise
        return replace(choice, execution=JOBS), f"Each run is a training job. {error}"
    found = training_seconds(benchmark.name)
    mode = choice.execution
    if mode == AUTO:
        mode = _better(benchmark.n_workers, found[0] if found else None)
    return replace(choice, execution=mode), _words(choice, settings, mode, found)


def check_workers(benchmark: RealBenchmarkDefinition, settings: SageMakerSettings) -> None:
    """Refuse trials that cannot run on workers.

    Raises
    ------
    SettingsError
        A trial chooses its instances, or needs several.
    """
    for name in _TYPE_NAMES:
        if name in benchmark.space:
            raise SettingsError(
                f"All workers have the same instance, and the space has {name!r}: use --execution jobs"
            )
    refuse_what_workers_cannot(settings)


def training_seconds(benchmark: str) -> tuple[float, str] | None:
    """How long a run of a benchmark trains on average, by the newest experiment that has enough runs of it.

    Returns
    -------
    (float, str) or None
        Mean seconds and the experiment's name; None where no stored experiment says it.
    """
    for folder in list(experiments())[: -_LOOKED_AT - 1 : -1]:
        with suppress(SettingsError, JournalError, OSError):
            if _benchmark_name(folder) == benchmark:
                seconds = list(_run_seconds(folder))
                if len(seconds) >= _ENOUGH_RUNS:
                    return statistics.fmean(seconds), folder.name
    return None


def _benchmark_name(folder: ExperimentFolder) -> str:
    """The benchmark of an experiment that trained for real; empty for others."""
    metadata = folder.metadata()
    benchmark, backend = metadata.get("benchmark"), metadata.get("backend")
    if not isinstance(benchmark, dict) or not isinstance(backend, dict):
        return ""
    facts, place = cast("dict[str, object]", benchmark), cast("dict[str, object]", backend)
    return str(facts.get("name", "")) if place.get("kind") in {"local", "sagemaker"} else ""


def _run_seconds(folder: ExperimentFolder) -> Iterator[float]:
    """Seconds that each run trained, from its last report."""
    last: dict[tuple[int, int], float] = {}
    for event in read_events(folder.journal_path):
        if isinstance(event, ResultEvent) and _WORKER_TIME in event.metrics:
            last[event.trial_id, event.attempt] = event.metrics[_WORKER_TIME]
    yield from last.values()


def _better(n_workers: int, seconds: float | None) -> str:
    """Workers where a job per run cannot keep all busy: the service takes one CreateTrainingJob a second."""
    if seconds is None:
        return WORKERS if n_workers > MANY_WORKERS else JOBS
    return WORKERS if seconds < n_workers else JOBS


def _words(
    choice: SageMakerChoice, settings: SageMakerSettings, mode: str, found: tuple[float, str] | None
) -> str:
    n_workers = settings.n_workers
    startup = WARM_STARTUP_SECONDS if settings.warm_pool else COLD_STARTUP_SECONDS
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
    fleet = plan_fleet(n_workers, settings.instance_type, choice.trials_per_instance)
    workers = f"{fleet.jobs} job{'s' if fleet.jobs > 1 else ''} of up to {fleet.job_size} x {settings.instance_type}"
    if fleet.slots > 1:
        workers += f" with {fleet.slots} trials each"
    chosen = f"workers mode ({workers})" if mode == WORKERS else "a job per run"
    return f"{known}; workers mode all {n_workers}. --execution {choice.execution}: {chosen}"
