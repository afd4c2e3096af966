"""A file of events in the form that TensorBoard reads, one for each folder."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

from tunewright.types import ConfigValue

NAME: Final = "events.out.tfevents.0000000000.tunewright"
"""TensorBoard looks for "tfevents". A file that is written anew takes the place of the one before."""


@final
class EventFile:
    """Writes events, one after the other. It needs tensorboardX.

    Records are written in this thread by ``RecordWriter``: ``SummaryWriter`` would take a thread, a pipe and a file name by
    the second for each of a thousand trials.

    Parameters
    ----------
    folder
        TensorBoard shows it as a run of this name; made where it is missing.
    begin
        Time of the first events, seconds since 1970.
    """

    def __init__(self, folder: Path, begin: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._begin = begin
        self._events: Any = importlib.import_module("tensorboardX.proto.event_pb2")
        self._summaries: Any = importlib.import_module("tensorboardX.summary")
        self._writer: Any = importlib.import_module("tensorboardX").RecordWriter(str(folder / NAME))
        self._end: Any = None
        self._is_dirty = False
        self._write(self._events.Event(wall_time=begin, file_version="brain.Event:2"))

    def add_hyperparameters(self, config: Mapping[str, ConfigValue], metrics: Sequence[str]) -> None:
        """Say what the page of hyperparameters shows of this folder: these, and the newest value of each metric."""
        tags = [
            self._summaries.scalar(name, 0.0).value[0].tag for name in metrics
        ]  # as the curves are called
        experiment, start, self._end = self._summaries.hparams(dict(config), dict.fromkeys(tags, 0.0))
        for summary in (experiment, start):
            self._write(self._events.Event(wall_time=self._begin, summary=summary))

    def add_value(self, name: str, value: float, *, step: int, time: float) -> None:
        """One point of a curve; NaN and infinity are shown as such.

        Parameters
        ----------
        name
            Of the curve.
        value
            Kept in single precision, as the form has it.
        step
            On the horizontal axis.
        time
            Seconds since 1970.
        """
        self._write(
            self._events.Event(wall_time=time, step=step, summary=self._summaries.scalar(name, value))
        )

    def add_end(self, *, has_failed: bool) -> None:
        """Say that what has these hyperparameters is over."""
        plugin = importlib.import_module("tensorboardX.proto.plugin_hparams_pb2")
        status = importlib.import_module("tensorboardX.proto.api_pb2").Status
        data = self._end.value[0].metadata.plugin_data
        content: Any = plugin.HParamsPluginData.FromString(data.content)
        content.session_end_info.status = status.Value("STATUS_FAILURE" if has_failed else "STATUS_SUCCESS")
        data.content = content.SerializeToString()
        self._write(self._events.Event(wall_time=self._begin, summary=self._end))

    def flush(self) -> None:
        """Let readers see what was written."""
        if self._is_dirty:
            self._is_dirty = False
            self._writer.flush()

    def close(self) -> None:
        """Write the rest; nothing is added afterwards."""
        self._writer.close()

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
        self._is_dirty = True
