"""RemoteSync: experiments inside tuning jobs, fetched again from S3 while a page is open.

A fetched experiment is a folder of this machine like any other (`tunewright.remote.mirror`); of those that a tuning job worked on
when they were last fetched, the changed files are fetched again, as ``tunewright remote status`` does.
"""

from __future__ import annotations

from typing import Final, final

from tunewright.dashboard.library import Library
from tunewright.exceptions import TunewrightError
from tunewright.experiments.remote_marker import live_marker
from tunewright.remote.launch import open_launch
from tunewright.remote.mirror import fetch_views

INTERVAL: Final = 30.0
"""Seconds between two fetches."""


@final
class RemoteSync:
    """Fetches what changed.

    Parameters
    ----------
    library
        The experiments; those that cannot be fetched get a warning.
    """

    def __init__(self, library: Library) -> None:
        self._library = library

    def fetch(self) -> None:
        """Fetch all experiments that a tuning job works on; it may take long."""
        tags = {folder.tag for folder in self._library.folders() if live_marker(folder.path) is not None}
        for tag in sorted(tags):
            try:
                with open_launch(tag) as launch:
                    fetch_views(launch, launch.look())
                remark = ""
            except (TunewrightError, OSError, ValueError) as error:
                remark = f"The experiments of {tag} cannot be fetched again: {error}"
            self._library.set_remark(tag, remark)
