"""What a user of the SageMaker Python SDK 3 writes; prints what came of it as one JSON line."""

import json
import sys

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import TrainingJob
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.train import ModelTrainer

code, role, image = sys.argv[1:4]
session = Session(default_bucket="sdk-three")
data = session.upload_data(f"{code}/numbers.txt", bucket=session.default_bucket(), key_prefix="numbers")


def trainer(base, **hyperparameters):
    return ModelTrainer(
        training_image=image,
        source_code=SourceCode(source_dir=code, entry_script="train.py"),
        compute=Compute(instance_type="ml.c5.xlarge", instance_count=1, keep_alive_period_in_seconds=300),
        hyperparameters=hyperparameters,
        base_job_name=base,
        role=role,
        sagemaker_session=session,
    )


def train(base, **hyperparameters):
    chosen = trainer(base, **hyperparameters)
    chosen.train(
        input_data_config=[InputData(channel_name="training", data_source=data)], wait=True, logs=True
    )
    return chosen._latest_training_job


good = train("good", epochs=2, name="two words")
try:
    train("bad", epochs=0)
    refusal = ""
except Exception as error:  # the SDK's own type has moved between its releases
    refusal = str(error)
known = TrainingJob.get(training_job_name=good.training_job_name)
print(
    json.dumps(
        {
            "model": known.model_artifacts.s3_model_artifacts,
            "status": known.training_job_status,
            "refusal": refusal,
            "listed": sorted(job.training_job_name.split("-")[0] for job in TrainingJob.get_all()),
        }
    )
)
