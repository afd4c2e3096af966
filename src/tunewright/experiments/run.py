"""Running one experiment: folder, journal, scheduler, backend, callbacks, Tuner, in this order."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from tunewright.callbacks.account import AccountFile
from tunewright.callbacks.checkpoints import RemoveUnneededCheckpoints
from tunewright.callbacks.results import ResultsTable
from tunewright.experiments.backends import build_backend
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.outcome import Outcome, load_outcome
from tunewright.experiments.watch import Watch, unwatched
from tunewright.interfaces import Scheduler
from tunewright.journal import FileJournal
from tunewright.storage import ExperimentFolder, create_experiment
from tunewright.tuner import Tuner


def run_experiment(experiment: Experiment, *, watch: Watch = unwatched) -> Outcome:
    """Run a new experiment to its end, in a folder of its own.

    Raises
    ------
    SettingsError
        Something is wrong that can be seen before anything is started; then there is no folder.
    ExperimentFailedError, BackendError, JournalError
        It could not be completed; what was observed is kept, and `resume_experiment` goes on.
    KeyboardInterrupt
        It was interrupted, in order; what was observed is kept.
    """
    scheduler = experiment.build_scheduler()
    folder = create_experiment(
        experiment.tag, experiment.label, experiment.benchmark.name, str(experiment.seed)
    )
    folder.write_metadata(
        {
            **experiment.to_json(),
            "experiment": folder.name,
            "identity": experiment.identity(),
            "clock": experiment.backend.clock,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {
                "tunewright": version("tunewright"),
                "python": platform.python_version(),
                "numpy": np.__version__,
            },
        }
    )
    return _run(experiment, scheduler, folder, watch)


def resume_experiment(
    folder: ExperimentFolder, experiment: Experiment | None = None, *, watch: Watch = unwatched
) -> Outcome:
    """Continue an experiment from its journal; the new limits and number of workers are kept in its metadata.

    Parameters
    ----------
    folder
        Where it is stored.
    experiment
        What continues; None: what the metadata say.
    watch
        Makes the callbacks.

    Raises
    ------
    SettingsError
        The metadata do not say how it was run.
    ExperimentFailedError, BackendError, JournalError, KeyboardInterrupt
        As `run_experiment`.
    """
    metadata = folder.metadata()
    experiment = experiment or Experiment.from_json(metadata)
    scheduler = experiment.build_scheduler()
    folder.write_metadata({**metadata, **experiment.to_json()})
    return _run(experiment, scheduler, folder, watch)


def _run(experiment: Experiment, scheduler: Scheduler, folder: ExperimentFolder, watch: Watch) -> Outcome:
    header = {
        "experiment": folder.name,
        "benchmark": experiment.benchmark.name,
        "method": experiment.label,
        "seed": experiment.seed,
        "random_seed": experiment.random_seed,
        "settings": dict(experiment.settings),
    }
    journal = FileJournal(folder.journal_path, header)
    try:
        backend = build_backend(experiment, folder)
    except BaseException:
        journal.close()
        raise
    records = [AccountFile(folder.account_path), ResultsTable(folder.journal_path, folder.results_path)]
    policies = [RemoveUnneededCheckpoints()] if experiment.delete_checkpoints else []
    Tuner(
        scheduler,
        backend,
        metrics=experiment.benchmark.metrics,
        stop_when=experiment.limits.criterion(),
        journal=journal,
        callbacks=[*records, *policies, *watch(experiment, folder)],
        max_failures=experiment.limits.max_failures,
    ).run()
    return load_outcome(folder)
