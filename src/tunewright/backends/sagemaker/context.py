"""What both backends stand on: where everything lies, the experiment's jobs, and how trouble of the service is met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.backends.sagemaker.costs import CostTracker
from tunewright.backends.sagemaker.deployment import (
    TrainingScript,
    bundle,
    deploy,
    describe_deployment,
    dollars_per_hour,
)
from tunewright.backends.sagemaker.event_queue import BEGINNING_SECONDS, CLOSING_SECONDS, insist, tolerate
from tunewright.backends.sagemaker.job_service import JobService, JobStatus
from tunewright.backends.sagemaker.outcomes import Outcomes
from tunewright.backends.sagemaker.preflight import preflight
from tunewright.backends.sagemaker.requests import Deployment, JobName
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.backends.sagemaker.transport import make_transport
from tunewright.exceptions import BackendError
from tunewright.trial import Checkpoint
from tunewright.types import Config

_SHORTEST_PATIENCE: Final = 10
"""Times the least interval: what a runner needs at the least to hear, to save its checkpoint and to answer."""

_T = TypeVar("_T")


@final
class SageMakerContext:
    """An experiment's place in the account and what is built on it once.

    It owns the session: :meth:`close` closes it.

    Attributes
    ----------
    session, settings
        As given.
    deployment
        Role, bucket, image and names.
    objects
        The objects under the experiment's prefix.
    service, accounts
        The experiment's jobs, and their bill and notices.
    line
        How the jobs are talked to.
    reader, endings
        What runs report, and what it means that they are over.

    Parameters
    ----------
    script
        What is run.
    experiment
        Any name; the same name finds everything again.
    session
        From :func:`tunewright.aws.open_session`.
    settings
        Of the jobs.
    name_jobs
        From the deployment to that with the names of the jobs.

    Raises
    ------
    BackendError
        There is no role or no image.
    SettingsError
        There is no such script.
    """

    def __init__(
        self,
        script: TrainingScript,
        experiment: str,
        session: AwsSession,
        settings: SageMakerSettings,
        name_jobs: Callable[[Deployment], Deployment] = lambda deployment: deployment,
    ) -> None:
        session.send_once()
        self.session: Final = session
        self.settings: Final = settings
        self._code = bundle(script, session.endpoint, settings)
        self.deployment: Final = describe_deployment(session, experiment, settings, self._code)
        self.objects: Final = session.objects(self.deployment.bucket, self.deployment.prefix)
        self.service: Final = JobService(session, name_jobs(self.deployment).job_prefix)
        self.accounts: Final = CostTracker(self.service, settings)
        self.line: Final = make_transport(session, self.objects, self.service, settings)
        self.reader: Final = self.line.reader
        self.endings: Final = Outcomes(
            self.service, self.objects, settings, self.accounts.notify, self.line.checkpoints
        )

    def begin(self, n_instances: int) -> Mapping[JobName, JobStatus]:
        """Store the code, say what the account has room for, and list the jobs of earlier sessions.

        Parameters
        ----------
        n_instances
            That are wanted at the same time.

        Raises
        ------
        BackendError
            The bucket or the jobs cannot be used.
        """
        deploy(self.session, self.deployment, self._code, self.settings, self.accounts.notify)
        if line := preflight(self.session, self.settings, n_instances):
            self.accounts.notify(line)
        try:
            self.insist(self.reader.open, BEGINNING_SECONDS)
            statuses = self.insist(self.service.list_jobs, BEGINNING_SECONDS)
            self.insist(lambda: self.accounts.recall(statuses), BEGINNING_SECONDS)
        except ServiceError as error:
            raise BackendError(f"The jobs of the experiment cannot be listed ({error})") from error
        return statuses

    def close(self, end: Callable[[], None], say_left: Callable[[str], None], *, at_once: bool) -> None:
        """End what runs, settle the bill unless there is no time for it, and leave the endpoint.

        Parameters
        ----------
        end
            Ends what runs.
        say_left
            Says what may run on, after these words.
        at_once
            Whether nothing is to be waited for.
        """
        try:
            end()
            if not at_once:
                self.insist(self.accounts.close, CLOSING_SECONDS)
        except KeyboardInterrupt:
            say_left("WARNING: ended at once, while these jobs were told to end")
            raise
        except (BackendError, ServiceError) as error:
            self.accounts.notify(f"WARNING: jobs or warm pools may be left running ({error})")
        finally:
            self.session.close()

    def say_left(self, what: str, jobs: Iterable[TrackedRun]) -> None:
        """Say which of the jobs may run on, and be billed, and how to end them."""
        left = [self.service.name(job.name) for job in jobs if job.may_run]
        pools = (
            " Warm pools are kept, and billed, until their time is over." if self.settings.warm_pool else ""
        )
        if left or pools:
            self.accounts.notify(
                f"{what}: {', '.join(left) or 'none'}.{pools} 'tunewright sagemaker cleanup' shows and ends what is left"
            )

    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint's objects; a failure is noted, not raised."""
        try:
            self.line.checkpoints.delete(checkpoint)
        except ServiceError as error:
            self.accounts.notify(f"A checkpoint of trial {checkpoint.trial_id} cannot be deleted ({error})")

    def price(self, config: Config, job: JobName | None = None) -> float:
        """Dollars per hour of a run's instances; those of the type that a job of it has, where that is known."""
        known = self.accounts.type_of(job) if job else ""
        price = dollars_per_hour(config, self.settings.on(known) if known else self.settings)
        if price is None:
            self.accounts.notify(
                "The price of this instance type is not known: give price_per_hour for costs"
            )
        return price or 0.0

    def seconds(self, service_seconds: float) -> float:
        """Real seconds between two looks at the service, never less than the least interval."""
        return self.session.endpoint.seconds(service_seconds, at_least=self.settings.min_interval)

    def patience(self, service_seconds: float, *, answers: int = 1) -> float:
        """Real seconds for which is waited, never less than what so many answers of runners take."""
        shortest = answers * _SHORTEST_PATIENCE * self.settings.min_interval
        return self.session.endpoint.seconds(service_seconds, at_least=shortest)

    def tolerate(self, work: Callable[[], object]) -> None:
        """Do what may fail for passing reasons, because it is done again later.

        Raises
        ------
        BackendError
            Credentials or permissions are gone, the clock is wrong, or an embedded endpoint that died cannot be started again.
        """
        tolerate(work, self.session, self.accounts)

    def insist(self, work: Callable[[], _T], service_seconds: float) -> _T:
        """Do what must succeed, again and again where it fails for passing reasons.

        Raises
        ------
        ServiceError
            The service refuses for good, or has had trouble for so long.
        BackendError
            An embedded endpoint that died cannot be started again.
        """
        return insist(work, self.session, service_seconds, self.settings.min_interval)
