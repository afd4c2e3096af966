"""Surrogates: predictions, ties, determinism, and that they say what they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tunewright.blackbox import Description, SurrogateBlackbox, SurrogateKind, TabularBlackbox, Values
from tunewright.exceptions import MissingExtraError, SettingsError
from tunewright.space import Categorical, Float, SearchSpace

Describe = Callable[..., Description]
SPACE = SearchSpace(
    {"lr": Float(1e-4, 1.0, log=True), "x": Float(0.0, 8.0), "kind": Categorical(["a", "b", "c"])}
)


@pytest.fixture
def table(make_description: Describe) -> TabularBlackbox:
    """Two hundred configurations; the loss says which one it is."""
    rng = np.random.default_rng(0)
    configs = [SPACE.sample(rng) for _ in range(200)]
    columns = {name: [config[name] for config in configs] for name in SPACE.names}
    loss = np.arange(200.0)[:, None, None] + 1000.0 * np.arange(2)[:, None] + np.zeros(4)
    elapsed = np.broadcast_to(np.arange(1.0, 5.0), loss.shape)
    return TabularBlackbox(make_description(space=SPACE), columns, np.stack([loss, elapsed], axis=-1))


def nearest_rows(table: TabularBlackbox, config: dict[str, object]) -> np.ndarray:
    """By brute force: logarithm of lr and x by their deviation, and the one-hot code as it is."""
    recorded = table.configs

    def point(c: dict[str, object]) -> list[float]:
        return [np.log(c["lr"]), c["x"], *(float(c["kind"] == k) for k in "abc")]

    points = np.array([point(dict(c)) for c in recorded])
    scale = np.array([*points[:, :2].std(axis=0), 1.0, 1.0, 1.0])
    distances = (((points - np.array(point(config))) / scale) ** 2).sum(axis=1)
    return np.argsort(distances, kind="stable")


def test_the_nearest_recorded_configuration_answers(table: TabularBlackbox) -> None:
    surrogate = SurrogateBlackbox(table)
    rng = np.random.default_rng(1)
    for _ in range(50):
        config = SPACE.sample(rng)
        row = nearest_rows(table, config)[0]
        assert surrogate.evaluate(config, 1, seed=1)["loss"] == row + 1000.0
    assert surrogate.evaluate(table.configs[7])["loss"] == 7.0


def test_the_five_nearest_are_averaged(table: TabularBlackbox) -> None:
    surrogate = SurrogateBlackbox(table, SurrogateKind.NEIGHBOURS)
    rng = np.random.default_rng(2)
    for _ in range(20):
        config = SPACE.sample(rng)
        assert surrogate.evaluate(config)["loss"] == pytest.approx(nearest_rows(table, config)[:5].mean())


def test_of_equally_near_configurations_the_first_answers(make_description: Describe) -> None:
    space = SearchSpace({"x": Float(0.0, 10.0)})
    columns = {"x": [9.0, 4.0, 6.0, 1.0]}
    loss = np.broadcast_to(np.arange(4.0)[:, None, None], (4, 1, 1))
    values = np.stack([loss, np.ones_like(loss)], axis=-1)
    table = TabularBlackbox(make_description(space=space, levels=(1,), n_seeds=1), columns, values)
    assert SurrogateBlackbox(table).evaluate({"x": 5.0})["loss"] == 1.0


def test_a_forest_learns_and_repeats_itself(table: TabularBlackbox, make_description: Describe) -> None:
    pytest.importorskip("sklearn")
    loss = np.array([config["x"] for config in table.configs])[:, None, None] * np.ones((200, 2, 4))
    loss[0] = np.nan
    values = np.stack([loss, np.broadcast_to(np.arange(1.0, 5.0), loss.shape)], axis=-1)
    columns = {name: [config[name] for config in table.configs] for name in SPACE.names}
    smooth = TabularBlackbox(make_description(space=SPACE), columns, values)
    first, second = SurrogateBlackbox(smooth, "forest"), SurrogateBlackbox(smooth, "forest")
    errors = []
    for config in [SPACE.sample(np.random.default_rng(i)) for i in range(8)]:
        curve = first.curve(config)
        assert (curve == second.curve(config)).all()
        assert (np.diff(curve[:, 1]) > 0).all()
        errors.append(abs(curve[0, 0] - config["x"]))
    assert np.median(errors) < 0.5


def test_surrogate_values_are_called_so(table: TabularBlackbox) -> None:
    description = SurrogateBlackbox(table, "nearest").description
    assert description.values is Values.SURROGATE
    assert description.note.startswith("surrogate values: curves of the nearest recorded configuration")
    assert description.summary()["values"] == "surrogate"
    assert table.description.summary()["values"] == "recorded"


def test_an_unknown_kind_names_the_known_ones(table: TabularBlackbox) -> None:
    with pytest.raises(SettingsError, match="one of nearest, neighbours, forest"):
        SurrogateBlackbox(table, "svm")


def test_a_forest_needs_scikit_learn(table: TabularBlackbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match=r"\[benchmarks\]'"):
        SurrogateBlackbox(table, "forest").curve(table.configs[0])


def test_few_curves_are_remembered(table: TabularBlackbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.blackbox.tables.surrogate._REMEMBERED", 3)
    surrogate = SurrogateBlackbox(table)
    for config in table.configs[:10]:
        surrogate.curve(config)
    assert surrogate.evaluate(table.configs[0])["loss"] == 0.0
