"""What the training scripts share: data, random numbers, precision and checkpoints.

A benchmark names this file among its ``dependencies``, with which it lies beside the script wherever that runs.
Random numbers are a function of the seed and the epoch, so that an interrupted run needs no state of generators to
give the numbers of an undisturbed one.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import argparse
import hashlib
import os
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import torch
from filelock import FileLock

from tunewright.report import add_checkpointing_to_argparse, load_torch, save_torch

SHARED_FOLDER = "./"
"""The benchmarks' ``--dataset_path``: a folder that all trials on this machine share."""


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with what every script takes: seed, place of the data, folder of checkpoints."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--dataset_path", default=SHARED_FOLDER, help="folder of the data, downloaded if missing"
    )
    add_checkpointing_to_argparse(parser)
    return parser


def parse_bool(text: str) -> bool:
    """Read True, False, 1 or 0."""
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"must be True or False, not {text!r}")
    return words[text.lower()]


# ---------------------------------------------------------------------------------------------------------------
# Data


def data_folder(dataset_path: str) -> Path:
    """The folder of the data.

    ``./`` is the cache of the warm pool if there is one, so that the next job on that instance finds the data,
    else a folder below the user's cache.
    """
    if dataset_path != SHARED_FOLDER:
        return Path(dataset_path).expanduser()
    pool = os.environ.get("SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY")
    cache = pool or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tunewright" / "data"


def make_once(target: Path, make: Callable[[Path], object]) -> Path:
    """The file ``target``, made if it is absent: by one trial, while the others wait; whole or not at all."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not target.exists():
            partial = target.with_name(f"{target.name}.partial")
            make(partial)
            partial.replace(target)
    return target


def download(url: str, target: Path, md5: str = "") -> Path:
    """The file ``target``, downloaded if it is absent, and checked if its checksum is known."""

    def fetch(partial: Path) -> None:
        try:
            urllib.request.urlretrieve(url, partial)  # noqa: S310 - the addresses are constants
        except OSError as error:
            raise SystemExit(
                f"{url} cannot be downloaded ({error}): put the file into {target.parent}, "
                "or give the folder of the data with --dataset_path"
            ) from None
        if md5 and hashlib.md5(partial.read_bytes(), usedforsecurity=False).hexdigest() != md5:
            raise SystemExit(f"{url} gave other data than expected: download it by hand and check it")

    return make_once(target, fetch)


# ---------------------------------------------------------------------------------------------------------------
# Training


def pick_device(use_gpu: bool = True) -> torch.device:
    """The GPU, or the CPU with one core, because trials share the machine; ``OMP_NUM_THREADS`` says otherwise."""
    if use_gpu and torch.cuda.is_available():
        return torch.device("cuda")
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    return torch.device("cpu")


def seed_epoch(seed: int, epoch: int) -> None:
    """Begin the random numbers of an epoch; those of epoch 0 draw the first weights and the order of the data."""
    torch.manual_seed(1_000_003 * seed + epoch)


@final
class Training:
    """A training run that can be interrupted: steps in mixed precision, and checkpoints.

    Parameters
    ----------
    model
        On its device; on a GPU, steps are in bfloat16 if the GPU supports it, else in float16 with scaled gradients.
    optimizer
        Of the model's parameters.
    scheduler
        Of the learning rate; the script steps it.
    folder
        Of checkpoints; None: the trial's, and no checkpoints outside of tuning.
    max_norm
        Gradients are clipped to this norm; None: they are not.
    is_mixed
        Whether precision is mixed on a GPU.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        *,
        scheduler: Any = None,
        folder: str | None = None,
        max_norm: float | None = None,
        is_mixed: bool = True,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._folder = folder
        self._max_norm = max_norm
        self._device: str = next(model.parameters()).device.type
        self._is_mixed = is_mixed and self._device == "cuda"
        has_bfloat16 = self._is_mixed and torch.cuda.is_bf16_supported(including_emulation=False)
        self._dtype = torch.float16 if self._is_mixed and not has_bfloat16 else torch.bfloat16
        self._scaler = torch.amp.GradScaler(self._device, enabled=self._is_mixed and not has_bfloat16)
        parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": self._scaler}
        self._parts = {name: part for name, part in parts.items() if part is not None}

    def precision(self) -> Any:
        """The context in which models are called."""
        return torch.autocast(self._device, dtype=self._dtype, enabled=self._is_mixed)

    def step(self, loss: Any) -> None:
        """Take one step of the optimiser against the loss."""
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()
        if self._max_norm is not None:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._max_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def resume(self) -> tuple[int, Mapping[str, float]]:
        """Take over the newest checkpoint: epochs done and the values saved with it; 0 and none without one."""
        saved = load_torch(folder=self._folder)
        if saved is None:
            return 0, {}
        for name, part in self._parts.items():
            part.load_state_dict(saved.state["parts"][name])
        return saved.step, saved.state["values"]

    def save(self, epoch: int, **values: float) -> None:
        """Write the checkpoint of an epoch, whole or not at all; to be done before the epoch is reported."""
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        save_torch(epoch, {"parts": parts, "values": values}, folder=self._folder)
