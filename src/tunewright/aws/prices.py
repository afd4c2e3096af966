"""On-demand prices of SageMaker training instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PRICES_DATE: Final = "2023-06; g5 and g6: 2026-11"
"""When the prices were read.

The older ones are those of Syne Tune's table of 47 instance types, which names no region; they agree with us-east-1 and
us-west-2. Its prices of g5 were those of EC2, a quarter and more below SageMaker's: they are corrected, and g6 is added.
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
    """The price of an instance type.

    Parameters
    ----------
    instance_type
        Such as ``ml.c5.xlarge``.
    prices
        US dollars per instance hour.

    Returns
    -------
    float or None
        US dollars per instance hour; None where the table does not know the type.
    """
    return prices.get(instance_type)
