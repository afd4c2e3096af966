"""The parts that all runs of an experiment share, and how failures of the engine are met."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar, final

from tunewright.backends.engine.channel import Channel, Inbox
from tunewright.backends.engine.job_service import (
    AcceptedT_contra,
    CostTracker,
    InstancePrices,
    JobService,
    JobStatus,
)
from tunewright.backends.engine.run_meter import Overheads
from tunewright.exceptions import BackendError, RequestError
from tunewright.trial import ServiceNotice, ServiceTrouble

_MAX_NOTICES: Final = 20
_EVENT_SECONDS: Final = 60.0  # between two events of the service of one kind
_OPENING_SECONDS: Final = 300.0
"""Service seconds for which the first requests of a session are retried."""
_CLOSING_SECONDS: Final = 60.0
"""The same of the last ones."""
_LEAST_RETRY_INTERVALS: Final = 20.0
"""Retries go on for at least so many times the least interval."""
_LEAST_ANSWER_INTERVALS: Final = 10
"""A runner needs at least so many times the least interval to read a request, save its checkpoint and answer."""
_SIGN_SECONDS: Final = 30.0
"""Real seconds between two signs of life for the runners."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0

STATUS_PERIOD: Final = 60.0
"""Service seconds without news of a job, by a message or a listing, after which the jobs are listed."""
ENDING_PERIOD: Final = 5.0
"""Service seconds from the announced end of a run to a listing, and between two listings while a job is ending."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Settings of a backend on any engine. Durations are in service seconds.

    Parameters
    ----------
    n_workers
        Runs at the same time.
    instances_per_job
        Instances of one job.
    """

    engine: str
    """Name of the engine, for messages."""
    n_workers: int
    instances_per_job: int = 1
    keeps_instances: bool = False
    """Whether an ended job's instances are kept for the next one, and billed."""
    is_restartable: bool = False
    """Whether the engine may start a job again under its own name."""
    max_retries: int = 10
    """Replacements of one run after failures of the engine, before it counts as failed."""
    stop_grace: float = 120.0
    """A job with a request to stop is stopped by force after so long."""
    close_seconds: float = 300.0
    """Longest wait for jobs to end when the backend is closed."""
    status_period: float = STATUS_PERIOD
    """Time without news of a job after which the jobs are listed."""
    ending_period: float = ENDING_PERIOD
    """Time between two listings while a job is ending."""
    billed_share: float = 1.0
    """Part of a job's time that is taken to be billed."""
    overheads: Overheads = field(default_factory=Overheads)
    """Billed time of a job beside its training."""
    cleanup_hint: str = ""
    """How the user ends jobs that are left running."""


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """Conversion of service seconds to real seconds.

    Parameters
    ----------
    speed
        Service seconds per real second.
    min_interval
        Least real seconds between two requests of one kind.
    """

    speed: float
    min_interval: float

    def seconds(self, service_seconds: float, *, at_least: float = 0.0) -> float:
        """Real seconds, never less than ``at_least``."""
        return max(at_least, service_seconds / self.speed)

    def interval(self, service_seconds: float) -> float:
        """Real seconds between two requests, never less than the least interval."""
        return self.seconds(service_seconds, at_least=self.min_interval)

    def patience(self, service_seconds: float, *, answers: int = 1) -> float:
        """Real seconds of a wait, never less than so many answers of runners take."""
        return self.seconds(service_seconds, at_least=answers * _LEAST_ANSWER_INTERVALS * self.min_interval)


@final
class Notices:
    """Lines for the user: each once, the last twenty. Some are events of the service, which the journal gets as well."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._events: list[ServiceNotice] = []
        self._event_times: dict[ServiceTrouble, float] = {}
        self._n_passed: Counter[ServiceTrouble] = Counter()
        """Events that came too soon after one of their kind."""

    def add(self, text: str) -> None:
        """Add a line."""
        self._lines.setdefault(text)
        if len(self._lines) > _MAX_NOTICES:
            del self._lines[next(iter(self._lines))]

    def add_event(self, name: ServiceTrouble, text: str, trial_id: int | None = None) -> None:
        """Add a line, and record it as an event."""
        self.add(text)
        self.record(name, text, trial_id)

    def record(self, name: ServiceTrouble, text: str, trial_id: int | None = None) -> None:
        """Record an event without a line if a minute has passed since the last one of its kind."""
        now = time.monotonic()
        if now - self._event_times.get(name, -math.inf) < _EVENT_SECONDS:
            self._n_passed[name] += 1
            return
        more = self._n_passed.pop(name, 0)
        self._event_times[name] = now
        detail = f"{text} ({more} more of this kind before)" if more else text
        self._events.append(ServiceNotice(name=name, text=detail, trial_id=trial_id))

    def take_events(self) -> Sequence[ServiceNotice]:
        """Hand out the events since the last call."""
        taken, self._events = self._events, []
        return taken

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines, oldest first."""
        return tuple(self._lines)


@final
class EngineContext(Generic[AcceptedT_contra]):
    """An experiment's jobs, channel, costs and notices.

    Attributes
    ----------
    jobs, channel, costs, prices, settings, time, notices
        As given.
    inbox
        The channel's messages in order.
    """

    def __init__(
        self,
        *,
        jobs: JobService[AcceptedT_contra],
        channel: Channel,
        costs: CostTracker,
        prices: InstancePrices,
        settings: EngineSettings,
        time: ServiceTime,
        notices: Notices,
    ) -> None:
        self.jobs: Final = jobs
        self.channel: Final = channel
        self.inbox: Final = Inbox(channel)
        self.costs: Final = costs
        self.prices: Final = prices
        self.settings: Final = settings
        self.time: Final = time
        self.notices: Final = notices
        self._sign_at = 0.0
        self._n_signs = 0

    def open(self, n_instances: int) -> Mapping[str, JobStatus]:
        """Prepare the engine and list the jobs of earlier sessions, by key.

        Parameters
        ----------
        n_instances
            Instances wanted at the same time.

        Raises
        ------
        BackendError
            The storage or the jobs cannot be used.
        """
        self.jobs.prepare(n_instances)
        try:
            self.retry_until(self.channel.open, _OPENING_SECONDS)
            statuses = self.retry_until(self.jobs.list_jobs, _OPENING_SECONDS)
            self.retry_until(lambda: self.costs.recall(statuses), _OPENING_SECONDS)
        except RequestError as error:
            raise BackendError(f"The jobs of the experiment cannot be listed ({error})") from error
        return statuses

    def show_life(self) -> None:
        """Show the runners that there is a tuner, if it is time: without a sign they end after a while.

        Raises
        ------
        BackendError
            As :meth:`suppress_transient`.
        """
        if time.monotonic() >= self._sign_at:
            self._sign_at = time.monotonic() + _SIGN_SECONDS
            self._n_signs += 1
            with self.suppress_transient():
                self.channel.show_life(self._n_signs)

    def settle_costs(self) -> None:
        """Release idle instances and take over the engine's bills.

        Raises
        ------
        RequestError
            The engine does not answer: instances may be kept.
        """
        self.retry_until(self.costs.close, _CLOSING_SECONDS)

    @contextmanager
    def suppress_transient(self) -> Generator[None]:
        """Turn a transient failure of the block into a notice; the block is repeated later anyway.

        Raises
        ------
        BackendError
            Credentials or permissions are gone, the clock is wrong, or a dead engine cannot be restarted.
        """
        try:
            yield
        except RequestError as error:
            if error.is_denied:
                raise BackendError(f"{error}: {error.remedy}", then="resume") from error
            self.notices.add_event(ServiceTrouble.RETRIED, f"The service has trouble ({error}); going on")
            if error.is_lost:
                self.jobs.revive()

    def retry_until(self, work: Callable[[], _T], service_seconds: float) -> _T:
        """Repeat work until it succeeds, while its failures are transient.

        Parameters
        ----------
        work
            The requests.
        service_seconds
            Longest time of the retries.

        Raises
        ------
        RequestError
            The engine refuses for good, or the failures went on for so long.
        BackendError
            A dead engine cannot be restarted.
        """
        least = _LEAST_RETRY_INTERVALS * self.time.min_interval
        deadline = time.monotonic() + self.time.seconds(service_seconds, at_least=least)
        pause = _FIRST_PAUSE
        while True:
            try:
                return work()
            except RequestError as error:
                if not error.is_transient or time.monotonic() >= deadline:
                    raise
                if error.is_lost:
                    self.jobs.revive()
            time.sleep(self.time.seconds(pause))
            pause = min(2 * pause, _LONGEST_PAUSE)
