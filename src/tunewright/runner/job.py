"""What the programs of all jobs share: where things lie on their instance, and how they say why they failed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

_CACHE_VARIABLE = "SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"
_LONGEST_FAILURE = 1024
LOST_S3 = "lost S3"
"""What a failure says after the program's name where S3 did not answer: the job is to be begun again."""
_PASSING = {"HTTPClientError", "ConnectionError", "CredentialRetrievalError", "RetriesExceededError"}
"""boto3's errors of connections and of the instance's credentials."""
_SERVER_ERROR = 500
_TOO_MANY = 429


def code_folder(base: Path) -> Path:
    """The code channel below ``/opt/ml``."""
    return base / "input" / "data" / "code"


def cache_folder(base: Path) -> Path:
    """Where packages are kept: the cache that outlives the job, where there is one."""
    return Path(os.environ.get(_CACHE_VARIABLE) or base / "cache")


def failure_file(base: Path) -> Path:
    """What the service shows as the reason where a job fails."""
    return base / "output" / "failure"


def write_failure(base: Path, text: str) -> None:
    """Say why the job fails; of a long text the end counts."""
    file = failure_file(base)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text[-_LONGEST_FAILURE:], encoding="utf-8")


def run_program(who: str, program: Callable[[Path], int], arguments: list[str]) -> int:
    """Run the program of a job; an error of its own becomes the reason why the job fails, and is raised.

    Parameters
    ----------
    who
        Begins the sentence.
    program
        From the folder that is ``/opt/ml`` to the exit code.
    arguments
        That folder.
    """
    base = Path(arguments[0])
    try:
        return program(base)
    except Exception as error:
        what = LOST_S3 if is_passing(error) else "failed"
        write_failure(base, f"{who} {what}: {type(error).__name__}: {error}"[:_LONGEST_FAILURE])
        raise


def is_passing(error: BaseException) -> bool:
    """Whether S3 did not answer or had trouble of its own, after all of boto3's attempts: later it may be well.

    Told by names, because boto3 is imported late and may be absent.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if "S3UploadFailedError" in names and error.__context__ is not None:
        return is_passing(error.__context__)
    status = 0
    if "ClientError" in names:
        status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return not names.isdisjoint(_PASSING) or status >= _SERVER_ERROR or status == _TOO_MANY
