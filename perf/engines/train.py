"""A trial of some seconds that needs no CPU: epochs of one second, each with a report."""

from __future__ import annotations

import time
from argparse import ArgumentParser

from tunewright.report import Reporter

parser = ArgumentParser()
parser.add_argument("--x", type=float, required=True)
parser.add_argument("--epochs", type=int, required=True)
arguments = parser.parse_args()
report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    time.sleep(1.0)
    report(epoch=epoch, loss=arguments.x / epoch)
