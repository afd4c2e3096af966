"""Search spaces: typed domains, their encoding to the unit cube, JSON and TOML forms, and converters."""

from __future__ import annotations

from tunewright.space.discrete import Categorical, FiniteRange, Ordinal
from tunewright.space.domain import Domain, Prior
from tunewright.space.grid import ConfigGrid
from tunewright.space.numeric import Float, Integer
from tunewright.space.points import load_known_points, load_points
from tunewright.space.search_space import SearchSpace, SpaceEntries, load_space, space_from_toml
from tunewright.space.specs import domain_from_json

__all__ = [
    "Categorical",
    "ConfigGrid",
    "Domain",
    "FiniteRange",
    "Float",
    "Integer",
    "Ordinal",
    "Prior",
    "SearchSpace",
    "SpaceEntries",
    "domain_from_json",
    "load_known_points",
    "load_points",
    "load_space",
    "space_from_toml",
]
