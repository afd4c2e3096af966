"""Workers mode: a few long training jobs whose instances take run after run over S3."""

from __future__ import annotations

from tunewright.backends.sagemaker.workers.backend import WorkersBackend
from tunewright.backends.sagemaker.workers.settings import WorkerSettings
from tunewright.backends.sagemaker.workers.sizing import Fleet, plan_fleet

__all__ = ["Fleet", "WorkerSettings", "WorkersBackend", "plan_fleet"]
