"""Several instance types: what is taken where one lacks capacity, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.aws import ServiceError
from tunewright.backends.sagemaker.deployment import estimate
from tunewright.exceptions import BackendError, SettingsError
from tunewright.runner.channel import UNTIL
from tunewright.testing.jobs import job_settings
from tunewright.trial import OpenRun, Run

CHEAP, DEAR = "ml.c5.xlarge", "ml.m5.2xlarge"
CAPACITY = "CapacityError: Unable to provision requested ML compute capacity."
ZERO = ServiceError("ResourceLimitExceeded", f"The account-level limit '{CHEAP}' is 0 Instances", status=400)
FULL = ServiceError("ResourceLimitExceeded", f"The account-level limit '{CHEAP}' is 2 Instances", status=400)


TOTAL = "Number of instances across all training jobs"


def over(
    limit: int, delta: int, *, used: int = 0, name: str = f"{CHEAP} for training job usage"
) -> ServiceError:
    """The service's own words."""
    text = (
        f"The account-level service limit '{name}' is {limit} Instances, with current utilization of {used} Instances "
        f"and a request delta of {delta} Instances. Please use AWS Service Quotas to request an increase for this quota."
    )
    return ServiceError("ResourceLimitExceeded", text, status=400)


def run(trial_id: int = 0) -> Run:
    return Run(trial_id=trial_id, attempt=0, until=9)


def type_of(driver: Any, name: str) -> str:
    return driver.aws.jobs[driver.aws.name(name)]["fields"]["ResourceConfig"]["InstanceType"]


def lacks(driver: Any, name: str) -> None:
    driver.aws.end(driver.aws.name(name), "Failed", FailureReason=CAPACITY)


@pytest.fixture
def driver(make_driver: Any, aws: Any) -> Any:
    aws.endpoint = type(aws.endpoint)(kind=aws.endpoint.kind, region="us-east-1", url="http://x", speed=40.0)
    return make_driver(instance_type=f"{CHEAP},{DEAR}")


def test_the_next_type_is_taken_said_once_and_paid(driver: Any) -> None:
    for trial_id in (0, 1):
        driver.backend.start(run(trial_id), {"lr": 1})
        driver.until_created(f"{trial_id}-0-0")
    assert type_of(driver, "0-0-0") == type_of(driver, "1-0-0") == CHEAP
    lacks(driver, "0-0-0")
    lacks(driver, "1-0-0")
    driver.until_created("0-0-1")
    driver.until_created("1-0-1")
    assert type_of(driver, "0-0-1") == type_of(driver, "1-0-1") == DEAR
    (notice,) = driver.backend.summary().notices
    assert f"no capacity for {CHEAP}: for a while new jobs take {DEAR}" in notice
    for trial_id in (0, 1):
        name = driver.aws.name(f"{trial_id}-0-1")
        driver.aws.say_end(f"{trial_id}-0-1", 1, cause=UNTIL, checkpoint=9)
        driver.aws.end(name, "Completed", BillableTimeInSeconds=100)
        driver.until_ended(trial_id)
    driver.backend.close()
    assert driver.backend.summary().cost == pytest.approx(200 * 0.461 / 3600, rel=0.1)


def test_a_type_whose_limit_is_reached_is_left_alone_for_a_moment(driver: Any) -> None:
    driver.aws.refusals["CreateTrainingJob"] = [FULL]
    driver.backend.start(run(), {"lr": 1})
    driver.until_created("0-0-0")
    assert type_of(driver, "0-0-0") == DEAR


def test_a_type_without_quota_is_left_out_for_good(driver: Any) -> None:
    driver.aws.refusals["CreateTrainingJob"] = [ZERO]
    driver.backend.start(run(), {"lr": 1})
    driver.until_created("0-0-0")
    assert type_of(driver, "0-0-0") == DEAR
    assert "is left out" in driver.backend.summary().notices[0]
    driver.aws.refusals["CreateTrainingJob"] = [ZERO]
    driver.backend.start(run(1), {"lr": 1})
    with pytest.raises(BackendError, match="may not use this instance type"):
        driver.rounds(50)
    driver.aws.end(driver.aws.name("0-0-0"), "Stopped")
    driver.backend.close()
    assert not any("have not ended" in notice for notice in driver.backend.summary().notices)


def test_a_type_that_the_configuration_chooses_is_not_exchanged(driver: Any) -> None:
    driver.backend.start(run(), {"instance_type": CHEAP})
    driver.until_created("0-0-0")
    lacks(driver, "0-0-0")
    driver.backend.start(run(1), {"instance_type": DEAR})
    driver.until_created("1-0-0")
    assert "0-0-1" not in " ".join(driver.aws.jobs), "it waits, and lets others through"
    driver.until_created("0-0-1")
    assert type_of(driver, "0-0-1") == CHEAP


def test_an_idle_pool_decides(make_driver: Any, aws: Any) -> None:
    driver = make_driver(instance_type=f"{CHEAP},{DEAR}", warm_pool=True)
    driver.aws.refusals["CreateTrainingJob"] = [FULL]
    driver.backend.start(run(), {"lr": 1})
    driver.until_created("0-0-0")
    assert type_of(driver, "0-0-0") == DEAR
    aws.jobs[aws.name("0-0-0")]["WarmPoolStatus"] = {"Status": "Available"}
    driver.aws.say_end("0-0-0", 1, cause=UNTIL, checkpoint=9)
    aws.end(aws.name("0-0-0"), "Completed")
    driver.until_ended(0)
    driver.backend.start(run(1), {"lr": 1})
    driver.until_created("1-0-0")
    assert type_of(driver, "1-0-0") == DEAR


def test_a_resumed_session_knows_what_its_jobs_run_on(make_driver: Any, aws: Any, driver: Any) -> None:
    driver.aws.refusals["CreateTrainingJob"] = [FULL]
    driver.backend.start(run(), {"lr": 1})
    driver.until_created("0-0-0")
    aws.jobs[aws.name("0-0-0")]["BillableTimeInSeconds"] = 0
    second = make_driver(
        [OpenRun(run=run(), config={"lr": 1}, started_at=1.0)], instance_type=f"{CHEAP},{DEAR}"
    )
    assert second.backend._queue.find(0).order.dollars_per_hour == 0.461


def test_types_are_checked() -> None:
    assert job_settings(instance_type=f"{DEAR}, {CHEAP}").instance_type == DEAR
    for wrong, word in (
        (f"{CHEAP},{CHEAP}", "twice"),
        ("c5", "such as ml.c5.xlarge"),
        (",", "such as ml.c5.xlarge"),
    ):
        with pytest.raises(SettingsError, match=word):
            job_settings(instance_type=wrong)
    most = estimate(job_settings(instance_type=f"{CHEAP},{DEAR}", n_workers=2))
    assert most.price is not None
    assert (most.instance_types, most.price.dollars_per_hour) == ((CHEAP, DEAR), pytest.approx(2 * 0.461))
    assert f"{CHEAP} or {DEAR}" in str(most)


@pytest.mark.parametrize("name", [f"{CHEAP} for training job usage", TOTAL])
def test_a_job_larger_than_the_limit_ends_the_experiment(make_driver: Any, name: str) -> None:
    driver = make_driver(instance_type=CHEAP, instance_count=21)
    driver.aws.refusals["CreateTrainingJob"] = [over(20, 21, name=name)]
    driver.backend.start(run(), {"lr": 1})
    with pytest.raises(BackendError, match=f"21 instances is larger.*'{name}' of 20"):
        driver.rounds(3)
    assert driver.aws.calls["CreateTrainingJob"] == 1


def test_a_job_larger_than_the_limit_of_one_type_takes_another(make_driver: Any) -> None:
    driver = make_driver(instance_type=f"{CHEAP},{DEAR}", instance_count=4)
    driver.aws.refusals["CreateTrainingJob"] = [over(2, 4)]
    driver.backend.start(run(), {"lr": 1})
    driver.until_created("0-0-0")
    assert type_of(driver, "0-0-0") == DEAR


def test_a_trial_that_chooses_more_instances_than_the_limit_fails_alone(make_driver: Any) -> None:
    driver = make_driver(instance_type=CHEAP)
    driver.aws.refusals["CreateTrainingJob"] = [over(4, 8)]
    driver.backend.start(run(), {"instance_count": 8})
    assert "8 instances is larger" in driver.until_ended(0).error
    driver.backend.start(run(1), {"instance_count": 2})
    driver.until_created("1-0-0")


def test_a_job_that_fits_the_limit_waits_for_others(make_driver: Any, aws: Any) -> None:
    driver = make_driver(instance_type=CHEAP, instance_count=2)
    driver.aws.refusals["CreateTrainingJob"] = [over(4, 2, used=3, name=TOTAL)]
    driver.backend.start(run(), {"lr": 1})
    driver.until_created("0-0-0")
    assert driver.backend.summary().notices == (
        f"waiting for an instance: the account's limit '{TOTAL}' of 4 is reached",
    )
