"""The budgets of the design: sizes, shapes and forbidden constructions, read from the syntax trees of ``src``."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("tunewright", "sagemaker_emulator")

LINES_OF_A_FILE = 400
LINES_OF_THE_MEDIAN_FILE = 150
LINES_OF_A_BODY = 60
LINES_WANTED_OF_A_BODY = 40
PARAMETERS = 7
INHERITANCE_DEPTH = 2

LONG_BODIES: frozenset[str] = frozenset()
"""Functions with bodies of 41 to 60 lines, ``module:qualified.name``; a handful at most, each for a reason."""

LAZY_REGISTRIES: frozenset[str] = frozenset()
"""Functions that may import a module of ours when called, ``module:qualified.name``: named registries only."""

PLAIN_BASES = frozenset(
    {"ABC", "Protocol", "NamedTuple", "TypedDict", "Generic", "Enum", "IntEnum", "StrEnum", "object"}
)
"""Bases of records and enumerations: nobody inherits from these by accident."""

FORBIDDEN_CALLS = frozenset({"eval", "exec", "compile", "__import__", "os.system", "os.popen", "shelve.open"})
FORBIDDEN_MODULES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"})
RANDOM_WITHOUT_STATE = frozenset(
    {"Generator", "PCG64", "SeedSequence", "BitGenerator", "default_rng", "get_state"}
)
"""What may be used of ``numpy.random``; reading the global state (to prove that it is not touched) draws nothing."""
FORBIDDEN_WORD = re.compile(r"(^|_)study(_|$)|Study", flags=re.ASCII)


@dataclass(frozen=True)
class Source:
    """One file of ours."""

    path: Path
    module: str
    text: str
    tree: ast.Module


@dataclass(frozen=True)
class Function:
    """One function with where it stands."""

    source: Source
    name: str
    """Qualified, as in ``Tuner.run``."""
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def label(self) -> str:
        """``module:qualified.name``."""
        return f"{self.source.module}:{self.name}"


@cache
def sources() -> tuple[Source, ...]:
    """All files of both packages."""
    found: list[Source] = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text()
        found.append(Source(path.relative_to(ROOT), module, text, ast.parse(text)))
    return tuple(found)


def functions() -> Iterator[Function]:
    """All functions and methods, nested ones too."""
    for source in sources():
        for name, node in _named(source.tree, ""):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield Function(source, name, node)


def classes() -> Iterator[tuple[Source, str, ast.ClassDef]]:
    """All classes with their qualified names."""
    for source in sources():
        for name, node in _named(source.tree, ""):
            if isinstance(node, ast.ClassDef):
                yield source, name, node


def _named(tree: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield f"{prefix}{child.name}", child
            yield from _named(child, f"{prefix}{child.name}.")
        else:
            yield from _named(child, prefix)


def body_length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    has_docstring = ast.get_docstring(node, clean=False) is not None
    body = node.body[1:] if has_docstring else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters of a call: without self and cls."""
    positional = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    is_method = bool(positional) and positional[0] in {"self", "cls"}
    return len(positional) - is_method + len(node.args.kwonlyargs)


def last_name(node: ast.expr) -> str:
    """``C`` of ``a.b.C``, ``C[T]`` and ``C(...)``."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=inner) | ast.Call(func=inner):
            return last_name(inner)
        case _:
            return ""


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of an expression that is such a path, otherwise an empty string."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute) if left := dotted(value):
            return f"{left}.{attribute}"
        case _:
            return ""


def is_ours(node: ast.AST) -> bool:
    """Whether a statement imports a module of this project."""
    match node:
        case ast.ImportFrom(level=level, module=module):
            return level > 0 or (module or "").split(".")[0] in OURS
        case ast.Import(names=names):
            return any(alias.name.split(".")[0] in OURS for alias in names)
        case _:
            return False


def test_files_are_short() -> None:
    too_long = {
        str(s.path): len(s.text.splitlines()) for s in sources() if s.text.count("\n") > LINES_OF_A_FILE
    }
    assert not too_long, f"over {LINES_OF_A_FILE} lines"


def test_the_median_file_is_short() -> None:
    lengths = [s.text.count("\n") for s in sources() if s.text.count("\n") > 1]
    assert statistics.median(lengths) <= LINES_OF_THE_MEDIAN_FILE


def test_function_bodies_are_short() -> None:
    lengths = {f"{f.label} ({f.source.path}:{f.node.lineno})": body_length(f.node) for f in functions()}
    too_long = {label: length for label, length in lengths.items() if length > LINES_OF_A_BODY}
    assert not too_long, f"bodies over {LINES_OF_A_BODY} lines"


def test_few_function_bodies_are_longer_than_wanted() -> None:
    long = {f.label: body_length(f.node) for f in functions() if body_length(f.node) > LINES_WANTED_OF_A_BODY}
    unnamed = {label: length for label, length in long.items() if label not in LONG_BODIES}
    assert not unnamed, f"bodies over {LINES_WANTED_OF_A_BODY} lines that are not in LONG_BODIES"
    assert set(long) >= LONG_BODIES, "names in LONG_BODIES that are short, or gone"


def test_functions_take_few_parameters() -> None:
    many = {f"{f.label} ({f.source.path}:{f.node.lineno})": parameters(f.node) for f in functions()}
    assert not {label: count for label, count in many.items() if count > PARAMETERS}


def test_constructors_take_no_arbitrary_keywords() -> None:
    assert not [f.label for f in functions() if f.node.name in {"__init__", "__new__"} and f.node.args.kwarg]


def bases_of_all_classes() -> dict[str, set[str]]:
    """Names of the bases by name of the class; classes of one name count as one, which errs on the strict side."""
    bases: dict[str, set[str]] = {}
    for _, name, node in classes():
        bases.setdefault(name.rpartition(".")[2], set()).update(last_name(base) for base in node.bases)
    return bases


def is_exception(name: str, bases: dict[str, set[str]]) -> bool:
    """Whether a class is an exception: their hierarchy is for ``except`` clauses, not for behaviour."""
    return any(base.endswith(("Error", "Exception", "Warning")) for base in bases.get(name, ()))


def is_plain(node: ast.ClassDef) -> bool:
    """Records, enumerations and the like: what they are is seen at their head."""
    decorators = {last_name(decorator) for decorator in node.decorator_list}
    return "dataclass" in decorators or not PLAIN_BASES.isdisjoint(last_name(base) for base in node.bases)


def test_inheritance_is_shallow() -> None:
    bases = bases_of_all_classes()

    def depth(name: str, below: frozenset[str] = frozenset()) -> int:
        above = [base for base in bases[name] if base in bases and base not in below | {name}]
        return 1 + max((depth(base, below | {name}) for base in above), default=0)

    depths = {name: depth(name) for name in bases if not is_exception(name, bases)}
    assert not {name: depth for name, depth in depths.items() if depth > INHERITANCE_DEPTH}


def test_classes_are_abstract_or_final() -> None:
    """Only abstract classes have subclasses; a public class that is not abstract or plain says that it is final."""
    bases = bases_of_all_classes()
    inherited = {base for above in bases.values() for base in above}
    wrong: list[str] = []
    for source, qualified, node in classes():
        name = qualified.rpartition(".")[2]
        is_abstract = not {"ABC", "Protocol"}.isdisjoint(bases[name])
        is_script = ".benchmarks.scripts." in source.module  # written as a user would write it
        if is_abstract or is_script or is_exception(name, bases):
            continue
        is_final = "final" in {last_name(decorator) for decorator in node.decorator_list}
        says_what_it_is = is_final or is_plain(node) or name.startswith("_")
        if name in inherited or not says_what_it_is:
            wrong.append(f"{source.module}:{qualified} ({source.path}:{node.lineno})")
    assert not wrong, "neither abstract nor @final"


def test_functions_import_nothing_of_ours() -> None:
    found = {
        f"{f.label} ({f.source.path}:{inner.lineno})"
        for f in functions()
        for inner in ast.walk(f.node)
        if is_ours(inner) and f.label not in LAZY_REGISTRIES
    }
    assert not found


def test_named_exceptions_exist() -> None:
    labels = {f.label for f in functions()}
    assert labels >= LAZY_REGISTRIES | LONG_BODIES


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.module)
def test_forbidden_constructions(source: Source) -> None:
    found = [f"{source.path}:{line} {what}" for line, what in forbidden(source.tree)]
    assert not found


def forbidden(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and description of everything that may not stand in the packages."""
    for node in ast.walk(tree):
        match node:
            case ast.Assert():
                yield node.lineno, "assert: raise one of our exceptions"
            case ast.Import(names=names):
                modules = {alias.name.split(".")[0] for alias in names} & FORBIDDEN_MODULES
                yield from ((node.lineno, f"import {module}: nothing is pickled") for module in modules)
            case ast.ImportFrom(module=module) if (module or "").split(".")[0] in FORBIDDEN_MODULES:
                yield node.lineno, f"import from {module}: nothing is pickled"
            case ast.Call() if dotted(node.func) in FORBIDDEN_CALLS:
                yield node.lineno, f"{dotted(node.func)}(): nothing read or typed is executed"
            case ast.Call() if any(keyword.arg == "shell" for keyword in node.keywords):
                yield node.lineno, "shell=...: arguments are lists"
            case ast.Attribute(attr=name) if dotted(node.value) in {"np.random", "numpy.random"}:
                if name not in RANDOM_WITHOUT_STATE:
                    yield node.lineno, f"np.random.{name}: the global generator"
            case _:
                continue


def test_the_interfaces_hold_no_loose_dictionaries() -> None:
    (interfaces,) = (s for s in sources() if s.module == "tunewright.interfaces")
    assert not re.search(r"\b[Dd]ict\[|\bAny\b|kwargs", interfaces.text)


def test_public_names_use_the_words_of_the_design() -> None:
    """What others call a study is an experiment here; modules that read others' formats may say their word privately."""
    found = [
        f"{source.module}:{name}"
        for source in sources()
        for name, _ in _named(source.tree, "")
        if FORBIDDEN_WORD.search(name.rpartition(".")[2]) and not name.rpartition(".")[2].startswith("_")
    ]
    found += [s.module for s in sources() if FORBIDDEN_WORD.search(s.module.rpartition(".")[2])]
    assert not found


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("assert x", "assert"),
        ("import pickle", "pickle"),
        ("from dill import loads", "dill"),
        ("eval('1')", "eval"),
        ("import os\nos.system('ls')", "os.system"),
        ("run('ls', shell=True)", "shell"),
        ("import numpy as np\nnp.random.seed(1)", "np.random.seed"),
    ],
)
def test_the_detector_of_forbidden_constructions_detects(code: str, what: str) -> None:
    assert any(what in text for _, text in forbidden(ast.parse(code)))


def test_the_measure_of_a_body_leaves_out_the_docstring() -> None:
    (node,) = ast.parse(
        'def f(self, a, *, b):\n    """Text.\n\n    More.\n    """\n    x = 1\n    return x\n'
    ).body
    assert isinstance(node, ast.FunctionDef)
    assert body_length(node) == 2
    assert parameters(node) == 2
