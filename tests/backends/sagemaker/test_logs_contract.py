"""The contract of backends for jobs without a network, whose runs are played: no processes, the service's life cycle."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest

from sagemaker_emulator.emulator import Emulator, EmulatorConfig
from sagemaker_emulator.service.executor import JobExit, JobOrder
from sagemaker_emulator.service.faults import Fault
from sagemaker_emulator.service.scripted import ScriptedExecutor, ScriptedJob
from sagemaker_emulator.service.settings import ServiceSettings
from sagemaker_emulator.storage.memory import MemoryApplication, MemoryLogs, MemoryObjects
from tunewright.aws import AwsSession, open_session, resolve_endpoint
from tunewright.backends.plugin import ExperimentContext, TrialLog
from tunewright.backends.sagemaker import SageMakerBackend
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.plugin import PLUGIN
from tunewright.history import History
from tunewright.interfaces import Backend, Scheduler
from tunewright.journal import MemoryJournal
from tunewright.metric import Metric
from tunewright.runner import log_lines
from tunewright.runner.channel import EXITED, TERMINATED, UNTIL, End, Report
from tunewright.schedulers.asha import ASHA, ASHAKind, ASHASettings
from tunewright.schedulers.pbt import PBT, PBTSettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.storage import ExperimentFolder
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.fault_injection import CrashingJournal, SimulatedCrash
from tunewright.testing.jobs import job_settings, training_benchmark
from tunewright.testing.training_script import train_epoch
from tunewright.trial import Ended, Reported, TrialStatus
from tunewright.tuner import Tuner

SPEED = 500.0
INGESTION = 5.0 / SPEED


class PlayedRun(ScriptedJob):
    """What the runner and the training script do in a job without a network."""

    def __init__(self, order: JobOrder, store: MemoryObjects, logs: MemoryLogs) -> None:
        request = order.request
        facts = json.loads(request["Environment"]["TUNEWRIGHT_RUN"])
        self._stream = f"{order.name}/algo-1-{int(time.time())}"
        self._run = "{trial_id}-{attempt}-{retry}".format(**facts)
        self._config: dict[str, Any] = json.loads(request["HyperParameters"]["tunewright_config"])
        self._until = facts["until"]
        self._copied_to = request["CheckpointConfig"]["S3Uri"]
        self._store, self._logs = store, logs
        self._epoch = self._begin(request) if facts["source"] else 0
        assert self._epoch == facts["resume_from"]
        self._seq = 0
        self._next = self._config["seconds"] * SPEED
        self._exit: JobExit | None = None

    def _begin(self, request: Any) -> int:
        """The epoch of the checkpoint that the service brought."""
        channels = {c["ChannelName"]: c["DataSource"]["S3DataSource"] for c in request["InputDataConfig"]}
        bucket, key = channels["tunewright-checkpoint"]["S3Uri"][len("s3://") :].split("/", 1)
        assert self._store.get(bucket, f"{key}_complete")
        return int(self._store.get(bucket, f"{key}weights")[0])

    def advance(self, seconds: float) -> JobExit | None:
        """Train the epochs that are due."""
        while self._exit is None and seconds >= self._next:
            self._next += self._config["seconds"] * SPEED
            self._train()
        return self._exit

    def terminate(self, seconds: float) -> None:
        """End at once."""
        if self._exit is None:
            self._end(TERMINATED)

    def upload(self) -> None:
        """The service copies what the runner kept."""
        if self._epoch:
            bucket, key = f"{self._copied_to}{self._epoch}/"[len("s3://") :].split("/", 1)
            weights = str(self._epoch).encode()
            self._store.put(bucket, f"{key}weights", weights)
            listed = json.dumps({"files": {"weights": len(weights)}})
            self._store.put(bucket, f"{key}_complete", listed.encode())

    def _train(self) -> None:
        try:
            metrics, _ = train_epoch(self._config, self._epoch + 1)
        except StopIteration:
            return self._end(EXITED)
        except RuntimeError as error:
            self._print(f"RuntimeError: {error}")
            return self._end(EXITED, 1, str(error))
        self._epoch += 1
        self._seq += 1
        report = {"epoch": self._epoch, **metrics}
        self._print(f"[tune-metric]: {json.dumps(report)}")
        self._say(Report(self._seq, self._epoch, report, self._seq * 1e-6, time.time()), self._seq)
        return self._end(UNTIL) if self._epoch == self._until else None

    def _end(self, cause: str, code: int = 0, error: str = "") -> None:
        end = End(cause, code, error, (self._seq + 1) * 1e-6, time.time(), self._epoch or None)
        self._say(end, self._seq + 1)
        self._exit = JobExit(exit_code=code)

    def _say(self, message: Report | End, seq: int) -> None:
        for line in log_lines.encode(self._run, seq, message):
            self._print(line.decode().rstrip("\n"))

    def _print(self, line: str) -> None:
        self._logs.append(self._stream, [(int(time.time() * 1000), line)])


@contextmanager
def emulator(folder: Path, *faults: Fault) -> Iterator[str]:
    """The address of a service that plays its jobs."""
    store, logs = MemoryObjects(), MemoryLogs(delay=INGESTION)
    served = Emulator(
        EmulatorConfig(directory=folder, access_key="KEY", secret_key="SECRET"),
        ServiceSettings(speed=SPEED),
        lambda _url: (
            ScriptedExecutor(lambda order: PlayedRun(order, store, logs), speed=SPEED),
            MemoryApplication(store, logs),
        ),
        faults,
    )
    yield served.url
    served.close()


def backend_of(url: str, experiment: str, n_workers: int) -> SageMakerBackend:
    """The backend of a new tuner process."""
    jobs = job_settings(
        n_workers=n_workers,
        channel="logs",
        warm_pool=True,
        min_interval=0.02,
        role="arn:aws:iam::123456789012:role/Jobs",
    )
    session = open_session(resolve_endpoint(url, region="us-east-1"))
    return SageMakerBackend(jobs.benchmark, jobs.config, experiment=experiment, session=session)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("state")) as url:
        yield url


SESSION = boto3.Session(aws_access_key_id="KEY", aws_secret_access_key="SECRET", region_name="us-east-1")
"""One for all: reading botocore's models anew for each tuner takes longer than most of these tests."""


@pytest.fixture(autouse=True)
def _session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotas are those of an account that does not let them be read: there are hundreds, and each tuner lists all."""
    monkeypatch.setattr(AwsSession, "_boto_session", lambda _: SESSION)
    monkeypatch.setattr("tunewright.backends.sagemaker.preflight.read_quotas", lambda *_: None)


class TestLogsChannel(BackendContract):
    """Every rule that holds for backends."""

    epoch_seconds: ClassVar[float] = 0.02

    @pytest.fixture(autouse=True)
    def _endpoint(self, url: str) -> None:
        self._url = url

    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        return backend_of(self._url, f"logs {folder.name}", n_workers)

    def open_log(self, folder: Path, trial_id: int) -> TrialLog:
        stored = ExperimentFolder(folder / f"logs {folder.name}")
        context = ExperimentContext(benchmark=training_benchmark(), tag="t", seed=0, stored=stored)
        return PLUGIN.logs(SageMakerConfig(endpoint=self._url, region="us-east-1"), context, trial_id)


class Mortal:
    """A backend whose tuner is killed when it has handed out so many events; below 0: never."""

    def __init__(self, inner: SageMakerBackend, events_left: int) -> None:
        self._inner = inner
        self._left = events_left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def wait(self, timeout: float) -> Sequence[Reported | Ended]:
        if self._left == 0:
            raise SimulatedCrash
        events = self._inner.wait(timeout)
        if self._left > 0:
            self._left = max(0, self._left - len(events))
        return events

    def close(self) -> None:
        if self._left:
            self._inner.close()


SPACE = SearchSpace({"x": Float(0.0, 1.0), "epochs": 9, "seconds": 0.02, "fail_at": 0})
METRIC = Metric("loss")
N_TRIALS = 20


def asha() -> Scheduler:
    settings = ASHASettings(max_resource=9, kind=ASHAKind.PROMOTION)
    return ASHA(RandomSearcher(SPACE, seed=3), settings, metric=METRIC, seed=3)


def pbt() -> Scheduler:
    settings = PBTSettings(max_resource=6, perturbation_interval=2)
    return PBT(RandomSearcher(SPACE, seed=3), SPACE, settings, metric=METRIC, seed=3)


def tune(url: str, scheduler: Scheduler, journal: MemoryJournal, events_left: int) -> History | None:
    """Work on the experiment until it is over, or until the tuner is killed (None)."""
    backend: Any = Mortal(backend_of(url, "storm", 6), events_left)
    try:
        return Tuner(
            scheduler,
            backend,
            metrics=[METRIC],
            stop_when=MaxTrialsStarted(N_TRIALS),
            journal=CrashingJournal(journal, -1),
        ).run()
    except SimulatedCrash:
        return None


def test_a_storm_and_kills_lose_nothing(tmp_path: Path) -> None:
    """Lost instances and answers, throttled reading, two kills: every run ends once, no result is lost or twice."""
    faults = (
        Fault(kind="internal_error", target="storm-[135]-0-0", count=3),
        Fault(kind="internal_error", target="storm-*-1-0", probability=0.5, count=None, seconds=0.03),
        Fault(kind="lost_answer", target="CreateTrainingJob", count=2),
        Fault(kind="throttle", target="FilterLogEvents", probability=0.2, count=10),
    )
    journal = MemoryJournal()
    with emulator(tmp_path, *faults) as url:
        for events_left in (12, 20):
            assert tune(url, asha(), journal, events_left) is None
        history = tune(url, asha(), journal, -1)
    assert history is not None
    assert (history.n_trials, list(history.ids(TrialStatus.FAILED))) == (N_TRIALS, [])
    lines = list(journal.events())
    starts, ends, results = (
        [line for line in lines if line.kind == kind] for kind in ("start", "end", "result")
    )
    runs = [(line.trial_id, line.attempt) for line in ends]
    assert sorted(runs) == sorted({(line.trial_id, line.attempt) for line in starts})
    assert len(runs) > N_TRIALS, "trials were promoted"
    assert any(line.retry for line in results), "no instance was lost: the test shows nothing"
    for trial in range(N_TRIALS):
        resources = [result.resource for result in history.results(trial)]
        assert resources == list(range(1, len(resources) + 1))


def test_clones_begin_with_their_parents_checkpoints(url: str) -> None:
    history = tune(url, pbt(), MemoryJournal(), -1)
    assert history is not None
    assert not history.ids(TrialStatus.FAILED)
    clones = [
        run for run in history.runs if run.from_checkpoint and run.from_checkpoint.trial_id != run.trial_id
    ]
    assert clones
    for run in clones:
        assert next(iter(history.results(run.trial_id))).resource == run.resume_from + 1
