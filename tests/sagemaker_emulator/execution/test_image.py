"""Environments of images: what an image lacks cannot be imported, whatever is installed here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sagemaker_emulator.execution import IMAGE_PACKAGES, ExecutionSettings, image_python, read_packages


def can_import(python: Path, module: str) -> bool:
    done = subprocess.run([python, "-c", f"import {module}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "ModuleNotFoundError" in done.stderr
    return done.returncode == 0


def test_only_listed_packages_can_be_imported(tmp_path: Path) -> None:
    """boto3 does not bring along what it depends on: the list is that of the whole image."""
    python = image_python(["Typing.Extensions", "SIX", "not-installed-here", "pyyaml"], tmp_path)
    assert [name for name in ("typing_extensions", "yaml", "json") if can_import(python, name)] == [
        "typing_extensions",
        "yaml",
        "json",
    ]
    assert not any(can_import(python, name) for name in ("cyclopts", "tunewright", "moto", "numpy", "pip"))
    again = image_python(["six", "typing_extensions", "PyYAML"], tmp_path)
    assert again == python
    assert image_python(["six"], tmp_path) != python
    assert len(list(tmp_path.iterdir())) == 2


def test_the_default_image_has_what_a_runner_needs_and_no_more(tmp_path: Path) -> None:
    names = read_packages(IMAGE_PACKAGES)
    assert {"boto3", "numpy", "torch", "scikit-learn", "packaging"} <= set(names)
    assert not {"tunewright", "moto", "cyclopts", "optuna", "polars"} & set(names)
    python = image_python(names, tmp_path)
    assert can_import(python, "boto3, numpy")
    assert not can_import(python, "tunewright")


def test_lists_of_packages(tmp_path: Path) -> None:
    path = tmp_path / "packages.txt"
    path.write_text("# of my image\nnumpy==2.1.0\n\nscikit-learn  # for metrics\n")
    assert read_packages(path) == ("numpy", "scikit-learn")
    path.write_text("-r other.txt\n")
    with pytest.raises(ValueError, match=r"'-r other.txt' is not the name of a package"):
        read_packages(path)


def test_a_script_with_an_undeclared_requirement_fails(make_jobs: Callable[..., Any], tmp_path: Path) -> None:
    python = image_python(["six"], tmp_path / "images")
    jobs = make_jobs(interpreters={"image": python})
    assert jobs.finish(jobs.python("good", "import six"))[0].exit_code == 0
    assert jobs.finish(jobs.python("bad", "import cyclopts"))[0].exit_code == 1
    assert jobs.log("bad")[-1] == "ModuleNotFoundError: No module named 'cyclopts'"


def test_settings_have_an_interpreter_per_image() -> None:
    settings = ExecutionSettings(
        endpoint_url="", region="", access_key="", secret_key="", interpreters={"a": Path("/x/python")}
    )
    assert settings.interpreter("a") == Path("/x/python")
    assert settings.interpreter("b") == settings.default_interpreter
