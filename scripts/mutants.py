"""The command scripts/mutants: mutmut over the modules on which every result depends; standard library only.

Each target is mutated in a copy of the sources below ``.mutants``, which is kept for ``mutmut show`` and ``mutmut apply``. A
mutant counts as killed only if a test fails: time-outs, mutants without a test and functions that mutmut leaves out are
listed with the survivors.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from development import ROOT, SetupError, environment, say

PLACE = ROOT / ".mutants"
WANTED = 0.9
"""Share of the mutants that the tests must kill."""


@dataclass(frozen=True)
class Target:
    """Modules with the tests that are to notice a change of them."""

    modules: Sequence[str]
    """Below ``src/tunewright``."""
    tests: Sequence[str]
    """Below ``tests``."""


TARGETS = {
    "ledger": Target(["ledger.py", "state.py"], ["ledger"]),
    "journal": Target(
        ["events.py", "journal.py"], ["test_events.py", "test_journal.py", "test_journal_files.py"]
    ),
    "rungs": Target(["schedulers/rungs.py"], ["schedulers/test_rungs.py"]),
    "keys": Target(["runner/s3_keys.py"], ["runner/test_s3_keys.py"]),
}


@dataclass(frozen=True)
class Score:
    """Mutants of a target by their status."""

    statuses: dict[str, str]

    @property
    def n_killed(self) -> int:
        """Number of mutants that a test noticed."""
        return sum(status == "killed" for status in self.statuses.values())

    @property
    def share(self) -> float:
        """Killed mutants among all."""
        return self.n_killed / max(1, len(self.statuses))


def prepare(name: str, target: Target) -> Path:
    """Make the folder in which a target is mutated."""
    folder = PLACE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in ("src", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/tunewright/{module}" for module in target.modules],
        "pytest_add_cli_args": ["-p", "no:cacheprovider"],
        "pytest_add_cli_args_test_selection": [f"tests/{test}" for test in target.tests],
    }
    table = "\n".join(f"{key} = {value!r}" for key, value in settings.items())
    project = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(
        f"{project}\n[tool.mutmut]\n{table}\nuse_git_change_detection = false\n"
    )
    return folder


def mutate(tool: Path, folder: Path) -> Score:
    """Run mutmut in a folder.

    Raises
    ------
    SetupError
        The tests fail without any mutation, or mutmut finds nothing to mutate.
    """
    mutmut = str(tool / "mutmut")
    command = [mutmut, "run", "--max-children", str(os.cpu_count() or 1)]
    with (folder / "mutmut.log").open("w") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False)
    listed = subprocess.run(
        [mutmut, "results", "--all", "true"], cwd=folder, capture_output=True, text=True, check=False
    ).stdout
    statuses = dict(re.findall(r"^\s+(\S+__mutmut_\d+): (.+)$", listed, flags=re.MULTILINE))
    if not statuses or "not checked" in statuses.values():
        tail = (folder / "mutmut.log").read_text()[-3000:]
        raise SetupError(f"mutmut did not get through in {folder}:\n{tail}")
    return Score(statuses)


def left_out(target: Target) -> list[str]:
    """Functions that mutmut does not mutate, as a decorator other than a property's or a static method's wraps them."""
    pattern = re.compile(
        r"^ *@(?!final|dataclass|property|static|class|abstract|override)(\S+)\n *def (\w+)", re.M
    )
    return [
        f"{module}:{name} (@{decorator})"
        for module in target.modules
        for decorator, name in pattern.findall((ROOT / "src" / "tunewright" / module).read_text())
    ]


def main() -> int:
    """``scripts/mutants``."""
    parser = argparse.ArgumentParser(prog="scripts/mutants", description="Mutation testing of the core.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    chosen = parser.parse_args().targets or list(TARGETS)
    if unknown := set(chosen) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}: choose of {', '.join(TARGETS)}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    tool = environment(None) / "bin"
    scores: dict[str, Score] = {}
    for name in chosen:
        say(f"Mutating {name}: {', '.join(TARGETS[name].modules)}")
        scores[name] = mutate(tool, prepare(name, TARGETS[name]))
        for mutant, status in scores[name].statuses.items():
            if status != "killed":
                say(f"  {status:>9}  {mutant}")
        for function in left_out(TARGETS[name]):
            say(f"   left out  {function}")
    say(f"\n{'target':<10}{'mutants':>8}{'killed':>8}{'score':>8}  others")
    for name, score in scores.items():
        others = Counter(status for status in score.statuses.values() if status != "killed")
        rest = ", ".join(f"{count} {status}" for status, count in others.most_common())
        say(f"{name:<10}{len(score.statuses):>8}{score.n_killed:>8}{score.share:>8.1%}  {rest}")
    say("\nShow one: cd .mutants/TARGET && mutmut show NAME")
    return 0 if all(score.share >= WANTED for score in scores.values()) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SetupError as error:
        say(f"Cannot go on: {error}")
        sys.exit(2)
