"""Jobs that the service starts again under their own name: what the scheduler's side sees of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tunewright.runner import s3_keys
from tunewright.runner.channel import EXITED, PAUSE, TERMINATED, UNTIL, End, Report
from tunewright.runner.restarts import RESTARTS
from tunewright.trial import Checkpoint, OpenRun, Reported, Run

CONFIG = {"lr": 0.1, "epochs": 9}
PRICE = 3600.0
"""A dollar a second."""


def run(**more: Any) -> Run:
    return Run(trial_id=0, attempt=0, **more)


def put(aws: Any, life: int, seq: int, message: Report | End) -> None:
    key, body = s3_keys.encode(f"0-0-{life}", seq, message, room=900)
    aws.s3.objects[aws.prefix(aws.name("0-0-0")) + key] = body


def report(aws: Any, life: int, seq: int, resource: int, cost: float = 0.0) -> None:
    """A life of the job 0-0-0 reports."""
    put(aws, life, seq, Report(seq, resource, {"loss": 1.0}, cost, time.time()))


def end(
    aws: Any, life: int, seq: int, cause: str, *, checkpoint: int | None = None, cost: float = 0.0
) -> None:
    put(aws, life, seq, End(cause, 0, "", cost, time.time(), checkpoint))


def claim(aws: Any, life: int) -> None:
    aws.s3.objects[f"{aws.prefix(aws.name('0-0-0'))}{RESTARTS}0-0-{life}"] = b""


@pytest.fixture
def spot(make_driver: Any) -> Any:
    """A driver with a run on spot instances whose first life was interrupted after its second report."""
    driver = make_driver(spot=True, price_per_hour=PRICE)
    driver.backend.start(run(until=9), CONFIG)
    driver.until_created("0-0-0")
    interrupt(driver.aws)
    driver.until(lambda: driver.resources(0) == [1, 2])
    return driver


def interrupt(aws: Any) -> None:
    for seq in (1, 2):
        report(aws, 0, seq, seq, cost=seq)
    end(aws, 0, 3, TERMINATED, checkpoint=2, cost=2.5)
    aws.checkpoint("0-0-0", 0, 2)
    aws.jobs[aws.name("0-0-0")]["SecondaryStatus"] = "Interrupted"


def test_a_replacement_by_the_service_is_a_retry_of_the_same_job(spot: Any) -> None:
    aws = spot.aws
    spot.rounds()
    assert spot.backend.free_workers() == 1, "an interrupted job keeps its worker"
    report(aws, 1, 1, 3)
    report(aws, 1, 2, 9)
    end(aws, 1, 3, UNTIL, checkpoint=9)
    aws.end(aws.name("0-0-0"), "Completed")
    ended = spot.until_ended(0)
    assert (ended.exit, ended.error, ended.checkpoint) == (0, "", Checkpoint(trial_id=0, resource=9))
    said = [(e.retry, e.seq, e.resource) for e in spot.events if isinstance(e, Reported)]
    assert said == [(0, 1, 1), (0, 2, 2), (1, 1, 3), (1, 2, 9)]
    assert len(aws.jobs) == 1


def test_the_end_of_a_former_life_ends_nothing(spot: Any) -> None:
    """The second life died without a word: the run goes on from its checkpoint, under a name of its own."""
    aws = spot.aws
    report(aws, 1, 1, 3)
    aws.checkpoint("0-0-0", 0, 3)
    for life in (0, 1, 2):
        claim(aws, life)
    aws.end(aws.name("0-0-0"), "Failed", FailureReason="InternalServerError: lost")
    spot.until_created("0-0-3")
    assert '"resume_from":3' in aws.jobs[aws.name("0-0-3")]["Environment"]["TUNEWRIGHT_RUN"]
    assert spot.resources(0) == [1, 2, 3]
    aws.say_end("0-0-3", 1)
    aws.end(aws.name("0-0-3"), "Completed")
    assert spot.until_ended(0).exit == 0


def test_a_wish_goes_to_the_job_whatever_its_life(spot: Any) -> None:
    report(spot.aws, 1, 1, 3)
    spot.until(lambda: spot.resources(0) == [1, 2, 3])
    spot.backend.pause(0)
    spot.until(lambda: spot.aws.control("0-0-0") == PAUSE)
    end(spot.aws, 1, 2, PAUSE, checkpoint=3)
    spot.aws.end(spot.aws.name("0-0-0"), "Completed")
    assert spot.until_ended(0).checkpoint == Checkpoint(trial_id=0, resource=3)


def test_an_interrupted_job_that_is_stopped_leaves_its_newest_checkpoint(spot: Any) -> None:
    spot.backend.pause(0)
    spot.aws.end(spot.aws.name("0-0-0"), "Stopped")
    assert spot.until_ended(0).checkpoint == Checkpoint(trial_id=0, resource=2)


def test_no_instances_in_time_begin_the_run_anew(spot: Any) -> None:
    aws = spot.aws
    aws.end(aws.name("0-0-0"), "Stopped", SecondaryStatus="MaxWaitTimeExceeded")
    spot.until_created("0-0-1")
    assert "max_wait" in "".join(spot.backend.summary().notices)
    aws.say_end("0-0-1", 1)
    aws.end(aws.name("0-0-1"), "Completed")
    assert spot.until_ended(0).exit == 0


def test_no_instances_for_ever_fail_the_run(make_driver: Any) -> None:
    driver = make_driver(spot=True, max_retries=1)
    driver.backend.start(run(), CONFIG)
    for retry in (0, 1):
        driver.until_created(f"0-0-{retry}")
        name = driver.aws.name(f"0-0-{retry}")
        driver.aws.end(name, "Stopped", SecondaryStatus="MaxWaitTimeExceeded")
    ended = driver.until_ended(0)
    assert ended.exit == 1
    assert "2 times: no spot instances in time" in ended.error


def test_interruptions_are_no_retries(make_driver: Any) -> None:
    """Only jobs that this session replaced count against max_retries."""
    driver = make_driver(spot=True, max_retries=1)
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    for life in range(4):
        report(driver.aws, life, 1, life + 1)
    driver.until(lambda: driver.resources(0) == [1, 2, 3, 4])
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason="InternalServerError: lost")
    driver.until_created("0-0-4")


@pytest.mark.parametrize("is_over", [False, True])
def test_attach_finds_an_interrupted_job(make_driver: Any, aws: Any, is_over: bool) -> None:
    """The journal knows the second life; the listing knows the job by its own number."""
    first = make_driver(spot=True)
    first.backend.start(run(until=9), CONFIG)
    first.until_created("0-0-0")
    interrupt(aws)
    report(aws, 1, 1, 3)
    report(aws, 1, 2, 4)
    if is_over:
        end(aws, 1, 3, EXITED)
        aws.end(aws.name("0-0-0"), "Completed")
    opened = OpenRun(run=run(until=9), config=CONFIG, started_at=0.0, retry=1, seen=1, seen_resource=3)
    second = make_driver([opened], spot=True)
    second.until(lambda: second.resources(0) == [4])
    if not is_over:
        end(aws, 1, 3, EXITED)
        aws.end(aws.name("0-0-0"), "Completed")
    assert second.until_ended(0).exit == 0
    assert len(aws.jobs) == 1


def test_lives_are_paid_together_at_the_price_of_spot(spot: Any) -> None:
    """An estimate of 30 % of the price until the service says what it billed."""
    aws = spot.aws
    report(aws, 1, 1, 3, cost=1.0)
    spot.until(lambda: spot.resources(0) == [1, 2, 3])
    costs = [event.cost for event in spot.events if isinstance(event, Reported)]
    assert costs == sorted(costs)
    overhead = 0.3 * 40
    assert 2.5 + 1.0 <= costs[-1] <= 2.5 + 1.0 + 2 * overhead
    end(aws, 1, 2, EXITED, cost=1.5)
    steps = [{"Status": s, "StartTime": datetime.now(UTC)} for s in ("Training", "Interrupted", "Training")]
    aws.end(
        aws.name("0-0-0"),
        "Completed",
        TrainingTimeInSeconds=40,
        BillableTimeInSeconds=10,
        SecondaryStatusTransitions=steps,
    )
    spot.until_ended(0)
    assert spot.backend.summary().spot_saved_seconds == 0.0
    spot.backend.close()
    summary = spot.backend.summary()
    assert (summary.billable_seconds, summary.cost) == (10.0, 10.0)
    assert (summary.spot_saved_seconds, summary.interruptions) == (30.0, 1)


def test_jobs_on_demand_look_for_no_lives(make_driver: Any) -> None:
    driver = make_driver()
    driver.backend.start(run(), CONFIG)
    driver.until_created("0-0-0")
    assert "restarts" not in driver.aws.jobs[driver.aws.name("0-0-0")]["Environment"]["TUNEWRIGHT_RUN"]
