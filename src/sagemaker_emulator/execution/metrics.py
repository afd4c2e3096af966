"""Metrics of a job: the last match of each of its expressions in its log.

An expression of a request may take practically endless time on some line, so this file is also a program: ``python metrics.py
LOG_FILE`` with the definitions as JSON on standard input. It prints a JSON list of [name, value, epoch seconds]. Standard
library and Unix only.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

Definitions = Sequence[Mapping[str, str]]
"""``Name`` and ``Regex`` of each metric; the value is the first group of the expression, or its whole match without one."""
Metric = tuple[str, float, float]
"""Name, value, epoch seconds."""

_LINE_SECONDS: Final = 0.5
"""Processor time of an expression for one line; a metric whose expression needs more has no value."""
_SCAN_SECONDS: Final = 60
"""Real seconds for one log; a job whose log needs more has no metrics."""
_LOG: Final = logging.getLogger(__name__)


def check_expressions(definitions: Definitions) -> None:
    """Check the syntax of all expressions.

    Raises
    ------
    ValueError
        An expression is not valid.
    """
    for definition in definitions:
        name, expression = definition["Name"], definition["Regex"]
        try:
            re.compile(expression)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"the Regex {expression!r} of metric {name} is not valid: {error}") from error


def metrics_of(definitions: Definitions, log: Path) -> list[Metric]:
    """Last value of each metric in a log, found by a process of its own within a limited time.

    Parameters
    ----------
    definitions
        Valid definitions.
    log
        File of lines ``[epoch milliseconds, text]``; it may be missing.
    """
    if not definitions or not log.exists():
        return []
    command = [sys.executable, "-I", "-S", str(Path(__file__)), str(log)]
    sent = json.dumps([dict(definition) for definition in definitions])
    try:
        done = subprocess.run(
            command, input=sent, capture_output=True, text=True, timeout=_SCAN_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        _LOG.warning("no metrics in %s: %s", log.name, error)
        return []
    if done.stderr:
        _LOG.warning("%s", done.stderr.strip())
    return [(str(name), float(value), float(at)) for name, value, at in json.loads(done.stdout)]


def _scan(definitions: Definitions, lines: Iterator[tuple[int, str]]) -> dict[str, Metric]:
    patterns = {definition["Name"]: re.compile(definition["Regex"]) for definition in definitions}
    found: dict[str, Metric] = {}
    for at, line in lines:
        for name, pattern in list(patterns.items()):
            try:
                signal.setitimer(signal.ITIMER_VIRTUAL, _LINE_SECONDS)
                value = _last_value(pattern, line)
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            except TimeoutError:
                sys.stderr.write(f"the Regex of metric {name} takes too long; the metric has no value\n")
                del patterns[name]
                found.pop(name, None)
                continue
            if value is not None:
                found[name] = (name, value, at / 1000)
    return found


def _last_value(pattern: re.Pattern[str], line: str) -> float | None:
    last = None
    for match in pattern.finditer(line):
        value = _number(match[1] if pattern.groups else match[0])
        last = last if value is None else value
    return last


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _lines(log: Path) -> Iterator[tuple[int, str]]:
    with log.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                at, text = json.loads(line)
            except ValueError:  # cut by a full disk
                continue
            yield at, text


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def main() -> None:
    """Print the metrics of a log."""
    signal.signal(signal.SIGVTALRM, _give_up)
    signal.alarm(_SCAN_SECONDS + 1)  # ends this process after the death of its parent
    found = _scan(json.load(sys.stdin), _lines(Path(sys.argv[1])))
    json.dump(list(found.values()), sys.stdout)


if __name__ == "__main__":
    main()
