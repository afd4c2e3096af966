"""Names that the runner shares with its callers: modes, environment variables, parameters, files and input channels."""

from __future__ import annotations

import sys
from enum import Enum


class Mode(Enum):
    """First argument of ``runner.pyz``: the program to run."""

    LOCAL = "local"
    """One run on this machine: ``local FOLDER ABANDON_AFTER``."""
    CALL = "call"
    """One Python function, called as a script: ``call FUNCTION CONFIG_FILE``."""
    FUNCTIONS = "functions"
    """Python functions, called in forks of one process: ``functions FD SOCKET FUNCTION``."""
    S3 = "sagemaker"
    """One run in a training job, connected through S3: ``sagemaker /opt/ml``."""
    LOGS = "logs"
    """One run in a training job without a network: ``logs /opt/ml``."""
    WORKER = "worker"
    """Run after run on an instance of a long training job: ``worker /opt/ml``."""
    REMOTE = "remote"
    """The experiments of a tuning job: ``remote /opt/ml``."""


CONFIG_PARAMETER = "tunewright_config"
"""Hyperparameter of the whole configuration: JSON, or the S3 address of it."""
RUN_VARIABLE = "TUNEWRIGHT_RUN"
"""Environment variable of a job's run: JSON."""
S3_VARIABLE = "TUNEWRIGHT_S3"
"""Environment variable of the experiment's S3 prefix: ``s3://bucket/prefix/``."""
S3_OWNER_VARIABLE = "TUNEWRIGHT_S3_OWNER"
"""Environment variable of the account that must own that bucket; absent: any account."""
WORKER_VARIABLE = "TUNEWRIGHT_WORKER"
"""Environment variable of a worker's parameters: JSON, see :class:`~tunewright.runner.worker.WorkerFacts`."""

LOADING = "tunewright_loading"
"""Entry of ``sys.modules`` while a trial loads the file of its function; its ``StopLoading`` ends that, see `stop_loading`."""

JOB_FILE = "job.json"
"""File of the code channel with the settings that all runs of an experiment share."""
SOURCE = "source"
"""Folder of the code channel that holds the user's script."""
CHECKPOINT_CHANNEL = "tunewright-checkpoint"
"""Input channel of the checkpoint that an isolated run begins with."""
CONFIG_CHANNEL = "tunewright-config"
"""Input channel of a configuration that is too long for a hyperparameter of an isolated job."""

CHECKPOINT_DIR_VARIABLE = "TUNEWRIGHT_CHECKPOINT_DIR"
RESUME_FROM_VARIABLE = "TUNEWRIGHT_RESUME_FROM"
RESOURCE_ATTR_VARIABLE = "TUNEWRIGHT_RESOURCE_ATTR"
METRIC_VARIABLE = "TUNEWRIGHT_METRIC"
TRIAL_VARIABLE = "TUNEWRIGHT_TRIAL"
UNTIL_VARIABLE = "TUNEWRIGHT_UNTIL"
PRICE_VARIABLE = "TUNEWRIGHT_DOLLARS_PER_HOUR"
"""Environment variables of the user's script; ``tunewright/report.py`` travels alone and defines the same names."""


def stop_loading() -> None:
    """End the loading of a file, if this process is a trial that loads the file of its function.

    What begins experiments calls it: a file that does so at its top level begins none in the trials of its own function.
    """
    loading = sys.modules.get(LOADING)
    if loading is not None:
        raise loading.StopLoading
