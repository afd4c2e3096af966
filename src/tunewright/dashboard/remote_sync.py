"""RemoteSync: experiments inside tuning jobs, fetched again from S3 while a page is open.

A fetched experiment is a folder of this machine like any other (`tunewright.remote.mirror`); of those that a tuning job worked on
when they were last fetched, the changed files are fetched again, as ``tunewright remote status`` does.
"""

from __future__ import annotations

from typing import Final, final

from tunewright.aws import choose_bucket, open_session
from tunewright.dashboard.library import Library
from tunewright.exceptions import TunewrightError
from tunewright.experiments.remote_marker import live_marker
from tunewright.remote.launch import RemoteLaunch, load_record
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
                remark = self._fetch_tag(tag)
            except (TunewrightError, OSError, ValueError) as error:
                remark = f"The experiments of {tag} cannot be fetched again: {error}"
            self._library.set_remark(tag, remark)

    def _fetch_tag(self, tag: str) -> str:
        """Fetch a launch; return a warning, or nothing."""
        record = load_record(tag)
        if record is None:
            return f"{tag} was launched from another machine: fetch it with tunewright remote fetch {tag}, with its --endpoint and --region"
        session = open_session(record.endpoint())
        try:
            bucket = choose_bucket(session, record.bucket, record.bucket_terms)
            launch = RemoteLaunch(session, bucket, tag, record.requests)
            fetch_views(launch, launch.look())
        finally:
            session.close()
        return ""
