"""The codec of journal lines: what is written comes back, and what others wrote is read as far as it can be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tunewright import events
from tunewright.events import (
    DropEvent,
    EndEvent,
    EndFields,
    Event,
    Header,
    PhaseEvent,
    ReportDecision,
    RequestEvent,
    ResultEvent,
    ResultFields,
    ServiceEvent,
    SessionEvent,
    StartEvent,
    StartFields,
    UnknownEvent,
    decode_fields,
    decode_line,
    decode_mapping,
    encode_event,
)
from tunewright.trial import Checkpoint, ExperimentStatus, PhaseName, TrialStatus

AT = {"t": 1.5, "wall": 1e9}
RESULT = ResultEvent(
    **AT,
    trial_id=3,
    attempt=1,
    retry=0,
    seq=2,
    resource=9,
    metrics={"loss": 0.25, "epoch": 9.0},
    decision=ReportDecision.PAUSE,
    reason="rung 9",
    cost=0.125,
)
START = StartEvent(
    **AT,
    trial_id=3,
    attempt=0,
    config={"lr": 0.1, "n": 3, "name": "nan", "flag": True},
    until=None,
    from_checkpoint=Checkpoint(trial_id=2, resource=3),
    note={"bracket": 1, "searcher": {"theta": [0.5, None], "how": "inf"}},
    suggest_time=1e-5,
)
END = EndEvent(
    **AT,
    trial_id=3,
    attempt=0,
    status=TrialStatus.PAUSED,
    error="",
    cost=0.5,
    checkpoint=Checkpoint(trial_id=3, resource=9),
)
EVENTS: list[Header | Event] = [
    Header(schema=1, experiment="e", seed=0, random_seed=0, settings={}),
    Header(schema=1, evaluations={"a": 1}, effective_seed=7, resolved={"eta": 3}, table="digits 1"),
    START,
    replace(START, until=9, from_checkpoint=None),
    RESULT,
    replace(RESULT, metrics={}, reason='quotes " and % and \\ and é'),
    END,
    replace(END, checkpoint=None, error="a\nb"),
    DropEvent(**AT, trial_id=3, resource=9),
    RequestEvent(**AT, action="stop_trial", trial_id=3, arguments={"by": "me"}, done="stop_trial", reason=""),
    PhaseEvent(**AT, trial_id=3, attempt=0, retry=1, worker="job-1", name=PhaseName.TRAINING, warm=None),
    ServiceEvent(**AT, name="throttled", trial_id=None, text="no more requests at present"),
    ServiceEvent(**AT, name="interrupted", trial_id=3, text="the instance was taken back"),
    SessionEvent(**AT, event="begin", pid=12, host="h"),
    SessionEvent(
        **AT, event="end", outcome=ExperimentStatus.STOPPED, summary={"jobs": 3, "calls": {"List": 2}}
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_what_is_written_comes_back(event: Header | Event) -> None:
    raw = encode_event(event)
    assert raw.endswith(b"\n")
    assert raw.count(b"\n") == 1
    assert decode_line(raw) == event
    assert next(iter(json.loads(raw).items())) == ("kind", event.kind)


floats = st.floats(allow_nan=True, allow_infinity=True)
texts = st.text(st.characters(exclude_categories=()), max_size=8)


@given(st.dictionaries(texts, floats, max_size=4), floats, texts)
def test_every_number_and_text_of_a_report_comes_back(
    metrics: dict[str, float], cost: float, reason: str
) -> None:
    event = replace(RESULT, metrics=metrics, cost=cost, reason=reason)
    raw = encode_event(event)
    json.loads(raw.decode("utf-8", "surrogatepass"), parse_constant=pytest.fail)
    assert repr(decode_line(raw)) == repr(event)


notes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(texts, st.booleans() | st.integers(-(2**90), 2**90) | texts, max_size=4),
    st.dictionaries(texts, notes, max_size=3),
    st.none() | st.integers(1, 99),
)
def test_every_configuration_and_note_comes_back(config: Any, note: Any, until: int | None) -> None:
    event = replace(START, config=config, note=note, until=until)
    assert decode_line(encode_event(event)) == event


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_numbers_are_text_in_every_kind(value: float) -> None:
    text = str(value)
    start = replace(START, config={"lr": value}, note={"searcher": [value, {"x": value}]}, until=None)
    line = json.loads(encode_event(start), parse_constant=pytest.fail)
    assert (line["config"], line["note"]) == ({"lr": text}, {"searcher": [text, {"x": text}]})
    assert line["until"] is None
    end = json.loads(encode_event(replace(END, cost=value)), parse_constant=pytest.fail)
    assert end["cost"] == text
    session = SessionEvent(**AT, event="end", outcome=ExperimentStatus.FAILED, summary={"cost": value})
    assert json.loads(encode_event(session), parse_constant=pytest.fail)["summary"] == {"cost": text}


def test_a_metric_named_null_and_a_reason_null_are_no_numbers() -> None:
    event = replace(RESULT, metrics={"null": 1.0}, reason="null")
    assert decode_line(encode_event(event)) == event


def test_numbers_of_numpy_and_other_mappings_are_written_as_their_values() -> None:
    class Own(Mapping[str, object]):
        def __getitem__(self, key: str) -> object:
            return np.float64(0.5)

        def __iter__(self) -> Any:
            return iter(["a"])

        def __len__(self) -> int:
            return 1

    event = replace(START, config=Own(), note={"x": np.float64(math.nan)})  # type: ignore[arg-type]
    line = json.loads(encode_event(event))
    assert (line["config"], line["note"]) == ({"a": 0.5}, {"x": "nan"})


def test_unknown_fields_are_passed_over_and_unknown_kinds_are_named_so() -> None:
    more = {**decode_mapping(encode_event(RESULT)), "added_later": [1, {}]}
    assert decode_line(json.dumps(more).encode()) == RESULT
    later = {"kind": "added_later", "t": 3, "wall": 4.0, "x": "y"}
    assert decode_line(json.dumps(later).encode()) == UnknownEvent(t=3.0, wall=4.0)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[1]",
        b"3",
        b"{}",
        b'{"kind":"result"}',
        b'{"kind":"result","t":1.0}',
        b'{"kind":"added_later"}',
        b'{"kind":"session","t":"soon","wall":1.0,"event":"begin"}',
        b'{"kind":3,"t":1.0}',
        b'{"kind":"session","t":1.0',
        b"\xff\xfe",
        encode_event(RESULT).replace(b'"pause"', b'"maybe"'),
        encode_event(RESULT).replace(b"9.0", b"null"),
        encode_event(RESULT).replace(b"9.0", b'"high"'),
        encode_event(END).replace(b'"paused"', b'"asleep"'),
    ],
)
def test_damage_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_line(raw)
    if b'"asleep"' not in raw:  # a field that comparisons do not need
        with pytest.raises(ValueError, match=r".*"):
            decode_fields([encode_event(RESULT), raw])


def test_whole_numbers_and_other_orders_of_keys_are_read_alike() -> None:
    line = decode_mapping(encode_event(RESULT))
    line["t"], line["cost"] = 2, 1
    line["metrics"] = {"loss": 1}
    turned = dict(reversed(line.items()))
    assert decode_line(json.dumps(turned).encode()) == replace(RESULT, t=2.0, cost=1.0, metrics={"loss": 1.0})
    assert isinstance(decode_line(json.dumps(turned).encode()).metrics["loss"], float)  # type: ignore[union-attr]


def slow_fields(event: Event) -> object:
    if isinstance(event, ResultEvent):
        return ResultFields(event.t, event.trial_id, event.resource, dict(event.metrics), event.decision)
    if isinstance(event, StartEvent):
        return StartFields(event.t, event.attempt, event.suggest_time)
    if isinstance(event, EndEvent):
        return EndFields(event.t, event.cost)
    return event.t


@pytest.mark.parametrize(
    "more", [[], [b'{"kind":"later","t":1.5,"wall":2.0}'], [encode_event(replace(RESULT, reason="\ud800"))]]
)
def test_the_fast_way_gives_the_fields_of_the_events(more: list[bytes]) -> None:
    lines = [encode_event(event) for event in EVENTS if not isinstance(event, Header)]
    lines += [encode_event(replace(RESULT, metrics={"loss": math.nan, "x": -math.inf})), *more]
    lines = [json.dumps(dict(reversed(decode_mapping(line).items()))).encode() for line in lines[:5]] + lines
    events = [decode_line(line) for line in lines]
    fast = [
        fields if type(fields) in (ResultFields, StartFields, EndFields) else fields.t
        for fields in decode_fields(lines)
    ]
    assert repr(fast) == repr([slow_fields(event) for event in events if not isinstance(event, Header)])


def test_lines_of_version_0_1_are_read(tmp_path: Path) -> None:
    folder = Path(__file__).parent / "experiments_0_1"
    for journal in sorted(folder.glob("*/journal.jsonl")):
        for raw in journal.read_bytes().splitlines():
            event = decode_line(raw)
            assert event.kind == json.loads(raw)["kind"]
            assert json.loads(encode_event(event)) == json.loads(raw)


class SlowWayError(Exception):
    """The codec left its fast way."""


def slow_way(*_: object) -> None:
    raise SlowWayError


@pytest.mark.parametrize(
    "event",
    [
        RESULT,
        START,
        replace(START, until=3),
        replace(START, from_checkpoint=None, note={}),
        replace(START, until=3, from_checkpoint=None, note={}),
        EndEvent(**AT, trial_id=0, attempt=0, status=TrialStatus.PAUSED, error="", cost=0.0, checkpoint=None),
        EndEvent(
            **AT,
            trial_id=0,
            attempt=0,
            status=TrialStatus.PAUSED,
            error="",
            cost=0.0,
            checkpoint=Checkpoint(trial_id=0, resource=1),
        ),
    ],
)
def test_usual_events_are_written_the_fast_way(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(event, StartEvent) and event.note:
        event = replace(event, note={"bracket": 1})
    slow = decode_line(events._encode_exactly(event))
    monkeypatch.setattr("tunewright.events._encode_exactly", slow_way)
    assert decode_line(encode_event(event)) == slow


@pytest.mark.parametrize(
    "event", [replace(RESULT, metrics={"loss": math.inf}), DropEvent(**AT, trial_id=0, resource=1)]
)
def test_other_events_are_written_exactly(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.events._encode_exactly", slow_way)
    with pytest.raises(SlowWayError):
        encode_event(event)


def test_lone_surrogates_and_texts_for_numbers_come_back() -> None:
    event = replace(RESULT, reason="\ud800", metrics={"loss": math.inf})
    raw = encode_event(event)
    assert b"\xed\xa0\x80" in raw
    assert decode_line(raw) == event
    assert decode_mapping(raw)["reason"] == "\ud800"
    found = decode_fields([raw])
    assert found == [ResultFields(1.5, 3, 9, {"loss": math.inf}, ReportDecision.PAUSE)]


def test_many_usual_lines_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.events.decode_line", slow_way)
    lines = [encode_event(RESULT), encode_event(DropEvent(**AT, trial_id=0, resource=1)), encode_event(START)]
    first, _, last = decode_fields(lines)
    assert first == ResultFields(1.5, 3, 9, {"loss": 0.25, "epoch": 9.0}, ReportDecision.PAUSE)
    assert last == StartFields(1.5, 0, 1e-5)


def test_errors_of_lines() -> None:
    with pytest.raises(ValueError, match=r"^not a JSON object$"):
        decode_mapping(b"[1]")
    with pytest.raises(ValueError, match=r"^a second header$"):
        decode_fields([encode_event(Header(experiment="e")), b'{"kind":"later","t":1,"wall":2}'])
    for raw in (b'{"t":1,"wall":2}', b'{"kind":3,"t":1,"wall":2}', b'{"kind":"drop","t":1,"wall":2}'):
        with pytest.raises(ValueError, match=r"kind|missing|required"):
            decode_line(raw)
    assert decode_line(b'{"kind":"later","t":1,"wall":2}') == UnknownEvent(t=1.0, wall=2.0)
