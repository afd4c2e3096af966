"""Names and terms that the runner shares with its callers: modes, environment variables, files, channels, requests to a bucket."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


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
    FOLDER = "folder"
    """One run in a job that shares a folder with the tuner: ``folder RUN ABANDON CHECKPOINT SILENT``."""
    FOLDER_WORKER = "folder_worker"
    """Run after run in a job that shares a folder with the tuner: ``folder_worker FOLDER``."""
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
S3_KMS_VARIABLE = "TUNEWRIGHT_S3_KMS"
"""Environment variable of the KMS key of all objects there; absent: the bucket's own encryption."""
WORKER_VARIABLE = "TUNEWRIGHT_WORKER"
"""Environment variable of a worker's parameters: JSON, see :class:`~tunewright.runner.worker.WorkerFacts`."""
CODE_VARIABLE = "TUNEWRIGHT_CODE"
"""Environment variable of the SHA-256 of the code channel, see :func:`~tunewright.runner.training_job.code_digest`."""

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


_OWNER = "ExpectedBucketOwner"
_KEY = "SSEKMSKeyId"


@dataclass(frozen=True)
class BucketTerms:
    """Terms on which a bucket is used."""

    owner: str = ""
    """Account that must own it, 12 digits: S3 refuses each request (403) if another does. Empty: any account."""
    kms_key: str = ""
    """Key that encrypts each object (SSE-KMS): id, ARN or alias. Empty: the bucket's default encryption."""

    @staticmethod
    def of_environment() -> BucketTerms:
        """The terms that a job got by :meth:`to_environment`."""
        owner, kms_key = os.environ.get(S3_OWNER_VARIABLE, ""), os.environ.get(S3_KMS_VARIABLE, "")
        return BucketTerms(owner, kms_key)

    def to_environment(self) -> dict[str, str]:
        """Environment variables of a job that uses the bucket on these terms."""
        variables = {S3_OWNER_VARIABLE: self.owner, S3_KMS_VARIABLE: self.kms_key}
        return {name: value for name, value in variables.items() if value}


def apply_terms(client: Any, terms_of: Callable[[str], BucketTerms]) -> None:
    """Let all later requests of a client carry the terms of their bucket.

    The name of a default bucket can be guessed, and names are global: without the owner, code, results and the programs of
    jobs would go through the bucket of whoever took the name first.

    Parameters
    ----------
    client
        A boto3 client of S3. A request with an empty ``ExpectedBucketOwner`` is sent without one.
    terms_of
        The terms of a bucket, by its name.
    """

    def add(params: dict[str, Any], model: Any, **_: Any) -> None:
        known: Mapping[str, Any] = model.input_shape.members if model.input_shape else {}
        terms = terms_of(str(params.get("Bucket", "")))
        if _OWNER in known and not params.setdefault(_OWNER, terms.owner):
            del params[_OWNER]
        if terms.kms_key and _KEY in known:
            fields = {_KEY: terms.kms_key, "ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True}
            params.update({name: value for name, value in fields.items() if name in known})

    client.meta.events.register("before-parameter-build.s3", add)


def stop_loading() -> None:
    """End the loading of a file, if this process is a trial that loads the file of its function.

    What begins experiments calls it: a file that does so at its top level begins none in the trials of its own function.
    """
    loading = sys.modules.get(LOADING)
    if loading is not None:
        raise loading.StopLoading
