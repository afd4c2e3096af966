"""``tunewright init``: a folder that works at once."""

from __future__ import annotations

import ast
import importlib
import runpy
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunewright import space
from tunewright.cli import main
from tunewright.cli.hyperparameters import KNOWN, range_code
from tunewright.cli.script_facts import read_script
from tunewright.exceptions import SettingsError
from tunewright.experiments import load_outcome
from tunewright.storage import experiments
from tunewright.trial import TrialStatus

SCRIPTS = Path(__file__).parent / "init_scripts"

TEN_LINES = """
import argparse
from tunewright import Reporter
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--dropout", type=float, default=0.5)
parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
parser.add_argument("--epochs", type=int, default=3)
args = parser.parse_args()
report = Reporter()
for epoch in range(1, args.epochs + 1):
    report(epoch=epoch, val_accuracy=args.lr * epoch)
"""


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        main(["init", *arguments])
    return int(exited.value.code or 0)


Python = Callable[..., str]


@pytest.fixture
def python(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script_folder: Callable[[Path], None],
) -> Python:
    """Runs a file of an experiment folder as a program, in this process; returns its output."""

    def run_file(folder: Path, name: str, *arguments: str) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", [name, *arguments])
        script_folder(folder)
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            runpy.run_path(name, run_name="__main__")
        shown = capsys.readouterr()
        assert exited.value.code in {0, None}, shown.out + shown.err
        assert "stored as" not in shown.err
        return shown.out

    return run_file


def test_a_script_of_ten_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], python: Python) -> None:
    (tmp_path / "mine.py").write_text(TEN_LINES)
    folder = tmp_path / "exp"
    assert run(str(folder), "--backend", "local", "--script", str(tmp_path / "mine.py")) == 0
    assert "val_accuracy (max), resource epoch" in capsys.readouterr().out
    assert (folder / "mine.py").read_text() == TEN_LINES
    shown = python(folder, "hpo_main.py", "--max_num_trials", "2", "--method", "ASHA")
    assert "2 completed" in shown or "stopped" in shown
    assert "--tuner_instance_type" not in python(folder, "launch_remote.py", "--help")
    assert run(str(folder), "--script", str(tmp_path / "mine.py")) == 2
    assert "already" in capsys.readouterr().err


def test_a_script_of_the_same_name_in_the_folder_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(TEN_LINES)
    folder = tmp_path / "exp"
    folder.mkdir()
    (folder / "mine.py").write_text("another")
    assert run(str(folder), "--script", str(tmp_path / "mine.py")) == 2
    assert "holds mine.py already" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("mine.py", "another")]
    (folder / "mine.py").write_text(TEN_LINES)
    assert run(str(folder), "--script", str(folder / "mine.py")) == 0


def test_what_cannot_be_read_or_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    for arguments, told in (
        ((str(tmp_path / "file"),), "Give another folder"),
        ((str(tmp_path / "exp"), "--script", str(tmp_path / "file")), "cannot be read as a script"),
    ):
        assert run(*arguments) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


@pytest.mark.parametrize("backend", ["sagemaker", "simulated"])
def test_without_a_script(tmp_path: Path, backend: str, python: Python) -> None:
    assert run(str(tmp_path / "exp"), "--backend", backend) == 0
    assert "--num_seeds" in python(tmp_path / "exp", "hpo_main.py", "--help")
    assert "--max_parallel_jobs" in python(tmp_path / "exp", "launch_remote.py", "--help")
    assert (tmp_path / "exp" / "train.py").exists() == (backend == "sagemaker")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--script", "absent.py"], "no training script"),
        (["--backend", "simulated", "--script", "x.py"], "does not go with"),
    ],
)
def test_what_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(str(tmp_path / "exp"), *arguments) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "exp").exists()


class TestReading:
    def test_what_is_found(self) -> None:
        facts = read_script(TEN_LINES)
        assert [argument.name for argument in facts.arguments] == ["lr", "dropout", "optimizer"]
        assert facts.arguments[2].choices == ("sgd", "adam")
        assert (facts.metric, facts.goal, facts.resource_attr) == ("val_accuracy", "max", "epoch")
        assert (facts.max_resource_attr, facts.max_resource) == ("epochs", 3)

    def test_reports_by_hand(self) -> None:
        text = (
            "p.add_argument('--x', default=1)\nprint('[tune-metric]: ' + json.dumps({'step': 1, 'loss': 2}))"
        )
        facts = read_script(text)
        assert (facts.metric, facts.goal, facts.resource_attr, facts.max_resource) == (
            "loss",
            "min",
            "step",
            None,
        )

    def test_what_the_user_says_wins(self) -> None:
        facts = read_script(TEN_LINES, metric="loss", goal="min")
        assert (facts.metric, facts.goal) == ("loss", "min")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("def (", "cannot be read"),
            ("p.add_argument('--x', type=float)", "--metric"),
            ("report(loss=1)", "No argument to tune"),
            ("p.add_argument('--x')\nreport(loss=1)", "No argument to tune"),
            ("import fire\nfire.Fire(Trainer)\nreport(loss=1)", "fire, .*Write the space by hand"),
            ("import tyro\nargs = tyro.cli(Args)\nreport(loss=1)", "tyro is not read"),
            ("import hydra\n@hydra.main()\ndef main(c): report(loss=1)", "--argument_style hydra"),
            ("HfArgumentParser((Args, More))\nreport(loss=1)", "Args, More are defined elsewhere"),
        ],
    )
    def test_what_is_missing(self, text: str, said: str) -> None:
        with pytest.raises(SettingsError, match=said):
            read_script(text)


# --- scripts of many styles


FACTS = {
    "booleans": ("score", "max", "fold", "folds", 3),
    "config_json": ("reward", "max", "iteration", "iterations", 4),
    "constants": ("f1", "max", "epoch", None, 4),
    "dataclass_fields": ("nll", "min", "step", "steps", 4),
    "fire_function": ("r2", "max", None, None, None),
    "hf_dataclasses": ("eval_f1", "max", "epoch", "num_train_epochs", 3),
    "hyphens": ("top1", "max", "epoch", "max-epochs", 4),
    "integration_callback": ("valid-rmse", "min", "round", "rounds", 9),
    "lightgbm_callback": ("logloss", "min", "round", "rounds", 81),
    "nested_main": ("perplexity", "min", "round", "rounds", 5),
    "single_report": ("balanced_accuracy", "max", None, None, None),
    "sklearn_trees": ("acc", "max", "n", "n_estimators", 12),
    "strict_values": ("eval_loss", "min", "step", "total_steps", 5),
    "torch_epochs": ("val_loss", "min", "epoch", "epochs", 20),
    "typer_command": ("val_auc", "max", "epoch", "n-epochs", 3),
    "while_loop": ("error", "min", "step", "max_steps", 6),
    "xgboost_callback": ("valid_rmse", "min", "iteration", "num_boost_round", 200),
}
TUNED = {
    "booleans": "bias shuffle width scheme",
    "config_json": "momentum width nesterov",
    "constants": "alpha power tiny kind",
    "dataclass_fields": "lr hidden_units",
    "fire_function": "lr depth kernel shift warm",
    "hf_dataclasses": "dropout pooling weight_decay learning_rate fp16",
    "hyphens": "learning-rate n-layers activation",
    "integration_callback": "eta max_depth",
    "lightgbm_callback": "learning_rate num_leaves feature_fraction bagging_fraction min_data_in_leaf lambda_l2 max_depth",
    "nested_main": "rate",
    "single_report": "C n_neighbors tol",
    "sklearn_trees": "learning_rate max_depth subsample min_samples_split min_samples_leaf max_features",
    "strict_values": "dropout drop_path keep_ratio mix label-smoothing beta2 depth offset limit",
    "torch_epochs": "lr weight-decay batch-size dropout hidden optimizer warmup_steps",
    "typer_command": "learning-rate hidden optimizer drop",
    "while_loop": "step_size noise",
    "xgboost_callback": "eta max_depth subsample colsample_bytree min_child_weight gamma reg_lambda",
}
ENVIRONMENTS = {
    "fire_function": "conformance-init_scripts",
    "hf_dataclasses": "torch",
    "integration_callback": "conformance-init_scripts",
    "lightgbm_callback": "conformance-init_scripts",
    "torch_epochs": "torch",
    "typer_command": "conformance-init_scripts",
    "xgboost_callback": "conformance-init_scripts",
}
"""Scripts whose packages are not in this environment, and the one that has them."""


SLOW = {*ENVIRONMENTS, "sklearn_trees"}
"""Scripts whose imports take seconds; one method is enough for them."""


@pytest.mark.parametrize("name", FACTS)
def test_a_script_is_understood(name: str) -> None:
    facts = read_script((SCRIPTS / f"{name}.py").read_text())
    read = (facts.metric, facts.goal, facts.resource_attr, facts.max_resource_attr, facts.max_resource)
    assert read == FACTS[name]
    assert [argument.name for argument in facts.arguments] == TUNED[name].split()
    assert facts.is_goal_certain
    assert not facts.missing


def packages(environment: str) -> Path:
    """The packages of an environment that ``scripts/test`` makes, which a trial's Python can import."""
    venv = Path(__file__).parents[2] / f".venv-{environment}"
    if not (venv / ".complete").exists():
        command = "scripts/test" if environment == "torch" else "scripts/test --full"
        pytest.skip(f"There is no {venv.name}: {command} makes it")
    found = venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if not found.is_dir():
        pytest.skip(f"The packages of {venv.name} are for another Python")
    return found


@pytest.mark.parametrize("name", FACTS)
def test_the_first_command_of_the_readme_runs_to_the_end(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    python: Python,
) -> None:
    if name in ENVIRONMENTS:
        monkeypatch.setenv("PYTHONPATH", str(packages(ENVIRONMENTS[name])))
    folder = tmp_path / "my_folder"
    assert run(str(folder), "--script", str(SCRIPTS / f"{name}.py")) == 0
    next_line = capsys.readouterr().out.splitlines()[-1]
    words = shlex.split((folder / "README.md").read_text().split("```")[1].strip().splitlines()[0])
    assert next_line.endswith(shlex.join(words))
    assert words[:2] == ["python", "hpo_main.py"]
    words[words.index("--max_num_trials") + 1] = "1"
    has_rungs = FACTS[name][2] is not None
    is_for_one = name in SLOW and has_rungs
    shown = python(folder, *words[1:], "--n_workers", "2", *(["--method", "ASHA"] if is_for_one else []))
    outcomes = [load_outcome(stored) for stored in experiments("my-folder")]
    assert len(outcomes) == (2 if has_rungs and not is_for_one else 1)
    for outcome in outcomes:
        assert outcome.best is not None
        assert not list(outcome.history.ids(TrialStatus.FAILED)), shown


class TestMoreReading:
    def test_dataclasses_of_other_modules_are_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = (SCRIPTS / "hf_dataclasses.py").read_text()
        (tmp_path / "mine.py").write_text(text.replace("(ModelArguments,", "(TrainingArguments,"))
        assert run(str(tmp_path / "exp"), "--script", str(tmp_path / "mine.py")) == 0
        assert "Arguments of TrainingArguments were not read" in capsys.readouterr().out

    def test_a_command_of_several_is_not_guessed(self) -> None:
        text = (SCRIPTS / "typer_command.py").read_text() + "\n@app.command()\ndef test(x: float): pass\n"
        with pytest.raises(SettingsError, match="No argument to tune"):
            read_script(text)

    def test_an_unusual_metric_has_no_certain_goal(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "mine.py").write_text(TEN_LINES.replace("val_accuracy", "quality"))
        assert run(str(tmp_path / "exp"), "--script", str(tmp_path / "mine.py")) == 0
        assert "give --goal max if higher values are better" in capsys.readouterr().out
        assert run(str(tmp_path / "other"), "--script", str(tmp_path / "mine.py"), "--goal", "max") == 0
        shown = capsys.readouterr().out
        assert "quality (max), resource epoch up to 3" in shown
        assert "give --goal" not in shown
        assert (
            "`quality`, maximised. Resource: `epoch`, 3 in a full run"
            in (tmp_path / "other" / "README.md").read_text()
        )

    def test_required_arguments_without_a_value_are_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        more = 'parser.add_argument("--data", required=True)\nparser.add_argument("place")\nargs ='
        (tmp_path / "mine.py").write_text(TEN_LINES.replace("args =", more))
        assert run(str(tmp_path / "exp"), "--script", str(tmp_path / "mine.py")) == 0
        assert "The script requires data, place: add constants" in capsys.readouterr().out

    def test_without_an_end_of_a_full_run_there_are_no_rungs(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "mine.py").write_text(TEN_LINES.replace("range(1, args.epochs + 1)", "stream()"))
        text = (
            (tmp_path / "mine.py")
            .read_text()
            .replace('parser.add_argument("--epochs", type=int, default=3)\n', "")
        )
        (tmp_path / "mine.py").write_text(text)
        assert run(str(tmp_path / "exp"), "--script", str(tmp_path / "mine.py")) == 0
        assert "ASHA needs max_resource" in capsys.readouterr().out
        assert "ASHA" not in (tmp_path / "exp" / "baselines.py").read_text()

    @pytest.mark.parametrize(
        ("keys", "metric", "goal"),
        [
            ("n=1, acc=2", "acc", "max"),
            ("epoch=1, train_loss=2, val_loss=3", "val_loss", "min"),
            ("val_loss=1, val_accuracy=2", "val_loss", "min"),
            ("train_loss=1, accuracy=2", "accuracy", "max"),
            ("lr=1, seconds=2, quality=3", "quality", "min"),
            ("step=1, latency=2", "latency", "min"),
        ],
    )
    def test_the_metric_is_the_likeliest_one(self, keys: str, metric: str, goal: str) -> None:
        facts = read_script(f"p.add_argument('--x', type=float)\nreport({keys})")
        assert (facts.metric, facts.goal) == (metric, goal)

    def test_counts_are_no_metric(self) -> None:
        with pytest.raises(SettingsError, match=r"looks like a metric \(epoch, n\): give --metric"):
            read_script("p.add_argument('--x', type=float)\nreport(epoch=1, n=2)")

    def test_a_count_of_another_unit_has_no_known_end(self) -> None:
        text = (
            "p.add_argument('--x', type=float)\np.add_argument('--epochs', type=int, default=3)\ntotal = 0\n"
            "for epoch in range(args.epochs):\n    for batch in data:\n        total += 1\n        report(step=total, loss=1)"
        )
        facts = read_script(text)
        assert (facts.resource_attr, facts.max_resource) == ("step", None)
        assert [argument.name for argument in facts.arguments] == ["x"]


# --- ranges


ROWS = [
    (library, known, name)
    for library, rows in KNOWN.items()
    for known in rows
    for name in known.names.split()
]


def domain(code: str) -> space.Float | space.Integer:
    """The domain of a line of code, without running the line."""
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Name)
    options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    made = getattr(space, call.func.id)(*map(ast.literal_eval, call.args), **options)
    assert isinstance(made, space.Float | space.Integer)
    return made


def test_names_are_unique_and_have_a_source() -> None:
    keys = [(library, known.type, name) for library, known, name in ROWS]
    assert len(keys) == len(set(keys))
    sites = {"torch": "docs.pytorch.org", "sklearn": "scikit-learn.org"}
    for library, known, _ in ROWS:
        assert known.source.startswith(f"https://{sites.get(library, f'{library}.readthedocs.io')}/")


@pytest.mark.parametrize("library", KNOWN)
def test_ranges_of_known_names_are_legal(library: str) -> None:
    for known, name in [(known, name) for of, known, name in ROWS if of == library]:
        cast = int if known.type == "int" else float
        inside = [cast(value) for value in (known.low, known.high)]
        outside = [cast(value) for value in (known.low / 3, known.high * 3, -1, 0, 1, 1000)]
        for default in [None, *inside, *outside]:
            made = domain(str(range_code(name, known.type, default, {library})))
            assert known.least <= made.low < made.high <= known.most
            if default in inside:
                assert (made.low, made.high) == (known.low, known.high)
            if (
                default is not None
                and known.least <= default <= known.most
                and (default > 0 or not known.log)
            ):
                assert made.default == default


def test_scikit_learn_takes_both_ends_of_its_ranges() -> None:
    x = np.random.default_rng(0).normal(size=(60, 4))
    y = (x[:, 0] > 0).astype(int)
    cheap = {"n_estimators": 2, "max_iter": 20, "hidden_layer_sizes": 4}
    for known in KNOWN["sklearn"]:
        module, _, kind = known.source.rpartition("/sklearn.")[2].removesuffix(".html").rpartition(".")
        estimator = getattr(importlib.import_module(f"sklearn.{module}"), kind)()
        taken = estimator.get_params()
        for value in (known.low, known.high):
            settings = {key: cheap[key] for key in cheap if key in taken} | dict.fromkeys(
                known.names.split(), value
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # too few iterations
                estimator.set_params(**settings).fit(x, y)


@pytest.mark.parametrize(
    ("name", "kind", "default", "least", "most"),
    [
        ("my_fraction", "float", 1.0, 0.0, 1.0),
        ("mix", "float", 0.5, 0.0, 1.0),
        ("tiny", "float", 1e-6, 0.0, 1.0),
        ("scale", "float", 1.0, 0.0, 100.0),
        ("cell_drop", "float", 0.3, 0.0, 0.95),
        ("cell_drop", "float", 0.0, 0.0, 0.95),
        ("shift", "float", -2.0, -4.0, 0.0),
        ("n_things", "int", 1, 1, 4),
        ("n_things", "int", 40, 1, 160),
        ("n_things", "int", 0, 0, 10),
    ],
)
def test_a_range_around_a_default_stays_inside_its_type(
    name: str, kind: str, default: float, least: float, most: float
) -> None:
    made = domain(str(range_code(name, "int" if kind == "int" else "float", default, ())))
    assert least <= made.low <= default <= made.high <= most
    assert made.default == default
    assert default <= 0 or made.low > 0


def test_a_number_without_a_limit_is_not_tuned() -> None:
    assert range_code("n_things", "int", -1, ()) is None


def test_the_imported_library_decides_on_the_meaning_of_a_name() -> None:
    assert range_code("gamma", "float", None, {"xgboost", "sklearn"}) == "Float(0.001, 10.0, log=True)"
    assert range_code("gamma", "float", None, {"sklearn"}) == "Float(0.0001, 1.0, log=True)"
    assert range_code("gamma", "float", None, {"torch"}) == "Float(0.1, 0.99)"


def test_a_loop_until_a_tolerance_has_no_resource() -> None:
    text = (
        "p.add_argument('--tol', type=float, default=0.1)\np.add_argument('--log_every', type=int, default=5)\n"
        "while abs(x) > args.tol:\n    if step % args.log_every == 0:\n        break\n    report(error=x)"
    )
    facts = read_script(text)
    assert (facts.resource_attr, facts.max_resource_attr, facts.max_resource) == (None, None, None)


def test_a_script_with_arguments_and_a_configuration_file_gets_arguments() -> None:
    facts = read_script("p.add_argument('--config_json')\np.add_argument('--x', type=float)\nreport(loss=1)")
    assert not facts.is_config_json
    assert [argument.name for argument in facts.arguments] == ["x"]
    text = "p.add_argument('--config_json')\nc = json.load(f)\nreport(loss=c['x'] * float(c['y']) + c.get('z', 2))"
    facts = read_script(text)
    assert facts.is_config_json
    assert [(argument.name, argument.type) for argument in facts.arguments] == [("y", "float"), ("z", "int")]
    assert facts.missing == ("x",)


def test_a_script_that_calls_itself_is_read() -> None:
    text = (
        "p.add_argument('--x', type=float, default=1e999)\np.add_argument('--epochs', type=float, default=1e999)\n"
        "a = b\nb = a\nX = {(1, 2): [a]}\n"
        "def tell(**values):\n    tell(**values)\n    report(**values)\n"
        "for epoch in range(a):\n    tell(epoch=epoch + 1, loss=2 ** 10 ** 10)"
    )
    facts = read_script(text)
    assert (facts.metric, facts.resource_attr, facts.max_resource) == ("loss", "epoch", 9)


def test_patience_is_no_end_of_a_full_run() -> None:
    text = (
        "p.add_argument('--x', type=float)\np.add_argument('--patience', type=int, default=3)\n"
        "while True:\n    report(loss=1)\n    if bad > args.patience:\n        break\n    if worse > 5:\n        break"
    )
    facts = read_script(text)
    assert (facts.max_resource_attr, facts.max_resource) == (None, None)


def test_steps_of_a_callback_are_not_epochs() -> None:
    text = (
        "p.add_argument('--x', type=float)\np.add_argument('--epochs', type=int, default=3)\n"
        "def on_log(state):\n    report(step=state.global_step, eval_loss=1)\n"
        "train(num_train_epochs=args.epochs, callbacks=[on_log])"
    )
    facts = read_script(text)
    assert (facts.resource_attr, facts.max_resource_attr) == ("step", None)
    facts = read_script(text.replace("step=state.global_step", "epoch=state.epoch"))
    assert (facts.resource_attr, facts.max_resource_attr, facts.max_resource) == ("epoch", "epochs", 3)


def test_options_of_click() -> None:
    text = (
        "@click.command()\n@click.option('--rate', type=click.FLOAT, default=0.3)\n"
        "@click.option('--kind', type=click.Choice(['a', 'b']))\n@click.option('--fast/--slow', default=True)\n"
        "@click.option('--epochs', default=4)\ndef main(rate, kind, fast, epochs):\n"
        "    for epoch in range(epochs):\n        report(epoch=epoch + 1, loss=rate)\nmain()"
    )
    facts = read_script(text)
    assert [(argument.name, argument.type) for argument in facts.arguments] == [
        ("rate", "float"),
        ("kind", ""),
    ]
    assert facts.arguments[1].choices == ("a", "b")
    assert (facts.resource_attr, facts.max_resource_attr, facts.max_resource) == ("epoch", "epochs", 4)
