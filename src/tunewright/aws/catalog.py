"""Container images for training, GPUs and on-demand prices of instance types.

The tables are in ``catalog.json``, each part with its source and date; ``scripts/aws_catalog.py`` writes it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
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


# --- images

DEFAULT_VERSION: Final = "2.12"
"""Version of PyTorch in default images."""
_FIRST_CUDA_WITHOUT_VOLTA: Final = 130
_FIRST_CUDA_FOR_BLACKWELL: Final = 128
_X86: Final = "x86_64"


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


def image_uri(
    region: str, *, for_gpu: bool, framework: str = "pytorch", version: str = DEFAULT_VERSION
) -> str:
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
        The region has no registry of AWS, or none with that version.
    """
    image, host = _image(framework, version), _catalog().registries.hosts.get(region)
    if host is None or region in image.missing:
        raise SettingsError(
            f"No image of {framework} {version} is known for region {region!r}: give one with --image_uri"
        )
    return f"{host}/{image.repository}:{image.gpu if for_gpu else image.cpu}"


def check_image(instance_type: str, *, framework: str = "pytorch", version: str = DEFAULT_VERSION) -> None:
    """Check that the training image of a framework runs on an instance type, as far as the type is known.

    PyTorch is built for compute capabilities from 5.0 to 9.0 with CUDA up to 12.6, from 7.0 to 12.0 with 12.8 and 12.9, and from
    7.5 to 12.0 with 13 (``.ci/manywheel/build_cuda.sh`` of pytorch/pytorch, commit 00c7a380).

    Raises
    ------
    UnknownNameError
        Framework or version are not in the table.
    SettingsError
        The image does not fit; the message names images that do.
    """
    image, known = _image(framework, version), _accelerators().get(instance_type)
    if known is None:
        return
    if known.architecture != _X86:
        raise SettingsError(
            f"{instance_type} has {known.architecture} processors, and AWS's training images are for {_X86}: give an image of "
            "yours with --image_uri"
        )
    if not known.gpus:
        raise SettingsError(
            f"{instance_type} has {known.name}, which needs an image with AWS Neuron: give one with --image_uri, such as "
            f"{_catalog().neuron}"
        )
    if not _runs_on(image, known.capability):
        fitting = [
            one.version
            for one in _catalog().images
            if one.framework == framework and _runs_on(one, known.capability)
        ]
        choose = f"choose --framework_version {' or '.join(fitting)}, or give" if fitting else "give"
        raise SettingsError(
            f"The image of {framework} {version} (CUDA {image.cuda / 10:.1f}) has no code for the GPU of {instance_type}, {known.name}: "
            f"{choose} an image of yours with --image_uri"
        )


def support_warning(
    framework: str = "pytorch", version: str = DEFAULT_VERSION, *, today: date | None = None
) -> str:
    """Warning about an image that AWS does not patch any more; empty for others.

    Raises
    ------
    UnknownNameError
        Framework or version are not in the table.
    """
    image = _image(framework, version)
    if (today or datetime.now(UTC).date()).isoformat() <= image.end_of_support:
        return ""
    return (
        f"WARNING: AWS's support of its images of {framework} {version} ended on {image.end_of_support}, so that they get no security "
        f"patches: choose another version, such as --framework_version {DEFAULT_VERSION}, or give --image_uri"
    )


def image_facts(framework: str = "pytorch", version: str = DEFAULT_VERSION) -> str:
    """End of support of an image, with source and date of the row in the table.

    Raises
    ------
    UnknownNameError
        Framework or version are not in the table.
    """
    image = _image(framework, version)
    return f"supported by AWS until {image.end_of_support} ({image.source}, {image.date})"


def _image(framework: str, version: str) -> _Image:
    images = _catalog().images
    frameworks = dict.fromkeys(image.framework for image in images)
    if framework not in frameworks:
        raise UnknownNameError("framework", framework, frameworks)
    versions = {image.version: image for image in images if image.framework == framework}
    if version not in versions:
        raise UnknownNameError(f"version of {framework}", version, versions)
    return versions[version]


def _runs_on(image: _Image, capability: float) -> bool:
    """Whether an image has code for a compute capability."""
    if image.cuda < _FIRST_CUDA_FOR_BLACKWELL:
        return 5.0 <= capability < 10.0
    return capability >= (7.0 if image.cuda < _FIRST_CUDA_WITHOUT_VOLTA else 7.5)


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


class _Registries(msgspec.Struct, frozen=True):
    source: str
    date: str
    hosts: dict[str, str]
    """By region."""


class _Image(msgspec.Struct, frozen=True):
    """A training image of AWS."""

    framework: str
    version: str
    repository: str
    cpu: str
    gpu: str
    """Tags."""
    cuda: int
    """Version of CUDA without its dot: 130 is 13.0."""
    end_of_support: str
    missing: tuple[str, ...]
    """Regions whose registry lacks it."""
    source: str
    date: str


class _Catalog(msgspec.Struct, frozen=True):
    """Content of ``catalog.json``."""

    registries: _Registries
    images: tuple[_Image, ...]
    neuron: str
    """Repository and tag of the newest image with AWS Neuron."""
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
    read = "" if cached is None else cached.date
    return {
        **shipped_prices(),
        **{
            instance_type: Price(
                dollars_per_hour=dollars, source=PRICE_LIST, region=endpoint.region, date=read
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
