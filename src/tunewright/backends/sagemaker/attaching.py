"""From a run that the journal left open to its flight, by one listing of jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tunewright.backends.sagemaker.job_service import JobStatus
from tunewright.backends.sagemaker.requests import JobName, JobOrder
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.runner.channel import PAUSE, STOP
from tunewright.trial import Decision, OpenRun
from tunewright.types import Config


def attach_run(
    open_run: OpenRun,
    statuses: Mapping[JobName, JobStatus],
    settings: SageMakerSettings,
    *,
    price: Callable[[Config, JobName | None], float],
    speed: float,
) -> TrackedRun:
    """The flight of a run that was open when the tuner died.

    Its newest job is adopted, whatever became of it. Where there is none, the flight is queued: as the first try, or
    as the next retry where reports prove that there was a job.

    Parameters
    ----------
    open_run
        From the journal.
    statuses
        All jobs of the experiment.
    settings
        Whether jobs live on under their names, and what is billed of them.
    price
        Gives the dollars per hour of a run's instances on demand, for the type that its newest job has.
    speed
        Service seconds per second.
    """
    run = open_run.run
    jobs = {
        name.retry: status
        for name, status in statuses.items()
        if (name.trial_id, name.attempt) == (run.trial_id, run.attempt)
    }
    newest = max(jobs, default=-1)
    is_found = newest >= (0 if settings.is_restartable else open_run.retry)
    job = JobName(run.trial_id, run.attempt, newest) if is_found else None
    dollars = price(open_run.config, job)
    earlier = [status for retry, status in jobs.items() if retry < newest]
    seconds = sum((status.ended or status.created) - status.created for status in earlier)
    order = JobOrder(
        run=run,
        config=open_run.config,
        retry=newest if is_found else open_run.retry + (1 if open_run.seen else 0),
        cost_before=seconds * settings.billed_share * dollars / 3600,
        dollars_per_hour=dollars,
        billed_share=settings.billed_share,
    )
    flight = TrackedRun(
        order=order,
        speed=speed,
        first_retry=open_run.retry,
        life=open_run.retry,
        is_created=is_found,
        is_attached=is_found,
    )
    if wish := wish_of(open_run):
        flight.wants(wish)
    if is_found:
        flight.update(jobs[newest])
    return flight


def wish_of(open_run: OpenRun) -> str:
    """The verdict that was not carried out, as the runner knows it."""
    if open_run.verdict is None or open_run.verdict.decision is Decision.CONTINUE:
        return ""
    return PAUSE if open_run.verdict.decision is Decision.PAUSE else STOP
