"""The jobs whose instances are the workers: how many, their requests, and their life."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

from tunewright.aws import AwsSession, Endpoint, S3Objects, gpus_of
from tunewright.aws.session import SERVICE_RATES
from tunewright.backends.sagemaker.costs import CostTracker
from tunewright.backends.sagemaker.deployment import TrainingScript, dollars_per_hour, planned_deployment
from tunewright.backends.sagemaker.event_queue import STATUS_SECONDS, tolerate
from tunewright.backends.sagemaker.job_service import (
    JobService,
    JobStatus,
    is_capacity_failure,
    is_service_failure,
)
from tunewright.backends.sagemaker.jobs import JobCreator
from tunewright.backends.sagemaker.requests import (
    CODE_FOLDER,
    Deployment,
    JobName,
    JobOrder,
    JobRequest,
    build_request,
)
from tunewright.backends.sagemaker.settings import SPOT_WAIT_SECONDS, SageMakerSettings, WorkerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.exceptions import BackendError
from tunewright.runner import s3_keys
from tunewright.runner.contract import RUN_VARIABLE, WORKER_VARIABLE, Mode
from tunewright.runner.worker import DRAIN
from tunewright.trial import Run

MAX_INSTANCES: Final = 20
"""Instances of one training job (default quota L-622CFD70)."""
MIN_JOBS: Final = 2
"""Jobs where there are several instances: one dead instance fails its whole job."""
COLD_STARTUP_SECONDS: Final = 169.0
"""From CreateTrainingJob to the script's start, as it was measured on AWS."""
WARM_STARTUP_SECONDS: Final = 20.0
"""The same on instances that are kept warm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What a number of workers comes to."""

    slots: int
    """Runs at the same time on each instance."""
    instances: int
    jobs: int

    @property
    def job_size(self) -> int:
        """Instances of the largest job."""
        return math.ceil(self.instances / self.jobs)


def plan_fleet(n_workers: int, instance_type: str, trials_per_instance: int | None) -> FleetPlan:
    """The instances and jobs of so many workers.

    Parameters
    ----------
    n_workers
        Runs at the same time.
    instance_type
        Such as ``ml.c5.xlarge``.
    trials_per_instance
        None: one per GPU, and one where there is none.
    """
    slots = trials_per_instance or gpus_of(instance_type) or 1
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
        arguments = [f"{CODE_FOLDER}/runner.pyz", Mode.WORKER.value, "/opt/ml"]
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


_LEAD_SECONDS: Final = 300.0
"""Service seconds before a job takes no more runs at which the one that follows it is created."""
_MAX_FAILURES: Final = 3
"""Jobs that may fail one after the other, without a run that ended, for a reason of their own."""
_WITHOUT_INSTANCES: Final = frozenset({"Starting", "Pending", ""})


@final
class WorkerFleet:
    """Creates, watches and drains the jobs of workers.

    A job is kept as a :class:`TrackedRun` whose trial is the job's number and whose attempt its number of instances.

    Parameters
    ----------
    session
        Whose seconds count.
    objects
        The objects under the experiment's prefix.
    service
        The experiment's jobs of workers.
    creator
        Creates them.
    accounts
        Counts them.
    plan
        What the number of workers comes to.
    settings
        Of the workers, and of all jobs.
    """

    def __init__(
        self,
        session: AwsSession,
        objects: S3Objects,
        service: JobService,
        creator: JobCreator,
        accounts: CostTracker,
        plan: FleetPlan,
        settings: tuple[WorkerSettings, SageMakerSettings],
    ) -> None:
        self._session = session
        self._objects = objects
        self._service = service
        self._creator = creator
        self._accounts = accounts
        self._plan = plan
        self._settings, self._jobs_settings = settings
        self._jobs: dict[int, TrackedRun] = {}
        self._trains_since: dict[int, float] = {}
        """Monotonic second at which a job was first seen with its instances."""
        self._draining: set[int] = set()
        self._n_created = 0
        self._size = plan.job_size
        self._spare_since: float | None = None
        self._statuses_at = 0.0
        self._n_failures = 0
        self.dollars_per_hour = 0.0
        """Of one instance."""

    @property
    def jobs(self) -> list[TrackedRun]:
        """Jobs that are not over."""
        return list(self._jobs.values())

    @property
    def next_at(self) -> float:
        """Monotonic second of the next thing to do."""
        return self._statuses_at

    def adopt(self, statuses: Mapping[JobName, JobStatus]) -> None:
        """Take over the jobs of earlier sessions.

        Raises
        ------
        ServiceError
            S3 does not say which of them are to end.
        """
        self._n_created = max((name.trial_id + 1 for name in statuses), default=0)
        wished = {stored.key for stored in self._objects.list(s3_keys.worker_control_prefix())}
        for name, status in statuses.items():
            if not status.is_terminal:
                job = self._make(name.trial_id, name.attempt)
                job.is_created = job.is_attached = True
                job.update(status)
                self._jobs[name.trial_id] = job
                self._accounts.owns(job)
                if s3_keys.worker_control(name.trial_id) in wished:
                    self._draining.add(name.trial_id)

    def step(self, n_wanted: int) -> set[str]:
        """Look at the jobs if it is time, and create or drain where the number of wanted workers asks for it.

        Parameters
        ----------
        n_wanted
            Runs that need a worker now.

        Returns
        -------
        set of str
            Names of jobs that were found to be over: whatever they had is lost.

        Raises
        ------
        BackendError
            No job can be created, or they fail one after the other.
        """
        lost: set[str] = set()
        if self._jobs and time.monotonic() >= self._statuses_at:
            self._statuses_at = time.monotonic() + self._pause(STATUS_SECONDS)
            tolerate(lambda: lost.update(self._read_statuses()), self._session, self._accounts)
        self._create_missing(n_wanted)
        self._drain_spare(n_wanted)
        return lost

    def run_ended(self) -> None:
        """A run came to its end on a worker: the jobs are sound."""
        self._n_failures = 0

    def drain_all(self) -> None:
        """Ask all jobs to end once their runs are over; jobs that may exist are asked too."""
        for number, job in list(self._jobs.items()):
            if job.is_created or job.is_uncertain:
                tolerate(lambda number=number: self._drain(number), self._session, self._accounts)
            else:
                del self._jobs[number]

    def stop_all(self) -> None:
        """End by force what does not end."""
        for job in self.jobs:
            if job.is_created and not job.is_stop_sent:
                job.is_stop_sent = True
                tolerate(lambda job=job: self._service.stop(job.name), self._session, self._accounts)

    def _make(self, number: int, instances: int) -> TrackedRun:
        order = worker_order(number, instances, self.dollars_per_hour)
        return TrackedRun(order=order, speed=self._session.endpoint.speed)

    def _read_statuses(self) -> set[str]:
        created = [job for job in self.jobs if job.is_created]
        if not created:
            return set()
        statuses = self._service.list_jobs(
            wanted=[job.name for job in created], since=min(job.created for job in created)
        )
        self._accounts.update(statuses)
        lost: set[str] = set()
        for job in created:
            if job.name in statuses:
                self._update(job, statuses[job.name])
                if job.is_over:
                    lost.add(self._service.name(job.name))
                    self._end(job)
        return lost

    def _update(self, job: TrackedRun, status: JobStatus) -> None:
        job.update(status)
        number = job.order.run.trial_id
        if status.secondary not in _WITHOUT_INSTANCES:
            since = self._trains_since.setdefault(number, time.monotonic())
            job.trained = (time.monotonic() - since) * job.order.dollars_per_hour / 3600

    def _end(self, job: TrackedRun) -> None:
        number = job.order.run.trial_id
        del self._jobs[number]
        self._accounts.over(job)
        if number in self._draining or job.status is None or job.status.status == "Completed":
            return
        reason = self._service.failure_reason(job.name)
        if is_capacity_failure(reason):
            self._creator.types.lacks(job.order)
            return
        self._accounts.notify(
            f"A job of workers ended ({job.status.secondary or job.status.status}: {reason or 'no reason given'}): "
            "its runs go on elsewhere"
        )
        if job.status.status == "Failed" and not is_service_failure(reason):
            self._n_failures += 1
            if self._n_failures >= _MAX_FAILURES:
                raise BackendError(
                    f"{self._n_failures} jobs of workers failed one after the other: {reason or 'see their logs'}"
                )

    def _create_missing(self, n_wanted: int) -> None:
        while self._creator.next_at <= time.monotonic():
            job = next((job for job in self.jobs if not job.is_created), None)
            if job is None:
                instances = self._missing_instances(n_wanted)
                if not instances:
                    return
                job = self._make(self._n_created, instances)
                self._jobs[self._n_created] = job
                self._n_created += 1
            tolerate(lambda job=job: self._create(job), self._session, self._accounts)
            self._statuses_at = min(self._statuses_at, time.monotonic() + self._pause(STATUS_SECONDS))

    def _create(self, job: TrackedRun) -> None:
        refusal = self._creator.create(job)
        if refusal:
            raise BackendError(refusal)
        if not job.is_created and not job.is_uncertain:
            del self._jobs[job.order.run.trial_id]
            if "limit" in self._creator.why:  # less may fit
                self._size = max(1, job.order.run.attempt // 2)

    def _missing_instances(self, n_wanted: int) -> int:
        """Instances of the next job; 0 where there are enough."""
        serving = sum(job.order.run.attempt for job in self.jobs if self._serves(job))
        wanted = -(-n_wanted // self._plan.slots)
        if wanted <= serving:
            return 0
        return max(0, min(self._size, self._plan.instances - serving))

    def _serves(self, job: TrackedRun) -> bool:
        """Whether a job takes runs, and will for a while."""
        number = job.order.run.trial_id
        if number in self._draining:
            return False
        lead = self._session.endpoint.seconds(_LEAD_SECONDS)
        return self._age(job) < self._settings.take_seconds - lead

    def _age(self, job: TrackedRun) -> float:
        """Real seconds since its workers began; never less, where an earlier session saw that."""
        if job.is_attached:
            return time.time() - job.created
        since = self._trains_since.get(job.order.run.trial_id)
        return 0.0 if since is None else time.monotonic() - since

    def _drain_spare(self, n_wanted: int) -> None:
        """End a job that could be spared for a while."""
        serving = [job for job in self.jobs if self._serves(job) and job.is_created]
        capacity = sum(job.order.run.attempt for job in serving) * self._plan.slots
        smallest = min(serving, key=lambda job: job.order.run.attempt, default=None)
        if smallest is None or capacity - smallest.order.run.attempt * self._plan.slots < n_wanted:
            self._spare_since = None
            return
        now = time.monotonic()
        self._spare_since = self._spare_since or now
        patience = self._session.endpoint.seconds(
            self._settings.idle_seconds, at_least=self._settings.shortest_idle
        )
        if now - self._spare_since > patience:
            self._spare_since = None
            number = smallest.order.run.trial_id
            tolerate(lambda: self._drain(number), self._session, self._accounts)

    def _drain(self, number: int) -> None:
        if number not in self._draining:
            self._objects.put(s3_keys.worker_control(number), DRAIN.encode("ascii"))
            self._draining.add(number)

    def _pause(self, service_seconds: float) -> float:
        return self._session.endpoint.seconds(service_seconds, at_least=self._jobs_settings.min_interval)
