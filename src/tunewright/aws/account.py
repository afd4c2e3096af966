"""The account: role of the jobs, bucket of their files, and Service Quotas."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tunewright.aws import boto
from tunewright.aws.endpoint import EndpointKind
from tunewright.aws.session import AwsSession
from tunewright.exceptions import BackendError

_ROLE_VARIABLES: Final = ("TUNEWRIGHT_SAGEMAKER_ROLE", "AWS_ROLE")
_ROLE_MARK: Final = "AmazonSageMaker-ExecutionRole"
_REGION_HEADER: Final = "x-amz-bucket-region"
_EMBEDDED_ROLE: Final = f"{_ROLE_MARK}-Embedded"


def find_role(session: AwsSession, role: str | None = None) -> str:
    """ARN of the execution role of jobs.

    Parameters
    ----------
    session
        An open session.
    role
        ARN or name of a role; default TUNEWRIGHT_SAGEMAKER_ROLE, AWS_ROLE, or the account's first
        AmazonSageMaker-ExecutionRole. The embedded endpoint accepts any role.

    Raises
    ------
    BackendError
        No role is found, or roles cannot be listed.
    """
    given = role or next((os.environ[name] for name in _ROLE_VARIABLES if os.environ.get(name)), None)
    if given is None and session.endpoint.kind is EndpointKind.EMBEDDED:
        given = _EMBEDDED_ROLE
    if given is not None:
        return given if given.startswith("arn:") else role_arn(session, given)
    try:
        found = _execution_role(session)
    except boto.ServiceError as error:
        raise BackendError(
            f"No role was given and the account's cannot be listed ({error}): give --role or set {_ROLE_VARIABLES[0]}"
        ) from error
    if found is None:
        raise BackendError(
            f"The account has no role for SageMaker jobs: create one, give --role or set {_ROLE_VARIABLES[0]}"
        )
    return found


def role_arn(session: AwsSession, name: str) -> str:
    """ARN of a role of the session's account."""
    return f"arn:{partition(session.endpoint.region)}:iam::{session.account}:role/{name}"


def partition(region: str) -> str:
    """Partition of a region, as in ARNs."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


FULL_ACCESS_LIMIT: Final = (
    "AmazonSageMakerFullAccess covers objects only in buckets with 'sagemaker' in their names"
)
"""Source: AWS managed policy AmazonSageMakerFullAccess, resources ``arn:aws:s3:::*SageMaker*`` and other spellings."""


def default_bucket(session: AwsSession) -> str:
    """Default bucket of SageMaker's tools in an account and region."""
    return f"sagemaker-{session.endpoint.region}-{session.account}"


def ensure_bucket(session: AwsSession, bucket: str | None = None) -> str:
    """Create the default bucket if it is missing; check that any other bucket exists.

    Parameters
    ----------
    session
        An open session.
    bucket
        Its name; default :func:`default_bucket`.

    Returns
    -------
    str
        The bucket's name.

    Raises
    ------
    BackendError
        The given bucket is missing or in another region, or the bucket cannot be used or created.
    """
    name = bucket or default_bucket(session)
    client = session.client("s3")
    try:
        with boto.service_errors():
            answer = client.head_bucket(Bucket=name)
    except boto.ServiceError as error:
        if error.code not in {"404", "NoSuchBucket"}:
            raise BackendError(_bucket_trouble(session, name, error)) from error
        if bucket is not None:
            raise BackendError(
                f"There is no bucket {name}: create it, or leave --bucket out for the default one"
            ) from error
        _create_bucket(session, name)
        return name
    _check_region(session, name, answer or {})
    return name


def _check_region(session: AwsSession, bucket: str, answer: Mapping[str, Any]) -> None:
    """Raise an error for a bucket in another region, which SageMaker's jobs cannot use."""
    headers: Mapping[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    there = answer.get("BucketRegion") or headers.get(_REGION_HEADER) or session.endpoint.region
    if there != session.endpoint.region:
        raise BackendError(
            f"The bucket {bucket} is in {there}, and jobs of {session.endpoint.region} cannot use it: give --region "
            f"{there}, or another --bucket"
        )


def _bucket_trouble(session: AwsSession, bucket: str, error: boto.ServiceError) -> str:
    if error.code in {"301", "PermanentRedirect"}:
        return (
            f"The bucket {bucket} is in another region than {session.endpoint.region}, whose jobs cannot use it: give its "
            "--region, or another --bucket"
        )
    if error.code == "403" or not error.remedy:
        remedy = "check its permissions, or give another with --bucket"
        return f"The bucket {bucket} cannot be used ({error}): it is somebody else's, or not open to you; {remedy}"
    return f"The bucket {bucket} cannot be used ({error}): {error.remedy}"


def _create_bucket(session: AwsSession, name: str) -> None:
    region = session.endpoint.region
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        with boto.service_errors():
            session.client("s3").create_bucket(Bucket=name, **place)
    except boto.ServiceError as error:
        if error.code != "BucketAlreadyOwnedByYou":
            raise BackendError(
                f"The bucket {name} cannot be created ({error}): create one and give it with --bucket"
            ) from error


def _execution_role(session: AwsSession) -> str | None:
    with boto.service_errors():
        for page in session.client("iam").get_paginator("list_roles").paginate():
            for role in page["Roles"]:
                if _ROLE_MARK in role["RoleName"]:
                    return str(role["Arn"])
    return None


CREATE_RATE: Final = "Rate of CreateTrainingJob requests"
LIST_RATE: Final = "Rate of ListTrainingJobs requests"
_SERVICE: Final = "sagemaker"
_NOT_READABLE: Final = frozenset({"NotImplemented", "UnknownOperationException", "NoSuchResourceException"})
_PER_JOB: Final = re.compile(r"Maximum (?:number of )?instances? per (spot )?training job")
"""Names of the quota of instances of one job, L-622CFD70; both forms are in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One quota of an account and region."""

    name: str
    code: str
    """Code for requests of an increase, such as ``L-21A1652A``."""
    value: float
    is_adjustable: bool
    is_default: bool = False
    """Whether the value is AWS's default for all accounts, because the account's own is not listed."""


def training_quota(instance_type: str) -> str:
    """Name of the quota of instances in training jobs and warm pools."""
    return f"{instance_type} for training job usage"


def spot_quota(instance_type: str) -> str:
    """Name of the quota of spot instances in training jobs."""
    return f"{instance_type} for spot training job usage"


def warm_pool_quota(instance_type: str) -> str:
    """Name of the quota of warm instances."""
    return f"{instance_type} for training warm pool usage"


def total_quota(*, is_spot: bool) -> str:
    """Name of the quota of instances of all types together (L-00C91CB5, and its twin for spot instances)."""
    return f"Number of instances across all {'spot ' if is_spot else ''}training jobs"


def per_job_quota(*, is_spot: bool) -> str:
    """Name of the quota of instances of one job, as :func:`read_quotas` gives it."""
    return f"Maximum number of instances per {'spot ' if is_spot else ''}training job"


def read_quotas(session: AwsSession, wanted: Collection[str] = ()) -> Mapping[str, Quota] | None:
    """All quotas of SageMaker that the account lists, by name, and AWS's defaults of wanted ones that it does not.

    Service Quotas lists a quota only if its applied value is available. A quota that is absent from the result is
    unknown, not zero.

    Parameters
    ----------
    session
        An open session; its user needs ``servicequotas:ListServiceQuotas`` and, for defaults,
        ``servicequotas:ListAWSDefaultServiceQuotas``.
    wanted
        Names of quotas for which the defaults are asked.

    Returns
    -------
    mapping or None
        None if the account does not allow to read its quotas.

    Raises
    ------
    ServiceError
        The service does not respond.
    """
    with boto.service_errors():
        client = session.client("service-quotas")
    applied = _listed(client.get_paginator("list_service_quotas"))
    if applied is None or applied.keys() >= set(wanted):
        return applied
    defaults = _listed(client.get_paginator("list_aws_default_service_quotas")) or {}
    return {
        name: replace(quota, is_default=True) for name, quota in defaults.items() if name in wanted
    } | applied


def _listed(paginator: Any) -> dict[str, Quota] | None:
    """Quotas of a listing; None if it is not allowed or not offered."""
    quotas: dict[str, Quota] = {}
    try:
        with boto.service_errors():
            for page in paginator.paginate(ServiceCode=_SERVICE):
                for entry in page["Quotas"]:
                    name = str(entry["QuotaName"])
                    if found := _PER_JOB.fullmatch(name):
                        name = per_job_quota(is_spot=bool(found[1]))
                    quotas[name] = Quota(
                        name=name,
                        code=entry["QuotaCode"],
                        value=float(entry["Value"]),
                        is_adjustable=bool(entry.get("Adjustable", False)),
                    )
    except boto.ServiceError as error:
        if error.is_denied or error.code in _NOT_READABLE:
            return None
        raise
    return quotas
