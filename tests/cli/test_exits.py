"""Exit codes, and errors in one line."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tunewright.cli.exits import run_command
from tunewright.exceptions import BackendError, SettingsError, TunewrightError


def raising(error: BaseException) -> int:
    def command(_given: Sequence[str]) -> int:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command(command, [])
    return int(str(ended.value.code))


@pytest.mark.parametrize(
    ("error", "code"),
    [(SettingsError("no such thing"), 2), (BackendError("gone"), 1), (KeyboardInterrupt(), 130)],
)
def test_errors_have_their_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(error) == code
    said = capsys.readouterr().err
    assert said == (f"Error: {error}\n" if isinstance(error, TunewrightError) else "")


def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(OSError(errno.ENOSPC, "No space left on device", "/there/metadata.json")) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: /there/metadata.json: No space left on device: free")
    assert said.count("\n") == 1
    assert "TUNEWRIGHT_HOME" in said


def test_other_errors_of_the_system_are_not_hidden() -> None:
    def command(_given: Sequence[str]) -> int:
        raise FileNotFoundError("x")

    with pytest.raises(FileNotFoundError):
        run_command(command, [])


def printed(body: str, shell_tail: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of one line in a process of its own whose output is not the usual one."""
    program = "\n".join(
        (
            "from tunewright.cli.exits import run_command",
            "def command(given):",
            f"    {body}",
            "    return 0",
            "run_command(command, [])",
        )
    )
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} {shell_tail}"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, check=False)


def test_a_closed_stdout_is_no_mistake() -> None:
    done = printed("print('x')", ">&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_letters_that_the_terminal_has_not_are_escaped() -> None:
    done = printed("print(chr(0xfc))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\xfc\n", "")


def test_an_experiment_goes_on_where_nobody_reads_its_lines() -> None:
    body = "from tunewright.cli.exits import say_while_read as say; [say('x' * 999) for _ in range(999)]"
    done = printed(body, "| head -1 > /dev/null; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stderr) == (0, "")
