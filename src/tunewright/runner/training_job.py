"""Common parts of the programs of training jobs: folders, the run order, and the reason of a failure."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from .contract import CODE_VARIABLE, CONFIG_PARAMETER, JOB_FILE, RUN_VARIABLE, S3_OWNER_VARIABLE, SOURCE
from .run_order import RunOrder

_CACHE_VARIABLE = "SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"
_LONGEST_FAILURE = 1024
CHANGED_CODE = "The code in S3 was changed: it was not run"
"""Reason of a failure if the code channel is not the one that the job's request names."""
_PIECE = 1 << 20
"""Bytes of a file that are read at a time."""
LOST_S3 = "lost S3"
"""Reason of a failure after the program's name if S3 did not answer: the job is retried."""
REFUSED_S3 = "may not use the bucket"
"""Reason of a failure after the program's name if S3 refused a request: every job of the experiment would meet it."""
UNREADABLE = "cannot read the secret"
"""Reason of a failure after the program's name if a secret is missing or forbidden: every job of the experiment would meet it."""
_REFUSED = {"AccessDenied", "403"}
_PASSING = {"HTTPClientError", "ConnectionError", "CredentialRetrievalError", "RetriesExceededError"}
"""boto3's errors of connections and of the instance's credentials."""
_SERVER_ERROR = 500
_TOO_MANY = 429


class UnreadableSecretError(Exception):
    """A secret cannot be read; the text has no value.

    Parameters
    ----------
    name
        Of the variable.
    reference
        Of the secret.
    reason
        What AWS said, or what its value is not.
    """

    def __init__(self, name: str, reference: str, reason: str) -> None:
        super().__init__(f"{UNREADABLE} {reference} for {name}: {reason}")


def code_folder(base: Path) -> Path:
    """The code channel below ``/opt/ml``."""
    return base / "input" / "data" / "code"


def cache_folder(base: Path) -> Path:
    """Where packages are kept: the cache that outlives the job, if there is one."""
    return Path(os.environ.get(_CACHE_VARIABLE) or base / "cache")


def failure_file(base: Path) -> Path:
    """The file from which the service takes the FailureReason of a job."""
    return base / "output" / "failure"


def write_failure(base: Path, text: str) -> None:
    """Say why the job fails; of a long text the end counts."""
    file = failure_file(base)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text[-_LONGEST_FAILURE:], encoding="utf-8")


def run_program(who: str, program: Callable[[Path], int], arguments: list[str]) -> int:
    """Run the program of a job, unless its code was changed.

    An error of the program becomes the reason why the job fails, and is raised.

    Parameters
    ----------
    who
        Begins the sentence.
    program
        From the folder that is ``/opt/ml`` to the exit code.
    arguments
        That folder.

    Returns
    -------
    int
        The exit code; 1 if the code was changed.
    """
    base = Path(arguments[0])
    expected = os.environ.get(CODE_VARIABLE)
    if expected is not None and expected != folder_digest(code_folder(base)):
        write_failure(base, CHANGED_CODE)
        sys.stderr.write(f"{CHANGED_CODE}\n")
        return 1
    try:
        return program(base)
    except UnreadableSecretError as error:
        write_failure(base, f"{who} {error}"[:_LONGEST_FAILURE])
        raise
    except Exception as error:
        what = LOST_S3 if is_passing(error) else _refusal(error) or "failed"
        write_failure(base, f"{who} {what}: {type(error).__name__}: {error}"[:_LONGEST_FAILURE])
        raise


def _response(error: BaseException) -> dict[str, Any]:
    """Answer of S3 in an error of boto3."""
    response: dict[str, Any] = getattr(error, "response", {})
    return response


def code_digest(files: Iterable[tuple[str, int, Iterable[bytes]]]) -> str:
    """SHA-256 of files with their names, in hexadecimal digits.

    Parameters
    ----------
    files
        Name, size and content in pieces of each file, in the order of the names.
    """
    digest = hashlib.sha256()
    for name, size, pieces in files:
        digest.update(json.dumps([name, size]).encode("ascii"))
        for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


def pieces_of(path: Path) -> Iterator[bytes]:
    """Content of a file, in pieces."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def folder_digest(folder: Path) -> str:
    """SHA-256 of all files below a folder, see :func:`code_digest`."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    files = ((name, path.stat().st_size, pieces_of(path)) for name, path in sorted(paths.items()))
    return code_digest(files)


def is_passing(error: BaseException) -> bool:
    """Whether S3 did not answer or had trouble of its own, after all of boto3's attempts: later it may be well.

    Recognised by names, because boto3 is imported late and may be absent.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if "S3UploadFailedError" in names and error.__context__ is not None:
        return is_passing(error.__context__)
    status = 0
    if "ClientError" in names:
        status = _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return not names.isdisjoint(_PASSING) or status >= _SERVER_ERROR or status == _TOO_MANY


def _refusal(error: BaseException) -> str:
    """The reason of a failure if S3 refused a request; else empty."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "S3UploadFailedError" in names and error.__context__ is not None:
        return _refusal(error.__context__)
    code = getattr(error, "response", {}).get("Error", {}).get("Code") if "ClientError" in names else ""
    if code not in _REFUSED:
        return ""
    owner = os.environ.get(S3_OWNER_VARIABLE)
    whose = f"it does not belong to the account {owner}, or " if owner else ""
    return f"{REFUSED_S3}: {whose}the role lacks a permission there"


def read_job(base: Path) -> dict[str, Any]:
    """The content of :data:`JOB_FILE`.

    Parameters
    ----------
    base
        The folder that is ``/opt/ml``.
    """
    job: dict[str, Any] = json.loads((code_folder(base) / JOB_FILE).read_text(encoding="utf-8"))
    return job


def run_facts() -> dict[str, Any]:
    """Description of the job's run, beside the configuration."""
    facts: dict[str, Any] = json.loads(os.environ[RUN_VARIABLE])
    return facts


def config_text(base: Path) -> str:
    """The hyperparameter of the whole configuration: JSON, or an S3 address.

    Parameters
    ----------
    base
        The folder that is ``/opt/ml``.
    """
    file = base / "input" / "config" / "hyperparameters.json"
    text: str = json.loads(file.read_text(encoding="utf-8"))[CONFIG_PARAMETER]
    return text


def job_order(base: Path, job: dict[str, Any], config: dict[str, Any], facts: dict[str, Any]) -> RunOrder:
    """The order of a job's run.

    Parameters
    ----------
    base
        The folder that is ``/opt/ml``.
    job
        The content of :data:`JOB_FILE`.
    config
        Of the run.
    facts
        Further fields of the order.
    """
    source = str(code_folder(base) / SOURCE)
    return RunOrder(
        config=config,
        checkpoint_dir=str(base / "checkpoints"),
        config_file=str(base / "config.json"),
        import_paths=[source],
        cwd=source,
        base_dir=str(base),
        cache_dir=str(cache_folder(base)),
        failure_file=str(failure_file(base)),
        **job["order"],
        **facts,
    )


def is_main_host(base: Path) -> bool:
    """Whether this instance reports for the job: the first of its hosts."""
    resources = _resources(base)
    return bool(resources["current_host"] == sorted(resources["hosts"])[0])


def current_host(base: Path) -> str:
    """Name of this instance among those of the job, such as ``algo-1``."""
    return str(_resources(base)["current_host"])


def _resources(base: Path) -> dict[str, Any]:
    file = base / "input" / "config" / "resourceconfig.json"
    if not file.is_file():
        return {"current_host": "algo-1", "hosts": ["algo-1"]}
    resources: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return resources
