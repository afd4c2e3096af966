"""Clearing: training jobs and warm pools that experiments have left behind are ended from outside."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.aws import AwsSession
from tunewright.backends.sagemaker.names import job_prefix
from tunewright.backends.sagemaker.service import JobService, PoolStatus


def clear_experiments(session: AwsSession, experiments: Sequence[str]) -> tuple[int, int]:
    """Stop the running jobs of experiments and release their warm pools.

    A job that is being stopped may still become a pool: that one ends by itself when its time is over, or with the
    next call.

    Returns
    -------
    (int, int)
        Jobs stopped and pools released.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    n_jobs = n_pools = 0
    for experiment in experiments:
        service = JobService(session, job_prefix(experiment))
        for run, status in service.list_jobs().items():
            if not status.is_terminal:
                service.end_pool(run)
                service.stop(run)
                n_jobs += 1
            elif status.pool is PoolStatus.AVAILABLE:
                service.end_pool(run)
                n_pools += 1
    return n_jobs, n_pools
