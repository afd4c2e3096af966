"""What the documents promise: links lead somewhere, Python parses, the example of the README runs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tunewright.benchmarks.real import REAL_BENCHMARKS
from tunewright.methods import method_names

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.-])((?:scripts|benchmarking|examples|perf|docs|tests|src|\.ci)/[\w./-]*[\w/])")


def blocks(document: Path, *languages: str) -> list[str]:
    """The fenced blocks of these languages."""
    return [text for language, text in FENCE.findall(document.read_text()) if language in languages]


def name_of(document: Path) -> str:
    """The path as one would type it."""
    return document.relative_to(ROOT).as_posix()


def documents_with(*languages: str) -> list[Path]:
    """The documents that have such blocks."""
    return [document for document in DOCUMENTS if blocks(document, *languages)]


def anchors(document: Path) -> set[str]:
    """The headings of a document as links name them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", document.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    dead: list[str] = []
    for link in LINK.findall(FENCE.sub("", document.read_text())):
        place, _, anchor = link.partition("#")
        if "://" in place or place.startswith("mailto:"):
            continue
        target = (document.parent / place) if place else document
        if place.startswith("tutorials/"):  # made while the site is built
            target = ROOT / "examples" / f"{Path(place).stem}.py"
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_named_files_exist(document: Path) -> None:
    named = {path for path in PATH.findall(document.read_text()) if "NAME" not in path}
    assert not {path for path in named if not (ROOT / path).exists()}


@pytest.mark.parametrize("document", documents_with("python"), ids=name_of)
def test_python_parses(document: Path) -> None:
    for block in blocks(document, "python"):
        ast.parse(block)


def test_the_readme_begins_with_demo_and_test() -> None:
    lines = "\n".join(blocks(ROOT / "README.md", "bash", "sh", "console")).splitlines()
    commands = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert commands[:2] == ["scripts/demo", "scripts/test"]


def test_the_example_of_the_readme_is_one_that_runs() -> None:
    """It is ``examples/tune_function.py``, which tests/integration/test_cli_examples.py runs, without the head."""
    example = (ROOT / "examples" / "tune_function.py").read_text()
    head, future, *code = ast.parse(example).body
    assert ast.unparse(future) == "from __future__ import annotations"
    assert ast.get_docstring(ast.Module([head], []))
    shown = ast.parse(blocks(ROOT / "README.md", "python")[0]).body
    assert [ast.unparse(statement) for statement in shown] == [ast.unparse(statement) for statement in code]


def test_the_commands_of_the_command_line_exist() -> None:
    """Each ``tunewright NAME`` in a shell block is a command."""
    text = "\n".join("\n".join(blocks(document, "bash", "sh", "console")) for document in DOCUMENTS)
    named = set(re.findall(r"^\$? ?tunewright ([a-z]+)", text, flags=re.MULTILINE))
    environment = {**os.environ, "COLUMNS": "200"}
    shown = subprocess.run(
        [Path(sys.executable).with_name("tunewright"), "--help"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
        timeout=300,
    ).stdout
    assert named
    assert not {name for name in named if not re.search(rf"\b{name}\b", shown)}


def test_the_page_of_methods_names_every_method() -> None:
    text = (ROOT / "docs" / "methods.md").read_text()
    assert not {name for name in method_names() if not re.search(rf"\b{name}\b", text)}


def test_every_page_is_in_a_table_of_contents() -> None:
    docs = ROOT / "docs"
    listed = {docs / "index.md"}
    for document in docs.rglob("*.md"):
        for text in re.findall(r"```\{toctree\}\n(.*?)```", document.read_text(), flags=re.DOTALL):
            for entry in text.splitlines():
                if entry and not entry.startswith(":"):
                    listed |= set(document.parent.glob(f"{entry}.md"))
    assert not {name_of(document) for document in docs.rglob("*.md")} - set(map(name_of, listed))


def test_every_method_has_a_page() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "methods").glob("*.md")}
    assert pages == {name.lower() for name in method_names()}


def test_the_guide_names_every_benchmark() -> None:
    """Families of benchmarks stand there with a star, as in ``finetune_transformer_glue_*``."""
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    named = set(re.findall(r"`([a-z0-9_]+\*?)`", text))
    families = tuple(name[:-1] for name in named if name.endswith("*"))
    assert not {name for name in REAL_BENCHMARKS if name not in named and not name.startswith(families)}


def test_the_figures_of_the_performance_page_are_the_measured_ones() -> None:
    """The page is written by ``perf/measure.py`` from the stored measurement, so that no figure is typed by hand."""
    measured = json.loads((ROOT / "perf" / "measured.json").read_text())
    page = (ROOT / "docs" / "performance.md").read_text()
    missing = [row["name"] for row in measured["rows"] if f"| {row['name']} | {row['shown']} |" not in page]
    assert not missing
