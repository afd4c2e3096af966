from __future__ import annotations

import numpy as np
import pytest

from tunewright.exceptions import SpaceError
from tunewright.space import Categorical, FiniteRange, Ordinal


@pytest.mark.parametrize(
    ("domain", "default"),
    [
        (Categorical(["relu", "tanh", "gelu"]), "relu"),
        (Categorical(["relu", "tanh"], default="tanh"), "tanh"),
        (Ordinal([1, 2, 4]), 2),
        (Ordinal([1, 2, 4, 8]), 4),
        (Ordinal([1, 2, 4, 8], default=8), 8),
        (FiniteRange(8, 64, 4, log=True, integer=True), 32),
        (FiniteRange(0.0, 1.0, 3), 0.5),
        (FiniteRange(0.0, 1.0, 3, default=1), 1.0),
    ],
)
def test_default_is_the_given_value_the_first_or_the_middle(domain, default):
    assert domain.default == default
    assert type(domain.default) is type(default)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Categorical(["a"]), "at least two entries"),
        (lambda: Categorical("relu"), "values must be a list, got the text 'relu'"),
        (lambda: Categorical([1, 1.0]), "1.0 twice"),
        (lambda: Categorical([True, 1]), "1 twice"),
        (lambda: Categorical([None, 1]), "None is a NoneType"),
        (lambda: Categorical([1.0, float("inf")]), "inf is not finite"),
        (lambda: Categorical(["relu", "tanh"], default="rellu"), "Did you mean 'relu'"),
        (lambda: Ordinal([1, 2], kind="nearst"), "Did you mean 'nearest'"),
        (lambda: Ordinal(["a", "b"], kind="nearest"), "needs numbers"),
        (lambda: Ordinal([False, True], kind="nearest"), "needs numbers"),
        (lambda: Ordinal([2, 1], kind="nearest"), "needs ascending values"),
        (lambda: Ordinal([0, 1], kind="nearest-log"), "needs positive values"),
        (lambda: FiniteRange(1.0, 1.0, 3), "low < high"),
        (lambda: FiniteRange(0.0, 1.0, 1), "size >= 2"),
        (lambda: FiniteRange(0.0, 1.0, 2.5), "size must be an integer"),
        (lambda: FiniteRange(0.0, 1.0, 3, log=True), "needs low > 0"),
        (lambda: FiniteRange(1, 3, 5, integer=True), "size=5 is too large"),
        (lambda: FiniteRange(1.5, 3, 2, integer=True), "low must be an integer"),
        (lambda: FiniteRange(0.0, 1.0, 3, default=0.4), "the nearest value is 0.5"),
    ],
)
def test_wrong_arguments_are_refused_at_construction(build, message):
    with pytest.raises(SpaceError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("domain", "value", "legal"),
    [
        (Categorical([16, 32]), "32", 32),
        (Categorical([16, 32]), 32.0, 32),
        (Categorical([16, 32]), np.int64(32), 32),
        (Categorical([False, True]), "True", True),
        (Categorical(["1", 1]), "1", "1"),
        (Ordinal([0.1, 0.2]), "0.2", 0.2),
        (FiniteRange(0.0, 0.6, 3), "0.3", 0.3),
        (FiniteRange(8, 64, 4, log=True, integer=True), 16.0, 16),
    ],
)
def test_cast_finds_the_value_that_is_meant(domain, value, legal):
    assert domain.cast(value) == legal
    assert type(domain.cast(value)) is type(legal)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Categorical([0, 1]), True),
        (Categorical([False, True]), 1),
        (Categorical(["a", "b"]), ["a"]),
        (Ordinal([1, 2, 4]), 3),
        (FiniteRange(0.0, 1.0, 3), "half"),
    ],
)
def test_cast_refuses_everything_else(domain, value):
    with pytest.raises(SpaceError):
        domain.cast(value)
    assert not domain.contains(value)


def test_categories_are_one_hot_and_two_take_one_column():
    three = Categorical(["a", "b", "c"])
    assert (three.size, three.width) == (3, 3)
    assert three.encode("b") == (0.0, 1.0, 0.0)
    assert three.decode([0.2, 0.2, 0.1]) == "a"
    two = Categorical(["a", "b"])
    assert (two.size, two.width) == (2, 1)
    assert [two.encode(value) for value in two.values] == [(0.0,), (1.0,)]
    assert [two.decode([u]) for u in (-1.0, 0.49, 0.5, 1.0)] == ["a", "a", "b", "b"]


def test_equal_ordinals_have_equal_shares():
    domain = Ordinal(["s", "m", "l", "xl"])
    assert [domain.encode(value)[0] for value in domain.values] == pytest.approx([0.125, 0.375, 0.625, 0.875])
    assert [domain.decode([u]) for u in (0.0, 0.26, 0.51, 0.76, 1.0)] == ["s", "m", "l", "xl", "xl"]


def test_nearest_ordinals_lie_where_their_numbers_do():
    linear = Ordinal([0, 1, 5], kind="nearest")  # on [-0.5, 7]
    assert [linear.encode(value)[0] * 7.5 - 0.5 for value in linear.values] == pytest.approx([0, 1, 5])
    assert [linear.decode([(x + 0.5) / 7.5]) for x in (0.4, 0.6, 2.9, 3.1)] == [0, 1, 1, 5]
    log = Ordinal([1, 10, 1000], kind="nearest-log")  # exponents 0, 1, 3 on [-0.5, 4]
    assert [log.encode(value)[0] * 4.5 - 0.5 for value in log.values] == pytest.approx([0, 1, 3])


def test_finite_ranges_are_evenly_spaced():
    assert [FiniteRange(8, 64, 4, log=True, integer=True).at(i) for i in range(4)] == [8, 16, 32, 64]
    assert FiniteRange(0.0, 0.6, 3).grid(9) == [0.0, 0.3, 0.6]
    assert [FiniteRange(0.0, 1.0, 4).decode([u]) for u in (0.0, 0.3, 0.7, 1.0)] == pytest.approx(
        [0, 1 / 3, 2 / 3, 1]
    )


@pytest.mark.parametrize(
    ("domain", "n", "values"),
    [
        (Categorical(["a", "b", "c"]), 2, ["a", "b", "c"]),
        (Ordinal([1, 2, 3, 4, 5]), 3, [1, 3, 5]),
        (Ordinal([1, 2, 3, 4, 5]), 9, [1, 2, 3, 4, 5]),
        (Ordinal([1, 2, 3, 4, 5], default=5), 1, [5]),
        (FiniteRange(1, 5, 5, integer=True), 2, [1, 5]),
        (FiniteRange(1, 5, 5, integer=True), 1, [3]),
    ],
)
def test_grid_thins_out_what_has_an_order(domain, n, values):
    assert domain.grid(n) == values


@pytest.mark.parametrize("domain", [Categorical(["a", "b"]), Ordinal([1, 2]), FiniteRange(0, 1, 2)])
def test_a_grid_needs_a_level(domain):
    with pytest.raises(SpaceError, match="at least 1 level"):
        domain.grid(0)


@pytest.mark.parametrize(
    "domain", [Categorical([1, 2, 3, 4]), Ordinal([1, 2, 3, 100], kind="nearest"), FiniteRange(1, 4, 4)]
)
def test_all_values_are_drawn_equally_often(domain):
    rng = np.random.default_rng(1)
    drawn = [domain.sample(rng) for _ in range(4000)]
    # a share of 1/4 in 4,000 draws has a standard deviation of 0.007, this is 5 of them
    assert [drawn.count(domain.at(i)) / 4000 for i in range(4)] == pytest.approx([0.25] * 4, abs=0.035)


def test_domains_are_values_and_lists_are_copied():
    values = ["a", "b"]
    domain = Categorical(values)
    values.append("c")
    assert domain.values == ("a", "b")
    assert domain == Categorical(("a", "b"))
    assert hash(domain) == hash(Categorical(("a", "b")))
    assert repr(domain) == "Categorical(values=['a', 'b'], default='a')"
