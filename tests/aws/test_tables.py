"""Images and accelerators."""

from __future__ import annotations

import gzip
import importlib.resources
import json
from datetime import date

import botocore.session
import pytest
from moto.utilities.utils import load_resource

from tunewright.aws import check_image, gpus_of, has_gpu, has_local_disks, image_uri, support_warning
from tunewright.aws.catalog import image_facts
from tunewright.exceptions import SettingsError


@pytest.mark.parametrize(
    ("region", "instance_type", "version", "expected"),
    [
        (
            "us-east-1",
            "ml.c5.xlarge",
            "2.12",
            "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.12-cpu-amzn2023-sagemaker",
        ),
        (
            "eu-south-1",
            "ml.g7e.2xlarge",
            "2.13",
            "692866216735.dkr.ecr.eu-south-1.amazonaws.com/pytorch:2.13-cu133-amzn2023-sagemaker",
        ),
        (
            "ap-southeast-7",
            "ml.g6.xlarge",
            "2.10",
            "590183813437.dkr.ecr.ap-southeast-7.amazonaws.com/pytorch-training:2.10.0-gpu-py313-cu130-ubuntu22.04-sagemaker",
        ),
        (
            "cn-north-1",
            "ml.p3.2xlarge",
            "2.6",
            "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-training:2.6.0-gpu-py312-cu126-ubuntu22.04-sagemaker",
        ),
    ],
)
def test_images(region: str, instance_type: str, version: str, expected: str) -> None:
    check_image(instance_type, version=version)
    assert image_uri(region, for_gpu=has_gpu(instance_type), version=version) == expected


def test_unknown_images_name_the_remedy() -> None:
    for region, version in (("mars-1", "2.12"), ("cn-north-1", "2.14")):
        with pytest.raises(SettingsError, match="--image_uri"):
            image_uri(region, for_gpu=False, version=version)
    with pytest.raises(SettingsError, match="pytorch"):
        image_uri("us-east-1", for_gpu=True, framework="pytorhc")
    with pytest.raises(SettingsError, match="pytorch"):
        image_uri("us-east-1", for_gpu=True, version="2.66")


def test_all_regions_of_training_have_an_image() -> None:
    session = botocore.session.get_session()
    regions = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("sagemaker", partition)
    ]
    assert len(regions) > 30
    for region in regions:
        assert f".dkr.ecr.{region}." in image_uri(region, for_gpu=True)


@pytest.mark.parametrize(
    ("instance_type", "version", "reason"),
    [
        (
            "ml.p6-b200.48xlarge",
            "2.6",
            r"CUDA 12\.6.* no code for .*B200: choose --framework_version 2\.7 or",
        ),
        ("ml.g7.2xlarge", "2.5", "no code for .*RTX PRO 4500"),
        (
            "ml.p3.2xlarge",
            "2.12",
            r"no code for .*V100: choose --framework_version 2\.5 or 2\.6 or 2\.7 or 2\.8,",
        ),
        ("ml.p2.xlarge", "2.6", "no code for .*K80: give an image"),
        ("ml.p6e-gb200.36xlarge", "2.12", "arm64"),
        ("ml.trn1.2xlarge", "2.12", "Neuron.*pytorch-training-neuronx:"),
    ],
)
def test_an_image_that_cannot_run_is_refused(instance_type: str, version: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as refused:
        check_image(instance_type, version=version)
    assert "--image_uri" in str(refused.value)


def test_the_default_image_runs_on_all_current_gpus_and_is_supported() -> None:
    for name in training_types():
        if name.startswith(("ml.p2.", "ml.p3", "ml.p6e-gb200.", "ml.trn")):
            continue
        check_image(name)
    assert support_warning(today=date(2026, 11, 29)) == ""


def test_a_warning_follows_the_end_of_support() -> None:
    assert support_warning(version="2.6", today=date(2026, 1, 29)) == ""
    assert "ended on 2026-01-29" in support_warning(version="2.6", today=date(2026, 1, 30))
    assert image_facts(version="2.6").startswith("supported by AWS until 2026-01-29 (docs/src/data/")


def training_types() -> list[str]:
    """All instance types that a CreateTrainingJob request may name."""
    model = botocore.session.get_session().get_service_model("sagemaker")
    return list(model.shape_for("TrainingInstanceType").enum)


def test_each_training_type_has_a_known_number_of_gpus() -> None:
    """A failure after an update of botocore: run ``scripts/aws_catalog``."""
    data = importlib.resources.files("moto").joinpath("ec2/resources/instance_types.json.gz").read_bytes()
    described = json.loads(gzip.decompress(data))
    for name in training_types():
        assert gpus_of(name) is not None, name
        assert bool(gpus_of(name)) == has_gpu(name), name
        if entry := described.get(name.removeprefix("ml.")):
            gpus = entry.get("GpuInfo", {"Gpus": []})["Gpus"]
            assert gpus_of(name) == sum(gpu["Count"] for gpu in gpus), name
    assert [gpus_of(f"ml.{name}") for name in ("p2.16xlarge", "p3.8xlarge", "p6e-gb200.36xlarge")] == [
        16,
        4,
        4,
    ]
    assert gpus_of("ml.g99.xlarge") is None


def test_local_disks() -> None:
    """Against EC2's DescribeInstanceTypes as moto ships it; it has no p2, p3 and p6e-gb200 any more."""
    known = load_resource("ec2/resources/instance_types.json")
    enum = botocore.session.Session().get_service_model("sagemaker").shape_for("TrainingInstanceType").enum
    types = {one: known[one[3:]].get("InstanceStorageSupported", False) for one in enum if one[3:] in known}
    assert len(types) > 200
    assert {one for one in types if has_local_disks(one)} == {one for one in types if types[one]}
    assert [has_local_disks(f"ml.{one}") for one in ("p6e-gb200.36xlarge", "p3.2xlarge", "p2.xlarge")] == [
        1,
        0,
        0,
    ]
