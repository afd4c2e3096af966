"""Exit codes, and errors in one line."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest

from tunewright.exceptions import BackendError, SettingsError, TunewrightError
from tunewright.launchers.exits import run_command


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
    assert said.count("\n") == 1
    assert "/there/metadata.json" in said
    assert "TUNEWRIGHT_HOME" in said


def test_other_errors_of_the_system_are_not_hidden() -> None:
    def command(_given: Sequence[str]) -> int:
        raise FileNotFoundError("x")

    with pytest.raises(FileNotFoundError):
        run_command(command, [])
