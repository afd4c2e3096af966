"""The runner as one file, executed by other Pythons."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tunewright.runner import __main__ as entry
from tunewright.runner import local_run
from tunewright.runner.build import build_runner, runner_bytes
from tunewright.runner.channel import EXITED
from tunewright.runner.supervisor import supervise

SCRIPT = """
import argparse, subprocess, sys
from syne_tune import Reporter
from syne_tune.utils import add_checkpointing_to_argparse
import tunewright
from tunewright.integrations import TrialReports
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
add_checkpointing_to_argparse(parser)
args = parser.parse_args()
# outlives the script, in a session of its own
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(args.st_checkpoint_dir + "/state", "w").write("1")
values = TrialReports(None).select({"x": args.x, "left": left.pid}, {"epoch": 1})
Reporter()(**values, home=tunewright.__file__)
"""


def pythons() -> list[str]:
    """The oldest Python that we support, where this machine has one, and the one that runs the tests."""
    homes = Path.home() / ".pyenv" / "versions"
    return [sys.executable, *(str(path) for path in sorted(homes.glob("3.9.*/bin/python"))[:1])]


def make_run(tmp_path: Path, run_script, script: Path, **changes: object) -> Path:
    run = tmp_path / "trials" / "0" / "runs" / "0-0"
    run.mkdir(parents=True)
    order = run_script.order(script, checkpoint_dir=str(run / "checkpoint"), **changes)
    (run / "order.json").write_text(order.to_json())
    return run


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    assert runner_bytes() == runner_bytes()
    built = build_runner(tmp_path / "a.pyz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pyz"]
    with zipfile.ZipFile(built) as here, zipfile.ZipFile(io.BytesIO(runner_bytes())) as anywhere:
        sources = {name: anywhere.read(name) for name in anywhere.namelist()}
        assert {name: here.read(name) for name in sources} == sources


def test_this_python_need_not_compile_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_runner(tmp_path / "runner.pyz")) as built:
        contents = {name: built.read(name) for name in built.namelist()}
    with zipfile.ZipFile(tmp_path / "without_sources.pyz", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content if name == "__main__.py" or name.endswith("c") else b"1 / 0")
    command = [sys.executable, str(tmp_path / "without_sources.pyz"), "cloud"]
    assert "usage" in subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize(("python", "is_zipapp"), [(sys.executable, False), *((p, True) for p in pythons())])
def test_it_runs_a_script_of_syne_tunes_form(
    tmp_path: Path, run_script, python: str, is_zipapp: bool
) -> None:
    runner = build_runner(tmp_path / "runner.pyz")
    start = [python, str(runner)] if is_zipapp else [python, "-m", "tunewright.runner"]
    run = make_run(tmp_path, run_script, run_script.write(SCRIPT), config={"x": 0.5}, resource_attr="epoch")
    done = subprocess.run([*start, "local", str(run), "600"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    end = json.loads((run / "end.json").read_text())
    assert (end["cause"], end["error"], end["checkpoint"]) == (EXITED, "", 1)
    assert (tmp_path / "trials" / "0" / "checkpoints" / "1" / "state").read_text() == "1"
    metrics = json.loads((run / "reports").read_text())["metrics"]
    assert metrics["x"] == 0.5
    assert not Path(f"/proc/{metrics['left']}").exists()
    in_zipapp = metrics["home"].startswith(str(runner))
    assert in_zipapp is (python != sys.executable)  # what is installed is not hidden


def test_a_run_that_has_ended_is_not_run_again(tmp_path: Path, run_script, monkeypatch) -> None:
    monkeypatch.setattr(local_run, "supervise", lambda *args: supervise(*args, owns_process=False))
    run = make_run(tmp_path, run_script, run_script.write("print('[tune-metric]: {\"a\": 1}')"))
    for _ in range(2):
        assert entry.main(["local", str(run), "600"]) == 0
    assert len((run / "reports").read_text().splitlines()) == 1


def test_a_second_runner_of_an_attempt_leaves(tmp_path: Path, run_script) -> None:
    import fcntl

    run = make_run(tmp_path, run_script, run_script.write("print(1)"))
    with local_run.attempt_lock(run).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert entry.main(["local", str(run), "600"]) == 0
    assert not (run / "stdout").exists()


def test_in_a_source_tree_it_is_a_module(tmp_path: Path, run_script) -> None:
    run_script.write("def train(x):\n    print('[tune-metric]: {\"x\": %d}' % x)\n", "mine.py")
    run = make_run(tmp_path, run_script, "mine:train", config={"x": 5}, import_paths=[str(tmp_path)])
    command = [sys.executable, "-m", "tunewright.runner", "local", str(run), "600"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads((run / "reports").read_text())["metrics"] == {"x": 5}


def test_what_travels_compiles_on_the_oldest_python() -> None:
    for python in pythons()[1:]:
        package = Path(entry.__file__).parents[1]
        files = [package / "__init__.py", package / "report.py", *(package / "compat").rglob("*.py")]
        files += (package / "integrations").glob("*.py")
        files += (package / "runner").glob("*.py")
        code = "import sys\nfor name in sys.argv[1:]: compile(open(name).read(), name, 'exec')"
        subprocess.run([python, "-c", code, *files], check=True)


def test_an_unknown_mode_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["cloud"]) == 2
    assert "usage" in capsys.readouterr().err
