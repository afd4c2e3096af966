"""The channel of all but one instance of a job with several."""

from __future__ import annotations

from typing import final

from .channel import Channel, End, Report


@final
class MutedChannel(Channel):
    """The channel of the other instances of a job with several: it loads and obeys, but the first one reports.

    Parameters
    ----------
    channel
        What loads and obeys.
    """

    def __init__(self, channel: Channel) -> None:
        self.poll_seconds = channel.poll_seconds
        self._channel = channel

    def load_checkpoint(self) -> None:
        """Load the checkpoint that the run begins with."""
        self._channel.load_checkpoint()

    def wanted(self) -> str:
        """Ask what is wanted."""
        return self._channel.wanted()

    def send_report(self, report: Report) -> None:
        """Nothing: the first instance sends it."""

    def note_checkpoint(self, resource: int) -> None:
        """Nothing: the first instance stores it."""

    def save_checkpoint(self, resource: int) -> bool:  # noqa: ARG002 - the contract's
        """Nothing: the first instance stores it."""
        return False

    def send_end(self, end: End) -> None:
        """Nothing: the first instance sends it."""


def muted_unless(is_main: bool, channel: Channel) -> Channel:
    """The channel of one instance of a job: only the main one is heard.

    Parameters
    ----------
    is_main
        Whether this instance reports for the job.
    channel
        The job's.
    """
    return channel if is_main else MutedChannel(channel)
