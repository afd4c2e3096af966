"""The callbacks in training with the real frameworks, without a network; trials find them in the runner alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunewright.experiments import method, tune
from tunewright.runner.build import build_runner
from tunewright.space import Float

from .conftest import CLIENTS, PATIENCE, ROOT, Client


@dataclass(frozen=True)
class Framework:
    """A script of ``clients``, and names in its reports."""

    name: str
    environment: str
    resource: str
    metric: str
    unit: str


FRAMEWORKS = (
    Framework("lightning", "torch_frameworks", "epoch", "val_loss", "epochs"),
    Framework("transformers", "torch_frameworks", "epoch", "eval_loss", "steps"),
    Framework("keras", "torch_frameworks", "epoch", "val_loss", "epochs"),
    Framework("xgboost", "init_scripts", "round", "valid-rmse", "rounds"),
    Framework("lightgbm", "init_scripts", "round", "valid-l2", "rounds"),
)
BOOSTING = FRAMEWORKS[3:]
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Training:
    """A finished script."""

    reports: list[dict[str, Any]]
    code: int
    text: str

    def curve(self, framework: Framework) -> list[tuple[int, float]]:
        return [(report[framework.resource], report[framework.metric]) for report in self.reports]


Train = Callable[..., Training]


@pytest.fixture(scope="session")
def trial_packages(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where a job's Python finds ``tunewright``, which is not installed there."""
    return str(build_runner(tmp_path_factory.mktemp("runner") / "runner.pyz") / "trial")


@pytest.fixture
def train(client: Client, trial_packages: str, tmp_path: Path) -> Train:
    """Runs a framework's script in its environment, as a trial unless ``checkpoints`` is empty."""

    def run(
        framework: Framework,
        *arguments: str,
        checkpoints: str = "checkpoints",
        resume_from: int = 0,
        launcher: Sequence[str] = (),
    ) -> Training:
        variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TUNEWRIGHT_")},
            **QUIET,
            "PYTHONPATH": trial_packages,
            "TUNEWRIGHT_RESOURCE_ATTR": framework.resource,
            "TUNEWRIGHT_RESUME_FROM": str(resume_from),
            "TUNEWRIGHT_CHECKPOINT_DIR": checkpoints and str(tmp_path / checkpoints),
        }
        command = [
            client(framework.environment) / "python",
            *launcher,
            CLIENTS / f"train_{framework.name}.py",
            *arguments,
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        print(done.stdout, done.stderr)
        lines = [line.partition("[tune-metric]: ")[2] for line in done.stdout.splitlines()]
        return Training([json.loads(line) for line in lines if line], done.returncode, done.stderr)

    return run


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.name)
def test_a_training_that_goes_on_from_its_checkpoint_is_the_uninterrupted_one(
    train: Train, framework: Framework
) -> None:
    whole = train(framework, "--epochs", "4", checkpoints="whole").curve(framework)
    assert [resource for resource, _ in whole] == [1, 2, 3, 4]
    first = train(framework, "--epochs", "3").curve(framework)
    # the third epoch is taken for one that was saved and not reported: the run goes on from the second
    rest = train(framework, "--epochs", "4", resume_from=2).curve(framework)
    assert [resource for resource, _ in rest] == [3, 4]
    assert dict(first) == pytest.approx(dict(whole[:3]))
    assert dict(rest) == pytest.approx(dict(whole[2:]))

    forgotten = train(framework, "--epochs", "4", "--forget", resume_from=3)
    assert forgotten.code != 0
    assert not forgotten.reports
    assert f"{framework.unit} already, but training begins after 0: " in forgotten.text
    assert "callback." in forgotten.text.splitlines()[-1]


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.name)
def test_a_metric_that_is_not_logged(train: Train, framework: Framework) -> None:
    done = train(framework, "--epochs", "1", "--metric", "valid_acuracy")
    assert done.code != 0
    assert not done.reports
    assert "ValueError: The metric 'valid_acuracy' was not logged. Logged: " in done.text
    assert repr(framework.metric) in done.text


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.name)
def test_outside_of_tuning_a_callback_does_nothing(
    train: Train, framework: Framework, tmp_path: Path
) -> None:
    done = train(framework, "--epochs", "1", checkpoints="")
    assert (done.code, done.reports) == (0, [])
    assert not list(tmp_path.rglob("checkpoint-*"))


@pytest.mark.parametrize(
    ("section", "environment", "metric"),
    [
        ("Lightning", "torch_frameworks", "val_loss"),
        ("Hugging Face", "torch_frameworks", "eval_loss"),
        ("Keras", "torch_frameworks", "val_loss"),
        ("XGBoost", "init_scripts", "valid-rmse"),
        ("LightGBM", "init_scripts", "valid-l2"),
    ],
)
def test_the_code_of_the_page_runs(
    client: Client, trial_packages: str, tmp_path: Path, section: str, environment: str, metric: str
) -> None:
    variables = {"PYTHONPATH": trial_packages, "TUNEWRIGHT_CHECKPOINT_DIR": str(tmp_path / "checkpoints")}
    done = subprocess.run(
        [client(environment) / "python", CLIENTS / "run_page.py", ROOT / "docs" / "integrations.md", section],
        cwd=tmp_path,
        env={**os.environ, **QUIET, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert f'"{metric}": ' in done.stdout
    assert list((tmp_path / "checkpoints").iterdir())


@pytest.mark.parametrize("framework", BOOSTING, ids=lambda framework: framework.name)
def test_rounds_may_be_reported_now_and_then(train: Train, framework: Framework) -> None:
    done = train(framework, "--epochs", "5", "--every", "2")
    assert [report["round"] for report in done.reports] == [2, 4, 5]


@pytest.mark.parametrize("framework", BOOSTING, ids=lambda framework: framework.name)
def test_means_of_a_cross_validation_are_reported(train: Train, framework: Framework, tmp_path: Path) -> None:
    metric = {"xgboost": "test-rmse", "lightgbm": "valid-l2"}[framework.name]
    done = train(framework, "--epochs", "2", "--cv", "--metric", metric)
    assert [report["round"] for report in done.reports] == [1, 2]
    assert all(report[metric] > 0 for report in done.reports)
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_lightning_reports_epochs_with_validation_only(train: Train) -> None:
    done = train(FRAMEWORKS[0], "--epochs", "4", "--validate_every", "2")
    assert [report["epoch"] for report in done.reports] == [2, 4]


def test_one_of_two_processes_of_lightning_reports(train: Train) -> None:
    lightning = FRAMEWORKS[0]
    first = train(lightning, "--devices", "2", "--epochs", "2")
    assert first.code == 0
    assert [resource for resource, _ in first.curve(lightning)] == [1, 2]
    rest = train(lightning, "--devices", "2", "--epochs", "3", resume_from=2)
    assert [resource for resource, _ in rest.curve(lightning)] == [3]
    assert rest.reports[0]["step"] == 6  # 64 samples, two processes of 16 each


def test_one_of_two_processes_of_transformers_reports(train: Train) -> None:
    transformers = FRAMEWORKS[1]
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone")
    first = train(transformers, "--epochs", "2", launcher=launcher)
    assert first.code == 0
    assert [resource for resource, _ in first.curve(transformers)] == [1, 2]
    rest = train(transformers, "--epochs", "3", resume_from=2, launcher=launcher)
    assert [resource for resource, _ in rest.curve(transformers)] == [3]
    assert rest.reports[0]["step"] == 6  # 32 samples, two processes of 8 each


def test_transformers_without_evaluation(train: Train) -> None:
    done = train(FRAMEWORKS[1], "--eval_strategy", "no")
    assert done.code != 0
    assert "ValueError: Evaluations are reported: set eval_strategy='epoch'" in done.text


@pytest.mark.parametrize(
    ("framework", "devices"),
    [*((framework, 1) for framework in FRAMEWORKS), (FRAMEWORKS[0], 2)],
    ids=[*(framework.name for framework in FRAMEWORKS), "lightning_ddp"],
)
def test_asha_pauses_and_resumes_trials_and_no_epoch_is_trained_twice(
    client: Client, framework: Framework, devices: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = client(framework.environment).parent / "lib" / version / "site-packages"
    if not packages.is_dir():
        pytest.skip("The environment is of another Python")
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "home"))
    trained = tmp_path / "trained"
    outcome = tune(
        CLIENTS / f"train_{framework.name}.py",
        {"lr": Float(1e-3, 0.3, log=True), "epochs": 4, **({"devices": devices} if devices > 1 else {})},
        metric=framework.metric,
        goal="min",
        resource=framework.resource,
        max_resource=4,
        max_resource_attr="epochs",
        method=method("ASHA", eta=2),
        n_workers=2,
        n_trials=4 if devices == 1 else 2,
        environment={**QUIET, "PYTHONPATH": str(packages), "TRAINED": str(trained)},
        progress=False,
    )
    assert outcome.counts["failed"] == 0
    counts = Counter(trained.read_text().splitlines())
    reported = {
        f"{trial.id} {result.resource}"
        for trial in outcome.trials
        for result in outcome.history.results(trial.id)
    }
    assert set(counts.values()) == {1}
    assert set(counts) == reported
    output = "".join(path.read_text() for path in outcome.path.rglob("stderr"))
    assert "SIGTERM" not in output  # whose handler in Lightning would wait for a batch
    last = max((outcome.history.run(trial.id) for trial in outcome.trials), key=lambda run: run.attempt)
    n_pauses = 2 if devices == 1 else 1  # at epochs 1 and 2
    assert (last.attempt, last.resume_from) == (n_pauses, n_pauses)
