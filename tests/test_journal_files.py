"""Files of journals byte by byte: hashes, locks, last outcomes, and the errors of what cannot be read or written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from tunewright.events import Header, ReportDecision, ResultEvent, SessionEvent
from tunewright.exceptions import JournalError
from tunewright.journal import (
    FileJournal,
    canonical_hash,
    is_locked,
    last_outcome,
    lock_path,
    outcome_of,
    read_events,
    read_header,
)
from tunewright.trial import ExperimentStatus

HEADER = b'{"kind":"experiment","schema":1,"experiment":"e","seed":3}\n'
DROP = b'{"kind":"drop","t":1.0,"wall":2.0,"trial_id":0,"resource":1}\n'
END = b'{"kind":"session","t":1.0,"wall":2.0,"event":"end","outcome":"completed"}\n'


def result(n: int) -> ResultEvent:
    return ResultEvent(
        t=float(n),
        wall=1e9,
        trial_id=n,
        attempt=0,
        retry=0,
        seq=1,
        resource=1,
        metrics={"loss": 0.5},
        decision=ReportDecision.CONTINUE,
        reason="",
        cost=0.0,
    )


def written(tmp_path: Path, *lines: bytes) -> Path:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(lines))
    return path


@pytest.mark.parametrize(
    ("tail", "outcome"),
    [
        (END, ExperimentStatus.COMPLETED),
        (DROP + END, ExperimentStatus.COMPLETED),
        (END + DROP, ExperimentStatus.INTERRUPTED),
        (END[:-1], ExperimentStatus.INTERRUPTED),
        (END + b'{"kind":"se', ExperimentStatus.INTERRUPTED),
        (END.replace(b',"outcome":"completed"', b""), ExperimentStatus.INTERRUPTED),
        (END.removesuffix(b"\n") + b" ", ExperimentStatus.INTERRUPTED),  # its end was not written
        (END.replace(b"completed", b"failed"), ExperimentStatus.FAILED),
        (b"junk\n", ExperimentStatus.INTERRUPTED),
        (b"\n", ExperimentStatus.INTERRUPTED),
        (b"", ExperimentStatus.INTERRUPTED),
    ],
)
def test_the_last_outcome(tmp_path: Path, tail: bytes, outcome: ExperimentStatus) -> None:
    assert outcome_of(tail) is outcome
    assert last_outcome(written(tmp_path, HEADER, tail)) is outcome
    assert last_outcome(written(tmp_path, HEADER, DROP * 20_000, tail)) is outcome


def test_the_last_outcome_of_no_file_and_of_none_that_can_be_read(tmp_path: Path) -> None:
    assert last_outcome(tmp_path / "nothing") is ExperimentStatus.INTERRUPTED
    with pytest.raises(JournalError, match=r"cannot be read: .*directory"):
        last_outcome(tmp_path)


def test_the_hash_is_that_of_the_lines_without_times_and_names(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        b'{"kind":"experiment","schema":1,"experiment":"e","seed":3,"effective_seed":3,"resolved":{},"table":"t"}\n',
        b'{"kind":"start","t":1.0,"wall":2.0,"trial_id":0,"suggest_time":0.5,"table":"kept"}\n',
        b'{"kind":"session","t":1.0,"wall":2.0,"event":"begin"}\n',
        b'{"kind":"phase","t":1.0,"wall":2.0}\n',
        b'{"wall":9.0,"resource":1,"kind":"drop","trial_id":0,"t":3.0}\n',
    )
    kept = [
        {"kind": "experiment", "schema": 1, "seed": 3},
        {"kind": "start", "t": 1.0, "table": "kept", "trial_id": 0},
        {"kind": "drop", "resource": 1, "t": 3.0, "trial_id": 0},
    ]
    expected = hashlib.sha256("".join(json.dumps(line, sort_keys=True) for line in kept).encode())
    assert canonical_hash(path) == expected.hexdigest()


def test_a_damaged_line_is_named_with_its_file_and_number(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, DROP, b"junk\n", DROP)
    says = f"{path}, line 3: "
    remedy = "The file was changed or damaged: restore it from a copy, or keep the 2 lines before this one and resume (tunewright repair)"
    for read in (lambda: list(read_events(path)), lambda: canonical_hash(path)):
        with pytest.raises(JournalError) as damaged:
            read()
        assert str(damaged.value).startswith(says)
        assert str(damaged.value).endswith(remedy)
    header = read_header(path)
    assert header is not None
    assert header.seed == 3


@pytest.mark.parametrize("read", [read_header, lambda path: list(read_events(path)), canonical_hash])
def test_a_damaged_header_is_named(tmp_path: Path, read) -> None:
    path = written(tmp_path, HEADER.replace(b"3", b'"three"'), DROP)
    if read is not canonical_hash:  # which reads no types
        with pytest.raises(JournalError, match=f"^{path}, line 1: .*the 0 lines"):
            read(path)
    path = written(tmp_path, DROP)
    with pytest.raises(JournalError, match=f"^{path} is not a journal: its first line has no header$"):
        read(path)


@pytest.mark.parametrize("torn", [b"", HEADER[:12], HEADER[:-1]])
def test_a_file_without_a_whole_first_line_has_no_header_and_no_events(tmp_path: Path, torn: bytes) -> None:
    path = written(tmp_path, torn)
    assert list(read_events(path)) == []
    assert read_header(path) is None
    assert read_header(tmp_path / "nothing") is None
    path.write_bytes(b"x" + torn)
    with pytest.raises(JournalError, match=f"^{path} is not a journal"):
        read_header(path)


def test_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "b" / "journal.jsonl"
    assert lock_path(path) == tmp_path / "a" / "b" / "journal.jsonl.lock"
    assert not is_locked(path)
    journal = FileJournal(path)
    assert is_locked(path)
    monkeypatch.setattr("tunewright.journal.LOCK_PATIENCE", 0.01)
    with pytest.raises(JournalError) as refused:
        FileJournal(path)
    assert str(refused.value) == (
        f"{path} is in use: another process is working on this experiment. Wait for its end or stop it."
    )
    journal.close()
    assert lock_path(path).exists()
    assert not is_locked(path)


def test_nobody_asks_for_a_lock_that_may_not_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    journal = FileJournal(path)
    asked: list[tuple[Path, int]] = []

    def access(lock: Path, mode: int) -> bool:
        asked.append((lock, mode))
        return False

    monkeypatch.setattr("tunewright.journal.os.access", access)
    assert not is_locked(path)
    assert asked == [(lock_path(path), os.W_OK)]
    journal.close()


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"cannot be opened: .*file"):
        FileJournal(tmp_path / "file" / "journal.jsonl")


class Full:
    """A file that takes some bytes, and then no more."""

    closed = False

    def __init__(self, takes: int | None) -> None:
        self.takes = takes
        self.sizes: list[int] = []

    def write(self, data: bytes) -> int:
        if self.takes is None:
            raise OSError(errno.EIO, "broken")
        return self.takes

    def truncate(self, size: int) -> None:
        self.sizes.append(size)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("takes", "why"),
    [(3, f"[Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}"), (None, f"[Errno {errno.EIO}] broken")],
)
def test_a_line_that_cannot_be_written_leaves_those_before_it(
    tmp_path: Path, takes: int | None, why: str
) -> None:
    path = tmp_path / "journal.jsonl"
    journal = FileJournal(path, Header(experiment="e"))
    journal.append(result(0))
    journal.append(result(1))
    size = path.stat().st_size
    journal._file.close()
    journal._file = full = Full(takes)  # type: ignore[assignment]
    with pytest.raises(JournalError) as failed:
        journal.append(result(2))
    assert str(failed.value) == (
        f"{path} cannot be written: {why}. All lines before are kept; make room and resume the experiment."
    )
    assert full.sizes == [size]
    journal.close()
    assert len(list(read_events(path))) == 2


def test_lines_are_held_for_a_time_or_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tunewright.journal.monotonic", lambda: now[0])
    path = tmp_path / "journal.jsonl"
    journal = FileJournal(path, hold=10.0)
    for n, seconds in enumerate([0.0, 9.75]):
        now[0] = 100.0 + seconds
        journal.append(result(n))
    assert list(read_events(path)) == []
    now[0] = 110.0
    journal.append(result(2))
    assert len(list(read_events(path))) == 3
    monkeypatch.setattr("tunewright.journal._MOST_HELD", 4)
    for n in range(3):
        journal.append(result(n))
    assert len(list(read_events(path))) == 3
    journal.append(result(3))
    assert len(list(read_events(path))) == 7
    journal.append(SessionEvent(t=0.0, wall=0.0, event="end"))
    journal.close()
    assert len(list(read_events(path))) == 8


OLD = HEADER.replace(b'"schema":1', b'"schema":7')


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([b"junk\n"], "{path}, line 1: "),
        ([HEADER.replace(b"3", b'"three"')], "{path}, line 1: "),
        ([DROP], "{path} is not a journal: its first line has no header"),
        ([b"junk"], "{path} is not a journal: its first line has no header"),
        (
            [OLD],
            "{path} has schema 7, this version reads 1: use the version of Tunewright that wrote it",
        ),
    ],
)
def test_a_file_that_is_no_journal_is_not_continued(tmp_path: Path, lines: list[bytes], says: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(JournalError) as refused:
        FileJournal(path)
    assert str(refused.value).startswith(says.format(path=path))
    assert path.read_bytes() == b"".join(lines)
    assert not is_locked(path)


def test_a_second_header_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, HEADER)
    with pytest.raises(JournalError, match=rf"^{path}, line 2: a second header\. The file was changed"):
        list(read_events(path))


@pytest.mark.parametrize("torn", [b'{"kind":"dr', b"junk\n", DROP[:-1]])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = written(tmp_path, HEADER, DROP, DROP, torn)
    FileJournal(path).close()
    assert path.read_bytes() == HEADER + DROP + DROP


def test_a_header_that_was_torn_is_written_again(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER[:12])
    journal = FileJournal(path, Header(experiment="again"))
    assert (journal.header.experiment, journal.header.schema) == ("again", 1)
    journal.close()
    header = read_header(path)
    assert header is not None
    assert header.experiment == "again"


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "refused")

    monkeypatch.setattr("tunewright.journal.read_header", lambda _: None)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(JournalError) as failed:
        FileJournal(path)
    assert str(failed.value) == f"{path} cannot be opened: [Errno {errno.EACCES}] refused"
    monkeypatch.undo()
    assert not is_locked(path)
