"""The tuning job that runs a slice: its lease, the experiments that it continues, and the journals that it copies to S3."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, final

from tunewright.aws import (
    REMOTE_VARIABLE,
    AwsSession,
    S3Objects,
    ServiceError,
    StoredObject,
    choose_bucket,
    open_session,
    resolve_endpoint,
)
from tunewright.aws.mirror import FolderMirror, RemoteJournal, Segments, StoredRequests, fetch_experiment
from tunewright.events import Header
from tunewright.exceptions import BackendError
from tunewright.experiments.experiment import identity_of
from tunewright.journal import FileJournal, Journal
from tunewright.remote.layout import DONE, EXPERIMENTS, LEASE, ROOT_FILE
from tunewright.remote.logs import LogSender
from tunewright.remote.requests import ENDPOINT_VARIABLE
from tunewright.runner.contract import BucketTerms
from tunewright.runner.remote_job import LOG_VARIABLE
from tunewright.storage import ExperimentFolder, home

_ENDED: Final = frozenset({"Completed", "Failed", "Stopped"})
_ATTEMPTS: Final = 3


def take_lease(session: AwsSession, objects: S3Objects, job: str) -> None:
    """Take the lease of a slice, which one tuning job at a time can hold.

    The lease is an object that is created by a conditional put, so that one of two jobs wins. It never expires by time. A
    job that finds the lease of another job replaces it only if the service says that the other job has ended. A job that
    the service restarted finds its own lease.

    Parameters
    ----------
    session
        An open session.
    objects
        The slice's objects.
    job
        The name of the job.

    Raises
    ------
    BackendError
        Another tuning job works on the slice.
    """
    body = json.dumps({"job": job}).encode()
    for _ in range(_ATTEMPTS):
        if objects.put_new(LEASE, body):
            return
        found = next((entry for entry in objects.page(LEASE) if entry.key == LEASE), None)
        content = objects.get(LEASE)
        if found is None or content is None:
            continue
        owner = str(json.loads(content)["job"])
        if owner == job:
            return
        if not _is_over(session, owner):
            raise BackendError(
                f"The tuning job {owner} works on this slice: wait for its end, or stop it with 'tunewright remote stop'"
            )
        if objects.replace(LEASE, body, found.etag):
            return
    raise BackendError("Another tuning job took this slice at the same moment: this one ends")


def _is_over(session: AwsSession, job: str) -> bool:
    try:
        answer = session.call("DescribeTrainingJob", TrainingJobName=job)
    except ServiceError as error:
        if error.code in {"ValidationException", "ResourceNotFound"}:
            return True  # it was deleted
        raise
    return answer["TrainingJobStatus"] in _ENDED


JOB_VARIABLE: Final = "TRAINING_JOB_NAME"
OPEN_JOURNAL: Final = f"{__name__}:open_journal"
"""Import path of `open_journal`, for ``JOURNAL_VARIABLE`` of a tuning job's environment."""


def open_journal(folder: ExperimentFolder, header: Header, *, is_simulated: bool) -> Journal:
    """Open the journal of an experiment in a tuning job: a file that is copied to S3.

    Raises
    ------
    JournalError
        It is in use, cannot be read, or cannot be written.
    BackendError
        The service cannot be reached.
    """
    journal = FileJournal(folder.journal_path, header)
    try:
        session = _open_session()
        objects = _slice_objects(session).under(f"{EXPERIMENTS}{folder.name}")
        mirror = FolderMirror(folder.path, objects)
        mirror.copy()
        segments = Segments(objects, folder.journal_path.read_bytes())
        requests = None if is_simulated else StoredRequests(objects, folder)
        return RemoteJournal(
            journal, segments, mirror, session.close, requests=requests, is_eager=not is_simulated
        )
    except BaseException:
        journal.close()
        raise


@final
class TuningJob:
    """The tuning job of this process.

    Raises
    ------
    BackendError
        The service cannot be reached.
    """

    def __init__(self) -> None:
        self._session = _open_session()
        self._objects = _slice_objects(self._session)
        self.name = os.environ[JOB_VARIABLE]
        self._log: LogSender | None = None

    def begin(self) -> int:
        """Take the lease, and download the experiments of earlier jobs of the slice; return their number.

        Raises
        ------
        BackendError
            Another tuning job works on the slice.
        """
        take_lease(self._session, self._objects, self.name)
        if LOG_VARIABLE in os.environ:
            self._log = LogSender(Path(os.environ[LOG_VARIABLE]), self._objects, self.name)
        found: dict[str, list[StoredObject]] = {}
        for entry in self._objects.list(EXPERIMENTS):
            name, _, key = entry.key.removeprefix(EXPERIMENTS).partition("/")
            found.setdefault(name, []).append(StoredObject(key=key, size=entry.size, etag=entry.etag))
        root = self._exchange_root()
        tag = self._objects.prefix.split("/")[-2]
        for name, stored in found.items():
            folder = ExperimentFolder(home() / "experiments" / tag / name)
            fetch_experiment(self._objects.under(f"{EXPERIMENTS}{name}"), stored, folder.path)
            _move(folder, root)
        return len(found)

    def _exchange_root(self) -> str:
        """Store the root folder of this job's files; return that of the previous job."""
        before = self._objects.get(ROOT_FILE)
        self._objects.put(ROOT_FILE, _root().encode())
        return _root() if before is None else before.decode()

    def done(self, code: int) -> None:
        """Mark the slice as ended, with its exit code and the number of calls by operation."""
        facts = {"job": self.name, "code": code, "calls": dict(self._session.calls)}
        self._objects.put(DONE, json.dumps(facts).encode())

    def close(self) -> None:
        """Send the rest of the log and close the connections."""
        if self._log is not None:
            self._log.close()
        self._session.close()


def _open_session() -> AwsSession:
    facts = json.loads(os.environ[ENDPOINT_VARIABLE])
    return open_session(resolve_endpoint(facts["choice"], region=facts["region"], speed=facts["speed"]))


def _slice_objects(session: AwsSession) -> S3Objects:
    bucket, _, prefix = os.environ[REMOTE_VARIABLE].removeprefix("s3://").partition("/")
    return session.objects(choose_bucket(session, bucket, BucketTerms.of_environment()), prefix)


def _root() -> str:
    """Return the root folder of a tuning job: ``/opt/ml`` on SageMaker."""
    return str(home().parent)


def _move(folder: ExperimentFolder, root: str) -> None:
    """Replace the previous root folder in an experiment's metadata, so that it is recognised as the same cell."""
    if root == _root() or not folder.metadata_path.exists():
        return
    text = folder.metadata_path.read_text(encoding="utf-8").replace(f"{root}/", f"{_root()}/")
    metadata = json.loads(text)
    folder.write_metadata({**metadata, "identity": identity_of(metadata)})
