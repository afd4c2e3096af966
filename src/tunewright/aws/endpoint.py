"""Endpoints: AWS, the embedded endpoint on this machine, or any other address."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from tunewright.aws import boto
from tunewright.exceptions import SettingsError, UnknownNameError

EMBEDDED_SPEED: Final = 60.0
"""Service seconds per second of the embedded endpoint: a minute of start-up takes a second."""

EMBEDDED_REGION: Final = "us-east-1"

REMOTE_VARIABLE: Final = "TUNEWRIGHT_REMOTE"
"""Environment variable of a tuning job: S3 prefix of its files. In such a job ``embedded`` is the endpoint that runs it."""

_NETWORK_PROVIDERS: Final = ("iam-role", "container-role")
_CONTAINER_VARIABLES: Final = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class EndpointKind(StrEnum):
    """Kind of an endpoint, which an experiment's metadata records instead of the address."""

    AWS = "aws"
    EMBEDDED = "embedded"
    """A server process on this machine, started on demand."""
    OTHER = "other"
    """An address given by the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An access key."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Target of requests, with the speed of its service clock."""

    kind: EndpointKind
    region: str
    url: str | None = None
    """None: boto3's default (AWS), or not started yet (embedded)."""
    speed: float = 1.0
    """Service seconds per second; 1 on AWS."""
    credentials: Credentials | None = None
    """None: boto3's default."""
    profile: str | None = None
    """Profile of the AWS configuration; None: AWS_PROFILE, else the default one."""
    assume_role: str | None = None
    """ARN of the role whose rights all requests have; None: those of the credentials themselves."""
    quotas: Mapping[str, int] = field(default_factory=dict[str, int])
    """Embedded only: maximum number of instances by instance type."""
    warm_pool_quotas: Mapping[str, int] = field(default_factory=dict[str, int])
    """Embedded only: maximum number of warm instances by instance type."""

    def seconds(self, service_seconds: float, *, at_least: float = 0.0) -> float:
        """Real seconds for a number of service seconds, never less than ``at_least``."""
        return max(at_least, service_seconds / self.speed)


def resolve_endpoint(
    choice: str = "auto",
    *,
    speed: float | None = None,
    region: str | None = None,
    profile: str | None = None,
    assume_role: str | None = None,
    quotas: Mapping[str, int] | None = None,
    warm_pool_quotas: Mapping[str, int] | None = None,
) -> Endpoint:
    """Resolve the choice of an endpoint. Nothing is started and no request is sent.

    Parameters
    ----------
    choice
        ``"aws"``, ``"embedded"``, an address (``http://...``), or ``"auto"``: AWS if a profile or a role is given or
        credentials are found, else embedded. The role of an EC2 instance is found by ``"aws"`` only, because that takes a request.
        An address in AWS_ENDPOINT_URL that is not one of AWS takes the place of AWS for ``"auto"``, and is refused for ``"aws"``.
    speed
        Service seconds per second; default 60 for the embedded endpoint and 1 for an address, unless a
        ``sagemaker-emulator`` there reports its own. Always 1 on AWS.
    region
        Default: AWS_REGION, AWS_DEFAULT_REGION, the AWS profile's; embedded: us-east-1.
    profile
        Profile of the AWS configuration; not for the embedded endpoint.
    assume_role
        ARN of a role that all requests assume; not for the embedded endpoint.
    quotas, warm_pool_quotas
        Embedded only: instances by instance type.

    Raises
    ------
    SettingsError
        The choice or the region is unknown, or the speed is invalid.
    MissingExtraError
        boto3 is not installed.
    """
    if speed is not None and not speed > 0:
        raise SettingsError(f"speed is service seconds per second and must be positive, not {speed}")
    if assume_role is not None and not assume_role.startswith("arn:"):
        raise SettingsError(f"assume_role is the ARN of a role, not {assume_role!r}")
    is_account_given = bool(profile or assume_role)
    kind = EndpointKind.AWS if choice == "auto" and is_account_given else _kind(choice)
    url = choice if kind is EndpointKind.OTHER else None
    if kind is EndpointKind.AWS and (address := _address_in_environment()):
        if choice == EndpointKind.AWS:
            raise SettingsError(
                f"Requests would go to {address}, by AWS_ENDPOINT_URL, and not to AWS: unset it, or use --endpoint {address}"
            )
        kind, url = EndpointKind.OTHER, address
    if kind is EndpointKind.EMBEDDED and is_account_given:
        raise SettingsError("profile and assume_role are for AWS: leave them out, or use --endpoint aws")
    if kind is EndpointKind.AWS and speed not in {None, 1.0}:
        raise SettingsError("AWS runs in real time: leave speed out, or use --endpoint embedded")
    found = region or _configured_region(profile)
    if kind is EndpointKind.AWS and found is None:
        raise SettingsError("No AWS region is known: give --region or set AWS_REGION, for example us-east-1")
    if kind is EndpointKind.EMBEDDED and found is not None:
        _check_region(found)
    default_speed = EMBEDDED_SPEED if kind is EndpointKind.EMBEDDED else 1.0
    return Endpoint(
        kind=kind,
        region=found or EMBEDDED_REGION,
        url=url or _tuning_job_url(kind),
        speed=default_speed if speed is None else speed,
        profile=profile,
        assume_role=assume_role,
        quotas=dict(quotas or {}),
        warm_pool_quotas=dict(warm_pool_quotas or {}),
    )


def credentials_found() -> bool:
    """Whether boto3 finds AWS credentials without a request.

    Raises
    ------
    MissingExtraError
        boto3 is not installed.
    SettingsError
        The AWS configuration is invalid, for example names an unknown profile.
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


def _address_in_environment() -> str:
    """Address to which boto3 sends SageMaker's requests instead of its default; empty if there is none, or it is AWS's own."""
    address = os.environ.get("AWS_ENDPOINT_URL_SAGEMAKER") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return "" if is_of_aws(address) else address


def is_of_aws(url: str) -> bool:
    """Whether a URL is one of AWS, such as that of a VPC endpoint."""
    return (urlsplit(url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def _tuning_job_url(kind: EndpointKind) -> str | None:
    """Address of the embedded endpoint that runs this process as a tuning job."""
    is_inside = kind is EndpointKind.EMBEDDED and REMOTE_VARIABLE in os.environ
    return os.environ.get("AWS_ENDPOINT_URL") if is_inside else None


def _check_region(region: str) -> None:
    """Raise an error for an unknown region of SageMaker."""
    if region != EMBEDDED_REGION and region not in _regions():
        raise UnknownNameError("region", region, _regions())


@cache
def _regions() -> Sequence[str]:
    """Regions of SageMaker from botocore's list, which takes 0.1 s to read."""
    session = boto.load("botocore.session").Session()
    return [
        name
        for partition in session.get_available_partitions()
        for name in session.get_available_regions("sagemaker", partition)
    ]


def _configured_region(profile: str | None) -> str | None:
    from_environment = os.environ.get("AWS_REGION")
    if from_environment:
        return from_environment
    botocore_session = boto.load("botocore.session")
    exceptions = boto.load("botocore.exceptions")
    try:
        return botocore_session.Session(profile=profile).get_config_variable("region")
    except exceptions.ProfileNotFound as error:
        raise SettingsError(
            f"{error}: correct {'--profile' if profile else 'AWS_PROFILE'} or add the profile"
        ) from error
