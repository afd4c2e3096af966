"""The command line of a user's script."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from .order import AS_CONFIG_JSON, AS_FLAG, RunOrder
from .place import entry

_SYNE_TUNE = re.compile(r"^\s*(?:from|import)\s+syne_tune\b", re.MULTILINE)
_CHECKPOINT_OPTIONS = ("--checkpoint_dir", "--checkpoint-dir", "--st_checkpoint_dir")


def build_command(order: RunOrder) -> list[str]:
    """What starts the script: a list, never a shell's line, so that values may hold blanks and quotes."""
    interpreter = order.interpreter or sys.executable
    if order.function:
        return [interpreter, *entry(), "call", order.function, order.config_file]
    script = Path(order.cwd, order.script).absolute()
    start = [interpreter, str(script)] if script.suffix == ".py" else [str(script)]
    text = script.read_text(encoding="utf-8", errors="replace")
    return [*start, *_hyperparameters(order, text), *_checkpoint_arguments(order, text)]


def _hyperparameters(order: RunOrder, text: str) -> list[str]:
    if order.arguments == AS_CONFIG_JSON:
        option = "--st_config_json_filename" if _SYNE_TUNE.search(text) else "--config_json"
        return [option, order.config_file]
    arguments: list[str] = []
    for name, value in order.config.items():
        arguments += _argument(name, value, as_flag=order.booleans == AS_FLAG)
    return arguments


def _argument(name: str, value: Any, *, as_flag: bool) -> list[str]:
    if as_flag and isinstance(value, bool):
        return [f"--{name}"] if value else []
    text = str(value)
    # argparse would take "-1e-05" for an option of its own
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def _checkpoint_arguments(order: RunOrder, text: str) -> list[str]:
    """The checkpoint folder as an argument, under the names that the script's text holds."""
    wanted = [option for option in _CHECKPOINT_OPTIONS if re.search(rf"{option}\b", text)]
    if _SYNE_TUNE.search(text) and "--st_checkpoint_dir" not in wanted:
        wanted.append("--st_checkpoint_dir")
    arguments: list[str] = []
    for option in wanted:
        if option[2:] not in order.config:
            arguments += [option, order.checkpoint_dir]
    return arguments
