"""Layout of remote launches in S3, and names of tuning jobs.

All objects of a launch lie under ``tunewright/remote/{tag}/``::

    {slice}/slice.json                              the slice: flags, and the request of its tuning jobs
    {slice}/lease.json                              name of the tuning job that works on it
    {slice}/root                                    root folder of the newest tuning job's files, in that job
    {slice}/done.json                               exit code; present if it has ended
    {slice}/stopped.json                            present if its user has stopped it
    {slice}/logs/{job}/{n}                          log of a tuning job in pieces
    {slice}/experiments/{experiment}/journal/{n}    journal in pieces of whole lines
    {slice}/experiments/{experiment}/...            other files, as in the experiment's folder
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from tunewright.storage import safe_name

ROOT: Final = "tunewright/remote"

SLICE: Final = "slice.json"
LEASE: Final = "lease.json"
DONE: Final = "done.json"
STOPPED: Final = "stopped.json"
ROOT_FILE: Final = "root"
EXPERIMENTS: Final = "experiments/"
LOGS: Final = "logs/"

_TAG_LENGTH: Final = 24
_SLICE_LENGTH: Final = 26
_DIGEST_LENGTH: Final = 6


def tag_prefix(tag: str) -> str:
    """Return the prefix of a launch, without a trailing slash."""
    return f"{ROOT}/{safe_name(tag, 'experiment tag')}"


def job_names_prefix(tag: str) -> str:
    """Return the beginning of the names of all tuning jobs of a tag."""
    return f"{_shortened(safe_name(tag, 'experiment tag'), _TAG_LENGTH)}-tuner-"


def job_name(tag: str, slice_name: str, number: int) -> str:
    """Return the name of a tuning job.

    Parameters
    ----------
    tag, slice_name
        The slice.
    number
        Number of earlier launches of the slice.
    """
    return f"{job_names_prefix(tag)}{_shortened(slice_name, _SLICE_LENGTH)}-{number}"


def job_number(tag: str, slice_name: str, name: str) -> int | None:
    """Return the number in the name of a slice's tuning job; None if the job belongs to another slice."""
    head = job_name(tag, slice_name, 0)[:-1]
    match = re.fullmatch(rf"{re.escape(head)}(\d+)", name)
    return None if match is None else int(match[1])


def _shortened(name: str, length: int) -> str:
    """Shorten a safe name; a digest keeps different names different."""
    if len(name) <= length:
        return name
    digest = hashlib.sha256(name.encode("ascii")).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: length - _DIGEST_LENGTH - 1].rstrip('-')}-{digest}"
