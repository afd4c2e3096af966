"""A script of Syne Tune's form: hyperparameters as arguments, reports on standard output."""

import argparse

from syne_tune import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=float)
parser.add_argument("--epochs", type=int)
arguments, _ = parser.parse_known_args()

report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    report(epoch=epoch, loss=(arguments.width - 0.3) ** 2 + 1 / epoch)
