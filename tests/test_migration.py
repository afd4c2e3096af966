"""The guide for those who come from Syne Tune names every flag that their launchers took, and nothing that is not here."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from tunewright.cli.parsing import RETIRED
from tunewright.methods import find_method

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "coming_from" / "syne_tune.md").read_text()
FLAGS = [
    "experiment_tag",
    "num_seeds",
    "start_seed",
    "method",
    "save_tuner",
    "n_workers",
    "max_wallclock_time",
    "benchmark",
    "verbose",
    "instance_type",
    "max_failures",
    "warm_pool",
    "start_jobs_without_delay",
    "support_checkpointing",
    "fcnet_ordinal",
    "benchmark_key",
    "random_seed",
    "max_size_data_for_model",
    "scale_max_wallclock_time",
    "use_long_tuner_name_prefix",
    "launched_remotely",
    "estimator_fit_backoff_wait_time",
    "delete_checkpoints",
    "remote_tuning_metrics",
    "num_gpus_per_trial",
    "restrict_configurations",
]


def test_every_flag_is_named() -> None:
    assert [flag for flag in FLAGS if f"--{flag}" not in TEXT] == []


def test_every_retired_flag_is_named() -> None:
    assert all(flag in TEXT for flag in RETIRED)


def test_methods_that_kept_their_names_are_here() -> None:
    sentence = TEXT[TEXT.index("## Methods") : TEXT.index("have the same names")]
    for name in re.findall(r"`(\w+)`", sentence):
        if name != "MedianStoppingRule":
            find_method(name)


NAMES = """
    RemoteLauncher MethodArguments ConfigDict ExtraResultsComposer map_method_args extra_args benchmark_main
    benchmark_hypertune benchmark_dehb benchmark_dyhpo benchmark_automl benchmark_multiobjective benchmark_yahpo
    RealBenchmarkDefinition SurrogateBenchmarkDefinition
    Tuner StoppingCriterion PlateauStopper AutomaticTerminationCriterion TunerCallback StoreResultsCallback SimulatorCallback
    TensorboardCallback StoreSearcherStatesCallback HyperbandRemoveCheckpointsCallback RemoteTuningMetricsCallback
    TrialScheduler SchedulerDecision TrialSuggestion AskTellScheduler Trial TrialResult Status LocalBackend PythonBackend
    SageMakerBackend CustomFramework BlackboxRepositoryBackend UserBlackboxBackend SimulatorConfig BlackboxTabular BlackboxOffline
    load_blackbox add_surrogate make_surrogate load_experiment list_experiments get_metadata load_experiments_df ExperimentResult
    ComparativeResults PlotParameters SubplotParameters ShowTrialParameters TrialsOfExperimentResults MultiFidelityParameters
    hypervolume_indicator_column_generator get_pareto_optimal
    uniform loguniform reverseloguniform quniform qloguniform randint lograndint qrandint qlograndint choice ordinal logordinal
    finrange logfinrange normal streamline_config_space
    FIFOScheduler SingleObjectiveScheduler SingleFidelityScheduler HyperbandScheduler SynchronousGeometricHyperbandScheduler
    MedianStoppingRule PopulationBasedTraining RUSHScheduler LinearScalarizedScheduler RandomSearch GridSearch BayesianOptimization
    ASHA MOBSTER HyperTune PASHA MOASHA PBT BORE CQR REA KDE TPE BOHB DyHPO ASHABORE ASHACQR ASHACTS SyncHyperband SyncBOHB SyncMOBSTER
    DEHB NSGA2 MOREA EHVI BoTorch MORandomScalarizationBayesOpt MOLinearScalarizationBayesOpt ConstrainedBayesianOptimization
    ZeroShotTransfer BoundingBox QuantileBasedSurrogateSearcher Neuralband RayTuneScheduler
    Reporter add_checkpointing_to_argparse resume_from_checkpointed_model checkpoint_model_at_rung_level
    pytorch_load_save_functions parse_bool add_config_json_to_argparse load_config_json st_checkpoint_dir
    select_instance_type InstanceInfos early_checkpoint_removal_kwargs transfer_learning_evaluations
"""
"""What scripts, experiment folders and notebooks of the old system import or name."""


def test_every_public_name_has_its_place() -> None:
    assert [name for name in NAMES.split() if not re.search(rf"\b{name}\b", TEXT)] == []


def test_what_it_says_is_here_can_be_imported() -> None:
    """``tunewright.a.b.Name`` of the guide."""
    for path in set(re.findall(r"`(tunewright(?:\.\w+)+)[`.(]", TEXT)):
        place, _, name = path.rpartition(".")
        try:
            importlib.import_module(path)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(place), name), path


def test_nothing_is_promised() -> None:
    assert "not yet" not in TEXT
