"""A run of a trial as a local process: its retries to its one end, its runner, and its folder on the disk.

`LocalRun` follows a run and turns the content of its folders into events. `Launcher` writes an order into a folder and
starts a runner (``runner.pyz local FOLDER``) in a session of its own, which outlives the tuner. `RunFolder` reads the files
that the runner writes; `tunewright.runner.local_run` is their other side.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Final, TypeAlias, final

from tunewright.backends.local.functions import FunctionServer
from tunewright.benchmarks.places import own_import_paths
from tunewright.interfaces import BackendEvent
from tunewright.runner.build import build_runner, runner_bytes
from tunewright.runner.channel import GO_ON, RELEASE, TERMINATED, End, Report
from tunewright.runner.checkpoints import write_atomically
from tunewright.runner.contract import Mode
from tunewright.runner.local_run import (
    CONTROL,
    END,
    ORDER,
    REPORTS,
    STARTED,
    WORKING,
    attempt_lock,
    drop_frozen,
    freeze,
    frozen_folder,
    is_locked,
    whole_resource,
)
from tunewright.runner.run_order import RunOrder, place_and_function
from tunewright.threads import users_environment
from tunewright.trial import Checkpoint, Ended, PhaseChange, PhaseName, Reported, Run
from tunewright.types import Config

TimedEvent: TypeAlias = tuple[float, BackendEvent]
"""Seconds since 1970, and the event of this time."""
GPU_VARIABLE: Final = "CUDA_VISIBLE_DEVICES"
LOG_FILES: Final = ("stdout", "stderr", "runner.log")
"""Files of a run's folder: output and errors of the script, and messages of the runner."""


@final
class LocalRun:
    """A run of a trial, from its start or its adoption until its ``Ended``.

    Its phases are STARTING (a runner is launched: it copies the checkpoint and installs packages) and TRAINING (the
    process of the script runs), for each retry. Storing a checkpoint is a rename, and no phase.

    Parameters
    ----------
    launcher
        Starts runners.
    run, config
        The run and the configuration of its trial.
    max_retries
        Number of times, >= 0, that it is started again in this session if its runner is lost.
    """

    def __init__(self, launcher: Launcher, run: Run, config: Config, max_retries: int) -> None:
        self.run = run
        self.jobs = 0
        """Runners started for it in this session."""
        self.cost = 0.0
        """Dollars so far."""
        self.notices: list[str] = []
        """Messages for the user."""
        self._launcher = launcher
        self._config = config
        self._max_retries = max_retries
        self._trial = launcher.trial_folder(run.trial_id)
        self._folders: dict[int, RunFolder] = {}
        self._retry = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._request = GO_ON
        self._last_wall = 0.0
        self._retries = 0
        self._starting: list[TimedEvent] = []
        self._in_training: set[int] = set()
        """Retries whose TRAINING was returned, here or in an earlier session."""

    def start(self, gpus: tuple[str, ...]) -> None:
        """Start its first retry."""
        self._launch(0, self._launcher.order(self.run, self._config, gpus))

    def adopt(self, *, has_reported: bool) -> bool:
        """Take over the folders of an earlier session; return False if the run was never ordered.

        Parameters
        ----------
        has_reported
            Whether reports of the run, and so its phases, are in the journal.
        """
        for attempt, retry in RunFolder.all_of(self._trial):
            if attempt == self.run.attempt:
                self._retry = retry
                self._folder(retry)
        if has_reported:
            self._in_training.update(self._folders)
        return bool(self._folders)

    def gpus(self) -> tuple[str, ...]:
        """The GPUs of an adopted run."""
        names = self._folder(self._retry).order().environment.get(GPU_VARIABLE, "")
        return tuple(name for name in names.split(",") if name)

    def request(self, request: str) -> None:
        """Request its end; only the first request counts."""
        if self._request == GO_ON:
            self._request = request
            if self._folders:
                self._folder(self._retry).write_control(request)

    def poll(self) -> list[TimedEvent]:
        """Return the events since the last call; an ``Ended`` is the last one of all calls."""
        if not self._folders:
            return [self._timed(time.time(), self._ended(exit_code=0))]
        state = self._look()
        events, self._starting = self._starting, []
        for retry, folder in list(self._folders.items()):
            events += self._training(retry, folder)
            events += self._reports(retry, folder)
        folder = self._folder(self._retry)
        end = folder.end()
        if state is RunState.ALIVE:
            return events
        if end is None:
            return events + (self._begin_again() if self._request == GO_ON else [self._cut_short(folder)])
        if end.cause in (RELEASE, TERMINATED) and self._request == GO_ON:
            return events + (self._begin_again() if self.is_gone() else [])
        return [*events, self._timed(end.wall, self._end_of(end))]

    def is_gone(self) -> bool:
        """Return whether no runner works on it any more."""
        is_own = self._process is not None and self._process.poll() is None
        return not is_own and not (self._folders and self._folder(self._retry).is_held())

    def runner_pid(self) -> int | None:
        """Process id of its runner, if there is one."""
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        last = self._folder(self._retry).last_runner() if self._folders else None
        return last[1] if last else None

    def _folder(self, retry: int) -> RunFolder:
        if retry not in self._folders:
            self._folders[retry] = RunFolder(self._trial, self.run.attempt, retry)
        return self._folders[retry]

    def _look(self) -> RunState:
        """State of the retry that counts: if our runner found the lock taken, the retry of its holder."""
        folder = self._folder(self._retry)
        if self._process is not None and self._process.poll() is None:
            return RunState.ALIVE if folder.end() is None else RunState.ENDED
        last = folder.last_runner()
        if last is not None and last[0] != folder.path.name:
            self._retry = int(last[0].partition("-")[2])
            folder = self._folder(self._retry)
            if self._request != GO_ON:
                folder.write_control(self._request)
        return folder.state()

    def _launch(self, retry: int, order: RunOrder) -> None:
        self._retry = retry
        self._process = self._launcher.launch(self._folder(retry), replace(order, retry=retry))
        self.jobs += 1
        self._starting.append(self._timed(time.time(), self._phase(retry, PhaseName.STARTING)))

    def _begin_again(self) -> list[TimedEvent]:
        """Start a retry from the newest whole checkpoint, or end the run after too many of them."""
        folder = self._folder(self._retry)
        if self._retries >= self._max_retries:
            error = f"The runner of trial {self.run.trial_id} was lost {self._retries + 1} times:\n{folder.output()[-2000:]}"
            return [self._timed(time.time(), self._ended(exit_code=1, error=error))]
        self._retries += 1
        end = folder.end()
        self.cost = max(self.cost, end.cost if end else 0.0)
        source, resource = folder.continuation()
        order = folder.order()
        if not _is_here(order) or order.base_dir != str(folder.path):  # the experiment was renamed
            order = self._launcher.order(self.run, self._config, self.gpus())
            if not source and order.checkpoint_from and Path(order.checkpoint_from).is_dir():
                source, resource = order.checkpoint_from, order.resume_from
        place = f"after {resource}" if resource else "from the beginning"
        word = "lost its runner and goes on" if end is None else "was interrupted and goes on"
        self.notices.append(f"Trial {self.run.trial_id} {word} {place}")
        order = replace(order, checkpoint_from=source, resume_from=resource, cost_before=self.cost)
        self._launch(max(self._folders) + 1, order)
        return []

    def _training(self, retry: int, folder: RunFolder) -> list[TimedEvent]:
        """The phase TRAINING of a retry, once."""
        started = None if retry in self._in_training else folder.started()
        if started is None:
            return []
        self._in_training.add(retry)
        return [self._timed(started, self._phase(retry, PhaseName.TRAINING))]

    def _phase(self, retry: int, name: PhaseName) -> PhaseChange:
        return PhaseChange(trial_id=self.run.trial_id, attempt=self.run.attempt, retry=retry, name=name)

    def _reports(self, retry: int, folder: RunFolder) -> list[TimedEvent]:
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
        """The end of a run whose runner was lost after the request for its end."""
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
        """Remove the working folders and the checkpoints between retries."""
        for folder in self._folders.values():
            shutil.rmtree(folder.working, ignore_errors=True)
            end = folder.end()
            if end is not None and end.checkpoint is not None:
                between = Checkpoint(trial_id=self.run.trial_id, resource=end.checkpoint)
                if between not in (kept, self.run.from_checkpoint):
                    drop_frozen(self._launcher.checkpoint_folder(between))

    def _timed(self, wall: float, event: BackendEvent) -> TimedEvent:
        """The event with a time that never goes back within the run."""
        self._last_wall = max(self._last_wall, wall)
        return self._last_wall, event


# --- runners


@final
class Launcher:
    """Writes orders and starts runners, which outlive this process.

    Parameters
    ----------
    folder
        The experiment's folder of trials.
    template
        The fields of an order that all runs share.
    until_name
        Hyperparameter that takes the value of a run's ``until``; empty: none.
    python
        Interpreter of runners and scripts.
    abandon_after
        Seconds without a tuner after which a runner ends its script.
    pickled
        The function of the trials, if they cannot import it.
    fork
        Whether trials of functions are forks of one process.
    """

    def __init__(
        self,
        folder: Path,
        template: RunOrder,
        *,
        until_name: str,
        python: str,
        abandon_after: float,
        pickled: bytes = b"",
        fork: bool = True,
    ) -> None:
        self._folder = folder
        paths = template.import_paths
        if template.function:
            paths = [*paths, *own_import_paths(Path(template.cwd))]
        self._template = replace(template, import_paths=paths)
        self._until_name = until_name
        self._python = python
        self._abandon_after = abandon_after
        self._pickled = pickled
        self._fork = fork
        self._server: FunctionServer | None = None
        digest = hashlib.sha256(runner_bytes()).hexdigest()[:12]
        self._runner = folder / f"runner-{digest}.pyz"
        if not self._runner.exists():
            build_runner(self._runner)

    def trial_folder(self, trial_id: int) -> Path:
        """The folder of a trial."""
        return self._folder / str(trial_id)

    def checkpoint_folder(self, checkpoint: Checkpoint) -> Path:
        """The folder of a frozen checkpoint."""
        return frozen_folder(self.trial_folder(checkpoint.trial_id), checkpoint.resource)

    def order(self, run: Run, config: Config, gpus: tuple[str, ...]) -> RunOrder:
        """The order of a run's first retry."""
        values = dict(config)
        if self._until_name and run.until is not None:
            values[self._until_name] = run.until
        environment = dict(self._template.environment)
        if gpus:
            environment[GPU_VARIABLE] = ",".join(gpus)
        return replace(
            self._template,
            config=values,
            trial_id=run.trial_id,
            attempt=run.attempt,
            until=run.until,
            resume_from=run.resume_from,
            checkpoint_from=str(self.checkpoint_folder(run.from_checkpoint)) if run.from_checkpoint else "",
            environment=environment,
        )

    def launch(self, folder: RunFolder, order: RunOrder) -> subprocess.Popen[bytes]:
        """Write the order into this folder and start its runner in a session of its own."""
        placed = replace(
            order,
            checkpoint_dir=str(folder.working),
            config_file=str(folder.path / "config.json"),
            base_dir=str(folder.path),
            function_server=self._server_address() if order.function else "",
        )
        folder.write_order(placed)
        with (folder.path / "runner.log").open("ab") as log:
            return subprocess.Popen(
                [
                    self._python,
                    str(self._runner),
                    Mode.LOCAL.value,
                    str(folder.path),
                    str(self._abandon_after),
                ],
                env=users_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def close(self) -> None:
        """End the process that calls functions, if there is one."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _server_address(self) -> str:
        """Start the process that calls functions, before the first trial; empty if none is needed."""
        if self._server is None and (self._fork or self._pickled):
            environment = {"OMP_NUM_THREADS": "1", **users_environment(), **self._template.environment}
            paths = [*self._template.import_paths, environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
            self._server = FunctionServer(
                self._runner,
                python=self._python,
                spec=self._template.script,
                pickled=self._pickled,
                environment=environment,
                log=self._folder / "functions.log",
                may_fork=self._fork,
            )
        return "" if self._server is None else self._server.address


def _is_here(order: RunOrder) -> bool:
    """Return whether a run was ordered on this machine: its script and its working directory exist."""
    place, _ = place_and_function(order.script)
    return Path(order.cwd).is_dir() and (not place.endswith(".py") or Path(place).is_file())


# --- folders


class RunState(Enum):
    """State of a run's folder."""

    ABSENT = "absent"
    """It was never ordered."""
    ALIVE = "alive"
    """A runner holds the attempt's lock."""
    ENDED = "ended"
    """The runner wrote its end."""
    CUT = "cut"
    """It was ordered, and no runner works on it."""


@final
class RunFolder:
    """``trials/{trial}/runs/{attempt}-{retry}``, read while the runner writes it.

    Parameters
    ----------
    trial
        The trial's folder.
    attempt, retry
        Numbers of the run, from 0.
    """

    def __init__(self, trial: Path, attempt: int, retry: int) -> None:
        self.trial = trial
        self.path = trial / "runs" / f"{attempt}-{retry}"
        self.working = self.path / WORKING
        self._lock = attempt_lock(self.path)
        self._offset = 0

    @staticmethod
    def all_of(trial: Path) -> list[tuple[int, int]]:
        """The (attempt, retry) of all runs of a trial that were ordered, in order."""
        names = [order.parent.name for order in (trial / "runs").glob(f"*-*/{ORDER}")]
        return sorted((int(attempt), int(retry)) for attempt, _, retry in (n.partition("-") for n in names))

    def last_runner(self) -> tuple[str, int] | None:
        """Folder name and process id of the runner that took the attempt's lock last."""
        if not self._lock.exists():
            return None
        name, _, pid = self._lock.read_text(encoding="utf-8").partition(" ")
        return (name, int(pid)) if pid else None

    def state(self) -> RunState:
        """The present state. The end is looked for last, because the runner writes it before it releases the lock."""
        if not (self.path / ORDER).exists():
            return RunState.ABSENT
        is_alive = is_locked(self._lock)
        if (self.path / END).exists():
            return RunState.ENDED
        return RunState.ALIVE if is_alive else RunState.CUT

    def is_held(self) -> bool:
        """Return whether a runner works on the attempt."""
        return is_locked(self._lock)

    def order(self) -> RunOrder:
        """The stored order."""
        return RunOrder.from_json((self.path / ORDER).read_text(encoding="utf-8"))

    def write_order(self, order: RunOrder) -> None:
        """Store an order."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.trial / "config.json", json.dumps(order.config))
        write_atomically(self.path / ORDER, order.to_json())

    def write_control(self, request: str) -> None:
        """Store a request for the runner."""
        write_atomically(self.path / CONTROL, request)

    def started(self) -> float | None:
        """Seconds since 1970 at which the process of the script started; None if it has not."""
        path = self.path / STARTED
        return float(path.read_text(encoding="utf-8")) if path.exists() else None

    def new_reports(self) -> list[Report]:
        """The reports since the last call; the first call begins with the first report."""
        path = self.path / REPORTS
        if not path.exists() or path.stat().st_size <= self._offset:
            return []
        with path.open("rb") as file:
            file.seek(self._offset)
            lines, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(lines) + len(newline)
        return [Report(**json.loads(line)) for line in lines.splitlines()]

    def end(self) -> End | None:
        """The end, if the runner has written it."""
        path = self.path / END
        return End(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def continuation(self) -> tuple[str, int]:
        """Folder and resource of the newest whole checkpoint, for a retry; ``("", 0)`` if there is none."""
        end = self.end()
        if end is not None and end.checkpoint is not None:
            return str(frozen_folder(self.trial, end.checkpoint)), end.checkpoint
        resource = whole_resource(self.path)
        if resource is not None:
            return str(self.working), resource
        order = self.order()
        if order.checkpoint_from and Path(order.checkpoint_from).is_dir():
            return order.checkpoint_from, order.resume_from
        return "", 0

    def output(self) -> str:
        """The content of the `LOG_FILES`."""
        files = [self.path / name for name in LOG_FILES]
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in files if path.exists())
