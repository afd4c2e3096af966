"""``tunewright init``: a folder that works at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tunewright.cli import main
from tunewright.cli.script_facts import read_script
from tunewright.exceptions import SettingsError

TEN_LINES = """
import argparse
from tunewright import Reporter
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--dropout", type=float, default=0.5)
parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
parser.add_argument("--epochs", type=int, default=3)
args = parser.parse_args()
report = Reporter()
for epoch in range(1, args.epochs + 1):
    report(epoch=epoch, val_accuracy=args.lr * epoch)
"""


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        main(["init", *arguments])
    return int(exited.value.code or 0)


def python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_script_of_ten_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(TEN_LINES)
    folder = tmp_path / "exp"
    assert run(str(folder), "--backend", "local", "--script", str(tmp_path / "mine.py")) == 0
    assert "val_accuracy (max), resource epoch" in capsys.readouterr().out
    assert (folder / "mine.py").read_text() == TEN_LINES
    shown = python(folder, "hpo_main.py", "--max_num_trials", "2", "--method", "ASHA")
    assert "2 completed" in shown or "stopped" in shown
    assert "--tuner_instance_type" not in python(folder, "launch_remote.py", "--help")
    assert run(str(folder), "--script", str(tmp_path / "mine.py")) == 2
    assert "already" in capsys.readouterr().err


def test_a_script_of_the_same_name_in_the_folder_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(TEN_LINES)
    folder = tmp_path / "exp"
    folder.mkdir()
    (folder / "mine.py").write_text("another")
    assert run(str(folder), "--script", str(tmp_path / "mine.py")) == 2
    assert "holds mine.py already" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("mine.py", "another")]
    (folder / "mine.py").write_text(TEN_LINES)
    assert run(str(folder), "--script", str(folder / "mine.py")) == 0


def test_what_cannot_be_read_or_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    for arguments, told in (
        ((str(tmp_path / "file"),), "Give another folder"),
        ((str(tmp_path / "exp"), "--script", str(tmp_path / "file")), "cannot be read as a script"),
    ):
        assert run(*arguments) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


@pytest.mark.parametrize("backend", ["sagemaker", "simulated"])
def test_without_a_script(tmp_path: Path, backend: str) -> None:
    assert run(str(tmp_path / "exp"), "--backend", backend) == 0
    assert "--num_seeds" in python(tmp_path / "exp", "hpo_main.py", "--help")
    assert "--max_parallel_jobs" in python(tmp_path / "exp", "launch_remote.py", "--help")
    assert (tmp_path / "exp" / "train.py").exists() == (backend == "sagemaker")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--script", "absent.py"], "no training script"),
        (["--backend", "simulated", "--script", "x.py"], "does not go with"),
    ],
)
def test_what_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(str(tmp_path / "exp"), *arguments) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "exp").exists()


class TestReading:
    def test_what_is_found(self) -> None:
        facts = read_script(TEN_LINES)
        assert [argument.name for argument in facts.arguments] == ["lr", "dropout", "optimizer"]
        assert facts.arguments[2].choices == ("sgd", "adam")
        assert (facts.metric, facts.goal, facts.resource_attr) == ("val_accuracy", "max", "epoch")
        assert (facts.max_resource_attr, facts.max_resource) == ("epochs", 3)

    def test_reports_by_hand(self) -> None:
        text = (
            "p.add_argument('--x', default=1)\nprint('[tune-metric]: ' + json.dumps({'step': 1, 'loss': 2}))"
        )
        facts = read_script(text)
        assert (facts.metric, facts.goal, facts.resource_attr, facts.max_resource) == (
            "loss",
            "min",
            "step",
            None,
        )

    def test_what_the_user_says_wins(self) -> None:
        facts = read_script(TEN_LINES, metric="loss", goal="min")
        assert (facts.metric, facts.goal) == ("loss", "min")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("def (", "cannot be read"),
            ("p.add_argument('--x', type=float)", "--metric"),
            ("report(loss=1)", "No argument to tune"),
            ("p.add_argument('--x')\nreport(loss=1)", "No argument to tune"),
        ],
    )
    def test_what_is_missing(self, text: str, said: str) -> None:
        with pytest.raises(SettingsError, match=said):
            read_script(text)
