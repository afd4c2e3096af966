"""Quotas of the account: request rates, and Service Quotas (ListServiceQuotas and GetServiceQuota for SageMaker).

Names are the service's own, such as ``ml.c5.xlarge for training warm pool usage``. Codes are hashes of the names: the
real ones are arbitrary, and clients search by name.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from threading import Lock
from typing import Any, Final, final

from botocore.loaders import Loader

from sagemaker_emulator.service.errors import ServiceError, throttled
from sagemaker_emulator.service.settings import ACCOUNT_ID, ServiceSettings

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
_KNOWN_CODES: Final = {"Rate of CreateTrainingJob requests": "L-21A1652A"}


@final
class ServiceQuotas:
    """Operations of Service Quotas for one account."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._operations: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "ListServiceQuotas": self._list,
            "GetServiceQuota": self._get,
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

    def _list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        size, token = request.get("MaxResults", _MAX_PAGE), request.get("NextToken", "0")
        if not isinstance(size, int) or not 1 <= size <= _MAX_PAGE or not str(token).isdigit():
            raise ServiceError("IllegalArgumentException", "MaxResults is 1 to 100; NextToken is of ours")
        begin = int(token)
        quotas = list(self._quotas())
        answer: dict[str, Any] = {"Quotas": quotas[begin : begin + size]}
        if begin + size < len(quotas):
            answer["NextToken"] = str(begin + size)
        return answer

    def _get(self, request: Mapping[str, Any]) -> dict[str, Any]:
        wanted = request.get("QuotaCode")
        for quota in self._quotas():
            if quota["QuotaCode"] == wanted:
                return {"Quota": quota}
        raise _not_found(f"quota {wanted}")

    def _quotas(self) -> Iterator[dict[str, Any]]:
        for instance_type in _instance_types():
            limit = float(self._settings.quota(instance_type))
            yield self._quota(f"{instance_type} for training job usage", limit)
            yield self._quota(f"{instance_type} for spot training job usage", limit)
            warm = float(self._settings.warm_pool_quota(instance_type))
            yield self._quota(f"{instance_type} for training warm pool usage", warm)
        for operation, (rate, _) in RATES.items():
            yield self._quota(f"Rate of {operation} requests", rate)

    def _quota(self, name: str, value: float) -> dict[str, Any]:
        code = _KNOWN_CODES.get(name) or f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"
        place = f"arn:aws:servicequotas:{self._settings.region}:{ACCOUNT_ID}:{SERVICE_CODE}"
        return {
            "ServiceCode": SERVICE_CODE,
            "ServiceName": "Amazon SageMaker",
            "QuotaArn": f"{place}/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": value,
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
