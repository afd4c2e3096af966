"""The dashboard beside optuna-dashboard, on the same experiment, in the same Chromium.

    python -m venv /tmp/peer && /tmp/peer/bin/pip install optuna optuna-dashboard
    python perf/dashboard_peer.py --peer /tmp/peer/bin/python [--trials 1000] [--write]

Stores an experiment, writes its trials with Optuna's own API into a study in SQLite, and starts both servers. Measured is,
for each page: the time from the navigation to the first view of the experiment (best value and history drawn; median of
five loads), the time from a new result in the storage to its appearance on the page (median of five), the page's JavaScript
memory after a collection of garbage, the memory of the server's process, and the bytes of the page's scripts and styles. Prints a table
of Markdown, and writes ``dashboard_peer.json`` beside this file with ``--write``.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from dashboard_screenshots import browser_path, dashboard, events_of, space_of, store
from playwright.sync_api import Browser, Page, sync_playwright

from tunewright.events import EndEvent, ReportDecision, ResultEvent, StartEvent
from tunewright.journal import FileJournal
from tunewright.trial import TrialStatus

ROUNDS = 5
NAME = "usual"
WRITE_STUDY = """
import json, sys, optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
optuna.logging.set_verbosity(optuna.logging.WARNING)
data = json.load(open(sys.argv[1]))
def domain(one):
    if one["type"] == "categorical":
        return CategoricalDistribution(one["values"])
    kind = IntDistribution if one["type"] == "integer" else FloatDistribution
    return kind(one["low"], one["high"], log=one.get("log", False))
space = {name: domain(one) for name, one in data["space"].items()}
study = optuna.create_study(study_name="study", storage=sys.argv[2], direction="maximize", load_if_exists=True)
study.add_trials([
    optuna.trial.create_trial(params=one["config"], distributions=space, value=one["value"],
        intermediate_values={int(step): value for step, value in one["curve"].items()})
    for one in data["trials"]
])
"""


@contextmanager
def peer_server(python: str, storage: str) -> Iterator[str]:
    """optuna-dashboard, as soon as it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(python).with_name("optuna-dashboard")),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        storage,
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        try:
            address = f"http://127.0.0.1:{port}/"
            while not answers(address):
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()


def answers(address: str) -> bool:
    """Whether a server answers."""
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def memory_of_server(word: str) -> float:
    """Resident megabytes of the child process with a word in its command."""
    children = psutil.Process().children(recursive=True)
    return max(one.memory_info().rss for one in children if word in " ".join(one.cmdline())) / 1e6


def first_view(browser: Browser, address: str, is_ready: str) -> tuple[float, Page, int]:
    """Median seconds to the first view in new contexts; the last page, and the bytes of its scripts and styles."""
    seconds: list[float] = []
    page: Page | None = None
    for _ in range(ROUNDS):
        if page is not None:
            page.context.close()
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        begin = time.perf_counter()
        page.goto(address)
        until(page, is_ready)
        seconds.append(time.perf_counter() - begin)
    assert page is not None
    page.wait_for_timeout(2000)
    n_bytes = page.evaluate(
        "performance.getEntriesByType('resource').filter(one => /[.](js|css)$/.test(one.name))"
        ".reduce((sum, one) => sum + one.decodedBodySize, 0)"
    )
    return statistics.median(seconds), page, n_bytes


def until(page: Page, condition: str) -> None:
    """Wait until an expression holds; a strict policy forbids the page to evaluate it by itself."""
    while not page.evaluate(condition):
        page.wait_for_timeout(20)


def latency(page: Page, add: Callable[[int], None], shown: Callable[[int], str]) -> float:
    """Median seconds from a new trial in the storage to its appearance."""
    seconds = []
    for n in range(ROUNDS):
        add(n)
        begin = time.perf_counter()
        until(page, shown(n))
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def heap(page: Page) -> float:
    """Megabytes of JavaScript objects after a collection of garbage."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"] / 1e6


def trials_of(n_trials: int) -> list[dict[str, Any]]:
    """Trials of the synthetic experiment, as data for Optuna."""
    trials: dict[int, dict[str, Any]] = {}
    for event in events_of(NAME, n_trials):
        if isinstance(event, StartEvent):
            trials[event.trial_id] = {"config": dict(event.config), "curve": {}, "value": 0.0}
        elif isinstance(event, ResultEvent):
            trials[event.trial_id]["curve"][event.resource] = event.metrics["accuracy"]
    for trial in trials.values():
        trial["value"] = max(trial["curve"].values(), default=0.0)
    return list(trials.values())


def measure_ours(browser: Browser, home: Path, n_trials: int) -> dict[str, float]:
    """Figures of the dashboard of this package."""
    folder = next((home / "experiments" / NAME).iterdir())
    config = trials_of(1)[0]["config"]

    def add(n: int) -> None:
        journal = FileJournal(folder / "journal.jsonl")
        at = {"t": 1e6 + n, "wall": time.time(), "trial_id": n_trials + n, "attempt": 0}
        begun = {"note": {}, "until": None, "from_checkpoint": None, "suggest_time": 0.1}
        report = {"metrics": {"accuracy": 0.5}, "decision": ReportDecision.CONTINUE, "reason": "", "retry": 0}
        journal.append(StartEvent(config=config, **begun, **at))
        journal.append(ResultEvent(seq=1, resource=1, cost=0.0, **report, **at))
        journal.append(EndEvent(status=TrialStatus.COMPLETED, error="", cost=0.0, checkpoint=None, **at))
        journal.close()

    tile = "document.querySelectorAll('.tile .figure')[1]"
    with dashboard(home) as address:
        ready = f"{tile}?.textContent === '{n_trials:,}' && !!document.querySelector('.chart canvas')"
        seconds, page, n_bytes = first_view(browser, f"{address}#/e/{NAME}/{folder.name}/overview", ready)
        late = latency(page, add, lambda n: f"{tile}?.textContent === '{n_trials + n + 1:,}'")
        return figures(seconds, late, page, memory_of_server("tunewright"), n_bytes)


def measure_peer(browser: Browser, python: str, folder: Path, n_trials: int) -> dict[str, float]:
    """Figures of optuna-dashboard."""
    storage, data = f"sqlite:///{folder}/study.db", folder / "trials.json"

    def write(trials: list[dict[str, Any]]) -> None:
        data.write_text(json.dumps({"space": space_of(NAME), "trials": trials}), encoding="utf-8")
        subprocess.run([python, "-c", WRITE_STUDY, str(data), storage], check=True)

    trials = trials_of(n_trials)
    write(trials)
    with peer_server(python, storage) as address:
        seconds, page, n_bytes = first_view(browser, f"{address}dashboard/studies/1", shown_points(n_trials))
        late = latency(page, lambda n: write(trials[:1]), lambda n: shown_points(n_trials + n + 1))
        return figures(seconds, late, page, memory_of_server("optuna-dashboard"), n_bytes)


def shown_points(n: int) -> str:
    """Whether the history shows a number of trials."""
    return f"[...document.querySelectorAll('.js-plotly-plot')].some(plot => plot.data?.some(trace => trace.x?.length === {n}))"


def figures(seconds: float, late: float, page: Page, memory: float, n_bytes: int) -> dict[str, float]:
    """The figures of one dashboard."""
    return {
        "first_view_s": round(seconds, 2),
        "update_s": round(late, 2),
        "page_mb": round(heap(page), 1),
        "server_mb": round(memory, 1),
        "scripts_mb": round(n_bytes / 1e6, 2),
    }


def main() -> None:
    """Measure both, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", required=True, help="Python of an environment with optuna-dashboard")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        store(home, NAME, options.trials)
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        found = {
            "tunewright": measure_ours(browser, home, options.trials),
            "optuna-dashboard": measure_peer(browser, options.peer, home, options.trials),
        }
        browser.close()
    versions = subprocess.run(
        [options.peer, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True
    ).stdout
    found["peer"] = {one["name"]: one["version"] for one in json.loads(versions) if "optuna" in one["name"]}
    found["trials"] = options.trials
    print(json.dumps(found, indent=2))
    if options.write:
        Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print("\n| | Tunewright | optuna-dashboard |\n|---|---|---|")
    for name in found["tunewright"]:
        print(f"| {name} | {found['tunewright'][name]} | {found['optuna-dashboard'][name]} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
