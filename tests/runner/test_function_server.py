"""Trials of Python functions: forks of one process that has imported what they need."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tunewright.backends.local import LocalBackend, LocalConfig
from tunewright.exceptions import SettingsError
from tunewright.runner.function_server import packages_of
from tunewright.testing.events import EventReader
from tunewright.trial import Run

MakeBackend = Callable[..., LocalBackend]


@pytest.fixture
def backend_of(tmp_path: Path) -> Iterator[MakeBackend]:
    """Local backends, closed at the end."""
    made: list[LocalBackend] = []

    def make(function: Callable[..., Any] | str, **settings: Any) -> LocalBackend:
        script, given = (function, None) if isinstance(function, str) else ("session:train", function)
        config = LocalConfig(gpus=(), **settings)
        made.append(
            LocalBackend(
                script, folder=tmp_path / "trials", function=given, config=config, metric="loss", n_workers=3
            )
        )
        made[-1].attach(())
        return made[-1]

    yield make
    for backend in made:
        backend.close()


def run(backend: LocalBackend, *configs: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Metrics of the last report of each trial, and how each ended: its error."""
    events = EventReader(backend, patience=300.0)
    for trial_id, config in enumerate(configs):
        backend.start(Run(trial_id=trial_id, attempt=0), config)
    errors = [events.until_ended(trial_id).error for trial_id in range(len(configs))]
    reports = {report.trial_id: dict(report.metrics) for report in events.reports}
    return [reports.get(trial_id, {}) for trial_id in range(len(configs))], errors


def closure(factor: float) -> Callable[..., Any]:
    """A function that no other process can import."""
    import numpy as np

    def train(x: float) -> dict[str, float]:
        return {"loss": factor * x, "draw": float(np.random.random()), "parent": os.getppid()}  # noqa: NPY002

    return train


@pytest.mark.parametrize("fork", [True, False])
def test_a_nested_function_is_called(backend_of: MakeBackend, fork: bool) -> None:
    reports, errors = run(backend_of(closure(3.0), fork=fork), {"x": 1.0}, {"x": 2.0}, {"x": 4.0})
    assert errors == [""] * 3
    assert [report["loss"] for report in reports] == [3.0, 6.0, 12.0]
    assert len({report["draw"] for report in reports}) == 3  # as in interpreters that begin anew


def test_what_is_too_large_for_a_pipe_arrives(backend_of: MakeBackend) -> None:
    data = bytes(range(256)) * 4096
    reports, _ = run(backend_of(lambda x: len(data) + x, fork=False), {"x": 1})
    assert reports[0]["loss"] == len(data) + 1


def test_partials_and_callable_objects_are_called(backend_of: MakeBackend) -> None:
    reports, _ = run(backend_of(functools.partial(lambda x, y: x + y, y=2)), {"x": 1})
    assert reports[0]["loss"] == 3


def test_what_cannot_be_copied_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file, pytest.raises(SettingsError, match="cannot be given"):
        LocalBackend("session:train", folder=tmp_path / "trials", function=file.write)


MODULE = """
import os, time
import numpy as np
import helpers
from tunewright import report
BEGAN = time.time_ns()
FOLDER = os.environ.get("TUNEWRIGHT_CHECKPOINT_DIR", "")
helpers.count += 1

def train(x):
    report(loss=x, began=BEGAN, folder=FOLDER, count=helpers.count, draw=float(np.random.random()), parent=os.getppid())

def fail(x):
    raise ValueError("no such luck")

def leave(x):
    import subprocess
    left = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    report(loss=x, left=left.pid)

def wait(x):
    report(loss=x, pid=os.getpid())
    time.sleep(600)
"""


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], str]:
    """The place of a function in a module that imports another one."""
    folder = tmp_path / "users"
    folder.mkdir()
    (folder / "helpers.py").write_text("count = 0\n")
    (folder / "training.py").write_text(MODULE)
    return lambda name: f"{folder / 'training.py'}:{name}"


@pytest.mark.parametrize("fork", [True, False])
def test_modules_of_the_user_run_anew_in_each_trial(
    backend_of: MakeBackend, module: Callable[[str], str], fork: bool
) -> None:
    reports, errors = run(backend_of(module("train"), fork=fork), *({"x": float(i)} for i in range(3)))
    assert errors == [""] * 3
    for name in ("began", "folder", "draw"):
        assert len({report[name] for report in reports}) == 3, name
    assert [report["count"] for report in reports] == [1, 1, 1]


def test_a_failure_has_its_traceback(backend_of: MakeBackend, module: Callable[[str], str]) -> None:
    _, errors = run(backend_of(module("fail")), {"x": 1.0})
    assert "exit code 1" in errors[0]
    assert "ValueError: no such luck" in errors[0]
    assert errors[0].count("File ") == 1


def test_an_unknown_function_is_the_trials_error(
    backend_of: MakeBackend, module: Callable[[str], str]
) -> None:
    _, errors = run(backend_of(module("train_me")), {"x": 1.0})
    assert "has no function 'train_me'" in errors[0]


def test_what_a_trial_leaves_behind_is_ended(backend_of: MakeBackend, module: Callable[[str], str]) -> None:
    reports, _ = run(backend_of(module("leave")), {"x": 1.0})
    assert not psutil.pid_exists(reports[0]["left"])


def test_a_trial_that_is_stopped_is_gone(backend_of: MakeBackend, module: Callable[[str], str]) -> None:
    backend = backend_of(module("wait"))
    events = EventReader(backend, patience=300.0)
    backend.start(Run(trial_id=0, attempt=0), {"x": 1.0})
    events.until_reported(0, 1)
    backend.stop(0)
    assert events.until_ended(0).exit == 0
    assert not psutil.pid_exists(events.reports[0].metrics["pid"])


def test_a_trial_that_takes_too_long_has_failed(
    backend_of: MakeBackend, module: Callable[[str], str]
) -> None:
    _, errors = run(backend_of(module("wait"), max_trial_time=0.2), {"x": 1.0})
    assert "longer than 0.2 s" in errors[0]


def server_of(tuner: psutil.Process) -> psutil.Process:
    """The function server that a process has started; its other children may have ended."""
    living = [one for one in tuner.children() if one.status() != psutil.STATUS_ZOMBIE]
    (server,) = (one for one in living if "functions" in one.cmdline())
    return server


TUNER = """
import sys, time
from pathlib import Path
from tunewright.backends.local import LocalBackend, LocalConfig
from tunewright.trial import Run

backend = LocalBackend(sys.argv[1], folder=Path(sys.argv[2]), config=LocalConfig(gpus=()), n_workers=1)
backend.attach(())
backend.start(Run(trial_id=0, attempt=0), {"x": 1.0})
while not (events := [e for e in backend.wait(1.0) if hasattr(e, "metrics")]):
    pass
print(events[0].metrics["pid"], flush=True)
time.sleep(600)
"""


def test_the_server_ends_with_its_tuner_and_the_trial_with_its_runner(
    module: Callable[[str], str], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", TUNER, module("wait"), str(tmp_path / "trials")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tuner:
        assert tuner.stdout is not None
        trial = psutil.Process(int(tuner.stdout.readline()))
        server = server_of(psutil.Process(tuner.pid))
        tuner.kill()
    assert not psutil.wait_procs([server], timeout=60)[1]
    assert trial.is_running()
    runner = int((tmp_path / "trials/0/runs/0.lock").read_text().split()[1])
    os.kill(runner, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while psutil.pid_exists(trial.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not psutil.pid_exists(trial.pid)


def test_trials_begin_without_a_server_that_was_killed(
    backend_of: MakeBackend, module: Callable[[str], str]
) -> None:
    backend = backend_of(module("wait"))
    events = EventReader(backend, patience=300.0)
    backend.start(Run(trial_id=0, attempt=0), {"x": 1.0})
    events.until_reported(0, 1)
    server = server_of(psutil.Process())
    server.kill()
    psutil.wait_procs([server], timeout=60)
    backend.start(Run(trial_id=1, attempt=0), {"x": 2.0})
    events.until_reported(1, 1)
    backend.stop(0)
    backend.stop(1)
    assert events.until_ended(0).error == events.until_ended(1).error == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import numpy", ["numpy"]),
        ("import json, scipy.stats", ["scipy.stats"]),
        ("def train():\n    from scipy import stats", ["scipy.stats"]),
        ("from numpy import array", ["numpy"]),
        ("import helpers", ["msgspec"]),
        ("from package import inner", ["filelock"]),
        ("import numpy, os\nos.environ['OMP_NUM_THREADS'] = '2'", []),
        ("import numpy\nfrom os import environ\nenviron.update(A='b')", []),
        ("import numpy, os\nprint(os.environ['HOME'])", ["numpy"]),
        ("import tunewright, filelock\nif TYPE_CHECKING:\n    import msgspec", ["filelock"]),
        ("import nothing_of_this_name", []),
        ("import numpy\nthis is no Python", []),
    ],
)
def test_packages_are_read_in_the_source(text: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("import msgspec, helpers")
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").write_text("")
    (tmp_path / "package/inner.py").write_text("import filelock\nfrom . import nothing")
    (tmp_path / "training.py").write_text(textwrap.dedent(text))
    assert packages_of(f"{tmp_path / 'training.py'}:train") == found
