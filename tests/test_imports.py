"""What importing costs and who imports what: every module, in fresh interpreters and by reading the syntax trees."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent / "src"
HEAVY = (
    "numpy",
    "scipy",
    "boto3",
    "botocore",
    "moto",
    "pandas",
    "matplotlib",
    "torch",
    "sklearn",
    "rich",
    "cyclopts",
)

TRIAL_SIDE = (
    "tunewright/__init__.py",
    "tunewright/report.py",
    "tunewright/compat",
    "tunewright/integrations",
    "tunewright/runner",
)
"""What travels into a job or onto a trial's path: standard library only, Python 3.9."""

OWN_IMPORTER = {
    "cyclopts": ("tunewright/cli", "sagemaker_emulator"),
    "boto3": ("tunewright/aws", "sagemaker_emulator", "tunewright/runner"),
    "botocore": ("tunewright/aws", "sagemaker_emulator", "tunewright/runner"),
    "moto": ("sagemaker_emulator",),
    "jinja2": ("tunewright/analysis",),
    "matplotlib": ("tunewright/analysis",),
    "pandas": ("tunewright/analysis",),
    "torch": ("tunewright/benchmarks/scripts",),
}
"""Optional packages and the only places that import them (the runner takes the boto3 that a job's image has)."""


def files(place: str = "") -> list[Path]:
    """All files of both packages, or those at one place, relative to ``src``."""
    root = SRC / place
    found = root.rglob("*.py") if root.is_dir() else [root] if root.exists() else []
    return sorted(path.relative_to(SRC) for path in found)


def module_of(path: Path) -> str:
    """``a.b`` of ``a/b.py`` and ``a/b/__init__.py``."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and absolute name of all that a file imports, wherever in the file, but for type checking."""
    tree = ast.parse((SRC / path).read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    return tuple(_imports_in(tree, path, for_types))


def _imports_in(tree: ast.Module, path: Path, left_out: set[int]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.parent.parts[: len(path.parent.parts) - node.level + 1] if node.level else ()
            yield node.lineno, ".".join((*package, *filter(None, [node.module])))


def is_script(path: Path) -> bool:
    """Training scripts are run, not imported: they bring packages of their own and have dashes in their folders."""
    return "benchmarks/scripts" in path.as_posix()


def is_callback(path: Path) -> bool:
    """Whether a file is the callback of a framework, which is imported with it."""
    return path.parent.name == "integrations" and path.name != "__init__.py"


def is_standard(module: str) -> bool:
    """Whether a module comes with Python."""
    return module.split(".", maxsplit=1)[0] in sys.stdlib_module_names


def test_every_module_imports() -> None:
    for path in files():
        if path.name != "__main__.py" and not is_script(path) and not is_callback(path):
            importlib.import_module(module_of(path))


def loaded_by(*arguments: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded at its end."""
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s*(\S+)$", done.stderr, flags=re.MULTILINE)
    return {name.split(".")[0] for name in names}


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("-c", "import tunewright")
    assert "tunewright" in loaded
    assert not loaded.intersection(HEAVY)


def test_the_reporter_of_training_scripts_loads_nothing_heavy() -> None:
    assert not loaded_by("-c", "from tunewright import Reporter").intersection(HEAVY)


def test_the_help_of_the_command_line_loads_no_service_and_no_numerics() -> None:
    loaded = loaded_by(str(Path(sys.executable).with_name("tunewright")), "--help")
    assert not loaded.intersection(
        {"boto3", "botocore", "scipy", "moto", "pandas", "matplotlib", "torch", "sklearn"}
    )


def test_starting_the_command_line_does_not_load_scipy_stats() -> None:
    code = (
        "import sys, tunewright.cli, tunewright.tuner, tunewright.space; print('scipy.stats' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("package", OWN_IMPORTER)
def test_an_optional_package_has_one_importer(package: str) -> None:
    found = [
        f"{path}:{line}"
        for path in files()
        for line, name in imports(path)
        if name.split(".")[0] == package and not path.as_posix().startswith(OWN_IMPORTER[package])
    ]
    assert not found, f"{package} is imported outside {OWN_IMPORTER[package]}"


@pytest.mark.parametrize("place", TRIAL_SIDE)
def test_what_travels_into_jobs_needs_the_standard_library_only(place: str) -> None:
    assert files(place), f"{place} is gone"
    ours = ("report", "compat", "integrations", "runner")
    allowed = (*(f"tunewright.{name}" for name in ours), "boto3", "botocore")
    found = [
        f"{path}:{line} {name}"
        for path in files(place)
        for line, name in imports(path)
        if not is_standard(name) and not f"{name}.".startswith(tuple(f"{own}." for own in allowed))
    ]
    assert not found


@pytest.mark.parametrize("place", TRIAL_SIDE)
def test_what_travels_into_jobs_is_python_3_9(place: str) -> None:
    for path in files(place):
        ast.parse((SRC / path).read_text(), filename=str(path), feature_version=(3, 9))


def test_nothing_inside_imports_the_root_package() -> None:
    found = [
        f"{path}:{line}"
        for path in files("tunewright")
        for line, name in imports(path)
        if name == "tunewright" and not is_script(path)
    ]
    assert not found, "import the module that defines the name"


def test_the_package_of_backends_is_empty() -> None:
    """Its children are layers of their own, so that it must not tie them together."""
    tree = ast.parse((SRC / "tunewright" / "backends" / "__init__.py").read_text())
    assert all(isinstance(node, ast.Expr) for node in tree.body)


def test_the_emulator_and_the_library_do_not_know_each_other() -> None:
    found = [
        f"{path}:{line} {name}"
        for path in files()
        for line, name in imports(path)
        if name.split(".")[0] in {"tunewright", "sagemaker_emulator"} - {path.parts[0]}
    ]
    assert not found
