"""Find reports in what a script prints."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, final

MARKER = re.compile(r"\[tune-metric\]:\s*(?=\{)")
"""What stands before the JSON object of a report, anywhere in a line."""
MAX_LINE = 1 << 18
"""Characters of an unfinished line that are kept; half of it is more than the largest report."""


@final
class ReportParser:
    """Turns chunks of output into reports.

    Half lines, lines without end, binary junk and several reports in a line are survived; a report that is cut off
    is skipped. Memory stays bounded by ``MAX_LINE`` and the chunk.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._json = json.JSONDecoder()
        self._rest = ""

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """The reports that this chunk completes, in order."""
        lines, newline, rest = (self._rest + self._decoder.decode(chunk)).rpartition("\n")
        reports = self._scan(lines)[0] if newline else []
        if len(rest) > MAX_LINE:
            more, end = self._scan(rest)
            reports += more
            rest = rest[max(end, len(rest) - MAX_LINE // 2) :]
        self._rest = rest
        return reports

    def close(self) -> list[dict[str, Any]]:
        """The reports of a last line that has no end."""
        rest, self._rest = self._rest, ""
        return self._scan(rest)[0]

    def _scan(self, text: str) -> tuple[list[dict[str, Any]], int]:
        """All reports in the text, and where the last of them ends."""
        reports: list[dict[str, Any]] = []
        end = 0
        while found := MARKER.search(text, end):
            try:
                report, end = self._json.raw_decode(text, found.end())
            except (ValueError, RecursionError):
                end = found.end()
                continue
            reports.append(report)
        return reports, end
