"""The runs under way, and what is heard of them, as events in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from typing import Final, TypeVar, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.backends.sagemaker.costs import CostTracker
from tunewright.backends.sagemaker.job_service import JobService
from tunewright.backends.sagemaker.outcomes import Outcomes
from tunewright.backends.sagemaker.requests import JobName
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.backends.sagemaker.transport import MessageReader
from tunewright.exceptions import BackendError
from tunewright.runner.channel import End
from tunewright.trial import Ended, Reported


@final
class EventQueue:
    """Turns the reports and end markers that were listed into events: each once, in order, a run's end last.

    Attributes
    ----------
    flights
        Runs under way by trial; a run stays until :meth:`finish`.
    is_interrupted
        Whether a :meth:`wait` was interrupted: from then on nothing is to be waited for.

    Parameters
    ----------
    reader
        Lists what runs say.
    endings
        Judges runs that never began.
    tolerate
        Does what may fail for passing reasons.
    """

    def __init__(
        self, reader: MessageReader, endings: Outcomes, tolerate: Callable[[Callable[[], object]], None]
    ) -> None:
        self._reader = reader
        self._endings = endings
        self._tolerate = tolerate
        self._events: deque[Reported | Ended] = deque()
        self.flights: dict[int, TrackedRun] = {}
        self.is_interrupted = False

    @property
    def created(self) -> list[TrackedRun]:
        """The runs of which there is a job or a task."""
        return [flight for flight in self.flights.values() if flight.is_created]

    def wait(
        self, timeout: float, step: Callable[[], None], sleep: Callable[[float], None]
    ) -> Sequence[Reported | Ended]:
        """Step and sleep until there are events; they are handed out once.

        Parameters
        ----------
        timeout
            Real seconds after which none are handed out.
        step
            Does what is to be done now.
        sleep
            Sleeps until there may be something to do, but not beyond a monotonic second.

        Raises
        ------
        KeyboardInterrupt
            It was interrupted; :attr:`is_interrupted` says so to whoever closes the backend.
        """
        deadline = time.monotonic() + timeout
        try:
            while True:
                step()
                if self._events or time.monotonic() >= deadline:
                    events = list(self._events)
                    self._events.clear()
                    return events
                sleep(deadline)
        except KeyboardInterrupt:
            self.is_interrupted = True
            raise

    def wants(self, trial_id: int, wish: str) -> None:
        """Note what is wanted of a run; one that has not begun is over."""
        flight = self.flights.get(trial_id)
        if flight is None:
            return
        flight.wants(wish)
        if not flight.is_created and not flight.is_uncertain:
            self.finish(flight, self._endings.never_begun(flight))

    def hear(self, flights: Sequence[TrackedRun], settle: Callable[[TrackedRun], None]) -> None:
        """Take what the runs said, and settle those of which no word is missing.

        Parameters
        ----------
        flights
            Runs that were created.
        settle
            Ends a run when it is over.
        """
        for flight in flights:
            if self._has_news(flight):
                self._take(flight, over_gaps=False)
        missed = [f for f in flights if self._is_due(f) or self._has_gap(f)]
        if missed:
            self._tolerate(lambda: self._search(missed))
        for flight in flights:
            if (flight.is_over or flight.end is not None) and not self._lacks_end(flight):
                self._tolerate(lambda flight=flight: settle(flight))

    def conclude(self, flight: TrackedRun, conclusion: Ended | TrackedRun) -> None:
        """A run is over, or goes on as the next retry."""
        if isinstance(conclusion, TrackedRun):
            self.flights[flight.order.run.trial_id] = conclusion
        else:
            self.finish(flight, conclusion)

    def finish(self, flight: TrackedRun, ended: Ended) -> None:
        """Free the run's worker; the end is the last event of the run."""
        del self.flights[flight.order.run.trial_id]
        self._reader.forget_attempt(flight.names)
        self._events.append(ended)

    def _search(self, flights: Sequence[TrackedRun]) -> None:
        """One thorough listing for all of which something is missing."""
        is_due = [flight.is_over and self._is_late(flight) for flight in flights]
        self._reader.search_from(min(flight.created for flight in flights))
        for flight, was_due in zip(flights, is_due, strict=True):
            flight.was_searched = was_due
            self._take(flight, over_gaps=True)

    def _has_news(self, flight: TrackedRun) -> bool:
        run = flight.order.run
        return self._reader.has_news(run.trial_id, run.attempt)

    def _has_gap(self, flight: TrackedRun) -> bool:
        return self._has_news(flight) and self._reader.needs_search(flight.names)

    def _lacks_end(self, flight: TrackedRun) -> bool:
        """Whether the last word of a run whose job is over may still come."""
        has_last = self._reader.has_one_life and flight.end is not None
        return flight.is_silent and not has_last

    def _is_due(self, flight: TrackedRun) -> bool:
        """Whether that word should have come by now."""
        return self._lacks_end(flight) and self._is_late(flight)

    def _is_late(self, flight: TrackedRun) -> bool:
        since = flight.terminal_since
        return since is not None and time.monotonic() - since >= self._reader.delay

    def _take(self, flight: TrackedRun, *, over_gaps: bool) -> None:
        newest = self._reader.newest_retry(flight.name)
        flight.live_on(newest)
        for name in flight.names:
            for seq, message in self._reader.box(name).take(over_gaps=over_gaps):
                if not isinstance(message, End):
                    self._events.append(flight.reported(name.retry, seq, message))
                elif name.retry == newest:
                    flight.end = message
        self._reader.was_handed_out(flight.names)


STATUS_SECONDS: Final = 15.0
"""Service seconds between two listings of the jobs while nothing is expected of them."""
ENDING_SECONDS: Final = 2.0
"""The same while a job is known to be ending, whose worker is waited for."""
_DESCRIBED_PER_POLL: Final = 5
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
class StatusPoller:
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
        accounts: CostTracker,
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

    def look(self, flights: Sequence[TrackedRun]) -> None:
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

    def _read_statuses(self, flights: Sequence[TrackedRun]) -> None:
        wanted = [flight.name for flight in flights]
        statuses = self._service.list_jobs(wanted=wanted, since=min(flight.created for flight in flights))
        for flight in self._next_unseen(flights, statuses):
            statuses[flight.name] = self._service.look_at(flight.name)
        self._accounts.update(statuses)
        for flight in flights:
            if flight.name in statuses:
                flight.update(statuses[flight.name])
                flight.is_warm = self._accounts.is_warm(flight.name)

    def _next_unseen(self, flights: Sequence[TrackedRun], seen: Container[JobName]) -> list[TrackedRun]:
        """Some of the jobs that the listing did not reach, each in its turn; very new ones may be in no list yet."""
        soon = time.time() - self._seconds(STATUS_SECONDS)
        unseen = [flight for flight in flights if flight.name not in seen and flight.created < soon]
        if not unseen:
            return []
        self._turn += _DESCRIBED_PER_POLL
        first = self._turn % len(unseen)
        return (unseen[first:] + unseen[:first])[:_DESCRIBED_PER_POLL]

    def _status_pause(self, *, is_ending: bool) -> float:
        pause = self._seconds(ENDING_SECONDS if is_ending else STATUS_SECONDS)
        return max(pause, _LIST_MARGIN * self._settings.min_interval)

    def _seconds(self, service_seconds: float) -> float:
        return self._endpoint.seconds(service_seconds, at_least=self._settings.min_interval)


def tolerate(work: Callable[[], object], session: AwsSession, accounts: CostTracker) -> None:
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
