"""The definitions of the real benchmarks, and their scripts as far as PyTorch is not needed."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from tunewright.aws.catalog import has_gpu, price_per_hour
from tunewright.benchmarks import REAL_BENCHMARKS, RealBenchmarkDefinition, real_benchmark_definitions
from tunewright.benchmarks.real import (
    finetune_transformer_glue_benchmark,
    lstm_wikitext2_benchmark,
    mlp_fashionmnist_benchmark,
    resnet_cifar10_benchmark,
)
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.space import Float, Integer

SCRIPTS = Path(sys.modules["tunewright.benchmarks"].__file__ or "").parent / "scripts"


def flags_of(benchmark: RealBenchmarkDefinition) -> set[str]:
    """The names of the flags that a script and what it imports declare."""
    found: set[str] = set()
    for path in (*Path(benchmark.script).parent.glob("*.py"), *map(Path, benchmark.dependencies)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
                names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                found |= {str(name).removeprefix("--") for name in names}
    return found


@pytest.mark.parametrize("name", REAL_BENCHMARKS)
@pytest.mark.parametrize("sagemaker_backend", [False, True])
def test_a_definition_holds_together(name: str, sagemaker_backend: bool) -> None:
    benchmark = REAL_BENCHMARKS[name](sagemaker_backend)
    benchmark.check_script()
    assert benchmark.name == name
    assert benchmark.resource_attr == "epoch"
    assert benchmark.max_resource == benchmark.space.constants[str(benchmark.max_resource_attr)]
    assert price_per_hour(str(benchmark.instance_type)) is not None
    assert (Path(benchmark.script).parent / "requirements.txt").is_file()
    assert set(benchmark.space) <= flags_of(benchmark)
    again = RealBenchmarkDefinition.from_json(json.loads(json.dumps(benchmark.to_json())))
    assert again.to_json() == benchmark.to_json()


def test_each_trial_has_a_gpu_of_its_own() -> None:
    alone = resnet_cifar10_benchmark(sagemaker_backend=True)
    together = resnet_cifar10_benchmark(sagemaker_backend=False)
    assert (alone.instance_type, alone.n_workers) == ("ml.g4dn.xlarge", 4)
    assert (together.instance_type, together.n_workers) == ("ml.g4dn.12xlarge", 4)
    assert lstm_wikitext2_benchmark(sagemaker_backend=True).n_workers == 8
    assert lstm_wikitext2_benchmark(sagemaker_backend=False).n_workers == 4
    for name, factory in REAL_BENCHMARKS.items():
        if has_gpu(str(factory(True).instance_type)):
            assert factory(False).instance_type == "ml.g4dn.12xlarge", name


def test_the_space_of_resnet_cifar10() -> None:
    space = resnet_cifar10_benchmark().space
    assert dict(space.domains) == {
        "batch_size": Integer(8, 256),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Float(1e-5, 1e-3, log=True),
        "lr": Float(1e-3, 0.1, log=True),
    }
    assert space.constants == {"epochs": 27, "dataset_path": "./", "num_gpus": 1}


def test_overrides_are_checked() -> None:
    changed = mlp_fashionmnist_benchmark(n_workers=2, max_wallclock_time=60.0)
    assert (changed.n_workers, changed.max_wallclock_time) == (2, 60.0)
    assert mlp_fashionmnist_benchmark(max_resource=9).space.constants["epochs"] == 9
    with pytest.raises(UnknownNameError, match="n_workers"):
        mlp_fashionmnist_benchmark(n_worker=2)
    with pytest.raises(SettingsError, match="n_workers must be positive"):
        mlp_fashionmnist_benchmark(n_workers=0)


def test_a_task_of_glue() -> None:
    benchmark = finetune_transformer_glue_benchmark(task="cola", choose_model=True)
    assert benchmark.name == "finetune_transformer_glue_modsel_cola"
    assert benchmark.metrics[0].name == "eval_matthews_correlation"
    assert [point["model_name_or_path"] for point in benchmark.points_to_evaluate or ()] == [
        "bert-base-cased"
    ]
    with pytest.raises(UnknownNameError, match="mrpc"):
        finetune_transformer_glue_benchmark(task="mprc")


def test_scripts_import_only_what_travels_with_them() -> None:
    shared = {path.stem for path in (SCRIPTS / "shared").glob("*.py")}
    for benchmark in real_benchmark_definitions().values():
        script = Path(benchmark.script)
        named = {Path(one).stem for one in benchmark.dependencies}
        imported = {
            node.module
            for source in (script, *map(Path, benchmark.dependencies))
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module in shared
        }
        assert imported <= named, benchmark.name
        benchmark.check_script()


def test_a_dependency_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"no dependency .*gone\.py"):
        mlp_fashionmnist_benchmark(dependencies=("gone.py",)).check_script()


def test_a_folder_of_a_script_needs_nothing_else_of_ours() -> None:
    for path in SCRIPTS.glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tunewright"):
                assert node.module in {"tunewright", "tunewright.report"}
