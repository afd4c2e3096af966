"""``tunewright logs``: what a trial printed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Final

from tunewright.backends.plugin import TrialLog
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, load_outcome
from tunewright.launchers.parser import Parser, natural
from tunewright.storage import ExperimentFolder, find_experiment
from tunewright.trial import TrialStatus

_INTERVAL: Final = 1.0  # seconds between two looks


def run(arguments: Sequence[str]) -> int:
    """Print a trial's output, all runs of it in order."""
    parser = Parser("tunewright logs", "Print what a trial printed.")
    parser.positional("experiment", "its name, a unique beginning of it, or the path of its folder")
    parser.positional("trial", "the trial's number", type=natural)
    parser.switch("follow", "go on until the trial's run ends")
    given = parser.read(arguments)
    folder = find_experiment(given.experiment)
    n_trials = load_outcome(folder).history.n_trials
    if given.trial >= n_trials:
        raise SettingsError(
            f"{folder.name} has the trials 0 to {n_trials - 1}"
            if n_trials
            else f"{folder.name} has no trials"
        )
    experiment = Experiment.from_json(folder.metadata())
    log = experiment.plugin.logs(experiment.backend, experiment.context(folder), given.trial)
    try:
        if given.follow:
            _follow(log, folder, given.trial)
        _print_new(log)
    finally:
        log.close()
    return 0


def _follow(log: TrialLog, folder: ExperimentFolder, trial_id: int) -> None:
    while _is_running(folder, trial_id):
        _print_new(log)
        time.sleep(_INTERVAL)


def _is_running(folder: ExperimentFolder, trial_id: int) -> bool:
    outcome = load_outcome(folder)
    return outcome.status == "running" and outcome.history.status(trial_id) is TrialStatus.RUNNING


def _print_new(log: TrialLog) -> None:
    sys.stdout.write(log.new_text())
    sys.stdout.flush()
