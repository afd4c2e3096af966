"""Looking at statuses costs no more when many jobs are over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tunewright.trial import Run


def test_a_long_run_is_found_among_thousands_that_came_after_it(make_driver: Any, aws: Any) -> None:
    driver = make_driver()
    driver.backend.start(Run(trial_id=0, attempt=0), {})
    driver.until_created("0-0-0")
    old = aws.jobs[aws.name("0-0-0")]
    old["CreationTime"] -= timedelta(days=1)
    prefix = driver.backend.deployment.job_prefix
    for number in range(1, 3001):
        name = f"{prefix}-{number}-0-0"
        aws.jobs[name] = {
            **old,
            "TrainingJobName": name,
            "CreationTime": old["CreationTime"] + timedelta(seconds=number),
            "TrainingJobStatus": "Completed",
        }
    driver.backend._queue.find(0)._created -= 86400
    driver.backend._queue.find(0)._heard_at = -1e9
    before = aws.calls
    driver.backend._dispatcher._poller._schedule._at = 0.0
    driver.rounds(1)
    lists = aws.calls["ListTrainingJobs"] - before.get("ListTrainingJobs", 0)
    looks = aws.calls["DescribeTrainingJob"] - before.get("DescribeTrainingJob", 0)
    assert lists <= 2 * (looks + 1)
    assert looks >= 1
    aws.say_end("0-0-0", 1)
    aws.end(aws.name("0-0-0"), "Completed")
    assert driver.until_ended(0).exit == 0
    for number in range(1, 3001):
        del aws.jobs[f"{prefix}-{number}-0-0"]
