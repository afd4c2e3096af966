"""Looks at reports and statuses when it is time: one listing each for all runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence
from typing import Final, TypeVar, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.backends.sagemaker.accounts import Accounts
from tunewright.backends.sagemaker.channel import MessageReader
from tunewright.backends.sagemaker.flight import Flight
from tunewright.backends.sagemaker.names import JobName
from tunewright.backends.sagemaker.service import JobService
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.exceptions import BackendError

STATUS_SECONDS: Final = 15.0
"""Service seconds between two listings of the jobs while nothing is expected of them."""
ENDING_SECONDS: Final = 2.0
"""The same while a job is known to be ending, whose worker is waited for."""
_LOOKS: Final = 5
"""Jobs that are looked at one by one after a listing, where so many others were created since that it did not reach them."""
_LIST_MARGIN: Final = 1.15
"""Keeps ListTrainingJobs under one request a second."""
BEGINNING_SECONDS: Final = 300.0
"""Service seconds for which the first look at an experiment's jobs is tried again."""
CLOSING_SECONDS: Final = 60.0
"""The same of the last one."""
_SHORTEST_INSISTENCE: Final = 20.0
"""Times the least interval: for how long at the least."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0

_T = TypeVar("_T")


@final
class Watcher:
    """Reads what the service and the jobs say.

    Parameters
    ----------
    service
        The experiment's jobs.
    reader
        Their reports.
    settings
        Least intervals.
    session
        Whose seconds count, and which may need to be revived.
    accounts
        Gets the statuses.
    """

    def __init__(
        self,
        service: JobService,
        reader: MessageReader,
        settings: SageMakerSettings,
        session: AwsSession,
        accounts: Accounts,
    ) -> None:
        self._service = service
        self._reader = reader
        self._settings = settings
        self._session = session
        self._endpoint = session.endpoint
        self._accounts = accounts
        self._reports_at = 0.0
        self._statuses_at = 0.0
        self._turn = 0

    @property
    def next_at(self) -> float:
        """Monotonic second of the next look."""
        return min(self._reports_at, self._statuses_at)

    def look(self, flights: Sequence[Flight]) -> None:
        """Read the reports and the statuses of jobs, each if it is time.

        Statuses first: an end that is read afterwards is not older than the status beside it.

        Raises
        ------
        BackendError
            Credentials or permissions are gone.
        """
        now = time.monotonic()
        if now >= self._statuses_at:
            is_ending = any(flight.end or flight.wish or flight.is_over for flight in flights)
            self._statuses_at = now + self._status_pause(is_ending=is_ending)
            self.tolerate(lambda: self._read_statuses(flights))
        has_silent = not self._reader.delay and any(f.is_over and f.end is None for f in flights)
        if now >= self._reports_at or has_silent:
            self._reports_at = now + self._seconds(self._reader.period)
            self.tolerate(self._reader.poll)

    def expect_end(self) -> None:
        """A job is ending: look at the statuses sooner."""
        soon = time.monotonic() + self._status_pause(is_ending=True)
        self._statuses_at = min(self._statuses_at, soon)

    def tolerate(self, work: Callable[[], object]) -> None:
        """Do what may fail for passing reasons, because it is done again later.

        Raises
        ------
        BackendError
            Credentials or permissions are gone, the clock is wrong, or an embedded endpoint that died cannot be started again.
        """
        tolerate(work, self._session, self._accounts)

    def _read_statuses(self, flights: Sequence[Flight]) -> None:
        wanted = [flight.name for flight in flights]
        statuses = self._service.list_jobs(wanted=wanted, since=min(flight.created for flight in flights))
        for flight in self._next_unseen(flights, statuses):
            statuses[flight.name] = self._service.look_at(flight.name)
        self._accounts.update(statuses)
        for flight in flights:
            if flight.name in statuses:
                flight.update(statuses[flight.name])
                flight.is_warm = self._accounts.is_warm(flight.name)

    def _next_unseen(self, flights: Sequence[Flight], seen: Container[JobName]) -> list[Flight]:
        """Some of the jobs that the listing did not reach, each in its turn; very new ones may be in no list yet."""
        soon = time.time() - self._seconds(STATUS_SECONDS)
        unseen = [flight for flight in flights if flight.name not in seen and flight.created < soon]
        if not unseen:
            return []
        self._turn += _LOOKS
        first = self._turn % len(unseen)
        return (unseen[first:] + unseen[:first])[:_LOOKS]

    def _status_pause(self, *, is_ending: bool) -> float:
        pause = self._seconds(ENDING_SECONDS if is_ending else STATUS_SECONDS)
        return max(pause, _LIST_MARGIN * self._settings.min_interval)

    def _seconds(self, service_seconds: float) -> float:
        return self._endpoint.seconds(service_seconds, at_least=self._settings.min_interval)


def tolerate(work: Callable[[], object], session: AwsSession, accounts: Accounts) -> None:
    """Do what may fail for passing reasons, because it is done again later.

    Raises
    ------
    BackendError
        Credentials or permissions are gone, the clock is wrong, or an embedded endpoint that died cannot be started again.
    """
    try:
        work()
    except ServiceError as error:
        if error.is_denied:
            raise BackendError(f"{error}: {error.remedy}; then resume") from error
        accounts.notify(f"The service has trouble ({error}); going on")
        if error.is_lost:
            session.revive()


def insist(work: Callable[[], _T], session: AwsSession, service_seconds: float, min_interval: float) -> _T:
    """Do what must succeed, again and again where it fails for passing reasons.

    Parameters
    ----------
    work
        What is done, once or more.
    session
        Whose seconds count.
    service_seconds
        For how long it is tried.
    min_interval
        Least real seconds between two looks; twenty of them at the least.

    Raises
    ------
    ServiceError
        The service refuses for good, or has had trouble for so long.
    BackendError
        An embedded endpoint that died cannot be started again.
    """
    endpoint = session.endpoint
    patience = endpoint.seconds(service_seconds, at_least=_SHORTEST_INSISTENCE * min_interval)
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            return work()
        except ServiceError as error:
            if not error.is_transient or time.monotonic() >= deadline:
                raise
            if error.is_lost:
                session.revive()
        time.sleep(endpoint.seconds(pause))
        pause = min(2 * pause, _LONGEST_PAUSE)
