"""A Hydra script, tuned from the command line: nested names, quoted texts, pauses and resumes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tunewright.cli import main
from tunewright.experiments import load_outcome
from tunewright.storage import experiments
from tunewright.trial import Decision

SCRIPT = r"""
import os
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig
from tunewright.report import load_newest, report, save_checkpoint

@hydra.main(version_base=None, config_path="conf", config_name="config")
def train(cfg):
    assert cfg.note == "it's a, [note]\\", cfg.note
    assert cfg.data.shuffle is False and cfg.model.width == 64, cfg
    assert Path(HydraConfig.get().runtime.output_dir).is_relative_to(os.environ["SM_OUTPUT_DATA_DIR"])
    saved = load_newest()
    done = saved.step if saved else 0
    for epoch in range(done + 1, cfg.epochs + 1):
        save_checkpoint(epoch, {"epoch": epoch})
        report(epoch=epoch, loss=(cfg.optimizer.lr - 0.3) ** 2 + 1 / epoch, resumed_at=done)

train()
"""
CONFIG = """
defaults: [_self_, model: small]
note: ""
epochs: 1
data: {shuffle: true}
optimizer: {name: sgd, lr: 0.1, momentum: 0.0}
"""
SPACE = r"""
note = "it's a, [note]\\"
model = "large"

[optimizer]
name = { type = "choice", values = ["sgd", "adam"] }
lr = { type = "float", low = 1e-5, high = 1.0, log = true }

[optimizer.momentum]
type = "float"
low = 0.0
high = 0.9
active_if = { optimizer.name = "sgd" }

[data]
shuffle = false
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    files = {
        "train.py": SCRIPT,
        "space.toml": SPACE,
        "conf/config.yaml": CONFIG,
        "conf/model/small.yaml": "width: 8",
        "conf/model/large.yaml": "width: 64",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "train.py"


def test_a_hydra_script_is_paused_and_resumed(
    script: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(script.parent)
    line = (
        f"tune {script} --space space.toml --argument_style hydra --metric loss --resource epoch --max_resource 3"
        " --max_resource_attr epochs --method ASHA --max_num_trials 4 --n_workers 2 --seed 1"
    )
    with pytest.raises(SystemExit) as left:
        main(line.split())
    assert not left.value.code
    (folder,) = experiments()
    history = load_outcome(folder).history
    resumed = [trial_id for trial_id in range(4) if history.run(trial_id).attempt > 0]
    assert resumed
    for trial_id in resumed:
        results = history.results(trial_id)
        assert [result.resource for result in results] == [1, 2, 3][: len(results)]
        assert [result.metrics["resumed_at"] for result in results] == [0, 1, 1][: len(results)]
    assert any(history.decision(trial_id) is Decision.PAUSE for trial_id in range(4))
    for trial_id in range(4):
        config = history.trial(trial_id).config
        assert ("optimizer.momentum" in config) is (config["optimizer.name"] == "sgd")
    assert not (script.parent / "outputs").exists()
    assert "checkpoint" not in caplog.text
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["best", "@last", "--format", "cli"])
    arguments = shlex.split(capsys.readouterr().out)
    assert arguments[:2] == [r"note='it\'s a, [note]\\'", "model=large"]
    assert "data.shuffle=false" in arguments
