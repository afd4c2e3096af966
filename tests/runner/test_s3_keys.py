"""Names of the objects through which jobs and their backend talk: they are stored, so that they must not change."""

from __future__ import annotations

import base64
import json

import pytest

from tunewright.runner import s3_keys
from tunewright.runner.channel import PAUSE, End, Report
from tunewright.runner.s3_keys import ReportKey

REPORT = Report(seq=4, resource=9, metrics={"loss": 0.5}, cost=0.25, wall=1700000000.5)
REPORT_BODY = b'{"seq":4,"resource":9,"metrics":{"loss":0.5},"cost":0.25,"wall":1700000000.5}'
END = End(cause=PAUSE, exit=0, error="", cost=0.25, wall=12.0, checkpoint=9)
END_BODY = b'{"cause":"pause","exit":0,"error":"","cost":0.25,"wall":12.0,"checkpoint":9}'


def payload(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).decode()


def test_a_report_travels_in_its_key() -> None:
    key, body = s3_keys.encode("3-1-2", 4, REPORT, room=900)
    assert body == REPORT_BODY
    assert key == f"reports/1700000000500-3-1-2-4-r~{payload(REPORT_BODY)}"
    assert s3_keys.decode(key) == ReportKey(
        time=1700000000500,
        trial_id=3,
        attempt=1,
        retry=2,
        seq=4,
        is_end=False,
        payload=payload(REPORT_BODY),
    )


def test_an_end_travels_in_its_key_below_its_shard() -> None:
    key, body = s3_keys.encode("30-0-0", 5, END, room=900, shard=7)
    assert body == END_BODY
    assert key == f"reports-7/0000000012000-30-0-0-5-e~{payload(END_BODY)}"
    found = s3_keys.decode(key)
    assert found is not None
    assert (found.trial_id, found.attempt, found.retry, found.seq) == (30, 0, 0, 5)
    assert found.is_end
    assert not found.is_in_body
    assert s3_keys.message_of(found) == END


def test_the_content_is_in_the_object_if_the_key_has_no_room() -> None:
    key, _ = s3_keys.encode("3-1-2", 4, REPORT, room=900)
    exact, _ = s3_keys.encode("3-1-2", 4, REPORT, room=len(key))
    assert exact == key
    short, body = s3_keys.encode("3-1-2", 4, REPORT, room=len(key) - 1)
    assert short == "reports/1700000000500-3-1-2-4-r~body"
    found = s3_keys.decode(short)
    assert found is not None
    assert found.is_in_body
    assert s3_keys.message_of(found, body) == REPORT
    with pytest.raises(ValueError, match=r"^The content of the report is in the object, which was not read$"):
        s3_keys.message_of(found)


def test_a_payload_holds_any_byte_that_a_key_may_hold() -> None:
    odd = Report(seq=1, resource=1, metrics={"?>~": "\u00ff\u00fe"}, cost=0.0, wall=0.0)
    for room in (900, 40):
        key, body = s3_keys.encode("0-0-0", 1, odd, room=room)
        assert key.isascii()
        assert key.count("/") == 1
        found = s3_keys.decode(key)
        assert found is not None
        assert s3_keys.message_of(found, body) == odd


@pytest.mark.parametrize(
    "forged",
    [
        '{"resource": 1e400}',
        '{"resource": "3"}',
        '{"resource": true}',
        '{"metrics": [1]}',
        '{"cost": null}',
        '{"wall": 1e400}',
        '{"wall": NaN}',
        '{"worker": 5}',
        '{"more": 1}',
    ],
)
def test_messages_that_another_program_wrote_are_errors(forged: str) -> None:
    good = {"seq": 1, "resource": 1, "metrics": {}, "cost": 0.0, "wall": 1.0}
    for fields, is_good in ((good, True), ({**good, **json.loads(forged)}, False)):
        key = ReportKey(0, 0, 0, 0, 1, is_end=False, payload=payload(json.dumps(fields).encode()))
        if is_good:
            assert s3_keys.message_of(key)
            continue
        with pytest.raises(ValueError, match=r"^Not a runner's message: "):
            s3_keys.message_of(key)


@pytest.mark.parametrize("is_end", [False, True])
def test_content_of_another_kind_is_an_error(is_end: bool) -> None:
    key = ReportKey(0, 0, 0, 0, 1, is_end, payload(json.dumps({"seq": 1}).encode()))
    with pytest.raises(
        ValueError, match=r"^Not a runner's message: .*seq|^Not a runner's message: .*missing"
    ):
        s3_keys.message_of(key)


@pytest.mark.parametrize(
    "key",
    [
        "reports/1700000000000-0-0-0-1-r~e30=",
        "reports-12/1700000000000-0-0-0-1-e~body",
        "reports/0000000000000-10-20-30-40-r~A_-=",
    ],
)
def test_keys_of_reports(key: str) -> None:
    assert s3_keys.decode(key) is not None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "reports/",
        "reports-/1700000000000-0-0-0-1-r~e30=",
        "reports/170000000000-0-0-0-1-r~e30=",
        "reports/1700000000000-0-0-1-r~e30=",
        "reports/1700000000000-0-0-0-1-x~e30=",
        "reports/1700000000000-0-0-0-1-r~",
        "reports/1700000000000-0-0-0-1-r~e30=\n",
        "x/reports/1700000000000-0-0-0-1-r~e30=",
    ],
)
def test_other_keys(key: str) -> None:
    assert s3_keys.decode(key) is None


def test_shards_of_reports() -> None:
    assert [s3_keys.report_place(shard) for shard in (0, 1, 12)] == ["reports/", "reports-1/", "reports-12/"]
    assert [s3_keys.shard_of(trial_id, 3) for trial_id in range(7)] == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("wall", "key"),
    [
        (-5.0, "0000000000000"),
        (0.0, "0000000000000"),
        (0.0019, "0000000000001"),
        (1.0, "0000000001000"),
        (1.7e9, "1700000000000"),
    ],
)
def test_times_are_milliseconds(wall: float, key: str) -> None:
    assert s3_keys.time_key(wall) == key


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0-0-0", True),
        ("12-3-45", True),
        ("0-0", False),
        ("worker-0", False),
        ("0-0-0-0", False),
        ("", False),
    ],
)
def test_names_of_runs(name: str, expected: bool) -> None:
    assert s3_keys.is_run(name) is expected


def test_places() -> None:
    assert s3_keys.control_key("3-1-2") == "control/3-1-2"
    assert s3_keys.worker_control_prefix() == "control/worker-"
    assert s3_keys.worker_control(4) == "control/worker-4"
    assert s3_keys.checkpoint_prefix(3, 9) == "checkpoints/3/9/"
