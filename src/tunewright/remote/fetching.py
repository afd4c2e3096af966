"""Fetching: experiments of tuning jobs into the folders where those that ran here lie."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from tunewright.exceptions import TunewrightError
from tunewright.experiments.outcome import Outcome, load_outcome
from tunewright.experiments.remote_marker import RemoteMarker, write_marker
from tunewright.remote.fleet import Fleet
from tunewright.remote.mirror import check_below, fetch_experiment
from tunewright.remote.place import EXPERIMENTS, JOURNAL
from tunewright.remote.slices import SliceStatus
from tunewright.storage import ExperimentFolder, home

_SMALL: Final = ("metadata.json", "account.json")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SliceView:
    """A slice, and its experiments as far as S3 has them."""

    status: SliceStatus
    outcomes: tuple[Outcome, ...]
    n_fetched: int
    """Objects that were downloaded for this view."""


def fetch_views(fleet: Fleet, statuses: Sequence[SliceStatus], *, all_files: bool = False) -> list[SliceView]:
    """Bring the local folders up to what S3 has, and read them.

    Parameters
    ----------
    fleet
        The launch, which has just been looked at.
    statuses
        Of the slices that are wanted.
    all_files
        Not only what a status needs: tables of results and the trials' files as well.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    SettingsError
        Names in S3 lead out of the folders of experiments.
    """
    return [_view(fleet, status, all_files=all_files) for status in statuses]


def _view(fleet: Fleet, status: SliceStatus, *, all_files: bool) -> SliceView:
    outcomes: list[Outcome] = []
    one = status.slice
    note = RemoteMarker(tag=one.tag, name=one.name, state=str(status.state), looked_at=time.time())
    n_fetched = 0
    for name in status.experiments:
        check_below(f"{one.tag}/{name}", one.name)
        folder = ExperimentFolder(home() / "experiments" / one.tag / name)
        stored = [
            entry
            for entry in fleet.stored(one.name, name)
            if all_files or entry.key in _SMALL or entry.key.startswith(JOURNAL)
        ]
        objects = fleet.objects(one.name).under(f"{EXPERIMENTS}{name}")
        n_fetched += fetch_experiment(objects, stored, folder.path)
        write_marker(folder.path, note)
        try:
            outcomes.append(load_outcome(folder))
        except TunewrightError:
            continue  # it has only just begun: its metadata are there, its journal is not
    return SliceView(status=status, outcomes=tuple(outcomes), n_fetched=n_fetched)
