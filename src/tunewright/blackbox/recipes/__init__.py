"""Recipes: conversions of a user's copy of a public data set to a table, one file per data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tunewright.blackbox.recipes import (
    fcnet,
    hpob,
    icml2020,
    lcbench,
    lemur,
    nasbench201,
    pd1,
    tabrepo,
    taskset,
    yahpo,
)
from tunewright.blackbox.recipes.recipe import Recipe

RECIPES: Final[Mapping[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        fcnet.RECIPE,
        hpob.RECIPE,
        icml2020.DEEPAR,
        icml2020.XGBOOST,
        lcbench.RECIPE,
        lemur.RECIPE,
        nasbench201.RECIPE,
        pd1.RECIPE,
        tabrepo.RECIPE,
        taskset.RECIPE,
        yahpo.RECIPE,
    )
}
"""By the name of the table that they make."""

__all__ = ["RECIPES", "Recipe"]
