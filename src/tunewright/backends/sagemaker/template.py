"""Fields of CreateTrainingJob requests beside Tunewright's own: the user's template, input channels, VPC, keys, registries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from tunewright.aws import has_local_disks, request_problems
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.runner.contract import CHECKPOINT_CHANNEL, CONFIG_CHANNEL

CODE_CHANNEL: Final = "code"
MAX_TAGS: Final = 50
"""Tags of a training job (botocore's model)."""
OWN_TAG: Final = "tunewright:"
"""Beginning of the keys of Tunewright's tags."""
N_OWN_TAGS: Final = 3

_LIST_FIELDS: Final[Mapping[str, str]] = {
    "InputDataConfig": "ChannelName",
    "Tags": "Key",
    "MetricDefinitions": "Name",
}
"""Lists that are merged by the value of one member."""
_LEAST_REQUEST: Final[Mapping[str, Any]] = {
    "TrainingJobName": "name",
    "RoleArn": "arn:aws:iam::123456789012:role/name",
    "AlgorithmSpecification": {"TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/prefix"},
}
"""Required fields of a request."""
_OWN_CHANNELS: Final = (CODE_CHANNEL, CHECKPOINT_CHANNEL, CONFIG_CHANNEL)
_OWN_VARIABLE: Final = "TUNEWRIGHT_"
_OWN_FIELDS: Final[Mapping[str, str]] = {
    "TrainingJobName": "jobs are named by experiment and run: use --experiment_tag",
    "HyperParameters": "they come from the space: give constants with --config NAME=VALUE, or in the space",
    "RoleArn": "use --role",
    "ServerlessJobConfig": "jobs run on instances: use --instance_type",
    "EnableManagedSpotTraining": "use --spot",
    "AlgorithmSpecification.TrainingImage": "use --image_uri",
    "AlgorithmSpecification.AlgorithmName": "scripts run in an image: use --image_uri",
    "AlgorithmSpecification.TrainingInputMode": "give the InputMode of each channel, or --inputs NAME=s3://...?mode=FastFile",
    "AlgorithmSpecification.ContainerEntrypoint": "the runner starts your script",
    "AlgorithmSpecification.ContainerArguments": "the runner starts your script",
    "OutputDataConfig.S3OutputPath": "it is below the experiment's prefix: use --bucket",
    "ResourceConfig.InstanceType": "use --instance_type",
    "ResourceConfig.InstanceCount": "use instance_count of the benchmark or of the space",
    "ResourceConfig.InstanceGroups": "all instances of a trial have one type: use --instance_type",
    "ResourceConfig.InstancePreferences": "use --instance_type with several types",
    "ResourceConfig.VolumeSizeInGB": "use --volume_gb",
    "ResourceConfig.KeepAlivePeriodInSeconds": "use --warm_pool and --keep_alive",
    "StoppingCondition.MaxRuntimeInSeconds": "use --max_run",
    "StoppingCondition.MaxWaitTimeInSeconds": "use --max_wait",
}
"""Fields that Tunewright sets, with the setting for each."""

_S3_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "mode": ("File", "FastFile", "Pipe"),
    "distribution": ("FullyReplicated", "ShardedByS3Key"),
    "compression": ("None", "Gzip"),
    "content_type": (),
}
"""Options of an input in S3 -> their values; none: any text."""
_FILE_SYSTEMS: Final[Mapping[str, str]] = {"efs": "EFS", "fsx": "FSxLustre"}
_FILE_SYSTEM_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {"access": ("ro", "rw")}
_FORMS: Final = "s3://BUCKET/PREFIX, efs://FILE_SYSTEM_ID/PATH or fsx://FILE_SYSTEM_ID/MOUNT_NAME/PATH"
_FILE_SYSTEM_ID: Final = re.compile(r"fs-[0-9a-f]{8,18}")
_CHANNEL_NAME: Final = re.compile(r"[A-Za-z0-9.\-_]{1,64}")
"""Pattern of ChannelName in botocore's model."""
_OPTIONS_TEXT: Final = re.compile(r"(.*)\?([a-z_]+=[^?]*)", re.DOTALL)

_TAG_TEXT: Final = re.compile(r"[\w\s.:/=+@-]*")
"""Letters, digits, spaces and ``_ . : / = + - @`` (pattern of TagKey and TagValue in botocore's model)."""
_LONGEST_KEY: Final = 128
_LONGEST_VALUE: Final = 256
_RESERVED: Final = "aws:"


def build_template(benchmark: RealBenchmarkDefinition, config: SageMakerConfig) -> dict[str, Any]:
    """Return the fields that are merged under those of each job's request: templates, inputs, VPC, keys and registry.

    Raises
    ------
    SettingsError
        A template is no part of a CreateTrainingJob request, an input has no known form, or a VPC is missing.
    """
    for template in (benchmark.request_template, config.request_template):
        check_model(template)
    template = merge(_of_settings(config), merge(config.request_template, _channels(benchmark.inputs)))
    template = merge(benchmark.request_template, template)
    _check_network(template)
    return template


def check_model(template: Mapping[str, Any]) -> None:
    """Check names and types of a template's fields by botocore's model.

    Raises
    ------
    SettingsError
        They are no part of a CreateTrainingJob request.
    """
    if not template:
        return
    complete = {name: value for name, value in _LEAST_REQUEST.items() if name not in template}
    for name in _LEAST_REQUEST.keys() & template.keys():
        below, value = _LEAST_REQUEST[name], template[name]
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        complete[name] = {**cast("Mapping[str, Any]", below), **value} if both else value
    problems = request_problems("CreateTrainingJob", {**template, **complete})
    if problems:
        raise SettingsError(
            f"request_template (--template) is no part of a CreateTrainingJob request: {'; '.join(problems)}"
        )


def check_own_fields(template: Mapping[str, Any]) -> None:
    """Refuse a template with fields that Tunewright sets: they would be overwritten.

    Raises
    ------
    SettingsError
        It has one; the message names the setting for it.
    """
    found = list(_own_fields(template))
    if found:
        raise SettingsError(f"request_template (--template) must not hold {'; '.join(found)}")


def check_tags(tags: Mapping[str, str]) -> None:
    """Check tags by the service's rules.

    Source: botocore's model of CreateTrainingJob, and "Tag naming limits and requirements" of AWS's guide to tagging.

    Raises
    ------
    SettingsError
        A tag is not legal, or there are too many.
    """
    for key, value in tags.items():
        for what, text, longest in (("key", key, _LONGEST_KEY), ("value", value, _LONGEST_VALUE)):
            if len(text) > longest:
                raise SettingsError(
                    f"tags: the {what} {text[:20]!r}... has {len(text)} characters; AWS takes {longest}"
                )
            if not _TAG_TEXT.fullmatch(text):
                raise SettingsError(
                    f"tags: the {what} {text!r} may hold letters, digits, spaces and _ . : / = + - @ only"
                )
        if not key or key.lower().startswith((_RESERVED, OWN_TAG)):
            raise SettingsError(
                f"tags: the key {key!r} must not be empty, and must not begin with {_RESERVED} or {OWN_TAG}"
            )
    if len(tags) > MAX_TAGS - N_OWN_TAGS:
        raise SettingsError(
            f"tags: {len(tags)} are too many: a job has {MAX_TAGS}, of which Tunewright sets {N_OWN_TAGS}"
        )


def merge(template: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """``ours`` over ``template``: mappings member by member; channels, tags and metrics by their names."""
    merged = dict(template)
    for name, value in ours.items():
        below = merged.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[name] = merge(cast("Mapping[str, Any]", below), cast("Mapping[str, Any]", value))
        elif name in _LIST_FIELDS and below:
            key = _LIST_FIELDS[name]
            entries = cast("list[dict[str, Any]]", value)
            taken = {entry[key] for entry in entries}
            merged[name] = [entry for entry in below if entry[key] not in taken] + entries
        else:
            merged[name] = value
    return merged


def without_key_of_local_disks(request: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the VolumeKmsKeyId of a CreateTrainingJob request if the instance type has local NVMe disks.

    The service refuses it there: the disks are encrypted by their hardware.
    """
    resources = dict(request["ResourceConfig"])
    if has_local_disks(str(resources.get("InstanceType", ""))):
        resources.pop("VolumeKmsKeyId", None)
    return {**request, "ResourceConfig": resources}


def input_channel(name: str, uri: str) -> dict[str, Any]:
    """Return an input channel whose objects, all below an S3 prefix, go to every instance."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def channel_of(name: str, address: str) -> dict[str, Any]:
    """Input channel of an address such as ``s3://bucket/prefix?mode=FastFile`` or ``efs://fs-12345678/folder?access=rw``.

    Raises
    ------
    SettingsError
        The address has no known form, or the name is no channel's.
    """
    if not _CHANNEL_NAME.fullmatch(name):
        raise SettingsError(
            f"The name of the input {name!r} has other characters than letters, digits, '.', '-' and '_'"
        )
    if name in _OWN_CHANNELS:
        raise SettingsError(f"The name of the input {name} is Tunewright's: choose another one")
    place, options = _split(address)
    scheme, separator, rest = place.partition("://")
    if separator and scheme == "s3":
        given = _checked(name, options, _S3_OPTIONS)
        if not rest.partition("/")[0]:
            raise SettingsError(f"The input {name} names no bucket: give s3://BUCKET/PREFIX, not {address!r}")
        channel = input_channel(name, place)
        if distribution := given.get("distribution"):
            channel["DataSource"]["S3DataSource"]["S3DataDistributionType"] = distribution
        fields = {"mode": "InputMode", "compression": "CompressionType", "content_type": "ContentType"}
        return channel | {fields[option]: value for option, value in given.items() if option in fields}
    if separator and scheme in _FILE_SYSTEMS:
        given = _checked(name, options, _FILE_SYSTEM_OPTIONS)
        file_system, _, path = rest.partition("/")
        if not _FILE_SYSTEM_ID.fullmatch(file_system):
            raise SettingsError(
                f"The input {name} names the file system {file_system!r}; an id is such as fs-0123456789abcdef0"
            )
        if scheme == "fsx" and not path.strip("/"):
            raise SettingsError(
                f"The input {name} needs the mount name of the file system: fsx://{file_system}/MOUNT_NAME/PATH "
                "(aws fsx describe-file-systems shows it)"
            )
        source = {
            "FileSystemId": file_system,
            "FileSystemAccessMode": given.get("access", "ro"),
            "FileSystemType": _FILE_SYSTEMS[scheme],
            "DirectoryPath": f"/{path.rstrip('/')}",
        }
        return {"ChannelName": name, "DataSource": {"FileSystemDataSource": source}}
    raise SettingsError(
        f"The input {name} of a training job lies in S3 or in a file system: give {_FORMS}, not {address!r}"
    )


def _split(address: str) -> tuple[str, dict[str, str]]:
    """Address and options of ``ADDRESS?name=value&name=value``."""
    found = _OPTIONS_TEXT.fullmatch(address)
    if found is None:
        return address, {}
    pairs = (part.partition("=") for part in found[2].split("&"))
    return found[1], {option: value for option, _, value in pairs}


def _checked(
    name: str, options: Mapping[str, str], known: Mapping[str, tuple[str, ...]]
) -> Mapping[str, str]:
    for option, value in options.items():
        if option not in known:
            raise SettingsError(f"The input {name} has no option {option!r}; there are {', '.join(known)}")
        if known[option] and value not in known[option]:
            raise SettingsError(
                f"The option {option} of the input {name} is {' or '.join(known[option])}, not {value!r}"
            )
    return options


def _channels(inputs: Mapping[str, str]) -> dict[str, Any]:
    channels = [channel_of(name, address) for name, address in inputs.items()]
    return {"InputDataConfig": channels} if channels else {}


def _of_settings(config: SageMakerConfig) -> dict[str, Any]:
    """VPC, keys, registry and training plan of a config."""
    template: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    if config.kms_key:
        template["OutputDataConfig"] = {"KmsKeyId": config.kms_key}
        resources["VolumeKmsKeyId"] = config.kms_key
    if config.training_plan:
        resources["TrainingPlanArn"] = config.training_plan
    if resources:
        template["ResourceConfig"] = resources
    if config.subnets and config.security_group_ids:
        template["VpcConfig"] = {
            "Subnets": config.subnets.split(","),
            "SecurityGroupIds": config.security_group_ids.split(","),
        }
    if config.registry_credentials:
        login = {"TrainingRepositoryCredentialsProviderArn": config.registry_credentials}
        template["AlgorithmSpecification"] = {
            "TrainingImageConfig": {
                "TrainingRepositoryAccessMode": "Vpc",
                "TrainingRepositoryAuthConfig": login,
            }
        }
    return template


def _check_network(template: Mapping[str, Any]) -> None:
    """Check that there is a VPC if a file system or a private registry needs one."""
    if template.get("VpcConfig"):
        return
    reached = [
        f"the file system of the input {channel['ChannelName']}"
        for channel in template.get("InputDataConfig", ())
        if "FileSystemDataSource" in channel["DataSource"]
    ]
    image = template.get("AlgorithmSpecification", {}).get("TrainingImageConfig", {})
    if image.get("TrainingRepositoryAccessMode") == "Vpc":
        reached.append("the private registry of the image")
    if reached:
        raise SettingsError(
            f"Jobs reach {' and '.join(reached)} only in its VPC: give --subnets and --security_group_ids"
        )


def _own_fields(template: Mapping[str, Any]) -> Iterator[str]:
    for path, remedy in _OWN_FIELDS.items():
        name, _, member = path.partition(".")
        value = template.get(name)
        if value is not None and (not member or member in value):
            yield f"{path} ({remedy})"
    for channel in _entries(template, "InputDataConfig"):
        if channel["ChannelName"] in _OWN_CHANNELS:
            yield f"a channel {channel['ChannelName']} (the name is Tunewright's: choose another one)"
    for variable in template.get("Environment", ()):
        if str(variable).startswith(_OWN_VARIABLE):
            yield f"a variable {variable} (the names are Tunewright's: choose another one)"
    for tag in _entries(template, "Tags"):
        if str(tag["Key"]).startswith(OWN_TAG):
            yield f"a tag {tag['Key']} (the names are Tunewright's: choose another one)"


def _entries(template: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    return template.get(name, ())
