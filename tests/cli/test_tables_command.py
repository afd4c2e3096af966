"""``tunewright tables``, in this process."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tunewright.blackbox.recipes import RECIPES
from tunewright.cli import main

pytest.importorskip("pyarrow")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and what was said."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exited:
        main(["tables", *arguments])
    out, err = capsys.readouterr()
    return int(exited.value.code or 0), out + err


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A file of TaskSet."""
    hp = dict.fromkeys(("epsilon", "l1", "l2"), 1e-3) | {
        "linear_decay": 1e-5,
        "exponential_decay": 1e-4,
        "beta1": 0.9,
    }
    curve = {"loss": [3.0, 2.0, 1.0]}
    runs = [
        {"hp": hp | {"beta2": 0.9, "learning_rate": rate}, "train": curve, "valid": curve, "test": curve}
        for rate in (0.1, 0.2)
    ]
    path = tmp_path / "taskA.json"
    path.write_text(json.dumps(runs))
    return path


def test_a_table_is_listed_added_and_described(capsys: pytest.CaptureFixture[str], original: Path) -> None:
    code, text = call(capsys)
    assert code == 0
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert " yes " in rows["digits"]
    assert " no " in rows["taskset"]
    assert "no (103 MB to get)" in rows["lemur"]
    code, text = call(capsys, "info", "taskset")
    assert code == 0
    assert "Get it with: tunewright tables add taskset --from PATH" in text
    code, text = call(capsys, "add", "taskset", "--from", str(original))
    assert (code, text.splitlines()[0].partition(" data set in ")[0]) == (0, "taskset: 1")
    assert "yes" in next(line for line in call(capsys, "list")[1].splitlines() if line.startswith("taskset"))
    code, text = call(capsys, "info", "taskset", "--verify")
    assert code == 0
    for said in (
        "licence: Apache-2.0",
        "made from taskA.json",
        "all files have their checksums",
        "taskA",
        "note: no times",
    ):
        assert said in text


def test_bad_input_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, said in [
        (("ad",), "Did you mean 'add'"),
        (("info", "fcnett"), "Did you mean 'fcnet'"),
        (("info",), "TABLE is required"),
        (("add", "taskset"), "must be downloaded by hand"),
        (("add", "taskset", "--from", str(tmp_path / "x")), "no file or folder"),
        (("info", "digits", "--verfy"), "Unknown flag --verfy"),
    ]:
        code, text = call(capsys, *arguments)
        assert (code, said in text) == (2, True), (arguments, text)


def test_help_names_the_actions(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = call(capsys, "--help")
    assert code == 0
    for action in ("list", "get", "info", "add", "record"):
        assert f"\n  {action} " in text


def test_a_table_of_an_older_recipe_is_outdated(
    capsys: pytest.CaptureFixture[str], original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(capsys, "add", "taskset", "--from", str(original))
    monkeypatch.setitem(RECIPES, "taskset", dataclasses.replace(RECIPES["taskset"], version=2))  # type: ignore[arg-type]
    assert "outdated: add it again" in call(capsys, "list")[1]


def test_many_data_sets_are_not_all_described(
    capsys: pytest.CaptureFixture[str], original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original.with_name("taskB.json").write_bytes(original.read_bytes())
    call(capsys, "add", "taskset", "--from", str(original.parent))
    monkeypatch.setattr("tunewright.cli.catalogue._SHOWN", 1)
    text = call(capsys, "info", "taskset")[1]
    assert "and 1 more data set" in text
    assert "2 data sets" in call(capsys, "list")[1]
