"""Search spaces of other libraries, converted. The libraries are recognised by their classes and never imported."""

from __future__ import annotations

from tunewright.space.converters.configspace import from_configspace
from tunewright.space.converters.optuna import from_optuna
from tunewright.space.converters.ray import from_ray
from tunewright.space.converters.syne_tune import from_syne_tune

__all__ = ["from_configspace", "from_optuna", "from_ray", "from_syne_tune"]
