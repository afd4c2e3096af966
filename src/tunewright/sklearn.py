"""TunedSearchCV: scikit-learn's search with cross-validation, whose candidates a method of this package proposes and stops."""

from __future__ import annotations

import os
import sys
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from numbers import Integral
from time import perf_counter
from typing import Any, Final, cast, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tunewright.analysis.extras import need
from tunewright.asktell import Asked, AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.methods import MethodSpec, build_scheduler
from tunewright.methods import method as named_method
from tunewright.methods.automatic import NAME as AUTO
from tunewright.methods.automatic import choose
from tunewright.metric import Goal, Metric
from tunewright.replicates import Replicates
from tunewright.schedulers.racing import Racing
from tunewright.schedulers.stopping_rules import RuleStopping
from tunewright.space import Categorical, Domain, Float, Integer, Ordinal, SearchSpace
from tunewright.trial import Decision, Resume
from tunewright.types import Config, ConfigValue

_search: Any = need("sklearn.model_selection._search", "TunedSearchCV", extra="sklearn")
_utils: Any = need("sklearn.utils", "TunedSearchCV", extra="sklearn")
_multiclass: Any = need("sklearn.utils.multiclass", "TunedSearchCV", extra="sklearn")

N_SAMPLES: Final = "n_samples"
FOLDS: Final = "folds"
_METRIC: Final = Metric("score", Goal.MAXIMIZE)
_GROUP: Final = "group"
"""Hyperparameter: which dict of a list of ``param_distributions``."""
_ABSENT: Final = object()
_PER_CLASS: Final = 2
"""Samples of each class in the smallest training set."""
_TAIL: Final = 0.005
"""Quantiles at which an unbounded distribution is cut off, at each end."""
_N_LEVELS: Final = 9
"""Parts of the training set, unless ``max_resource`` is given: rungs of a reduction factor of 3 are 1/9, 1/3 and 1."""

Indices = NDArray[np.intp]
Split = tuple[Indices, Indices]
"""Indices of training and test samples."""


@final
class TunedSearchCV(_search.BaseSearchCV):
    """A drop-in replacement of `sklearn.model_selection.RandomizedSearchCV`, with methods of this package.

    Candidates learn from earlier ones, and with a ``resource`` poor ones end early. Candidates are evaluated in this process
    or in joblib's workers.

    Parameters
    ----------
    estimator
        The estimator to tune.
    param_distributions
        By parameter: a list of values, a distribution with ``ppf`` (as `scipy.stats` has), or a domain such as ``Float(1e-3, 1,
        log=True)``. Of a list of such dicts each candidate takes one.
    n_iter
        Number of candidates.
    method
        Name of a method, or ``method("ASHA", eta=4)``.
    resource
        The part of the work that a poor candidate is spared. ``"n_samples"``: candidates begin with a part of each training set.
        ``"folds"``: a candidate ends if its first folds are worse than those of the best one. A parameter such as ``"n_estimators"`` or
        ``"max_iter"``: candidates begin with few iterations; with ``warm_start=True`` they continue, otherwise they begin again. None: all
        candidates are evaluated in full.
    max_resource
        Resource of a full evaluation. Of ``"n_samples"`` the number of parts, default 9; of a parameter its value, default that of
        the estimator.
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, random_state, error_score, return_train_score
        As of `RandomizedSearchCV`. Of several scores, that of ``refit`` is tuned, or the first.

    Attributes
    ----------
    cv_results_, best_estimator_, best_index_, best_params_, best_score_, scorer_, n_splits_, refit_time_, multimetric_
        As of `RandomizedSearchCV`. ``cv_results_`` has a row per candidate, evaluated as far as ``n_resources`` says. The best candidate
        is the best one of those with the largest resource; others rank behind them.
    """

    _parameter_constraints: Mapping[str, Any] = {
        **_search.BaseSearchCV._parameter_constraints,
        "param_distributions": [dict, list, Mapping],
        "n_iter": [_utils._param_validation.Interval(Integral, 1, None, closed="left")],
        "method": [str, MethodSpec],
        "resource": [str, None],
        "max_resource": [_utils._param_validation.Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        n_iter: int = 10,
        method: str | MethodSpec = "auto",
        resource: str | None = None,
        max_resource: int | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[..., int] = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: float | str = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - scikit-learn has no types
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.method = method
        self.resource = resource
        self.max_resource = max_resource
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> TunedSearchCV:  # noqa: N803 - scikit-learn's name
        """Search, and fit the best candidate to all data.

        Parameters
        ----------
        X
            Array of shape (n_samples, n_features).
        y
            Array of shape (n_samples,) or (n_samples, n_outputs); None: unsupervised.
        **params
            Passed to the estimator's ``fit``, the scorer and the splitter, as by `RandomizedSearchCV`.

        Raises
        ------
        SettingsError
            ``resource``, ``max_resource`` or ``param_distributions`` cannot work.
        ValueError
            All fits failed.
        """
        self._validate_params()
        scorers, refit_metric = self._get_scorers()
        data, y = _utils.indexable(X, y)
        params = _search._check_method_params(data, params=params)
        routed = self._get_routed_params_for_fit(params)
        is_classifier = _search.is_classifier(self.estimator)
        cv = _search.check_cv(self.cv, y, classifier=is_classifier)
        splits = list(cv.split(data, y, **routed.splitter.split))
        if not splits:
            raise ValueError("No fits were performed: cv has no splits")
        self.n_splits_ = len(splits)
        seed = int(_utils.check_random_state(self.random_state).randint(2**31 - 1))
        fidelity = _fidelity(
            self.resource, self.max_resource, self.estimator, splits, y if is_classifier else None, seed
        )
        evaluate = partial(
            _search._fit_and_score,
            X=data,
            y=y,
            scorer=scorers,
            fit_params=routed.estimator.fit,
            score_params=routed.scorer.score,
            return_train_score=self.return_train_score,
            return_times=True,
            return_estimator=fidelity.continues,
            error_score=self.error_score,
            verbose=self.verbose,
        )
        parallel = _search.Parallel(n_jobs=self.n_jobs, pre_dispatch=self.pre_dispatch)
        with parallel:
            candidates = self._tune(fidelity, evaluate, parallel, seed)
        outs = [out for candidate in candidates for out in candidate.outs]
        _search._warn_or_raise_about_fit_failures(outs, self.error_score)
        if callable(self.scoring):
            _search._insert_error_scores(outs, self.error_score)
        self.multimetric_ = isinstance(outs[0]["test_scores"], dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(outs[0]["test_scores"])
            refit_metric = self.refit
        results = _results(candidates, fidelity, has_train_scores=self.return_train_score)
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]
        if self.refit:
            self._refit(data, y, routed.estimator.fit)
        self.scorer_ = (
            getattr(scorers, "_scorers", scorers)
            if isinstance(scorers, _search._MultimetricScorer)
            else scorers
        )
        self.cv_results_ = results
        return self

    def _refit(self, data: Any, y: Any, fit_params: Mapping[str, Any]) -> None:
        """Fit the best candidate to all data."""
        begin = perf_counter()
        self.best_estimator_ = _search.clone(
            _search.clone(self.estimator).set_params(**_search.clone(self.best_params_, safe=False))
        )
        self.best_estimator_.fit(data, **({} if y is None else {"y": y}), **fit_params)
        self.refit_time_ = perf_counter() - begin
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_

    def _tune(
        self, fidelity: _Fidelity, evaluate: Callable[..., dict[str, Any]], parallel: Any, seed: int
    ) -> list[_Candidate]:
        """Evaluate as many candidates at a time as there are jobs, and report their scores, until none is asked for."""
        space = _Space(self.param_distributions)
        n_workers = _n_jobs(self.n_jobs)
        benchmark = RealBenchmarkDefinition(
            name="TunedSearchCV",
            script="none",
            space=space.space,
            metrics=(_METRIC,),
            n_workers=n_workers,
            max_resource=None if fidelity.replicates or fidelity.max_resource == 1 else fidelity.max_resource,
            replicates=fidelity.replicates,
        )
        method = named_method(self.method) if isinstance(self.method, str) else self.method
        if method == MethodSpec(name=AUTO):
            method = choose(benchmark, self.n_iter, has_replicates=fidelity.replicates is not None).spec
        scheduler = build_scheduler(method, benchmark, seed, {})
        if fidelity.replicates is not None:
            scheduler = RuleStopping(scheduler, Racing(fidelity.replicates, metric=_METRIC))
        tuning = AskTell(scheduler, _METRIC, replicates=fidelity.replicates)
        candidates: dict[int, _Candidate] = {}
        running: dict[int, Asked] = {}

        def ask() -> Asked | None:
            """The next run; None if each candidate has begun and none is resumed, or results are awaited."""
            if len(candidates) == self.n_iter and not isinstance(scheduler.suggest(tuning.history), Resume):
                return None
            return tuning.ask()

        while True:
            while len(running) < n_workers and (asked := ask()) is not None:
                candidates.setdefault(asked.trial_id, _Candidate(space.params(asked.config)))
                running[asked.trial_id] = asked
            if not running:
                break
            levels = {
                candidates[number]: fidelity.next_level(candidates[number].level, asked.until)
                for number, asked in running.items()
            }
            self._evaluate(levels, fidelity, evaluate, parallel)
            for number, asked in list(running.items()):
                candidate = candidates[number]
                scores = candidate.fold_scores(self._tuned)
                score = float(scores[-1] if fidelity.replicates else scores.mean())
                if not np.isfinite(score):
                    tuning.fail(asked, "The score is not finite")
                elif tuning.tell(asked, score, resource=candidate.level).decision is Decision.CONTINUE:
                    if candidate.level < fidelity.max_resource:
                        continue
                    tuning.complete(asked)
                del running[number]
        found = list(candidates.values())
        self._complete_one(found, fidelity, evaluate, parallel)
        return found

    def _complete_one(
        self,
        candidates: Sequence[_Candidate],
        fidelity: _Fidelity,
        evaluate: Callable[..., dict[str, Any]],
        parallel: Any,
    ) -> None:
        """Evaluate the best candidate in full if none was."""
        means = [float(candidate.fold_scores(self._tuned).mean()) for candidate in candidates]
        levels = [candidate.level for candidate in candidates]
        best = candidates[int(np.argmin(_ranks(np.array(means), np.array(levels))))]
        if best.level < fidelity.max_resource and np.isfinite(best.fold_scores(self._tuned)).all():
            for level in (
                range(best.level + 1, fidelity.max_resource + 1)
                if fidelity.replicates
                else [fidelity.max_resource]
            ):
                self._evaluate({best: level}, fidelity, evaluate, parallel)

    def _evaluate(
        self,
        levels: Mapping[_Candidate, int],
        fidelity: _Fidelity,
        evaluate: Callable[..., dict[str, Any]],
        parallel: Any,
    ) -> None:
        """Evaluate candidates, each at its level; all folds at once."""
        tasks = [
            (candidate, fold, level) for candidate, level in levels.items() for fold in fidelity.folds(level)
        ]
        outs: list[dict[str, Any]] = parallel(
            _search.delayed(evaluate)(
                candidate.estimators[fold] if fold in candidate.estimators else _search.clone(self.estimator),
                train=fidelity.train(fold, level),
                test=fidelity.splits[fold][1],
                parameters=fidelity.to_set(
                    candidate.params, level, candidate.level if fold in candidate.estimators else 0
                ),
            )
            for candidate, fold, level in tasks
        )
        for candidate, level in levels.items():
            candidate.level = level
            if not fidelity.replicates:
                candidate.outs.clear()
        for (candidate, fold, _), out in zip(tasks, outs, strict=True):
            candidate.outs.append(out)
            fitted = out.pop("estimator", None)
            if fitted is not None and out["fit_error"] is None:
                candidate.estimators[fold] = fitted
            else:
                candidate.estimators.pop(fold, None)
        if self.verbose:
            for candidate, level in levels.items():
                mean = candidate.fold_scores(self._tuned).mean()
                resource = f"{self.resource}={fidelity.n_resources(level)} " if self.resource else ""
                sys.stdout.write(f"[TunedSearchCV] {resource}{mean:.4g} {dict(candidate.params)}\n")

    @property
    def _tuned(self) -> str:
        """Name of the tuned score; empty: the first."""
        return self.refit if isinstance(self.refit, str) else ""


@dataclass(eq=False)
class _Candidate:
    """A configuration, and its newest evaluation."""

    params: Mapping[str, Any]
    level: int = 0
    """Resource of the evaluation; 0: not yet evaluated."""
    outs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Scores, times and errors by fold, as scikit-learn returns them."""
    estimators: dict[int, Any] = field(default_factory=dict[int, Any])
    """Fitted estimators by fold, if they continue."""

    def fold_scores(self, name: str) -> NDArray[np.float64]:
        """Scores of a metric by fold; of an empty name the first one, and NaN where the fit failed."""
        found = [out["test_scores"] for out in self.outs]
        return np.array([_score(scores, name) for scores in found], dtype=np.float64)


def _score(scores: Any, name: str) -> float:
    """One of several scores, the first if none has the name; or the only score."""
    if not isinstance(scores, Mapping):
        return float(scores)
    named = cast("Mapping[str, float]", scores)
    return float(named[name] if name in named else next(iter(named.values())))


class _Fidelity(ABC):  # noqa: B024 - each part has a default
    """Evaluations of candidates by resource.

    Parameters
    ----------
    max_resource
        Resource of a full evaluation; 1: there is no other.
    splits
        Indices of training and test samples by fold.
    """

    def __init__(self, max_resource: int, splits: Sequence[Split]) -> None:
        self.max_resource = max_resource
        self.splits = splits
        self.replicates: Replicates | None = None
        self.continues = False

    def next_level(self, level: int, until: int | None) -> int:
        """The resource to evaluate next: the end of the run, or else the next rung."""
        if until is not None and until > level:
            return until
        return min(self.max_resource, level * 3 or 1)

    def folds(self, level: int) -> Sequence[int]:
        """Folds to evaluate at a level."""
        return range(len(self.splits))

    def train(self, fold: int, level: int) -> Indices:
        """Training samples of a fold."""
        return self.splits[fold][0]

    def parameters(self, params: Mapping[str, Any], level: int) -> dict[str, Any]:
        """Parameters of a candidate at a level."""
        return dict(params)

    def to_set(self, params: Mapping[str, Any], level: int, done: int) -> dict[str, Any]:
        """Parameters to set before a fit that begins with a resource that is done."""
        return self.parameters(params, level)

    def n_resources(self, level: int) -> int:
        """The level in the unit of the resource."""
        return level


@final
class _Full(_Fidelity):
    """Full evaluations only."""


@final
class _Samples(_Fidelity):
    """Parts of each training set, the smaller ones contained in the larger, with all classes in each."""

    def __init__(self, max_resource: int, splits: Sequence[Split], y: Any, seed: int) -> None:
        super().__init__(max_resource, splits)
        rng = np.random.default_rng(seed)
        labels = y if y is not None and _multiclass.type_of_target(y) in {"binary", "multiclass"} else None
        self._orders = [_stratified_order(train, labels, rng) for train, _ in splits]
        n_classes = 1 if labels is None else len(np.unique(labels))
        self._least = _PER_CLASS * n_classes

    @override
    def train(self, fold: int, level: int) -> Indices:
        order = self._orders[fold]
        return self.splits[fold][0] if level >= self.max_resource else order[: self._size(len(order), level)]

    @override
    def n_resources(self, level: int) -> int:
        return self._size(len(self._orders[0]), level)

    def _size(self, n_samples: int, level: int) -> int:
        return min(n_samples, max(self._least, -(-n_samples * level // self.max_resource)))


@final
class _Folds(_Fidelity):
    """The folds, one after the other."""

    def __init__(self, splits: Sequence[Split]) -> None:
        super().__init__(len(splits), splits)
        self.replicates = Replicates(n=len(splits))

    @override
    def next_level(self, level: int, until: int | None) -> int:
        return level + 1

    @override
    def folds(self, level: int) -> Sequence[int]:
        return [level - 1]


@final
class _Iterations(_Fidelity):
    """Values of a parameter of the estimator."""

    def __init__(self, max_resource: int, splits: Sequence[Split], name: str, estimator: Any) -> None:
        super().__init__(max_resource, splits)
        known = estimator.get_params()
        prefix, _, short = name.rpartition("__")
        owner = known[prefix] if prefix else estimator
        self._name = name
        self.continues = bool(known.get(f"{prefix}__warm_start" if prefix else "warm_start"))
        self._counts_anew = self.continues and short == "max_iter" and not hasattr(owner, "max_leaf_nodes")
        """Whether a warm start trains ``max_iter`` further iterations; boosted trees train up to that number."""

    @override
    def parameters(self, params: Mapping[str, Any], level: int) -> dict[str, Any]:
        return {**params, self._name: level}

    @override
    def to_set(self, params: Mapping[str, Any], level: int, done: int) -> dict[str, Any]:
        return {**params, self._name: level - done if self._counts_anew else level}


def _stratified_order(train: Indices, labels: Any, rng: np.random.Generator) -> Indices:
    """Shuffled samples, of which each beginning has the classes in their shares, and at least ``_PER_CLASS`` of each first."""
    order = rng.permutation(train)
    if labels is None:
        return order
    _, classes = np.unique(np.asarray(labels)[order], return_inverse=True)
    places = np.empty(len(order))
    for number in range(classes.max() + 1):
        members = np.flatnonzero(classes == number)
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
        places[members[:_PER_CLASS]] = 0.0
    return order[np.argsort(places, kind="stable")]


def _fidelity(
    resource: str | None,
    max_resource: int | None,
    estimator: Any,
    splits: Sequence[Split],
    labels: Any,
    seed: int,
) -> _Fidelity:
    """The evaluations that ``resource`` and ``max_resource`` describe.

    Raises
    ------
    SettingsError
        They cannot work.
    """
    if max_resource is not None and resource in {None, FOLDS}:
        raise SettingsError("max_resource needs a resource: 'n_samples', or a parameter of the estimator")
    if resource is None:
        return _Full(1, splits)
    if resource == FOLDS:
        return _Folds(splits)
    if resource == N_SAMPLES:
        return _Samples(max_resource or _N_LEVELS, splits, labels, seed)
    known = estimator.get_params()
    if resource not in known:
        raise UnknownNameError("resource", resource, [N_SAMPLES, FOLDS, *known])
    full: Any = max_resource or known[resource]
    if isinstance(full, bool) or not isinstance(full, Integral):
        raise SettingsError(f"resource={resource!r}: give max_resource, the value of a full evaluation")
    return _Iterations(int(full), splits, resource, estimator)


@final
class _Space:
    """The search space of ``param_distributions``, and the parameters of its configurations.

    Raises
    ------
    SettingsError
        Something in it is neither a list, nor a distribution with ``ppf``, nor a domain.
    """

    def __init__(self, given: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        groups = [given] if isinstance(given, Mapping) else list(given)
        self._prefixes = (
            [""] if isinstance(given, Mapping) else [f"{number}." for number in range(len(groups))]
        )
        self._decoders: dict[str, Callable[[ConfigValue], Any]] = {}
        entries: dict[str, Domain | ConfigValue] = {}
        if len(groups) > 1:
            entries[_GROUP] = Categorical([str(number) for number in range(len(groups))])
        for number, (prefix, group) in enumerate(zip(self._prefixes, groups, strict=True)):
            for name, domain in group.items():
                entry, self._decoders[prefix + name] = _domain(name, domain)
                if len(groups) > 1 and isinstance(entry, Domain):
                    entry = replace(entry, active_if={_GROUP: str(number)})
                entries[prefix + name] = entry
        self.space = SearchSpace(entries)

    def params(self, config: Config) -> dict[str, Any]:
        """The parameters of a configuration."""
        prefix = self._prefixes[int(config.get(_GROUP, 0))]
        return {
            name.removeprefix(prefix): decode(config[name])
            for name, decode in self._decoders.items()
            if name.startswith(prefix) and name in config
        }


def _domain(name: str, given: Any) -> tuple[Domain | ConfigValue, Callable[[ConfigValue], Any]]:
    """The domain of a parameter, or a constant, and the function from its values to the parameter's."""
    if isinstance(given, Domain):
        return given, _same
    if hasattr(given, "ppf"):
        return _of_distribution(given)
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise SettingsError(
            f"{name}={given!r} is no list of values, no distribution with ppf (scipy.stats), and no domain"
        )
    values: list[Any] = [value.item() if isinstance(value, np.generic) else value for value in given]
    if not values:
        raise SettingsError(f"{name} has no values")
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if are_numbers and len(values) > 1 and all(a < b for a, b in pairwise(values)):
        return Ordinal(values), _same
    indices = [str(number) for number in range(len(values))]
    return Categorical(indices) if len(values) > 1 else "0", lambda index: values[int(index)]


def _of_distribution(given: Any) -> tuple[Domain, Callable[[ConfigValue], Any]]:
    """The domain of a frozen distribution: its range, or its quantiles."""
    kind = getattr(getattr(given, "dist", None), "name", "")
    low, high = (given.ppf(u) for u in (0.0, 1.0))
    if kind == "randint":
        return Integer(int(low) + 1, int(high)), _same
    if kind in {"uniform", "loguniform", "reciprocal"}:
        return Float(float(low), float(high), log=kind != "uniform"), _same
    is_discrete = hasattr(given, "pmf") or hasattr(getattr(given, "dist", None), "pmf")
    quantiles = Float(0.0 if np.isfinite(low) else _TAIL, 1.0 if np.isfinite(high) else 1.0 - _TAIL)
    return quantiles, lambda u: int(given.ppf(u)) if is_discrete else float(given.ppf(u))


def _same(value: ConfigValue) -> ConfigValue:
    return value


def _n_jobs(n_jobs: int | None) -> int:
    """Number of jobs at a time, as joblib counts them without a context."""
    if n_jobs is None:
        return 1
    return n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs)


def _results(
    candidates: Sequence[_Candidate], fidelity: _Fidelity, *, has_train_scores: bool
) -> dict[str, Any]:
    """``cv_results_``: arrays with a row per candidate; NaN for folds that were not evaluated."""
    params = [fidelity.parameters(candidate.params, candidate.level) for candidate in candidates]
    levels = np.array([candidate.level for candidate in candidates])
    results: dict[str, Any] = {}
    for key in ("fit_time", "score_time"):
        times = [np.array([out[key] for out in candidate.outs]) for candidate in candidates]
        results[f"mean_{key}"] = np.array([one.mean() for one in times])
        results[f"std_{key}"] = np.array([one.std() for one in times])
    for name in dict.fromkeys(name for one in params for name in one):
        results[f"param_{name}"] = _column([one.get(name, _ABSENT) for one in params])
    results["params"] = params
    if fidelity.max_resource > 1:
        results["n_resources"] = np.array([fidelity.n_resources(level) for level in levels])
    first: Any = candidates[0].outs[0]["test_scores"]
    names = list(cast("Mapping[str, float]", first)) if isinstance(first, Mapping) else ["score"]
    for name in names:
        for part in ("test", "train") if has_train_scores else ("test",):
            scores = [
                np.array([_score(out[f"{part}_scores"], name) for out in one.outs]) for one in candidates
            ]
            for fold in range(len(fidelity.splits)):
                results[f"split{fold}_{part}_{name}"] = np.array(
                    [one[fold] if fold < len(one) else np.nan for one in scores]
                )
            means = np.array([one.mean() for one in scores])
            results[f"mean_{part}_{name}"] = means
            results[f"std_{part}_{name}"] = np.array([one.std() for one in scores])
            if part == "test":
                results[f"rank_test_{name}"] = _ranks(means, levels)
    return results


def _column(values: Sequence[Any]) -> np.ma.MaskedArray[Any, Any]:
    """Values of a parameter, masked where a candidate has not got it."""
    column: Any = np.ma.MaskedArray(np.empty(len(values), dtype=object), mask=True)
    for row, value in enumerate(values):
        if value is not _ABSENT:
            column[row] = value
    kinds: set[type] = {type(value) for value in values}
    return column.astype(float if float in kinds else int) if kinds <= {int, float} else column


def _ranks(means: NDArray[np.float64], levels: NDArray[np.int_]) -> NDArray[np.int32]:
    """Ranks from 1: by level, the largest first, then by mean; failures are last of their level."""
    worst = np.nanmin(means, initial=0.0) - 1.0
    filled = np.where(np.isnan(means), worst, means)
    better = (levels[None, :] > levels[:, None]) | (
        (levels[None, :] == levels[:, None]) & (filled[None, :] > filled[:, None])
    )
    return (1 + better.sum(axis=1)).astype(np.int32)
