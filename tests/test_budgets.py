"""Rules that protect the design: no cycles, no hidden imports, no forbidden constructions, final classes.

All of them are read from the syntax trees of ``src``. Import layers are in ``.importlinter``, types and docstrings in
``scripts/check``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("tunewright", "sagemaker_emulator")
LAYERED = ("tunewright",)
"""Packages whose own files are ordered by the layers in ``.importlinter``."""

INHERITANCE_DEPTH = 2

LAZY_LOADERS: frozenset[str] = frozenset(
    {
        "tunewright:__getattr__",
        "tunewright.cli:_load_program",
        "tunewright.cli.program:_load_maker",
        "tunewright.methods.registry:find_method",
        "tunewright.runner.__main__:main",
        "tunewright.runner.supervisor:_Supervisor._start_process",  # the server of functions, which scripts do without
        "tunewright.runner.supervisor:_Supervisor._packages",  # pip's parts, which few scripts need
    }
)
"""Functions that load a module of their own folder by its name, ``module:qualified.name``: registries and entrypoints."""

PROGRAMS: frozenset[str] = frozenset({"tunewright.cli.tuning_job"})
"""Modules that others start by name as a process of their own, which is no import."""

KNOWN_HIDDEN_IMPORTS: frozenset[str] = frozenset(
    {
        "tunewright.experiments.limits:stopping_criterion",
        "tunewright.experiments.outcome:_analysis",
        "tunewright.methods.registry:_warmed",
    }
)
"""Functions that import an own module when called although they are none of those; this set only shrinks."""

PLAIN_BASES = frozenset(
    {"ABC", "Protocol", "NamedTuple", "TypedDict", "Generic", "Enum", "IntEnum", "StrEnum", "object"}
)
"""Bases of records and enumerations: nobody inherits from these by accident."""

FORBIDDEN_CALLS = frozenset({"eval", "exec", "compile", "__import__", "os.system", "os.popen", "shelve.open"})
FORBIDDEN_MODULES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"})
PICKLING = frozenset({"tunewright.backends.local.functions", "tunewright.runner.function_server"})
"""Both ends of the pipe through which a function of a notebook goes to a child process, and nowhere else."""
RANDOM_WITHOUT_STATE = frozenset(
    {"Generator", "PCG64", "SeedSequence", "BitGenerator", "default_rng", "get_state"}
)
"""What may be used of ``numpy.random``; reading the global state (to prove that it is not touched) draws nothing."""
FORBIDDEN_WORD = re.compile(r"(^|_)study(_|$)|Study", flags=re.ASCII)


@dataclass(frozen=True, eq=False)
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


@cache
def functions() -> tuple[Function, ...]:
    """All functions and methods, nested ones too."""
    return tuple(
        Function(source, name, node)
        for source in sources()
        for name, node in _named(source.tree, "")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


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


def is_frozen_record(node: ast.ClassDef) -> bool:
    """Whether a class is a frozen dataclass."""
    return any("dataclass(frozen=True" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_classes_are_abstract_or_final() -> None:
    """A public class that is not abstract or plain is final.

    Only abstract classes have subclasses, and frozen records to which another frozen record adds fields, such as
    ``RungSettings`` and ``ASHASettings``.
    """
    bases = bases_of_all_classes()
    records = {name.rpartition(".")[2] for _, name, node in classes() if is_frozen_record(node)}
    inherited = {base for name, above in bases.items() for base in above if not {name, base} <= records}
    wrong: list[str] = []
    for source, qualified, node in classes():
        name = qualified.rpartition(".")[2]
        is_abstract = not {"ABC", "Protocol"}.isdisjoint(bases[name])
        if is_abstract or is_script(source) or is_exception(name, bases):
            continue
        is_final = "final" in {last_name(decorator) for decorator in node.decorator_list}
        says_what_it_is = is_final or is_plain(node) or name.startswith("_")
        if name in inherited or not says_what_it_is:
            wrong.append(f"{source.module}:{qualified} ({source.path}:{node.lineno})")
    assert not wrong, "neither abstract nor @final"


@cache
def modules() -> frozenset[str]:
    """Names of all own modules and packages."""
    return frozenset(source.module for source in sources())


def is_package(source: Source) -> bool:
    """Return whether a file is the ``__init__`` of a package."""
    return source.path.name == "__init__.py"


def written_imports(source: Source, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each own module in the import statements below a node, those for type checking included."""
    package = source.module.split(".") if is_package(source) else source.module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join((*above, *filter(None, [node.module])))
            if origin.split(".")[0] in OURS:
                names = {f"{origin}.{alias.name}" for alias in node.names}
                yield from ((node.lineno, name) for name in names & modules() or {origin})


def named_imports(source: Source, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each own module that is named by a string: an argument of ``import_module`` or a constant.

    An f-string counts as the package that its known start names.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and last_name(node.func) == "import_module" and node.args:
            name = known_start(source, node.args[0])
            while name and name not in modules():
                name = name.rpartition(".")[0]
            if name:
                yield node.lineno, name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            name = node.value.partition(":")[0]
            if name in modules() - PROGRAMS and not is_package(source_of(name)):
                yield node.lineno, name


def known_start(source: Source, node: ast.expr) -> str:
    """The start of a string expression that is known without running it; ``__package__`` and constants are known."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id="__package__"):
            return source.module if is_package(source) else source.module.rpartition(".")[0]
        case ast.Name(id=name):
            return constants(source).get(name, "")
        case ast.FormattedValue(value=inner):
            return known_start(source, inner)
        case ast.JoinedStr(values=values):
            text = ""
            for value in values:
                part = known_start(source, value)
                text += part
                if not part:
                    break
            return text
        case _:
            return ""


@cache
def constants(source: Source) -> dict[str, str]:
    """Strings that the module's body binds to a name."""
    found: dict[str, str] = {}
    for node in source.tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text)))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text)))
            ):
                found[name] = text
            case _:
                continue
    return found


@cache
def by_module() -> dict[str, Source]:
    """Files by the name of their module."""
    return {source.module: source for source in sources()}


def source_of(module: str) -> Source:
    """The file of a module."""
    return by_module()[module]


def test_functions_import_no_own_modules() -> None:
    """Imports stand at the head of a file; a registry loads modules of its own folder by their names."""
    found: dict[str, list[str]] = {}
    for function in functions():
        written = [name for _, name in written_imports(function.source, function.node)]
        named = [
            name
            for node in ast.walk(function.node)
            if isinstance(node, ast.Call) and last_name(node.func) == "import_module"
            for _, name in named_imports(function.source, node)
        ]
        folder = function.source.path.parent.relative_to("src").as_posix().replace("/", ".")
        if function.label in LAZY_LOADERS:
            named = [name for name in named if not f"{name}.".startswith(f"{folder}.")]
        if written or named:
            found[function.label] = [*written, *named]
    assert not {label: names for label, names in found.items() if label not in KNOWN_HIDDEN_IMPORTS}


def test_named_exceptions_exist() -> None:
    assert {function.label for function in functions()} >= LAZY_LOADERS
    assert modules() >= PROGRAMS


def is_script(source: Source) -> bool:
    """Return whether a file is a training script: run as a user would run it, never imported."""
    return ".benchmarks.scripts." in source.module


@cache
def imports() -> dict[str, frozenset[str]]:
    """Own modules that each module imports, whether by a statement or by a name in a string."""
    return {
        source.module: frozenset(
            name
            for found in (written_imports(source, source.tree), named_imports(source, source.tree))
            for _, name in found
            if name != source.module
        )
        for source in sources()
        if not is_script(source)
    }


def edges_within(package: str) -> dict[str, set[str]]:
    """Imports between the parts of a package: its sub-packages, and its own files taken together.

    Each own file of a root package is a part by itself; the order of those is that of the import layers.
    """

    def part(module: str) -> str | None:
        inside = module.removeprefix(package)
        if inside and not inside.startswith("."):
            return None
        name = f"{package}.{inside.split('.')[1]}" if inside else package
        if inside and (inside.count(".") > 1 or is_package(source_of(name))):
            return name
        return name if package in LAYERED else package

    edges: dict[str, set[str]] = {}
    for module, imported in imports().items():
        start = part(module)
        ends = {part(other) for other in imported if part(other) not in {None, start}}
        if start is not None:
            edges.setdefault(start, set()).update(end for end in ends if end is not None)
    return edges


def cycles(edges: Mapping[str, set[str]]) -> Iterator[tuple[str, ...]]:
    """Groups of parts that reach each other, sorted."""
    reached: dict[str, set[str]] = {}
    for start in edges:
        seen: set[str] = set()
        ahead = list(edges[start])
        while ahead:
            part = ahead.pop()
            if part not in seen:
                seen.add(part)
                ahead += edges.get(part, ())
        reached[start] = seen
    groups = {
        tuple(sorted(other for other in reached[part] if part in reached.get(other, ())))
        for part in edges
        if part in reached[part]
    }
    yield from sorted(groups)


def test_folders_form_no_cycles() -> None:
    """The own files of a folder use its sub-folders or are used by them, never both; so do sub-folders each other."""
    packages = [source.module for source in sources() if is_package(source)]
    found = {cycle for package in packages for cycle in cycles(edges_within(package))}
    assert not found


def test_the_detector_of_cycles_detects() -> None:
    assert list(cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}})) == [("b", "c")]
    assert not list(cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import_module('tunewright.tuner')", "tunewright.tuner"),
        ("importlib.import_module(f'{__package__}.{name}')", "tunewright"),
        ("import_module(f'tunewright.searchers.{name}')", "tunewright.searchers"),
        ("{'Tuner': 'tunewright.tuner:Tuner'}", "tunewright.tuner"),
    ],
)
def test_the_detector_of_named_imports_detects(code: str, expected: str) -> None:
    assert [name for _, name in named_imports(source_of("tunewright"), ast.parse(code))][:1] == [expected]


def test_forbidden_constructions() -> None:
    found = [
        f"{source.path}:{line} {what}"
        for source in sources()
        for line, what in forbidden(source.tree)
        if source.module not in PICKLING or not what.endswith("nothing is pickled")
    ]
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
            case ast.Call() if any(keyword.arg == "shell" for keyword in node.keywords) and not last_name(
                node.func
            ).endswith("_completion"):
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
