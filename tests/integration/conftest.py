"""Remote launches on the embedded endpoint: the launcher and the commands in this process, the rest as it is."""

from __future__ import annotations

import runpy
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from tunewright.aws import AwsSession, open_session
from tunewright.cli import main
from tunewright.launchers import launch_remote_local, launch_remote_sagemaker, launch_remote_simulated
from tunewright.remote.launch import RemoteLaunch, load_record
from tunewright.remote.mirror import SliceView, fetch_views

PATIENCE = 300.0
LAUNCHERS: dict[str, Callable[..., None]] = {
    "local": launch_remote_local.launch_remote,
    "sagemaker": launch_remote_sagemaker.launch_remote,
    "simulated": launch_remote_simulated.launch_remote,
}


class Remote:
    """A user who launches, looks, and sees tuning jobs die."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder / "exp"
        self.calls: Counter[str] = Counter()
        """Requests of this process, by operation."""
        self.out = self.err = ""
        self._open: dict[str, tuple[AwsSession, RemoteLaunch]] = {}
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        close = AwsSession.close

        def counted(session: AwsSession) -> None:
            self.calls.update(session.calls)
            close(session)

        monkeypatch.setattr(AwsSession, "close", counted)

    def _exit_of(self, command: Callable[[], None]) -> int:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            command()
        self.out, self.err = self._capsys.readouterr()
        return int(exited.value.code or 0)

    def launch(self, kind: str, line: str, **options: Any) -> int:
        """Run the folder's ``launch_remote.py``; the exit code."""
        self._monkeypatch.setattr("sys.argv", ["launch_remote.py", *line.split()])
        entry = str(self.folder / "launch_remote.py")
        methods = runpy.run_path(str(self.folder / "baselines.py"))["methods"]
        definitions = runpy.run_path(str(self.folder / "benchmark_definitions.py"))["benchmark_definitions"]
        return self._exit_of(lambda: LAUNCHERS[kind](entry, methods, definitions, **options))

    def tunewright(self, *arguments: str) -> str:
        """What a command prints."""
        code = self._exit_of(lambda: main(list(arguments)))
        assert code == 0, self.out + self.err
        return self.out

    def open(self, tag: str) -> tuple[AwsSession, RemoteLaunch]:
        """A session on the launch's endpoint, open until the test ends."""
        if tag not in self._open:
            record = load_record(tag)
            assert record is not None
            session = open_session(record.endpoint())
            self._open[tag] = session, RemoteLaunch(session, record.bucket, tag)
        return self._open[tag]

    def close(self) -> None:
        """Close what is open."""
        for session, _ in self._open.values():
            session.close()

    def views(self, tag: str) -> dict[str, SliceView]:
        """All slices, with their experiments."""
        _, fleet = self.open(tag)
        return {view.status.slice.name: view for view in fetch_views(fleet, fleet.look())}

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for a true value."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(0.3)
        pytest.fail("what was waited for did not happen")

    def until_results(self, tag: str, name: str, least: int) -> SliceView:
        """Wait until a slice's first experiment has so many results."""

        def found() -> SliceView | None:
            view = self.views(tag)[name]
            return view if view.outcomes and view.outcomes[0].history.n_results >= least else None

        return self.until(found)

    def kill(self, job: str) -> None:
        """Kill all processes of a training job; jobs of tests that run beside this one may have its name."""
        root = str(self.folder.parent)
        killed = [process for process in psutil.process_iter() if _is_of(process, job, root)]
        for process in killed:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        assert killed


def _is_of(process: psutil.Process, job: str, root: str) -> bool:
    """Whether a process belongs to a job of an emulator whose files lie below a folder."""
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    return environment.get("TRAINING_JOB_NAME") == job and environment.get(
        "SAGEMAKER_EMULATOR", ""
    ).startswith(root)


class Tunewright(Protocol):
    """Runs a command of ``tunewright`` in this process, and returns its output."""

    def __call__(self, *arguments: str, code: int = 0) -> str: ...


@pytest.fixture
def tunewright(capsys: pytest.CaptureFixture[str]) -> Tunewright:
    """Commands of a user whose ends are those that a test expects; a process for each would take half a second."""

    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(list(arguments))
        shown = capsys.readouterr()
        assert int(exited.value.code or 0) == code, shown.out + shown.err
        return shown.out

    return run


@pytest.fixture
def remote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Remote]:
    """Launches of the folder ``exp``."""
    one = Remote(tmp_path, monkeypatch, capsys)
    yield one
    one.close()
