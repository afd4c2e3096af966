"""Make the page of the comparison, with its figures, from ``results``: equal runs give equal bytes.

python benchmarking/nursery/benchmark_all/page.py
"""

from __future__ import annotations

import argparse
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from cells import n_seeds, n_tasks
from plan import PLAN, Ground, Profile
from summarise import RESULTS, file_of

from tunewright.analysis.claims import MIN_PAIRS, Contrast, Finding, Measure, Verdict, evaluate, lead_of
from tunewright.analysis.comparison import Ranks, mean_ranks, normalised_regret
from tunewright.analysis.curves import Curves, with_equals
from tunewright.analysis.figures import plot_findings, plot_ranks, save
from tunewright.analysis.significance import ALPHA, overall_tests
from tunewright.analysis.summaries import SHARES, BenchmarkSummary, Summaries, curves_of, read_summaries

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PEERS = ("Syne Tune: ", "Optuna ", "NePS ")
OTHER_PEERS = ("Optuna TPE-Hyperband", "Optuna GPSampler", "NePS PriorBand")
"""Methods of ``perf/quality/peer_libraries.py``."""
N_SHOWN = 8
"""Lines of a figure, from the best mean rank on; random search and `auto` are added."""
ALWAYS = ("auto", "RS")
HALF = 0.5
LEAST_SEEDS = 3
"""Common seeds that a method's runs must leave, if it is to be ranked with the others."""

ABOUT = """# Compare all methods

<!-- Made by benchmarking/nursery/benchmark_all/page.py: do not edit. -->

All methods of Tunewright, and recorded runs of peers, on recorded tables in simulated time with four asynchronous workers.

"""

HOW_TO_READ = """## How to read the tables

- The [plan](../benchmarking/nursery/benchmark_all/plan.toml) has tasks, budgets, seeds and profiles. The plan, and the [claims and goals](../benchmarking/nursery/benchmark_all/claims.toml),
  were committed before the first run on a judging task.
- On 30 November 2026 the plan got fewer seeds, before most runs of the costlier methods. Tasks, budgets, claims and goals were not changed.
- A method is ranked if it has three seeds in common with the others on each task.
- A ground is a group of tasks. Tasks on which a setting was chosen, confirmed or dropped judge nothing.
- A method is significantly better than another one if it is better in more than half of the pairs that both have, with its whole interval.
- A run is paired with the runs of the same task and seed. Intervals are 95 % bootstrap intervals over tasks and seeds as crossed factors.
- `OneEpoch` trains a hundred configurations for one epoch and the best three of them to the end, and begins again. Every method with early stopping must beat this baseline.

| column | meaning |
|---|---|
| rank | mean over tasks of means over the seeds that all ranked methods have; methods with equal curves count once |
| regret | 0: best loss of all runs on the task; 1: loss of an untrained model; median over tasks of the median over seeds |
| p | Wilcoxon's signed-rank test against the method with the best rank, after Holm's correction |
| ms | milliseconds of deciding per trial on a shared machine: orders of magnitude |

If the loss of an untrained model is not known, regret is 1 at the median at a tenth of the time.
"""

ABOUT_CLAIMS = """A claim is one sentence about a paper, with the contrast that tests it.

- Figures: share of the pairs in which the first method is better (equal ones count half), with its interval. For PASHA: the ratio of times, or the difference of regrets.
- A claim holds if the whole interval is beyond the bound.
- Not decided: the interval contains the bound, or there are fewer than three tasks, two seeds or six pairs.
- Each contrast is one test: of so many, about one in forty is beyond its bound by chance.
"""

REPEAT = """## Run it again

Every judging run is in `benchmarking/nursery/benchmark_all/results`. Equal runs give an equal page.

```bash
cd benchmarking/nursery/benchmark_all
python run.py --ground network --method 'RS,ASHA*' --seeds 0 3   # any part of the plan; finished cells are skipped
python summarise.py                                              # stored runs -> results
python page.py                                                   # results -> this page
```
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "comparison.md")
    given = parser.parse_args()
    claims = tomllib.loads((HERE / "claims.toml").read_text(encoding="utf-8"))
    runs = {
        (profile.name, name, kind): read_summaries(file_of(profile, PLAN.grounds[name], kind, given.results))
        for profile in PLAN.profiles.values()
        for name in profile.grounds
        for kind in ("judging", "checked")
    }
    judging = {name: runs["ideal", name, "judging"] for name in PLAN.profiles["ideal"].grounds}
    figures = given.out.parent / "figures"
    figures.mkdir(exist_ok=True)
    sections: list[str] = []
    leaders: list[str] = []
    for (profile, name, kind), summaries in runs.items():
        if summaries and not PLAN.grounds[name].n_trials:
            title, notice = _heading(PLAN.profiles[profile], PLAN.grounds[name], kind)
            figure = figures / f"comparison-{profile}-{name}-{kind}.svg"
            lines, leader = section(summaries, PLAN.grounds[name], PLAN.profiles[profile], figure)
            about = _about(given.results, figure.stem.removeprefix("comparison-"))
            sections += [title, *([notice] if notice else []), *lines, *([about] if about else [])]
            if kind == "judging" and leader:
                of_profile = "" if profile == "ideal" else f", profile {profile}"
                leaders.append(f"| `{name}`{of_profile} | {leader}")
    parts = [ABOUT + _state(runs)]
    if leaders:
        parts += [
            "| ground | tasks | ranked methods | best mean rank at the end | `auto` |",
            "|---|---|---|---|---|",
            *leaders,
            "",
        ]
    parts += [HOW_TO_READ]
    lines = goals(claims["goals"], judging, given.results)
    parts += ["## Goals\n", states(lines), *folded("Goals with their states", lines)]
    if tried := [f"- {line}" for goal in claims["goals"] for line in goal.get("tried", ())]:
        parts += folded("Tried for goals that are missed", [*tried, ""])
    parts += ["## Claims of six papers\n", ABOUT_CLAIMS]
    parts += claims_figure(claims["claims"], judging, figures / "comparison-claims.svg")
    parts += folded("Claims with their verdicts", claims_table(claims["claims"], judging))
    parts += ["## Grounds\n", *sections, *coverage(runs), REPEAT]
    given.out.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    print(given.out)


def _heading(profile: Profile, ground: Ground, kind: str) -> tuple[str, str]:
    title = f"### {ground.name}: {ground.title}"
    if profile.name != "ideal":
        title += f", profile {profile.name}"
    if kind == "checked":
        notice = (
            "**These tasks judge nothing**: choices were confirmed or dropped on them, or the peers' runs were seen. "
            "They are here because the peers' recorded runs are on them.\n"
        )
        return title + ", checked tasks\n", notice
    return title + "\n", ""


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """A part of the page that opens by a click."""
    return [f":::{{dropdown}} {title}\n", *lines, ":::\n"]


def _about(results: Path, stem: str) -> str:
    """Line about the versions of a file's runs, from ``about.json``."""
    path = results / "about.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return f"{known[stem]}\n" if stem in known else ""


def coverage(runs: Mapping[tuple[str, str, str], Summaries]) -> list[str]:
    """Part of the plan that has been run."""
    lines = ["| profile | ground | judging tasks | runs |", "|---|---|---|---|"]
    seeds = [
        "| profile | ground | mean number of seeds per task, of planned ones | methods |",
        "|---|---|---|---|",
    ]
    for profile in PLAN.profiles.values():
        for ground in (PLAN.grounds[name] for name in profile.grounds):
            summaries, planned = runs[profile.name, ground.name, "judging"], n_seeds(ground, profile)
            n_done, n_planned = _runs(ground, profile, summaries)
            lines.append(
                f"| {profile.name} | `{ground.name}` | {len(summaries)} of {len(ground.judging)} "
                f"| {n_done:,} of {n_planned:,} |"
            )
            seeds += [
                f"| {profile.name} | `{ground.name}` | {text} | {', '.join(labels)} |"
                for text, labels in _by_seeds(ground, planned, summaries).items()
            ]
    absent = [
        f"- `{ground.name}`: {', '.join(ground.absent)}. Recipe: `{ground.recipe}`"
        for ground in PLAN.grounds.values()
        if ground.absent
    ]
    return [
        "## Part of the plan that has been run\n",
        *lines,
        "",
        *folded("Seeds by method", [*seeds, ""]),
        "Tables that no package registry or public repository has in full are not here:",
        "",
        *absent,
        "",
        *_peers_without_runs(runs),
    ]


def _state(runs: Mapping[tuple[str, str, str], Summaries]) -> str:
    """Share of the plan that has been run, as a sentence."""
    counts = [
        _runs(PLAN.grounds[name], profile, runs[profile.name, name, "judging"])
        for profile in PLAN.profiles.values()
        for name in profile.grounds
    ]
    done, planned = (sum(column) for column in zip(*counts, strict=True))
    if done == planned:
        return f"The whole plan has been run: {planned:,} runs.\n"
    return (
        f"**This page is partial: {done:,} of {planned:,} planned runs ({100 * done / planned:.1f} %) have been made.** "
        "Verdicts and ranks can change.\n"
    )


def _peers_without_runs(runs: Mapping[tuple[str, str, str], Summaries]) -> list[str]:
    found = {
        label for summaries in runs.values() for summary in summaries.values() for label in summary.setups
    }
    absent = [label for label in OTHER_PEERS if label not in found]
    return [f"Peers without runs: {', '.join(absent)}.", ""] if absent else []


def _n_runs(summary: BenchmarkSummary, label: str) -> int:
    return len(summary.setups[label].runs) if label in summary.setups else 0


def _runs(ground: Ground, profile: Profile, summaries: Summaries) -> tuple[int, int]:
    """Number of planned runs of a ground that have been made, and of all planned ones."""
    planned = n_seeds(ground, profile)
    done = sum(
        min(_n_runs(summaries[name], label), n)
        for task in ground.judging
        if (name := ground.name_of(task)) in summaries
        for label, n in planned.items()
        if ground.has(label, task)
    )
    return done, sum(n * n_tasks(ground, label) for label, n in planned.items())


def _by_seeds(ground: Ground, planned: Mapping[str, int], summaries: Summaries) -> dict[str, list[str]]:
    """Methods by their seeds per task on which they are run; none, if nothing has been run."""
    if not summaries:
        return {}
    groups: dict[str, list[str]] = {}
    for label, n in planned.items():
        count, tasks = sum(_n_runs(summary, label) for summary in summaries.values()), n_tasks(ground, label)
        done = f"{count / tasks:.3g}" if count and tasks else "none"
        text = f"{done} of {n}" if tasks else "left out"
        groups.setdefault(text, []).append(label)
    return groups


def ranked_setups(summaries: Mapping[str, BenchmarkSummary]) -> tuple[list[str], list[str]]:
    """Setups with runs on all tasks that have runs and seeds in common with the others there, and the rest.

    Setups with the most runs come first; one that would leave fewer common seeds on a task than `LEAST_SEEDS` (than there are, if none has
    more) is not ranked.
    """
    seeds = {
        name: {label: {run.seed for run in setup.runs} for label, setup in summary.setups.items()}
        for name, summary in summaries.items()
    }
    labels = list(dict.fromkeys(label for by_label in seeds.values() for label in by_label))
    complete = [label for label in labels if all(label in by_label for by_label in seeds.values())]
    complete.sort(key=lambda label: -min(len(by_label[label]) for by_label in seeds.values()))
    ranked: list[str] = []
    common = {name: set[int]() for name in seeds}
    for label in complete:
        left = {
            name: common[name] & by_label[label] if ranked else by_label[label]
            for name, by_label in seeds.items()
        }
        least = min(LEAST_SEEDS, *(len(common[name]) for name in seeds)) if ranked else 1
        if all(len(found) >= least for found in left.values()):
            ranked.append(label)
            common = left
    return ranked, [label for label in labels if label not in ranked]


def curves_at(
    summaries: Mapping[str, BenchmarkSummary], setups: Iterable[str], share: float = 1.0
) -> list[Curves]:
    """Curves of all tasks until a share of the time, with the seeds that all setups have."""
    chosen = list(setups)
    return [
        curves_of(summary, name, share=share, setups=chosen).paired() for name, summary in summaries.items()
    ]


def section(summaries: Summaries, ground: Ground, profile: Profile, figure: Path) -> tuple[list[str], str]:
    """Figure and table of a ground, and its cells in the table of all grounds."""
    ranked, others = ranked_setups(summaries)
    if len(ranked) < 2:
        return ["Too few methods have runs on all tasks.\n"], ""
    every = curves_at(summaries, ranked)
    ranks = mean_ranks(every, shares=np.array(SHARES), prefer="RS")
    centre = {label: band.centre for label, band in ranks.bands.items()}
    ordered = sorted(centre, key=lambda label: (centre[label][-1], label))
    p_values = {
        test.second: test for test in overall_tests([c.chosen(ordered) for c in every], reference=ordered[0])
    }
    best = [*ordered[:N_SHOWN], *(label for label in ALWAYS if label in ordered[N_SHOWN:])]
    save(plot_ranks(replace(ranks, bands={label: ranks.bands[label] for label in best})), figure)
    counts = sorted({len(curves.common_seeds) for curves in every})
    n_common = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    over = next(iter(p_values.values())).over
    planned = n_seeds(ground, profile)
    lines = [
        f"![Mean ranks over the time](figures/{figure.name})\n",
        f"{len(every)} tasks, {n_common} common seeds, {len(ordered)} methods ranked; tests over {over}.\n",
    ]
    table = [
        "| method | seeds | rank at 10 / 25 / 50 / 100 % | interval at 100 % | regret | p | ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for label in ordered:
        band = ranks.bands[label]
        test = p_values.get(label)
        table.append(
            f"| {_shown(label, ranks)} | {_seed_range(summaries, label)}{f' of {planned[label]}' if label in planned else ''} "
            f"| {' / '.join(f'{x:.1f}' for x in band.centre)} | {band.low[-1]:.1f} to {band.high[-1]:.1f} "
            f"| {_median_regret(every, label):.3g} | {'' if test is None else _p(test.p_holm)} | {_deciding(summaries, label):.3g} |"
        )
    table.append("")
    if others:
        table.append(
            f"Not ranked, for lack of common seeds: {', '.join(f'`{label}`' for label in sorted(others))}.\n"
        )
    of_auto = [label for label in ordered if "auto" in (label, *ranks.equal.get(label, ()))]
    if of_auto:
        table += against_auto(summaries)
    shown = "".join(f"{centre[label][-1]:.1f}, place {1 + ordered.index(label)}" for label in of_auto)
    cells = f"{len(every)} | {len(ordered)} | {_shown(ordered[0], ranks)}: {centre[ordered[0]][-1]:.1f} | {shown} |"
    return [*lines, *folded("Table by method", table)], cells


def against_auto(summaries: Summaries) -> list[str]:
    """Table of `auto` against each other method on all tasks and seeds that both have."""
    labels = {label for summary in summaries.values() for label in summary.setups} - {"auto"}
    found = {label: [compared("auto", label, share, summaries) for share in (0.5, 1.0)] for label in labels}
    lines = [
        "| method | tasks, pairs | `auto` is better at 50 % | `auto` is better at 100 % |",
        "|---|---|---|---|",
    ]
    for label in sorted(found, key=lambda label: (found[label][1].centre, label)):
        half, end = found[label]
        if end.n_pairs:
            lines.append(f"| {label} | {end.n_benchmarks}, {end.n_pairs} | {_share(half)} | {_share(end)} |")
    return [
        "Share of pairs in which `auto` is better, with its interval; bold: the interval leaves out one half.\n",
        *lines,
        "",
    ]


def compared(first: str, second: str, share: float, summaries: Summaries) -> Finding:
    """Share of pairs in which one method is better than another one at a share of the time."""
    contrast = Contrast(first=first, second=second, share_of_first=share, share_of_second=share)
    return evaluate(contrast, summaries)


def interval(found: Finding) -> str:
    """A figure with its interval."""
    return f"{found.centre:.2f} ({found.low:.2f} to {found.high:.2f})"


def _share(found: Finding) -> str:
    is_clear = found.n_pairs >= MIN_PAIRS and not found.low <= HALF <= found.high
    return f"**{interval(found)}**" if is_clear else interval(found)


def _shown(label: str, ranks: Ranks) -> str:
    return with_equals(label, ranks.equal)


def _seed_range(summaries: Mapping[str, BenchmarkSummary], label: str) -> str:
    counts = sorted({len(summary.setups[label].runs) for summary in summaries.values()})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _median_regret(every: Sequence[Curves], label: str) -> float:
    finals = [np.nan_to_num(normalised_regret(c)[label][:, -1], nan=1.0) for c in every]
    return float(np.median([np.median(part) for part in finals]))


def _deciding(summaries: Mapping[str, BenchmarkSummary], label: str) -> float:
    return float(np.median([run.deciding for s in summaries.values() for run in s.setups[label].runs]))


def _p(p: float) -> str:
    return f"**{p:.2g}**" if p < ALPHA else f"{p:.2g}"


def claims_figure(
    claims: Sequence[Mapping[str, Any]], judging: Mapping[str, Summaries], figure: Path
) -> list[str]:
    """Intervals of all claims about losses that have runs; no figure without any."""
    findings: dict[str, Finding] = {}
    for claim in claims:
        contrast = msgspec.convert(claim["contrast"], Contrast)
        for ground in claim["grounds"]:
            found = evaluate(contrast, judging[ground])
            if contrast.measure is Measure.WINS and found.n_pairs:
                paper = claim["paper"].partition(":")[0]
                findings[f"{paper}: {contrast_text(contrast)} ({ground})"] = found
    if not findings:
        return []
    save(plot_findings(findings), figure)
    return [f"![Claims with their intervals](figures/{figure.name})\n"]


def claims_table(claims: Sequence[Mapping[str, Any]], judging: Mapping[str, Summaries]) -> list[str]:
    """Every claim with its verdict on each of its grounds."""
    lines = [
        "| claim | contrast | " + " | ".join(("ground", "verdict", "figure", "tasks, pairs")) + " |",
        "|---|---|---|---|---|---|",
    ]
    paper = ""
    for claim in claims:
        contrast = msgspec.convert(claim["contrast"], Contrast)
        if claim["paper"] != paper:
            paper = claim["paper"]
            lines.append(f"| **{paper}** | | | | | |")
        for place, ground in enumerate(claim["grounds"]):
            found = evaluate(contrast, judging[ground])
            head = f"{claim['sentence']} | {contrast_text(contrast)}" if place == 0 else " | "
            lines.append(f"| {head} | `{ground}` | {finding_text(found)} |")
    return [*lines, ""]


def contrast_text(contrast: Contrast) -> str:
    """The contrast in short."""
    first, second = (
        f"{label} at {100 * share:.0f} %"
        for label, share in (
            (contrast.first, contrast.share_of_first),
            (contrast.second, contrast.share_of_second),
        )
    )
    if contrast.measure is Measure.SECONDS:
        return f"time of {contrast.first} / {contrast.second} below {contrast.limit:g}"
    if contrast.measure is Measure.REGRET:
        return f"regret of {contrast.first} - {contrast.second} below {contrast.limit:g}"
    return f"{first}, {second}"


def finding_text(found: Finding) -> str:
    """Verdict, figure and numbers of runs, as three cells."""
    verdict = found.verdict if found.verdict is Verdict.OPEN else f"**{found.verdict}**"
    if math.isnan(found.centre):
        return f"{verdict} | no runs | "
    return f"{verdict} | {interval(found)} | {found.n_benchmarks}, {found.n_pairs}"


def goals(goals: Sequence[Mapping[str, Any]], judging: Mapping[str, Summaries], results: Path) -> list[str]:
    """Every goal with its state on each of its grounds."""
    lines = ["| goal | ground | state | figures |", "|---|---|---|---|"]
    for goal in goals:
        rows = _GOALS[goal["kind"]](goal, judging, results)
        for place, (ground, state, figures) in enumerate(rows):
            lines.append(f"| {goal['sentence'] if place == 0 else ''} | {ground} | {state} | {figures} |")
    return [*lines, ""]


Row = tuple[str, str, str]
MET, MISSED, OPEN = "**met**", "**missed**", "not decided"


def states(lines: Sequence[str]) -> str:
    """Number of lines of the goals' table in each state, as a sentence."""
    counts = {state: sum(f"| {state}" in line for line in lines) for state in (MET, MISSED, OPEN)}
    return (
        "Lines of the table: " + ", ".join(f"{n} {state.strip('*')}" for state, n in counts.items()) + ".\n"
    )


def _so_far(ground: str, summaries: Summaries) -> str:
    """Note that runs of the plan are missing."""
    done, planned = _runs(PLAN.grounds[ground], PLAN.profiles["ideal"], summaries)
    return "" if done == planned else " so far"


def _goal_first(goal: Mapping[str, Any], judging: Mapping[str, Summaries], results: Path) -> list[Row]:
    del results
    rows: list[Row] = []
    for ground in goal["grounds"]:
        summaries, setup = judging[ground], goal["setup"]
        ranked, _ = ranked_setups(summaries)
        if setup not in ranked or len(ranked) < 2:
            rows.append((f"`{ground}`", OPEN, "no runs"))
            continue
        for share in goal["shares"]:
            lead = lead_of(curves_at(summaries, ranked, share), setup)
            others = sorted({label for summary in summaries.values() for label in summary.setups} - {setup})
            better = [label for label in others if _is_better(label, setup, share, summaries)]
            state = MET if lead.is_first and not better else MISSED
            peers = "" if any(label.startswith(PEERS) for label in ranked) else "; no runs of peers"
            best = "" if lead.is_first else f", best {lead.best} {lead.best_rank:.2f}"
            rows.append(
                (
                    f"`{ground}`, {100 * share:.0f} %",
                    state + _so_far(ground, summaries),
                    f"mean rank {lead.rank:.2f} of {lead.n_setups}{best}; significantly better: {', '.join(better) or 'none'}{peers}",
                )
            )
    return rows


def _is_better(label: str, setup: str, share: float, summaries: Summaries) -> bool:
    """Whether another method is significantly better, on all tasks and seeds that both have."""
    found = compared(label, setup, share, summaries)
    return found.n_pairs >= MIN_PAIRS and found.low > HALF


def _goal_namesakes(goal: Mapping[str, Any], judging: Mapping[str, Summaries], results: Path) -> list[Row]:
    del results
    rows: list[Row] = []
    for ground in goal["grounds"]:
        found = {
            own: evaluate(Contrast(first=own, second=other), judging[ground])
            for own, other in goal["namesakes"].items()
        }
        found = {own: one for own, one in found.items() if one.n_pairs}
        worse = [own for own, one in found.items() if one.verdict is Verdict.FAILS]
        figures = [f"{own} {interval(one)}" for own, one in found.items()]
        decided = all(one.n_benchmarks >= 3 and one.n_pairs >= 6 for one in found.values()) and found
        state = MISSED if worse else MET if decided else OPEN
        state += _so_far(ground, judging[ground]) if state is not OPEN else ""
        rows.append((f"`{ground}`", state, figures[0] if figures else "no runs of peers"))
        rows += [("", "", figure) for figure in figures[1:]]
    return rows


def _goal_contrasts(goal: Mapping[str, Any], judging: Mapping[str, Summaries], results: Path) -> list[Row]:
    del results
    rows: list[Row] = []
    states = {Verdict.HOLDS: MET, Verdict.FAILS: MISSED, Verdict.OPEN: OPEN}
    for ground in goal["grounds"]:
        for data in goal["contrasts"]:
            contrast = msgspec.convert(data, Contrast)
            found = evaluate(contrast, judging[ground])
            _, figure, counts = finding_text(found).split(" | ")
            state = states[found.verdict]
            state += _so_far(ground, judging[ground]) if state is not OPEN else ""
            rows.append((f"`{ground}`", state, f"{contrast.first}: {figure}; tasks, pairs: {counts}"))
    return rows


def _goal_decisions(goal: Mapping[str, Any], judging: Mapping[str, Summaries], results: Path) -> list[Row]:
    del judging
    path = results / goal["file"]
    if not path.exists():
        return [("", OPEN, "not measured")]
    times = json.loads(path.read_text(encoding="utf-8"))
    rows: list[Row] = []
    for label in goal["methods"]:
        before, after = times["before"][label], times["after"][label]
        state = MET if after <= before else MISSED
        rows.append((times["work"], state, f"{label}: {before} ms then, {after} ms now"))
    return rows


_GOALS = {
    "first": _goal_first,
    "namesakes": _goal_namesakes,
    "contrasts": _goal_contrasts,
    "decisions": _goal_decisions,
}

if __name__ == "__main__":
    main()
