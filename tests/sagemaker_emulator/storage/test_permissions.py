"""Evaluation of policies, and the actions that requests need."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import pytest

from sagemaker_emulator.storage.permissions import Need, create_needs, evaluate, key_arn, s3_needs

ANY = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def allow(**parts: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **parts}


def decision(*statements: dict[str, Any], need: Need) -> str:
    return evaluate([{"Statement": [each]} for each in statements], need)


GET = Need("s3:GetObject", "arn:aws:s3:::bucket/tunewright/x-1/key", {"aws:resourceaccount": ("123",)})


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], "implicitDeny"),
        ([allow()], "allowed"),
        ([allow(Action="s3:getobject")], "allowed"),
        ([allow(Action=["s3:Put*", "s3:Get*"])], "allowed"),
        ([allow(Action="s3:GetObjec?")], "allowed"),
        ([allow(Action="s3:GetObj")], "implicitDeny"),
        ([allow(Action="s3:PutObject")], "implicitDeny"),
        ([{"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}], "allowed"),
        ([{"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}], "implicitDeny"),
        ([allow(Resource="arn:aws:s3:::bucket/tunewright/*")], "allowed"),
        ([allow(Resource="arn:aws:s3:::BUCKET/*")], "implicitDeny"),
        ([allow(Resource="arn:aws:s3:::bucket/tunewright/x-1")], "implicitDeny"),
        ([allow(Resource=["arn:aws:s3:::other/*", "arn:aws:s3:::b*"])], "allowed"),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::bucket/*"}], "implicitDeny"),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::other/*"}], "allowed"),
        ([ANY, {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}], "explicitDeny"),
        ([{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}, ANY], "explicitDeny"),
        ([ANY, {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}], "allowed"),
        ([allow(Resource="arn:aws:s3:::bucket/${aws:username}/*")], "implicitDeny"),
    ],
)
def test_actions_and_resources(statements: list[dict[str, Any]], expected: str) -> None:
    assert decision(*statements, need=GET) == expected


CONTEXT = {
    "s3:prefix": ("team/a",),
    "aws:tagkeys": ("cost", "team"),
    "aws:username": ("anna",),
    "sagemaker:keepaliveperiod": ("600",),
    "aws:securetransport": ("true",),
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"s3:prefix": "team/a"}}, True),
        ({"StringEquals": {"S3:Prefix": ["x", "team/a"]}}, True),
        ({"StringEquals": {"s3:prefix": "team/*"}}, False),
        ({"StringLike": {"s3:prefix": "team/*"}}, True),
        ({"StringNotLike": {"s3:prefix": "team/*"}}, False),
        ({"StringNotEquals": {"s3:prefix": "other"}}, True),
        ({"StringNotEquals": {"s3:prefix": ["other", "team/a"]}}, False),
        ({"StringNotEquals": {"missing": "x"}}, True),
        ({"StringEqualsIgnoreCase": {"s3:prefix": "TEAM/A"}}, True),
        ({"StringNotEqualsIgnoreCase": {"s3:prefix": "TEAM/A"}}, False),
        ({"StringEquals": {"missing": "x"}}, False),
        ({"StringEqualsIfExists": {"missing": "x"}}, True),
        ({"StringEqualsIfExists": {"s3:prefix": "x"}}, False),
        ({"StringEquals": {"s3:prefix": "team/a", "aws:username": "bert"}}, False),
        ({"StringEquals": {"s3:prefix": "team/a"}, "StringLike": {"aws:username": "b*"}}, False),
        ({"StringLike": {"aws:username": "${aws:username}"}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["cost", "team", "x"]}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]}}, False),
        ({"ForAllValues:StringEquals": {"missing": ["cost"]}}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["cost"]}}, True),
        ({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["cost"]}}, True),
        ({"ForAnyValue:StringEquals": {"missing": ["cost"]}}, False),
        ({"Null": {"missing": "true"}}, True),
        ({"Null": {"s3:prefix": "true"}}, False),
        ({"Null": {"s3:prefix": "false"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"NumericLessThanEquals": {"sagemaker:KeepAlivePeriod": "600"}}, True),
        ({"NumericLessThan": {"sagemaker:KeepAlivePeriod": "600"}}, False),
        ({"NumericGreaterThan": {"aws:username": "5"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}, False),
    ],
)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    need = Need("s3:ListBucket", "arn:aws:s3:::bucket", CONTEXT)
    assert (decision({**ANY, "Condition": condition}, need=need) == "allowed") == holds


def test_a_deny_with_an_unknown_operator_denies() -> None:
    deny = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    }
    assert decision(ANY, deny, need=GET) == "explicitDeny"


OBJECT = "arn:aws:s3:::b/k/x"


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "expected"),
    [
        ("GET", "", "", {}, [("s3:ListAllMyBuckets", "arn:aws:s3:::*")]),
        ("PUT", "b", "", {}, [("s3:CreateBucket", "arn:aws:s3:::b")]),
        ("DELETE", "b", "", {}, [("s3:DeleteBucket", "arn:aws:s3:::b")]),
        ("HEAD", "b", "", {}, [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("GET", "b", "list-type=2&prefix=k/", {}, [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("GET", "b", "location", {}, [("s3:GetBucketLocation", "arn:aws:s3:::b")]),
        ("GET", "b", "uploads", {}, [("s3:ListBucketMultipartUploads", "arn:aws:s3:::b")]),
        ("PUT", "b", "lifecycle", {}, [("s3:PutLifecycleConfiguration", "arn:aws:s3:::b")]),
        ("DELETE", "b", "lifecycle", {}, [("s3:PutLifecycleConfiguration", "arn:aws:s3:::b")]),
        ("PUT", "b", "publicAccessBlock", {}, [("s3:PutBucketPublicAccessBlock", "arn:aws:s3:::b")]),
        ("GET", "b/k/x", "", {}, [("s3:GetObject", OBJECT)]),
        ("HEAD", "b/k/x", "", {}, [("s3:GetObject", OBJECT)]),
        ("PUT", "b/k/x", "", {}, [("s3:PutObject", OBJECT)]),
        ("POST", "b/k/x", "uploads", {}, [("s3:PutObject", OBJECT)]),
        ("PUT", "b/k/x", "partNumber=1&uploadId=u", {}, [("s3:PutObject", OBJECT)]),
        ("GET", "b/k/x", "uploadId=u", {}, [("s3:ListMultipartUploadParts", OBJECT)]),
        ("DELETE", "b/k/x", "uploadId=u", {}, [("s3:AbortMultipartUpload", OBJECT)]),
        ("DELETE", "b/k/x", "", {}, [("s3:DeleteObject", OBJECT)]),
        ("PUT", "b/k/x", "tagging", {}, [("s3:PutObjectTagging", OBJECT)]),
        (
            "PUT",
            "b/k/x",
            "",
            {"HTTP_X_AMZ_COPY_SOURCE": "/other/a%20b?versionId=1"},
            [("s3:PutObject", OBJECT), ("s3:GetObject", "arn:aws:s3:::other/a b")],
        ),
        (
            "PUT",
            "b/k/x",
            "",
            {"HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID": "alias/mine"},
            [
                ("s3:PutObject", OBJECT),
                ("kms:GenerateDataKey", "arn:aws:kms:eu-west-1:123456789012:alias/mine"),
            ],
        ),
    ],
)
def test_actions_of_requests_to_s3(
    method: str, path: str, query: str, headers: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    bucket, _, key = path.partition("/")
    environ = {"REQUEST_METHOD": method, "QUERY_STRING": query, **headers}
    needs = s3_needs(environ, bucket, key, partial(key_arn, region="eu-west-1"))
    assert [(need.action, need.resource) for need in needs] == expected


def test_each_deleted_key_is_an_action_of_its_own() -> None:
    body = b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a/1</Key></Object><Object><Key>b</Key></Object></Delete>'
    environ = {"REQUEST_METHOD": "POST", "QUERY_STRING": "delete", "wsgi.input": io.BytesIO(body)}
    assert [need.resource for need in s3_needs(environ, "b", "", str)] == [
        "arn:aws:s3:::b/a/1",
        "arn:aws:s3:::b/b",
    ]
    assert environ["wsgi.input"].read() == body


def test_creating_a_job_needs_to_pass_its_role_and_to_tag_it() -> None:
    request = {
        "RoleArn": "role",
        "Tags": [{"Key": "Team", "Value": "a"}],
        "ResourceConfig": {
            "InstanceType": "ml.c5.xlarge",
            "KeepAlivePeriodInSeconds": 60,
            "VolumeKmsKeyId": "k",
        },
    }
    needs = create_needs(request, "job", partial(key_arn, region="us-east-1"))
    assert [(need.action, need.resource) for need in needs] == [
        ("sagemaker:CreateTrainingJob", "job"),
        ("sagemaker:AddTags", "job"),
        ("iam:PassRole", "role"),
        ("kms:CreateGrant", "arn:aws:kms:us-east-1:123456789012:key/k"),
    ]
    assert needs[0].context["sagemaker:instancetypes"] == ["ml.c5.xlarge"]
    assert needs[0].context["sagemaker:keepaliveperiod"] == ("60",)
    assert needs[0].context["aws:requesttag/team"] == ("a",)
    assert needs[2].context["iam:passedtoservice"] == ("sagemaker.amazonaws.com",)


def test_requests_of_any_shape_have_actions() -> None:
    """They are authorised before they are validated."""
    odd = {
        "Tags": ["x"],
        "ResourceConfig": {"InstanceGroups": [1], "VolumeKmsKeyId": 7},
        "VpcConfig": {"Subnets": 1},
    }
    for request in (
        odd,
        {"ResourceConfig": [], "VpcConfig": "x", "RoleArn": {}, "OutputDataConfig": {"KmsKeyId": []}},
    ):
        assert create_needs(request, "job", str)[0].action == "sagemaker:CreateTrainingJob"
