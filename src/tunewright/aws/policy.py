"""IAM permissions of Tunewright: one action per operation that it calls, and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

ACTIONS: Final[Mapping[str, str]] = {
    "CreateTrainingJob": "sagemaker:CreateTrainingJob",
    "DescribeTrainingJob": "sagemaker:DescribeTrainingJob",
    "StopTrainingJob": "sagemaker:StopTrainingJob",
    "UpdateTrainingJob": "sagemaker:UpdateTrainingJob",
    "ListTrainingJobs": "sagemaker:ListTrainingJobs",
    "Search": "sagemaker:Search",
    "FilterLogEvents": "logs:FilterLogEvents",
    "ListServiceQuotas": "servicequotas:ListServiceQuotas",
    "GetProducts": "pricing:GetProducts",
    "GetCallerIdentity": "sts:GetCallerIdentity",
    "ListRoles": "iam:ListRoles",
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "CreateBucket": "s3:CreateBucket",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
}
"""Operation, as counted in calls -> its IAM action."""

IMPLIED: Final = ("sagemaker:AddTags", "iam:PassRole")
"""Further actions of CreateTrainingJob, for tags and role of the jobs."""

_JOB_ACTIONS: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
)
"""Actions of the service with a job's role: reading the image and writing the log."""

_ON_JOBS: Final = ("Create", "Describe", "Stop", "Update")


def policy(
    *,
    region: str = "*",
    account: str = "*",
    role_arn: str = "*",
    partition: str = "aws",
    for_jobs: bool = False,
) -> dict[str, Any]:
    """An IAM policy document.

    Parameters
    ----------
    region, account, partition
        Scope; ``*`` for any.
    role_arn
        Role that may be passed to jobs.
    for_jobs
        True: policy of the tuning jobs' role, which the service itself uses as well. False: policy of a user.
    """
    jobs = [a for o, a in ACTIONS.items() if a.startswith("sagemaker:") and o.startswith(_ON_JOBS)]
    objects = [a for a in ACTIONS.values() if a.startswith("s3:") and a.endswith(("Object", "Upload"))]
    bucket = f"arn:{partition}:s3:::sagemaker-{region}-{account}"
    log_group = f"arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/TrainingJobs:*"
    everywhere = (
        "sagemaker:ListTrainingJobs",
        "sagemaker:Search",
        "servicequotas:ListServiceQuotas",
        "pricing:GetProducts",
        "sts:GetCallerIdentity",
        "iam:ListRoles",
    )
    statements = [
        _statement(
            "Jobs",
            [*jobs, IMPLIED[0]],
            f"arn:{partition}:sagemaker:{region}:{account}:training-job/*",
        ),
        _statement("Lists", everywhere, "*"),
        {
            **_statement("Role", [IMPLIED[1]], role_arn),
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
        _statement("Bucket", ["s3:ListBucket", "s3:CreateBucket"], bucket),
        _statement("Objects", objects, f"{bucket}/tunewright/*"),
        _statement("Logs", ["logs:FilterLogEvents"], log_group),
    ]
    if for_jobs:
        statements.append(_statement("Service", _JOB_ACTIONS, "*"))
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(sid: str, actions: Sequence[str], resource: str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(set(actions)), "Resource": resource}
