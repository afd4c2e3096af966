"""The page in one file: it holds everything that it needs, and every text as data."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.analysis import load
from tunewright.analysis.one_run import one_run
from tunewright.analysis.report import compare, comparison_page
from tunewright.analysis.single import single_report
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.cli import main
from tunewright.dashboard.library import Entry
from tunewright.dashboard.page import ASSETS, bundled_script, frozen_page, module_order
from tunewright.dashboard.report import comparison_file, experiment_file
from tunewright.experiments import Experiment, Limits, Outcome, method, run_experiment
from tunewright.storage import ExperimentFolder
from tunewright.trial import TrialStatus

MEGABYTE = 1_000_000
_DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)


def outcome_of(name: str, tag: str, seed: int = 0, n_trials: int = 12) -> Outcome:
    return run_experiment(
        Experiment(
            tag=tag,
            benchmark=simulated_benchmark("digits"),
            method=method(name),
            label=name,
            seed=seed,
            backend=SimulatedConfig(),
            limits=Limits(max_num_trials=n_trials),
        )
    )


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


@pytest.mark.usefixtures("tunewright_home")
def test_the_file_has_the_documents_of_the_live_page_and_asks_nothing_of_a_network() -> None:
    outcome = outcome_of("RandomSearch", "one", n_trials=20)
    page = experiment_file(outcome.folder, single_report(one_run(outcome.folder)))
    data = data_of(page)
    base = f"api/e/one/{outcome.folder.name}"
    assert data["start"] == f"#/e/one/{outcome.folder.name}/overview"
    assert {"api/experiments", base, f"{base}/since?after=0", f"{base}/importance", f"{base}/report"} <= set(
        data["paths"]
    )
    entry = Entry(outcome.folder)
    live = json.loads(json.dumps(entry.open_feed().since(0)))
    assert data["paths"][f"{base}/since?after=0"] == live
    assert data["paths"][base]["is_frozen"] is True
    assert len([path for path in data["paths"] if "/trials/" in path]) == 20
    assert len([path for path in data["paths"] if "/contour?" in path]) == 12
    assert not re.search(
        r'(?:src|href)="(?!data:|#)', re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    )
    assert len(page) - len(json.dumps(data)) < 2 * MEGABYTE


@pytest.mark.usefixtures("tunewright_home")
def test_a_comparison_is_one_document() -> None:
    for name in ("RandomSearch", "ASHA"):
        outcome_of(name, "two")
    page = comparison_page(compare(load("two")), title="a/b <script>")
    data = data_of(comparison_file(page))
    (document,) = data["paths"].values()
    assert document["title"] == "Comparison: a/b <script>"
    assert data["start"].count("/") == 2
    assert [chart["kind"] for section in document["sections"] for chart in section["charts"]] == [
        "lines",
        "ranks",
        "lines",
        "intervals",
    ]


def test_an_experiment_without_results_has_a_page_with_its_errors(
    store: Callable[..., ExperimentFolder],
    journals: SimpleNamespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = journals.end(1.0, 0, TrialStatus.FAILED, error="Traceback\nRuntimeError: no GPU")
    folder = store([journals.start(0.0, 0), failed])
    with pytest.raises(SystemExit) as exited:
        main(["report", folder.name, "--out", str(tmp_path / "page.html")])
    assert not exited.value.code
    assert "has no results: the page shows its trials and their errors" in capsys.readouterr().out
    paths = data_of((tmp_path / "page.html").read_text())["paths"]
    (detail,) = (document for path, document in paths.items() if path.endswith("/trials/0"))
    assert detail["error"].endswith("RuntimeError: no GPU")


def test_texts_of_scripts_never_become_markup() -> None:
    text = "</script><script>alert(1)</script><!-- \u2028"
    page = frozen_page({"api/x": {"text": text}}, start="#/", title=text)
    assert text not in page
    assert "<script>alert" not in page
    assert data_of(page)["paths"]["api/x"]["text"] == text


def test_the_policy_allows_the_scripts_inside_alone() -> None:
    page = frozen_page({}, start="#/", title="t")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 3
    assert html.unescape(policy).startswith("default-src 'none'; ")


def test_modules_have_names_of_their_own_and_are_bundled_whole() -> None:
    """Bundling joins the modules, so a name that two of them declare would be one name."""
    modules = {name: (ASSETS / name).read_text() for name in module_order()}
    assert set(modules) == {path.name for path in ASSETS.glob("*.js")}
    declared = [name for text in modules.values() for name in _DECLARED.findall(text)]
    assert len(declared) == len(set(declared)), sorted({n for n in declared if declared.count(n) > 1})
    script = bundled_script()
    assert not re.search(r"^(?:import|export)\b", script, re.MULTILINE)
    n_imports = sum(len(re.findall(r"^import ", text, re.MULTILINE)) for text in modules.values())
    n_lines = sum(len(text.splitlines()) for text in modules.values())
    assert len(script.splitlines()) == n_lines - n_imports


def broken_rules(page: Any) -> list[str]:
    """Serious findings of axe-core, which is evaluated by the debugger: the policy of the page allows no other script."""
    base = pytest.importorskip("axe_playwright_python.base")
    page.evaluate(base.AXE_FILE_PATH.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.mark.usefixtures("tunewright_home")
def test_the_file_opens_from_disk_without_a_network(chromium: Any, tmp_path: Path) -> None:
    outcome = outcome_of("ASHA", "one", n_trials=40)
    one, two = tmp_path / "one.html", tmp_path / "two.html"
    one.write_text(experiment_file(outcome.folder, single_report(one_run(outcome.folder))))
    for name in ("RandomSearch", "ASHA"):
        outcome_of(name, "two")
    two.write_text(comparison_file(comparison_page(compare(load("two")), title="two")))
    context = chromium.new_context(offline=True)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    best = outcome.best
    assert best is not None
    page.goto(one.as_uri())
    page.get_by_role("heading", name=outcome.folder.name).wait_for()
    assert f"{best.value:.5g}" in page.inner_text("main")
    for view in (
        "Report",
        "Trials",
        "Curves",
        "Parallel",
        "Slices",
        "Contour",
        "Importance",
        "Workers",
        "Events",
    ):
        page.get_by_role("link", name=view, exact=True).first.click()
        page.locator(f'a[aria-current="page"]:has-text("{view}")').wait_for()
        page.locator(".view").locator("canvas, table, p.empty").first.wait_for(state="attached")
    page.goto(two.as_uri())
    page.get_by_role("heading", name="Comparison: two").wait_for()
    assert page.locator("svg.ranks").count() == 1
    page.get_by_role("button", name="accuracy").first.click()
    assert page.locator('th[aria-sort="ascending"]').count() == 1
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for address in (two.as_uri(), f"{one.as_uri()}#/e/one/{outcome.folder.name}/report"):
            page.goto(address)
            page.locator(".report-head").wait_for()
            problems += [f"{address}: {rule}" for rule in broken_rules(page)]
    assert problems == []
    context.close()
