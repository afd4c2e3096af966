"""A backend on an engine that is neither SageMaker nor any other service: two ports in memory are enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.backends.engine import (
    EngineBackend,
    EngineContext,
    EngineSettings,
    JobDispatcher,
    Notices,
    ServiceTime,
)
from tunewright.backends.engine import context as engine_context
from tunewright.backends.engine.channel import Channel, Checkpoints, Message
from tunewright.backends.engine.job_service import (
    CostTracker,
    CreateOutcome,
    Failure,
    FailureCause,
    InstancePrices,
    JobName,
    JobOrder,
    JobService,
    JobState,
    JobStatus,
    Submission,
)
from tunewright.backends.engine.submission import MAX_REFUSALS
from tunewright.exceptions import BackendError
from tunewright.interfaces import Backend, BackendEvent
from tunewright.runner.channel import EXITED, PAUSE, RELEASE, STOP, TERMINATED, End, Report
from tunewright.trial import (
    BackendSummary,
    Checkpoint,
    Decision,
    Ended,
    OpenRun,
    PhaseChange,
    Reported,
    Run,
    ServiceTrouble,
    Verdict,
)
from tunewright.types import Config


class MemoryEngine(JobService[JobOrder]):
    """Jobs that do what a test says."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobStatus] = {}
        self.answers: list[Submission] = []
        self.failures: dict[str, Failure] = {}
        self.stopped: list[str] = []
        self.n_created = 0
        self.is_closed = False

    def prepare(self, n_instances: int) -> None:
        self.n_instances = n_instances

    def create_delay(self) -> float:
        return 0.0

    def create(self, order: JobOrder) -> Submission:
        answer = self.answers.pop(0) if self.answers else Submission(CreateOutcome.CREATED)
        if answer.outcome in {CreateOutcome.CREATED, CreateOutcome.UNKNOWN}:
            self.n_created += order.name.key not in self.jobs
            self.jobs.setdefault(order.name.key, JobStatus(state=JobState.RUNNING, created=time.time()))
        return answer

    def list_jobs(self, *, wanted: Collection[str] = (), since: float = 0.0) -> dict[str, JobStatus]:
        return dict(self.jobs)

    def describe(self, key: str) -> JobStatus:
        return self.jobs[key]

    def stop(self, key: str) -> None:
        self.stopped.append(key)

    def failure(self, key: str, status: JobStatus) -> Failure:
        return self.failures.get(key, Failure(cause=FailureCause.JOB, reason="broken"))

    def full_name(self, key: str) -> str:
        return f"memory-{key}"

    def close(self) -> None:
        self.is_closed = True

    def end(self, key: str, state: JobState = JobState.COMPLETED) -> None:
        self.jobs[key] = JobStatus(state=state, created=self.jobs[key].created, ended=time.time())


class MemoryCheckpoints(Checkpoints):
    def __init__(self) -> None:
        self.stored: set[tuple[int, int]] = set()

    def newest(self, trial_id: int) -> Checkpoint | None:
        found = [resource for trial, resource in self.stored if trial == trial_id]
        return Checkpoint(trial_id=trial_id, resource=max(found)) if found else None

    def is_complete(self, checkpoint: Checkpoint) -> bool:
        return (checkpoint.trial_id, checkpoint.resource) in self.stored

    def newest_restart(self, name: JobName) -> int:
        return name.retry

    def delete(self, checkpoint: Checkpoint) -> None:
        self.stored.discard((checkpoint.trial_id, checkpoint.resource))


class MemoryChannel(Channel):
    """Messages in a list, requests in a dictionary."""

    page, skew, period, overlap, shortest_overlap = 1000, 60.0, 0.01, 60.0, 60.0

    def __init__(self) -> None:
        self.checkpoints: MemoryCheckpoints = MemoryCheckpoints()
        self.sent: dict[str, str] = {}
        self.posted: list[Message] = []

    def open(self) -> None:
        pass

    def messages(self, since: float, known: Mapping[str, Message]) -> Iterator[Message]:
        yield from (message for message in self.posted if message.time >= since)

    def send(self, name: JobName, request: str) -> None:
        self.sent[name.key] = request

    def post(self, key: str, seq: int, content: Report | End) -> None:
        name = JobName.parse(key)
        assert name is not None
        self.posted.append(
            Message(id=f"{key}-{seq}", time=time.time(), name=name, seq=seq, load=lambda: content)
        )

    def report(self, key: str, seq: int) -> None:
        self.post(key, seq, Report(seq, seq, {"loss": 1 / seq}, 0.0, time.time()))

    def end(self, key: str, seq: int, cause: str = EXITED, checkpoint: int | None = None) -> None:
        self.post(key, seq, End(cause, 0, "", 0.0, time.time(), checkpoint))


class FreeOfCharge(CostTracker):
    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self.ended: list[str] = []

    def recall(self, statuses: Mapping[str, JobStatus]) -> None: ...

    def add_job(self, key: str, *, dollars_per_hour: float, instance_type: str) -> None: ...

    def end_job(self, key: str, billed_seconds: float) -> None:
        self.ended.append(key)

    def update(self, statuses: Mapping[str, JobStatus]) -> None: ...

    def is_warm(self, key: str) -> bool:
        return False

    def type_of(self, key: str) -> str:
        return ""

    def idle_types(self) -> Collection[str]:
        return ()

    def summary(self, running: Mapping[str, float]) -> BackendSummary:
        return BackendSummary(jobs=len(self.ended) + len(running), notices=self._notices.lines)

    def close(self) -> None: ...


class TwoPartitions(InstancePrices):
    types = ("fast", "slow")

    def fixed_type(self, config: Config) -> str:
        return str(config.get("partition", ""))

    def per_hour(self, config: Config, instance_type: str = "") -> float:
        return 0.0


class MemoryBackend(EngineBackend, Backend):
    def __init__(self, engine: MemoryEngine, channel: MemoryChannel, settings: EngineSettings) -> None:
        notices = Notices()
        context = EngineContext(
            jobs=engine,
            channel=channel,
            costs=FreeOfCharge(notices),
            prices=TwoPartitions(),
            settings=settings,
            time=ServiceTime(speed=1000.0, min_interval=0.001),
            notices=notices,
        )
        super().__init__(context, JobDispatcher(context))


class Stand:
    """An engine, and the backends of one or more tuner processes on it."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.channel = MemoryChannel()
        self.events: list[BackendEvent] = []
        self.backend = self.open()

    def open(self, *runs: OpenRun, **settings: Any) -> MemoryBackend:
        chosen = {
            "engine": "Memory",
            "n_workers": 2,
            "stop_grace": 1e6,
            "max_retries": 1,
            "cleanup_hint": "scancel",
            **settings,
        }
        backend = MemoryBackend(self.engine, self.channel, EngineSettings(**chosen))
        backend.attach(runs)
        self.backend = backend
        return backend

    def start(self, trial_id: int = 0, **run: Any) -> str:
        self.backend.start(Run(trial_id=trial_id, attempt=0, **run), {"lr": 0.1})
        return f"{trial_id}-0-0"

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < deadline, self.events
            self.events += self.backend.wait(0.02)

    def until_created(self, key: str) -> None:
        self.until(lambda: key in self.engine.jobs)

    def until_ended(self, trial_id: int = 0) -> Ended:
        def ends() -> list[Ended]:
            return [e for e in self.events if isinstance(e, Ended) and e.trial_id == trial_id]

        self.until(ends)
        return ends()[-1]


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_a_run_from_start_to_end(stand: Stand) -> None:
    key = stand.start()
    assert stand.backend.free_workers() == 1
    stand.until_created(key)
    for seq in (1, 2):
        stand.channel.report(key, seq)
    stand.channel.end(key, 3)
    stand.engine.end(key)
    assert stand.until_ended().exit == 0
    changing = [e for e in stand.events if not isinstance(e, PhaseChange)]
    assert [e.resource for e in changing if isinstance(e, Reported)] == [1, 2]
    assert isinstance(changing[-1], Ended)
    assert stand.backend.free_workers() == 2


def test_a_lost_answer_creates_no_second_job(stand: Stand) -> None:
    """The key of a job is an idempotency key."""
    stand.engine.answers = [Submission(CreateOutcome.UNKNOWN, "no answer")] * 2
    key = stand.start()
    stand.until(lambda: not stand.engine.answers)
    stand.channel.end(key, 1)
    stand.engine.end(key)
    stand.until_ended()
    assert stand.engine.n_created == 1


@pytest.mark.parametrize(
    ("outcome", "name"), [(CreateOutcome.FULL, "waiting"), (CreateOutcome.LATER, "throttled")]
)
def test_a_run_waits_for_room_and_keeps_its_worker(stand: Stand, outcome: CreateOutcome, name: str) -> None:
    stand.engine.answers = [Submission(outcome, "no room")] * 3
    key = stand.start()
    assert stand.backend.free_workers() == 1
    stand.until_created(key)
    assert "no room" in stand.backend.summary().notices
    notices = [(one.text, one.trial_id) for one in stand.backend.service_notices() if one.name == name]
    assert notices == [("no room", None)]  # of three within a minute one
    assert stand.backend.service_notices() == []


def test_events_of_a_kind_come_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(engine_context, "time", SimpleNamespace(monotonic=lambda: now))
    notices = Notices()
    for now in (0.0, 30.0, 59.0, 61.0, 62.0):
        notices.add_event(ServiceTrouble.RETRIED, f"no answer at {now:g}")
    notices.add_event(ServiceTrouble.WAITING, "no room", 3)
    assert [(one.name, one.text, one.trial_id) for one in notices.take_events()] == [
        ("retried", "no answer at 0", None),
        ("retried", "no answer at 61 (2 more of this kind before)", None),
        ("waiting", "no room", 3),
    ]
    assert len(notices.lines) == 6


def test_a_run_that_is_refused_fails(stand: Stand) -> None:
    stand.engine.answers = [Submission(CreateOutcome.REFUSED, "too long a name")]
    stand.start()
    ended = stand.until_ended()
    assert (ended.exit, ended.error) == (1, "too long a name")
    assert stand.backend.summary().jobs == 0


def test_types_that_are_refused_are_left_out_until_none_is_left(stand: Stand) -> None:
    stand.engine.answers = [Submission(CreateOutcome.TYPE_REFUSED, "no such partition")]
    stand.until_created(stand.start())
    assert any("jobs take slow" in notice for notice in stand.backend.summary().notices)
    stand.engine.answers = [Submission(CreateOutcome.TYPE_REFUSED, "no such partition")]
    stand.start(1)
    with pytest.raises(BackendError, match="no such partition"):
        stand.until_ended(1)


ODD = Submission(CreateOutcome.UNEXPLAINED, "odd words")


def test_an_unexplained_refusal_of_the_first_job_ends_the_experiment(stand: Stand) -> None:
    stand.engine.answers = [ODD]
    stand.start()
    with pytest.raises(BackendError, match=r"odd words(?!.*in a row)"):
        stand.until_ended()


def test_an_engine_that_took_jobs_is_asked_again_after_an_unexplained_refusal(stand: Stand) -> None:
    """The jobs that run go on meanwhile."""
    first = stand.start()
    stand.until_created(first)
    stand.engine.answers = [ODD] * (MAX_REFUSALS - 1)
    stand.until_created(stand.start(1))
    assert any("odd words. It took jobs before" in notice for notice in stand.backend.summary().notices)
    assert [one.name for one in stand.backend.service_notices()] == ["retried"]
    stand.channel.end(first, 1)
    stand.engine.end(first)
    assert stand.until_ended().error == ""


@pytest.mark.parametrize("is_adopted", [False, True])
def test_an_engine_that_refuses_several_jobs_in_a_row_ends_the_experiment(
    stand: Stand, is_adopted: bool
) -> None:
    """Also one whose jobs an earlier tuner created."""
    first = stand.start()
    stand.until_created(first)
    if is_adopted:
        stand.open(OpenRun(run=Run(trial_id=0, attempt=0), config={"lr": 0.1}, started_at=0.0))
    stand.engine.answers = [ODD] * MAX_REFUSALS
    stand.start(1)
    with pytest.raises(BackendError, match=f"odd words.*refused {MAX_REFUSALS} in a row"):
        stand.until_ended(1)
    assert first not in stand.engine.stopped


@pytest.mark.parametrize("cause", [FailureCause.SERVICE, FailureCause.CAPACITY])
def test_a_lost_job_is_retried_from_its_checkpoint(stand: Stand, cause: FailureCause) -> None:
    key = stand.start()
    stand.until_created(key)
    stand.channel.report(key, 1)
    stand.channel.checkpoints.stored.add((0, 1))
    stand.engine.failures[key] = Failure(cause=cause, reason="node lost")
    stand.engine.end(key, JobState.FAILED)
    stand.until_created("0-0-1")
    assert not any(isinstance(e, Ended) for e in stand.events)
    stand.engine.failures["0-0-1"] = Failure(cause=cause, reason="node lost", hint=": use fewer")
    stand.engine.end("0-0-1", JobState.FAILED)
    ended = stand.until_ended()
    assert (ended.exit, ended.error) == (1, "The job was lost 2 times: use fewer")
    assert ended.checkpoint == Checkpoint(trial_id=0, resource=1)


def test_time_limits_are_no_losses_while_checkpoints_advance(stand: Stand) -> None:
    """Three jobs in a row without a new checkpoint end the trial; all the others go on, whatever max_retries is."""
    stand.start()
    for retry in range(9):
        key = f"0-0-{retry}"
        stand.until_created(key)
        if retry in {2, 5}:
            stand.channel.checkpoints.stored.add((0, retry))
        stand.engine.failures[key] = Failure(cause=FailureCause.SERVICE, reason="time limit")
        stand.engine.end(key, JobState.TIMED_OUT)
        assert not any(isinstance(e, Ended) for e in stand.events)
    ended = stand.until_ended()
    assert ended.exit == 1
    assert "3 jobs in a row reached their time limit without a new checkpoint" in ended.error
    assert ended.checkpoint == Checkpoint(trial_id=0, resource=5)


def test_a_job_that_ends_at_the_signal_before_its_time_limit_is_no_loss(stand: Stand) -> None:
    stand.start()
    for retry in range(4):
        key = f"0-0-{retry}"
        stand.until_created(key)
        stand.channel.checkpoints.stored.add((0, retry + 1))
        stand.channel.end(key, 2, cause=TERMINATED)
        stand.engine.end(key)
    stand.until_created("0-0-4")
    assert not any(isinstance(e, Ended) for e in stand.events)


def test_a_failure_that_all_jobs_share_ends_the_experiment(stand: Stand) -> None:
    key = stand.start()
    stand.until_created(key)
    stand.engine.failures[key] = Failure(cause=FailureCause.JOB, reason="no image", remedy="build it")
    stand.engine.end(key, JobState.FAILED)
    with pytest.raises(BackendError, match="No job can run: no image: build it"):
        stand.until_ended()


@pytest.mark.parametrize(("method", "request_"), [("pause", PAUSE), ("stop", STOP)])
def test_a_request_is_sent_and_a_deaf_job_is_stopped_by_force(method: str, request_: str) -> None:
    stand = Stand()
    stand.open(stop_grace=0.0)
    key = stand.start()
    stand.until_created(key)
    getattr(stand.backend, method)(0)
    stand.until(lambda: stand.engine.stopped)
    assert stand.channel.sent == {key: request_}
    stand.engine.end(key, JobState.STOPPED)
    assert stand.until_ended().exit == 0


def test_a_second_process_adopts_the_job_and_skips_seen_reports(stand: Stand) -> None:
    key = stand.start()
    stand.until_created(key)
    for seq in (1, 2):
        stand.channel.report(key, seq)
    stand.events.clear()
    stand.open(OpenRun(run=Run(trial_id=0, attempt=0), config={"lr": 0.1}, started_at=0.0, seen=1))
    stand.channel.end(key, 3)
    stand.engine.end(key)
    stand.until_ended()
    assert [e.seq for e in stand.events if isinstance(e, Reported)] == [2]
    assert stand.engine.n_created == 1


def test_a_second_process_carries_out_a_verdict_without_a_job(stand: Stand) -> None:
    verdict = Verdict(decision=Decision.STOP, reason="")
    stand.open(
        OpenRun(run=Run(trial_id=0, attempt=0), config={}, started_at=0.0, verdict=verdict, verdict_at=0.0)
    )
    assert stand.until_ended().exit == 0
    assert not stand.engine.jobs


def test_close_asks_jobs_to_end_and_names_those_that_do_not() -> None:
    stand = Stand()
    stand.open(close_seconds=0.0)
    key = stand.start()
    stand.until_created(key)
    stand.backend.close()
    assert stand.channel.sent == {key: RELEASE}
    assert stand.engine.is_closed
    assert stand.backend.summary().notices[-1] == "WARNING: these jobs have not ended: memory-0-0-0. scancel"
