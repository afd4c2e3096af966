"""The report of one experiment: its data, its page in both modes, and the advice on what to do next."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tunewright import AskTell
from tunewright.advice import NextStep, next_steps
from tunewright.analysis import curves, load
from tunewright.analysis import importance as importance_module
from tunewright.analysis.figures.style import COLOURS, STATUS_COLOURS
from tunewright.analysis.importance import importance
from tunewright.analysis.one_run import one_run
from tunewright.analysis.report import compare, comparison_page, single_page
from tunewright.analysis.single import single_report
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.cli import main
from tunewright.dashboard.page import ASSETS
from tunewright.experiments import Experiment, Limits, Outcome, load_outcome, method, run_experiment
from tunewright.formatting import ProgressFacts, stored_facts
from tunewright.metric import Metric
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus

pytest.importorskip("matplotlib")
Store = Callable[..., ExperimentFolder]


def on_digits(name: str, *, profile: str = "default", **limits: int) -> Outcome:
    return run_experiment(
        Experiment(
            tag="one",
            benchmark=simulated_benchmark("digits"),
            method=method(name),
            label=name,
            backend=SimulatedConfig(profile=profile, keep_alive=600),  # type: ignore[arg-type]
            limits=Limits(**limits),
        )
    )


def advice(store: Store, losses: Sequence[float], **fields: object) -> list[NextStep]:
    """On trials with these losses; their lr is 0, 0.1, ... 0.9, their width 1 to 8, in turn."""
    reports = [(float(i + 1), loss) for i, loss in enumerate(losses)]
    outcome = load_outcome(store(reports, **({"end": len(losses)} | fields)))
    facts = stored_facts(outcome.metadata, "toy-1", outcome.constraints)
    return next_steps(facts, outcome.history, outcome.status)


def texts(steps: Sequence[NextStep]) -> str:
    return "\n".join(step.text for step in steps)


def test_the_report_has_the_best_trials_the_use_of_workers_and_a_way_to_use_the_best() -> None:
    outcome = on_digits("ASHA", profile="sagemaker", max_num_evaluations=150)
    report = single_report(one_run(outcome.folder))
    best = outcome.best
    assert best is not None
    assert report.best is not None
    assert (report.best.trial_id, report.best.config) == (best.trial_id, best.config)
    assert [trial.trial_id for trial in report.top] == [trial_id for trial_id, _ in outcome.ranked()[:10]]
    assert f"--n_units={best.config['n_units']}" in report.arguments.split()
    workers = report.workers
    assert (workers.n_workers, workers.n_cold, workers.cold_start, workers.warm_start) == (4, 4, 130.0, 20.0)
    assert workers.n_cold + workers.n_warm == outcome.history.n_runs
    shares = (workers.starting, workers.training, workers.uploading, workers.idle)
    assert sum(shares) == pytest.approx(1)
    assert min(workers.starting, workers.training) > 0.05
    assert report.importance is not None
    assert set(report.importance.spread) == set(outcome.space.names)


def test_the_page_is_titled_by_the_experiment_and_begins_with_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = on_digits("RandomSearch", max_num_trials=12)
    best = outcome.best
    assert best is not None
    with pytest.raises(SystemExit) as exited:
        main(["report", "one", "--out", str(tmp_path / "one.html")])
    assert not exited.value.code
    assert f"<title>{outcome.folder.name}</title>" in (tmp_path / "one.html").read_text()
    page = single_page(single_report(one_run(outcome.folder)))
    assert page.title == outcome.folder.name
    titles = [section.title for section in page.sections]
    assert titles[0] == "Best configuration"
    assert {"Best 10 trials", "Hyperparameters", "Workers"} <= set(titles)
    assert f"accuracy {best.value:.5g} (highest; trial {best.trial_id}" in page.headline
    assert f"tunewright best {outcome.folder.name}" in page.sections[0].code
    assert not page.guide
    said = capsys.readouterr().out
    assert f"accuracy {best.value:.5g}" in said
    assert "regret" not in repr(page)


def test_one_setup_has_no_statistics(store: Store) -> None:
    for seed in range(2):
        store([(1, 0.5), (2, 0.4 + seed)], seed=seed)
    page = repr(comparison_page(compare(load("t")), title="t"))
    assert "A reached loss 0.45 [0.4, 0.5] on toy, 2 seeds." in page
    for word in ("speed-up", "p (Holm)", "regret", "Reference", "P(better"):
        assert word not in page
    store([(1, 0.3)], method="B")
    assert "speed-up" in repr(comparison_page(compare(load("t")), title="t"))


def test_a_setup_with_several_seeds_names_its_best_run(store: Store) -> None:
    stored = [store([(1, loss)], seed=seed) for seed, loss in enumerate((0.5, 0.4, 0.6))]
    page = repr(comparison_page(compare(load("t")), title="t"))
    assert f"tunewright best {stored[1].name}\\n" in page
    assert stored[2].name not in page


def test_a_cell_that_was_run_again_has_the_page_of_the_newest(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = store([(1, 0.1)]), store([(1, 0.5)])
    with pytest.raises(SystemExit):
        main(["report", "t", "--out", str(tmp_path / "t.html")])
    page = (tmp_path / "t.html").read_text()
    assert f"<title>{new.name}</title>" in page
    assert old.name not in page
    assert "1 older experiment" in capsys.readouterr().out


def test_failures_with_the_same_last_line_are_one(store: Store) -> None:
    folder = store([(1, 0.5)] * 3)
    text = folder.journal_path.read_text()
    error = "Its last output:\\n  File <a>\\nRuntimeError: too <high>"
    for trial in (0, 2):
        line = next(line for line in text.splitlines() if '"end"' in line and f'"trial_id":{trial},' in line)
        broken = line.replace('"completed"', '"failed"').replace('"error":""', f'"error":"{error}"')
        assert broken != line
        text = text.replace(line, broken)
    folder.journal_path.write_text(text)
    report = single_report(one_run(folder))
    (failure,) = report.failures
    assert list(failure.trial_ids) == [0, 2]
    assert report.next_steps[0].command == f"tunewright logs {folder.name} 0"
    outputs = next(section.outputs for section in single_page(report).sections if section.outputs)
    assert list(outputs) == ["Trials 0, 2"]
    assert "RuntimeError: too <high>" in outputs["Trials 0, 2"]


def test_best_values_at_a_bound_advise_a_wider_range_and_close_ones_a_narrower(store: Store) -> None:
    at_bound = texts(advice(store, [8 - (1 + i % 8) + 0.001 * i for i in range(40)]))
    assert "try a wider one for width (upper end 8)" in at_bound
    assert "lr" not in at_bound
    close = texts(advice(store, [abs((i % 10) / 10 - 0.5) for i in range(40)]))
    assert re.search(r"try a narrower one with lr 0\.[1-4]\S* to 0\.[6-9]", close)
    assert "width" not in close


def test_a_category_has_no_wider_range() -> None:
    """Two values take one column, as a number does."""
    space = SearchSpace({"flag": Categorical((False, True)), "x": Float(0.0, 1.0)})
    metric = Metric("loss")
    study = AskTell(space, metric=metric, method="RandomSearch")
    for number in range(40):
        asked = study.ask()
        assert asked is not None
        study.complete(asked, number / 1000 + (0.0 if asked.config["flag"] else 1.0))
    facts = ProgressFacts(title="", metric=metric, space=space, n_workers=1)
    advised = texts(next_steps(facts, study.history, ExperimentStatus.COMPLETED))
    assert "wider" not in advised
    assert "try a narrower one with flag True" in advised


def test_values_without_an_effect_lead_to_no_advice_on_the_space(store: Store) -> None:
    losses = np.random.default_rng(0).random((30, 40))
    advised = [
        text
        for row in losses
        if "narrower" in (text := texts(advice(store, row.tolist()))) or "wider" in text
    ]
    assert len(advised) <= 3  # two hyperparameters, each with p < 0.02 for either advice


def test_more_time_is_advised_if_the_best_came_late(store: Store) -> None:
    late = advice(store, [1 - 0.01 * i for i in range(12)])
    (step,) = (step for step in late if "came late" in step.text)
    assert step.command == "tunewright resume toy-1 --max_wallclock_time 24"
    early = advice(store, [0.1, *[0.5 + 0.01 * i for i in range(12)]])
    assert "No better result in the last 12 s of 13 s" in texts(early)
    unfinished = advice(store, [0.5, 0.4], status="interrupted")
    assert unfinished[0].command == "tunewright resume toy-1"


def test_training_to_the_end_is_advised_if_no_trial_came_there(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = on_digits("ASHA", max_num_evaluations=20)
    steps = single_report(one_run(outcome.folder)).next_steps
    command = f"tunewright best {outcome.folder.name} --retrain"
    assert command in [step.command for step in steps]
    with pytest.raises(SystemExit):
        main(["show", outcome.folder.name])
    shown = capsys.readouterr().out
    assert command in shown
    assert f"tunewright best {outcome.folder.name} --format cli" in shown
    whole = on_digits("RandomSearch", max_num_trials=3)
    assert not [step for step in single_report(one_run(whole.folder)).next_steps if "retrain" in step.command]


def test_unequal_budgets_are_named_and_compared_at_the_shortest(store: Store) -> None:
    reports = [(1.0, 0.5), (2.0, 0.4)]
    limits = {"max_num_trials": 2}
    short = store(reports, method="A", status="completed", end=2, limits=limits)
    store([*reports, (90.0, 0.1)], method="B", end=100)
    found = curves(load("t"), "toy")
    assert found.times[-1] == 2
    assert [
        note for note in found.notes if f"unequal budgets: compared after 2 s, where {short.name}" in note
    ]
    assert found.setups["B"].losses[0, -1] == 0.4
    # a method that had nothing left to try, with trials to spare, would not change with more time
    store(reports, method="A", tag="u", status="completed", end=2, limits={"max_num_trials": 3})
    store([*reports, (90.0, 0.1)], method="B", tag="u", end=100)
    endless = curves(load("u"), "toy")
    assert (endless.times[-1], endless.notes) == (100, ())


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_texts_and_figures_are_readable_in_both_modes() -> None:
    css = (ASSETS / "style.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6})", css[place:].split("}")[0])) for place in (
        css.index(":root"), css.index("prefers-color-scheme: dark")
    ))  # fmt: skip
    assert set(light) == set(dark)
    for colours in (light, dark):
        for name in ("ink", "soft", "good", "bad", "link"):
            for ground in ("page", "card", "tint", "alert"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    hued = {c for c in (*COLOURS, *STATUS_COLOURS.values()) if len({c[1:3], c[3:5], c[5:]}) > 1}
    assert min(contrast(colour, dark["page"]) for colour in hued) >= 3


def test_trials_that_an_ended_experiment_left_running_count_as_stopped() -> None:
    outcome = on_digits("RandomSearch", max_num_evaluations=30)
    run = one_run(outcome.folder)
    assert not [trial for trial in run.trials if trial.status == "running"]
    assert sum(trial.status == "stopped" for trial in run.trials) == outcome.counts["stopped"] > 0


@pytest.mark.parametrize(("n_trials", "has_importance"), [(19, False), (24, True)])
def test_show_has_the_use_of_workers_and_the_importance_if_there_are_enough_trials(
    n_trials: int, has_importance: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = on_digits("RandomSearch", profile="sagemaker", max_num_trials=n_trials)
    with pytest.raises(SystemExit):
        main(["show", outcome.folder.name])
    lines = capsys.readouterr().out.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("workers "))
    shares = re.findall(r"(\d+) % (\w+)", lines[begin])
    assert (
        {"training", "starting"}
        <= {name for _, name in shares}
        <= {"training", "starting", "uploading", "idle"}
    )
    assert 98 <= sum(int(share) for share, _ in shares) <= 102
    assert any(re.match(r" {12}\d+ cold starts? of 130 s \(median\)", line) for line in lines)
    shown = [line for line in lines if line.startswith("importance ") or "±" in line]
    assert bool(shown) == has_importance
    assert all(len(line) <= 60 for line in lines if line in shown)
    if has_importance:
        names = [line[12:].split()[0] for line in shown]
        assert set(names) <= set(outcome.space.names)
        assert any(line.endswith("% of the variance of 24 trials explained") for line in lines)


def test_importance_looks_at_a_sample_of_very_many_trials(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = one_run(store([(float(i), abs((i % 10) / 10 - 0.5)) for i in range(1, 62)]))
    whole = importance(run)
    monkeypatch.setattr(importance_module, "MOST_TRIALS", 30)
    sample = importance(run)
    assert (whole.n_trials, sample.n_trials) == (61, 21)
    assert next(iter(sample.mean)) == next(iter(whole.mean)) == "lr"
