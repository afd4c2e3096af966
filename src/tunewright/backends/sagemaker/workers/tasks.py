"""Runs as tasks for workers: posted, leased, withdrawn, revoked, and adopted after a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, final

from tunewright.aws import S3Objects
from tunewright.aws.objects import in_parallel
from tunewright.backends.sagemaker.attaching import wish_of
from tunewright.backends.sagemaker.job_service import JobStatus
from tunewright.backends.sagemaker.requests import JobName, run_facts, script_config
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.backends.sagemaker.transport import MessageReader, send_wish
from tunewright.runner import s3_keys
from tunewright.trial import OpenRun

_REVOKED: Final = b'{"job": "", "state": "revoked"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What two listings say of all runs, by ``{trial}-{attempt}-{retry}``."""

    waiting: Set[str]
    """Runs that no worker has taken; some may be among the leases too."""
    leases: Mapping[str, str]
    """ETags of the leases of runs that workers have."""


@final
class TaskBoard:
    """Runs that wait for workers, and those that workers have.

    Every method raises :class:`~tunewright.aws.ServiceError` where S3 refuses or does not answer.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    """

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects

    def post(self, run: str, task: bytes) -> None:
        """Let a run wait for a worker; a second time, too, only one will run it."""
        self._objects.put_new(s3_keys.TASKS + run, task)

    def look(self) -> Look:
        """List all.

        Tasks come first: a run that is not among them any more was claimed before, so that its lease is in the second
        listing unless it is over.
        """
        waiting = self._etags(s3_keys.TASKS).keys()
        return Look(waiting=waiting, leases=self._etags(s3_keys.LEASES))

    def withdraw(self, run: str) -> bool:
        """Take a run that still waits away from all workers; False where one has it."""
        key = s3_keys.LEASES + run
        if not self._objects.put_new(key, _REVOKED) and self._objects.get(key) != _REVOKED:
            return False
        self._remove(run)
        return True

    def revoke(self, run: str, etag: str) -> bool:
        """Take a run away from its worker unless its lease was renewed since it had this ETag."""
        key = s3_keys.LEASES + run
        if not self._objects.replace(key, _REVOKED, etag) and self._objects.get(key) != _REVOKED:
            return False
        self._remove(run)
        return True

    def holder(self, run: str) -> str:
        """The name of the job that has a run; empty where none has."""
        content = self._objects.get(s3_keys.LEASES + run)
        return "" if content is None else str(json.loads(content)["job"])

    def _etags(self, place: str) -> dict[str, str]:
        """The ETags of all objects of a place that are named by a run."""
        found = {stored.key[len(place) :]: stored.etag for stored in self._objects.list(place)}
        return {run: etag for run, etag in found.items() if s3_keys.is_run(run)}

    def _remove(self, run: str) -> None:
        """The task first, so that nobody can claim it once the lease is gone."""
        self._objects.delete([s3_keys.TASKS + run])
        self._objects.delete([s3_keys.LEASES + run])


@final
class LeaseWatch:
    """Remembers since when each lease has looked the same.

    Workers' clocks do not matter: a lease counts as renewed when its ETag is another one than at the last look.

    Parameters
    ----------
    patience
        Seconds without a change after which a lease is stale.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: dict[str, tuple[str, float]] = {}

    def is_stale(self, run: str, etag: str, now: float) -> bool:
        """Take what a look at ``now`` (monotonic seconds) says; whether the lease was not renewed for too long."""
        before = self._seen.get(run)
        if before is None or before[0] != etag:
            self._seen[run] = (etag, now)
            return False
        return now - before[1] > self._patience

    def forget(self, run: str) -> None:
        """The run is over."""
        self._seen.pop(run, None)


@final
class Dispatcher:
    """Posts runs, and knows which are with workers.

    Every method but :meth:`forget` raises :class:`~tunewright.aws.ServiceError` where S3 refuses or does not answer;
    then it is to be called again.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    settings
        Of the runs.
    patience
        Real seconds without a sign of life after which a worker has lost its run.
    notify
        Takes a line for the user.
    """

    def __init__(
        self,
        objects: S3Objects,
        settings: SageMakerSettings,
        patience: float,
        notify: Callable[[str], None],
    ) -> None:
        self._objects = objects
        self._settings = settings
        self._board = TaskBoard(objects)
        self._leases = LeaseWatch(patience)
        self._notify = notify
        self._look = Look(waiting=frozenset(), leases={})

    def known(self) -> set[str]:
        """Look, and name all runs that wait or are with workers."""
        self._look = self._board.look()
        return {*self._look.waiting, *self._look.leases}

    def post(self, flights: Sequence[TrackedRun]) -> None:
        """Let runs wait for workers."""
        in_parallel(self._post, flights)

    def look(self, flights: Iterable[TrackedRun], lost_jobs: Set[str]) -> None:
        """Mark runs that are with no worker any more as over, and take runs away from workers that are lost.

        Parameters
        ----------
        flights
            All runs that were posted.
        lost_jobs
            Names of jobs that are over: their workers hold nothing any more.
        """
        self._look = self._board.look()
        now = time.monotonic()
        for flight in flights:
            if flight.is_created and not flight.is_over and self._is_gone(flight.name.run, now, lost_jobs):
                mark_over(flight)

    def tell(self, flight: TrackedRun) -> None:
        """Take a run that still waits back, or tell its worker what is wanted."""
        run = flight.name.run
        if run not in self._look.leases and self._board.withdraw(run):
            mark_over(flight)
            flight.is_withdrawn = True
        else:
            send_wish(self._objects, flight.name, flight.wish)
        flight.is_wish_sent = True

    def force(self, flight: TrackedRun) -> None:
        """Take a run away from a worker that does not obey."""
        etag = self._board.look().leases.get(flight.name.run)
        if etag is None or self._board.revoke(flight.name.run, etag):
            mark_over(flight)

    def forget(self, flight: TrackedRun) -> None:
        """The run is over."""
        self._leases.forget(flight.name.run)

    def _post(self, flight: TrackedRun) -> None:
        task = {"config": script_config(flight.order, self._settings), "facts": run_facts(flight.order)}
        self._board.post(flight.name.run, json.dumps(task).encode("ascii"))
        flight.is_created = True

    def _is_gone(self, run: str, now: float, lost_jobs: Set[str]) -> bool:
        etag = self._look.leases.get(run)
        if etag is None:
            return run not in self._look.waiting
        is_stale = self._leases.is_stale(run, etag, now)
        is_lost = bool(lost_jobs) and self._board.holder(run) in lost_jobs
        if not (is_stale or is_lost) or not self._board.revoke(run, etag):
            return False
        self._notify(f"run {run} lost its worker, and goes on elsewhere")
        return True


def mark_over(flight: TrackedRun) -> None:
    """The run is with no worker any more: its state is that of a run whose own job is over."""
    if not flight.is_over:
        flight.status = JobStatus(status="Completed", created=flight.created, ended=time.time())
        flight.terminal_since = time.monotonic()


def run_logs(objects: S3Objects, trial_id: int) -> str:
    """What a trial's runs printed on workers, oldest first; the last MiB of each.

    Raises
    ------
    ServiceError
        S3 refuses or does not answer.
    """
    place = f"{s3_keys.LOGS}{trial_id}-"
    keys = [stored.key for stored in objects.list(place)]
    keys.sort(key=lambda key: [int(part) for part in key[len(place) :].split("-")])
    return "".join((objects.get(key) or b"").decode("utf-8", errors="replace") for key in keys)


def adopt_runs(
    runs: Sequence[OpenRun],
    reader: MessageReader,
    known: Callable[[], Set[str]],
    make: Callable[[OpenRun, int], TrackedRun],
) -> dict[int, TrackedRun]:
    """The flights of runs that were open when the tuner died, by trial.

    The newest retry of which there is a task, a lease or a report is adopted, whatever became of it; where there is no
    trace, the run never began, and is to be posted.

    Parameters
    ----------
    runs
        From the journal.
    reader
        Has read nothing yet; afterwards it holds the messages of these runs only.
    known
        Lists the runs that wait or are with workers. Called before the reports are read, so that a run that is in
        neither has its end among them.
    make
        A flight of an open run and a retry.

    Raises
    ------
    ServiceError
        S3 refuses or does not answer.
    """
    for open_run in runs:
        name = JobName(open_run.run.trial_id, open_run.run.attempt, open_run.retry)
        reader.box(name).taken = open_run.seen
    named = known()
    if runs:
        reader.search_from(0.0)
    flights = {open_run.run.trial_id: _adopted(open_run, reader, named, make) for open_run in runs}
    ours = {name for flight in flights.values() for name in flight.names}
    for name in reader.names():
        if name not in ours:
            reader.forget(name)
    reader.begin_at(time.time())
    return flights


def _adopted(
    open_run: OpenRun, reader: MessageReader, named: Set[str], make: Callable[[OpenRun, int], TrackedRun]
) -> TrackedRun:
    run = open_run.run
    retries = [
        name.retry
        for name in reader.names()
        if (name.trial_id, name.attempt) == (run.trial_id, run.attempt) and not reader.box(name).is_empty
    ]
    head = f"{run.trial_id}-{run.attempt}-"
    retries += [int(name[len(head) :]) for name in named if name.startswith(head)]
    newest = max(retries, default=-1)
    is_found = newest >= open_run.retry
    flight = make(open_run, newest if is_found else open_run.retry)
    flight.first_retry = open_run.retry
    flight.is_created = flight.is_attached = is_found
    if wish := wish_of(open_run):
        flight.wants(wish)
    return flight
