"""Which SageMaker we talk to: AWS, an embedded endpoint on this machine, or any other address."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Final

from tunewright.aws import boto
from tunewright.exceptions import SettingsError, UnknownNameError

EMBEDDED_SPEED: Final = 60.0
"""Service seconds per second of the embedded endpoint: a minute of start-up takes a second."""

EMBEDDED_REGION: Final = "us-east-1"

REMOTE_VARIABLE: Final = "TUNEWRIGHT_REMOTE"
"""Environment variable of a tuning job: where its files lie in S3. There, ``embedded`` is the endpoint that runs it."""

_NETWORK_PROVIDERS: Final = ("iam-role", "container-role")
_CONTAINER_VARIABLES: Final = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class EndpointKind(StrEnum):
    """What stands behind an endpoint; this word is what an experiment's metadata says, never an address."""

    AWS = "aws"
    EMBEDDED = "embedded"
    """A process of our own on this machine, started when it is needed."""
    OTHER = "other"
    """An address that the user gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An access key."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go, and how fast the clock of the service runs there."""

    kind: EndpointKind
    region: str
    url: str | None = None
    """None: the address that boto3 finds (AWS), or not started yet (embedded)."""
    speed: float = 1.0
    """Service seconds per second; 1 on AWS."""
    credentials: Credentials | None = None
    """None: what boto3 finds."""
    quotas: Mapping[str, int] = field(default_factory=dict[str, int])
    """Embedded only: instances by instance type that jobs may use."""
    warm_pool_quotas: Mapping[str, int] = field(default_factory=dict[str, int])
    """Embedded only: instances by instance type that may be kept warm."""

    def seconds(self, service_seconds: float, *, at_least: float = 0.0) -> float:
        """Real seconds for a number of service seconds, never less than ``at_least``."""
        return max(at_least, service_seconds / self.speed)


def resolve_endpoint(
    choice: str = "auto",
    *,
    speed: float | None = None,
    region: str | None = None,
    quotas: Mapping[str, int] | None = None,
    warm_pool_quotas: Mapping[str, int] | None = None,
) -> Endpoint:
    """Decide where requests go. Nothing is started and no request is made.

    Parameters
    ----------
    choice
        ``"aws"``, ``"embedded"``, an address (``http://...``), or ``"auto"``: AWS where credentials are found (on
        an EC2 instance's own role only ``"aws"`` looks, because that takes a request), else embedded.
    speed
        Service seconds per second; default 60 for the embedded endpoint and 1 for an address; a server of
        ours that knows better is believed when the session is opened. AWS knows only 1.
    region
        Default: AWS_REGION, AWS_DEFAULT_REGION, the AWS profile's; embedded: us-east-1.
    quotas, warm_pool_quotas
        Embedded only: instances by instance type.

    Raises
    ------
    SettingsError
        The choice is unknown, no region is known, the embedded endpoint has it not, or the speed cannot be.
    MissingExtraError
        boto3 is not installed.
    """
    if speed is not None and not speed > 0:
        raise SettingsError(f"speed is service seconds per second and must be positive, not {speed}")
    kind = _kind(choice)
    if kind is EndpointKind.AWS and speed not in {None, 1.0}:
        raise SettingsError("AWS runs in real time: leave speed out, or use --endpoint embedded")
    found = region or _configured_region()
    if kind is EndpointKind.AWS and found is None:
        raise SettingsError("No AWS region is known: give --region or set AWS_REGION, for example us-east-1")
    if kind is EndpointKind.EMBEDDED and found is not None:
        _check_region(found)
    default_speed = EMBEDDED_SPEED if kind is EndpointKind.EMBEDDED else 1.0
    return Endpoint(
        kind=kind,
        region=found or EMBEDDED_REGION,
        url=choice if kind is EndpointKind.OTHER else _url_around(kind),
        speed=default_speed if speed is None else speed,
        quotas=dict(quotas or {}),
        warm_pool_quotas=dict(warm_pool_quotas or {}),
    )


def credentials_found() -> bool:
    """Whether boto3 would find AWS credentials without asking the network.

    Raises
    ------
    MissingExtraError
        boto3 is not installed.
    SettingsError
        The AWS configuration names something that does not exist, such as a profile.
    """
    if any(name in os.environ for name in _CONTAINER_VARIABLES):
        return True
    botocore_session = boto.load("botocore.session")
    exceptions = boto.load("botocore.exceptions")
    try:
        resolver = botocore_session.Session().get_component("credential_provider")
        for name in _NETWORK_PROVIDERS:
            resolver.remove(name)
        return resolver.load_credentials() is not None
    except exceptions.BotoCoreError as error:
        raise SettingsError(
            f"The AWS configuration cannot be used: {error}. Correct it, or use --endpoint embedded"
        ) from error


def _kind(choice: str) -> EndpointKind:
    if choice == "auto":
        return EndpointKind.AWS if credentials_found() else EndpointKind.EMBEDDED
    if choice in {EndpointKind.AWS, EndpointKind.EMBEDDED}:
        return EndpointKind(choice)
    if choice.startswith(("http://", "https://")):
        return EndpointKind.OTHER
    raise SettingsError(
        f"--endpoint is auto, aws, embedded or an address that begins with http://, not {choice!r}"
    )


def _url_around(kind: EndpointKind) -> str | None:
    """The address of the embedded endpoint that runs this process as a tuning job."""
    is_inside = kind is EndpointKind.EMBEDDED and REMOTE_VARIABLE in os.environ
    return os.environ.get("AWS_ENDPOINT_URL") if is_inside else None


def _check_region(region: str) -> None:
    """Make sure that there is such a region of SageMaker."""
    if region != EMBEDDED_REGION and region not in _regions():
        raise UnknownNameError("region", region, _regions())


@cache
def _regions() -> Sequence[str]:
    """Those of SageMaker, as botocore's own list says; it takes a tenth of a second to read."""
    session = boto.load("botocore.session").Session()
    return [
        name
        for partition in session.get_available_partitions()
        for name in session.get_available_regions("sagemaker", partition)
    ]


def _configured_region() -> str | None:
    from_environment = os.environ.get("AWS_REGION")
    if from_environment:
        return from_environment
    botocore_session = boto.load("botocore.session")
    exceptions = boto.load("botocore.exceptions")
    try:
        return botocore_session.Session().get_config_variable("region")
    except exceptions.ProfileNotFound as error:
        raise SettingsError(f"{error}: correct AWS_PROFILE or add the profile") from error
