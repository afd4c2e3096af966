"""From a job of workers to its CreateTrainingJob request: a run's request with another order to the runner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

from tunewright.aws import Endpoint
from tunewright.backends.sagemaker.deployment import TrainingScript, dollars_per_hour, planned_deployment
from tunewright.backends.sagemaker.requests import (
    CODE_FOLDER,
    Deployment,
    JobOrder,
    JobRequest,
    build_request,
)
from tunewright.backends.sagemaker.settings import SPOT_WAIT_SECONDS, SageMakerSettings
from tunewright.backends.sagemaker.workers.settings import WorkerSettings
from tunewright.backends.sagemaker.workers.sizing import plan_fleet
from tunewright.runner.job_order import RUN_VARIABLE
from tunewright.runner.worker import WORKER_VARIABLE
from tunewright.trial import Run


def of_workers(deployment: Deployment) -> Deployment:
    """The deployment with names of its own for jobs of workers."""
    return replace(deployment, job_prefix=f"{deployment.job_prefix}-w")


def dry_run_workers(
    script: TrainingScript,
    *,
    experiment: str,
    endpoint: Endpoint,
    settings: SageMakerSettings,
    workers: WorkerSettings,
) -> Mapping[str, Any]:
    """The CreateTrainingJob request of the first job of workers; nothing is created or started.

    Raises
    ------
    BackendError
        Credentials or role are missing.
    SettingsError
        There is no such script.
    """
    deployment = planned_deployment(script, experiment=experiment, endpoint=endpoint, settings=settings)
    fleet = plan_fleet(settings.n_workers, settings.instance_type, workers.trials_per_instance)
    order = worker_order(0, fleet.job_size, dollars_per_hour({}, settings) or 0.0)
    return WorkerRequests(workers, fleet.slots, endpoint)(order, of_workers(deployment), settings).fields


def worker_order(number: int, instances: int, dollars_per_hour: float) -> JobOrder:
    """The order of a job of workers; its number and instances are in its name.

    Parameters
    ----------
    number
        Among the experiment's jobs, from 0.
    instances
        Of the job.
    dollars_per_hour
        Of one instance.
    """
    return JobOrder(
        run=Run(trial_id=number, attempt=instances),
        config={"instance_count": instances},
        dollars_per_hour=dollars_per_hour * instances,
    )


@final
class WorkerRequests:
    """Builds the requests of an experiment's jobs of workers.

    Parameters
    ----------
    settings
        Of the workers.
    slots
        Runs at the same time on each instance.
    endpoint
        Whose seconds count.
    """

    def __init__(self, settings: WorkerSettings, slots: int, endpoint: Endpoint) -> None:
        self._settings = settings
        self._slots = slots
        self.lease = endpoint.seconds(settings.lease_seconds, at_least=settings.shortest_lease)
        """Real seconds of a lease."""

    def __call__(self, order: JobOrder, deployment: Deployment, settings: SageMakerSettings) -> JobRequest:
        """The request of a job.

        Raises
        ------
        SettingsError
            The environment has a value that the service does not take.
        """
        request = build_request(order, deployment, replace(settings, until_as_max_resource=False))
        fields = dict(request.fields)
        environment = {name: text for name, text in fields["Environment"].items() if name != RUN_VARIABLE}
        environment[WORKER_VARIABLE] = json.dumps(self._facts(order, settings), separators=(",", ":"))
        fields["Environment"] = environment
        arguments = [f"{CODE_FOLDER}/runner.pyz", "worker", "/opt/ml"]
        fields["AlgorithmSpecification"] = {
            **fields["AlgorithmSpecification"],
            "ContainerArguments": arguments,
        }
        limits = {**fields["StoppingCondition"], "MaxRuntimeInSeconds": self._settings.job_seconds}
        if settings.spot:
            longest = self._settings.job_seconds + SPOT_WAIT_SECONDS
            limits["MaxWaitTimeInSeconds"] = settings.max_wait_seconds or longest
        fields["StoppingCondition"] = limits
        return replace(request, fields=fields)

    def _facts(self, order: JobOrder, settings: SageMakerSettings) -> dict[str, Any]:
        """What :class:`~tunewright.runner.worker.WorkerFacts` holds."""
        return {
            "number": order.run.trial_id,
            "slots": self._slots,
            "lease_seconds": self.lease,
            "take_seconds": self._settings.take_seconds,
            "hand_over_seconds": self._settings.hand_over_seconds,
            "abandon_seconds": self._settings.abandon_seconds,
            "max_run_seconds": settings.max_run_seconds,
        }
