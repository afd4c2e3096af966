"""Arguments and reported values of a training script, read from its text. Nothing is executed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

from tunewright.exceptions import SettingsError
from tunewright.metric import looks_maximised

_RESOURCES: Final = ("epoch", "step", "iteration", "iter", "round")
_MAX_RESOURCES: Final = (
    "epochs",
    "max_epochs",
    "num_epochs",
    "num_train_epochs",
    "steps",
    "max_steps",
    "iterations",
)
_OUR_ARGUMENTS: Final = frozenset({"checkpoint_dir", "st_checkpoint_dir", "config_json", "dataset_path"})
_OWN_KEYS: Final = re.compile(r"st_")
_PRINTED: Final = re.compile(r"\[tune-metric\]")
_KEY: Final = re.compile(r"""["']([A-Za-z_]\w*)["']\s*:""")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A command line argument of a script."""

    name: str
    type: str
    """``float``, ``int`` or ``str``."""
    default: float | int | str | None = None
    choices: tuple[float | int | str, ...] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFacts:
    """Facts about a script that an experiment needs."""

    arguments: tuple[Argument, ...]
    """Arguments that may be tuned, without ``max_resource_attr``."""
    metric: str
    goal: str
    """``min`` or ``max``, guessed from the metric's name."""
    resource_attr: str | None
    max_resource_attr: str | None
    max_resource: int | None


def read_script(text: str, *, metric: str | None = None, goal: str | None = None) -> ScriptFacts:
    """Find a script's arguments and reported values.

    Parameters
    ----------
    text
        The script.
    metric, goal
        Given by the user; None: found or guessed.

    Raises
    ------
    SettingsError
        It is not Python, has no arguments to tune, or no report was found.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise SettingsError(f"The script cannot be read: {error}") from None
    arguments = {argument.name: argument for argument in _arguments(tree)}
    keys = list(dict.fromkeys(_reported(tree)))
    resource = next((key for key in keys if key in _RESOURCES), None)
    values = [key for key in keys if key != resource]
    if metric is None and not values:
        raise SettingsError(
            "No report was found in the script: give --metric, the reported value that is tuned"
        )
    chosen = metric or values[0]
    maximum = next((arguments[name] for name in _MAX_RESOURCES if name in arguments), None)
    if resource is None:
        maximum = None
    tuned = tuple(a for a in arguments.values() if a is not maximum and a.name not in _OUR_ARGUMENTS)
    if not any(_is_tunable(argument) for argument in tuned):
        raise SettingsError(
            "No argument to tune was found: the script takes them by add_argument('--name', type=float)"
        )
    return ScriptFacts(
        arguments=tuned,
        metric=chosen,
        goal=goal or ("max" if looks_maximised(chosen) else "min"),
        resource_attr=resource,
        max_resource_attr=maximum.name if maximum else None,
        max_resource=_whole(maximum),
    )


def _is_tunable(argument: Argument) -> bool:
    return argument.type in {"float", "int"} or bool(argument.choices)


def _whole(argument: Argument | None) -> int | None:
    if argument is None:
        return None
    default = argument.default
    return int(default) if isinstance(default, int | float) and default >= 1 else 9


def _arguments(tree: ast.AST) -> Iterator[Argument]:
    """Arguments of ``add_argument`` with a name that begins with two hyphens."""
    for call in _calls(tree, "add_argument"):
        names = [
            node.value for node in call.args if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        long = next((name[2:].replace("-", "_") for name in names if name.startswith("--")), None)
        if long is None:
            continue
        options = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        kind = options.get("type")
        default = _constant(options.get("default"))
        yield Argument(
            name=long,
            type=kind.id if isinstance(kind, ast.Name) else _type_of(default),
            default=default,
            choices=_choices(options.get("choices")),
        )


def _reported(tree: ast.AST) -> Iterator[str]:
    """Keys of reports: keyword arguments of a reporter, and keys in printed lines with the marker."""
    reporters = {"report", "Reporter"} | set(_names_of_reporters(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in reporters:
            yield from (
                keyword.arg for keyword in node.keywords if keyword.arg and not _OWN_KEYS.match(keyword.arg)
            )
        if isinstance(node, ast.Call) and _name(node.func) == "print" and _PRINTED.search(ast.unparse(node)):
            yield from (key for key in _KEY.findall(ast.unparse(node)) if not _OWN_KEYS.match(key))


def _names_of_reporters(tree: ast.AST) -> Iterator[str]:
    """``name = Reporter()``."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and _name(node.value.func) == "Reporter"
        ):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _calls(tree: ast.AST, name: str) -> Sequence[ast.Call]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == name]
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _constant(node: ast.expr | None) -> float | int | str | None:
    try:
        value = None if node is None else ast.literal_eval(node)
    except ValueError:
        return None
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _choices(node: ast.expr | None) -> tuple[float | int | str, ...]:
    try:
        values = () if node is None else ast.literal_eval(node)
    except ValueError:
        return ()
    return tuple(values) if all(isinstance(value, int | float | str) for value in values) else ()


def _type_of(default: float | int | str | None) -> str:
    return type(default).__name__ if isinstance(default, int | float) else "str"
