"""Settings of the methods that run synchronous brackets."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass

from tunewright.exceptions import SettingsError
from tunewright.schedulers.brackets import HyperbandSettings


@dataclass(frozen=True, kw_only=True)
class BracketOptions(ABC):  # noqa: B024 - a part of settings, of no use alone
    """`HyperbandSettings` without the resource of a full run, which the benchmark knows.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    grace_period: int = 1
    """The first level of the first bracket, >= 1."""
    eta: float = 3
    """Reduction factor, >= 2."""
    brackets: int | None = None
    """How many different brackets take turns, >= 1; all where nothing is given."""

    def __post_init__(self) -> None:
        if self.brackets is not None and self.brackets < 1:
            raise SettingsError(f"brackets must be >= 1, not {self.brackets}")
        self._complete(self.grace_period + 1, None)  # how many there may be depends on the benchmark

    def plan(self, max_resource: int) -> HyperbandSettings:
        """The scheduler's settings for a benchmark whose full run is ``max_resource`` long.

        Raises
        ------
        SettingsError
            They do not fit it.
        """
        return self._complete(max_resource, self.brackets)

    def _complete(self, max_resource: int, brackets: int | None) -> HyperbandSettings:
        return HyperbandSettings(
            max_resource=max_resource, grace_period=self.grace_period, eta=self.eta, brackets=brackets
        )
