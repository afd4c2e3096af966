"""First configurations from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.exceptions import SpaceError
from tunewright.space import Categorical, Float, Integer, SearchSpace, load_points

SPACE = SearchSpace(
    {
        "optimizer.lr": Float(1e-4, 1.0, log=True),
        "width": Integer(4, 64),
        "act": Categorical(["relu", "a, b"]),
        "momentum": Float(0.0, 0.9, active_if={"act": "relu"}),
        "nesterov": Categorical([True, False]),
        "epochs": 9,
    }
)
TWO = ({"optimizer.lr": 0.01, "width": 8, "nesterov": False}, {"act": "a, b", "epochs": 9})


@pytest.mark.parametrize(
    ("name", "text", "points"),
    [
        (
            "p.csv",
            '\ufeffoptimizer.lr, width, act, nesterov, epochs\r\n1e-2, 8, , False,\r\n\r\n, , "a, b", , 9\r\n',
            TWO,
        ),
        (
            "p.json",
            '[{"optimizer": {"lr": 0.01}, "width": "8", "nesterov": false}, {"act": "a, b", "epochs": 9, "width": null}]',
            TWO,
        ),
        (
            "p.toml",
            '[[points]]\noptimizer.lr = 0.01\nwidth = 8\nnesterov = false\n[[points]]\nact = "a, b"\nepochs = 9',
            TWO,
        ),
        ("p.TOML", '"optimizer.lr" = 0.01\nwidth = 8\nnesterov = false\n', TWO[:1]),
        ("p.json", '{"act": "a, b", "epochs": 9}', TWO[1:]),
        ("p.json", '{"points": [{"act": "a, b", "epochs": 9}]}', TWO[1:]),
    ],
)
def test_configurations_have_the_given_names_with_cast_values(
    tmp_path: Path, name: str, text: str, points: tuple[object, ...]
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert load_points(tmp_path / name, SPACE) == points


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "width,act\n8,relu\n\n8,rleu\n", r"p\.csv, line 4: act: 'rleu' is not among .* 'relu'\?$"),
        ("p.csv", "widht\n8\n", r"p\.csv, line 2: .* no 'widht'\. Did you mean 'width'\?"),
        ("p.csv", "width,act\n8\n", r"p\.csv: line 2: 1 values for 2 names"),
        ("p.csv", "width\n", r"p\.csv has no configuration"),
        ("p.csv", "", r"p\.csv has no configuration"),
        ("p.csv", 'width\n"8\n', r"Cannot read the points .*p\.csv: "),
        ("p.csv", "act,momentum\n\"a, b\",0.5\n", r"p\.csv, line 2: 'momentum' is not active"),
        ("p.json", '[{"width": 8}, {"width": 65}]', r"p\.json, entry 2: width: "),
        ("p.json", "[8]", r"p\.json, entry 1: a configuration has names and values, but this is 8"),
        ("p.json", "[{", r"Cannot read the points .*p\.json: Expecting"),
        ("p.json", '{"optimizer": {"lr": 0.1}, "optimizer.lr": 0.2}', r"entry 1: 'optimizer.lr' is given twice"),
        ("p.toml", "[[points]]\nepochs = 8", r"p\.toml, entry 1: 'epochs' is the constant 9, got 8"),
        ("p.txt", "", r"ends with \.csv, \.json, \.toml, not as .*p\.txt"),
    ],
)  # fmt: skip
def test_errors_name_the_file_and_the_entry(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SpaceError, match=message):
        load_points(tmp_path / name, SPACE)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"Cannot read the points .*none\.csv: No such file"):
        load_points(tmp_path / "none.csv", SPACE)
    (tmp_path / "latin.csv").write_bytes(b"act\n\xe9")
    with pytest.raises(SpaceError, match=r"Cannot read the points .*latin\.csv"):
        load_points(tmp_path / "latin.csv", SPACE)
