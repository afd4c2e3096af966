"""The clock of S3, by which machines whose own clocks differ date what they write."""

from __future__ import annotations

import email.utils
import time
from typing import Any, final

_TOLERANCE = 2.0
"""Seconds that count as no difference: the service's answers are dated in whole seconds."""


@final
class S3Clock:
    """How far S3's clock is ahead of this machine's; measured once, with one listing, when it is first asked.

    Parameters
    ----------
    client
        A boto3 client of S3.
    bucket
        Its name.
    prefix
        That may be listed.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._ahead: float | None = None

    def ahead(self) -> float:
        """Seconds to add to this machine's time; 0 where the clocks agree, or the answer has no date."""
        if self._ahead is None:
            answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
            self._ahead = seconds_ahead(answer, time.time())
        return self._ahead


def seconds_ahead(answer: Any, now: float) -> float:
    """How far the clock that dated a boto3 answer is ahead of ``now``, seconds since 1970."""
    try:
        date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        ahead = email.utils.parsedate_to_datetime(date).timestamp() + 0.5 - now
    except (KeyError, TypeError, ValueError):
        return 0.0
    return ahead if abs(ahead) > _TOLERANCE else 0.0
