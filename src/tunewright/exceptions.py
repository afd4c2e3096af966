"""The exceptions of Tunewright. Messages name the cause, then the remedy."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

Member = TypeVar("Member", bound=StrEnum)

_MANY: Final = 40
_SHOWN: Final = 12
"""Names in a message, where many are known."""


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is nearest to an unknown one.

    Parameters
    ----------
    name
        The unknown name.
    known
        The known names.

    Returns
    -------
    str
        ``" Did you mean 'x'?"``, or the known names if none is near (of many, the first with the same beginning), or an
        empty string if there is none.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f" Did you mean {near[0]!r}?"
    if len(names) <= _MANY:
        return f" Known: {', '.join(names)}." if names else ""
    family = [other for other in names if other.startswith(name.split("-", maxsplit=1)[0])] or names
    return f" Known are {', '.join(family[:_SHOWN])} and {len(names) - min(len(family), _SHOWN)} more."


class TunewrightError(Exception):
    """Base of every error that Tunewright raises on purpose."""


class SpaceError(TunewrightError, ValueError):
    """A search space, a domain or a configuration is not valid."""


class SettingsError(TunewrightError, ValueError):
    """A setting has a value that cannot work."""


class UnfitError(SettingsError):
    """A method cannot tune a benchmark."""

    def __init__(self, method: str, reason: str) -> None:
        super().__init__(f"{method} {reason}")
        self.reason = reason
        """Without the method's name: "tunes one metric, not 2"."""


class UnknownNameError(SettingsError):
    """A name is not among the known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"Unknown {kind} {name!r}.{nearest_hint(name, known) or ' There is none yet.'}")


class MissingExtraError(TunewrightError, ImportError):
    """An optional package is needed and not installed."""

    def __init__(self, extra: str, needed_for: str, note: str = "") -> None:
        super().__init__(f"{needed_for} needs an optional package: {install_command(extra)}{note}")


class TrackerError(TunewrightError):
    """A tracker's store cannot be written."""

    def __init__(self, tracker: str, error: Exception) -> None:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        super().__init__(f"{tracker} cannot be written: {lines[0]}")


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this installation: from the index, a folder, a file or a repository."""
    metadata = importlib.import_module(
        "importlib.metadata"
    )  # late: importing it takes long for a command that fails rarely
    try:
        text = metadata.distribution("tunewright").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        text = None
    origin = json.loads(text or "{}")
    address: str = origin.get("url", "")
    repository = origin.get("vcs_info")
    if repository is not None:
        revision = repository.get("requested_revision")
        at = f"@{revision}" if revision else ""
        return f"pip install 'tunewright[{extra}] @ {repository['vcs']}+{address}{at}'"
    if not address.startswith("file://"):
        return f"pip install 'tunewright[{extra}]'"
    option = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return f"pip install {option}'{unquote(urlsplit(address).path)}[{extra}]'"


def check_at_least(settings: object, least: float, *names: str) -> None:
    """Check the lower bound of settings.

    Parameters
    ----------
    settings
        A record of settings.
    least
        The lower bound.
    names
        Names of fields of the record.

    Raises
    ------
    SettingsError
        One is below, or not a number.
    """
    check_least(least, **{name: getattr(settings, name) for name in names})


def check_least(least: float, **values: float) -> None:
    """Check the lower bound of values, by name.

    Raises
    ------
    SettingsError
        One is below, or not a number.
    """
    for name, value in values.items():
        if not value >= least:
            raise SettingsError(f"{name}={value} must be >= {least}")


def choice(name: str, kind: type[Member], value: str) -> Member:
    """Return the member of an enumeration that a text names.

    Parameters
    ----------
    name
        The setting, for the error.
    kind
        The enumeration.
    value
        The text.

    Raises
    ------
    SettingsError
        The enumeration has no such member.
    """
    try:
        return kind(value)
    except ValueError:
        raise SettingsError(f"{name}={value!r} must be one of {', '.join(kind)}") from None


class IllegalTransitionError(TunewrightError):
    """A change of a trial's status that its present status does not allow."""

    def __init__(self, trial_id: int, old: str, new: str) -> None:
        super().__init__(f"Trial {trial_id} cannot go from {old} to {new}")


class JournalError(TunewrightError):
    """The journal cannot be read, locked or written."""


class BackendError(TunewrightError):
    """A backend cannot work at all (not: one of its runs failed).

    Parameters
    ----------
    text
        Cause and remedy.
    then
        Last step of the remedy, such as ``resume``; empty if there is none.
    """

    def __init__(self, text: str, *, then: str = "") -> None:
        super().__init__(f"{text}; then {then}" if then else text)
        self._text = text
        self._then = then

    def of_nothing_begun(self) -> BackendError:
        """The error of an experiment of which nothing is kept: the last step is to begin again."""
        return BackendError(self._text, then="begin again" if self._then else "")


class RequestError(TunewrightError):
    """A request to a service was refused, or its outcome is unknown."""

    @property
    def is_lost(self) -> bool:
        """Whether the request may have been carried out although it failed."""
        return False

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return False

    @property
    def is_denied(self) -> bool:
        """Whether credentials, permissions or the clock of this machine are the cause."""
        return False

    @property
    def remedy(self) -> str:
        """Advice for a denied request, in a few words; empty for others."""
        return ""


class TableError(TunewrightError, ValueError):
    """A recorded table is missing or damaged, or lacks a requested value."""


class NoResultError(TunewrightError):
    """An experiment has ended without a finite result."""


class CellError(TunewrightError):
    """A cell of a plan failed in a process of its own; the message has the error's kind and text."""


class ExperimentFailedError(TunewrightError):
    """More trials failed than ``max_failures`` allows; all results are in the journal."""

    def __init__(self, n_failed: int, max_failures: int, last_error: str) -> None:
        super().__init__(
            f"{n_failed} trial{'' if n_failed == 1 else 's'} failed, more than max_failures={max_failures} allows. The last error: {last_error}"
        )
