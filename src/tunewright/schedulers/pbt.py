"""PBT: population based training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler, Searcher
from tunewright.metric import Metric
from tunewright.schedulers.brackets import verdict_at
from tunewright.schedulers.rungs import whole_number, with_max_resource, with_searchers_part
from tunewright.seeding import Stream, generator
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.space.domain import Domain
from tunewright.trial import Checkpoint, Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config, ConfigValue, Json

_FACTORS: Final = (0.8, 1.2)


def perturbed(
    space: SearchSpace, config: Config, resample_probability: float, rng: np.random.Generator
) -> dict[str, ConfigValue]:
    """Change every hyperparameter a little, or draw it anew (Jaderberg et al. 2017, section 4.1.1: "explore").

    A number is multiplied by 0.8 or 1.2 and stays in its range; if that would not change a whole number or a
    step, it moves to its neighbour. A value of a list in an order moves to a neighbour, a category stays. Instead, each is
    drawn anew with the given probability. What was not active and becomes so begins at its default.

    Parameters
    ----------
    space
        Defines legal values.
    config
        The configuration to start from.
    resample_probability
        In [0, 1].
    rng
        Draws.
    """
    config = space.filled(config)
    changed = dict(config)
    for name, domain in space.domains.items():
        if rng.random() < resample_probability:
            changed[name] = domain.quantile(float(rng.random()))
        else:
            changed[name] = _step(domain, config[name], is_up=bool(rng.random() < 0.5))
    return space.active(changed)


def _step(domain: Domain, value: ConfigValue, *, is_up: bool) -> ConfigValue:
    if isinstance(domain, Categorical):
        return value
    if isinstance(domain, Float | Integer):
        number = float(value)
        scaled = min(max(number * _FACTORS[is_up], domain.low), domain.high)
        nearest = domain.decode(domain.encode(scaled))
        if domain.size is None or nearest != value:
            return nearest
        size = domain.step or 1
        away = min(max(number + (size if is_up else -size), domain.low), domain.high)
        return domain.decode(domain.encode(away))
    values = [domain.at(index) for index in range(domain.size or 0)]
    index = values.index(value) + (1 if is_up else -1)
    return values[min(max(index, 0), len(values) - 1)]


def with_kept(space: SearchSpace, changed: Config, parent: Config, names: Sequence[str]) -> Config:
    """Return a changed configuration with the parent's values of some hyperparameters; names that the parent lacks are passed over."""
    kept = {name: parent[name] for name in names if name in parent}
    return space.active(space.filled(changed) | kept) if kept else changed


_DRAWS: Final = 64
"""Perturbations that are made so that one is a new configuration."""


class Explorer(ABC):
    """Makes the configuration of a new member from the checkpoint that it begins with."""

    @abstractmethod
    def explored(self, history: History, source: Checkpoint, rng: np.random.Generator) -> Config | None:
        """A new configuration; None if none was found. A function of the arguments."""


@final
class Perturbation(Explorer):
    """PBT's explore step: :func:`perturbed`, until the configuration is new and keeps the relations of the space.

    Parameters
    ----------
    space
        Says how configurations may be perturbed.
    resample_probability
        In [0, 1].
    kept
        Hyperparameters that stay as they are.
    """

    def __init__(self, space: SearchSpace, resample_probability: float, kept: Sequence[str] = ()) -> None:
        self._space = space
        self._resample_probability = resample_probability
        self._kept = kept

    @override
    def explored(self, history: History, source: Checkpoint, rng: np.random.Generator) -> Config | None:
        config = history.trial(source.trial_id).config
        for _ in range(_DRAWS):
            changed = perturbed(self._space, config, self._resample_probability, rng)
            changed = with_kept(self._space, changed, config, self._kept)
            if not history.contains(changed) and self._space.allows(changed):
                return changed
        return None


@dataclass(frozen=True, kw_only=True)
class PopulationSettings:
    """A population, for a full run of any length; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    population_size: int = 4
    """Members, >= 2."""
    perturbation_interval: int | None = None
    """Members pause after so many units of resource, >= 1; None: a tenth of a full run, at least 1."""
    quantile_fraction: float = 0.25
    """The part of the population that is replaced, and the part that replaces it, above 0 and at most 0.5."""
    resample_probability: float = 0.25
    """How often a hyperparameter of a new member is drawn anew instead of perturbed, in [0, 1]."""
    kept: tuple[str, ...] = ()
    """Hyperparameters that a checkpoint depends on, such as the size of a network: a new member has its parent's.
    Names that the space lacks are passed over."""
    compare: Literal["same_resource", "newest"] = "same_resource"
    """Which results of the others a member is compared with: those at its own resource, or their newest ones."""

    def __post_init__(self) -> None:
        if self.population_size < 2:
            raise SettingsError(f"population_size={self.population_size} must be >= 2")
        if self.perturbation_interval is not None and self.perturbation_interval < 1:
            raise SettingsError(f"perturbation_interval={self.perturbation_interval} must be >= 1")
        if not 0.0 < self.quantile_fraction <= 0.5:
            raise SettingsError(f"quantile_fraction={self.quantile_fraction} must be above 0 and at most 0.5")
        if not 0.0 <= self.resample_probability <= 1.0:
            raise SettingsError(f"resample_probability={self.resample_probability} must be in [0, 1]")

    def within(self, max_resource: int) -> PBTSettings:
        """Return the settings of a scheduler whose full runs are ``max_resource`` long.

        Raises
        ------
        SettingsError
            They do not fit the benchmark.
        """
        return with_max_resource(PBTSettings, self, max_resource)


@final
@dataclass(frozen=True, kw_only=True)
class PBTSettings(PopulationSettings):
    """How a population trains; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    max_resource: int
    """The resource of a full run, >= 2, above ``perturbation_interval``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interval >= self.max_resource:
            raise SettingsError(
                f"perturbation_interval={self.interval} must be >= 1 and below max_resource={self.max_resource}"
            )

    @property
    def interval(self) -> int:
        """Units of resource after which members pause."""
        given = self.perturbation_interval
        return max(1, self.max_resource // 10) if given is None else given


@dataclass(slots=True)
class _Population:
    members: dict[int, int] = field(default_factory=dict[int, int])
    """Place -> the trial that holds it; also trials that are completed."""
    due: set[int] = field(default_factory=set[int])
    """Places whose trial is paused, or failed."""


@final
class PBT(Scheduler):
    """Population based training (Jaderberg et al. 2017, Algorithm 1), with truncation selection.

    Every member pauses after each interval. When it is its turn to go on and it is in the bottom quantile of its
    population, it is given up, and a new trial takes its place (exploit): it begins with the checkpoint of a trial that
    is drawn from the top quantile, and with the configuration of that one, perturbed (explore). All other members are
    resumed. No member waits for another: it is compared with the results that the others had at its own resource. A copied
    member counts before its beginning with the results of its source. A member that failed, or that a user has paused or
    stopped, is replaced in the same way, or by a random one if no member can be copied, so that no place is lost. A configuration
    of a user is refused: a member is more than its configuration.

    Of the members that are due, the one with the least resource goes on first, so that a population larger than the
    number of workers trains evenly. A worker for which a population has nothing to do opens the next population, which
    begins with random members and is compared with itself alone.

    A trial without a checkpoint, or one at the end of its training, is no source; a non-finite loss is in the bottom
    quantile.

    Parameters
    ----------
    searcher
        Chooses the configurations of first members.
    space
        Says how configurations may be perturbed.
    settings
        Sizes and probabilities.
    metric
        The metric to compare.
    seed
        The experiment's seed, >= 0.
    explorer
        Chooses the configurations of members that begin with another one's checkpoint; None: perturbation.
    """

    def __init__(
        self,
        searcher: Searcher,
        space: SearchSpace,
        settings: PBTSettings,
        *,
        metric: Metric,
        seed: int,
        explorer: Explorer | None = None,
    ) -> None:
        self._searcher = searcher
        self._explorer = explorer or Perturbation(space, settings.resample_probability, settings.kept)
        self._settings = settings
        self._metric = metric
        self._seed = seed
        self._populations: list[_Population] = [_Population()]
        self._held: dict[int, None] = {}
        self._sources: dict[int, Checkpoint] = {}

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        size = self._settings.population_size
        for number, population in enumerate(self._populations):
            if len(population.members) < size:
                start = self._start_random(history, number, len(population.members))
                if start is not None:
                    return start
            for place in sorted(population.due, key=lambda p: (_done(history, population.members[p]), p)):
                found = self._go_on(history, number, place)
                if found is not None:
                    return found
        is_full = len(self._populations[-1].members) == size
        return self._start_random(history, len(self._populations), 0) if is_full else None

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """A trial takes its place, or goes on in it."""
        note = history.note(run.trial_id)
        number, place = whole_number(note, "population"), whole_number(note, "place")
        if number == len(self._populations):
            self._populations.append(_Population())
        population = self._populations[number]
        population.due.discard(place)
        before = population.members.get(place)
        if before is not None:
            self._held.pop(before, None)
        population.members[place] = run.trial_id
        if run.attempt == 0 and run.from_checkpoint is not None:
            self._sources[run.trial_id] = run.from_checkpoint

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """Pause at the end of an interval; stop what goes beyond the maximum."""
        return verdict_at(result.resource, history.until(trial_id), self._settings.max_resource)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """A paused, failed or withdrawn member is due."""
        note = history.note(trial_id)
        population = self._populations[whole_number(note, "population")]
        if status in {TrialStatus.PAUSED, TrialStatus.FAILED} or history.is_withdrawn(trial_id):
            population.due.add(whole_number(note, "place"))
        if status is TrialStatus.PAUSED:
            self._held[trial_id] = None

    @override
    def resumable(self, history: History) -> Collection[int]:
        return self._held.keys()

    def _go_on(self, history: History, number: int, place: int) -> Start | Resume | None:
        """Exploit, or else resume; None if a lost member cannot be replaced."""
        trial_id = self._populations[number].members[place]
        done = _done(history, trial_id)
        top, bottom = self.quantiles(
            history, number, done if self._settings.compare == "same_resource" else None
        )
        is_lost = _is_lost(history, trial_id)
        if is_lost or trial_id in bottom:
            clone = self._clone(history, number, place, top)
            if clone is not None:
                return clone
        if is_lost:
            return self._start_random(history, number, place)
        note = {"population": number, "place": place}
        return Resume(trial_id=trial_id, until=self._until(done), note=note)

    def quantiles(
        self, history: History, number: int, resource: int | None = None
    ) -> tuple[Sequence[int], Sequence[int]]:
        """The trials in the top and in the bottom quantile of a population, which are disjoint.

        Parameters
        ----------
        history
            The experiment.
        number
            The population's number, >= 0.
        resource
            Where members are compared; None: by their newest results.
        """
        losses = [
            (self._loss_at(history, trial_id, resource), trial_id)
            for trial_id in self._populations[number].members.values()
            if not _is_lost(history, trial_id) and history.last(trial_id) is not None
        ]
        n = min(math.ceil(len(losses) * self._settings.quantile_fraction), len(losses) // 2)
        ranked = sorted(losses)
        top = [trial_id for loss, trial_id in ranked[:n] if math.isfinite(loss)]
        bottom = [trial_id for loss, trial_id in ranked if math.isinf(loss)]
        return top, [*bottom, *(trial_id for _, trial_id in ranked[len(ranked) - n :])]

    def _loss_at(self, history: History, trial_id: int, resource: int | None) -> float:
        """The loss of a trial with results, at its newest result up to a resource; that of its newest one if it has none or has diverged."""
        results = history.results(trial_id)
        newest = self._metric.loss_of(results[-1].metrics)
        if resource is None or not math.isfinite(newest):
            return newest
        while True:
            for result in reversed(history.results(trial_id)):
                if result.resource <= resource:
                    return self._metric.loss_of(result.metrics)
            source = self._sources.get(trial_id)
            if source is None:
                return newest
            trial_id, resource = source.trial_id, min(resource, source.resource)

    def _clone(self, history: History, number: int, place: int, top: Sequence[int]) -> Start | None:
        """A new member from the checkpoint of one of the top quantile; None if none can be made."""
        rng = generator(self._seed, Stream.EVOLUTION, history.n_runs)
        sources = [source for trial_id in top if (source := history.checkpoint(trial_id)) is not None]
        sources = [source for source in sources if source.resource < self._settings.max_resource]
        if not sources:
            return None
        source = sources[int(rng.integers(len(sources)))]
        config = self._explorer.explored(history, source, rng)
        if config is None:
            return None
        note: dict[str, Json] = {"population": number, "place": place, "parent": source.trial_id}
        until = self._until(source.resource)
        return Start(config=config, until=until, note=note, from_checkpoint=source)

    def _start_random(self, history: History, number: int, place: int) -> Start | None:
        until = self._until(0)
        suggestion = self._searcher.suggest(history, until=until)
        if suggestion is None:
            return None
        note = with_searchers_part({"population": number, "place": place}, suggestion.note)
        return Start(config=suggestion.config, until=until, note=note)

    def _until(self, done: int) -> int | None:
        """The end of the interval that comes after a resource; None: the end of the training."""
        interval = self._settings.interval
        until = (done // interval + 1) * interval
        return until if until < self._settings.max_resource else None


def _is_lost(history: History, trial_id: int) -> bool:
    """Whether a member failed, or a user has paused or stopped it."""
    return history.status(trial_id) is TrialStatus.FAILED or history.is_withdrawn(trial_id)


def _done(history: History, trial_id: int) -> int:
    last = history.last(trial_id)
    return 0 if last is None else last.resource
