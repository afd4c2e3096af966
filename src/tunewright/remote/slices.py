"""Slices of a launch: one tuning job each, as data, and where each of them stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, final

from tunewright.exceptions import SettingsError
from tunewright.experiments.remote_marker import SliceState

_SCHEMA: Final = 1


ENDED: Final = frozenset({SliceState.FINISHED, SliceState.FAILED, SliceState.STOPPED})
"""States in which nothing more happens by itself."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one tuning job does."""

    tag: str
    name: str
    """Unique in the tag; made of method, benchmark and seed."""
    label: str
    seed: int | None
    """None where one job runs all seeds."""
    flags: tuple[str, ...]
    """Of ``hpo_main.py``."""
    request: Mapping[str, Any]
    """The CreateTrainingJob request without the job's name."""
    dollars_per_hour: float | None = None
    """Of the tuning job's own instance."""

    def to_bytes(self) -> bytes:
        """What :meth:`from_bytes` reads."""
        return json.dumps({"schema": _SCHEMA, **asdict(self)}, sort_keys=True).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Slice:
        """The inverse of :meth:`to_bytes`.

        Raises
        ------
        SettingsError
            The data describe no slice that this version knows.
        """
        fields: dict[str, Any] = json.loads(data)
        if fields.pop("schema", None) != _SCHEMA:
            raise SettingsError("The launch was made by another version of Tunewright: use that one")
        fields["flags"] = tuple(fields["flags"])
        return Slice(**fields)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SliceStatus:
    """A slice and where it stands."""

    slice: Slice
    state: SliceState
    jobs: tuple[str, ...] = ()
    """Names of its tuning jobs, in order."""
    seconds: float = 0.0
    """Service seconds of all of its tuning jobs together."""
    why: str = ""
    """Of what it waits for, or how it failed."""
    experiments: tuple[str, ...] = field(default=())
    """Names of its experiments."""

    @property
    def cost(self) -> float | None:
        """Dollars of its tuning jobs; None where the price is not known."""
        price = self.slice.dollars_per_hour
        return None if price is None else price * self.seconds / 3600
