"""One report at the end: the number of iterations is no resource, and is not tuned."""

import argparse

import tunewright as tw

parser = argparse.ArgumentParser()
parser.add_argument("--C", type=float, default=1.0)
parser.add_argument("--n_neighbors", type=int, default=5)
parser.add_argument("--max_iter", type=int, default=100)
parser.add_argument("--tol", type=float, default=1e-4)
args = parser.parse_args()
assert args.C > 0
assert args.n_neighbors >= 1
assert args.max_iter == 100
tw.report(fit_time=0.1, balanced_accuracy=1 / (1 + args.C))
