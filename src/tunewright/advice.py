"""Advice on a stored experiment: what a user may do next, each with its command."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from tunewright.formatting import ProgressFacts, duration, listed, number, plural, unfinished_text
from tunewright.history import History, Incumbent, ranked_trials
from tunewright.space import Categorical, Domain
from tunewright.trial import ExperimentStatus, TrialStatus
from tunewright.types import ConfigValue

_CHANCE: Final = 0.02
"""Advice on a space is given if uniformly drawn configurations would lead to it less often than this."""
_MOST: Final = 10
"""Number of the best trials whose configurations are looked at, at most; they are at most a quarter of all."""
_LEAST: Final = 5
_EDGE: Final = 0.1
"""Part of a range that counts as its end."""
_LATE: Final = 0.75
"""Part of an experiment after which a best result counts as late."""
_EARLY: Final = 0.5


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """One piece of advice."""

    text: str
    """The reason, in one sentence without a full stop."""
    command: str = ""
    """Command to run; empty if there is none."""


def next_steps(facts: ProgressFacts, history: History, status: ExperimentStatus) -> list[NextStep]:
    """List what a user may do after an experiment, the most urgent first; empty while it runs.

    Parameters
    ----------
    facts
        Of the experiment.
    history
        All its trials.
    status
        Of the experiment.
    """
    if status.is_running:
        return []
    steps = [*_continue(facts, status), *_failures(facts, history)]
    if facts.others or not history.n_results:
        return steps
    best = Incumbent(facts.metric, facts.constraints)
    best.update(history)
    return [
        *steps,
        *_train_to_the_end(facts, history, best),
        *_space(facts, history),
        *_time(facts, history, best),
    ]


def _continue(facts: ProgressFacts, status: ExperimentStatus) -> list[NextStep]:
    if status.is_finished:
        return []
    return [
        NextStep(text=f"The experiment is not finished ({status})", command=f"tunewright resume {facts.name}")
    ]


def _failures(facts: ProgressFacts, history: History) -> list[NextStep]:
    failed = sorted(history.ids(TrialStatus.FAILED))
    if not failed:
        return []
    text = f"{len(failed)} of {plural(history.n_trials, 'trial')} failed; the output of the first"
    return [NextStep(text=text, command=f"tunewright logs {facts.name} {failed[0]}")]


def _train_to_the_end(facts: ProgressFacts, history: History, best: Incumbent) -> list[NextStep]:
    text = unfinished_text(facts, history)
    if best.trial_id is None:
        return []
    if not text and history.status(best.trial_id) in {TrialStatus.PAUSED, TrialStatus.STOPPED}:
        last, full = history.last(best.trial_id), facts.max_resource
        if last is not None and full is not None and last.resource < full:
            text = f"The best trial ended at {facts.resource} {last.resource} of {full}"
    return [NextStep(text=text, command=f"tunewright best {facts.name} --retrain")] if text else []


def _time(facts: ProgressFacts, history: History, best: Incumbent) -> list[NextStep]:
    """More time if the best result came late; that more time changes little if it came early."""
    results = history.results_since(0)
    if best.result is None or history.n_trials < _LEAST:
        return []
    found, end = best.result.time, results[-1][1].time
    if found >= _LATE * end:
        command = _more(facts)
        text = f"The best result came late, after {duration(found)} of {duration(end)}: more time may find a better one"
        return [NextStep(text=text, command=command)]
    if found <= _EARLY * end:
        text = f"No better result in the last {duration(end - found)} of {duration(end)}: more time alone is not likely to help"
        return [NextStep(text=text)]
    return []


def _more(facts: ProgressFacts) -> str:
    """Command that continues an experiment with its limits doubled."""
    limits = {
        "max_wallclock_time": facts.max_time,
        "max_num_trials": facts.max_trials,
        "max_num_evaluations": facts.max_results,
        "max_cost": facts.max_cost,
    }
    flags = [f"--{name} {2 * limit:g}" for name, limit in limits.items() if limit is not None]
    return " ".join([f"tunewright resume {facts.name}", *flags])


def _space(facts: ProgressFacts, history: History) -> list[NextStep]:
    """Wider ranges if the best values lie at a bound, narrower ones if they lie close together."""
    ranked = ranked_trials(history, facts.metric, facts.constraints)
    n_best = min(_MOST, len(ranked) // 4)
    if n_best < _LEAST:
        return []
    configs = [history.trial(trial_id).config for trial_id, _ in ranked[:n_best]]
    wider: list[str] = []
    narrower: list[str] = []
    for name, domain in facts.space.domains.items():
        values = [config[name] for config in configs if name in config]
        if len(values) < n_best:
            continue  # it is not active in all of them
        if isinstance(domain, Categorical):
            narrower += [f"{name} {values[0]}"] if _is_one_category(domain, values) else []
            continue
        places = [domain.encode(value)[0] for value in values]
        if bound := _bound(domain, places):
            wider.append(f"{name} ({bound} end {_text(domain.quantile(0.0 if bound == 'lower' else 1.0))})")
        elif _spread_chance(domain, places) < _CHANCE:
            low, high = _around(domain, places)
            narrower.append(f"{name} {_text(low)} to {_text(high)}")
    steps: list[NextStep] = []
    if wider:
        text = f"Several of the best {n_best} trials lie at the end of a range: try a wider one for {listed(wider)}"
        steps.append(NextStep(text=text))
    if narrower:
        text = f"The best {n_best} of {plural(history.n_trials, 'trial')} lie in a small part of the space: try a narrower one with {listed(narrower)}"
        steps.append(NextStep(text=text))
    return steps


def _is_one_category(domain: Categorical, values: Sequence[ConfigValue]) -> bool:
    """Whether all values are the same one, which is not likely by chance."""
    return len(set(values)) == 1 and len(domain.values) ** (1 - len(values)) < _CHANCE


def _bound(domain: Domain, places: Sequence[float]) -> str:
    """``lower`` or ``upper`` if the best value, and more of the others than by chance, lie at that end; else empty."""
    share = max(_EDGE, 0.0 if domain.size is None else 1.0 / domain.size)
    for bound, distances in (("lower", places), ("upper", [1.0 - place for place in places])):
        n_near = sum(distance <= share for distance in distances)
        if distances[0] <= share and 2.0 * _binomial_tail(len(places), n_near, share) < _CHANCE:
            return bound
    return ""


def _binomial_tail(n: int, least: int, share: float) -> float:
    """Probability of at least ``least`` successes in ``n`` draws."""
    return math.fsum(math.comb(n, k) * share**k * (1.0 - share) ** (n - k) for k in range(least, n + 1))


def _spread_chance(domain: Domain, places: Sequence[float]) -> float:
    """Probability that uniform draws lie as close together: the distribution function of their range.

    Source: David and Nagaraja, Order Statistics, 3rd edition (2003), section 2.3: ``n w^(n-1) - (n-1) w^n``. A value of a
    finite domain stands for its part of the range.
    """
    n = len(places)
    width = min(1.0, max(places) - min(places) + (0.0 if domain.size is None else 1.0 / domain.size))
    return n * width ** (n - 1) - (n - 1) * width**n


def _around(domain: Domain, places: Sequence[float]) -> tuple[ConfigValue, ConfigValue]:
    """A range that holds all values, with half of their spread at either side."""
    margin = (max(places) - min(places)) / 2.0 or _EDGE / 2.0
    return domain.quantile(max(0.0, min(places) - margin)), domain.quantile(min(1.0, max(places) + margin))


def _text(value: ConfigValue) -> str:
    return number(value) if isinstance(value, float) else str(value)
