"""A notebook: functions of cells, the live table, data frames, figures and the interruption of the kernel."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tunewright.experiments import load_outcome
from tunewright.storage import experiments
from tunewright.trial import ExperimentStatus

TUNE = """
import tunewright as tw
scale = 2.0

def train(x, kind):
    for epoch in (1, 2):
        tw.report(epoch=epoch, loss=scale * x + len(kind) / epoch)

space = {"x": tw.Float(0, 1), "kind": tw.Categorical(["a", "bb"])}
outcome = tw.tune(train, space, metric="loss", n_trials=4, n_workers=2, method="RandomSearch")
outcome
"""


@pytest.fixture
def run_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Execute cells in a kernel; their outputs by cell."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))

    def run(*cells: str) -> list[list[dict[str, dict[str, str]]]]:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
        return [cell["outputs"] for cell in notebook["cells"]]

    return run


def test_a_function_of_a_cell_is_tuned_shown_and_drawn(run_cells) -> None:
    tuned, frame, figure, best, page = run_cells(
        TUNE,
        "outcome.trials_dataframe()",
        "outcome.plot_history()",
        "outcome.best_config",
        "outcome.dashboard()",
    )
    table, card = (output["data"]["text/html"] for output in tuned)
    assert "RandomSearch on train, seed 0, local backend" in table
    assert table.count(">completed<") == 4
    assert "best loss (minimised)" in card
    assert frame[0]["data"]["text/html"].count("<tr") == 5
    assert figure[0]["data"]["image/png"]
    assert '<iframe src="http://127.0.0.1:' in page[0]["data"]["text/html"]
    (folder,) = experiments()
    outcome = load_outcome(folder)
    assert best[0]["data"]["text/plain"] == repr(dict(outcome.best_config or {}))


def test_the_kernels_interruption_is_ctrl_c(run_cells, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    cell = f"""
import os, threading, time, pathlib, signal
import tunewright as tw

def interrupt():
    while not pathlib.Path({str(ready)!r}).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()

def train(x):
    tw.report(loss=x)
    pathlib.Path({str(ready)!r}).touch()
    time.sleep(600)

tw.tune(train, {{"x": tw.Float(0, 1)}}, metric="loss", n_trials=2, n_workers=1)
"""
    with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
        run_cells(cell)
    (folder,) = experiments()
    outcome = load_outcome(folder)
    assert outcome.status is ExperimentStatus.INTERRUPTED
    assert outcome.history.n_results == 1
