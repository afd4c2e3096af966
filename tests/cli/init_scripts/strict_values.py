"""Values that are checked: a script that ends with an error outside of them; an endless loop with a break."""

import argparse
import itertools

import tunewright.report

parser = argparse.ArgumentParser()
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--drop_path", type=float, default=0.3)
parser.add_argument("--keep_ratio", type=float, default=1.0)
parser.add_argument("--mix", type=float, default=0.25)
parser.add_argument("--label-smoothing", type=float, default=0.1)
parser.add_argument("--beta2", type=float, default=0.999)
parser.add_argument("--depth", type=int, default=1)
parser.add_argument("--offset", type=int, default=0)
parser.add_argument("--limit", type=int, default=-1)
parser.add_argument("--total_steps", type=int, default=5)
args = parser.parse_args()
assert 0 <= args.dropout < 1
assert 0 <= args.drop_path < 1
assert 0 < args.keep_ratio <= 1
assert 0 < args.mix <= 1
assert 0 <= args.label_smoothing < 1
assert 0 <= args.beta2 < 1
assert args.depth >= 1
assert args.offset >= 0
assert args.limit == -1


def tell(**values: float) -> None:
    tunewright.report(**values)


for step in itertools.count(1):
    tell(step=step, train_loss=args.mix, eval_loss=args.mix / step / args.depth)
    if step >= args.total_steps:
        break
