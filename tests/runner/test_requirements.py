"""A script's requirements: only what is missing is installed, once, without a network here."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tunewright.runner import requirements as module
from tunewright.runner.requirements import install_missing


def make_wheel(folder: Path, name: str, version: str, text: str = "", requires: str = "") -> Path:
    """A wheel of one module, as pip needs it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", text or f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def install(tmp_path: Path, text: str) -> tuple[str, str]:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(text, encoding="utf-8")
    log = io.BytesIO()
    return install_missing(requirements, tmp_path / "cache", log), log.getvalue().decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n\n",
        "pytest\n",
        "pytest>=1  # installed\npytest-xdist[psutil] >= 1,\\\n  < 1000\n",
        'no-such-package; python_version < "3"\n',
        "--no-index\npytest\n",
        "Tunewright[aws,emulator]>=99\n",  # of an experiment's folder, for the tuner
    ],
)
def test_what_is_installed_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(module, "_pip", lambda *_: pytest.fail("pip was called"))
    assert install(tmp_path, text)[0] == ""
    assert not (tmp_path / "cache").exists()


def test_what_is_missing_is_installed_once_and_found_by_the_script(run_script, tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "tinyone", "1.5", requires="pytest")
    wheel = make_wheel(tmp_path / "elsewhere", "tinytwo", "2.0")
    (tmp_path / "more.txt").write_text(f"tinytwo @ {wheel.as_uri()}\n")
    text = "--no-index\n--find-links wheels\n-r more.txt\npytest\ntinyone>=1\n"
    folder, _ = install(tmp_path, text)
    # and no second pytest
    assert {path.name for path in Path(folder).glob("*.py")} == {"tinyone.py", "tinytwo.py"}
    again, log = install(tmp_path, text)
    assert (again, log) == (folder, "")
    outcome = run_script(
        'import tinyone; print(\'[tune-metric]: {"v": "%s"}\' % tinyone.VERSION)',
        cache_dir=str(tmp_path / "cache"),
    )
    assert outcome.end.error == ""
    assert outcome.channel.reports[0].metrics == {"v": "1.5"}


def test_a_package_that_is_nowhere_is_named(run_script, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("--no-index\nno-such-package-at-all==7\n")
    outcome = run_script("print(1)", cache_dir=str(tmp_path / "cache"))
    assert outcome.end.exit == 127
    assert "requirements.txt cannot be installed" in outcome.end.error
    assert "no-such-package-at-all==7" in outcome.end.error
    assert "no-such-package-at-all" in outcome.err


def test_a_python_without_pip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setitem(__import__("sys").modules, "ensurepip", None)
    with pytest.raises(RuntimeError, match="has no pip"):
        install(tmp_path, "no-such-package\n")


def test_without_a_parser_of_requirements_everything_is_left_to_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan_nothing(arguments: list[str], *_: object) -> None:
        Path(arguments[arguments.index("--report") + 1]).write_text('{"install": []}')

    monkeypatch.setattr(module, "_packaging", lambda: None)
    monkeypatch.setattr(module, "_pip", plan_nothing)
    folder, _ = install(tmp_path, "--no-index\npytest\n")
    assert list(Path(folder).glob("*.py")) == []


def test_packages_of_the_index_are_shared_where_a_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that means a file of the run does not say the same elsewhere: it goes into the run's own cache."""
    monkeypatch.setenv(module.SHARED_VARIABLE, str(tmp_path / "shared"))
    calls: list[str] = []

    def install_nothing(text: str, options: list[str], target: Path, *_: object) -> None:
        calls.append(text)
        target.mkdir()

    monkeypatch.setattr(module, "_install", install_nothing)
    first, _ = install(tmp_path, "no-such-package==1.0\n")
    assert Path(first).parent == tmp_path / "shared"
    assert install(tmp_path, "no-such-package==1.0\n")[0] == first
    assert len(calls) == 1
    for text in ("--find-links wheels\nno-such-package==1.0\n", "./mine\n", "-r more.txt\n"):
        assert Path(install(tmp_path, text)[0]).parent == tmp_path / "cache"
    assert len(calls) == 4


def test_a_file_that_is_referred_to_counts_with_what_it_says(tmp_path: Path) -> None:
    """Otherwise the packages of its former content would be taken again, also by another experiment's job."""
    (tmp_path / "wheels").mkdir()
    lines = "--no-index\n--find-links wheels\n-r deep/more.txt\n"
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "more.txt").write_text("-r least.txt\n")
    for name in ("tinyone", "tinytwo"):
        make_wheel(tmp_path / "wheels", name, "1.0")
        (tmp_path / "deep" / "least.txt").write_text(f"{name}\n")
        folder, _ = install(tmp_path, lines)
        assert [path.name for path in Path(folder).glob("*.py")] == [f"{name}.py"]
