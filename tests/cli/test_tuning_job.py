"""The main program of a tuning job: whatever becomes of the script, the log is sent and the exit code is right."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunewright.cli import tuning_job
from tunewright.exceptions import BackendError
from tunewright.experiments.run import JOURNAL_VARIABLE
from tunewright.remote.tuning_job import OPEN_JOURNAL


class FakeJob:
    """What a tuning job does around its script."""

    n_found = 0
    refuses = False

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.is_closed = False

    def begin(self) -> int:
        if self.refuses:
            raise BackendError("The tuning job other-0 works on this slice")
        return self.n_found

    def done(self, code: int) -> None:
        self.codes.append(code)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJob]:
    """The job of this test; what the program changes in this process is changed back."""
    one = FakeJob()
    monkeypatch.setattr(tuning_job, "TuningJob", lambda: one)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(JOURNAL_VARIABLE, "")
    before = signal.getsignal(signal.SIGTERM)
    yield one
    signal.signal(signal.SIGTERM, before)


def run(tmp_path: Path, text: str) -> int:
    script = tmp_path / "hpo_main.py"
    script.write_text(text)
    return tuning_job.main([str(script), "--seed", "3"])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import sys; assert sys.argv[1:] == ['--seed', '3'] and __name__ == '__main__'", 0),
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(2)", 2),
        ("raise SystemExit('a word')", 1),
        ("raise SystemExit", 0),
    ],
)
def test_a_script_that_comes_to_its_end(job: FakeJob, tmp_path: Path, text: str, code: int) -> None:
    assert run(tmp_path, text) == code
    assert (job.codes, job.is_closed) == ([code], True)


def test_experiments_of_the_script_are_copied_to_s3(job: FakeJob, tmp_path: Path) -> None:
    script = f"import os; raise SystemExit(os.environ[{JOURNAL_VARIABLE!r}] != {OPEN_JOURNAL!r})"
    assert run(tmp_path, script) == 0


def test_modules_beside_the_script_are_found(job: FakeJob, tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("CODE = 5\n")
    assert run(tmp_path, "import only_here; raise SystemExit(only_here.CODE)") == 5


@pytest.mark.parametrize(
    "text",
    [
        "raise KeyboardInterrupt",
        "import os, signal, time; os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
    ],
    ids=["interrupted", "terminated"],
)
def test_one_that_is_interrupted_has_not_come_to_its_end(job: FakeJob, tmp_path: Path, text: str) -> None:
    """Its slice is launched again, or was stopped: there is no last word."""
    assert run(tmp_path, text) == 130
    assert (job.codes, job.is_closed) == ([], True)


def test_a_mistake_in_the_folder_is_an_end(
    job: FakeJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another tuning job would make it again."""
    assert run(tmp_path, "raise RuntimeError('a mistake')") == 1
    assert "RuntimeError: a mistake" in capsys.readouterr().err
    assert (job.codes, job.is_closed) == ([1], True)


def test_a_service_that_fails_is_no_end(
    job: FakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The slice waits and is launched again."""

    def fail() -> int:
        raise ConnectionError("no answer")

    monkeypatch.setattr(job, "begin", fail)
    assert run(tmp_path, "") == 1
    assert "ConnectionError: no answer" in capsys.readouterr().err
    assert (job.codes, job.is_closed) == ([], True)


def test_a_second_tuning_job_ends_at_once(
    job: FakeJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job.refuses = True
    assert run(tmp_path, "raise RuntimeError('not to be run')") == 1
    assert capsys.readouterr().err == "Error: The tuning job other-0 works on this slice\n"
    assert job.is_closed


def test_what_is_continued_is_said(job: FakeJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job.n_found = 2
    assert run(tmp_path, "print('on it')") == 0
    assert capsys.readouterr().out == "Continuing: S3 has 2 experiments of this slice\non it\n"
