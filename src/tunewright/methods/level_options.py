"""Settings of models of results at levels, that several methods have in common."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from enum import StrEnum

from tunewright.searchers.gp import choice
from tunewright.searchers.gp_levels import ResourceKernel


class LevelModel(StrEnum):
    """What is modelled."""

    JOINT = "joint"
    """Losses at all rungs by one process."""
    INDEPENDENT = "independent"
    """Losses of each rung by a process of its own."""


@dataclass(frozen=True, kw_only=True)
class LevelModelOptions(ABC):  # noqa: B024 - a part of settings, of no use alone
    """The model of results at levels.

    Raises
    ------
    SettingsError
        A value names nothing.
    """

    n_initial: int = 6
    """Trials before the model is asked, given points included, >= 1."""
    model: LevelModel = LevelModel.INDEPENDENT
    """``joint`` or ``independent``."""
    resource_kernel: ResourceKernel = ResourceKernel.PRODUCT
    """How results at different levels hang together in the joint model."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", choice("model", LevelModel, self.model))
        kernel = choice("resource_kernel", ResourceKernel, self.resource_kernel)
        object.__setattr__(self, "resource_kernel", kernel)
