"""Reports are found in whatever a script prints."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.runner.process import MAX_LINE, ReportParser


def parse(*chunks: bytes) -> list[dict[str, object]]:
    parser = ReportParser()
    reports = [report for chunk in chunks for report in parser.feed(chunk)]
    return reports + parser.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'[tune-metric]: {"a": 1}\n', [{"a": 1}]),
        (b'epoch 3 |###| [tune-metric]: {"a": 1} done\r\n', [{"a": 1}]),
        (b'[tune-metric]: {"a": 1}[tune-metric]: {"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (b'[tune-metric]: {"a": 1, "b[tune-metric]: {"a": 2}\n', [{"a": 2}]),
        (b'[tune-metric]: {"a": 1, \n[tune-metric]: {"a": 2}\n', [{"a": 2}]),
        (b'[tune-metric]: {"a": {"b": [1, "}"]}}', [{"a": {"b": [1, "}"]}}]),
        (b'[tune-metric]: {"a": "caf\xc3\xa9"}\n', [{"a": "café"}]),
        (b'\xff\xfe\x00[tune-metric]: {"a": 1}\n\x80', [{"a": 1}]),
        (b"[tune-metric]: 5\n[tune-metric]: [1]\n[tune-metric]: \n", []),
        (b"[tune-metric]: " + b'{"a":' * 100_000 + b"\n", []),
        (b'[tune-metric]: {"a": ' + b"9" * 10_000 + b'}\n[tune-metric]: {"a": 1}\n', [{"a": 1}]),
        (b"nothing\n\n", []),
    ],
)
def test_reports_are_found_anywhere(text: bytes, expected: list[dict[str, object]]) -> None:
    assert parse(text) == expected


def test_non_finite_numbers_are_read() -> None:
    (report,) = parse(b'[tune-metric]: {"a": NaN, "b": Infinity, "c": -Infinity}\n')
    assert math.isnan(report["a"])
    assert (report["b"], report["c"]) == (math.inf, -math.inf)


@given(st.integers(1, 40))
def test_any_chunks_give_the_same_reports(size: int) -> None:
    text = 'x [tune-metric]: {"é": 1}\njunk [tune-metric]: {\n[tune-metric]: {"b": 2}'.encode()
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    assert parse(*chunks) == [{"é": 1}, {"b": 2}]


def test_a_huge_line_costs_bounded_memory_and_no_report() -> None:
    parser = ReportParser()
    found = []
    for _ in range(20):
        found += parser.feed(b"x" * MAX_LINE)
        assert len(parser._rest) <= MAX_LINE
    found += parser.feed(b'[tune-metric]: {"a": 1} ')
    found += parser.feed(b"y" * MAX_LINE)
    found += parser.feed(b'[tune-metric]: {"a": ')
    found += parser.feed(b"2}\n")
    assert found == [{"a": 1}, {"a": 2}]
