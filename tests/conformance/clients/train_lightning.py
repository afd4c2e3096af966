"""A Lightning script; it notes each epoch that it trains in the file $TRAINED."""

import argparse
import os
from pathlib import Path

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from tunewright.integrations.lightning import TunewrightCallback


class Model(lightning.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.lr = lr
        self.layer = torch.nn.Linear(4, 1)

    def loss(self, batch):
        x, y = batch
        return torch.nn.functional.mse_loss(self.layer(x).squeeze(1), y)

    def training_step(self, batch, _):
        return self.loss(batch)

    def validation_step(self, batch, _):
        self.log("val_loss", self.loss(batch), sync_dist=True)

    def on_train_epoch_start(self):
        if self.trainer.is_global_zero and "TRAINED" in os.environ:
            with Path(os.environ["TRAINED"]).open("a") as file:
                file.write(f"{os.environ.get('TUNEWRIGHT_TRIAL')} {self.current_epoch + 1}\n")

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), self.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--metric", default="val_loss")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--validate_every", type=int, default=1)
    parser.add_argument(
        "--forget", action="store_true", help="begin from scratch although there is a checkpoint"
    )
    args = parser.parse_args()

    torch.manual_seed(0)
    x = torch.randn(64, 4)
    data = TensorDataset(x, x.sum(1))
    loaders = DataLoader(data, batch_size=16), DataLoader(data, batch_size=32)
    callback = TunewrightCallback(args.metric)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=args.devices,
        strategy="ddp" if args.devices > 1 else "auto",
        max_epochs=args.epochs,
        check_val_every_n_epoch=args.validate_every,
        callbacks=[callback],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
    )
    trainer.fit(Model(args.lr), *loaders, ckpt_path=None if args.forget else callback.checkpoint)


if __name__ == "__main__":
    main()
