from __future__ import annotations

import numpy as np
import pytest

from tunewright.schedulers.pbt import perturbed
from tunewright.space import Categorical, FiniteRange, Float, Integer, Ordinal, SearchSpace
from tunewright.space.domain import Domain
from tunewright.testing.spaces import SPACES


def steps(domain: Domain, value) -> set:
    space = SearchSpace({"a": domain})
    rng = np.random.default_rng(0)
    return {perturbed(space, {"a": value}, 0.0, rng)["a"] for _ in range(40)}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_what_comes_out_is_legal(space: SearchSpace, probability: float) -> None:
    rng = np.random.default_rng(1)
    config = space.sample(rng)
    for _ in range(50):
        config = perturbed(space, config, probability, rng)
        space.validate(config)


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        (Float(0.0, 10.0), 5.0, {4.0, 6.0}),
        (Float(1e-4, 1.0, log=True), 0.1, {0.08, 0.12}),
        (Float(0.0, 10.0), 9.0, {7.2, 10.0}),
        (Float(0.0, 1.0, step=0.25), 0.5, {0.25, 0.75}),
        (Integer(1, 100), 50, {40, 60}),
        (Integer(1, 10), 2, {1, 3}),
        (Integer(1, 10), 10, {8, 10}),
        (Ordinal([16, 32, 64]), 32, {16, 64}),
        (Ordinal([16, 32, 64]), 64, {32, 64}),
        (FiniteRange(0.0, 1.0, 5), 0.0, {0.0, 0.25}),
        (Categorical(["a", "b", "c"]), "b", {"b"}),
    ],
)
def test_a_step_goes_up_or_down(domain: Domain, value, expected: set) -> None:
    found = sorted(steps(domain, value))
    assert found == (sorted(expected) if isinstance(value, str) else pytest.approx(sorted(expected)))


def test_resampling_draws_from_all_of_the_domain() -> None:
    space = SearchSpace({"a": Categorical(["a", "b", "c"]), "b": Float(0.0, 1.0)})
    rng = np.random.default_rng(0)
    drawn = [perturbed(space, {"a": "a", "b": 0.5}, 1.0, rng) for _ in range(60)]
    assert {config["a"] for config in drawn} == {"a", "b", "c"}
    numbers = [config["b"] for config in drawn]
    assert min(numbers) < 0.1
    assert max(numbers) > 0.9
