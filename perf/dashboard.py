"""Measure the dashboard: an experiment of 10,000 trials with 27 results each, and a list of 200 experiments.

    python perf/dashboard.py [--trials 10000] [--experiments 200] [--browser /usr/bin/chromium] [--keep FOLDER]

Writes synthetic journals through the package's own journal writer, reads them as the dashboard's server does, and starts a
server to measure its CPU time for requests, and the time from a journal line to its event. CPU times of documents are the
smallest of three rounds. Prints the figures as JSON, and writes ``dashboard.json`` beside
this file with ``--write``. ``--browser`` measures the page in a Chromium, with Playwright: seconds from the request to the first
view of the list and of the large experiment, with a new server and again, the smallest of three rounds; the longest task of the page's thread while ten results
arrive, by view; and the heap of the page. ``--keep`` leaves the experiments in a folder, for a browser: set TUNEWRIGHT_HOME to it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil
from playwright.sync_api import sync_playwright

from tunewright.dashboard.documents import new_feed
from tunewright.dashboard.library import Library
from tunewright.dashboard.streams import encoded
from tunewright.events import EndEvent, Event, Header, ReportDecision, ResultEvent, SessionEvent, StartEvent
from tunewright.journal import FileJournal
from tunewright.metadata import read_metadata
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, TrialStatus

N_RESULTS, N_WORKERS, ROUNDS = 27, 8, 3
TOKEN = "token-of-the-measurement"
SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "weight_decay": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "width": {"type": "integer", "low": 8, "high": 512},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    "optimizer": {"type": "categorical", "values": ["adam", "sgd", "adamw"]},
}
Value = TypeVar("Value")


def make_experiment(
    home: Path, tag: str, number: int, n_trials: int, n_results: int = N_RESULTS
) -> ExperimentFolder:
    """Write an experiment of random search with learning curves; eight workers."""
    rng = random.Random(number)
    name = f"{tag}-RandomSearch-synthetic-{number}-20260101-{number:06}-abcd"
    folder = ExperimentFolder(home / "experiments" / tag / name)
    folder.path.mkdir(parents=True)
    folder.write_metadata(
        {
            "schema": 2,
            "experiment": name,
            "tag": tag,
            "label": ("RandomSearch", "ASHA", "BORE")[number % 3],
            "seed": number,
            "clock": "wall",
            "created": "2026-01-01T00:00:00+00:00",
            "method": {"name": "RandomSearch", "settings": {}},
            "backend": {"name": "local", "config": {}},
            "benchmark": {
                "name": "synthetic",
                "metrics": [{"name": "accuracy", "goal": "max"}],
                "n_workers": N_WORKERS,
                "resource_attr": "epoch",
                "max_resource": n_results,
                "space": SPACE,
            },
            "limits": {"max_num_trials": n_trials},
            "versions": {"tunewright": "0"},
        }
    )
    journal = FileJournal(folder.journal_path, Header(experiment=name, seed=number), hold=60.0)
    for event in make_events(rng, n_trials, n_results):
        journal.append(event)
    journal.close()
    return folder


def make_events(rng: random.Random, n_trials: int, n_results: int) -> list[Event]:
    """The events of all trials, in the order of their times."""
    wall = 1.7e9
    events: list[Event] = []
    free = [0.0] * N_WORKERS
    for trial_id in range(n_trials):
        worker = min(range(N_WORKERS), key=free.__getitem__)
        begin = free[worker]
        config = {
            "lr": 10 ** rng.uniform(-5, -1),
            "weight_decay": 10 ** rng.uniform(-6, -2),
            "width": rng.randint(8, 512),
            "dropout": rng.uniform(0.0, 0.5),
            "optimizer": rng.choice(("adam", "sgd", "adamw")),
        }
        quality = 0.98 - 0.05 * abs(math.log10(config["lr"]) + 3) - 0.1 * config["dropout"]
        times: dict[str, Any] = {"trial_id": trial_id, "attempt": 0}
        events.append(
            StartEvent(
                t=begin,
                wall=wall + begin,
                config=config,
                until=None,
                from_checkpoint=None,
                note={},
                suggest_time=0.001 + 0.002 * rng.random(),
                **times,
            )
        )
        for epoch in range(1, n_results + 1):
            t = begin + epoch * (1.0 + 0.1 * rng.random())
            accuracy = quality * (1 - math.exp(-epoch / 6)) + 0.01 * rng.gauss(0, 1)
            events.append(
                ResultEvent(
                    t=t,
                    wall=wall + t,
                    retry=0,
                    seq=epoch,
                    resource=epoch,
                    metrics={"accuracy": accuracy, "epoch": float(epoch), "st_worker_time": t - begin},
                    decision=ReportDecision.CONTINUE,
                    reason="",
                    cost=0.0,
                    **times,
                )
            )
        free[worker] = t + 0.5
        events.append(
            EndEvent(
                t=free[worker],
                wall=wall + free[worker],
                status=TrialStatus.COMPLETED,
                error="",
                cost=0.0,
                checkpoint=None,
                **times,
            )
        )
    events.sort(key=lambda event: event.t)
    end = events[-1].t
    first = SessionEvent(t=0.0, wall=wall, event="begin", pid=1, host="here")
    last = SessionEvent(t=end, wall=wall + end, event="end", outcome=ExperimentStatus.STOPPED)
    return [first, *events, last]


def cpu(work: Callable[[], Value]) -> tuple[float, Value]:
    """CPU seconds of this process, the smallest of three rounds, and the last result."""
    spent = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        found = work()
        spent.append(time.process_time() - begin)
    return min(spent), found


def measure_documents(folder: ExperimentFolder) -> dict[str, float]:
    """CPU times of the server's work for a page that opens the large experiment, and for an update of it."""
    metadata = read_metadata(folder)

    def fold() -> Any:
        feed = new_feed(folder, metadata)
        feed.refresh()
        return feed

    fold_seconds, feed = cpu(fold)
    whole_seconds, whole = cpu(lambda: encoded(feed.since(0)))
    offset = feed.offset
    updates: list[float] = []
    for round_number in range(ROUNDS):
        trial_id = len(feed.trials)
        at = {"t": feed.time + 1.0, "wall": feed.wall + 1.0, "trial_id": trial_id, "attempt": 0}
        journal = FileJournal(folder.journal_path)
        config = {"lr": 0.1, "weight_decay": 0.1, "width": 8, "dropout": 0.1, "optimizer": "sgd"}
        journal.append(
            StartEvent(config=config, until=None, from_checkpoint=None, note={}, suggest_time=0.1, **at)
        )
        values = {"retry": 0, "decision": ReportDecision.CONTINUE, "reason": "", "cost": 0.0}
        for epoch in range(1, 10):
            journal.append(
                ResultEvent(seq=epoch, resource=epoch, metrics={"accuracy": 0.1 * epoch}, **values, **at)
            )
        journal.close()
        begin = time.process_time()
        feed.refresh()
        delta = encoded(feed.since(offset))
        updates.append(time.process_time() - begin)
        offset = feed.offset
        assert len(feed.trials) == trial_id + 1, round_number
    return {
        "journal_mb": folder.journal_path.stat().st_size / 1e6,
        "fold_s": fold_seconds,
        "first_answer_s": whole_seconds,
        "first_answer_mb": len(whole) / 1e6,
        "update_s": min(updates),
        "update_kb": len(delta) / 1e3,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure_list(n: int) -> dict[str, float]:
    """CPU times of the list: its first reading, and a look without changes."""
    library = Library()
    begin = time.process_time()
    library.look()
    first = time.process_time() - begin
    again, _ = cpu(library.look)
    encode, rows = cpu(lambda: encoded(library.rows()))
    return {
        "experiments": n,
        "first_s": first,
        "again_s": again,
        "rows_s": encode,
        "rows_kb": len(rows) / 1e3,
    }


def start_server(home: Path) -> tuple[subprocess.Popen[str], int]:
    """A dashboard as a process, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tunewright", "dashboard", "--no_browser"],
        env={**os.environ, "TUNEWRIGHT_HOME": str(home), "TUNEWRIGHT_DASHBOARD_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r":(\d+)/", process.stdout.readline())
    assert found
    return process, int(found[1])


def request(port: int, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
    return connection.getresponse()


def measure_server(home: Path, large: ExperimentFolder, small: ExperimentFolder) -> dict[str, float]:
    """CPU seconds of a new server for requests, and seconds from a journal line to its event in a stream."""
    process, port = start_server(home)
    try:
        server = psutil.Process(process.pid)

        def spent(work: Callable[[], object]) -> float:
            begin = server.cpu_times()
            work()
            end = server.cpu_times()
            return end.user + end.system - begin.user - begin.system

        def read_list() -> None:
            while not json.loads(request(port, "/api/experiments").read())["is_whole"]:
                time.sleep(0.2)

        address = f"/api/e/{large.tag}/{large.name}"
        figures = {
            "list_first_cpu_s": spent(read_list),
            "list_again_cpu_s": spent(read_list),
            "since_0_first_cpu_s": spent(lambda: request(port, f"{address}/since").read()),
            "since_0_again_cpu_s": spent(lambda: request(port, f"{address}/since").read()),
            "document_cpu_s": spent(lambda: request(port, address).read()),
            "memory_mb": server.memory_info().rss / 1e6,
        }
        latencies = measure_latencies(port, small)
        return figures | {
            "line_to_event_median_s": statistics.median(latencies),
            "line_to_event_max_s": max(latencies),
        }
    finally:
        process.terminate()
        process.wait()


def measure_latencies(port: int, folder: ExperimentFolder, n: int = 20) -> list[float]:
    """Seconds from the writing of a line to the event that has it."""
    stream = request(port, f"/api/e/{folder.tag}/{folder.name}/stream")
    offset = folder.journal_path.stat().st_size
    read_until(stream, offset)
    journal = FileJournal(folder.journal_path)
    found = []
    for number in range(n):
        event = SessionEvent(t=1e6 + number, wall=time.time(), event="begin", pid=number)
        time.sleep(0.3 + 0.01 * number)
        begin = time.perf_counter()
        journal.append(event)
        read_until(stream, folder.journal_path.stat().st_size)
        found.append(time.perf_counter() - begin)
    journal.close()
    return found


def read_until(stream: http.client.HTTPResponse, offset: int) -> None:
    """Read a stream up to the event with an offset."""
    while stream.readline().strip() != f"id: {offset}".encode():
        pass


_TASKS = """
window.longest = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
}).observe({type: "longtask"});
"""
_VIEWS = ("overview", "trials", "curves", "parallel", "slices", "workers", "cost")


def measure_browser(browser: str, home: Path, large: ExperimentFolder, n_trials: int) -> dict[str, Any]:
    """Times of the page in a browser."""
    place = f"#/e/{large.tag}/{large.name}"
    rows, view = ".data tbody tr", ".tiles .figure:not(:empty)"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        found: dict[str, Any] = {}
        for name, fragment, ready in (("list", "#/", rows), ("experiment", f"{place}/overview", view)):
            times: dict[str, list[float]] = {"new_server": [], "again": []}
            for _ in range(ROUNDS):
                process, port = start_server(home)
                for seconds in times.values():
                    page = chromium.new_page()
                    begin = time.perf_counter()
                    address = f"http://127.0.0.1:{port}/?token={TOKEN}&embedded=1{fragment}"
                    page.goto(address, wait_until="commit")
                    page.locator(ready).first.wait_for()
                    if name == "experiment":
                        page.locator(".chart canvas").first.wait_for()
                    seconds.append(time.perf_counter() - begin)
                    page.close()
                process.terminate()
                process.wait()
            found |= {f"first_view_{name}_{start}_s": min(seconds) for start, seconds in times.items()}
        process, port = start_server(home)
        page = chromium.new_page()
        page.add_init_script(_TASKS)
        page.goto(f"http://127.0.0.1:{port}/?token={TOKEN}&embedded=1{place}/overview")
        page.locator(".chart canvas").first.wait_for()
        journal = FileJournal(large.journal_path)
        longest: dict[str, float] = {}
        for number, name in enumerate(_VIEWS):
            page.evaluate("place => { location.hash = place }", f"{place}/{name}")
            page.locator(".view canvas, .view tbody tr").first.wait_for()
            page.wait_for_timeout(3000)
            page.evaluate("window.longest = 0")
            for event in late_results(n_trials + number):
                journal.append(event)
                time.sleep(0.3)
            page.wait_for_timeout(1000)
            longest[name] = page.evaluate("window.longest")
        journal.close()
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.collectGarbage")
        heap = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
        process.terminate()
        process.wait()
        chromium.close()
    return found | {"longest_task_of_an_update_ms": longest, "heap_mb": heap}


def late_results(trial_id: int) -> list[Event]:
    """The start and ten reports of a new trial."""
    events = make_events(random.Random(trial_id), 1, 10)
    return [
        msgspec.structs.replace(event, trial_id=trial_id, t=event.t + 1e6)
        for event in events
        if isinstance(event, StartEvent | ResultEvent)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--browser", help="path of a Chromium")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = given.keep or Path(temporary)
        os.environ["TUNEWRIGHT_HOME"] = str(home)
        os.environ["XDG_CACHE_HOME"] = str(home / "cache")
        large = make_experiment(home, "large", 0, given.trials)
        many = [make_experiment(home, f"tag-{i % 10}", i + 1, 40) for i in range(given.experiments)]
        figures = {
            "n_trials": given.trials,
            "n_results": N_RESULTS,
            "documents": measure_documents(large),
            "list": measure_list(given.experiments + 1),
            "server": measure_server(home, large, many[0]),
        }
        if given.browser:
            figures["browser"] = measure_browser(given.browser, home, large, given.trials)
    text = json.dumps(figures, indent=2)
    print(text)
    if given.write:
        (Path(__file__).parent / "dashboard.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
