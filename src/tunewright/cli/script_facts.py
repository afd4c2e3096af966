"""Arguments, reported values and the resource of a training script, read from its text. Nothing is executed."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias, final

from tunewright.cli.hyperparameters import is_known, is_tuned, type_of
from tunewright.exceptions import SettingsError
from tunewright.metric import looks_maximised, looks_minimised
from tunewright.types import ConfigValue

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_Entries: TypeAlias = dict[str, ast.expr]
"""Keys of a mapping in the script, and the expressions of their values."""
_Value: TypeAlias = ConfigValue | list["_Value"] | dict[ConfigValue, "_Value"] | None
"""Value of a constant expression."""

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
_CONFIG_FILES: Final = frozenset({"config_json", "st_config_json_filename"})
_MARKER: Final = "[tune-metric]"
_KEY: Final = re.compile(r"""["']([A-Za-z_]\w*)["']\s*:""")
_LENGTH: Final = 9
"""Resource of a full run if the script names none."""
_DEPTH: Final = 8
"""Names that are followed to a value."""
_CONVERSIONS: Final = frozenset({"int", "float", "max", "min", "round", "abs"})
_RANGES: Final = frozenset({"range", "trange", "arange"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A hyperparameter of a script: an argument of its command line, or a key of its configuration file."""

    name: str
    type: str = ""
    """``float``, ``int``, ``bool`` or ``str``; empty if it is unknown."""
    dest: str = ""
    """Its name in the script, if that is another one."""
    default: ConfigValue | None = None
    choices: tuple[ConfigValue, ...] = ()
    is_required: bool = False
    takes_value: bool = True
    """Whether it is given as ``--name value``; a flag, a list and an argument without a name are not."""

    @property
    def is_tunable(self) -> bool:
        """Whether a range or a choice can be made for it."""
        has_values = self.type in {"float", "int", "bool"} or len(self.choices) > 1
        return self.takes_value and has_values and is_tuned(self.name)


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
        script = _Script(ast.parse(text))
    except SyntaxError as error:
        raise SettingsError(f"The script cannot be read: {error}") from None
    chosen = metric or _likeliest_metric(script.reported)
    resource = _resource(script)
    arguments = tuple(
        argument
        for argument in script.arguments.values()
        if argument.is_tunable
        and argument.name != resource.argument
        and _plain(argument.name) not in _OUR_ARGUMENTS
        and (is_known(argument.name) or not _RESOURCE.search(_plain(argument.name)))
    )
    if not arguments:
        raise SettingsError(
            "No argument to tune was found: the script takes them by add_argument('--name', type=float)"
        )
    given = {resource.argument, *(argument.name for argument in arguments)}
    return ScriptFacts(
        arguments=arguments,
        metric=chosen,
        goal=goal or ("max" if looks_maximised(chosen) else "min"),
        is_goal_certain=goal is not None or _is_usual(chosen),
        resource_attr=resource.key,
        max_resource_attr=resource.argument,
        max_resource=resource.length,
        imports=script.imports,
        is_config_json=script.is_config_json,
        missing=tuple(
            one.name
            for one in script.arguments.values()
            if one.is_required and one.name not in given and _plain(one.name) not in _OUR_ARGUMENTS
        ),
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
    is_named = loop.argument is not None and bool(_RESOURCE.search(_plain(loop.argument)))
    return (script.counted_by(loop.variable) is None, not is_named, loop.argument is None)


def _is_same_unit(key: str | None, argument: str | None) -> bool:
    """Whether a reported count may be that of an argument: ``epoch`` and ``steps`` differ."""
    return not key or not argument or all((unit in key) == (unit in argument) for unit in ("epoch", "step"))


# --- Syntax ---------------------------------------------------------------------------------------------------------------


@final
class _Script:
    """A script's syntax tree, and the facts that are read from it."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes = list(ast.walk(tree))
        self._parents = {child: node for node in self._nodes for child in ast.iter_child_nodes(node)}
        self._functions = {node.name: node for node in self._nodes if isinstance(node, _Function)}
        for node in self._nodes:
            if isinstance(node, ast.ClassDef):
                made = [part for part in node.body if isinstance(part, _Function) and part.name == "__init__"]
                self._functions.update((node.name, part) for part in made)
        self._calls = sorted((node for node in self._nodes if isinstance(node, ast.Call)), key=_position)
        self._assigned: dict[str, list[ast.expr]] = {}
        for node in self._nodes:
            for name, value in _assignments(node):
                self._assigned.setdefault(name, []).append(value)

    @cached_property
    def imports(self) -> frozenset[str]:
        """Top-level names of the imported modules."""
        names = [alias.name for node in self._nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in self._nodes if isinstance(node, ast.ImportFrom)]
        return frozenset(name.partition(".")[0] for name in names)

    # --- arguments

    @cached_property
    def is_config_json(self) -> bool:
        """Whether the script takes its configuration from a file, and nothing that is tuned from the command line."""
        arguments = list(self._command_line())
        is_taken = any(_plain(argument.name) in _CONFIG_FILES for argument in arguments)
        return is_taken and not any(argument.is_tunable for argument in arguments)

    @cached_property
    def arguments(self) -> dict[str, Argument]:
        """All arguments by their names, or all keys of the configuration file."""
        found = self._configuration() if self.is_config_json else self._command_line()
        arguments: dict[str, Argument] = {}
        for argument in found:
            arguments.setdefault(argument.name, argument)
        return arguments

    def _command_line(self) -> Iterator[Argument]:
        """Arguments of argparse's ``add_argument`` and click's ``option``."""
        for call in self._calls:
            if _leaf(call.func) not in {"add_argument", "option"}:
                continue
            names = [name for name in map(self.constant, call.args) if isinstance(name, str)]
            options = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
            long = next((name for name in names if name.startswith("--")), None)
            if long is not None:
                yield self._option(long[2:], options)
            elif names and not names[0].startswith("-"):
                yield Argument(name=names[0], is_required="nargs" not in options, takes_value=False)

    def _option(self, name: str, options: Mapping[str, ast.expr]) -> Argument:
        kind, default = options.get("type"), _config_value(self.constant(options.get("default")))
        listed = options.get("choices")
        if isinstance(kind, ast.Call) and _leaf(kind.func) == "Choice" and kind.args:
            listed, kind = kind.args[0], None  # click
        values = self.constant(listed)
        is_flag = "is_flag" in options or "/" in name
        is_flag = is_flag or ("action" in options and self.constant(options["action"]) != "store")
        is_list = "nargs" in options and self.constant(options["nargs"]) != "?"
        is_text = isinstance(kind, ast.Name) and kind.id == "bool"  # argparse: bool("False") is True
        is_text = is_text or (kind is None and isinstance(default, bool))
        return Argument(
            name=name,
            dest=str(self.constant(options.get("dest")) or _plain(name)),
            type="str" if is_text else self._type(kind, name, default),
            default=default,
            choices=tuple(one for one in values if isinstance(one, ConfigValue))
            if isinstance(values, list)
            else (),
            is_required=self.constant(options.get("required")) is True,
            takes_value=not is_flag and not is_list,
        )

    def _configuration(self) -> Iterator[Argument]:
        """Keys that are read from the loaded configuration, by name or as parameters of a function."""
        loaded = {name for name, values in self._assigned.items() if any(map(_loads_json, values))}
        reads = [
            node for node in self._nodes if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load)
        ]
        for node in sorted([*reads, *self._calls], key=_position):
            if isinstance(node, ast.Subscript):
                if _leaf(node.value) in loaded:
                    yield from self._parameter(self.constant(node.slice), None, None)
            elif isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
                if _leaf(node.func.value) in loaded:
                    yield from self._parameter(
                        self.constant(node.args[0]), None, node.args[1] if node.args[1:] else None
                    )
            elif any(keyword.arg is None and _leaf(keyword.value) in loaded for keyword in node.keywords):
                function = self._functions.get(_leaf(node.func))
                for parameter, default in () if function is None else _parameters(function):
                    yield from self._parameter(parameter.arg, parameter.annotation, default)

    def _parameter(self, name: _Value, kind: ast.expr | None, default: ast.expr | None) -> Iterator[Argument]:
        if isinstance(name, str):
            value = _config_value(self.constant(default))
            yield Argument(
                name=name, type=self._type(kind, name, value), default=value, is_required=default is None
            )

    def _type(self, kind: ast.expr | None, name: str, default: ConfigValue | None) -> str:
        """Type by the declaration, the default, a conversion in the script, or the meaning of the name."""
        declared = "" if kind is None else ast.unparse(kind).lower()
        if isinstance(kind, ast.Lambda) and "true" in declared:
            return "bool"
        for known in ("bool", "int", "float", "str"):
            if known in declared:
                return known
        if default is not None:
            return type(default).__name__
        calls = [call for call in self._calls if len(call.args) == 1 and _key(call.args[0]) == _plain(name)]
        conversions = {_leaf(call.func) for call in calls}
        return next(
            (one for one in ("float", "int") if one in conversions), type_of(name, self.imports) or ""
        )

    # --- values

    def constant(self, node: ast.expr | None, depth: int = 0) -> _Value:
        """Value of an expression of literals and of names that are assigned once; None if it is unknown."""

        def inner(part: ast.expr | None) -> _Value:
            return self.constant(part, depth + 1)

        if depth > _DEPTH:
            return None
        match node:
            case ast.Constant():
                return node.value if isinstance(node.value, ConfigValue) else None
            case ast.UnaryOp(op=ast.USub()):
                value = inner(node.operand)
                return -value if isinstance(value, int | float) else None
            case ast.BinOp():
                return _calculated(node.op, inner(node.left), inner(node.right))
            case ast.Name() | ast.Attribute():
                values = self._assigned.get(_leaf(node), [])
                return inner(values[0]) if len(values) == 1 else None
            case ast.List() | ast.Tuple() | ast.Set():
                return [inner(part) for part in node.elts]
            case ast.Dict():
                pairs = [
                    (inner(key), inner(value)) for key, value in zip(node.keys, node.values, strict=True)
                ]
                return {key: value for key, value in pairs if isinstance(key, ConfigValue)}
            case ast.Subscript():
                held, key = inner(node.value), inner(node.slice)
                return held.get(key) if isinstance(held, dict) and isinstance(key, ConfigValue) else None
            case ast.Call(func=ast.Name(id="list" | "tuple" | "sorted" as kind), args=[part]):
                value = inner(part)
                parts = list(value) if isinstance(value, list | dict) else None
                return sorted(parts, key=str) if parts and kind == "sorted" else parts
            case _:
                return None

    @cached_property
    def _stands_for(self) -> dict[str, str]:
        """Names in the script -> the argument that they stand for."""
        names = {argument.dest or name: name for name, argument in self.arguments.items()}
        bound = [(name, value) for name, values in self._assigned.items() for value in values]
        for call in self._calls:
            function = self._functions.get(_leaf(call.func))
            if function is not None:
                bound += _bound_parameters(function, call)
        for _ in range(_DEPTH):
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
        passed = [(keyword.arg, keyword.value) for call in self._calls for keyword in call.keywords]
        for node in self._nodes:
            if isinstance(node, ast.Dict):
                passed += [
                    (str(key.value), value)
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                ]
        for name, value in passed:
            if name is not None and _RESOURCE.search(name) and (argument := self._argument_in(value)):
                yield argument
        yield from (name for name in self.arguments if _RESOURCE.search(_plain(name)))

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
            for node in self._nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for one in node.names
        ]
        makers = {"Reporter", *(name for name, thing in imported if thing == "Reporter")}
        reporters = {"report", *(name for name, thing in imported if thing == "report")}
        for name, values in self._assigned.items():
            if any(isinstance(value, ast.Call) and _leaf(value.func) in makers for value in values):
                reporters.add(name)
        found: list[tuple[ast.Call, _Entries]] = []
        for call in self._calls:
            is_new = isinstance(call.func, ast.Call) and _leaf(call.func.func) in makers
            if is_new or _leaf(call.func) in reporters:
                found.append((call, self._keywords(call)))
            elif _leaf(call.func) in {"print", "write"} and self._has_marker(call):
                found.append((call, self._printed(call)))
        return found

    def _has_marker(self, call: ast.Call) -> bool:
        names = [node for node in ast.walk(call) if isinstance(node, ast.Name | ast.Attribute)]
        constants = [self.constant(node) for node in names]
        is_ours = any(_leaf(node) == "MARKER" for node in names) and "tunewright" in self.imports
        return (
            is_ours
            or _MARKER in ast.unparse(call)
            or any(isinstance(c, str) and _MARKER in c for c in constants)
        )

    def _printed(self, call: ast.Call) -> _Entries:
        entries: _Entries = {}
        for node in ast.walk(call):
            if isinstance(node, ast.Call) and _leaf(node.func) == "dumps" and node.args:
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
        if depth > _DEPTH:
            return entries
        match node:
            case ast.Dict():
                for key, value in zip(node.keys, node.values, strict=True):
                    name = None if key is None else self.constant(key)
                    entries |= self._entries(value, depth + 1) if key is None else {}
                    entries |= {name: value} if isinstance(name, str) else {}
            case ast.BinOp(op=ast.BitOr()):
                entries = self._entries(node.left, depth + 1) | self._entries(node.right, depth + 1)
            case ast.Call(func=ast.Name(id="dict")):
                entries = self._keywords(node, depth)
            case ast.Call() if _leaf(node.func) in self._functions:
                for part in ast.walk(self._functions[_leaf(node.func)]):
                    if isinstance(part, ast.Return) and part.value is not None:
                        entries |= self._entries(part.value, depth + 1)
            case ast.Name():
                for value in self._assigned.get(node.id, ()):
                    entries |= self._entries(value, depth + 1)
                entries |= self._items(node.id)
                for call in self._calls:  # **values of a function that reports
                    function = self._functions.get(_leaf(call.func))
                    if function is not None and function.args.kwarg and function.args.kwarg.arg == node.id:
                        entries |= self._keywords(call, depth)
            case _:
                pass
        return entries

    def _items(self, name: str) -> _Entries:
        """Entries of assignments ``name["key"] = value``."""
        entries: _Entries = {}
        for node in self._nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Subscript) and _leaf(target.value) == name:
                        key = self.constant(target.slice)
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

    def _around(self, node: ast.AST, seen: frozenset[str]) -> Iterator[ast.AST]:
        parent = self._parents.get(node)
        while parent is not None:
            if isinstance(parent, ast.For | ast.While | ast.Lambda):
                yield parent
            if isinstance(parent, _Function):
                calls = [call for call in self._calls if _leaf(call.func) == parent.name]
                if not calls:
                    yield parent
                for call in calls if parent.name not in seen else ():
                    yield from self._around(call, seen | {parent.name})
                return
            parent = self._parents.get(parent)

    @property
    def is_repeated(self) -> bool:
        """Whether reports are made in a loop, or in a function that a library calls."""
        return bool(self._contexts)

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
            and _leaf(node.iter.func) == "enumerate"
        ):
            target = target.elts[0]
        for call in ast.walk(node.iter):
            if isinstance(call, ast.Call) and _leaf(call.func) in _RANGES and call.args:
                start = self.constant(call.args[0]) if call.args[1:] else 0
                yield from self._ending(
                    _leaf(target), call.args[min(1, len(call.args) - 1)], is_open=bool(start)
                )
                return
        values = self.constant(node.iter)
        numbers = [value for value in values if isinstance(value, int)] if isinstance(values, list) else []
        if numbers:
            yield _Loop(_leaf(target), None, max(numbers))

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
                        for loop in self._ending(_leaf(count), end, is_open=False):
                            if self.counted_by(loop.variable) or _RESOURCE.search(
                                _plain(loop.argument or loop.variable)
                            ):
                                yield loop

    def _ending(self, variable: str, end: ast.expr, *, is_open: bool) -> Iterator[_Loop]:
        """The loop over a variable up to an end; ``is_open``: which the variable does not reach."""
        argument, number = self._argument_in(end), self.constant(end)
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
                values = self._assigned.get(_leaf(node), []) if depth < _DEPTH else []
                return _leaf(node) == variable or any(
                    self._is_shifted(one, variable, depth + 1) for one in values
                )
            case ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant()):
                return self._is_shifted(node.left, variable, depth + 1)
            case ast.BinOp(op=ast.Add(), left=ast.Constant()):
                return self._is_shifted(node.right, variable, depth + 1)
            case _:
                return False


def _assignments(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names, or last parts of dotted names, that a statement assigns."""
    match node:
        case ast.Assign():
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    yield from zip(map(_leaf, target.elts), node.value.elts, strict=False)
                elif isinstance(target, ast.Name | ast.Attribute):
                    yield _leaf(target), node.value
        case ast.AnnAssign(value=ast.expr() as value):
            yield _leaf(node.target), value
        case ast.AugAssign():
            yield _leaf(node.target), ast.BinOp(node.target, node.op, node.value)
        case ast.NamedExpr():
            yield _leaf(node.target), node.value
        case _:
            pass


def _parameters(function: _Function) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Parameters of a function with their defaults."""
    parameters = [*function.args.posonlyargs, *function.args.args]
    defaults: list[ast.expr | None] = [None] * (len(parameters) - len(function.args.defaults))
    yield from zip(parameters, [*defaults, *function.args.defaults], strict=True)
    yield from zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)


def _bound_parameters(function: _Function, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """Names of a function's parameters with the values of a call."""
    names = [parameter.arg for parameter, _ in _parameters(function)]
    yield from zip(names[names[:1] == ["self"] :], call.args, strict=False)
    yield from ((keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg)


def _mentioned(node: ast.expr, names: Mapping[str, str]) -> frozenset[str]:
    """Arguments from which an expression is calculated."""
    match node:
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return frozenset({names[key]} if (key := _key(node)) in names else ())
        case ast.BinOp():
            return _mentioned(node.left, names) | _mentioned(node.right, names)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str() as key), *_]):
            return frozenset({names[key]} if key in names else ())
        case ast.Call() if _leaf(node.func) in _CONVERSIONS:
            return frozenset[str]().union(*(_mentioned(part, names) for part in node.args))
        case _:
            return frozenset()


def _position(node: ast.expr) -> tuple[int, int]:
    return (node.lineno, node.col_offset)


def _key(node: ast.expr) -> str:
    """The last part of ``args.name`` or ``config["name"]``."""
    if isinstance(node, ast.Subscript):
        return str(node.slice.value) if isinstance(node.slice, ast.Constant) else ""
    return _leaf(node)


def _leaf(node: ast.expr) -> str:
    """A name, or the last part of a dotted one."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _loads_json(node: ast.expr) -> bool:
    calls = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
    return any(_leaf(call.func) in {"load", "loads", "load_config_json"} for call in calls)


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _config_value(value: _Value) -> ConfigValue | None:
    return value if isinstance(value, ConfigValue) else None


def _calculated(op: ast.operator, left: _Value, right: _Value) -> int | float | None:
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return None
    try:
        match op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                return left / right
            case ast.FloorDiv():
                return left // right
            case ast.Pow():
                power = math.pow(left, right)
                return (
                    int(power) if isinstance(left, int) and isinstance(right, int) and right >= 0 else power
                )
            case _:
                return None
    except (ArithmeticError, ValueError):
        return None
