"""Remedies for refusals that concern every job of an experiment, by the service's wording.

SageMaker has one code, ValidationException, for nearly everything that is wrong with a request, and one prefix,
``ClientError``, for nearly everything that fails before a job's script begins. The text tells the cause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_Causes = Sequence[tuple[re.Pattern[str], str]]

_ROLE: Final = (
    "give with --role a role that exists, whose trust policy lets sagemaker.amazonaws.com assume it, and that you may pass "
    "on (iam:PassRole)"
)
TYPE_REMEDY: Final = "correct --instance_type: 'tunewright sagemaker quotas' shows what the account may use"
"""The remedy if another one of several listed types may do."""
_IMAGE: Final = "correct --image_uri, or let the role pull it from the registry; without --image_uri AWS's own image is taken"
_PLACE: Final = (
    "the role needs access to the bucket, which must be in the region of the jobs: see --bucket and --role"
)

_OF_REQUESTS: Final[_Causes] = (
    (re.compile(r"assume.?role|\brole\b|roleArn", re.IGNORECASE), _ROLE),
    (re.compile(r"instance.?type", re.IGNORECASE), TYPE_REMEDY),
    (re.compile(r"KeepAlivePeriod", re.IGNORECASE), "leave --warm_pool out, or lower --keep_alive"),
    (re.compile(r"image|repository|registry", re.IGNORECASE), _IMAGE),
    (re.compile(r"subnet|security.?group|vpc", re.IGNORECASE), "correct --subnets and --security_group_ids"),
    (re.compile(r"kms", re.IGNORECASE), "correct --kms_key, or let the role use the key"),
    (re.compile(r"\bS3\b|bucket", re.IGNORECASE), _PLACE),
)
_OF_JOBS: Final[_Causes] = (
    (re.compile(r"^ClientError: (?!Artifact).*(image|repository|registry|manifest)", re.IGNORECASE), _IMAGE),
    (re.compile(r"^ClientError: (?!Artifact).*(\bS3\b|bucket|download)", re.IGNORECASE), _PLACE),
    (re.compile(r"assume.?role|\brole\b", re.IGNORECASE), _ROLE),
    (
        re.compile(r"exit code: 127$"),
        "the image has no python3: give one with Python 3.9 or newer as --image_uri",
    ),
)
_LONG_ENUM: Final = re.compile(r"(enum value set)[^;]*")
_OWN: Final = re.compile(r"hyperParameters|'environment|trainingJobName", re.IGNORECASE)
"""Fields that differ from run to run."""


def remedy_of_request(text: str) -> str:
    """Remedy for a ValidationException of CreateTrainingJob that every run would meet; empty if only this run does.

    Parameters
    ----------
    text
        The service's words.
    """
    return "" if _OWN.search(text) else _remedy(_OF_REQUESTS, text)


def remedy_of_job(reason: str) -> str:
    """Remedy for a FailureReason that every job would share, of a job that ended before its script began.

    Parameters
    ----------
    reason
        The service's words; empty if there are none.
    """
    return _remedy(_OF_JOBS, reason)


def shortened(text: str) -> str:
    """The service's words without the list of all values that it would take (225 instance types, say)."""
    return _LONG_ENUM.sub(r"\1", text)


def _remedy(causes: _Causes, text: str) -> str:
    return next((remedy for pattern, remedy in causes if pattern.search(text)), "")
