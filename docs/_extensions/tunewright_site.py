"""Directives of the documentation site: pages that are made from the program itself.

``commands`` writes one section for each command of ``tunewright``, ``method-settings NAME`` the table of a method's settings.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from docutils import nodes
from matplotlib.figure import Figure
from rich.console import Console
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx_gallery.scrapers import figure_rst

from tunewright.backends.plugin import backend_names
from tunewright.cli import COMMANDS
from tunewright.cli.program import program
from tunewright.methods import find_method
from tunewright.methods.settings import settings_of

TUTORIALS = [
    "first_search",
    "early_stopping",
    "conditional",
    "several_objectives",
    "constraints",
    "priors",
    "cost_aware",
    "transfer",
    "cross_validation",
    "population_based_training",
    "ask_tell",
    "freeze_thaw",
    "compare_methods",
    "own_table",
    "sagemaker_here",
]
"""Files of ``examples/`` that are run while the site is built, in their order."""


def help_of(tokens: list[str]) -> str:
    """The help of a command, as a terminal of 88 columns shows it."""
    text = io.StringIO()
    console = Console(file=text, width=88, color_system=None, legacy_windows=False)
    program(tokens).help_print(tokens, console=console)
    return text.getvalue().rstrip()


class Generated(SphinxDirective):
    """A directive whose content is Markdown that a function writes."""

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        """Parse Markdown lines in place."""
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


@final
class Commands(Generated):
    """All commands, each with its help."""

    def run(self) -> list[nodes.Node]:
        """Write a section for each heading of the overview, and one for each command."""
        lines: list[str] = []
        for heading, commands in COMMANDS.items():
            lines += [f"## {heading}", ""]
            for name, (_, summary) in commands.items():
                lines += [f"### tunewright {name}", "", f"{summary}.", ""]
                for tokens in self._pages(name):
                    if len(tokens) > 1:
                        lines += [f"#### tunewright {' '.join(tokens)}", ""]
                    lines += ["```text", help_of(tokens), "```", ""]
        return self.parsed(lines)

    def _pages(self, name: str) -> Iterator[list[str]]:
        yield [name]
        if name == "tune":
            yield from ([name, "--backend", backend] for backend in backend_names() if backend != "local")
            yield [name, "--remote"]
            return
        app = program([name])[name]
        for word in app:
            if not word.startswith("-"):
                yield [name, word]


@final
class MethodSettings(Generated):
    """Table of the settings of a method: default, values, meaning."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Write the table, in the order of ``tunewright methods NAME``."""
        method = find_method(self.arguments[0])
        meanings = dict(setting_docs(method.settings))
        lines = ["| setting | default | values | meaning |", "|---|---|---|---|"]
        for name, setting in settings_of(method.settings).items():
            default = (
                "none"
                if setting.default is None
                else str(setting.default).lower()
                if isinstance(setting.default, bool)
                else str(setting.default)
            )
            values = setting.values_text.replace("|", "\\|")
            meaning = " ".join(meanings.get(name, "").split("\n\n")[0].split()).replace("|", "\\|")
            lines.append(f"| `{name}` | `{default}` | {values} | {meaning} |")
        if len(lines) == 2:
            return self.parsed([f"`{method.name}` has no settings."])
        return self.parsed(lines)


def setting_docs(kind: Callable[[], object]) -> Iterator[tuple[str, str]]:
    """Docstrings of the fields of a dataclass of settings, and of those that it contains."""
    settings: Any = kind()
    documented: dict[str, str] = {}
    for owner in reversed(type(settings).__mro__[:-1]):
        docs = ModuleAnalyzer.for_module(owner.__module__).find_attr_docs()
        documented |= {
            field: "\n".join(text) for (name, field), text in docs.items() if name == owner.__qualname__
        }
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from setting_docs(lambda value=value: value)
        else:
            yield field.name, documented.get(field.name, "")


class TutorialOrder:
    """Order of the tutorials."""

    def __init__(self, src_dir: str) -> None:
        del src_dir

    def __call__(self, filename: str) -> int:
        """Place of a file."""
        name = Path(filename).stem
        return TUTORIALS.index(name) if name in TUTORIALS else len(TUTORIALS)


def begin_tutorial(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """Give a tutorial its path, as Python gives it to a script, and no arguments."""
    del gallery_conf
    script_vars["example_globals"]["__file__"] = str(script_vars["src_file"])
    return []


def scrape_figure(block: object, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figure that is the last value of a block, and return the directive that shows it."""
    del block
    figure = block_vars["example_globals"].get("___")
    if not isinstance(figure, Figure):
        return ""
    path = next(block_vars["image_path_iterator"])
    figure.savefig(path, dpi=150)
    block_vars["example_globals"]["___"] = None
    return figure_rst([path], gallery_conf["src_dir"], fig_titles="Figure of the experiment")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("commands", Commands)
    app.add_directive("method-settings", MethodSettings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
