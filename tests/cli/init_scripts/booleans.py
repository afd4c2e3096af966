"""Booleans of all kinds, choices of numbers, and choices without a type."""

import argparse

from tunewright import report


def str2bool(text: str) -> bool:
    return {"True": True, "False": False}[text]


parser = argparse.ArgumentParser()
parser.add_argument("--bias", type=str2bool, default=True)
parser.add_argument("--shuffle", type=lambda text: text.lower() == "true", default=False)
parser.add_argument("--augment", action=argparse.BooleanOptionalAction, default=False)
parser.add_argument("--always", type=bool, default=True)
parser.add_argument("--width", type=int, choices=[16, 32, 64], default=32)
parser.add_argument("--scheme", choices=["a", "b", "c"])
parser.add_argument("--folds", type=int, default=3)
args = parser.parse_args()
assert args.width in {16, 32, 64}
assert args.always is True

for fold, weight in enumerate(range(args.folds), start=1):
    report(fold=fold, score=weight + args.bias + args.shuffle + args.width)
