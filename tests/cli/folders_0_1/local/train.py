"""A training script: takes hyperparameters as --name value and reports after each epoch."""

from argparse import ArgumentParser

from tunewright import Reporter

parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--width", type=int, default=32)
parser.add_argument("--epochs", type=int, default=9)
arguments = parser.parse_args()

report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    loss = (arguments.lr - 0.1) ** 2 + 10 / arguments.width / epoch
    report(epoch=epoch, loss=loss)
