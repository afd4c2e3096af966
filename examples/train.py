"""A training script as any other: hyperparameters as arguments, one report an epoch, a checkpoint before it.

Tune it with:

    tunewright tune examples/train.py --space examples/space.toml --metric loss --goal min \
        --resource epoch --max_resource 9 --max_resource_attr epochs --method ASHA --max_num_trials 12

and with --backend sagemaker each trial is a training job.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tunewright import Reporter


def main() -> None:
    """Train from the checkpoint, if there is one, to the last epoch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--activation", default="relu")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--checkpoint_dir", type=Path, default=Path("checkpoint"))
    args = parser.parse_args()

    args.checkpoint_dir.mkdir(parents=True, exist_ok=True)
    path = args.checkpoint_dir / "state.json"
    done = json.loads(path.read_text())["epoch"] if path.exists() else 0
    report = Reporter()
    for epoch in range(done + 1, args.epochs + 1):
        loss = (args.lr - 0.1) ** 2 + 10 / args.width / epoch + (args.activation == "tanh") * 0.1
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({"epoch": epoch}))
        unfinished.replace(path)
        report(epoch=epoch, loss=loss)


if __name__ == "__main__":
    main()
