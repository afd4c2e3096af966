"""Folders that are damaged, foreign or in the way: a clear error, or no harm."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunewright.analysis import curves, load
from tunewright.analysis.load import INDEX_FILE
from tunewright.exceptions import JournalError, SettingsError
from tunewright.storage import ExperimentFolder

Store = Callable[..., ExperimentFolder]
SYNE_TUNE = {"metric_names": ["loss"], "metric_mode": "min", "algorithm": "ASHA", "benchmark": "b"}


def syne_tune(path: Path, rows: str, **metadata: object) -> None:
    path.mkdir(parents=True)
    (path / "metadata.json").write_text(json.dumps(SYNE_TUNE | metadata))
    with zipfile.ZipFile(path / "results.csv.zip", "w") as archive:
        archive.writestr("results.csv", f"epoch,loss,st_decision,trial_id,st_tuner_time\n{rows}")


@pytest.mark.parametrize(
    "line",
    [
        '{"kind":"result"}',
        '{"kind":"result","decision":"continue","t":1.0}',
        '{"kind":"end","trial_id":0}',
        "[1]",
        "1",
        "",
        "\0\0\0\0\0\0",
    ],
)
@pytest.mark.parametrize("is_last", [False, True])
def test_a_damaged_line_is_told_wherever_it_stands(store: Store, line: str, is_last: bool) -> None:
    path = store([(1, 0.5), (2, 0.4)]).journal_path
    lines = path.read_text().splitlines()
    place = len(lines) if is_last else 3
    path.write_text("\n".join([*lines[:place], line, *lines[place:], ""]))
    with pytest.raises(JournalError, match=f"{path} is damaged"):
        load("t")


def test_a_journal_whose_first_line_is_no_object_is_refused(store: Store) -> None:
    store([(1, 0.5)]).journal_path.write_text("1\n")
    with pytest.raises(JournalError, match="not a journal"):
        load("t")


def test_an_index_that_is_damaged_anywhere_is_made_anew(store: Store) -> None:
    folder = store([(1, 0.5), (2, 0.4)])
    index = folder.path.parent / INDEX_FILE
    load("t")
    whole = index.read_bytes()
    flags = [place for place in range(len(whole)) if whole.startswith(b"PK\x01\x02", place - 6)]
    for place in [*flags, *(place + 4 for place in flags), *range(0, len(whole), len(whole) // 40)]:
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0x63]) + whole[place + 1 :])
        assert load("t").columns[0].metrics["loss"].tolist() == [0.5, 0.4]


def test_metadata_that_are_no_object_are_refused(store: Store) -> None:
    store([(1, 0.5)]).metadata_path.write_text("[]")
    with pytest.raises(SettingsError, match="holds no JSON object"):
        load("t")


def test_what_trials_keep_is_not_taken_for_an_experiment(store: Store) -> None:
    folder = store([(1, 0.5)])
    trial = folder.trials_path / "0"
    trial.mkdir(parents=True)
    (trial / "metadata.json").write_text("no JSON")
    assert len(load(folder.path.parent)) == 1


def test_a_folder_of_a_tags_name_does_not_hide_the_tag(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store([(1, 0.5)], tag="first")
    (tmp_path / "here" / "first").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert len(load("first")) == 1
    with pytest.raises(SettingsError, match="holds no experiment"):
        load("./first")
    with pytest.raises(SettingsError, match="holds no experiment"):
        load(".")


def test_experiments_of_syne_tune_end_where_their_results_do(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    syne_tune(tmp_path / "short", "1,0.5,CONTINUE,0,10.0\n", seed=0)
    syne_tune(tmp_path / "long", "1,0.1,CONTINUE,1,90.0\n1,0.6,CONTINUE,0,5.0\n", seed=1)
    found = curves(load(tmp_path), "b", n_times=3)
    assert found.times.tolist() == [0, 5, 10]
    np.testing.assert_array_equal(found.setups["ASHA"].losses, [[np.nan, np.nan, 0.5], [np.nan, 0.6, 0.6]])


@pytest.mark.parametrize("n_bytes", [0, 20, -30])
def test_a_cut_table_of_syne_tune_is_told(tmp_path: Path, n_bytes: int) -> None:
    pytest.importorskip("pandas")
    syne_tune(tmp_path / "e", "1,0.5,CONTINUE,0,10.0\n")
    table = tmp_path / "e" / "results.csv.zip"
    table.write_bytes(table.read_bytes()[:n_bytes])
    with pytest.raises(SettingsError, match="as Syne Tune writes them"):
        load(tmp_path)
