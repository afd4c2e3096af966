"""Train a small neural network on scikit-learn's digits, epoch by epoch.

1,797 images of 8 x 8 pixels, 10 classes. A quarter of them is held out; each epoch sees every other image at its
place and shifted by one pixel in four directions. One report an epoch: ``epoch``, ``accuracy`` and ``loss`` on the
held-out images. Random numbers are a function of the seed and the epoch, and the checkpoint holds the weights and
the optimiser's state, so that an interrupted run gives the same numbers as an undisturbed one.

Runs on Python 3.9 and newer with NumPy, and scikit-learn for its images.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # trials share the machine: one core each
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # BLAS reads them when it is loaded, below

import numpy as np

from tunewright import Reporter

N_CLASSES = 10
SIDE = 8
INIT_EPOCH = 0  # the epoch whose random numbers draw the first weights
CHECKPOINT = "mlp_digits.npz"
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual values


def parse_arguments() -> argparse.Namespace:
    """Read the hyperparameters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--n_units", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--weight_decay", type=float, default=1e-4)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint_dir", type=Path, default=None)
    return parser.parse_args()


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels and classes out of scikit-learn's package, whose import would cost each trial two seconds."""
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("mlp_digits needs the digits of scikit-learn: pip install scikit-learn")
    table = np.loadtxt(
        Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz"), delimiter=","
    )
    return table[:, :-1], table[:, -1].astype(int)


def load_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images with their shifted copies, their classes, and the held-out quarter."""
    pixels, classes = read_digits()
    order = np.random.default_rng(0).permutation(len(pixels))  # the split never changes
    images = (pixels[order] / 16.0).reshape(-1, SIDE, SIDE).astype(np.float32)
    classes = classes[order]
    n_valid = len(images) // 4
    train = images[n_valid:]
    padded = np.pad(train, ((0, 0), (1, 1), (1, 1)))
    shifts = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    copies = [padded[:, y : y + SIDE, x : x + SIDE] for y, x in shifts]
    inputs = np.concatenate(copies).reshape(-1, SIDE * SIDE)
    targets = np.tile(classes[n_valid:], len(shifts))
    return inputs, targets, images[:n_valid].reshape(-1, SIDE * SIDE), classes[:n_valid]


class Network:
    """Two hidden layers of rectified units with dropout, trained by Adam with decoupled weight decay."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        sizes = (SIDE * SIDE, args.n_units, args.n_units, N_CLASSES)
        shapes = [shape for i in range(3) for shape in (sizes[i : i + 2], sizes[i + 1 : i + 2])]
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        self.flat = np.zeros(ends[-1], dtype=np.float32)
        self.mean = np.zeros_like(self.flat)
        self.square = np.zeros_like(self.flat)
        self.scratch = np.zeros_like(self.flat)
        self.n_steps = 0
        parts = np.split(self.flat, ends[:-1])
        self.weights = [parts[i].reshape(shape) for i, shape in enumerate(shapes)]  # views of flat
        rng = np.random.default_rng([args.seed, INIT_EPOCH])
        for matrix in self.weights[::2]:
            matrix[...] = rng.normal(0.0, np.sqrt(2.0 / len(matrix)), matrix.shape)

    def forward(self, inputs: np.ndarray, rng: np.random.Generator | None) -> list[np.ndarray]:
        """Activations of all layers; the last ones are log-probabilities. Without ``rng`` nothing is dropped."""
        keep = 1.0 - self.args.dropout
        layers = [inputs]
        for i in (0, 2):
            hidden = np.maximum(layers[-1] @ self.weights[i] + self.weights[i + 1], 0.0)
            if rng is not None:
                hidden *= rng.random(hidden.shape, dtype=np.float32) < keep
                hidden /= keep
            layers.append(hidden)
        logits = layers[-1] @ self.weights[4] + self.weights[5]
        logits -= logits.max(axis=1, keepdims=True)
        layers.append(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
        return layers

    def gradient(self, layers: list[np.ndarray], targets: np.ndarray) -> np.ndarray:
        """Gradient of the mean cross-entropy, in the order of the flat weights."""
        keep = 1.0 - self.args.dropout
        error = np.exp(layers[-1])
        error[np.arange(len(targets)), targets] -= 1.0
        error /= len(targets)
        parts: list[np.ndarray] = []
        for i in (4, 2, 0):
            below = layers[i // 2]
            parts = [(below.T @ error).ravel(), error.sum(axis=0), *parts]
            if i > 0:
                error = (error @ self.weights[i].T) * (below > 0.0) / keep
        return np.concatenate(parts)

    def update(self, gradient: np.ndarray) -> None:
        """One step of AdamW (Loshchilov and Hutter 2019, algorithm 2)."""
        self.n_steps += 1
        scratch = (
            self.scratch
        )  # all in place: new arrays of this size would cost more time than the arithmetic
        np.subtract(gradient, self.mean, out=scratch)
        self.mean += np.multiply(scratch, 1.0 - BETA_1, out=scratch)
        np.square(gradient, out=scratch)
        scratch -= self.square
        self.square += np.multiply(scratch, 1.0 - BETA_2, out=scratch)
        np.sqrt(self.square, out=scratch)
        scratch *= 1.0 / math.sqrt(1.0 - BETA_2**self.n_steps)
        scratch += EPSILON
        np.divide(self.mean, scratch, out=scratch)
        scratch *= self.args.learning_rate / (1.0 - BETA_1**self.n_steps)
        self.flat *= 1.0 - self.args.learning_rate * self.args.weight_decay
        self.flat -= scratch

    def train_epoch(self, inputs: np.ndarray, targets: np.ndarray, epoch: int) -> None:
        """See every training image once, in an order that seed and epoch alone decide."""
        rng = np.random.default_rng([self.args.seed, epoch])
        order = rng.permutation(len(inputs))
        for start in range(0, len(order), self.args.batch_size):
            batch = order[start : start + self.args.batch_size]
            self.update(self.gradient(self.forward(inputs[batch], rng), targets[batch]))

    def evaluate(self, inputs: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """Accuracy and mean cross-entropy."""
        log_probabilities = self.forward(inputs, None)[-1]
        hits = log_probabilities.argmax(axis=1) == targets
        return float(hits.mean()), float(-log_probabilities[np.arange(len(targets)), targets].mean())

    def save(self, path: Path, epoch: int) -> None:
        """Write the state so that a reader finds the old file or the new one, never half of one."""
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            arrays = np.stack([self.flat, self.mean, self.square])
            np.savez(file, arrays=arrays, n_steps=self.n_steps, epoch=epoch)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    def load(self, path: Path) -> int:
        """Take over a saved state; return the epoch after which it was saved."""
        with np.load(path, allow_pickle=False) as saved:
            self.flat[...], self.mean[...], self.square[...] = saved["arrays"]
            self.n_steps = int(saved["n_steps"])
            return int(saved["epoch"])


def main() -> None:
    """Train from the checkpoint, if there is one, to the last epoch."""
    args = parse_arguments()
    inputs, targets, valid_inputs, valid_targets = load_data()
    network = Network(args)
    folder = args.checkpoint_dir
    done = 0
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).exists():
            done = network.load(folder / CHECKPOINT)
    report = Reporter()
    for epoch in range(done + 1, args.epochs + 1):
        network.train_epoch(inputs, targets, epoch)
        accuracy, loss = network.evaluate(valid_inputs, valid_targets)
        if folder is not None:
            network.save(folder / CHECKPOINT, epoch)
        report(epoch=epoch, accuracy=accuracy, loss=loss)


if __name__ == "__main__":
    main()
