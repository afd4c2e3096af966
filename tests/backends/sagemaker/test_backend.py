"""What the backend makes of a service that refuses, forgets, loses and dawdles."""

# ruff: noqa: N803 - boto3's names
from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import ServiceError
from tunewright.backends.engine.channel import Inbox
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.exceptions import BackendError
from tunewright.runner.channel import PAUSE, RELEASE, STOP, TERMINATED, UNTIL
from tunewright.trial import Checkpoint, Decision, OpenRun, PhaseName, Run, Verdict

CONFIG = {"lr": 0.1, "epochs": 9}
LIMIT = ServiceError(
    "ResourceLimitExceeded",
    "The account-level service limit 'ml.c5.xlarge for training job usage' is 2 Instances",
    status=400,
)
NO_ANSWER = ServiceError("", "ReadTimeoutError: read timed out")
THROTTLED = ServiceError("ThrottlingException", "Rate exceeded", status=400)
DENIED = ServiceError("ExpiredTokenException", "The security token is expired", status=403)


def run(trial_id: int = 0, attempt: int = 0, **more: Any) -> Run:
    return Run(trial_id=trial_id, attempt=attempt, **more)


def finish(driver: Any, name: str, seq: int, **end: Any) -> None:
    """The script ends, then the job."""
    driver.aws.say_end(name, seq, **end)
    driver.aws.end(driver.aws.name(name), "Completed")


def test_a_run_from_start_to_end(driver: Any) -> None:
    driver.backend.start(run(until=2), CONFIG)
    assert driver.backend.free_workers() == 1
    driver.until_created("0-0-0")
    driver.aws.report("0-0-0", 1)
    driver.until(lambda: driver.resources(0) == [1])
    driver.aws.report("0-0-0", 2)
    driver.aws.say_end("0-0-0", 3, cause=UNTIL, checkpoint=2)
    driver.until(lambda: driver.resources(0) == [1, 2])
    driver.rounds()
    assert driver.backend.free_workers() == 1, "the job is not over although its script is"
    driver.aws.end(driver.aws.name("0-0-0"), "Completed")
    ended = driver.until_ended(0)
    assert (ended.exit, ended.error, ended.checkpoint) == (0, "", Checkpoint(trial_id=0, resource=2))
    assert ended.cost > 0
    assert driver.backend.free_workers() == 2
    calls = driver.aws.calls
    assert calls["CreateTrainingJob"] == 1
    assert "DescribeTrainingJob" not in calls
    driver.backend.stop(0)
    driver.backend.pause(0)


def test_phases_of_a_run_are_told_once_and_in_order(driver: Any) -> None:
    """The status of the listing and the messages both show them."""
    driver.backend.start(run(until=2), CONFIG)
    driver.until_created("0-0-0")
    name = driver.aws.name("0-0-0")
    driver.aws.jobs[name]["SecondaryStatus"] = "Training"
    driver.until(lambda: len(driver.phases) == 2)
    driver.aws.report("0-0-0", 1)
    finish(driver, "0-0-0", 2)
    driver.until_ended(0)
    expected = [PhaseName.STARTING, PhaseName.TRAINING, PhaseName.UPLOADING]
    assert [phase.name for phase in driver.phases] == expected
    assert {(phase.worker, phase.warm, phase.retry) for phase in driver.phases} == {(name, False, 0)}


def test_an_end_with_an_error_is_the_runners_own(driver: Any) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.say_end("0-0-0", 1, code=3, error="Traceback: no such file")
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason="AlgorithmError: , exit code: 3")
    ended = driver.until_ended(0)
    assert (ended.exit, ended.error) == (3, "Traceback: no such file")
    assert "DescribeTrainingJob" not in driver.aws.calls


def test_reports_come_in_order_whatever_the_clock_says(driver: Any) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.report("0-0-0", 2)
    driver.aws.report(
        "0-0-0", 1, wall=driver.aws.jobs[driver.aws.name("0-0-0")]["CreationTime"].timestamp() - 600
    )
    driver.until(lambda: driver.resources(0) == [1, 2])


@pytest.mark.parametrize("refusal", [LIMIT, THROTTLED])
def test_no_room_is_waited_for(driver: Any, refusal: ServiceError) -> None:
    driver.aws.refusals["CreateTrainingJob"] = [refusal, refusal]
    driver.backend.start(run(), CONFIG)
    assert driver.backend.free_workers() == 1
    driver.until_created("0-0-0")
    assert driver.aws.calls["CreateTrainingJob"] == 3
    assert len(driver.backend.summary().notices) == 1
    finish(driver, "0-0-0", 1)
    assert driver.until_ended(0).exit == 0


def test_a_quota_of_zero_is_an_error(driver: Any) -> None:
    refusal = ServiceError("ResourceLimitExceeded", "The account-level limit is 0 Instances", status=400)
    driver.aws.refusals["CreateTrainingJob"] = [refusal]
    driver.backend.start(run(), CONFIG)
    with pytest.raises(BackendError, match="0 Instances"):
        driver.rounds()


def test_expired_credentials_are_an_error(driver: Any) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.refusals["ListTrainingJobs"] = [DENIED] * 3
    with pytest.raises(BackendError, match="resume"):
        driver.rounds(100)
    driver.aws.refusals.clear()


def test_a_refused_request_fails_its_trial_only(driver: Any) -> None:
    driver.aws.refusals["CreateTrainingJob"] = [ServiceError("ValidationException", "bad type", status=400)]
    driver.backend.start(run(0), CONFIG)
    driver.backend.start(run(1), CONFIG)
    ended = driver.until_ended(0)
    assert ended.exit == 1
    assert "bad type" in ended.error
    driver.until_created("1-0-0")


def test_a_request_that_botocore_refuses_is_an_error(driver: Any) -> None:
    driver.aws.refusals["CreateTrainingJob"] = [
        ServiceError("ParamValidation", "Unknown parameter", status=400)
    ]
    driver.backend.start(run(), CONFIG)
    with pytest.raises(BackendError, match="Unknown parameter"):
        driver.rounds()


def test_a_lost_answer_is_adopted(driver: Any) -> None:
    driver.aws.lost_answers = [NO_ANSWER]
    driver.backend.start(run(), CONFIG)
    driver.until(lambda: driver.aws.calls.get("DescribeTrainingJob"))
    finish(driver, "0-0-0", 1)
    assert driver.until_ended(0).exit == 0
    assert len(driver.aws.jobs) == 1
    assert driver.backend.summary().jobs == 1


def test_a_stop_of_an_uncertain_job_waits_for_certainty(driver: Any) -> None:
    driver.aws.lost_answers = [NO_ANSWER]
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.backend.stop(0)
    driver.until(lambda: driver.aws.control("0-0-0") == STOP)


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_new_experiment_of_an_old_name_gets_no_old_results(
    make_driver: Any, aws: Any, script: str, is_listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_driver()
    first.backend.start(run(), CONFIG)
    first.until_created("0-0-0")
    aws.report("0-0-0", 1)
    finish(first, "0-0-0", 2)
    assert first.until_ended(0).exit == 0
    Path(script).write_text("print('another training')\n")
    if not is_listed:
        monkeypatch.setattr(aws, "ListTrainingJobs", lambda **_: {"TrainingJobSummaries": []})
    second = make_driver()
    second.backend.start(run(), CONFIG)
    with pytest.raises(BackendError, match=r"name of this experiment is taken: .*-0-0-0.*--experiment_tag"):
        second.rounds(20)
    assert second.events == []
    assert len(aws.jobs) == 1


def test_a_new_experiment_of_an_old_name_gets_no_old_results_when_it_is_resumed(
    make_driver: Any, aws: Any
) -> None:
    first = make_driver()
    first.backend.start(run(), CONFIG)
    first.until_created("0-0-0")
    a_day_later = time.time() + 86_400
    with pytest.raises(BackendError, match="name of this experiment is taken"):
        make_driver([OpenRun(run=run(), config=CONFIG, started_at=1.0, started_wall=a_day_later)])
    make_driver([OpenRun(run=run(), config=CONFIG, started_at=1.0, started_wall=time.time())])


def test_jobs_of_two_sessions_differ_in_their_hash(make_driver: Any, aws: Any) -> None:
    hashes: list[str] = []
    for _ in range(2):
        driver = make_driver()
        driver.backend.start(run(), CONFIG)
        driver.until_created("0-0-0")
        name = aws.name("0-0-0")
        hashes.append(aws.jobs[name]["Environment"]["TUNEWRIGHT_HASH"])
        aws.end(name, "Stopped")
        driver.backend.close()
        del aws.jobs[name]
    (request, session), (same_request, other_session) = (one.split("-") for one in hashes)
    assert request == same_request
    assert session != other_session


def test_a_job_of_a_killed_session_is_adopted_before_it_is_listed(
    make_driver: Any, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_driver()
    first.backend.start(run(until=9), CONFIG)
    first.until_created("0-0-0")
    with monkeypatch.context() as patch:
        patch.setattr(aws, "ListTrainingJobs", lambda **_: {"TrainingJobSummaries": []})
        second = make_driver([open_run()])
        second.until(lambda: aws.calls.get("DescribeTrainingJob"))
    finish(second, "0-0-0", 1)
    assert second.until_ended(0).exit == 0
    assert len(aws.jobs) == 1


def test_a_job_of_another_configuration_is_never_adopted(
    make_driver: Any, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_driver()
    first.backend.start(run(until=9), {**CONFIG, "lr": 0.2})
    first.until_created("0-0-0")
    monkeypatch.setattr(aws, "ListTrainingJobs", lambda **_: {"TrainingJobSummaries": []})
    second = make_driver([open_run()])
    with pytest.raises(BackendError, match="name of this experiment is taken"):
        second.rounds(20)


@pytest.mark.parametrize(
    "reason", ["CapacityError: Unable to provision", "InternalServerError: We encountered an internal error."]
)
def test_failures_of_the_service_are_retried_from_the_newest_checkpoint(driver: Any, reason: str) -> None:
    driver.backend.start(run(until=5), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.report("0-0-0", 1)
    driver.aws.checkpoint("0-0-0", 0, 1)
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason=reason)
    driver.until_created("0-0-1")
    assert driver.resources(0) == [1]
    fields = driver.aws.jobs[driver.aws.name("0-0-1")]["fields"]
    assert '"resume_from":1,"source":[0,1]' in fields["Environment"]["TUNEWRIGHT_RUN"]
    driver.aws.report("0-0-1", 1, 2)
    finish(driver, "0-0-1", 2, cause=UNTIL, checkpoint=2)
    ended = driver.until_ended(0)
    assert (ended.exit, driver.resources(0)) == (0, [1, 2])
    assert driver.backend.summary().jobs == 2
    word = "no capacity for ml.c5.xlarge: waiting" if "Capacity" in reason else "retrying trial 0"
    assert any(word in notice for notice in driver.backend.summary().notices)


def test_a_retry_without_a_checkpoint_begins_anew(driver: Any) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason="CapacityError: none")
    driver.until_created("0-0-1")


def test_a_run_that_was_cut_at_its_very_end_is_over(driver: Any) -> None:
    driver.backend.start(run(until=2), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.report("0-0-0", 1, 2)
    driver.aws.checkpoint("0-0-0", 0, 2)
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason="InternalServerError: lost")
    ended = driver.until_ended(0)
    assert (ended.exit, ended.checkpoint) == (0, Checkpoint(trial_id=0, resource=2))


def test_jobs_that_end_without_a_word_are_searched_for_together(
    driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thorough listing reads all reports: one is enough for all that were lost at once."""
    searches: list[float] = []
    search = Inbox.search_from

    def counted(inbox: Inbox, wall: float) -> bool:
        searches.append(wall)
        return search(inbox, wall)

    monkeypatch.setattr(Inbox, "search_from", counted)
    for trial_id in range(2):
        driver.backend.start(run(trial_id), CONFIG)
        driver.until_created(f"{trial_id}-0-0")
    reason = "InternalServerError: We encountered an internal error. Please try again."
    for trial_id in range(2):
        driver.aws.end(driver.aws.name(f"{trial_id}-0-0"), "Failed", FailureReason=reason)
    for trial_id in range(2):
        driver.until_created(f"{trial_id}-0-1")
    assert len(searches) == 1


def test_retries_come_to_an_end(make_driver: Any) -> None:
    driver = make_driver(max_retries=1)
    driver.backend.start(run(), CONFIG)
    for retry in range(2):
        driver.until_created(f"0-0-{retry}")
        driver.aws.end(driver.aws.name(f"0-0-{retry}"), "Failed", FailureReason="CapacityError: none")
    ended = driver.until_ended(0)
    assert ended.exit == 1
    assert "2 times" in ended.error


@pytest.mark.parametrize(
    ("status", "more", "text"),
    [
        ("Failed", {"FailureReason": "AlgorithmError: oom, exit code: 137"}, "oom"),
        ("Failed", {}, "does not say why"),
        ("Stopped", {"SecondaryStatus": "MaxRuntimeExceeded"}, "max_run"),
        ("Stopped", {}, "from outside"),
    ],
)
def test_other_ends_of_a_job_fail_the_trial(
    driver: Any, status: str, more: dict[str, str], text: str
) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.checkpoint("0-0-0", 0, 4)
    driver.aws.end(driver.aws.name("0-0-0"), status, **more)
    ended = driver.until_ended(0)
    assert ended.exit == 1
    assert text in ended.error
    assert ended.checkpoint == Checkpoint(trial_id=0, resource=4)


def test_pause_asks_first(driver: Any) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.backend.pause(0)
    driver.backend.stop(0)
    driver.until(lambda: driver.aws.control("0-0-0") == PAUSE)
    finish(driver, "0-0-0", 1, cause=PAUSE, checkpoint=3)
    ended = driver.until_ended(0)
    assert (ended.exit, ended.checkpoint) == (0, Checkpoint(trial_id=0, resource=3))
    assert "StopTrainingJob" not in driver.aws.calls


def test_a_run_that_is_at_its_end_is_not_asked(driver: Any) -> None:
    driver.backend.start(run(until=1), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.report("0-0-0", 1)
    driver.until(lambda: driver.resources(0) == [1])
    driver.backend.pause(0)
    driver.rounds()
    assert driver.aws.control("0-0-0") == ""
    finish(driver, "0-0-0", 2, cause=UNTIL, checkpoint=1)
    assert driver.until_ended(0).checkpoint == Checkpoint(trial_id=0, resource=1)


def test_a_job_that_does_not_obey_is_stopped(make_driver: Any) -> None:
    driver = make_driver(stop_grace=0.0)
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.checkpoint("0-0-0", 0, 1)
    driver.aws.refusals["StopTrainingJob"] = [THROTTLED]
    driver.backend.stop(0)
    ended = driver.until_ended(0)
    assert (ended.exit, ended.error, ended.checkpoint) == (0, "", Checkpoint(trial_id=0, resource=1))
    assert driver.aws.calls["StopTrainingJob"] == 2


def test_a_run_without_a_job_ends_at_once(driver: Any) -> None:
    source = Checkpoint(trial_id=0, resource=3)
    driver.backend.start(run(attempt=1, resume_from=3, from_checkpoint=source), CONFIG)
    driver.backend.pause(0)
    assert driver.backend.free_workers() == 2
    ended = driver.until_ended(0)
    assert (ended.exit, ended.checkpoint) == (0, source)
    assert driver.aws.jobs == {}


def test_the_end_of_an_older_attempt_ends_nothing(driver: Any) -> None:
    """A slow stop: the old job is still around, and speaks, when the trial's next run is on its way."""
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    finish(driver, "0-0-0", 1, cause=PAUSE, checkpoint=1)
    driver.until_ended(0)
    driver.events.clear()
    driver.backend.start(run(attempt=1), CONFIG)
    driver.until_created("0-1-0")
    driver.aws.report("0-0-0", 1)
    driver.aws.say_end("0-0-0", 2)
    driver.rounds(20)
    assert driver.events == []
    driver.aws.report("0-1-0", 1, 2)
    driver.until(lambda: driver.resources(0) == [2])


def test_trouble_while_reading_is_survived(driver: Any) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.refusals["ListTrainingJobs"] = [NO_ANSWER, THROTTLED]
    driver.aws.s3.failures = [NO_ANSWER]
    finish(driver, "0-0-0", 1)
    assert driver.until_ended(0).exit == 0
    assert driver.aws.n_revived >= 1


def test_a_long_configuration_goes_through_s3(driver: Any) -> None:
    config = {"text": "ü\n" * 2000}
    driver.backend.start(run(), config)
    driver.until_created("0-0-0")
    fields = driver.aws.jobs[driver.aws.name("0-0-0")]["fields"]
    pointer = fields["HyperParameters"]["tunewright_config"]
    assert pointer.startswith("s3://")
    assert pointer.split("/", 3)[3] in driver.aws.s3.objects


def test_warm_pools_are_counted_and_released(make_driver: Any) -> None:
    driver = make_driver(warm_pool=True)
    driver.backend.start(run(0), CONFIG)
    driver.until_created("0-0-0")
    name = driver.aws.name("0-0-0")
    in_use = {"WarmPoolStatus": {"Status": "InUse"}}
    driver.aws.say_end("0-0-0", 1)
    driver.aws.end(name, "Completed", BillableTimeInSeconds=100, **in_use)
    driver.until_ended(0)
    (running,) = driver.backend.summary().job_records
    assert (running.name, running.pool, running.is_warm, running.startup) == (name, "InUse", False, None)
    driver.backend.start(run(1), CONFIG)
    driver.until_created("1-0-0")
    driver.aws.jobs[name]["WarmPoolStatus"] = {
        "Status": "Reused",
        "ReusedByJob": driver.aws.name("1-0-0"),
        "ResourceRetainedBillableTimeInSeconds": 20,
    }
    driver.aws.jobs[driver.aws.name("1-0-0")]["WarmPoolStatus"] = {"Status": "Available"}
    finish(driver, "1-0-0", 1)
    driver.until_ended(1)
    driver.aws.jobs[driver.aws.name("1-0-0")]["BillableTimeInSeconds"] = 50
    driver.backend.close()
    summary = driver.backend.summary()
    assert (summary.jobs, summary.warm_starts) == (2, 1)
    assert (summary.billable_seconds, summary.pool_idle_seconds) == (150, 27)
    assert summary.cost == pytest.approx(177 * 0.204 / 3600)
    assert summary.calls["UpdateTrainingJob"] == 1
    shown = [(record.is_warm, record.pool, record.why) for record in summary.job_records]
    assert shown == [(False, "Reused", ""), (True, "Terminated", "released at the end")]
    assert driver.aws.is_closed


def test_a_pool_that_is_not_kept_is_said_once(make_driver: Any) -> None:
    driver = make_driver(warm_pool=True)
    for trial_id in range(2):
        driver.backend.start(run(trial_id), CONFIG)
        driver.until_created(f"{trial_id}-0-0")
        driver.aws.say_end(f"{trial_id}-0-0", 1)
        dropped = {"WarmPoolStatus": {"Status": "Terminated"}}
        driver.aws.end(driver.aws.name(f"{trial_id}-0-0"), "Completed", **dropped)
        driver.until_ended(trial_id)
    (notice,) = driver.backend.summary().notices
    assert "training warm pool usage" in notice
    driver.backend.close()
    assert [record.why for record in driver.backend.summary().job_records] == ["no quota for warm pools"] * 2


def test_a_pool_that_cannot_be_released_is_said(make_driver: Any) -> None:
    driver = make_driver(warm_pool=True)
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.jobs[driver.aws.name("0-0-0")]["WarmPoolStatus"] = {"Status": "Available"}
    finish(driver, "0-0-0", 1)
    driver.until_ended(0)
    driver.aws.refusals["UpdateTrainingJob"] = [THROTTLED] * 5
    driver.backend.close()
    assert any("could not be released" in notice for notice in driver.backend.summary().notices)


def test_close_ends_jobs_so_that_they_can_be_continued(driver: Any) -> None:
    driver.backend.start(run(0), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.refusals["CreateTrainingJob"] = [LIMIT] * 10_000
    driver.backend.start(run(1), CONFIG)
    driver.rounds(1)

    original = driver.aws.s3.put_object

    def put_object(Bucket: str, Key: str, Body: bytes) -> None:
        original(Bucket=Bucket, Key=Key, Body=Body)
        if Body == RELEASE.encode():
            finish(driver, "0-0-0", 1, cause=RELEASE, checkpoint=1)

    driver.aws.s3.put_object = put_object
    driver.backend.close()
    driver.backend.close()
    assert driver.aws.control("0-0-0") == RELEASE
    assert len(driver.aws.jobs) == 1
    assert driver.backend.summary().notices == (
        "waiting for an instance: the account's limit 'ml.c5.xlarge for training job usage' of 2 is reached",
    )


def test_a_create_that_is_interrupted_leaves_no_job_behind(driver: Any) -> None:
    driver.aws.lost_answers = [KeyboardInterrupt()]
    driver.backend.start(run(0), CONFIG)
    with pytest.raises(KeyboardInterrupt):
        driver.rounds()
    original = driver.aws.s3.put_object

    def put_object(Bucket: str, Key: str, Body: bytes) -> None:
        original(Bucket=Bucket, Key=Key, Body=Body)
        if Body == RELEASE.encode():
            finish(driver, "0-0-0", 1, cause=RELEASE)

    driver.aws.s3.put_object = put_object
    driver.backend.close()
    assert driver.aws.control("0-0-0") == RELEASE


def test_only_the_last_notices_are_kept(driver: Any) -> None:
    for number in range(30):
        driver.backend._context.notices.add(f"notice {number}")
    assert driver.backend.summary().notices == tuple(f"notice {number}" for number in range(10, 30))


def test_close_says_what_it_leaves_behind(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.backend.start(run(0), CONFIG)
    driver.until_created("0-0-0")
    driver.backend.close()
    (notice,) = driver.backend.summary().notices
    assert driver.aws.name("0-0-0") in notice


def test_close_survives_a_dead_service(driver: Any) -> None:
    driver.backend.start(run(0), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.refusals["ListTrainingJobs"] = [DENIED] * 1000
    driver.backend.close()
    assert "WARNING" in driver.backend.summary().notices[-1]
    driver.aws.refusals.clear()


def open_run(attempt: int = 0, **more: Any) -> OpenRun:
    return OpenRun(run=run(attempt=attempt, until=9), config=CONFIG, started_at=1.0, **more)


def test_attach_adopts_with_one_look(make_driver: Any, aws: Any) -> None:
    first = make_driver()
    first.backend.start(run(until=9), CONFIG)
    first.until_created("0-0-0")
    for seq in (1, 2, 3):
        aws.report("0-0-0", seq)
    before = dict(aws.calls)
    second = make_driver([open_run(seen=2, seen_resource=2)])
    assert aws.calls["ListTrainingJobs"] == before.get("ListTrainingJobs", 0) + 1
    second.until(lambda: second.resources(0) == [3])
    assert aws.calls["CreateTrainingJob"] == 1
    assert "DescribeTrainingJob" not in aws.calls
    finish(second, "0-0-0", 4)
    assert second.until_ended(0).exit == 0
    summary = second.backend.summary()
    assert summary.jobs == 1
    assert 0 < summary.billable_seconds < 0.01 * 3600 / 0.204 + 40


def test_jobs_of_killed_sessions_are_counted_and_paid(make_driver: Any, aws: Any) -> None:
    first = make_driver(warm_pool=True)
    for trial_id in (0, 1):
        first.backend.start(run(trial_id, until=9), CONFIG)
        first.until_created(f"{trial_id}-0-0")
    reused = {
        "Status": "Reused",
        "ReusedByJob": aws.name("1-0-0"),
        "ResourceRetainedBillableTimeInSeconds": 20,
    }
    aws.end(aws.name("0-0-0"), "Completed", BillableTimeInSeconds=100, WarmPoolStatus=reused)
    aws.end(aws.name("1-0-0"), "Completed", BillableTimeInSeconds=50, WarmPoolStatus={"Status": "Available"})
    second = make_driver(warm_pool=True)
    summary = second.backend.summary()
    assert (summary.jobs, summary.warm_starts) == (2, 1)
    assert (summary.billable_seconds, summary.pool_idle_seconds) == (150, 20)
    assert summary.cost == pytest.approx(170 * 0.204 / 3600)
    second.backend.close()
    assert aws.jobs[aws.name("1-0-0")]["WarmPoolStatus"]["Status"] == "Terminated"


def test_attach_starts_what_is_absent(make_driver: Any) -> None:
    driver = make_driver([open_run()])
    driver.until_created("0-0-0")


def test_attach_retries_what_is_gone(make_driver: Any) -> None:
    driver = make_driver([open_run(seen=2)])
    driver.until_created("0-0-1")


@pytest.mark.parametrize(("cause", "status"), [(RELEASE, "Completed"), (TERMINATED, "Stopped")])
def test_attach_retries_what_was_cut(make_driver: Any, aws: Any, cause: str, status: str) -> None:
    first = make_driver()
    first.backend.start(run(until=9), CONFIG)
    first.until_created("0-0-0")
    aws.report("0-0-0", 1)
    aws.checkpoint("0-0-0", 0, 1)
    aws.say_end("0-0-0", 2, cause=cause, checkpoint=1)
    aws.end(aws.name("0-0-0"), status)
    second = make_driver([open_run()])
    second.until_created("0-0-1")
    assert second.resources(0) == [1]
    finish(second, "0-0-1", 1)
    assert second.until_ended(0).exit == 0


def test_attach_goes_on_with_the_newest_retry_and_hears_the_older_ones(make_driver: Any, aws: Any) -> None:
    first = make_driver()
    first.backend.start(run(until=9), CONFIG)
    first.until_created("0-0-0")
    aws.report("0-0-0", 1)
    aws.report("0-0-0", 2)
    aws.end(aws.name("0-0-0"), "Failed", FailureReason="InternalServerError: lost")
    first.until_created("0-0-1")
    aws.report("0-0-1", 1, 3)
    second = make_driver([open_run(seen=1)])
    second.until(lambda: second.resources(0) == [2, 3])
    assert len(aws.jobs) == 2


@pytest.mark.parametrize(("decision", "word"), [(Decision.PAUSE, PAUSE), (Decision.STOP, STOP)])
def test_attach_carries_a_verdict_out(make_driver: Any, aws: Any, decision: Decision, word: str) -> None:
    first = make_driver()
    first.backend.start(run(until=9), CONFIG)
    first.until_created("0-0-0")
    second = make_driver([open_run(verdict=Verdict(decision=decision), verdict_at=2.0)])
    second.until(lambda: aws.control("0-0-0") == word)


def test_attach_ends_a_judged_run_that_has_no_job(make_driver: Any) -> None:
    driver = make_driver([open_run(verdict=Verdict(decision=Decision.STOP), verdict_at=2.0)])
    assert driver.until_ended(0).exit == 0
    assert driver.aws.jobs == {}


def test_attach_and_close_outlast_a_storm_of_throttling(make_driver: Any, aws: Any) -> None:
    """A tuner that is begun again meanwhile does not give up."""
    first = make_driver()
    first.backend.start(run(), CONFIG)
    first.until_created("0-0-0")
    aws.refusals["ListTrainingJobs"] = [THROTTLED] * 3
    aws.refusals["Search"] = [THROTTLED, NO_ANSWER]
    second = make_driver([OpenRun(run=run(), config=CONFIG, started_at=0.0)])
    finish(second, "0-0-0", 1)
    assert second.until_ended(0).exit == 0
    aws.refusals["Search"] = [NO_ANSWER, THROTTLED]
    second.backend.close()
    assert not any("left running" in notice for notice in second.backend.summary().notices)


def test_attach_needs_the_listing(make_driver: Any, aws: Any) -> None:
    aws.refusals["ListTrainingJobs"] = [DENIED]
    with pytest.raises(BackendError, match="cannot be listed"):
        make_driver([open_run()])


def test_the_code_is_stored_once(make_driver: Any, aws: Any) -> None:
    make_driver()
    before = aws.s3.calls["PutObject"]
    make_driver()
    assert aws.s3.calls["PutObject"] == before + 2 > 4, "the two marks of its user"


def test_a_bucket_that_refuses_the_code_is_an_error(make_driver: Any, aws: Any) -> None:
    refusal = ServiceError("AccessDenied", "no", status=403)
    aws.s3.failures = [ServiceError("NoSuchBucket", "no", status=404)]
    with pytest.raises(BackendError, match="bucket"):
        make_driver(bucket="mine-it-is")
    original = aws.s3.put_object

    def put_object(**_: Any) -> None:
        raise refusal

    aws.s3.put_object = put_object
    with pytest.raises(
        BackendError, match=r"code cannot be stored.*sagemaker policy' prints all that are needed$"
    ):
        make_driver()
    with pytest.raises(BackendError, match="only in buckets with 'sagemaker' in their names"):
        make_driver(bucket="mine-it-is")
    aws.s3.put_object = original


def test_checkpoints_are_deleted(driver: Any, aws: Any) -> None:
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.checkpoint("0-0-0", 0, 1)
    driver.aws.checkpoint("0-0-0", 0, 10)
    for _ in range(2):
        driver.backend.delete_checkpoint(Checkpoint(trial_id=0, resource=1))
    left = [key for key in aws.s3.objects if "/checkpoints/" in key]
    assert {key.split("/checkpoints/")[1].split("/")[1] for key in left} == {"10"}
    aws.s3.failures = [NO_ANSWER]
    driver.backend.delete_checkpoint(Checkpoint(trial_id=0, resource=10))
    assert "cannot be deleted" in driver.backend.summary().notices[-1]


def test_logs(driver: Any, aws: Any) -> None:
    prefix = driver.backend.deployment.job_prefix
    aws.log_events = [
        {"logStreamName": f"{prefix}-1-0-0/algo-1", "message": "first"},
        {"logStreamName": f"{prefix}-1-1-0/algo-1", "message": "second"},
        {"logStreamName": f"{prefix}-11-0-0/algo-1", "message": "of another trial"},
    ]
    assert job_logs(aws, prefix, 1) == "first\nsecond\n"
    aws.refusals["FilterLogEvents"] = [
        ServiceError("ResourceNotFoundException", "no group", status=400),
        DENIED,
    ]
    assert job_logs(aws, prefix, 1) == ""
    with pytest.raises(ServiceError):
        job_logs(aws, prefix, 1)


def test_an_image_without_patches_is_said(make_driver: Any) -> None:
    assert "ended on 2026-01-29" in make_driver(framework_version="2.6").backend.summary().notices[0]
    assert not make_driver().backend.summary().notices


def test_an_unknown_price_is_said(make_driver: Any) -> None:
    driver = make_driver(instance_type="ml.z9.large", image_uri="i")
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.report("0-0-0", 1)
    driver.until(lambda: driver.resources(0) == [1])
    assert driver.backend.summary().cost == 0
    assert "the price of ml.z9.large is not known" in driver.backend.summary().notices[0]
    assert driver.backend.summary().prices == ""


def test_many_jobs_are_listed_by_pages(make_driver: Callable[..., Any], aws: Any) -> None:
    driver = make_driver(n_workers=120)
    for trial_id in range(120):
        driver.backend.start(run(trial_id), CONFIG)
    driver.until(lambda: len(aws.jobs) == 120)
    for trial_id in range(120):
        finish(driver, f"{trial_id}-0-0", 1)
    for trial_id in range(120):
        assert driver.until_ended(trial_id).exit == 0


@pytest.mark.parametrize("settings", [{"instance_count": 2}, {}])
@pytest.mark.parametrize("has_end", [False, True])
def test_all_instances_of_a_job_hear_that_it_is_at_until(
    make_driver: Any, settings: dict[str, int], has_end: bool
) -> None:
    """The first one ends by itself; the others would go on until StopTrainingJob, two minutes later."""
    driver = make_driver(**settings)
    config = CONFIG if settings else {**CONFIG, "instance_count": 2}
    driver.backend.start(Run(trial_id=0, attempt=0, until=1), config)
    driver.until_created("0-0-0")
    driver.aws.report("0-0-0", 1)
    if has_end:
        driver.aws.say_end("0-0-0", 2, cause=UNTIL, checkpoint=1)
    driver.until(lambda: driver.resources(0) == [1])
    driver.backend.pause(0)
    driver.until(lambda: driver.aws.control("0-0-0") == PAUSE)
    driver.aws.end(driver.aws.name("0-0-0"), "Completed")
    assert driver.until_ended(0).exit == 0
    assert not driver.aws.calls.get("StopTrainingJob")


def test_the_tuner_shows_signs_of_life_to_its_jobs(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.backends.engine.context._SIGN_SECONDS", 0.0)
    key = f"{driver.backend.deployment.prefix}/session"
    signs = set()
    for _ in range(3):
        driver.rounds(1)
        signs.add(driver.aws.s3.objects[key])
    assert len(signs) == 3


def test_a_run_that_ended_for_want_of_a_tuner_goes_on_as_a_retry(make_driver: Any, driver: Any) -> None:
    driver.backend.start(run(until=9), CONFIG)
    driver.until_created("0-0-0")
    driver.aws.report("0-0-0", 1)
    driver.aws.checkpoint("0-0-0", 0, 1)
    driver.aws.say_end("0-0-0", 2, cause=RELEASE, checkpoint=1)
    driver.aws.end(driver.aws.name("0-0-0"), "Completed")
    second = make_driver([OpenRun(run=run(until=9), config=CONFIG, started_at=1.0)])
    second.until_created("0-0-1")
    facts = json.loads(second.aws.jobs[second.aws.name("0-0-1")]["Environment"]["TUNEWRIGHT_RUN"])
    assert (facts["source"], facts["resume_from"]) == ([0, 1], 1)
