"""Train a network with two hidden layers on Fashion-MNIST, epoch by epoch.

A sixth of the 60,000 training pictures is held out. One report an epoch: ``epoch`` and ``accuracy`` on the held-out
pictures, of this epoch, or the best so far with ``--report_current_best True``.

``--dataset_path`` is a folder that holds ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, with or without
``.gz``; they are downloaded into it if missing.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import argparse
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from training import Training, argument_parser, data_folder, download, parse_bool, pick_device, seed_epoch

from tunewright import Reporter

URL = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
MD5 = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
}
N_PIXELS = 28 * 28
N_CLASSES = 10
N_PARTS = 6  # one of them is held out


def parse_arguments() -> argparse.Namespace:
    """Read the hyperparameters."""
    parser = argument_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=81)
    parser.add_argument("--n_units_1", type=int, default=256)
    parser.add_argument("--n_units_2", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--dropout_1", type=float, default=0.2)
    parser.add_argument("--dropout_2", type=float, default=0.2)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--weight_decay", type=float, default=1e-5)
    parser.add_argument("--report_current_best", type=parse_bool, default=False)
    return parser.parse_args()


def read_idx(folder: Path, name: str) -> np.ndarray:
    """The bytes of an idx file in its shape: 16 bits of zero, type, number of axes, their lengths, the values."""
    plain = folder / name
    packed = folder / f"{name}.gz"
    if plain.exists():
        content = plain.read_bytes()
    else:
        content = gzip.decompress(download(f"{URL}/{name}.gz", packed, MD5[name]).read_bytes())
    n_axes = content[3]
    shape = np.frombuffer(content, ">u4", n_axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def load_data(dataset_path: str, device: torch.device) -> tuple[Any, Any]:
    """Pictures and classes for training, and the held-out ones."""
    folder = data_folder(dataset_path)
    pixels = read_idx(folder, "train-images-idx3-ubyte").reshape(-1, N_PIXELS).astype(np.float32) / 255
    classes = read_idx(folder, "train-labels-idx1-ubyte").astype(np.int64)
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))  # never changes
    inputs = torch.from_numpy(pixels)[order].to(device)
    targets = torch.from_numpy(classes)[order].to(device)
    n_valid = len(order) // N_PARTS
    return (inputs[n_valid:], targets[n_valid:]), (inputs[:n_valid], targets[:n_valid])


def build_model(args: argparse.Namespace) -> nn.Sequential:
    """Two hidden layers of rectified units with dropout."""
    return nn.Sequential(
        nn.Linear(N_PIXELS, args.n_units_1),
        nn.ReLU(),
        nn.Dropout(args.dropout_1),
        nn.Linear(args.n_units_1, args.n_units_2),
        nn.ReLU(),
        nn.Dropout(args.dropout_2),
        nn.Linear(args.n_units_2, N_CLASSES),
    )


def train_epoch(model: Any, training: Training, data: Any, batch_size: int) -> None:
    """See every picture once, in random order."""
    inputs, targets = data
    model.train()
    order = torch.randperm(len(targets)).to(targets.device)
    for batch in order.split(batch_size):
        with training.precision():
            loss = cross_entropy(model(inputs[batch]), targets[batch])
        training.step(loss)


def accuracy(model: Any, training: Training, data: Any) -> float:
    """Part of the pictures whose class is found."""
    inputs, targets = data
    model.eval()
    with torch.inference_mode(), training.precision():
        return int((model(inputs).argmax(1) == targets).sum()) / len(targets)


def main() -> None:
    """Train from the checkpoint, if there is one, to the last epoch."""
    args = parse_arguments()
    device = pick_device()
    train, valid = load_data(args.dataset_path, device)
    seed_epoch(args.seed, 0)
    model = build_model(args).to(device)
    optimizer = torch.optim.Adam(model.parameters(), args.learning_rate, weight_decay=args.weight_decay)
    training = Training(model, optimizer, folder=args.checkpoint_dir)
    done, values = training.resume()
    best = values.get("best", 0.0)
    report = Reporter()
    for epoch in range(done + 1, args.epochs + 1):
        seed_epoch(args.seed, epoch)
        train_epoch(model, training, train, args.batch_size)
        current = accuracy(model, training, valid)
        best = max(best, current)
        training.save(epoch, best=best)
        report(epoch=epoch, accuracy=best if args.report_current_best else current)


if __name__ == "__main__":
    main()
