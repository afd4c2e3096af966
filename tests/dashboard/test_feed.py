"""The feed of a journal: what a page adds up from its answers is what one answer from the beginning holds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.dashboard import feed as feed_module
from tunewright.dashboard.feed import ExperimentFeed
from tunewright.metric import Constraint, Metric
from tunewright.state import replay_history
from tunewright.trial import ExperimentStatus, TrialStatus

LOSS = Metric("loss")


def feed_of(path: Path, *constraints: Constraint) -> ExperimentFeed:
    return ExperimentFeed(path, [LOSS], constraints)


class Page:
    """Adds deltas up, as a page does: rows by id, points and steps at the end."""

    def __init__(self) -> None:
        self.offset = 0
        self.rows: dict[str, dict[Any, Any]] = {"trials": {}, "runs": {}}
        self.curves: dict[str, dict[str, Any]] = {}
        self.lists: dict[str, list[Any]] = {"best": [], "events": [], "decisions": []}
        self.latest: dict[str, Any] = {}

    def take(self, delta: Any) -> None:
        delta = json.loads(msgspec.json.encode(delta))
        assert delta["after"] == self.offset
        self.offset = delta["offset"]
        for kind, rows in self.rows.items():
            rows.update((row["id"], row) for row in delta[kind])
        for kind, found in self.lists.items():
            found.extend(delta[kind])
        for trial, curve in delta["curves"].items():
            known = self.curves.setdefault(trial, {"resource": [], "time": [], "values": {}})
            known["resource"] += curve["resource"]
            known["time"] += curve["time"]
            for name, values in curve["values"].items():
                known["values"].setdefault(name, []).extend(values)
        self.latest = {name: delta[name] for name in ("time", "wall", "totals", "sampled")}

    @property
    def content(self) -> Any:
        ordered = {kind: dict(sorted(rows.items())) for kind, rows in self.rows.items()}
        return ordered, dict(sorted(self.curves.items())), self.lists, self.latest, self.offset


@given(seed=st.integers(0, 10**6), n=st.integers(1, 120), cuts=st.lists(st.floats(0, 1), max_size=6))
@settings(max_examples=60)
def test_answers_add_up_to_one_answer_from_the_beginning(
    tmp_path_factory: pytest.TempPathFactory, journals: SimpleNamespace, seed: int, n: int, cuts: list[float]
) -> None:
    data = journals.lines_of(journals.random_events(seed, n))
    path = tmp_path_factory.mktemp("feed") / "journal.jsonl"
    rng = random.Random(seed)  # noqa: S311
    followed, page = feed_of(path), Page()
    for size in sorted(int(cut * len(data)) for cut in cuts):  # most cuts tear a line
        path.write_bytes(data[:size])
        if rng.random() < 0.5:
            followed = feed_of(path)  # the server was started again
        followed.refresh()
        page.take(followed.since(page.offset))
    path.write_bytes(data)
    followed.refresh()
    page.take(followed.since(page.offset))
    whole, fresh = feed_of(path), Page()
    whole.refresh()
    fresh.take(whole.since(0))
    assert page.content == fresh.content
    assert page.offset == len(data)
    assert followed.generation == 0


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_the_feed_agrees_with_the_history_of_the_tuner(
    tmp_path_factory: pytest.TempPathFactory, journals: SimpleNamespace, seed: int
) -> None:
    events = journals.random_events(seed, 100)
    path = tmp_path_factory.mktemp("feed") / "journal.jsonl"
    path.write_bytes(journals.lines_of(events))
    feed, history = feed_of(path), replay_history(events)
    feed.refresh()
    page = Page()
    page.take(feed.since(0))
    totals = page.latest["totals"]
    assert totals["n_results"] == history.n_results
    assert totals["cost"] == pytest.approx(history.cost)
    assert [row["status"] for row in page.rows["trials"].values()] == [
        str(history.status(i)) for i in range(history.n_trials)
    ]
    for status in TrialStatus:
        assert totals[f"n_{status}"] == len(history.ids(status))
    for trial_id in range(history.n_trials):
        resources = page.curves.get(str(trial_id), {"resource": []})["resource"]
        assert resources == [one.resource for one in history.results(trial_id)]


def test_a_journal_that_was_replaced_or_shortened_begins_again(
    tmp_path: Path, journals: SimpleNamespace
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(journals.lines_of(journals.random_events(1, 40)))
    feed = feed_of(path)
    assert feed.refresh()
    assert not feed.refresh()
    path.write_bytes(journals.lines_of(journals.random_events(2, 60)))
    assert feed.refresh()
    assert feed.generation == 1
    fresh = feed_of(path)
    fresh.refresh()
    assert msgspec.json.encode(feed.since(0)) == msgspec.json.encode(fresh.since(0))
    path.write_bytes(path.read_bytes()[:900])
    feed.refresh()
    assert feed.generation == 2
    path.unlink()
    feed.refresh()
    assert (feed.generation, feed.offset) == (3, 0)


def test_the_same_content_in_a_new_file_goes_on(tmp_path: Path, journals: SimpleNamespace) -> None:
    """So does the copy of a remote experiment, which replaces the file at each look."""
    path = tmp_path / "journal.jsonl"
    data = journals.lines_of(journals.random_events(3, 50))
    path.write_bytes(data[: len(data) // 2])
    feed = feed_of(path)
    feed.refresh()
    (tmp_path / "new").write_bytes(data)
    (tmp_path / "new").replace(path)
    feed.refresh()
    assert (feed.generation, feed.offset) == (0, len(data))


def test_lines_before_a_damaged_one_are_shown(tmp_path: Path, journals: SimpleNamespace) -> None:
    path = tmp_path / "journal.jsonl"
    good = journals.lines_of([journals.start(0.0, 0), journals.result(1.0, 0, 1, 0.5)])
    path.write_bytes(good + b'{"kind":"result","t":\n')
    feed = feed_of(path)
    feed.refresh()
    assert feed.offset == len(good)
    assert "line 4" in feed.problem
    path.write_bytes(good)  # the tuner drops a torn line at its next opening
    feed.refresh()
    assert (feed.problem, feed.generation) == ("", 0)


def test_a_link_is_not_followed(tmp_path: Path, journals: SimpleNamespace) -> None:
    path = tmp_path / "journal.jsonl"
    (tmp_path / "secret").write_bytes(journals.lines_of([journals.start(0.0, 0)]))
    path.symlink_to(tmp_path / "secret")
    feed = feed_of(path)
    feed.refresh()
    assert feed.since(0)["trials"] == []
    assert feed.problem


def test_the_best_value_keeps_constraints_and_is_finite(tmp_path: Path, journals: SimpleNamespace) -> None:
    path = tmp_path / "journal.jsonl"
    values = [(0.9, 1.0), (0.1, 9.0), (float("-inf"), 1.0), (0.5, 1.0), (0.6, 1.0)]
    events = [journals.start(0.0, 0)] + [
        journals.result(float(n), 0, n, loss, metrics={"loss": loss, "size": size})
        for n, (loss, size) in enumerate(values, 1)
    ]
    path.write_bytes(journals.lines_of(events))
    feed = feed_of(path, Constraint("size", 4.0))
    feed.refresh()
    delta = feed.since(0)
    assert [(step["value"], step["n_results"]) for step in delta["best"]] == [(0.9, 1), (0.5, 4)]
    assert delta["curves"]["0"]["values"]["loss"] == [0.9, 0.1, "-inf", 0.5, 0.6]


def test_a_killed_session_and_a_retry_are_events(tmp_path: Path, journals: SimpleNamespace) -> None:
    path = tmp_path / "journal.jsonl"
    events = [
        journals.session(0.0),
        journals.start(0.0, 0),
        journals.result(1.0, 0, 1, 0.5, retry=1),
        journals.session(2.0),
        journals.end(3.0, 0, TrialStatus.FAILED, error="first\nlast <line>"),
        journals.session(4.0, ExperimentStatus.FAILED),
    ]
    path.write_bytes(journals.lines_of(events))
    feed = feed_of(path)
    feed.refresh()
    delta = feed.since(0)
    kinds = [event["kind"] for event in delta["events"]]
    assert kinds == ["session", "retried", "interrupted", "session", "failed", "session"]
    assert delta["events"][4]["text"] == "last <line>"
    assert [(run["id"], run["begin"], run["end"]) for run in delta["runs"]] == [
        ("0-0-0", 0.0, 1.0),
        ("0-0-1", 1.0, 3.0),
    ]


def test_curves_are_sampled_beyond_a_number_and_the_best_ones_are_sent(
    tmp_path: Path, journals: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MOST_CURVES", 16)
    monkeypatch.setattr(feed_module, "BEST_CURVES", 4)
    monkeypatch.setattr(feed_module, "_SAMPLE", 4)
    rng = random.Random(0)  # noqa: S311
    events, bests = [], []
    for i in range(100):
        value = rng.random()
        bests.append(value)
        events += [
            journals.start(i, i),
            journals.result(i + 0.2, i, 1, value + 1),
            journals.result(i + 0.3, i, 2, value),
        ]
        events.append(journals.end(i + 0.5, i, TrialStatus.COMPLETED))
    data = journals.lines_of(events)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(data)
    feed = feed_of(path)
    feed.refresh()
    delta = feed.since(0)
    assert delta["sampled"] is not None
    assert len(delta["curves"]) == delta["sampled"]["shown"] < delta["sampled"]["of"] == 100
    best = sorted(range(100), key=bests.__getitem__)[:4]
    assert {*map(str, best), *map(str, range(16))} <= set(delta["curves"])
    assert all(len(curve["resource"]) == 2 for curve in delta["curves"].values())
    followed, page, fresh = feed_of(path), Page(), Page()
    for size in range(500, len(data), 700):
        path.write_bytes(data[:size])
        followed.refresh()
        page.take(followed.since(page.offset))
    path.write_bytes(data)
    followed.refresh()
    page.take(followed.since(page.offset))
    fresh.take(delta)
    assert page.content == fresh.content
    whole = feed.curves([i for i in range(100) if str(i) not in delta["curves"]])
    assert all(curve["resource"] == [1, 2] for curve in whole.values())


def test_each_row_of_the_timeline_is_a_worker(tmp_path: Path, journals: SimpleNamespace) -> None:
    """A backend gives a worker away when a run ends by itself, before its last report and its end are journaled."""
    path = tmp_path / "journal.jsonl"
    events = [
        journals.start(0.0, 0),
        journals.start(0.0, 1),
        journals.start(1.0, 2),  # on the worker of trial 0
        journals.result(1.1, 0, 1, 0.5),
        journals.end(1.2, 0, TrialStatus.PAUSED),
        journals.start(2.0, 3),  # on the worker of trial 1
        journals.end(2.1, 1, TrialStatus.COMPLETED),
    ]
    path.write_bytes(journals.lines_of(events))
    known = ExperimentFeed(path, [LOSS], n_workers=2)
    known.refresh()
    assert [(run["worker"], run["end"]) for run in known.since(0)["runs"]] == [
        ("0", 1.0),
        ("1", 2.0),
        ("0", None),
        ("1", None),
    ]
    unknown = feed_of(path)
    unknown.refresh()
    assert {run["worker"] for run in unknown.since(0)["runs"]} == {"0", "1", "2"}
