"""Experiments with several metrics, and with constraints, on the command line: tuned, continued, shown, compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunewright.cli import main
from tunewright.storage import experiments

SCRIPT = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int, default=2)
given = parser.parse_args()
for epoch in range(1, given.epochs + 1):
    report = {"epoch": epoch, "score": given.x * epoch, "seconds": given.x * 10, "memory": given.x}
    print("[tune-metric]: " + json.dumps(report), flush=True)
"""
SPACE = '[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(SCRIPT)
    Path("space.toml").write_text(SPACE)


def run(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exited:
        main(line.split())
    out, err = capsys.readouterr()
    assert not exited.value.code, err
    return out


TUNE = "tune train.py --space space.toml --resource epoch --max_resource 2 --max_resource_attr epochs --n_workers 1"


def test_several_metrics_go_on_where_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    run(
        f"{TUNE} --metric score --metric seconds --goal max --goal min --method MOREA --max_num_trials 2",
        capsys,
    )
    (folder,) = experiments("train")
    first = folder.journal_path.read_text()
    resumed = run("resume train --max_num_trials 4", capsys)
    assert "going on with 2 trials" in resumed
    assert folder.journal_path.read_text().startswith(first)
    assert "that no other dominates" in resumed.partition("Best:")[2]
    shown = json.loads(run("show train --format json", capsys))
    assert [(metric["name"], metric["goal"]) for metric in shown["metrics"]] == [
        ("score", "max"),
        ("seconds", "min"),
    ]
    assert shown["trials"]["completed"] == 4
    assert len(shown["pareto"]) == 4
    assert "constraints" not in shown


def test_what_breaks_a_constraint_is_marked_and_never_best(capsys: pytest.CaptureFixture[str]) -> None:
    run(
        f"{TUNE} --metric score --goal max --method ConstrainedBO --set constraint=memory<=0.4 --max_num_trials 3",
        capsys,
    )
    (folder,) = experiments("train")
    assert folder.metadata()["constraints"] == ["memory<=0.4"]
    resumed = run("resume train --max_num_trials 4", capsys)
    shown = json.loads(run("show train --format json", capsys))
    assert shown["constraints"] == ["memory<=0.4"]
    assert shown["num_results"] == 8
    assert shown["best"]["config"]["x"] <= 0.4
    text = run("show train", capsys)
    first = next(line for line in text.splitlines() if line.startswith("0 "))
    assert first.split()[:6] == ["0", "completed", "2", "1", "0.5", "!"]
    assert "memory<=0.4 (! marks broken ones)" in text
    best = f"score {shown['best']['value']:.5g}"
    assert best in text
    assert best in resumed
    run(f"{TUNE} --metric score --goal max --method RandomSearch --max_num_trials 2", capsys)
    compared = run("compare train", capsys)
    assert "results that break memory<=0.4 do not count, whatever setup had them" in compared
