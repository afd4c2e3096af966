"""The account: role of the jobs, bucket of their files, and Service Quotas."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tunewright.aws import boto
from tunewright.aws.embedded import PRESET_VARIABLE
from tunewright.aws.endpoint import EndpointKind
from tunewright.aws.session import AwsSession
from tunewright.exceptions import BackendError
from tunewright.runner.contract import BucketTerms

ROLE_VARIABLE: Final = "TUNEWRIGHT_SAGEMAKER_ROLE"
"""Environment variable of the default role of jobs."""
_ROLE_VARIABLES: Final = (ROLE_VARIABLE, "AWS_ROLE")
_ROLE_MARK: Final = "AmazonSageMaker-ExecutionRole"
_ROLE_PATH: Final = "service-role/"
"""Path of the roles that the console of SageMaker creates."""
_REGION_HEADER: Final = "x-amz-bucket-region"
_EMBEDDED_ROLE: Final = f"{_ROLE_MARK}-Embedded"
_METADATA_FILE: Final = Path("/opt/ml/metadata/resource-metadata.json")
"""Description of the Studio app or notebook instance that this process runs in."""
_ASSUMED_ROLE: Final = re.compile(r"arn:[^:]+:sts::\d+:assumed-role/([^/]+)/.+")
_SERVICE_PRINCIPAL: Final = "sagemaker.amazonaws.com"


def find_role(session: AwsSession, role: str | None = None) -> str:
    """ARN of the execution role of jobs.

    The first of these that there is: the given role; TUNEWRIGHT_SAGEMAKER_ROLE; AWS_ROLE; the execution role of the Studio
    app or notebook instance of this process; the role that this process has assumed, if SageMaker may assume it; the
    account's only AmazonSageMaker-ExecutionRole. The embedded endpoint accepts any role, unless it is another kind of account
    (``SAGEMAKER_EMULATOR_PRESET``).

    Parameters
    ----------
    session
        An open session.
    role
        ARN or name of a role.

    Raises
    ------
    BackendError
        No role, or several ones are found, or roles cannot be listed.
    """
    given = role or next((os.environ[name] for name in _ROLE_VARIABLES if os.environ.get(name)), None)
    if given is None and _takes_any_role(session):
        given = _EMBEDDED_ROLE
    if given is not None:
        return given if given.startswith("arn:") else _role_arn(session, given)
    return _notebook_role() or _own_role(session) or _only_role(session)


def _takes_any_role(session: AwsSession) -> bool:
    """Whether the endpoint accepts roles that do not exist, or is not started, as in dry runs."""
    if session.endpoint.kind is not EndpointKind.EMBEDDED:
        return False
    return session.endpoint.url is None or os.environ.get(PRESET_VARIABLE, "default") == "default"


def _role_arn(session: AwsSession, name: str) -> str:
    """ARN of a role of the session's account, with its path.

    Without permission to read the role, it is that of TUNEWRIGHT_SAGEMAKER_ROLE if the names are equal; else it is taken for
    one that the console created, as SageMaker's SDK takes it.
    """
    roles = f"arn:{partition(session.endpoint.region)}:iam::{session.account}:role"
    if _takes_any_role(session):
        return f"{roles}/{name}"
    try:
        return str(_read_role(session, name)["Arn"])
    except boto.ServiceError as error:
        if error.code == "NoSuchEntity":
            raise BackendError(f"The account {session.account} has no role {name}: correct --role") from error
        if not error.is_forbidden:
            raise BackendError(f"The role {name} cannot be looked up ({error}): give its ARN") from error
        known = os.environ.get(ROLE_VARIABLE, "")  # in a tuning job, from the machine that launched it
        is_known = known.startswith("arn:") and known.endswith(f"/{name}")
        return known if is_known else f"{roles}/{name if '/' in name else _ROLE_PATH + name}"


def _read_role(session: AwsSession, name: str) -> Mapping[str, Any]:
    """Answer of GetRole.

    Raises
    ------
    ServiceError
        There is no such role, or the request is not permitted.
    """
    with boto.service_errors():
        return session.client("iam").get_role(RoleName=name.rpartition("/")[2])["Role"]


def _notebook_role() -> str | None:
    """Execution role of the Studio app or notebook instance; None elsewhere."""
    try:
        return json.loads(_METADATA_FILE.read_text(encoding="utf-8")).get("ExecutionRoleArn") or None
    except (OSError, ValueError, AttributeError):
        return None


def _own_role(session: AwsSession) -> str | None:
    """The role that this process has assumed, if SageMaker may assume it."""
    assumed = _ASSUMED_ROLE.fullmatch(session.caller)
    if assumed is None:
        return None
    try:
        role = _read_role(session, assumed[1])
    except boto.ServiceError:
        return _role_arn(session, assumed[1]) if _ROLE_MARK in assumed[1] else None
    return str(role["Arn"]) if _SERVICE_PRINCIPAL in json.dumps(role["AssumeRolePolicyDocument"]) else None


def _only_role(session: AwsSession) -> str:
    """The account's only execution role of SageMaker."""
    give = f"give --role or set {ROLE_VARIABLE}"
    try:
        with boto.service_errors():
            pages = session.client("iam").get_paginator("list_roles").paginate()
            names = {role["Arn"]: role["RoleName"] for page in pages for role in page["Roles"]}
    except boto.ServiceError as error:
        raise BackendError(
            f"No role was given and the account's cannot be listed ({error}): {give}"
        ) from error
    found = [arn for arn, name in names.items() if _ROLE_MARK in name]
    if not found:
        raise BackendError(
            "The account has no role for SageMaker jobs: create one that sagemaker.amazonaws.com may assume, with the permissions "
            f"that 'tunewright sagemaker policy --for trial' prints, and {give}"
        )
    if len(found) > 1:
        raise BackendError(
            f"Several roles of the account are for SageMaker: {give}, one of {', '.join(found)}"
        )
    return found[0]


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
    name, is_there = find_bucket(session, bucket, terms)
    if not is_there:
        _create_bucket(session, name)
    return name


def find_bucket(
    session: AwsSession, bucket: str | None = None, terms: BucketTerms | None = None
) -> tuple[str, bool]:
    """Name of the bucket, and whether it is there; nothing is created.

    Parameters
    ----------
    session, bucket, terms
        As for :func:`choose_bucket`.

    Raises
    ------
    BackendError
        The given bucket is missing, or the bucket is in another region or another account's, or cannot be used.
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
        return name, False
    _check_region(session, name, answer or {})
    return name, True


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
    """The wanted quotas of SageMaker by name, and others that are listed before them; AWS's defaults of unlisted ones.

    Service Quotas lists a quota only if its applied value is available. A quota that is absent from the result is
    unknown, not zero.

    Parameters
    ----------
    session
        An open session; its user needs ``servicequotas:ListServiceQuotas`` and, for defaults,
        ``servicequotas:ListAWSDefaultServiceQuotas``.
    wanted
        Names of quotas, at which a listing ends; empty: all that the account lists, and no defaults.

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
    applied = _listed(client.get_paginator("list_service_quotas"), set(wanted))
    if applied is None or applied.keys() >= set(wanted):
        return applied
    absent = set(wanted) - applied.keys()
    defaults = _listed(client.get_paginator("list_aws_default_service_quotas"), absent) or {}
    return {
        name: replace(quota, is_default=True) for name, quota in defaults.items() if name in wanted
    } | applied


def _listed(paginator: Any, wanted: Set[str]) -> dict[str, Quota] | None:
    """Quotas of a listing, as far as to the last wanted one; None if it is not allowed or not offered."""
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
                if wanted and quotas.keys() >= wanted:
                    break
    except boto.ServiceError as error:
        if error.is_denied or error.code in _NOT_READABLE:
            return None
        raise
    return quotas
