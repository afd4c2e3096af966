"""The runner of a worker: ``runner.pyz worker /opt/ml`` takes run after run until it is no longer needed.

It has no threads. Each run is a process of its own; this one claims tasks, renews leases and waits. A run that crashes,
fills the memory or hangs ends its own process only, because a worker that ends with an error would end its job, and
with it all instances of that job.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import shutil
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from . import s3_keys
from .channel import RELEASE
from .checkpoints import write_atomically
from .contract import WORKER_VARIABLE
from .job_secrets import read_secrets
from .process import adopt_orphans, own_children
from .s3_channel import S3Clock, SessionWatch
from .s3_job import S3Client, load_boto3, place_of
from .s3_tasks import Lease, TaskQueue
from .training_job import cache_folder, code_folder, current_host, is_passing, read_job, run_program
from .worker_run import REQUEST_FILE, REVOKED, RunPlace, start_run

DRAIN = "drain"
"""Request to a job: its instances take no more runs, and end when theirs have ended."""

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


@dataclass
class _Slot:
    lease: Lease
    pid: int
    kill_at: float = float("inf")


def main(arguments: list[str]) -> int:
    """Take runs until the worker is drained, abandoned or at its deadline.

    Parameters
    ----------
    arguments
        The folder that is ``/opt/ml``.

    Returns
    -------
    int
        Always 0: failures of runs are reported to their backend.
    """
    return run_program("The worker", lambda base: _Worker(base).run(), arguments)


class _Worker:
    def __init__(self, base: Path) -> None:
        code = code_folder(base)
        self._base = base
        self._code = code
        self._job = read_job(base)
        self._facts = WorkerFacts(**json.loads(os.environ[WORKER_VARIABLE]))
        self._s3 = replace(
            place_of(self._job), abandon_seconds=0.0
        )  # runs outlive the tuner; the worker watches it
        self._cache = cache_folder(base)
        self._secrets = read_secrets(self._job, lambda: load_boto3(self._cache))
        self._client = S3Client(self._cache)
        job_name = os.environ.get("TRAINING_JOB_NAME", "")
        self._name = f"{job_name}/{current_host(base)}"
        self._queue = TaskQueue(self._client, self._s3.bucket, self._s3.prefix, job_name)
        self._started = self._idle_since = time.monotonic()
        self._slots: dict[int, _Slot] = {}
        self._used_slots: set[int] = set()
        self._over: list[Lease] = []
        """Of runs that are over; they go back when the next runs have begun."""
        self._is_draining = self._is_handing_over = False
        self._renew_at = self._poll_at = 0.0
        self._watch = SessionWatch(
            lambda: self._queue.get(s3_keys.SESSION), self._facts.abandon_seconds, period=_SESSION_SECONDS
        )
        self._skew = 0.0
        self._wake = os.pipe()
        self._random = random.SystemRandom()
        self._gpus = _gpus()

    def run(self) -> int:
        adopt_orphans()
        self._listen()
        self._measure_skew()
        while True:
            try:
                self._look_around()
            except Exception as error:
                if not is_passing(error):
                    raise
                self._say(f"S3 is out of reach, going on: {error}")
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

    def _measure_skew(self) -> None:
        """How far the service's clock is ahead; reports are in order of time, and clocks of machines differ."""
        self._skew = S3Clock(self._client, self._s3.bucket, self._s3.prefix).ahead()

    def _poll(self, now: float) -> None:
        """Claim waiting runs for free slots; without work check that the tuner is alive."""
        if self._queue.get(s3_keys.worker_control(self._facts.number)) == DRAIN.encode("ascii"):
            self._is_draining = True
            return
        waiting = self._queue.waiting()
        self._random.shuffle(waiting)  # so that workers seldom want the same run; if they do, S3 decides
        for run in waiting:
            if len(self._slots) >= self._facts.slots:
                break
            lease = self._queue.claim(run)
            if lease is not None:
                self._start(lease)
                self._idle_since = now
        if self._slots:
            self._watch.restart()
        elif self._watch.is_over():
            self._is_draining = True
        fastest = min(_FASTEST, self._s3.poll_seconds)
        pause = min(_SLOWEST, fastest + (now - self._idle_since) / _SLOWING)
        self._poll_at = time.monotonic() + pause * self._random.uniform(0.8, 1.2)

    def _start(self, lease: Lease) -> None:
        slot = next(n for n in range(self._facts.slots) if n not in self._slots)
        place = RunPlace(
            base=self._base,
            code=self._code,
            cache=self._cache,
            s3=self._s3,
            job=self._job,
            secrets=self._secrets,
            gpus=self._gpus_of(slot),
            max_seconds=self._facts.max_run_seconds,
            skew=self._skew,
            worker=self._name if self._facts.slots == 1 else f"{self._name}/{slot}",
            is_warm=slot in self._used_slots,
        )
        self._used_slots.add(slot)
        self._slots[slot] = _Slot(lease, self._fork(lease, place))

    def _fork(self, lease: Lease, place: RunPlace) -> int:
        """Start the run; its copy of this process must not get our signals."""
        signal.set_wakeup_fd(-1)
        try:
            return start_run(lease.run, lease.task, place)
        finally:
            signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)

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
        for slot in self._slots.values():
            if slot.kill_at == float("inf") and not self._queue.renew(slot.lease):
                self._say(f"run {slot.lease.run} was taken away")
                self._request(slot, REVOKED)
                slot.kill_at = now + _KILL_SECONDS

    def _hand_over(self) -> None:
        self._is_draining = True
        if not self._is_handing_over:
            self._is_handing_over = True
            for slot in self._slots.values():
                self._request(slot, RELEASE)

    def _request(self, slot: _Slot, request: str) -> None:
        """Send a request to a run's process."""
        folder = self._base / "runs" / slot.lease.run
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
                shutil.rmtree(self._base / "runs" / slot.lease.run, ignore_errors=True)
                self._poll_at = 0.0
                self._idle_since = time.monotonic()

    def _give_back(self) -> None:
        """Let go of the runs that are over."""
        while self._over:
            self._queue.give_back(self._over[-1])
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
