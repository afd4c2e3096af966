"""Many tuners on the limits of one account, on a virtual clock: refused calls, and whether any tuner starves.

    python perf/sagemaker/many.py --tuners 1 10 42 100 --minutes 120 --seconds 300

Each tuner is a real ``SageMakerBackend`` with its own token buckets. All of them share one account, whose request rates are
those of the emulator at speed 1 (2 ListTrainingJobs and 1 CreateTrainingJob a second, with their bursts). Jobs are played:
a start-up of 130 s, or 20 s on a warm pool, reports, an upload of 5 s. Every tuner is a thread, and one runs at a time;
``time.sleep`` hands over to the one that wakes up next. So computing takes no time, and the machine does not matter.

Printed are, for each number of tuners, the calls and the share of refused ones, the runs that ended, those of the tuner with
the fewest and the most, and the time from the end of a run to the creation of the next job of its worker.
"""

# ruff: noqa: N802, N803 - boto3's names
from __future__ import annotations

import argparse
import heapq
import io
import json
import random
import statistics
import sys
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

START = 1_800_000_000.0
"""Seconds since 1970 at the virtual second 0."""


class VirtualTime:
    """One clock for many threads, of which one runs at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.end = float("inf")
        self._waiting: list[tuple[float, int, threading.Lock]] = []
        self._n = 0
        self._handed_back = threading.Semaphore(0)

    def install(self) -> None:
        """Take the place of Python's clocks."""
        time.time = lambda: START + self.now
        time.monotonic = lambda: self.now
        time.sleep = self.sleep

    def sleep(self, seconds: float) -> None:
        """Hand over to the thread that wakes up next."""
        gate = threading.Lock()
        gate.acquire()
        self._n += 1
        heapq.heappush(self._waiting, (self.now + max(0.0, seconds), self._n, gate))
        self._handed_back.release()
        gate.acquire()
        if self.now >= self.end:
            raise SystemExit

    def run(self, programs: Sequence[Callable[[], None]], seconds: float) -> None:
        """Run programs beside each other for so many virtual seconds."""
        self.now, self.end, self._waiting = 0.0, seconds, []
        threads = [threading.Thread(target=self._begin, args=(program,)) for program in programs]
        for thread in threads:
            thread.start()
            self._handed_back.acquire()
        while self._waiting:
            at, _, gate = heapq.heappop(self._waiting)
            self.now = max(self.now, at)
            gate.release()
            self._handed_back.acquire()
        for thread in threads:
            thread.join()

    def _begin(self, program: Callable[[], None]) -> None:
        try:
            program()
        except SystemExit:
            pass
        finally:
            self._handed_back.release()


CLOCK = VirtualTime()
if __name__ == "__main__":
    CLOCK.install()  # before anything that keeps a clock

from sagemaker_emulator.api.quotas import RequestRates  # noqa: E402
from sagemaker_emulator.service.errors import ServiceError as Refusal  # noqa: E402
from tunewright.aws import Endpoint, EndpointKind, Rates, S3Objects, ServiceError, TokenBucket  # noqa: E402
from tunewright.backends.sagemaker import SageMakerBackend  # noqa: E402
from tunewright.runner import s3_keys  # noqa: E402
from tunewright.runner.channel import EXITED, End, Report  # noqa: E402
from tunewright.runner.contract import BucketTerms  # noqa: E402
from tunewright.testing.jobs import job_settings  # noqa: E402
from tunewright.trial import Ended, Run  # noqa: E402

COLD_SECONDS, WARM_SECONDS, UPLOAD_SECONDS, POOL_SECONDS = 130.0, 20.0, 5.0, 5.0
N_EPOCHS = 10


@dataclass
class Job:
    """Times of a job, all of which are known when it is created."""

    name: str
    created: float
    begins: float
    ends: float
    reused_by: str = ""

    @property
    def over(self) -> float:
        return self.ends + UPLOAD_SECONDS

    def summary(self, now: float, *, is_pooled: bool) -> dict[str, Any]:
        """As ListTrainingJobs gives it."""
        steps = ((self.over, "Completed"), (self.ends, "Uploading"), (self.begins, "Training"))
        secondary = next((status for at, status in steps if now >= at), "Starting")
        is_over = secondary == "Completed"
        summary: dict[str, Any] = {
            "TrainingJobName": self.name,
            "TrainingJobStatus": "Completed" if is_over else "InProgress",
            "SecondaryStatus": secondary,
            "CreationTime": datetime.fromtimestamp(START + self.created, UTC),
        }
        if is_over:
            summary["TrainingEndTime"] = datetime.fromtimestamp(START + self.over, UTC)
        if is_pooled:
            pool = "Available" if now >= self.over + POOL_SECONDS else "InUse"
            summary["WarmPoolStatus"] = {"Status": "Reused" if self.reused_by else pool}
        return summary


class Objects:
    """The S3 client of one tuner; what its jobs write lies there from its time on."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self._keys: list[str] = []
        self._coming: list[tuple[float, str, bytes]] = []

    def write_at(self, at: float, key: str, body: bytes) -> None:
        heapq.heappush(self._coming, (at, key, body))

    def _arrive(self) -> None:
        while self._coming and self._coming[0][0] <= CLOCK.now:
            _, key, body = heapq.heappop(self._coming)
            self.put_object(Key=key, Body=body)

    def head_bucket(self, **_: Any) -> dict[str, Any]:
        return {}

    def put_object(self, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        if Key not in self._bodies:
            insort(self._keys, Key)
        self._bodies[Key] = bytes(Body)
        return {"ETag": ""}

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        self.put_object(Key=key, Body=b"")

    def get_object(self, Key: str, **_: Any) -> dict[str, Any]:
        self._arrive()
        if Key not in self._bodies:
            raise ServiceError("NoSuchKey", "none", status=404)
        return {"Body": io.BytesIO(self._bodies[Key])}

    def list_objects_v2(
        self,
        Prefix: str,
        MaxKeys: int = 1000,
        StartAfter: str = "",
        **_: Any,
    ) -> dict[str, Any]:
        self._arrive()
        first = max(bisect_left(self._keys, Prefix), bisect_right(self._keys, StartAfter))
        found = self._keys[first : first + MaxKeys]
        contents = [{"Key": key, "Size": 1} for key in found if key.startswith(Prefix)]
        return {"Contents": contents}


@dataclass
class Account:
    """What all tuners share: the request rates."""

    rates: RequestRates = field(default_factory=lambda: RequestRates(1.0, clock=lambda: CLOCK.now))
    calls: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Session:
    """Stands for the AwsSession of one tuner."""

    account = "123456789012"

    def __init__(self, account: Account, number: int, options: argparse.Namespace) -> None:
        self.endpoint = Endpoint(kind=EndpointKind.EMBEDDED, region="us-east-1", url="http://x", speed=1.0)
        self.s3 = Objects()
        self._account = account
        self._rates = Rates()
        self._jobs: dict[str, Job] = {}
        self._random = random.Random(number)
        self._options = options
        self.calls: Counter[str] = Counter()

    def client(self, _: str) -> Objects:
        return self.s3

    def objects(self, bucket: str, prefix: str) -> S3Objects:
        return S3Objects(self.s3, bucket, prefix)

    def bucket_of(self, operation: str) -> TokenBucket:
        return self._rates.bucket(operation)

    def send_once(self) -> None:
        """Nothing is sent again here."""

    def use_bucket(self, *_: Any) -> None:
        """There are no terms of buckets."""

    def terms_of(self, _: str) -> BucketTerms:
        return BucketTerms()

    def close(self) -> None:
        """There is nothing to close."""

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """As the session's: the bucket, then the service."""
        bucket = self._rates.bucket(operation)
        bucket.acquire()
        self._account.calls[operation] += 1
        try:
            self._account.rates.acquire(operation)
        except Refusal as refusal:
            self._account.refused[operation] += 1
            bucket.throttled()
            raise ServiceError(refusal.code, refusal.message, status=400) from refusal
        return getattr(self, operation)(**parameters)

    def CreateTrainingJob(self, **fields: Any) -> dict[str, Any]:
        """Fix what the job will do, and let its messages come in their time."""
        now, name = CLOCK.now, str(fields["TrainingJobName"])
        warm = next((job for job in self._jobs.values() if self._is_free(job, now)), None)
        if warm is not None:
            warm.reused_by = name
        begins = now + (COLD_SECONDS if warm is None else WARM_SECONDS) * self._random.uniform(0.9, 1.1)
        training = self._options.seconds * self._random.uniform(0.2, 1.8)
        self._jobs[name] = Job(name, now, begins, begins + training)
        facts = json.loads(fields["Environment"]["TUNEWRIGHT_RUN"])
        run = f"{facts['trial_id']}-{facts['attempt']}-{facts['retry']}"
        prefix = fields["Environment"]["TUNEWRIGHT_S3"].split("/", 3)[3]
        for epoch in range(1, N_EPOCHS + 1):
            at = begins + training * epoch / N_EPOCHS
            self._send(prefix, run, epoch, Report(epoch, epoch, {"loss": 1.0}, 0.0, START + at), at)
        end = begins + training
        self._send(prefix, run, N_EPOCHS + 1, End(EXITED, 0, "", 0.0, START + end, None), end)
        return {}

    def ListTrainingJobs(self, **_: Any) -> dict[str, Any]:
        newest = sorted(self._jobs.values(), key=lambda job: -job.created)[:100]
        pooled = bool(self._options.warm)
        return {"TrainingJobSummaries": [job.summary(CLOCK.now, is_pooled=pooled) for job in newest]}

    def DescribeTrainingJob(self, TrainingJobName: str) -> dict[str, Any]:
        return self._jobs[TrainingJobName].summary(CLOCK.now, is_pooled=bool(self._options.warm))

    def Search(self, **_: Any) -> dict[str, Any]:
        return {"Results": []}

    def _is_free(self, job: Job, now: float) -> bool:
        idle = now - job.over - POOL_SECONDS
        return self._options.warm and not job.reused_by and 0 <= idle < 600

    def _send(self, prefix: str, run: str, seq: int, message: Report | End, at: float) -> None:
        key, body = s3_keys.encode(run, seq, message, room=900)
        self.s3.write_at(at, prefix + key, body)


@dataclass
class Tuner:
    """A backend whose workers always have the next run: random search."""

    session: Session
    number: int
    options: argparse.Namespace
    n_ended: int = 0
    gaps: list[float] = field(default_factory=list)
    """Seconds from a run's end, by its runner, to the ``Ended`` event that frees its worker."""

    def program(self) -> None:
        """Tune for ever."""
        time.sleep(random.Random(self.number).uniform(0.0, self.options.spread))
        settings = job_settings(n_workers=self.options.workers, warm_pool=bool(self.options.warm))
        backend = SageMakerBackend(
            settings.benchmark, settings.config, experiment=f"many {self.number}", session=self.session
        )
        backend.attach(())
        n_begun = 0
        while True:
            for _ in range(backend.free_workers()):
                backend.start(Run(trial_id=n_begun, attempt=0), {"x": 0.5})
                n_begun += 1
            for event in backend.wait(60.0):
                if isinstance(event, Ended):
                    self.n_ended += 1
                    job = next(
                        job
                        for job in self.session._jobs.values()
                        if job.name.endswith(f"-{event.trial_id}-0-0")
                    )
                    self.gaps.append(CLOCK.now - job.ends)


def measured(n_tuners: int, options: argparse.Namespace) -> dict[str, Any]:
    """Calls, refusals, and the tuners' shares."""
    CLOCK.now = 0.0
    account = Account()
    tuners = [Tuner(Session(account, number, options), number, options) for number in range(n_tuners)]
    CLOCK.run([tuner.program for tuner in tuners], options.minutes * 60.0)
    ended = [tuner.n_ended for tuner in tuners]
    gaps = [gap for tuner in tuners for gap in tuner.gaps]
    calls, refused = account.calls, account.refused
    return {
        "tuners": n_tuners,
        "calls": dict(calls),
        "refused": dict(refused),
        "refused_share": sum(refused.values()) / sum(calls.values()),
        "runs_ended": sum(ended),
        "fewest_of_a_tuner": min(ended),
        "most_of_a_tuner": max(ended),
        "release_median": statistics.median(gaps) if gaps else None,
        "release_p99": statistics.quantiles(gaps, n=100)[98] if len(gaps) > 1 else None,
    }


def main(arguments: list[str]) -> None:
    """Measure, and print a line for each number of tuners."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tuners", type=int, nargs="+", default=[42])
    parser.add_argument("--workers", type=int, default=4, help="of each tuner")
    parser.add_argument("--minutes", type=float, default=120.0, help="virtual ones")
    parser.add_argument("--seconds", type=float, default=300.0, help="mean training time of a run")
    parser.add_argument("--spread", type=float, default=60.0, help="seconds within which the tuners begin")
    parser.add_argument("--warm", type=int, choices=(0, 1), default=1, help="warm pools")
    options = parser.parse_args(arguments)
    for n_tuners in options.tuners:
        print(json.dumps(measured(n_tuners, options)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
