"""Accounts that say no: a new one, and one whose permissions are checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, MetadataRetrievalError
from botocore.utils import ContainerMetadataFetcher

from sagemaker_emulator.emulator import permissions_of
from sagemaker_emulator.service.settings import ServiceSettings
from sagemaker_emulator.storage import EXECUTION_ROLE_ARN, AwsServices
from sagemaker_emulator.storage.permissions import CREDENTIALS_PATH

Service = Any

ACCOUNT = "123456789012"
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job"
PASS_ROLE = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.6"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str = "*", **parts: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **parts}


class Account:
    """An emulator of a preset with real IAM and S3, its root user, and other users of the account."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.iam = service.connect(service="iam")
        self._clients = [self.iam]

    def client(self, service: str, access_key: str = "KEY") -> Any:
        self._clients.append(self.service.connect(access_key, service))
        return self._clients[-1]

    def role(self, name: str, *statements: dict[str, Any], trust: dict[str, Any] = TRUST) -> str:
        made = self.iam.create_role(RoleName=name, Path="/x/", AssumeRolePolicyDocument=document(trust))
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
        return made["Role"]["Arn"]

    def user(self, *statements: dict[str, Any]) -> str:
        """Access key of a new user with an inline policy."""
        name = f"user-{len(self._clients)}"
        self._clients.append(self.service.connect(service="iam"))
        self.iam.create_user(UserName=name)
        self.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*statements))
        return self.iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]

    def key(self, alias: str, *statements: dict[str, Any]) -> str:
        """ARN of a new KMS key; without statements its policy is the default one."""
        kms = self.client("kms")
        made = kms.create_key(**({"Policy": document(*statements)} if statements else {}))["KeyMetadata"]
        kms.create_alias(AliasName=alias, TargetKeyId=made["KeyId"])
        return made["Arn"]

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture
def account(start: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts accounts by their preset."""
    opened: list[Account] = []

    def begin(preset: str, **settings: Any) -> Account:
        values = ServiceSettings(preset=preset, control_policies=settings.get("control_policies", ()))
        aws = AwsServices(
            tmp_path / "aws",
            region="us-east-1",
            permissions=permissions_of(values, "KEY"),
            has_role=values.account.has_role,
        )
        service = start(preset=preset, application=aws.app, **settings)
        opened.append(Account(service))
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


def code_of(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_new_account_has_no_role_and_no_instances(account: Any) -> None:
    new = account("new-account")
    assert new.iam.list_roles()["Roles"] == []
    code, text = code_of(lambda: new.service.create("job", RoleArn=EXECUTION_ROLE_ARN))
    assert (code, text.partition(".")[0]) == (
        "ValidationException",
        f"Could not assume role {EXECUTION_ROLE_ARN}",
    )
    role = new.role("AmazonSageMaker-ExecutionRole-1")
    code, text = code_of(lambda: new.service.create("job", RoleArn=role))
    assert code == "ResourceLimitExceeded"
    assert "'ml.c5.xlarge for training job usage' is 0 Instances" in text


@pytest.mark.parametrize("is_spot", [False, True])
def test_four_instances_across_all_training_jobs(account: Any, is_spot: bool) -> None:
    new = account("new-account", quotas={"ml.c5.xlarge": 3, "ml.m5.large": 30})
    spot = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
    }
    changes = {"RoleArn": new.role("r"), "plan": {"seconds": "100"}, **(spot if is_spot else {})}
    new.service.create("a", count=3, **changes)
    name = (
        "Number of instances across all spot training jobs"
        if is_spot
        else "Number of instances across all training jobs"
    )
    code, text = code_of(lambda: new.service.create("b", count=2, instance_type="ml.m5.large", **changes))
    assert code == "ResourceLimitExceeded"
    assert (
        f"'{name}' is 4 Instances, with current utilization of 3 Instances and a request delta of 2 Instances"
        in text
    )
    new.service.create("c", count=1, instance_type="ml.m5.large", **changes)
    code, text = code_of(lambda: new.service.create("d", count=21, instance_type="ml.m5.large", **changes))
    assert "Maximum number of instances per" in text


def quotas_of(client: Any, operation: str) -> dict[str, float]:
    pages = client.get_paginator(operation).paginate(ServiceCode="sagemaker")
    return {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}


def test_quotas_of_a_new_account(account: Any) -> None:
    client = account("new-account", quotas={"ml.c5.xlarge": 2}).client("service-quotas")
    applied, defaults = (
        quotas_of(client, name) for name in ("list_service_quotas", "list_aws_default_service_quotas")
    )
    for name in ("ml.m5.large for training job usage", "ml.m5.large for training warm pool usage"):
        assert (applied[name], defaults[name]) == (0, 0)
    assert applied["ml.c5.xlarge for training job usage"] == 2
    assert defaults["ml.c5.xlarge for training job usage"] == 0
    assert applied["Number of instances across all training jobs"] == 4
    assert applied["Number of instances across all spot training jobs"] == 4


def test_a_strict_account_lists_applied_quotas_only(account: Any) -> None:
    client = account("strict", warm_pool_quotas={"ml.c5.xlarge": 2}, total_quota=8).client("service-quotas")
    applied, defaults = (
        quotas_of(client, name) for name in ("list_service_quotas", "list_aws_default_service_quotas")
    )
    assert [name for name in applied if "usage" in name] == ["ml.c5.xlarge for training warm pool usage"]
    assert defaults["ml.c5.xlarge for training job usage"] == 20
    assert applied["Number of instances across all training jobs"] == 8
    assert defaults["Number of instances across all training jobs"] == 100


def test_the_execution_role_of_a_strict_account_suffices(account: Any) -> None:
    strict = account("strict")
    image = {"TrainingImage": IMAGE, "TrainingInputMode": "File"}
    strict.service.create("job", RoleArn=EXECUTION_ROLE_ARN, AlgorithmSpecification=image)
    assert strict.service.ended("job")["TrainingJobStatus"] == "Completed"


@pytest.mark.parametrize(
    "trust",
    [
        {**TRUST, "Principal": {"Service": "ec2.amazonaws.com"}},
        {**TRUST, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}},
        {**TRUST, "Effect": "Deny"},
        {**TRUST, "Condition": {"StringEquals": {"aws:SourceAccount": "999999999999"}}},
    ],
)
def test_a_role_must_let_the_service_assume_it(account: Any, trust: dict[str, Any]) -> None:
    strict = account("strict")
    role = strict.role("r", trust=trust)
    code, text = code_of(lambda: strict.service.create("job", RoleArn=role))
    assert (code, "Please ensure that the role exists" in text) == ("ValidationException", True)
    with_source = {**TRUST, "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}
    strict.service.create("job", RoleArn=strict.role("s", trust=with_source))


@pytest.mark.parametrize(
    ("changes", "action", "text"),
    [
        (
            {"AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"}},
            "ecr:*",
            "pull permissions",
        ),
        (
            {"VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}},
            "ec2:*",
            "ec2:CreateNetworkInterface",
        ),
        (
            {"OutputDataConfig": {"S3OutputPath": "s3://b/o", "KmsKeyId": "alias/mine"}},
            "kms:*",
            "kms:GenerateDataKey",
        ),
    ],
)
def test_a_role_needs_what_its_job_uses(
    account: Any, changes: dict[str, Any], action: str, text: str
) -> None:
    strict = account("strict")
    strict.key("alias/mine")
    code, message = code_of(lambda: strict.service.create("job", RoleArn=strict.role("r"), **changes))
    assert (code, text in message) == ("ValidationException", True)
    strict.service.create("job", RoleArn=strict.role("s", allow(action)), **changes)


def test_a_user_may_do_what_the_policy_says(account: Any) -> None:
    """Creating needs three permissions; each one missing is named."""
    strict = account("strict")
    role = strict.role("r")
    statements = {
        "sagemaker:CreateTrainingJob": allow("sagemaker:CreateTrainingJob", f"{ARN}/*"),
        "sagemaker:AddTags": allow("sagemaker:AddTags", f"{ARN}/*"),
        "iam:PassRole": allow("iam:PassRole", role, Condition=PASS_ROLE),
    }
    request = strict.service.request("job", RoleArn=role, Tags=[{"Key": "a", "Value": "b"}])
    for missing in statements:
        key = strict.user(*(each for action, each in statements.items() if action != missing))
        code, text = code_of(lambda key=key: strict.client("sagemaker", key).create_training_job(**request))
        assert code == "AccessDeniedException"
        assert f"is not authorized to perform: {missing} on resource: " in text
        assert f"because no identity-based policy allows the {missing} action" in text
    key = strict.user(*statements.values())
    strict.client("sagemaker", key).create_training_job(**request)
    code, text = code_of(lambda: strict.client("sagemaker", key).describe_training_job(TrainingJobName="job"))
    assert (code, f"arn:aws:iam::{ACCOUNT}:user/" in text) == ("AccessDeniedException", True)
    denying = strict.user(allow("*"), {"Effect": "Deny", "Action": "sagemaker:Stop*", "Resource": "*"})
    client = strict.client("sagemaker", denying)
    client.describe_training_job(TrainingJobName="job")
    assert "explicit deny" in code_of(lambda: client.stop_training_job(TrainingJobName="job"))[1]


def test_tags_of_a_job_are_conditions(account: Any) -> None:
    strict = account("strict")
    for name in ("mine", "other"):
        tags = [{"Key": "Team", "Value": name}]
        strict.service.create(name, RoleArn=EXECUTION_ROLE_ARN, Tags=tags, plan={"seconds": "100"})
    own = {"StringEquals": {"aws:ResourceTag/Team": "mine"}}
    client = strict.client("sagemaker", strict.user(allow("sagemaker:StopTrainingJob", Condition=own)))
    client.stop_training_job(TrainingJobName="mine")
    assert code_of(lambda: client.stop_training_job(TrainingJobName="other"))[0] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("service", "call", "action"),
    [
        ("sagemaker", lambda client: client.list_training_jobs(), "sagemaker:ListTrainingJobs"),
        ("sagemaker", lambda client: client.search(Resource="TrainingJob"), "sagemaker:Search"),
        (
            "service-quotas",
            lambda client: client.list_service_quotas(ServiceCode="sagemaker"),
            "servicequotas:ListServiceQuotas",
        ),
        (
            "logs",
            lambda client: client.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs"),
            "logs:FilterLogEvents",
        ),
        ("iam", lambda client: client.list_roles(), "iam:ListRoles"),
        ("iam", lambda client: client.get_role(RoleName="r"), "iam:GetRole"),
        ("s3", lambda client: client.list_buckets(), "s3:ListAllMyBuckets"),
        ("s3", lambda client: client.put_object(Bucket="bucket", Key="k", Body=b""), "s3:PutObject"),
        (
            "s3",
            lambda client: client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "k"}]}),
            "s3:DeleteObject",
        ),
    ],
)
def test_each_service_asks_for_its_action(
    account: Any, service: str, call: Callable[[Any], Any], action: str
) -> None:
    strict = account("strict")
    strict.role("r")
    strict.client("s3").create_bucket(Bucket="bucket")
    code, text = code_of(lambda: call(strict.client(service, strict.user(allow("ec2:*")))))
    assert (code.removesuffix("Exception"), f"perform: {action} on" in text) == ("AccessDenied", True)
    call(strict.client(service, strict.user(allow(action))))


def test_who_may_not_list_does_not_learn_what_is_missing(account: Any) -> None:
    strict = account("strict")
    strict.client("s3").create_bucket(Bucket="bucket")
    reader = strict.client("s3", strict.user(allow("s3:GetObject")))
    assert code_of(lambda: reader.get_object(Bucket="bucket", Key="k"))[0] == "AccessDenied"
    assert code_of(lambda: reader.head_object(Bucket="bucket", Key="k"))[0] == "403"
    lister = strict.client("s3", strict.user(allow(["s3:GetObject", "s3:ListBucket"])))
    assert code_of(lambda: lister.get_object(Bucket="bucket", Key="k"))[0] == "NoSuchKey"


def test_groups_attached_policies_and_boundaries_count(account: Any) -> None:
    strict = account("strict")
    key = strict.user(allow("ec2:*"))
    name = strict.iam.list_users()["Users"][0]["UserName"]
    client = strict.client("sagemaker", key)
    assert code_of(client.list_training_jobs)[0] == "AccessDeniedException"
    policy = strict.iam.create_policy(PolicyName="p", PolicyDocument=document(allow("sagemaker:List*")))
    arn = policy["Policy"]["Arn"]
    strict.iam.attach_user_policy(UserName=name, PolicyArn=arn)
    client.list_training_jobs()
    strict.iam.detach_user_policy(UserName=name, PolicyArn=arn)
    assert code_of(client.list_training_jobs)[0] == "AccessDeniedException"
    strict.iam.create_group(GroupName="g")
    strict.iam.attach_group_policy(GroupName="g", PolicyArn=arn)
    strict.iam.add_user_to_group(GroupName="g", UserName=name)
    client.list_training_jobs()


def test_an_assumed_role_acts_with_its_policies_and_boundary(account: Any) -> None:
    strict = account("strict")
    user = strict.user(allow("sts:AssumeRole"))
    mine = strict.role(
        "mine", allow("*"), trust={**TRUST, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
    )
    limit = strict.iam.create_policy(PolicyName="limit", PolicyDocument=document(allow("sagemaker:List*")))
    strict.iam.put_role_permissions_boundary(RoleName="mine", PermissionsBoundary=limit["Policy"]["Arn"])
    sts = strict.client("sts", user)
    assert (
        code_of(lambda: sts.assume_role(RoleArn=strict.role("r"), RoleSessionName="session"))[0]
        == "AccessDenied"
    )
    key = sts.assume_role(RoleArn=mine, RoleSessionName="session")["Credentials"]["AccessKeyId"]
    client = strict.client("sagemaker", key)
    client.list_training_jobs()
    assert "assumed-role/mine/session" in code_of(lambda: client.search(Resource="TrainingJob"))[1]
    assert code_of(strict.client("s3", "UNKNOWN").list_buckets)[0] == "InvalidAccessKeyId"


def test_the_simulation_tells_the_truth(account: Any) -> None:
    strict = account("strict")
    role = strict.role("r", allow("s3:Get*", "arn:aws:s3:::b/*"))
    answer = strict.iam.simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=["s3:GetObject", "s3:PutObject"],
        ResourceArns=["arn:aws:s3:::b/k", "arn:aws:s3:::c/k"],
    )
    assert [each["EvalDecision"] for each in answer["EvaluationResults"]] == ["allowed"] + [
        "implicitDeny"
    ] * 3


def deny(action: str, resource: str | list[str] = "*", **parts: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **parts}


BUCKET, OBJECTS = "arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"


@pytest.fixture
def strict(account: Any) -> Account:
    """A strict account with a bucket."""
    made = account("strict")
    made.client("s3").create_bucket(Bucket="bucket")
    return made


def arn_of(strict: Account, key: str) -> str:
    return strict.client("sts", key).get_caller_identity()["Arn"]


def test_a_bucket_policy_denies_whoever_it_names(strict: Account) -> None:
    """Explicit deny wins over any allow, for root too, who can always mend the policy."""
    key = strict.user(allow("s3:*"))
    mine, root = strict.client("s3", key), strict.client("s3")
    for principal in (
        {"AWS": arn_of(strict, key)},
        {"AWS": [f"arn:aws:iam::{ACCOUNT}:root"]},
        {"AWS": ACCOUNT},
        "*",
    ):
        mine.put_object(Bucket="bucket", Key="k", Body=b"")
        root.put_bucket_policy(
            Bucket="bucket", Policy=document(deny("s3:PutObject", OBJECTS, Principal=principal))
        )
        code, text = code_of(lambda: mine.put_object(Bucket="bucket", Key="k", Body=b""))
        assert (code, "explicit deny in a resource-based policy" in text) == ("AccessDenied", True)
        mine.get_object(Bucket="bucket", Key="k")
        root.delete_bucket_policy(Bucket="bucket")
    everything = document(deny("s3:*", [BUCKET, OBJECTS], Principal="*"))
    root.put_bucket_policy(Bucket="bucket", Policy=everything)
    assert code_of(lambda: root.list_objects_v2(Bucket="bucket"))[0] == "AccessDenied"
    assert json.loads(root.get_bucket_policy(Bucket="bucket")["Policy"]) == json.loads(everything)
    assert code_of(lambda: mine.delete_bucket_policy(Bucket="bucket"))[0] == "AccessDenied"
    root.delete_bucket_policy(Bucket="bucket")
    root.list_objects_v2(Bucket="bucket")


def test_a_bucket_policy_that_names_a_caller_is_enough(strict: Account) -> None:
    key, other = strict.user(allow("ec2:*")), strict.user(allow("ec2:*"))
    mine, root = strict.client("s3", key), strict.client("s3")
    policy = document({**allow("s3:PutObject", OBJECTS), "Principal": {"AWS": arn_of(strict, key)}})
    root.put_bucket_policy(Bucket="bucket", Policy=policy)
    mine.put_object(Bucket="bucket", Key="k", Body=b"")
    assert (
        code_of(lambda: strict.client("s3", other).put_object(Bucket="bucket", Key="k", Body=b""))[0]
        == "AccessDenied"
    )
    account_only = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    root.put_bucket_policy(
        Bucket="bucket", Policy=document({**allow("s3:*", OBJECTS), "Principal": account_only})
    )
    assert code_of(lambda: mine.put_object(Bucket="bucket", Key="k", Body=b""))[0] == "AccessDenied"


def test_a_bucket_policy_that_demands_encryption(strict: Account) -> None:
    """The usual policy of a regulated account; NotPrincipal leaves its administrators out."""
    strict.key("alias/mine")
    key = strict.user(allow("s3:*"), allow("kms:*"))
    mine, root = strict.client("s3", key), strict.client("s3")
    missing = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}
    root_only = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    policy = deny("s3:PutObject", OBJECTS, NotPrincipal=root_only, Condition=missing)
    root.put_bucket_policy(Bucket="bucket", Policy=document(policy))
    root.put_object(Bucket="bucket", Key="k", Body=b"")
    key_of = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/mine"}
    other = deny("s3:PutObject", OBJECTS, Principal="*", Condition=missing)
    root.put_bucket_policy(Bucket="bucket", Policy=document(other))
    assert code_of(lambda: mine.put_object(Bucket="bucket", Key="k", Body=b""))[0] == "AccessDenied"
    mine.put_object(Bucket="bucket", Key="k", Body=b"", **key_of)


def test_keys_must_exist(strict: Account) -> None:
    s3 = strict.client("s3")
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/none"}
    code, text = code_of(lambda: s3.put_object(Bucket="bucket", Key="k", Body=b"", **encryption))
    assert (code, "alias/none' does not exist" in text) == ("KMS.NotFoundException", True)
    output = {"S3OutputPath": "s3://b/o", "KmsKeyId": "1234"}
    for changes in (
        {"OutputDataConfig": output},
        {"ResourceConfig": {**RESOURCES, "VolumeKmsKeyId": "1234"}},
    ):
        request = {**strict.service.request("job", RoleArn=EXECUTION_ROLE_ARN), **changes}
        code, text = code_of(lambda request=request: strict.service.client.create_training_job(**request))
        assert (code, "does not exist" in text) == ("ValidationException", True)


RESOURCES = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10}


def test_a_key_is_for_whom_its_policy_says(strict: Account) -> None:
    """The default key policy lets the account's policies decide; another one names users, and no policy of theirs helps."""
    with_policy, without = strict.user(allow("s3:*"), allow("kms:*")), strict.user(allow("s3:*"))
    named = {"Principal": {"AWS": arn_of(strict, without)}}
    strict.key("alias/default")
    naming = {**allow("kms:CreateAlias"), "Principal": {"AWS": ACCOUNT}}
    strict.key("alias/closed", naming, {**allow("kms:*"), **named})
    strict.key(
        "alias/denied",
        {**allow("kms:*"), "Principal": {"AWS": ACCOUNT}},
        deny("kms:GenerateDataKey", Principal={"AWS": arn_of(strict, with_policy)}),
    )

    def put(key: str, alias: str) -> None:
        strict.client("s3", key).put_object(
            Bucket="bucket", Key=alias, Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=alias
        )

    put(with_policy, "alias/default")
    put(without, "alias/closed")
    for key, alias, reason in (
        (without, "alias/default", "no identity-based policy allows the kms:GenerateDataKey"),
        (with_policy, "alias/closed", "no resource-based policy allows the kms:GenerateDataKey"),
        (with_policy, "alias/denied", "explicit deny in a resource-based policy"),
    ):
        code, text = code_of(lambda key=key, alias=alias: put(key, alias))
        assert (code, reason in text) == ("AccessDenied", True)
    reader = strict.client("s3", with_policy)
    code, text = code_of(lambda: reader.get_object(Bucket="bucket", Key="alias/closed"))
    assert (code, "no resource-based policy allows the kms:Decrypt" in text) == ("AccessDenied", True)
    reader.get_object(Bucket="bucket", Key="alias/default")
    code, text = code_of(lambda: strict.client("kms", without).create_key())
    assert (code, "perform: kms:CreateKey" in text) == ("AccessDeniedException", True)


def test_a_control_policy_holds_for_everyone(account: Any) -> None:
    """An organization's deny: the caller's own policies, and being root, do not help."""
    limit = deny(
        "sagemaker:CreateTrainingJob",
        Condition={"NumericGreaterThan": {"sagemaker:KeepAlivePeriod": "600"}},
    )
    strict = account("strict", control_policies=[json.loads(document(limit))])
    everything = strict.user(allow("*"))
    for key in ("KEY", everything):
        client = strict.client("sagemaker", key)
        request = strict.service.request("long", RoleArn=EXECUTION_ROLE_ARN, keep_alive=601)
        code, text = code_of(lambda client=client, request=request: client.create_training_job(**request))
        assert code == "AccessDeniedException"
        assert "with an explicit deny in a service control policy" in text
    strict.service.create("short", RoleArn=EXECUTION_ROLE_ARN, keep_alive=600)


def test_control_policies_need_checked_permissions() -> None:
    with pytest.raises(ValueError, match="permissions are checked, such as strict, not default"):
        ServiceSettings(control_policies=[{"Statement": []}])


def test_a_boundary_is_named_in_the_denial(strict: Account) -> None:
    trust = {**TRUST, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
    mine = strict.role("mine", allow("*"), trust=trust)
    limits = (document(allow("s3:*")), document(allow("*"), deny("sagemaker:ListTrainingJobs")))
    for number, (limit, reason) in enumerate(
        zip(
            limits, ("no permissions boundary allows", "explicit deny in a permissions boundary"), strict=True
        )
    ):
        policy = strict.iam.create_policy(PolicyName=f"limit-{number}", PolicyDocument=limit)["Policy"]
        strict.iam.put_role_permissions_boundary(RoleName="mine", PermissionsBoundary=policy["Arn"])
        key = strict.client("sts").assume_role(RoleArn=mine, RoleSessionName="session")["Credentials"][
            "AccessKeyId"
        ]
        code, text = code_of(strict.client("sagemaker", key).list_training_jobs)
        assert (code, reason in text) == ("AccessDeniedException", True)


def test_jobs_get_the_credentials_of_their_role_for_their_token(account: Any) -> None:
    strict = account("strict")
    permissions = permissions_of(ServiceSettings(preset="strict"), "KEY")
    assert permissions is not None
    fetcher = ContainerMetadataFetcher()
    page = f"{strict.service.url}{CREDENTIALS_PATH}"
    found = fetcher.retrieve_full_uri(page, {"Authorization": permissions.token_of(EXECUTION_ROLE_ARN)})
    assert found["RoleArn"] == EXECUTION_ROLE_ARN
    assert arn_of(strict, found["AccessKeyId"]).endswith("/SageMaker")
    with pytest.raises(MetadataRetrievalError, match="403"):
        fetcher.retrieve_full_uri(page, {"Authorization": "x"})
