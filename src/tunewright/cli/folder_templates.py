"""The files of an experiment folder."""

from __future__ import annotations

import math
from pathlib import Path
from string import Template
from typing import Final

from tunewright.cli.hyperparameters import range_code
from tunewright.cli.script_facts import Argument, ScriptFacts
from tunewright.storage import safe_name

_EXTRAS: Final = "aws,emulator"
"""Extras of this package in a tuning job of a training script."""
_TABLE_EXTRAS: Final = "aws,emulator,analysis"

_BASELINES: Final = Template('''\
"""The compared methods, by the names that --method takes; see: tunewright methods."""

from tunewright.experiments import method

methods = {
    "RS": method("RandomSearch"),
$asha}
''')
_ASHA: Final = Template('    "ASHA": method("ASHA", kind="$kind"),\n')

_DEFINITIONS: Final = Template('''\
"""The tuned script with its search space and its metric."""

from pathlib import Path

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.metric import Goal, Metric
from tunewright.space import $domains

benchmark = RealBenchmarkDefinition(
    name="$name",
    script=str(Path(__file__).parent / "$script"),
    space=SearchSpace(
        {
$space        }
    ),
    metrics=(Metric("$metric", Goal.$goal),),
$resource    n_workers=4,
    max_wallclock_time=600.0,
    instance_type="ml.c5.xlarge",
)
benchmark_definitions = {"$name": benchmark}
''')
_TABLES: Final = '''\
"""All known recorded tables; see: tunewright tables list."""

from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names

benchmark_definitions = {name: simulated_benchmark(name) for name in simulated_benchmark_names()}
'''
_HPO_MAIN: Final = Template('''\
"""Run the experiments that the command line asks for; see --help."""

from baselines import methods
from benchmark_definitions import benchmark_definitions

from tunewright.cli.hpo_main import main

if __name__ == "__main__":
    main(methods, benchmark_definitions, backend="$backend")
''')
_LAUNCH_REMOTE: Final = Template('''\
"""Run experiments in tuning jobs, one per method and seed; see --help."""

from baselines import methods
from benchmark_definitions import benchmark_definitions

from tunewright.cli.launch_remote import launch_remote

if __name__ == "__main__":
    launch_remote(__file__, methods, benchmark_definitions, backend="$backend")
''')
_README: Final = Template("""\
# $name

```
$command
python launch_remote.py --experiment_tag $tag --num_seeds 1 --endpoint embedded $limit
tunewright list --experiment_tag $tag
tunewright report $tag
tunewright remote status $tag
```

$facts`baselines.py` has the methods, `requirements.txt` the packages of tuning jobs; a
`requirements.txt` beside a training script is for its trials as well. `--endpoint embedded` runs training jobs on this
machine; without it, they run on AWS if credentials are found.
""")
_FACTS: Final = Template("""\
Tuned: `$metric`, $goal.$resource

`benchmark_definitions.py` has the script, its search space and its metric. Check the ranges: those of well-known
hyperparameters are the usual ones, others were guessed around the script's defaults. The defaults are the first
configuration.

""")
SAMPLE_SCRIPT: Final = '''\
"""A training script: takes hyperparameters as --name value and reports after each epoch."""

from argparse import ArgumentParser

from tunewright import Reporter

parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--width", type=int, default=32)
parser.add_argument("--epochs", type=int, default=9)
arguments = parser.parse_args()

report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    loss = (arguments.lr - 0.1) ** 2 + 10 / arguments.width / epoch
    report(epoch=epoch, loss=loss)
'''


def folder_files(backend: str, name: str, script: str | None, facts: ScriptFacts | None) -> dict[str, str]:
    """The files of a folder, by name.

    Parameters
    ----------
    backend
        Name of the backend.
    name
        Name of the folder.
    script
        The training script's name in the folder; None for tables.
    facts
        About the script.
    """
    has_rungs = facts is None or (facts.max_resource or 0) > 1
    asha = _ASHA.substitute(kind="promotion" if backend == "sagemaker" else "stopping") if has_rungs else ""
    tag, limit = safe_name(name), "" if facts is None else "--max_num_trials 8"
    return {
        "baselines.py": _BASELINES.substitute(asha=asha),
        "benchmark_definitions.py": _TABLES if facts is None else _definitions(script or "", facts),
        "hpo_main.py": _HPO_MAIN.substitute(backend=backend),
        "launch_remote.py": _LAUNCH_REMOTE.substitute(backend=backend),
        "requirements.txt": f"tunewright[{_TABLE_EXTRAS if facts is None else _EXTRAS}]\n",
        "README.md": _README.substitute(
            name=name, tag=tag, limit=limit, command=first_command(name, facts), facts=_summary(facts)
        ).replace(" \n", "\n"),
    }


def first_command(name: str, facts: ScriptFacts | None) -> str:
    """The command that runs all methods once, in a folder of this name."""
    limit = "" if facts is None else " --max_num_trials 8"
    return f"python hpo_main.py --experiment_tag {safe_name(name)} --num_seeds 1{limit}"


def _summary(facts: ScriptFacts | None) -> str:
    if facts is None:
        return ""
    length = "" if facts.max_resource is None else f", {facts.max_resource} in a full run"
    resource = f" Resource: `{facts.resource_attr}`{length}." if facts.resource_attr else ""
    goal = "maximised" if facts.goal == "max" else "minimised"
    return _FACTS.substitute(metric=facts.metric, goal=goal, resource=resource)


def _definitions(script: str, facts: ScriptFacts) -> str:
    entries = [
        (argument.name, domain) for argument in facts.arguments if (domain := _domain(argument, facts))
    ]
    lines = [f'            "{name}": {domain},\n' for name, domain in entries]
    resource = f'    resource_attr="{facts.resource_attr}",\n' if facts.resource_attr else ""
    if facts.max_resource_attr:
        lines.append(f'            "{facts.max_resource_attr}": {facts.max_resource},\n')
        resource += f'    max_resource_attr="{facts.max_resource_attr}",\n'
    elif facts.max_resource:
        resource += f"    max_resource={facts.max_resource},\n"
    if facts.is_config_json:
        resource += "    config_json=True,\n"
    return _DEFINITIONS.substitute(
        domains=", ".join(sorted({*(domain.partition("(")[0] for _, domain in entries), "SearchSpace"})),
        name=Path(script).stem,
        script=script,
        space="".join(lines),
        metric=facts.metric,
        goal="MAXIMIZE" if facts.goal == "max" else "MINIMIZE",
        resource=resource,
    )


def _domain(argument: Argument, facts: ScriptFacts) -> str | None:
    """The values of an argument as code; None if no range can be guessed."""
    choices, default = list(argument.choices), argument.default
    if argument.type == "bool" and not choices:
        choices = [False, True]
    if choices:
        return f"Categorical({choices!r}{f', default={default!r}' if default in choices else ''})"
    number = default if isinstance(default, int | float) and math.isfinite(default) else None
    return range_code(argument.name, "int" if argument.type == "int" else "float", number, facts.imports)
