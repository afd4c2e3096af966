"""Names with hyphens, short names, a destination of another name, flags and arguments that are not tuned."""

import argparse

from tunewright.report import Reporter as Teller

parser = argparse.ArgumentParser()
model = parser.add_argument_group("model")
model.add_argument("-l", "--learning-rate", dest="rate", type=float, default=0.1)
model.add_argument("--n-layers", type=int, default=2)
model.add_argument("--activation", choices=("relu", "tanh"), default="tanh")
parser.add_argument("--max-epochs", dest="limit", type=int, default=4)
parser.add_argument("--log-interval", type=int, default=10)
parser.add_argument("--amp", action="store_true")
parser.add_argument("--tags", nargs="*", default=[])
parser.add_argument("--out-dir", default=".")
args, _ = parser.parse_known_args()
assert args.activation in {"relu", "tanh"}
assert args.n_layers >= 1
assert (args.log_interval, args.amp, args.tags) == (10, False, [])

tell = Teller(add_time=False)
for epoch in range(1, args.limit + 1):
    tell(epoch=epoch, lr=args.rate, top1=args.rate / args.n_layers * epoch)
