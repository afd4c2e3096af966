"""Jobs of workers where an instance type lacks capacity."""

from __future__ import annotations

from typing import Any

from tunewright.aws import ServiceError
from tunewright.trial import Run

TYPES = ("ml.c5.xlarge", "ml.m5.xlarge")


def test_workers_switch_the_type_and_are_not_counted_as_failing(make_fleet: Any) -> None:
    fleet = make_fleet(n_workers=1, instance_type=",".join(TYPES))
    fleet.backend.start(Run(trial_id=0, attempt=0), {"lr": 1})
    fleet.until(lambda: len(fleet.aws.jobs) == 1)
    (first,) = fleet.aws.jobs
    fleet.aws.end(first, "Failed", FailureReason="CapacityError: Unable to provision")
    fleet.until(lambda: len(fleet.aws.jobs) == 2)
    taken = [job["fields"]["ResourceConfig"]["InstanceType"] for job in fleet.aws.jobs.values()]
    assert taken == list(TYPES)
    (notice,) = fleet.backend.summary().notices
    assert notice == f"SageMaker has no capacity for {TYPES[0]}: for a while new jobs take {TYPES[1]}"


def test_jobs_of_workers_shrink_until_the_limit_takes_them(make_fleet: Any) -> None:
    fleet = make_fleet(n_workers=8, instance_type=TYPES[0])
    refusal = (
        "The account-level service limit 'Number of instances across all training jobs' is 2 Instances, with current "
        "utilization of 0 Instances and a request delta of 4 Instances."
    )
    fleet.aws.refusals["CreateTrainingJob"] = [ServiceError("ResourceLimitExceeded", refusal, status=400)]
    for trial_id in range(8):
        fleet.backend.start(Run(trial_id=trial_id, attempt=0), {"lr": 1})
    fleet.until(lambda: fleet.aws.jobs)
    (job, *_) = fleet.aws.jobs.values()
    assert job["fields"]["ResourceConfig"]["InstanceCount"] == 2
    assert not fleet.backend.summary().notices, "no pause: a smaller job goes out at once"
