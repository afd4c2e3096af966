"""LocalBackend: runs as processes that outlive the tuner."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import final

from filelock import FileLock, Timeout
from typing_extensions import override

from tunewright.backends.local.config import LocalSettings
from tunewright.backends.local.gpus import GpuPool, find_gpus
from tunewright.backends.local.launcher import Launcher
from tunewright.backends.local.live_run import LiveRun, TimedEvent
from tunewright.clock import WallClock
from tunewright.exceptions import BackendError, SettingsError
from tunewright.interfaces import Backend
from tunewright.runner.channel import PAUSE, RELEASE, STOP
from tunewright.runner.local_run import TUNER_LOCK, drop_frozen
from tunewright.trial import BackendSummary, Checkpoint, Decision, Ended, OpenRun, Reported, Run
from tunewright.types import Config

_PATIENCE = 2.0
"""Seconds to try again: a runner that tests the lock holds it for an instant itself."""


@final
class TunerLock:
    """Lock held from construction to :meth:`release`, or to the end of the process, ``kill -9`` included.

    Runners, which have the standard library only, test it with ``fcntl.flock``: filelock takes the same lock.

    Parameters
    ----------
    path
        File of the lock; it stays after the release.

    Raises
    ------
    BackendError
        Another tuner holds the lock.
    """

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)
        try:
            self._lock.acquire(timeout=_PATIENCE, poll_interval=0.01)
        except Timeout as error:
            raise BackendError(
                f"Another tuner works in {path.parent}: wait for its end, or take another folder"
            ) from error

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


_POLL_SECONDS = 0.02
_CLOSE_PATIENCE = 5.0
"""Seconds beyond the grace after which runners that still live are killed."""


@final
class LocalBackend(Backend):
    """Runs a script or a Python function in processes on this machine.

    Each run is under a runner of its own, which survives the tuner's death; a later session attaches to it.
    ``folder/{trial}`` holds ``config.json``, ``runs/{attempt}-{retry}/`` (order, stdout, stderr, reports, end) and
    ``checkpoints/{resource}/``.

    Parameters
    ----------
    script
        Path of a script, or ``module:name`` (``path/file.py:name``) of a function that is called with the
        configuration as keyword arguments.
    folder
        Where everything of the experiment's trials is kept.
    settings
        Number of workers and the like.

    Raises
    ------
    SettingsError
        The script is not there, or there are too few GPUs.
    BackendError
        The folder cannot be written, or another tuner works in it.
    """

    def __init__(self, script: str | Path, *, folder: Path, settings: LocalSettings) -> None:
        self.clock = WallClock()
        self._settings = settings
        self._folder = folder.absolute()
        gpus = find_gpus() if settings.gpus is None else tuple(str(gpu) for gpu in settings.gpus)
        self._gpus = GpuPool(gpus, settings.gpus_per_trial)
        self._held: dict[int, tuple[str, ...]] = {}
        self._live: dict[int, LiveRun] = {}
        self._leaving: list[LiveRun] = []
        self._jobs = 0
        self._notices: list[str] = []
        self._cost = 0.0
        path = _absolute_script(str(script))
        with self._disk():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._launcher = Launcher(path, self._folder, settings)
            self._lock = TunerLock(self._folder / TUNER_LOCK)

    @override
    def start(self, run: Run, config: Config) -> None:
        """Start a run's runner.

        Raises
        ------
        BackendError
            The folder cannot be written.
        """
        live = self._new(run, config)
        gpus = self._gpus.take()
        with self._disk():
            live.start(gpus)
        self._held[run.trial_id] = gpus
        self._live[run.trial_id] = live

    @override
    def attach(self, runs: Sequence[OpenRun]) -> None:
        """Adopt, deliver, retry or start each of these runs, whichever its folder calls for."""
        for open_run in runs:
            run, verdict = open_run.run, open_run.verdict
            live = self._new(run, open_run.config)
            is_known = live.adopt()
            if not is_known and verdict is None:
                self.start(run, open_run.config)
                continue
            if is_known:
                self._held[run.trial_id] = self._gpus.hold(live.gpus())
            if verdict is not None:
                live.want(PAUSE if verdict.decision is Decision.PAUSE else STOP)
            self._live[run.trial_id] = live

    @override
    def pause(self, trial_id: int) -> None:
        self._want(trial_id, PAUSE)

    @override
    def stop(self, trial_id: int) -> None:
        self._want(trial_id, STOP)

    @override
    def free_workers(self) -> int:
        """``n_workers`` less the runs that have not ended."""
        return max(0, self._settings.n_workers - len(self._live))

    @override
    def wait(self, timeout: float) -> Sequence[Reported | Ended]:
        """Read the folders of live runs until one has news.

        Raises
        ------
        BackendError
            The folder cannot be read or written.
        """
        deadline = time.monotonic() + timeout
        while not (events := self._poll()):
            left = deadline - time.monotonic()
            if left <= 0:
                return ()
            time.sleep(min(left, _POLL_SECONDS))
        return [event for _, event in sorted(events, key=lambda timed: timed[0])]

    @override
    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        drop_frozen(self._launcher.checkpoint_folder(checkpoint))

    @override
    def summary(self) -> BackendSummary:
        """Runners started and dollars spent in this session."""
        notices = [notice for live in self._live.values() for notice in live.notices]
        return BackendSummary(
            notices=(*self._notices, *notices),
            jobs=self._jobs + sum(live.jobs for live in self._live.values()),
            cost=self._cost + sum(live.cost for live in self._live.values()),
        )

    @override
    def close(self) -> None:
        """End all scripts, keep their checkpoints, and leave no process behind."""
        for live in self._live.values():
            with contextlib.suppress(OSError):
                live.want(RELEASE)
        deadline = time.monotonic() + self._settings.grace + _CLOSE_PATIENCE
        while left := [live for live in (*self._leaving, *self._live.values()) if not live.is_gone()]:
            if time.monotonic() > deadline:
                _kill_runners(left)
            time.sleep(_POLL_SECONDS)
        self._live.clear()
        self._leaving.clear()
        self._lock.release()

    def _new(self, run: Run, config: Config) -> LiveRun:
        return LiveRun(self._launcher, run, config, self._settings.max_retries)

    def _want(self, trial_id: int, verdict: str) -> None:
        if trial_id in self._live:
            with self._disk():
                self._live[trial_id].want(verdict)

    def _poll(self) -> list[TimedEvent]:
        self._leaving = [live for live in self._leaving if not live.is_gone()]
        events: list[TimedEvent] = []
        for trial_id, live in list(self._live.items()):
            with self._disk():
                news = live.poll()
            events += news
            if news and isinstance(news[-1][1], Ended):
                self._jobs += live.jobs
                self._notices += live.notices
                self._cost += live.cost
                self._gpus.give_back(self._held.pop(trial_id, ()))
                self._leaving.append(self._live.pop(trial_id))
        return events

    @contextlib.contextmanager
    def _disk(self) -> Generator[None]:
        """Say what a failure of the disk means."""
        try:
            yield
        except OSError as error:
            raise BackendError(
                f"The folder {self._folder} cannot be used ({error}): free the disk or take another folder"
            ) from error


def _kill_runners(runs: Sequence[LiveRun]) -> None:
    """Kill runners that do not answer, with what they have started, such as pip; their scripts die with them."""
    for pid in filter(None, (live.runner_pid() for live in runs)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _absolute_script(script: str) -> str:
    """The script's absolute path; functions of modules are left as they are."""
    place, separator, name = script.rpartition(":")
    if separator and name.isidentifier() and not place.endswith(".py"):
        return script
    path = Path(place if separator and name.isidentifier() else script).absolute()
    if not path.is_file():
        raise SettingsError(
            f"There is no script {path}: give the path of a file, or module:name of a function"
        )
    return f"{path}:{name}" if place.endswith(".py") and separator else str(path)
