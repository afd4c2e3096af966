"""Images."""

from __future__ import annotations

import pytest

from tunewright.aws import has_gpu, image_uri
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
