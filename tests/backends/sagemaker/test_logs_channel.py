"""Jobs without a network: reports by the log, stops by StopTrainingJob, checkpoints that the service copies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tunewright.aws import ServiceError
from tunewright.backends.sagemaker import log_channel
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.exceptions import BackendError, SettingsError
from tunewright.runner import log_lines
from tunewright.runner.channel import EXITED, TERMINATED, UNTIL, End, Report
from tunewright.trial import Checkpoint, Decision, OpenRun, Run, Verdict

CONFIG = {"lr": 0.1, "epochs": 9}
NO_ANSWER = ServiceError("", "ReadTimeoutError: read timed out")


def run(trial_id: int = 0, attempt: int = 0, **more: Any) -> Run:
    return Run(trial_id=trial_id, attempt=attempt, **more)


class LogJobs:
    """What the jobs of the fake service print, and what the service copies."""

    def __init__(self, aws: Any) -> None:
        self.aws = aws

    def report(self, name: str, seq: int, resource: int | None = None, **more: Any) -> None:
        self.print(
            name, seq, Report(seq, resource or seq, {"loss": 1 / seq, **more}, 0.001 * seq, time.time())
        )

    def end(self, name: str, seq: int, status: str = "Completed", **end: Any) -> None:
        """The runner's last word, then the end of the job."""
        self.say_end(name, seq, **end)
        self.aws.end(self.aws.name(name), status)

    def say_end(
        self, name: str, seq: int, *, cause: str = EXITED, code: int = 0, checkpoint: int | None = None
    ) -> None:
        error = "it broke" if code else ""
        self.print(name, seq, End(cause, code, error, 0.01, time.time(), checkpoint))

    def print(self, name: str, seq: int, message: Report | End, *, at: float | None = None) -> None:
        for line in log_lines.encode(name, seq, message):
            self.line(name, line.decode().rstrip("\n"), at=at)

    def line(self, name: str, text: str, *, at: float | None = None) -> None:
        stamp = int((time.time() if at is None else at) * 1000)
        event = {"logStreamName": f"{self.aws.name(name)}/algo-1-17", "message": text, "timestamp": stamp}
        self.aws.log_events.append(event)

    def copy(self, name: str, resource: int, *, size: int = 1, is_listed: bool = True) -> str:
        """The service copies a checkpoint; its key, below the experiment's prefix."""
        fields = self.aws.jobs[self.aws.name(name)]["fields"]
        place = fields["CheckpointConfig"]["S3Uri"].split("/", 3)[3] + f"{resource}/"
        self.aws.s3.objects[place + "weights"] = b"w"
        if is_listed:
            listed = json.dumps({"files": {"weights": size}}).encode()
            self.aws.s3.objects[place + "_complete"] = listed
        return place


@pytest.fixture
def jobs(aws: Any) -> LogJobs:
    return LogJobs(aws)


@pytest.fixture
def make(make_driver: Callable[..., Any]) -> Callable[..., Any]:
    def make(attach: Any = (), **settings: Any) -> Any:
        return make_driver(attach, network_isolation=True, **settings)

    return make


@pytest.fixture
def driver(make: Callable[..., Any]) -> Any:
    return make()


def test_a_run_and_its_resumption(driver: Any, jobs: LogJobs) -> None:
    driver.backend.start(run(until=2), CONFIG)
    driver.until_created("0-0-0")
    jobs.line("0-0-0", "epoch 1 is over")
    for seq in (1, 2):
        jobs.report("0-0-0", seq)
    driver.until(lambda: driver.resources(0) == [1, 2])
    driver.backend.pause(0)
    key = jobs.copy("0-0-0", 2)
    jobs.end("0-0-0", 3, cause=UNTIL, checkpoint=2)
    ended = driver.until_ended(0)
    assert (ended.exit, ended.checkpoint) == (0, Checkpoint(trial_id=0, resource=2))
    assert "StopTrainingJob" not in driver.aws.calls, "a run ends at its rung by itself"
    assert job_logs(driver.aws, driver.backend.deployment.job_prefix, 0) == "epoch 1 is over\n"
    source = Checkpoint(trial_id=0, resource=2)
    driver.backend.start(run(attempt=1, resume_from=2, from_checkpoint=source), CONFIG)
    driver.backend.start(run(1, resume_from=2, from_checkpoint=source), CONFIG)
    for name in ("0-1-0", "1-0-0"):
        driver.until_created(name)
        fields = driver.aws.jobs[driver.aws.name(name)]["fields"]
        (channel,) = [c for c in fields["InputDataConfig"] if c["ChannelName"] == "tunewright-checkpoint"]
        assert channel["DataSource"]["S3DataSource"]["S3Uri"].endswith(key)
    assert not any("/reports/" in key or "/control/" in key for key in driver.aws.s3.objects)


def test_one_sweep_for_all_jobs(make: Callable[..., Any], jobs: LogJobs) -> None:
    """A hundred and twenty jobs at once; each is heard, none is asked after."""
    driver = make(n_workers=120)
    for trial_id in range(120):
        driver.backend.start(run(trial_id), CONFIG)
    driver.until(lambda: len(driver.aws.jobs) == 120)
    driver.aws.log_page = 500
    before = driver.aws.calls.get("FilterLogEvents", 0)
    for trial_id in range(120):
        for seq in (1, 2):
            jobs.report(f"{trial_id}-0-0", seq)
        jobs.end(f"{trial_id}-0-0", 3)
    for trial_id in range(120):
        assert driver.until_ended(trial_id).exit == 0
        assert driver.resources(trial_id) == [1, 2]
    assert driver.aws.calls["FilterLogEvents"] - before < 60
    assert not {"DescribeTrainingJob", "StopTrainingJob"} & set(driver.aws.calls)


@pytest.mark.parametrize("wish", ["stop", "pause"])
def test_a_stop_goes_by_the_service(driver: Any, jobs: LogJobs, wish: str) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    jobs.report("0-0-0", 1)
    driver.until(lambda: driver.resources(0) == [1])
    jobs.copy("0-0-0", 1)
    jobs.say_end("0-0-0", 2, cause=TERMINATED, checkpoint=1)
    getattr(driver.backend, wish)(0)
    ended = driver.until_ended(0)
    assert (ended.exit, ended.error, ended.checkpoint) == (0, "", Checkpoint(trial_id=0, resource=1))
    assert driver.aws.calls["StopTrainingJob"] == 1


def test_what_comes_late_is_waited_for(
    make: Callable[..., Any], jobs: LogJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is over, and its lines reach the log afterwards, the last ones first."""
    monkeypatch.setattr(log_channel, "INGESTION_SECONDS", 1e9)
    driver = make()
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.end(driver.aws.name("0-0-0"), "Completed")
    driver.rounds(3)
    jobs.say_end("0-0-0", 3)
    driver.rounds(3)
    assert driver.events == []
    for seq in (2, 1):
        jobs.report("0-0-0", seq)
    assert driver.until_ended(0).exit == 0
    assert driver.resources(0) == [1, 2]


def test_what_never_comes_is_not_waited_for(driver: Any, jobs: LogJobs) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    jobs.report("0-0-0", 1)
    jobs.report("0-0-0", 3)
    driver.until(lambda: driver.resources(0) == [1, 3])
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason="AlgorithmError: , exit code: 137")
    ended = driver.until_ended(0)
    assert ended.exit == 1
    assert "137" in ended.error


def test_lines_of_others_are_passed_over(driver: Any, jobs: LogJobs) -> None:
    """Of another run than the job's, of what a script makes up, of another experiment."""
    for trial_id in range(2):
        driver.backend.start(run(trial_id), CONFIG)
        driver.until_created(f"{trial_id}-0-0")
    (made_up,) = log_lines.encode("1-0-0", 1, Report(1, 7, {}, 0.0, 1.0))
    jobs.line("0-0-0", made_up.decode())
    jobs.line("1-0-0", made_up.decode().replace("resource", "resauce"))
    driver.aws.log_events[0] |= {"logStreamName": "my-experiment-2-0-0-0/algo-1-1"}
    jobs.report("1-0-0", 2)
    jobs.report("0-0-0", 1, text="x" * 9000)
    driver.until(lambda: driver.resources(0) == [1] and driver.resources(1) == [2])


def test_lost_jobs_go_on_from_what_was_copied_whole(driver: Any, jobs: LogJobs) -> None:
    driver.backend.start(run(until=9), CONFIG)
    driver.until_created("0-0-0")
    jobs.report("0-0-0", 1)
    jobs.copy("0-0-0", 1)
    jobs.copy("0-0-0", 2, size=2)
    jobs.copy("0-0-0", 3, is_listed=False)
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason="InternalServerError: lost")
    driver.until_created("0-0-1")
    environment = driver.aws.jobs[driver.aws.name("0-0-1")]["fields"]["Environment"]
    assert '"resume_from":1,"source":[0,1]' in environment["TUNEWRIGHT_RUN"]
    assert driver.resources(0) == [1]


def test_a_checkpoint_that_the_service_did_not_copy(driver: Any, jobs: LogJobs) -> None:
    """The runner kept it, and the copy is not whole: that is said, and the one before is taken."""
    driver.backend.start(run(until=2), CONFIG)
    driver.until_created("0-0-0")
    jobs.copy("0-0-0", 1)
    jobs.copy("0-0-0", 2, size=5)
    jobs.end("0-0-0", 1, cause=UNTIL, checkpoint=2)
    assert driver.until_ended(0).checkpoint == Checkpoint(trial_id=0, resource=1)
    assert (
        "the checkpoint of trial 0 at 2 has not reached the storage; there is that of 1"
        in driver.backend.summary().notices[-1]
    )
    gone = Checkpoint(trial_id=0, resource=2)
    driver.backend.start(run(1, resume_from=2, from_checkpoint=gone), CONFIG)
    ended = driver.until_ended(1)
    assert (ended.exit, "checkpoint of trial 0 at 2 is incomplete" in ended.error) == (1, True)


def test_checkpoints_are_deleted(driver: Any, jobs: LogJobs, aws: Any) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    kept, _ = jobs.copy("0-0-0", 10), jobs.copy("0-0-0", 1)
    driver.backend.delete_checkpoint(Checkpoint(trial_id=0, resource=1))
    assert [key for key in aws.s3.objects if "/synced/" in key] == [f"{kept}weights", f"{kept}_complete"]


def open_run(**more: Any) -> OpenRun:
    facts: dict[str, Any] = {"run": run(until=9), "config": CONFIG, "started_at": 1.0}
    return OpenRun(**{**facts, **more})


def test_a_killed_tuner_hears_each_report_once(make: Callable[..., Any], jobs: LogJobs) -> None:
    first = make()
    first.backend.start(run(until=9), CONFIG)
    first.until_created("0-0-0")
    for seq in (1, 2):
        jobs.report("0-0-0", seq)
    first.until(lambda: first.resources(0) == [1, 2])
    jobs.report("0-0-0", 3)
    second = make([open_run(seen=2, seen_resource=2)])
    second.until(lambda: second.resources(0) == [3])
    jobs.copy("0-0-0", 9)
    jobs.end("0-0-0", 4, cause=UNTIL, checkpoint=9)
    assert second.until_ended(0).checkpoint == Checkpoint(trial_id=0, resource=9)
    assert second.resources(0) == [3]
    assert len(first.aws.jobs) == 1


def test_a_killed_tuners_verdict_is_carried_out(make: Callable[..., Any], jobs: LogJobs) -> None:
    first = make()
    first.backend.start(run(until=9), CONFIG)
    first.until_created("0-0-0")
    second = make([open_run(verdict=Verdict(decision=Decision.STOP), verdict_at=2.0)])
    second.until(lambda: first.aws.calls.get("StopTrainingJob"))
    jobs.say_end("0-0-0", 1, cause=TERMINATED)
    assert second.until_ended(0).exit == 0


def test_a_closed_session_is_continued(make: Callable[..., Any], jobs: LogJobs) -> None:
    first = make()
    first.backend.start(run(until=9), CONFIG)
    first.until_created("0-0-0")
    jobs.report("0-0-0", 1)
    first.until(lambda: first.resources(0) == [1])
    jobs.copy("0-0-0", 1)
    jobs.say_end("0-0-0", 2, cause=TERMINATED, checkpoint=1)
    first.backend.close()
    assert first.aws.calls["StopTrainingJob"] == 1
    second = make([open_run(seen=1, seen_resource=1)])
    second.until_created("0-0-1")
    assert second.resources(0) == []


def test_trouble_while_reading_is_survived(driver: Any, jobs: LogJobs) -> None:
    no_group = ServiceError("ResourceNotFoundException", "no group", status=400)
    driver.aws.refusals["FilterLogEvents"] = [no_group, NO_ANSWER]
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    jobs.report("0-0-0", 1)
    jobs.end("0-0-0", 2)
    assert driver.until_ended(0).exit == 0
    assert driver.resources(0) == [1]


def test_a_log_that_may_not_be_read_is_an_error_before_any_job(make: Callable[..., Any], aws: Any) -> None:
    aws.refusals["FilterLogEvents"] = [ServiceError("AccessDeniedException", "not authorized", status=400)]
    with pytest.raises(BackendError, match="logs:FilterLogEvents"):
        make()
    assert aws.jobs == {}


def test_s3_is_refused_without_a_network(make: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError, match="channel must be logs"):
        make(channel="s3")
