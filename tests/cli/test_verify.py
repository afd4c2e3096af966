"""``tunewright sagemaker verify`` before it creates anything."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest

from tunewright.aws import Endpoint, EndpointKind
from tunewright.cli import main


@dataclass
class Account:
    """A session on AWS on which nothing but its end is allowed."""

    endpoint: Endpoint = Endpoint(kind=EndpointKind.AWS, region="eu-west-1")
    n_closed: int = 0

    def close(self) -> None:
        self.n_closed += 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "error"),
    [
        (io.StringIO(), "A terminal is needed to confirm; use --yes"),
        (Terminal("n\n"), "Not confirmed: nothing was created"),
    ],
)
def test_costs_are_stated_and_confirmed_on_aws(
    stdin: io.StringIO, error: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = Account()
    monkeypatch.setattr("tunewright.cli.flags.open_session", lambda _: account)
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(SystemExit) as exited:
        main(["sagemaker", "verify", "--endpoint", "aws", "--region", "eu-west-1"])
    captured = capsys.readouterr()
    assert exited.value.code == 2
    assert error in captured.err
    assert (
        "Five short jobs, one after the other on one ml.m5.large in eu-west-1, 30 minutes, at most $0.06 "
        "(table, us-east-1, 2026-09-27)."
    ) in captured.out
    assert account.n_closed == 1
