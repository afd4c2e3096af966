"""What the tuning jobs of a slice printed, from CloudWatch."""

from __future__ import annotations

from typing import Any, Final, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.experiments.remote.place import job_name

_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
_OVERLAP: Final = 60_000  # milliseconds: events of several jobs come in any order


@final
class SliceLog:
    """The output of all tuning jobs of a slice, read on from where it was read to.

    Parameters
    ----------
    session
        An open session; not closed with this object.
    tag, slice_name
        Which slice.
    """

    def __init__(self, session: AwsSession, tag: str, slice_name: str) -> None:
        self._session = session
        self._prefix = job_name(tag, slice_name, 0)[:-1]
        self._seen: set[str] = set()
        self._since = 0

    def new_text(self) -> str:
        """What was printed since the last call; the first call begins with the first tuning job.

        Raises
        ------
        ServiceError
            The service refuses or does not answer.
        """
        request: dict[str, Any] = {
            "logGroupName": _LOG_GROUP,
            "logStreamNamePrefix": self._prefix,
            "startTime": self._since,
        }
        lines: list[str] = []
        while True:
            try:
                answer = self._session.call("FilterLogEvents", **request)
            except ServiceError as error:
                if error.code == "ResourceNotFoundException":
                    return ""
                raise
            for event in answer.get("events", []):
                if event["eventId"] not in self._seen:
                    self._seen.add(event["eventId"])
                    self._since = max(self._since, int(event["timestamp"]) - _OVERLAP)
                    lines.append(f"{event['message']}\n")
            if not answer.get("nextToken"):
                return "".join(lines)
            request["nextToken"] = answer["nextToken"]
