"""Names of training jobs: ``{experiment}-{trial}-{attempt}-{retry}``, legal whatever the experiment is called."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

EXPERIMENT_LENGTH: Final = 40
"""Of 63 characters that a job's name may have; the rest is for the three numbers."""

_DIGEST_LENGTH: Final = 6


@dataclass(frozen=True, slots=True)
class JobName:
    """Which retry of which run a job is."""

    trial_id: int
    attempt: int
    retry: int

    @property
    def run(self) -> str:
        """``{trial}-{attempt}-{retry}``, as in report and control keys."""
        return f"{self.trial_id}-{self.attempt}-{self.retry}"


def job_prefix(experiment: str) -> str:
    """The beginning of all job names of an experiment, without the last hyphen.

    Other characters than letters and digits become hyphens. A name that is changed by that, or too long, gets a
    digest of the original, so that two experiments never share a prefix.
    """
    plain = unicodedata.normalize("NFKD", experiment).encode("ascii", "ignore").decode("ascii")
    legal = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")
    if legal and legal == experiment and len(legal) <= EXPERIMENT_LENGTH:
        return legal
    digest = hashlib.sha256(experiment.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    kept = legal[: EXPERIMENT_LENGTH - _DIGEST_LENGTH - 1].rstrip("-")
    return f"{kept}-{digest}" if kept else f"t-{digest}"


def job_name(prefix: str, name: JobName) -> str:
    """The name of a job, at most 63 characters."""
    return f"{prefix}-{name.run}"


def parse_job_name(prefix: str, text: str) -> JobName | None:
    """Which run a job is; None for a job of something else."""
    match = re.fullmatch(rf"{re.escape(prefix)}-(\d+)-(\d+)-(\d+)", text)
    return JobName(int(match[1]), int(match[2]), int(match[3])) if match else None
