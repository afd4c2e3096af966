"""AskTell: a scheduler without a backend, for training loops of the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from time import perf_counter
from typing import cast, final

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.clock import Clock, WallClock
from tunewright.events import ReportDecision
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import Journal, MemoryJournal
from tunewright.ledger import Ledger
from tunewright.methods import MethodSpec, build_scheduler
from tunewright.methods import method as named_method
from tunewright.metric import Constraint, Metric, metrics_from
from tunewright.replicates import ReplicateMeans, Replicates, error_key
from tunewright.schedulers.objectives import pareto_results
from tunewright.space import SearchSpace, SpaceEntries
from tunewright.trial import Checkpoint, Decision, Ended, Reported, TrialStatus, Verdict
from tunewright.types import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run to train."""

    trial_id: int
    attempt: int
    config: Config
    resume_from: int
    """Resource after which the training continues; 0: from scratch."""
    until: int | None
    """Resource at which the run ends at the latest; None: at the training's end."""
    from_trial: int | None = None
    """Trial whose checkpoint to continue from, the same one or another; None: from scratch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best result so far."""

    trial_id: int
    value: float
    resource: int
    config: Config
    standard_error: float | None = None
    """Of the value, a mean over replicates; None without replicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoResult:
    """A result that no other result dominates."""

    trial_id: int
    values: Mapping[str, float]
    """By metric."""
    resource: int
    config: Config


@final
class AskTell:
    """Asks a method for configurations, and reports results to it.

    Parameters
    ----------
    space
        The search space; or a scheduler that was built before, whose metrics are given as ``metric``.
    metric
        Name of the tuned metric, or several names; or metrics. The first one decides :meth:`best`, all of them :meth:`pareto`.
    journal
        Receives all events; in memory by default. A journal with events is continued.
    clock
        Real time by default.
    goal
        ``"min"`` or ``"max"``: one for all metrics, or one for each. Required for a metric such as ``accuracy``.
    method
        A name, or ``method("ASHA", eta=4)``.
    max_resource
        Resource of a full run, such as its number of epochs, for methods that compare trials before their end.
    seed
        Of all random numbers.
    constraints
        Constraints on the results that :meth:`best` considers.
    replicates
        Seeds or folds that :meth:`tell` reports one by one; their mean is a trial's value, and only trials with all of them are
        considered. ``RuleStopping`` with ``Racing`` stops trials early.

    Raises
    ------
    SettingsError
        The space is none, a goal is missing, or the method does not fit.

    Examples
    --------
    ::

        tuning = AskTell({"lr": Float(1e-4, 1.0, log=True)}, metric="loss")
        for _ in range(20):
            asked = tuning.ask()
            tuning.complete(asked, train(asked.config))

        tuning = AskTell({"lr": Float(1e-4, 1.0, log=True)}, metric="loss", method="ASHA", max_resource=27)
        while (asked := tuning.ask()) is not None:
            for epoch in range(asked.resume_from + 1, 28):
                verdict = tuning.tell(asked, {"loss": train_one_epoch(asked.config)}, resource=epoch)
                if verdict.decision is not Decision.CONTINUE:
                    break          # the run is over: paused or stopped
            else:
                tuning.complete(asked)
    """

    def __init__(
        self,
        space: SpaceEntries | Scheduler,
        metric: str | Metric | Sequence[str] | Sequence[Metric],
        journal: Journal | None = None,
        clock: Clock | None = None,
        *,
        goal: str | Sequence[str] | None = None,
        method: str | MethodSpec = "auto",
        max_resource: int | None = None,
        seed: int = 0,
        constraints: Sequence[Constraint] = (),
        replicates: Replicates | None = None,
    ) -> None:
        metrics = _metrics(metric, goal)
        if not isinstance(space, Scheduler):
            space = _scheduler(space, metrics, method, max_resource, seed, replicates)
        self._scheduler = space
        self._clock = clock or WallClock()
        self._metrics = metrics
        whole = () if replicates is None else (replicates.constraint,)
        self._constraints = (*constraints, *whole)
        bounded = [bound.metric for bound in constraints]
        means = None if replicates is None else ReplicateMeans(replicates, [*metrics, *bounded])
        self._ledger = Ledger(space, journal or MemoryJournal(), metrics, means)
        self._has_replicates = replicates is not None
        self._seq: dict[int, int] = {}
        self._clock.resume_at(self._ledger.replay())
        for left in self._ledger.open_runs():
            self._seq[left.run.trial_id] = left.seen

    @property
    def history(self) -> History:
        """All events so far."""
        return self._ledger.history

    def ask(self) -> Asked | None:
        """Begin a run; None if the scheduler needs further results first."""
        before = perf_counter()
        suggestion = self._scheduler.suggest(self.history)
        if suggestion is None:
            return None
        run = self._ledger.begin(suggestion, self._clock.now(), perf_counter() - before)
        self._seq[run.trial_id] = 0
        source = run.from_checkpoint
        return Asked(
            trial_id=run.trial_id,
            attempt=run.attempt,
            config=self.history.trial(run.trial_id).config,
            resume_from=run.resume_from,
            until=run.until,
            from_trial=None if source is None else source.trial_id,
        )

    def tell(
        self, asked: Asked, metrics: Mapping[str, object] | float, resource: int | None = None
    ) -> Verdict:
        """Report a result of a run.

        Parameters
        ----------
        asked
            The run, as returned by :meth:`ask`.
        metrics
            All tuned metrics, and further values to record; or the value of the only tuned metric.
        resource
            Resource of the result, such as the epoch; by default one more than at the last report.

        Returns
        -------
        Verdict
            After PAUSE or STOP the run is over; a paused trial may be asked for again.

        Raises
        ------
        SettingsError
            The run is over already, the metrics are of another type, or a tuned metric is missing.
        """
        self._require_open(asked)
        names = [metric.name for metric in self._metrics]
        if isinstance(metrics, Real) and len(names) == 1:
            metrics = {names[0]: float(metrics)}
        if not isinstance(metrics, Mapping):
            shown = ", ".join(f"{name!r}: 0.5" for name in names)
            raise SettingsError(
                f"tell takes the metrics of a run, as in tell(asked, {{{shown}}}), not {metrics!r}"
            )
        self._seq[asked.trial_id] += 1
        seq = self._seq[asked.trial_id]
        event = Reported(
            trial_id=asked.trial_id,
            attempt=asked.attempt,
            seq=seq,
            resource=asked.resume_from + seq if resource is None else resource,
            metrics=metrics,
        )
        handled = self._ledger.report(event, self._clock.now())
        if handled is None:
            return Verdict(decision=Decision.CONTINUE)
        if handled.verdict.decision is not Decision.CONTINUE:
            self._end(asked, checkpoint_at=event.resource)
        if handled.decision is ReportDecision.INVALID:
            raise SettingsError(handled.verdict.reason)
        return handled.verdict

    def complete(
        self,
        asked: Asked,
        metrics: Mapping[str, object] | float | None = None,
        resource: int | None = None,
    ) -> TrialStatus:
        """End a run whose training has completed.

        Parameters
        ----------
        asked
            The run, as returned by :meth:`ask`.
        metrics, resource
            Its last result, as :meth:`tell` takes it; None: all results were reported.

        Raises
        ------
        SettingsError
            As of :meth:`tell`.
        """
        if metrics is not None and self.tell(asked, metrics, resource).decision is not Decision.CONTINUE:
            return self.history.status(asked.trial_id)  # the verdict has ended the run
        self._require_open(asked)
        return self._end(asked)

    def fail(self, asked: Asked, error: str) -> TrialStatus:
        """End a run whose training has failed, with its error."""
        self._require_open(asked)
        return self._end(asked, error=error or "The evaluation failed")

    def best(self) -> Best | None:
        """The best feasible result of the first metric; None before the first finite one."""
        metric = self._metrics[0]
        kept = (
            pair
            for pair in self.history.results_since(0)
            if all(constraint.is_met(pair[1].metrics) for constraint in self._constraints)
        )
        found = min(kept, key=lambda pair: metric.loss_of(pair[1].metrics), default=None)
        if found is None or metric.loss_of(found[1].metrics) == float("inf"):
            return None
        trial_id, result = found
        config = self.history.trial(trial_id).config
        return Best(
            trial_id=trial_id,
            value=result.metrics[metric.name],
            resource=result.resource,
            config=config,
            standard_error=result.metrics[error_key(metric.name)] if self._has_replicates else None,
        )

    def pareto(self) -> list[ParetoResult]:
        """The feasible results that no other dominates, best in the first metric first; with one metric the best alone."""
        return [
            ParetoResult(
                trial_id=trial_id,
                values={metric.name: result.metrics[metric.name] for metric in self._metrics},
                resource=result.resource,
                config=self.history.trial(trial_id).config,
            )
            for trial_id, result in pareto_results(self.history, self._metrics, self._constraints)
        ]

    def _require_open(self, asked: Asked) -> None:
        run_is_open = (
            self.history.status(asked.trial_id) is TrialStatus.RUNNING
            and self.history.run(asked.trial_id).attempt == asked.attempt
        )
        if not run_is_open:
            raise SettingsError(
                f"Run {asked.attempt} of trial {asked.trial_id} is over: ask for the next one"
            )

    def _end(self, asked: Asked, *, checkpoint_at: int | None = None, error: str = "") -> TrialStatus:
        checkpoint = checkpoint_at and Checkpoint(trial_id=asked.trial_id, resource=checkpoint_at)
        event = Ended(
            trial_id=asked.trial_id,
            attempt=asked.attempt,
            exit=1 if error else 0,
            error=error,
            checkpoint=checkpoint or None,
        )
        self._ledger.end(event, self._clock.now())
        return self.history.status(asked.trial_id)


def _metrics(
    given: str | Metric | Sequence[str] | Sequence[Metric], goal: str | Sequence[str] | None
) -> tuple[Metric, ...]:
    every = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    made = [one for one in every if isinstance(one, Metric)]
    names = [one for one in every if isinstance(one, str)]
    if not every or len(every) not in {len(made), len(names)}:
        raise SettingsError(f"A metric is a name or a Metric, and there is at least one; not {given!r}")
    if made and goal is not None:
        raise SettingsError("A Metric has its own goal: give it there")
    return tuple(made) or metrics_from(names, goal)


def _scheduler(
    space: object,
    metrics: tuple[Metric, ...],
    method: str | MethodSpec,
    max_resource: int | None,
    seed: int,
    replicates: Replicates | None,
) -> Scheduler:
    if not isinstance(space, SearchSpace | Mapping):
        raise SettingsError(
            f"AskTell takes a search space first, as in AskTell({{'lr': Float(0.01, 1.0)}}, metric='loss'), not {space!r}"
        )
    benchmark = RealBenchmarkDefinition(
        name="asktell",
        script="none",
        space=space if isinstance(space, SearchSpace) else SearchSpace(cast("SpaceEntries", space)),
        metrics=metrics,
        max_resource=max_resource,
        replicates=replicates,
    )
    chosen = named_method(method) if isinstance(method, str) else method
    return build_scheduler(chosen, benchmark, seed, {})
