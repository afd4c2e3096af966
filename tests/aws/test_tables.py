"""Images and accelerators."""

from __future__ import annotations

import gzip
import importlib.resources
import json

import botocore.session
import pytest

from tunewright.aws import gpus_of, has_gpu, image_uri
from tunewright.exceptions import SettingsError


@pytest.mark.parametrize(
    ("region", "instance_type", "expected"),
    [
        (
            "us-east-1",
            "ml.c5.xlarge",
            "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.6.0-cpu-py312-ubuntu22.04-sagemaker",
        ),
        (
            "eu-south-1",
            "ml.g4dn.xlarge",
            "692866216735.dkr.ecr.eu-south-1.amazonaws.com/pytorch-training:2.6.0-gpu-py312-cu126-ubuntu22.04-sagemaker",
        ),
        (
            "cn-north-1",
            "ml.p3.2xlarge",
            "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-training:2.6.0-gpu-py312-cu126-ubuntu22.04-sagemaker",
        ),
    ],
)
def test_images(region: str, instance_type: str, expected: str) -> None:
    assert image_uri(region, for_gpu=has_gpu(instance_type)) == expected


def test_unknown_images_name_the_remedy() -> None:
    with pytest.raises(SettingsError, match="--image_uri"):
        image_uri("mars-1", for_gpu=False)
    with pytest.raises(SettingsError, match="pytorch"):
        image_uri("us-east-1", for_gpu=True, framework="pytorhc")
    with pytest.raises(SettingsError, match="pytorch"):
        image_uri("us-east-1", for_gpu=True, version="2.66")


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
