"""The ``train`` command of an image: runs scripts for the SageMaker training toolkit.

It reads the configuration under ``/opt/ml`` (or SAGEMAKER_BASE_DIR), fetches the code at the hyperparameter
``sagemaker_submit_directory``, sets the SM_* variables, and runs ``sagemaker_program`` with the hyperparameters
as ``--key value``. It exits with the script's exit code and describes a failure in ``output/failure``. Like the real
command it has no handler for SIGTERM, so that a stop reaches neither it nor the script.
Standard library only, Python >= 3.9: it runs in the job's interpreter. An S3 archive needs boto3 there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PLATFORM_PREFIX = "sagemaker_"
"""Prefix of the toolkit's hyperparameters; all others belong to the script."""


class ToolkitError(Exception):
    """The script cannot be started."""


def main() -> int:
    """Run the user's script and return its exit code."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    try:
        command, code, environment = _script(base)
    except (ToolkitError, OSError, ValueError, tarfile.TarError) as error:
        return _fail(base, f"ImportModuleError: {error}", 1)
    result = subprocess.run(command, cwd=code, env=environment, check=False).returncode
    if result == 0:
        (base / "output" / "success").touch()
        return 0
    exit_code = result if result > 0 else 128 - result
    return _fail(
        base, f'ExecuteUserScriptError:\nExitCode {exit_code}\nCommand "{" ".join(command)}"', exit_code
    )


def _script(base: Path) -> tuple[list[str], Path, dict[str, str]]:
    """Command, folder and environment of the user's script."""
    parameters = decode_hyperparameters(_read(base, "hyperparameters"))
    program = parameters.get("sagemaker_program") or os.environ.get("SAGEMAKER_PROGRAM")
    if not program:
        raise ToolkitError("the hyperparameter sagemaker_program is missing; it names the script to run")
    submitted = parameters.get("sagemaker_submit_directory") or os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY")
    code = fetch_code(submitted, base / "code")
    if not (code / program).is_file():
        raise ToolkitError(f"there is no {program} in {submitted or code}")
    arguments = script_arguments(parameters)
    interpreter = sys.executable if program.endswith(".py") else "/bin/sh"
    environment = {**os.environ, **training_variables(base, parameters, code, program, arguments)}
    return [interpreter, program, *arguments], code, environment


def decode_hyperparameters(raw: dict[str, str]) -> dict[str, Any]:
    """Values of the SDK: parsed JSON, or the text itself if it is not JSON."""
    decoded: dict[str, Any] = {}
    for name, text in raw.items():
        try:
            decoded[name] = json.loads(text)
        except ValueError:
            decoded[name] = text
    return decoded


def script_arguments(parameters: dict[str, Any]) -> list[str]:
    """The script's hyperparameters as ``--key value``, sorted by name."""
    arguments: list[str] = []
    for name, value in sorted(_of_script(parameters).items()):
        arguments += [f"--{name}" if len(name) > 1 else f"-{name}", str(value)]
    return arguments


def fetch_code(submitted: str | None, target: Path) -> Path:
    """Folder of the user's code: a local one, or an archive unpacked to ``target``.

    Raises
    ------
    ToolkitError
        The archive cannot be downloaded, or has members outside of the folder.
    """
    if not submitted:
        return target
    if not submitted.startswith("s3://"):
        if Path(submitted).is_dir():
            return Path(submitted)
        extract(Path(submitted), target)
        return target
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch, "sourcedir.tar.gz")
        _download(submitted, archive)
        extract(archive, target)
    return target


def extract(archive: Path, target: Path) -> None:
    """Unpack files and folders, after a check that no member lies outside of the folder.

    Raises
    ------
    ToolkitError
        A member is a link, a device, absolute, or climbs out of the folder.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as packed:
        members = packed.getmembers()
        for member in members:
            parts = Path(member.name).parts
            if not (member.isfile() or member.isdir()) or member.name.startswith("/") or ".." in parts:
                raise ToolkitError(
                    f"{member.name} in the code archive is not a file inside of it; pack plain files"
                )
        checks: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        packed.extractall(target, members, **checks)  # noqa: S202 - every member was checked above


def training_variables(
    base: Path, parameters: dict[str, Any], code: Path, program: str, arguments: list[str]
) -> dict[str, str]:
    """The toolkit's SM_* variables, and PYTHONPATH."""
    resources, channels = _read(base, "resourceconfig"), _read(base, "inputdataconfig")
    data = base / "input" / "data"
    values: dict[str, Any] = {
        "hps": _of_script(parameters),
        "user_entry_point": program,
        "user_args": arguments,
        "module_name": Path(program).stem,
        "module_dir": parameters.get("sagemaker_submit_directory") or str(code),
        "framework_module": os.environ.get("SAGEMAKER_TRAINING_MODULE", ""),
        "framework_params": _of_platform(parameters),
        "log_level": parameters.get("sagemaker_container_log_level", 20),
        "model_dir": str(base / "model"),
        "input_dir": str(base / "input"),
        "input_config_dir": str(base / "input" / "config"),
        "output_dir": str(base / "output"),
        "output_data_dir": str(base / "output" / "data"),
        "output_intermediate_dir": str(base / "output" / "intermediate"),
        "channels": sorted(channels),
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": _count_gpus(),
        "num_neurons": 0,
        "is_hetero": len(resources["instance_groups"]) > 1,
        "hosts": resources["hosts"],
        "current_host": resources["current_host"],
        "current_instance_type": resources["current_instance_type"],
        "current_instance_group": resources["current_group_name"],
        "instance_groups": [group["instance_group_name"] for group in resources["instance_groups"]],
        "instance_groups_dict": {each["instance_group_name"]: each for each in resources["instance_groups"]},
        "network_interface_name": resources["network_interface_name"],
        "resource_config": resources,
        "input_data_config": channels,
    }
    single = {f"channel_{name}": str(data / name) for name in channels}
    single.update({f"hp_{name}": value for name, value in _of_script(parameters).items()})
    environment = {f"SM_{_variable(name)}": _text(value) for name, value in {**values, **single}.items()}
    environment["SM_TRAINING_ENV"] = json.dumps(values)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))
    return environment


def _of_platform(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in parameters.items() if name.startswith(PLATFORM_PREFIX)}


def _of_script(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if not name.startswith(PLATFORM_PREFIX)}


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(base: Path, name: str) -> dict[str, Any]:
    return json.loads((base / "input" / "config" / f"{name}.json").read_text())


def _count_gpus() -> int:
    return sum(1 for _ in Path("/dev").glob("nvidia[0-9]*"))


def _download(uri: str, target: Path) -> None:
    bucket, _, key = uri[len("s3://") :].partition("/")
    try:
        import boto3  # only jobs whose code is an S3 archive need it  # noqa: PLC0415

        sdk: Any = boto3
        client: Any = sdk.client("s3")
        client.download_file(bucket, key, str(target))
    except Exception as error:  # boto3 raises classes that it makes at run time
        raise ToolkitError(f"{uri} cannot be downloaded: {error}") from error


def _fail(base: Path, text: str, exit_code: int) -> int:
    failure = base / "output" / "failure"
    if not failure.exists():
        failure.write_text(text)
    sys.stderr.write(text + "\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
