from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tunewright.events import Header, ReportDecision, ResultEvent, SessionEvent, StartEvent
from tunewright.exceptions import JournalError
from tunewright.journal import FileJournal, MemoryJournal, canonical_hash, is_locked, read_events, read_header


def result(n: int, metrics: dict[str, float] | None = None, wall: float = 1e9) -> ResultEvent:
    return ResultEvent(
        t=float(n),
        wall=wall,
        trial_id=n,
        attempt=0,
        retry=0,
        seq=1,
        resource=1,
        metrics=metrics or {"loss": 0.5},
        decision=ReportDecision.CONTINUE,
        reason="",
        cost=0.0,
    )


def trials(path: Path) -> list[int]:
    return [event.trial_id for event in read_events(path) if isinstance(event, ResultEvent)]


def test_lines_come_back_in_order_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "journal.jsonl"
    journal = FileJournal(path, Header(experiment="first", seed=3))
    journal.append(result(0))
    journal.append(result(1))
    journal.close()
    again = FileJournal(path, Header(experiment="ignored"))
    again.append(result(2))
    assert again.header.experiment == "first"
    assert [event.trial_id for event in again.events()] == [0, 1, 2]
    again.close()


def test_lines_that_are_held_back_come_in_one_piece_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = FileJournal(path, hold=3600.0)

    journal.append(result(0))
    journal.append(result(1))
    assert trials(path) == []
    journal.flush()
    assert trials(path) == [0, 1]
    for number in range(2, 1500):
        journal.append(result(number))
    assert len(trials(path)) > 1000, "memory is limited"
    assert len(list(journal.events())) == 1500
    journal.append(result(1500))
    journal.close()
    assert trials(path) == list(range(1501))


def test_non_finite_numbers_are_strings_in_the_file_and_come_back_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = FileJournal(path)
    journal.append(result(0, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5}))
    journal.close()
    raw = path.read_text().splitlines()[1]
    assert json.loads(raw, parse_constant=pytest.fail)["metrics"] == {
        "a": "nan",
        "b": "inf",
        "c": "-inf",
        "d": 1.5,
    }
    (event,) = read_events(path)
    assert isinstance(event, ResultEvent)
    assert repr(event.metrics) == repr({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5})


@pytest.mark.parametrize("torn", [b'{"kind":"resu', b'{"kind":"result","t":1', b"\xff\xfe", b"half\n"])
def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    journal = FileJournal(path)
    journal.append(result(0))
    journal.close()
    with path.open("ab") as file:
        file.write(torn)
    again = FileJournal(path)
    assert [event.trial_id for event in again.events()] == [0]
    again.append(result(1))
    again.close()
    assert trials(path) == [0, 1]


def test_a_torn_header_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"kind":"experiment","sch')
    FileJournal(path, Header(seed=1)).close()
    assert read_header(path).seed == 1


def test_a_broken_line_in_the_middle_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = FileJournal(path)
    journal.append(result(0))
    journal.append(result(1))
    journal.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"[1]\n" + lines[2])
    with pytest.raises(JournalError, match="line 2"):
        list(read_events(path))


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"hello": 1}\n')
    with pytest.raises(JournalError, match="not a journal"):
        FileJournal(path)
    assert path.read_text() == '{"hello": 1}\n'
    path.write_text("no newline")
    with pytest.raises(JournalError, match="not a journal"):
        FileJournal(path)
    assert path.read_text() == "no newline"
    path.write_text('{"kind": "experiment", "schema": 99}\n')
    with pytest.raises(JournalError, match="schema 99"):
        list(read_events(path))


def test_a_second_process_is_kept_out_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    code = (
        "import sys, pathlib; from tunewright.journal import FileJournal\n"
        "j = FileJournal(pathlib.Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        assert is_locked(path)
        with pytest.raises(JournalError, match="in use"):
            FileJournal(path)
        holder.kill()
        holder.wait()
    assert not is_locked(path)
    FileJournal(path).close()


def test_is_locked_says_no_where_there_is_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "journal.jsonl")


def test_a_missing_journal_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be read"):
        list(read_events(tmp_path / "journal.jsonl"))


def test_a_journal_whose_place_is_taken_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(JournalError, match="cannot be read"):
        FileJournal(tmp_path / "journal.jsonl")
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be opened"):
        FileJournal(tmp_path / "file" / "journal.jsonl")


def test_a_full_disk_loses_no_earlier_line(tmp_path: Path) -> None:
    """A file size limit stands for the full disk: the kernel refuses the bytes in the same call."""
    path = tmp_path / "journal.jsonl"
    code = (
        "import pathlib, resource, signal, sys\n"
        "from tunewright.exceptions import JournalError\n"
        "from tunewright.events import SessionEvent\n"
        "from tunewright.journal import FileJournal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = FileJournal(pathlib.Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "written = 0\n"
        "try:\n"
        "    while True:\n"
        "        journal.append(SessionEvent(t=0.0, wall=0.0, event='begin', host='x' * 70))\n"
        "        written += 1\n"
        "except JournalError as error:\n"
        "    print(written, 'make room' in str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    n_written, says_remedy = done.stdout.split()
    assert says_remedy == "True"
    assert len(list(read_events(path))) == int(n_written)
    assert path.read_bytes().endswith(b"\n")
    assert int(n_written) >= 5


def test_appending_after_close_is_an_error(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal.jsonl")
    journal.close()
    with pytest.raises(JournalError):
        journal.append(result(0))


def test_canonical_hash_ignores_when_and_where_but_not_what(tmp_path: Path) -> None:
    def write(name: str, wall: float, loss: float, *, sessions: int, seed: int | None = None) -> str:
        path = tmp_path / name
        journal = FileJournal(path, Header(experiment=name, seed=0, effective_seed=seed))
        for _ in range(sessions):
            journal.append(SessionEvent(t=0.0, wall=wall, event="begin", pid=os.getpid()))
        journal.append(
            StartEvent(
                t=0.5,
                wall=wall,
                trial_id=0,
                attempt=0,
                config={},
                until=None,
                from_checkpoint=None,
                note={},
                suggest_time=wall,
            )
        )
        journal.append(result(0, {"loss": loss}, wall))
        journal.close()
        return canonical_hash(path)

    same = write("a", 1.0, 0.25, sessions=1)
    assert write("b", 2.0, 0.25, sessions=3) == same
    assert write("c", 1.0, 0.26, sessions=1) != same
    assert write("d", 1.0, 0.25, sessions=1, seed=3) == same, "derived fields of the header do not count"


def test_a_memory_journal_gives_lines_as_a_file_would() -> None:
    journal = MemoryJournal(Header(experiment="x"))
    journal.append(result(0, {"loss": math.nan}))
    assert journal.header == Header(experiment="x")
    (event,) = journal.events()
    assert isinstance(event, ResultEvent)
    assert math.isnan(event.metrics["loss"])
    journal.close()
