"""Errors of the service, with the texts that clients match on.

The texts were collected from public bug reports and client code; unknown ones are replaced by one line of our own.
"""

from __future__ import annotations

from typing import final

CAPACITY_ERROR = (
    "CapacityError: Unable to provision requested ML compute capacity. "
    "Please retry using a different ML instance type."
)
"""FailureReason of a job that got no instance."""

INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."
"""FailureReason of a job that lost its instance."""


@final
class ServiceError(Exception):
    """Rejection of a request: HTTP 400 with ``__type`` = ``code`` and ``message``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def invalid(message: str) -> ServiceError:
    """ValidationException: the request contradicts the model or the state of its resource."""
    return ServiceError("ValidationException", message)


def unknown_job() -> ServiceError:
    """Error of Describe and Stop for an unknown name (a ValidationException, not ResourceNotFound)."""
    return invalid("Requested resource not found.")


def not_found(resource: str) -> ServiceError:
    """ResourceNotFound: the modelled error, for the other operations."""
    return ServiceError("ResourceNotFound", f"Requested resource not found: {resource}.")


def name_taken(arn: str) -> ServiceError:
    """ResourceInUse of CreateTrainingJob."""
    return ServiceError(
        "ResourceInUse",
        "Training job names must be unique within an AWS account and region, "
        f"and a training job with this name already exists ({arn})",
    )


def in_use(message: str) -> ServiceError:
    """ResourceInUse of DeleteTrainingJob."""
    return ServiceError("ResourceInUse", message)


def limit_exceeded(quota: str, limit: int, utilization: int, delta: int) -> ServiceError:
    """ResourceLimitExceeded of CreateTrainingJob; all numbers are instances."""
    return ServiceError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{quota}' is {limit} Instances, with current utilization of "
        f"{utilization} Instances and a request delta of {delta} Instances. Please use AWS Service Quotas to request "
        "an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an "
        "increase for this quota.",
    )


def throttled() -> ServiceError:
    """ThrottlingException: the operation's request rate is exceeded."""
    return ServiceError("ThrottlingException", "Rate exceeded")


def unknown_key() -> ServiceError:
    """UnrecognizedClientException: the request is signed with another access key."""
    return ServiceError(
        "UnrecognizedClientException", "The security token included in the request is invalid."
    )
