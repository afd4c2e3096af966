"""What this machine remembers of a launch: where it was sent, so that its status can be asked for by tag alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from tunewright.aws import Endpoint, resolve_endpoint
from tunewright.exceptions import SettingsError
from tunewright.remote.requests import endpoint_facts
from tunewright.storage import home, safe_name, write_atomically


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRecord:
    """Where a launch was sent."""

    choice: str
    region: str
    speed: float | None
    bucket: str

    @staticmethod
    def of(endpoint: Endpoint, bucket: str) -> LaunchRecord:
        """The record of a launch to an endpoint."""
        return LaunchRecord(**endpoint_facts(endpoint), bucket=bucket)

    def endpoint(self) -> Endpoint:
        """Where requests go."""
        return resolve_endpoint(self.choice, region=self.region, speed=self.speed)


def save_record(tag: str, record: LaunchRecord) -> None:
    """Remember a launch."""
    path = _path(tag)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(record), indent=2) + "\n")


def load_record(tag: str) -> LaunchRecord | None:
    """What is remembered of a launch; None where it was made on another machine.

    Raises
    ------
    SettingsError
        The file is damaged.
    """
    path = _path(tag)
    try:
        return LaunchRecord(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be read ({error}): remove it and give --endpoint and --region"
        ) from None


def _path(tag: str) -> Path:
    return home() / "remote" / f"{safe_name(tag, 'experiment tag')}.json"
