"""The metric, the resource and the tuned arguments of a training script, read from its text. Nothing is executed."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias, final

from tunewright.cli.hyperparameters import is_known
from tunewright.cli.script_arguments import (
    DEPTH,
    Argument,
    Function,
    ScriptTree,
    entry_functions,
    key_of,
    leaf,
    parameters,
    plain,
    read_arguments,
)
from tunewright.exceptions import SettingsError
from tunewright.metric import looks_maximised, looks_minimised

_Entries: TypeAlias = dict[str, ast.expr]
"""Keys of a mapping in the script, and the expressions of their values."""

_CALLBACK: Final = "TunewrightCallback"
"""Class of the callbacks in `tunewright.integrations`."""
_RESOURCE: Final = re.compile(
    r"^((max|num|n|total|train|num_train|training|boost|num_boost|boosting|current|global)_)?"
    r"(epoch|step|iter|iteration|round|timestep|tree|estimator|fold|rung)s?$",
    re.IGNORECASE,
)
"""Names of reported counts, and of arguments for the length of a full run."""
_COUNT: Final = re.compile(
    r"^[ijknt]$|(^|_)(epoch|step|iter|iteration|round|batch|fold|tree|estimator|lr|learning_rate|seed|count|sample|idx|index)"
    r"(e?s)?$",
    re.IGNORECASE,
)
"""Names of reported values that are not metrics."""
_EXPENSE: Final = re.compile(r"(^|_)(time|seconds|secs?|duration|elapsed|memory|params|size)$", re.IGNORECASE)
"""Names of metrics that are seldom tuned if there are others."""
_HELD_OUT: Final = re.compile(r"(^|_)(val|valid|validation|test|dev|eval|holdout|oof|cv)(_|$)", re.IGNORECASE)
_TRAINING: Final = re.compile(r"(^|_)(train|training|fit)(_|$)", re.IGNORECASE)
_OUR_ARGUMENTS: Final = frozenset({"checkpoint_dir", "st_checkpoint_dir", "dataset_path"})
_MARKER: Final = "[tune-metric]"
_KEY: Final = re.compile(r"""["']([A-Za-z_]\w*)["']\s*:""")
_LENGTH: Final = 9
"""Resource of a full run if the script names none."""
_CONVERSIONS: Final = frozenset({"int", "float", "max", "min", "round", "abs"})
_RANGES: Final = frozenset({"range", "trange", "arange"})
_OTHER_PARSERS: Final = ("hydra", "tyro", "jsonargparse", "absl", "docopt", "draccus")
"""Modules whose command lines are not read."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFacts:
    """Facts about a script that an experiment needs."""

    arguments: tuple[Argument, ...]
    """Arguments that may be tuned."""
    metric: str
    goal: str
    """``min`` or ``max``."""
    is_goal_certain: bool
    """Whether the user gave the goal, or the metric's name is that of a usual one."""
    resource_attr: str | None
    max_resource_attr: str | None
    max_resource: int | None
    """Resource of a full run; None if trials report once, or their end is unknown."""
    imports: frozenset[str]
    """Top-level names of the imported modules."""
    is_config_json: bool
    """Whether the script reads its configuration from ``--config_json FILE``."""
    missing: tuple[str, ...]
    """Arguments that the script requires and that have no value."""
    unread: tuple[str, ...]
    """Classes whose fields are arguments, and that the script does not define."""


def read_script(text: str, *, metric: str | None = None, goal: str | None = None) -> ScriptFacts:
    """Find a script's arguments, reported values and resource.

    Parameters
    ----------
    text
        The script.
    metric, goal
        Given by the user; None: by the names of the reported values.

    Raises
    ------
    SettingsError
        It is not Python, has no arguments to tune, or no report was found.
    """
    try:
        tree = ScriptTree(ast.parse(text))
    except SyntaxError as error:
        raise SettingsError(f"The script cannot be read: {error}") from None
    read = read_arguments(tree)
    script = _Script(tree, read.by_name)
    chosen = metric or _likeliest_metric(script.reported)
    resource = _resource(script)
    arguments = tuple(
        argument
        for argument in read.by_name.values()
        if argument.is_tunable
        and argument.name != resource.argument
        and plain(argument.name) not in _OUR_ARGUMENTS
        and (is_known(argument.name) or not _RESOURCE.search(plain(argument.name)))
    )
    if not arguments:
        raise SettingsError(_unread_text(tree.imports, read.unread))
    given = {resource.argument, *(argument.name for argument in arguments)}
    return ScriptFacts(
        arguments=arguments,
        metric=chosen,
        goal=goal or ("max" if looks_maximised(chosen) else "min"),
        is_goal_certain=goal is not None or _is_usual(chosen),
        resource_attr=resource.key,
        max_resource_attr=resource.argument,
        max_resource=resource.length,
        imports=tree.imports,
        is_config_json=read.is_config_json,
        missing=tuple(
            one.name
            for one in read.by_name.values()
            if one.is_required and one.name not in given and plain(one.name) not in _OUR_ARGUMENTS
        ),
        unread=read.unread,
    )


def _unread_text(imports: frozenset[str], unread: Sequence[str]) -> str:
    """Text of the error that no argument was found."""
    library = next((name for name in _OTHER_PARSERS if name in imports), None)
    reason = f"; arguments of {', '.join(unread)} are defined elsewhere" if unread else ""
    reason += f"; {library} is not read" if library else ""
    style = " --argument_style hydra" if library == "hydra" else ""
    return (
        "No argument to tune was found by argparse, click, typer, fire, HfArgumentParser or a file of "
        f"--config_json{reason}. Write the space by hand: tunewright tune SCRIPT --space space.toml{style}"
    )


def _is_usual(metric: str) -> bool:
    return looks_maximised(metric) or looks_minimised(metric)


def _likeliest_metric(keys: Sequence[str]) -> str:
    """The reported value that is tuned: a usual metric before others, on held-out data before training data."""

    def rank(key: str) -> tuple[bool, bool, int]:
        data = 0 if _HELD_OUT.search(key) else 2 if _TRAINING.search(key) else 1
        return (bool(_EXPENSE.search(key)), not _is_usual(key), data)

    if not keys:
        raise SettingsError(
            "No report was found in the script: give --metric, the reported value that is tuned"
        )
    values = [key for key in keys if not _COUNT.search(key)]
    if not values:
        raise SettingsError(f"No reported value looks like a metric ({', '.join(keys)}): give --metric")
    return min(values, key=rank)


# --- Resource -------------------------------------------------------------------------------------------------------------


class _Resource(NamedTuple):
    """The count in reports, the argument for a full run's one, and its value."""

    key: str | None = None
    argument: str | None = None
    length: int | None = None


class _Loop(NamedTuple):
    """A loop around a report: its variable, and the argument or the number at which it ends."""

    variable: str
    argument: str | None
    length: int | None


def _resource(script: _Script) -> _Resource:
    """The resource: of the loop around the reports, or of the library's function that calls the reporting one."""
    key = next((key for key in script.reported if _RESOURCE.search(key)), None)
    for loop in sorted(script.loops, key=lambda loop: _preference(script, loop)):
        counted = script.counted_by(loop.variable)
        if counted or _is_same_unit(key, loop.argument):
            return _Resource(counted or key, loop.argument, loop.length)
    if script.loops or (key is None and not script.is_repeated):
        return _Resource(key)
    for argument in script.lengths():
        if _is_same_unit(key, argument):
            return _Resource(key, argument, script.length(argument))
    return _Resource(key)


def _preference(script: _Script, loop: _Loop) -> tuple[bool, bool, bool]:
    """A loop whose variable is reported comes first, then one over an argument with a fitting name."""
    is_named = loop.argument is not None and bool(_RESOURCE.search(plain(loop.argument)))
    return (script.counted_by(loop.variable) is None, not is_named, loop.argument is None)


def _is_same_unit(key: str | None, argument: str | None) -> bool:
    """Whether a reported count may be that of an argument: ``epoch`` and ``steps`` differ."""
    return not key or not argument or all((unit in key) == (unit in argument) for unit in ("epoch", "step"))


# --- Loops and reports ----------------------------------------------------------------------------------------------------


@final
class _Script:
    """The reports of a script, and the loops around them."""

    def __init__(self, tree: ScriptTree, arguments: Mapping[str, Argument]) -> None:
        self._tree = tree
        self.arguments = arguments

    @cached_property
    def _stands_for(self) -> dict[str, str]:
        """Names in the script -> the argument that they stand for."""
        names = {argument.dest or name: name for name, argument in self.arguments.items()}
        bound = [(name, value) for name, values in self._tree.assigned.items() for value in values]
        for call in self._tree.calls:
            function = self._tree.functions.get(leaf(call.func))
            if function is not None:
                bound += _bound_parameters(function, call)
        for _ in range(DEPTH):
            more = {
                name: next(iter(found))
                for name, value in bound
                if len(found := _mentioned(value, names)) == 1
            }
            if names.keys() >= more.keys():
                break
            names = {**more, **names}
        return names

    def _argument_in(self, node: ast.expr) -> str | None:
        """The only argument from which an expression is calculated."""
        found = _mentioned(node, self._stands_for)
        return next(iter(found)) if len(found) == 1 else None

    def length(self, argument: str) -> int:
        """Resource of a full run by an argument's default."""
        default = self.arguments[argument].default
        return int(default) if isinstance(default, int | float) and 1 <= default < math.inf else _LENGTH

    def lengths(self) -> Iterator[str]:
        """Arguments for the length of training: passed on under such a name, then named so."""
        passed = [(keyword.arg, keyword.value) for call in self._tree.calls for keyword in call.keywords]
        for node in self._tree.nodes:
            if isinstance(node, ast.Dict):
                passed += [
                    (str(key.value), value)
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                ]
        for name, value in passed:
            if name is not None and _RESOURCE.search(name) and (argument := self._argument_in(value)):
                yield argument
        yield from (name for name in self.arguments if _RESOURCE.search(plain(name)))

    # --- reports

    @cached_property
    def reported(self) -> list[str]:
        """Keys of the reports, in the script's order."""
        keys = [key for _, entries in self._reports for key in entries]
        return [key for key in dict.fromkeys(keys) if not key.startswith("st_")]

    @cached_property
    def _reports(self) -> list[tuple[ast.Call, _Entries]]:
        """Calls of a reporter, and prints of lines with the marker."""
        imported = [
            (one.asname or one.name, one.name.rpartition(".")[2])
            for node in self._tree.nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for one in node.names
        ]
        makers = {"Reporter", *(name for name, thing in imported if thing == "Reporter")}
        reporters = {"report", *(name for name, thing in imported if thing == "report")}
        for name, values in self._tree.assigned.items():
            if any(isinstance(value, ast.Call) and leaf(value.func) in makers for value in values):
                reporters.add(name)
        found: list[tuple[ast.Call, _Entries]] = []
        for call in self._tree.calls:
            is_new = isinstance(call.func, ast.Call) and leaf(call.func.func) in makers
            if is_new or leaf(call.func) in reporters:
                found.append((call, self._keywords(call)))
            elif leaf(call.func) in {"print", "write"} and self._has_marker(call):
                found.append((call, self._printed(call)))
            elif leaf(call.func) == _CALLBACK:
                found.append((call, self._of_callback(call)))
        return found

    def _of_callback(self, call: ast.Call) -> _Entries:
        """Entries of the reports of a callback of `tunewright.integrations`."""
        metrics = next((keyword.value for keyword in call.keywords if keyword.arg == "metrics"), None)
        given = call.args[0] if call.args else metrics
        nodes = (
            given.keys
            if isinstance(given, ast.Dict)
            else given.elts
            if isinstance(given, ast.List | ast.Tuple)
            else [given]
        )
        resource = "round" if self._tree.imports & {"xgboost", "lightgbm"} else "epoch"
        names = [*(self._tree.constant(node) for node in nodes), resource]
        return {name: ast.Constant(None) for name in names if isinstance(name, str)}

    def _has_marker(self, call: ast.Call) -> bool:
        names = [node for node in ast.walk(call) if isinstance(node, ast.Name | ast.Attribute)]
        constants = [self._tree.constant(node) for node in names]
        is_ours = any(leaf(node) == "MARKER" for node in names) and "tunewright" in self._tree.imports
        return (
            is_ours
            or _MARKER in ast.unparse(call)
            or any(isinstance(c, str) and _MARKER in c for c in constants)
        )

    def _printed(self, call: ast.Call) -> _Entries:
        entries: _Entries = {}
        for node in ast.walk(call):
            if isinstance(node, ast.Call) and leaf(node.func) == "dumps" and node.args:
                entries |= self._entries(node.args[0])
        texts = [_KEY.findall(ast.unparse(part)) for part in call.args]
        return entries or {key: ast.Constant(None) for keys in texts for key in keys}

    def _keywords(self, call: ast.Call, depth: int = 0) -> _Entries:
        entries: _Entries = {}
        for keyword in call.keywords:
            entries |= (
                {keyword.arg: keyword.value} if keyword.arg else self._entries(keyword.value, depth + 1)
            )
        return entries

    def _entries(self, node: ast.expr, depth: int = 0) -> _Entries:
        """Entries of an expression for a mapping."""
        entries: _Entries = {}
        if depth > DEPTH:
            return entries
        match node:
            case ast.Dict():
                for key, value in zip(node.keys, node.values, strict=True):
                    name = None if key is None else self._tree.constant(key)
                    entries |= self._entries(value, depth + 1) if key is None else {}
                    entries |= {name: value} if isinstance(name, str) else {}
            case ast.BinOp(op=ast.BitOr()):
                entries = self._entries(node.left, depth + 1) | self._entries(node.right, depth + 1)
            case ast.Call(func=ast.Name(id="dict")):
                entries = self._keywords(node, depth)
            case ast.Call() if leaf(node.func) in self._tree.functions:
                for part in ast.walk(self._tree.functions[leaf(node.func)]):
                    if isinstance(part, ast.Return) and part.value is not None:
                        entries |= self._entries(part.value, depth + 1)
            case ast.Name():
                for value in self._tree.assigned.get(node.id, ()):
                    entries |= self._entries(value, depth + 1)
                entries |= self._items(node.id)
                for call in self._tree.calls:  # **values of a function that reports
                    function = self._tree.functions.get(leaf(call.func))
                    if function is not None and function.args.kwarg and function.args.kwarg.arg == node.id:
                        entries |= self._keywords(call, depth)
            case _:
                pass
        return entries

    def _items(self, name: str) -> _Entries:
        """Entries of assignments ``name["key"] = value``."""
        entries: _Entries = {}
        for node in self._tree.nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Subscript) and leaf(target.value) == name:
                        key = self._tree.constant(target.slice)
                        entries |= {key: node.value} if isinstance(key, str) else {}
        return entries

    # --- loops

    @cached_property
    def _contexts(self) -> list[ast.AST]:
        """Loops around reports, and functions with reports that the script does not call; outer ones first."""
        return [
            context
            for call, _ in self._reports
            for context in reversed(list(self._around(call, frozenset())))
        ]

    @cached_property
    def _program(self) -> frozenset[str]:
        return frozenset(function.name for function in entry_functions(self._tree))

    def _around(self, node: ast.AST, seen: frozenset[str]) -> Iterator[ast.AST]:
        parent = self._tree.parents.get(node)
        while parent is not None:
            if isinstance(parent, ast.For | ast.While | ast.Lambda):
                yield parent
            if isinstance(parent, Function):
                calls = [call for call in self._tree.calls if leaf(call.func) == parent.name]
                if not calls and parent.name not in self._program:
                    yield parent
                for call in calls if parent.name not in seen else ():
                    yield from self._around(call, seen | {parent.name})
                return
            parent = self._tree.parents.get(parent)

    @property
    def is_repeated(self) -> bool:
        """Whether reports are made in a loop, or in a function or an object that a library calls."""
        return bool(self._contexts) or any(leaf(call.func) == _CALLBACK for call, _ in self._reports)

    @cached_property
    def loops(self) -> list[_Loop]:
        """The loops around reports whose end is known, outer ones first."""
        found: list[_Loop] = []
        for node in self._contexts:
            if isinstance(node, ast.For):
                found += self._for(node)
            elif isinstance(node, ast.While):
                found += self._while(node)
        return list(dict.fromkeys(found))

    def _for(self, node: ast.For) -> Iterator[_Loop]:
        target = node.target
        if (
            isinstance(target, ast.Tuple)
            and isinstance(node.iter, ast.Call)
            and leaf(node.iter.func) == "enumerate"
        ):
            target = target.elts[0]
        for call in ast.walk(node.iter):
            if isinstance(call, ast.Call) and leaf(call.func) in _RANGES and call.args:
                start = self._tree.constant(call.args[0]) if call.args[1:] else 0
                yield from self._ending(
                    leaf(target), call.args[min(1, len(call.args) - 1)], is_open=bool(start)
                )
                return
        values = self._tree.constant(node.iter)
        numbers = [value for value in values if isinstance(value, int)] if isinstance(values, list) else []
        if numbers:
            yield _Loop(leaf(target), None, max(numbers))

    def _while(self, node: ast.While) -> Iterator[_Loop]:
        """A loop that ends by its condition, or by a condition with a break."""
        breaks = [
            part
            for part in ast.walk(node)
            if isinstance(part, ast.If) and isinstance(part.body[-1], ast.Break)
        ]
        for test in (node.test, *(part.test for part in breaks)):
            for part in ast.walk(test):
                if isinstance(part, ast.Compare):
                    for count, end in ((part.left, part.comparators[0]), (part.comparators[0], part.left)):
                        for loop in self._ending(leaf(count), end, is_open=False):
                            if self.counted_by(loop.variable) or _RESOURCE.search(
                                plain(loop.argument or loop.variable)
                            ):
                                yield loop

    def _ending(self, variable: str, end: ast.expr, *, is_open: bool) -> Iterator[_Loop]:
        """The loop over a variable up to an end; ``is_open``: which the variable does not reach."""
        argument, number = self._argument_in(end), self._tree.constant(end)
        if argument is not None:
            if self.arguments[argument].type in {"int", ""}:
                yield _Loop(variable, argument, self.length(argument))
        elif isinstance(number, int) and number - is_open >= 1:
            yield _Loop(variable, None, number - is_open)

    def counted_by(self, variable: str) -> str | None:
        """The reported key whose value is a loop's variable, possibly shifted."""
        if not variable:
            return None
        for _, entries in self._reports:
            for key, value in entries.items():
                if not _is_usual(key) and self._is_shifted(value, variable):
                    return key
        return None

    def _is_shifted(self, node: ast.expr, variable: str, depth: int = 0) -> bool:
        match node:
            case ast.Name() | ast.Attribute():
                values = self._tree.assigned.get(leaf(node), []) if depth < DEPTH else []
                return leaf(node) == variable or any(
                    self._is_shifted(one, variable, depth + 1) for one in values
                )
            case ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant()):
                return self._is_shifted(node.left, variable, depth + 1)
            case ast.BinOp(op=ast.Add(), left=ast.Constant()):
                return self._is_shifted(node.right, variable, depth + 1)
            case _:
                return False


def _bound_parameters(function: Function, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """Names of a function's parameters with the values of a call."""
    names = [parameter.arg for parameter, _ in parameters(function)]
    yield from zip(names[names[:1] == ["self"] :], call.args, strict=False)
    yield from ((keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg)


def _mentioned(node: ast.expr, names: Mapping[str, str]) -> frozenset[str]:
    """Arguments from which an expression is calculated."""
    match node:
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return frozenset({names[key]} if (key := key_of(node)) in names else ())
        case ast.BinOp():
            return _mentioned(node.left, names) | _mentioned(node.right, names)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str() as key), *_]):
            return frozenset({names[key]} if key in names else ())
        case ast.Call() if leaf(node.func) in _CONVERSIONS:
            return frozenset[str]().union(*(_mentioned(part, names) for part in node.args))
        case _:
            return frozenset()
