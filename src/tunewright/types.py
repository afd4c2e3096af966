"""Aliases that every layer shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

ConfigValue: TypeAlias = str | int | float | bool
"""One hyperparameter's value."""

Config: TypeAlias = Mapping[str, ConfigValue]
"""A full configuration: every tuned hyperparameter and every constant of the space, by name."""

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What can stand in a journal line."""

Note: TypeAlias = Mapping[str, Json]
"""What a scheduler must remember about a suggestion; journaled with the run's start.

The searcher's part stands under the key ``"searcher"``.
"""
