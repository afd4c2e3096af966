"""Queued runs become training jobs: CreateTrainingJob, as fast as the service allows, on the instance type that has room."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Final, final

from tunewright.aws import Endpoint, S3Objects, ServiceError
from tunewright.backends.sagemaker.costs import CostTracker
from tunewright.backends.sagemaker.deployment import dollars_per_hour
from tunewright.backends.sagemaker.job_service import CreateOutcome, JobService
from tunewright.backends.sagemaker.requests import (
    Deployment,
    JobOrder,
    JobRequest,
    build_request,
    chooses_type,
    instance_of,
)
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.exceptions import BackendError

CAPACITY_SECONDS: Final = 30.0
"""Service seconds for which a type is left alone after the first CapacityError; they double with each further one."""
LONGEST_SECONDS: Final = 960.0
"""The longest that they become."""
FULL_SECONDS: Final = 30.0
"""Service seconds for which a type is left alone after the account's limit was reached."""


@final
class InstanceTypes:
    """Remembers which types lacked capacity, and for how long they are left alone.

    A job takes the type of an instance that is kept warm and idle where there is one, else the first listed type that
    is not left alone. A type that the configuration chooses is never exchanged; its runs wait.

    Parameters
    ----------
    settings
        The listed types.
    endpoint
        Whose seconds count.
    notify
        Takes a line for the user.
    idle_types
        The types of the warm instances that wait for a job.
    """

    def __init__(
        self,
        settings: SageMakerSettings,
        endpoint: Endpoint,
        notify: Callable[[str], None],
        idle_types: Callable[[], Collection[str]],
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._notify = notify
        self._idle_types = idle_types
        self._types = list(settings.types)
        self._closed_until: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        """Service seconds of the next pause after a lack of capacity."""

    @property
    def opens_at(self) -> float:
        """Monotonic second from which a job without a type of its own may be created."""
        return min(self._closed_until.get(one, 0.0) for one in self._types)

    def opens_for(self, order: JobOrder) -> float:
        """Monotonic second from which a job of the order may be created."""
        if chooses_type(order.config):
            return self._closed_until.get(self.type_of(order), 0.0)
        return self.opens_at

    def type_of(self, order: JobOrder) -> str:
        """The type that an order has."""
        return order.instance_type or instance_of(order.config, self._settings)[0]

    def assign(self, order: JobOrder) -> JobOrder:
        """The order with the type that is best now, and its price."""
        if len(self._settings.types) == 1 or chooses_type(order.config):
            return order
        now = time.monotonic()
        is_open = [one for one in self._types if self._closed_until.get(one, 0.0) <= now] or self._types
        idle = self._idle_types()
        chosen = next((one for one in is_open if one in idle), is_open[0])
        price = dollars_per_hour(order.config, self._settings.on(chosen))
        return replace(order, instance_type=chosen, dollars_per_hour=price or 0.0)

    def lacks(self, order: JobOrder) -> None:
        """A job of the order failed for want of capacity: leave its type alone for a while, longer each time."""
        lacking = self.type_of(order)
        pause = self._pauses.get(lacking, CAPACITY_SECONDS)
        self._pauses[lacking] = min(2 * pause, LONGEST_SECONDS)
        self._close(lacking, pause)
        self._say(f"SageMaker has no capacity for {lacking}", order, lacking)

    def is_full(self, order: JobOrder) -> None:
        """The account's limit for the order's type is reached: leave it alone for a moment."""
        full = self.type_of(order)
        self._close(full, FULL_SECONDS)
        if not chooses_type(order.config) and len(self._types) > 1:
            self._say(f"the account's limit for {full} is reached", order, full)

    def works(self, order: JobOrder) -> None:
        """A job of the order got its instances."""
        self._pauses.pop(self.type_of(order), None)

    def drop(self, order: JobOrder, why: str) -> bool:
        """Never take the order's type again; whether there is another one for it."""
        dropped = self.type_of(order)
        if chooses_type(order.config) or self._types == [dropped]:
            return False
        self._types = [one for one in self._types if one != dropped]
        self._notify(f"{why}: it is left out, and jobs take {' or '.join(self._types)}")
        return True

    def _close(self, instance_type: str, service_seconds: float) -> None:
        pause = self._endpoint.seconds(service_seconds, at_least=self._settings.min_interval)
        self._closed_until[instance_type] = time.monotonic() + pause

    def _say(self, what: str, order: JobOrder, lacking: str) -> None:
        others = [one for one in self._types if self._closed_until.get(one, 0.0) <= time.monotonic()]
        if chooses_type(order.config) or lacking in others or not others:
            listed = ""
            if len(self._types) == 1 and not chooses_type(order.config):
                listed = ". List several types, as in --instance_type A,B, and the next one is taken"
            self._notify(f"{what}: waiting, then trying again{listed}")
        else:
            self._notify(f"{what}: for a while new jobs take {others[0]}")


UNKNOWN_SECONDS: Final = 5.0
"""Service seconds until a request without an answer is sent again."""


@final
class JobCreator:
    """Sends CreateTrainingJob.

    Parameters
    ----------
    service, objects
        The experiment's jobs and S3 objects.
    deployment, settings
        What the requests are made of.
    endpoint
        Whose seconds count.
    accounts
        Counts jobs and takes notices.
    build
        From an order to a request.
    """

    def __init__(
        self,
        service: JobService,
        objects: S3Objects,
        deployment: Deployment,
        settings: SageMakerSettings,
        endpoint: Endpoint,
        accounts: CostTracker,
        build: Callable[[JobOrder, Deployment, SageMakerSettings], JobRequest] = build_request,
    ) -> None:
        self.types: Final = InstanceTypes(settings, endpoint, accounts.notify, accounts.idle_types)
        """Which instance type the next job gets."""
        self.why = ""
        """Why the last job was not created; empty where it was."""
        self._build = build
        self._service = service
        self._objects = objects
        self._deployment = deployment
        self._settings = settings
        self._endpoint = endpoint
        self._accounts = accounts
        self._closed_until = 0.0

    @property
    def next_at(self) -> float:
        """Monotonic second from which a job of the settings' types may be created."""
        return max(self._any_at, self.types.opens_at)

    @property
    def _any_at(self) -> float:
        return max(self._closed_until, time.monotonic() + self._service.create_delay())

    def next_for(self, flights: Iterable[TrackedRun]) -> float:
        """Monotonic second from which one of the queued runs may have its job."""
        opened = (self.types.opens_for(flight.order) for flight in flights if not flight.is_created)
        return max(self._any_at, min(opened, default=0.0))

    def next_queued(self, flights: Iterable[TrackedRun]) -> TrackedRun | None:
        """The first queued run, if its job may be created now."""
        ready_at, now = self._any_at, time.monotonic()
        if ready_at > now:
            return None
        queued = (flight for flight in flights if not flight.is_created)
        return next((flight for flight in queued if self.types.opens_for(flight.order) <= now), None)

    def create(self, flight: TrackedRun) -> str:
        """Create the run's job, or adopt it.

        Returns
        -------
        str
            Why the service will never take it; empty otherwise, also when it has to wait.

        Raises
        ------
        ServiceError
            The configuration cannot be stored, or the checkpoint not be looked for: no job is created for a while.
        BackendError
            No job can be created, whatever the run.
        """
        if not flight.is_uncertain:
            flight.order = self.types.assign(flight.order)
        try:
            request = self._prepare(flight.order)
        except ServiceError:
            self._pause(UNKNOWN_SECONDS)
            raise
        if request.refusal:
            return request.refusal
        began = time.time()
        was_uncertain, flight.is_uncertain = flight.is_uncertain, True
        outcome, text = self._service.create(request)
        self.why = text
        if outcome is CreateOutcome.REFUSED:
            flight.is_uncertain = was_uncertain
            return text
        if outcome is CreateOutcome.NEVER:
            flight.is_uncertain = was_uncertain
            return self._drop(flight.order, text)
        if outcome is CreateOutcome.RUNNING:
            flight.is_created = True
            flight.created = flight.billed_from = began
            self._accounts.owns(flight)
            return ""
        self._accounts.notify(text)
        flight.is_uncertain = was_uncertain or outcome is CreateOutcome.UNKNOWN
        if outcome is CreateOutcome.FULL:
            self.types.is_full(flight.order)
            return ""
        self._pause(UNKNOWN_SECONDS if outcome is CreateOutcome.UNKNOWN else FULL_SECONDS)
        return ""

    def _prepare(self, order: JobOrder) -> JobRequest:
        """The request of a job, whose configuration is stored where it is too long for one."""
        request = self._build(order, self._deployment, self._settings)
        if request.config_key and not request.refusal:
            self._objects.put(request.config_key, request.config_body)
        return request

    def _pause(self, service_seconds: float) -> None:
        """Create no job for a while."""
        pause = self._endpoint.seconds(service_seconds, at_least=self._settings.min_interval)
        self._closed_until = time.monotonic() + pause

    def _drop(self, order: JobOrder, why: str) -> str:
        """Do without the order's instance type for good.

        Returns
        -------
        str
            Why this run fails; empty where it takes another type.

        Raises
        ------
        BackendError
            There is no other, and it was not the configuration that chose it.
        """
        if self.types.drop(order, why):
            return ""
        if chooses_type(order.config):
            return why
        raise BackendError(f"{why}. Correct it, then resume")
