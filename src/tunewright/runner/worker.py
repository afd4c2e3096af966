"""A worker: takes run after run until it is no longer needed.

Its place (:class:`Workplace`) is S3, see `s3_worker`, or a folder, see `folder_worker`. It has no threads. Each run is a process of its own; this one claims tasks, renews leases
and waits. A run that crashes, fills the memory or hangs ends its own process only, because a worker that ends with an error
would end its job, and with it all instances of that job.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar, final

from .channel import GO_ON, RELEASE, Channel, End, Report
from .checkpoints import write_atomically
from .process import adopt_orphans, die_with_parent, own_children
from .s3_channel import SessionWatch

DRAIN = "drain"
"""Request to a job: its instances take no more runs, and end when theirs have ended."""

REVOKED = "revoked"
"""Content of :data:`REQUEST_FILE` after the run was taken away from the worker."""
REQUEST_FILE = "request"
"""File of a run's folder with the request of the worker, not of the tuner."""
_VICTIM = b"500"
"""Added to the kernel's badness of a run's processes: if memory runs out, they are killed before their worker."""
_KILL_SECONDS = 30.0
"""After so long a run that was taken away and does not end is killed."""
_FASTEST = 0.5
"""Seconds between two looks for runs right after one has ended: the next one is being decided."""
_SLOWEST = 10.0
"""Maximum seconds between two polls of an idle worker."""
_SLOWING = 12.0
"""So many idle seconds make the pause one second longer."""
_SESSION_SECONDS = 15.0
"""Between two looks at the tuner's sign of life while there is no work."""


@dataclass(frozen=True)
class WorkerFacts:
    """Parameters of a worker; all times are in real seconds."""

    number: int
    """Of its job among the experiment's."""
    slots: int
    """Runs at the same time."""
    lease_seconds: float
    """A lease that was not renewed for so long may be taken away."""
    take_seconds: float
    """After so long no more runs are taken."""
    hand_over_seconds: float
    """After so long running runs are ended, to go on elsewhere."""
    abandon_seconds: float
    """Without a run and without a tuner for so long, the worker ends."""
    max_run_seconds: float
    """Longest time of a run."""


class Lease(Protocol):
    """A run that this worker has."""

    run: str
    """``{trial}-{attempt}-{retry}``."""


LeaseT = TypeVar("LeaseT", bound=Lease)


@dataclass(frozen=True)
class Seat:
    """A run's place on its worker."""

    worker: str
    """Name of the worker, and its slot if it has several."""
    gpus: str | None
    """CUDA_VISIBLE_DEVICES; None: as it is."""
    is_warm: bool
    """Whether the slot had another run before."""


class Workplace(ABC, Generic[LeaseT]):
    """Tasks, leases and runs of a worker: the port to its tuner.

    A run is a task, then a lease, then an end among the messages; it is never less than one of these. Hence the lease is made before the
    task is removed, and removed after the end was sent.
    """

    name: str
    """Of this worker, for people."""
    poll_seconds: float
    """Least seconds between two looks for runs."""

    def open(self) -> None:
        """Connect; called once, in the worker's process, before anything else; by default nothing."""

    @abstractmethod
    def is_draining(self) -> bool:
        """Whether the tuner asked the worker's job to take no more runs."""

    @abstractmethod
    def session(self) -> bytes | None:
        """The tuner's sign of life, which changes; None: there is none."""

    @abstractmethod
    def waiting(self) -> list[str]:
        """Runs that wait, as many as one look shows."""

    @abstractmethod
    def claim(self, run: str) -> LeaseT | None:
        """Take a run; None if another worker has it, or had it."""

    @abstractmethod
    def renew(self, lease: LeaseT) -> bool:
        """Renew the lease of a run; False if it was taken away."""

    @abstractmethod
    def give_back(self, lease: LeaseT) -> None:
        """Let go of a run: its end was sent, or it is to go on elsewhere.

        Its task may exist again, if the tuner got no answer and wrote it again after this worker took it.
        """

    def show_life(self) -> None:
        """Show that the worker lives, beside the leases of its runs; by default nothing."""

    @abstractmethod
    def folder(self, run: str) -> Path:
        """The run's own folder, for the worker's request."""

    def clear(self, run: str) -> None:
        """Remove files of a run that is over; by default nothing."""

    @abstractmethod
    def run(self, lease: LeaseT, seat: Seat) -> None:
        """Run a script to its end, in a process of its own.

        Raises
        ------
        Exception
            The tuner's side is out of reach: the run is to go on elsewhere.
        """

    @abstractmethod
    def is_passing(self, error: Exception) -> bool:
        """Whether the worker goes on after an error."""


@dataclass
class _Slot(Generic[LeaseT]):
    lease: LeaseT
    pid: int
    kill_at: float = float("inf")


@final
class Worker(Generic[LeaseT]):
    """Takes runs until it is drained, abandoned or at its deadline.

    Parameters
    ----------
    facts
        Slots and times.
    place
        Where runs come from, and how they are run.
    """

    def __init__(self, facts: WorkerFacts, place: Workplace[LeaseT]) -> None:
        self._facts = facts
        self._place = place
        self._started = self._idle_since = time.monotonic()
        self._slots: dict[int, _Slot[LeaseT]] = {}
        self._used_slots: set[int] = set()
        self._over: list[LeaseT] = []
        """Of runs that are over; they go back when the next runs have begun."""
        self._is_draining = self._is_handing_over = False
        self._renew_at = self._poll_at = 0.0
        self._watch = SessionWatch(place.session, facts.abandon_seconds, period=_SESSION_SECONDS)
        self._wake = os.pipe()
        self._random = random.SystemRandom()
        self._gpus = _gpus()

    def run(self) -> int:
        """Work. Returns 0: failures of runs are reported to their tuner."""
        adopt_orphans()
        self._listen()
        self._place.open()
        while True:
            try:
                self._look_around()
            except Exception as error:
                if not self._place.is_passing(error):
                    raise
                self._say(f"the tuner's side is out of reach, going on: {error}")
                self._poll_at = time.monotonic() + _SLOWEST
            if self._is_draining and not self._slots:
                return 0
            self._sleep()

    def _look_around(self) -> None:
        """Carry out all due actions."""
        self._reap()
        now = time.monotonic()
        age = now - self._started
        if age >= self._facts.take_seconds:
            self._is_draining = True
        if age >= self._facts.hand_over_seconds:
            self._hand_over()
        self._renew(now)
        if not self._is_draining and len(self._slots) < self._facts.slots and now >= self._poll_at:
            self._poll(now)
        self._give_back()

    def _listen(self) -> None:
        """Let SIGTERM and the ends of runs interrupt the sleep."""
        for end in self._wake:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_terminate)

    def _on_terminate(self, _number: int, _frame: object) -> None:
        """The instance goes away: hand all runs over."""
        self._is_draining = True
        self._facts = replace(self._facts, hand_over_seconds=0.0)

    def _poll(self, now: float) -> None:
        """Claim waiting runs for free slots; without work check that the tuner is alive."""
        if self._place.is_draining():
            self._is_draining = True
            return
        waiting = self._place.waiting()
        self._random.shuffle(waiting)  # so that workers seldom want the same run; if they do, one gets it
        for run in waiting:
            if len(self._slots) >= self._facts.slots:
                break
            lease = self._place.claim(run)
            if lease is not None:
                self._start(lease)
                self._idle_since = now
        if self._slots:
            self._watch.restart()
        elif self._watch.is_over():
            self._is_draining = True
        fastest = min(_FASTEST, self._place.poll_seconds)
        pause = min(_SLOWEST, fastest + (now - self._idle_since) / _SLOWING)
        self._poll_at = time.monotonic() + pause * self._random.uniform(0.8, 1.2)

    def _start(self, lease: LeaseT) -> None:
        slot = next(n for n in range(self._facts.slots) if n not in self._slots)
        name = self._place.name
        seat = Seat(
            worker=name if self._facts.slots == 1 else f"{name}/{slot}",
            gpus=self._gpus_of(slot),
            is_warm=slot in self._used_slots,
        )
        self._used_slots.add(slot)
        self._slots[slot] = _Slot(lease, self._fork(lease, seat))

    def _fork(self, lease: LeaseT, seat: Seat) -> int:
        """Start the process of a run; its process id. Its copy of this process must not get our signals.

        There are no threads, so that the copy has all that was imported, and starts in milliseconds.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        signal.set_wakeup_fd(-1)
        worker = os.getpid()
        pid = os.fork()
        if pid:
            signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
            return pid
        code = 1
        try:
            os.setsid()
            die_with_parent()
            if os.getppid() == worker:
                with contextlib.suppress(OSError):
                    Path("/proc/self/oom_score_adj").write_bytes(_VICTIM)
                self._place.run(lease, seat)
                code = 0
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(2, f"[{lease.run}] The run cannot go on: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

    def _gpus_of(self, slot: int) -> str | None:
        """The GPUs of a slot: an equal share, or one that it shares with others; None if there are none."""
        n_gpus, n_slots = len(self._gpus), self._facts.slots
        if not n_gpus:
            return None
        if n_slots >= n_gpus:
            return self._gpus[slot % n_gpus]
        share = n_gpus // n_slots
        return ",".join(self._gpus[slot * share : (slot + 1) * share])

    def _renew(self, now: float) -> None:
        for slot in self._slots.values():
            if now >= slot.kill_at:
                _signal(slot.pid, signal.SIGKILL)
        if now < self._renew_at:
            return
        self._renew_at = now + self._facts.lease_seconds / 6
        self._place.show_life()
        for slot in self._slots.values():
            if slot.kill_at == float("inf") and not self._place.renew(slot.lease):
                self._say(f"run {slot.lease.run} was taken away")
                self._request(slot, REVOKED)
                slot.kill_at = now + _KILL_SECONDS

    def _hand_over(self) -> None:
        self._is_draining = True
        if not self._is_handing_over:
            self._is_handing_over = True
            for slot in self._slots.values():
                self._request(slot, RELEASE)

    def _request(self, slot: _Slot[LeaseT], request: str) -> None:
        """Send a request to a run's process."""
        folder = self._place.folder(slot.lease.run)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / REQUEST_FILE, request)

    def _reap(self) -> None:
        """Collect ended processes and the leases of their runs."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            ended = [number for number, slot in self._slots.items() if slot.pid == pid]
            for number in ended:
                slot = self._slots.pop(number)
                self._end_orphans()
                self._over.append(slot.lease)
                self._place.clear(slot.lease.run)
                self._poll_at = 0.0
                self._idle_since = time.monotonic()

    def _give_back(self) -> None:
        """Let go of the runs that are over."""
        while self._over:
            self._place.give_back(self._over[-1])
            self._over.pop()

    def _end_orphans(self) -> None:
        """Kill processes that a killed run has left behind: this process adopted them."""
        pids = {slot.pid for slot in self._slots.values()}
        for orphan in own_children():
            if orphan not in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(orphan, signal.SIGKILL)

    def _sleep(self) -> None:
        times = [self._renew_at, self._started + self._facts.hand_over_seconds]
        times += [slot.kill_at for slot in self._slots.values()]
        if not self._is_draining:
            times.append(self._started + self._facts.take_seconds)
            if len(self._slots) < self._facts.slots:
                times.append(self._poll_at)
        if self._is_handing_over:
            times.remove(self._started + self._facts.hand_over_seconds)
        pause = max(0.0, min(times) - time.monotonic())
        if select.select([self._wake[0]], [], [], pause)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake[0], 4096)

    def _say(self, text: str) -> None:
        sys.stdout.write(f"[tunewright] worker: {text}\n")
        sys.stdout.flush()


def _gpus() -> list[str]:
    """The instance's GPUs, as CUDA_VISIBLE_DEVICES would name them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device.strip() not in ("", "-1")]
    gpus = Path("/proc/driver/nvidia/gpus")
    return [str(number) for number in range(len(list(gpus.iterdir())))] if gpus.is_dir() else []


def _signal(pid: int, number: int) -> None:
    """Send a signal to a run's process and its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


@final
class WorkerChannel(Channel):
    """The channel of a run on a worker: that of a job, which also obeys the worker.

    Once the run was taken away, nothing is sent any more.

    Parameters
    ----------
    channel
        A job's.
    folder
        The run's own folder.
    seat
        Named by the first report.
    """

    def __init__(self, channel: Channel, folder: Path, seat: Seat) -> None:
        self.poll_seconds = channel.poll_seconds
        self._channel = channel
        self._folder = folder
        self._seat = seat

    def load_checkpoint(self) -> None:
        """Load the checkpoint that the run begins with."""
        self._channel.load_checkpoint()

    def send_report(self, report: Report) -> None:
        """Send the report; the first one names the worker."""
        if report.seq == 1:
            report = replace(report, worker=self._seat.worker, is_warm=self._seat.is_warm)
        if not self._is_revoked():
            self._channel.send_report(report)

    def wanted(self) -> str:
        """The worker's request, or else the tuner's."""
        return RELEASE if self._request() else self._channel.wanted()

    def note_checkpoint(self, resource: int) -> None:
        """Store the checkpoint if it is time."""
        if not self._is_revoked():
            self._channel.note_checkpoint(resource)

    def save_checkpoint(self, resource: int) -> bool:
        """Store the checkpoint."""
        return not self._is_revoked() and self._channel.save_checkpoint(resource)

    def send_end(self, end: End) -> None:
        """Send the end."""
        if not self._is_revoked():
            self._channel.send_end(end)

    def _request(self) -> str:
        try:
            return (self._folder / REQUEST_FILE).read_text(encoding="ascii")
        except FileNotFoundError:
            return GO_ON

    def _is_revoked(self) -> bool:
        return self._request() == REVOKED
