"""Scripts of Syne Tune's form find what they import."""

from __future__ import annotations

import importlib
import json
import sys
import types
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

import tunewright.report

PACKAGE = "tunewright.compat.syne_tune"
"""Where trials find ``syne_tune``; that they do find it is tested with the runner."""


@pytest.fixture
def utils() -> Any:
    return importlib.import_module(f"{PACKAGE}.utils")


def test_the_reporter_is_ours_under_both_names() -> None:
    assert importlib.import_module(PACKAGE).Reporter is tunewright.report.Reporter
    assert importlib.import_module(f"{PACKAGE}.report").Reporter is tunewright.report.Reporter


def test_domains_can_be_constructed() -> None:
    space = importlib.import_module(f"{PACKAGE}.config_space")
    made = [
        space.uniform(0, 1),
        space.loguniform(1e-3, 1),
        space.reverseloguniform(0.9, 0.99),
        space.randint(1, 5),
        space.lograndint(1, 5),
        space.choice(["a", "b"]),
        space.ordinal([1, 2]),
        space.logordinal([1, 2]),
        space.finrange(0, 1, 3),
        space.logfinrange(1, 8, 4, cast_int=True),
    ]
    assert [domain.kind for domain in made][:2] == ["uniform", "loguniform"]
    assert made[5].arguments == (("a", "b"),)


@pytest.mark.parametrize("text", ["yes", "True", "t", "Y", "1", True])
def test_yes(utils: Any, text: str | bool) -> None:
    assert utils.parse_bool(text) is True


@pytest.mark.parametrize("text", ["no", "False", "f", "N", "0", False])
def test_no(utils: Any, text: str | bool) -> None:
    assert utils.parse_bool(text) is False


def test_neither(utils: Any) -> None:
    with pytest.raises(ValueError, match="no truth value"):
        utils.parse_bool("perhaps")


def test_the_configuration_file(utils: Any, tmp_path: Path) -> None:
    parser = ArgumentParser()
    utils.add_config_json_to_argparse(parser)
    (tmp_path / "c.json").write_text(json.dumps({"a": 1}))
    args = vars(parser.parse_args(["--st_config_json_filename", str(tmp_path / "c.json")]))
    assert utils.load_config_json(args) == {"a": 1}


class Model:
    """Something with a state."""

    def __init__(self, value: int) -> None:
        self.value = value

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = state["value"]


def test_checkpoints_of_models(utils: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = types.ModuleType("torch")
    torch.save = lambda state, file: file.write(json.dumps(state).encode())
    torch.load = lambda path, **_: json.loads(path.read_text())
    monkeypatch.setitem(sys.modules, "torch", torch)
    parser = ArgumentParser()
    utils.add_checkpointing_to_argparse(parser)
    config = vars(parser.parse_args(["--st_checkpoint_dir", str(tmp_path)]))
    model, best = Model(7), {"best": 0.5}
    load, save = utils.pytorch_load_save_functions({"model": model}, best)
    assert utils.resume_from_checkpointed_model(config, load) == 0
    utils.checkpoint_model_at_rung_level(config, save, 3)
    model.value, best["best"] = 0, 0.0
    assert utils.resume_from_checkpointed_model(config, load) == 3
    assert (model.value, best) == (7, {"best": 0.5})
    plain_load, _ = utils.pytorch_load_save_functions({"model": model})
    assert plain_load(str(tmp_path)) == 3


def test_without_a_folder_nothing_is_saved(utils: Any) -> None:
    config = {"st_checkpoint_dir": None}
    load, save = utils.pytorch_load_save_functions({})
    assert utils.resume_from_checkpointed_model(config, load) == 0
    utils.checkpoint_model_at_rung_level(config, save, 1)
