"""Channel of jobs without a network: their reports are lines of their logs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final, final

from typing_extensions import override

from tunewright.aws import ServiceError
from tunewright.backends.engine.channel import Channel, Message
from tunewright.backends.engine.context import ServiceTime
from tunewright.backends.engine.job_service import JobName
from tunewright.backends.s3.channel import SHORTEST_OVERLAP
from tunewright.backends.s3.checkpoints import CopiedCheckpoints
from tunewright.backends.sagemaker.job_service import JobLogs, SageMakerJobs
from tunewright.backends.sagemaker.requests import parse_job_name
from tunewright.exceptions import BackendError
from tunewright.runner import log_lines

INGESTION_SECONDS: Final = 60.0
"""Service seconds after which a printed line is in the log for certain; mostly it is within fifteen."""
_USUAL_INGESTION: Final = 20.0
_LEAST_DELAY_INTERVALS: Final = 10
"""A line is waited for at least so many times the least interval."""


@final
class LogChannel(Channel):
    """Reports are lines of the jobs' logs, and the service copies checkpoints: for jobs without a network.

    Lines reach the log late, and not in the order in which they were printed. So a missing number is waited for, and so
    is the last message of a job that has ended. Only a signal reaches such a job, so that each request is a StopTrainingJob.

    Parameters
    ----------
    logs
        The log group.
    jobs
        The experiment's jobs.
    checkpoints
        Copied by the service.
    service_time
        Conversion of delays.
    """

    page = 2000
    skew = 300.0
    period = 5.0
    survives_termination = False

    def __init__(
        self,
        logs: JobLogs,
        jobs: SageMakerJobs[Any],
        checkpoints: CopiedCheckpoints,
        service_time: ServiceTime,
    ) -> None:
        self.checkpoints = checkpoints
        least = _LEAST_DELAY_INTERVALS * service_time.min_interval
        self.delay = service_time.seconds(INGESTION_SECONDS, at_least=least)
        self.overlap = max(SHORTEST_OVERLAP, self.delay)
        usual = service_time.seconds(_USUAL_INGESTION, at_least=SHORTEST_OVERLAP)
        self.shortest_overlap = min(usual, self.overlap)
        self._logs = logs
        self._jobs = jobs
        self._prefix = jobs.prefix

    @override
    def open(self) -> None:
        """Make sure that the log may be read, before there are jobs whose reports would be lost.

        Raises
        ------
        BackendError
            It may not.
        ServiceError
            The service does not answer.
        """
        try:
            self._logs.check()
        except ServiceError as error:
            if not error.is_denied:
                raise
            raise BackendError(
                f"The log of the jobs cannot be read ({error}): allow logs:FilterLogEvents, as 'tunewright sagemaker "
                "policy' says, or use --channel s3"
            ) from error

    @override
    def messages(self, since: float, known: Mapping[str, Message]) -> Iterator[Message]:
        """By FilterLogEvents over the experiment's streams."""
        parts: defaultdict[str, dict[int, log_lines.Part]] = defaultdict(dict)
        for event in self._logs.events(f"{self._prefix}-", since=since, term=log_lines.MARKER):
            part = log_lines.decode(event.message)
            if part is None:
                continue
            name = JobName(part.trial_id, part.attempt, part.retry)
            if name.key != parse_job_name(self._prefix, event.job):
                continue
            message = f"{name.key}-{part.seq}-{part.is_end}"
            parts[message].setdefault(part.number, part)
            if len(parts[message]) == part.n_parts:
                whole = [parts[message][number] for number in sorted(parts[message])]
                load = partial(log_lines.message_of, whole)
                yield Message(id=message, time=event.time, name=name, seq=part.seq, load=load)

    @override
    def send(self, name: JobName, request: str) -> None:
        """Stop the job, whatever the request."""
        self._jobs.stop(name.key)
