"""Functions called as scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tunewright.runner import call_function as call


def test_the_configuration_becomes_keyword_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    module = tmp_path / "one_of_mine.py"
    module.write_text("SEEN = []\ndef train(**config):\n    SEEN.append(config)\n")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"a": 1, "b": "x"}))
    assert call.main([f"{module}:train", str(config)]) == 0
    assert sys.modules.pop("one_of_mine").SEEN == [{"a": 1, "b": "x"}]
    assert str(tmp_path) in sys.path


def test_functions_are_found_by_module() -> None:
    assert call.load_function("json:dumps") is json.dumps


@pytest.mark.parametrize("spec", ["json:nothing", "no_such_module:f"])
def test_what_is_not_there_is_an_import_error(spec: str) -> None:
    with pytest.raises(ImportError):
        call.load_function(spec)
