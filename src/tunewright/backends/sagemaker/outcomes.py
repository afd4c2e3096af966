"""What it means that a job is over: the run's end, or a retry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, final

from tunewright.aws import S3Objects
from tunewright.backends.sagemaker.checkpoints import Checkpoints, newest_life
from tunewright.backends.sagemaker.job_service import JobService, is_capacity_failure, is_service_failure
from tunewright.backends.sagemaker.refusals import remedy_of_job
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.exceptions import BackendError
from tunewright.trial import Checkpoint, Ended

_WAITED_TOO_LONG: Final = "MaxWaitTimeExceeded"
_GIVEN_UP: Final = "SageMaker lost the job {n} times"


@final
class Outcomes:
    """Judges jobs that are over.

    Parameters
    ----------
    service, objects
        The experiment's jobs and S3 objects.
    settings
        Limits of retries.
    notify
        Takes a line for the user.
    checkpoints
        Where they lie.
    """

    def __init__(
        self,
        service: JobService,
        objects: S3Objects,
        settings: SageMakerSettings,
        notify: Callable[[str], None],
        checkpoints: Checkpoints,
    ) -> None:
        self._service = service
        self._objects = objects
        self._settings = settings
        self._notify = notify
        self._checkpoints = checkpoints

    def conclude(self, flight: TrackedRun) -> Ended | TrackedRun:
        """The run's end, or its next retry where the service or a closing session cut it.

        Raises
        ------
        BackendError
            The job failed before its script began, for a reason that all jobs share: the image, the bucket, the role.
        ServiceError
            The service was asked why, or for checkpoints, and did not answer: ask again.
        """
        if flight.is_cut:
            error = self._reason_to_fail(flight)
            return self._failed(flight, error) if error else self._retry(flight)
        if flight.end is None:
            return flight.ended(exit_code=0, checkpoint=self._newest(flight))
        self._confirm(flight)
        return flight.ended(exit_code=0 if flight.wish else None)

    def never_begun(self, flight: TrackedRun) -> Ended:
        """The end of a run that was ended before it had a job: what it would have begun with is left."""
        source = flight.order.run.from_checkpoint
        is_own = source is not None and source.trial_id == flight.order.run.trial_id
        return flight.ended(exit_code=0, checkpoint=source if is_own else None)

    def _reason_to_fail(self, flight: TrackedRun) -> str:
        """Why a run without an end of its own is not tried again; empty where it is."""
        status = flight.status
        if status is None or status.status == "Completed":
            return ""
        if status.secondary == _WAITED_TOO_LONG:
            self._notify(
                f"trial {flight.order.run.trial_id} had no end within max_wait={self._settings.max_wait} s of spot "
                "instances: begun again from its newest checkpoint"
            )
            return ""
        if status.secondary == "MaxRuntimeExceeded":
            return (
                f"The job took longer than max_run_seconds={self._settings.max_run_seconds} and was stopped"
            )
        if status.status == "Stopped":
            return "" if flight.is_attached else "The job was stopped from outside"
        return self._reason_of_failure(flight)

    def _reason_of_failure(self, flight: TrackedRun) -> str:
        reason = flight.reason = self._service.failure_reason(flight.name)
        if not is_service_failure(reason):
            remedy = "" if flight.heard_at else remedy_of_job(reason)
            if remedy:
                raise BackendError(f"No job can run: {reason}: {remedy}; then resume")
            return reason or "The job failed and SageMaker does not say why: see its log"
        if not is_capacity_failure(reason):
            self._notify(f"retrying trial {flight.order.run.trial_id}: {reason}")
        return ""

    def _retry(self, flight: TrackedRun) -> Ended | TrackedRun:
        run = flight.order.run
        if flight.n_retries >= self._settings.max_retries:
            return self._failed(flight, _GIVEN_UP.format(n=flight.n_retries + 1) + _hint(flight))
        newest = self._newest(flight)
        life = newest_life(self._objects, flight.name) if self._settings.is_restartable else 0
        if newest is None or newest.resource <= run.resume_from:
            return flight.retried(run, newest=life)
        if run.until is not None and newest.resource >= run.until:
            return flight.ended(exit_code=0, checkpoint=newest)
        run = replace(run, resume_from=newest.resource, from_checkpoint=newest)
        return flight.retried(run, newest=life)

    def _failed(self, flight: TrackedRun, error: str) -> Ended:
        return flight.ended(exit_code=1, error=error, checkpoint=self._newest(flight))

    def _newest(self, flight: TrackedRun) -> Checkpoint | None:
        return self._checkpoints.newest(flight.order.run.trial_id)

    def _confirm(self, flight: TrackedRun) -> None:
        """Correct what the runner told of its checkpoint where that did not get to S3."""
        end, trial_id = flight.end, flight.order.run.trial_id
        if end is None or end.checkpoint is None:
            return
        told = Checkpoint(trial_id=trial_id, resource=end.checkpoint)
        if not self._checkpoints.confirms(told):
            newest = self._newest(flight)
            flight.end = replace(end, checkpoint=newest.resource if newest else None)
            instead = f"that of {newest.resource}" if newest else "none"
            self._notify(
                f"WARNING: SageMaker has not stored the checkpoint of trial {trial_id} at {told.resource}; there is {instead}"
            )


def _hint(flight: TrackedRun) -> str:
    """What helps where spot instances were not to be had."""
    if flight.status is None or flight.status.secondary != _WAITED_TOO_LONG:
        return ""
    return ": no spot instances in time. Give max_wait more, choose another instance_type, or do without spot"
