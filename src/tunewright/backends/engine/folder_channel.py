"""Channel and tasks in a folder that tuner and jobs share; `tunewright.runner.folder_job` and `folder_worker` are the other side."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Set
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, final

from typing_extensions import override

from tunewright.backends.engine.channel import Channel, Checkpoints, Message
from tunewright.backends.engine.job_service import JobName, JobOrder
from tunewright.backends.engine.tasks import TaskBoard, TaskListing
from tunewright.backends.engine.worker_jobs import WorkerJobOrder, WorkerTimes
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.places import absolute_script, own_import_paths
from tunewright.exceptions import BackendError, RequestError, SettingsError, TunewrightError
from tunewright.runner.build import build_runner, runner_bytes
from tunewright.runner.channel import End, Report
from tunewright.runner.checkpoints import SyncedCheckpoints, write_atomically
from tunewright.runner.contract import Mode
from tunewright.runner.folder_job import (
    CHECKPOINTS,
    CLAIM,
    CONTROL,
    HEARTBEAT,
    MESSAGES,
    ORDER,
    RUNS,
    SESSION,
    WORKING,
    decode,
)
from tunewright.runner.folder_worker import FACTS, LEASES, TASKS, WORKERS, FolderWorkerFacts, run_folder
from tunewright.runner.run_order import RunOrder
from tunewright.runner.s3_keys import COMPLETE, is_run
from tunewright.runner.worker import DRAIN, WorkerFacts
from tunewright.storage import package_cache
from tunewright.trial import Checkpoint

_PERIOD: Final = 1.0
_QUICK_PERIOD: Final = 0.1
_OPENED_PER_SECOND: Final = 1000
"""Message files that are opened in a second at most, in workers mode."""
_SKEW: Final = 3600.0
"""Clocks of nodes and file servers may be wrong; it costs nothing here."""
_UNLIMITED: Final = 1 << 60
_SLOTS: Final = 1
"""Runs at the same time in each job of workers: the engine gives each job the resources of a trial."""

FolderOrder: TypeAlias = JobOrder | WorkerJobOrder
"""A job: one run, or a worker that takes run after run."""


@final
class FolderError(RequestError):
    """The shared folder cannot be read or written at present."""

    @property
    @override
    def is_transient(self) -> bool:
        return True


@final
class FolderChannel(Channel):
    """Orders, reports, requests and checkpoints in a folder that the jobs see under the same path.

    Parameters
    ----------
    root
        The experiment's folder of trials.
    template
        The fields of an order that all runs share.
    until_name
        Hyperparameter that takes the value of a run's ``until``; empty: none.
    python
        Interpreter of the runner in the jobs.
    abandon_seconds
        Seconds without a tuner after which a runner ends its script and keeps the checkpoint; 0: never.
    checkpoint_seconds
        Seconds between two checkpoints on the way.
    silent_seconds
        A runner that was silent for so long changes nothing any more: the engine may have replaced it.
    workers
        Times of workers; None: each run is a job.
    """

    page = _UNLIMITED
    skew = _SKEW
    period = _PERIOD
    overlap = _SKEW
    shortest_overlap = _SKEW
    survives_termination = False

    def __init__(
        self,
        root: Path,
        template: RunOrder,
        *,
        python: str,
        until_name: str = "",
        abandon_seconds: float = 600.0,
        checkpoint_seconds: float = 300.0,
        silent_seconds: float = 300.0,
        workers: WorkerTimes | None = None,
    ) -> None:
        self.root: Final = root.absolute()
        self.workers: Final = workers
        self.checkpoints = self._kept = FolderCheckpoints(self.root)
        self._template = template
        self._until_name = until_name
        self._python = python
        self._abandon_seconds = abandon_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._silent_seconds = silent_seconds
        digest = hashlib.sha256(runner_bytes()).hexdigest()[:12]
        self._runner = self.root / f"runner-{digest}.pyz"
        self._logs: dict[JobName, _MessageLog] = {}
        """Message files that may grow."""

    def prepare(self) -> None:
        """Create the folder and the runner's program.

        Raises
        ------
        BackendError
            They cannot be written.
        """
        try:
            for place in (TASKS, LEASES, WORKERS) if self.workers else ("",):
                (self.root / place).mkdir(parents=True, exist_ok=True)
            if not self._runner.exists():
                build_runner(self._runner)
        except OSError as error:
            raise BackendError(
                f"The folder {self.root} cannot be used ({error}): free the disk or take another folder"
            ) from error

    @property
    def worker_period(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A tenth of a second, and more with many runs, since each look opens the file of each run."""
        return max(_QUICK_PERIOD, len(self._logs) / _OPENED_PER_SECOND)

    @override
    def open(self) -> None:
        """Find the message files of earlier sessions."""
        with _disk():
            for run in self.root.glob(f"*/{RUNS}/*-*"):
                name = JobName.parse(f"{run.parent.parent.name}-{run.name}")
                if name is not None:
                    self._logs.setdefault(name, _MessageLog(name, run / MESSAGES))

    def run_folder(self, name: JobName) -> Path:
        """The folder of one retry of a run."""
        return run_folder(self.root, name.key)

    def job_folder(self, key: str) -> Path:
        """The folder of a job: that of its run, or that of a worker."""
        return self.root / WORKERS / key if self.workers else run_folder(self.root, key)

    def job_folders(self) -> dict[str, Path]:
        """The folders of all jobs that any session has placed, by key."""
        with _disk():
            if self.workers:
                return {folder.name: folder for folder in self.root.glob(f"{WORKERS}/*-*")}
            folders = self.root.glob(f"*/{RUNS}/*-*")
            return {f"{folder.parent.parent.name}-{folder.name}": folder for folder in folders}

    def place(self, order: FolderOrder, name: str) -> list[str]:
        """Write the folder of a job, unless it is there; the command that runs it, once.

        Parameters
        ----------
        order
            The job.
        name
            Of the job in its engine.

        Raises
        ------
        FolderError
            The folder cannot be written.
        """
        if isinstance(order, JobOrder):
            self.place_run(order)
        else:
            self._place_worker(order, name)
        return self.command(order.key)

    def place_run(self, order: JobOrder) -> None:
        """Write the folder of a run, unless it is there.

        Raises
        ------
        FolderError
            The folder cannot be written.
        """
        run = self.run_folder(order.name)
        with _disk():
            _make_job_folder(run, MESSAGES)
            write_atomically(run / ORDER, self.run_order(order).to_json())
        self._logs.setdefault(order.name, _MessageLog(order.name, run / MESSAGES))
        self._logs.pop(replace(order.name, retry=order.retry - 2), None)  # it was lost, and has no end

    def _place_worker(self, order: WorkerJobOrder, name: str) -> None:
        if self.workers is None:
            raise TunewrightError("A job of workers in jobs mode")
        facts = FolderWorkerFacts(
            name=name,
            worker=WorkerFacts(
                number=order.number,
                slots=_SLOTS,
                lease_seconds=self.workers.lease,
                take_seconds=self.workers.take,
                hand_over_seconds=self.workers.hand_over,
                abandon_seconds=self._abandon_seconds,
                max_run_seconds=0.0,
            ),
            checkpoint_seconds=self._checkpoint_seconds,
        )
        folder = self.job_folder(order.key)
        with _disk():
            _make_job_folder(folder)
            write_atomically(folder / FACTS, json.dumps(asdict(facts)))

    def command(self, key: str) -> list[str]:
        """The command of a job whose folder was written."""
        program = [self._python, str(self._runner)]
        if self.workers:
            return [*program, Mode.FOLDER_WORKER.value, str(self.job_folder(key))]
        seconds = (self._abandon_seconds, self._checkpoint_seconds, self._silent_seconds)
        return [*program, Mode.FOLDER.value, str(self.job_folder(key)), *map(str, seconds)]

    def run_order(self, order: JobOrder) -> RunOrder:
        """The runner's order of a job."""
        run, folder = order.run, self.run_folder(order.name)
        values = dict(order.config)
        if self._until_name and run.until is not None:
            values[self._until_name] = run.until
        source = run.from_checkpoint
        return replace(
            self._template,
            config=values,
            trial_id=run.trial_id,
            attempt=run.attempt,
            retry=order.retry,
            until=run.until,
            resume_from=run.resume_from,
            checkpoint_from="" if source is None else str(self._kept.folder(source)),
            checkpoint_dir=str(folder / WORKING),
            config_file=str(folder / "config.json"),
            base_dir=str(folder),
            cost_before=order.cost_before,
            dollars_per_hour=order.dollars_per_hour,
        )

    @override
    def messages(self, since: float, known: Mapping[str, Message]) -> Iterator[Message]:
        """New lines of the message files that have no end yet; those that were returned before are kept by the inbox."""
        for log in list(self._logs.values()):
            yield from log.new_messages()
            if log.is_over:
                del self._logs[log.name]

    @override
    def send(self, name: JobName, request: str) -> None:
        """Write the run's control file."""
        with _disk():
            (self.run_folder(name) / CONTROL).write_text(request, encoding="ascii")

    @override
    def show_life(self, number: int) -> None:
        """Change the session file."""
        with _disk():
            write_atomically(self.root / SESSION, f"{time.time()} {number}")

    def begun(self) -> dict[str, float]:
        """The jobs that a runner or a worker has begun in any session, by key, with seconds since 1970."""
        claims = ((key, folder / CLAIM) for key, folder in self.job_folders().items())
        with _disk():
            return {key: claim.stat().st_mtime for key, claim in claims if claim.exists()}

    def heartbeat(self, key: str) -> str:
        """A job's sign of life, different from the last one while it lives; empty before it has begun."""
        with _disk():
            file = self.job_folder(key) / HEARTBEAT
            return file.read_text(encoding="ascii") if file.exists() else ""


@final
class FolderTaskBoard(TaskBoard):
    """Tasks and leases as files.

    Parameters
    ----------
    channel
        The folder.
    full_name
        From the key of a job of workers to its name in the engine.
    """

    def __init__(self, channel: FolderChannel, full_name: Callable[[str], str]) -> None:
        self._channel = channel
        self._full_name = full_name
        self._tasks = channel.root / TASKS
        self._leases = channel.root / LEASES

    @override
    def post(self, order: JobOrder) -> None:
        self._channel.place_run(order)
        with _disk():
            (self._tasks / order.key).touch()

    @override
    def list_tasks(self) -> TaskListing:
        """By a look at each folder; the version of a lease is its content."""
        with _disk():
            waiting = frozenset(_runs_in(self._tasks))
            return TaskListing(
                waiting=waiting, leases={key: self._read(key) for key in _runs_in(self._leases)}
            )

    @override
    def withdraw(self, key: str) -> bool:
        """Create a lease before any worker does."""
        with _disk():
            try:
                (self._leases / key).touch(exist_ok=False)
            except FileExistsError:
                return False
            self._remove(key, self._leases / key)
            return True

    @override
    def revoke(self, key: str, version: str) -> bool:
        """Rename the lease, and rename it back if it was renewed meanwhile."""
        lease, taken = self._leases / key, self._leases / f"{key}.taken"
        with _disk():
            if self._read(key) != version:
                return False
            with contextlib.suppress(FileNotFoundError):
                lease.rename(taken)
                if taken.read_text(encoding="ascii") == version:
                    self._remove(key, taken)
                    return True
                taken.rename(lease)
        return False

    @override
    def holder(self, key: str) -> str:
        """From the lease's content."""
        with _disk():
            worker, _, _ = self._read(key).partition(" ")
        return self._full_name(worker) if worker else ""

    @override
    def drain(self, job: int) -> None:
        with _disk():
            for control in self._channel.root.glob(f"{WORKERS}/{job}-*/{CONTROL}"):
                control.write_text(DRAIN, encoding="ascii")

    @override
    def draining(self) -> Set[int]:
        """From the workers' control files."""
        with _disk():
            controls = self._channel.root.glob(f"{WORKERS}/*-*/{CONTROL}")
            asked = (control for control in controls if control.read_text(encoding="ascii") == DRAIN)
            return {int(control.parent.name.partition("-")[0]) for control in asked}

    def _read(self, key: str) -> str:
        """Content of a lease; empty if there is none."""
        try:
            return (self._leases / key).read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def _remove(self, key: str, lease: Path) -> None:
        """The task first, so that no worker can claim it once the lease is gone."""
        (self._tasks / key).unlink(missing_ok=True)
        lease.unlink(missing_ok=True)


@final
class FolderCheckpoints(Checkpoints):
    """Checkpoints below ``{trial}/checkpoints``; a list of files marks a complete one.

    Parameters
    ----------
    root
        The experiment's folder of trials.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, checkpoint: Checkpoint) -> Path:
        """Where a checkpoint is, or would be."""
        return self._trial(checkpoint.trial_id) / str(checkpoint.resource)

    @override
    def newest(self, trial_id: int) -> Checkpoint | None:
        with _disk():
            found = [int(file.parent.name) for file in self._trial(trial_id).glob(f"*/{COMPLETE}")]
        return Checkpoint(trial_id=trial_id, resource=max(found)) if found else None

    @override
    def is_complete(self, checkpoint: Checkpoint) -> bool:
        """Whether its list of files is there, which is written last."""
        with _disk():
            return (self.folder(checkpoint) / COMPLETE).is_file()

    @override
    def newest_restart(self, name: JobName) -> int:
        return name.retry

    @override
    def delete(self, checkpoint: Checkpoint) -> None:
        with _disk():
            SyncedCheckpoints(self._trial(checkpoint.trial_id)).forget(checkpoint.resource)

    def copy(self, checkpoint: Checkpoint, target: Path) -> None:
        """Copy a checkpoint into a new folder.

        Raises
        ------
        SettingsError
            It is not there.
        """
        if not self.is_complete(checkpoint):
            raise SettingsError(
                f"The checkpoint of trial {checkpoint.trial_id} at {checkpoint.resource} is not in {self._root}: it was deleted"
            )
        shutil.copytree(
            self.folder(checkpoint), target, symlinks=True, ignore=shutil.ignore_patterns(COMPLETE)
        )

    def _trial(self, trial_id: int) -> Path:
        return self._root / str(trial_id) / CHECKPOINTS


def channel_for(
    benchmark: RealBenchmarkDefinition,
    folder: Path,
    *,
    template: RunOrder | None = None,
    python: str = sys.executable,
    abandon_seconds: float = 600.0,
    checkpoint_seconds: float = 300.0,
    silent_seconds: float = 300.0,
    workers: WorkerTimes | None = None,
) -> FolderChannel:
    """The shared folder of an experiment; nothing is created.

    Parameters are those of :class:`FolderChannel`; the template is that of the script by default.

    Raises
    ------
    SettingsError
        There is no such script, or a setting cannot work.
    """
    until_name = ""
    if benchmark.until_as_max_resource:
        if not benchmark.max_resource_attr:
            raise SettingsError("until_as_max_resource needs max_resource_attr: the hyperparameter to set")
        until_name = benchmark.max_resource_attr
    return FolderChannel(
        folder,
        template or order_template(benchmark),
        python=python,
        until_name=until_name,
        abandon_seconds=abandon_seconds,
        checkpoint_seconds=checkpoint_seconds,
        silent_seconds=silent_seconds,
        workers=workers,
    )


def order_template(benchmark: RealBenchmarkDefinition, *, grace: float = 10.0) -> RunOrder:
    """The fields of an order that all runs of a script share, in jobs that see the files of this machine.

    Raises
    ------
    SettingsError
        There is no such script, or no such input folder.
    """
    for name, path in benchmark.inputs.items():
        if not Path(path).expanduser().is_dir():
            raise SettingsError(f"The input {name} is a folder that the jobs see: there is no {path}")
    paths = list(dict.fromkeys(str(Path(one).absolute().parent) for one in benchmark.dependencies))
    template = RunOrder(
        script=absolute_script(benchmark.script),
        config={},
        checkpoint_dir="",
        resource_attr=benchmark.resource_attr or "",
        metric=benchmark.metrics[0].name if len(benchmark.metrics) == 1 else "",
        arguments=benchmark.argument_style,
        environment=dict(benchmark.environment),
        import_paths=paths,
        cwd=str(Path.cwd()),
        channels={name: str(Path(path).expanduser().absolute()) for name, path in benchmark.inputs.items()},
        cache_dir=str(package_cache()),
        grace=grace,
    )
    if template.function:
        template = replace(template, import_paths=[*paths, *own_import_paths(Path.cwd())])
    return template


@final
class _MessageLog:
    """Reads the message file of one retry from where the last look ended."""

    def __init__(self, name: JobName, file: Path) -> None:
        self.name: Final = name
        self.is_over = False
        """Whether the end was read."""
        self._file = file
        self._offset = 0

    def new_messages(self) -> list[Message]:
        """The messages of complete lines."""
        with _disk():
            if not self._file.exists():
                return []
            with self._file.open("rb") as file:
                file.seek(self._offset)
                lines, _, _ = file.read().rpartition(b"\n")
        if not lines:
            return []
        self._offset += len(lines) + 1
        return [message for line in lines.split(b"\n") if (message := self._message(line))]

    def _message(self, line: bytes) -> Message | None:
        try:
            seq, content = decode(line)
        except ValueError:  # no runner wrote it
            return None
        self.is_over = self.is_over or isinstance(content, End)
        return Message(
            id=f"{self.name.key}-{seq}",
            time=content.wall,
            name=self.name,
            seq=seq,
            load=partial(_same, content),
        )


def _make_job_folder(folder: Path, *more: str) -> None:
    """Create a job's folder with the files that its runner only changes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CONTROL, HEARTBEAT, *more):
        (folder / name).touch()


def _runs_in(folder: Path) -> list[str]:
    """Names of runs among the files of a folder."""
    return [file.name for file in folder.iterdir() if is_run(file.name)]


def _same(content: Report | End) -> Report | End:
    return content


@contextlib.contextmanager
def _disk() -> Generator[None]:
    """Turn a failure of the file system into an error that is waited for."""
    try:
        yield
    except OSError as error:
        raise FolderError(f"{os.strerror(error.errno or 0)}: {error.filename}") from error
