"""Syne Tune 0.13.0 with its own SageMaker backend, unmodified, on the endpoint of a measurement.

    PEER_VENV/bin/python perf/sagemaker/peer.py FOLDER

It runs in an environment of its own (Python 3.11, ``pip install 'syne-tune[basic]==0.13.0' 'sagemaker<3'``) and finds the
endpoint by its environment variables, as any client of AWS does. ``FOLDER/plan.json`` says what is tuned;
``FOLDER/done.json`` is written at the end. The settings are those of its own launcher: an estimator of the SDK with
keep-alive 600 s where warm pools are asked for, ``start_jobs_without_delay=False``.
"""

import os
import sys
from pathlib import Path

os.environ["SYNETUNE_FOLDER"] = str(Path(sys.argv[1], "syne-tune"))  # read at the imports below
os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"] = str(Path(sys.argv[1], "sagemaker.json"))  # JSON is YAML

import json
import resource

from sagemaker.pytorch import PyTorch
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import SageMakerBackend
from syne_tune.backend.sagemaker_backend.sagemaker_utils import default_sagemaker_session
from syne_tune.config_space import uniform
from syne_tune.optimizer.baselines import ASHA

FOLDER = Path(sys.argv[1])
BUCKET = "s3://peer"
"""It is there already."""


def estimator(plan):
    """What the peer's launcher makes of a benchmark."""
    pool = {"keep_alive_period_in_seconds": 600} if plan["settings"]["warm_pool"] else {}
    return PyTorch(
        entry_point=Path(plan["script"]).name,
        source_dir=str(Path(plan["script"]).parent),
        role="arn:aws:iam::123456789012:role/SageMakerRole",
        image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/python:3",
        instance_count=1,
        instance_type="ml.c5.xlarge",
        max_run=int(1.2 * plan["wall"]),
        output_path=f"{BUCKET}/out",
        code_location=f"{BUCKET}/code",
        disable_profiler=True,
        debugger_hook_config=False,
        sagemaker_session=default_sagemaker_session(),
        **pool,
    )


def scheduler(plan):
    """ASHA that pauses and promotes."""
    space = {
        "x": uniform(0.0, 1.0),
        "y": uniform(0.0, 1.0),
        "epochs": plan["epochs"],
        "seconds": plan["seconds"],
    }
    return ASHA(
        space,
        metric="accuracy",
        mode="max",
        resource_attr="epoch",
        max_resource_attr="epochs",
        type="promotion",
        grace_period=1,
        reduction_factor=3,
        random_seed=plan["seed"],
        search_options={"debug_log": False},
    )


def main():
    """Tune until the time is over."""
    plan = json.loads((FOLDER / "plan.json").read_text())
    tuner = Tuner(
        trial_backend=SageMakerBackend(
            sm_estimator=estimator(plan), metrics_names=["accuracy"], s3_path=f"{BUCKET}/syne-tune"
        ),
        scheduler=scheduler(plan),
        stop_criterion=StoppingCriterion(max_wallclock_time=plan["wall"]),
        n_workers=plan["n_workers"],
        max_failures=1000,
        tuner_name="rate",
        start_jobs_without_delay=False,
    )
    error = ""
    try:
        tuner.run()
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
    status = tuner.tuning_status
    used = resource.getrusage(resource.RUSAGE_SELF)
    done = {
        "error": error,
        "n_trials": status.num_trials_started,
        "n_results": len(tuner.callbacks[0].results),
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "memory_mb": used.ru_maxrss / 1000,
    }
    (FOLDER / "done.json").write_text(json.dumps(done, indent=2))


if __name__ == "__main__":
    main()
