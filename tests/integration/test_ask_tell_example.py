"""The examples of a loop of one's own: the best trial is good, also where trials are paused and go on."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess


def test_trials_go_on_where_they_were_paused(
    run_example: Callable[[str], CompletedProcess[str]],
) -> None:
    done = run_example("freeze_thaw")
    summary, best = done.stdout.splitlines()
    n_trials, n_resumed = int(summary.split()[0]), int(summary.split()[2])
    assert n_trials > 6
    assert n_resumed > n_trials
    assert float(best.partition("value=")[2].partition(",")[0]) < 0.25


def test_a_loop_of_eight_lines_finds_a_good_trial(
    run_example: Callable[[str], CompletedProcess[str]],
) -> None:
    best = run_example("ask_tell").stdout
    assert float(best.partition("value=")[2].partition(",")[0]) < 0.01
