"""Configurations that jointly do best on earlier tasks.

References
----------
.. [Wistuba2015] Wistuba, Schilling, Schmidt-Thieme: Sequential Model-Free Hyperparameter Tuning. ICDM 2015.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tunewright.models.arrays import Array
from tunewright.space import SearchSpace
from tunewright.transfer.evaluations import Task, TransferEvaluations
from tunewright.transfer.task_models import normal_scores, rank_shares, task_model
from tunewright.types import Config


def zero_shot_configs(
    evaluations: TransferEvaluations,
    space: SearchSpace,
    n: int,
    candidates: Sequence[Config] | None = None,
) -> list[Config]:
    """The ``n`` configurations, best first, of which on average over the tasks the best one does best.

    Candidates are all configurations of earlier trials. How each does on a task is its rank there: by its own losses
    if it was tried, else by the prediction of a Gaussian process of the task.

    Parameters
    ----------
    evaluations
        Earlier evaluations.
    space
        The space to which they were mapped.
    n
        How many, >= 1; fewer are returned if fewer are known.
    candidates
        The only configurations that may be suggested; None: all of the space.
    """
    pool = {space.key(config): config for task in evaluations.tasks for config in task.configs}
    if candidates is not None:
        allowed = {space.key(config) for config in candidates}
        pool = {key: config for key, config in pool.items() if key in allowed}
    if not pool:
        return []
    configs = list(pool.values())
    ranks = np.array([_ranks(space, task, configs) for task in evaluations.tasks if task.configs])
    return [configs[index] for index in greedy_portfolio(ranks, n)]


def greedy_portfolio(ranks: Array, n: int) -> list[int]:
    """Choose candidates one after the other ([Wistuba2015]_, section IV).

    Each time that one is added which lowers the mean over the tasks of the best rank so far the most; if none
    lowers it, the one with the lowest mean rank. That mean is submodular, so the first k gain at least ``1 - 1/e`` of
    what the best k of all would.

    Parameters
    ----------
    ranks
        Of each candidate on each task, (tasks, candidates), lower is better.
    n
        How many, >= 1.

    Returns
    -------
    list of int
        At most ``n`` different candidates.
    """
    best = np.full(len(ranks), np.inf)
    means = ranks.mean(axis=0)
    left = np.ones(ranks.shape[1], dtype=bool)
    chosen: list[int] = []
    for _ in range(min(n, ranks.shape[1])):
        after = np.minimum(best[:, np.newaxis], ranks).mean(axis=0)
        order = np.lexsort((means, after))
        index = int(order[np.argmax(left[order])])
        chosen.append(index)
        left[index] = False
        best = np.minimum(best, ranks[:, index])
    return chosen


def _ranks(space: SearchSpace, task: Task, configs: Sequence[Config]) -> Array:
    """The rank of each configuration on a task, as a share of all, (n,)."""
    scores: dict[object, list[float]] = {}
    for config, score in zip(task.configs, normal_scores(np.array(task.losses)).tolist(), strict=True):
        scores.setdefault(space.key(config), []).append(score)
    known = [scores.get(space.key(config), []) for config in configs]
    values = np.array([math.fsum(own) / len(own) if own else math.nan for own in known])
    is_unknown = np.isnan(values)
    if is_unknown.any():
        points = space.encode([config for config, own in zip(configs, known, strict=True) if not own])
        values[is_unknown] = task_model(space, task).posterior.means(points)[:, 0]
    return rank_shares(values)
