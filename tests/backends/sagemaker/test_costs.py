"""What jobs cost: by phases from the service's record, estimated closely before that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tunewright.backends.engine.job_service import JobOrder, JobState, JobStatus
from tunewright.backends.engine.tracked_run import TrackedRun
from tunewright.backends.sagemaker.backend import BILLED_OVERHEADS
from tunewright.backends.sagemaker.job_service import bill_of
from tunewright.runner.channel import UNTIL, End, Report
from tunewright.trial import Run

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COLD = [("Starting", 60, "Launching requested ML instances"), ("Starting", 40, "Preparing the instances")]
WARM = [("Starting", 12, "Preparing the instances for training")]
REST = [("Downloading", 8, "image"), ("Training", 100, "in progress"), ("Uploading", 5, "model")]


def record(steps: Any, *, speed: float = 1.0, billed: float = 113, **more: Any) -> dict[str, Any]:
    """A job's record with steps of so many service seconds."""
    now, transitions = BEGAN, list[dict[str, Any]]()
    for status, seconds, message in steps:
        end = now + timedelta(seconds=seconds / speed)
        transitions.append({"Status": status, "StartTime": now, "EndTime": end, "StatusMessage": message})
        now = end
    return {
        "CreationTime": BEGAN,
        "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
        "BillableTimeInSeconds": billed,
        "TrainingTimeInSeconds": 113,
        "SecondaryStatusTransitions": transitions,
        **more,
    }


@pytest.mark.parametrize("speed", [1.0, 60.0])
@pytest.mark.parametrize(("steps", "is_warm"), [(COLD, False), (WARM, True)])
def test_a_bill_has_phases_and_tells_a_warm_start(speed: float, steps: Any, is_warm: bool) -> None:
    bill = bill_of(record(steps + REST, speed=speed), speed=speed)
    assert bill.is_warm is is_warm
    phases = (bill.startup_seconds, bill.training_seconds, bill.upload_seconds)
    assert phases == pytest.approx((8, 100, 5), abs=0.01)


def test_phases_of_spot_instances_are_of_what_is_billed() -> None:
    bill = bill_of(record(COLD + REST, billed=11.3), speed=1.0)
    assert bill.startup_seconds == pytest.approx(0.8)
    assert bill.startup_seconds + bill.training_seconds + bill.upload_seconds == pytest.approx(11.3)
    assert bill.saved == pytest.approx(101.7)


def test_a_pool_that_another_experiment_left_is_a_warm_start(make_driver: Any, aws: Any) -> None:
    driver = make_driver(warm_pool=True)
    driver.backend.start(Run(trial_id=0, attempt=0), {})
    driver.until_created("0-0-0")
    name = aws.name("0-0-0")
    aws.say_end("0-0-0", 1)
    steps = record(WARM + REST, speed=aws.endpoint.speed)
    aws.end(name, "Completed", WarmPoolStatus={"Status": "Available"})
    aws.jobs[name] |= {
        key: steps[key] for key in ("BillableTimeInSeconds", "TrainingTimeInSeconds", "CreationTime")
    }
    aws.jobs[name]["SecondaryStatusTransitions"] = steps["SecondaryStatusTransitions"]
    driver.until_ended(0)
    assert set(driver.backend.summary().cost_phases) == {"not billed yet"}
    driver.backend.close()
    summary = driver.backend.summary()
    assert (summary.warm_starts, summary.job_records[0].is_warm) == (1, True)
    assert sum(summary.cost_phases.values()) == pytest.approx(summary.cost)
    price = 0.204 / 3600
    expected = {"start-up": 8 * price, "training": 100 * price, "upload": 5 * price, "pool idle": 7 * price}
    assert summary.cost_phases == pytest.approx(expected, rel=0.01)
    assert summary.prices == "table, us-east-1, 2026-09-27"


@pytest.mark.parametrize("speed", [1.0, 60.0])
@pytest.mark.parametrize("is_warm", [False, True])
def test_the_estimate_is_close_to_the_bill(speed: float, is_warm: bool) -> None:
    """A listing saw the job start 10 service seconds before it had its instances; the script then ran for 100."""
    created, price = 1e9, 3600.0
    order = JobOrder(run=Run(trial_id=0, attempt=0), config={}, dollars_per_hour=price)
    run = TrackedRun(order, speed=speed, overheads=BILLED_OVERHEADS)
    waits, loads = (12, 8) if is_warm else (100, 30)
    run.begin(created + (waits - 10) / speed)
    run.observe(JobStatus(state=JobState.RUNNING, created=created), is_warm=is_warm)
    script = created + (waits + loads) / speed
    reported = run.report(0, 1, Report(1, 1, {"loss": 1.0}, cost=50.0, wall=script + 50))
    assert reported.cost == pytest.approx(loads + 50, rel=0.02)
    run.take_end(0, End(UNTIL, 0, "", 100.0, script + 100, None))
    ended = script + 100 + 5 / speed
    run.observe(JobStatus(state=JobState.COMPLETED, created=created, ended=ended))
    assert run.billed_seconds() == pytest.approx(loads + 100 + 5, rel=0.02)
