"""The AWS services other than SageMaker, for HTTP clients and for code in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from moto.iam.models import IAMBackend, iam_backends
from moto.sts.models import sts_backends

from sagemaker_emulator.storage.application import AwsApplication
from sagemaker_emulator.storage.logs import LogStore
from sagemaker_emulator.storage.objects import ACCOUNT_ID, ObjectStore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

EXECUTION_ROLE_NAME: Final = "AmazonSageMaker-ExecutionRole-Emulator"
EXECUTION_ROLE_ARN: Final = f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/{EXECUTION_ROLE_NAME}"
"""Execution role that always exists, for clients that search for one."""

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@final
class AwsServices:
    """S3, Logs, STS and IAM. moto's state is global: a new instance replaces the previous one of this process.

    Attributes
    ----------
    app
        WSGI application for all services other than SageMaker. Thread-safe.
    store
        The objects of S3, without HTTP. Thread-safe.
    logs
        The log streams of training jobs, without HTTP. Thread-safe.

    Parameters
    ----------
    directory
        Folder of the objects of S3 (in ``s3``) and the log streams (in ``logs``); existing ones are loaded.
    region
        Region of the emulator, such as ``us-east-1``.
    log_delay
        Real seconds until a line of a job's output is readable.
    """

    app: WSGIApplication

    def __init__(self, directory: Path, *, region: str, log_delay: float = 0.0) -> None:
        self.directory = directory
        self.region = region
        self.store = ObjectStore(directory / "s3", region=region)
        self.logs = LogStore(directory / "logs", region=region, delay=log_delay)
        self.app = AwsApplication(self.store, self.logs)
        sts_backends[ACCOUNT_ID]["aws"].reset()
        _create_role(iam_backends[ACCOUNT_ID]["aws"])


def _create_role(backend: IAMBackend) -> None:
    backend.reset()
    backend.create_role(
        role_name=EXECUTION_ROLE_NAME,
        assume_role_policy_document=json.dumps(_TRUST),
        path="/service-role/",
        permissions_boundary=None,
        description="Execution role of the emulator's training jobs",
        tags=[],
        max_session_duration="3600",
    )
