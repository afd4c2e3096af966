"""What an account must have, looked at part by part, without a job: ``tunewright doctor --backend sagemaker``."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Final

from tunewright.aws import (
    AwsSession,
    Endpoint,
    EndpointKind,
    ServiceError,
    find_bucket,
    find_role,
    open_session,
)
from tunewright.backends.plugin import Finding
from tunewright.backends.s3.code import ROOT_PREFIX
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.job_service import JobLogs
from tunewright.backends.sagemaker.preflight import Plan, needs, quotas_of
from tunewright.backends.sagemaker.settings import instance_types
from tunewright.exceptions import BackendError

_OTHER_BUCKET: Final = "give another --bucket"
_LATER: Final = "try again when the service answers"
_USUAL_TYPE: Final = "ml.c5.xlarge"
"""Instance type of ``tunewright tune``, if none is given."""
_JOB: Final = "none was created, since it would be billed: 'tunewright sagemaker verify' runs some"


def examine(config: SageMakerConfig, endpoint: Endpoint) -> Iterator[Finding]:
    """Look at credentials, role, bucket, jobs, logs and quotas; each fact as soon as it is known.

    A small object is written into the bucket, read and deleted. No job is created.

    Parameters
    ----------
    config
        Role, bucket, instance type.
    endpoint
        Of all requests.

    Raises
    ------
    MissingExtraError
        boto3 is not installed.
    """
    yield Finding(what="endpoint", found=_place(endpoint))
    try:
        session = open_session(endpoint)
    except BackendError as error:
        yield Finding(what="credentials", found="no requests can be sent", remedy=str(error))
        return
    try:
        yield Finding(what="credentials", found=f"account {session.account}, {session.caller}")
        yield _role(session, config)
        yield _bucket(session, config)
        yield _request("jobs", "they can be listed", lambda: session.call("ListTrainingJobs", MaxResults=1))
        yield _request("logs", "they can be read", JobLogs(session).check)
        yield from _quotas(session, config)
        if endpoint.kind is EndpointKind.AWS:
            yield Finding(what="job", found=_JOB)
    finally:
        session.close()


def _place(endpoint: Endpoint) -> str:
    if endpoint.kind is EndpointKind.EMBEDDED:
        return "embedded in this machine, since no credentials were found or --endpoint embedded was given"
    return endpoint.url or f"AWS, region {endpoint.region}"


def _role(session: AwsSession, config: SageMakerConfig) -> Finding:
    try:
        return Finding(what="role of the jobs", found=find_role(session, config.role))
    except BackendError as error:
        return Finding(what="role of the jobs", found="none", remedy=str(error))


def _bucket(session: AwsSession, config: SageMakerConfig) -> Finding:
    """The bucket, and whether an object can be written, read and deleted there."""
    try:
        name, exists = find_bucket(session, config.bucket, config.bucket_terms)
    except BackendError as error:
        return Finding(what="bucket", found="it cannot be used", remedy=str(error))
    if not exists:
        return Finding(what="bucket", found=f"{name} is created by the first experiment")
    objects, key, content = (
        session.objects(name, ROOT_PREFIX),
        f"doctor-{secrets.token_hex(8)}",
        b"tunewright",
    )
    try:
        objects.put(key, content)
        try:
            is_same = objects.get(key) == content
        finally:
            objects.delete([key])
    except ServiceError as error:
        return Finding(what="bucket", found=f"{name}: {error}", remedy=error.remedy or _OTHER_BUCKET)
    if not is_same:
        return Finding(
            what="bucket", found=f"{name}: an object is not what was written", remedy=_OTHER_BUCKET
        )
    return Finding(what="bucket", found=f"{name}: objects can be written, read and deleted")


def _request(what: str, found: str, send: Callable[[], object]) -> Finding:
    try:
        send()
    except ServiceError as error:
        return Finding(what=what, found=str(error), remedy=error.remedy or _LATER)
    return Finding(what=what, found=found)


def _quotas(session: AwsSession, config: SageMakerConfig) -> Iterator[Finding]:
    """Quotas of one instance of each type, beside the need."""
    if session.endpoint.kind is EndpointKind.EMBEDDED:
        return
    for instance_type in instance_types(config.instance_type or _USUAL_TYPE):
        plan = Plan(
            instance_type=instance_type,
            n_instances=1,
            has_warm_pool=config.warm_pool,
            is_spot=config.spot,
        )
        try:
            quotas = quotas_of(session, plan)
        except ServiceError as error:
            yield Finding(what="quotas", found=str(error), remedy=error.remedy or _LATER)
            return
        if quotas is None:
            yield Finding(
                what="quotas", found="they cannot be read: servicequotas:ListServiceQuotas is not allowed"
            )
            return
        for line in needs(plan, quotas):
            yield Finding(
                what=f"quota, {line.quota}",
                found=f"{line.value}, needed for one worker: {line.needs:g}",
                remedy=line.remedy,
            )
