"""Progress and warnings of an experiment as lines: PlainProgress, for files and pipes, and warnings about the script."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, final

from typing_extensions import override

from tunewright.events import RequestEvent
from tunewright.exceptions import nearest_hint
from tunewright.formatting import (
    ProgressFacts,
    best_text,
    changed_facts,
    closing_text,
    config_text,
    counts_text,
    failure_text,
    interrupt_text,
    messages,
    plural,
    remaining_text,
    request_text,
    result_text,
    status_text,
)
from tunewright.history import History, Incumbent
from tunewright.interfaces import Callback
from tunewright.trial import KNOWN, BackendSummary, ExperimentStatus, Result, Run, TrialStatus, Verdict

INTERVAL: Final = 10.0
"""Seconds between two lines on the whole experiment."""

_NO_CHECKPOINT: Final = """Trial %d paused and now trains from the beginning again, as its script kept no checkpoint. Three lines of the script keep one:
    from tunewright.report import load_newest, save_checkpoint
    saved = load_newest()                # None in the first run; else begin after saved.step with saved.state
    save_checkpoint(epoch, state)        # before each report
Without them: %s never pauses a trial."""

_log = logging.getLogger(__name__)


@final
class PlainProgress(Callback):
    """Prints a line for each start and end of a run, a status line every ten seconds, and the result at the end.

    Parameters
    ----------
    facts
        Facts of the experiment.
    say
        Prints a line.
    is_verbose
        Whether starts and ends of runs are printed; failures always are.
    """

    def __init__(self, facts: ProgressFacts, say: Callable[[str], Any], *, is_verbose: bool = True) -> None:
        self._facts = facts
        self._say = say
        self._is_verbose = is_verbose
        self._incumbent = Incumbent(facts.metric, facts.constraints)
        self._next = 0.0
        self._said: set[str] = set()

    @override
    def on_experiment_start(self, history: History) -> None:
        again = f", going on with {counts_text(history)}" if history.n_trials else ""
        self._say(
            f"{self._facts.title}: {plural(self._facts.n_workers, 'worker')}{again}\nResults: {self._facts.path}"
        )

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Print the messages of the method, and the start of a run."""
        for message in messages(history.note(run.trial_id)):
            self._say(message)
        if self._is_verbose:
            config = config_text(history.trial(run.trial_id).config, self._facts.space)
            word = (
                f"starts: {config}"
                if run.attempt == 0
                else f"goes on after {self._facts.resource} {run.resume_from}"
            )
            self._say(f"Trial {run.trial_id} {word}")

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Print the end of a run; a failure with the last lines of its log."""
        self._incumbent.update(history)
        if status is TrialStatus.FAILED:
            self._say(failure_text(history, trial_id))
        elif self._is_verbose:
            last = history.last(trial_id)
            value = f" at {result_text(self._facts, last)}" if last is not None else ""
            self._say(
                f"Trial {trial_id} {status}{value} (best: {best_text(self._facts, self._incumbent, history)})"
            )

    @override
    def on_request(self, history: History, request: RequestEvent) -> None:
        self._facts = changed_facts(self._facts, request)
        self._say(f"Request: {request_text(request)}")

    @override
    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        """Print the status every ten seconds, and each notice of the backend once."""
        for notice in summary.notices:
            if notice not in self._said:
                self._said.add(notice)
                self._say(notice)
        if monotonic() >= self._next:
            self._next = monotonic() + INTERVAL
            self._incumbent.update(history)
            parts = (
                status_text(self._facts, history, now, summary.cost, summary.prices),
                remaining_text(self._facts, history, now, summary.cost),
            )
            status = ", ".join(filter(None, parts))
            self._say(f"{status}; best: {best_text(self._facts, self._incumbent, history)}")

    @override
    def on_interrupt(self, history: History) -> None:
        self._say(interrupt_text(history))

    @override
    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """Print the result and the last notices, for example about a job that still runs."""
        for notice in dict.fromkeys(summary.notices):
            if notice not in self._said:
                self._say(notice)
        self._say(f"\n{closing_text(self._facts, history, outcome, summary)}\n")


@final
class WarnOfMissingResource(Callback):
    """Says at the first result that it lacks the resource, so that reports are counted instead.

    Parameters
    ----------
    resource_attr
        The key of the resource in reports.
    """

    def __init__(self, resource_attr: str) -> None:
        self._name = resource_attr
        self._has_looked = False

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        """Look at the first result."""
        if self._has_looked:
            return
        self._has_looked = True
        if self._name not in result.metrics:
            names = [name for name in result.metrics if not name.startswith("st_")]
            _log.warning(
                "The script's reports lack the resource %r, so they are counted.%s",
                self._name,
                nearest_hint(self._name, names),
            )


@final
class WarnOfMissingCheckpoint(Callback):
    """Says at the first resume from scratch that the script keeps no checkpoint, and what one needs.

    Parameters
    ----------
    without_pauses
        The method or setting that pauses no trial.
    """

    def __init__(self, without_pauses: str) -> None:
        self._without_pauses = without_pauses
        self._paused_without = set[int]()
        self._has_warned = False

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Note a trial that paused without a checkpoint; one that was deleted later does not count."""
        is_trained = KNOWN not in history.note(trial_id)
        if status is TrialStatus.PAUSED and is_trained and history.checkpoint(trial_id) is None:
            self._paused_without.add(trial_id)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        if run.trial_id in self._paused_without and not self._has_warned:
            self._has_warned = True
            _log.warning(_NO_CHECKPOINT, run.trial_id, self._without_pauses)
