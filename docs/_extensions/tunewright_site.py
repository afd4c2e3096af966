"""Directives of the documentation site: pages that are made from the program itself.

``commands`` writes one section for each command of ``tunewright``, ``method-settings NAME`` the table of a method's settings,
and ``method-figure NAME`` a figure of its judging runs. ``recording NAME`` writes the date and versions of a tutorial's recording,
``recording NAME STEP`` the commands and outputs of one of its steps, and ``recorded-picture NAME VIEW`` one of its pictures.
"""

from __future__ import annotations

import importlib
import io
import json
import math
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, final

from docutils import nodes
from docutils.parsers.rst import directives
from matplotlib.figure import Figure
from rich.console import Console
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx_gallery.scrapers import figure_rst

from tunewright.analysis.summaries import SHARES
from tunewright.backends.plugin import backend_names
from tunewright.cli import COMMANDS
from tunewright.cli.catalogue import default_text, setting_meaning
from tunewright.cli.program import program
from tunewright.methods import MethodSpec, find_method

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
    "sagemaker_account",
    "warm_pools",
    "workers_mode",
    "remote_launching",
    "slurm_cluster",
    "ray_cluster",
    "dashboard_tour",
]
"""Files of ``examples/`` that are tutorials, in their order."""

RECORDINGS = Path(__file__).parents[1] / "recordings"
RECORDED = [name for name in TUTORIALS if (RECORDINGS / f"{name}.json").exists()]
"""Tutorials that show a recording of ``scripts/record_tutorials.py``; the others are run while the site is built."""
EXECUTED = [name for name in TUTORIALS if name not in RECORDED]

RESULTS = Path(__file__).parents[2] / "benchmarking" / "nursery" / "benchmark_all" / "results"
GROUNDS = {
    "LCBench, network": "network",
    "LCBench, rows": "rows",
    "TaskSet": "taskset",
    "FCNet": "fcnet",
    "NAS-Bench-201": "nas201",
    "LEMUR": "lemur",
    "rbv2": "rbv2",
    "several objectives": "moo",
}
"""Title of a ground -> its file of results."""


def help_of(tokens: list[str]) -> str:
    """The help of a command, as a terminal of 88 columns shows it."""
    text = io.StringIO()
    console = Console(file=text, width=88, color_system=None, legacy_windows=False)
    program([*tokens, "--help"]).help_print(tokens, console=console)  # with the names of all backends
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
        lines = ["| setting | default | values | meaning |", "|---|---|---|---|"]
        for name, setting in method.parameters.items():
            default = default_text(setting.default)
            values = setting.values_text.replace("|", "\\|")
            meaning = setting_meaning(setting).replace("|", "\\|")
            lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {values} | {meaning} |")
        if len(lines) == 2:
            return self.parsed([f"`{method.name}` has no settings."])
        return self.parsed(lines)


@final
class Recording(SphinxDirective):
    """Date and versions of a recording, or the commands and outputs of one of its steps."""

    required_arguments: ClassVar[int] = 1
    optional_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Write a note, or a block of a terminal."""
        name, *steps = self.arguments
        path = RECORDINGS / f"{name}.json"
        self.env.note_dependency(str(path))
        recording = json.loads(path.read_text(encoding="utf-8"))
        if not steps:
            return self._note(name, recording)
        lines = [
            f"$ {entry['command']}" + (f"\n{entry['output']}" if entry["output"] else "")
            for entry in recording["steps"][steps[0]]
        ]
        text = "\n".join(lines)
        return [nodes.literal_block(text, text, language="console", classes=["recording"])]

    def _note(self, name: str, recording: dict[str, Any]) -> list[nodes.Node]:
        day = date.fromisoformat(recording["recorded"])
        versions = [f"{program} {version}" for program, version in recording["versions"].items()]
        text = (
            f"Recorded on {day.day} {day:%B %Y} with {', '.join(versions[:-1])} and {versions[-1]}, on one machine with "
            f"{recording['processors']} processors{', beside much other work' if recording['is_shared'] else ''}. ``scripts/record_tutorials.py {name}`` records it again."
        )
        return [nodes.note("", *self.parse_text_to_nodes(text))]


@final
class RecordedPicture(SphinxDirective):
    """A picture of a recording, for light and for dark pages."""

    required_arguments: ClassVar[int] = 2
    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Write both pictures, of which the theme shows one."""
        name, view = self.arguments
        lines: list[str] = []
        for scheme in ("light", "dark"):
            lines += [
                f".. image:: /recordings/{name}_{view}_{scheme}.webp",
                f"   :alt: {self.options['alt']}",
            ]
            lines += [f"   :class: only-{scheme} screenshot", ""]
        return self.parse_text_to_nodes("\n".join(lines))


@final
class MethodFigure(Generated):
    """Figure of a method's judging runs beside random search; nothing if there are none."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Draw the figure, and write the lines around it."""
        name = find_method(self.arguments[0]).name
        shares = {title: found for title, file in GROUNDS.items() if (found := shares_better(file, name))}
        if not shares or name == "RandomSearch":
            return []
        folder = Path(self.env.srcdir) / "methods" / "figures"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name.lower()}.svg"
        draw_shares(shares).savefig(path, metadata={"Date": None})
        lines = ["## Beside random search", "", f"![{name} beside random search](figures/{path.name})", ""]
        lines += [
            (
                "Share of pairs of runs, of one task and one seed, in which this method's best value is better than that of random search. "
                "Runs are those of [the comparison](../comparison.md) on tasks that chose nothing; the numbers are pairs."
            ),
        ]
        return self.parsed(lines)


def shares_better(file: str, name: str) -> dict[str, tuple[list[float], int]]:
    """For each setup of a method on a ground, the share of pairs better than random search at each part of the budget; equal ones count half."""
    path = RESULTS / f"ideal-{file}-judging.json"
    if not path.exists():
        return {}
    labels = [label for label, spec in baselines().items() if spec.name == name]
    found: dict[str, list[list[float]]] = {}
    for task in json.loads(path.read_text()).values():
        setups = {
            label: {run[0]: [math.inf if best is None else best for best in run[4]] for run in setup["runs"]}
            for label, setup in task["setups"].items()
        }
        for label in labels:
            for seed, values in setups.get(label, {}).items():
                if (other := setups.get("RS", {}).get(seed)) is not None:
                    pairs = zip(values, other, strict=True)
                    found.setdefault(label, []).append(
                        [float(own < base) + 0.5 * (own == base) for own, base in pairs]
                    )
    return {
        label: ([sum(part) / len(rows) for part in zip(*rows, strict=True)], len(rows))
        for label, rows in found.items()
    }


def baselines() -> dict[str, MethodSpec]:
    """Labels of the comparison and their methods."""
    folder = str(RESULTS.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.import_module("baselines")
    return {**module.methods, **module.SEVERAL}


def draw_shares(shares: dict[str, dict[str, tuple[list[float], int]]]) -> Figure:
    """A panel for each ground, a line for each setup."""
    columns = min(5, len(shares))
    rows = -(-len(shares) // columns)
    figure = Figure(figsize=(2.3 * columns, 2.5 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis in list(axes.flat)[len(shares) :]:
        axis.remove()
    styles = ("-", "--", ":")
    for axis, (title, setups) in zip(axes.flat, shares.items(), strict=False):
        axis.axhline(0.5, color="#888888", linewidth=1)
        for style, (label, (values, n_pairs)) in zip(styles, sorted(setups.items()), strict=False):
            axis.plot(
                [100 * share for share in SHARES],
                values,
                style,
                marker="o",
                color="#0072B2",
                label=f"{label} ({n_pairs})",
            )
        axis.set_title(title, fontsize=10)
        axis.set_ylim(0, 1)
        axis.set_xticks([10, 25, 50, 100])
        axis.set_xlabel("budget, per cent", fontsize=9)
        axis.legend(fontsize=8, frameon=False, loc="best")
    axes[0, 0].set_ylabel("better than random", fontsize=9)
    return figure


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
    app.add_directive("method-figure", MethodFigure)
    app.add_directive("recording", Recording)
    app.add_directive("recorded-picture", RecordedPicture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
