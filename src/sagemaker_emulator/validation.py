"""Requests checked against botocore's own model of the service, with the service's wording.

All violations are found before the request is refused, and joined as the service joins them:
``2 validation errors detected: Value ... failed to satisfy constraint: ...; Value ...``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, cast, final

from botocore.loaders import Loader

from sagemaker_emulator.errors import ServiceError, invalid

_ANCHORED: Final = {"TrainingJobName": "^{}", "RoleArn": "^{}$"}
"""Texts of the service show anchors that botocore's model does not carry any more."""

_JAVA_CLASSES: Final = {r"\p{L}\p{Z}\p{N}_": r"\w\s", r"\p{Alnum}": "a-zA-Z0-9"}
"""Character classes of the model's patterns that Python does not know."""

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
"""One shape of the model's JSON: ``type`` and, as they apply, members, required, min, max, pattern, enum."""


@final
class RequestModel:
    """The input shapes of the service's operations.

    The first one reads botocore's model (about 0.1 s); a check takes some 20 microseconds.
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
        yield from (_text(value, path, constraint) for constraint in _broken(name, shape, value))
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
                yield _text(None, below, "Member must not be null")

    def _of_map(self, shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
        for side, items in (("key", value.keys()), ("value", value.values())):
            name: str = shape[side]["shape"]
            if any(list(self._violations(name, item, f"{path}.{side}")) for item in items):
                constraints = ", ".join(_constraints(name, self._shapes[name]))
                yield _text(value, path, f"Map {side} must satisfy constraint: [{constraints}]")


@cache
def _read_model() -> Mapping[str, Any]:
    return Loader().load_service_model("sagemaker", "service-2")


def _broken(name: str, shape: Shape, value: object) -> Iterator[str]:
    """Texts of the constraints of this very shape that the value violates."""
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


def _text(value: object, path: str, constraint: str) -> str:
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
