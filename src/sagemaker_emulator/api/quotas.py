"""Quotas of the account: request rates, and Service Quotas (List and Get of applied and default values for SageMaker).

Names are the service's own, such as ``ml.c5.xlarge for training warm pool usage``. Codes are hashes of the names: the
real ones are arbitrary, and clients search by name.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from threading import Lock
from typing import Any, Final, final

from botocore.loaders import Loader

from sagemaker_emulator.service.errors import ServiceError, throttled
from sagemaker_emulator.service.settings import (
    ACCOUNT_ID,
    ServiceSettings,
    job_quota,
    total_quota,
    usage_quota,
)

RATES: Final[dict[str, tuple[float, float]]] = {
    "CreateTrainingJob": (1.0, 3.0),
    "ListTrainingJobs": (2.0, 5.0),
    "DescribeTrainingJob": (10.0, 20.0),
    "StopTrainingJob": (5.0, 10.0),
    "UpdateTrainingJob": (2.0, 10.0),
    "DeleteTrainingJob": (2.0, 10.0),
    "Search": (2.0, 5.0),
    "AddTags": (5.0, 10.0),
    "ListTags": (5.0, 10.0),
    "DeleteTags": (5.0, 10.0),
    "FilterLogEvents": (10.0, 20.0),
}
"""Operation -> (requests per service second, burst). Create, List and FilterLogEvents are the published limits (1/s, 2/s,
and 10/s in most regions); the other rates and all bursts are not published, these are cautious guesses."""


@final
class RequestRates:
    """Rejects requests above :data:`RATES`, which are multiplied by the speed of the service."""

    def __init__(self, speed: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._clock = clock
        self._lock = Lock()
        now = clock()
        self._buckets = {operation: (burst, now) for operation, (_, burst) in RATES.items()}

    def acquire(self, operation: str) -> None:
        """Take one token.

        Raises
        ------
        ServiceError
            ThrottlingException if the bucket is empty.
        """
        if operation not in RATES:
            return
        rate, burst = RATES[operation]
        with self._lock:
            tokens, then = self._buckets[operation]
            now = self._clock()
            tokens = min(burst, tokens + (now - then) * rate * self._speed)
            self._buckets[operation] = (tokens - 1.0 if tokens >= 1.0 else tokens, now)
        if tokens < 1.0:
            raise throttled()


TARGET_PREFIX: Final = "ServiceQuotasV20190624."
SERVICE_CODE: Final = "sagemaker"
_MAX_PAGE: Final = 100
_KNOWN_CODES: Final = {
    "Rate of CreateTrainingJob requests": "L-21A1652A",
    total_quota(): "L-00C91CB5",
    job_quota(): "L-622CFD70",
}


@final
class ServiceQuotas:
    """Operations of Service Quotas for one account."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._operations: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "ListServiceQuotas": lambda request: self._list(self._applied(), request),
            "GetServiceQuota": lambda request: self._get(self._applied(), request),
            "ListAWSDefaultServiceQuotas": lambda request: self._list(self._defaults(), request),
            "GetAWSDefaultServiceQuota": lambda request: self._get(self._defaults(), request),
        }

    def execute(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request.

        Raises
        ------
        ServiceError
            The operation, the service or the quota is unknown, or a number is out of its range.
        """
        found = self._operations.get(operation)
        if found is None:
            raise ServiceError("UnknownOperationException", f"The emulator does not know {operation}")
        if request.get("ServiceCode") != SERVICE_CODE:
            raise _not_found(f"service {request.get('ServiceCode')}")
        return found(request)

    def _list(self, quotas: Sequence[dict[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
        size, token = request.get("MaxResults", _MAX_PAGE), request.get("NextToken", "0")
        if not isinstance(size, int) or not 1 <= size <= _MAX_PAGE or not str(token).isdigit():
            raise ServiceError("IllegalArgumentException", "MaxResults is 1 to 100; NextToken is of ours")
        begin = int(token)
        answer: dict[str, Any] = {"Quotas": quotas[begin : begin + size]}
        if begin + size < len(quotas):
            answer["NextToken"] = str(begin + size)
        return answer

    def _get(self, quotas: Sequence[dict[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
        wanted = request.get("QuotaCode")
        for quota in quotas:
            if quota["QuotaCode"] == wanted:
                return {"Quota": quota}
        raise _not_found(f"quota {wanted}")

    def _applied(self) -> list[dict[str, Any]]:
        """Quotas with an applied value: those of the settings, and all others if the account lists them."""
        settings, account = self._settings, self._settings.account
        quotas: dict[str, float] = {}
        for instance_type in _instance_types() if account.lists_defaults else settings.quotas:
            for is_spot in (False, True):
                quotas[usage_quota(instance_type, is_spot=is_spot)] = settings.quota(instance_type)
        for instance_type in _instance_types() if account.lists_defaults else settings.warm_pool_quotas:
            quotas[f"{instance_type} for training warm pool usage"] = settings.warm_pool_quota(instance_type)
        if settings.total is not None:
            quotas |= {total_quota(is_spot=is_spot): settings.total for is_spot in (False, True)}
        return [self._quota(name, value) for name, value in (quotas | self._common()).items()]

    def _defaults(self) -> list[dict[str, Any]]:
        """Default values of all quotas."""
        account = self._settings.account
        quotas: dict[str, float] = {}
        for instance_type in _instance_types():
            for is_spot in (False, True):
                quotas[usage_quota(instance_type, is_spot=is_spot)] = account.quota
            quotas[f"{instance_type} for training warm pool usage"] = account.warm_pool_quota
        if account.total_quota is not None:
            quotas |= {total_quota(is_spot=is_spot): account.total_quota for is_spot in (False, True)}
        return [self._quota(name, value) for name, value in (quotas | self._common()).items()]

    def _common(self) -> dict[str, float]:
        """Quotas that cannot be set."""
        quotas: dict[str, float] = {
            f"Rate of {operation} requests": rate for operation, (rate, _) in RATES.items()
        }
        limit = self._settings.account.job_quota
        return quotas | ({job_quota(is_spot=is_spot): limit for is_spot in (False, True)} if limit else {})

    def _quota(self, name: str, value: float) -> dict[str, Any]:
        code = _KNOWN_CODES.get(name) or f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"
        place = f"arn:aws:servicequotas:{self._settings.region}:{ACCOUNT_ID}:{SERVICE_CODE}"
        return {
            "ServiceCode": SERVICE_CODE,
            "ServiceName": "Amazon SageMaker",
            "QuotaArn": f"{place}/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": float(value),
            "Unit": "None",
            "Adjustable": name != "Rate of ListTrainingJobs requests",
            "GlobalQuota": False,
        }


@cache
def _instance_types() -> tuple[str, ...]:
    loader: Any = Loader()
    shapes: Any = loader.load_service_model("sagemaker", "service-2")["shapes"]
    return tuple(shapes["TrainingInstanceType"]["enum"])


def _not_found(name: str) -> ServiceError:
    return ServiceError("NoSuchResourceException", f"The request failed because there is no {name}.")
