"""The example of a loop of one's own: trials are paused, go on, and the best one is good."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess


def test_trials_go_on_where_they_were_paused(
    run_example: Callable[[str], CompletedProcess[str]],
) -> None:
    done = run_example("ask_tell")
    summary, best = done.stdout.splitlines()
    n_trials, n_resumed = int(summary.split()[0]), int(summary.split()[2])
    assert n_trials > 6
    assert n_resumed > n_trials
    assert float(best.partition("value=")[2].partition(",")[0]) < 0.25
