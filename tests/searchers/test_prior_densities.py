"""Prior densities: densities are densities, draws follow them, slopes are slopes."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from tunewright.searchers.prior_densities import density_around, users_density
from tunewright.searchers.unit_cube import UnitCube
from tunewright.searchers.user_priors import drawn
from tunewright.space import Categorical, Float, Integer, Ordinal, Prior, SearchSpace

MIXED = SearchSpace(
    {
        "lr": Float(1e-4, 1.0, log=True, prior=Prior(best=0.1, spread=0.2)),
        "kind": Categorical(["a", "b", "c"], prior=Prior(best="b", spread=0.3)),
        "n": Integer(1, 5, prior=Prior(best=2, spread=0.2)),
        "order": Ordinal(["x", "y", "z"], prior=Prior(weights=[6, 3, 1])),
        "plain": Float(0.0, 1.0),
    }
)


def test_a_density_is_one_on_average_over_uniform_draws() -> None:
    rng = np.random.default_rng(0)
    points = MIXED.encode([MIXED.sample(rng) for _ in range(20_000)])
    densities = np.exp(users_density(MIXED).log_density(points)[0])
    assert abs(densities.mean() - 1.0) < 0.03


def test_draws_follow_the_prior() -> None:
    configs = MIXED.decode(users_density(MIXED).draw(4000, np.random.default_rng(0)))
    kinds = [str(config["kind"]) for config in configs]
    orders = [str(config["order"]) for config in configs]
    assert abs(kinds.count("b") / 4000 - 0.7) < 0.03
    assert abs(kinds.count("a") / 4000 - 0.15) < 0.03
    assert abs(orders.count("x") / 4000 - 0.6) < 0.03
    logs = np.log10([float(config["lr"]) for config in configs])
    middle = ndtri((ndtr(-0.75 / 0.2) + ndtr(0.25 / 0.2)) / 2)  # of the part of the normal within the range
    assert abs(np.median(logs) - 4 * (0.75 + 0.2 * middle - 1)) < 0.05
    assert logs.max() <= 0.0
    plain = [float(config["plain"]) for config in configs]
    assert abs(np.mean(plain) - 0.5) < 0.03


def test_the_slope_is_that_of_the_density() -> None:
    density = users_density(MIXED)
    (point,) = MIXED.encode([MIXED.default_config()])
    point[0] = 0.3
    step = np.zeros_like(point)
    step[0] = 1e-6
    above, below = (density.log_density((point + sign * step)[np.newaxis])[0][0] for sign in (1, -1))
    gradient = density.log_density(point[np.newaxis])[1][0]
    assert np.isclose(gradient[0], (above - below) / 2e-6, rtol=1e-5)
    assert not gradient[1:].any()


def test_without_priors_it_says_nothing() -> None:
    space = SearchSpace({"x": Float(0.0, 1.0)})
    density = users_density(space)
    assert density.log_density(np.array([[0.2], [0.9]]))[0].tolist() == [0.0, 0.0]


def test_near_an_incumbent_its_own_values_are_likeliest() -> None:
    config = {"lr": 1e-3, "kind": "c", "n": 4, "order": "z", "plain": 0.9}
    density = density_around(MIXED, config, 0.25)
    rng = np.random.default_rng(1)
    others = MIXED.encode([MIXED.sample(rng) for _ in range(200)])
    assert density.log_density(MIXED.encode([config]))[0][0] > density.log_density(others)[0].max() - 1e-9


def test_of_a_list_only_listed_ones_are_drawn_the_likeliest_most_often() -> None:
    candidates = [{**MIXED.default_config(), "kind": kind} for kind in ("a", "b", "c")]
    cube = UnitCube(MIXED, candidates)
    found = MIXED.decode(drawn(users_density(MIXED), cube, np.random.default_rng(0)))
    kinds = [config["kind"] for config in found]
    assert {config["n"] for config in found} == {2}
    assert kinds.count("b") > 16


def test_of_what_is_not_active_nothing_is_believed() -> None:
    space = SearchSpace(
        {
            "optimizer": Categorical(["sgd", "adam"]),
            "momentum": Float(0.0, 1.0, prior=Prior(best=0.9), active_if={"optimizer": "sgd"}),
        }
    )
    density = users_density(space)
    points = density.draw(50, np.random.default_rng(0))
    configs = space.decode(points)
    logs = density.log_density(points)[0]
    assert {"momentum" in config for config in configs} == {True, False}
    assert all(log == 0.0 for log, config in zip(logs, configs, strict=True) if "momentum" not in config)
    assert all(log != 0.0 for log, config in zip(logs, configs, strict=True) if "momentum" in config)
    assert np.isfinite(density_around(space, {"optimizer": "adam"}, 0.25).log_density(points)[0]).all()
