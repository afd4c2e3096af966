"""Runs go out to workers, and come back from those that are lost or do not obey."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence, Set
from typing import final

from tunewright.aws import S3Objects
from tunewright.aws.objects import in_parallel
from tunewright.backends.sagemaker.channel import send_wish
from tunewright.backends.sagemaker.flight import Flight
from tunewright.backends.sagemaker.requests import run_facts, script_config
from tunewright.backends.sagemaker.service import JobStatus
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.workers.board import Look, TaskBoard
from tunewright.backends.sagemaker.workers.leases import LeaseWatch
from tunewright.runner import s3_keys


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

    def post(self, flights: Sequence[Flight]) -> None:
        """Let runs wait for workers."""
        in_parallel(self._post, flights)

    def look(self, flights: Iterable[Flight], lost_jobs: Set[str]) -> None:
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

    def tell(self, flight: Flight) -> None:
        """Take a run that still waits back, or tell its worker what is wanted."""
        run = flight.name.run
        if run not in self._look.leases and self._board.withdraw(run):
            mark_over(flight)
            flight.is_withdrawn = True
        else:
            send_wish(self._objects, flight.name, flight.wish)
        flight.is_wish_sent = True

    def force(self, flight: Flight) -> None:
        """Take a run away from a worker that does not obey."""
        etag = self._board.look().leases.get(flight.name.run)
        if etag is None or self._board.revoke(flight.name.run, etag):
            mark_over(flight)

    def forget(self, flight: Flight) -> None:
        """The run is over."""
        self._leases.forget(flight.name.run)

    def _post(self, flight: Flight) -> None:
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


def mark_over(flight: Flight) -> None:
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
