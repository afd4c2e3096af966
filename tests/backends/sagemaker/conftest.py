"""An in-memory AWS whose jobs do what a test says."""

# ruff: noqa: N802, N803 - boto3's names
from __future__ import annotations

import hashlib
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.aws import Endpoint, EndpointKind, Rates, S3Objects, ServiceError, TokenBucket
from tunewright.backends.sagemaker import SageMakerBackend
from tunewright.interfaces import BackendEvent
from tunewright.runner import s3_keys
from tunewright.runner.channel import EXITED, End, Report
from tunewright.runner.contract import BucketTerms
from tunewright.testing.jobs import job_settings
from tunewright.trial import Ended, PhaseChange, Reported


class NoSuchKey(Exception):  # noqa: N818 - boto3's name
    """What boto3 raises; the layer of aws would make a ServiceError of it."""


class FakeS3:
    """What the project uses of boto3's client of S3."""

    exceptions = SimpleNamespace(NoSuchKey=NoSuchKey)

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls: Counter[str] = Counter()
        self.failures: list[ServiceError] = []

    def _begin(self, operation: str) -> None:
        self.calls[operation] += 1
        if self.failures:
            raise self.failures.pop(0)

    def head_bucket(self, Bucket: str) -> None:
        self._begin("HeadBucket")

    def put_object(
        self, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str = "", IfMatch: str = ""
    ) -> dict[str, Any]:
        self._begin("PutObject")
        if (IfNoneMatch and Key in self.objects) or (IfMatch and IfMatch.strip('"') != self.etag(Key)):
            raise self.refusal()
        self.objects[Key] = bytes(Body)
        return {"ETag": f'"{self.etag(Key)}"'}

    def etag(self, key: str) -> str:
        return hashlib.sha256(self.objects[key]).hexdigest() if key in self.objects else ""

    def refusal(self) -> Exception:
        return ServiceError("PreconditionFailed", "the condition does not hold", status=412)

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self._begin("GetObject")
        if Key not in self.objects:
            raise ServiceError("NoSuchKey", "none", status=404) if self.translated else NoSuchKey
        return {"Body": io.BytesIO(self.objects[Key]), "ETag": f'"{self.etag(Key)}"'}

    translated = True
    """Whether errors come as the layer of aws makes them; the runner sees boto3's own."""

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        self.put_object(bucket, key, Path(path).read_bytes())

    def download_file(self, bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(self.objects[key])

    def delete_object(self, Bucket: str, Key: str) -> None:
        self._begin("DeleteObject")
        self.objects.pop(Key, None)

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> None:
        self._begin("DeleteObjects")
        for entry in Delete["Objects"]:
            self.objects.pop(entry["Key"], None)

    def list_objects_v2(
        self, Bucket: str, Prefix: str, MaxKeys: int = 1000, StartAfter: str = ""
    ) -> dict[str, Any]:
        self._begin("ListObjectsV2")
        keys = sorted(k for k in self.objects if k.startswith(Prefix) and k > StartAfter)[:MaxKeys]
        contents = [
            {"Key": key, "Size": len(self.objects[key]), "ETag": f'"{self.etag(key)}"'} for key in keys
        ]
        return {"Contents": contents}


class FakeAws:
    """Stands for an AwsSession; ``jobs`` is what the service knows."""

    account = "123456789012"

    def __init__(self, speed: float = 1000.0) -> None:
        self.endpoint = Endpoint(kind=EndpointKind.EMBEDDED, region="us-east-1", url="http://x", speed=speed)
        self.s3 = FakeS3()
        self.terms: dict[str, BucketTerms] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.counter: Counter[str] = Counter()
        self.refusals: dict[str, list[ServiceError]] = {}
        self.lost_answers: list[ServiceError] = []
        self.log_events: list[dict[str, Any]] = []
        self.log_page = 1
        self.is_closed = False
        self.n_revived = 0
        self.rates = Rates(rates={}, speed=speed)

    @property
    def calls(self) -> dict[str, int]:
        return dict(self.counter)

    def client(self, service: str) -> FakeS3:
        assert service == "s3"
        return self.s3

    def objects(self, bucket: str, prefix: str) -> S3Objects:
        return S3Objects(self.s3, bucket, prefix)

    def use_bucket(self, bucket: str, terms: BucketTerms) -> None:
        self.terms[bucket] = terms

    def terms_of(self, bucket: str) -> BucketTerms:
        return self.terms[bucket]

    def bucket_of(self, operation: str) -> TokenBucket:
        return self.rates.bucket(operation)

    def close(self) -> None:
        self.is_closed = True

    def send_once(self) -> None:
        self.is_sending_once = True

    def revive(self) -> None:
        self.n_revived += 1

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self.counter[operation] += 1
        if self.refusals.get(operation):
            raise self.refusals[operation].pop(0)
        answer: dict[str, Any] = getattr(self, operation)(**parameters)
        return answer

    # -- operations ---------------------------------------------------------------------------------------------

    def CreateTrainingJob(self, **fields: Any) -> dict[str, Any]:
        name = fields["TrainingJobName"]
        if name in self.jobs:
            raise ServiceError("ResourceInUse", f"{name} exists", status=400)
        self.jobs[name] = {
            "fields": fields,
            "TrainingJobName": name,
            "CreationTime": datetime.now(UTC),
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Training",
            "Environment": fields["Environment"],
            "ResourceConfig": fields["ResourceConfig"],
        }
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return {"TrainingJobArn": name}

    def ListTrainingJobs(self, NextToken: str = "0", MaxResults: int = 10, **_: Any) -> dict[str, Any]:
        found = sorted(self.jobs.values(), key=lambda job: job["CreationTime"], reverse=True)
        first = int(NextToken)
        page = found[first : first + MaxResults]
        more = {"NextToken": str(first + MaxResults)} if len(found) > first + MaxResults else {}
        return {"TrainingJobSummaries": page, **more}

    def DescribeTrainingJob(self, TrainingJobName: str) -> dict[str, Any]:
        return self.jobs[TrainingJobName]

    def StopTrainingJob(self, TrainingJobName: str) -> dict[str, Any]:
        if self.jobs[TrainingJobName]["TrainingJobStatus"] != "InProgress":
            raise ServiceError("ValidationException", "is in status Completed", status=400)
        self.end(TrainingJobName, "Stopped")
        return {}

    def UpdateTrainingJob(self, TrainingJobName: str, ResourceConfig: dict[str, int]) -> dict[str, Any]:
        pool = self.jobs[TrainingJobName]["WarmPoolStatus"]
        pool |= {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 7}
        return {}

    def Search(self, **_: Any) -> dict[str, Any]:
        done = [job for job in self.jobs.values() if "BillableTimeInSeconds" in job]
        return {"Results": [{"TrainingJob": job} for job in done]}

    def FilterLogEvents(
        self,
        logStreamNamePrefix: str,
        nextToken: str = "",
        startTime: int = 0,
        filterPattern: str = "",
        **_: Any,
    ) -> dict[str, Any]:
        """Pages as the service's: the first of each answer is empty and has a successor."""
        if not nextToken:
            return {"events": [], "nextToken": "0"}
        events = [
            event
            for event in self.log_events
            if event["logStreamName"].startswith(logStreamNamePrefix)
            and event.get("timestamp", 0) >= startTime
            and filterPattern.strip('"') in event["message"]
        ]
        end = int(nextToken) + self.log_page
        more = {"nextToken": str(end)} if end < len(events) else {}
        return {"events": events[int(nextToken) : end], **more}

    # -- what happens in jobs -----------------------------------------------------------------------------------

    def name(self, run: str) -> str:
        """The full name of the job of ``{trial}-{attempt}-{retry}``."""
        (name,) = [name for name in self.jobs if name.endswith(f"-{run}")]
        return name

    def end(self, name: str, status: str, **more: Any) -> None:
        """The job is over."""
        self.jobs[name] |= {
            "TrainingJobStatus": status,
            "SecondaryStatus": status,
            "TrainingEndTime": datetime.now(UTC),
            **more,
        }

    def prefix(self, name: str) -> str:
        return self.jobs[name]["Environment"]["TUNEWRIGHT_S3"].split("/", 3)[3]

    def report(self, run: str, seq: int, resource: int | None = None, *, wall: float = 0.0) -> None:
        """The job's runner sends a report."""
        wall = wall or time.time()
        message = Report(seq, resource or seq, {"loss": 1 / seq}, cost=0.001 * seq, wall=wall)
        self.send(run, seq, message)

    def send(self, run: str, seq: int, message: Report | End) -> None:
        key, body = s3_keys.encode(run, seq, message, room=900)
        self.s3.objects[self.prefix(self.name(run)) + key] = body

    def say_end(
        self,
        run: str,
        seq: int,
        *,
        cause: str = EXITED,
        code: int = 0,
        error: str = "",
        checkpoint: int | None = None,
    ) -> None:
        """The job's runner sends its end marker; the job goes on until ``end``."""
        self.send(run, seq, End(cause, code, error, 0.01, time.time(), checkpoint))

    def checkpoint(self, run: str, trial_id: int, resource: int) -> None:
        """There is a whole checkpoint."""
        place = self.prefix(self.name(run)) + s3_keys.checkpoint_prefix(trial_id, resource)
        self.s3.objects[place + "weights"] = b"w"
        self.s3.objects[place + s3_keys.COMPLETE] = b'{"files": {"weights": 1}}'

    def control(self, run: str) -> str:
        """What the backend wants of a run."""
        key = self.prefix(self.name(run)) + s3_keys.control_key(run)
        return self.s3.objects.get(key, b"").decode()


class Driver:
    """A backend on the fake, and how tests wait for it."""

    def __init__(self, aws: FakeAws, backend: SageMakerBackend) -> None:
        self.aws = aws
        self.backend = backend
        self.events: list[Reported | Ended] = []
        self.phases: list[PhaseChange] = []

    def take(self, events: Sequence[BackendEvent]) -> None:
        """Keep phases apart from the events that change a trial."""
        for event in events:
            if isinstance(event, PhaseChange):
                self.phases.append(event)
            else:
                self.events.append(event)

    def until(self, condition: Callable[[], object], seconds: float = 300.0) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it never came; events so far: {self.events}"
            self.take(self.backend.wait(0.02))

    def until_created(self, run: str) -> None:
        self.until(lambda: any(name.endswith(f"-{run}") for name in self.aws.jobs))

    def until_ended(self, trial_id: int) -> Ended:
        """Wait for the trial's end."""

        def ends() -> list[Ended]:
            return [e for e in self.events if isinstance(e, Ended) and e.trial_id == trial_id]

        self.until(ends)
        return ends()[-1]

    def resources(self, trial_id: int) -> list[int]:
        return [e.resource for e in self.events if isinstance(e, Reported) and e.trial_id == trial_id]

    def rounds(self, n: int = 5) -> None:
        """Let the backend look around."""
        for _ in range(n):
            self.take(self.backend.wait(0.01))


@pytest.fixture
def script(tmp_path: Path) -> str:
    """Path of a training script."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text("print('training')\n")
    return str(folder / "train.py")


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws()


@pytest.fixture
def make_driver(aws: FakeAws, script: str) -> Iterator[Callable[..., Driver]]:
    """Makes backends; each call stands for a new tuner process."""
    made: list[SageMakerBackend] = []

    def make(attach: Any = (), **settings: Any) -> Driver:
        chosen = {"min_interval": 0.005, "n_workers": 2, "stop_grace": 1e6, **settings}
        jobs = job_settings(script=script, **chosen)
        backend = SageMakerBackend(jobs.benchmark, jobs.config, experiment="my experiment", session=aws)
        made.append(backend)
        backend.attach(attach)
        return Driver(aws, backend)

    yield make
    for name, job in aws.jobs.items():
        if job["TrainingJobStatus"] == "InProgress":
            aws.end(name, "Stopped")
    for backend in made:
        backend.close()


@pytest.fixture
def driver(make_driver: Callable[..., Driver]) -> Driver:
    return make_driver()
