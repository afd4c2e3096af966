"""Compare scikit-learn's RandomizedSearchCV with TunedSearchCV, which ends poor candidates early.

Run it with: python examples/sklearn_search.py [N_CANDIDATES]; it needs scikit-learn.
"""

from __future__ import annotations

import sys
import time

from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tunewright.sklearn import TunedSearchCV

model = make_pipeline(StandardScaler(), SVC())
space = {"svc__C": loguniform(1e-2, 1e3), "svc__gamma": loguniform(1e-6, 1.0)}
n_candidates = int(sys.argv[1]) if len(sys.argv) > 1 else 30
searches = {
    "RandomizedSearchCV": RandomizedSearchCV(model, space, n_iter=n_candidates, cv=5, random_state=0),
    "all in full": TunedSearchCV(model, space, n_iter=n_candidates, cv=5, random_state=0),
    "by samples": TunedSearchCV(
        model, space, n_iter=n_candidates, cv=5, random_state=0, resource="n_samples"
    ),
    "by folds": TunedSearchCV(model, space, n_iter=n_candidates, cv=5, random_state=0, resource="folds"),
}
X, y = load_digits(return_X_y=True)
for name, search in searches.items():
    begin = time.perf_counter()
    search.fit(X, y)
    print(f"{name:20} {search.best_score_:.4f}  {time.perf_counter() - begin:6.1f} s  {search.best_params_}")
