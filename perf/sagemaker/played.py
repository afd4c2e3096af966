"""Plays of the runner: what it does in a job, with virtual trainings instead of processes.

The runner's own code writes and reads everything (channel, lives, checkpoints, tasks, leases), so that a play cannot
differ from it in a key or a format. What is played is its supervisor and its worker's loop: epochs that take service
seconds, and metrics that are a formula of configuration and epoch.
"""

from __future__ import annotations

import heapq
import json
import random
import shutil
import threading
import time
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from sagemaker_emulator.service.executor import JobExit, JobOrder
from sagemaker_emulator.service.scripted import ScriptedJob
from tunewright.runner import s3_keys, worker
from tunewright.runner.channel import EXITED, GO_ON, RELEASE, TERMINATED, UNTIL, Channel, End, Report
from tunewright.runner.contract import CONFIG_PARAMETER, JOB_FILE, RUN_VARIABLE, S3_VARIABLE, WORKER_VARIABLE
from tunewright.runner.restarts import Restarts
from tunewright.runner.run_order import RunOrder
from tunewright.runner.s3_channel import S3Channel, S3Place
from tunewright.runner.s3_tasks import S3Lease, TaskQueue
from tunewright.runner.worker import DRAIN, WorkerFacts

STATE = "state.json"
"""File of a virtual training's checkpoint: whose it is, and after which epoch."""


def accuracy(config: dict[str, Any], epoch: int) -> float:
    """What a configuration reaches after an epoch."""
    away = (config["x"] - 0.3) ** 2 + (config["y"] - 0.7) ** 2
    return round(1.0 - away - 0.3 / (epoch + 1), 9)


class Stage:
    """Where plays happen: one thread that does what is due, in service seconds.

    Parameters
    ----------
    speed
        Service seconds per second.
    folder
        For checkpoints on their way.
    """

    def __init__(self, speed: float, folder: Path) -> None:
        self.speed = speed
        self.folder = folder
        self.busy: list[float] = []
        """Real seconds of all virtual training that ended, one entry a run."""
        self.waits: list[tuple[float, float]] = []
        """Of each run that followed another on a worker: monotonic second of its beginning, and seconds since the other's end."""
        self.n_training = 0
        """Virtual trainings at this moment."""
        self.errors: list[str] = []
        """What went wrong in plays themselves."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self.lock = threading.Condition(threading.RLock())
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="stage", daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Service seconds, from any beginning."""
        return time.monotonic() * self.speed

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Let something happen at a second of :meth:`now`."""
        with self.lock:
            heapq.heappush(self._due, (when, next(self._numbers), act))
            self.lock.notify()

    def close(self) -> None:
        """End all."""
        with self.lock:
            self._is_closed = True
            self.lock.notify()
        self._thread.join()

    def _run(self) -> None:
        with self.lock:
            while not self._is_closed:
                wait = (self._due[0][0] - self.now()) / self.speed if self._due else 1.0
                if wait > 0:
                    self.lock.wait(wait)
                    continue
                act = heapq.heappop(self._due)[2]
                try:
                    act()
                except Exception:
                    self.errors.append(traceback.format_exc())


class Training:
    """A virtual training in the hands of the runner: reports, obeys, stores checkpoints, says its end.

    Parameters
    ----------
    stage
        Where.
    order, channel
        As the runner's supervisor gets them. ``config`` holds ``epochs`` and ``seconds`` (service seconds an epoch).
    ended
        Called with the end once it was sent; not called for one that vanished.
    """

    look_seconds: float | None = None
    """Service seconds between two looks for requests; None: as the channel says."""

    def __init__(self, stage: Stage, order: RunOrder, channel: Channel, ended: Callable[[End], None]) -> None:
        self._stage = stage
        self._order = order
        self._channel = channel
        self._ended = ended
        self._folder = Path(order.checkpoint_dir)
        self._resource = order.resume_from
        self._seq = 0
        self._began = time.monotonic()
        self._seconds = self.epoch_seconds(order)
        self._look_seconds = self.look_seconds or channel.poll_seconds * stage.speed
        self.is_over = False
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        channel.load_checkpoint()
        self._check_state()
        stage.n_training += 1
        self._next_epoch = stage.now() + self._seconds
        self._wait()

    @staticmethod
    def epoch_seconds(order: RunOrder) -> float:
        """Service seconds of an epoch."""
        return float(order.config["seconds"])

    def terminate(self) -> None:
        """Hear SIGTERM."""
        if not self.is_over:
            self._end(TERMINATED)

    def release(self, cause: str) -> None:
        """End because the worker wants it."""
        if not self.is_over:
            self._end(cause)

    def abort(self) -> None:
        """Be gone, without a word."""
        if not self.is_over:
            self._leave()

    def _check_state(self) -> None:
        """A checkpoint is the right one, or there is none."""
        if self._order.resume_from:
            state = json.loads((self._folder / STATE).read_text())
            if state["epoch"] != self._order.resume_from:
                raise RuntimeError(f"run {self._order.name} got the checkpoint {state}")

    def _wait(self) -> None:
        self._stage.at(min(self._next_epoch, self._stage.now() + self._look_seconds), self._act)

    def _act(self) -> None:
        if self.is_over:
            return
        if self._stage.now() >= self._next_epoch:
            self._next_epoch += self._seconds
            self._resource += 1
            self._report()
        if not self.is_over and (wanted := self._channel.wanted()) != GO_ON:
            self._end(wanted)
        if not self.is_over:
            self._wait()

    def _report(self) -> None:
        self._seq += 1
        state = {"trial": self._order.trial_id, "epoch": self._resource}
        (self._folder / STATE).write_text(json.dumps(state))
        metrics = {"accuracy": accuracy(self._order.config, self._resource), "epoch": self._resource}
        self._channel.send_report(Report(self._seq, self._resource, metrics, self._cost(), time.time()))
        if self._resource == self._order.until:
            self._end(UNTIL)
        elif self._resource >= int(self._order.config["epochs"]):
            self._end(EXITED)
        else:
            self._channel.note_checkpoint(self._resource)

    def _end(self, cause: str) -> None:
        saved = self._resource >= 1 and self._channel.save_checkpoint(self._resource)
        end = End(cause, 0, "", self._cost(), time.time(), self._resource if saved else None)
        self._channel.send_end(end)
        self._leave()
        self._ended(end)

    def _leave(self) -> None:
        self.is_over = True
        self._stage.n_training -= 1
        self._stage.busy.append(time.monotonic() - self._began)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _cost(self) -> float:
        hours = (time.monotonic() - self._began) / 3600
        return self._order.cost_before + hours * self._order.dollars_per_hour


class StagedPlay(ScriptedJob):
    """A play whose acts the stage carries out; the emulator's sweep only asks whether it is over.

    Parameters
    ----------
    stage
        Where.
    obeys
        Whether it hears SIGTERM; one that does not is ended after the service's 120 s.
    """

    def __init__(self, stage: Stage, *, obeys: bool = True) -> None:
        self._stage = stage
        self._obeys = obeys
        self._exit: JobExit | None = None
        self._is_gone = False
        stage.at(stage.now(), self._begin_safely)

    def advance(self, seconds: float) -> JobExit | None:
        """Its exit, if it has ended."""
        return self._exit

    def terminate(self, seconds: float) -> None:
        """Hear SIGTERM."""
        if self._obeys:
            self._stage.at(self._stage.now(), self._terminate_safely)

    def abort(self) -> None:
        """Its instances are gone."""
        with self._stage.lock:
            self._is_gone = True
            self.on_abort()

    def leave(self, code: int, text: str = "") -> None:
        """Exit."""
        self._exit = JobExit(exit_code=code, failure_text=text)

    def begin(self) -> None:
        """Start, on the stage."""

    def on_terminate(self) -> None:
        """Hear SIGTERM, on the stage."""

    def on_abort(self) -> None:
        """Be gone, holding the stage's lock."""

    def _begin_safely(self) -> None:
        if not self._is_gone:
            self._guard(self.begin)

    def _terminate_safely(self) -> None:
        if not self._is_gone and self._exit is None:
            self._guard(self.on_terminate)

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self._stage.errors.append(traceback.format_exc())
            self.leave(1, f"The runner failed: {error}")


class JobPlay(StagedPlay):
    """``runner.pyz sagemaker``: one run in a job."""

    def __init__(self, order: JobOrder, client: Any, stage: Stage, *, obeys: bool = True) -> None:
        self._job = order
        self._client = client
        self._training: Training | None = None
        super().__init__(stage, obeys=obeys)

    def begin(self) -> None:
        """Read the order as the runner does, and begin to train."""
        request = self._job.request
        job, place = place_of(request, self._client)
        facts = json.loads(request["Environment"][RUN_VARIABLE])
        source = tuple(facts.pop("source") or ()) or None
        restarts = facts.pop("restarts", False)
        config = json.loads(request["HyperParameters"][CONFIG_PARAMETER])
        folder = self._stage.folder / f"{self._job.name}-{self._job.attempt}"
        order = RunOrder(config=config, checkpoint_dir=str(folder), **job["order"], **facts)
        if not restarts:
            channel = S3Channel(self._client, place, order, source)
            self._training = Training(self._stage, order, channel, lambda end: self.leave(end.exit))
            return
        lives = Restarts(self._client, place.bucket, place.prefix, order)
        life = lives.begin(source, is_main=True)
        channel = S3Channel(self._client, place, life.order, life.source, restarts=lives, stored=life.stored)
        if life.end is not None:
            channel.send_end(life.end)
            self.leave(life.end.exit, life.end.error)
            return
        self._training = Training(self._stage, life.order, channel, lambda end: self.leave(end.exit))

    def on_terminate(self) -> None:
        """The runner ends the script and saves its checkpoint."""
        if self._training is None:
            self.leave(143)
        else:
            self._training.terminate()

    def on_abort(self) -> None:
        """The training is gone with its instance."""
        if self._training is not None:
            self._training.abort()


def place_of(request: Any, client: Any) -> tuple[dict[str, Any], S3Place]:
    """The file that is the same for all jobs, and where the experiment's objects lie."""
    code = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    bucket, _, prefix = code.removeprefix("s3://").partition("/")
    job = json.loads(client.get_object(Bucket=bucket, Key=prefix + JOB_FILE)["Body"].read())
    bucket, _, prefix = request["Environment"][S3_VARIABLE].removeprefix("s3://").partition("/")
    return job, S3Place(
        bucket, prefix, job["poll_seconds"], job["checkpoint_seconds"], job.get("report_shards", 1)
    )


class WorkersPlay(StagedPlay):
    """``runner.pyz worker`` on all instances of a job: run after run over S3."""

    def __init__(self, order: JobOrder, client: Any, stage: Stage) -> None:
        self._job = order
        self._client = client
        self._workers: list[Worker] = []
        super().__init__(stage)

    def begin(self) -> None:
        """Begin one worker on each instance."""
        count = int(self._job.request["ResourceConfig"].get("InstanceCount") or 1)
        self._workers = [
            Worker(self._job, self._client, self._stage, number, self._look) for number in range(count)
        ]

    def on_terminate(self) -> None:
        """All workers hand over."""
        for one in self._workers:
            one.terminate()

    def on_abort(self) -> None:
        """All workers are gone."""
        for one in self._workers:
            one.abort()

    def _look(self) -> None:
        """A job is over when all its instances are."""
        if all(one.is_over for one in self._workers):
            self.leave(0)


class Worker:
    """One instance of a job of workers, as ``runner/worker.py`` has it.

    Parameters
    ----------
    job
        The training job.
    client
        Of S3.
    stage
        Where.
    number
        Of the instance.
    ended
        Called when it is over.
    """

    def __init__(
        self, job: JobOrder, client: Any, stage: Stage, number: int, ended: Callable[[], None]
    ) -> None:
        self._facts = WorkerFacts(**json.loads(job.request["Environment"][WORKER_VARIABLE]))
        self._file, self._s3 = place_of(job.request, client)
        self._client = client
        self._stage = stage
        self._name = f"{job.name}-{job.attempt}-{number}"
        self._ended = ended
        self._queue = TaskQueue(client, self._s3.bucket, self._s3.prefix, job.name)
        self._runs: dict[str, tuple[S3Lease, Training]] = {}
        self._random = random.Random(self._name)
        self._started = self._idle_since = time.monotonic()
        self._session: bytes | None = None
        self._session_since = self._started
        self._is_draining = self.is_over = False
        self._over_at: float | None = None
        stage.at(stage.now(), self._poll)
        self._renew()

    def terminate(self) -> None:
        """Hand over at once."""
        self._is_draining = True
        for _, training in list(self._runs.values()):
            training.release(RELEASE)
        self._end_if_done()

    def abort(self) -> None:
        """Be gone."""
        self.is_over = True
        for _, training in list(self._runs.values()):
            training.abort()

    def _later(self, real_seconds: float, act: Callable[[], None]) -> None:
        self._stage.at(self._stage.now() + real_seconds * self._stage.speed, act)

    def _poll(self) -> None:
        if self.is_over or self._is_draining or len(self._runs) >= self._facts.slots:
            return
        now = time.monotonic()
        if self._queue.get(s3_keys.worker_control(self._facts.number)) == DRAIN.encode():
            self._is_draining = True
            self._end_if_done()
            return
        if now - self._started >= self._facts.take_seconds:
            self._is_draining = True
            self._end_if_done()
            return
        waiting = self._queue.waiting()
        self._random.shuffle(waiting)
        for run in waiting:
            if len(self._runs) >= self._facts.slots:
                break
            lease = self._queue.claim(run)
            if lease is not None:
                self._start(lease)
                self._idle_since = now
        self._look_for_tuner(now)
        self._poll_later(now)

    def _poll_later(self, now: float) -> None:
        fastest = min(worker._FASTEST, self._s3.poll_seconds)
        pause = min(worker._SLOWEST, fastest + (now - self._idle_since) / worker._SLOWING)
        self._later(pause * self._random.uniform(0.8, 1.2), self._poll)

    def _look_for_tuner(self, now: float) -> None:
        if self._runs:
            self._session_since = now
            return
        session = self._queue.get(s3_keys.SESSION)
        if session != self._session:
            self._session, self._session_since = session, now
        elif now - self._session_since > self._facts.abandon_seconds:
            self._is_draining = True
            self._end_if_done()

    def _start(self, lease: S3Lease) -> None:
        facts = dict(lease.task["facts"])
        source = facts.pop("source")
        folder = self._stage.folder / f"{self._name}-{lease.run}"
        order = RunOrder(
            config=lease.task["config"], checkpoint_dir=str(folder), **self._file["order"], **facts
        )
        channel = S3Channel(self._client, self._s3, order, tuple(source) if source else None)
        training = Training(self._stage, order, channel, lambda _: self._over(lease))
        self._runs[lease.run] = lease, training
        if self._over_at is not None:
            began = time.monotonic()
            self._stage.waits.append((began, began - self._over_at))

    def _over(self, lease: S3Lease) -> None:
        del self._runs[lease.run]
        self._over_at = time.monotonic()
        self._queue.give_back(lease)
        self._idle_since = time.monotonic()
        self._stage.at(self._stage.now(), self._poll)
        self._end_if_done()

    def _renew(self) -> None:
        if self.is_over:
            return
        for run, (lease, training) in list(self._runs.items()):
            if not self._queue.renew(lease):
                training.abort()
                del self._runs[run]
        if time.monotonic() - self._started >= self._facts.hand_over_seconds:
            self.terminate()
        self._later(self._facts.lease_seconds / 6, self._renew)

    def _end_if_done(self) -> None:
        if self._is_draining and not self._runs and not self.is_over:
            self.is_over = True
            self._ended()
