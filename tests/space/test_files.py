from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.exceptions import SpaceError
from tunewright.space import (
    Categorical,
    FiniteRange,
    Float,
    Integer,
    Ordinal,
    SearchSpace,
    load_space,
    space_from_toml,
)

TEXT = """
seed = 3

[lr]
type = "float"
low = 1e-4
high = 1
log = true

[n_units]
type = "integer"
low = 4
high = 64
step = 4
default = 8

[activation]
type = "categorical"
values = ["relu", "tanh"]

[batch_size]
type = "ordinal"
values = [16, 32, 128]
kind = "nearest-log"

[width]
type = "finite_range"
low = 8
high = 64
size = 4
log = true
integer = true

[data]
type = "constant"
value = "digits"
"""


def test_a_file_has_one_table_per_hyperparameter(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(TEXT)
    assert load_space(path) == SearchSpace(
        {
            "seed": 3,
            "lr": Float(1e-4, 1.0, log=True),
            "n_units": Integer(4, 64, step=4, default=8),
            "activation": Categorical(["relu", "tanh"]),
            "batch_size": Ordinal([16, 32, 128], kind="nearest-log"),
            "width": FiniteRange(8, 64, 4, log=True, integer=True),
            "data": "digits",
        }
    )
    assert load_space(str(path)) == space_from_toml(TEXT)


def test_the_words_of_other_libraries_are_understood() -> None:
    text = """
    a = { type = "loguniform", lower = 1e-4, upper = 1 }
    b = { type = "int", min = 4, max = 64, q = 4 }
    c = { type = "choice", choices = ["relu", "tanh"] }
    d = { distribution = "log_uniform_values", min = 1e-4, max = 1 }
    e = { type = "lograndint", low = 1, high = 64 }
    f = { type = "uniform", low = 0, high = 1 }
    g = { type = "finrange", low = 8, high = 64, size = 4 }
    """
    expected = {
        "a": Float(1e-4, 1.0, log=True),
        "b": Integer(4, 64, step=4),
        "c": Categorical(["relu", "tanh"]),
        "d": Float(1e-4, 1.0, log=True),
        "e": Integer(1, 64, log=True),
        "f": Float(0.0, 1.0),
        "g": FiniteRange(8, 64, 4),
    }
    assert space_from_toml(text) == SearchSpace(expected)
    with pytest.raises(SpaceError, match="'low' is given twice: as 'min' as well"):
        space_from_toml('a = { type = "int", low = 1, min = 2, max = 3 }')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lr", "the text is not valid TOML"),
        ("[lr]\nlow = 1", "lr: the key 'type' is missing: give one of float, integer"),
        ("[lr]\ntype = 'flaot'", "lr: unknown type 'flaot'. Did you mean 'float'?"),
        ("[lr]\ntype = 3", "lr: unknown type 3."),
        (
            "[lr]\ntype = 'float'\nlow = 1\nhihg = 2",
            "lr: type 'float' has no key 'hihg'. Did you mean 'high'?",
        ),
        ("[lr]\ntype = 'float'\nlow = 1", "lr: type 'float' needs the key 'high'"),
        ("[lr]\ntype = 'float'\nlow = 2\nhigh = 1", "lr: low must be below high"),
        ("[lr]\ntype = 'float'\nlow = 1\nhigh = 2\nlog = 'yes'", "lr: log must be true or false, got 'yes'"),
        ("[lr]\ntype = 'categorical'\nvalues = 'ab'", "lr: values must be a list, got 'ab'"),
        ("[lr]\ntype = 'ordinal'\nvalues = [1, 2]\nkind = 'near'", "lr: unknown kind 'near'"),
        ("[lr]\ntype = 'categorical'\nvalues = [[1], [2]]", "lr: .* is a list"),
        ("[lr]\ntype = 'constant'\nvalue = 1979-05-27", "lr: .* is a date"),
        ("lr = [[1], [2]]", "lr: .* is a list"),
        ("lr = [1]", "lr: values needs at least two entries"),
        ("", "nothing to tune"),
    ],
)
def test_errors_name_the_table_and_what_is_near(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        space_from_toml(text)
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(SpaceError, match=f"space.toml: .*{message}"):
        load_space(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"Cannot read the space file .*none\.toml"):
        load_space(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(SpaceError, match=r"Cannot read the space file .*latin\.toml"):
        load_space(tmp_path / "latin.toml")


def test_tables_without_a_type_are_groups() -> None:
    text = """
    [optimizer]
    name = { type = "choice", values = ["sgd", "adam"] }
    nesterov = true
    [optimizer.lr]
    type = "float"
    low = 0.1
    high = 1.0
    [optimizer.momentum]
    type = "float"
    low = 0.1
    high = 0.9
    active_if = { optimizer.name = "sgd" }
    [a.b.type]
    type = "int"
    low = 1
    high = 2
    ["db@x.y"]
    type = "constant"
    value = 3
    """
    expected = {
        "optimizer.name": Categorical(["sgd", "adam"]),
        "optimizer.nesterov": True,
        "optimizer.lr": Float(0.1, 1.0),
        "optimizer.momentum": Float(0.1, 0.9, active_if={"optimizer.name": "sgd"}),
        "a.b.type": Integer(1, 2),
        "db@x.y": 3,
    }
    assert space_from_toml(text) == SearchSpace(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"a.b" = 1\n[a.b]\ntype = "float"\nlow = 0\nhigh = 1', "'a.b' is given twice"),
        ("[a.b]\nlow = 0\nhigh = 1", "a.b: the key 'type' is missing"),
        ("[a.b]\nmin = 0\nmax = 1\nactive_if = { c = 1 }", "a.b: the key 'type' is missing"),
        ("[a.b]", "a.b: the key 'type' is missing"),
        ("[a.b]\ntype = 'flaot'", "a.b: unknown type 'flaot'. Did you mean 'float'?"),
    ],
)
def test_errors_in_groups_have_the_full_name(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        space_from_toml(text)


def test_a_list_is_a_choice() -> None:
    assert space_from_toml("act = ['relu', 'tanh']") == SearchSpace({"act": Categorical(["relu", "tanh"])})
