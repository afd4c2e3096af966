"""A launcher's command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Calls a launcher's ``main`` with a command line; returns the exit code."""

    def run(main: Callable[..., None], line: str, *arguments: Any, **options: Any) -> int:
        monkeypatch.setattr("sys.argv", ["hpo_main.py", *line.split()])
        with pytest.raises(SystemExit) as exited:
            main(*arguments, **options)
        return int(exited.value.code or 0)

    return run
