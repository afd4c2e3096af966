"""Numbers of jobs and instances for a number of workers, and how many workers each mode keeps busy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from tunewright.aws import Endpoint, gpus_of, prices_at
from tunewright.aws.session import SERVICE_RATES
from tunewright.backends.engine.worker_jobs import FleetPlan, WorkerJobOrder
from tunewright.backends.sagemaker.deployment import job_price, planned_deployment
from tunewright.backends.sagemaker.requests import WorkerParameters, build_worker_request, worker_deployment
from tunewright.backends.sagemaker.settings import JobSettings, WorkerSettings
from tunewright.exceptions import SettingsError

MAX_INSTANCES: Final = 20
"""Instances of one training job (default quota L-622CFD70)."""
MIN_JOBS: Final = 2
"""Minimum of jobs for several instances: one dead instance fails its whole job."""
COLD_STARTUP_SECONDS: Final = 169.0
"""From CreateTrainingJob to the script's start, as it was measured on AWS."""
WARM_STARTUP_SECONDS: Final = 20.0
"""The same on instances that are kept warm."""


def plan_fleet(n_workers: int, instance_type: str, trials_per_instance: int | None) -> FleetPlan:
    """The instances and jobs of so many workers.

    Parameters
    ----------
    n_workers
        Runs at the same time.
    instance_type
        Such as ``ml.c5.xlarge``.
    trials_per_instance
        None: one per GPU, and one without GPUs.

    Raises
    ------
    SettingsError
        It is None, and the number of GPUs is unknown.
    """
    gpus = gpus_of(instance_type)
    if trials_per_instance is None and gpus is None:
        raise SettingsError(
            f"The number of GPUs of {instance_type} is not known: give --trials_per_instance, or use --execution jobs"
        )
    slots = trials_per_instance or gpus or 1
    instances = math.ceil(n_workers / slots)
    jobs = max(min(MIN_JOBS, instances), math.ceil(instances / MAX_INSTANCES))
    return FleetPlan(slots=slots, instances=instances, jobs=jobs)


def busy_in_jobs_mode(n_workers: int, run_seconds: float, startup: float) -> float:
    """How many workers jobs mode keeps busy with training, on average.

    Each run needs one CreateTrainingJob, of which the service takes ``rate`` a second, and its worker waits for the
    job's start before it trains: ``min(rate, n_workers / (run_seconds + startup)) * run_seconds``.

    Parameters
    ----------
    n_workers
        Jobs at the same time.
    run_seconds
        Mean seconds of training of a run.
    startup
        Mean seconds from a job's creation to its training.
    """
    per_second = min(SERVICE_RATES["CreateTrainingJob"], n_workers / (run_seconds + startup))
    return per_second * run_seconds


def worker_parameters(workers: WorkerSettings, fleet: FleetPlan, endpoint: Endpoint) -> WorkerParameters:
    """The parameters of an experiment's workers, in real seconds of an endpoint."""
    return WorkerParameters(
        slots=fleet.slots,
        lease_seconds=endpoint.seconds(workers.lease_seconds, at_least=workers.shortest_lease),
        take_seconds=workers.take_seconds,
        hand_over_seconds=workers.hand_over_seconds,
        abandon_seconds=workers.abandon_seconds,
        job_seconds=workers.job_seconds,
    )


def dry_run_workers(
    settings: JobSettings, workers: WorkerSettings, *, experiment: str, endpoint: Endpoint
) -> Mapping[str, Any]:
    """The CreateTrainingJob request of the first job of workers; nothing is created or started.

    Raises
    ------
    BackendError
        Credentials or role are missing.
    SettingsError
        There is no such script.
    """
    deployment = planned_deployment(settings, experiment=experiment, endpoint=endpoint)
    fleet = plan_fleet(
        settings.benchmark.n_workers, settings.instance_type, settings.config.trials_per_instance
    )
    price = job_price({}, settings, prices_at(endpoint))
    dollars = 0.0 if price is None else price.times(fleet.job_size).dollars_per_hour
    order = WorkerJobOrder(number=0, n_instances=fleet.job_size, dollars_per_hour=dollars)
    parameters = worker_parameters(workers, fleet, endpoint)
    return build_worker_request(order, worker_deployment(deployment), settings, parameters).fields
