"""SageMakerBackend: each run is a training job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.backends.sagemaker.attaching import attach_run
from tunewright.backends.sagemaker.context import SageMakerContext
from tunewright.backends.sagemaker.deployment import TrainingScript
from tunewright.backends.sagemaker.event_queue import EventQueue, StatusPoller
from tunewright.backends.sagemaker.job_service import PoolStatus, is_capacity_failure
from tunewright.backends.sagemaker.jobs import JobCreator
from tunewright.backends.sagemaker.requests import JobOrder
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.backends.sagemaker.transport import SKEW_SECONDS
from tunewright.clock import WallClock
from tunewright.interfaces import Backend
from tunewright.runner.channel import PAUSE, RELEASE, STOP
from tunewright.trial import BackendSummary, Checkpoint, Ended, OpenRun, Reported, Run
from tunewright.types import Config

POOL_SECONDS: Final = 30.0
"""Service seconds that a finished job's instances may take to become a warm pool."""


@final
class SageMakerBackend(Backend):
    """Runs trials as SageMaker training jobs, on AWS or on any endpoint that speaks its protocol.

    Reports come through S3 listings, or through the log where jobs have no network, statuses from end markers and
    ListTrainingJobs; no request is made per job while all goes well. Everything happens in the calling thread, in :meth:`wait`. Failures of the service
    (capacity, limits, throttling, lost answers) are waited for or retried, and show as notices of the summary.

    The backend owns the session: :meth:`close` closes it.

    Attributes
    ----------
    deployment
        Role, bucket, image and names.

    Parameters
    ----------
    script
        What the jobs run.
    experiment
        Any name; job names and S3 keys are made from it, and the same name finds the jobs again.
    session
        From :func:`tunewright.aws.open_session`.
    settings
        Instances, limits, warm pool.

    Raises
    ------
    BackendError
        There is no role or no image.
    SettingsError
        There is no such script.
    """

    def __init__(
        self, script: TrainingScript, *, experiment: str, session: AwsSession, settings: SageMakerSettings
    ) -> None:
        self.clock = WallClock()
        self._base = base = SageMakerContext(script, experiment, session, settings)
        self.deployment: Final = base.deployment
        self._settings = settings
        self._watcher = StatusPoller(base.service, base.reader, settings, session, base.accounts)
        self._creator = JobCreator(
            base.service,
            base.objects,
            self.deployment,
            settings,
            session.endpoint,
            base.accounts,
            base.line.build,
        )
        self._hearing = EventQueue(base.reader, base.endings, base.tolerate)
        self._flights = self._hearing.flights
        self._is_closed = False

    def attach(self, runs: Sequence[OpenRun]) -> None:
        """Store the code, then find the runs' jobs with one listing of jobs and one of reports.

        Raises
        ------
        BackendError
            The bucket or the jobs cannot be used.
        """
        base = self._base
        statuses = base.begin(self._settings.n_workers * self._settings.instance_count)
        for open_run in runs:
            speed = base.session.endpoint.speed
            flight = attach_run(open_run, statuses, self._settings, price=base.price, speed=speed)
            base.reader.box(replace(flight.name, retry=open_run.retry)).taken = open_run.seen
            self._flights[open_run.run.trial_id] = flight
            if flight.is_created:
                base.accounts.owns(flight)
            elif flight.wish:
                self._hearing.finish(flight, base.endings.never_begun(flight))
        found = [flight.created for flight in self._hearing.created]
        base.reader.begin_at(min(found, default=time.time() - SKEW_SECONDS))

    def start(self, run: Run, config: Config) -> None:
        """Queue the run; its job is created in :meth:`wait` as soon as the service's rate allows it."""
        order = JobOrder(
            run=run,
            config=config,
            dollars_per_hour=self._base.price(config),
            billed_share=self._settings.billed_share,
        )
        self._flights[run.trial_id] = TrackedRun(order=order, speed=self._base.session.endpoint.speed)

    def pause(self, trial_id: int) -> None:
        """Ask the run to end; its checkpoint is kept."""
        self._hearing.wants(trial_id, PAUSE)

    def stop(self, trial_id: int) -> None:
        """Ask the run to end."""
        self._hearing.wants(trial_id, STOP)

    def free_workers(self) -> int:
        """Workers without a run; a run keeps its worker until its job is terminal."""
        return self._settings.n_workers - len(self._flights)

    def wait(self, timeout: float) -> Sequence[Reported | Ended]:
        """Create jobs, carry wishes out and look at reports and statuses until something happened.

        Raises
        ------
        BackendError
            Credentials, permissions or a quota of zero make all work impossible.
        """
        return self._hearing.wait(timeout, self._step, self._sleep)

    def logs(self, trial_id: int) -> str:
        """The CloudWatch logs of the trial's jobs; one request per page."""
        try:
            return self._base.service.logs(trial_id)
        except ServiceError as error:
            return f"The logs cannot be read: {error}"

    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint's objects; a failure is noted, not raised."""
        self._base.delete_checkpoint(checkpoint)

    def summary(self) -> BackendSummary:
        """Jobs, calls, seconds and dollars; after :meth:`close` as the service billed them."""
        return self._base.accounts.summary(self._base.session.calls, self._flights.values())

    def close(self) -> None:
        """End all jobs (their runs can be continued), release the warm pools, settle the bill, leave the endpoint.

        After an interruption of :meth:`wait` the jobs are only told to end; an interruption of this method ends it at
        once, too. A notice then says what runs on, and how to end it.
        """
        if self._is_closed:
            return
        self._is_closed = True
        at_once = self._hearing.is_interrupted
        self._base.close(self._leave_all if at_once else self._end_all, self._say_left, at_once=at_once)

    def _step(self) -> None:
        for flight in list(self._flights.values()):
            self._carry_out(flight)
        while (flight := self._creator.next_queued(self._flights.values())) is not None:
            self._base.tolerate(lambda flight=flight: self._create(flight))
        flights = self._hearing.created
        if flights:
            self._watcher.look(flights)
        self._hearing.hear(flights, self._settle)

    def _sleep(self, deadline: float) -> None:
        """Sleep until there may be something to do, but not beyond ``deadline``."""
        times = [deadline, time.monotonic() + self.clock.max_wait]
        is_created = [flight.is_created for flight in self._flights.values()]
        if not all(is_created):
            times.append(self._creator.next_for(self._flights.values()))
        if any(is_created):
            times.append(self._watcher.next_at)
        time.sleep(max(0.0, min(times) - time.monotonic()))

    def _create(self, flight: TrackedRun) -> None:
        refusal = self._creator.create(flight)
        if refusal:
            self._hearing.finish(flight, flight.ended(exit_code=1, error=refusal))

    def _carry_out(self, flight: TrackedRun) -> None:
        """Tell the job what is wanted unless it ends anyway; stop it by force when it does not obey."""
        if not flight.wish or not flight.is_created or flight.is_over:
            return
        if not flight.is_wish_sent and not flight.is_at_until:
            self._base.tolerate(lambda: self._send_wish(flight))
        grace = self._base.patience(self._settings.stop_grace)
        if not flight.is_stop_sent and time.monotonic() - flight.wished_at > grace:
            self._base.tolerate(lambda: self._send_stop(flight))

    def _send_wish(self, flight: TrackedRun) -> None:
        self._base.line.send_wish(flight.name, flight.wish)
        flight.is_wish_sent = True

    def _send_stop(self, flight: TrackedRun) -> None:
        self._base.service.stop(flight.name)
        flight.is_stop_sent = True

    def _settle(self, flight: TrackedRun) -> None:
        """End a run when its job is over."""
        if flight.end is not None and not flight.is_over:
            self._watcher.expect_end()
        if flight.is_over and self._is_pool_settled(flight):
            self._end(flight)

    def _is_pool_settled(self, flight: TrackedRun) -> bool:
        """Whether the next job would find the instances that this one used, or will not find them at all."""
        status, since = flight.status, flight.terminal_since
        if not self._settings.warm_pool or status is None or since is None:
            return True
        is_late = time.monotonic() - since > self._base.session.endpoint.seconds(POOL_SECONDS)
        return status.pool is not PoolStatus.IN_USE or is_late

    def _end(self, flight: TrackedRun) -> None:
        conclusion = self._base.endings.conclude(flight)
        self._base.accounts.over(flight)
        if is_capacity_failure(flight.reason):
            self._creator.types.lacks(flight.order)
        else:
            self._creator.types.works(flight.order)
        self._hearing.conclude(flight, conclusion)

    def _end_all(self) -> None:
        """Ask all jobs to end so that their runs can be continued, and wait for them a bounded time."""
        for trial_id, flight in list(self._flights.items()):
            if flight.is_created or flight.is_uncertain:
                flight.wants(RELEASE)
            else:
                del self._flights[trial_id]
        deadline = time.monotonic() + self._base.patience(self._settings.close_seconds, answers=2)
        while self._flights and time.monotonic() < deadline:
            self._step()
            if self._flights:
                self._sleep(deadline)
        if self._flights:
            self._say_left("WARNING: these jobs have not ended")

    def _leave_all(self) -> None:
        """Tell all jobs to end, as far as that goes without waiting."""
        try:
            for flight in self._flights.values():
                if flight.may_run:
                    flight.wants(RELEASE)
                    self._send_wish(flight)
        finally:
            self._say_left("WARNING: ended at once: these jobs were told to end, and nobody waited for it")

    def _say_left(self, what: str) -> None:
        self._base.say_left(what, self._flights.values())
