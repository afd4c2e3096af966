"""Tables of AWS: container images for training, GPUs and on-demand prices of instance types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tunewright.exceptions import SettingsError, UnknownNameError

IMAGES_DATE: Final = "2026-11"
"""Date of the tags in the lists of AWS Deep Learning Containers."""

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
"""Registry accounts of the other regions (the SageMaker SDK's list for PyTorch)."""

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
"""Number of GPUs of instance types with several."""


def gpus_of(instance_type: str) -> int:
    """Number of NVIDIA GPUs of an instance type; 1 for unknown types of GPU families."""
    return _GPUS.get(instance_type.removeprefix("ml."), 1) if has_gpu(instance_type) else 0


LOCAL_DISKS_DATE: Final = "2026-11"
"""Date of the table of families with local disks."""
_LOCAL_DISKS: Final = frozenset(
    {
        *("g4dn", "g5", "g6", "g6e", "g7", "g7e", "r5d"),
        *("p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300", "p6e-gb200"),
        *("trn1", "trn1n", "trn2"),
    }
)
"""Families of SageMaker's training instances with local NVMe disks: InstanceStorageSupported of EC2's DescribeInstanceTypes, and
EC2's page of accelerated instances for ``p6e-gb200``."""


def has_local_disks(instance_type: str) -> bool:
    """Whether an instance type has local NVMe disks; then the service attaches no other, and takes no key for it."""
    return instance_type.removeprefix("ml.").partition(".")[0] in _LOCAL_DISKS


def image_uri(region: str, *, for_gpu: bool, framework: str = "pytorch", version: str = "2.6") -> str:
    """Training image of AWS for a framework.

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
        Address of the image in the region's registry.

    Raises
    ------
    UnknownNameError
        Framework or version are not in the table.
    SettingsError
        No registry of AWS is known in that region.
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


PRICES_DATE: Final = "2023-06; g5 and g6: 2026-11"
"""Date of the prices.

The older ones come from Syne Tune's table of 47 instance types without a region; they agree with us-east-1 and us-west-2.
Its prices of g5 were those of EC2, at least a quarter below SageMaker's: they are corrected, and g6 is added.
"""

PRICES_REGION: Final = "us-east-1, us-west-2"

_PER_HOUR: Final[Mapping[str, Mapping[str, float]]] = {
    "m5": {
        "large": 0.134,
        "xlarge": 0.269,
        "2xlarge": 0.538,
        "4xlarge": 1.075,
        "12xlarge": 3.226,
        "24xlarge": 6.451,
    },
    "m4": {"xlarge": 0.28, "2xlarge": 0.56, "4xlarge": 1.12, "10xlarge": 2.80, "16xlarge": 4.48},
    "c5": {"xlarge": 0.238, "2xlarge": 0.476, "4xlarge": 0.952, "9xlarge": 2.142, "18xlarge": 4.284},
    "c4": {"xlarge": 0.279, "2xlarge": 0.557, "4xlarge": 1.114, "8xlarge": 2.227},
    "c5n": {"xlarge": 0.302, "2xlarge": 0.605, "4xlarge": 1.21, "9xlarge": 2.722, "18xlarge": 5.443},
    "p4d": {"24xlarge": 37.688},
    "p3": {"2xlarge": 3.825, "8xlarge": 14.688, "16xlarge": 28.152},
    "p3dn": {"24xlarge": 35.894},
    "p2": {"xlarge": 1.125, "8xlarge": 8.64, "16xlarge": 16.56},
    "g4dn": {
        "xlarge": 0.736,
        "2xlarge": 1.053,
        "4xlarge": 1.686,
        "8xlarge": 3.046,
        "12xlarge": 5.477,
        "16xlarge": 6.093,
    },
    "g5": {
        "xlarge": 1.408,
        "2xlarge": 1.515,
        "4xlarge": 2.03,
        "8xlarge": 3.06,
        "12xlarge": 7.09,
        "16xlarge": 5.12,
        "24xlarge": 10.18,
        "48xlarge": 20.36,
    },
    "g6": {
        "xlarge": 1.127,
        "2xlarge": 1.222,
        "4xlarge": 1.654,
        "12xlarge": 5.752,
        "16xlarge": 4.246,
        "24xlarge": 8.344,
        "48xlarge": 16.688,
    },
}

PRICES: Final[Mapping[str, float]] = {
    f"ml.{family}.{size}": price for family, sizes in _PER_HOUR.items() for size, price in sizes.items()
}
"""US dollars per instance hour, by instance type."""


def price_per_hour(instance_type: str, *, prices: Mapping[str, float] = PRICES) -> float | None:
    """On-demand price of an instance type.

    Parameters
    ----------
    instance_type
        Such as ``ml.c5.xlarge``.
    prices
        US dollars per instance hour.

    Returns
    -------
    float or None
        US dollars per instance hour; None for unknown types.
    """
    return prices.get(instance_type)
