"""What a tuning job does around its experiments: lease, restore, journals in S3, the last word."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, final

from tunewright.aws import (
    REMOTE_VARIABLE,
    AwsSession,
    S3Objects,
    StoredObject,
    open_session,
    resolve_endpoint,
)
from tunewright.experiments.experiment import identity_of
from tunewright.journal import FileJournal, Journal, Line
from tunewright.remote.journal import RemoteJournal
from tunewright.remote.lease import take_lease
from tunewright.remote.logs import LogCourier
from tunewright.remote.mirror import FolderMirror, fetch_experiment
from tunewright.remote.place import DONE, EXPERIMENTS, ROOT_FILE
from tunewright.remote.segments import Segments
from tunewright.runner.remote_job import LOG_VARIABLE
from tunewright.storage import ExperimentFolder, home

ENDPOINT_VARIABLE: Final = "TUNEWRIGHT_REMOTE_ENDPOINT"
"""Environment variable of a tuning job: JSON of the endpoint's ``choice``, ``region`` and ``speed``."""
JOB_VARIABLE: Final = "TRAINING_JOB_NAME"
OPEN_JOURNAL: Final = f"{__name__}:open_journal"
"""Import path of `open_journal`, for ``JOURNAL_VARIABLE`` of a tuning job's environment."""


def open_journal(folder: ExperimentFolder, header: Line, *, is_simulated: bool) -> Journal:
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
        return RemoteJournal(journal, segments, mirror, session.close, is_eager=not is_simulated)
    except BaseException:
        journal.close()
        raise


@final
class TuningJob:
    """The tuning job that this process is.

    Raises
    ------
    BackendError
        The service cannot be reached.
    """

    def __init__(self) -> None:
        self._session = _open_session()
        self._objects = _slice_objects(self._session)
        self.name = os.environ[JOB_VARIABLE]
        self._log: LogCourier | None = None

    def begin(self) -> int:
        """Take the slice, and bring back what earlier jobs left in S3. Returns the number of experiments found.

        Raises
        ------
        BackendError
            Another tuning job works on the slice.
        """
        take_lease(self._session, self._objects, self.name)
        if LOG_VARIABLE in os.environ:
            self._log = LogCourier(Path(os.environ[LOG_VARIABLE]), self._objects, self.name)
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
        """Say where this job's files lie; where those of the job before did."""
        before = self._objects.get(ROOT_FILE)
        self._objects.put(ROOT_FILE, _root().encode())
        return _root() if before is None else before.decode()

    def done(self, code: int) -> None:
        """Say that the slice came to its end, with an exit code and the requests around its experiments."""
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
    return session.objects(bucket, prefix)


def _root() -> str:
    """The folder that holds all files of a tuning job: ``/opt/ml``, or another where a machine has no such thing."""
    return str(home().parent)


def _move(folder: ExperimentFolder, root: str) -> None:
    """Let an experiment's metadata name our own paths, so that it is recognised as the same cell."""
    if root == _root() or not folder.metadata_path.exists():
        return
    text = folder.metadata_path.read_text(encoding="utf-8").replace(f"{root}/", f"{_root()}/")
    metadata = json.loads(text)
    folder.write_metadata({**metadata, "identity": identity_of(metadata)})
