"""Checks of requests: against botocore's model of the service, then against rules outside of that model.

All violations are collected, and joined as the service joins them:
``2 validation errors detected: Value ... failed to satisfy constraint: ...; Value ...``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, cast, final

from botocore.loaders import Loader

from sagemaker_emulator.service.errors import ServiceError, invalid

_ANCHORED: Final = {"TrainingJobName": "^{}", "RoleArn": "^{}$"}
"""Patterns with the anchors of the service's messages, which botocore's model lacks."""

_JAVA_CLASSES: Final = {r"\p{L}\p{Z}\p{N}_": r"\w\s", r"\p{Alnum}": "a-zA-Z0-9"}
"""Character classes of the model's patterns that Python does not support."""

_JSON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


_SIZED: Final = frozenset({"string", "list", "map"})

Shape = Mapping[str, Any]
"""One shape of the model's JSON: ``type`` and optionally members, required, min, max, pattern, enum."""


@final
class RequestModel:
    """Input shapes of the service's operations.

    The first instance reads botocore's model (about 0.1 s); a check takes about 20 microseconds.
    """

    def __init__(self) -> None:
        model = _read_model()
        self._operations: Mapping[str, Any] = model["operations"]
        self._shapes: Mapping[str, Shape] = model["shapes"]

    def check(self, operation: str, request: Mapping[str, Any]) -> None:
        """Check one request.

        Raises
        ------
        ServiceError
            ValidationException with all violations, or SerializationException for a value of a wrong JSON type.
        """
        violations = list(self._violations(self._operations[operation]["input"]["shape"], request, ""))
        if violations:
            count = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected: "
            raise invalid(count + "; ".join(violations))

    def _violations(self, name: str, value: object, path: str) -> Iterator[str]:
        shape = self._shapes[name]
        kind: str = shape["type"]
        if not isinstance(value, _JSON_TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            where = path or "request"
            raise ServiceError(
                "SerializationException", f"{_json_kind(value)} at '{where}' can not be converted to {kind}"
            )
        yield from (_violation(value, path, constraint) for constraint in _broken(name, shape, value))
        if kind == "structure":
            yield from self._of_structure(shape, cast("dict[str, Any]", value), path)
        elif kind == "list":
            for index, item in enumerate(cast("list[Any]", value), start=1):
                yield from self._violations(shape["member"]["shape"], item, f"{path}.{index}.member")
        elif kind == "map":
            yield from self._of_map(shape, cast("dict[str, Any]", value), path)

    def _of_structure(self, shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
        for name, member in shape["members"].items():
            below = f"{path}.{_camel(name)}" if path else _camel(name)
            if value.get(name) is not None:
                yield from self._violations(member["shape"], value[name], below)
            elif name in shape.get("required", ()):
                yield _violation(None, below, "Member must not be null")

    def _of_map(self, shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
        for side, items in (("key", value.keys()), ("value", value.values())):
            name: str = shape[side]["shape"]
            if any(list(self._violations(name, item, f"{path}.{side}")) for item in items):
                constraints = ", ".join(_constraints(name, self._shapes[name]))
                yield _violation(value, path, f"Map {side} must satisfy constraint: [{constraints}]")


@cache
def _read_model() -> Mapping[str, Any]:
    loader: Any = Loader()
    return loader.load_service_model("sagemaker", "service-2")


def _broken(name: str, shape: Shape, value: object) -> Iterator[str]:
    """Texts of this shape's constraints that the value violates."""
    if shape["type"] in _SIZED:
        yield from _broken_size(shape, len(cast("str", value)))
    elif shape["type"] != "boolean" and isinstance(value, (int, float)):
        if value > shape.get("max", value):
            yield f"Member must have value less than or equal to {shape['max']}"
        if value < shape.get("min", value):
            yield f"Member must have value greater than or equal to {shape['min']}"
    if isinstance(value, str):
        if value not in shape.get("enum", (value,)):
            yield f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]"
        if "pattern" in shape and not _compiled(shape["pattern"]).fullmatch(value):
            yield _pattern_text(name, shape)


def _broken_size(shape: Shape, size: int) -> Iterator[str]:
    if size > shape.get("max", size):
        yield _longest(shape)
    if size < shape.get("min", size):
        yield _shortest(shape)


def _constraints(name: str, shape: Shape) -> Iterator[str]:
    """All constraints of the keys or values of a map, in the service's order."""
    if "max" in shape:
        yield _longest(shape)
    if "min" in shape:
        yield _shortest(shape)
    if "pattern" in shape:
        yield _pattern_text(name, shape)


def _longest(shape: Shape) -> str:
    return f"Member must have length less than or equal to {shape['max']}"


def _shortest(shape: Shape) -> str:
    return f"Member must have length greater than or equal to {shape['min']}"


def _pattern_text(name: str, shape: Shape) -> str:
    pattern = _ANCHORED.get(name, "{}").format(shape["pattern"])
    return f"Member must satisfy regular expression pattern: {pattern}"


def _violation(value: object, path: str, constraint: str) -> str:
    return f"Value {_shown(value)} at '{path}' failed to satisfy constraint: {constraint}"


def _shown(value: object) -> str:
    if value is None:
        return "null"
    return f"'{value}'" if isinstance(value, str) else f"'{json.dumps(value)}'"


def _json_kind(value: object) -> str:
    for kind, name in (
        (dict, "Object"),
        (list, "Array"),
        (str, "String"),
        (bool, "Boolean"),
        (int, "Number"),
        (float, "Number"),
    ):
        if isinstance(value, kind):
            return name
    return "Null"


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


DEFAULT_RUNTIME: Final = 86400
"""Default MaxRuntimeInSeconds."""

Members = Mapping[str, Any]


def with_defaults(request: Members) -> dict[str, Any]:
    """Copy of the request with the defaults that Describe shows."""
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


def check_create(request: Members, keep_alive_cap: int) -> None:
    """Check rules over several members of a CreateTrainingJob request.

    Raises
    ------
    ServiceError
        ValidationException for the first violated rule.
    """
    for rule in (
        _has_parts,
        _has_instances,
        _volume_key,
        _names_an_image,
        _stopping_condition,
        _channels_differ,
        _file_systems_have_a_vpc,
    ):
        rule(request)
    _keep_alive(request, keep_alive_cap)


def _has_parts(request: Members) -> None:
    if "ServerlessJobConfig" in request:
        raise invalid("ServerlessJobConfig is not supported by this endpoint; give ResourceConfig instead.")
    for part in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if part not in request:
            raise invalid(f"{part} is required for a training job without ServerlessJobConfig.")


def _has_instances(request: Members) -> None:
    resources = request["ResourceConfig"]
    if "InstancePreferences" in resources:
        raise invalid("InstancePreferences is not supported by this endpoint; give InstanceType instead.")
    groups = bool(resources.get("InstanceGroups"))
    if groups == ("InstanceType" in resources):
        raise invalid("ResourceConfig needs either InstanceType with InstanceCount, or InstanceGroups.")
    if not groups and resources.get("InstanceCount", 1) < 1:
        raise invalid("InstanceCount must be at least 1.")


_LOCAL_STORAGE: Final = re.compile(
    r"ml\.(g4dn|g[5-7]e?|r5d|p3dn|p4de?|p5(e|en)?|p6(-b\d+|e-gb\d+)|trn\d+n?)\.\w+"
)
"""Instance types with local NVMe disks."""


def _volume_key(request: Members) -> None:
    """CreateTrainingJob takes no key for the disks of these types; the wording of the service is not known."""
    resources = request["ResourceConfig"]
    groups = resources.get("InstanceGroups") or [resources]
    for instance_type in (str(group.get("InstanceType", "")) for group in groups):
        if "VolumeKmsKeyId" in resources and _LOCAL_STORAGE.fullmatch(instance_type):
            raise invalid(
                f"VolumeKmsKeyId is not supported for instance type {instance_type}, which has local storage."
            )


def _names_an_image(request: Members) -> None:
    algorithm = request["AlgorithmSpecification"]
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise invalid("You must specify either TrainingImage or AlgorithmName, and not both.")


def _stopping_condition(request: Members) -> None:
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


def _channels_differ(request: Members) -> None:
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    for name in names:
        if name in {".", ".."}:
            raise invalid(f"Invalid channel name in InputDataConfig: {name}.")
        if names.count(name) > 1:
            raise invalid(f"Duplicate channel name in InputDataConfig: {name}.")


def _file_systems_have_a_vpc(request: Members) -> None:
    """Jobs mount file systems over their network interfaces in a VPC; the wording of the service is not known."""
    if request.get("VpcConfig"):
        return
    for channel in request.get("InputDataConfig", ()):
        if "FileSystemDataSource" in channel["DataSource"]:
            raise invalid(
                f"VpcConfig is required for the FileSystemDataSource of channel {channel['ChannelName']}."
            )


def _keep_alive(request: Members, cap: int) -> None:
    resources = request["ResourceConfig"]
    keep_alive = resources.get("KeepAlivePeriodInSeconds", 0)
    check_keep_alive(keep_alive, cap)
    if keep_alive and request.get("EnableManagedSpotTraining"):
        raise invalid("KeepAlivePeriodInSeconds is not supported when EnableManagedSpotTraining is True.")
    if keep_alive and resources.get("InstanceGroups"):
        raise invalid("KeepAlivePeriodInSeconds is not supported with InstanceGroups.")


def check_keep_alive(seconds: int, cap: int) -> None:
    """Check KeepAlivePeriodInSeconds against the account's limit.

    Raises
    ------
    ServiceError
        ValidationException.
    """
    if seconds > cap:
        raise invalid(
            f"KeepAlivePeriodInSeconds {seconds} is above the maximum keep-alive for cluster reuse of {cap} seconds."
        )
