"""Where remote experiments lie in S3, and what their tuning jobs are called.

Everything of a launch lies under ``tunewright/remote/{tag}/``::

    {slice}/slice.json                              what is run, and the request of its tuning jobs
    {slice}/lease.json                              which tuning job works on it
    {slice}/root                                    the folder of the newest tuning job's files, in that job
    {slice}/done.json                               how it ended, where it came to its end
    {slice}/stopped.json                            it was stopped by its user and is not launched again
    {slice}/logs/{job}/{n}                          what a tuning job printed
    {slice}/experiments/{experiment}/journal/{n}    the journal in pieces of whole lines
    {slice}/experiments/{experiment}/...            all other files as in the experiment's folder
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from tunewright.storage import safe_name

ROOT: Final = "tunewright/remote"
CODE_ROOT: Final = "tunewright/remote-code"
"""Code of tuning jobs, by the hash of its content; shared by all launches."""

SLICE: Final = "slice.json"
LEASE: Final = "lease.json"
DONE: Final = "done.json"
STOPPED: Final = "stopped.json"
ROOT_FILE: Final = "root"
EXPERIMENTS: Final = "experiments/"
JOURNAL: Final = "journal/"
LOGS: Final = "logs/"

_TAG_LENGTH: Final = 24
_SLICE_LENGTH: Final = 26
_DIGEST_LENGTH: Final = 6


def tag_prefix(tag: str) -> str:
    """Where a launch lies, without a slash at its end."""
    return f"{ROOT}/{safe_name(tag, 'experiment tag')}"


def job_names_prefix(tag: str) -> str:
    """What the names of all tuning jobs of a tag begin with."""
    return f"{_shortened(safe_name(tag, 'experiment tag'), _TAG_LENGTH)}-tuner-"


def job_name(tag: str, slice_name: str, number: int) -> str:
    """The name of a slice's tuning job.

    Parameters
    ----------
    tag, slice_name
        What it works on.
    number
        From 0; one more each time that the slice is launched again.
    """
    return f"{job_names_prefix(tag)}{_shortened(slice_name, _SLICE_LENGTH)}-{number}"


def job_number(tag: str, slice_name: str, name: str) -> int | None:
    """Which launch of a slice a job is; None for a job of something else."""
    head = job_name(tag, slice_name, 0)[:-1]
    match = re.fullmatch(rf"{re.escape(head)}(\d+)", name)
    return None if match is None else int(match[1])


def segment_key(number: int, prefix: str = JOURNAL) -> str:
    """The key of a piece of a journal or a log."""
    return f"{prefix}{number:06d}"


def _shortened(name: str, length: int) -> str:
    """A safe name that is not longer; a digest keeps different ones different."""
    if len(name) <= length:
        return name
    digest = hashlib.sha256(name.encode("ascii")).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: length - _DIGEST_LENGTH - 1].rstrip('-')}-{digest}"
