"""SageMakerBackend: each run is a training job."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.backends.runner.channel import PAUSE, RELEASE, STOP, End
from tunewright.backends.sagemaker.accounts import Accounts
from tunewright.backends.sagemaker.attaching import attach_run
from tunewright.backends.sagemaker.channel import (
    OVERLAP_SECONDS,
    SHORTEST_OVERLAP,
    SKEW_SECONDS,
    ReportReader,
    delete_checkpoint,
    send_wish,
)
from tunewright.backends.sagemaker.creating import Creator
from tunewright.backends.sagemaker.deployment import (
    TrainingScript,
    bundle,
    deploy,
    describe_deployment,
    dollars_per_hour,
)
from tunewright.backends.sagemaker.endings import Endings
from tunewright.backends.sagemaker.flight import Flight
from tunewright.backends.sagemaker.names import JobName
from tunewright.backends.sagemaker.requests import JobOrder
from tunewright.backends.sagemaker.service import JobService, PoolStatus, is_capacity_failure
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.watching import BEGINNING_SECONDS, CLOSING_SECONDS, Watcher, insist
from tunewright.clock import WallClock
from tunewright.exceptions import BackendError
from tunewright.interfaces import Backend
from tunewright.trial import BackendSummary, Checkpoint, Ended, OpenRun, Reported, Run
from tunewright.types import Config

POOL_SECONDS: Final = 30.0
"""Service seconds that a finished job's instances may take to become a warm pool."""
_SHORTEST_PATIENCE: Final = 10
"""Times the least interval: what a runner needs at the least to hear, to save its checkpoint and to answer."""

_T = TypeVar("_T")


@final
class SageMakerBackend(Backend):
    """Runs trials as SageMaker training jobs, on AWS or on any endpoint that speaks its protocol.

    Reports come through S3 listings, statuses from end markers and ListTrainingJobs; no request is made per job
    while all goes well. Everything happens in the calling thread, in :meth:`wait`. Failures of the service
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
        endpoint = session.endpoint
        self._session = session
        session.send_once()
        self._settings = settings
        self._code = bundle(script, endpoint, settings)
        self.deployment: Final = describe_deployment(session, experiment, settings, self._code)
        self._objects = session.objects(self.deployment.bucket, self.deployment.prefix)
        self._service = JobService(session, self.deployment.job_prefix)
        self._accounts = Accounts(self._service, settings)
        overlap = endpoint.seconds(OVERLAP_SECONDS, at_least=SHORTEST_OVERLAP)
        self._reader = ReportReader(self._objects, overlap=overlap)
        self._watcher = Watcher(self._service, self._reader, settings, session, self._accounts)
        self._creator = Creator(
            self._service, self._objects, self.deployment, settings, endpoint, self._accounts
        )
        self._endings = Endings(self._service, self._objects, settings, self._accounts.notify)
        self._flights: dict[int, Flight] = {}
        self._events: deque[Reported | Ended] = deque()
        self._is_closed = False
        self._is_hurried = False

    def attach(self, runs: Sequence[OpenRun]) -> None:
        """Store the code, then find the runs' jobs with one listing of jobs and one of reports.

        Raises
        ------
        BackendError
            The bucket or the jobs cannot be used.
        """
        deploy(self._session, self.deployment, self._code, self._settings, self._accounts.notify)
        try:
            statuses = self._insist(self._service.list_jobs, BEGINNING_SECONDS)
            self._insist(lambda: self._accounts.recall(statuses), BEGINNING_SECONDS)
        except ServiceError as error:
            raise BackendError(f"The jobs of the experiment cannot be listed ({error})") from error
        for open_run in runs:
            speed = self._session.endpoint.speed
            flight = attach_run(open_run, statuses, self._settings, price=self._price, speed=speed)
            self._reader.box(replace(flight.name, retry=open_run.retry)).taken = open_run.seen
            self._flights[open_run.run.trial_id] = flight
            if flight.is_created:
                self._accounts.owns(flight)
            elif flight.wish:
                self._finish(flight, self._endings.never_begun(flight))
        found = [flight.created for flight in self._flights.values() if flight.is_created]
        self._reader.begin_at(min(found, default=time.time() - SKEW_SECONDS))

    def start(self, run: Run, config: Config) -> None:
        """Queue the run; its job is created in :meth:`wait` as soon as the service's rate allows it."""
        order = JobOrder(
            run=run,
            config=config,
            dollars_per_hour=self._price(config),
            billed_share=self._settings.billed_share,
        )
        self._flights[run.trial_id] = Flight(order=order, speed=self._session.endpoint.speed)

    def pause(self, trial_id: int) -> None:
        """Ask the run to end; its checkpoint is kept."""
        self._wish(trial_id, PAUSE)

    def stop(self, trial_id: int) -> None:
        """Ask the run to end."""
        self._wish(trial_id, STOP)

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
        try:
            return self._wait(timeout)
        except KeyboardInterrupt:  # the second one: from now on nothing is waited for
            self._is_hurried = True
            raise

    def _wait(self, timeout: float) -> Sequence[Reported | Ended]:
        deadline = time.monotonic() + timeout
        while True:
            self._step()
            if self._events or time.monotonic() >= deadline:
                events = list(self._events)
                self._events.clear()
                return events
            self._sleep(deadline)

    def logs(self, trial_id: int) -> str:
        """The CloudWatch logs of the trial's jobs; one request per page."""
        try:
            return self._service.logs(trial_id)
        except ServiceError as error:
            return f"The logs cannot be read: {error}"

    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint's objects; a failure is noted, not raised."""
        try:
            delete_checkpoint(self._objects, checkpoint.trial_id, checkpoint.resource)
        except ServiceError as error:
            self._accounts.notify(f"A checkpoint of trial {checkpoint.trial_id} cannot be deleted ({error})")

    def summary(self) -> BackendSummary:
        """Jobs, calls, seconds and dollars; after :meth:`close` as the service billed them."""
        return self._accounts.summary(self._session.calls, self._flights.values())

    def close(self) -> None:
        """End all jobs (their runs can be continued), release the warm pools, settle the bill, leave the endpoint.

        After an interruption of :meth:`wait` the jobs are only told to end; an interruption of this method ends it at
        once, too. A notice then says what runs on, and how to end it.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._is_hurried:
                self._leave_all()
            else:
                self._end_all()
                self._insist(self._accounts.close, CLOSING_SECONDS)
        except KeyboardInterrupt:
            self._say_left("WARNING: ended at once, while these jobs were told to end")
            raise
        except (BackendError, ServiceError) as error:
            self._accounts.notify(f"WARNING: jobs or warm pools may be left running ({error})")
        finally:
            self._session.close()

    def _step(self) -> None:
        for flight in list(self._flights.values()):
            self._carry_out(flight)
        while (flight := self._creator.next_queued(self._flights.values())) is not None:
            self._watcher.tolerate(lambda flight=flight: self._create(flight))
        flights = [flight for flight in self._flights.values() if flight.is_created]
        if flights:
            self._watcher.look(flights)
        self._hear(flights)
        for flight in flights:
            if not flight.is_silent:
                self._watcher.tolerate(lambda flight=flight: self._settle(flight))

    def _sleep(self, deadline: float) -> None:
        """Sleep until there may be something to do, but not beyond ``deadline``."""
        times = [deadline, time.monotonic() + self.clock.max_wait]
        is_created = [flight.is_created for flight in self._flights.values()]
        if not all(is_created):
            times.append(self._creator.next_for(self._flights.values()))
        if any(is_created):
            times.append(self._watcher.next_at)
        time.sleep(max(0.0, min(times) - time.monotonic()))

    def _create(self, flight: Flight) -> None:
        refusal = self._creator.create(flight)
        if refusal:
            self._finish(flight, flight.ended(exit_code=1, error=refusal))

    def _wish(self, trial_id: int, wish: str) -> None:
        flight = self._flights.get(trial_id)
        if flight is None:
            return
        flight.wants(wish)
        if not flight.is_created and not flight.is_uncertain:
            self._finish(flight, self._endings.never_begun(flight))

    def _carry_out(self, flight: Flight) -> None:
        """Tell the job what is wanted unless it ends anyway; stop it by force when it does not obey."""
        if not flight.wish or not flight.is_created or flight.is_over:
            return
        if not flight.is_wish_sent and not flight.is_at_until:
            self._watcher.tolerate(lambda: self._send_wish(flight))
        shortest = _SHORTEST_PATIENCE * self._settings.min_interval
        grace = self._session.endpoint.seconds(self._settings.stop_grace, at_least=shortest)
        if not flight.is_stop_sent and time.monotonic() - flight.wished_at > grace:
            self._watcher.tolerate(lambda: self._send_stop(flight))

    def _send_wish(self, flight: Flight) -> None:
        send_wish(self._objects, flight.name, flight.wish)
        flight.is_wish_sent = True

    def _send_stop(self, flight: Flight) -> None:
        self._service.stop(flight.name)
        flight.is_stop_sent = True

    def _hear(self, flights: Sequence[Flight]) -> None:
        """Hand out what the runs said."""
        for flight in flights:
            self._hand_out(flight, over_gaps=False)
        missed = [f for f in flights if f.is_silent or self._reader.needs_search(f.names)]
        if missed:
            self._watcher.tolerate(lambda: self._search(missed))

    def _search(self, flights: Sequence[Flight]) -> None:
        """One thorough listing for all of which something is missing."""
        is_over = [flight.is_over for flight in flights]
        self._reader.search_from(min(flight.created for flight in flights))
        for flight, was_over in zip(flights, is_over, strict=True):
            flight.was_searched = was_over
            self._hand_out(flight, over_gaps=True)

    def _settle(self, flight: Flight) -> None:
        """End a run when its job is over."""
        if flight.end is not None and not flight.is_over:
            self._watcher.expect_end()
        if flight.is_over and self._is_pool_settled(flight):
            self._end(flight)

    def _hand_out(self, flight: Flight, *, over_gaps: bool) -> None:
        newest = self._reader.newest_retry(flight.name)
        flight.live_on(newest)
        for name in flight.names:
            for seq, message in self._reader.box(name).take(over_gaps=over_gaps):
                if not isinstance(message, End):
                    self._events.append(flight.reported(name.retry, seq, message))
                elif name.retry == newest:
                    flight.end = message

    def _is_pool_settled(self, flight: Flight) -> bool:
        """Whether the next job would find the instances that this one used, or will not find them at all."""
        status, since = flight.status, flight.terminal_since
        if not self._settings.warm_pool or status is None or since is None:
            return True
        is_late = time.monotonic() - since > self._session.endpoint.seconds(POOL_SECONDS)
        return status.pool is not PoolStatus.IN_USE or is_late

    def _end(self, flight: Flight) -> None:
        conclusion = self._endings.conclude(flight)
        self._accounts.over(flight)
        if is_capacity_failure(flight.reason):
            self._creator.types.lacks(flight.order)
        else:
            self._creator.types.works(flight.order)
        if isinstance(conclusion, Flight):
            self._flights[flight.order.run.trial_id] = conclusion
        else:
            self._finish(flight, conclusion)

    def _finish(self, flight: Flight, ended: Ended) -> None:
        """Free the worker; the end is the last event of the run."""
        del self._flights[flight.order.run.trial_id]
        for name in flight.names:
            self._reader.forget(name)
        self._events.append(ended)

    def _end_all(self) -> None:
        """Ask all jobs to end so that their runs can be continued, and wait for them a bounded time."""
        for trial_id, flight in list(self._flights.items()):
            if flight.is_created or flight.is_uncertain:
                flight.wants(RELEASE)
            else:
                del self._flights[trial_id]
        shortest = 2 * _SHORTEST_PATIENCE * self._settings.min_interval
        deadline = time.monotonic() + self._session.endpoint.seconds(
            self._settings.close_seconds, at_least=shortest
        )
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
        """Say which jobs may run on, and be billed."""
        left = [self._service.name(one.name) for one in self._flights.values() if one.may_run]
        pools = (
            " Warm pools are kept, and billed, until their time is over." if self._settings.warm_pool else ""
        )
        if left or pools:
            self._accounts.notify(
                f"{what}: {', '.join(left) or 'none'}.{pools} 'tunewright sagemaker cleanup' shows and ends what is left"
            )

    def _insist(self, work: Callable[[], _T], service_seconds: float) -> _T:
        return insist(work, self._session, service_seconds, self._settings.min_interval)

    def _price(self, config: Config, job: JobName | None = None) -> float:
        """Dollars per hour of a run's instances; those of the type that a job of it has, where that is known."""
        known = self._accounts.type_of(job) if job else ""
        price = dollars_per_hour(config, self._settings.on(known) if known else self._settings)
        if price is None:
            self._accounts.notify(
                "The price of this instance type is not known: give price_per_hour for costs"
            )
        return price or 0.0
