"""Queued runs become training jobs, as fast as the service takes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, final

from tunewright.aws import Endpoint, S3Objects, ServiceError
from tunewright.backends.sagemaker.accounts import Accounts
from tunewright.backends.sagemaker.flight import Flight
from tunewright.backends.sagemaker.instances import FULL_SECONDS, InstanceTypes
from tunewright.backends.sagemaker.requests import (
    Deployment,
    JobOrder,
    JobRequest,
    build_request,
    chooses_type,
)
from tunewright.backends.sagemaker.service import CreateOutcome, JobService
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.exceptions import BackendError

UNKNOWN_SECONDS: Final = 5.0
"""Service seconds until a request without an answer is sent again."""


@final
class Creator:
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
        accounts: Accounts,
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

    def next_for(self, flights: Iterable[Flight]) -> float:
        """Monotonic second from which one of the queued runs may have its job."""
        opened = (self.types.opens_for(flight.order) for flight in flights if not flight.is_created)
        return max(self._any_at, min(opened, default=0.0))

    def next_queued(self, flights: Iterable[Flight]) -> Flight | None:
        """The first queued run, if its job may be created now."""
        ready_at, now = self._any_at, time.monotonic()
        if ready_at > now:
            return None
        queued = (flight for flight in flights if not flight.is_created)
        return next((flight for flight in queued if self.types.opens_for(flight.order) <= now), None)

    def create(self, flight: Flight) -> str:
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
