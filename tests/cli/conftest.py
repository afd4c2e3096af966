"""A script that trains in no time, and a launcher's command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.metric import Goal, Metric
from tunewright.space import Float, SearchSpace

SCRIPT = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
given = parser.parse_args()
for epoch in range(1, given.epochs + 1):
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "score": given.x * epoch}), flush=True)
"""


@pytest.fixture
def toy(tmp_path: Path) -> RealBenchmarkDefinition:
    """A benchmark whose trials take a moment."""
    script = tmp_path / "toy.py"
    script.write_text(SCRIPT)
    return RealBenchmarkDefinition(
        name="toy",
        script=str(script),
        space=SearchSpace({"x": Float(0.0, 1.0), "epochs": 2}),
        metrics=(Metric("score", Goal.MAXIMIZE),),
        n_workers=2,
        resource_attr="epoch",
        max_resource_attr="epochs",
    )


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Calls a launcher's ``main`` with a command line; returns the exit code."""

    def run(main: Callable[..., None], line: str, *arguments: Any, **options: Any) -> int:
        monkeypatch.setattr("sys.argv", ["hpo_main.py", *line.split()])
        with pytest.raises(SystemExit) as exited:
            main(*arguments, **options)
        return int(exited.value.code or 0)

    return run
