"""A second Ctrl-C in workers mode: nothing is waited for, and what may run on is said with the way to end it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tunewright.runner import s3_keys
from tunewright.runner.channel import RELEASE
from tunewright.trial import OpenRun, Run


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def busy(make_fleet: Callable[..., Any]) -> Any:
    """One run with a worker, one that waits."""
    fleet = make_fleet(close_seconds=1e9)
    for trial_id in range(2):
        fleet.backend.start(Run(trial_id=trial_id, attempt=0), {"lr": 1})
    fleet.until_posted("1-0-0")
    fleet.worker().take("0-0-0")
    fleet.until(lambda: len(fleet.aws.jobs) == 2)
    return fleet


def control(fleet: Any, name: str) -> bytes | None:
    return fleet.aws.s3.objects.get(f"{fleet.prefix}control/{name}")


def test_after_an_interrupted_wait_all_are_told_to_end_and_not_waited_for(
    busy: Any, monkeypatch: pytest.MonkeyPatch, make_fleet: Callable[..., Any]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(busy.backend._context.inbox, "poll", interrupt)
        with pytest.raises(KeyboardInterrupt):
            busy.until(lambda: False)
    n_calls = sum(busy.aws.calls.values())
    busy.backend.close()
    assert sum(busy.aws.calls.values()) == n_calls, "nothing was asked of SageMaker any more"
    assert control(busy, "0-0-0") == RELEASE.encode()
    assert {control(busy, f"worker-{number}") for number in range(2)} == {b"drain"}
    assert not busy.has(s3_keys.TASKS + "1-0-0"), "what waits is taken by nobody"
    notice = busy.backend.summary().notices[-1]
    assert all(name in notice for name in busy.aws.jobs)
    assert "tunewright sagemaker cleanup" in notice
    assert busy.aws.is_closed
    runs = [Run(trial_id=trial_id, attempt=0) for trial_id in range(2)]
    later = make_fleet([OpenRun(run=run, config={"lr": 1}, started_at=0.0) for run in runs])
    later.until_posted("1-0-0")
    assert later.has(s3_keys.LEASES + "0-0-0")


def test_an_interrupted_close_ends_at_once(busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy.backend, "_sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        busy.backend.close()
    assert control(busy, "0-0-0") == RELEASE.encode()
    assert "tunewright sagemaker cleanup" in busy.backend.summary().notices[-1]
    assert busy.aws.is_closed


def test_jobs_that_do_not_end_in_time_are_named(make_fleet: Callable[..., Any]) -> None:
    fleet = make_fleet(close_seconds=0.0)
    fleet.backend.start(Run(trial_id=0, attempt=0), {"lr": 1})
    fleet.worker().take("0-0-0")
    fleet.aws.StopTrainingJob = lambda **_: {}  # it does not stop
    fleet.backend.close()
    notice = fleet.backend.summary().notices[-1]
    assert "have not ended" in notice
    assert "tunewright sagemaker cleanup" in notice
