"""Defaults from constants, and a length of training that is no argument."""

import argparse

from tunewright import report

EPOCHS = 2 * 2
LOSSES = {"squared": 2, "absolute": 1}
DEFAULTS = {"alpha": 1e-2, "power": -1.0}
TINY = 10**-6

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=DEFAULTS["alpha"])
parser.add_argument("--power", type=float, default=DEFAULTS["power"])
parser.add_argument("--tiny", type=float, default=TINY)
parser.add_argument("--kind", choices=sorted(LOSSES), default="squared")
args = parser.parse_args()
assert args.alpha > 0
assert args.power <= 0
assert args.tiny <= 1

for epoch in range(1, EPOCHS + 1):
    metrics = dict(epoch=epoch, f1=args.alpha ** LOSSES[args.kind])  # noqa: C408 - read as well
    report(**metrics)
