"""The command line of the dashboard, before it serves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tunewright.cli import main

TOKEN_VARIABLE = "TUNEWRIGHT_DASHBOARD_TOKEN"


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """What the command prints if it refuses its flags."""
    with pytest.raises(SystemExit) as exited:
        main(["dashboard", "--no_browser", *flags])
    assert exited.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--token", "short"], "16 characters"),
        (["--token", "a token with blanks"], "letters, digits"),
        (["--port", "70000"], "65535"),
        (["--base_path", "x y"], "path of a URL"),
        (["--host", "192.0.2.7"], "192.0.2.7"),  # an address of documentation, which no machine has
        (["--token", "a-token-of-the-tests", "../.."], "looks like a path"),
    ],
)
def test_flags_that_cannot_work(capsys: pytest.CaptureFixture[str], flags: list[str], text: str) -> None:
    pytest.importorskip("starlette")
    assert text in refused(capsys, *flags)


def test_help_says_how_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["dashboard", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "Ctrl-C ends the dashboard; experiments go on" in shown
    assert all(flag in shown for flag in ("--control", "--allowed_host", "--base_path", "--no_browser"))


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['starlette'] = None; from tunewright.cli import main; main(['dashboard'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "[dashboard]" in done.stderr
    assert "pip install" in done.stderr
