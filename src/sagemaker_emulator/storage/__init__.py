"""S3, CloudWatch Logs, STS and IAM of the emulator: moto in this process, its objects mirrored in a folder."""

from __future__ import annotations

from sagemaker_emulator.storage.services import AwsServices

__all__ = ["AwsServices"]
