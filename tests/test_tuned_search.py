"""TunedSearchCV: scikit-learn's contract, and candidates that end early."""

from __future__ import annotations

import re
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
from joblib import parallel_config
from scipy.stats import expon, loguniform, norm, poisson, randint, uniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import BayesianRidge, LogisticRegression, SGDClassifier
from sklearn.model_selection import GroupKFold, RandomizedSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from tunewright.exceptions import SettingsError
from tunewright.experiments import method
from tunewright.sklearn import TunedSearchCV
from tunewright.space import Float

X, Y = make_classification(120, n_features=6, n_informative=4, class_sep=0.6, random_state=0)
FOLDS = StratifiedKFold(3)
OLD_SOLVER = pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp`:DeprecationWarning")
"""LogisticRegression of scikit-learn below 1.7 with SciPy 1.16."""
TREE = {"max_depth": randint(1, 9), "min_samples_leaf": [1, 2, 4, 8]}


def search(estimator: Any, space: Any, **settings: Any) -> TunedSearchCV:
    chosen = {"cv": FOLDS, "random_state": 0, "method": "RandomSearch", "n_iter": 6, **settings}
    return TunedSearchCV(estimator, space, **chosen)


@pytest.mark.filterwarnings("ignore")  # also those which others turn into errors
@pytest.mark.parametrize(
    ("estimator", "space"),
    [(LogisticRegression(), {"C": [0.1, 1.0]}), (BayesianRidge(), {"alpha_1": [1e-6, 1e-5]})],
    ids=["classifier", "regressor"],
)
def test_scikit_learns_checks_of_estimators(estimator: Any, space: Any) -> None:
    search = TunedSearchCV(estimator, space, n_iter=2, cv=2, method="RandomSearch")
    if "on_skip" not in signature(check_estimator).parameters:  # scikit-learn 1.5
        for candidate, check in check_estimator(search, generate_only=True):
            if check.func.__name__ != "check_parameters_default_constructible":  # by one argument
                with suppress(SkipTest):
                    check(candidate)
        return
    checked = check_estimator(search, on_skip=None)
    assert sum(check["status"] == "passed" for check in checked) > 40


def test_its_results_are_those_of_scikit_learn_for_the_same_candidates() -> None:
    scoring = ["accuracy", "neg_log_loss"]
    ours = search(
        DecisionTreeClassifier(random_state=0),
        TREE,
        scoring=scoring,
        refit="accuracy",
        return_train_score=True,
    )
    ours.fit(X, Y)

    class Given(RandomizedSearchCV):
        def _run_search(self, evaluate_candidates: Any, **_: Any) -> None:
            evaluate_candidates(ours.cv_results_["params"])

    theirs = Given(
        DecisionTreeClassifier(random_state=0),
        {},
        scoring=scoring,
        refit="accuracy",
        return_train_score=True,
        cv=FOLDS,
    ).fit(X, Y)
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    for key, expected in theirs.cv_results_.items():
        if "time" not in key and key != "params":
            np.testing.assert_allclose(
                np.ma.getdata(ours.cv_results_[key]), np.ma.getdata(expected), err_msg=key
            )
    assert ours.best_index_ == theirs.best_index_
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == theirs.best_score_
    assert ours.score(X, Y) == theirs.score(X, Y)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert (ours.n_splits_, ours.multimetric_) == (3, True)
    assert set(ours.scorer_) == set(scoring)


def test_a_seed_gives_the_same_search_again_and_in_parallel() -> None:
    first = search(DecisionTreeClassifier(random_state=0), TREE).fit(X, Y)
    with parallel_config(backend="threading"):
        second = search(DecisionTreeClassifier(random_state=0), TREE, n_jobs=2).fit(X, Y)
    assert first.cv_results_["params"] == second.cv_results_["params"]
    other = search(DecisionTreeClassifier(random_state=0), TREE, random_state=1).fit(X, Y)
    assert first.cv_results_["params"] != other.cv_results_["params"]


def test_a_callable_refit_and_a_callable_scoring() -> None:
    def scores(estimator: Any, x: Any, y: Any) -> dict[str, float]:
        return {"depth": -float(estimator.get_depth()), "accuracy": estimator.score(x, y)}

    found = search(
        DecisionTreeClassifier(random_state=0), TREE, scoring=scores, refit=lambda results: 2, n_iter=3
    ).fit(X, Y)
    assert found.best_index_ == 2
    assert not hasattr(found, "best_score_")
    assert found.best_params_ == found.cv_results_["params"][2]
    with pytest.raises(ValueError, match="refit"):
        search(DecisionTreeClassifier(), TREE, scoring=scores, refit=True, n_iter=2).fit(X, Y)


class Failing(ClassifierMixin, BaseEstimator):
    """Fails if its parameter is odd."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def fit(self, x: Any, y: Any) -> Failing:
        if self.number % 2:
            raise ValueError("odd")
        self.classes_ = np.unique(y)
        return self

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.classes_[0])


def test_failed_fits_get_the_error_score() -> None:
    with pytest.warns(FitFailedWarning, match="odd"):
        found = search(Failing(), {"number": randint(0, 10)}, n_iter=8).fit(X, Y)
    numbers = np.array([params["number"] for params in found.cv_results_["params"]])
    assert 0 < (numbers % 2).sum() < 8
    np.testing.assert_array_equal(np.isnan(found.cv_results_["mean_test_score"]), numbers % 2 == 1)
    assert found.cv_results_["rank_test_score"][numbers % 2 == 1].min() > 1
    with pytest.raises(ValueError, match="odd"):
        search(Failing(), {"number": randint(0, 10)}, error_score="raise").fit(X, Y)
    with pytest.raises(ValueError, match="All the 6 fits failed"):
        search(Failing(), {"number": [1, 3, 5]}, n_iter=2).fit(X, Y)


@OLD_SOLVER
def test_groups_and_weights_are_passed_on() -> None:
    groups = np.arange(len(X)) // 10
    found = search(LogisticRegression(), {"C": loguniform(0.01, 1)}, cv=GroupKFold(4), n_iter=2)
    assert found.fit(X, Y, groups=groups, sample_weight=np.ones(len(X))).n_splits_ == 4


class Counting(ClassifierMixin, BaseEstimator):
    """Its score is better for a larger ``quality`` and a larger training set."""

    def __init__(self, quality: float = 0.5) -> None:
        self.quality = quality

    def fit(self, x: Any, y: Any) -> Counting:
        self.n_ = len(x)
        self.shares_ = np.bincount(y) / len(y)
        self.classes_ = np.unique(y)
        return self

    def score(self, x: Any, y: Any) -> float:
        assert self.shares_.min() > 0.3
        return self.quality + self.n_ / 1000


def test_poor_candidates_see_a_part_of_the_training_set() -> None:
    found = search(
        Counting(), {"quality": uniform(0, 1)}, method=method("ASHA"), resource="n_samples", n_iter=12
    ).fit(X, Y)
    n_samples = found.cv_results_["n_resources"]
    assert set(n_samples) == {9, 27, 80}
    assert n_samples[found.best_index_] == 80
    assert (n_samples == 9).sum() >= 6
    qualities = np.array([params["quality"] for params in found.cv_results_["params"]])
    assert found.best_params_["quality"] > np.median(qualities)
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], qualities + n_samples / 1000)


def test_the_code_of_the_page_runs() -> None:
    page = (Path(__file__).parents[1] / "docs" / "integrations.md").read_text()
    (code,) = re.findall(r"^## scikit-learn\n.*?^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"X": X, "y": Y}
    exec(code.replace("n_iter=30", "n_iter=3"), names)  # noqa: S102
    assert names["search"].best_score_ > 0.5


def test_one_candidate_is_evaluated_in_full_at_least() -> None:
    found = search(
        Counting(),
        {"quality": uniform(0, 1)},
        method=method("ASHA"),
        resource="n_samples",
        n_iter=2,
        max_resource=27,
    ).fit(X, Y)
    assert sorted(found.cv_results_["n_resources"]) == [4, 80]
    assert found.best_index_ == np.argmax([params["quality"] for params in found.cv_results_["params"]])


def test_poor_candidates_see_a_part_of_the_folds() -> None:
    found = search(Counting(), {"quality": uniform(0, 1)}, resource="folds", cv=5, n_iter=12).fit(X, Y)
    n_folds = found.cv_results_["n_resources"]
    assert n_folds[found.best_index_] == 5
    assert n_folds.min() < 5
    assert found.best_params_["quality"] == max(params["quality"] for params in found.cv_results_["params"])
    evaluated = np.array([~np.isnan(found.cv_results_[f"split{fold}_test_score"]) for fold in range(5)])
    np.testing.assert_array_equal(evaluated.sum(axis=0), n_folds)


def test_a_warm_start_adds_trees_to_those_of_the_rung_before() -> None:
    settings = {"method": method("ASHA"), "resource": "n_estimators", "max_resource": 9, "n_iter": 9}
    space = {"learning_rate": loguniform(0.01, 1)}
    warm, cold = (
        search(
            GradientBoostingClassifier(max_depth=1, random_state=0, warm_start=is_warm), space, **settings
        ).fit(X, Y)
        for is_warm in (True, False)
    )
    assert warm.best_params_["n_estimators"] == 9
    assert warm.best_estimator_.n_estimators_ == 9
    assert set(warm.cv_results_["n_resources"]) == {1, 3, 9}
    np.testing.assert_allclose(warm.cv_results_["mean_test_score"], cold.cv_results_["mean_test_score"])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_trains_the_missing_epochs_only() -> None:
    found = search(
        make_pipeline(StandardScaler(), SGDClassifier(random_state=0, tol=None, warm_start=True)),
        {"sgdclassifier__alpha": loguniform(1e-5, 1e-1)},
        method=method("ASHA"),
        resource="sgdclassifier__max_iter",
        max_resource=9,
    ).fit(X, Y)
    assert found.best_params_["sgdclassifier__max_iter"] == 9
    assert found.best_estimator_[-1].n_iter_ == 9


def test_every_kind_of_distribution() -> None:
    space = {
        "a": uniform(2, 3),
        "b": loguniform(1e-3, 1e3),
        "c": randint(5, 9),
        "d": expon(scale=100),
        "e": norm(0, 1),
        "f": poisson(3),
        "g": [1, 10, 100],
        "h": np.array([0.5, 0.25]),
        "i": [None, "text", (1, 2), print],
        "j": [7],
        "k": Float(0.1, 0.2),
    }

    class Anything(Counting):
        def __init__(self, a=0, b=0, c=0, d=0, e=0, f=0, g=0, h=0, i=0, j=0, k=0) -> None:
            self.a, self.b, self.c, self.d, self.e, self.f = a, b, c, d, e, f
            self.g, self.h, self.i, self.j, self.k = g, h, i, j, k
            self.quality = 0.0

    found = search(Anything(), space, n_iter=40, cv=2).fit(X, Y).cv_results_
    columns = {name: [params[name] for params in found["params"]] for name in space}
    assert all(2 <= value <= 5 for value in columns["a"])
    assert all(1e-3 <= value <= 1e3 for value in columns["b"])
    assert sum(value < 1 for value in columns["b"]) > 8
    assert set(columns["c"]) == {5, 6, 7, 8}
    assert 40 < np.median(columns["d"]) < 120
    assert np.isfinite(columns["e"]).all()
    assert min(columns["e"]) < 0 < max(columns["e"])
    assert all(isinstance(value, int) and value >= 0 for value in columns["f"])
    assert set(columns["g"]) == {1, 10, 100}
    assert set(columns["h"]) == {0.5, 0.25}
    assert set(columns["i"]) == {None, "text", (1, 2), print}
    assert set(columns["j"]) == {7}
    assert all(0.1 <= value <= 0.2 for value in columns["k"])


@OLD_SOLVER
def test_of_a_list_of_spaces_each_candidate_takes_one() -> None:
    spaces = [{"solver": ["lbfgs"], "C": loguniform(0.1, 10)}, {"fit_intercept": [False, True]}]
    found = search(LogisticRegression(), spaces, n_iter=8).fit(X, Y).cv_results_
    kinds = {tuple(params) for params in found["params"]}
    assert kinds == {("solver", "C"), ("fit_intercept",)}
    masks = [found["param_C"].mask, found["param_fit_intercept"].mask]
    np.testing.assert_array_equal(masks[0], ~masks[1])


@pytest.mark.parametrize(
    ("space", "settings", "message"),
    [
        ({"max_depth": 3}, {}, "max_depth=3 is no list of values"),
        ({"max_depth": []}, {}, "max_depth has no values"),
        (TREE, {"resource": "n_trees"}, "Unknown resource 'n_trees'"),
        (TREE, {"resource": "max_leaf_nodes"}, "give max_resource"),
        (TREE, {"max_resource": 3}, "max_resource needs a resource"),
    ],
)
def test_settings_that_cannot_work(space: Any, settings: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        search(DecisionTreeClassifier(), space, **settings).fit(X, Y)
