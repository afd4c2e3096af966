"""Where jobs run, and who is asked before something is created on AWS."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tunewright.backends.sagemaker import Estimate, estimate
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.plugin import describe_jobs
from tunewright.cli.confirm import confirm
from tunewright.cli.confirm import settle as settle_experiment
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits
from tunewright.experiments.run import run_experiment
from tunewright.methods import method
from tunewright.storage import experiments
from tunewright.testing.jobs import job_settings, training_benchmark

JOBS = estimate(job_settings(n_workers=4, instance_type="ml.c5.xlarge", warm_pool=True))


class Terminal(io.StringIO):
    """Standard input of somebody who can be asked."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS credentials and a region in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


def settle(
    endpoint: str, *, is_agreed: bool = False, ask: Callable[[str], str] | None = None
) -> SageMakerConfig:
    description = describe_jobs(SageMakerConfig(endpoint=endpoint), JOBS)
    return confirm(description, is_agreed=is_agreed, ask=ask or (lambda _: pytest.fail("asked")))


def test_without_credentials_auto_is_embedded_and_loud(capsys: pytest.CaptureFixture[str]) -> None:
    assert settle("auto").endpoint == "embedded"
    out = capsys.readouterr().out
    assert "NO AWS CREDENTIALS" in out
    assert "--endpoint aws for the role of an EC2 or notebook instance" in out
    assert settle("embedded").endpoint == "embedded"
    assert "NO AWS CREDENTIALS" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("jobs", "quota"),
    [(JOBS, "training warm pool usage"), (estimate(job_settings(spot=True)), "spot training job usage")],
)
def test_quotas_are_named(jobs: Estimate, quota: str, capsys: pytest.CaptureFixture[str]) -> None:
    confirm(describe_jobs(SageMakerConfig(endpoint="embedded"), jobs), is_agreed=False)
    assert f"ml.c5.xlarge for {quota}" in capsys.readouterr().out


def test_an_address_is_taken_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert settle("http://127.0.0.1:4566").endpoint == "http://127.0.0.1:4566"
    assert "http://127.0.0.1:4566" in capsys.readouterr().out


@pytest.mark.usefixtures("account")
def test_an_address_in_the_environment_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume without the variable goes to the same endpoint."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert settle("auto").endpoint == "http://127.0.0.1:9"


@pytest.mark.usefixtures("account")
def test_on_a_terminal_one_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    questions: list[str] = []

    def yes(question: str) -> str:
        questions.append(question)
        return "y"

    settled = settle("auto", ask=yes)
    assert (settled.endpoint, settled.region) == ("aws", "eu-west-1")
    assert len(questions) == 1
    shown = capsys.readouterr().out
    assert "up to 4 x ml.c5.xlarge, kept warm" in shown
    assert "at most $0.82 an hour (table, us-east-1, 2026-09-27)" in shown
    assert "price may differ in eu-west-1" in shown
    with pytest.raises(SettingsError, match="nothing was created"):
        settle("aws", ask=lambda _: "")
    assert settle("aws", is_agreed=True).endpoint == "aws"


@pytest.mark.usefixtures("account")
def test_elsewhere_it_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(SettingsError, match="--endpoint aws, --yes"):
        settle("auto")
    assert settle("aws").endpoint == "aws"
    assert settle("auto", is_agreed=True) == replace(SageMakerConfig(), endpoint="aws", region="eu-west-1")


def test_an_endpoint_that_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError, match="--endpoint"):
        settle("ews")


@pytest.mark.usefixtures("account")
def test_the_end_of_input_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(""))
    with pytest.raises(SettingsError, match="Not confirmed"):
        confirm(describe_jobs(SageMakerConfig(endpoint="aws"), JOBS), is_agreed=False)


def limited(**config: Any) -> Experiment:
    """An experiment on an instance type without a price, with a limit on dollars."""
    fields: dict[str, Any] = {"endpoint": "embedded", "instance_type": "ml.r8i.large,ml.c5.xlarge"} | config
    return Experiment(
        tag="dear",
        benchmark=training_benchmark(n_workers=2),
        method=method("RS"),
        label="RS",
        backend=SageMakerConfig(**fields),
        limits=Limits(max_cost=0.0001, max_num_trials=4),
    )


def test_a_limit_on_dollars_is_refused_if_a_price_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    for start in (lambda: settle_experiment(limited(), is_agreed=True), lambda: run_experiment(limited())):
        with pytest.raises(
            SettingsError, match=r"the price of ml\.r8i\.large is not known: give --price_per_hour"
        ):
            start()
    assert not list(experiments())
    for priced in ({"price_per_hour": 0.2}, {"instance_type": "ml.c5.xlarge"}):
        assert settle_experiment(limited(**priced), is_agreed=True).limits.max_cost == 0.0001
    settle_experiment(limited(), is_agreed=True, is_new=False)
    assert "unknown price" not in capsys.readouterr().err


def test_on_aws_the_refusal_names_the_permission(account: None) -> None:
    with pytest.raises(SettingsError, match="pricing:GetProducts"):
        settle_experiment(limited(endpoint="aws"), is_agreed=True)
