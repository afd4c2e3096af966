"""Queued runs become training jobs, as fast as the service takes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, final

from tunewright.aws import Endpoint, S3Objects
from tunewright.backends.sagemaker.accounts import Accounts
from tunewright.backends.sagemaker.flight import Flight
from tunewright.backends.sagemaker.requests import Deployment, JobOrder, JobRequest, build_request
from tunewright.backends.sagemaker.service import CreateOutcome, JobService
from tunewright.backends.sagemaker.settings import SageMakerSettings

FULL_SECONDS: Final = 30.0
"""Service seconds until the next request after the service had no room."""
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
        """Monotonic second from which a job may be created."""
        return max(self._closed_until, time.monotonic() + self._service.create_delay())

    def next_queued(self, flights: Iterable[Flight]) -> Flight | None:
        """The first queued run, if its job may be created now."""
        if self.next_at > time.monotonic():
            return None
        return next((flight for flight in flights if not flight.is_created), None)

    def create(self, flight: Flight) -> str:
        """Create the run's job, or adopt it.

        Returns
        -------
        str
            Why the service will never take it; empty otherwise, also when it has to wait.

        Raises
        ------
        ServiceError
            The configuration cannot be stored.
        BackendError
            No job can be created, whatever the run.
        """
        request = self._build(flight.order, self._deployment, self._settings)
        if request.config_key:
            self._objects.put(request.config_key, request.config_body)
        began = time.time()
        was_uncertain, flight.is_uncertain = flight.is_uncertain, True
        outcome, text = self._service.create(request)
        self.why = text
        if outcome is CreateOutcome.REFUSED:
            return text
        if outcome is CreateOutcome.RUNNING:
            flight.is_created = True
            flight.created = flight.billed_from = began
            self._accounts.owns(flight)
            return ""
        self._accounts.notify(text)
        flight.is_uncertain = was_uncertain or outcome is CreateOutcome.UNKNOWN
        pause = UNKNOWN_SECONDS if outcome is CreateOutcome.UNKNOWN else FULL_SECONDS
        self._closed_until = time.monotonic() + self._endpoint.seconds(
            pause, at_least=self._settings.min_interval
        )
        return ""
