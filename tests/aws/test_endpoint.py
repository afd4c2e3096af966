"""Which endpoint is meant, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.aws import EndpointKind, resolve_endpoint
from tunewright.aws.endpoint import EMBEDDED_SPEED
from tunewright.exceptions import SettingsError

NAMES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_auto_is_embedded_without_credentials() -> None:
    endpoint = resolve_endpoint()
    assert (endpoint.kind, endpoint.url, endpoint.speed) == (EndpointKind.EMBEDDED, None, EMBEDDED_SPEED)
    assert endpoint.region == "us-east-1"


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s"},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/role"},
    ],
)
def test_auto_is_aws_with_credentials(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    endpoint = resolve_endpoint("auto")
    assert (endpoint.kind, endpoint.region, endpoint.speed) == (EndpointKind.AWS, "eu-west-1", 1.0)


def test_an_address_in_the_environment_is_not_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 sends requests there, whatever is said about AWS."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "A")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    endpoint = resolve_endpoint("auto")
    assert (endpoint.kind, endpoint.url) == (EndpointKind.OTHER, "http://127.0.0.1:9")
    with pytest.raises(
        SettingsError, match=r"by AWS_ENDPOINT_URL, and not to AWS: .*--endpoint http://127\.0\.0\.1:9"
    ):
        resolve_endpoint("aws")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://vpce-1.api.sagemaker.eu-west-1.vpce.amazonaws.com")
    assert (resolve_endpoint("aws").kind, resolve_endpoint("aws").url) == (EndpointKind.AWS, None)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:8")
    assert resolve_endpoint("auto").url == "http://127.0.0.1:8"


def test_auto_is_aws_with_a_credentials_file(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = A\naws_secret_access_key = s\n")
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    assert resolve_endpoint().region == "eu-north-1"


def test_aws_needs_a_region() -> None:
    with pytest.raises(SettingsError, match="--region"):
        resolve_endpoint("aws")
    assert resolve_endpoint("aws", region="us-west-2").region == "us-west-2"


def test_aws_is_as_fast_as_it_is() -> None:
    with pytest.raises(SettingsError, match="real time"):
        resolve_endpoint("aws", region="us-west-2", speed=60)


def test_an_address_is_taken_as_it_is() -> None:
    endpoint = resolve_endpoint("http://127.0.0.1:5000", speed=10)
    assert (endpoint.kind, endpoint.url, endpoint.speed) == (EndpointKind.OTHER, "http://127.0.0.1:5000", 10)
    assert endpoint.seconds(30) == 3
    assert endpoint.seconds(1, at_least=1) == 1


def test_other_words_are_refused() -> None:
    with pytest.raises(SettingsError, match="--endpoint"):
        resolve_endpoint("azure")


@pytest.mark.parametrize("speed", [0, -1])
def test_speed_is_positive(speed: float) -> None:
    with pytest.raises(SettingsError, match="speed"):
        resolve_endpoint("embedded", speed=speed)


def test_a_profile_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    for choice in ("auto", "aws"):
        with pytest.raises(SettingsError, match="nobody"):
            resolve_endpoint(choice)


def test_a_given_profile_or_role_means_aws(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = eu-north-1\n")
    endpoint = resolve_endpoint("auto", profile="work")
    assert (endpoint.kind, endpoint.region, endpoint.profile) == (EndpointKind.AWS, "eu-north-1", "work")
    role = "arn:aws:iam::123456789012:role/a"
    endpoint = resolve_endpoint("auto", region="us-west-2", assume_role=role)
    assert (endpoint.kind, endpoint.assume_role) == (EndpointKind.AWS, role)
    with pytest.raises(SettingsError, match=r"nobody.*--profile"):
        resolve_endpoint("auto", profile="nobody")
    with pytest.raises(SettingsError, match="are for AWS"):
        resolve_endpoint("embedded", profile="work")
    with pytest.raises(SettingsError, match="ARN"):
        resolve_endpoint("aws", region="us-west-2", assume_role="admin")


def test_the_embedded_endpoint_is_in_a_region_that_there_is() -> None:
    assert resolve_endpoint("embedded", region="eu-west-1").region == "eu-west-1"
    with pytest.raises(SettingsError, match="Did you mean 'eu-west-1'"):
        resolve_endpoint("embedded", region="eu-wset-1")
