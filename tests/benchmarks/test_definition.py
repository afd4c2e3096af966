"""Benchmarks as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.benchmarks import RealBenchmarkDefinition, real_benchmark_definitions
from tunewright.benchmarks.real import mlp_digits_benchmark
from tunewright.exceptions import SettingsError, SpaceError
from tunewright.metric import Goal, Metric
from tunewright.space import Float, SearchSpace


def benchmark(**changes: Any) -> RealBenchmarkDefinition:
    fields: dict[str, Any] = {
        "name": "toy",
        "script": __file__,
        "space": SearchSpace({"x": Float(0.0, 1.0)}),
        "metrics": (Metric("loss"),),
    }
    return RealBenchmarkDefinition(**{**fields, **changes})


def test_a_definition_survives_json() -> None:
    original = benchmark(
        max_resource=9,
        max_resource_attr="epochs",
        points_to_evaluate=({"x": 0.5},),
        environment={"A": "1"},
        request_template={"VpcConfig": {"Subnets": ["s"]}},
        metrics=(Metric("loss"), Metric("acc", Goal.MAXIMIZE)),
    )
    again = RealBenchmarkDefinition.from_json(json.loads(json.dumps(original.to_json())))
    assert again.to_json() == original.to_json()
    assert again.metrics == original.metrics
    assert again.points_to_evaluate == ({"x": 0.5},)


@pytest.mark.parametrize("data", [{}, {"space": {"x": {"type": "float", "low": 0, "high": 1}}, "metrics": 3}])
def test_data_that_are_no_definition_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        RealBenchmarkDefinition.from_json(data)


def test_the_full_resource_is_the_constant_of_the_space() -> None:
    space = SearchSpace({"x": Float(0.0, 1.0), "epochs": 27})
    assert benchmark(space=space, max_resource_attr="epochs").max_resource == 27
    assert benchmark(max_resource_attr="epochs", max_resource=5).space["epochs"] == 5
    with pytest.raises(SettingsError, match="max_resource is 5"):
        benchmark(space=space, max_resource_attr="epochs", max_resource=5)
    with pytest.raises(SettingsError, match="constant 'x'"):
        benchmark(max_resource_attr="x", max_resource=5)
    with pytest.raises(SettingsError, match="constant 'epochs'"):
        benchmark(max_resource_attr="epochs")


def test_replacing_checks_names_and_values() -> None:
    original = mlp_digits_benchmark()
    assert original.replace(n_workers=None).n_workers == 4
    assert original.replace(max_resource=9).space["epochs"] == 9
    with pytest.raises(SettingsError, match="Did you mean 'n_workers'"):
        original.replace(n_worker=2)
    with pytest.raises(SettingsError, match="n_workers must be positive"):
        original.replace(n_workers=0)


def test_fields_that_cannot_work_are_refused() -> None:
    with pytest.raises(SettingsError, match="needs a metric"):
        benchmark(metrics=())
    with pytest.raises(SpaceError, match="has no 'y'"):
        benchmark(points_to_evaluate=({"y": 1},))


def test_a_script_is_a_file_or_a_function(tmp_path: Path) -> None:
    benchmark().check_script()
    benchmark(script="module:name").check_script()
    benchmark(script=f"{__file__}:name").check_script()
    for missing in (str(tmp_path / "no.py"), f"{tmp_path}/no.py:name"):
        with pytest.raises(SettingsError, match="no training script"):
            benchmark(script=missing).check_script()


def test_mlp_digits_is_as_documented() -> None:
    here, there = mlp_digits_benchmark(), mlp_digits_benchmark(sagemaker_backend=True)
    assert there.instance_type == "ml.c5.xlarge"
    assert (here.n_workers, here.max_wallclock_time, here.max_resource) == (4, 120, 27)
    assert here.metrics == (Metric("accuracy", Goal.MAXIMIZE),)
    assert len(here.space.names) == 5


def test_all_real_benchmarks_have_their_script_and_requirements() -> None:
    for name, definition in real_benchmark_definitions(True, n_workers=2).items():
        assert definition.name == name
        assert definition.n_workers == 2
        definition.check_script()
        assert Path(definition.script).with_name("requirements.txt").is_file()


def test_a_script_of_the_package_is_found_where_the_package_is_here() -> None:
    """Experiments that were fetched from tuning jobs go on here."""
    benchmark = mlp_digits_benchmark()
    data = benchmark.to_json()
    for place in ("/opt/ml/site", "/home/somebody/lib/python3.12/site-packages"):
        data["script"] = f"{place}/tunewright/benchmarks/scripts/mlp_digits/mlp_digits.py"
        assert RealBenchmarkDefinition.from_json(data) == benchmark
    data["script"] = "/opt/ml/site/tunewright/benchmarks/scripts/mlp_digits/other.py"
    assert RealBenchmarkDefinition.from_json(data).script == data["script"]
