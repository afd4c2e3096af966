"""The channel: keys that hold any report, mailboxes, listings."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.aws import S3Objects, StoredObject
from tunewright.backends.engine.channel import Inbox, Mailbox
from tunewright.backends.engine.job_service import JobName
from tunewright.backends.s3.channel import OVERLAP_SECONDS, S3Channel
from tunewright.backends.s3.checkpoints import complete_checkpoints
from tunewright.runner import s3_keys
from tunewright.runner.channel import EXITED, End, Report
from tunewright.runner.s3_channel import seconds_ahead

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
WALL = st.floats(min_value=0, max_value=9e9)
REPORTS = st.builds(
    Report,
    seq=st.integers(1, 10**6),
    resource=st.integers(0, 10**9),
    metrics=st.dictionaries(st.text(), JSON, max_size=6),
    cost=st.floats(allow_nan=False),
    wall=WALL,
)
ENDS = st.builds(
    End,
    cause=st.just(EXITED),
    exit=st.integers(0, 255),
    error=st.text(),
    cost=st.floats(allow_nan=False),
    wall=WALL,
    checkpoint=st.none() | st.integers(1, 10**6),
)


def same(left: Any, right: Any) -> bool:
    """Equality under which NaN equals itself."""
    return repr(left) == repr(right)


@given(message=REPORTS | ENDS, room=st.sampled_from([100, 300, 974]))
def test_any_message_comes_back(message: Report | End, room: int) -> None:
    text, body = s3_keys.encode("3-1-2", 7, message, room=room)
    assert len(text.encode()) <= room
    key = s3_keys.decode(text)
    assert key is not None
    assert (key.trial_id, key.attempt, key.retry, key.seq) == (3, 1, 2, 7)
    assert key.is_end == isinstance(message, End)
    assert same(s3_keys.message_of(key, body if key.is_in_body else None), message)


def test_a_usual_report_fits_into_the_key() -> None:
    metrics = {f"metric_{n}": math.pi for n in range(8)}
    text, _ = s3_keys.encode("10-0-0", 3, Report(3, 3, metrics, 0.1, 1.7e9), room=974)
    key = s3_keys.decode(text)
    assert key is not None
    assert not key.is_in_body


def test_what_must_be_read_must_be_given() -> None:
    text, _ = s3_keys.encode("0-0-0", 1, Report(1, 1, {"a": "x" * 2000}, 0.0, 1.0), room=974)
    key = s3_keys.decode(text)
    assert key is not None
    with pytest.raises(ValueError, match="was not read"):
        s3_keys.message_of(key)


@pytest.mark.parametrize(
    "text", ["reports/", "reports/1-0-0-0-1-r~e30=", "other/1700000000000-0-0-0-1-r~e30="]
)
def test_other_keys_are_passed_over(text: str) -> None:
    assert s3_keys.decode(text) is None


def test_keys_are_in_order_of_time() -> None:
    walls = [0.0, 1.5, 999.999, 1e9, 1.7e9, 9e9]
    assert [s3_keys.time_key(wall) for wall in walls] == sorted(s3_keys.time_key(wall) for wall in walls)


def report(seq: int, *, wall: float = 1.7e9) -> Report:
    return Report(seq, seq, {}, 0.0, wall)


@given(order=st.permutations(range(1, 7)), taken=st.integers(0, 6))
def test_a_mailbox_hands_out_in_order_once(order: list[int], taken: int) -> None:
    box = Mailbox(taken=taken)
    handed: list[int] = []
    for seq in order * 2:
        box.put(seq, report(seq))
        handed += [number for number, _ in box.take()]
    assert handed == list(range(taken + 1, 7))
    assert not box.has_gap


def test_a_mailbox_with_a_gap() -> None:
    box = Mailbox()
    box.put(2, report(2))
    box.put(4, report(4))
    assert box.has_gap
    assert box.take() == []
    assert [seq for seq, _ in box.take(over_gaps=True)] == [2, 4]
    box.put(3, report(3))
    assert box.take(over_gaps=True) == []


@pytest.fixture
def objects(aws: Any) -> S3Objects:
    return S3Objects(aws.s3, "bucket", "exp")


def put(objects: S3Objects, run: str, seq: int, wall: float, *, size: int = 0) -> None:
    message = Report(seq, seq, {"text": "x" * size}, 0.0, wall)
    objects.put(*s3_keys.encode(run, seq, message, room=900))


def test_one_listing_brings_everything_once(objects: S3Objects, aws: Any) -> None:
    reader = Inbox(S3Channel(objects, overlap=5))
    put(objects, "0-0-0", 1, 1000.0)
    put(objects, "1-0-0", 1, 1001.0, size=2000)
    objects.put("reports/strange", b"")
    assert reader.poll()
    assert [seq for seq, _ in reader.box(JobName(0, 0, 0)).take()] == [1]
    assert [seq for seq, _ in reader.box(JobName(1, 0, 0)).take()] == [1]
    assert not reader.poll()
    assert (aws.s3.calls["ListObjectsV2"], aws.s3.calls["GetObject"]) == (2, 1)


def test_a_late_object_within_the_overlap_is_seen(objects: S3Objects) -> None:
    reader = Inbox(S3Channel(objects, overlap=5))
    put(objects, "0-0-0", 1, 1000.0)
    reader.poll()
    put(objects, "1-0-0", 1, 996.0)
    put(objects, "2-0-0", 1, 900.0)
    assert reader.poll()
    assert reader.box(JobName(1, 0, 0)).take()
    assert not reader.box(JobName(2, 0, 0)).take()
    reader.search_from(1000.0)
    assert reader.box(JobName(2, 0, 0)).take()


def test_a_machine_whose_clock_runs_ahead_silences_no_other(objects: S3Objects) -> None:
    """Its clock was put right after it was compared with that of S3, say."""
    reader, now = Inbox(S3Channel(objects, overlap=5)), time.time()
    put(objects, "0-0-0", 1, now + 3600)
    put(objects, "1-0-0", 1, now)
    assert reader.poll()
    put(objects, "1-0-0", 2, time.time())
    put(objects, "0-0-0", 2, now + 3601)
    assert reader.poll()
    assert [seq for seq, _ in reader.box(JobName(1, 0, 0)).take()] == [1, 2]
    assert [seq for seq, _ in reader.box(JobName(0, 0, 0)).take()] == [1, 2]


def test_a_forgotten_run_is_not_heard_again(objects: S3Objects) -> None:
    reader = Inbox(S3Channel(objects, overlap=5))
    put(objects, "0-0-0", 1, 1000.0)
    reader.poll()
    reader.forget(JobName(0, 0, 0))
    put(objects, "0-0-0", 2, 1000.5)
    reader.poll()
    reader.search_from(1000.0)
    assert not reader.needs_search([JobName(0, 0, 0)])
    assert reader.box(JobName(0, 0, 0)).take(over_gaps=True) == []


def test_an_older_retry_is_forgotten_without_what_a_newer_one_said(objects: S3Objects) -> None:
    reader = Inbox(S3Channel(objects, overlap=5))
    put(objects, "0-0-0", 1, 1000.0)
    put(objects, "0-0-1", 1, 1001.0)
    reader.poll()
    reader.forget(JobName(0, 0, 0))
    assert reader.has_news(0, 0)
    assert reader.newest_retry(JobName(0, 0, 0)) == 1
    names = [JobName(0, 0, 1)]
    assert [seq for _, seq, _ in reader.take(names, over_gaps=False)] == [1]
    assert not reader.has_news(0, 0)
    reader.forget_attempt(names)
    put(objects, "0-0-1", 2, 1002.0)
    reader.poll()
    assert not reader.has_news(0, 0)


def test_what_no_runner_wrote_is_passed_over(objects: S3Objects) -> None:
    reader = Inbox(S3Channel(objects, overlap=5))
    for payload in ("AAAA", "e30=", "body", "W10="):
        objects.put(f"reports/0000001000000-0-0-0-1-r~{payload}", b"")
    reader.poll()
    assert reader.box(JobName(0, 0, 0)).take(over_gaps=True) == []


def test_a_new_session_begins_where_it_is_told(objects: S3Objects) -> None:
    reader = Inbox(S3Channel(objects, overlap=5))
    put(objects, "0-0-0", 1, 1000.0)
    put(objects, "0-0-0", 2, 2000.0)
    reader.begin_at(1990.0)
    reader.poll()
    assert reader.needs_search([JobName(0, 0, 0)])


def test_only_whole_checkpoints_count(objects: S3Objects) -> None:
    for name in ("1/weights", "1/_complete", "12/_complete", "3/weights", "5/deep/_complete"):
        objects.put(f"checkpoints/7/{name}", b"")
    objects.put("checkpoints/77/9/_complete", b"")
    assert complete_checkpoints(objects, 7) == [1, 12]


class ArrivingObjects:
    """Objects of which each can be seen from its time on."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, str]] = []
        self.now = 0.0

    def list(self, prefix: str, *, start_after: str = "") -> list[StoredObject]:
        keys = sorted(key for at, key in self.arrivals if at <= self.now and key > start_after)
        return [StoredObject(key=key, size=1) for key in keys if key.startswith(prefix)]


@settings(max_examples=60, deadline=None)
@given(
    delays=st.lists(
        st.lists(st.tuples(st.sampled_from([0.0, 1.0, 30.0, 200.0]), st.booleans()), min_size=1, max_size=8),
        min_size=1,
        max_size=4,
    ),
    skews=st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4),
    n_shards=st.sampled_from([1, 3]),
)
def test_late_and_doubled_reports_count_once_and_in_order(
    delays: list[list[tuple[float, bool]]], skews: list[float], n_shards: int
) -> None:
    """Uploads of several machines take their time, and some are sent again with another date."""
    objects, begin = ArrivingObjects(), 1e9
    for trial_id, of_trial in enumerate(delays):
        for n, (delay, is_doubled) in enumerate(of_trial):
            at = begin + 10.0 * n
            for more in (0.0, 3.0) if is_doubled else (0.0,):
                message = Report(n + 1, n + 1, {}, 0.0, at + skews[trial_id] + more)
                shard = s3_keys.shard_of(trial_id, n_shards)
                key, _ = s3_keys.encode(f"{trial_id}-0-0", n + 1, message, room=900, shard=shard)
                objects.arrivals.append((at + delay + more, key))
    reader = Inbox(S3Channel(objects, overlap=OVERLAP_SECONDS, n_shards=n_shards))  # type: ignore[arg-type] - what it uses of S3Objects
    reader.begin_at(begin)
    names = [JobName(trial_id, 0, 0) for trial_id in range(len(delays))]
    got: dict[JobName, list[int]] = {name: [] for name in names}
    for second in range(0, 320, 2):
        objects.now = begin + second
        reader.poll()
        for name in names:
            if reader.needs_search([name]):
                reader.search_from(begin)
            got[name] += [seq for seq, _ in reader.box(name).take()]
    reader.search_from(begin)
    for name, of_trial in zip(names, delays, strict=True):
        got[name] += [seq for seq, _ in reader.box(name).take()]
        assert got[name] == list(range(1, len(of_trial) + 1))


def test_trials_are_spread_over_shards_and_keys_say_it() -> None:
    """Neighbours go to different prefixes, a trial always to the same; one shard is what there always was."""
    places = [s3_keys.report_place(s3_keys.shard_of(trial_id, 3)) for trial_id in range(300)]
    assert {place: places.count(place) for place in places} == {
        "reports/": 100,
        "reports-1/": 100,
        "reports-2/": 100,
    }
    text, _ = s3_keys.encode("4-0-0", 1, report(1), room=900, shard=1)
    assert text.startswith("reports-1/")
    key = s3_keys.decode(text)
    assert key is not None
    assert key.trial_id == 4


def test_a_session_of_fewer_shards_reads_those_of_earlier_sessions(objects: S3Objects) -> None:
    """Its workers' runners may still write there."""
    S3Channel(objects, overlap=5, n_shards=3).open()
    key, body = s3_keys.encode("5-0-0", 1, report(1, wall=1000.0), room=900, shard=2)
    objects.put(key, body)
    reader = Inbox(S3Channel(objects, overlap=5))
    reader.channel.open()
    assert reader.poll()
    assert [seq for seq, _ in reader.box(JobName(5, 0, 0)).take()] == [1]
    later = Inbox(S3Channel(objects, overlap=5, n_shards=2))
    later.channel.open()
    assert later.poll()


def test_where_a_page_is_too_short_most_listings_reach_back_less() -> None:
    """2,500 reports a minute are three pages; the listings between take one, and nothing is lost or doubled."""
    objects, begin = ArrivingObjects(), 1e9
    for n in range(2500):
        at = begin + 60.0 * n / 2500
        key, _ = s3_keys.encode("0-0-0", n + 1, Report(n + 1, n + 1, {}, 0.0, at), room=900)
        objects.arrivals.append((at, key))
    reader, name, sizes, got = (
        Inbox(S3Channel(objects, overlap=60.0)),
        JobName(0, 0, 0),
        list[int](),
        list[int](),
    )  # type: ignore[arg-type]
    reader.begin_at(begin)
    original = objects.list
    for second in range(0, 70, 2):
        objects.now = begin + second
        objects.list = lambda *a, **k: (sizes.append(len(found := original(*a, **k))), found)[1]  # type: ignore[method-assign]
        reader.poll()
        got += [seq for seq, _ in reader.box(name).take()]
    assert got == list(range(1, 2501))
    assert sum(size <= 1000 for size in sizes[-8:]) == 7


@pytest.mark.parametrize(
    ("date", "ahead"),
    [("Thu, 01 Jan 2026 00:10:00 GMT", 600.5), ("Thu, 01 Jan 2026 00:00:01 GMT", 0.0), ("no date", 0.0)],
)
def test_machines_date_by_the_clock_of_s3(date: str, ahead: float) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    assert seconds_ahead(answer, now) == pytest.approx(ahead)
    assert seconds_ahead({}, now) == 0.0
