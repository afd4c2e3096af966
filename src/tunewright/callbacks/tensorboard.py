"""TensorBoardCallback: the results of an experiment as event files, which TensorBoard shows while it runs."""

from __future__ import annotations

import importlib
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, Final, final

from typing_extensions import override

from tunewright.callbacks.plugin import CallbackConfig, CallbackContext, CallbackPlugin
from tunewright.exceptions import MissingExtraError
from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.metric import Constraint, Metric
from tunewright.trial import BackendSummary, ExperimentStatus, Result, Run, TrialStatus, Verdict
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


FOLDER: Final = "tensorboard"
"""Folder of an experiment that holds the event files; what ``tensorboard --logdir`` takes."""
BEST: Final = "best"
"""Folder of the best value so far, by the number of results."""
_MOST_OPEN: Final = 64
_INTERVAL: Final = 2.0  # seconds between two times that what was written goes to the disk
_RESERVED: Final = "st_"
_HAS_FAILED: Final = {TrialStatus.COMPLETED: False, TrialStatus.STOPPED: False, TrialStatus.FAILED: True}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TensorBoardConfig(CallbackConfig):
    """Event files for TensorBoard."""

    callback_name: ClassVar[str] = "tensorboard"

    folder: str = FOLDER
    """Folder of the event files; relative to the experiment's folder."""


@final
class TensorBoardPlugin(CallbackPlugin[TensorBoardConfig]):
    """Event files for TensorBoard in the experiment's folder."""

    config = TensorBoardConfig
    extra: ClassVar[str] = "tensorboard"

    @override
    def check(self, config: TensorBoardConfig) -> None:
        _check_installed()

    @override
    def build(self, config: TensorBoardConfig, context: CallbackContext) -> Callback:
        """A writer into the folder, with times of the experiment's clock."""
        return TensorBoardCallback(
            context.folder.path / config.folder,
            context.benchmark.metrics,
            constraints=context.constraints,
            begin=context.created,
        )


PLUGIN: Final = TensorBoardPlugin()


def _check_installed() -> None:
    try:
        importlib.import_module("tensorboardX")
    except ModuleNotFoundError as error:
        if error.name != "tensorboardX":
            raise
        raise MissingExtraError("tensorboard", "TensorBoardCallback") from None


@final
class TensorBoardCallback(Callback):
    """Writes a folder of events per trial: its hyperparameters, and each reported value by resource.

    With one metric the folder ``best`` has the best value so far as well. The files are a function of what was observed:
    after a resume, and where a paused trial goes on, they are written anew from History, so that nothing is missing or
    there twice. Times are those of the experiment's clock, which does not run while the experiment does not.

    Parameters
    ----------
    folder
        Where the folders go; made where it is missing.
    metrics
        What is tuned, at least one; these stand beside the hyperparameters.
    constraints
        What must hold of the best result.
    begin
        Seconds since 1970 at which the experiment's clock was 0.

    Raises
    ------
    MissingExtraError
        tensorboardX is not installed.
    """

    def __init__(
        self,
        folder: Path,
        metrics: Sequence[Metric],
        *,
        constraints: Sequence[Constraint] = (),
        begin: float = 0.0,
    ) -> None:
        _check_installed()
        self._folder = folder
        self._metrics = tuple(metrics)
        self._constraints = tuple(constraints)
        self._begin = begin
        self._files: OrderedDict[int, EventFile] = OrderedDict()
        self._best: EventFile | None = None
        self._loss, self._value, self._n_seen = math.inf, math.nan, 0
        self._next = 0.0

    @override
    def on_experiment_start(self, history: History) -> None:
        """Write what was observed before, where the experiment goes on."""
        if len(self._metrics) == 1:
            self._best = EventFile(self._folder / BEST, self._begin)
        for trial_id in range(history.n_trials):
            self._file(history, trial_id)
            if history.status(trial_id) is not TrialStatus.RUNNING:
                self._close(history, trial_id)
        self._follow_best(history)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Write the trial's hyperparameters, and what is known of it already."""
        self._file(history, run.trial_id)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        """Write the reported values."""
        is_open = trial_id in self._files
        file = self._file(history, trial_id)
        if is_open:  # else History, from which the file was made, holds the result
            self._add(file, result)
        self._follow_best(history)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        self._file(history, trial_id)
        self._close(history, trial_id)

    @override
    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        """Let readers see what is new, every two seconds."""
        if monotonic() >= self._next:
            self._next = monotonic() + _INTERVAL
            for file in self._all():
                file.flush()

    @override
    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """Close all files."""
        for file in self._all():
            file.close()
        self._files.clear()
        self._best = None

    def _all(self) -> list[EventFile]:
        return [*self._files.values(), *([] if self._best is None else [self._best])]

    def _file(self, history: History, trial_id: int) -> EventFile:
        """The file of a trial; one that is not open is written anew, with all that is known."""
        if trial_id not in self._files:
            file = EventFile(self._folder / f"trial-{trial_id:05d}", self._begin)
            file.add_hyperparameters(
                history.trial(trial_id).config, [metric.name for metric in self._metrics]
            )
            for result in history.results(trial_id):
                self._add(file, result)
            self._files[trial_id] = file
            if len(self._files) > _MOST_OPEN:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(trial_id)
        return self._files[trial_id]

    def _add(self, file: EventFile, result: Result) -> None:
        for name, value in result.metrics.items():
            if not name.startswith(_RESERVED):
                file.add_value(name, value, step=result.resource, time=self._begin + result.time)

    def _close(self, history: History, trial_id: int) -> None:
        file = self._files.pop(trial_id)
        has_failed = _HAS_FAILED.get(history.status(trial_id))
        if has_failed is not None:
            file.add_end(has_failed=has_failed)
        file.close()

    def _follow_best(self, history: History) -> None:
        """Write a point of the best value so far for each new result, from the first one that counts."""
        if self._best is None:
            return
        metric = self._metrics[0]
        for _, result in history.results_since(self._n_seen):
            self._n_seen += 1
            loss = metric.loss_of(result.metrics)
            if loss < self._loss and all(bound.is_met(result.metrics) for bound in self._constraints):
                self._loss, self._value = loss, result.metrics[metric.name]
            if math.isfinite(self._loss):
                time = self._begin + result.time
                self._best.add_value(metric.name, self._value, step=self._n_seen, time=time)
