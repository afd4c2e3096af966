"""Write ``src/tunewright/aws/catalog.json``: images for training, and accelerators and prices of SageMaker's training instances.

Images with their dates come from the data files of https://github.com/aws/deep-learning-containers (several folders: later ones add
versions), their registries and tag forms from SageMaker's SDK. Accelerators come from EC2's instance types in the ``moto`` wheel and, for types that it lacks, from the list of SageMaker's SDK
(``pip download sagemaker-core --no-deps``) or a row below; the types themselves are those of ``botocore``. Prices come from the
Price List API with ``--prices REGION``, for which AWS credentials are needed. Tables whose sources are not given stay as they are::

    scripts/aws_catalog --sdk sagemaker_core-2.27.0-py3-none-any.whl --containers deep-learning-containers 2026-08-21
    scripts/aws_catalog --prices us-east-1
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import importlib.resources
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import botocore.session
import yaml

from tunewright.aws import prices_at, resolve_endpoint
from tunewright.aws.catalog import PRICE_LIST

CATALOG: Final = Path(__file__).resolve().parent.parent / "src/tunewright/aws/catalog.json"
LINE: Final = 160
"""Longest line of an object."""
CAPABILITIES: Final[Mapping[str, float]] = {
    "K80": 3.7,
    "V100": 7.0,
    "T4": 7.5,
    "A100": 8.0,
    "A10G": 8.6,
    "L4": 8.9,
    "L40S": 8.9,
    "H100": 9.0,
    "H200": 9.0,
    "B200": 10.0,
    "GB200": 10.0,
    "B300": 10.3,
    "RTX PRO 4500": 12.0,
    "RTX PRO Server 6000": 12.0,
}
"""CUDA compute capability by GPU, as NVIDIA lists them (https://developer.nvidia.com/cuda-gpus)."""
SDK_GPUS: Final[Mapping[str, str]] = {"p2": "K80", "p3": "V100"}
"""GPUs of families that EC2 no longer lists; the SDK has their numbers only."""
OTHERS: Final = {
    "source": "quota_allocation_util.py of aws/sagemaker-hyperpod-cli, commit c2f44f50; NVIDIA GB200 NVL72",
    "date": "2026-11-29",
    "types": {
        "ml.p6e-gb200.36xlarge": {"gpus": 4, "name": "GB200", "capability": 10.0, "architecture": "arm64"}
    },
}
"""Rows that neither wheel has."""

FRAMEWORK: Final = "pytorch"
REPOSITORIES: Final[Mapping[str, str]] = {
    "pytorch-training": "pytorch.json",
    "pytorch": "pytorch-amzn2023.json",
}
"""Files of the SDK by ECR repository."""
LEGACY: Final[Mapping[str, Any]] = {
    "framework": FRAMEWORK,
    "version": "2.5",
    "repository": "pytorch-training",
    "cpu": "2.5.1-cpu-py311-ubuntu22.04-sagemaker",
    "gpu": "2.5.1-gpu-py311-cu124-ubuntu22.04-sagemaker",
    "cuda": 124,
    "end_of_support": "2025-10-29",
    "source": "docs/src/legacy/legacy_support.yml of aws/deep-learning-containers; tags of version 0.1",
    "date": "2026-08-21",
}
"""Image of a version that the data files no longer have."""


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sdk", type=Path, help="wheel of sagemaker-core")
    parser.add_argument(
        "--containers",
        nargs=2,
        action="append",
        default=[],
        metavar=("FOLDER", "DATE"),
        help="work tree of aws/deep-learning-containers, and the date of its commit; repeatable",
    )
    parser.add_argument("--prices", metavar="REGION", help="read the prices of a region")
    args = parser.parse_args()
    catalog = json.loads(CATALOG.read_text(encoding="utf-8"))
    if args.sdk:
        catalog["accelerators"] = accelerators(args.sdk)
    if args.sdk and args.containers:
        folders = [(Path(folder), date) for folder, date in args.containers]
        catalog |= {"registries": registries(args.sdk), "images": images(args.sdk, folders)}
        catalog["neuron"] = neuron_image(folders)
    if args.prices:
        catalog["prices"] = [listed_prices(args.prices), *catalog["prices"]]
    CATALOG.write_text(formatted(catalog), encoding="utf-8")


def training_types() -> list[str]:
    """All instance types of training jobs that botocore knows."""
    model = botocore.session.get_session().get_service_model("sagemaker")
    return list(model.shape_for("TrainingInstanceType").enum)


def ec2_types() -> Mapping[str, Any]:
    """Descriptions of EC2's instance types."""
    data = importlib.resources.files("moto").joinpath("ec2/resources/instance_types.json.gz").read_bytes()
    return json.loads(gzip.decompress(data))


def accelerators(sdk: Path) -> list[dict[str, Any]]:
    """Sources with their rows by instance type."""
    described, listed = ec2_types(), sdk_gpus(sdk)
    from_ec2: dict[str, Any] = {}
    from_sdk: dict[str, Any] = {}
    for name in training_types():
        if entry := described.get(name.removeprefix("ml.")):
            if row := ec2_row(entry):
                from_ec2[name] = row
        elif name in listed:
            gpu = next(gpu for family, gpu in SDK_GPUS.items() if name.startswith(f"ml.{family}"))
            from_sdk[name] = {"gpus": listed[name]["Count"], "name": gpu, "capability": CAPABILITIES[gpu]}
    version = importlib.metadata.version("moto")
    return [
        {"source": f"EC2 instance types of moto {version}", "date": read_on(), "types": from_ec2},
        {"source": f"instance_gpu_info.json of {sdk.stem}", "date": wheel_date(sdk), "types": from_sdk},
        OTHERS,
    ]


def ec2_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Accelerators of an EC2 instance type; empty if it has none."""
    architectures = entry["ProcessorInfo"]["SupportedArchitectures"]
    other = {} if "x86_64" in architectures else {"architecture": architectures[0]}
    if "NeuronInfo" in entry:
        return {"name": entry["NeuronInfo"]["NeuronDevices"][0]["Name"], **other}
    if "GpuInfo" not in entry:
        return {}
    (gpu,) = entry["GpuInfo"]["Gpus"]
    return {"gpus": gpu["Count"], "name": gpu["Name"], "capability": CAPABILITIES[gpu["Name"]], **other}


def sdk_gpus(sdk: Path) -> Mapping[str, Any]:
    """Numbers of GPUs by instance type in any region."""
    with zipfile.ZipFile(sdk) as wheel:
        regions = json.loads(wheel.read("sagemaker/core/image_uri_config/instance_gpu_info.json"))
    return {name: row for rows in regions.values() for name, row in rows.items()}


def sdk_versions(sdk: Path, repository: str) -> Mapping[str, Any]:
    """Training images of a repository in the SDK, by full version."""
    with zipfile.ZipFile(sdk) as wheel:
        file = wheel.read(f"sagemaker/core/image_uri_config/{REPOSITORIES[repository]}")
    return json.loads(file)["training"]["versions"]


def registries(sdk: Path) -> dict[str, Any]:
    """Host of AWS's registry by region."""
    suffixes = [
        (re.compile(one["regionRegex"]), one["dnsSuffix"])
        for one in botocore.session.get_session().get_data("endpoints")["partitions"]
    ]
    hosts: dict[str, str] = {}
    for repository in REPOSITORIES:
        for row in sdk_versions(sdk, repository).values():
            for region, account in row["registries"].items():
                suffix = next(suffix for form, suffix in suffixes if form.match(region))
                hosts[region] = f"{account}.dkr.ecr.{region}.{suffix}"
    files = " and ".join(REPOSITORIES.values())
    return {"source": f"{files} of {sdk.stem}", "date": wheel_date(sdk), "hosts": dict(sorted(hosts.items()))}


def images(sdk: Path, folders: Sequence[tuple[Path, str]]) -> list[dict[str, Any]]:
    """Training images that SageMaker can run, by version; those of the SDK for both processors."""
    every_region = set(registries(sdk)["hosts"])
    old = sdk_versions(sdk, LEGACY["repository"])[LEGACY["cpu"].partition("-")[0]]
    missing = sorted(every_region - set(old["registries"]))
    found: dict[str, dict[str, Any]] = {LEGACY["version"]: {**LEGACY, "missing": missing}}
    for repository in REPOSITORIES:
        in_sdk = sdk_versions(sdk, repository)
        for folder, date in folders:
            for path in sorted(folder.glob(f"docs/src/data/{repository}/*-cpu-sagemaker.yml")):
                cpu = yaml.safe_load(path.read_text(encoding="utf-8"))
                gpu_path = next(
                    one
                    for one in path.parent.glob(f"{cpu['version']}-*-sagemaker.yml")
                    if one.name != path.name
                )
                gpu = yaml.safe_load(gpu_path.read_text(encoding="utf-8"))
                row = next(row for full, row in in_sdk.items() if f"{full}.".startswith(f"{cpu['version']}."))
                forms = row.get("container_version", {})
                tags = {
                    name: f"{cpu['version']}-{forms[name]}" if forms else data["tags"][0]
                    for name, data in (("cpu", cpu), ("gpu", gpu))
                }
                if tags["cpu"] not in cpu["tags"] or tags["gpu"] not in gpu["tags"]:
                    raise SystemExit(f"{path}: the SDK's tags {tags} are not among those of the data files")
                found[cpu["version"]] = {
                    "framework": FRAMEWORK,
                    "version": cpu["version"],
                    "repository": repository,
                    **tags,
                    "cuda": int(gpu["cuda"].removeprefix("cu")),
                    "end_of_support": min(cpu["eop"], gpu["eop"]),
                    "missing": sorted(every_region - set(row["registries"])),
                    "source": f"{path.parent.relative_to(folder)}/{cpu['version']}-*-sagemaker.yml of aws/deep-learning-containers",
                    "date": date,
                }
    return [found[version] for version in sorted(found, key=lambda text: tuple(map(int, text.split("."))))]


def neuron_image(folders: Sequence[tuple[Path, str]]) -> str:
    """Repository and tag of the newest training image for Neuron."""
    repository = "pytorch-training-neuronx"
    paths = [path for folder, _ in folders for path in folder.glob(f"docs/src/data/{repository}/*.yml")]
    newest = max(paths, key=lambda path: [int(number) for number in re.findall(r"\d+", path.stem)])
    return f"{repository}:{yaml.safe_load(newest.read_text(encoding='utf-8'))['tags'][0]}"


def wheel_date(wheel: Path) -> str:
    """Date of a wheel's files."""
    with zipfile.ZipFile(wheel) as opened:
        year, month, day, *_ = max(info.date_time for info in opened.infolist())
    return f"{year}-{month:02}-{day:02}"


def listed_prices(region: str) -> dict[str, Any]:
    """A source of prices: today's price list of a region."""
    found = prices_at(resolve_endpoint("aws", region=region))
    rows = {name: price.dollars_per_hour for name, price in found.items() if price.source == PRICE_LIST}
    if not rows:
        raise SystemExit("The Price List API did not answer: are there credentials with pricing:GetProducts?")
    return {
        "source": "AWS Price List API",
        "region": region,
        "date": read_on(),
        "per_hour": {name: rows[name] for name in training_types() if name in rows},
    }


def formatted(catalog: Mapping[str, Any]) -> str:
    """JSON with short objects on one line."""

    def on_one_line(found: re.Match[str]) -> str:
        line = " ".join(found[0].split())
        return line if len(line) <= LINE else found[0]

    return re.sub(r"\{[^{}]*\}", on_one_line, json.dumps(catalog, indent=1)) + "\n"


def read_on() -> str:
    """Today's date."""
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    main()
