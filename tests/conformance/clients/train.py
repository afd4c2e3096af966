"""A script of SageMaker's form: hyperparameters as arguments, data and model in SM_* folders."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--name", default="")
parser.add_argument("--training", default=os.environ.get("SM_CHANNEL_TRAINING"))
parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
arguments = parser.parse_args()

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
total = sum(int(line) for line in (Path(arguments.training) / "numbers.txt").read_text().split())
print(f"total={total} name={arguments.name!r}", flush=True)
if arguments.epochs == 0:
    raise ValueError("no epochs to train")
for epoch in range(arguments.epochs):
    print(f"loss={1 / (epoch + 1)}", flush=True)
    time.sleep(0.05)
(Path(arguments.model_dir) / "weights").write_text(str(total))
