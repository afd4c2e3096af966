"""Sobol points: beside SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from tunewright.searchers.sobol import MOST_COLUMNS, sobol


@pytest.mark.parametrize("m", [1, 3, 8, 11])
def test_the_first_columns_are_those_of_scipy(m: int) -> None:
    """Further ones begin with other numbers. SciPy has each 2^m points in another order."""
    ours, theirs = sobol(2**m, 4, None), qmc.Sobol(4, scramble=False).random_base2(m)
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))


@pytest.mark.parametrize("n_columns", [2, 5, 10, MOST_COLUMNS])
def test_they_are_as_even_as_those_of_scipy(n_columns: int) -> None:
    ours = [qmc.discrepancy(sobol(256, n_columns, np.random.default_rng(seed))) for seed in range(12)]
    theirs = [qmc.discrepancy(qmc.Sobol(n_columns, seed=seed).random(256)) for seed in range(12)]
    assert np.mean(ours) < 1.25 * np.mean(theirs)


def test_every_column_has_a_point_in_each_part() -> None:
    for rng in (None, np.random.default_rng(0)):
        for m in (1, 4, 9):
            points = sobol(2**m, MOST_COLUMNS, rng)
            for column in points.T:
                assert sorted((column * 2**m).astype(int)) == list(range(2**m))


def test_any_number_of_points_is_scrambled_by_the_generator_alone() -> None:
    one, same = (sobol(5, 3, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    assert one.shape == (5, 3)
    assert sobol(1, 2, np.random.default_rng(0)).shape == (1, 2)
    assert not np.isin(one, sobol(5, 3, np.random.default_rng(2))).any()
    drawn = np.concatenate([sobol(3, 2, np.random.default_rng(seed)) for seed in range(400)])
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.var() == pytest.approx(1 / 12, abs=0.01)
