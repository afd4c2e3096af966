"""From runs that the journal left open to their flights: by what there is of them in S3."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set

from tunewright.backends.sagemaker.attaching import wish_of
from tunewright.backends.sagemaker.channel import MessageReader
from tunewright.backends.sagemaker.flight import Flight
from tunewright.backends.sagemaker.names import JobName
from tunewright.trial import OpenRun


def adopt_runs(
    runs: Sequence[OpenRun],
    reader: MessageReader,
    known: Callable[[], Set[str]],
    make: Callable[[OpenRun, int], Flight],
) -> dict[int, Flight]:
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
    open_run: OpenRun, reader: MessageReader, named: Set[str], make: Callable[[OpenRun, int], Flight]
) -> Flight:
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
