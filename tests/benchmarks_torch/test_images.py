"""The scripts on pictures: interrupted and resumed, on small data."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Train = Callable[..., list[dict[str, Any]]]

pytestmark = pytest.mark.slow

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
N_PICTURES = 1200


def write_idx(path: Path, array: np.ndarray) -> None:
    """Bytes in the format of MNIST."""
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(head + array.astype(np.uint8).tobytes())


@pytest.fixture
def fashion_folder(tmp_path: Path) -> Path:
    """The first pictures of Debian's dataset-fashion-mnist, or pictures whose bright stripe tells the class."""
    images, labels = DEBIAN / "train-images-idx3-ubyte.gz", DEBIAN / "train-labels-idx1-ubyte.gz"
    if images.exists():
        pixels = np.frombuffer(gzip.decompress(images.read_bytes())[16:], np.uint8).reshape(-1, 28, 28)
        classes = np.frombuffer(gzip.decompress(labels.read_bytes())[8:], np.uint8)
    else:
        rng = np.random.default_rng(0)
        classes = rng.integers(10, size=N_PICTURES)
        pixels = rng.integers(100, size=(N_PICTURES, 28, 28))
        pixels[np.arange(N_PICTURES), 2 * classes] += 100
    folder = tmp_path / "fashion"
    folder.mkdir()
    write_idx(folder / "train-images-idx3-ubyte", pixels[:N_PICTURES])
    write_idx(folder / "labels", classes[:N_PICTURES])
    packed = gzip.compress((folder / "labels").read_bytes())
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(packed)
    return folder


def test_mlp_fashionmnist(train_with_interruption: Train, fashion_folder: Path) -> None:
    """The best so far outlives the interruption as well."""
    sizes = ("--n_units_1", 8, "--n_units_2", 8, "--batch_size", 8, "--epochs", 6)
    arguments = (*sizes, "--dataset_path", fashion_folder, "--learning_rate", 0.05)
    arguments += ("--report_current_best", "True")
    reports = train_with_interruption("mlp_fashionmnist", arguments, n_epochs=6, until=3)
    best = [report["accuracy"] for report in reports]
    assert best == sorted(best)
    assert len(set(best)) < len(best)  # an epoch was worse than one before


def test_resnet_cifar10(
    train_with_interruption: Train, shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    small = tmp_path / "small.npz"
    with np.load(shared_data("cifar10_subset.npz"), allow_pickle=False) as arrays:
        chosen = np.random.default_rng(0).permutation(len(arrays["y_train"]))[:300]
        np.savez(small, x_train=arrays["x_train"][chosen], y_train=arrays["y_train"][chosen])
    sizes = ("--epochs", 3, "--width", 4, "--batch_size", 32, "--momentum", 0.9)
    arguments = (*sizes, "--lr", 0.02, "--dataset_path", small)
    reports = train_with_interruption("resnet_cifar10", arguments, n_epochs=3, until=2)
    assert max(report["objective"] for report in reports) > 0.1


def test_data_that_are_not_there_are_named(train: Train, tmp_path: Path) -> None:
    arguments = ("--dataset_path", tmp_path / "absent.npz")
    with pytest.raises(AssertionError, match=r"There is no file .*absent\.npz: check --dataset_path"):
        train("resnet_cifar10", arguments, tmp_path / "checkpoints")
