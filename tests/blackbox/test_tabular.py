"""Exact look-up in recorded tables, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tunewright.blackbox import Description, TabularBlackbox, from_function, repair_elapsed
from tunewright.exceptions import SpaceError, TableError, UnknownNameError

COLUMNS = {"lr": [0.001, 0.001, 0.1], "kind": ["a", "b", "a"]}
Describe = Callable[..., Description]


def values() -> np.ndarray:
    return np.arange(48, dtype=np.float32).reshape(3, 2, 4, 2) + 1.0


def test_a_configuration_gets_its_own_curve(small_table: TabularBlackbox) -> None:
    config = {"lr": 0.001, "kind": "b", "epochs": 27}
    assert (small_table.curve(config, seed=1) == values()[1, 1]).all()
    assert small_table.evaluate(config, 2, seed=1) == {"loss": 27.0, "elapsed": 28.0}
    assert small_table.evaluate(config)["loss"] == 23.0, "the last level of seed 0"


def test_configs_come_back_in_order(small_table: TabularBlackbox) -> None:
    assert small_table.n_configs == len(small_table.configs) == 3
    assert list(small_table.configs) == [
        {"lr": 0.001, "kind": "a"},
        {"lr": 0.001, "kind": "b"},
        {"lr": 0.1, "kind": "a"},
    ]
    assert list(small_table.configs[1:]) == list(small_table.configs)[1:]
    assert [small_table.row(config) for config in small_table.configs] == [0, 1, 2]


def test_numbers_are_not_copied(make_description: Describe) -> None:
    numbers = values()
    table = TabularBlackbox(make_description(), COLUMNS, numbers)
    assert np.shares_memory(table.curve({"lr": 0.1, "kind": "a"}), numbers)


def test_what_was_not_recorded_is_said_with_the_remedy(small_table: TabularBlackbox) -> None:
    with pytest.raises(
        TableError, match=r"no recorded run of lr=0\.5, kind='a': set restrict_configurations"
    ):
        small_table.curve({"lr": 0.5, "kind": "a"})
    with pytest.raises(TableError, match="lacks 'kind'"):
        small_table.curve({"lr": 0.001})
    with pytest.raises(TableError, match="no level 5"):
        small_table.evaluate({"lr": 0.1, "kind": "a"}, 5)
    with pytest.raises(UnknownNameError, match="Did you mean 'loss'"):
        small_table.metric_index("los")


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ((1, 0, 0, 1), np.nan),
        ((1, 0, 2, 1), 0.0),
        ((1, 0, 1, 1), np.nan),
        ((1, 0, 0, 1), -1.0),
        ((1, 0, 3, 1), np.inf),
    ],
    ids=["missing", "decreasing", "gap", "negative", "infinite"],
)
def test_times_must_ascend(make_description: Describe, place: tuple[int, ...], number: float) -> None:
    numbers = values()
    numbers[place] = number
    with pytest.raises(TableError, match=r"times of configuration 1, seed 0 .* repair_elapsed"):
        TabularBlackbox(make_description(), COLUMNS, numbers)


def test_a_curve_may_end_early(make_description: Describe) -> None:
    numbers = values()
    numbers[1, 0, 2:] = np.nan
    assert TabularBlackbox(make_description(), COLUMNS, numbers).n_configs == 3


def test_single_bad_metrics_are_allowed_but_not_a_metric_without_numbers(make_description: Describe) -> None:
    numbers = values()
    numbers[0, 0, :, 0] = np.nan
    TabularBlackbox(make_description(), COLUMNS, numbers)
    numbers[..., 0] = np.nan
    with pytest.raises(TableError, match="'loss' holds no number"):
        TabularBlackbox(make_description(), COLUMNS, numbers)


def test_equal_configurations_are_refused(make_description: Describe) -> None:
    columns = {"lr": [0.1, 0.001, 0.1], "kind": ["a", "a", "a"]}
    with pytest.raises(TableError, match="configurations 0 and 2 are equal"):
        TabularBlackbox(make_description(), columns, values())


def test_shapes_and_spaces_must_fit(make_description: Describe) -> None:
    with pytest.raises(TableError, match=r"shape \(3, 2, 4, 2\), not \(3, 1, 4, 2\)"):
        TabularBlackbox(make_description(n_seeds=1), COLUMNS, values())
    with pytest.raises(TableError, match="lacks the column 'kind'"):
        TabularBlackbox(make_description(), {"lr": COLUMNS["lr"]}, values())
    with pytest.raises(SpaceError, match="kind='c' does not fit"):
        TabularBlackbox(make_description(), {**COLUMNS, "kind": ["c", "b", "a"]}, values())
    with pytest.raises(TableError, match="holds no configuration"):
        TabularBlackbox(make_description(), {"lr": [], "kind": []}, values()[:0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"elapsed": "time"}, "'time' is not among"),
        ({"metrics": ("elapsed", "elapsed")}, "two metrics"),
        ({"levels": (2, 1)}, "ascending"),
        ({"levels": (0, 1)}, ">= 1"),
        ({"levels": ()}, "levels"),
        ({"n_seeds": 0}, "n_seeds"),
    ],
)
def test_descriptions_are_checked(
    make_description: Describe, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        make_description(**fields)


def test_repaired_times_ascend_by_a_hundredth_second() -> None:
    times, n_changed = repair_elapsed(np.array([[1.0, 2.0, 3.0], [14.0, 12.0, 12.5], [-1.0, 0.0, np.nan]]))
    assert n_changed == 2
    np.testing.assert_allclose(times, [[1.0, 2.0, 3.0], [14.0, 14.01, 14.02], [0.01, 0.02, np.nan]])


def test_a_function_is_asked_at_every_level(make_description: Describe) -> None:
    description = make_description()
    blackbox = from_function(
        description,
        lambda config, r, seed: {"loss": config["lr"] / r, "elapsed": 10.0 * r + seed, "extra": 0.0},
    )
    assert blackbox.evaluate({"lr": 1.0, "kind": "a"}, 4, seed=1) == {"loss": 0.25, "elapsed": 41.0}
    broken = from_function(description, lambda config, r, seed: {"loss": 1.0})
    with pytest.raises(TableError, match="gives no 'elapsed'"):
        broken.curve({"lr": 1.0})
