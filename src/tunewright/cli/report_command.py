"""``tunewright report``: a comparison as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunewright.analysis import Aggregate, load
from tunewright.analysis.report import build_page, compare
from tunewright.analysis.report.wording import headline
from tunewright.cli.writing import writing
from tunewright.exceptions import SettingsError
from tunewright.launchers.console import say
from tunewright.launchers.parser import Parser
from tunewright.launchers.selecting import select
from tunewright.storage import write_atomically


def run(arguments: Sequence[str]) -> int:
    """Write the page and say where it is."""
    parser = Parser("tunewright report", "Compare what was run under a tag, as one HTML page.")
    parser.positional(
        "what", "a tag, an experiment, or a folder with experiments (also of Syne Tune); several with commas"
    )
    parser.flag("out", "the file (default: WHAT.html)")
    parser.flag("method", "setups to compare: names or globs, with commas (default: all)")
    parser.flag("benchmark", "likewise")
    parser.flag("reference", "the setup that others are compared with (default: random search)")
    parser.flag("aggregate", "of curves over seeds", choices=[str(kind) for kind in Aggregate], default="iqm")
    parser.switch("log_time", "draw curves over the logarithm of time")
    given = parser.read(arguments)
    sources = [part for part in given.what.split(",") if part]
    if not sources:
        raise SettingsError(f"{given.what!r} names no experiments: give a tag, an experiment or a folder")
    results = load(sources)
    if given.benchmark is not None:
        results = results.where(benchmark=select("benchmark", given.benchmark, results.benchmarks))
    setups = None if given.method is None else select("method", given.method, results.methods)
    comparison = compare(results, reference=given.reference, setups=setups)
    names = [Path(source).name or Path(source).resolve().name for source in sources]
    path = Path(given.out or f"{names[0]}.html")
    text = build_page(comparison, title=", ".join(names), kind=given.aggregate, log_time=given.log_time)
    with writing(path):
        write_atomically(path, text)
    for warning in comparison.warnings:
        say(f"Note: {warning}")
    say(headline(comparison))
    say(f"Report: {path.absolute()}")
    return 0
