"""LocalBackend: runs as processes that outlive the tuner."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

from filelock import FileLock, Timeout
from typing_extensions import override

from tunewright.backends.local.config import LocalConfig
from tunewright.backends.local.functions import pickled_function
from tunewright.backends.local.run import GPU_VARIABLE, Launcher, LocalRun, TimedEvent
from tunewright.benchmarks.places import absolute_script
from tunewright.clock import WallClock
from tunewright.exceptions import BackendError, SettingsError, UnknownNameError, check_least
from tunewright.interfaces import Backend, BackendEvent
from tunewright.runner.channel import PAUSE, RELEASE, STOP
from tunewright.runner.local_run import TUNER_LOCK, drop_frozen
from tunewright.runner.run_order import ARGUMENT_STYLES, AS_FLAG, AS_LIST, AS_VALUE, RunOrder
from tunewright.storage import package_cache
from tunewright.trial import BackendSummary, Checkpoint, Decision, Ended, OpenRun, Run
from tunewright.types import Config

_POLL_SECONDS: Final = 0.02
_CLOSE_PATIENCE = 5.0
"""Seconds beyond the grace after which runners that still live are killed."""
_MOST_PER_CORE: Final = 64
"""Workers per processor core up to which a request may raise their number: a slip of the pen begins no million processes."""
_LOCK_PATIENCE = 2.0
"""Seconds to try again: a runner that tests the lock holds it for an instant itself."""


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
        The experiment's folder of trials.
    config
        The GPUs; None: the defaults.
    n_workers
        Runs at the same time, >= 1.
    resource_attr
        Key of the resource in reports; empty: reports are counted.
    metric
        Metric that a number returned by a Python function is; empty: there are several.
    max_resource_attr
        Hyperparameter of the script's last resource; empty: none.
    until_as_max_resource
        Pass a run's ``until`` as ``max_resource_attr``: for scripts that cannot be ended from outside.
    arguments
        ``"list"`` (``--name value``), ``"hydra"`` (``name=value``) or ``"config_json"`` (``--config_json FILE``).
    booleans
        ``"value"`` (``--name True``) or ``"flag"`` (``--name`` or nothing).
    environment
        Variables added to the tuner's environment; None: none.
    import_paths
        Folders put before PYTHONPATH.
    channels
        Input folders by name, given to the script as ``SM_CHANNEL_{NAME}``; None: none.
    function
        The function itself, if trials cannot import it; ``script`` is ``session:name`` then.
    cwd
        Working directory of the script; None: the tuner's.
    python
        Interpreter of the runner and of the script, Python >= 3.9; empty: the tuner's.
    cache_dir
        Folder of missing packages of a script's ``requirements.txt``; None: that of this user.
    grace
        Seconds from SIGTERM to SIGKILL, >= 0.
    abandon_after
        Seconds without a tuner, >= 0, after which a runner ends its script and keeps the checkpoint.
    max_retries
        Number of times, >= 0, that a run is started again if its runner is lost.
    dollars_per_hour
        Price of one worker, >= 0.

    Raises
    ------
    SettingsError
        The script does not exist, the function cannot be given to another process, there are too few GPUs, a number is out of range, or a word is unknown.
    BackendError
        The folder cannot be written, or another tuner works in it.
    """

    def __init__(
        self,
        script: str | Path,
        *,
        folder: Path,
        config: LocalConfig | None = None,
        n_workers: int = 4,
        resource_attr: str = "",
        metric: str = "",
        max_resource_attr: str = "",
        until_as_max_resource: bool = False,
        arguments: str = AS_LIST,
        booleans: str = AS_VALUE,
        environment: Mapping[str, str] | None = None,
        import_paths: Sequence[Path] = (),
        channels: Mapping[str, Path] | None = None,
        function: Callable[..., Any] | None = None,
        cwd: Path | None = None,
        python: str = "",
        cache_dir: Path | None = None,
        grace: float = 10.0,
        abandon_after: float = 600.0,
        max_retries: int = 3,
        dollars_per_hour: float = 0.0,
    ) -> None:
        check_least(1, n_workers=n_workers)
        check_least(
            0,
            grace=grace,
            abandon_after=abandon_after,
            max_retries=max_retries,
            dollars_per_hour=dollars_per_hour,
        )
        _check_word("arguments", arguments, ARGUMENT_STYLES)
        _check_word("booleans", booleans, (AS_VALUE, AS_FLAG))
        if until_as_max_resource and not max_resource_attr:
            raise SettingsError("until_as_max_resource needs max_resource_attr: the hyperparameter to set")
        config = config or LocalConfig()
        gpus = find_gpus() if config.gpus is None else tuple(str(gpu) for gpu in config.gpus)
        template = RunOrder(
            script=absolute_script(str(script)),
            config={},
            checkpoint_dir="",
            resource_attr=resource_attr,
            metric=metric,
            arguments=arguments,
            booleans=booleans,
            import_paths=[str(path) for path in import_paths],
            environment=dict(environment or {}),
            cwd=str(cwd or Path.cwd()),
            channels={name: str(path) for name, path in (channels or {}).items()},
            cache_dir=str(cache_dir or package_cache()),
            grace=grace,
            dollars_per_hour=dollars_per_hour,
            max_seconds=config.max_trial_time or 0.0,
        )
        self.clock = WallClock()
        self._folder = folder.absolute()
        self._n_workers = n_workers
        self._grace = grace
        self._max_retries = max_retries
        self._gpus = GpuPool(gpus, config.num_gpus_per_trial)
        self._held: dict[int, tuple[str, ...]] = {}
        """GPUs of each trial that runs."""
        self._live: dict[int, LocalRun] = {}
        self._leaving: list[LocalRun] = []
        """Runs that have ended, whose runners may still be there."""
        self._jobs = 0
        self._notices: list[str] = []
        self._cost = 0.0
        with self._disk():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._launcher = Launcher(
                self._folder,
                template,
                until_name=max_resource_attr if until_as_max_resource else "",
                python=python or sys.executable,
                abandon_after=abandon_after,
                pickled=b"" if function is None else pickled_function(function),
                fork=config.fork,
            )
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
        """Adopt, deliver, retry or start each of these runs, as its folder requires."""
        for open_run in runs:
            run, verdict = open_run.run, open_run.verdict
            live = self._new(run, open_run.config)
            is_known = live.adopt(has_reported=open_run.seen > 0)
            if not is_known and verdict is None:
                self.start(run, open_run.config)
                continue
            if is_known:
                self._held[run.trial_id] = self._gpus.hold(live.gpus())
            if verdict is not None:
                live.request(PAUSE if verdict.decision is Decision.PAUSE else STOP)
            self._live[run.trial_id] = live

    @override
    def pause(self, trial_id: int) -> None:
        self._request(trial_id, PAUSE)

    @override
    def stop(self, trial_id: int) -> None:
        self._request(trial_id, STOP)

    @override
    def free_workers(self) -> int:
        """``n_workers`` less the runs that have not ended."""
        return max(0, self._n_workers - len(self._live))

    @override
    def wait(self, timeout: float) -> Sequence[BackendEvent]:
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
    def set_workers(self, n_workers: int) -> None:
        most = max(self._n_workers, _MOST_PER_CORE * (os.cpu_count() or 1))
        if n_workers > most:
            raise SettingsError(
                f"{n_workers} workers are too many for this machine, which takes {most} at most"
            )
        self._n_workers = n_workers

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
                live.request(RELEASE)
        deadline = time.monotonic() + self._grace + _CLOSE_PATIENCE
        while left := [live for live in (*self._leaving, *self._live.values()) if not live.is_gone()]:
            if time.monotonic() > deadline:
                _kill_runners(left)
            time.sleep(_POLL_SECONDS)
        self._live.clear()
        self._leaving.clear()
        self._launcher.close()
        self._lock.release()

    def _new(self, run: Run, config: Config) -> LocalRun:
        return LocalRun(self._launcher, run, config, self._max_retries)

    def _request(self, trial_id: int, request: str) -> None:
        if trial_id in self._live:
            with self._disk():
                self._live[trial_id].request(request)

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
        """Turn a failure of the disk into an error with a remedy."""
        try:
            yield
        except OSError as error:
            raise BackendError(
                f"The folder {self._folder} cannot be used ({error}): free the disk or take another folder"
            ) from error


def _check_word(name: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise UnknownNameError(f"value of {name}", word, known)


def _kill_runners(runs: Sequence[LocalRun]) -> None:
    """Kill runners that do not answer, with what they have started, such as pip; their scripts die with them."""
    for pid in filter(None, (live.runner_pid() for live in runs)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def find_gpus() -> tuple[str, ...]:
    """The GPUs of this process: those of ``CUDA_VISIBLE_DEVICES`` if it is set, else those of nvidia-smi."""
    visible = os.environ.get(GPU_VARIABLE)
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))
    if shutil.which("nvidia-smi") is None:
        return ()
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return tuple(str(number) for number in range(len(lines)))


@final
class GpuPool:
    """Gives each run the GPUs that are least used; more runs than GPUs share them.

    Parameters
    ----------
    gpus
        The GPUs, as ``CUDA_VISIBLE_DEVICES`` names them; none: runs get no such variable.
    per_trial
        How many each run gets.

    Raises
    ------
    SettingsError
        There are GPUs, but fewer than ``per_trial``.
    """

    def __init__(self, gpus: Iterable[str], per_trial: int) -> None:
        self._gpus = tuple(gpus)
        self._per_trial = per_trial
        self._running = Counter[str]()
        self._uses = Counter[str]()
        if self._gpus and per_trial > len(self._gpus):
            raise SettingsError(
                f"num_gpus_per_trial={per_trial}, but there are only {len(self._gpus)} GPUs to use"
            )

    def take(self) -> tuple[str, ...]:
        """The GPUs of a new run: fewest runs now first, then fewest so far, then in order."""
        ranked = sorted(self._gpus, key=lambda gpu: (self._running[gpu], self._uses[gpu]))
        return self.hold(ranked[: self._per_trial])

    def hold(self, gpus: Iterable[str]) -> tuple[str, ...]:
        """Count a run on these GPUs, such as one that was found running."""
        held = tuple(gpus)
        self._running.update(held)
        self._uses.update(held)
        return held

    def give_back(self, gpus: Iterable[str]) -> None:
        """A run on these GPUs is over."""
        self._running.subtract(gpus)


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
            self._lock.acquire(timeout=_LOCK_PATIENCE, poll_interval=0.01)
        except Timeout as error:
            raise BackendError(
                f"Another tuner works in {path.parent}: wait for its end, or take another folder"
            ) from error

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()
