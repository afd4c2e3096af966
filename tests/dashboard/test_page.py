"""The page of the dashboard in Chromium: views, live results, restarts, requests, accessibility."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tunewright.events import ACCEPTED, RequestEvent
from tunewright.journal import FileJournal
from tunewright.requests import action_of, arguments_of, read_requests, withdraw_request
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, TrialStatus

playwright = pytest.importorskip("playwright.sync_api")
axe_core = pytest.importorskip("axe_playwright_python.base")
pytest.importorskip("tunewright.dashboard.server")

TOKEN = "a-token-of-the-tests"
PATIENCE = 60_000  # milliseconds
VIEWS = (
    "overview",
    "trials",
    "trials/1",
    "curves",
    "parallel",
    "slices",
    "contour",
    "importance",
    "pareto",
    "workers",
    "cost",
    "events",
)
STORED = "t-A-toy-0-20260101-000000-abcd"
EMPTY = "u-B-toy-0-20260101-000000-abcd"
HTML = "<script>document.title = 'broken'</script><img src=x onerror='document.title=1'> 日本語 " + "x" * 200


class Server:
    """A dashboard in a process of its own, which can be killed and started again at the same address."""

    def __init__(self, home: Path, *flags: str) -> None:
        self.home, self.flags = home, flags
        with (
            socket.socket() as free
        ):  # not one of those that the command chooses itself: others could take it
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tunewright", "dashboard", "--no_browser", *self.flags]
        command += ["--token", TOKEN, "--port", str(self.port)]
        environment = {**os.environ, "TUNEWRIGHT_HOME": str(self.home)}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert "Dashboard:" in self.process.stdout.readline()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()


@contextmanager
def serving(home: Path, *flags: str) -> Iterator[Server]:
    server = Server(home, *flags)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, journals: SimpleNamespace) -> Path:
    """Experiments of several kinds; names and values with HTML, Unicode and 200 characters."""
    home: Path = tmp_path_factory.mktemp("dashboard")
    space = {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "width": {"type": "integer", "low": 1, "high": 8},
        "act": {"type": "categorical", "values": [HTML, "tanh"]},
    }
    events = [journals.session(0.0)]
    for n in range(24):
        config = {"lr": 10.0 ** (-n / 8), "width": n % 8 + 1, "act": HTML if n % 2 else "tanh"}
        events.append(journals.start(float(n), n, config=config))
        events += [
            journals.result(n + 0.2 * r, n, r, 1 / (n + r), metrics={"loss": 1 / (n + r), HTML: float(n)})
            for r in range(1, 4)
        ]
        failed = {"error": f"Traceback\nValueError: {HTML}"}
        status = TrialStatus.FAILED if n == 1 else TrialStatus.COMPLETED
        events.append(journals.end(n + 0.9, n, status, cost=n / 2, **(failed if n == 1 else {})))
    events.append(journals.session(24.0, ExperimentStatus.COMPLETED))
    metrics = [{"name": "loss", "goal": "min"}, {"name": HTML, "goal": "max"}]
    folder = journals.store_in(home, events, name=STORED, space=space, metrics=metrics)
    folder.note_path.write_text(HTML, encoding="utf-8")
    journals.store_in(home, [journals.session(0.0)], name=EMPTY, tag="u", label="B")
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with serving(home) as found:
        yield found


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages of a server; none of them may write an error to the console or ask another host for anything."""
    problems: list[str] = []
    contexts: list[Any] = []

    def opened(server: Server, view: str = "", query: str = "", **options: Any) -> Any:
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", lambda message: problems.extend([message.text] if is_problem(message) else []))
        page.on("request", lambda request: problems.extend([request.url] if is_foreign(request.url) else []))
        page.goto(f"{server.address}?token={TOKEN}{query}#/{view}")
        page.wait_for_selector("h1")
        return page

    def is_problem(message: Any) -> bool:  # a server that is killed leaves an error of the network
        return message.type in {"error", "warning"} and "ERR_" not in message.text

    def is_foreign(url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme != "data" and parts.hostname != "127.0.0.1"

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def show(page: Any, view: str) -> None:
    """Go to a view of the open page."""
    page.evaluate("address => { location.hash = address }", f"#/{view}")


def expect(page: Any, selector: str, text: str) -> None:
    """Wait until an element holds a text."""
    playwright.expect(page.locator(selector).first).to_contain_text(text, timeout=PATIENCE)


def until(page: Any, condition: str) -> None:
    """Wait until an expression of the page is true; its policy allows no functions of strings."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


def tile(page: Any, label: str, text: str) -> None:
    """Wait until a number of the overview is this."""
    found = page.locator(".tile", has_text=label).locator(".figure")
    playwright.expect(found).to_have_text(text, timeout=PATIENCE)


def rows(page: Any, n: int) -> None:
    """Wait until a table shows this number of rows."""
    playwright.expect(page.locator("table.data tbody tr")).to_have_count(n, timeout=PATIENCE)


def append(folder: Path, journals: SimpleNamespace, events: list[Any]) -> None:
    lines = journals.lines_of(events).split(b"\n", 1)[1]
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(lines)


def test_the_list_is_searched_and_filtered(open_page: Callable[..., Any], server: Server) -> None:
    page = open_page(server)
    rows(page, 2)
    page.keyboard.press("/")
    page.keyboard.type("-B-")
    rows(page, 1)
    page.wait_for_url("**q=-B-")
    page.reload()
    rows(page, 1)
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Status").select_option("completed")
    rows(page, 1)
    page.get_by_role("link", name=STORED).click()
    expect(page, "h1", STORED)
    tile(page, "Results", "72")
    expect(page, ".facts-line", "24 trials")


def test_an_experiment_that_is_deleted_is_shown_as_gone(
    open_page: Callable[..., Any], server: Server, home: Path, journals: SimpleNamespace
) -> None:
    name = "v-C-toy-0-20260101-000000-abcd"
    folder = journals.store_in(home, [journals.start(0.0, 0)], name=name, tag="v", label="C")
    page = open_page(server, f"e/v/{name}/overview")
    listed = open_page(server)
    rows(listed, 3)
    tile(page, "Trials", "1")
    shutil.rmtree(folder.path)
    expect(page, "[role=alert]", "deleted or renamed")
    expect(page, ".connection", "Deleted or renamed")
    tile(page, "Trials", "1")  # as it was
    rows(listed, 2)
    page.locator("[role=alert]").get_by_role("link", name="All experiments").click()
    rows(page, 2)


def test_texts_of_scripts_are_texts(open_page: Callable[..., Any], server: Server) -> None:
    page = open_page(server, f"e/t/{STORED}/trials/1")
    expect(page, ".log.bad", HTML[:40])
    expect(page, ".pairs", HTML[:40])
    assert page.locator("main script, main img").count() == 0
    assert page.title().startswith("Trial 1")


def broken_rules(page: Any, *, is_whole: bool) -> list[tuple[str, str]]:
    """Serious findings of axe-core in light and in dark colours; rules other than that of contrast if wanted, once."""
    found: list[tuple[str, str]] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        only = [] if is_whole and scheme == "light" else ["color-contrast"]
        result = page.evaluate(
            "only => axe.run(document, only.length ? {runOnly: only, resultTypes: ['violations']} : {resultTypes: ['violations']})",
            only,
        )
        found += [
            (f"{scheme} {one['id']}", one["nodes"][0]["html"][:200])
            for one in result["violations"]
            if one["impact"] in {"serious", "critical"}
        ]
    return found


@pytest.mark.parametrize("width", [1280, 360])
def test_views_keep_the_rules_of_accessibility(
    open_page: Callable[..., Any], server: Server, width: int
) -> None:
    page = open_page(server, viewport={"width": width, "height": 800})
    page.evaluate(axe_core.AXE_FILE_PATH.read_text(encoding="utf-8"))
    problems: list[tuple[str, str, str]] = []
    for view in ["", *(f"e/t/{STORED}/{one}" for one in VIEWS), f"e/u/{EMPTY}/overview"]:
        show(page, view)
        expect(page, "h1", "Experiments" if not view else view.split("/")[2])
        playwright.expect(page.locator("main")).not_to_contain_text(
            re.compile("Estimating|Loading"), timeout=PATIENCE
        )
        problems += [(view, *one) for one in broken_rules(page, is_whole=width == 1280)]
        if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            problems.append((view, "too wide", f"{width} pixels"))
    assert problems == []


def test_an_experiment_without_results_has_a_sentence_in_each_view(
    open_page: Callable[..., Any], server: Server
) -> None:
    page = open_page(server, viewport={"width": 360, "height": 800})
    for view in ("report", *VIEWS):
        if view in {"trials/1", "events"}:  # there is no trial, and the session is an event
            continue
        show(page, f"e/u/{EMPTY}/{view}")
        playwright.expect(page.locator(f".tabs a[href$='/{view}'][aria-current]")).to_be_visible(
            timeout=PATIENCE
        )
        playwright.expect(page.locator(".view .empty:visible").first).to_be_visible(timeout=PATIENCE)
        playwright.expect(page.locator(".view")).not_to_contain_text("Loading", timeout=PATIENCE)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


def test_a_brushed_range_filters_the_trials(open_page: Callable[..., Any], server: Server) -> None:
    page = open_page(server, f"e/t/{STORED}/parallel")
    rows(page, 24)
    box = page.locator(".chart canvas").first.bounding_box()
    left = box["x"] + box["width"] / 8  # the axis of the learning rate, the first of four
    page.mouse.move(left, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(left, box["y"] + 130, steps=4)
    page.mouse.up()
    expect(page, "[role=status]:has-text('lie in the ranges')", "of 24 trials")
    n = page.locator("table.data tbody tr").count()
    assert 0 < n < 24
    assert all(float(text) > 0.05 for text in page.locator("[data-label=lr]").all_inner_texts())
    page.get_by_role("button", name="Clear ranges").click()
    rows(page, 24)


def test_trials_are_filtered_and_sorted(open_page: Callable[..., Any], server: Server) -> None:
    page = open_page(server, f"e/t/{STORED}/trials")
    rows(page, 24)
    page.get_by_role("searchbox").fill("width>=7 tanh")
    rows(page, 3)
    page.get_by_role("button", name="width").click()
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("width")
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Status").select_option("failed")
    rows(page, 1)
    page.locator("table.data tbody a").click()
    expect(page, ".pill.failed", "failed")


def test_a_search_and_its_order_are_in_the_address(open_page: Callable[..., Any], server: Server) -> None:
    page = open_page(server, f"e/t/{STORED}/trials")
    page.get_by_role("searchbox").fill("lr < ")  # not written to its end
    rows(page, 24)
    page.get_by_role("searchbox").fill("no such words")
    expect(page, ".empty", "No trial matches")
    page.get_by_role("searchbox").fill("epoch >= 3")
    page.get_by_role("button", name="width").click()
    page.wait_for_url("**sort=width*")
    rows(page, 24)
    page.mouse.wheel(0, 400)
    until(page, "history.state?.scroll > 0")
    place = page.evaluate("scrollY")
    page.get_by_role("link", name="17", exact=True).click()
    expect(page, ".view h2", "Trial 17")
    assert page.evaluate("scrollY") < place
    page.go_back()
    playwright.expect(page.locator("th[aria-sort=ascending]")).to_have_text("width", timeout=PATIENCE)
    until(page, f"scrollY === {place}")


def test_several_metrics_have_their_best_values(open_page: Callable[..., Any], server: Server) -> None:
    page = open_page(server, f"e/t/{STORED}/overview")
    tile(page, "Best loss", "0.038462")
    tile(page, f"Best {HTML[:20]}", "23")
    page.get_by_role("link", name="no other dominates").click()
    expect(page, ".view", "dominated by no other")


@pytest.mark.parametrize("width", [360, 375])
def test_phones_see_all_of_curves_and_parallel_coordinates(
    open_page: Callable[..., Any], server: Server, width: int
) -> None:
    page = open_page(
        server,
        f"e/t/{STORED}/curves",
        viewport={"width": width, "height": 800},
        query="&embedded=1&renderer=svg",
    )
    trials = page.locator(".legend a")
    playwright.expect(trials).to_have_count(10, timeout=PATIENCE)
    assert all(box["x"] + box["width"] <= width for box in (one.bounding_box() for one in trials.all()))
    show(page, f"e/t/{STORED}/parallel")
    name = page.locator(".chart svg text", has_text="width")
    playwright.expect(name).to_be_visible(timeout=PATIENCE)
    chart = page.locator(".chart").bounding_box()
    assert chart["x"] + chart["width"] <= width
    for text in page.locator(".chart svg text").all():
        box = text.bounding_box()
        assert chart["x"] <= box["x"]
        assert box["x"] + box["width"] <= chart["x"] + chart["width"]


def test_the_colours_are_a_choice_that_is_kept(open_page: Callable[..., Any], server: Server) -> None:
    page = open_page(server, color_scheme="light")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    for _ in range(2):  # automatic, light, dark
        page.get_by_role("button", name="Colours").click()
    dark = page.evaluate(colour)
    assert dark != light
    page.reload()
    page.wait_for_selector("h1")
    assert page.evaluate(colour) == dark


def test_results_appear_and_a_killed_server_loses_none(
    open_page: Callable[..., Any], tmp_path: Path, journals: SimpleNamespace
) -> None:
    first = [journals.session(0.0), journals.start(0.0, 0), journals.result(1.0, 0, 1, 0.5)]
    folder = journals.store_in(tmp_path, first, name=STORED).path
    with serving(tmp_path) as server:
        page = open_page(server, f"e/t/{STORED}/overview")
        tile(page, "Results", "1")
        append(folder, journals, [journals.result(2.0, 0, 2, 0.25)])
        tile(page, "Results", "2")
        expect(page, "[aria-live=polite]", "New best: loss 0.25")
        server.kill()
        expect(page, ".connection", "Reconnecting")
        append(folder, journals, [journals.result(float(r), 0, r, 1 / r) for r in range(3, 9)])
        server.start()
        tile(page, "Results", "8")
        append(folder, journals, [journals.result(9.0, 0, 9, 0.1)])
        tile(page, "Results", "9")
        expect(page, ".connection", "Live")
        show(page, f"e/t/{STORED}/trials/0")
        expect(page, ".view h2", "Trial 0")
        page.get_by_text("Values as a table").click()
        resources = page.locator("details.values tbody tr td:first-child")
        playwright.expect(resources).to_have_text([str(r) for r in range(1, 10)], timeout=PATIENCE)
        show(page, f"e/t/{STORED}/overview")
        tile(page, "Results", "9")
        page.get_by_text("Values as a table").click()
        values = page.locator("details.values tbody tr td:nth-child(4)")
        expected = [f"{value:.5g}" for value in (0.5, 0.25, 1 / 5, 1 / 6, 1 / 7, 1 / 8, 0.1)]
        playwright.expect(values).to_have_text(expected, timeout=PATIENCE)


def test_a_page_without_cookies_sends_the_token_in_a_header(
    open_page: Callable[..., Any], tmp_path: Path, journals: SimpleNamespace
) -> None:
    first = [journals.session(0.0), journals.start(0.0, 0), journals.result(1.0, 0, 1, 0.5)]
    folder = journals.store_in(tmp_path, first, name=STORED).path
    with serving(tmp_path) as server:
        page = open_page(server, f"e/t/{STORED}/overview", query="&embedded=1")
        tile(page, "Results", "1")
        assert page.context.cookies() == []
        append(folder, journals, [journals.result(2.0, 0, 2, 0.25)])
        tile(page, "Results", "2")
        server.kill()
        expect(page, ".connection", "Reconnecting")
        append(folder, journals, [journals.result(3.0, 0, 3, 0.1)])
        server.start()
        tile(page, "Results", "3")
        expect(page, ".connection", "Live")


def answer(tuner: FileJournal, folder: ExperimentFolder, refusal: str = "") -> dict[str, Any]:
    """Take the request that waits as a tuner does; return its parameters."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not (waiting := read_requests(folder)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (filed,) = waiting
    withdraw_request(folder, filed.id)
    action, arguments = action_of(filed.request), arguments_of(filed.request)
    done = {"done": "" if refusal else action, "reason": refusal}
    tuner.append(
        RequestEvent(
            t=1.0,
            wall=1e9,
            action=action,
            trial_id=None,
            arguments={"request": filed.id, **arguments},
            **done,
        )
    )
    return arguments


def test_a_dialog_shows_what_the_tuner_did(
    open_page: Callable[..., Any], tmp_path: Path, journals: SimpleNamespace
) -> None:
    folder = journals.store_in(tmp_path, [journals.session(0.0)], name=STORED, clock="wall")
    tuner = FileJournal(folder.journal_path)
    try:
        with serving(tmp_path, "--control") as server:
            page = open_page(server, f"e/t/{STORED}/overview")
            page.evaluate(axe_core.AXE_FILE_PATH.read_text(encoding="utf-8"))
            for name in ("Try a configuration", "Limits", "Workers", "Note", "Stop experiment"):
                page.get_by_role("button", name=name).click()
                assert broken_rules(page, is_whole=True) == [], name
                page.keyboard.press("Escape")
            opener = page.get_by_role("button", name="Try a configuration")
            opener.press("Enter")
            playwright.expect(page.locator("dialog input").first).to_have_attribute(
                "placeholder", "default: 0.01"
            )
            page.get_by_role("button", name="Try it").click()  # all fields are empty
            expect(page, ".answer", "Waiting for the tuner")
            assert answer(tuner, folder, "The method has no place for it")["config"] == {"lr": 0.01}
            expect(page, ".answer.bad", "Refused: The method has no place for it.")
            page.get_by_role("button", name="Try it").click()
            answer(tuner, folder)
            expect(page, ".answer.good", "Done")
            page.keyboard.press("Escape")
            playwright.expect(page.locator("dialog")).to_have_count(0)
            playwright.expect(opener).to_be_focused()
            page.get_by_role("button", name="Workers").click()
            for _ in range(12):  # the focus stays in the dialog, or goes to the browser's own controls
                page.keyboard.press("Tab")
                assert page.evaluate(
                    "document.activeElement.closest('dialog') !== null || document.activeElement === document.body"
                )
            page.get_by_role("spinbutton", name="Workers").fill("5")
            page.get_by_role("button", name="Change workers").click()
            expect(page, ".answer", "Waiting")
            page.get_by_role("button", name="Close").click()
            answer(tuner, folder, "Too many")
            expect(page, ".toast", "Refused: Too many")  # the answer is shown although the dialog was closed
    finally:
        tuner.close()


SCRIPT = """
import os, sys, time
from tunewright import Reporter
report = Reporter()
for epoch in range(1, 1001):
    report(epoch=epoch, loss=1 / epoch)
    print("epoch", epoch, "is over", flush=True)
    if os.path.exists(sys.argv[0] + ".end"):
        break
    time.sleep(0.1)
"""


def test_a_running_experiment_is_followed_stopped_killed_and_resumed(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    tmp_path.joinpath("space.toml").write_text(
        '[lr]\ntype = "float"\nlow = 0.1\nhigh = 1.0\n', encoding="utf-8"
    )
    flags = "--metric loss --method RandomSearch --resource epoch --max_num_trials 2 --n_workers 1 --experiment_tag t"
    command = [sys.executable, "-m", "tunewright"]
    options: dict[str, Any] = {
        "cwd": tmp_path,
        "env": {**os.environ, "TUNEWRIGHT_HOME": str(tmp_path / "home")},
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "start_new_session": True,
    }
    tune = [*command, "tune", str(script), "--space", "space.toml", *flags.split()]
    tuner = subprocess.Popen(tune, **options)
    try:
        with serving(tmp_path / "home", "--control") as server:
            page = open_page(server)
            page.locator("table.data .name").click()
            expect(page, ".facts-line", "1 trial ")
            name = page.locator("h1").inner_text()
            show(page, f"e/t/{name}/trials/0")
            expect(page, "[role=log]", "epoch 2 is over")
            page.get_by_role("button", name="Stop\u2026", exact=True).click()
            page.get_by_role("button", name="Stop trial").click()
            expect(page, ".answer", "Done")
            page.get_by_role("button", name="Close").click()
            folder = tmp_path / "home" / "experiments" / "t" / name
            expect(page, ".view .pill", "stopped")
            expect(page, ".card[aria-label=Requests]", "stop trial")
            show(page, f"e/t/{name}/trials/1")
            expect(page, "[role=log]", "epoch 2 is over")
            end_session(tuner)
            expect(page, ".heading .pill", "interrupted")
            script.with_name("train.py.end").touch()
            tuner = subprocess.Popen([*command, "resume", name], **options)
            expect(page, ".heading .pill", "completed")
            assert tuner.wait(timeout=PATIENCE / 1000) == 0
            show(page, f"e/t/{name}/overview")
            journal = (folder / "journal.jsonl").read_text(encoding="utf-8")
            accepted = [
                line for line in map(json.loads, journal.splitlines()) if line.get("decision") in ACCEPTED
            ]
            tile(page, "Results", str(len(accepted)))
            tile(page, "Trials", "2")
    finally:
        end_session(tuner)


def end_session(tuner: subprocess.Popen[bytes]) -> None:
    """Kill a tuner and the scripts that it runs."""
    try:
        members = [tuner.pid, *(child.pid for child in psutil.Process(tuner.pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        members = []
    for pid in members:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    tuner.wait()
