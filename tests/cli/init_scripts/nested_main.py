"""A class that trains, made in main; the reporter is an attribute."""

import argparse
import math

from tunewright import Reporter


class Trainer:
    def __init__(self, rate, limit):
        self.rate = rate
        self.limit = limit
        self.tell = Reporter()

    def fit(self):
        for i in range(self.limit):
            self.after_round(i)

    def after_round(self, i):
        current = i + 1
        self.tell(round=current, seconds=0.1 * current, perplexity=math.exp(self.rate / current))


def main(argv=None):
    def parse():
        parser = argparse.ArgumentParser()
        parser.add_argument("--rate", type=float, default=0.5)
        parser.add_argument("--rounds", type=int, default=5)
        return parser.parse_args(argv)

    args = parse()
    Trainer(args.rate, args.rounds).fit()


if __name__ == "__main__":
    main()
