"""IAM permissions of Tunewright: one action per operation that it calls, and no others.

Three principals need them: the user (or the machine) that starts experiments; the role of tuning jobs, which do the same
in a remote launch; the role of trials' jobs, whose scripts and packages may be anybody's, and which therefore creates
nothing, passes no role, and reads and writes nothing but the objects of experiments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, final

ACTIONS: Final[Mapping[str, str]] = {
    "CreateTrainingJob": "sagemaker:CreateTrainingJob",
    "DescribeTrainingJob": "sagemaker:DescribeTrainingJob",
    "StopTrainingJob": "sagemaker:StopTrainingJob",
    "UpdateTrainingJob": "sagemaker:UpdateTrainingJob",
    "ListTrainingJobs": "sagemaker:ListTrainingJobs",
    "ListTags": "sagemaker:ListTags",
    "Search": "sagemaker:Search",
    "FilterLogEvents": "logs:FilterLogEvents",
    "ListServiceQuotas": "servicequotas:ListServiceQuotas",
    "GetProducts": "pricing:GetProducts",
    "ListAWSDefaultServiceQuotas": "servicequotas:ListAWSDefaultServiceQuotas",
    "GetCallerIdentity": "sts:GetCallerIdentity",
    "GetRole": "iam:GetRole",
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

_IMAGE_ACTIONS: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
)
"""Actions of the service with a job's role: reading the image."""
_LOG_ACTIONS: Final = (
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
)
"""Actions of the service with a job's role: writing the log."""
_KEY_ACTIONS: Final = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")
_GRANT: Final = "kms:CreateGrant"
"""Lets the service use the key for the disks of the instances."""

_NETWORK_ACTIONS: Final = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
"""Actions of the service with the role of a job in a VPC: its network interfaces.

Source: SageMaker Developer Guide, "How to use SageMaker AI execution roles", CreateTrainingJob API with a private VPC
(https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html)."""

_ON_JOBS: Final = ("Create", "Describe", "Stop", "Update")
_LISTS: Final = (
    "sagemaker:ListTrainingJobs",
    "sagemaker:Search",
    "servicequotas:ListServiceQuotas",
    "pricing:GetProducts",
    "servicequotas:ListAWSDefaultServiceQuotas",
    "sts:GetCallerIdentity",
)
"""Actions that cannot be limited to a resource."""

_PARAMETER: Final = "ssm:"
"""Begins secrets that are parameters of Systems Manager."""
_LOG_GROUP: Final = "log-group:/aws/sagemaker/TrainingJobs"

Principal: TypeAlias = Literal["user", "tuning-job", "trial"]
ANY: Final = "*"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Account, role and objects that a policy is for; :data:`ANY` stands for all."""

    region: str = ANY
    account: str = ANY
    partition: str = "aws"
    bucket: str = ""
    """Empty: the default bucket."""
    passed_role: str = ANY
    """ARN of the role that may be passed to jobs."""
    experiments: str = ""
    """Beginning of the names of the experiments, as their S3 prefixes have it."""
    kms_key: str = ""
    """ARN of the key that encrypts objects and disks; empty: none."""
    inputs: Sequence[str] = ()
    """Input data of trials: ``s3://bucket/prefix``, of which the service copies all objects whose keys begin so."""
    has_vpc: bool = False
    """Whether jobs run in subnets of a VPC."""
    assumed_role: str = ""
    """ARN of the role that a user assumes for all requests; empty: none."""
    secrets: Sequence[str] = ()
    """Secrets that trials get as variables: names or ARNs in Secrets Manager, or ``ssm:PARAMETER``."""

    def arn(self, service: str, resource: str) -> str:
        """ARN of a resource of the account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    @property
    def bucket_arn(self) -> str:
        """ARN of the bucket."""
        name = self.bucket or f"sagemaker-{self.region}-{self.account}"
        return f"arn:{self.partition}:s3:::{name}"

    @property
    def owner(self) -> dict[str, str]:
        """Condition that an account owns the bucket."""
        return {} if self.account == ANY else {"aws:ResourceAccount": self.account}


def policy(principal: Principal = "user", scope: Scope | None = None) -> dict[str, Any]:
    """An IAM policy document.

    Parameters
    ----------
    principal
        ``user``: who starts experiments. ``tuning-job``: the role of tuning jobs. ``trial``: the role of trials' jobs. The
        service itself uses the roles as well, to read images and to write logs.
    scope
        Default: any account, and roles of any name.
    """
    scope = scope or Scope()
    if principal == "trial":
        return _document(_trial(scope) + _inputs(scope) + _service(scope) + _key(scope) + _secrets(scope))
    statements = _starter(scope, is_user=principal == "user")
    service = [] if principal == "user" else _service(scope)
    return _document(statements + service + _key(scope))


def _starter(scope: Scope, *, is_user: bool) -> list[dict[str, Any]]:
    """Statements of what starts jobs: a user, or a tuning job, to which its role and bucket are given."""
    jobs = [a for o, a in ACTIONS.items() if a.startswith("sagemaker:") and o.startswith(_ON_JOBS)]
    to_service = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    statements = [
        _statement(
            "Jobs", [*jobs, IMPLIED[0], ACTIONS["ListTags"]], scope.arn("sagemaker", "training-job/*")
        ),
        _statement("Lists", [*_LISTS, *(["iam:ListRoles"] if is_user else [])], ANY),
        _statement("Role", [IMPLIED[1]], scope.passed_role, to_service),
        _statement("Bucket", ["s3:ListBucket"], scope.bucket_arn, _equals(scope.owner)),
        _statement("Objects", _object_actions(), f"{scope.bucket_arn}/tunewright/*", _equals(scope.owner)),
        _statement("Logs", ["logs:FilterLogEvents"], scope.arn("logs", f"{_LOG_GROUP}:*")),
    ]
    if is_user:
        roles = f"arn:{scope.partition}:iam::{scope.account}:role/*"
        statements += [
            _statement("RoleLookup", ["iam:GetRole"], roles),
            _statement("NewBucket", ["s3:CreateBucket"], scope.bucket_arn),
        ]
        if scope.assumed_role:
            statements.append(_statement("AssumedRole", ["sts:AssumeRole"], scope.assumed_role))
    return statements


def _trial(scope: Scope) -> list[dict[str, Any]]:
    """Statements of trials' jobs: the objects of their experiments; code is read only.

    A request for an object has no prefix. S3 tells only those who may list the bucket that an object does not exist, so the
    condition must let requests without a prefix pass: a control object is missing most of the time.
    """
    own = f"tunewright/{scope.experiments}*"
    prefixes = {**_equals(scope.owner), "StringLikeIfExists": {"s3:prefix": ["tunewright/code/*", own]}}
    code = f"{scope.bucket_arn}/tunewright/code/*"
    return [
        _statement("Bucket", ["s3:ListBucket"], scope.bucket_arn, prefixes),
        _statement("Objects", _object_actions(), f"{scope.bucket_arn}/{own}", _equals(scope.owner)),
        _statement("Code", ["s3:GetObject"], code, _equals(scope.owner)),
    ]


def _inputs(scope: Scope) -> list[dict[str, Any]]:
    """Statements of the service's copies of input data, two per bucket, whoever owns it."""
    prefixes: dict[str, list[str]] = defaultdict(list)
    for uri in scope.inputs:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        prefixes[bucket].append(prefix)
    statements: list[dict[str, Any]] = []
    for number, (bucket, found) in enumerate(prefixes.items(), 1):
        arn = f"arn:{scope.partition}:s3:::{bucket}"
        listed = {"StringLikeIfExists": {"s3:prefix": [f"{prefix}*" for prefix in found]}}
        statements += [
            _statement(f"InputBucket{number}", ["s3:ListBucket"], arn, listed),
            _statement(f"Input{number}", ["s3:GetObject"], [f"{arn}/{prefix}*" for prefix in found]),
        ]
    return statements


def _service(scope: Scope) -> list[dict[str, Any]]:
    """Statements of what the service does with the role of a job."""
    network = [_statement("Network", _NETWORK_ACTIONS, ANY)] if scope.has_vpc else []
    return [
        _statement("Image", _IMAGE_ACTIONS, ANY),
        _statement("Output", _LOG_ACTIONS, scope.arn("logs", f"{_LOG_GROUP}*")),
        *network,
    ]


def _key(scope: Scope) -> list[dict[str, Any]]:
    return [_statement("Key", [*_KEY_ACTIONS, _GRANT], scope.kms_key)] if scope.kms_key else []


def _secrets(scope: Scope) -> list[dict[str, Any]]:
    """Statements for reading secrets; the ARN of a secret ends in a hyphen and six characters after its name."""
    places = [secret.partition("#")[0] for secret in scope.secrets]
    parameters = [place.removeprefix(_PARAMETER) for place in places if place.startswith(_PARAMETER)]
    named = {
        ("Parameter", "ssm:GetParameter"): [
            name if name.startswith("arn:") else scope.arn("ssm", f"parameter/{name.lstrip('/')}")
            for name in parameters
        ],
        ("Secret", "secretsmanager:GetSecretValue"): [
            name if name.startswith("arn:") else scope.arn("secretsmanager", f"secret:{name}-??????")
            for name in places
            if not name.startswith(_PARAMETER)
        ],
    }
    return [
        _statement(f"{kind}{number}", [action], arn)
        for (kind, action), arns in named.items()
        for number, arn in enumerate(dict.fromkeys(arns), 1)
    ]


def _object_actions() -> list[str]:
    return [a for a in ACTIONS.values() if a.startswith("s3:") and a.endswith(("Object", "Upload"))]


def _equals(values: Mapping[str, str]) -> dict[str, Any]:
    return {"StringEquals": dict(values)} if values else {}


def _document(statements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _statement(
    sid: str,
    actions: Sequence[str],
    resource: str | Sequence[str],
    condition: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": sorted(set(actions)), "Resource": resource}
    return {**statement, "Condition": dict(condition)} if condition else statement
