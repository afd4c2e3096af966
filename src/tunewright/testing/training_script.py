"""The training script that the suites run: a few epochs of sleep, checkpointed and resumable.

It is run as a file, by backends that run scripts; :func:`train_epoch` is the same training as a function.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tunewright.report import Reporter, load_newest, save_checkpoint

if TYPE_CHECKING:
    from tunewright.types import Config  # jobs have the Reporter only

PATH: Final = Path(__file__)
"""Where the script lies."""
RESOURCE_ATTR: Final = "epoch"
"""The reports' key of the resource."""


def training_config(*, epochs: int, seconds: float = 0.05, fail_at: int = 0, x: float = 1.0) -> Config:
    """A configuration of the script.

    Parameters
    ----------
    epochs
        Where the script comes to its own end.
    seconds
        How long an epoch takes.
    fail_at
        The epoch at which it raises; 0: none.
    x
        The loss after the first epoch.
    """
    return {"epochs": epochs, "seconds": seconds, "fail_at": fail_at, "x": x}


def train_epoch(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    """Train one epoch: its metrics and its seconds.

    Raises
    ------
    RuntimeError
        At the epoch ``fail_at``.
    StopIteration
        The script has come to its own end.
    """
    if epoch > int(config["epochs"]):
        raise StopIteration
    if epoch == config["fail_at"]:
        raise RuntimeError(f"epoch {epoch} failed as it was told to")
    return {"loss": float(config["x"]) / epoch}, float(config["seconds"])


def main() -> None:
    """Train from the newest checkpoint to the last epoch, saving and reporting each."""
    parser = ArgumentParser()
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--fail_at", type=int, default=0)
    parser.add_argument("--x", type=float, required=True)
    config = vars(parser.parse_args())
    report = Reporter()
    saved = load_newest()
    for epoch in range(saved.step + 1 if saved else 1, config["epochs"] + 1):
        metrics, seconds = train_epoch(config, epoch)
        time.sleep(seconds)
        save_checkpoint(epoch, metrics)
        report(epoch=epoch, **metrics)


if __name__ == "__main__":
    main()
