"""S3, CloudWatch Logs, STS and IAM of the emulator: moto in this process, with its objects mirrored in a folder."""

from __future__ import annotations

from sagemaker_emulator.storage.application import EXECUTION_ROLE_ARN, AwsServices
from sagemaker_emulator.storage.logs import TRAINING_LOG_GROUP, LogStore
from sagemaker_emulator.storage.mirror import ObjectInfo, write_atomically
from sagemaker_emulator.storage.objects import ACCOUNT_ID, NoSuchObjectError, ObjectStore
from sagemaker_emulator.storage.permissions import Permissions, RoleObjects

__all__ = [
    "ACCOUNT_ID",
    "EXECUTION_ROLE_ARN",
    "TRAINING_LOG_GROUP",
    "AwsServices",
    "LogStore",
    "NoSuchObjectError",
    "ObjectInfo",
    "ObjectStore",
    "Permissions",
    "RoleObjects",
    "write_atomically",
]
