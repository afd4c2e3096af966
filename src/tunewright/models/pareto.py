"""Several objectives: dominance, fronts and dominated hypervolume. Lower is better everywhere.

Losses have shape (n, k): a row for each of n points, a column for each of k objectives. A row that is not finite is
dominated by all that are.

References
----------
.. [Deb2002] Deb, Pratap, Agarwal, Meyarivan: A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II. IEEE
   Transactions on Evolutionary Computation 6 (2002).
.. [Gonzalez1985] Gonzalez: Clustering to Minimize the Maximum Intercluster Distance. Theoretical Computer Science 38.
.. [While2006] While, Hingston, Barone, Huband: A Faster Algorithm for Calculating Hypervolume. IEEE Transactions on
   Evolutionary Computation 10 (2006).
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from tunewright.models.arrays import Array, Indices, with_column


def pareto_mask(losses: Array) -> NDArray[np.bool_]:
    """Return a mask of the rows that no other row dominates; equal rows are all in it, rows that are not finite never.

    Parameters
    ----------
    losses
        (n, k)
    """
    finite = np.flatnonzero(np.isfinite(losses).all(axis=1))
    mask = np.zeros(len(losses), dtype=np.bool_)
    mask[finite[_is_first(losses[finite])]] = True
    return mask


def _is_first(losses: Array) -> NDArray[np.bool_]:
    """As `pareto_mask`, of finite losses."""
    n, k = losses.shape
    mask = np.zeros(n, dtype=np.bool_)
    order = np.lexsort(losses.T[::-1])
    if k == 1:
        mask[losses[:, 0] == losses[:, 0].min(initial=np.inf)] = True
    elif k == 2:
        values, seconds = losses[order], losses[order, 1]
        before = np.concatenate([[np.inf], np.minimum.accumulate(seconds)[:-1]]) if n else seconds
        is_repeated = np.concatenate([[False], (values[1:] == values[:-1]).all(axis=1)]) if n else mask
        is_better = seconds < before
        starts = np.arange(n)  # pyright: ignore[reportUnknownVariableType]
        starts[is_repeated] = 0
        group = np.maximum.accumulate(starts)  # pyright: ignore[reportUnknownArgumentType]
        mask[order] = is_better[group]
    else:
        kept: list[int] = []
        front = np.empty((0, k))
        for row in order.tolist():
            point = losses[row]
            if not ((front <= point).all(axis=1) & (front < point).any(axis=1)).any():
                kept.append(row)
                front = losses[kept]
        mask[kept] = True
    return mask


def non_dominated_ranks(losses: Array) -> Indices:
    """Return the index of each row's front, from 0: front i holds the rows that only rows of earlier fronts dominate.

    Fast non-dominated sorting's result ([Deb2002]_, section III.A). Rows that are not finite make up the last front.

    Parameters
    ----------
    losses
        (n, k)

    Returns
    -------
    array of int
        (n,)
    """
    finite = np.flatnonzero(np.isfinite(losses).all(axis=1))
    ranks = np.zeros(len(losses), dtype=np.intp)
    n_fronts = 0
    if losses.shape[1] <= 2:
        ranks[finite] = _ranks_of_two(losses[finite])
        n_fronts = int(ranks.max(initial=-1)) + 1 if len(finite) else 0
    else:
        left = finite
        while len(left):
            is_first = _is_first(losses[left])
            ranks[left[is_first]] = n_fronts
            left = left[~is_first]
            n_fronts += 1
    is_finite = np.zeros(len(losses), dtype=np.bool_)
    is_finite[finite] = True
    ranks[~is_finite] = n_fronts
    return ranks


def _ranks_of_two(losses: Array) -> Indices:
    """Fronts of at most two objectives, in a sweep along the first one.

    Each row goes to the lowest front whose last row does not dominate it. Their lowest second losses increase from
    front to front, so that it is found by bisection.
    """
    ranks = np.zeros(len(losses), dtype=np.intp)
    lowest: list[float] = []
    last: tuple[float, float] | None = None
    rank = 0
    for row in np.lexsort(losses.T[::-1]).tolist():
        point = (float(losses[row, 0]), float(losses[row, -1]))
        if point != last:
            second = point[1] if losses.shape[1] == 2 else 0.0
            rank = bisect_right(lowest, second)
            lowest[rank : rank + 1] = [second]
            last = point
        ranks[row] = rank
    return ranks


def crowding_distances(losses: Array) -> Array:
    """How far each row of one front is from its neighbours ([Deb2002]_, section III.B).

    That is the sum, over objectives, of the distance between the next lower and the next higher value, in parts of the
    range; infinite at the ends.

    Parameters
    ----------
    losses
        (n, k), finite.

    Returns
    -------
    array
        (n,)
    """
    n, k = losses.shape
    distances = np.zeros(n)
    if n <= 2:
        distances.fill(np.inf)
        return distances
    for column in range(k):
        order = np.argsort(losses[:, column], kind="stable")
        values = losses[order, column] / 2  # the whole span of huge values would overflow
        span = float(values[-1] - values[0])
        if span > 0:
            distances[order[1:-1]] += (values[2:] - values[:-2]) / span
            distances[order[[0, -1]]] = np.inf
    return distances


def crowded_order(losses: Array) -> Indices:
    """All rows, best first, by the crowded comparison of NSGA-II: a lower front, then a larger crowding distance.

    Parameters
    ----------
    losses
        (n, k)

    Returns
    -------
    array of int
        (n,): rows; equal rows stay in their order, rows that are not finite come last.
    """
    ranks = non_dominated_ranks(losses)
    distances = np.zeros(len(losses))
    finite = np.isfinite(losses).all(axis=1)
    for rank in np.unique(ranks[finite]):
        front = np.flatnonzero((ranks == rank) & finite)
        distances[front] = crowding_distances(losses[front])
    return np.lexsort((-distances, ranks))


def epsilon_net_order(losses: Array) -> Indices:
    """Rows of one front so that the first ones, however many, are spread over it.

    The first is the best in the first objective; each next one has the largest Euclidean distance from those before it
    ([Gonzalez1985]_, which makes the first i an epsilon-net whose epsilon is at most twice the least possible).

    Parameters
    ----------
    losses
        (n, k), finite and on comparable scales.

    Returns
    -------
    array of int
        (n,): rows; of equally far ones the first.
    """
    n = len(losses)
    order = np.empty(n, dtype=np.intp)
    away = np.full(n, np.inf)
    newest = int(np.lexsort(losses.T[::-1])[0]) if n else 0
    for place in range(n):
        order[place] = newest
        away = np.minimum(away, ((losses - losses[newest]) ** 2).sum(axis=1))
        away[newest] = -1.0
        newest = int(np.argmax(away))
    return order


def scaled_to_range(losses: Array) -> Array:
    """Each objective from 0 (its best finite value) to 1 (its worst); 0 if all are equal. Infinite values stay."""
    finite = losses[np.isfinite(losses).all(axis=1)]
    if not len(finite):
        return losses
    low, high = finite.min(axis=0), finite.max(axis=0)
    half = high / 2 - low / 2  # the whole span of huge values would overflow
    return (losses / 2 - low / 2) / np.where(half > 0, half, 1.0)


def dominated_volume(losses: Array, reference: Array) -> float:
    """The hypervolume: how much of the space below a reference point is dominated by the rows.

    Slices along the last objective ([While2006]_), an exact sweep for two.

    Parameters
    ----------
    losses
        (n, k); rows that are not finite or not better than the reference in all objectives add nothing.
    reference
        (k,)
    """
    kept = losses[np.isfinite(losses).all(axis=1) & (losses < reference).all(axis=1)]
    if not len(kept):
        return 0.0
    if losses.shape[1] == 1:
        return float(reference[0] - kept.min())
    front = kept[_is_first(kept)]
    front = front[np.lexsort(front.T)]  # by the last objective
    edges = np.append(front[:, -1], reference[-1])
    if losses.shape[1] == 2:
        widths = reference[0] - np.minimum.accumulate(front[:, 0])
        return float(np.diff(edges) @ widths)
    depths = np.diff(edges)
    return float(
        sum(
            depth * dominated_volume(front[: place + 1, :-1], reference[:-1])
            for place, depth in enumerate(depths)
            if depth > 0
        )
    )


def non_dominated_boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """The part of the space below a reference point that no row dominates, as disjoint boxes.

    Slices along the last objective, each cut along the one before it, and so on: n + 1 boxes for two objectives and n
    rows, at most ``(n + 1)(n + 2) / 2`` for three.

    Parameters
    ----------
    front
        (n, k), finite.
    reference
        (k,)

    Returns
    -------
    lower, upper
        Corners (boxes, k); the lower ones are -inf if a box has no end.
    """
    kept = front[(front < reference).all(axis=1)]
    kept = kept[_is_first(kept)]
    if len(reference) == 1:
        best = float(kept.min(initial=reference[0]))
        return np.array([[-np.inf]]), np.array([[best]])
    kept = kept[np.argsort(kept[:, -1], kind="stable")]
    edges = np.concatenate([[-np.inf], kept[:, -1], reference[-1:]])
    lowers: list[Array] = []
    uppers: list[Array] = []
    for place in range(len(edges) - 1):
        if edges[place] < edges[place + 1]:
            lower, upper = non_dominated_boxes(kept[:place, :-1], reference[:-1])
            lowers.append(with_column(lower, edges[place]))
            uppers.append(with_column(upper, edges[place + 1]))
    return np.concatenate(lowers), np.concatenate(uppers)
