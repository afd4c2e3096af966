"""Workers mode: a few long training jobs whose instances take run after run over S3."""

from __future__ import annotations

from tunewright.backends.engine.worker_jobs import FleetPlan
from tunewright.backends.sagemaker.settings import WorkerSettings
from tunewright.backends.sagemaker.workers.backend import WorkersBackend, refuse_what_workers_cannot
from tunewright.backends.sagemaker.workers.sizing import busy_in_jobs_mode, dry_run_workers, plan_fleet

__all__ = [
    "FleetPlan",
    "WorkerSettings",
    "WorkersBackend",
    "busy_in_jobs_mode",
    "dry_run_workers",
    "plan_fleet",
    "refuse_what_workers_cannot",
]
