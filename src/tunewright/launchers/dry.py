"""``--dry_run``: what would be sent to SageMaker first."""

from __future__ import annotations

import json

from tunewright.experiments import Experiment, SageMakerChoice, first_request
from tunewright.launchers.console import say


def show_first_request(experiment: Experiment, choice: SageMakerChoice) -> int:
    """Print the CreateTrainingJob request of the first trial as JSON; create nothing. Return the exit code.

    Raises
    ------
    SettingsError
        The experiment cannot run.
    BackendError
        On AWS: there are no credentials, or no role.
    """
    say(json.dumps(first_request(experiment, choice), indent=2))
    return 0
