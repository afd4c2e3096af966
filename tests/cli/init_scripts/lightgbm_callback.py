"""LightGBM: reports from a callback, parameters from the arguments."""

from argparse import ArgumentParser

import lightgbm as lgb
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from tunewright import Reporter

parser = ArgumentParser()
parser.add_argument("--rounds", type=int, default=81)
parser.add_argument("--learning_rate", type=float, default=0.1)
parser.add_argument("--num_leaves", type=int, default=31)
parser.add_argument("--feature_fraction", type=float, default=1.0)
parser.add_argument("--bagging_fraction", type=float, default=1.0)
parser.add_argument("--min_data_in_leaf", type=int, default=20)
parser.add_argument("--lambda_l2", type=float, default=0.0)
parser.add_argument("--max_depth", type=int, default=-1)
arguments = vars(parser.parse_args())
rounds = arguments.pop("rounds")

report = Reporter()


def tell(env):
    report(round=env.iteration + 1, logloss=env.evaluation_result_list[0][2])


x_train, x_test, y_train, y_test = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
train = lgb.Dataset(x_train, y_train)
lgb.train(
    {"objective": "binary", "metric": "binary_logloss", "bagging_freq": 1, "verbosity": -1, **arguments},
    train,
    num_boost_round=rounds,
    valid_sets=[train.create_valid(x_test, y_test)],
    callbacks=[tell],
)
