"""Code bundles, dry runs, estimates."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from moto import mock_aws

from tunewright.aws import resolve_endpoint, shipped_prices
from tunewright.backends.s3.code import CodeBundle, bundle_code, sources_of
from tunewright.backends.sagemaker import dry_run, estimate
from tunewright.backends.sagemaker.deployment import bundle, check_images, sources, unpriced_types
from tunewright.exceptions import BackendError, SettingsError
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.testing.jobs import job_settings

JOB: dict[str, Any] = {"order": {"resource_attr": "epoch"}, "poll_seconds": 1.0}
C5 = "table, us-east-1, 2026-09-27"
"""Origin of the price of ml.c5.xlarge."""


def code_of(script: str) -> CodeBundle:
    return bundle_code(sources_of(script), JOB)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "results"))
    (tmp_path / "train.py").write_text("def objective(lr): ...\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "net.py").write_text("")
    for junk in (".git/config", ".aws/credentials", ".env", "__pycache__/a.txt", "results/big", "stale.pyc"):
        (tmp_path / junk).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / junk).write_text("junk")
    return tmp_path


def test_the_scripts_folder_goes_without_junk(folder: Path) -> None:
    code = code_of(str(folder / "train.py"))
    assert set(code.files) == {"runner.pyz", "job.json", "source/train.py", "source/sub/net.py"}
    job = code.files["job.json"]
    assert isinstance(job, bytes)
    assert json.loads(job) == {**JOB, "order": {"resource_attr": "epoch", "script": "train.py"}}
    runner = code.files["runner.pyz"]
    assert isinstance(runner, bytes)
    (folder / "runner.pyz").write_bytes(runner)
    done = subprocess.run(
        [sys.executable, folder / "runner.pyz"], check=False, capture_output=True, text=True
    )
    assert "sagemaker" in done.stderr


def test_a_home_folder_is_not_sent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    with pytest.raises(SettingsError, match="a folder of its own"):
        code_of(str(folder / "train.py"))


def test_the_hash_is_of_the_content(folder: Path) -> None:
    script = str(folder / "train.py")
    before = code_of(script)
    assert code_of(script).prefix == before.prefix
    (folder / "sub" / "net.py").write_text("changed")
    assert code_of(script).prefix != before.prefix


def test_functions(folder: Path) -> None:
    code = code_of(f"{folder / 'train.py'}:objective")
    assert b'"script": "train.py:objective"' in code.files["job.json"]  # type: ignore[operator]
    module = code_of("wsgiref.util:guess_scheme")
    assert "source/wsgiref/util.py" in module.files
    assert "source/this.py" in code_of("this:d").files


@pytest.mark.parametrize("script", ["missing.py", "missing.py:name", "missing_module_xyz:name", "sys:exit"])
def test_a_missing_script_is_named(script: str) -> None:
    with pytest.raises(SettingsError, match="check the"):
        code_of(script)


@pytest.mark.parametrize("style", ["list", "hydra", "config_json"])
def test_jobs_get_the_style_of_their_arguments(folder: Path, style: str) -> None:
    settings = job_settings(script=str(folder / "train.py"), argument_style=style)
    job = bundle(resolve_endpoint("embedded"), settings, sources(settings)).files["job.json"]
    assert isinstance(job, bytes)
    assert json.loads(job)["order"]["arguments"] == style


def test_many_files_are_worth_a_word(make_driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.backends.sagemaker.deployment.MANY_FILES", 1)
    driver = make_driver()
    assert "every job downloads" in driver.backend.summary().notices[0]


def test_a_key_that_is_not_for_the_disk_is_worth_a_word(make_driver: Any) -> None:
    types = "ml.g5.xlarge,ml.c5.xlarge"
    (notice,) = make_driver(kms_key="alias/mine", instance_type=types).backend.summary().notices
    assert notice.startswith("ml.g5.xlarge: local NVMe disks")
    assert make_driver(kms_key="alias/mine", instance_type="ml.c5.xlarge").backend.summary().notices == ()


def test_a_dry_run_on_the_embedded_endpoint_starts_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(folder / "home"))
    fields = dry_run(
        job_settings(script=str(folder / "train.py"), warm_pool=True),
        {"lr": 0.1},
        experiment="my_experiment",
        endpoint=resolve_endpoint("embedded"),
        until=1,
    )
    assert fields["HyperParameters"]["lr"] == "0.1"
    assert fields["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600
    assert fields["TrainingJobName"].endswith("-0-0-0")
    assert not (folder / "home").exists()


def fields_of(request: Any, path: str = "") -> set[str]:
    """Names of all fields, as in the table of the docs; hyperparameters are one field."""
    if isinstance(request, dict) and path != "HyperParameters":
        members = cast(dict[str, Any], request)
        parts = [fields_of(value, f"{path}.{name}" if path else name) for name, value in members.items()]
    elif isinstance(request, list):
        items = cast(list[Any], request)
        parts = [fields_of(item, path) for item in items]
    else:
        parts = [{path}]
    return {name for part in parts for name in part}


def test_the_docs_name_every_field_of_the_request(folder: Path) -> None:
    request = dry_run(
        job_settings(script=str(folder / "train.py"), warm_pool=True),
        {"lr": 0.1},
        experiment="x",
        endpoint=resolve_endpoint("embedded"),
        until=1,
    )
    page = (Path(__file__).parents[3] / "docs" / "reference" / "sagemaker.md").read_text()
    table = page[page.index("## The request, field by field") :]
    named = {
        name for line in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(.*?)`", line)
    }
    assert named == fields_of(request) | {"Environment"}


def test_a_dry_run_on_aws_looks_the_role_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TUNEWRIGHT_SAGEMAKER_ROLE", "AWS_ROLE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws(), pytest.raises(BackendError, match="--role"):
        dry_run(
            job_settings(script=str(folder / "train.py")),
            {},
            experiment="x",
            endpoint=resolve_endpoint("aws", region="us-east-1"),
        )


def test_estimates() -> None:
    known = estimate(job_settings(n_workers=3, instance_count=2, warm_pool=True))
    assert known.price is not None
    assert known.price.dollars_per_hour == pytest.approx(6 * 0.204)
    assert str(known) == f"up to 6 x ml.c5.xlarge, kept warm between trials: at most $1.22 an hour ({C5})"
    spot = estimate(job_settings(spot=True))
    assert str(spot) == f"up to 4 x ml.c5.xlarge spot: at most $0.82 an hour ({C5}), their price on demand"
    unknown = estimate(job_settings(instance_type="ml.z9.large"))
    assert str(unknown) == "up to 4 x ml.z9.large: at most an unknown price"
    given = estimate(job_settings(instance_type="ml.z9.large", price_per_hour=2))
    assert str(given) == "up to 4 x ml.z9.large: at most $8.00 an hour (--price_per_hour)"


def test_types_without_a_price_are_found_in_settings_and_space() -> None:
    listed = shipped_prices()
    assert unpriced_types(job_settings(instance_type="ml.c5.xlarge,ml.m5.large"), listed) == []
    several = job_settings(instance_type="ml.c5.xlarge,ml.z9.large")
    assert unpriced_types(several, listed) == ["ml.z9.large"]
    assert unpriced_types(job_settings(instance_type="ml.z9.large", price_per_hour=2), listed) == []
    space = SearchSpace({"x": Float(0, 1), "st_instance_type": Categorical(["ml.c5.xlarge", "ml.z9.large"])})
    assert unpriced_types(job_settings(space=space), listed) == ["ml.z9.large"]
    assert unpriced_types(
        job_settings(space=SearchSpace({"x": Float(0, 1), "instance_type": "ml.z9.large"})), listed
    )


def test_images_are_checked_for_all_types_unless_one_is_given(folder: Path) -> None:
    script = str(folder / "train.py")
    space = SearchSpace({"x": Float(0, 1), "instance_type": Categorical(["ml.c5.xlarge", "ml.trn1.2xlarge"])})
    for given in ({"instance_type": "ml.c5.xlarge,ml.trn1.2xlarge"}, {"space": space}):
        settings = job_settings(script=script, **given)
        with pytest.raises(SettingsError, match="Neuron"):
            dry_run(settings, {"x": 0.5}, experiment="x", endpoint=resolve_endpoint("embedded"))
        assert check_images(job_settings(script=script, image_uri="mine", **given)) == ""
    assert "ended on 2026-01-29" in check_images(job_settings(framework_version="2.6"))
    fields = dry_run(
        job_settings(script=script, framework_version="2.6"),
        {"x": 0.5},
        experiment="x",
        endpoint=resolve_endpoint("embedded"),
    )
    assert "pytorch-training:2.6.0-cpu" in fields["AlgorithmSpecification"]["TrainingImage"]
