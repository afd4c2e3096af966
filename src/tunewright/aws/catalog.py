"""Container images for training, GPUs and on-demand prices of instance types.

The tables are in ``catalog.json``, each part with its source and date; ``scripts/aws_catalog.py`` writes it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, final

import msgspec
from typing_extensions import override

from tunewright.aws.boto import ServiceError
from tunewright.aws.endpoint import Endpoint, EndpointKind
from tunewright.aws.session import AwsSession
from tunewright.exceptions import MissingExtraError, SettingsError, UnknownNameError
from tunewright.storage import cache_folder, write_atomically

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

_GPU_FAMILY: Final = re.compile(r"(ml\.)?[gp]\d")


def has_gpu(instance_type: str) -> bool:
    """Whether an instance type has NVIDIA GPUs: the families ``g...`` and ``p...``."""
    return _GPU_FAMILY.match(instance_type) is not None


def gpus_of(instance_type: str) -> int | None:
    """Number of NVIDIA GPUs of an instance type; None for types of GPU families that are not in the table."""
    known = _accelerators().get(instance_type)
    if known is not None:
        return known.gpus
    return None if has_gpu(instance_type) else 0


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


# --- prices

PRICE_LIST: Final = "AWS price list"
"""Source of prices that were read from the Price List API."""
TABLE: Final = "table"
"""Source of prices that come with Tunewright."""
_GIVEN: Final = "--price_per_hour"

_ASK_SECONDS: Final = 5.0
"""Real seconds for all answers of the Price List API."""
_RETRY_SECONDS: Final = 600.0
"""Real seconds until an API that did not answer is asked again."""
_TRAINING_USE: Final = re.compile(r"(?:^|-)Train:(ml\.[\w.-]+)$")
"""Usage type of on-demand training, such as ``USE1-Train:ml.m5.large``."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """On-demand price with its origin."""

    dollars_per_hour: float
    source: str
    region: str = ""
    """Region of the price; empty: not stated."""
    date: str = ""
    """When the source was read: ``YYYY-MM-DD`` or ``YYYY-MM``."""

    @override
    def __str__(self) -> str:
        """The origin, as shown beside dollars: ``AWS price list, us-east-1, 2026-11-29``."""
        region = self.region or ("" if self.source == _GIVEN else "region not stated")
        return ", ".join(filter(None, (self.source, region, self.date)))

    def times(self, n: int) -> Price:
        """Price of ``n`` instances."""
        return replace(self, dollars_per_hour=n * self.dollars_per_hour)


def given_price(dollars_per_hour: float) -> Price:
    """Price that the user gave."""
    return Price(dollars_per_hour=dollars_per_hour, source=_GIVEN)


def origins(prices: Iterable[Price]) -> str:
    """Origins of several prices, without repetitions; empty without prices."""
    return "; ".join(dict.fromkeys(map(str, prices)))


class _PriceRows(msgspec.Struct, frozen=True):
    source: str
    region: str
    date: str
    per_hour: dict[str, float]
    """US dollars by instance type."""


class _Accelerators(msgspec.Struct, frozen=True):
    """Accelerators of an instance type: NVIDIA GPUs, or those of AWS (Neuron)."""

    name: str
    gpus: int = 0
    """Number of NVIDIA GPUs."""
    capability: float = 0.0
    """CUDA compute capability of the GPUs; 0 for Neuron."""
    architecture: str = "x86_64"
    """Of the processor."""


class _AcceleratorRows(msgspec.Struct, frozen=True):
    source: str
    date: str
    types: dict[str, _Accelerators]
    """By instance type; those without accelerators are left out."""


class _Catalog(msgspec.Struct, frozen=True):
    """Content of ``catalog.json``."""

    accelerators: tuple[_AcceleratorRows, ...]
    prices: tuple[_PriceRows, ...]
    """Sources of prices; the first that has an instance type wins."""


@cache
def _catalog() -> _Catalog:
    return msgspec.json.decode(Path(__file__).with_name("catalog.json").read_bytes(), type=_Catalog)


@cache
def _accelerators() -> Mapping[str, _Accelerators]:
    return {name: row for rows in _catalog().accelerators for name, row in rows.types.items()}


@cache
def shipped_prices() -> Mapping[str, Price]:
    """Prices that come with Tunewright, by instance type."""
    return {
        instance_type: Price(dollars_per_hour=dollars, source=TABLE, region=rows.region, date=rows.date)
        for rows in reversed(_catalog().prices)
        for instance_type, dollars in rows.per_hour.items()
    }


def price_per_hour(instance_type: str) -> float | None:
    """On-demand price of an instance type in the table that comes with Tunewright.

    Parameters
    ----------
    instance_type
        Such as ``ml.c5.xlarge``.

    Returns
    -------
    float or None
        US dollars per instance hour; None for unknown types.
    """
    price = shipped_prices().get(instance_type)
    return None if price is None else price.dollars_per_hour


class _Cached(msgspec.Struct, frozen=True):
    """Prices of a region in the cache folder."""

    region: str
    date: str
    """Of the last answer; empty: there was none."""
    asked: float
    """Time of the last request, in seconds since the epoch."""
    per_hour: dict[str, float]
    """US dollars by instance type."""


def prices_at(endpoint: Endpoint) -> Mapping[str, Price]:
    """On-demand prices of training instances, by instance type.

    On AWS they come from the Price List API, which is asked at most once a day and region; its answer is kept in the
    cache folder. Instance types that it lacks have the price of the table that comes with Tunewright, and so have all
    without the permission ``pricing:GetProducts``, without network, or if there is no answer within five seconds.
    Other endpoints bill nothing: their prices are those of the table.
    """
    if endpoint.kind is not EndpointKind.AWS or endpoint.region.startswith("cn-"):  # listed in yuan
        return shipped_prices()
    path = cache_folder() / "prices" / f"{endpoint.region}.json"
    cached = _read_cached(path)
    now, today = time.time(), datetime.now(UTC).date().isoformat()
    is_due = cached is None or not 0.0 <= now - cached.asked < _RETRY_SECONDS
    if is_due and (cached is None or cached.date != today):
        found = _listed_in_time(endpoint)
        kept = _Cached(region=endpoint.region, date="", asked=now, per_hour={}) if cached is None else cached
        new = {"date": today, "per_hour": found} if found else {}
        cached = msgspec.structs.replace(kept, asked=now, **new)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, msgspec.json.encode(cached).decode())
    listed = {} if cached is None else cached.per_hour
    date = "" if cached is None else cached.date
    return {
        **shipped_prices(),
        **{
            instance_type: Price(
                dollars_per_hour=dollars, source=PRICE_LIST, region=endpoint.region, date=date
            )
            for instance_type, dollars in listed.items()
        },
    }


def _read_cached(path: Path) -> _Cached | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Cached)
    except (OSError, msgspec.DecodeError):
        return None


def _listed_in_time(endpoint: Endpoint) -> dict[str, float]:
    """Dollars by instance type; empty without an answer in time."""
    answers: SimpleQueue[dict[str, float]] = SimpleQueue()
    Thread(target=lambda: answers.put(_listed(endpoint)), daemon=True).start()
    try:
        return answers.get(timeout=_ASK_SECONDS)
    except Empty:
        return {}


def _listed(endpoint: Endpoint) -> dict[str, float]:
    """Dollars by instance type from the Price List API; empty if it refuses or does not answer."""
    filters = {"regionCode": endpoint.region, "component": "Training"}
    request: dict[str, Any] = {
        "ServiceCode": "AmazonSageMaker",
        "Filters": [
            {"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in filters.items()
        ],
    }
    found: dict[str, float] = {}
    try:
        session = AwsSession(endpoint)
    except (ServiceError, MissingExtraError):
        return {}
    try:
        while True:
            answer = session.call("GetProducts", **request)
            for product in answer["PriceList"]:
                found |= _training_price(product)
            if not answer.get("NextToken"):
                return found
            request["NextToken"] = answer["NextToken"]
    except ServiceError:
        return {}
    finally:
        session.close()


class _Product(msgspec.Struct, frozen=True):
    attributes: dict[str, str]


class _Dimension(msgspec.Struct, frozen=True):
    pricePerUnit: dict[str, str]  # noqa: N815 - the API's names


class _Offer(msgspec.Struct, frozen=True):
    priceDimensions: dict[str, _Dimension]  # noqa: N815


class _Terms(msgspec.Struct, frozen=True):
    OnDemand: dict[str, _Offer] = {}


class _Listed(msgspec.Struct, frozen=True):
    """An entry of ``PriceList``."""

    product: _Product
    terms: _Terms


def _training_price(product: str) -> dict[str, float]:
    """Instance type and dollars per hour of an entry of the price list; empty for entries of other uses."""
    try:
        entry = msgspec.json.decode(product, type=_Listed)
        use = _TRAINING_USE.search(entry.product.attributes.get("usagetype", ""))
        dollars = [float(dimension.pricePerUnit["USD"]) for dimension in _dimensions(entry)]
    except (msgspec.DecodeError, KeyError, ValueError):
        return {}
    return {use[1]: max(dollars)} if use and dollars and max(dollars) > 0 else {}


def _dimensions(entry: _Listed) -> Iterator[_Dimension]:
    for offer in entry.terms.OnDemand.values():
        yield from offer.priceDimensions.values()
