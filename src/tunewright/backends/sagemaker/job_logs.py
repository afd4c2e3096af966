"""What jobs print, as CloudWatch Logs gives it: one request a page, for all jobs whose names begin alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.aws import AwsSession, ServiceError

_FAR: Final = 4e9
"""Seconds since 1970 of a time to come, of which there are no lines."""
_GROUP: Final = "/aws/sagemaker/TrainingJobs"
_NO_GROUP: Final = "ResourceNotFoundException"
"""No job of this account and region has ever printed anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One line of a log."""

    job: str
    """Name of the job that printed it."""
    time: float
    """Seconds since 1970 at which it was printed, by the machine's clock, but not after it reached the log."""
    message: str


@final
class JobLogs:
    """Reads the log group of training jobs.

    Parameters
    ----------
    session
        An open session.
    """

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def check(self) -> None:
        """Make sure that the log may be read.

        Raises
        ------
        ServiceError
            It may not, or the service does not answer.
        """
        for _ in self.events("tunewright-asks", since=_FAR):
            return

    def events(self, prefix: str, *, since: float = 0.0, term: str = "") -> Iterator[LogEvent]:
        """What jobs printed, page by page; a page may be empty and have successors.

        Parameters
        ----------
        prefix
            Beginning of the jobs' names.
        since
            Seconds since 1970 of the earliest line.
        term
            What a line must hold; empty: anything.

        Raises
        ------
        ServiceError
            The service refuses or does not answer.
        """
        request: dict[str, Any] = {"logGroupName": _GROUP, "logStreamNamePrefix": prefix}
        if since > 0:
            request["startTime"] = int(since * 1000)
        if term:
            request["filterPattern"] = f'"{term}"'
        while True:
            try:
                answer = self._session.call("FilterLogEvents", **request)
            except ServiceError as error:
                if error.code == _NO_GROUP:
                    return
                raise
            yield from map(_event, answer.get("events", []))
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]


def _event(event: Mapping[str, Any]) -> LogEvent:
    printed = event.get("timestamp", 0)
    return LogEvent(
        job=str(event["logStreamName"]).partition("/")[0],
        time=min(printed, event.get("ingestionTime", printed)) / 1000,
        message=str(event["message"]),
    )
