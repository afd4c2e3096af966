"""Outcomes of runs whose jobs have ended: an end, or the next retry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Generic, final

from tunewright.backends.engine.context import EngineContext
from tunewright.backends.engine.job_service import Failure, FailureCause, JobState, OrderT
from tunewright.backends.engine.tracked_run import RunPhase, TrackedRun
from tunewright.exceptions import BackendError
from tunewright.trial import Checkpoint, Ended, ServiceTrouble

_NO_REASON: Final = "The job failed and its engine does not say why: see its log"
MOST_IDLE: Final = 3
"""Jobs in a row that reach their time limit without a new checkpoint, after which a trial has failed."""
_NO_CHECKPOINT: Final = (
    "without a new checkpoint: give them more time, or let the script store checkpoints more often"
)
_STOPPED: Final = Failure(cause=FailureCause.JOB, reason="The job was stopped from outside")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a run: its end or its next retry."""

    result: Ended | TrackedRun
    lacked_capacity: bool = False
    """Whether the job had no instances of its type."""


@final
class Outcomes(Generic[OrderT]):
    """Maps ended jobs to ends or retries.

    Parameters
    ----------
    context
        Jobs, checkpoints and limits of retries.
    """

    def __init__(self, context: EngineContext[OrderT]) -> None:
        self._context = context

    def resolve(self, run: TrackedRun) -> Outcome:
        """The outcome of a run without a job or worker.

        Raises
        ------
        BackendError
            The job failed before its script began, for a reason that all jobs share: the image, the storage, the permissions.
        RequestError
            The engine or the storage did not answer: ask again.
        """
        if run.phase is RunPhase.REJECTED:
            return Outcome(run.ended(exit_code=1, error=run.rejection))
        if run.phase is RunPhase.WITHDRAWN:
            return Outcome(run.never_began())
        if run.is_cut:
            return self._cut(run)
        if run.end is None:
            return Outcome(run.ended(exit_code=0, checkpoint=self._newest(run)))
        exit_code = 0 if run.request else run.end.exit
        return Outcome(run.ended(exit_code=exit_code, error=run.end.error, checkpoint=self._confirmed(run)))

    def _cut(self, run: TrackedRun) -> Outcome:
        """The outcome of a job that the engine or a closing session ended."""
        failure = self._failure(run)
        if failure is None:
            return Outcome(self._retry(run, ""))
        trial_id = run.run.trial_id
        if failure.cause is FailureCause.JOB:
            if failure.remedy and not run.has_reported:
                raise BackendError(f"No job can run: {failure.reason}: {failure.remedy}", then="resume")
            return Outcome(self._failed(run, failure.reason or _NO_REASON))
        lacks = failure.cause is FailureCause.CAPACITY
        if not lacks:
            text = f"retrying trial {trial_id}: {failure.reason}"
            self._context.notices.add_event(ServiceTrouble.INTERRUPTED, text, trial_id)
        return Outcome(self._retry(run, failure.hint), lacked_capacity=lacks)

    def _failure(self, run: TrackedRun) -> Failure | None:
        """Explanation of the job's end; None if the run is simply retried."""
        status = run.status
        if status is None or status.state is JobState.COMPLETED:
            return None
        if status.state is JobState.STOPPED:
            return None if run.is_attached else _STOPPED
        return self._context.jobs.failure(run.name.key, status)

    def _retry(self, tracked: TrackedRun, hint: str) -> Ended | TrackedRun:
        settings, run = self._context.settings, tracked.run
        newest = self._newest(tracked)
        has_progress = newest is not None and newest.resource > run.resume_from
        n_retries, n_idle = tracked.n_retries, 0
        if not tracked.reached_time_limit:
            n_retries += 1
        elif not has_progress:
            n_idle = tracked.n_idle + 1
        if n_retries > settings.max_retries:
            return self._failed(tracked, f"The job was lost {n_retries} times{hint}")
        if n_idle >= MOST_IDLE:
            return self._failed(
                tracked, f"{MOST_IDLE} jobs in a row reached their time limit {_NO_CHECKPOINT}"
            )
        restarts = 0
        if settings.is_restartable:
            restarts = self._context.channel.checkpoints.newest_restart(tracked.name)
        if newest is not None and has_progress:
            if run.until is not None and newest.resource >= run.until:
                return tracked.ended(exit_code=0, checkpoint=newest)
            run = replace(run, resume_from=newest.resource, from_checkpoint=newest)
        return tracked.retry(run, newest=restarts, n_retries=n_retries, n_idle=n_idle)

    def _failed(self, run: TrackedRun, error: str) -> Ended:
        return run.ended(exit_code=1, error=error, checkpoint=self._newest(run))

    def _newest(self, run: TrackedRun) -> Checkpoint | None:
        return self._context.channel.checkpoints.newest(run.run.trial_id)

    def _confirmed(self, run: TrackedRun) -> Checkpoint | None:
        """The checkpoint of the end message, or an older one if that did not reach the storage."""
        if run.end is None or run.end.checkpoint is None:
            return None
        trial_id = run.run.trial_id
        reported = Checkpoint(trial_id=trial_id, resource=run.end.checkpoint)
        if self._context.channel.checkpoints.is_complete(reported):
            return reported
        newest = self._newest(run)
        instead = f"that of {newest.resource}" if newest else "none"
        self._context.notices.add(
            f"WARNING: the checkpoint of trial {trial_id} at {reported.resource} has not reached the storage; there is {instead}"
        )
        return newest
