"""A second Ctrl-C: nothing is waited for, and what may run on is said with the way to end it."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.runner.channel import RELEASE
from tunewright.trial import Run


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def begin(make_driver: Any, **settings: Any) -> Any:
    driver = make_driver(**settings)
    driver.backend.start(Run(trial_id=0, attempt=0), {"lr": 1})
    driver.until_created("0-0-0")
    return driver


def test_after_an_interrupted_wait_jobs_are_told_to_end_and_not_waited_for(
    make_driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = begin(make_driver, warm_pool=True, close_seconds=1e9)
    monkeypatch.setattr(driver.backend._dispatcher._poller, "poll", interrupt)
    with pytest.raises(KeyboardInterrupt):
        driver.rounds()
    n_calls = sum(driver.aws.calls.values())
    driver.backend.close()
    assert driver.aws.control("0-0-0") == RELEASE
    assert sum(driver.aws.calls.values()) == n_calls, "nothing was asked any more"
    (notice,) = driver.backend.summary().notices
    assert driver.aws.name("0-0-0") in notice
    assert "tunewright sagemaker cleanup" in notice
    assert "Warm pools are kept" in notice
    assert driver.aws.is_closed


def test_an_interrupted_close_ends_at_once(make_driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = begin(make_driver, close_seconds=1e9)
    monkeypatch.setattr(driver.backend, "_sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        driver.backend.close()
    assert driver.aws.control("0-0-0") == RELEASE
    assert "tunewright sagemaker cleanup" in driver.backend.summary().notices[-1]
    assert driver.aws.is_closed
