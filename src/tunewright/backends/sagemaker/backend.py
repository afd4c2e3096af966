"""SageMakerBackend: each run is a training job."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, final

from tunewright.aws import AwsSession, S3Objects, ServiceError
from tunewright.backends.runner.channel import PAUSE, RELEASE, STOP, End
from tunewright.backends.sagemaker.accounts import Accounts
from tunewright.backends.sagemaker.attaching import attach_run
from tunewright.backends.sagemaker.channel import (
    ReportReader,
    delete_checkpoint,
    send_wish,
)
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
from tunewright.backends.sagemaker.requests import JobOrder, build_request
from tunewright.backends.sagemaker.service import CreateOutcome, JobService, JobStatus, PoolStatus
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.clock import WallClock
from tunewright.exceptions import BackendError
from tunewright.interfaces import Backend
from tunewright.trial import BackendSummary, Checkpoint, Ended, OpenRun, Reported, Run
from tunewright.types import Config

REPORT_SECONDS: Final = 2.0
"""Service seconds between two listings of the reports."""
STATUS_SECONDS: Final = 15.0
"""Service seconds between two listings of the jobs while nothing is expected of them."""
ENDING_SECONDS: Final = 5.0
"""The same while a job is known to be ending, whose worker is waited for."""
FULL_SECONDS: Final = 30.0
"""Service seconds until the next job is created after the account's limit was reached."""
POOL_SECONDS: Final = 30.0
"""Service seconds that a finished job's instances may take to become a warm pool."""
CLOSE_SECONDS: Final = 180.0
"""Service seconds that jobs have to end when the backend is closed, after which they are left to the service."""
_LIST_MARGIN: Final = 1.05
"""Keeps ListTrainingJobs under one request a second."""


@final
class SageMakerBackend(Backend):
    """Runs trials as SageMaker training jobs, on AWS or on any endpoint that speaks its protocol.

    Reports come through S3 listings, statuses from end markers and ListTrainingJobs; no request is made per job
    while all goes well. Everything happens in the calling thread, in :meth:`wait`. Failures of the service
    (capacity, limits, throttling, lost answers) are waited for or retried, and show as notices of the summary.

    The backend owns the session: :meth:`close` closes it.

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
    """

    def __init__(
        self, script: TrainingScript, *, experiment: str, session: AwsSession, settings: SageMakerSettings
    ) -> None:
        self.clock = WallClock()
        self._session = session
        self._settings = settings
        self._code = bundle(script, session.endpoint, settings)
        self.deployment: Final = describe_deployment(session, experiment, settings, self._code)
        self._objects: S3Objects = session.objects(self.deployment.bucket, self.deployment.prefix)
        self._service = JobService(session, self.deployment.job_prefix)
        self._reader = ReportReader(self._objects)
        self._accounts = Accounts(self._service, settings)
        self._endings = Endings(self._service, self._objects, settings, self._accounts.notify)
        self._flights: dict[int, Flight] = {}
        self._events: deque[Reported | Ended] = deque()
        self._create_at = 0.0
        self._reports_at = 0.0
        self._statuses_at = 0.0
        self._is_closed = False

    def attach(self, runs: Sequence[OpenRun]) -> None:
        """Store the code, then find the runs' jobs with one listing of jobs and one of reports.

        Raises
        ------
        BackendError
            The bucket or the jobs cannot be used.
        """
        deploy(self._session, self.deployment, self._code, self._settings, self._accounts.notify)
        if not runs:
            return
        try:
            statuses = self._service.list_jobs()
        except ServiceError as error:
            raise BackendError(f"The jobs of the experiment cannot be listed ({error})") from error
        self._accounts.update(statuses)
        for open_run in runs:
            self._attach(open_run, statuses)
        found = [flight.created for flight in self._flights.values() if flight.is_created]
        self._reader.begin_at(min(found, default=time.time()))

    def start(self, run: Run, config: Config) -> None:
        """Queue the run; its job is created in :meth:`wait` as soon as the service's rate allows it."""
        order = JobOrder(run=run, config=config, dollars_per_hour=self._price(config))
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
        deadline = time.monotonic() + timeout
        while True:
            self._step()
            now = time.monotonic()
            if self._events or now >= deadline:
                events = list(self._events)
                self._events.clear()
                return events
            time.sleep(max(0.0, min(deadline, self._next_step()) - now))

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
        """End all jobs (their runs can be continued), release the warm pools, settle the bill, leave the endpoint."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._end_all()
            self._accounts.close()
        except (BackendError, ServiceError) as error:
            self._accounts.notify(f"WARNING: jobs or warm pools may be left running ({error})")
        finally:
            self._session.close()

    # -- one step -----------------------------------------------------------------------------------------------

    def _step(self) -> None:
        for flight in list(self._flights.values()):
            self._carry_out(flight)
        self._create_due()
        now = time.monotonic()
        created = [flight for flight in self._flights.values() if flight.is_created]
        if not created:
            return
        if now >= self._statuses_at:
            self._tolerate(lambda: self._read_statuses(created))
        if now >= self._reports_at:
            self._reports_at = now + self._seconds(REPORT_SECONDS)
            self._tolerate(self._read_reports)
        for flight in created:
            self._tolerate(lambda flight=flight: self._settle(flight))

    def _next_step(self) -> float:
        """Monotonic second at which there may be something to do."""
        now = time.monotonic()
        queued = [f.not_before for f in self._flights.values() if not f.is_created]
        times = [max(min(queued), self._create_at, now + self._service.create_delay())] if queued else []
        if len(queued) < len(self._flights):
            times += [self._reports_at, self._statuses_at]
        return min(times, default=now + self.clock.max_wait)

    def _tolerate(self, work: Callable[[], None]) -> None:
        """Do what may fail for passing reasons and is done again in the next step."""
        try:
            work()
        except ServiceError as error:
            if error.is_denied:
                raise BackendError(f"{error}: renew the credentials or permissions, then resume") from error
            self._accounts.notify(f"The service has trouble ({error}); going on")

    def _seconds(self, service_seconds: float) -> float:
        return self._session.endpoint.seconds(service_seconds, at_least=self._settings.min_interval)

    # -- creating -----------------------------------------------------------------------------------------------

    def _create_due(self) -> None:
        for flight in list(self._flights.values()):
            now = time.monotonic()
            if flight.is_created or now < max(flight.not_before, self._create_at):
                continue
            if self._service.create_delay() > 0:
                return
            self._tolerate(lambda flight=flight: self._create(flight))

    def _create(self, flight: Flight) -> None:
        request = build_request(flight.order, self.deployment, self._settings)
        if request.config_key:
            self._objects.put(request.config_key, request.config_body)
        began = time.time()
        outcome, text = self._service.create(request)
        if text and outcome is not CreateOutcome.REFUSED:
            self._accounts.notify(text)
        if outcome is CreateOutcome.RUNNING:
            flight.is_created = True
            flight.created = began
            self._accounts.created(flight)
            self._statuses_at = max(self._statuses_at, time.monotonic() + self._seconds(ENDING_SECONDS))
        elif outcome is CreateOutcome.REFUSED:
            self._finish(flight, flight.ended(exit_code=1, error=text))
        else:
            flight.is_uncertain = flight.is_uncertain or outcome is CreateOutcome.UNKNOWN
            pause = FULL_SECONDS if outcome is CreateOutcome.LATER else REPORT_SECONDS
            self._create_at = time.monotonic() + self._seconds(pause)

    # -- wishes -------------------------------------------------------------------------------------------------

    def _wish(self, trial_id: int, wish: str) -> None:
        flight = self._flights.get(trial_id)
        if flight is None:
            return
        flight.wants(wish)
        if not flight.is_created and not flight.is_uncertain:
            self._finish(flight, self._endings.never_begun(flight))

    def _carry_out(self, flight: Flight) -> None:
        """Tell the job what is wanted; stop it by force when it does not obey."""
        if not flight.wish or not flight.is_created or flight.is_over:
            return
        if not flight.is_wish_sent:
            self._tolerate(lambda: self._send_wish(flight))
        grace = self._session.endpoint.seconds(
            self._settings.stop_grace, at_least=10 * self._settings.min_interval
        )
        if not flight.is_stop_sent and time.monotonic() - flight.wished_at > grace:
            self._tolerate(lambda: self._send_stop(flight))

    def _send_wish(self, flight: Flight) -> None:
        send_wish(self._objects, flight.name, flight.wish)
        flight.is_wish_sent = True

    def _send_stop(self, flight: Flight) -> None:
        self._service.stop(flight.name)
        flight.is_stop_sent = True

    # -- reading ------------------------------------------------------------------------------------------------

    def _read_reports(self) -> None:
        self._reader.poll()

    def _read_statuses(self, flights: Sequence[Flight]) -> None:
        is_ending = any(f.end or f.wish or f.terminal_since for f in flights)
        pause = self._seconds(ENDING_SECONDS if is_ending else STATUS_SECONDS)
        self._statuses_at = time.monotonic() + max(pause, _LIST_MARGIN * self._settings.min_interval)
        wanted = [flight.name for flight in flights]
        since = min(flight.created for flight in flights)
        statuses = self._service.list_jobs(wanted=wanted, since=since)
        self._accounts.update(statuses)
        for flight in flights:
            status = statuses.get(flight.name)
            if status is not None:
                flight.update(status)

    # -- settling -----------------------------------------------------------------------------------------------

    def _settle(self, flight: Flight) -> None:
        """Hand out what the run said, and end it when its job is over."""
        over_gaps = False
        has_gap = any(self._reader.box(name).has_gap for name in flight.names)
        is_silent = flight.is_over and flight.end is None and not self._reader.box(flight.name).waiting
        if has_gap or (is_silent and not flight.was_searched):
            self._reader.search_from(flight.created)
            flight.was_searched = flight.is_over
            over_gaps = True
        self._hand_out(flight, over_gaps=over_gaps)
        if flight.end is not None and not flight.is_over:
            quick = time.monotonic() + self._seconds(ENDING_SECONDS)
            self._statuses_at = min(self._statuses_at, quick)
        if flight.is_over and self._is_pool_settled(flight):
            self._end(flight)

    def _hand_out(self, flight: Flight, *, over_gaps: bool) -> None:
        for name in flight.names:
            for seq, message in self._reader.box(name).take(over_gaps=over_gaps):
                if not isinstance(message, End):
                    self._events.append(flight.reported(name.retry, seq, message))
                elif name == flight.name:
                    flight.end = message

    def _is_pool_settled(self, flight: Flight) -> bool:
        """Whether the next job would find the instances that this one used."""
        since = flight.terminal_since
        if not self._settings.warm_pool or flight.status is None or since is None:
            return True
        if flight.status.pool is PoolStatus.IN_USE:
            return time.monotonic() - since > self._session.endpoint.seconds(POOL_SECONDS)
        return True

    def _end(self, flight: Flight) -> None:
        conclusion = self._endings.conclude(flight)
        self._accounts.over(flight)
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

    # -- attaching and closing ----------------------------------------------------------------------------------

    def _attach(self, open_run: OpenRun, statuses: Mapping[JobName, JobStatus]) -> None:
        flight = attach_run(
            open_run,
            statuses,
            dollars_per_hour=self._price(open_run.config),
            speed=self._session.endpoint.speed,
        )
        self._reader.box(replace(flight.name, retry=open_run.retry)).taken = open_run.seen
        self._flights[open_run.run.trial_id] = flight
        if flight.is_created:
            self._accounts.adopted(flight)
        elif flight.wish:
            self._finish(flight, self._endings.never_begun(flight))

    def _end_all(self) -> None:
        """Ask all jobs to end so that their runs can be continued, and wait for them a bounded time."""
        for trial_id, flight in list(self._flights.items()):
            if flight.is_created or flight.is_uncertain:
                flight.wants(RELEASE)
            else:
                del self._flights[trial_id]
        deadline = time.monotonic() + self._seconds(CLOSE_SECONDS) + self._seconds(self._settings.stop_grace)
        while time.monotonic() < deadline:
            self._step()
            self._events.clear()
            if not self._flights:
                return
            time.sleep(max(0.0, min(deadline, self._next_step()) - time.monotonic()))
        left = ", ".join(self._service.name(flight.name) for flight in self._flights.values())
        self._accounts.notify(f"WARNING: these jobs have not ended: {left}")

    def _price(self, config: Config) -> float:
        price = dollars_per_hour(config, self._settings)
        if price is None:
            self._accounts.notify(
                "The price of this instance type is not known: give price_per_hour for costs"
            )
        return price or 0.0
