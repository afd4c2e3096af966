"""What a user of the SageMaker Python SDK 2 writes; prints what came of it as one JSON line."""

import json
import sys

import boto3
import sagemaker
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.pytorch import PyTorch

code, role, image = sys.argv[1:4]
session = sagemaker.Session(boto3.Session(), default_bucket="sdk-two")
data = session.upload_data(f"{code}/numbers.txt", key_prefix="numbers")


def estimator(**changes):
    settings = {
        "entry_point": "train.py",
        "source_dir": code,
        "role": role,
        "image_uri": image,
        "instance_count": 1,
        "instance_type": "ml.c5.xlarge",
        "hyperparameters": {"epochs": 2, "name": "two words"},
        "metric_definitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
        "keep_alive_period_in_seconds": 3600,  # the SDK may take a minute of real time between two jobs
        "sagemaker_session": session,
        **changes,
    }
    return PyTorch(**settings)


good = estimator()
good.fit({"training": data}, wait=True, logs="All")
warm = estimator()
warm.fit({"training": data}, wait=True, logs="All")
bad = estimator(hyperparameters={"epochs": 0})
try:
    bad.fit({"training": data}, wait=True, logs="All")
    refusal = ""
except UnexpectedStatusException as error:
    refusal = str(error)
stopped = estimator(hyperparameters={"epochs": 1000})
stopped.fit({"training": data}, wait=False)
stopped.latest_training_job.stop()
stopped.latest_training_job.wait(logs="None")
print(
    json.dumps(
        {
            "model": good.model_data,
            "pool": session.describe_training_job(good.latest_training_job.name)["WarmPoolStatus"],
            "warm": warm.latest_training_job.name,
            "refusal": refusal,
            "stopped": session.describe_training_job(stopped.latest_training_job.name)["TrainingJobStatus"],
        }
    )
)
