"""``syne_tune.utils``: arguments and checkpoints of training scripts."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunewright.report import load_torch, save_torch

from .constants import ST_CHECKPOINT_DIR, ST_CONFIG_JSON_FNAME_ARG

LoadFunction = Callable[[str], int]
"""Checkpoint folder -> resource of its checkpoint, 0 without one."""
SaveFunction = Callable[[str, int], None]
"""Saves a checkpoint of a resource in the folder."""

_TRUE = ("yes", "true", "t", "y", "1")
_FALSE = ("no", "false", "f", "n", "0")


def parse_bool(value: str | bool) -> bool:
    """The truth value of an argument.

    Raises
    ------
    ValueError
        It is neither a yes nor a no.
    """
    text = str(value).lower()
    if text not in _TRUE + _FALSE:
        raise ValueError(f"{value!r} is no truth value: say one of {', '.join(_TRUE + _FALSE)}")
    return text in _TRUE


def add_checkpointing_to_argparse(parser: ArgumentParser) -> None:
    """Add ``--st_checkpoint_dir``."""
    parser.add_argument(f"--{ST_CHECKPOINT_DIR}", type=str, help="folder for checkpoints")


def add_config_json_to_argparse(parser: ArgumentParser) -> None:
    """Add the argument that names the file of the configuration."""
    parser.add_argument(f"--{ST_CONFIG_JSON_FNAME_ARG}", "--config_json", type=str, required=True)


def load_config_json(args: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in the file that the arguments name."""
    return json.loads(Path(args[ST_CONFIG_JSON_FNAME_ARG]).read_text(encoding="utf-8"))


def resume_from_checkpointed_model(config: Mapping[str, Any], load_model_fn: LoadFunction) -> int:
    """Load the checkpoint in the folder that the configuration names; the resource that it holds, or 0."""
    folder = config.get(ST_CHECKPOINT_DIR)
    return load_model_fn(folder) if folder else 0


def checkpoint_model_at_rung_level(
    config: Mapping[str, Any], save_model_fn: SaveFunction, resource: int
) -> None:
    """Save a checkpoint in the folder that the configuration names; without one nothing happens."""
    folder = config.get(ST_CHECKPOINT_DIR)
    if folder:
        save_model_fn(folder, resource)


def pytorch_load_save_functions(
    state_dict_objects: Mapping[str, Any],
    mutable_state: dict[str, Any] | None = None,
    fname: str = "checkpoint.json",
) -> tuple[LoadFunction, SaveFunction]:
    """Functions that load and save the states of PyTorch objects, each checkpoint whole or not at all.

    Parameters
    ----------
    state_dict_objects
        Models, optimisers and schedulers by name.
    mutable_state
        Further values; updated in place when a checkpoint is loaded.
    fname
        Its stem is the name of the checkpoints' folder.
    """

    def load(folder: str) -> int:
        saved = load_torch(folder=Path(folder) / Path(fname).stem)
        if saved is None:
            return 0
        for name, state in saved.state["objects"].items():
            state_dict_objects[name].load_state_dict(state)
        if mutable_state is not None:
            mutable_state.update(saved.state["mutable"])
        return saved.step

    def save(folder: str, resource: int) -> None:
        states = {name: value.state_dict() for name, value in state_dict_objects.items()}
        state = {"objects": states, "mutable": dict(mutable_state or {})}
        save_torch(resource, state, folder=Path(folder) / Path(fname).stem)

    return load, save
