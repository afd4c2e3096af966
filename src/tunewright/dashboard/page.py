"""The page of the dashboard: live, with links to its parts, or frozen into one file with its data."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tunewright.analysis.extras import need

if TYPE_CHECKING:
    import jinja2

ASSETS: Final = Path(__file__).parent / "assets"
ENTRY: Final = "main.js"
_CHARTS: Final = "vendor/echarts.min.js"
_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";$')


def live_page(title: str = "Tunewright") -> str:
    """The page that takes its documents from the server; it names its parts by relative addresses.

    Raises
    ------
    MissingExtraError
        jinja2 is not installed.
    """
    return _template("dashboard").render(title=title, frozen=None, modules=module_order())


def frozen_page(paths: Mapping[str, object], *, start: str, title: str) -> str:
    """One HTML file with everything inside: it is opened from disk and asks nothing of a network.

    Parameters
    ----------
    paths
        Documents by their address on the server, such as ``"api/experiments"``.
    start
        View that is shown first, such as ``"#/compare/mine"``.
    title
        Title of the page.

    Raises
    ------
    MissingExtraError
        jinja2 is not installed.
    """
    style, script, charts = _asset("style.css"), bundled_script(), _asset(_CHARTS)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)} {_hash(charts)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    data = msgspec.json.encode({"paths": paths, "start": start}).decode()
    parts = {
        "policy": policy,
        "style": style,
        "script": script,
        "echarts": charts,
        # in JSON a "<" stands in texts only: no text ends the element or begins a comment
        "data": data.replace("<", "\\u003c"),
    }
    return _template("analysis").render(title=title, frozen=parts, modules=())


@cache
def module_order() -> tuple[str, ...]:
    """The page's modules, each after those that it imports."""
    order: list[str] = []
    _visit(ENTRY, order, ())
    return tuple(order)


def _visit(name: str, order: list[str], path: tuple[str, ...]) -> None:
    if name in path:
        raise ValueError(f"The modules import each other: {' -> '.join((*path, name))}")
    if name in order:
        return
    for line in _asset(name).splitlines():
        if found := _IMPORT.match(line):
            _visit(found[1], order, (*path, name))
    order.append(name)


@cache
def bundled_script() -> str:
    """All modules as one script, without imports and exports; the names at their top level are unique."""
    lines = [
        line.removeprefix("export ")
        for name in module_order()
        for line in _asset(name).splitlines()
        if not _IMPORT.match(line)
    ]
    return "\n".join(lines) + "\n"


@cache
def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _template(extra: str) -> jinja2.Template:
    engine = need("jinja2", "The page", extra=extra)
    loader = engine.FileSystemLoader(ASSETS)
    environment = engine.Environment(loader=loader, autoescape=True, undefined=engine.StrictUndefined)
    return environment.get_template("page.html")
