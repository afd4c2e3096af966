"""What the service demands of a CreateTrainingJob request beyond its model, and the defaults that it fills in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sagemaker_emulator.errors import invalid

DEFAULT_RUNTIME: Final = 86400
"""Seconds; MaxRuntimeInSeconds of a request that names none."""

Request = Mapping[str, Any]


def with_defaults(request: Request) -> dict[str, Any]:
    """Fill in the request's defaults as Describe shows them; the request itself is left alone."""
    filled = {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **request,
    }
    filled["StoppingCondition"] = {
        "MaxRuntimeInSeconds": DEFAULT_RUNTIME,
        **request.get("StoppingCondition", {}),
    }
    resources = dict(request["ResourceConfig"])
    if not resources.get("InstanceGroups"):
        resources.setdefault("InstanceCount", 1)
    filled["ResourceConfig"] = resources
    filled["OutputDataConfig"] = {"KmsKeyId": "", **request["OutputDataConfig"]}
    return filled


def check_create(request: Request, keep_alive_cap: int) -> None:
    """Check what no single member can tell.

    Raises
    ------
    ServiceError
        ValidationException for the first rule that is broken.
    """
    for rule in (_has_parts, _has_instances, _names_an_image, _stopping_condition, _channels_differ):
        rule(request)
    _keep_alive(request, keep_alive_cap)


def _has_parts(request: Request) -> None:
    if "ServerlessJobConfig" in request:
        raise invalid("ServerlessJobConfig is not supported by this endpoint; give ResourceConfig instead.")
    for part in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if part not in request:
            raise invalid(f"{part} is required for a training job without ServerlessJobConfig.")


def _has_instances(request: Request) -> None:
    resources = request["ResourceConfig"]
    if "InstancePreferences" in resources:
        raise invalid("InstancePreferences is not supported by this endpoint; give InstanceType instead.")
    groups = bool(resources.get("InstanceGroups"))
    if groups == ("InstanceType" in resources):
        raise invalid("ResourceConfig needs either InstanceType with InstanceCount, or InstanceGroups.")
    if not groups and resources.get("InstanceCount", 1) < 1:
        raise invalid("InstanceCount must be at least 1.")


def _names_an_image(request: Request) -> None:
    algorithm = request["AlgorithmSpecification"]
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise invalid("You must specify either TrainingImage or AlgorithmName, and not both.")


def _stopping_condition(request: Request) -> None:
    limits = request["StoppingCondition"]
    runtime = limits.get("MaxRuntimeInSeconds", DEFAULT_RUNTIME)
    wait = limits.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if wait is not None:
            raise invalid("MaxWaitTimeInSeconds can only be set when EnableManagedSpotTraining is True.")
    elif wait is None:
        raise invalid("MaxWaitTimeInSeconds is required when EnableManagedSpotTraining is True.")
    elif wait < runtime:
        raise invalid(
            f"Invalid MaxWaitTimeInSeconds: it must be equal to or greater than MaxRuntimeInSeconds ({wait} < {runtime})."
        )


def _channels_differ(request: Request) -> None:
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Duplicate channel name in InputDataConfig: {name}.")


def _keep_alive(request: Request, cap: int) -> None:
    resources = request["ResourceConfig"]
    keep_alive = resources.get("KeepAlivePeriodInSeconds", 0)
    check_keep_alive(keep_alive, cap)
    if keep_alive and request.get("EnableManagedSpotTraining"):
        raise invalid("KeepAlivePeriodInSeconds is not supported when EnableManagedSpotTraining is True.")
    if keep_alive and resources.get("InstanceGroups"):
        raise invalid("KeepAlivePeriodInSeconds is not supported with InstanceGroups.")


def check_keep_alive(seconds: int, cap: int) -> None:
    """Refuse a KeepAlivePeriodInSeconds above the account's limit.

    Raises
    ------
    ServiceError
        ValidationException.
    """
    if seconds > cap:
        raise invalid(
            f"KeepAlivePeriodInSeconds {seconds} is above the maximum keep-alive for cluster reuse of {cap} seconds."
        )
