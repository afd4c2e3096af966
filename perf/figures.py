"""Draw the figures of ``docs/performance.md`` from the stored measurements: no figure is typed by hand.

python perf/figures.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).parent
FIGURES = HERE.parent / "docs" / "figures"
OURS, PEER, BEFORE = "#0072B2", "#E69F00", "#999999"


def read(path: str) -> dict[str, Any]:
    """A stored measurement."""
    return json.loads((HERE / path).read_text(encoding="utf-8"))


def bars(
    axis: Axes, labels: Sequence[str], series: Mapping[str, tuple[Sequence[float], str]], text: str
) -> None:
    """Horizontal bars side by side, each with its value; ``text`` is the format of one."""
    height = 0.8 / len(series)
    for number, (name, (values, colour)) in enumerate(series.items()):
        places = [place + (number - (len(series) - 1) / 2) * height for place in range(len(labels))]
        drawn = axis.barh(places, values, height * 0.92, color=colour, label=name)
        axis.bar_label(drawn, [text.format(value) for value in values], padding=3, fontsize=8)
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.margins(x=0.18)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)


def save(figure: Figure, name: str) -> None:
    """Write a figure whose bytes depend on the data only."""
    figure.savefig(FIGURES / f"performance_{name}.svg", metadata={"Date": None})


def calls() -> None:
    """CPU time of the calls that a tuner makes most often."""
    figures = read("measured.json")["figures"]
    names = {"random": "RandomSearch", "asha_stopping": "ASHA, stopping", "asha_promotion": "ASHA, promotion"}
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    for axis, call in zip(figure.subplots(1, 2), ("suggest", "report"), strict=True):
        ours = [1000 * figures[key][call] for key in names]
        peer = [1000 * figures[f"peer.{key}"][call] for key in names]
        bars(
            axis, list(names.values()), {"Tunewright": (ours, OURS), "Syne Tune 0.13": (peer, PEER)}, "{:.3g}"
        )
        axis.set_xlabel(f"µs of CPU, one {call if call == 'report' else 'suggestion'}")
    save(figure, "calls")


def simulation() -> None:
    """CPU time of a result of simulated experiments."""
    methods = read("simulation.json")["ms_per_result"]
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axis = figure.subplots()
    series = {
        "Tunewright": ([1000 * row["tunewright"] for row in methods.values()], OURS),
        "Syne Tune 0.13, same clock": ([1000 * row["syne_tune"] for row in methods.values()], PEER),
        "Syne Tune 0.13, as it comes": ([1000 * row["syne_tune_stock"] for row in methods.values()], BEFORE),
    }
    bars(axis, list(methods), series, "{:.0f}")
    axis.set_xlabel("µs of CPU, one result, all included")
    save(figure, "simulation")


def decisions() -> None:
    """CPU time of a suggestion of methods with models, before and now."""
    times = json.loads(
        (HERE.parent / "benchmarking/nursery/benchmark_all/results/decision_times.json").read_text()
    )
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    axis = figure.subplots()
    series = {
        "now": (list(times["after"].values()), OURS),
        "commit 35bd364": (list(times["before"].values()), BEFORE),
    }
    bars(axis, list(times["after"]), series, "{:.1f}")
    axis.set_xlabel("ms of CPU, one suggestion")
    save(figure, "decisions")


def dashboard() -> None:
    """The dashboard beside optuna-dashboard, 1,000 trials."""
    measured = read("dashboard_peer.json")
    parts = {
        "first_view_s": "seconds to the first view",
        "update_s": "seconds to a new result",
        "page_mb": "MB loaded by the page",
    }
    figure = Figure(figsize=(8, 1.9), layout="constrained")
    for axis, (key, text) in zip(figure.subplots(1, len(parts)), parts.items(), strict=True):
        names = ["Tunewright", "optuna-dashboard"]
        values = [measured[name.lower()][key] for name in names]
        drawn = axis.barh(names, values, color=[OURS, PEER])
        axis.bar_label(drawn, [f"{value:.2g}" for value in values], padding=3, fontsize=8)
        axis.invert_yaxis()
        axis.margins(x=0.2)
        axis.set_xlabel(text)
        axis.spines[["top", "right"]].set_visible(False)
        if axis is not figure.axes[0]:
            axis.set_yticklabels([])
    save(figure, "dashboard")


def sagemaker() -> None:
    """Runs an hour of four workers on SageMaker's clock."""
    measured = read("sagemaker/rate.json")
    names = {"ours workers": "workers mode", "ours warm": "warm pools", "peer warm": "Syne Tune 0.13, warm pools",
             "ours cold": "without pools", "peer cold": "Syne Tune 0.13, without pools"}  # fmt: skip
    names = {key: name for key, name in names.items() if key in measured}
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    axis = figure.subplots()
    values = [measured[key]["runs_per_hour"] for key in names]
    drawn = axis.barh(
        list(names.values()), values, color=[PEER if key.startswith("peer") else OURS for key in names]
    )
    axis.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("runs that ended, an hour (emulator's life cycle, four workers)")
    save(figure, "sagemaker")


def fit() -> None:
    """CPU time of a fit of a Gaussian process, by number of results."""
    measured = read("models/fit.json")["ms"]
    sizes = [int(n) for n in measured]
    names = {
        "scikit_learn": ("scikit-learn", PEER),
        "botorch": ("BoTorch", BEFORE),
        "first": ("Tunewright", OURS),
    }
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    axis = figure.subplots()
    for key, (name, colour) in names.items():
        axis.loglog(sizes, [row[key] for row in measured.values()], "o-", color=colour, label=name)
    axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axis.minorticks_off()
    axis.set_xlabel("results")
    axis.set_ylabel("ms of CPU, one fit")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    save(figure, "fit")


def scale() -> None:
    """Workers that train, of 1,000."""
    measured = read("sagemaker/scale.json")
    names = {"workers": "workers mode", "jobs": "jobs mode"}
    figure = Figure(figsize=(8, 1.5), layout="constrained")
    axis = figure.subplots()
    drawn = axis.barh(
        list(names.values()),
        [measured[key]["mean_busy_after_five_minutes"] for key in names],
        color=OURS,
    )
    axis.bar_label(drawn, fmt="{:.0f}", padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, 1000)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("workers that train, mean after five minutes")
    save(figure, "scale")


def engines() -> None:
    """Trials a minute of eight workers on a Ray cluster."""
    measured = read("engines/measured.json")
    names = {
        "ray workers": "Tunewright, workers",
        "ray peer": "Ray Tune 2.60",
        "ray jobs": "Tunewright, jobs",
    }
    figure = Figure(figsize=(8, 1.8), layout="constrained")
    axis = figure.subplots()
    drawn = axis.barh(
        list(names.values()),
        [measured[key]["per_minute"] for key in names],
        color=[PEER if key == "ray peer" else OURS for key in names],
    )
    axis.bar_label(drawn, fmt="{:.1f}", padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("trials that ended, a minute (eight workers, trials of five seconds)")
    save(figure, "engines")


if __name__ == "__main__":
    with rc_context({"svg.hashsalt": "tunewright", "font.size": 9}):
        for draw in (calls, simulation, fit, decisions, sagemaker, scale, engines, dashboard):
            draw()
