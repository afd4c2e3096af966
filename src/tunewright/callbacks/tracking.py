"""Trackers: an experiment's journal, written into the store of another tool, and followed while it grows.

The callback starts a process of its own, which reads the journal as ``tunewright export`` does: a tracker that is slow or
does not answer costs the tuner nothing.
"""

from __future__ import annotations

import json
import logging
import math
import os
import select
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final, Generic, TypeVar, cast, final

from filelock import FileLock, Timeout
from typing_extensions import override

from tunewright.backends.plugin import ExperimentContext, backend_from_json, find_backend
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.callbacks.plugin import (
    CallbackConfig,
    CallbackContext,
    callback_from_json,
    callback_names,
    callback_to_json,
    find_callback,
)
from tunewright.events import EndEvent, Event, Header, ResultEvent, SessionEvent, StartEvent, decode_lines
from tunewright.exceptions import JournalError, SettingsError, TrackerError, TunewrightError
from tunewright.formatting import plural
from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.journal import is_locked
from tunewright.metadata import read_metadata
from tunewright.metric import Constraint, Metric
from tunewright.storage import ExperimentFolder
from tunewright.trial import BackendSummary, Checkpoint, ExperimentStatus, TrialStatus
from tunewright.types import Config

INTERVAL: Final = 2.0
"""Seconds between two writes."""
_LONGEST_PAUSE: Final = 60.0  # seconds between two tries while a tracker does not answer
PATIENCE: Final = 60.0
"""Seconds for which the end of an experiment waits until its last results are written."""
_OWN: Final = "st_"  # beginning of the names of values that the reporter adds
_log = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True)
class TrackedResult:
    """An accepted report."""

    resource: int
    """Strictly increasing within a trial, so that a trial and a resource name one result."""
    values: Mapping[str, float]
    """Without the resource and those that the reporter adds."""
    time: float
    """Seconds since 1970."""


@final
@dataclass(slots=True, kw_only=True)
class TrackedTrial:
    """A trial; times are seconds since 1970 by the experiment's clock, which does not run between sessions."""

    id: int
    config: Config
    started: float
    ended: float | None = None
    """None: it runs."""
    status: TrialStatus = TrialStatus.RUNNING
    """RUNNING only while the experiment runs."""
    results: list[TrackedResult] = field(default_factory=list[TrackedResult])
    n_runs: int = 1
    cost: float = 0.0
    """US dollars of all runs that have ended."""
    error: str = ""
    checkpoint: Checkpoint | None = None

    @property
    def name(self) -> str:
        """Name of the trial among those of its experiment."""
        return f"trial-{self.id}"

    def best(self, metric: Metric, constraints: Sequence[Constraint] = ()) -> TrackedResult | None:
        """The best result that meets the constraints; None if there is no finite one."""
        kept = [one for one in self.results if all(bound.is_met(one.values) for bound in constraints)]
        found = min(kept, key=lambda one: metric.loss_of(one.values), default=None)
        return None if found is None or not math.isfinite(metric.loss_of(found.values)) else found


@final
class TrackedExperiment:
    """A stored experiment, read from its journal, also while it grows. Nothing is changed.

    Parameters
    ----------
    folder
        The experiment's folder.

    Raises
    ------
    SettingsError
        It is not one of an experiment.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self.folder = folder
        self.metadata = read_metadata(folder)
        self.trials: list[TrackedTrial] = []
        self.results: list[tuple[TrackedTrial, TrackedResult]] = []
        """All results in the order of their arrival."""
        self.status = ExperimentStatus.RUNNING
        self._offset = 0
        created = self.metadata.created
        self.begin = datetime.fromisoformat(created).timestamp() if created else 0.0
        """Seconds since 1970 at which the experiment's clock was 0."""
        self.time = self.begin
        """Seconds since 1970 of its last event."""

    @property
    def name(self) -> str:
        """Unique name of the experiment."""
        return self.folder.name

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Tuned metrics; the first one decides about the best trial."""
        return self.metadata.metrics

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Constraints on the best result."""
        return self.metadata.bounds

    @property
    def is_over(self) -> bool:
        """Whether no process works on it."""
        return not self.status.is_running

    def best(self) -> tuple[TrackedTrial, TrackedResult] | None:
        """The trial with the best result, and that result; None if there is none yet."""
        metric = self.metrics[0]
        found = [(trial, best) for trial in self.trials if (best := trial.best(metric, self.constraints))]
        return min(found, key=lambda pair: metric.loss_of(pair[1].values), default=None)

    def read(self) -> set[int]:
        """Read the lines that were added; return the trials that changed.

        Raises
        ------
        JournalError
            The journal cannot be read, is damaged, or was replaced by a shorter one.
        """
        path = self.folder.journal_path
        try:
            with path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:
                    raise JournalError(f"{path} was replaced by another journal")
                file.seek(self._offset)
                data = file.read()
        except OSError as error:
            raise JournalError(f"{path} cannot be read: {error}") from error
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        try:
            changed = {self._take(event) for event in decode_lines(data)}
        except (ValueError, LookupError) as error:
            raise JournalError(f"{path} is damaged: {error!r}. See tunewright repair") from error
        return changed - {None}  # pyright: ignore[reportReturnType] - None is removed

    def end(self, status: ExperimentStatus) -> set[int]:
        """Note that no process works on it any more; return the trials that ran or were paused. Those that ran are STOPPED."""
        self.status = status
        left = [one for one in self.trials if one.status in {TrialStatus.RUNNING, TrialStatus.PAUSED}]
        for trial in left:
            if trial.status is TrialStatus.RUNNING:
                trial.status, trial.ended = TrialStatus.STOPPED, self.time
        return {trial.id for trial in left}

    def copy_checkpoint(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Copy a checkpoint of a training script into a new folder.

        Raises
        ------
        SettingsError, TunewrightError
            The backend does not have it.
        """
        data = self.folder.metadata()
        backend = backend_from_json(data["backend"])
        context = ExperimentContext(
            benchmark=RealBenchmarkDefinition.from_json(data["benchmark"]),
            tag=self.folder.tag,
            seed=self.metadata.effective_seed,
            stored=self.folder,
        )
        find_backend(backend.backend_name).copy_checkpoint(backend, context, checkpoint, folder)

    def _take(self, event: Header | Event) -> int | None:
        """Take an event; return the trial that it changes."""
        if isinstance(event, Header):
            return None
        self.time = self.begin + event.t
        if isinstance(event, StartEvent):
            self._start(event)
        elif isinstance(event, ResultEvent):
            if not event.is_accepted:
                return None
            attr = self.metadata.benchmark.resource_attr
            values = {
                name: value
                for name, value in event.metrics.items()
                if name != attr and not name.startswith(_OWN)
            }
            trial, result = self.trials[event.trial_id], TrackedResult(event.resource, values, self.time)
            trial.results.append(result)
            self.results.append((trial, result))
        elif isinstance(event, EndEvent):
            trial = self.trials[event.trial_id]
            trial.status, trial.ended, trial.error = event.status, self.time, event.error
            trial.cost += event.cost
            trial.checkpoint = event.checkpoint or trial.checkpoint
        else:
            if isinstance(event, SessionEvent):
                self.status = event.outcome or ExperimentStatus.INTERRUPTED
            return None
        return event.trial_id

    def _start(self, event: StartEvent) -> None:
        if event.trial_id == len(self.trials):
            self.trials.append(TrackedTrial(id=event.trial_id, config=event.config, started=self.time))
            return
        trial = self.trials[event.trial_id]
        trial.status, trial.ended = TrialStatus.RUNNING, None
        trial.n_runs += 1


class Tracker(ABC):
    """An experiment's place in a tracker's store.

    All writes may be repeated, also by another process: nothing is stored twice. Any exception is a failed write, after
    which the tracker is closed and opened again.
    """

    @abstractmethod
    def write_trial(self, trial: TrackedTrial) -> None:
        """Bring a trial up to date: configuration, results, status. Called with ascending ids, first with all trials."""

    @abstractmethod
    def write_experiment(self) -> None:
        """Bring the experiment up to date, after its trials: best result, status; of an ended one the best checkpoint."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it can be looked at: a command or an address."""

    def close(self) -> None:
        """Release the store."""


C = TypeVar("C", bound=CallbackConfig)


class TrackerPlugin(ABC, Generic[C]):
    """The part of a callback's plugin that makes it a tracker, and a target of ``tunewright export``.

    A plugin has this class and `CallbackPlugin` as its bases, in this order.
    """

    @abstractmethod
    def open(self, config: C, experiment: TrackedExperiment) -> Tracker:
        """Open the tracker's store for an experiment, of which nothing has been read yet.

        Raises
        ------
        TunewrightError
            It cannot be opened.
        """

    @final
    def build(self, config: C, context: CallbackContext) -> Callback:
        """A callback that follows the experiment in a process of its own."""
        return TrackingCallback(config, context.folder)


def tracker_names() -> list[str]:
    """Names of the installed trackers, sorted."""
    return [name for name in callback_names() if isinstance(find_callback(name), TrackerPlugin)]


def export_experiment(
    folder: ExperimentFolder, config: CallbackConfig, wait: Callable[[], bool] | None = None
) -> str:
    """Write an experiment into a tracker's store; what is there already is left as it is.

    Parameters
    ----------
    folder
        The experiment's folder.
    config
        Of the tracker.
    wait
        Called after each write until it returns False, to follow a running experiment. None: one write.

    Returns
    -------
    str
        The number of trials, and where to look at them.

    Raises
    ------
    SettingsError
        Another process is writing the experiment into this store.
    TrackerError
        It cannot be written.
    JournalError
        The journal cannot be read.
    """
    with _Export(folder, config) as export:
        if wait is not None:
            while wait():
                export.try_to_write()
        export.write(None if is_locked(folder.journal_path) else export.outcome())
        return export.summary


@final
class _Export:
    """One process's work on an experiment's place in a store; the store is opened at the first write."""

    def __init__(self, folder: ExperimentFolder, config: CallbackConfig) -> None:
        plugin = find_callback(config.callback_name)
        if not isinstance(plugin, TrackerPlugin):
            raise SettingsError(f"{config.callback_name} is no tracker: use {', '.join(tracker_names())}")
        plugin.check(config)
        self._name = plugin.name
        self._open: Callable[[Any, TrackedExperiment], Tracker] = cast("TrackerPlugin[Any]", plugin).open
        self._config = config
        self._experiment = TrackedExperiment(folder)
        self._pending: set[int] = set()
        self._tracker: Tracker | None = None
        self._lock = FileLock(folder.path / f".{plugin.name}.lock")
        self._next = 0.0
        self._pause = INTERVAL
        self._problem = ""

    def __enter__(self) -> _Export:
        """Take the lock."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise SettingsError(
                f"Another process is writing {self._experiment.name} to {self._name}: wait for its end"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Close the tracker and release the lock."""
        try:
            self._close()
        finally:
            self._lock.release()

    @property
    def summary(self) -> str:
        """Number of trials, and where to look at them; only after a write."""
        place = "" if self._tracker is None else self._tracker.place
        return f"{plural(len(self._experiment.trials), 'trial')} in {self._name}: {place}"

    def outcome(self) -> ExperimentStatus:
        """How the last session ended, by the journal."""
        self._pending |= self._experiment.read()
        status = self._experiment.status
        return ExperimentStatus.INTERRUPTED if status.is_running else status

    def try_to_write(self) -> None:
        """Write what is new; a failure is logged once, and leads to longer pauses."""
        if monotonic() < self._next:
            return
        try:
            self.write()
            self._pause, self._problem = INTERVAL, ""
        except TunewrightError as error:
            if self._problem != str(error):
                self._problem = str(error)
                _log.warning("%s. It is tried again", error)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._next = monotonic() + self._pause

    def write(self, ended: ExperimentStatus | None = None) -> None:
        """Write what is new.

        Parameters
        ----------
        ended
            How the experiment ended; None: it runs.
        """
        self._pending |= self._experiment.read()
        if ended is not None:
            self._pending |= self._experiment.end(ended)
        else:
            self._experiment.status = ExperimentStatus.RUNNING
        try:
            if self._tracker is None:
                self._tracker = self._open(self._config, self._experiment)
                self._pending.update(range(len(self._experiment.trials)))
            for trial_id in sorted(self._pending):
                self._tracker.write_trial(self._experiment.trials[trial_id])
                self._pending.discard(trial_id)
            self._tracker.write_experiment()
        except Exception as error:
            self._close()
            if isinstance(error, TunewrightError):
                raise
            raise TrackerError(self._name, error) from error

    def _close(self) -> None:
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.close()


# --- the callback, and its process

_ENTRY: Final = "from tunewright.callbacks.tracking import main; raise SystemExit(main())"


@final
class TrackingCallback(Callback):
    """Follows an experiment in a process of its own, which writes it into a tracker's store.

    The process gets the experiment and the tracker's config, later the outcome on its standard input. It also ends if the
    tuner was killed.

    Parameters
    ----------
    config
        Of the tracker.
    folder
        The experiment's folder; the output of the process is written into ``NAME.log`` there.
    """

    def __init__(self, config: CallbackConfig, folder: ExperimentFolder) -> None:
        self._config = config
        self._name = config.callback_name
        self._folder = folder
        self._log_path = folder.path / f"{self._name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @override
    def on_experiment_start(self, history: History) -> None:
        """Start the process."""
        package = str(Path(__file__).parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        order = {"folder": str(self._folder.path), "callback": callback_to_json(self._config)}
        with self._log_path.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _ENTRY],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C is for the tuner
            )
        self._tell(json.dumps(order))

    @override
    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        """Warn if the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            self._finish()

    @override
    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """Wait until the last results are written, a minute at most."""
        if self._process is None:
            return
        try:
            self._tell(outcome)
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            _log.warning("%s does not answer", self._name)
        finally:
            self._finish()

    def _tell(self, line: str) -> None:
        """Write a line to the process, which may have ended."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()

    def _finish(self) -> None:
        """End and reap the process; warn if not all was written."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        if process.returncode:
            lines = self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            _log.warning(
                "Not everything is in %s (%s). Nothing of the experiment is lost: tunewright export %s --to %s",
                self._name,
                lines[-1] if lines else f"exit code {process.returncode}",
                self._folder.name,
                self._name,
            )


def main() -> int:
    """Follow an experiment until the standard input says how it ended, or is closed; return the exit code."""
    logging.basicConfig(format="%(message)s")
    lines = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 - select sees no buffers
    order = json.loads(lines.readline())
    folder = ExperimentFolder(Path(order["folder"]))
    try:
        with _Export(folder, callback_from_json(order["callback"])) as export:
            while not select.select([lines], [], [], INTERVAL)[0]:
                export.try_to_write()
            outcome = lines.readline().decode().strip()
            export.write(ExperimentStatus(outcome) if outcome else ExperimentStatus.INTERRUPTED)
            sys.stderr.write(f"{export.summary}\n")
    except TunewrightError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
