"""The comparison of recorded runs in ``perf/quality``: what it prints does not depend on order, clones or degenerate tasks."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUALITY = Path(__file__).parents[1] / "perf" / "quality"
TASKS = ("126029", "167200")
Lines = list[dict[str, Any]]
Compare = Callable[..., str]


def run(method: str, task: str, seed: int, *curve: tuple[float, float]) -> dict[str, Any]:
    """A line of a file of runs, with a budget of 100 seconds."""
    facts = {"method": method, "task": task, "seed": seed, "table": "model.onnx", "clock": "ideal"}
    return facts | {"budget": 100, "curve": list(curve), "n_trials": 10, "decision_seconds": 0.01}


def runs(method: str, ends: list[float]) -> Lines:
    """Runs on both tasks, one seed for each final value."""
    return [
        run(method, task, seed, (10.0, 40.0), (60.0, end + place))
        for place, task in enumerate(TASKS)
        for seed, end in enumerate(ends)
    ]


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Print the comparison of our lines with the peer's."""

    def printed(ours: Lines, peer: Lines, *flags: str) -> str:
        files = [tmp_path / "ours.jsonl", tmp_path / "peer.jsonl"]
        for file, lines in zip(files, (ours, peer), strict=True):
            file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        argv = ["compare.py", str(files[0]), "--peer", str(files[1]), *flags]
        monkeypatch.setattr(sys, "argv", argv)
        runpy.run_path(str(QUALITY / "compare.py"), run_name="__main__")
        return capsys.readouterr().out

    return printed


def cells(text: str, name: str) -> list[list[str]]:
    """The cells of all lines of a method."""
    lines = (line.strip("|").split("|") for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [[cell.strip() for cell in line] for line in lines]


PEER = [*runs("RandomSearch", [20.0, 22.0, 25.0]), *runs("ASHA-promotion", [10.0, 12.0, 15.0])]
OURS = [*runs("ASHA", [11.0, 10.0, 12.0]), *runs("RandomSearch", [21.0, 23.0, 24.0])]


def test_regrets_are_on_the_scale_of_the_peer(compare: Compare) -> None:
    (line, *_) = cells(compare(OURS, PEER), "ASHA")
    lowest, median = 10.0, 17.5
    mean = (11.0 - lowest) / (median - lowest)  # on both tasks: values and scale have the same offset
    assert line[1] == "6"
    assert line[2].split(" / ")[2] == f"{mean:.3f}"
    (peer, *_) = cells(compare(OURS, PEER), "Syne Tune 0.13.0: ASHA-promotion")
    assert peer[3].split(" / ")[2] == f"{(12.0 - lowest) / (median - lowest):.3f}"  # median


def test_the_order_of_lines_changes_nothing(compare: Compare) -> None:
    assert compare(OURS[::-1], PEER[::-1]) == compare(OURS, PEER)
    flags = ("--against", "ASHA")
    assert compare(OURS[::-1], PEER[::-1], *flags) == compare(OURS, PEER, *flags)


def test_methods_with_equal_curves_count_once(compare: Compare) -> None:
    clones = [line | {"method": name} for line in PEER[:6] for name in ("REA", "KDE")]
    alone, beside = (compare(OURS, peer, "--against", "ASHA") for peer in (PEER, [*PEER, *clones]))
    assert "Ranks among 4 methods" in alone
    assert "Ranks among 4 methods" in beside
    assert "Syne Tune 0.13.0: RandomSearch" in next(
        line for line in beside.splitlines() if line.startswith("Equal curves")
    )
    assert cells(alone, "ASHA") == cells(beside, "ASHA")


def test_a_unit_is_never_next_to_nothing(compare: Compare) -> None:
    peer = [*runs("ASHA-promotion", [10.0, 10.0, 10.0]), *runs("RandomSearch", [10.0, 10.0, 30.0])]
    text = compare(OURS, peer)
    assert "126029: the unit is the distance to the 90% quantile" in text
    (line, *_) = cells(text, "ASHA")
    assert float(line[2].split(" / ")[2]) == pytest.approx((11.0 - 10.0) / (20.0 - 10.0), abs=1e-3)
    alike = [one for one in peer if one["task"] == TASKS[0]] + [
        run("ASHA-promotion", TASKS[1], seed, (10.0, 40.0)) for seed in range(3)
    ]
    assert "167200: left out, as all runs end alike" in compare(OURS, alike)


def test_no_regret_exceeds_that_of_an_untrained_model(compare: Compare) -> None:
    untrained = json.loads((QUALITY / "untrained.json").read_text())["model.onnx"]
    ours = [run("ASHA", task, 0, (50.0, 1e6), (90.0, 10.0 + place)) for place, task in enumerate(TASKS)]
    (line, *_) = cells(compare(ours, PEER), "ASHA")
    expected = sum((untrained[task] - 10.0 - place) / 7.5 for place, task in enumerate(TASKS)) / 2
    quarter, half, end = map(float, line[2].split(" / "))
    assert quarter == half == pytest.approx(expected, abs=1e-3)
    assert end == 0.0


def test_runs_on_two_tasks_are_independent_draws() -> None:
    seed = runpy.run_path(str(QUALITY / "tables_of_peers.py"))["task_seed"]
    drawn = {seed(task, number) for task in TASKS for number in range(5)}
    assert len(drawn) == 10
    assert seed("126029", 3) == seed("126029", 3)
