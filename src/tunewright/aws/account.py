"""The account: role of the jobs, bucket of their files, and Service Quotas."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tunewright.aws import boto
from tunewright.aws.endpoint import EndpointKind
from tunewright.aws.session import AwsSession
from tunewright.exceptions import BackendError
from tunewright.runner.contract import BucketTerms

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


def default_bucket(session: AwsSession) -> str:
    """Default bucket of SageMaker's tools in an account and region."""
    return f"sagemaker-{session.endpoint.region}-{session.account}"


def choose_bucket(session: AwsSession, bucket: str | None = None, terms: BucketTerms | None = None) -> str:
    """Choose the bucket of the jobs' files, and set the terms of all later requests of the session to it.

    Parameters
    ----------
    session
        An open session.
    bucket
        Its name; default :func:`default_bucket`, which the session's account must own.
    terms
        Owner and key; without an owner, a given bucket may belong to any account that lets this one use it.

    Returns
    -------
    str
        The bucket's name.
    """
    usual = default_bucket(session)
    name = bucket or usual
    terms = terms or BucketTerms()
    if name == usual and not terms.owner:
        terms = replace(terms, owner=session.account)
    session.use_bucket(name, terms)
    return name


def ensure_bucket(session: AwsSession, bucket: str | None = None, terms: BucketTerms | None = None) -> str:
    """Create the default bucket if it is missing; check that any other bucket exists, and whose it is.

    Parameters
    ----------
    session, bucket, terms
        As for :func:`choose_bucket`.

    Returns
    -------
    str
        The bucket's name.

    Raises
    ------
    BackendError
        The given bucket is missing, in another region or another account's, or the bucket cannot be used or created.
    """
    name = choose_bucket(session, bucket, terms)
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
    owner = session.terms_of(bucket).owner
    if error.code == "403" and owner and _answers_anyone(session, bucket):
        return (
            f"The bucket {bucket} does not belong to the account {owner}: another account has taken the name, and "
            "would get the code and the results. Nothing was sent there. Give a bucket of your own with --bucket (and, "
            "if it is another account's that you trust, --bucket_owner)"
        )
    if error.code == "403" or not error.remedy:
        remedy = "check its permissions, or give another with --bucket"
        return f"The bucket {bucket} cannot be used ({error}): it is another account's, or not open to you; {remedy}"
    return f"The bucket {bucket} cannot be used ({error}): {error.remedy}"


def _answers_anyone(session: AwsSession, bucket: str) -> bool:
    """Whether a bucket that is refused with its expected owner is open without it: then the owner is another one."""
    try:
        with boto.service_errors():
            session.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner="")
    except boto.ServiceError:
        return False
    return True


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One quota of an account and region."""

    name: str
    code: str
    """Code for requests of an increase, such as ``L-21A1652A``."""
    value: float
    is_adjustable: bool


def training_quota(instance_type: str) -> str:
    """Name of the quota of instances in training jobs and warm pools."""
    return f"{instance_type} for training job usage"


def spot_quota(instance_type: str) -> str:
    """Name of the quota of spot instances in training jobs."""
    return f"{instance_type} for spot training job usage"


def warm_pool_quota(instance_type: str) -> str:
    """Name of the quota of warm instances."""
    return f"{instance_type} for training warm pool usage"


def read_quotas(session: AwsSession) -> Mapping[str, Quota] | None:
    """All quotas of SageMaker by name.

    Parameters
    ----------
    session
        An open session; its user needs ``servicequotas:ListServiceQuotas``.

    Returns
    -------
    mapping or None
        None if the account does not allow to read its quotas.

    Raises
    ------
    ServiceError
        The service does not respond.
    """
    quotas: dict[str, Quota] = {}
    try:
        with boto.service_errors():
            client = session.client("service-quotas")
            for page in client.get_paginator("list_service_quotas").paginate(ServiceCode=_SERVICE):
                for entry in page["Quotas"]:
                    quotas[entry["QuotaName"]] = Quota(
                        name=entry["QuotaName"],
                        code=entry["QuotaCode"],
                        value=float(entry["Value"]),
                        is_adjustable=bool(entry.get("Adjustable", False)),
                    )
    except boto.ServiceError as error:
        if error.is_denied or error.code in _NOT_READABLE:
            return None
        raise
    return quotas
