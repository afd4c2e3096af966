"""Screenshots of all views of the dashboard: light and dark, wide and phone, with usual and with difficult data.

    python perf/dashboard_screenshots.py FOLDER [--only NAME] [--views overview,curves] [--trials 10000]

Makes the experiments in a home of its own: a real one of ``examples/train.py``, and synthetic ones with one trial, many
trials, failed trials only, several metrics, no metric yet, and names and values with HTML, Unicode and 200 characters.
Needs Playwright and Chromium. Prints views that are wider than the window, and messages of the console.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Page, expect, sync_playwright

from tunewright.events import (
    EndEvent,
    Event,
    Header,
    PhaseEvent,
    ReportDecision,
    ResultEvent,
    SessionEvent,
    StartEvent,
)
from tunewright.journal import FileJournal
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, PhaseName, TrialStatus

ROOT = Path(__file__).parents[1]
TOKEN = "token-of-the-screenshots"
VIEWS = [
    "overview",
    "report",
    "trials",
    "trials/0",
    "curves",
    "parallel",
    "slices",
    "contour",
    "importance",
    "pareto",
    "workers",
    "cost",
    "events",
]
BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ODD = "<script>alert(1)</script> \u5b78\u7fd2\u7387 " + "x" * 170
RUNGS = (1, 1, 1, 3, 3, 9, 27)


def space_of(name: str) -> dict[str, Any]:
    """A search space; the odd one has names and values that are hard to show."""
    space: dict[str, Any] = {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "width": {"type": "integer", "low": 8, "high": 512, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.6},
        "activation": {"type": "categorical", "values": ["relu", "tanh", "gelu"]},
    }
    if name == "odd":
        space["h" * 200] = {
            "type": "categorical",
            "values": ["<img src=x onerror=alert(1)>", "\u65e5\u672c\u8a9e", "y" * 200],
        }
    return space


def metrics_of(name: str) -> list[dict[str, str]]:
    """The tuned metrics."""
    if name == "odd":
        return [{"name": "<b>error</b> " + "m" * 180, "goal": "max"}]
    latency = [{"name": "latency", "goal": "min"}] if name == "several" else []
    return [{"name": "accuracy", "goal": "max"}, *latency]


def config_of(space: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A random configuration."""
    config: dict[str, Any] = {}
    for name, domain in space.items():
        if domain["type"] == "categorical":
            config[name] = rng.choice(domain["values"])
            continue
        low, high = domain["low"], domain["high"]
        value = (
            math.exp(rng.uniform(math.log(low), math.log(high)))
            if domain.get("log")
            else rng.uniform(low, high)
        )
        config[name] = round(value) if domain["type"] == "integer" else value
    return config


def events_of(name: str, n_trials: int) -> list[Event]:
    """The events of an experiment with four workers, in the order of their times."""
    rng, space, metrics = random.Random(3), space_of(name), metrics_of(name)
    events: list[Event] = []
    free = [0.0] * 4
    for trial_id in range(n_trials):
        worker = min(range(4), key=free.__getitem__)
        begin, at = free[worker] + 0.4, {"trial_id": trial_id, "attempt": 0}
        config = config_of(space, rng)
        quality = (
            0.97 - 0.05 * (math.log10(config["lr"]) + 2) ** 2 - 0.1 * config["dropout"] + rng.gauss(0, 0.01)
        )
        until = 0 if name in {"failed", "no_metric"} else rng.choice(RUNGS)
        fails = name == "failed" or (name != "odd" and rng.random() < 0.03)
        begun = {
            "note": {},
            "until": None,
            "from_checkpoint": None,
            "suggest_time": rng.lognormvariate(-5, 1),
        }
        events.append(StartEvent(t=begin, wall=1.7e9 + begin, config=config, **begun, **at))
        training = begin + 2 + rng.random()
        for phase, t in ((PhaseName.STARTING, begin), (PhaseName.TRAINING, training)):
            run = {"retry": 0, "worker": str(worker), "name": phase, "warm": trial_id > 3}
            events.append(PhaseEvent(t=t, wall=1.7e9 + t, **run, **at))
        t = training
        for epoch in range(1, until + 1):
            t = training + epoch
            value = max(0.05, quality - 0.6 * math.exp(-epoch / 4) + rng.gauss(0, 0.004))
            values = [value, 3.0 * epoch + config["width"] / 20][: len(metrics)]
            report = {
                "metrics": {metric["name"]: one for metric, one in zip(metrics, values, strict=True)},
                "decision": ReportDecision.CONTINUE,
                "reason": "",
                "retry": 0,
                "seq": epoch,
                "resource": epoch,
            }
            events.append(ResultEvent(t=t, wall=1.7e9 + t, cost=0.003 * (t - begin), **report, **at))
        free[worker] = t + 0.3 + rng.random()
        if name == "no_metric":
            continue
        status = (
            TrialStatus.COMPLETED if until == 27 else rng.choice((TrialStatus.PAUSED, TrialStatus.STOPPED))
        )
        error = (
            f'Traceback (most recent call last):\n  File "train.py", line 12\nRuntimeError: {ODD}'
            if fails
            else ""
        )
        ended = {"status": TrialStatus.FAILED if fails else status, "error": error, "checkpoint": None}
        events.append(
            EndEvent(t=free[worker], wall=1.7e9 + free[worker], cost=0.003 * (t - begin), **ended, **at)
        )
    events.sort(key=lambda event: event.t)
    end = events[-1].t if events else 0.0
    first = SessionEvent(t=0.0, wall=1.7e9, event="begin", pid=1, host="here")
    last = SessionEvent(t=end, wall=1.7e9 + end, event="end", outcome=ExperimentStatus.STOPPED)
    return [first, *events, *([] if name == "no_metric" else [last])]


def store(home: Path, name: str, n_trials: int) -> None:
    """Store a synthetic experiment under the tag of its name."""
    folder = ExperimentFolder(home / "experiments" / name / f"{name}-ASHA-digits-0-20260101-000000-abcd")
    folder.path.mkdir(parents=True)
    folder.write_metadata(
        {
            "schema": 2,
            "experiment": folder.name,
            "tag": name,
            "label": "ASHA",
            "seed": 0,
            "clock": "wall",
            "created": "2026-01-01T00:00:00+00:00",
            "method": {"name": "ASHA", "settings": {}},
            "backend": {"name": "local", "config": {}},
            "benchmark": {
                "name": "digits",
                "metrics": metrics_of(name),
                "n_workers": 4,
                "resource_attr": "epoch",
                "max_resource": 27,
                "space": space_of(name),
            },
            "limits": {"max_num_trials": max(n_trials, 1)},
            "versions": {"tunewright": "0"},
        }
    )
    if name == "odd":
        folder.note_path.write_text(ODD, encoding="utf-8")
    journal = FileJournal(folder.journal_path, Header(experiment=folder.name, seed=0), hold=60.0)
    for event in events_of(name, n_trials):
        journal.append(event)
    journal.close()


def tune(home: Path) -> None:
    """Run a small experiment."""
    flags = (
        "--metric loss --goal min --resource epoch --max_resource 9 --max_resource_attr epochs --method ASHA"
    )
    flags += " --max_num_trials 16 --n_workers 4 --experiment_tag real"
    examples = ROOT / "examples"
    command = [
        sys.executable,
        "-m",
        "tunewright",
        "tune",
        str(examples / "train.py"),
        "--space",
        str(examples / "space.toml"),
    ]
    environment = {**os.environ, "TUNEWRIGHT_HOME": str(home)}
    subprocess.run([*command, *flags.split()], env=environment, check=True, capture_output=True)


@contextmanager
def dashboard(home: Path) -> Iterator[str]:
    """A server; its address with the token."""
    command = [sys.executable, "-m", "tunewright", "dashboard", "--no_browser", "--control", "--token", TOKEN]
    environment = {**os.environ, "TUNEWRIGHT_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def browser_path() -> str:
    """Path of the system's Chromium."""
    return next(path for path in BROWSERS if Path(path).exists())


def shoot(page: Page, tag: str, name: str, view: str, file: Path) -> None:
    """Show a view and write its picture."""
    address = f"#/e/{quote(tag)}/{quote(name)}/{view}" if name else f"#/{view}"
    page.evaluate("address => { location.hash = address }", address)
    page.wait_for_timeout(300)
    waiting = re.compile("Estimating\u2026|Loading\u2026")
    try:
        expect(page.locator("main")).not_to_contain_text(waiting, timeout=30_000)
    except AssertionError:
        print(f"{file.name}: still waits for the server")
    page.wait_for_timeout(700)  # charts are drawn in steps
    page.screenshot(path=file, full_page=True)
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if width[0] > width[1]:
        print(f"{file.name}: {width[0]} pixels in a window of {width[1]}")


def main() -> None:
    """Make the experiments, and the pictures of all views."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="names of experiments, with commas")
    parser.add_argument("--views", default="", help="names of views, with commas")
    parser.add_argument("--trials", type=int, default=10_000, help="of the large experiment")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    counts = {
        "usual": 60,
        "one": 1,
        "many": options.trials,
        "failed": 12,
        "several": 80,
        "no_metric": 4,
        "odd": 30,
        "none": 0,
    }
    wanted = options.only.split(",") if options.only else ["real", *counts]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        for name in wanted:
            if name == "real":
                tune(home)
            else:
                store(home, name, counts[name])
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        with dashboard(home) as address:
            for scheme in ("light", "dark"):
                for width, height in ((1280, 900), (360, 780)):
                    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                    page.on("console", lambda message: print(message.type, message.text[:200]))
                    page.on("pageerror", lambda error: print("error", str(error)[:200]))
                    page.goto(address)
                    ending = f"{width}-{scheme}.png"
                    if not options.views:
                        shoot(page, "", "", "", options.folder / f"list-{ending}")
                    for tag in wanted:
                        name = next(
                            path.name for path in (home / "experiments" / tag).iterdir() if path.is_dir()
                        )
                        for view in options.views.split(",") if options.views else VIEWS:
                            shoot(
                                page,
                                tag,
                                name,
                                view,
                                options.folder / f"{tag}-{view.replace('/', '_')}-{ending}",
                            )
                    page.close()
        browser.close()


if __name__ == "__main__":
    main()
