"""A backend that knows Tunewright's public contracts only: each trial is a subprocess, a thread reads its output."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

from tunewright.backends.plugin import BackendConfig, BackendPlugin, Description, ExperimentContext
from tunewright.clock import WallClock
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Backend
from tunewright.trial import Ended, OpenRun, Reported, Run
from tunewright.types import Config

MARK = "[tune-metric]: "


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignConfig(BackendConfig):
    """Trials are subprocesses that threads read."""

    backend_name: ClassVar[str] = "foreign"

    niceness: int = 0
    """Niceness of the processes, from 0 to 19."""

    def __post_init__(self) -> None:
        if not 0 <= self.niceness <= 19:
            raise SettingsError(f"niceness={self.niceness} must be from 0 to 19")


@final
class ForeignBackend(Backend):
    """Runs a script without checkpoints: a resumed trial begins anew, a run is ended at its ``until``."""

    def __init__(
        self, script: str, *, n_workers: int, resource_attr: str, folder: Path, niceness: int
    ) -> None:
        self.clock = WallClock()
        self._script = script
        self._n_workers = n_workers
        self._resource_attr = resource_attr
        self._folder = folder
        self._niceness = niceness
        self._events: queue.SimpleQueue[Reported | Ended] = queue.SimpleQueue()
        self._running: dict[int, _Process] = {}

    def start(self, run: Run, config: Config) -> None:
        self._begin(run, config, retry=0)

    def attach(self, runs: Sequence[OpenRun]) -> None:
        for one in runs:
            if one.verdict is not None:
                self._events.put(Ended(trial_id=one.run.trial_id, attempt=one.run.attempt, exit=0))
            else:
                self._begin(one.run, one.config, retry=one.retry + 1)

    def pause(self, trial_id: int) -> None:
        self.stop(trial_id)

    def stop(self, trial_id: int) -> None:
        if trial_id in self._running:
            self._running[trial_id].stop()

    def free_workers(self) -> int:
        return self._n_workers - len(self._running)

    def wait(self, timeout: float) -> Sequence[Reported | Ended]:
        try:
            events = [self._events.get(timeout=timeout)]
        except queue.Empty:
            return ()
        while not self._events.empty():
            events.append(self._events.get())
        for event in events:
            if isinstance(event, Ended):
                self._running.pop(event.trial_id, None)
        return events

    def close(self) -> None:
        for process in self._running.values():
            process.stop()
        for process in self._running.values():
            process.join()
        self._running.clear()

    def _begin(self, run: Run, config: Config, *, retry: int) -> None:
        arguments = [text for name, value in config.items() for text in (f"--{name}", str(value))]
        command = ["nice", "-n", str(self._niceness), sys.executable, self._script, *arguments]
        folder = self._folder / str(run.trial_id)
        folder.mkdir(parents=True, exist_ok=True)
        process = _Process(command, run, retry, folder / "stdout", self._resource_attr, self._events)
        self._running[run.trial_id] = process
        process.begin()


@final
class _Process:
    """One run: a subprocess, and the thread that reads it."""

    def __init__(
        self,
        command: Sequence[str],
        run: Run,
        retry: int,
        log: Path,
        resource_attr: str,
        events: queue.SimpleQueue[Reported | Ended],
    ) -> None:
        self._run, self._retry, self._log = run, retry, log
        self._resource_attr = resource_attr
        self._events = events
        self._is_stopped = False
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self._thread = threading.Thread(target=self._read)

    def begin(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped = True
        self._process.terminate()

    def join(self) -> None:
        self._thread.join()

    def _read(self) -> None:
        run, seq, last = self._run, 0, ""
        with self._process as process, self._log.open("a") as log:
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                last = line.strip()
                if line.startswith(MARK) and not self._is_stopped:
                    seq += 1
                    self._report(seq, json.loads(line.removeprefix(MARK)))
        code = 0 if self._is_stopped else process.returncode
        self._events.put(
            Ended(trial_id=run.trial_id, attempt=run.attempt, exit=code, error=last if code else "")
        )

    def _report(self, seq: int, metrics: dict[str, float]) -> None:
        run = self._run
        resource = int(metrics.get(self._resource_attr, seq))
        self._events.put(
            Reported(
                trial_id=run.trial_id,
                attempt=run.attempt,
                retry=self._retry,
                seq=seq,
                resource=resource,
                metrics=metrics,
            )
        )
        if run.until is not None and resource >= run.until:
            self.stop()


@final
class ForeignPlugin(BackendPlugin[ForeignConfig]):
    """Trials are subprocesses that threads read."""

    config = ForeignConfig

    def build(self, config: ForeignConfig, context: ExperimentContext) -> ForeignBackend:
        benchmark = context.script
        return ForeignBackend(
            benchmark.script,
            n_workers=benchmark.n_workers,
            resource_attr=benchmark.resource_attr or "",
            folder=context.folder.trials_path,
            niceness=config.niceness,
        )

    def describe(self, config: ForeignConfig, context: ExperimentContext) -> Description[ForeignConfig]:
        n_workers = context.script.n_workers
        return Description(config=config, lines=(f"Subprocesses of another package, {n_workers} at a time",))


PLUGIN = ForeignPlugin()
