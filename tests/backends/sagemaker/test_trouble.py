"""S3 does not answer for a while: nobody waits in vain, and no trial fails for it."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.aws import ServiceError
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.trial import Checkpoint, Run

NO_ANSWER = ServiceError("EndpointConnectionError", "no answer", status=0)
LONG = {"text": "x" * 4000}


def test_a_configuration_that_cannot_be_stored_is_not_tried_without_end(driver: Any) -> None:
    driver.rounds()
    before = driver.aws.s3.calls["PutObject"]
    driver.aws.s3.failures = [NO_ANSWER] * 100
    driver.backend.start(Run(trial_id=0, attempt=0), LONG)
    driver.backend.wait(0.0)
    assert driver.aws.s3.calls["PutObject"] == before + 1
    driver.aws.s3.failures.clear()
    driver.until_created("0-0-0")


def test_a_checkpoint_that_cannot_be_looked_for_is_not_tried_without_end(make_driver: Any) -> None:
    driver = make_driver(channel="logs")
    driver.rounds()
    before = driver.aws.s3.calls["ListObjectsV2"]
    driver.aws.s3.failures = [NO_ANSWER] * 100
    source = Checkpoint(trial_id=0, resource=1)
    driver.backend.start(Run(trial_id=0, attempt=1, resume_from=1, from_checkpoint=source), {})
    driver.backend.wait(0.0)
    assert driver.aws.s3.calls["ListObjectsV2"] == before + 1
    driver.aws.s3.failures.clear()


def test_the_log_of_an_experiment_whose_name_goes_on_with_a_number_is_not_ours(driver: Any) -> None:
    prefix = driver.backend.deployment.job_prefix
    driver.aws.log_events = [
        {"logStreamName": f"{prefix}-1-0-0/algo-1", "message": "ours"},
        {"logStreamName": f"{prefix}-1-7-0-0/algo-1", "message": "of an experiment with -1 in its name"},
    ]
    assert job_logs(driver.aws, prefix, 1) == "ours\n"


@pytest.mark.parametrize("channel", ["s3", "logs"])
def test_a_job_whose_runner_lost_s3_is_begun_again(make_driver: Any, channel: str) -> None:
    driver = make_driver(channel=channel)
    driver.backend.start(Run(trial_id=0, attempt=0), {})
    driver.until_created("0-0-0")
    reason = "AlgorithmError: The runner lost S3: EndpointConnectionError: no answer, exit code: 1"
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason=reason)
    driver.until_created("0-0-1")
