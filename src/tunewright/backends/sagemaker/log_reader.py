"""Reports that are lines of the jobs' logs: the way out of jobs that have no network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Final, final

from tunewright.aws import Endpoint, ServiceError
from tunewright.backends.sagemaker.channel import SHORTEST_OVERLAP, Found, MessageReader
from tunewright.backends.sagemaker.job_logs import JobLogs
from tunewright.backends.sagemaker.names import JobName, parse_job_name
from tunewright.exceptions import BackendError
from tunewright.runner import log_lines

INGESTION_SECONDS: Final = 60.0
"""Service seconds after which a line that was printed is in the log for certain; mostly it is within fifteen."""
_USUAL_INGESTION: Final = 20.0
_SHORTEST_DELAY: Final = 10
"""Times the least interval: for how long a line is waited for at the least."""


@final
class LogReader(MessageReader):
    """Collects reports that are lines of logs.

    Lines reach the log late, and not in the order in which they were printed. So a number that is missing is waited for,
    and so is the last word of a job that is over.

    Parameters
    ----------
    logs
        The log group.
    prefix
        What the names of the experiment's jobs begin with, without the last hyphen.
    endpoint
        Whose seconds count.
    min_interval
        Least real seconds between two listings.
    """

    page = 2000
    skew = 300.0
    period = 5.0
    has_one_life = True

    def __init__(self, logs: JobLogs, prefix: str, endpoint: Endpoint, min_interval: float) -> None:
        delay = endpoint.seconds(INGESTION_SECONDS, at_least=_SHORTEST_DELAY * min_interval)
        super().__init__(
            overlap=max(SHORTEST_OVERLAP, delay),
            shortest=endpoint.seconds(_USUAL_INGESTION, at_least=SHORTEST_OVERLAP),
            delay=delay,
        )
        self._logs = logs
        self._prefix = prefix

    def open(self) -> None:
        """Make sure that the log may be read, before there are jobs whose words nobody would hear.

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

    def _list(self, since: float) -> Iterator[Found]:
        parts: defaultdict[str, dict[int, log_lines.Part]] = defaultdict(dict)
        for event in self._logs.events(f"{self._prefix}-", since=since, term=log_lines.MARKER):
            part = log_lines.decode(event.message)
            if part is None:
                continue
            run = JobName(part.trial_id, part.attempt, part.retry)
            if run != parse_job_name(self._prefix, event.job):
                continue
            message = f"{run.run}-{part.seq}-{part.is_end}"
            parts[message].setdefault(part.number, part)
            if len(parts[message]) == part.n_parts:
                whole = [parts[message][number] for number in sorted(parts[message])]
                load = partial(log_lines.message_of, whole)
                yield Found(id=message, time=event.time, name=run, seq=part.seq, load=load)
