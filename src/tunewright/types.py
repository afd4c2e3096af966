"""Types that every layer shares."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

ConfigValue: TypeAlias = str | int | float | bool
"""One hyperparameter's value."""

Config: TypeAlias = Mapping[str, ConfigValue]
"""A full configuration: every tuned hyperparameter and every constant of the space, by name."""

Number: TypeAlias = int | float
"""A stored number; a whole one stays an ``int`` when it is read, so that its text and all checksums stay the same."""

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
    """JSON data."""
else:
    Json = Any  # the codec cannot resolve a recursive alias

Note: TypeAlias = Mapping[str, Json]
"""A scheduler's data about a suggestion, journaled with the run's start.

The searcher's part has the key ``"searcher"``.
"""


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def package_version() -> str:
    """Version of this package, from its root module, which is loaded in any case; it need not be installed."""
    return str(sys.modules["tunewright"].__version__)
