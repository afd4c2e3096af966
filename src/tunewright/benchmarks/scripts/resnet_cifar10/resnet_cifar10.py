"""Train a ResNet-18 for small pictures on CIFAR-10, epoch by epoch.

A fifth of the 50,000 training pictures is held out: the others are cropped and flipped at random, the held-out ones
decide. One report an epoch: ``epoch`` and ``objective``, the accuracy on the held-out pictures. All pictures stay on
the device, so that no processes load data and a trial needs one core beside its GPU.

``--dataset_path`` is a folder for ``cifar10.npz``, which is made from the download if missing, or such a file itself: arrays
``x_train`` (n, 32, 32, 3) of bytes and ``y_train`` (n,).
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import argparse
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu
from training import Training, argument_parser, data_folder, download, make_once, pick_device, seed_epoch

from tunewright import Reporter

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
N_CLASSES = 10
SIDE = 32
PADDING = 4
VALID_FRACTION = 0.2
VALID_BATCH_SIZE = 512
MEAN = (0.4914, 0.4822, 0.4465)  # of the training pictures, per colour
DEVIATION = (0.2470, 0.2435, 0.2616)


def parse_arguments() -> argparse.Namespace:
    """Read the hyperparameters."""
    parser = argument_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight_decay", type=float, default=1e-4)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--num_gpus", type=int, default=1)
    return parser.parse_args()


# ---------------------------------------------------------------------------------------------------------------
# Data


@dataclass(frozen=True)
class Pictures:
    """Bytes (n, rows, columns, 3) and classes (n,), on the device."""

    pixels: torch.Tensor
    classes: torch.Tensor

    def batches(self, size: int, order: torch.Tensor | None = None) -> Iterator[Pictures]:
        """All pictures, in the given order or as they lie."""
        for start in range(0, len(self.classes), size):
            part = slice(start, start + size) if order is None else order[start : start + size]
            yield Pictures(self.pixels[part], self.classes[part])


def load_pictures(dataset_path: str, device: torch.device) -> tuple[Pictures, Pictures]:
    """Pictures for training, with a black margin to crop from, and the held-out ones."""
    place = Path(dataset_path)
    if place.suffix != ".npz":
        place = make_once(data_folder(dataset_path) / "cifar10.npz", convert_download)
    if not place.is_file():
        raise SystemExit(f"There is no file {place}: check --dataset_path")
    with np.load(place, allow_pickle=False) as arrays:
        pixels = torch.from_numpy(arrays["x_train"])
        classes = torch.from_numpy(arrays["y_train"].astype(np.int64))
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))  # never changes
    n_valid = int(len(order) * VALID_FRACTION)
    valid, train = order[:n_valid], order[n_valid:]
    margin = (0, 0, PADDING, PADDING, PADDING, PADDING)
    padded = nn.functional.pad(pixels[train], margin)
    return (
        Pictures(padded.to(device), classes[train].to(device)),
        Pictures(pixels[valid].to(device), classes[valid].to(device)),
    )


def convert_download(target: Path) -> None:
    """Write the arrays from the archive: records of one byte for the class and 3 x 32 x 32 for the colours."""
    archive = download(URL, target.with_name("cifar-10-binary.tar.gz"), MD5)
    with tarfile.open(archive) as tar:
        names = [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)]
        members = [tar.extractfile(name) for name in names]
        records = np.frombuffer(b"".join(member.read() for member in members if member), np.uint8)
    records = records.reshape(-1, 1 + 3 * SIDE * SIDE)
    pixels = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    with target.open("wb") as file:
        np.savez(file, x_train=pixels, y_train=records[:, 0])


def crop_and_flip(padded: torch.Tensor) -> torch.Tensor:
    """A random window of each picture, every second one mirrored."""
    n = len(padded)
    corners = torch.randint(0, 2 * PADDING + 1, (2, n, 1))
    rows, columns = corners + torch.arange(SIDE)
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    pictures = torch.arange(n)[:, None, None]
    index = (pictures, rows[:, :, None], columns[:, None, :])
    return padded[tuple(part.to(padded.device) for part in index)]


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Bytes (n, rows, columns, 3) as floats (n, 3, rows, columns) of mean 0 and deviation 1."""
    mean = torch.tensor(MEAN, device=pixels.device)
    deviation = torch.tensor(DEVIATION, device=pixels.device)
    return ((pixels / 255 - mean) / deviation).permute(0, 3, 1, 2)


# ---------------------------------------------------------------------------------------------------------------
# Model


@final
class Block(nn.Module):
    """Two convolutions and a way around them (He et al. 2016, figure 2)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(n_out)
        self.second = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(n_out)
        is_same = stride == 1 and n_in == n_out
        around = (nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        self.around = nn.Identity() if is_same else nn.Sequential(*around)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, n_in, rows, columns) -> (n, n_out, rows / stride, columns / stride)."""
        inner = relu(self.first_norm(self.first(x)))
        return relu(self.second_norm(self.second(inner)) + self.around(x))


def resnet_18(width: int) -> nn.Sequential:
    """Four stages of two blocks; the first convolution is 3 x 3 without stride, as the pictures are small."""
    stages: list[nn.Module] = []
    n_in = width
    for stage in range(4):
        n_out = width * 2**stage
        stages += [Block(n_in, n_out, 1 if stage == 0 else 2), Block(n_out, n_out, 1)]
        n_in = n_out
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, N_CLASSES)]
    stem = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*stem, *stages, *head)


def train_epoch(model: Any, training: Training, pictures: Pictures, batch_size: int) -> None:
    """See every picture once, in random order."""
    model.train()
    order = torch.randperm(len(pictures.classes)).to(pictures.classes.device)
    for batch in pictures.batches(batch_size, order):
        inputs = normalise(crop_and_flip(batch.pixels))
        with training.precision():
            loss = cross_entropy(model(inputs), batch.classes)
        training.step(loss)


def accuracy(model: Any, training: Training, pictures: Pictures) -> float:
    """Part of the pictures whose class is found."""
    model.eval()
    n_hits = 0
    with torch.inference_mode(), training.precision():
        for batch in pictures.batches(VALID_BATCH_SIZE):
            n_hits += int((model(normalise(batch.pixels)).argmax(1) == batch.classes).sum())
    return n_hits / len(pictures.classes)


def main() -> None:
    """Train from the checkpoint, if there is one, to the last epoch."""
    args = parse_arguments()
    device = pick_device()
    train, valid = load_pictures(args.dataset_path, device)
    seed_epoch(args.seed, 0)
    model = resnet_18(args.width).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), args.lr, momentum=args.momentum, weight_decay=args.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[25, 40], gamma=0.1)
    training = Training(model, optimizer, scheduler=scheduler, folder=args.checkpoint_dir)
    parallel = nn.DataParallel(model, range(args.num_gpus)) if args.num_gpus > 1 else model
    done, _ = training.resume()
    report = Reporter()
    for epoch in range(done + 1, args.epochs + 1):
        seed_epoch(args.seed, epoch)
        train_epoch(parallel, training, train, args.batch_size)
        scheduler.step()
        objective = accuracy(model, training, valid)
        training.save(epoch)
        report(epoch=epoch, objective=objective)


if __name__ == "__main__":
    main()
