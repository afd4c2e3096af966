"""The plugin of the SageMaker backend: above jobs and workers, between which it chooses."""

from __future__ import annotations

from tunewright.backends.sagemaker.plugin.execution import choose_execution, training_seconds
from tunewright.backends.sagemaker.plugin.plugin import (
    PLUGIN,
    SageMakerPlugin,
    describe_jobs,
    endpoint_of,
    shared_packages,
)

__all__ = [
    "PLUGIN",
    "SageMakerPlugin",
    "choose_execution",
    "describe_jobs",
    "endpoint_of",
    "shared_packages",
    "training_seconds",
]
