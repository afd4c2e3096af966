"""The part of a space that holds the best configurations of earlier tasks.

References
----------
.. [Perrone2019] Perrone, Shen, Seeger, Archambeau, Jenatton: Learning Search Spaces for Bayesian Optimization: Another
   View of Hyperparameter Transfer Learning. NeurIPS 2019.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Final

from tunewright.exceptions import SettingsError
from tunewright.space import Categorical, FiniteRange, Float, Integer, Ordinal, SearchSpace
from tunewright.space.domain import MIDPOINT, Domain
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.types import Config, ConfigValue

_ENOUGH: Final = 8
"""Configurations that span a box by default."""


def bounding_box(
    evaluations: TransferEvaluations,
    space: SearchSpace,
    *,
    n_per_task: int | None = None,
    include: Sequence[Config] = (),
) -> SearchSpace:
    """The smallest box that holds the best configurations of each task ([Perrone2019]_, section 4.1).

    A range reaches from the smallest to the largest of their values, a list without an order keeps the values that
    occur. A hyperparameter of which one value is left is a constant. In a space with conditions only ranges shrink on which
    no other hyperparameter depends. Priors are dropped, since the box replaces them. If the space has relations, the
    defaults are the best configuration of the first task, which keeps them.

    Parameters
    ----------
    evaluations
        Earlier evaluations.
    space
        The space to which they were mapped.
    n_per_task
        Best configurations of each task, >= 1; None: enough for eight in all, at least one of each.
    include
        Full configurations that the box holds as well.

    Raises
    ------
    SettingsError
        One configuration is all that is left.
    """
    tasks = [task for task in evaluations.tasks if task.configs]
    n = n_per_task or max(1, math.ceil(_ENOUGH / len(tasks)))
    corners = [config for task in tasks for config in task.best(n)] + list(include)
    entries: dict[str, Domain | ConfigValue] = dict(space)
    parents = {parent for domain in space.domains.values() for parent in domain.active_if or ()}
    for name, domain in space.domains.items():
        values = [config[name] for config in corners if name in config]
        is_range = isinstance(domain, Float | Integer) and name not in parents and len(set(values)) > 1
        if is_range or not space.has_conditions:
            entries[name] = shrunk(domain, values)
    if not any(isinstance(entry, Domain) for entry in entries.values()):
        raise SettingsError(
            "The best configurations of the earlier experiments are all the same, so that their box is a point: raise n_per_task"
        )
    if space.constraints:
        for name, value in corners[0].items():
            entry = entries[name]
            if isinstance(entry, Domain):
                entries[name] = dataclasses.replace(entry, default=value)
    return SearchSpace(entries, space.constraints)


def shrunk(domain: Domain, values: Iterable[ConfigValue]) -> Domain | ConfigValue:
    """The smallest domain of the same kind that holds legal values, at least one; the value itself if there is only one."""
    kept = list(dict.fromkeys(values))
    if len(kept) == 1:
        return kept[0]
    match domain:
        case Float() | Integer():
            numbers = [float(value) for value in kept]
            low, high = kept[numbers.index(min(numbers))], kept[numbers.index(max(numbers))]
            return dataclasses.replace(domain, low=low, high=high, default=MIDPOINT, prior=None)
        case Ordinal():
            return dataclasses.replace(domain, values=_between(domain, kept), default=MIDPOINT, prior=None)
        case FiniteRange():
            return Ordinal(_between(domain, kept), kind="nearest-log" if domain.log else "nearest")
        case Categorical():
            chosen = [value for value in domain.values if value in kept]
            return Categorical(chosen)
        case _:
            return domain


def _between(domain: Domain, values: Sequence[ConfigValue]) -> list[ConfigValue]:
    every = [domain.at(index) for index in range(domain.size or 0)]
    places = [every.index(value) for value in values]
    return every[min(places) : max(places) + 1]
