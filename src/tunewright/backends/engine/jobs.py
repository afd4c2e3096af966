"""Jobs mode: a job per run."""

from __future__ import annotations

import time
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, final

from typing_extensions import override

from tunewright.backends.engine.backend import Dispatcher
from tunewright.backends.engine.context import ENDING_PERIOD, STATUS_PERIOD, EngineContext, ServiceTime
from tunewright.backends.engine.job_service import CreateOutcome, JobName, JobOrder, JobStatus, PoolStatus
from tunewright.backends.engine.outcomes import Outcome
from tunewright.backends.engine.submission import Submitter
from tunewright.backends.engine.tracked_run import RunPhase, TrackedRun, pending_request
from tunewright.exceptions import BackendError, RequestError
from tunewright.trial import OpenRun, Run
from tunewright.types import Config

POOL_SECONDS: Final = 30.0
"""Maximum service seconds until an ended job's instances are a warm pool."""
_LIST_MARGIN: Final = 1.15
"""Keeps listings of jobs under one request per least interval."""
_DESCRIBED_PER_POLL: Final = 5
"""Maximum jobs described individually per poll when they are missing from the (truncated) listing."""


@final
class ListingSchedule:
    """Times of the listings of jobs: few, because all tuners of an account share two a second.

    The end of a run is announced by a message, so that jobs are listed only after such a message, or if nothing was heard of
    a job for a while. All times are monotonic seconds of the caller's clock.

    Parameters
    ----------
    time
        Conversion of the periods.
    quiet, ending
        The periods, in service seconds: see :class:`~tunewright.backends.engine.context.EngineSettings`.
    """

    def __init__(
        self, time: ServiceTime, *, quiet: float = STATUS_PERIOD, ending: float = ENDING_PERIOD
    ) -> None:
        least = _LIST_MARGIN * time.min_interval
        self._quiet = max(time.interval(quiet), least)
        self._ending = max(time.interval(ending), least)
        self._at = 0.0

    @property
    def at(self) -> float:
        """Time of the next look whether a listing is due."""
        return self._at

    def is_due(self, now: float, heard: Iterable[float], *, is_ending: bool) -> bool:
        """Whether to list the jobs now; then the next listing is a period later.

        Parameters
        ----------
        now
            The time.
        heard
            When each job was heard of for the last time.
        is_ending
            Whether a job is about to end, or its instances to become a warm pool.
        """
        if now < self._at:
            return False
        quiet_at = min(heard, default=now) + self._quiet
        if not is_ending and now < quiet_at:
            self._at = quiet_at
            return False
        self._at = now + (self._ending if is_ending else self._quiet)
        return True

    def expect_end(self, now: float) -> None:
        """The end of a run was announced: list the jobs as soon as it may have ended."""
        self._at = min(self._at, now + self._ending)


@final
class JobDispatcher(Dispatcher):
    """Creates a job for each run and looks at the jobs by one listing for all.

    Parameters
    ----------
    context
        Jobs, channel, costs and settings.
    """

    def __init__(self, context: EngineContext[JobOrder]) -> None:
        self._context = context
        self._settings = context.settings
        self._time = context.time
        self._submitter: Final = Submitter(context)
        self._poller = _StatusPoller(context)
        self.capacity = context.settings.n_workers
        self.n_instances = context.settings.n_workers * context.settings.instances_per_job

    @override
    def queue(self, run: Run, config: Config) -> TrackedRun:
        """A run that waits for its job."""
        return self._tracked(
            JobOrder(
                run=run,
                config=config,
                dollars_per_hour=self._context.prices.per_hour(config),
                billed_share=self._settings.billed_share,
                n_instances=self._context.prices.instances(config),
            )
        )

    @override
    def attach(self, runs: Sequence[OpenRun], statuses: Mapping[str, JobStatus]) -> list[TrackedRun]:
        """Adopt the newest job of each run, whatever its state; a run without one is queued.

        Such a run is queued as its first try, or as the next retry if its reports prove that it had a job.
        """
        attached = [self._attach(open_run, statuses) for open_run in runs]
        begun = [run.created for run in attached if run.is_under_way]
        self._context.inbox.begin_at(min(begun, default=time.time() - self._context.channel.skew))
        return attached

    @override
    def step(self, runs: Collection[TrackedRun]) -> None:
        self._context.show_life()
        for run in runs:
            if not run.is_quiet:
                self._send_request(run)
        while (queued := self._next_queued(runs)) is not None:
            with self._context.suppress_transient():
                self._create(queued)
        begun = [run for run in runs if run.is_under_way]
        if begun:
            self._poller.poll(begun)

    @override
    def next_at(self, runs: Collection[TrackedRun]) -> float:
        """The next listing, or the moment when a queued run may have its job."""
        queued = [run.order for run in runs if run.is_queued]
        times: list[float] = []
        if queued:
            opened = min(self._submitter.types.opens_at(one.config, one.instance_type) for one in queued)
            times.append(max(self._submitter.ready_at(), opened))
        if len(queued) < len(runs):
            times.append(self._poller.next_at)
        return min(times, default=time.monotonic() + self._settings.status_period)

    @override
    def set_capacity(self, n_runs: int) -> None:
        self.capacity = n_runs

    @override
    def is_free(self, run: TrackedRun) -> bool:
        if run.phase is RunPhase.REJECTED:
            return True
        if not run.has_ended:
            self._poller.expect_end()
            return False
        if not self._settings.keeps_instances or run.status is None:
            return True
        is_late = run.ended_seconds > self._time.seconds(POOL_SECONDS)
        return run.status.pool is not PoolStatus.IN_USE or is_late

    @override
    def ended(self, run: TrackedRun, outcome: Outcome) -> None:
        """Record the job's bill, and whether its type has capacity."""
        if not run.is_under_way:
            return
        order = run.order
        self._context.costs.end_job(run.name.key, run.billed_seconds())
        if outcome.lacked_capacity:
            self._submitter.types.lacks_capacity(order.config, order.instance_type)
        else:
            self._submitter.types.has_capacity(order.config, order.instance_type)

    @override
    def costs(self, runs: Collection[TrackedRun]) -> Mapping[str, float]:
        """The estimates of the runs' jobs."""
        return {run.name.key: run.billed_seconds() for run in runs}

    @override
    def wind_down(self, *, is_late: bool) -> bool:
        return False

    @override
    def release(self, runs: Sequence[TrackedRun]) -> None:
        for run in runs:
            self._context.channel.send(run.name, run.request)
            run.request_sent()

    @override
    def open_jobs(self, runs: Collection[TrackedRun]) -> list[str]:
        return [self._context.jobs.full_name(run.name.key) for run in runs if run.may_run]

    def _tracked(self, order: JobOrder, first_retry: int = 0) -> TrackedRun:
        return TrackedRun(
            order,
            speed=self._time.speed,
            overheads=self._settings.overheads,
            first_retry=first_retry,
        )

    def _attach(self, open_run: OpenRun, statuses: Mapping[str, JobStatus]) -> TrackedRun:
        run = open_run.run
        names = [name for name in map(JobName.parse, statuses) if name is not None]
        retries = [n.retry for n in names if (n.trial_id, n.attempt) == (run.trial_id, run.attempt)]
        newest = max(retries, default=-1)
        is_found = newest >= (0 if self._settings.is_restartable else open_run.retry)
        name = JobName(run.trial_id, run.attempt, newest)
        known_type = self._context.costs.type_of(name.key) if is_found else ""
        dollars = self._context.prices.per_hour(open_run.config, known_type)
        earlier = [statuses[replace(name, retry=retry).key] for retry in retries if retry < newest]
        seconds = sum((status.ended or status.created) - status.created for status in earlier)
        order = JobOrder(
            run=run,
            config=open_run.config,
            retry=newest if is_found else open_run.retry + (1 if open_run.seen else 0),
            cost_before=seconds * self._settings.billed_share * dollars / 3600,
            dollars_per_hour=dollars,
            billed_share=self._settings.billed_share,
            n_instances=self._context.prices.instances(open_run.config),
            is_attached=True,
        )
        tracked = self._tracked(order, first_retry=open_run.retry)
        self._context.inbox.box(replace(name, retry=open_run.retry)).taken = open_run.seen
        if request := pending_request(open_run):
            tracked.ask(request)
        if is_found:
            tracked.adopt(statuses[name.key], worker=self._context.jobs.full_name(name.key))
            self._submitter.track_costs(tracked.name.key, tracked.order)
        return tracked

    def _next_queued(self, runs: Collection[TrackedRun]) -> TrackedRun | None:
        """The first queued run, if its job may be created now."""
        ready_at, now = self._submitter.ready_at(), time.monotonic()
        if ready_at > now:
            return None
        types = self._submitter.types
        queued = (run for run in runs if run.is_queued)
        return next(
            (one for one in queued if types.opens_at(one.order.config, one.order.instance_type) <= now), None
        )

    def _create(self, run: TrackedRun) -> None:
        """Create the job of a queued run; from the request on it may exist, until the answer is known."""
        is_first = run.phase is RunPhase.QUEUED
        if is_first:
            run.assign(self._submitter.assigned(run.order))
        order, began = run.order, time.time()
        run.submit()
        try:
            answer = self._submitter.submit(order)
        except (RequestError, BackendError):  # not sent, or refused for good: it has no job
            if is_first:
                run.requeue()
            raise
        if answer.outcome is CreateOutcome.CREATED:
            is_cold = not self._settings.keeps_instances
            worker = self._context.jobs.full_name(run.name.key)
            run.begin(began, worker=worker, is_warm=False if is_cold else None)
            self._submitter.track_costs(run.name.key, run.order)
        elif answer.outcome in {CreateOutcome.REFUSED, CreateOutcome.TOO_LARGE}:
            run.reject(answer.reason)
        elif answer.outcome is not CreateOutcome.UNKNOWN and is_first:
            run.requeue()

    def _send_request(self, run: TrackedRun) -> None:
        """Send a run's request to its job; stop the job by force if it does not obey."""
        if run.needs_request_sent:
            with self._context.suppress_transient():
                self._context.channel.send(run.name, run.request)
                run.request_sent()
        if run.needs_force and run.request_seconds > self._time.patience(self._settings.stop_grace):
            with self._context.suppress_transient():
                self._context.jobs.stop(run.name.key)
                run.forced()


@final
class _StatusPoller:
    """Reads statuses and messages when it is time: one listing each for all runs."""

    def __init__(self, context: EngineContext[JobOrder]) -> None:
        self._context = context
        self._time = context.time
        self._messages_at = 0.0
        self._schedule = ListingSchedule(
            context.time, quiet=context.settings.status_period, ending=context.settings.ending_period
        )
        self._turn = 0

    @property
    def next_at(self) -> float:
        """Monotonic second of the next listing."""
        allowed_at = time.monotonic() + self._context.jobs.list_delay()
        return min(self._messages_at, max(self._schedule.at, allowed_at))

    def poll(self, runs: Sequence[TrackedRun]) -> None:
        """Read statuses, then messages: an end message that is read afterwards is not older than the status beside it."""
        now = time.monotonic()
        is_ending = any(run.end or run.has_ended or run.is_forced for run in runs)
        is_allowed = not self._context.jobs.list_delay()  # else the request would wait, and reports with it
        if is_allowed and self._schedule.is_due(now, [run.heard_at for run in runs], is_ending=is_ending):
            with self._context.suppress_transient():
                self._read_statuses(runs)
        channel = self._context.channel
        has_silent = not channel.delay and any(run.has_ended and run.end is None for run in runs)
        if now >= self._messages_at or has_silent:
            self._messages_at = now + self._time.interval(channel.period)
            with self._context.suppress_transient():
                self._context.inbox.poll()

    def expect_end(self) -> None:
        """A job is ending: read statuses sooner."""
        self._schedule.expect_end(time.monotonic())

    def _read_statuses(self, runs: Sequence[TrackedRun]) -> None:
        jobs, costs = self._context.jobs, self._context.costs
        statuses = jobs.list_jobs(
            wanted=[run.name.key for run in runs], since=min(run.created for run in runs)
        )
        for run in self._next_unseen(runs, statuses):
            statuses[run.name.key] = jobs.describe(run.name.key)
        costs.update(statuses)
        for run in runs:
            key = run.name.key
            if key in statuses:
                run.observe(statuses[key], is_warm=costs.is_warm(key))

    def _next_unseen(self, runs: Sequence[TrackedRun], seen: Container[str]) -> list[TrackedRun]:
        """Some of the jobs that the listing did not reach, each in its turn; very new ones may be in no listing yet."""
        soon = time.time() - self._time.interval(self._context.settings.status_period)
        unseen = [run for run in runs if run.name.key not in seen and run.created < soon]
        if not unseen:
            return []
        self._turn += _DESCRIBED_PER_POLL
        first = self._turn % len(unseen)
        return (unseen[first:] + unseen[:first])[:_DESCRIBED_PER_POLL]
