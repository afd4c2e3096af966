"""Evaluations of earlier experiments, stored in the folder of the experiment that uses them for its resume."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import UNSET, UnsetType

from tunewright.exceptions import SettingsError
from tunewright.metadata import WarmStartMetadata, read_metadata
from tunewright.storage import ExperimentFolder, write_atomically
from tunewright.transfer.evaluations import TransferEvaluations

_log = logging.getLogger(__name__)

FILE: Final = "warm_start.json"


def store_evaluations(
    folder: ExperimentFolder, evaluations: TransferEvaluations | None
) -> WarmStartMetadata | UnsetType:
    """Write evaluations into the folder of a new experiment; return their entry in its metadata."""
    if evaluations is None:
        return UNSET
    write_atomically(_path(folder), json.dumps(evaluations.to_json()) + "\n")
    return WarmStartMetadata(
        tasks=len(evaluations.tasks), trials=evaluations.n_evaluations, digest=evaluations.digest
    )


def stored_evaluations(folder: ExperimentFolder) -> TransferEvaluations | None:
    """Return the evaluations that the experiment in a folder began with; None if there were none.

    Raises
    ------
    SettingsError
        The file is missing or was changed.
    """
    facts = read_metadata(folder).evaluations
    if facts is None:
        return None
    path = _path(folder)
    try:
        found = TransferEvaluations.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read, and the experiment learned from it: {error}") from None
    if found.digest != facts.digest:
        raise SettingsError(f"{path} was changed since the experiment began: bring it back to continue")
    return found


def log_notices(known: Iterable[TransferEvaluations | None]) -> None:
    """Log how evaluations of earlier experiments were changed or reduced, each line once."""
    lines = (notice for one in known if one is not None for notice in one.notices)
    for line in dict.fromkeys(lines):
        _log.warning("Earlier experiments: %s", line)


def _path(folder: ExperimentFolder) -> Path:
    return folder.path / FILE
