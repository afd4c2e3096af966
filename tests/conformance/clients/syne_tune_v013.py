"""What a user of Syne Tune 0.13.0 writes to tune on SageMaker; prints what came of it as one JSON line."""

import json
import sys

import boto3
from sagemaker.pytorch import PyTorch
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import SageMakerBackend
from syne_tune.backend.sagemaker_backend.sagemaker_utils import default_sagemaker_session
from syne_tune.config_space import uniform
from syne_tune.optimizer.baselines import RandomSearch

code, role, image = sys.argv[1:4]
boto3.client("s3").create_bucket(Bucket="syne-tune")
estimator = PyTorch(
    entry_point="syne_tune_script.py",
    source_dir=code,
    role=role,
    image_uri=image,
    instance_count=1,
    instance_type="ml.c5.xlarge",
    keep_alive_period_in_seconds=600,
    output_path="s3://syne-tune/out",
    code_location="s3://syne-tune/code",
    disable_profiler=True,
    debugger_hook_config=False,
    sagemaker_session=default_sagemaker_session(),
)
scheduler = RandomSearch(
    {"width": uniform(0.0, 1.0), "epochs": 2},
    metric="loss",
    random_seed=1,
    search_options={"debug_log": False},
)
backend = SageMakerBackend(estimator, metrics_names=["loss"], s3_path="s3://syne-tune/checkpoints")
tuner = Tuner(
    backend,
    scheduler,
    StoppingCriterion(max_num_trials_completed=1, max_wallclock_time=150),
    n_workers=1,
    sleep_time=0.2,
    tuner_name="conformance",
    save_tuner=False,
)
tuner.run()
rows = [{name: row[name] for name in ("trial_id", "epoch", "loss")} for row in tuner.callbacks[0].results]
print(json.dumps({"results": rows, "log": backend.stdout(0)}))
