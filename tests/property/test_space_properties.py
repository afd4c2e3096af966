from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.space import Categorical, FiniteRange, Float, Integer, Ordinal, SearchSpace, domain_from_json
from tunewright.space.domain import Domain

QUICK = settings(max_examples=150, deadline=None)
UNIT = st.floats(0.0, 1.0)
SCALES = st.sampled_from([{}, {"log": True}, {"reverse_log": True}])


@st.composite
def floats(draw) -> Float:
    scale = draw(SCALES)
    if scale == {"log": True}:
        low = draw(st.floats(1e-8, 1e3))
        high = low * draw(st.floats(1.001, 1e6))
    elif scale:
        low = draw(st.floats(0.0, 0.9))
        high = 1 - (1 - low) * draw(st.floats(1e-6, 0.99))
    else:
        low = draw(st.floats(-1e6, 1e6))
        high = low + draw(st.floats(1e-3, 1e6))
    step = (high - low) / draw(st.floats(1.0, 50.0)) if draw(st.booleans()) else None
    return Float(low, high, step=step, **scale)


@st.composite
def integers(draw) -> Integer:
    scale = draw(SCALES)
    low = draw(st.integers(1 if scale else -1000, 1000))
    high = low + draw(st.one_of(st.integers(1, 100), st.integers(1, 10**11)))
    step = draw(st.none() | st.integers(1, high - low))
    return Integer(low, high, step=step, **scale)


VALUES = st.one_of(st.text(max_size=5), st.integers(-99, 99), st.floats(-1e3, 1e3), st.booleans())


def lists(values, size=8):
    return st.lists(values, min_size=2, max_size=size, unique=True)


@st.composite
def ordinals(draw) -> Ordinal:
    kind = draw(st.sampled_from(["equal", "nearest", "nearest-log"]))
    if kind == "equal":
        return Ordinal(draw(lists(VALUES)))
    return Ordinal(sorted(draw(lists(st.integers(1 if kind == "nearest-log" else -50, 10**6)))), kind=kind)


@st.composite
def finite_ranges(draw) -> FiniteRange:
    low = draw(st.integers(1, 100))
    size = draw(st.integers(2, 12))
    high = low + 100 * draw(st.integers(size, 10**4))
    log = draw(st.booleans())
    return FiniteRange(low, high, size, log=log, integer=not log and draw(st.booleans()))


DOMAINS = st.one_of(floats(), integers(), lists(VALUES).map(Categorical), ordinals(), finite_ranges())


@st.composite
def spaces(draw) -> SearchSpace:
    entries = draw(st.lists(st.one_of(DOMAINS, DOMAINS, VALUES), max_size=5))
    entries.append(draw(DOMAINS))
    return SearchSpace({f"x{number}": entry for number, entry in enumerate(entries)})


def close(domain: Domain, a, b) -> bool:
    if domain.size is not None:
        return a == b and type(a) is type(b)
    return a == pytest.approx(b, rel=1e-9, abs=1e-9 * (domain.high - domain.low))


@QUICK
@given(DOMAINS, UNIT)
def test_drawn_values_are_legal_and_survive_the_unit_cube(domain, u):
    value = domain.quantile(u)
    assert domain.contains(value)
    point = domain.encode(value)
    assert len(point) == domain.width
    assert all(0.0 <= x <= 1.0 for x in point)
    assert close(domain, domain.decode(point), value)


@QUICK
@given(DOMAINS, st.data())
def test_every_point_of_the_cube_is_a_legal_value(domain, data):
    value = domain.decode(data.draw(st.lists(UNIT, min_size=domain.width, max_size=domain.width)))
    assert domain.contains(value)
    assert domain.cast(value) == value
    assert close(domain, domain.decode(domain.encode(value)), value)


@QUICK
@given(DOMAINS, st.data())
def test_every_value_by_number_is_distinct_legal_and_survives(domain, data):
    if domain.size is None:
        return
    numbers = data.draw(st.sets(st.integers(0, domain.size - 1), min_size=1, max_size=5)) | {
        0,
        domain.size - 1,
    }
    values = [domain.at(number) for number in numbers]
    assert len(set(values)) == len(numbers)
    for value in values:
        assert domain.contains(value)
        assert close(domain, domain.decode(domain.encode(value)), value)


@QUICK
@given(DOMAINS)
def test_domains_survive_json(domain):
    again = domain_from_json(json.loads(json.dumps(domain.to_json())))
    assert again == domain
    assert hash(again) == hash(domain)
    assert type(again.default) is type(domain.default)


@QUICK
@given(DOMAINS, st.integers(1, 6))
def test_grids_hold_distinct_legal_values_within_the_limit(domain, n):
    values = domain.grid(n)
    assert 1 <= len(values) <= (domain.size if isinstance(domain, Categorical) else n)
    assert len(set(values)) == len(values)
    assert all(domain.contains(value) for value in values)


@QUICK
@given(floats() | integers(), st.lists(UNIT, min_size=2, max_size=6))
def test_ranges_decode_in_order(domain, us):
    values = [domain.decode([u]) for u in sorted(us)]
    assert values == sorted(values)


@QUICK
@given(spaces(), st.integers(0, 2**32))
def test_spaces_survive_json_and_the_unit_cube(space, seed):
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space
    rng = np.random.default_rng(seed)
    configs = [space.sample(rng), space.default_config()]
    for config in configs:
        space.validate(config)
        assert space.cast(config) == config
    points = space.encode(configs)
    assert points.shape == (2, space.n_columns)
    assert points.min() >= 0.0
    assert points.max() <= 1.0
    for config, again in zip(configs, space.decode(points), strict=True):
        assert list(again) == list(space)
        assert all(close(domain, again[name], config[name]) for name, domain in space.domains.items())
    for config in space.decode(rng.random((3, space.n_columns))):
        space.validate(config)
