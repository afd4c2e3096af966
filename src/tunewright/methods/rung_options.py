"""Settings of rungs, that several methods have in common."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass

from tunewright.exceptions import SettingsError
from tunewright.schedulers.asha import ASHAKind, ASHASettings


@dataclass(frozen=True, kw_only=True)
class RungOptions(ABC):  # noqa: B024 - a part of settings, of no use alone
    """`ASHASettings` without the resource of a full run, which the benchmark knows.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    kind: ASHAKind = ASHAKind.PROMOTION
    """``promotion`` (trials pause at rungs and the best go on) or ``stopping``."""
    grace_period: int = 1
    """The first rung, >= 1."""
    eta: float = 3
    """Reduction factor, >= 2."""
    brackets: int = 1
    """Brackets, >= 1, drawn as in Hyperband."""
    rung_levels: tuple[int, ...] | None = None
    """Own rungs instead of ``grace_period * eta**j``."""
    shared_rungs: bool = True
    """Whether trials of all brackets compete with one another."""

    def __post_init__(self) -> None:
        if self.brackets < 1:
            raise SettingsError(f"brackets must be >= 1, not {self.brackets}")
        above_all_rungs = max(self.grace_period, *(self.rung_levels or (1,))) + 1
        self._complete(above_all_rungs, brackets=1)  # how many brackets there may be depends on the benchmark

    def rungs(self, max_resource: int, *, fewer_brackets: bool = False) -> ASHASettings:
        """The scheduler's settings for a benchmark whose full run is ``max_resource`` long.

        Parameters
        ----------
        max_resource
            Resource of a full run.
        fewer_brackets
            Whether more brackets than there are rungs mean as many as there are.

        Raises
        ------
        SettingsError
            They do not fit it.
        """
        brackets = self.brackets
        if fewer_brackets:
            brackets = min(brackets, len(self._complete(max_resource, brackets=1).levels))
        return self._complete(max_resource, brackets=brackets)

    def _complete(self, max_resource: int, *, brackets: int) -> ASHASettings:
        return ASHASettings(
            max_resource=max_resource,
            grace_period=self.grace_period,
            eta=self.eta,
            kind=self.kind,
            brackets=brackets,
            rung_levels=self.rung_levels,
            shared_rungs=self.shared_rungs,
        )
