from __future__ import annotations

import math

import numpy as np
import pytest

from tunewright.exceptions import SpaceError
from tunewright.space import Float, Integer


@pytest.mark.parametrize(
    ("domain", "default"),
    [
        (Float(0.0, 3.0), 1.5),
        (Float(1e-4, 1e-2, log=True), 1e-3),
        (Float(0.9, 0.999, reverse_log=True), 0.99),
        (Float(0.0, 0.6, step=0.1), 0.3),
        (Float(0.0, 3.0, default=1), 1.0),
        (Integer(1, 9), 5),
        (Integer(1, 100, log=True), 10),
        (Integer(1, 99, reverse_log=True), 90),
        (Integer(1, 10, step=3), 7),
        (Integer(1, 9, default=9), 9),
    ],
)
def test_default_is_the_given_value_or_the_midpoint_of_the_scale(domain, default):
    assert domain.default == pytest.approx(default)
    assert type(domain.default) is type(default)
    assert domain.contains(domain.default)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Float(1.0, 1.0), "low must be below high"),
        (lambda: Float(math.nan, 1.0), "low must be a finite number, got nan"),
        (lambda: Float(0.0, math.inf), "high must be a finite number"),
        (lambda: Float("0", 1.0), "low must be a finite number, got '0'"),
        (lambda: Float(0.0, 1.0, log=True), "needs low > 0"),
        (lambda: Float(0.5, 1.0, reverse_log=True), "needs high < 1.0"),
        (lambda: Float(0.1, 0.2, log=True, reverse_log=True), "exclude each other"),
        (lambda: Float(-1e308, 1e308), "too narrow or too wide"),
        (lambda: Float(1e10, math.nextafter(1e10, math.inf), log=True), "too narrow or too wide"),
        (lambda: Float(0.0, 1.0, step=0.0), "step must be > 0"),
        (lambda: Float(0.0, 1.0, step=2.0), "at most high - low = 1.0"),
        (lambda: Float(0.0, 1.0, step=1e-15), "take a larger step"),
        (lambda: Float(0.0, 1.0, default=2.0), "2.0 is outside of the range from 0.0 to 1.0"),
        (lambda: Float(0.0, 1.0, default=True), "True is not a finite number"),
        (lambda: Integer(1, 1), "low must be below high"),
        (lambda: Integer(1.0, 5), "low must be an integer, got 1.0"),
        (lambda: Integer(True, 5), "low must be an integer, got True"),
        (lambda: Integer(0, 5, log=True), "needs low > 0"),
        (lambda: Integer(0, 2**41), "take a larger step"),
        (lambda: Integer(0, 10**400), "take a larger step"),
        (lambda: Float(0, 10**400), "high must be a finite number"),
        (lambda: Float(0, [1]), "high must be a finite number"),
        (lambda: Integer(0, 5, step=0.5), "step must be an integer"),
        (lambda: Integer(0, 5, step=6), "step must be > 0 and at most high - low = 5"),
        (lambda: Integer(0, 6, step=2, default=3), "the nearest is 4"),
    ],
)
def test_wrong_arguments_are_refused_at_construction(build, message):
    with pytest.raises(SpaceError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("domain", "value", "legal"),
    [
        (Float(0.0, 1.0), "0.5", 0.5),
        (Float(0.0, 1.0), 1, 1.0),
        (Float(0.0, 1.0), np.float32(0.5), 0.5),
        (Float(0.0, 0.6, step=0.1), 0.1 + 0.2, 0.3),
        (Integer(1, 5), "3", 3),
        (Integer(1, 5), "3.0", 3),
        (Integer(1, 5), np.int64(3), 3),
        (Integer(1, 5), 3.0, 3),
    ],
)
def test_cast_converts_what_stands_for_a_legal_value(domain, value, legal):
    assert domain.cast(value) == legal
    assert type(domain.cast(value)) is type(legal)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Float(0.0, 1.0), -0.1),
        (Float(0.0, 1.0), "much"),
        (Float(0.0, 1.0), False),
        (Float(0.0, 1.0), None),
        (Float(0.0, 1.0), math.nan),
        (Float(0.0, 1.0), 10**400),
        (Float(0.0, 0.6, step=0.1), 0.35),
        (Integer(1, 5), 6),
        (Integer(1, 5), 2.5),
        (Integer(1, 5), True),
        (Integer(1, 5), "two"),
        (Integer(1, 5, step=2), 4),
    ],
)
def test_cast_refuses_everything_else(domain, value):
    with pytest.raises(SpaceError):
        domain.cast(value)
    assert not domain.contains(value)


def test_contains_wants_the_right_type():
    assert Float(0.0, 2.0).contains(1)
    assert not Float(0.0, 2.0).contains("1.0")
    assert not Integer(0, 2).contains(1.0)
    assert not Integer(0, 2).contains("1")


@pytest.mark.parametrize(
    ("domain", "size"),
    [
        (Float(0.0, 1.0), None),
        (Float(0.1, 0.3, step=0.1), 3),
        (Float(0.0, 1.0, step=0.3), 4),
        (Integer(-3, 3), 7),
        (Integer(0, 10**12), 10**12 + 1),
        (Integer(1, 9, step=4), 3),
        (Integer(1, 8, step=4), 2),
    ],
)
def test_size_counts_the_legal_values(domain, size):
    assert domain.size == size


def test_integers_own_half_a_step_to_both_sides():
    domain = Integer(1, 4)
    assert [domain.encode(i)[0] for i in range(1, 5)] == pytest.approx([0.125, 0.375, 0.625, 0.875])
    assert [domain.decode([u]) for u in (-1.0, 0.0, 0.24, 0.26, 0.74, 0.76, 1.0, 2.0)] == [
        1,
        1,
        1,
        2,
        3,
        4,
        4,
        4,
    ]


def test_scales_spread_values_evenly():
    assert Float(1e-4, 1.0, log=True).encode(1e-3)[0] == pytest.approx(0.25)
    assert Float(0.0, 0.9999, reverse_log=True).encode(0.9)[0] == pytest.approx(0.25)
    spaced = [Integer(1, 100, reverse_log=True).encode(i)[0] for i in (1, 2, 99, 100)]
    assert spaced[1] - spaced[0] < 0.01
    assert spaced[3] - spaced[2] > 0.1


def test_a_coarse_step_on_a_logarithmic_scale_reaches_both_ends():
    domain = Float(0.1, 10.1, log=True, step=1.0)
    assert domain.decode([0.0]) == 0.1
    assert domain.decode([1.0]) == 10.1


def test_stepped_floats_carry_no_rounding_noise():
    domain = Float(0.1, 1.0, step=0.1)
    assert [domain.at(k) for k in range(10)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_a_continuous_range_has_no_value_by_number():
    with pytest.raises(SpaceError, match="give it a step"):
        Float(0.0, 1.0).at(0)


@pytest.mark.parametrize(
    ("domain", "n", "values"),
    [
        (Float(1e-4, 1e-1, log=True), 4, [1e-4, 1e-3, 1e-2, 1e-1]),
        (Float(0.0, 1.0), 1, [0.5]),
        (Float(0.0, 0.3, step=0.1), 9, [0.0, 0.1, 0.2, 0.3]),
        (Float(0.0, 0.6, step=0.1), 3, [0.0, 0.3, 0.6]),
        (Integer(1, 5), 3, [1, 3, 5]),
        (Integer(1, 5), 9, [1, 2, 3, 4, 5]),
        (Integer(1, 1000, log=True), 4, [1, 10, 100, 1000]),
        (Integer(1, 5), 1, [3]),
    ],
)
def test_grid_lists_evenly_spaced_values(domain, n, values):
    assert domain.grid(n) == values


@pytest.mark.parametrize("domain", [Float(0.0, 1.0), Integer(1, 5)])
def test_a_grid_needs_a_level(domain):
    with pytest.raises(SpaceError, match="at least 1 level"):
        domain.grid(0)


def test_domains_are_immutable_values():
    domain = Float(0, 1)
    with pytest.raises(AttributeError):
        domain.low = 2.0
    assert domain == Float(0.0, 1.0)
    assert hash(domain) == hash(Float(0.0, 1.0))
    assert domain != Float(0.0, 1.0, log=False, step=0.5)
    assert repr(domain) == "Float(low=0.0, high=1.0, default=0.5)"


def test_samples_follow_the_scale():
    rng = np.random.default_rng(0)
    drawn = np.array([Float(1e-4, 1.0, log=True).sample(rng) for _ in range(4000)])
    # 4,000 draws: the share below the geometric mean has a standard deviation of 0.008, this is 5 of them
    assert np.mean(drawn < 1e-2) == pytest.approx(0.5, abs=0.04)
    counts = np.bincount([Integer(1, 4).sample(rng) for _ in range(4000)], minlength=5)
    assert counts[1:] / 4000 == pytest.approx([0.25] * 4, abs=0.035)
