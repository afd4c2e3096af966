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
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tunewright.benchmarks.real import REAL_BENCHMARKS
from tunewright.methods import method_names

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.-])((?:scripts|benchmarking|examples|perf|docs|tests|src|\.ci)/[\w./-]*[\w/])")

MAX_WORDS = {"cell": 25, "sentence": 30}

COLON_FENCE = re.compile(r"^\s*:{3,}(?:\{[\w-]+\})?(.*(?:\n:[\w-]+:.*)*)$", flags=re.MULTILINE)
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|et al|vs|cf)\. ", flags=re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[.!?])[)\"'”]* +(?=[^a-z])")


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


def words(inline: list[Token]) -> str:
    """The text of a block: inline code as one word, links and images as their text, no HTML."""
    fixed = {"code_inline": "CODE", "softbreak": " ", "hardbreak": " "}
    return "".join(
        fixed.get(token.type, token.content if token.type in ("text", "image") else "") for token in inline
    )


def prose(markdown: str) -> list[tuple[str, str]]:
    """The table cells and the sentences of a page outside fenced blocks, in order.

    Each heading, paragraph and list item is a block; sentences end with their block or at ``.``, ``!`` or ``?``.
    """
    markdown = COLON_FENCE.sub(lambda fence: "\n" + fence[1].split("\n")[0].strip() + "\n", markdown)
    found: list[tuple[str, str]] = []
    before = ""
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        text = ""
        if token.type == "inline":
            text = words(token.children or [])
        elif token.type == "html_block":
            text = re.sub(r"<!--.*?-->|<[^>]*>", " ", token.content, flags=re.DOTALL).replace("\n", " ")
        if before in ("td_open", "th_open"):
            found.append(("cell", text))
        else:
            found += [
                ("sentence", sentence) for sentence in SENTENCE_END.split(ABBREVIATION.sub(r"\1 ", text))
            ]
        before = token.type
    return found


def wordy(markdown: str) -> list[str]:
    """The cells and sentences with too many words; a word has a letter or a digit."""
    counted = [
        (kind, text, sum(1 for word in text.split() if re.search(r"\w", word)))
        for kind, text in prose(markdown)
    ]
    return [f"{kind} of {n} words: {text}" for kind, text, n in counted if n > MAX_WORDS[kind]]


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


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name != "CHANGELOG.md"], ids=name_of)
def test_sentences_and_cells_are_short(document: Path) -> None:
    assert not wordy(document.read_text())


LONG = "word " * 31


@pytest.mark.parametrize(
    "markdown",
    [
        f"{LONG}.",
        f"# {LONG}",
        f"- {LONG}\n- short",
        f"- short\n\n  1. {LONG}",
        f"> {LONG}",
        f":::{{dropdown}} Title\n:open:\n{LONG}\n:::",
        f":::{{dropdown}} {LONG}\nText.\n:::",
        f"<details>\n{LONG}\n</details>",
        f"| a |\n|---|\n| {LONG} |",
        f"| {LONG} |\n|---|\n| a |",
        "word " * 16 + "; " + "word " * 15,
        "word " * 16 + ": " + "word " * 15,
        "word " * 16 + "(e.g. Word) " + "word " * 14,
        "word " * 16 + "`a. B` " + "word " * 14,
    ],
)
def test_a_long_sentence_or_cell_is_found(markdown: str) -> None:
    assert len(wordy(markdown)) == 1


HALF = "word " * 15


@pytest.mark.parametrize(
    "markdown",
    [
        f"{HALF}{HALF}",
        f"{HALF}end. Begin {HALF}",
        f"{HALF}end. 3 {HALF}",
        f"{HALF}end. `code` {HALF}",
        f"({HALF}end.) *Begin* {HALF}",
        f"**{HALF}end.** Begin {HALF}",
        f"{HALF}:\n\n- {HALF}\n  - {HALF}\n1. {HALF}",
        f"{HALF}:\n\n```python\n{LONG}\n```\n",
        f"- {HALF}:\n\n  ```{{toctree}}\n  {LONG}\n  ```\n",
        f"<!-- {LONG} -->\n{HALF}",
        f":::{{dropdown}} {HALF}\n:open:\n{HALF}\n:::\n{HALF}",
        f"{HALF}`{LONG}` [{HALF[:-5]}]({'x' * 100})",
        f"{HALF}{HALF} - / = |",
        f"| a | b |\n|---|---|\n| {HALF} | `{LONG}` {HALF} |",
    ],
)
def test_short_sentences_and_cells_pass(markdown: str) -> None:
    assert not wordy(markdown)


EXAMPLES = ROOT / "examples"
RECORDINGS = ROOT / "docs" / "recordings"


def test_every_tutorial_is_an_example_with_a_title() -> None:
    site = ast.parse((ROOT / "docs" / "_extensions" / "tunewright_site.py").read_text())
    names = next(
        ast.literal_eval(statement.value)
        for statement in site.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "TUTORIALS"
    )
    assert len(names) > 20
    for name in names:
        title, line, *_ = (
            ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text())) or ""
        ).splitlines()
        assert line == "=" * len(title), name


def test_every_recording_that_a_tutorial_shows_is_there() -> None:
    """Each tutorial shows the date of its recording."""
    shown: dict[str, set[str]] = {}
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text()
        for name, step in re.findall(r"\.\. recording:: (\w+)(?: (\w+))?", text):
            shown.setdefault(name, set()).add(step)
        for name, view in re.findall(r"\.\. recorded-picture:: (\w+) (\w+)", text):
            assert all((RECORDINGS / f"{name}_{view}_{scheme}.webp").exists() for scheme in ("light", "dark"))
        for picture in re.findall(r"/?(recordings/\w+\.png)", text):
            assert (ROOT / "docs" / picture).exists()
    assert set(shown) == {path.stem for path in RECORDINGS.glob("*.json")}
    for name, steps in shown.items():
        recording = json.loads((RECORDINGS / f"{name}.json").read_text())
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", recording["recorded"])
        assert recording["versions"]["Tunewright"]
        assert steps - {""} <= set(recording["steps"])
        assert "" in steps, f"{name} shows no date"
