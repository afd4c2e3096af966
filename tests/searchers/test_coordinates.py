from __future__ import annotations

import numpy as np
import pytest

from tunewright.searchers.unit_cube import Coordinates
from tunewright.space import Categorical, Ordinal, SearchSpace
from tunewright.testing.spaces import SPACES


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_point_is_a_legal_configuration_and_back(space: SearchSpace) -> None:
    coordinates = Coordinates(space)
    assert len(coordinates) == len(space.domains)
    rng = np.random.default_rng(0)
    for point in rng.uniform(-0.2, 1.2, (30, len(coordinates))):
        config = coordinates.decode(point.tolist())
        space.validate(config)
        assert list(config) == [name for name in space if name in config]
        again = coordinates.decode(coordinates.encode(config))
        assert space.encode([again]) == pytest.approx(space.encode([config]))


def test_lists_have_equal_parts_in_their_order() -> None:
    space = SearchSpace(
        {"a": Categorical(["p", "q", "r"]), "b": Ordinal([1, 10, 1000, 2000], kind="nearest")}
    )
    coordinates = Coordinates(space)
    assert coordinates.encode({"a": "q", "b": 1000}) == [0.5, 0.625]
    assert coordinates.decode([0.34, 0.99]) == {"a": "q", "b": 2000}
    assert coordinates.decode([1.0, -1.0]) == {"a": "r", "b": 1}
