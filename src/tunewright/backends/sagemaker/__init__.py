"""The SageMaker backend: each run is a training job, its reports come back through S3."""

from __future__ import annotations

from tunewright.backends.sagemaker.backend import SageMakerBackend
from tunewright.backends.sagemaker.deployment import Estimate, TrainingScript, dry_run, estimate
from tunewright.backends.sagemaker.settings import SageMakerSettings

__all__ = ["Estimate", "SageMakerBackend", "SageMakerSettings", "TrainingScript", "dry_run", "estimate"]
