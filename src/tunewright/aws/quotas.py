"""Service Quotas: what the account may hold and call, where the user may read that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tunewright.aws import boto
from tunewright.aws.session import AwsSession

CREATE_RATE: Final = "Rate of CreateTrainingJob requests"
LIST_RATE: Final = "Rate of ListTrainingJobs requests"
_SERVICE: Final = "sagemaker"
_NOT_READABLE: Final = frozenset({"NotImplemented", "UnknownOperationException", "NoSuchResourceException"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One quota of an account and region."""

    name: str
    code: str
    """By which an increase is asked for, such as ``L-21A1652A``."""
    value: float
    is_adjustable: bool


def training_quota(instance_type: str) -> str:
    """The name of the quota of instances that training jobs hold, those kept warm included."""
    return f"{instance_type} for training job usage"


def spot_quota(instance_type: str) -> str:
    """The name of the quota of spot instances that training jobs hold."""
    return f"{instance_type} for spot training job usage"


def warm_pool_quota(instance_type: str) -> str:
    """The name of the quota of instances that are kept warm."""
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
        None where the account does not let its quotas be read.

    Raises
    ------
    ServiceError
        The service does not answer.
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
