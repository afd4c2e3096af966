"""The AWS command line as a client, and the training toolkit of AWS's own images as what runs in a job."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3

from .conftest import CLIENTS, ROLE, Client, Endpoint

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/toolkit:5"


def request(name: str, entrypoint: list[str], arguments: list[str], **changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": entrypoint,
            **({"ContainerArguments": arguments} if arguments else {}),
        },
        "OutputDataConfig": {"S3OutputPath": "s3://conformance/out"},
        "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **changes,
    }


def connect(service: str, variables: Mapping[str, str]) -> Any:
    return boto3.client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def test_the_aws_command_line_creates_waits_reads_logs_lists_and_stops(
    client: Client, serve: Callable[..., Endpoint], tmp_path: Path
) -> None:
    endpoint, aws = serve(), client("aws_cli") / "aws"

    def run(*arguments: str) -> str:
        done = endpoint.run([aws, *arguments, "--output", "json"])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(name: str, program: str) -> None:
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(request(name, ["python", "-u", "-c"], [program])))
        arn = json.loads(run("sagemaker", "create-training-job", "--cli-input-json", f"file://{file}"))
        assert arn["TrainingJobArn"].endswith(f"training-job/{name}")

    run("s3", "mb", "s3://conformance")
    create("works", "print('seen in the log'); open('/opt/ml/model/weights', 'w').write('1')")
    run("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", "works")
    assert json.loads(run("sagemaker", "describe-training-job", "--training-job-name", "works"))[
        "SecondaryStatus"
    ] == ("Completed")
    group = "/aws/sagemaker/TrainingJobs"
    shown = run("logs", "filter-log-events", "--log-group-name", group, "--log-stream-name-prefix", "works/")
    assert [event["message"] for event in json.loads(shown)["events"]] == ["seen in the log"]
    assert "works/output/model.tar.gz" in run("s3", "ls", "s3://conformance/out/", "--recursive")

    create("hangs", "import time; time.sleep(600)")
    run("sagemaker", "stop-training-job", "--training-job-name", "hangs")
    run("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", "hangs")
    listed = json.loads(
        run("sagemaker", "list-training-jobs", "--sort-by", "CreationTime", "--max-items", "5")
    )
    assert {job["TrainingJobName"]: job["TrainingJobStatus"] for job in listed["TrainingJobSummaries"]} == {
        "works": "Completed",
        "hangs": "Stopped",
    }
    refused = endpoint.run([aws, "sagemaker", "describe-training-job", "--training-job-name", "absent"])
    assert refused.returncode != 0
    assert "Requested resource not found." in refused.stderr


def test_the_real_toolkit_runs_a_script_and_ignores_a_stop_which_our_runner_does_not(
    client: Client, serve: Callable[..., Endpoint]
) -> None:
    bin_folder = client("toolkit")
    endpoint = serve("--image", f"{IMAGE}={bin_folder / 'python'}")
    sagemaker, s3 = (connect(name, endpoint.variables) for name in ("sagemaker", "s3"))
    s3.create_bucket(Bucket="conformance")
    s3.put_object(Bucket="conformance", Key="in/numbers.txt", Body=(CLIENTS / "numbers.txt").read_bytes())
    channel = {
        "ChannelName": "training",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://conformance/in/"}},
    }

    def train(name: str, entrypoint: list[str], epochs: int) -> None:
        program = {"sagemaker_program": "train.py", "sagemaker_submit_directory": str(CLIENTS)}
        sagemaker.create_training_job(
            **request(
                name,
                entrypoint,
                [],
                InputDataConfig=[channel],
                HyperParameters={"epochs": str(epochs), **{k: json.dumps(v) for k, v in program.items()}},
            )
        )

    def until(name: str, key: str, *wanted: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while (job := sagemaker.describe_training_job(TrainingJobName=name))[key] not in wanted:
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return job

    train("toolkit", [str(bin_folder / "train")], 2)
    done = until("toolkit", "TrainingJobStatus", "Completed", "Failed", "Stopped")
    assert done["TrainingJobStatus"] == "Completed", done["FailureReason"]

    train("deaf", [str(bin_folder / "train")], 100_000)
    until("deaf", "SecondaryStatus", "Training")
    sagemaker.stop_training_job(TrainingJobName="deaf")
    stopped = until("deaf", "TrainingJobStatus", "Stopped")
    phases = {phase["Status"]: phase for phase in stopped["SecondaryStatusTransitions"]}
    waited = (phases["Stopping"]["EndTime"] - phases["Stopping"]["StartTime"]).total_seconds()
    assert waited >= 119 / endpoint.speed  # SIGTERM had no effect, SIGKILL came 120 service seconds later
