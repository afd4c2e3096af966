"""Records as JSON data: one encoder and one decoder for all frozen dataclasses and structs that are stored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeVar, cast

import msgspec

from tunewright.exceptions import SettingsError
from tunewright.types import Json

T = TypeVar("T")


def to_json(record: object) -> dict[str, Json]:
    """Return the fields of a dataclass or struct as JSON data, in their order.

    Paths are encoded as text, and values with a ``to_json`` method of their own, such as search spaces, by it.
    """
    return cast("dict[str, Json]", msgspec.to_builtins(record, enc_hook=_encode))


def from_json(kind: type[T], data: object, what: str, *, is_text: bool = False) -> T:
    """Build a record of class ``kind`` from the data of :func:`to_json`; absent fields get their defaults.

    Parameters
    ----------
    kind
        A dataclass or struct.
    data
        A mapping. Unknown keys of a dataclass are refused; a struct decides itself.
    what
        Noun for the error message; with ``is_text`` the flag or file that the texts are from.
    is_text
        Whether values are texts, which are read as the fields' types: ``"3"`` as 3, ``"true"`` as True.

    Raises
    ------
    SettingsError
        A field is missing or unknown, or its value has another type or cannot work.
    """
    problem = what if is_text else f"The stored {what} cannot be read"
    names = getattr(kind, "__dataclass_fields__", None)
    if names is not None and isinstance(data, Mapping):
        for name in cast("Mapping[str, object]", data):
            if name not in names:
                raise SettingsError(f"{problem}: unknown field {name!r}")
    try:
        return msgspec.convert(data, kind, strict=not is_text, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{problem}: {error}") from None


def _encode(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    encode = getattr(value, "to_json", None)
    if encode is None:
        raise NotImplementedError(f"a stored record cannot hold a {type(value).__name__}")
    return encode()


def _decode(kind: type[Any], value: object) -> object:
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    decode = getattr(kind, "from_json", None)
    if decode is None:
        raise NotImplementedError(f"a stored record cannot hold a {kind.__name__}")
    try:
        return decode(value)
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"not a {kind.__name__}: {error!r}") from None
