"""The few pieces of HTML that a page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, final

_STYLE: Final = """
:root { color-scheme: light; --ink: #1d2733; --soft: #5c6a78; --line: #dde3e8; --tint: #f5f7f9; --good: #00694a; --bad: #a33c00 }
* { box-sizing: border-box }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.5 system-ui, "Segoe UI", "Liberation Sans", sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 16px; letter-spacing: -.01em }
h2 { font-size: 21px; margin: 44px 0 10px; padding-bottom: 6px; border-bottom: 2px solid var(--line) }
h3 { font-size: 16px; margin: 24px 0 6px }
p { margin: 8px 0; max-width: 86ch }
.headline { font-size: 19px; line-height: 1.4 }
.small, figcaption { color: var(--soft); font-size: 14px }
.warning { background: #fff6e5; border-left: 5px solid #e69f00; padding: 10px 16px; margin: 18px 0; border-radius: 4px }
.warning ul { margin: 4px 0 2px; padding-left: 20px }
figure { margin: 14px 0; overflow-x: auto }
figure svg { max-width: 100%; height: auto; display: block; margin: 0 auto }
.scroll { overflow-x: auto; margin: 10px 0 }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: 6px 7px; white-space: nowrap; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left }
td:first-child { font-weight: 600 }
th { background: var(--tint); position: sticky; top: 0; padding: 0 }
th button { all: unset; cursor: pointer; padding: 7px; font-weight: 600 }
th button:focus-visible { outline: 2px solid #0072b2; outline-offset: -2px }
th[aria-sort=ascending] button::after { content: " \\2191" }
th[aria-sort=descending] button::after { content: " \\2193" }
summary { cursor: pointer; margin: 14px 0 4px; color: #005a91; width: fit-content }
tbody tr:hover { background: var(--tint) }
.good { color: var(--good); font-weight: 600 }
.bad { color: var(--bad); font-weight: 600 }
@media print { details::details-content { content-visibility: visible; block-size: auto } main { max-width: none; padding: 0 } h2 { break-after: avoid } figure, table { break-inside: avoid } }
"""

_SCRIPT: Final = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.parentElement, body = head.closest("table").tBodies[0], column = head.cellIndex;
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
  const compare = (a, b) => a - b || (isNaN(a - b) ? String(a).localeCompare(String(b), undefined, {numeric: true}) : 0);
  body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * compare(key(a), key(b))));
});
"""


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: object
    key: float | None = None
    """What it is sorted by; None: its text."""
    mark: str = ""
    """A class of the style: ``good`` or ``bad``."""

    def html(self) -> str:
        """The element."""
        known = {float("inf"): "1e308", float("-inf"): "-1e308"}
        number = "" if self.key is None else known.get(self.key, str(self.key).replace("nan", "1e308"))
        key = f' data-key="{number}"' if number else ""
        mark = f' class="{self.mark}"' if self.mark else ""
        return f"<td{key}{mark}>{escape(str(self.text))}</td>"


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table whose columns sort when their heads are pressed."""
    heads = "".join(f'<th scope="col"><button>{escape(text)}</button></th>' for text in head)
    body = "\n".join("<tr>" + "".join(cell.html() for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(svg: str) -> str:
    """A figure from an SVG element."""
    return f"<figure>{svg}</figure>"


def folded(title: str, content: str) -> str:
    """What is seen when its title is pressed."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def section(title: str, *parts: str) -> str:
    """A part of the page under its title; an empty title is none."""
    head = f"<h2>{escape(title)}</h2>" if title else ""
    return f"<section>{head}{''.join(parts)}</section>"


def page(title: str, sections: Sequence[str]) -> str:
    """A whole document; nothing is loaded from elsewhere."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{"".join(sections)}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""
