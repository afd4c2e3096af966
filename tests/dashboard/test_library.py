"""All experiments: rows that are kept between servers, journals in memory, remote experiments."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.events import encode_event
from tunewright.exceptions import BackendError, UnknownNameError
from tunewright.experiments.remote_marker import RemoteMarker, write_marker
from tunewright.remote import launch as launches
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus

library = pytest.importorskip("tunewright.dashboard.library")
remote_sync = pytest.importorskip("tunewright.dashboard.remote_sync")
Store = Callable[..., ExperimentFolder]


def finished(journals: SimpleNamespace, value: float = 0.5) -> list[Any]:
    events = [journals.session(0.0), journals.start(0.0, 0), journals.result(1.0, 0, 1, value)]
    return [*events, journals.session(2.0, ExperimentStatus.COMPLETED)]


def rows_of(found: Any) -> list[Any]:
    found.look()
    return found.rows()["experiments"]


def test_rows_of_finished_experiments_are_there_without_their_journals(
    store: Store, journals: SimpleNamespace, cache: Path
) -> None:
    folder = store(finished(journals))
    first = rows_of(library.Library())
    again = library.Library()
    assert rows_of(again) == first
    entry = again.entry(folder.tag, folder.name)
    assert entry.feed is None  # the journal was not read
    assert entry.open_feed().totals["n_results"] == 1
    with folder.journal_path.open("ab") as file:  # a resume
        file.write(encode_event(journals.result(3.0, 0, 2, 0.25)))
    assert [row["best"] for row in rows_of(library.Library())] == [0.25]
    for kept in cache.rglob("*.json"):
        assert kept.stat().st_mode & 0o077 == 0
        kept.write_text("{", encoding="utf-8")  # damage
    assert [row["best"] for row in rows_of(library.Library())] == [0.25]


def test_only_chosen_experiments_are_shown(store: Store, journals: SimpleNamespace) -> None:
    one = store(finished(journals))
    two = store(finished(journals), tag="u", name="u-A-toy-0-20260101-000001-abcd")
    three = store(finished(journals), tag="u", name="u-A-toy-0-20260101-000002-abcd")
    assert {row["name"] for row in rows_of(library.Library(["u"]))} == {two.name, three.name}
    chosen = library.Library(["t", two.name])
    assert {row["name"] for row in rows_of(chosen)} == {one.name, two.name}
    with pytest.raises(UnknownNameError):
        chosen.entry("u", three.name)
    assert chosen.unknown() == []


def test_a_tag_that_begins_later_is_shown(store: Store, journals: SimpleNamespace) -> None:
    store(finished(journals))
    chosen = library.Library(["t", "later"])
    assert chosen.unknown() == ["later"]
    one = store(finished(journals), tag="later", name="later-A-toy-0-20260101-000001-abcd")
    assert one.name in {row["name"] for row in rows_of(chosen)}


def test_few_journals_stay_in_memory(
    store: Store, journals: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_MOST_FEEDS", 3)
    names = [f"t-A-toy-{i}-20260101-{i:06}-abcd" for i in range(6)]
    for name in names:
        store(finished(journals), name=name)
    found = library.Library()
    found.look()
    entries = [found.entry("t", name) for name in names]
    assert sum(entry.feed is not None for entry in entries) == 3
    for entry in entries:
        entry.open_feed()
        entry.n_followers += 1
    found.look()
    assert all(entry.feed is not None for entry in entries)  # pages follow them


def test_a_look_may_end_early(store: Store, journals: SimpleNamespace) -> None:
    for i in range(4):
        store(finished(journals), name=f"t-A-toy-{i}-20260101-{i:06}-abcd")
    found = library.Library()
    n_looks = 1
    while not found.look(most_seconds=0.0):
        n_looks += 1
        assert n_looks < 10
    assert n_looks == 4
    assert len(found.rows()["experiments"]) == 4
    assert found.look(most_seconds=0.0)


def test_remote_experiments_are_fetched_again(
    store: Store, journals: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = finished(journals)
    folder = store(events[:2])
    marker = RemoteMarker(tag="t", name="slice", state="running", looked_at=time.time())
    write_marker(folder.path, marker)
    found = library.Library()
    sync = remote_sync.RemoteSync(found)
    entry = found.entry("t", folder.name)

    def warnings() -> str:
        return " ".join(entry.document(control=True)["warnings"])

    assert entry.document(control=True)["status"] == "running"
    assert "tuning job of slice" in warnings()
    sync.fetch()
    assert "launched from another machine" in warnings()

    closed: list[bool] = []
    session = SimpleNamespace(close=lambda: closed.append(True))
    record = SimpleNamespace(endpoint=lambda: "here", bucket="b", bucket_terms=None, requests={})
    launch = SimpleNamespace(look=list)
    monkeypatch.setattr(launches, "load_record", lambda tag: record)
    monkeypatch.setattr(launches, "open_session", lambda endpoint: session)
    monkeypatch.setattr(launches, "choose_bucket", lambda *terms: "b")
    monkeypatch.setattr(launches, "RemoteLaunch", lambda *arguments: launch)

    def refuse(*_: object) -> None:
        raise BackendError("no credentials")

    monkeypatch.setattr(remote_sync, "fetch_views", refuse)
    sync.fetch()
    assert "cannot be fetched again: no credentials" in warnings()
    assert closed == [True]

    def fetch(*_: object) -> None:
        folder.journal_path.write_bytes(journals.lines_of(events))

    monkeypatch.setattr(remote_sync, "fetch_views", fetch)
    offset = entry.open_feed().offset
    sync.fetch()
    assert "cannot be fetched" not in warnings()
    assert entry.open_feed().generation == 0
    assert entry.open_feed().since(offset)["curves"]["0"]["resource"] == [1]
