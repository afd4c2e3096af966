"""scikit-learn: a forest that grows, reported by its number of trees."""

import argparse

from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier

from tunewright import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--n_estimators", type=int, default=12)
parser.add_argument("--learning_rate", type=float, default=0.1)
parser.add_argument("--max_depth", type=int, default=3)
parser.add_argument("--subsample", type=float, default=1.0)
parser.add_argument("--min_samples_split", type=int, default=2)
parser.add_argument("--min_samples_leaf", type=float, default=0.01)
parser.add_argument("--max_features", type=float, default=1.0)
parser.add_argument("--random_state", type=int, default=0)
args = parser.parse_args()

x, y = make_classification(300, random_state=args.random_state)
settings = {name: value for name, value in vars(args).items() if name != "n_estimators"}
model = GradientBoostingClassifier(warm_start=True, **settings)
report = Reporter()
for n in range(3, args.n_estimators + 1, 3):
    model.set_params(n_estimators=n).fit(x[:200], y[:200])
    report(n=n, acc=model.score(x[200:], y[200:]))
