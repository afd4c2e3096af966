"""WorkersBackend: each run is a task that a worker takes."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.backends.runner import s3_keys
from tunewright.backends.runner.channel import PAUSE, RELEASE, STOP, End
from tunewright.backends.sagemaker.accounts import Accounts
from tunewright.backends.sagemaker.channel import (
    OVERLAP_SECONDS,
    SHORTEST_OVERLAP,
    ReportReader,
    delete_checkpoint,
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
from tunewright.backends.sagemaker.requests import JobOrder
from tunewright.backends.sagemaker.service import JobService
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.watching import (
    BEGINNING_SECONDS,
    CLOSING_SECONDS,
    insist,
    tolerate,
)
from tunewright.backends.sagemaker.workers.adopting import adopt_runs
from tunewright.backends.sagemaker.workers.dispatch import Dispatcher, mark_over, run_logs
from tunewright.backends.sagemaker.workers.fleet import WorkerFleet, names_of
from tunewright.backends.sagemaker.workers.request import WorkerRequests, of_workers
from tunewright.backends.sagemaker.workers.settings import WorkerSettings
from tunewright.backends.sagemaker.workers.sizing import plan_fleet
from tunewright.clock import WallClock
from tunewright.exceptions import BackendError, SettingsError
from tunewright.interfaces import Backend
from tunewright.trial import BackendSummary, Checkpoint, Ended, OpenRun, Reported, Run
from tunewright.types import Config

LOOK_SECONDS: Final = 10.0
"""Service seconds between two listings of tasks and leases."""
REPORT_SECONDS: Final = 1.0
"""Service seconds between two listings of the reports: a worker waits meanwhile for what is decided from them."""
_LOOKS_PER_LEASE: Final = 5
_SESSION_SECONDS: Final = 30.0
"""Real seconds between two signs of life for the workers."""
_SHORTEST_PATIENCE: Final = 10
"""Times the least interval: what a runner needs at the least to hear, to save its checkpoint and to answer."""

_T = TypeVar("_T")


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
        refuse_what_workers_cannot(settings)
        self.clock = WallClock()
        endpoint = session.endpoint
        self._session = session
        session.send_once()
        self._settings = settings
        self._code = bundle(script, endpoint, settings)
        self.deployment: Final = describe_deployment(session, experiment, settings, self._code)
        self._objects = session.objects(self.deployment.bucket, self.deployment.prefix)
        of_jobs = of_workers(self.deployment)
        service = JobService(session, of_jobs.job_prefix)
        self._service = service
        self._accounts = Accounts(service, settings)
        self._reader = ReportReader(
            self._objects, overlap=endpoint.seconds(OVERLAP_SECONDS, at_least=SHORTEST_OVERLAP)
        )
        self._endings = Endings(service, self._objects, settings, self._accounts.notify)
        self.fleet: Final = plan_fleet(
            settings.n_workers, settings.instance_type, workers.trials_per_instance
        )
        requests = WorkerRequests(workers, self.fleet.slots, endpoint)
        creator = Creator(service, self._objects, of_jobs, settings, endpoint, self._accounts, requests)
        self._dispatcher = Dispatcher(self._objects, settings, requests.lease, self._accounts.notify)
        self._look_pause = min(
            endpoint.seconds(LOOK_SECONDS, at_least=settings.min_interval), requests.lease / _LOOKS_PER_LEASE
        )
        self._workers = WorkerFleet(
            session, self._objects, service, creator, self._accounts, self.fleet, (workers, settings)
        )
        self._flights: dict[int, Flight] = {}
        self._events: deque[Reported | Ended] = deque()
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
        deploy(self._session, self.deployment, self._code, self._settings, self._accounts.notify)
        self._workers.dollars_per_hour = self._price() * self.fleet.slots
        try:
            statuses = self._insist(self._service.list_jobs, BEGINNING_SECONDS)
            self._insist(lambda: self._accounts.recall(statuses), BEGINNING_SECONDS)
            self._workers.adopt(statuses)
            self._flights = adopt_runs(runs, self._reader, self._dispatcher.known, self._reopened)
        except ServiceError as error:
            raise BackendError(f"The experiment's jobs and runs cannot be listed ({error})") from error

    def start(self, run: Run, config: Config) -> None:
        """Queue the run; it is posted in :meth:`wait`."""
        order = JobOrder(run=run, config=config, dollars_per_hour=self._price())
        self._flights[run.trial_id] = self._flight(order)

    def pause(self, trial_id: int) -> None:
        """Ask the run to end; its checkpoint is kept."""
        self._wish(trial_id, PAUSE)

    def stop(self, trial_id: int) -> None:
        """Ask the run to end."""
        self._wish(trial_id, STOP)

    def free_workers(self) -> int:
        """Workers without a run; a run keeps its worker until its end is known."""
        return self._settings.n_workers - len(self._flights)

    def wait(self, timeout: float) -> Sequence[Reported | Ended]:
        """Post runs, carry wishes out, look at jobs, leases and reports until something happened.

        Raises
        ------
        BackendError
            Credentials, permissions or a quota of zero make all work impossible, or jobs fail one after the other.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._step(len(self._flights))
            if self._events or time.monotonic() >= deadline:
                events = list(self._events)
                self._events.clear()
                return events
            self._sleep(deadline)

    def logs(self, trial_id: int) -> str:
        """What the trial's runs printed, as their workers stored it: the last MiB of each."""
        try:
            return run_logs(self._objects, trial_id)
        except ServiceError as error:
            return f"The logs cannot be read: {error}"

    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint's objects; a failure is noted, not raised."""
        try:
            delete_checkpoint(self._objects, checkpoint.trial_id, checkpoint.resource)
        except ServiceError as error:
            self._accounts.notify(f"A checkpoint of trial {checkpoint.trial_id} cannot be deleted ({error})")

    def summary(self) -> BackendSummary:
        """Jobs of workers, calls, seconds and dollars; after :meth:`close` as the service billed them."""
        return self._accounts.summary(
            self._session.calls, [job for job in self._workers.jobs if job.is_created]
        )

    def close(self) -> None:
        """End all runs so that they can be continued, end the jobs, settle the bill, leave the endpoint."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._end_all()
            self._insist(self._accounts.close, CLOSING_SECONDS)
        except (BackendError, ServiceError) as error:
            self._accounts.notify(f"WARNING: jobs may be left running ({error})")
        finally:
            self._session.close()

    def _reopened(self, open_run: OpenRun, retry: int) -> Flight:
        order = JobOrder(
            run=open_run.run, config=open_run.config, retry=retry, dollars_per_hour=self._price()
        )
        return self._flight(order)

    def _flight(self, order: JobOrder) -> Flight:
        """A queued run, billed for its training alone: the rest is the jobs'."""
        return Flight(
            order=order, speed=self._session.endpoint.speed, billed_from=math.inf, created=time.time()
        )

    def _step(self, n_wanted: int) -> None:
        self._show_life()
        lost = self._workers.step(n_wanted)
        queued = [flight for flight in self._flights.values() if not flight.is_created]
        if queued:
            self._tolerate(lambda: self._dispatcher.post(queued))
        for flight in list(self._flights.values()):
            self._carry_out(flight)
        now = time.monotonic()
        if self._flights and (lost or now >= self._look_at):
            self._look_at = now + self._look_pause
            self._tolerate(lambda: self._dispatcher.look(self._flights.values(), lost))
        if self._flights and now >= self._reports_at:
            self._reports_at = now + self._session.endpoint.seconds(
                REPORT_SECONDS, at_least=self._settings.min_interval
            )
            self._tolerate(self._reader.poll)
        flights = [flight for flight in self._flights.values() if flight.is_created]
        self._hear(flights)
        for flight in (flight for flight in flights if not flight.is_silent):
            self._tolerate(lambda flight=flight: self._settle(flight))

    def _show_life(self) -> None:
        """Let the workers know that there is a tuner."""
        if time.monotonic() >= self._session_at:
            self._session_at = time.monotonic() + _SESSION_SECONDS
            self._n_signs += 1
            sign = f"{time.time()} {self._n_signs}".encode("ascii")
            self._tolerate(lambda: self._objects.put(s3_keys.SESSION, sign))

    def _carry_out(self, flight: Flight) -> None:
        """Take a run that waits back, tell one that runs what is wanted, and take one away that does not obey."""
        if not flight.wish or not flight.is_created or flight.is_over:
            return
        if not flight.is_wish_sent and not flight.is_at_until:
            self._tolerate(lambda: self._dispatcher.tell(flight))
        shortest = _SHORTEST_PATIENCE * self._settings.min_interval
        grace = self._session.endpoint.seconds(self._settings.stop_grace, at_least=shortest)
        if not flight.is_over and time.monotonic() - flight.wished_at > grace:
            self._tolerate(lambda: self._dispatcher.force(flight))

    def _wish(self, trial_id: int, wish: str) -> None:
        flight = self._flights.get(trial_id)
        if flight is None:
            return
        flight.wants(wish)
        if not flight.is_created:
            self._finish(flight, self._endings.never_begun(flight))

    def _hear(self, flights: Sequence[Flight]) -> None:
        """Hand out what the runs said."""
        for flight in flights:
            self._hand_out(flight, over_gaps=False)
        missed = [f for f in flights if f.is_silent or self._reader.needs_search(f.names)]
        if missed:
            self._tolerate(lambda: self._search(missed))

    def _search(self, flights: Sequence[Flight]) -> None:
        """One thorough listing for all of which something is missing."""
        is_over = [flight.is_over for flight in flights]
        self._reader.search_from(min(flight.created for flight in flights))
        for flight, was_over in zip(flights, is_over, strict=True):
            flight.was_searched = was_over
            self._hand_out(flight, over_gaps=True)

    def _settle(self, flight: Flight) -> None:
        """End a run when it is over."""
        if flight.end is not None or flight.is_over:
            mark_over(flight)
            self._end(flight)

    def _hand_out(self, flight: Flight, *, over_gaps: bool) -> None:
        for name in flight.names:
            for seq, message in self._reader.box(name).take(over_gaps=over_gaps):
                if not isinstance(message, End):
                    self._events.append(flight.reported(name.retry, seq, message))
                elif name == flight.name:
                    flight.end = message

    def _end(self, flight: Flight) -> None:
        was_run = not flight.is_withdrawn
        conclusion = self._endings.conclude(flight) if was_run else self._endings.never_begun(flight)
        self._dispatcher.forget(flight)
        if flight.end is not None:
            self._workers.run_ended()
        if isinstance(conclusion, Flight):
            conclusion.billed_from, conclusion.created = math.inf, time.time()
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
        """Ask all runs and jobs to end, and wait for them a bounded time."""
        for trial_id, flight in list(self._flights.items()):
            if flight.is_created:
                flight.wants(RELEASE)
            else:
                del self._flights[trial_id]
        shortest = 2 * _SHORTEST_PATIENCE * self._settings.min_interval
        seconds = self._session.endpoint.seconds(self._settings.close_seconds, at_least=shortest)
        deadline = time.monotonic() + seconds
        while (self._flights or self._workers.jobs) and time.monotonic() < deadline:
            self._workers.drain_all()
            self._step(0)
            if time.monotonic() > deadline - seconds / 2:
                self._workers.stop_all()
            self._sleep(deadline)
        if self._workers.jobs:
            left = names_of(self._workers.jobs, self._service)
            self._accounts.notify(f"WARNING: these jobs have not ended: {left}")

    def _sleep(self, deadline: float) -> None:
        """Sleep until there may be something to do, but not beyond ``deadline``."""
        times = [deadline, time.monotonic() + self.clock.max_wait, self._workers.next_at]
        if self._flights:
            times += [self._look_at, self._reports_at]
        time.sleep(max(self._settings.min_interval / 10, min(times) - time.monotonic()))

    def _tolerate(self, work: Callable[[], object]) -> None:
        tolerate(work, self._session, self._accounts)

    def _insist(self, work: Callable[[], _T], service_seconds: float) -> _T:
        return insist(work, self._session, service_seconds, self._settings.min_interval)

    def _price(self) -> float:
        """Dollars per hour of one worker."""
        price = dollars_per_hour({}, self._settings)
        if price is None:
            self._accounts.notify(
                "The price of this instance type is not known: give price_per_hour for costs"
            )
        return (price or 0.0) * self._settings.billed_share / self.fleet.slots


def refuse_what_workers_cannot(settings: SageMakerSettings) -> None:
    """Raise where a run needs more than a worker has.

    Raises
    ------
    SettingsError
        A run needs several instances.
    """
    if settings.instance_count > 1:
        raise SettingsError(
            f"A worker is one instance, and each trial needs {settings.instance_count}: use --execution jobs"
        )
    if settings.request_template.get("EnableNetworkIsolation"):
        raise SettingsError(
            "Workers take runs over S3, which isolated jobs cannot reach: use --execution jobs"
        )
