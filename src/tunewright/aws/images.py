"""Container images of AWS for training, by framework and region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tunewright.exceptions import SettingsError, UnknownNameError

IMAGES_DATE: Final = "2026-11"
"""When the tags were last looked up in the lists of AWS Deep Learning Containers."""

_TAGS: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "pytorch": {
        "2.6": {
            "cpu": "2.6.0-cpu-py312-ubuntu22.04-sagemaker",
            "gpu": "2.6.0-gpu-py312-cu126-ubuntu22.04-sagemaker",
        },
        "2.5": {
            "cpu": "2.5.1-cpu-py311-ubuntu22.04-sagemaker",
            "gpu": "2.5.1-gpu-py311-cu124-ubuntu22.04-sagemaker",
        },
    },
}

_REPOSITORIES: Final[Mapping[str, str]] = {"pytorch": "pytorch-training"}

_MAIN_ACCOUNT: Final = "763104351884"

_MAIN_REGIONS: Final = frozenset(
    {
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    }
)

_OTHER_ACCOUNTS: Final[Mapping[str, str]] = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-northeast-3": "364406365360",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-south-1": "692866216735",
    "me-south-1": "217643126080",
    "us-gov-west-1": "442386744353",
}
"""Accounts that own the images in regions of their own (the SageMaker SDK's list for PyTorch)."""

_GPU_FAMILIES: Final = ("g", "p")


def has_gpu(instance_type: str) -> bool:
    """Whether an instance type has NVIDIA GPUs: the families ``g...`` and ``p...``."""
    return instance_type.removeprefix("ml.").startswith(_GPU_FAMILIES)


_GPUS: Final[Mapping[str, int]] = {
    "p2.8xlarge": 8,
    "p2.16xlarge": 16,
    "p3.8xlarge": 4,
    "p3.16xlarge": 8,
    "p3dn.24xlarge": 8,
    "p4d.24xlarge": 8,
    "p4de.24xlarge": 8,
    "p5.48xlarge": 8,
    "p5e.48xlarge": 8,
    "p5en.48xlarge": 8,
    "g4dn.12xlarge": 4,
    "g5.12xlarge": 4,
    "g5.24xlarge": 4,
    "g5.48xlarge": 8,
    "g6.12xlarge": 4,
    "g6.24xlarge": 4,
    "g6.48xlarge": 8,
    "g6e.12xlarge": 4,
    "g6e.24xlarge": 4,
    "g6e.48xlarge": 8,
}
"""Instance types with several GPUs."""


def gpus_of(instance_type: str) -> int:
    """How many NVIDIA GPUs an instance type has; 1 for a type of a GPU family that is not known."""
    return _GPUS.get(instance_type.removeprefix("ml."), 1) if has_gpu(instance_type) else 0


def image_uri(region: str, *, for_gpu: bool, framework: str = "pytorch", version: str = "2.6") -> str:
    """The training image of AWS for a framework.

    Parameters
    ----------
    region
        Such as ``us-east-1``.
    for_gpu
        Whether the instances have GPUs.
    framework
        ``pytorch``.
    version
        Major and minor version.

    Returns
    -------
    str
        The image's address in the registry of that region.

    Raises
    ------
    UnknownNameError
        Framework or version are not in the table.
    SettingsError
        AWS has no registry that we know of in that region.
    """
    if framework not in _TAGS:
        raise UnknownNameError("framework", framework, _TAGS)
    versions = _TAGS[framework]
    if version not in versions:
        raise UnknownNameError(f"version of {framework}", version, versions)
    account = _MAIN_ACCOUNT if region in _MAIN_REGIONS else _OTHER_ACCOUNTS.get(region)
    if account is None:
        raise SettingsError(f"No {framework} image is known for region {region!r}: give one with --image_uri")
    tag = versions[version]["gpu" if for_gpu else "cpu"]
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{suffix}/{_REPOSITORIES[framework]}:{tag}"
