"""Evaluations of earlier experiments that never were, for tests of methods that learn from such."""

from __future__ import annotations

import numpy as np

from tunewright.space import SearchSpace
from tunewright.transfer.evaluations import Task, TransferEvaluations


def earlier_evaluations(
    space: SearchSpace, *, n_tasks: int = 2, n_trials: int = 10, seed: int = 0
) -> TransferEvaluations:
    """Random configurations whose losses grow with the first coordinate of the unit cube, a little differently in each task.

    Parameters
    ----------
    space
        Any.
    n_tasks, n_trials
        How many tasks, and trials of each, >= 1.
    seed
        Draws configurations.
    """
    rng = np.random.default_rng(seed)
    tasks: list[Task] = []
    for number in range(n_tasks):
        configs = tuple(space.sample(rng) for _ in range(n_trials))
        losses = space.encode(configs)[:, 0] + 0.1 * number * rng.random(n_trials)
        tasks.append(Task(name=f"task {number}", configs=configs, losses=tuple(losses.tolist())))
    return TransferEvaluations(sources=("earlier",), tasks=tuple(tasks))
