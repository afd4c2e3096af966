"""The assumptions about SageMaker on which backend, runner and remote launches rest, with the tests that hold us to them.

The numbers are those of an audit against botocore's model, AWS's sources and its documentation, in November 2026. An assumption
that it found contradicted is not made any more: its sentence says the present rule. `tunewright sagemaker verify` looks at each of
them on an account (:mod:`tunewright.backends.sagemaker.verification.verifier`); ``docs/sagemaker_assumptions.md`` shows this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final


class Audit(StrEnum):
    """Result of the audit for the assumption that was made at its time."""

    CONFIRMED = "confirmed"
    PARTLY = "partly"
    """Confirmed in part, or likely."""
    UNKNOWN = "unknown"
    """No source says it."""
    CONTRADICTED = "contradicted"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One sentence about the service."""

    number: int
    """From 1; also that of its line in the result of ``verify``."""
    text: str
    """Holds for this version."""
    audit: Audit
    was: str = ""
    """The assumption that the audit refuted, if the sentence is another one."""
    tests: tuple[str, ...] = ()
    """Tests that hold us to it on the endpoint: path and name."""
    hidden: str = ""
    """Reason why ``verify`` cannot see it; empty: it can."""

    @property
    def settled_by(self) -> str:
        """The tests, and the line of ``verify``, in Markdown."""
        tests = [f"`{test}`" for test in self.tests]
        line = [] if self.hidden else [f"needs an account: verify line {self.number}"]
        return "; ".join([*tests, *line])


_SERVICE: Final = "tests/sagemaker_emulator/service"
_EXECUTION: Final = "tests/sagemaker_emulator/execution"
_STORAGE: Final = "tests/sagemaker_emulator/storage"
_BACKEND: Final = "tests/backends/sagemaker"
_BILLS: Final = (
    "test_lifecycle.py::test_bills_count_service_seconds_of_the_phases_and_real_seconds_of_the_training"
)
_TOOLKIT: Final = (
    "tests/conformance/test_cli_and_toolkit.py::"
    "test_the_real_toolkit_runs_a_script_and_ignores_a_stop_which_our_runner_does_not"
)

ASSUMPTIONS: Final = (
    Assumption(
        number=1,
        text="ContainerEntrypoint and ContainerArguments replace the program of the image: the runner starts.",
        audit=Audit.CONFIRMED,
        tests=(
            f"{_BACKEND}/test_requests.py::test_golden",
            "tests/integration/test_sagemaker_backend.py::test_code_that_was_changed_in_s3_is_not_run",
        ),
    ),
    Assumption(
        number=2,
        text="`python3` on the image's PATH is the interpreter that has torch.",
        audit=Audit.CONFIRMED,
        tests=(f"{_EXECUTION}/test_data.py::test_an_image_can_have_an_interpreter_of_its_own",),
    ),
    Assumption(
        number=3,
        text="The channel `code` is at /opt/ml/input/data/code; it is writable, and the script runs in its folder `source`.",
        audit=Audit.CONFIRMED,
        tests=(f"{_EXECUTION}/test_data.py::test_channels",),
    ),
    Assumption(
        number=4,
        text="SIGTERM of StopTrainingJob reaches the runner, which is process 1.",
        audit=Audit.CONFIRMED,
        tests=(_TOOLKIT, "tests/runner/test_supervisor.py::test_sigterm_to_the_runner_reaches_the_script"),
    ),
    Assumption(
        number=5,
        text="A spot interruption may come without SIGTERM: a checkpoint is stored once a minute, and a signal saves the rest.",
        audit=Audit.UNKNOWN,
        was="A spot interruption is SIGTERM and two minutes.",
        tests=(
            f"{_BACKEND}/test_spot.py::test_a_replacement_by_the_service_is_a_retry_of_the_same_job",
            "tests/integration/test_spot_sagemaker.py::test_interrupted_trials_lose_nothing",
        ),
        hidden="an interruption cannot be requested",
    ),
    Assumption(
        number=6,
        text="A job has TRAINING_JOB_NAME, AWS_REGION and credentials of its role.",
        audit=Audit.CONFIRMED,
        tests=(f"{_EXECUTION}/test_processes.py::test_a_job_sees_its_own_opt_ml_and_nothing_of_the_host",),
    ),
    Assumption(
        number=7,
        text="/proc/driver/nvidia/gpus has one entry per GPU, as many as nvidia-smi and torch count.",
        audit=Audit.UNKNOWN,
        tests=(f"{_BACKEND}/workers/test_sizing.py::test_each_gpu_has_a_trial",),
    ),
    Assumption(
        number=8,
        text="A script has all SM_* variables of SageMaker's toolkit.",
        audit=Audit.CONTRADICTED,
        was="The same; seven were missing, which the runner sets now.",
        tests=("tests/runner/test_command.py::test_the_toolkits_variables_are_all_there",),
    ),
    Assumption(
        number=9,
        text="A job can do without the image's entry point: its hosts have addresses, and the runner sets MASTER_ADDR, "
        "MASTER_PORT and NCCL_SOCKET_IFNAME.",
        audit=Audit.PARTLY,
        tests=("tests/runner/test_command.py::test_hosts_find_each_other_by_the_variables_of_pytorch",),
    ),
    Assumption(
        number=10,
        text="The boto3 of the image knows IfNoneMatch and IfMatch; in an older image a worker installs a newer one.",
        audit=Audit.PARTLY,
        tests=(
            f"{_BACKEND}/test_runner_side.py::test_an_image_without_boto3_installs_it",
            f"{_BACKEND}/test_runner_side.py::test_a_worker_replaces_a_boto3_without_conditional_writes",
            f"{_BACKEND}/workers/test_leases.py::test_contested_runs_have_exactly_one_winner",
        ),
    ),
    Assumption(
        number=11,
        text="A job with equal role, instances, volume and network takes over a warm pool; arguments and limits may differ.",
        audit=Audit.CONFIRMED,
        tests=(
            f"{_SERVICE}/test_pools.py::test_a_matching_job_takes_over_the_pool_and_its_folder",
            f"{_SERVICE}/test_pools.py::test_a_pool_that_does_not_match_exactly_counts_against_the_quota",
        ),
    ),
    Assumption(
        number=12,
        text="A warm pool without quota is dropped silently: the job is accepted, its pool is not kept.",
        audit=Audit.CONFIRMED,
        tests=(
            f"{_SERVICE}/test_pools.py::test_without_pool_quota_the_cluster_is_silently_given_up",
            f"{_BACKEND}/test_backend.py::test_a_pool_that_is_not_kept_is_said_once",
        ),
    ),
    Assumption(
        number=13,
        text="The pool of an ended job is InUse for 30 s at most, then Available; the next job waits so long for it.",
        audit=Audit.UNKNOWN,
        tests=(f"{_BACKEND}/test_instances.py::test_an_idle_pool_decides",),
    ),
    Assumption(
        number=14,
        text="UpdateTrainingJob with KeepAlivePeriodInSeconds 0 releases a pool; an error for a job without one is harmless.",
        audit=Audit.PARTLY,
        tests=(
            f"{_SERVICE}/test_pools.py::test_update_releases_or_prolongs_an_available_pool",
            f"{_SERVICE}/test_pools.py::test_update_is_refused_where_there_is_no_available_pool",
        ),
    ),
    Assumption(
        number=15,
        text="KeepAlivePeriodInSeconds above 3600 is refused without a quota of its own.",
        audit=Audit.CONFIRMED,
        tests=(f"{_SERVICE}/test_validation.py::test_the_cap_of_keep_alive_is_a_setting",),
    ),
    Assumption(
        number=16,
        text="Spot instances are not kept warm: the request is refused.",
        audit=Audit.CONFIRMED,
        tests=(
            f"{_SERVICE}/test_validation.py::test_rules_that_no_single_member_can_break",
            f"{_BACKEND}/test_requests.py::test_settings_that_cannot_work",
        ),
    ),
    Assumption(
        number=17,
        text="A job name that was used is refused with ResourceInUse.",
        audit=Audit.CONFIRMED,
        tests=(
            f"{_SERVICE}/test_lifecycle.py::test_names_are_taken_until_the_job_is_deleted",
            f"{_BACKEND}/test_backend.py::test_a_lost_answer_is_adopted",
        ),
    ),
    Assumption(
        number=18,
        text="Too many instances are refused with ResourceLimitExceeded, whose text has the limit and the request's delta.",
        audit=Audit.CONFIRMED,
        tests=(
            f"{_SERVICE}/test_pools.py::test_the_quota_error_is_the_services",
            f"{_BACKEND}/test_instances.py::test_a_job_larger_than_the_limit_ends_the_experiment",
        ),
    ),
    Assumption(
        number=19,
        text="A FailureReason begins with AlgorithmError and has the text of /opt/ml/output/failure (the service's own: "
        "CapacityError, InternalServerError, ClientError).",
        audit=Audit.CONFIRMED,
        tests=(f"{_SERVICE}/test_lifecycle.py::test_failures_have_the_reasons_of_the_service",),
    ),
    Assumption(
        number=20,
        text="A hyperparameter takes 2500 characters without line breaks, an environment variable 512.",
        audit=Audit.CONFIRMED,
        tests=(
            f"{_SERVICE}/test_validation.py::test_constraints_of_the_model",
            f"{_BACKEND}/test_requests.py::test_any_configuration_fits_the_service",
        ),
    ),
    Assumption(
        number=21,
        text="ListTrainingJobs returns SecondaryStatus and WarmPoolStatus.",
        audit=Audit.CONFIRMED,
        tests=(f"{_SERVICE}/test_listing.py::test_summaries_tell_what_a_sweep_needs",),
    ),
    Assumption(
        number=22,
        text="NameContains is applied before a page is cut. If not, listings are bounded, and DescribeTrainingJob finds the rest.",
        audit=Audit.UNKNOWN,
        tests=(f"{_BACKEND}/test_sweeps.py::test_a_long_run_is_found_among_thousands_that_came_after_it",),
    ),
    Assumption(
        number=23,
        text="CreateTrainingJob is accepted once a second and ListTrainingJobs twice; a refusal has a code of throttling.",
        audit=Audit.PARTLY,
        tests=(
            f"{_SERVICE}/test_faults.py::test_published_rates_hold_for_each_service_second",
            "tests/aws/test_rates.py::test_throttling_halves_the_rate_down_to_a_two_hundredth",
        ),
    ),
    Assumption(
        number=24,
        text="Tuners share the account's rates: each lists jobs only after an end or a minute of silence, and slows down when refused.",
        audit=Audit.CONTRADICTED,
        was="Each process may use half of the account's ListTrainingJobs.",
        tests=(f"{_BACKEND}/test_many_tuners.py::test_forty_two_tuners_are_seldom_refused_and_none_starves",),
        hidden="needs many tuners at once",
    ),
    Assumption(
        number=25,
        text='Quotas are named "TYPE for training job usage", "TYPE for spot training job usage", '
        '"TYPE for training warm pool usage" and "Rate of CreateTrainingJob requests".',
        audit=Audit.CONFIRMED,
        tests=(f"{_SERVICE}/test_account_pages.py::test_quotas_are_those_that_bind",),
    ),
    Assumption(
        number=26,
        text="A quota that ListServiceQuotas leaves out is unknown, not zero; ListAWSDefaultServiceQuotas has its default.",
        audit=Audit.CONTRADICTED,
        was="ListServiceQuotas lists every quota.",
        tests=(
            f"{_BACKEND}/workers/test_preflight.py::test_a_quota_that_is_not_listed_is_unknown",
            f"{_SERVICE}/test_presets.py::test_a_strict_account_lists_applied_quotas_only",
        ),
    ),
    Assumption(
        number=27,
        text='"Number of instances across all training jobs" limits all types together; it is compared with the need.',
        audit=Audit.CONTRADICTED,
        was="Only quotas per instance type matter.",
        tests=(
            f"{_SERVICE}/test_presets.py::test_four_instances_across_all_training_jobs",
            "tests/cli/test_quotas.py::test_the_limits_of_all_types_together_and_of_one_job_count",
        ),
    ),
    Assumption(
        number=28,
        text="GetRole returns the ARN of a role's name, with its path.",
        audit=Audit.CONTRADICTED,
        was="The ARN of a role is role/NAME.",
        tests=(
            "tests/aws/test_services.py::test_the_accounts_only_role_is_found",
            "tests/aws/test_services.py::test_a_role_that_may_not_be_looked_up_is_one_of_the_console",
        ),
    ),
    Assumption(
        number=29,
        text="VolumeKmsKeyId is refused for instance types with local NVMe disks, for which it is not sent.",
        audit=Audit.CONTRADICTED,
        was="VolumeKmsKeyId may always be sent.",
        tests=(
            f"{_BACKEND}/test_requests.py::test_the_key_of_disks_is_left_out_where_the_hardware_encrypts_them",
            f"{_SERVICE}/test_validation.py::test_a_volume_key_is_refused_where_ec2_has_local_storage",
        ),
    ),
    Assumption(
        number=30,
        text="VolumeSizeInGB has no effect on instance types with local NVMe disks.",
        audit=Audit.CONFIRMED,
    ),
    Assumption(
        number=31,
        text="A default bucket must be the account's own: requests carry ExpectedBucketOwner, and S3 refuses another owner with 403.",
        audit=Audit.CONTRADICTED,
        was="A bucket of the default name is ours.",
        tests=(
            f"{_BACKEND}/test_buckets.py::test_the_tuner_refuses_a_default_bucket_of_another_account",
            f"{_BACKEND}/test_buckets.py::test_a_job_refuses_a_bucket_of_another_account",
            f"{_STORAGE}/test_objects.py::test_requests_that_expect_another_owner_are_refused",
        ),
    ),
    Assumption(
        number=32,
        text="S3 encrypts objects of a new bucket, and keeps the bucket private.",
        audit=Audit.CONFIRMED,
    ),
    Assumption(
        number=33,
        text="S3 lists an object as soon as it is written, and refuses a conditional write with 412.",
        audit=Audit.CONFIRMED,
        tests=(
            f"{_STORAGE}/test_objects.py::test_a_conditional_write_that_is_refused_changes_nothing",
            f"{_BACKEND}/workers/test_leases.py::test_a_run_never_has_two_workers",
        ),
    ),
    Assumption(
        number=34,
        text="Reports in keys cost less than 1 % of the instances.",
        audit=Audit.CONFIRMED,
        tests=(f"{_BACKEND}/test_channel.py::test_one_listing_brings_everything_once",),
        hidden="requests of S3 are billed by the month",
    ),
    Assumption(
        number=35,
        text="BillableTimeInSeconds begins with Downloading: the wait for an instance is free.",
        audit=Audit.CONFIRMED,
        tests=(f"{_SERVICE}/{_BILLS}",),
    ),
    Assumption(
        number=36,
        text="A job that waits for less than a minute began on warm instances; new ones take longer.",
        audit=Audit.UNKNOWN,
        tests=(f"{_BACKEND}/test_costs.py::test_a_bill_has_phases_and_tells_a_warm_start",),
    ),
    Assumption(
        number=37,
        text="The folder of a CheckpointConfig is copied whole when the job is over; a copy counts only if its sizes are right.",
        audit=Audit.UNKNOWN,
        tests=(
            f"{_BACKEND}/test_logs_channel.py::test_lost_jobs_go_on_from_what_was_copied_whole",
            f"{_EXECUTION}/test_data.py::test_checkpoints_come_in_and_go_out_while_the_job_runs",
        ),
    ),
    Assumption(
        number=38,
        text="FilterLogEvents finds a line by the prefix of its stream, 60 s after it was printed at the latest.",
        audit=Audit.UNKNOWN,
        tests=(
            f"{_STORAGE}/test_services.py::test_filter_by_stream_prefix",
            f"{_BACKEND}/test_logs_channel.py::test_what_comes_late_is_waited_for",
        ),
    ),
    Assumption(
        number=39,
        text="StopTrainingJob of a job that is over is refused with ValidationException.",
        audit=Audit.CONFIRMED,
        tests=(f"{_SERVICE}/test_lifecycle.py::test_stopping_what_is_over_or_unknown_is_refused",),
    ),
    Assumption(
        number=40,
        text="RetryStrategy starts a job again under its own name, from scratch; the runner continues from its checkpoint.",
        audit=Audit.CONFIRMED,
        tests=(
            f"{_SERVICE}/test_faults.py::test_an_internal_error_is_retried_as_often_as_asked",
            f"{_BACKEND}/test_runner_side.py::test_the_next_life_of_a_job_goes_on_as_a_retry",
        ),
        hidden="an internal error of the service cannot be requested",
    ),
    Assumption(
        number=41,
        text="The quota of the longest run time of a training job is 5 days by default; tuning jobs keep within it.",
        audit=Audit.CONFIRMED,
    ),
    Assumption(
        number=42,
        text="Credentials of an EC2 or notebook instance count with --endpoint aws only, as the message without credentials says.",
        audit=Audit.PARTLY,
        was="The same, but the message did not say so.",
        tests=("tests/cli/test_confirm.py::test_without_credentials_auto_is_embedded_and_loud",),
        hidden="verify has credentials",
    ),
    Assumption(
        number=43,
        text="Credentials of SSO are found; expired ones are an error that names aws sso login.",
        audit=Audit.CONFIRMED,
        tests=("tests/aws/test_denials.py::test_credentials_that_boto3_cannot_get_are_no_lost_answer",),
        hidden="verify has valid credentials",
    ),
    Assumption(
        number=44,
        text="Requests of --endpoint aws go to AWS; an address in AWS_ENDPOINT_URL is refused or taken as an endpoint of its own.",
        audit=Audit.CONTRADICTED,
        was="With AWS_ENDPOINT_URL, --endpoint aws is AWS.",
        tests=("tests/aws/test_endpoint.py::test_an_address_in_the_environment_is_not_aws",),
    ),
)
"""All of them, in the order of their numbers."""


def assumptions_table() -> str:
    """The table of ``docs/sagemaker_assumptions.md``, in Markdown."""
    lines = ["| # | assumption | audit | held by |", "|---|---|---|---|"]
    for one in ASSUMPTIONS:
        was = f" (before: {one.was})" if one.was else ""
        lines.append(f"| {one.number} | {one.text} | {one.audit}{was} | {one.settled_by} |")
    return "\n".join(lines)
