"""One run that is with the backend: followed through all its retries to its one end."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import final

from tunewright.backends.local.gpus import VARIABLE
from tunewright.backends.local.launcher import Launcher, is_here
from tunewright.backends.local.run_folder import RunFolder, RunState
from tunewright.runner.channel import GO_ON, RELEASE, TERMINATED, End
from tunewright.runner.local_run import drop_frozen, freeze, frozen_folder, whole_resource
from tunewright.runner.run_order import RunOrder
from tunewright.trial import Checkpoint, Ended, Reported, Run
from tunewright.types import Config

TimedEvent = tuple[float, "Reported | Ended"]
"""Seconds since 1970, and what happened."""


@final
class LiveRun:
    """A run of a trial, from its start or its adoption until its ``Ended``.

    Parameters
    ----------
    launcher
        Starts runners.
    run, config
        What is run.
    max_retries
        How often it is begun again in this session when its runner was lost.
    """

    def __init__(self, launcher: Launcher, run: Run, config: Config, max_retries: int) -> None:
        self.run = run
        self.jobs = 0
        """Runners started for it in this session."""
        self.cost = 0.0
        """Dollars so far."""
        self.notices: list[str] = []
        """What the user may want to know."""
        self._launcher = launcher
        self._config = config
        self._max_retries = max_retries
        self._trial = launcher.trial_folder(run.trial_id)
        self._folders: dict[int, RunFolder] = {}
        self._retry = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._verdict = GO_ON
        self._last_wall = 0.0
        self._retries = 0

    def start(self, gpus: tuple[str, ...]) -> None:
        """Start its first retry."""
        self._launch(0, self._launcher.order(self.run, self._config, gpus))

    def adopt(self) -> bool:
        """Take over what an earlier session has left; False where the run was never ordered."""
        for attempt, retry in RunFolder.all_of(self._trial):
            if attempt == self.run.attempt:
                self._retry = retry
                self._folder(retry)
        return bool(self._folders)

    def gpus(self) -> tuple[str, ...]:
        """The GPUs that an adopted run has."""
        names = self._folder(self._retry).order().environment.get(VARIABLE, "")
        return tuple(name for name in names.split(",") if name)

    def want(self, verdict: str) -> None:
        """Ask for its end; the first wish counts."""
        if self._verdict == GO_ON:
            self._verdict = verdict
            if self._folders:
                self._folder(self._retry).write_control(verdict)

    def poll(self) -> list[TimedEvent]:
        """What has happened since the last call; an ``Ended`` is the last thing that ever comes."""
        if not self._folders:
            return [self._timed(time.time(), self._ended(exit_code=0))]
        state = self._look()
        events = [event for folder in list(self._folders.values()) for event in self._reports(folder)]
        folder = self._folder(self._retry)
        end = folder.end()
        if state is RunState.ALIVE:
            return events
        if end is None:
            return events + (self._begin_again() if self._verdict == GO_ON else [self._cut_short(folder)])
        if end.cause in (RELEASE, TERMINATED) and self._verdict == GO_ON:
            return events if folder.is_held() else events + self._begin_again()
        return [*events, self._timed(end.wall, self._end_of(end))]

    def is_gone(self) -> bool:
        """Whether no runner works on it any more."""
        is_own = self._process is not None and self._process.poll() is None
        return not is_own and not (self._folders and self._folder(self._retry).is_held())

    def runner_pid(self) -> int | None:
        """The process of its runner."""
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        last = self._folder(self._retry).last_runner() if self._folders else None
        return last[1] if last else None

    def _folder(self, retry: int) -> RunFolder:
        if retry not in self._folders:
            self._folders[retry] = RunFolder(self._trial, self.run.attempt, retry)
        return self._folders[retry]

    def _look(self) -> RunState:
        """The state of the retry that counts: where ours found the lock taken, the one that has it."""
        folder = self._folder(self._retry)
        if self._process is not None and self._process.poll() is None:
            return RunState.ALIVE if folder.end() is None else RunState.ENDED
        last = folder.last_runner()
        if last is not None and last[0] != folder.path.name:
            self._retry = int(last[0].partition("-")[2])
            folder = self._folder(self._retry)
            if self._verdict != GO_ON:
                folder.write_control(self._verdict)
        return folder.state()

    def _launch(self, retry: int, order: RunOrder) -> None:
        self._retry = retry
        self._process = self._launcher.launch(self._folder(retry), replace(order, retry=retry))
        self.jobs += 1

    def _begin_again(self) -> list[TimedEvent]:
        """Start a retry from the newest whole checkpoint; give up when that has been done too often."""
        folder = self._folder(self._retry)
        if self._retries >= self._max_retries:
            error = f"The runner of trial {self.run.trial_id} was lost {self._retries + 1} times:\n{folder.output()[-2000:]}"
            return [self._timed(time.time(), self._ended(exit_code=1, error=error))]
        self._retries += 1
        end = folder.end()
        self.cost = max(self.cost, end.cost if end else 0.0)
        source, resource = folder.continuation()
        self.notices.append(f"Trial {self.run.trial_id} lost its runner and goes on from {resource}")
        order = folder.order()
        if not is_here(order):
            order = self._launcher.order(self.run, self._config, self.gpus())
            if not source and order.checkpoint_from and Path(order.checkpoint_from).is_dir():
                source, resource = order.checkpoint_from, order.resume_from
        order = replace(order, checkpoint_from=source, resume_from=resource, cost_before=self.cost)
        self._launch(max(self._folders) + 1, order)
        return []

    def _reports(self, folder: RunFolder) -> list[TimedEvent]:
        retry = int(folder.path.name.partition("-")[2])
        events: list[TimedEvent] = []
        for report in folder.new_reports():
            self.cost = max(self.cost, report.cost)
            event = Reported(
                trial_id=self.run.trial_id,
                attempt=self.run.attempt,
                retry=retry,
                seq=report.seq,
                resource=report.resource,
                metrics=report.metrics,
                cost=self.cost,
            )
            events.append(self._timed(report.wall, event))
        return events

    def _cut_short(self, folder: RunFolder) -> TimedEvent:
        """The end of a run that was to be ended anyway when its runner was lost."""
        resource = whole_resource(folder.path)
        if resource is not None:
            freeze(folder.working, frozen_folder(self._trial, resource))
        return self._timed(time.time(), self._ended(exit_code=0, resource=resource))

    def _end_of(self, end: End) -> Ended:
        self.cost = max(self.cost, end.cost)
        return self._ended(exit_code=end.exit, error=end.error, resource=end.checkpoint)

    def _ended(self, *, exit_code: int, error: str = "", resource: int | None = None) -> Ended:
        checkpoint = (
            Checkpoint(trial_id=self.run.trial_id, resource=resource) if resource is not None else None
        )
        if checkpoint is None and self.run.from_checkpoint is not None:
            is_own = self.run.from_checkpoint.trial_id == self.run.trial_id
            checkpoint = self.run.from_checkpoint if is_own else None
        self._clean_up(checkpoint)
        return Ended(
            trial_id=self.run.trial_id,
            attempt=self.run.attempt,
            exit=exit_code,
            error=error,
            cost=self.cost,
            checkpoint=checkpoint,
        )

    def _clean_up(self, kept: Checkpoint | None) -> None:
        """Remove what only retries needed: their working folders and the checkpoints between them."""
        for folder in self._folders.values():
            shutil.rmtree(folder.working, ignore_errors=True)
            end = folder.end()
            if end is not None and end.checkpoint is not None:
                between = Checkpoint(trial_id=self.run.trial_id, resource=end.checkpoint)
                if between not in (kept, self.run.from_checkpoint):
                    drop_frozen(self._launcher.checkpoint_folder(between))

    def _timed(self, wall: float, event: Reported | Ended) -> TimedEvent:
        """The event with a time that never goes back within the run."""
        self._last_wall = max(self._last_wall, wall)
        return self._last_wall, event
