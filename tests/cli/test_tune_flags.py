"""The flags of ``tunewright tune``: those of the chosen backend only, and from a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tunewright.cli import main
from tunewright.experiments import load_outcome
from tunewright.storage import experiments

SCRIPT = """
import sys
x = float(sys.argv[sys.argv.index("--x") + 1])
print('[tune-metric]: {"epoch": 1, "score": %r}' % x)
"""
SPACE = '[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'


class Tune:
    """Calls ``tunewright tune`` on a script, and keeps its output."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        (folder / "train.py").write_text(SCRIPT)
        (folder / "space.toml").write_text(SPACE)
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *flags: str) -> int:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(["tune", *flags])
        self.out, self.err = self._capsys.readouterr()
        return int(exited.value.code or 0)

    def script(self, *flags: str) -> int:
        return self(str(self.folder / "train.py"), *flags)


@pytest.fixture
def tune(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tune:
    monkeypatch.chdir(tmp_path)
    return Tune(tmp_path, capsys)


def test_help_has_the_flags_of_the_chosen_backend(tune: Tune) -> None:
    assert tune("--help") == 0
    assert "--num_gpus_per_trial" in tune.out
    assert "--warm_pool" not in tune.out
    assert "--max_parallel_jobs" not in tune.out
    assert "tunewright tune --backend sagemaker --help" in tune.out
    assert tune("--backend=sagemaker", "--remote", "--help") == 0
    assert "--num_gpus_per_trial" not in tune.out
    assert "--warm_pool" in tune.out
    assert "--max_parallel_jobs" in tune.out
    for heading in ("Script", "Method", "Experiment", "Limits", "Run", "Backend sagemaker", "Tuning job"):
        assert f"\n{heading}\n" in tune.out
    assert "benchmark" not in tune.out


@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_the_terminal(tune: Tune, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert tune("--backend", "sagemaker", "--help") == 0
    lines = tune.out.splitlines()
    assert max(map(len, lines)) <= columns
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--warm_pool 1", "--warm_pool is a flag of --backend sagemaker. See tunewright tune --help"),
        ("--backend sagemaker --num_gpus_per_trial 2", "--num_gpus_per_trial is a flag of --backend local"),
        ("--wait", "--wait is a flag of tuning jobs: add --remote"),
        ("--backend lokal", "Unknown backend 'lokal'. Did you mean 'local'?"),
        ("--n_worker 2", "Unknown flag --n_worker. Did you mean '--n_workers'?"),
        ("--space s --metric score --max_cost x", "for --max_cost"),
        ("--mode min", "--mode was removed: use --goal min or --goal max"),
        ("", "--space is required. See tunewright tune --help"),
    ],
)
def test_errors_are_one_line_with_the_remedy(tune: Tune, flags: str, message: str) -> None:
    assert tune.script(*flags.split()) == 2
    assert message in tune.err
    assert tune.err.count("\n") == 1


def test_a_file_of_flags(tune: Tune) -> None:
    (tune.folder / "flags.toml").write_text(
        'space = "space.toml"\nmetric = "score"\ngoal = "max"\nmethod = "RS"\nexperiment_tag = "file"\n'
        "max_num_trials = 5\nmax_wallclock_time = 600\n[environment]\nA = 'b'\n[local]\nnum_gpus_per_trial = 2\n"
        "[sagemaker]\nwarm_pool = true\n[ASHA]\neta = 3\n[BO]\nnum_init_random = 3\n"
    )
    assert tune.script("--config", "flags.toml", "--max_num_trials", "1", "--n_workers", "1") == 0
    (folder,) = experiments("file")
    metadata = folder.metadata()
    assert metadata["limits"]["max_num_trials"] == 1
    assert metadata["limits"]["max_wallclock_time"] == 600
    (tune.folder / "flags.toml").write_text("[nonsense]\nx = 1\n")
    assert tune.script("--config", "flags.toml") == 2
    assert "[nonsense]" in tune.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["completion", shell])
    assert not exited.value.code
    shown = capsys.readouterr().out
    assert "tune" in shown
    assert "num_gpus_per_trial" in shown
    assert "max_parallel_jobs" in shown
    assert "warm_pool" in shown


def test_known_configurations_come_first(tune: Tune) -> None:
    (tune.folder / "points.csv").write_text("x\n0.25\n0.75\n")
    line = "--space space.toml --metric score --goal min --points points.csv --max_num_trials 2 --n_workers 1"
    assert tune.script(*line.split()) == 0, tune.err
    (folder,) = experiments()
    history = load_outcome(folder).history
    assert [history.trial(trial_id).config["x"] for trial_id in range(2)] == [0.25, 0.75]


def test_points_that_do_not_fit_start_nothing(tune: Tune) -> None:
    (tune.folder / "points.csv").write_text("x\n0.25\n1.5\n")
    line = "--space space.toml --metric score --goal min --points points.csv --max_num_trials 2"
    assert tune.script(*line.split()) == 2
    assert "points.csv, line 3: x: " in tune.err
    assert not list(experiments())


def test_the_name_of_an_experiment_does_not_repeat_the_script(tune: Tune) -> None:
    script = (tune.folder / "train.py").rename(tune.folder / "train_gb.py")
    line = (
        str(script),
        "--space",
        "space.toml",
        "--metric",
        "score",
        "--goal",
        "min",
        "--max_num_trials",
        "1",
    )
    assert tune(*line) == 0
    assert "stored as" not in tune.err
    assert [re.sub(r"[\da-f-]+$", "", folder.name) for folder in experiments()] == ["train-gb-RandomSearch"]
    assert tune(*line, "--experiment_tag", "other_tag") == 0
    assert "'other_tag' is stored as 'other-tag'" in tune.err
    assert next(experiments("other-tag")).name.startswith("other-tag-RandomSearch-train-gb-0-20")
