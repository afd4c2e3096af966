"""The SageMaker backend: each run is a training job, its reports come back through S3."""

from __future__ import annotations

from tunewright.backends.sagemaker.backend import SageMakerBackend
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.deployment import Estimate, dry_run, estimate
from tunewright.backends.sagemaker.sdk import SdkJob, from_estimator, from_model_trainer
from tunewright.backends.sagemaker.settings import JobSettings

__all__ = [
    "Estimate",
    "JobSettings",
    "SageMakerBackend",
    "SageMakerConfig",
    "SdkJob",
    "dry_run",
    "estimate",
    "from_estimator",
    "from_model_trainer",
]
