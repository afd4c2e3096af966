"""Workers mode: runs are tasks that the instances of a few long jobs, the workers, take one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Final, final

from typing_extensions import override

from tunewright.backends.engine.backend import Dispatcher
from tunewright.backends.engine.context import EngineContext
from tunewright.backends.engine.job_service import JobName, JobOrder, JobStatus
from tunewright.backends.engine.outcomes import Outcome
from tunewright.backends.engine.tasks import LeaseWatch, TaskBoard, TaskListing
from tunewright.backends.engine.tracked_run import RunPhase, TrackedRun, pending_request
from tunewright.backends.engine.worker_jobs import FleetPlan, WorkerFleet, WorkerJobOrder, WorkerTimes
from tunewright.exceptions import BackendError, RequestError
from tunewright.trial import OpenRun, Run, ServiceTrouble
from tunewright.types import Config

TASK_PERIOD: Final = 10.0
"""Service seconds between two listings of tasks and leases."""
_LISTINGS_PER_LEASE: Final = 5
_THREADS: Final = 16


@final
class WorkerDispatcher(Dispatcher):
    """Posts runs as tasks that workers claim, and takes runs back from workers that are lost or do not obey.

    Parameters
    ----------
    context
        Channel, costs and settings.
    board
        The tasks.
    plan
        Instances and jobs of the number of workers.
    times
        Of leases and jobs.
    ahead
        Runs beyond the number of workers that wait for the next free one.
    """

    def __init__(
        self,
        context: EngineContext[WorkerJobOrder],
        board: TaskBoard,
        plan: FleetPlan,
        times: WorkerTimes,
        *,
        ahead: int = 0,
    ) -> None:
        self._context = context
        self._board = board
        self._plan = plan
        self._fleet = WorkerFleet(context, board, plan, times)
        self._leases = LeaseWatch(times.lease)
        self._listing = TaskListing(waiting=frozenset(), leases={})
        self._task_period = min(context.time.interval(TASK_PERIOD), times.lease / _LISTINGS_PER_LEASE)
        self._tasks_at = self._messages_at = 0.0
        self._is_closing = False
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(_THREADS)
        self.capacity = context.settings.n_workers + ahead
        self.n_instances = plan.instances

    @override
    def queue(self, run: Run, config: Config) -> TrackedRun:
        """A run that waits to be posted; it is billed for its training alone, since the rest is the jobs'."""
        price = self._context.prices.per_hour({}) * self._context.settings.billed_share / self._plan.slots
        return self._tracked(JobOrder(run=run, config=config, dollars_per_hour=price))

    @override
    def attach(self, runs: Sequence[OpenRun], statuses: Mapping[str, JobStatus]) -> list[TrackedRun]:
        """Adopt the newest retry of each run that has a task, a lease or a message; a run without any is queued.

        Tasks and leases are listed before messages are read, so that a run in neither has its end among the messages.
        """
        inbox = self._context.inbox
        for open_run in runs:
            name = JobName(open_run.run.trial_id, open_run.run.attempt, open_run.retry)
            inbox.box(name).taken = open_run.seen
        try:
            self._fleet.adopt(statuses, is_attached=bool(runs))
            self._listing = self._board.list_tasks()
            if runs:
                inbox.search_from(0.0)
        except RequestError as error:
            raise BackendError(f"The experiment's runs cannot be listed ({error})") from error
        newest = self._newest_retries()
        attached = [
            self._attach(open_run, newest.get((open_run.run.trial_id, open_run.run.attempt), -1))
            for open_run in runs
        ]
        ours = {name for run in attached for name in run.names}
        for name in inbox.names():
            if name not in ours:
                inbox.forget(name)
        inbox.begin_at(time.time())
        return attached

    @override
    def step(self, runs: Collection[TrackedRun]) -> None:
        self._context.show_life()
        lost = self._fleet.step(0 if self._is_closing else len(runs))
        moving = [run for run in runs if not run.is_quiet]
        queued = [run for run in moving if run.is_queued]
        if queued:
            with self._context.suppress_transient():
                self._in_parallel(self._post, queued)
        for run in moving:
            self._send_request(run)
        now = time.monotonic()
        if runs and (lost or now >= self._tasks_at):
            self._tasks_at = now + self._task_period
            with self._context.suppress_transient():
                if self._look(runs, lost):
                    self._messages_at = (
                        now  # a run that ended since the last listing has its end message by now
                    )
        if runs and now >= self._messages_at:
            period, least = self._context.channel.worker_period, self._context.time.min_interval / 2
            # storage takes thousands of requests a second, so that half of the least interval is enough between two
            self._messages_at = now + self._context.time.seconds(period, at_least=min(period, least))
            with self._context.suppress_transient():
                self._context.inbox.poll()

    @override
    def next_at(self, runs: Collection[TrackedRun]) -> float:
        """The next listing of jobs, tasks or messages."""
        times = [self._fleet.next_at]
        if runs:
            times += [self._tasks_at, self._messages_at]
        return max(min(times), time.monotonic() + self._context.time.min_interval / 10)

    @override
    def set_capacity(self, n_runs: int) -> None:
        self.capacity = n_runs + self._ahead
        self._fleet.set_instances(-(-n_runs // self._plan.slots))

    @override
    def is_free(self, run: TrackedRun) -> bool:
        if not run.has_ended:
            run.lose()
        return True

    @override
    def ended(self, run: TrackedRun, outcome: Outcome) -> None:
        self._leases.forget(run.name.key)
        if run.end is not None:
            self._fleet.run_ended()

    @override
    def costs(self, runs: Collection[TrackedRun]) -> Mapping[str, float]:
        """The estimates of the jobs of workers."""
        return {job.order.key: job.billed_seconds for job in self._fleet.jobs if job.is_created}

    @override
    def wind_down(self, *, is_late: bool) -> bool:
        """Drain the jobs, or stop them by force."""
        self._is_closing = True
        self._fleet.drain_all()
        if is_late:
            self._fleet.stop_all()
        return bool(self._fleet.jobs)

    @override
    def release(self, runs: Sequence[TrackedRun]) -> None:
        self._fleet.drain_all()
        self._in_parallel(self._request, runs)

    @override
    def open_jobs(self, runs: Collection[TrackedRun]) -> list[str]:
        return [self._context.jobs.full_name(job.order.key) for job in self._fleet.jobs if job.may_run]

    @override
    def close(self) -> None:
        """End the threads of requests."""
        self._pool.shutdown(wait=False)

    def _tracked(self, order: JobOrder, first_retry: int = 0) -> TrackedRun:
        return TrackedRun(order, speed=self._context.time.speed, overheads=None, first_retry=first_retry)

    def _newest_retries(self) -> dict[tuple[int, int], int]:
        """The highest retry of each attempt of a trial with a task, a lease or a message."""
        inbox, newest = self._context.inbox, dict[tuple[int, int], int]()
        listed = filter(None, map(JobName.parse, (*self._listing.waiting, *self._listing.leases)))
        for name in (*listed, *(name for name in inbox.names() if not inbox.box(name).is_empty)):
            attempt = (name.trial_id, name.attempt)
            newest[attempt] = max(name.retry, newest.get(attempt, -1))
        return newest

    def _attach(self, open_run: OpenRun, newest: int) -> TrackedRun:
        run = open_run.run
        is_found = newest >= open_run.retry
        queued = self.queue(run, open_run.config)
        order = replace(queued.order, retry=newest if is_found else open_run.retry)
        tracked = self._tracked(order, first_retry=open_run.retry)
        if request := pending_request(open_run):
            tracked.ask(request)
        if is_found:
            tracked.adopt(None)
        return tracked

    def _post(self, run: TrackedRun) -> None:
        self._board.post(run.order)
        run.begin(time.time())

    def _send_request(self, run: TrackedRun) -> None:
        """Send a run's request to its worker; take the run away from a worker that does not obey."""
        if run.needs_request_sent:
            with self._context.suppress_transient():
                self._request(run)
        patience = self._context.time.patience(self._context.settings.stop_grace)
        if run.needs_force and run.request_seconds > patience:
            with self._context.suppress_transient():
                self._force(run)

    def _request(self, run: TrackedRun) -> None:
        """Take back a run that waits, or send the request to its worker."""
        key = run.name.key
        if run.phase is RunPhase.RUNNING and key not in self._listing.leases and self._board.withdraw(key):
            run.withdraw()
        else:
            self._context.channel.send(run.name, run.request)
        run.request_sent()

    def _force(self, run: TrackedRun) -> None:
        version = self._board.list_tasks().leases.get(run.name.key)
        if version is None or self._board.revoke(run.name.key, version):
            run.lose()

    def _look(self, runs: Iterable[TrackedRun], lost_jobs: Set[str]) -> bool:
        """Note the runs that no worker has any more, and take runs away from workers that are lost; return whether there are any."""
        self._listing = self._board.list_tasks()
        now = time.monotonic()
        gone = [
            run
            for run in runs
            if run.is_under_way and not run.has_ended and self._is_gone(run.name.key, now, lost_jobs)
        ]
        for run in gone:
            run.lose()
        return bool(gone)

    def _is_gone(self, key: str, now: float, lost_jobs: Set[str]) -> bool:
        version = self._listing.leases.get(key)
        if version is None:
            return key not in self._listing.waiting
        is_stale = self._leases.is_stale(key, version, now)
        holder = self._board.holder(key) if is_stale or lost_jobs else ""
        if not (is_stale or holder in lost_jobs) or not self._board.revoke(key, version):
            return False
        if is_stale:
            self._fleet.give_up(holder)
        text = f"run {key} lost its worker, and goes on elsewhere"
        self._context.notices.add_event(ServiceTrouble.INTERRUPTED, text, int(key.partition("-")[0]))
        return True

    def _in_parallel(self, work: Callable[[TrackedRun], None], runs: Iterable[TrackedRun]) -> None:
        """Call ``work`` for each run in a few threads; the first failure is raised after all were tried."""
        futures = [self._pool.submit(work, run) for run in runs]
        wait(futures)
        for future in futures:
            future.result()
