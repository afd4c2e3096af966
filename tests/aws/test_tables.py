"""Images and prices."""

from __future__ import annotations

import pytest
from botocore import session
from moto.utilities.utils import load_resource

from tunewright.aws import has_gpu, has_local_disks, image_uri, price_per_hour
from tunewright.aws.catalog import PRICES
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


def test_local_disks() -> None:
    """Against EC2's DescribeInstanceTypes as moto ships it; it has no p2, p3 and p6e-gb200 any more."""
    known = load_resource("ec2/resources/instance_types.json")
    enum = session.Session().get_service_model("sagemaker").shape_for("TrainingInstanceType").enum
    types = {one: known[one[3:]].get("InstanceStorageSupported", False) for one in enum if one[3:] in known}
    assert len(types) > 200
    assert {one for one in types if has_local_disks(one)} == {one for one in types if types[one]}
    assert [has_local_disks(f"ml.{one}") for one in ("p6e-gb200.36xlarge", "p3.2xlarge", "p2.xlarge")] == [
        1,
        0,
        0,
    ]


def test_prices() -> None:
    assert len(PRICES) == 54
    assert price_per_hour("ml.c5.xlarge") == 0.238
    assert price_per_hour("ml.g5.48xlarge") == 20.36
    assert price_per_hour("ml.z9.xlarge") is None
