"""The real benchmarks: training scripts of ``scripts/`` with their spaces, limits and machines.

A benchmark is one function with the decorator :func:`_benchmark`, which puts it into :data:`REAL_BENCHMARKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import UnknownNameError
from tunewright.metric import Goal, Metric
from tunewright.space import Categorical, Float, Integer, SearchSpace

Factory: TypeAlias = Callable[..., RealBenchmarkDefinition]
"""``(sagemaker_backend, **overrides)``; overrides replace fields of the definition."""

_SCRIPTS: Final = Path(__file__).parent / "scripts"
_FACTORIES: Final[dict[str, Factory]] = {}

REAL_BENCHMARKS: Final[Mapping[str, Factory]] = _FACTORIES
"""Name -> factory of a definition."""


def real_benchmark_definitions(
    sagemaker_backend: bool = False, **overrides: Any
) -> dict[str, RealBenchmarkDefinition]:
    """All real benchmarks by name.

    Parameters
    ----------
    sagemaker_backend
        Whether each trial has an instance of its own (SageMaker), or all trials share this machine.
    **overrides
        Fields of `RealBenchmarkDefinition` that replace those of every benchmark; None has no effect.

    Raises
    ------
    SettingsError
        An override is not a field, or its value is invalid.
    """
    return {name: factory(sagemaker_backend, **overrides) for name, factory in REAL_BENCHMARKS.items()}


def _benchmark(name: str) -> Callable[[Factory], Factory]:
    """Register the factory of a benchmark."""

    def register(factory: Factory) -> Factory:
        _FACTORIES[name] = factory
        return factory

    return register


def _script(name: str) -> str:
    return str(_SCRIPTS / name / f"{name}.py")


def _shared(*names: str) -> tuple[str, ...]:
    """Modules of ``scripts/shared`` that a script imports."""
    return tuple(str(_SCRIPTS / "shared" / f"{name}.py") for name in names)


@_benchmark("mlp_digits")
def mlp_digits_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """A small network on scikit-learn's digits; minutes on any machine.

    A CPU instance serves both backends: with SageMaker each trial has one of its own.
    """
    space = SearchSpace(
        {
            "n_units": Integer(16, 256, log=True),
            "batch_size": Integer(8, 128, log=True),
            "learning_rate": Float(1e-4, 1e-1, log=True),
            "weight_decay": Float(1e-5, 1.0, log=True),
            "dropout": Float(0.0, 0.7),
            "epochs": 27,
        }
    )
    return RealBenchmarkDefinition(
        name="mlp_digits",
        script=_script("mlp_digits"),
        space=space,
        metrics=(Metric("accuracy", Goal.MAXIMIZE),),
        max_wallclock_time=120.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.c5.xlarge" if sagemaker_backend else "ml.c5.4xlarge",
        framework="pytorch",  # its image has NumPy; requirements.txt brings scikit-learn
    ).replace(**overrides)


@_benchmark("mlp_fashionmnist")
def mlp_fashionmnist_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """A network with two hidden layers on Fashion-MNIST; no GPU needed.

    The same instance for both backends; with SageMaker each trial has all of its eight cores.
    """
    space = SearchSpace(
        {
            "n_units_1": Integer(4, 1024),
            "n_units_2": Integer(4, 1024),
            "batch_size": Integer(8, 128),
            "dropout_1": Float(0.0, 0.99),
            "dropout_2": Float(0.0, 0.99),
            "learning_rate": Float(1e-6, 1.0, log=True),
            "weight_decay": Float(1e-8, 1.0, log=True),
            "epochs": 81,
            "dataset_path": "./",
            "report_current_best": "False",
        }
    )
    return RealBenchmarkDefinition(
        name="mlp_fashionmnist",
        script=_script("mlp_fashionmnist"),
        dependencies=_shared("training"),
        space=space,
        metrics=(Metric("accuracy", Goal.MAXIMIZE),),
        max_wallclock_time=3 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.c5.4xlarge",
        environment={"OMP_NUM_THREADS": "8"} if sagemaker_backend else {},
    ).replace(**overrides)


@_benchmark("resnet_cifar10")
def resnet_cifar10_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """A ResNet-18 on CIFAR-10.

    With SageMaker each trial has an instance with one GPU; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "batch_size": Integer(8, 256),
            "momentum": Float(0.0, 0.99),
            "weight_decay": Float(1e-5, 1e-3, log=True),
            "lr": Float(1e-3, 0.1, log=True),
            "epochs": 27,
            "dataset_path": "./",
            "num_gpus": 1,
        }
    )
    return RealBenchmarkDefinition(
        name="resnet_cifar10",
        script=_script("resnet_cifar10"),
        dependencies=_shared("training"),
        space=space,
        metrics=(Metric("objective", Goal.MAXIMIZE),),
        max_wallclock_time=3 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
    ).replace(**overrides)


@_benchmark("lstm_wikitext2")
def lstm_wikitext2_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """A recurrent language model on WikiText-2.

    With SageMaker eight trials have an instance with one GPU each; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "lr": Float(1.0, 50.0, log=True),
            "dropout": Float(0.0, 0.99),
            "batch_size": Integer(8, 256),
            "clip": Float(0.1, 2.0),
            "lr_factor": Float(1.0, 100.0, log=True),
            "epochs": 81,
            "dataset_path": "./",
            "report_current_best": "False",
        }
    )
    return RealBenchmarkDefinition(
        name="lstm_wikitext2",
        script=_script("lstm_wikitext2"),
        dependencies=_shared("training", "wikitext"),
        space=space,
        metrics=(Metric("objective", Goal.MAXIMIZE),),
        max_wallclock_time=7 * 3600.0,
        n_workers=8 if sagemaker_backend else 4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
    ).replace(**overrides)


@_benchmark("transformer_wikitext2")
def transformer_wikitext2_benchmark(
    sagemaker_backend: bool = False, **overrides: Any
) -> RealBenchmarkDefinition:
    """A small transformer as language model on WikiText-2.

    With SageMaker each trial has an instance with one GPU; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "lr": Float(1e-6, 1e-3, log=True),
            "dropout": Float(0.0, 0.99),
            "batch_size": Integer(16, 48),
            "momentum": Float(0.0, 0.99),
            "clip": Float(0.0, 1.0),
            "epochs": 40,
            "d_model": 256,
            "ffn_ratio": 1,
            "nlayers": 2,
            "nhead": 2,
            "bptt": 35,
            "optimizer": "sgd",
            "dataset_path": "./",
            "seed": 1111,
            "precision": "float",
            "log_interval": 200,
            "use_cuda": 1,
        }
    )
    return RealBenchmarkDefinition(
        name="transformer_wikitext2",
        script=_script("transformer_wikitext2"),
        dependencies=_shared("training", "wikitext"),
        space=space,
        metrics=(Metric("val_loss", Goal.MINIMIZE),),
        max_wallclock_time=5 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
    ).replace(**overrides)


@_benchmark("distilbert_imdb")
def distilbert_imdb_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """DistilBERT fine-tuned on film reviews.

    With SageMaker each trial has an instance with one GPU; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "learning_rate": Float(1e-6, 1e-4, log=True),
            "weight_decay": Float(1e-6, 1e-4, log=True),
            "epochs": 15,
            "dataset_path": "./",
        }
    )
    return RealBenchmarkDefinition(
        name="distilbert_imdb",
        script=_script("distilbert_imdb"),
        dependencies=_shared("training", "finetuning"),
        space=space,
        metrics=(Metric("accuracy", Goal.MAXIMIZE),),
        max_wallclock_time=3 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
    ).replace(**overrides)


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
"""Task of GLUE -> tuned metric."""

_GLUE_MODELS: Final = (
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
"""Pretrained models that the ``modsel`` benchmarks choose from; the other benchmarks use the first."""

_GLUE_DEFAULT: Final = {"learning_rate": 2e-5, "per_device_train_batch_size": 32, "warmup_ratio": 0.0}
"""Usual hyperparameters without tuning; the first configuration."""


def finetune_transformer_glue_benchmark(
    sagemaker_backend: bool = False, *, task: str = "rte", choose_model: bool = False, **overrides: Any
) -> RealBenchmarkDefinition:
    """A transformer fine-tuned on one of the nine tasks of GLUE.

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
        The task or the field is unknown.
    """
    if task not in GLUE_METRICS:
        raise UnknownNameError("task of GLUE", task, GLUE_METRICS)
    space = SearchSpace(
        {
            "learning_rate": Float(1e-6, 1e-4, log=True),
            "per_device_train_batch_size": Integer(16, 48),
            "warmup_ratio": Float(0.0, 0.5),
            "model_name_or_path": Categorical(_GLUE_MODELS) if choose_model else _GLUE_MODELS[0],
            "num_train_epochs": 3,
            "task_name": task,
            "train_valid_fraction": 0.7,
            "seed": 31415927,
            "max_seq_length": 128,
            "dataset_path": "./",
        }
    )
    first = {**_GLUE_DEFAULT, "model_name_or_path": _GLUE_MODELS[0]} if choose_model else _GLUE_DEFAULT
    return RealBenchmarkDefinition(
        name=_glue_name(task, choose_model=choose_model),
        script=_script("finetune_transformer_glue"),
        dependencies=_shared("training", "finetuning"),
        space=space,
        metrics=(Metric(f"eval_{GLUE_METRICS[task]}", Goal.MAXIMIZE),),
        max_wallclock_time=2700.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="num_train_epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
        points_to_evaluate=(first,),
    ).replace(**overrides)


def _glue_name(task: str, *, choose_model: bool) -> str:
    return f"finetune_transformer_glue_{'modsel_' if choose_model else ''}{task}"


for _choose in (False, True):
    for _task in GLUE_METRICS:
        _FACTORIES[_glue_name(_task, choose_model=_choose)] = partial(
            finetune_transformer_glue_benchmark, task=_task, choose_model=_choose
        )


_SWAG_DEFAULT: Final = {
    "learning_rate": 5e-5,
    "warmup_ratio": 0.0,
    "weight_decay": 0.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "max_grad_norm": 1.0,
}
"""Usual hyperparameters without tuning; the first configuration."""


@_benchmark("finetune_transformer_swag")
def finetune_transformer_swag_benchmark(
    sagemaker_backend: bool = False, **overrides: Any
) -> RealBenchmarkDefinition:
    """A transformer fine-tuned to choose the end of a sentence.

    With SageMaker each trial has an instance with one GPU; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "learning_rate": Float(1e-6, 1e-4, log=True),
            "warmup_ratio": Float(0.0, 0.5),
            "weight_decay": Float(0.0, 0.1),
            "adam_beta1": Float(0.0, 0.9999),
            "adam_beta2": Float(0.0, 0.9999),
            "adam_epsilon": Float(1e-10, 1e-6, log=True),
            "max_grad_norm": Float(0.0, 2.0),
            "per_device_train_batch_size": 8,
            "epochs": 3,
            "dataset_path": "./",
        }
    )
    return RealBenchmarkDefinition(
        name="finetune_transformer_swag",
        script=_script("finetune_transformer_swag"),
        dependencies=_shared("training", "finetuning"),
        space=space,
        metrics=(Metric("eval_accuracy", Goal.MAXIMIZE),),
        max_wallclock_time=5 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
        points_to_evaluate=(_SWAG_DEFAULT,),
    ).replace(**overrides)
