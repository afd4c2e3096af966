"""Arguments of a training script, and the values of its expressions, read from its text. Nothing is executed."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias, final

from tunewright.cli.hyperparameters import is_tuned, type_of
from tunewright.types import ConfigValue

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Value: TypeAlias = ConfigValue | list["Value"] | dict[ConfigValue, "Value"] | None
"""Value of a constant expression."""

DEPTH: Final = 8
"""Names that are followed to a value."""
_CONFIG_FILES: Final = frozenset({"config_json", "st_config_json_filename"})
_DATACLASS_PARSERS: Final = frozenset({"HfArgumentParser", "add_arguments"})
"""Calls that make arguments of the fields of dataclasses: of Transformers, and of simple-parsing."""


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
class ScriptTree:
    """A script's syntax tree: its nodes, calls, functions, classes and assignments."""

    def __init__(self, tree: ast.Module) -> None:
        self.nodes = list(ast.walk(tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.functions = {node.name: node for node in self.nodes if isinstance(node, Function)}
        self.classes = {node.name: node for node in self.nodes if isinstance(node, ast.ClassDef)}
        for name, node in self.classes.items():
            made = [part for part in node.body if isinstance(part, Function) and part.name == "__init__"]
            self.functions.update((name, part) for part in made)
        self.calls = sorted((node for node in self.nodes if isinstance(node, ast.Call)), key=position)
        self.assigned: dict[str, list[ast.expr]] = {}
        for node in self.nodes:
            for name, value in _assignments(node):
                self.assigned.setdefault(name, []).append(value)

    @cached_property
    def imports(self) -> frozenset[str]:
        """Top-level names of the imported modules."""
        names = [alias.name for node in self.nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in self.nodes if isinstance(node, ast.ImportFrom)]
        return frozenset(name.partition(".")[0] for name in names)

    def constant(self, node: ast.expr | None, depth: int = 0) -> Value:
        """Value of an expression of literals and of names that are assigned once; None if it is unknown."""

        def inner(part: ast.expr | None) -> Value:
            return self.constant(part, depth + 1)

        if depth > DEPTH:
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
                values = self.assigned.get(leaf(node), [])
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


# --- styles of command lines


class ScriptArguments(NamedTuple):
    """The arguments of a script by their names."""

    by_name: Mapping[str, Argument]
    is_config_json: bool
    """They are the keys of the file of ``--config_json``."""
    unread: tuple[str, ...]
    """Classes of arguments that the script does not define."""


def read_arguments(tree: ScriptTree) -> ScriptArguments:
    """Find the arguments of a command line, or the keys of the configuration file if nothing else is tuned."""
    found = [*_options(tree), *_typer_options(tree), *_fire_options(tree)]
    unread: list[str] = []
    for name, is_parsed in _dataclasses(tree):
        if name in tree.classes:
            found += _fields(tree, name, is_parsed=is_parsed)
        elif name[:1].isupper():
            unread.append(name)
    is_taken = any(plain(argument.name) in _CONFIG_FILES for argument in found)
    is_config_json = is_taken and not any(argument.is_tunable for argument in found)
    by_name: dict[str, Argument] = {}
    for argument in _configuration(tree) if is_config_json else found:
        by_name.setdefault(argument.name, argument)
    return ScriptArguments(by_name, is_config_json, tuple(unread))


def _options(tree: ScriptTree) -> Iterator[Argument]:
    """Arguments of argparse's ``add_argument`` and click's ``option``."""
    for call in tree.calls:
        if leaf(call.func) not in {"add_argument", "option"}:
            continue
        names = [name for name in map(tree.constant, call.args) if isinstance(name, str)]
        options = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        long = next((name for name in names if name.startswith("--")), None)
        if long is not None:
            yield _option(tree, long[2:], options)
        elif names and not names[0].startswith("-"):
            yield Argument(name=names[0], is_required="nargs" not in options, takes_value=False)


def _option(tree: ScriptTree, name: str, options: Mapping[str, ast.expr]) -> Argument:
    kind, default = options.get("type"), _config_value(tree.constant(options.get("default")))
    listed = options.get("choices")
    if isinstance(kind, ast.Call) and leaf(kind.func) == "Choice" and kind.args:
        listed, kind = kind.args[0], None  # click
    values = tree.constant(listed)
    is_flag = "is_flag" in options or "/" in name
    is_flag = is_flag or ("action" in options and tree.constant(options["action"]) != "store")
    is_list = "nargs" in options and tree.constant(options["nargs"]) != "?"
    is_text = isinstance(kind, ast.Name) and kind.id == "bool"  # argparse: bool("False") is True
    is_text = is_text or (kind is None and isinstance(default, bool))
    return Argument(
        name=name,
        dest=str(tree.constant(options.get("dest")) or plain(name)),
        type="str" if is_text else _type(tree, kind, name, default),
        default=default,
        choices=tuple(one for one in values if isinstance(one, ConfigValue))
        if isinstance(values, list)
        else (),
        is_required=tree.constant(options.get("required")) is True,
        takes_value=not is_flag and not is_list,
    )


def entry_functions(tree: ScriptTree) -> list[Function]:
    """Functions that click, typer or fire calls with the command line: ``@command()``, ``run(main)``, ``Fire(main)``."""
    given = {leaf(call.args[0]) for call in tree.calls if leaf(call.func) in {"run", "Fire"} and call.args}
    return [
        function
        for name, function in tree.functions.items()
        if (name in given and name not in tree.classes)
        or any(leaf(getattr(one, "func", one)) == "command" for one in function.decorator_list)
    ]


def _typer_options(tree: ScriptTree) -> Iterator[Argument]:
    """Parameters of the only command of typer: ``typer.run(main)`` or ``@app.command()``."""
    commands = entry_functions(tree) if "typer" in tree.imports else []
    for parameter, default in parameters(commands[0]) if len(commands) == 1 else ():
        yield _typer_option(tree, parameter, default)


def _typer_option(tree: ScriptTree, parameter: ast.arg, default: ast.expr | None) -> Argument:
    match parameter.annotation:
        case ast.Subscript(slice=ast.Tuple(elts=[kind, settings, *_])) as whole if (
            leaf(whole.value) == "Annotated"
        ):
            pass
        case kind:
            settings = default
    if not isinstance(settings, ast.Call) or leaf(settings.func) not in {"Option", "Argument"}:
        settings = None
    if settings is not None and settings is default:
        given = {keyword.arg: keyword.value for keyword in settings.keywords}
        default = settings.args[0] if settings.args else given.get("default")
        default = None if isinstance(default, ast.Constant) and default.value is ... else default
    if default is None if settings is None else leaf(settings.func) == "Argument":
        return Argument(name=parameter.arg, is_required=default is None, takes_value=False)
    texts = [] if settings is None else [tree.constant(text) for text in settings.args]
    names = [text[2:] for text in texts if isinstance(text, str) and text.startswith("--")]
    name = names[0] if names else parameter.arg.replace("_", "-")
    return _declared(tree, name, parameter.arg, kind, default, is_flag=True)


def _fire_options(tree: ScriptTree) -> Iterator[Argument]:
    """Parameters of the function that ``fire.Fire`` calls."""
    commands = entry_functions(tree) if "fire" in tree.imports else []
    for parameter, default in parameters(commands[0]) if len(commands) == 1 else ():
        yield _declared(tree, parameter.arg, parameter.arg, parameter.annotation, default)


def _dataclasses(tree: ScriptTree) -> Iterator[tuple[str, bool]]:
    """Classes whose fields are arguments, and whether a parser reads their annotations.

    Otherwise the script calls ``add_argument`` for each of ``dataclasses.fields(Class)``.
    """
    adds = [call for call in tree.calls if leaf(call.func) == "add_argument" and call.args]
    is_by_hand = any(tree.constant(call.args[0]) is None for call in adds)
    for call in tree.calls:
        given = [
            *call.args,
            *(keyword.value for keyword in call.keywords if keyword.arg == "dataclass_types"),
        ]
        if given and leaf(call.func) in _DATACLASS_PARSERS:
            classes = given[0].elts if isinstance(given[0], ast.Tuple | ast.List) else given[:1]
            yield from ((name, True) for name in map(leaf, classes) if name)
        elif given and leaf(call.func) == "fields" and is_by_hand and leaf(given[0]) in tree.classes:
            yield leaf(given[0]), False


def _fields(tree: ScriptTree, name: str, *, is_parsed: bool) -> Iterator[Argument]:
    """Fields of a dataclass and of its bases in the script."""
    names = [name]
    for one in names:  # grows
        bases = map(leaf, tree.classes[one].bases)
        names += [base for base in bases if base in tree.classes and base not in names]
    for node in (node for one in reversed(names) for node in tree.classes[one].body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            field, default, kind = node.target.id, node.value, node.annotation
            if isinstance(default, ast.Call) and leaf(default.func) in {"field", "HfArg"}:
                given = {keyword.arg: keyword.value for keyword in default.keywords}
                default = given.get("default", given.get("default_factory"))
            if not is_parsed and ast.unparse(kind) == "bool":
                kind = ast.Name("str")  # argparse: bool("False") is True
            yield _declared(tree, field, field, kind, default)


def _declared(
    tree: ScriptTree,
    name: str,
    dest: str,
    kind: ast.expr | None,
    default: ast.expr | None,
    *,
    is_flag: bool = False,
) -> Argument:
    """An argument by an annotation and a default; ``is_flag``: a boolean takes no value."""
    value, choices = _config_value(tree.constant(default)), _annotated_choices(tree, kind)
    type_ = "" if choices else _type(tree, kind, name, value)
    is_list = kind is not None and ast.unparse(kind).lower().startswith(("list[", "tuple[", "typing.list["))
    return Argument(
        name=name,
        dest=dest,
        type=type_,
        default=value,
        choices=choices,
        is_required=default is None,
        takes_value=not is_list and not (is_flag and type_ == "bool"),
    )


def _annotated_choices(tree: ScriptTree, kind: ast.expr | None) -> tuple[ConfigValue, ...]:
    """Values of ``Literal[...]``, or of an enumeration of the script."""
    values: list[ast.expr] = []
    if isinstance(kind, ast.Subscript) and leaf(kind.value) == "Literal":
        values = kind.slice.elts if isinstance(kind.slice, ast.Tuple) else [kind.slice]
    elif kind is not None and leaf(kind) in tree.classes:
        found = tree.classes[leaf(kind)]
        if any(leaf(base).endswith("Enum") for base in found.bases):
            values = [node.value for node in found.body if isinstance(node, ast.Assign)]
    constants = [tree.constant(value) for value in values]
    return tuple(value for value in constants if isinstance(value, ConfigValue))


# --- configuration files


def _configuration(tree: ScriptTree) -> Iterator[Argument]:
    """Keys that are read from the loaded configuration, by name or as parameters of a function."""
    loaded = {name for name, values in tree.assigned.items() if any(map(_loads_json, values))}
    reads = [
        node for node in tree.nodes if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load)
    ]
    for node in sorted([*reads, *tree.calls], key=position):
        if isinstance(node, ast.Subscript):
            if leaf(node.value) in loaded:
                yield from _parameter(tree, tree.constant(node.slice), None, None)
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
            if leaf(node.func.value) in loaded:
                yield from _parameter(
                    tree, tree.constant(node.args[0]), None, node.args[1] if node.args[1:] else None
                )
        elif any(keyword.arg is None and leaf(keyword.value) in loaded for keyword in node.keywords):
            function = tree.functions.get(leaf(node.func))
            for parameter, default in () if function is None else parameters(function):
                yield from _parameter(tree, parameter.arg, parameter.annotation, default)


def _parameter(
    tree: ScriptTree, name: Value, kind: ast.expr | None, default: ast.expr | None
) -> Iterator[Argument]:
    if isinstance(name, str):
        value = _config_value(tree.constant(default))
        yield Argument(
            name=name, type=_type(tree, kind, name, value), default=value, is_required=default is None
        )


def _type(tree: ScriptTree, kind: ast.expr | None, name: str, default: ConfigValue | None) -> str:
    """Type by the declaration, the default, a conversion in the script, or the meaning of the name."""
    declared = "" if kind is None else ast.unparse(kind).lower()
    if isinstance(kind, ast.Lambda) and "true" in declared:
        return "bool"
    for known in ("bool", "int", "float", "str"):
        if known in declared:
            return known
    if default is not None:
        return type(default).__name__
    calls = [call for call in tree.calls if len(call.args) == 1 and key_of(call.args[0]) == plain(name)]
    conversions = {leaf(call.func) for call in calls}
    return next((one for one in ("float", "int") if one in conversions), type_of(name, tree.imports) or "")


# --- syntax


def _assignments(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names, or last parts of dotted names, that a statement assigns."""
    match node:
        case ast.Assign():
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    yield from zip(map(leaf, target.elts), node.value.elts, strict=False)
                elif isinstance(target, ast.Name | ast.Attribute):
                    yield leaf(target), node.value
        case ast.AnnAssign(value=ast.expr() as value):
            yield leaf(node.target), value
        case ast.AugAssign():
            yield leaf(node.target), ast.BinOp(node.target, node.op, node.value)
        case ast.NamedExpr():
            yield leaf(node.target), node.value
        case _:
            pass


def parameters(function: Function) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Parameters of a function with their defaults."""
    parameters = [*function.args.posonlyargs, *function.args.args]
    defaults: list[ast.expr | None] = [None] * (len(parameters) - len(function.args.defaults))
    yield from zip(parameters, [*defaults, *function.args.defaults], strict=True)
    yield from zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)


def position(node: ast.expr) -> tuple[int, int]:
    """Line and column, to sort by."""
    return (node.lineno, node.col_offset)


def key_of(node: ast.expr) -> str:
    """The last part of ``args.name`` or ``config["name"]``."""
    if isinstance(node, ast.Subscript):
        return str(node.slice.value) if isinstance(node.slice, ast.Constant) else ""
    return leaf(node)


def leaf(node: ast.expr) -> str:
    """A name, or the last part of a dotted one."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _loads_json(node: ast.expr) -> bool:
    calls = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
    return any(leaf(call.func) in {"load", "loads", "load_config_json"} for call in calls)


def plain(name: str) -> str:
    """A name with underscores for hyphens."""
    return name.replace("-", "_")


def _config_value(value: Value) -> ConfigValue | None:
    return value if isinstance(value, ConfigValue) else None


def _calculated(op: ast.operator, left: Value, right: Value) -> int | float | None:
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
