"""Tunes what a user of the SageMaker Python SDK 2 or 3 has; prints what came of it as one JSON line.

Arguments: 2 or 3, the packages of the SDK's environment, a folder for the script, the role.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import boto3

from tunewright import tune
from tunewright.backends.sagemaker import from_estimator, from_model_trainer
from tunewright.space import Float

SCRIPT = """
import argparse, os
from tunewright import report
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--name")
args = parser.parse_args()
files = os.listdir(os.environ["SM_CHANNEL_TRAINING"])
report(loss=args.lr + (args.name != "two words") + (files != ["data.txt"]) + (os.environ["MODE"] != "full"))
"""
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/python:3"

version, packages, folder, role = sys.argv[1:5]
sys.path.append(packages)
Path(folder, "train.py").write_text(SCRIPT)
boto_session = boto3.Session(region_name="us-east-1")
client = boto_session.client("s3")
for bucket in ("sdk-data", "sdk-two"):
    client.create_bucket(Bucket=bucket)
client.put_object(Bucket="sdk-data", Key="set/data.txt", Body=b"1")

if version == "2":
    import sagemaker
    from sagemaker.inputs import TrainingInput
    from sagemaker.pytorch import PyTorch

    estimator = PyTorch(
        entry_point="train.py",
        source_dir=folder,
        role=role,
        framework_version="2.5.1",
        py_version="py311",
        instance_count=1,
        instance_type="ml.c5.xlarge",
        hyperparameters={"lr": 0.5, "name": "two words"},
        metric_definitions=[{"Name": "own", "Regex": "own=([0-9.]+)"}],
        keep_alive_period_in_seconds=300,
        max_run=7200,
        environment={"MODE": "full"},
        tags=[{"Key": "team", "Value": "vision"}],
        base_job_name="mine",
        sagemaker_session=sagemaker.Session(boto_session, default_bucket="sdk-two"),
    )
    job = from_estimator(estimator, {"training": TrainingInput("s3://sdk-data/set", input_mode="FastFile")})
    refused = PyTorch(
        entry_point="train.py",
        source_dir=folder,
        role=role,
        image_uri=IMAGE,
        instance_count=2,
        instance_type="ml.c5.xlarge",
        distribution={"mpi": {"enabled": True}},
        git_config={"repo": "https://example.com/repo.git"},
        sagemaker_session=estimator.sagemaker_session,
    )
else:
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.shapes import Tag
    from sagemaker.core.training.configs import (
        Compute,
        InputData,
        MetricDefinition,
        SourceCode,
        StoppingCondition,
    )
    from sagemaker.train import ModelTrainer
    from sagemaker.train.distributed import MPI

    session = Session(boto_session, default_bucket="sdk-three")
    trainer = ModelTrainer(
        training_image=IMAGE,
        source_code=SourceCode(source_dir=folder, entry_script="train.py"),
        compute=Compute(instance_type="ml.c5.xlarge", instance_count=1, keep_alive_period_in_seconds=300),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=7200),
        hyperparameters={"lr": 0.5, "name": "two words"},
        environment={"MODE": "full"},
        tags=[Tag(key="team", value="vision")],
        base_job_name="mine",
        role=role,
        sagemaker_session=session,
    ).with_metric_definitions([MetricDefinition(name="own", regex="own=([0-9.]+)")])
    data = InputData(channel_name="training", data_source="s3://sdk-data/set")
    job = from_model_trainer(trainer, [data])
    refused = ModelTrainer(
        training_image=IMAGE,
        source_code=SourceCode(source_dir=folder, entry_script="train.py"),
        compute=Compute(instance_type="ml.c5.xlarge", instance_count=2),
        distributed=MPI(),
        role=role,
        sagemaker_session=session,
    )

try:
    (from_estimator if version == "2" else from_model_trainer)(refused)
    refusal = ""
except ValueError as error:
    refusal = str(error)
outcome = tune(
    job.script,
    {**job.constants, "lr": Float(0.0, 1.0)},
    metric="loss",
    backend=replace(job.config, endpoint=os.environ["AWS_ENDPOINT_URL"]),
    n_trials=2,
    n_workers=2,
    progress=False,
    **job.options,
)
client = boto_session.client("sagemaker")
name = client.list_training_jobs()["TrainingJobSummaries"][0]["TrainingJobName"]
print(
    json.dumps(
        {
            "loss": outcome.best.value,
            "lr": outcome.best_config["lr"],
            "left_out": sorted(job.left_out),
            "refusal": refusal,
            "job": client.describe_training_job(TrainingJobName=name),
        },
        default=str,
    )
)
