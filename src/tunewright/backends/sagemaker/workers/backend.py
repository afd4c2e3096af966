"""WorkersBackend: each run is a task that a worker takes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Final, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.aws.objects import in_parallel
from tunewright.backends.sagemaker.context import SageMakerContext
from tunewright.backends.sagemaker.deployment import TrainingScript
from tunewright.backends.sagemaker.event_queue import EventQueue
from tunewright.backends.sagemaker.jobs import JobCreator
from tunewright.backends.sagemaker.requests import JobOrder
from tunewright.backends.sagemaker.settings import S3, SageMakerSettings, WorkerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.backends.sagemaker.workers.tasks import Dispatcher, adopt_runs, mark_over, run_logs
from tunewright.backends.sagemaker.workers.worker_jobs import (
    WorkerFleet,
    WorkerRequests,
    of_workers,
    plan_fleet,
)
from tunewright.clock import WallClock
from tunewright.exceptions import BackendError, SettingsError
from tunewright.interfaces import Backend
from tunewright.runner import s3_keys
from tunewright.runner.channel import PAUSE, RELEASE, STOP
from tunewright.trial import BackendSummary, Checkpoint, Ended, OpenRun, Reported, Run
from tunewright.types import Config

LOOK_SECONDS: Final = 10.0
"""Service seconds between two listings of tasks and leases."""
WORKER_REPORT_PERIOD: Final = 0.5
"""Service seconds between two listings of the reports: a worker waits meanwhile for what is decided from them.

S3 takes thousands of requests a second, so that half of the least interval is enough between two of them."""
_LOOKS_PER_LEASE: Final = 5
_SESSION_SECONDS: Final = 30.0
"""Real seconds between two signs of life for the workers."""


@final
class WorkersBackend(Backend):
    """Runs trials on workers: the instances of a few long SageMaker training jobs, which take run after run over S3.

    A run is posted as a task; a worker claims it, and shows by renewing a lease that it works on it. Reports, wishes
    and checkpoints go the same ways as in jobs mode, and no request to SageMaker is made per run. A run whose worker
    is lost goes on elsewhere as the next retry. Everything happens in the calling thread, in :meth:`wait`.

    The backend owns the session: :meth:`close` closes it.

    Attributes
    ----------
    deployment
        Role, bucket, image and names.
    fleet
        How many jobs and instances so many workers need.

    Parameters
    ----------
    script
        What the runs execute.
    experiment
        Any name; job names and S3 keys are made from it, and the same name finds everything again.
    session
        From :func:`tunewright.aws.open_session`.
    settings
        Instances and limits; ``max_run_seconds`` is that of a run.
    workers
        Of the workers.

    Raises
    ------
    BackendError
        There is no role or no image.
    SettingsError
        There is no such script, or a run needs several instances.
    """

    def __init__(
        self,
        script: TrainingScript,
        *,
        experiment: str,
        session: AwsSession,
        settings: SageMakerSettings,
        workers: WorkerSettings,
    ) -> None:
        refuse_what_workers_cannot(settings, workers)
        self.clock = WallClock()
        self._base = base = SageMakerContext(script, experiment, session, settings, of_workers)
        self.deployment: Final = base.deployment
        self._settings = settings
        self.fleet: Final = plan_fleet(
            settings.n_workers, settings.instance_type, workers.trials_per_instance
        )
        requests = WorkerRequests(workers, self.fleet.slots, session.endpoint)
        creator = JobCreator(
            base.service,
            base.objects,
            of_workers(base.deployment),
            settings,
            session.endpoint,
            base.accounts,
            requests,
        )
        self._dispatcher = Dispatcher(base.objects, settings, requests.lease, base.accounts.notify)
        self._look_pause = min(base.seconds(LOOK_SECONDS), requests.lease / _LOOKS_PER_LEASE)
        self._workers = WorkerFleet(
            session, base.objects, base.service, creator, base.accounts, self.fleet, (workers, settings)
        )
        self._report_pause = session.endpoint.seconds(
            WORKER_REPORT_PERIOD, at_least=settings.min_interval / 2
        )
        self._n_runs = settings.n_workers + workers.ahead
        self._hearing = EventQueue(base.reader, base.endings, base.tolerate)
        self._flights = self._hearing.flights
        self._look_at = self._reports_at = self._session_at = 0.0
        self._n_signs = 0
        self._is_closed = False

    def attach(self, runs: Sequence[OpenRun]) -> None:
        """Store the code, then find the jobs and what became of the runs, with one listing each.

        Raises
        ------
        BackendError
            The bucket or the jobs cannot be used.
        """
        statuses = self._base.begin(self.fleet.instances)
        self._workers.dollars_per_hour = self._price() * self.fleet.slots
        try:
            self._workers.adopt(statuses)
            self._flights.update(adopt_runs(runs, self._base.reader, self._dispatcher.known, self._reopened))
        except ServiceError as error:
            raise BackendError(f"The experiment's runs cannot be listed ({error})") from error

    def start(self, run: Run, config: Config) -> None:
        """Queue the run; it is posted in :meth:`wait`."""
        order = JobOrder(run=run, config=config, dollars_per_hour=self._price())
        self._flights[run.trial_id] = self._flight(order)

    def pause(self, trial_id: int) -> None:
        """Ask the run to end; its checkpoint is kept."""
        self._hearing.wants(trial_id, PAUSE)

    def stop(self, trial_id: int) -> None:
        """Ask the run to end."""
        self._hearing.wants(trial_id, STOP)

    def free_workers(self) -> int:
        """Workers without a run, and places in the queue before them; a run keeps its own until its end is known."""
        return self._n_runs - len(self._flights)

    def wait(self, timeout: float) -> Sequence[Reported | Ended]:
        """Post runs, carry wishes out, look at jobs, leases and reports until something happened.

        Raises
        ------
        BackendError
            Credentials, permissions or a quota of zero make all work impossible, or jobs fail one after the other.
        """
        return self._hearing.wait(timeout, lambda: self._step(len(self._flights)), self._sleep)

    def logs(self, trial_id: int) -> str:
        """What the trial's runs printed, as their workers stored it: the last MiB of each."""
        try:
            return run_logs(self._base.objects, trial_id)
        except ServiceError as error:
            return f"The logs cannot be read: {error}"

    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint's objects; a failure is noted, not raised."""
        self._base.delete_checkpoint(checkpoint)

    def summary(self) -> BackendSummary:
        """Jobs of workers, calls, seconds and dollars; after :meth:`close` as the service billed them."""
        jobs = [job for job in self._workers.jobs if job.is_created]
        return self._base.accounts.summary(self._base.session.calls, jobs)

    def close(self) -> None:
        """End all runs so that they can be continued, end the jobs, settle the bill, leave the endpoint.

        After an interruption of :meth:`wait` runs and jobs are only told to end; an interruption of this method ends it
        at once, too. A notice then says what runs on, and how to end it.
        """
        if self._is_closed:
            return
        self._is_closed = True
        at_once = self._hearing.is_interrupted
        self._base.close(self._leave_all if at_once else self._end_all, self._say_left, at_once=at_once)

    def _reopened(self, open_run: OpenRun, retry: int) -> TrackedRun:
        order = JobOrder(
            run=open_run.run, config=open_run.config, retry=retry, dollars_per_hour=self._price()
        )
        return self._flight(order)

    def _flight(self, order: JobOrder) -> TrackedRun:
        """A queued run, billed for its training alone: the rest is the jobs'."""
        speed = self._base.session.endpoint.speed
        return TrackedRun(order=order, speed=speed, billed_from=math.inf, created=time.time())

    def _step(self, n_wanted: int) -> None:
        self._show_life()
        lost = self._workers.step(n_wanted)
        queued = [flight for flight in self._flights.values() if not flight.is_created]
        if queued:
            self._base.tolerate(lambda: self._dispatcher.post(queued))
        for flight in list(self._flights.values()):
            self._carry_out(flight)
        now = time.monotonic()
        if self._flights and (lost or now >= self._look_at):
            self._look_at = now + self._look_pause
            self._base.tolerate(lambda: self._dispatcher.look(self._flights.values(), lost))
        if self._flights and now >= self._reports_at:
            self._reports_at = now + self._report_pause
            self._base.tolerate(self._base.reader.poll)
        self._hearing.hear(self._hearing.created, self._settle)

    def _show_life(self) -> None:
        """Let the workers know that there is a tuner."""
        if time.monotonic() >= self._session_at:
            self._session_at = time.monotonic() + _SESSION_SECONDS
            self._n_signs += 1
            sign = f"{time.time()} {self._n_signs}".encode("ascii")
            self._base.tolerate(lambda: self._base.objects.put(s3_keys.SESSION, sign))

    def _carry_out(self, flight: TrackedRun) -> None:
        """Take a run that waits back, tell one that runs what is wanted, and take one away that does not obey."""
        if not flight.wish or not flight.is_created or flight.is_over:
            return
        if not flight.is_wish_sent and not flight.is_at_until:
            self._base.tolerate(lambda: self._dispatcher.tell(flight))
        grace = self._base.patience(self._settings.stop_grace)
        if not flight.is_over and time.monotonic() - flight.wished_at > grace:
            self._base.tolerate(lambda: self._dispatcher.force(flight))

    def _settle(self, flight: TrackedRun) -> None:
        """End a run when it is over."""
        if flight.end is None and not flight.is_over:
            return
        mark_over(flight)
        endings = self._base.endings
        conclusion = endings.never_begun(flight) if flight.is_withdrawn else endings.conclude(flight)
        self._dispatcher.forget(flight)
        if flight.end is not None:
            self._workers.run_ended()
        if isinstance(conclusion, TrackedRun):
            conclusion.billed_from, conclusion.created = math.inf, time.time()
        self._hearing.conclude(flight, conclusion)

    def _end_all(self) -> None:
        """Ask all runs and jobs to end, and wait for them a bounded time."""
        for trial_id, flight in list(self._flights.items()):
            if flight.is_created:
                flight.wants(RELEASE)
            else:
                del self._flights[trial_id]
        seconds = self._base.patience(self._settings.close_seconds, answers=2)
        deadline = time.monotonic() + seconds
        while (self._flights or self._workers.jobs) and time.monotonic() < deadline:
            self._workers.drain_all()
            self._step(0)
            if time.monotonic() > deadline - seconds / 2:
                self._workers.stop_all()
            self._sleep(deadline)
        if self._workers.jobs:
            self._say_left("WARNING: these jobs have not ended")

    def _leave_all(self) -> None:
        """Tell all jobs and runs to end, as far as that goes without waiting."""
        try:
            self._workers.drain_all()
            flights = self._hearing.created
            for flight in flights:
                flight.wants(RELEASE)
            in_parallel(self._dispatcher.tell, flights)
        finally:
            self._say_left("WARNING: ended at once: these jobs were told to end, and nobody waited for it")

    def _say_left(self, what: str) -> None:
        self._base.say_left(what, self._workers.jobs)

    def _sleep(self, deadline: float) -> None:
        """Sleep until there may be something to do, but not beyond ``deadline``."""
        times = [deadline, time.monotonic() + self.clock.max_wait, self._workers.next_at]
        if self._flights:
            times += [self._look_at, self._reports_at]
        time.sleep(max(self._settings.min_interval / 10, min(times) - time.monotonic()))

    def _price(self) -> float:
        """Dollars per hour of one worker."""
        return self._base.price({}) * self._settings.billed_share / self.fleet.slots


def refuse_what_workers_cannot(settings: SageMakerSettings, workers: WorkerSettings | None = None) -> None:
    """Raise where a run needs more than a worker has.

    Parameters
    ----------
    settings
        Of the runs.
    workers
        None: as they are by default.

    Raises
    ------
    SettingsError
        A run needs several instances or an isolated one, or spot jobs of workers would not live to their end.
    """
    if settings.instance_count > 1:
        raise SettingsError(
            f"A worker is one instance, and each trial needs {settings.instance_count}: use --execution jobs"
        )
    if settings.channel != S3:
        raise SettingsError(
            "Workers take runs over S3, which the channel logs does without: use --execution jobs"
        )
    job_seconds = (workers or WorkerSettings()).job_seconds
    if settings.spot and settings.max_wait_seconds is not None and settings.max_wait < job_seconds:
        raise SettingsError(
            f"max_wait is for jobs of workers here, and must be at least the time of one, {job_seconds} s, which it "
            f"includes, not {settings.max_wait}: give more, leave it out, or use --execution jobs"
        )
