"""How tuner and jobs talk, as the settings say: through S3, or through the log where jobs have no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tunewright.aws import AwsSession, S3Objects
from tunewright.backends.sagemaker.channel import (
    OVERLAP_SECONDS,
    SHORTEST_OVERLAP,
    MessageReader,
    ReportReader,
    send_wish,
)
from tunewright.backends.sagemaker.checkpoints import Checkpoints, CopiedCheckpoints, RunnerCheckpoints
from tunewright.backends.sagemaker.job_logs import JobLogs
from tunewright.backends.sagemaker.log_reader import LogReader
from tunewright.backends.sagemaker.names import JobName
from tunewright.backends.sagemaker.requests import Deployment, JobOrder, JobRequest, build_request
from tunewright.backends.sagemaker.service import JobService
from tunewright.backends.sagemaker.settings import LOGS, SageMakerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TunerSide:
    """The tuner's end of the line."""

    reader: MessageReader
    checkpoints: Checkpoints
    build: Callable[[JobOrder, Deployment, SageMakerSettings], JobRequest]
    """From an order to the request of its job."""
    send_wish: Callable[[JobName, str], None]
    """Tells a job what is wanted of it: one of the words of the runner's channels."""


def open_line(
    session: AwsSession, objects: S3Objects, service: JobService, settings: SageMakerSettings
) -> TunerSide:
    """The tuner's end of the line to the jobs of an experiment.

    Parameters
    ----------
    session
        An open session.
    objects, service
        The experiment's S3 objects and jobs.
    settings
        Say which way.
    """
    if settings.channel == LOGS:
        return _through_logs(session, objects, service, settings)
    overlap = session.endpoint.seconds(OVERLAP_SECONDS, at_least=SHORTEST_OVERLAP)
    return TunerSide(
        reader=ReportReader(objects, overlap=overlap, n_shards=settings.n_report_shards),
        checkpoints=RunnerCheckpoints(objects),
        build=build_request,
        send_wish=lambda name, wish: send_wish(objects, name, wish),
    )


def _through_logs(
    session: AwsSession, objects: S3Objects, service: JobService, settings: SageMakerSettings
) -> TunerSide:
    """Nothing but a signal reaches a job without a network, so whatever is wanted of it is StopTrainingJob."""
    copied = CopiedCheckpoints(objects)

    def build(order: JobOrder, deployment: Deployment, given: SageMakerSettings) -> JobRequest:
        source = order.run.from_checkpoint
        if source is None:
            return build_request(order, deployment, given)
        place = copied.place(source)
        if place is None:
            why = f"The checkpoint of trial {source.trial_id} at {source.resource} is not whole in {objects.uri()}"
            return JobRequest(fields={}, refusal=why)
        return build_request(replace(order, checkpoint_key=place), deployment, given)

    return TunerSide(
        reader=LogReader(JobLogs(session), service.prefix, session.endpoint, settings.min_interval),
        checkpoints=copied,
        build=build,
        send_wish=lambda name, _wish: service.stop(name),
    )
