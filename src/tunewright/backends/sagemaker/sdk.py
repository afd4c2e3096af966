"""Objects of the SageMaker Python SDK as experiments: an Estimator (SDK 2), and a ModelTrainer (SDK 3).

The objects are read by the names of their attributes, and the SDK is not imported. Each attribute becomes a setting, a field of
the ``request_template``, or an entry of ``left_out``; those that would change the training are refused if trials cannot have them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast, final

from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.template import check_model, check_own_fields, check_tags, input_channel
from tunewright.exceptions import SettingsError
from tunewright.types import ConfigValue

_ESTIMATOR_FIELDS: Final[Mapping[str, str]] = {
    "role": "RoleArn",
    "instance_type": "ResourceConfig.InstanceType",
    "instance_count": "ResourceConfig.InstanceCount",
    "volume_size": "ResourceConfig.VolumeSizeInGB",
    "volume_kms_key": "ResourceConfig.VolumeKmsKeyId",
    "keep_alive_period_in_seconds": "ResourceConfig.KeepAlivePeriodInSeconds",
    "training_plan": "ResourceConfig.TrainingPlanArn",
    "instance_placement_config": "ResourceConfig.InstancePlacementConfig",
    "max_run": "StoppingCondition.MaxRuntimeInSeconds",
    "max_wait": "StoppingCondition.MaxWaitTimeInSeconds",
    "use_spot_instances": "EnableManagedSpotTraining",
    "output_kms_key": "OutputDataConfig.KmsKeyId",
    "subnets": "VpcConfig.Subnets",
    "security_group_ids": "VpcConfig.SecurityGroupIds",
    "metric_definitions": "AlgorithmSpecification.MetricDefinitions",
    "enable_sagemaker_metrics": "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries",
    "training_repository_access_mode": "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAccessMode",
    "training_repository_credentials_provider_arn": "AlgorithmSpecification.TrainingImageConfig."
    "TrainingRepositoryAuthConfig.TrainingRepositoryCredentialsProviderArn",
    "encrypt_inter_container_traffic": "EnableInterContainerTrafficEncryption",
    "_enable_network_isolation": "EnableNetworkIsolation",
    "enable_infra_check": "InfraCheckConfig.EnableInfraCheck",
    "_enable_remote_debug": "RemoteDebugConfig.EnableRemoteDebug",
    "_enable_session_tag_chaining": "SessionChainingConfig.EnableSessionTagChaining",
    "max_retry_attempts": "RetryStrategy.MaximumRetryAttempts",
    "disable_profiler": "ProfilerConfig.DisableProfiler",
    "environment": "Environment",
    "tags": "Tags",
}
"""Attributes of an Estimator -> fields of the request that it sends."""
_TRAINER_FIELDS: Final[Mapping[str, str]] = {
    "role": "RoleArn",
    "compute": "ResourceConfig",
    "stopping_condition": "StoppingCondition",
    "networking": "VpcConfig",
    "training_image_config": "AlgorithmSpecification.TrainingImageConfig",
    "_metric_definitions": "AlgorithmSpecification.MetricDefinitions",
    "output_data_config": "OutputDataConfig",
    "_retry_strategy": "RetryStrategy",
    "_infra_check_config": "InfraCheckConfig",
    "_session_chaining_config": "SessionChainingConfig",
    "_remote_debug_config": "RemoteDebugConfig",
    "environment": "Environment",
    "tags": "Tags",
}
"""Attributes of a ModelTrainer -> fields of the request that it sends."""

_TRIALS: Final = "each trial has a place of its own below the experiment's prefix"
_NAMES: Final = "jobs are named by experiment and run"
_ALL_TRIALS: Final = "all trials would write to one place"
_LEFT_OUT: Final[Mapping[str, str]] = {
    "base_job_name": _NAMES,
    "input_s3_key_prefix": _TRIALS,
    "output_path": _TRIALS,
    "code_location": _TRIALS,
    "checkpoint_s3_uri": _TRIALS,
    "checkpoint_local_path": "checkpoints belong in TUNEWRIGHT_CHECKPOINT_DIR, /opt/ml/checkpoints in a job",
    "checkpoint_config": _TRIALS,
    "rules": _ALL_TRIALS,
    "debugger_hook_config": _ALL_TRIALS,
    "profiler_config": _ALL_TRIALS,
    "tensorboard_output_config": _ALL_TRIALS,
    "_tensorboard_output_config": _ALL_TRIALS,
    "container_log_level": "the runner passes the script's output on as it is",
}
"""Attributes without effect, with the reason."""
_RECIPE: Final = "trials are scripts, not recipes"
_REFUSED: Final[Mapping[str, str]] = {
    "instance_groups": "all instances of a trial have one type",
    "git_config": "clone the repository, and give the path of the script",
    "container_entry_point": "the runner starts the script",
    "container_arguments": "the runner starts the script",
    "compiler_config": "the training compiler is not supported",
    "algorithm_name": "trials are scripts",
    "model_package_config": "trials are scripts",
    "is_nova_job": _RECIPE,
    "is_nova_or_eval_recipe": _RECIPE,
    "is_llmft_recipe": _RECIPE,
    "_is_nova_recipe": _RECIPE,
    "_is_llmft_recipe": _RECIPE,
}
"""Attributes that would change the training, and the reason why trials cannot have them."""
_STATE: Final = frozenset(
    {
        "sagemaker_session",
        "latest_training_job",
        "_latest_training_job",
        "_current_job_name",
        "_compiled_models",
        "_hyperparameters",
        "_jumpstart_config",
        "_temp_recipe_train_dir",
        "_temp_code_dir",
        "_is_output_path_set_from_default_bucket_and_prefix",
        "config_mgr",
        "jobs",
        "local_container_root",
        "uploaded_code",
        "code_uri",
        "code_channel_name",
        "deploy_instance_type",
        "debugger_rule_configs",
        "debugger_rules",
        "collection_configs",
        "profiler_rule_configs",
        "profiler_rules",
        "tensorboard_app",
        "framework_version",
        "base_framework_name",
        "base_framework_version",
        "pytorch_version",
        "tensorflow_version",
        "py_version",
    }
)
"""Attributes that are no settings of a job, or that the image stands for."""
_DEFAULTS: Final[Mapping[str, Any]] = {
    "container_log_level": 20,
    "input_mode": "File",
    "training_input_mode": "File",
}
"""Values of attributes that are as good as none."""
_IGNORED: Final = frozenset({".env", ".git", "__pycache__", ".DS_Store", ".cache", ".ipynb_checkpoints"})
"""Default ``ignore_patterns`` of SDK 3; none of these is sent here either."""
_MODEL_TYPE: Final = "application/x-sagemaker-model"
_DEFAULT_CHANNEL: Final = "training"
_SOURCES: Final[Mapping[str, str]] = {
    "s3_uri": "S3DataSource",
    "file_system_id": "FileSystemDataSource",
    "dataset_arn": "DatasetSource",
}
"""Attribute of a source of data in SDK 3 -> its field in a channel."""
_ACRONYMS: Final[Mapping[str, str]] = {"gb": "GB"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SdkJob:
    """A training job of the SageMaker Python SDK, as the parts of an experiment.

    Examples
    --------
    ::

        job = from_estimator(estimator, {"train": "s3://bucket/train"})
        space = {**job.constants, "lr": Float(1e-4, 1.0, log=True)}
        tune(job.script, space, metric="loss", backend=job.config, n_trials=20, **job.options)
    """

    script: str
    """Path of the training script."""
    config: SageMakerConfig
    """Settings of the jobs."""
    constants: Mapping[str, ConfigValue]
    """Hyperparameters: arguments of the script that are the same in all trials unless the space has them."""
    dependencies: tuple[str, ...] = ()
    """Paths that are placed beside the script."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of the script."""
    instance_count: int = 1
    """Instances of each job."""
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Attributes of the object that have no effect, with the reason."""

    @property
    def options(self) -> dict[str, Any]:
        """Options of ``tunewright.tune``, and fields of ``RealBenchmarkDefinition``, of the same names."""
        return {
            "dependencies": self.dependencies,
            "environment": self.environment,
            "instance_count": self.instance_count,
        }


def from_estimator(estimator: object, inputs: object = None) -> SdkJob:
    """Read an Estimator of the SageMaker Python SDK 2, such as ``sagemaker.pytorch.PyTorch``.

    Parameters
    ----------
    estimator
        The object.
    inputs
        As for its ``fit``: an S3 address, a TrainingInput or FileSystemInput, or a mapping of them by channel name.

    Returns
    -------
    SdkJob
        Its parts.

    Raises
    ------
    SettingsError
        Trials cannot have one of its attributes; the message names all of them.
    """
    reader = _Reader(estimator)
    launch = _launch_of_estimator(reader)
    script = _script(reader, reader.take("entry_point"), reader.take("source_dir"))
    model, model_channel = reader.take("model_uri"), reader.take("model_channel_name")
    channels = _channels_of_fit(inputs, reader)
    if model:
        channels.append({**input_channel(str(model_channel), model), "ContentType": _MODEL_TYPE})
    request = reader.request(_ESTIMATOR_FIELDS, channels, reader.take("input_mode"))
    if reader.take("disable_output_compression"):
        _put(request, "OutputDataConfig.CompressionType", "NONE")
    if hasattr(estimator, "model_dir") and reader.take("model_dir") is not False:
        reader.left_out["model_dir"] = (
            "the script gets no --model_dir; SM_MODEL_DIR is the folder of its model"
        )
    image = reader.take("image_uri")
    if image is None and hasattr(estimator, "training_image_uri"):
        image = cast("Any", estimator).training_image_uri()
    dependencies = tuple(str(Path(path).absolute()) for path in reader.take("dependencies") or ())
    hyperparameters: Mapping[str, Any] = reader.value("_hyperparameters") or {}
    return reader.job(request, script, image, hyperparameters, launch, dependencies)


def from_model_trainer(trainer: object, input_data_config: Sequence[object] | None = None) -> SdkJob:
    """Read a ModelTrainer of the SageMaker Python SDK 3.

    Parameters
    ----------
    trainer
        The object.
    input_data_config
        As for its ``train``: InputData or Channel objects; None: those of the trainer.

    Returns
    -------
    SdkJob
        Its parts.

    Raises
    ------
    SettingsError
        Trials cannot have one of its attributes; the message names all of them.
    """
    reader = _Reader(trainer)
    launch = _launch_of_trainer(reader)
    if "LOCAL" in str(reader.take("training_mode")):
        reader.refuse("training_mode", "use the local backend: tune(..., backend='local')")
    code = _members(reader.take("source_code"))
    for name in ("command", "args"):
        if code.get(name):
            reader.refuse(f"source_code.{name}", "give the script as entry_script")
    if code.get("requirements") not in (None, "requirements.txt"):
        reader.refuse(
            "source_code.requirements", "the runner installs the requirements.txt beside the script"
        )
    if set(code.get("ignore_patterns", ())) - _IGNORED:
        reader.left_out["source_code.ignore_patterns"] = (
            "files are left out by .gitignore and .tunewrightignore"
        )
    script = _script(reader, code.get("entry_script"), code.get("source_dir"))
    own = reader.take("input_data_config")
    listed = input_data_config if input_data_config is not None else own or ()
    channels = [_channel_of_trainer(one, reader) for one in listed]
    request = reader.request(_TRAINER_FIELDS, channels, reader.take("training_input_mode"))
    network = cast("dict[str, Any]", request.get("VpcConfig", {}))
    for name in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption"):
        if network.pop(name, None):
            request[name] = True
    if cast("dict[str, Any]", request.get("ResourceConfig", {})).pop("EnableManagedSpotTraining", None):
        request["EnableManagedSpotTraining"] = True
    if cast("dict[str, Any]", request.get("OutputDataConfig", {})).pop("S3OutputPath", None):
        reader.left_out["output_data_config.s3_output_path"] = _TRIALS
    given: Mapping[str, Any] | str = reader.take("hyperparameters") or {}
    if isinstance(given, str):
        reader.refuse("hyperparameters", "give a dictionary instead of a file")
        given = {}
    return reader.job(request, script, reader.take("training_image"), given, launch)


# --- attributes


@final
class _Reader:
    """The attributes of an object: each is taken, left out, or refused."""

    def __init__(self, thing: object) -> None:
        self._kind = type(thing).__name__
        private: Mapping[str, Any] | None = getattr(thing, "__pydantic_private__", None)
        public = {name: value for name, value in vars(thing).items() if not name.startswith("__")}
        self._values: Mapping[str, Any] = {**public, **(private or {})}
        self._session: Any = self._values.get("sagemaker_session")
        self._taken: set[str] = set()
        self._refused: list[str] = []
        self.left_out: dict[str, str] = {}

    def value(self, name: str) -> Any:
        """An attribute; None if there is none, or if it is not set."""
        value = self._values.get(name)
        return None if type(value).__name__ == "Unassigned" else value

    def take(self, name: str) -> Any:
        """An attribute, which is then known."""
        self._taken.add(name)
        return self.value(name)

    def refuse(self, name: str, reason: str) -> None:
        """Note an attribute that trials cannot have."""
        self._refused.append(f"{name} ({reason})")

    def request(
        self, fields: Mapping[str, str], channels: list[dict[str, Any]], mode: str | None
    ) -> dict[str, Any]:
        """Fields of a CreateTrainingJob request, with the names of attributes by the paths of fields."""
        request: dict[str, Any] = {}
        for name, path in fields.items():
            value = _plain(self.take(name))
            if value not in (None, False, [], {}):
                _put(request, path, value)
        for channel in channels:
            if mode and mode != _DEFAULTS["input_mode"]:
                channel.setdefault("InputMode", mode)
        if channels:
            request["InputDataConfig"] = channels
        return request

    def job(
        self,
        request: dict[str, Any],
        script: str,
        image: str | None,
        hyperparameters: Mapping[str, Any],
        launch: str | None,
        dependencies: tuple[str, ...] = (),
    ) -> SdkJob:
        """The parts of an experiment; fields with a setting go from the request to the settings."""
        self._look_at_the_rest()
        resources: dict[str, Any] = request.get("ResourceConfig", {})
        if str(resources.get("InstanceType", "")).startswith("local"):
            self.refuse("instance_type", "use the local backend: tune(..., backend='local')")
        if self._refused:
            raise SettingsError(f"Trials cannot have these of the {self._kind}: {'; '.join(self._refused)}")
        limits: dict[str, Any] = request.get("StoppingCondition", {})
        network: dict[str, Any] = request.pop("VpcConfig", {})
        tags = {str(tag["Key"]): str(tag["Value"]) for tag in request.pop("Tags", ())}
        environment = {str(name): str(value) for name, value in request.pop("Environment", {}).items()}
        keep_alive = resources.pop("KeepAlivePeriodInSeconds", None)
        instance_count = int(resources.pop("InstanceCount", 1))
        session = getattr(self._session, "boto_session", None)
        profile = getattr(session, "profile_name", None)
        given = {
            "role": request.pop("RoleArn", None),
            "region": getattr(self._session, "boto_region_name", None),
            "profile": None if profile == "default" else profile,
            "bucket": getattr(self._session, "_default_bucket_name_override", None),
            "image_uri": image,
            "instance_type": resources.pop("InstanceType", None),
            "volume_gb": resources.pop("VolumeSizeInGB", None),
            "training_plan": resources.pop("TrainingPlanArn", None),
            "max_run": limits.pop("MaxRuntimeInSeconds", None),
            "max_wait": limits.pop("MaxWaitTimeInSeconds", None),
            "spot": request.pop("EnableManagedSpotTraining", None),
            "network_isolation": request.pop("EnableNetworkIsolation", None),
            "subnets": ",".join(network.get("Subnets", ())) or None,
            "security_group_ids": ",".join(network.get("SecurityGroupIds", ())) or None,
            "warm_pool": True if keep_alive else None,
            "keep_alive": keep_alive,
            "launch": launch,
            "tags": tags,
        }
        template = {name: value for name, value in request.items() if value != {}}
        check_model(template)
        check_own_fields(template)
        check_tags(tags)
        settings: Any = {name: value for name, value in given.items() if value is not None}
        return SdkJob(
            script=script,
            config=SageMakerConfig(**settings, request_template=template),
            constants={
                name: value if isinstance(value, str | int | float) else json.dumps(value)
                for name, value in hyperparameters.items()
            },
            dependencies=dependencies,
            environment=environment,
            instance_count=instance_count,
            left_out=self.left_out,
        )

    def _look_at_the_rest(self) -> None:
        """Refuse or name what was not taken; nothing is dropped silently."""
        for name in self._values:
            value = self.value(name)
            if hasattr(value, "expr"):
                self.refuse(name, "it is a variable of a pipeline, without a value")
            elif name in self._taken or name in _STATE or not value or value == _DEFAULTS.get(name):
                continue
            elif name in _REFUSED:
                self.refuse(name, _REFUSED[name])
            else:
                self.left_out[name] = _LEFT_OUT.get(name, "it is not known here")


def _put(request: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        request = request.setdefault(parent, {})
    request[last] = value


def _members(thing: object) -> Mapping[str, Any]:
    """Attributes of a record of SDK 3 that are set."""
    members: Mapping[str, Any] = {} if thing is None else vars(thing)
    return {
        name: value
        for name, value in members.items()
        if value is not None and type(value).__name__ != "Unassigned"
    }


def _plain(value: object) -> Any:
    """A value as JSON; records of SDK 3 become structures of the service, whose names are in Pascal case."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in cast("Mapping[object, object]", value).items()}
    if isinstance(value, Sequence):
        return [_plain(member) for member in cast("Sequence[object]", value)]
    if hasattr(value, "expr"):
        return None
    return {_pascal(name): _plain(member) for name, member in _members(value).items()}


def _pascal(name: str) -> str:
    return "".join(_ACRONYMS.get(part, part.capitalize()) for part in name.split("_"))


# --- scripts, launchers and channels


def _script(reader: _Reader, entry: str | None, folder: str | None) -> str:
    """Absolute path of a script on this machine."""
    if not entry:
        reader.refuse("entry_point", "trials run a script: give one")
        return ""
    if folder and ("://" in folder or folder.endswith(".tar.gz")):
        reader.refuse("source_dir", "give a folder of this machine")
        return ""
    script = Path(folder or "", entry).absolute()
    if not script.is_file():
        reader.refuse("entry_point", f"there is no {script}")
    elif folder and script.parent != Path(folder).absolute():
        reader.refuse(
            "source_dir", f"jobs get the folder of the script only: place {entry} in {folder} itself"
        )
    return str(script)


def _launch_of_estimator(reader: _Reader) -> str | None:
    """Launcher of an Estimator's ``distribution``."""
    given: Mapping[str, Any] = reader.take("distribution") or {}
    enabled = {name: value for name, value in given.items() if value != {"enabled": False}}
    if enabled == {"torch_distributed": {"enabled": True}}:
        return "torchrun"
    if enabled:
        reader.refuse("distribution", "only torch_distributed is supported")
    return None


def _launch_of_trainer(reader: _Reader) -> str | None:
    """Launcher of a ModelTrainer's ``distributed``."""
    given = reader.take("distributed")
    if given is None:
        return None
    if type(given).__name__ != "Torchrun" or _members(given).keys() & {"process_count_per_node", "smp"}:
        reader.refuse("distributed", "only Torchrun() with a process per GPU is supported")
    return "torchrun"


def _channels_of_fit(inputs: Any, reader: _Reader) -> list[dict[str, Any]]:
    """Channels of the inputs of an Estimator's ``fit``."""
    if inputs is None:
        return []
    is_named = isinstance(inputs, Mapping)
    named = cast("Mapping[str, Any]", inputs if is_named else {_DEFAULT_CHANNEL: inputs})
    channels: list[dict[str, Any]] = []
    for name, value in named.items():
        config: Mapping[str, Any] | None = getattr(value, "config", None)
        if isinstance(value, str) and value.startswith("s3://"):
            channels.append(input_channel(name, value))
        elif config is not None and not isinstance(value, str):
            channels.append({"ChannelName": name, **config})
        else:
            reader.refuse(f"the input {name}", "it is neither in S3 nor in a file system")
    return channels


def _channel_of_trainer(given: object, reader: _Reader) -> dict[str, Any]:
    """Channel of an InputData or Channel."""
    members = dict(_members(given))
    name, source = str(members.pop("channel_name", "")), members.pop("data_source", None)
    others = {_pascal(member): _plain(value) for member, value in members.items()}
    if isinstance(source, str):
        if not source.startswith("s3://"):
            reader.refuse(f"the input {name}", "it is not in S3: upload the files")
        return {**input_channel(name, source), **others}
    kinds = [kind for attribute, kind in _SOURCES.items() if attribute in _members(source)]
    data = {kinds[0]: _plain(source)} if kinds else _plain(source)
    return {"ChannelName": name, "DataSource": data, **others}
