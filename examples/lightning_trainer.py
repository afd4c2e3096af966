"""Tune a Lightning module: trials that ASHA pauses go on from Lightning's checkpoint.

Run it with: python examples/lightning_trainer.py [N_TRIALS]; it needs lightning.
"""

from __future__ import annotations

import sys

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import tunewright
from tunewright import Float, Integer
from tunewright.integrations.lightning import TunewrightCallback


class Model(lightning.LightningModule):
    """A network of one hidden layer."""

    def __init__(self, lr: float, width: int) -> None:
        super().__init__()
        self.lr = lr
        self.network = torch.nn.Sequential(
            torch.nn.Linear(8, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)
        )

    def loss(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Squared error of a batch."""
        x, y = batch
        return torch.nn.functional.mse_loss(self.network(x).squeeze(1), y)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """As Lightning calls it."""
        return self.loss(batch)

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        """Logs the metric that is tuned."""
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As Lightning calls it."""
        return torch.optim.Adam(self.parameters(), self.lr)


def train(lr: float, width: int, epochs: int) -> None:
    """One trial."""
    lightning.seed_everything(0, verbose=False)
    x = torch.randn(1024, 8)
    data = TensorDataset(x, torch.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2])
    fitted, held_out = torch.utils.data.random_split(data, [768, 256])
    callback = TunewrightCallback("val_loss")
    trainer = lightning.Trainer(
        max_epochs=epochs,
        callbacks=[callback],
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        logger=False,
    )
    loaders = DataLoader(fitted, batch_size=64, shuffle=True), DataLoader(held_out, batch_size=256)
    trainer.fit(Model(lr, width), *loaders, ckpt_path=callback.checkpoint)


if __name__ == "__main__":
    outcome = tunewright.tune(
        train,
        {"lr": Float(1e-4, 1e-1, log=True), "width": Integer(8, 128, log=True), "epochs": 9},
        metric="val_loss",
        goal="min",
        resource="epoch",
        max_resource=9,
        method="ASHA",
        n_workers=2,
        n_trials=int(sys.argv[1]) if len(sys.argv) > 1 else 12,
    )
    print(outcome.best)
