"""finetune_transformer_glue_TASK and ..._modsel_TASK: transformers fine-tuned on the nine tasks of GLUE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.shared import shared_modules
from tunewright.exceptions import UnknownNameError
from tunewright.metric import Goal, Metric
from tunewright.space import Categorical, Float, Integer, SearchSpace

SCRIPT = Path(__file__).parent / "scripts" / "finetune_transformer_glue" / "finetune_transformer_glue.py"

GLUE_METRICS: Final[Mapping[str, str]] = {
    "cola": "matthews_correlation",
    "mnli": "accuracy",
    "mrpc": "f1",
    "qnli": "accuracy",
    "qqp": "f1",
    "rte": "accuracy",
    "sst2": "accuracy",
    "stsb": "spearmanr",
    "wnli": "accuracy",
}
"""Task -> what is tuned."""

MODELS: Final = (
    "bert-base-cased",
    "bert-base-uncased",
    "distilbert-base-uncased",
    "distilbert-base-cased",
    "roberta-base",
    "albert-base-v2",
    "distilroberta-base",
    "xlnet-base-cased",
    "albert-base-v1",
)
"""The pretrained models between which the ``modsel`` benchmarks choose as well; the others take the first."""

DEFAULT_CONFIG: Final = {"learning_rate": 2e-5, "per_device_train_batch_size": 32, "warmup_ratio": 0.0}
"""What one would use without tuning; the first configuration."""


def finetune_transformer_glue_benchmark(
    sagemaker_backend: bool = False, *, task: str = "rte", choose_model: bool = False, **overrides: Any
) -> RealBenchmarkDefinition:
    """The definition; ``overrides`` replace its fields.

    With SageMaker each trial has an instance with one GPU; on one machine four trials share four GPUs.

    Parameters
    ----------
    sagemaker_backend
        Whether each trial has an instance of its own.
    task
        One of :data:`GLUE_METRICS`.
    choose_model
        Whether the pretrained model is a hyperparameter (``modsel``).
    **overrides
        Fields of the definition.

    Raises
    ------
    UnknownNameError
        There is no such task, or no such field.
    """
    if task not in GLUE_METRICS:
        raise UnknownNameError("task of GLUE", task, GLUE_METRICS)
    space = SearchSpace(
        {
            "learning_rate": Float(1e-6, 1e-4, log=True),
            "per_device_train_batch_size": Integer(16, 48),
            "warmup_ratio": Float(0.0, 0.5),
            "model_name_or_path": Categorical(MODELS) if choose_model else MODELS[0],
            "num_train_epochs": 3,
            "task_name": task,
            "train_valid_fraction": 0.7,
            "seed": 31415927,
            "max_seq_length": 128,
            "dataset_path": "./",
        }
    )
    first = {**DEFAULT_CONFIG, "model_name_or_path": MODELS[0]} if choose_model else DEFAULT_CONFIG
    return RealBenchmarkDefinition(
        name=f"finetune_transformer_glue_{'modsel_' if choose_model else ''}{task}",
        script=str(SCRIPT),
        dependencies=shared_modules("training", "finetuning"),
        space=space,
        metrics=(Metric(f"eval_{GLUE_METRICS[task]}", Goal.MAXIMIZE),),
        max_wallclock_time=2700.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="num_train_epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
        points_to_evaluate=(first,),
    ).replace(**overrides)


GLUE_BENCHMARKS: Final[Mapping[str, Callable[..., RealBenchmarkDefinition]]] = {
    f"finetune_transformer_glue_{'modsel_' if choose_model else ''}{task}": partial(
        finetune_transformer_glue_benchmark, task=task, choose_model=choose_model
    )
    for choose_model in (False, True)
    for task in GLUE_METRICS
}
"""All eighteen by name."""
