"""Requests from outside to a running tuner: typed, and as files in the experiment's folder.

The sender writes a file into ``requests/``; the tuner takes it within about a second, journals the request with the action
taken (`tunewright.events.RequestEvent`), carries it out and deletes the file. Files are data: nothing in them is executed,
and symbolic links are not followed.

Examples
--------
::

    number = write_request(folder, StopTrial(trial_id=3, reason="diverged"))
    read_requests(folder)  # [(number, StopTrial(trial_id=3, reason="diverged"))] until the tuner has taken it
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, NamedTuple, TypeAlias, cast, final

import msgspec
from msgspec import Meta, Struct

from tunewright.exceptions import SettingsError, SpaceError
from tunewright.metadata import read_metadata
from tunewright.storage import ExperimentFolder, write_atomically
from tunewright.types import ConfigValue, Json

MAX_NOTE: Final = 10_000
"""Longest note, in bytes of UTF-8."""
MAX_REASON: Final = 1_000
"""Longest remark of a request, in characters."""
MAX_WAITING: Final = 1_000
"""Requests that may wait in one folder."""
_MAX_FILE: Final = 65_536  # bytes
_NAME: Final = re.compile(r"\d{20}-[0-9a-f]{8}\.json")
_SUFFIX: Final = ".json"
_REJECTED: Final = ".rejected"
_SETTLED_NS: Final = 2_000_000_000
"""Age of a folder's last change, in nanoseconds, from which on a later change has another time stamp on any file system."""

_log = logging.getLogger(__name__)

_TrialId = Annotated[int, Meta(ge=0)]
_Count = Annotated[int, Meta(ge=1)]
_Amount = Annotated[int, Meta(gt=0)] | Annotated[float, Meta(gt=0)]
_Reason = Annotated[str, Meta(max_length=MAX_REASON)]


@final
class StopTrial(
    Struct, frozen=True, kw_only=True, tag_field="action", tag="stop_trial", forbid_unknown_fields=True
):
    """End a running trial for good: STOPPED."""

    trial_id: _TrialId
    reason: _Reason = ""
    """The sender's remark."""


@final
class PauseTrial(
    Struct, frozen=True, kw_only=True, tag_field="action", tag="pause_trial", forbid_unknown_fields=True
):
    """End the run of a running trial and keep its checkpoint: PAUSED until a `ResumeTrial`; the method does without it."""

    trial_id: _TrialId
    reason: _Reason = ""
    """The sender's remark."""


@final
class ResumeTrial(
    Struct, frozen=True, kw_only=True, tag_field="action", tag="resume_trial", forbid_unknown_fields=True
):
    """Continue a trial that a `PauseTrial` has paused, on the next free worker."""

    trial_id: _TrialId
    reason: _Reason = ""
    """The sender's remark."""


@final
class StopExperiment(
    Struct, frozen=True, kw_only=True, tag_field="action", tag="stop_experiment", forbid_unknown_fields=True
):
    """End the experiment in order, as a limit does."""

    reason: _Reason = ""
    """The sender's remark."""


@final
class ChangeLimits(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="action",
    tag="change_limits",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Change limits of the experiment, from now on and in later sessions; None: as before."""

    max_wallclock_time: _Amount | None = None
    """Seconds on the experiment's clock."""
    max_num_trials: _Count | None = None
    max_num_evaluations: _Count | None = None
    """Number of reports."""
    max_cost: _Amount | None = None
    """Dollars of all runs."""
    reason: _Reason = ""
    """The sender's remark."""

    @property
    def changes(self) -> Mapping[str, float]:
        """New limits by name."""
        values = {name: getattr(self, name) for name in LIMITS}
        return {name: value for name, value in values.items() if value is not None}


LIMITS: Final = ("max_wallclock_time", "max_num_trials", "max_num_evaluations", "max_cost")
"""Limits that a request may change, as the command line names them."""


@final
class SetWorkers(
    Struct, frozen=True, kw_only=True, tag_field="action", tag="set_workers", forbid_unknown_fields=True
):
    """Change the number of workers; running trials go on."""

    n_workers: _Count
    reason: _Reason = ""
    """The sender's remark."""


@final
class TryConfig(
    Struct, frozen=True, kw_only=True, tag_field="action", tag="try_config", forbid_unknown_fields=True
):
    """Try a configuration before the method's own; missing hyperparameters have their defaults."""

    config: dict[str, ConfigValue]
    reason: _Reason = ""
    """The sender's remark."""


@final
class WriteNote(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="action",
    tag="note",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Journal a note on a trial or on the experiment."""

    text: str
    trial_id: _TrialId | None = None
    """None: the note is on the experiment."""


Request: TypeAlias = (
    StopTrial | PauseTrial | ResumeTrial | StopExperiment | ChangeLimits | SetWorkers | TryConfig | WriteNote
)
"""A request from outside."""


class FiledRequest(NamedTuple):
    """A request that waits for the tuner."""

    id: str
    """Name of its file without the ending; ids sort by the time of writing."""
    request: Request


def action_of(request: Request) -> str:
    """Return the action of a request, such as ``"stop_trial"``, as it stands in files and journals."""
    return str(type(request).__struct_config__.tag)


def arguments_of(request: Request) -> dict[str, Json]:
    """Return the parameters of a request beside its trial and the sender's remark."""
    data = cast("dict[str, Json]", msgspec.to_builtins(request))
    return {name: value for name, value in data.items() if name not in ("action", "trial_id", "reason")}


def request_from(data: object) -> Request:
    """Return the request that JSON data describe, such as ``{"action": "stop_trial", "trial_id": 3}``.

    Raises
    ------
    SettingsError
        They describe none.
    """
    try:
        request = msgspec.convert(data, Request)
    except msgspec.ValidationError as error:
        raise SettingsError(f"The request cannot be read: {error}") from None
    _check_values(request)
    return request


def _check_values(request: Request) -> None:
    """Check the values of a request that its types do not."""
    if isinstance(request, WriteNote):
        n_bytes = len(request.text.encode("utf-8", "surrogatepass"))
        if not request.text.strip():
            raise SettingsError("The note is empty")
        if n_bytes > MAX_NOTE:
            raise SettingsError(f"A note has between 1 and {MAX_NOTE:,} bytes, not {n_bytes:,}")
    elif isinstance(request, ChangeLimits):
        if not request.changes:
            raise SettingsError(f"No limit is given: {', '.join(LIMITS)}")
        if not all(map(math.isfinite, request.changes.values())):
            raise SettingsError("A limit must be finite")
    elif isinstance(request, TryConfig) and not request.config:
        raise SettingsError("The configuration to try is empty")


# --- the sender


def file_of(folder: ExperimentFolder, request: Request) -> tuple[str, bytes]:
    """Check a request to the tuner of an experiment; return the name and the content of its file.

    Raises
    ------
    SettingsError
        The request cannot work, or the experiment runs in simulated time.
    """
    request = request_from(msgspec.to_builtins(request))
    metadata = read_metadata(folder)
    if metadata.clock == "simulated":
        raise SettingsError(f"{folder.name} runs in simulated time: its tuner takes no requests")
    if isinstance(request, TryConfig) and metadata.has_space:
        try:
            metadata.space.complete(request.config)
        except SpaceError as error:
            raise SettingsError(f"The configuration to try does not fit: {error}") from None
    data = (json.dumps(msgspec.to_builtins(request), ensure_ascii=True) + "\n").encode()
    if len(data) > _MAX_FILE:
        raise SettingsError(f"The request has more than {_MAX_FILE:,} bytes")
    return f"{time.time_ns():020d}-{secrets.token_hex(4)}{_SUFFIX}", data


def is_file_name(name: str) -> bool:
    """Return whether a file may hold a request, by its name."""
    return _NAME.fullmatch(name) is not None


def id_of(name: str) -> str:
    """Return the id of the request in a file."""
    return name.removesuffix(_SUFFIX)


def write_request(folder: ExperimentFolder, request: Request) -> str:
    """Put a request into the folder of an experiment, atomically, in a file that only its owner may read.

    Returns
    -------
    str
        The id of the request, which the event in the journal has as ``arguments["request"]``.

    Raises
    ------
    SettingsError
        The request cannot work, the experiment runs in simulated time, too many requests wait, or the folder cannot
        be written.
    """
    name, data = file_of(folder, request)
    put_file(folder, name, data)
    return id_of(name)


def put_file(folder: ExperimentFolder, name: str, data: bytes) -> None:
    """Put the file of a request into the folder of an experiment, as `write_request` does.

    Raises
    ------
    SettingsError
        It is no name of such a file, too many requests wait, or the folder cannot be written.
    """
    if not is_file_name(name):
        raise SettingsError(f"{name!r} is no name of a request")
    inbox = folder.requests_path
    try:
        inbox.mkdir(mode=0o700, exist_ok=True)
        _check_real_folder(inbox)
        if len(_names(inbox)) >= MAX_WAITING:
            raise SettingsError(f"{MAX_WAITING:,} requests wait in {inbox} already: resume the experiment")
        write_atomically(inbox / name, data.decode("utf-8", "replace"), is_private=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"Cannot write the request to {inbox}: {reason}: free or unlock the disk"
        ) from None


def read_requests(folder: ExperimentFolder) -> list[FiledRequest]:
    """Return the requests that no tuner has taken yet, oldest first; damaged files are passed over."""
    inbox = folder.requests_path
    try:
        _check_real_folder(inbox)
        found = [(name, _read(inbox / name)) for name in _names(inbox)]
    except OSError:
        return []
    return [
        FiledRequest(name.removesuffix(_SUFFIX), one)
        for name, one in found
        if not isinstance(one, SettingsError)
    ]


def withdraw_request(folder: ExperimentFolder, number: str) -> bool:
    """Delete a request that waits; return whether it was there."""
    if not _NAME.fullmatch(f"{number}{_SUFFIX}"):
        return False
    try:
        (folder.requests_path / f"{number}{_SUFFIX}").unlink()
    except OSError:
        return False
    return True


# --- the tuner


@final
class RequestInbox:
    """The folder of requests, as the tuner reads it; a look without news costs one ``stat``.

    Parameters
    ----------
    folder
        The experiment's folder.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self._path = folder.requests_path
        self._seen: int | None = None
        self._warned = False

    def read(self) -> list[FiledRequest]:
        """Return the waiting requests, oldest first; nothing if the folder has not changed since it was empty.

        A file that is no request is renamed to ``NAME.rejected``; other files are left. There is one warning of them.
        """
        try:
            changed = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116 - one system call
        except OSError:
            return []
        if changed.st_mtime_ns == self._seen or not stat.S_ISDIR(changed.st_mode):
            return []
        try:
            names = _names(self._path)
        except OSError as error:
            self._warn(f"The requests in {self._path} cannot be read: {error}")
            return []
        found: list[FiledRequest] = []
        for name in names:
            request = _read(self._path / name)
            if isinstance(request, SettingsError):
                self._reject(name, request)
            else:
                found.append(FiledRequest(name.removesuffix(_SUFFIX), request))
        if not names and time.time_ns() - changed.st_mtime_ns > _SETTLED_NS:
            self._seen = changed.st_mtime_ns
        return found

    def remove(self, filed: FiledRequest) -> None:
        """Delete a request that was carried out."""
        try:
            (self._path / f"{filed.id}{_SUFFIX}").unlink(missing_ok=True)
        except OSError as error:
            self._warn(f"A request in {self._path} cannot be deleted: {error}")

    def _reject(self, name: str, error: SettingsError) -> None:
        self._warn(f"{self._path / name} is no request and is moved aside: {error}")
        try:
            (self._path / name).rename(self._path / f"{name}{_REJECTED}")
        except OSError:
            return

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("%s", text)


# --- files


def _names(inbox: Path) -> list[str]:
    """Names of the files of requests, oldest first."""
    with os.scandir(inbox) as entries:
        return sorted(entry.name for entry in entries if _NAME.fullmatch(entry.name))


def _check_real_folder(inbox: Path) -> None:
    if inbox.is_symlink():
        raise NotADirectoryError(f"{inbox} is a symbolic link")


def _read(path: Path) -> Request | SettingsError:
    """The request in a file, or why it holds none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return SettingsError("it is no regular file")
            raw = file.read(_MAX_FILE + 1)
    except OSError as error:
        return SettingsError(f"it cannot be read: {error.strerror}")
    if len(raw) > _MAX_FILE:
        return SettingsError(f"it has more than {_MAX_FILE:,} bytes")
    try:
        return request_from(json.loads(raw))
    except (ValueError, RecursionError) as error:
        return error if isinstance(error, SettingsError) else SettingsError(f"it is no JSON: {error}")
