"""The ledger: decides what suggestions and backend events mean, and journals it.

For each event the order is: History, the scheduler's handler, the journal line, the verdict in History; then the caller
carries out the verdict. A killed process therefore loses at most an effect, never a fact: the backend delivers again an
event that has no line, and a resume gives the lines to History and to the scheduler's handlers, in the same order.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, cast, final

import msgspec

from tunewright.events import (
    DropEvent,
    EndEvent,
    Event,
    PhaseEvent,
    ReportDecision,
    RequestEvent,
    ResultEvent,
    ServiceEvent,
    SessionEvent,
    StartEvent,
)
from tunewright.exceptions import IllegalTransitionError, SettingsError, nearest_hint
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import Journal
from tunewright.metric import Metric
from tunewright.replicates import ReplicateMeans
from tunewright.requests import (
    FiledRequest,
    PauseTrial,
    Request,
    ResumeTrial,
    StopTrial,
    TryConfig,
    WriteNote,
    action_of,
    arguments_of,
)
from tunewright.state import State, TrialRecord, with_fit
from tunewright.trial import (
    CONTINUE,
    OUTSIDE,
    REQUEST,
    BackendSummary,
    Checkpoint,
    Decision,
    Ended,
    ExperimentStatus,
    OpenRun,
    PhaseChange,
    Reported,
    Result,
    Resume,
    Run,
    ServiceNotice,
    Start,
    TrialStatus,
    Verdict,
)
from tunewright.types import Config

_log = logging.getLogger(__name__)

# Looked up once: in Python 3.11 a member of an Enum costs ten times what a global name does.
_CONTINUE, _REPEAT = ReportDecision.CONTINUE, ReportDecision.REPEAT
_LATE, _INVALID = ReportDecision.LATE, ReportDecision.INVALID
_GO_ON: Final = Decision.CONTINUE


class HandledReport(NamedTuple):
    """A report after the ledger has handled it."""

    decision: ReportDecision
    """As it stands in the journal."""
    result: Result | None
    """The accepted result; None if the scheduler was not asked."""
    verdict: Verdict
    """How the run goes on."""


@final
class Ledger:
    """The only owner of :class:`State`, and so of History.

    Parameters
    ----------
    scheduler
        Its handlers are called.
    journal
        Receives every event; the events that it holds already are replayed by :meth:`replay`.
    metrics
        The tuned metrics, which every report must hold.
    replicates
        Replaces reported values by means over a trial's replicates; None: results have the reported values.

    Examples
    --------
    One trial, driven by hand::

        ledger = Ledger(scheduler, MemoryJournal(), (Metric("loss"),))
        run = ledger.begin(Start(config={"lr": 0.1}), now=0.0)
        handled = ledger.report(Reported(trial_id=0, attempt=0, seq=1, resource=1, metrics={"loss": 2.0}), now=1.0)
        handled.verdict.decision  # Decision.CONTINUE
        ledger.end(Ended(trial_id=0, attempt=0, exit=0), now=2.0)  # TrialStatus.COMPLETED
    """

    def __init__(
        self,
        scheduler: Scheduler,
        journal: Journal,
        metrics: Sequence[Metric],
        replicates: ReplicateMeans | None = None,
    ) -> None:
        if not metrics:
            raise SettingsError("At least one metric is needed: what should be tuned?")
        self._scheduler = scheduler
        self._journal = journal
        self._metrics = tuple(metrics)
        self._replicates = replicates
        self._state = State()
        self._checkpoints: dict[Checkpoint, None] = {}
        self._taken: dict[str, RequestEvent] = {}
        self._warned: set[str] = set()

    @property
    def history(self) -> History:
        """Everything observed so far."""
        return self._state

    @property
    def checkpoints(self) -> Sequence[Checkpoint]:
        """Checkpoints that ended runs have left and that were not deleted."""
        return tuple(self._checkpoints)

    def open_runs(self) -> Sequence[OpenRun]:
        """Runs that have begun and not ended, in the order of their trials' ids."""
        return self._state.open_runs()

    # --- the journal's events, live and in replay

    def replay(self) -> float:
        """Apply the journal's events to History and to the scheduler; return the experiment time of the last one.

        The recorded verdict wins over the scheduler's present one; a difference is a warning, once.

        Raises
        ------
        JournalError
            The journal is damaged.
        """
        for event in self._journal.events():
            with_fit(self._repeat, event)
        return self._state.time

    def _repeat(self, event: Event) -> None:
        self._observe(event)
        verdict = self._notify(event)
        if verdict is not None:
            self._compare(verdict, cast("ResultEvent", event))
        self._state.settle(event)

    def _observe(self, event: Event) -> None:
        self._state.observe(event)
        if isinstance(event, EndEvent) and event.checkpoint is not None:
            self._checkpoints[event.checkpoint] = None
        elif isinstance(event, RequestEvent) and "request" in event.arguments:
            self._taken[str(event.arguments["request"])] = event

    def _notify(self, event: Event) -> Verdict | None:
        """Call the scheduler's handler for an observed event; return its verdict on a result."""
        if not isinstance(event, ResultEvent | StartEvent | EndEvent):
            return None
        trial_id = event.trial_id
        record = self._state.record(trial_id)
        if record.is_outside:
            return None
        if isinstance(event, ResultEvent):
            if event.is_accepted:
                return self._scheduler.on_trial_result(self._state, trial_id, record.results[-1])
        elif isinstance(event, StartEvent):
            self._scheduler.on_trial_start(self._state, record.runs[-1])
        else:
            is_taken = record.is_withdrawn and event.status is TrialStatus.PAUSED
            status = TrialStatus.STOPPED if is_taken else event.status
            self._scheduler.on_trial_end(self._state, trial_id, status)
        return None

    def _compare(self, verdict: Verdict, event: ResultEvent) -> None:
        if verdict.decision != event.decision:
            self._warn_once(
                "verdict",
                f"The scheduler says {verdict.decision} to a report of trial {event.trial_id}, the journal says "
                f"{event.decision}: was the method changed? The journal wins.",
            )

    # --- live

    def begin(self, suggestion: Start | Resume, now: float, suggest_time: float = 0.0) -> Run:
        """Begin the run that a scheduler suggested.

        Raises
        ------
        IllegalTransitionError
            A trial was to be resumed that is not paused.
        """
        state = self._state
        if isinstance(suggestion, Start):
            trial_id, attempt = state.n_trials, 0
            config, source = suggestion.config, suggestion.from_checkpoint
        else:
            trial_id = suggestion.trial_id
            record = state.record(trial_id)
            if record.status is not TrialStatus.PAUSED:
                raise IllegalTransitionError(trial_id, record.status, TrialStatus.RUNNING)
            attempt = len(record.runs)
            config, source = record.trial.config, record.checkpoint
        event = StartEvent(
            t=now,
            wall=time.time(),
            trial_id=trial_id,
            attempt=attempt,
            config=config,
            until=suggestion.until,
            from_checkpoint=source,
            note=suggestion.note,
            suggest_time=suggest_time,
        )
        self._observe(event)
        self._journal.append(event)
        self._notify(event)
        return state.run(trial_id)

    def report(self, report: Reported, now: float) -> HandledReport | None:
        """Handle a report.

        Returns
        -------
        HandledReport or None
            None if it is of an older attempt or was delivered before: nothing happened.
        """
        record = self._state.current(report.trial_id, report.attempt)
        if record is None or report.seq <= record.seen.get(report.retry, 0):
            return None
        metrics, resource = self._numbers(report.metrics), report.resource
        if self._replicates is not None:
            metrics, resource = self._replicates.add(metrics, resource, record.results)
        decision, verdict = self._judge(record, resource, metrics, report.metrics)
        event = ResultEvent(
            t=now,
            wall=time.time(),
            trial_id=report.trial_id,
            attempt=report.attempt,
            retry=report.retry,
            seq=report.seq,
            resource=resource,
            metrics=metrics,
            decision=decision,
            reason=verdict.reason,
            cost=report.cost,
        )
        self._state.observe(event)
        result = None
        if decision is _CONTINUE:
            result = record.results[-1]
            if not record.is_outside:
                verdict = self._scheduler.on_trial_result(self._state, report.trial_id, result)
            if verdict.decision is not _GO_ON or verdict.reason:
                decision = ReportDecision(verdict.decision)
                event = msgspec.structs.replace(event, decision=decision, reason=verdict.reason)
        self._journal.append(event)
        self._state.settle(event)
        return HandledReport(decision, result, verdict)

    def _judge(
        self,
        record: TrialRecord,
        resource: int,
        metrics: Mapping[str, float],
        reported: Mapping[str, object],
    ) -> tuple[ReportDecision, Verdict]:
        """The decision on a report before the scheduler is asked; CONTINUE if it will be."""
        if record.pending is not None:
            return _LATE, record.pending
        if resource <= record.highest:
            return _REPEAT, CONTINUE
        if missing := missing_metric(self._metrics, metrics, reported):
            return _INVALID, Verdict(decision=Decision.STOP, reason=missing)
        return _CONTINUE, CONTINUE

    def end(self, end: Ended, now: float) -> TrialStatus | None:
        """Handle the end of a run.

        Returns
        -------
        TrialStatus or None
            The trial's new status; None if the run is not its newest one: nothing happened.
        """
        record = self._state.current(end.trial_id, end.attempt)
        if record is None:
            return None
        status, error = _judge_end(record, end, self._metrics[0].name)
        event = EndEvent(
            t=now,
            wall=time.time(),
            trial_id=end.trial_id,
            attempt=end.attempt,
            status=status,
            error=error,
            cost=end.cost,
            checkpoint=end.checkpoint,
        )
        self._observe(event)
        self._notify(event)
        self._journal.append(event)
        return status

    def drop(self, checkpoint: Checkpoint, now: float) -> None:
        """Give up a paused trial's checkpoint: if the trial is resumed, it begins from scratch."""
        self.forget(checkpoint)
        event = DropEvent(t=now, wall=time.time(), trial_id=checkpoint.trial_id, resource=checkpoint.resource)
        self._observe(event)
        self._journal.append(event)

    def forget(self, checkpoint: Checkpoint) -> None:
        """Take a deleted checkpoint off the list.

        A replay puts it there again: a process may die between its decision and the deletion.
        """
        self._checkpoints.pop(checkpoint, None)

    def taken(self, number: str) -> RequestEvent | None:
        """The event of a request that was journaled, in this session or an earlier one; None if it was not."""
        return self._taken.get(number)

    def request(self, filed: FiledRequest, now: float, refusal: str = "") -> RequestEvent:
        """Journal a request from outside with the action taken; History changes accordingly.

        Parameters
        ----------
        filed
            The request; a configuration to try is a full one.
        now
            Experiment time.
        refusal
            Why it is refused, as far as the caller knows; empty: the ledger decides.
        """
        request = filed.request
        refusal = refusal or self._refusal(request)
        arguments = arguments_of(request)
        remark = "" if isinstance(request, WriteNote) else request.reason
        event = RequestEvent(
            t=now,
            wall=time.time(),
            action=action_of(request),
            trial_id=getattr(request, "trial_id", None),
            arguments={"request": filed.id, **arguments},
            done="" if refusal else action_of(request),
            reason=refusal or remark,
        )
        self._journal.append(event)
        self._observe(event)
        self._state.settle(event)
        return event

    def _refusal(self, request: Request) -> str:
        """Why a request cannot be carried out; empty if it can."""
        if isinstance(request, TryConfig):
            return self._refusal_of_config(request.config)
        trial_id = getattr(request, "trial_id", None)
        if not isinstance(trial_id, int):
            return ""
        if trial_id >= self._state.n_trials:
            return f"There is no trial {trial_id}"
        record = self._state.record(trial_id)
        if isinstance(request, StopTrial | PauseTrial):
            if record.status is not TrialStatus.RUNNING:
                return f"Trial {trial_id} is {record.status}"
            if record.pending is not None:
                return f"The run of trial {trial_id} is ending already"
        if isinstance(request, ResumeTrial):
            if trial_id in self._state.wanted.values():
                return f"Trial {trial_id} waits for a free worker already"
            decision = record.pending.decision if record.pending is not None else None
            if not record.is_withdrawn or decision is not Decision.PAUSE:
                return f"Trial {trial_id} is {record.status}, but not paused by a request"
        return ""

    def _refusal_of_config(self, config: Config) -> str:
        if self._state.contains(config):
            return "A trial with this configuration has begun already"
        if config in self._state.wanted.values():
            return "This configuration waits for a free worker already"
        if self._scheduler.start_requested(self._state, config) is None:
            return "The method has no place for a configuration from outside"
        return ""

    def next_requested(self, *, may_start: bool) -> Start | Resume | None:
        """Return the oldest run that a user asked for and that can begin now; None if there is none.

        Parameters
        ----------
        may_start
            Whether new trials may begin; paused ones always may.
        """
        for number, wanted in self._state.wanted.items():
            if isinstance(wanted, int):
                suggestion = self._resumed(wanted)
            elif may_start and not self._state.contains(wanted):
                suggestion = self._scheduler.start_requested(self._state, wanted)
            else:
                continue
            if suggestion is not None:
                return replace(suggestion, note={**suggestion.note, REQUEST: number})
        return None

    def _resumed(self, trial_id: int) -> Resume | None:
        """The next run of a trial that a user resumes; None while its last one is ending."""
        record = self._state.record(trial_id)
        if record.status is not TrialStatus.PAUSED:
            return None
        found = None if record.is_outside else self._scheduler.resume_requested(self._state, trial_id)
        if found is None:
            return Resume(trial_id=trial_id, note={OUTSIDE: True})
        done = max(record.highest, record.checkpoint.resource if record.checkpoint else 0)
        is_there = found.until is not None and found.until <= done  # it reported once more before it ended
        return replace(found, until=done + 1) if is_there else found

    def phase(self, change: PhaseChange, now: float) -> None:
        """Journal that a run entered a phase; History does not change."""
        event = PhaseEvent(
            t=now,
            wall=time.time(),
            trial_id=change.trial_id,
            attempt=change.attempt,
            retry=change.retry,
            worker=change.worker,
            name=change.name,
            warm=change.warm,
        )
        self._observe(event)
        self._journal.append(event)

    def service(self, notice: ServiceNotice, now: float) -> None:
        """Journal an event of the service that runs trials; History does not change."""
        event = ServiceEvent(
            t=now, wall=time.time(), name=notice.name, trial_id=notice.trial_id, text=notice.text
        )
        self._observe(event)
        self._journal.append(event)

    def begin_session(self, now: float, pid: int, host: str) -> None:
        """Journal that a process begins its work on the experiment."""
        self._journal.append(SessionEvent(t=now, wall=time.time(), event="begin", pid=pid, host=host))

    def end_session(self, now: float, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """Journal that a process ends its work on the experiment."""
        facts = msgspec.to_builtins(summary)
        self._journal.append(
            SessionEvent(t=now, wall=time.time(), event="end", outcome=outcome, summary=facts)
        )

    # --- reports

    def _numbers(self, reported: Mapping[str, object]) -> Mapping[str, float]:
        """The report itself if all its values are floats, else its numbers as floats."""
        for value in reported.values():
            if type(value) is not float:
                return numbers_only(reported, self._warn_once)
        return cast("Mapping[str, float]", reported)

    def _warn_once(self, key: str, text: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            _log.warning("%s", text)


def _judge_end(record: TrialRecord, end: Ended, metric: str) -> tuple[TrialStatus, str]:
    """The status that an end leads to, and the error if it is FAILED; ``metric`` is what reports must have."""
    if record.invalid:
        return TrialStatus.FAILED, record.invalid
    if record.pending is not None:
        paused = record.pending.decision is Decision.PAUSE
        return (TrialStatus.PAUSED if paused else TrialStatus.STOPPED), ""
    if end.exit != 0:
        return TrialStatus.FAILED, end.error or f"The script ended with exit code {end.exit}"
    if not record.results:
        cause = (
            f"The script ended without a single report. It should call tunewright.report({metric}=...), "
            f'or print lines of the form [tune-metric]: {{"{metric}": 0.5}}.'
        )
        return TrialStatus.FAILED, f"{cause}\n{end.error}".rstrip()
    return TrialStatus.COMPLETED, ""


def numbers_only(reported: Mapping[str, object], warn_once: Callable[[str, str], None]) -> dict[str, float]:
    """The numbers of a report as floats.

    Parameters
    ----------
    reported
        Metrics as the script printed them.
    warn_once
        Called with (key, text) for each value that is not a number.
    """
    numbers: dict[str, float] = {}
    for name, value in reported.items():
        if type(value) is float:
            numbers[name] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[name] = float(value)
        else:
            warn_once(name, f"The reported {name!r} is {value!r:.60}, not a number: it is left out")
    return numbers


def missing_metric(
    metrics: Sequence[Metric], found: Mapping[str, float], reported: Mapping[str, object]
) -> str:
    """Name the tuned metric that a report lacks, with the nearest reported name; empty if it lacks none."""
    for metric in metrics:
        if metric.name in found:
            continue
        if metric.name in reported:
            value = reported[metric.name]
            return f"The script reported {metric.name!r} as {value!r:.60}, which is not a number"
        names = [name for name in reported if not name.startswith("st_")]
        return (
            f"The script's report lacks the tuned metric {metric.name!r}.{nearest_hint(metric.name, names)}"
        )
    return ""
