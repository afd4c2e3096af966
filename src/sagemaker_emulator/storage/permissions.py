"""IAM of an account whose permissions are checked: callers by their keys, their policies, and the actions of a request.

The evaluation follows "Policy evaluation logic" of the IAM User Guide for one account: an explicit deny of a service control
policy, bucket policy, key policy, identity-based policy or permissions boundary wins; then a bucket policy that names the caller,
or an identity-based policy within the permissions boundary, allows; else the request is denied. A KMS key is used by those whom its
key policy names, or by those with an identity-based policy if it names the account. Session policies and grants of keys are not
evaluated. Users, roles, policies and keys are those of moto.
"""

from __future__ import annotations

import hmac
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast, final
from urllib.parse import parse_qs, unquote

from moto.backends import get_backend
from moto.iam.models import IAMBackend, Role, User, iam_backends
from moto.kms.models import Key, kms_backends
from moto.s3.models import s3_backends
from moto.sts.models import sts_backends

from sagemaker_emulator.storage.objects import ACCOUNT_ID, ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Decision = Literal["allowed", "implicitDeny", "explicitDeny"]
Context = Mapping[str, Sequence[str]]
"""Condition key in lower case -> values; empty or missing: the key is not in the request."""

SERVICE: Final = "sagemaker.amazonaws.com"
CREDENTIALS_PATH: Final = "/_credentials"
"""Page from which jobs get the credentials of their role."""
_CREDENTIAL_SECONDS: Final = 6 * 3600
_CACHED: Final = 4096
ROOT_ARN: Final = f"arn:aws:iam::{ACCOUNT_ID}:root"


# ---- evaluation of documents


@dataclass(frozen=True, slots=True)
class Need:
    """An action on a resource that a caller needs."""

    action: str
    """Such as ``s3:PutObject``."""
    resource: str = "*"
    context: Context = field(default_factory=dict[str, Sequence[str]])


def evaluate(documents: Sequence[Mapping[str, Any]], need: Need) -> Decision:
    """Decision of policies, whomever they are attached to.

    Parameters
    ----------
    documents
        Policy documents.
    need
        Action and resource.
    """
    statements = (each for document in documents for each in _listed(document.get("Statement", ())))
    return _decision_of(statement for statement in statements if _applies(statement, need))


def _decision_of(statements: Iterable[Mapping[str, Any]]) -> Decision:
    """Decision of statements that apply."""
    effects = {statement.get("Effect") for statement in statements}
    if "Deny" in effects:
        return "explicitDeny"
    return "allowed" if effects else "implicitDeny"


def _applies(statement: Mapping[str, Any], need: Need) -> bool:
    action = need.action.lower()
    if "NotAction" in statement:
        concerns = not any(_matches(each.lower(), action) for each in _listed(statement["NotAction"]))
    else:
        concerns = any(_matches(each.lower(), action) for each in _listed(statement.get("Action", ())))
    if not concerns:
        return False
    if "NotResource" in statement:
        concerns = not any(_covers(each, need) for each in _listed(statement["NotResource"]))
    else:
        concerns = any(_covers(each, need) for each in _listed(statement.get("Resource", ())))
    is_deny = statement.get("Effect") == "Deny"
    return concerns and all(
        _holds(operator, keys, need.context, unknown=is_deny)
        for operator, keys in statement.get("Condition", {}).items()
    )


def _covers(pattern: str, need: Need) -> bool:
    return _matches(_resolved(pattern, need.context), need.resource)


_VARIABLE: Final = re.compile(r"\$\{([^}]+)\}")


def _resolved(pattern: str, context: Context) -> str:
    """The pattern with its policy variables; one without a value matches nothing."""
    return _VARIABLE.sub(lambda found: next(iter(context.get(found[1].lower(), ())), found[0]), pattern)


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(_CACHED)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (
        ".*" if part == "*" else "." if part == "?" else re.escape(part)
        for part in re.split(r"([*?])", pattern)
    )
    return re.compile("".join(parts), re.DOTALL)


def _listed(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else [value]


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def test(expected: str, value: str) -> bool:
        try:
            return compare(float(value), float(expected))
        except ValueError:
            return False

    return test


_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "StringEquals": lambda expected, value: expected == value,
    "StringEqualsIgnoreCase": lambda expected, value: expected.lower() == value.lower(),
    "StringLike": _matches,
    "ArnEquals": _matches,
    "ArnLike": _matches,
    "Bool": lambda expected, value: expected.lower() == value.lower(),
    "NumericEquals": _number(lambda value, expected: value == expected),
    "NumericLessThan": _number(lambda value, expected: value < expected),
    "NumericLessThanEquals": _number(lambda value, expected: value <= expected),
    "NumericGreaterThan": _number(lambda value, expected: value > expected),
    "NumericGreaterThanEquals": _number(lambda value, expected: value >= expected),
}
"""Condition operator -> test of (expected, value of the request)."""
_NEGATED: Final = re.compile(r"(String|Arn|Numeric)Not(Equals|EqualsIgnoreCase|Like)")


def _holds(operator: str, keys: Mapping[str, Any], context: Context, *, unknown: bool) -> bool:
    """Whether an operator holds for all of its keys; ``unknown`` for an operator that is not supported."""
    name, is_optional = operator.removesuffix("IfExists"), operator.endswith("IfExists")
    quantifier, _, bare = name.rpartition(":")
    if bare == "Null":
        return all(
            (not context.get(key.lower())) == (str(_listed(wanted)[0]).lower() == "true")
            for key, wanted in keys.items()
        )
    negated = _NEGATED.fullmatch(bare)
    test = _OPERATORS.get("".join(negated.groups()) if negated else bare)
    if test is None:
        return unknown
    for key, wanted in keys.items():
        values = context.get(key.lower(), ())
        if not values and (is_optional or quantifier == "ForAllValues"):
            continue
        expected = [_resolved(str(each), context) for each in _listed(wanted)]
        found = [any(test(each, value) for each in expected) != bool(negated) for value in values]
        is_for_all = quantifier == "ForAllValues" or (negated and quantifier != "ForAnyValue")
        holds = all(found) if is_for_all else any(found)
        if not holds or (not values and not negated):
            return False
    return True


# ---- users and roles of the account


class Resources(Protocol):
    """Policies of an account that are attached to no principal."""

    def control_policies(self) -> Sequence[Mapping[str, Any]]:
        """Service control policies of the account, beside FullAWSAccess."""
        ...

    def policy_of(self, need: Need) -> Mapping[str, Any] | None:
        """Policy of the bucket or KMS key of an action; None without one."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Principal:
    """A caller, or a role in the hands of the service."""

    arn: str
    """As errors and GetCallerIdentity show it."""
    documents: Sequence[Mapping[str, Any]] | None
    """Identity-based policies; None: the account's root user, to whom everything is allowed that nothing denies."""
    boundary: Sequence[Mapping[str, Any]] | None = None
    context: Context = field(default_factory=dict[str, Sequence[str]])
    """Condition keys of each request of the principal."""
    resources: Resources | None = field(default=None, repr=False, compare=False)
    """Policies of resources and of the account; None: there are none."""

    def decide(self, need: Need) -> Decision:
        """Decision about one action."""
        return self.judge(need)[0]

    def judge(self, need: Need) -> tuple[Decision, str]:
        """Decision about one action, and the kind of policy that denies or does not allow it."""
        complete = Need(need.action, need.resource, {**_COMMON, **self.context, **need.context})
        control = () if self.resources is None else self.resources.control_policies()
        resource = None if self.resources is None else self.resources.policy_of(complete)
        by_resource, names_caller = self._of_resource(resource, complete)
        by_identity = "allowed" if self.documents is None else evaluate(self.documents, complete)
        by_boundary = "allowed" if self.boundary is None else evaluate(self.boundary, complete)
        denials = (
            (evaluate(control, complete), "service control"),
            (by_resource, "resource-based"),
            (by_identity, "identity-based"),
            (by_boundary, _BOUNDARY),
        )
        for decision, kind in denials:
            if decision == "explicitDeny":
                return decision, kind
        if complete.action.startswith("kms:") and resource is not None and by_resource != "allowed":
            return "implicitDeny", "resource-based"
        if names_caller and (by_boundary == "allowed" or ":role/" not in self._identity):
            return "allowed", ""
        if by_identity != "allowed":
            return by_identity, "identity-based"
        return by_boundary, _BOUNDARY

    @property
    def _identity(self) -> str:
        """ARN of the user or role itself, also within a session."""
        return next(iter(self.context.get("aws:principalarn", ())), self.arn)

    def _of_resource(self, policy: Mapping[str, Any] | None, need: Need) -> tuple[Decision, bool]:
        """Decision of the policy of a resource, and whether it allows the principal itself, not its account only."""
        if policy is None or (self.documents is None and need.action in _OF_ROOT):
            return "implicitDeny", False
        own = {self.arn, self._identity, "*"}
        found = [
            statement
            for statement in _listed(policy.get("Statement", ()))
            if self._is_named(statement, {*own, *_ACCOUNT_NAMES}) and _applies(statement, need)
        ]
        return _decision_of(found), any(self._is_named(statement, own) for statement in found)

    @staticmethod
    def _is_named(statement: Mapping[str, Any], names: set[str]) -> bool:
        if "NotPrincipal" in statement:
            return (
                names.isdisjoint(_accounts(statement["NotPrincipal"])) and statement.get("Effect") == "Deny"
            )
        return not names.isdisjoint(_accounts(statement.get("Principal")))


_BOUNDARY: Final = "permissions boundary"
_ACCOUNT_NAMES: Final = frozenset({ROOT_ARN, ACCOUNT_ID})
_OF_ROOT: Final = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
"""Actions that no bucket policy can deny to the account's root user, so that a mistake can be mended."""
_COMMON: Final[Context] = {
    "aws:resourceaccount": (ACCOUNT_ID,),
    "aws:principalaccount": (ACCOUNT_ID,),
    "aws:securetransport": ("true",),
}


def _accounts(principals: object) -> Sequence[Any]:
    """AWS principals of a statement."""
    return [principals] if principals == "*" else _listed(_as_mapping(principals).get("AWS", ()))


class DeniedError(PermissionError):
    """A needed action is not allowed."""

    def __init__(self, principal: Principal, need: Need) -> None:
        decision, kind = principal.judge(need)
        policy = kind if kind == _BOUNDARY else f"{kind} policy"
        article = "an" if policy.startswith("i") else "a"
        cause = (
            f"with an explicit deny in {article} {policy}"
            if decision == "explicitDeny"
            else f"because no {'permissions boundary' if kind == _BOUNDARY else policy} allows the {need.action} action"
        )
        super().__init__(
            f"User: {principal.arn} is not authorized to perform: {need.action} on resource: {need.resource} {cause}"
        )


class NoSuchKeyError(LookupError):
    """The KMS key of a request does not exist."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"Key '{arn}' does not exist")


@final
class Permissions:
    """Callers and roles of an account whose permissions are checked. Thread-safe for reading.

    Parameters
    ----------
    access_key
        Of the account's root user.
    region
        Region of the account's resources.
    control
        Service control policies of the account, beside FullAWSAccess; they hold for its root user as well.
    """

    def __init__(self, access_key: str, region: str, control: Sequence[Mapping[str, Any]] = ()) -> None:
        self._access_key = access_key
        self._region = region
        self._control = control

    def control_policies(self) -> Sequence[Mapping[str, Any]]:
        """Service control policies of the account, beside FullAWSAccess."""
        return self._control

    def policy_of(self, need: Need) -> Mapping[str, Any] | None:
        """Policy of the bucket or KMS key of an action; None without one."""
        if need.action.startswith("s3:"):
            name = need.resource.removeprefix("arn:aws:s3:::").partition("/")[0]
            bucket = s3_backends[ACCOUNT_ID]["aws"].buckets.get(name)
            return _read(bucket.policy.decode()) if bucket is not None and bucket.policy else None
        if need.action.startswith("kms:"):
            key = self._key(need.resource)
            return None if key is None else _read(key.policy)
        return None

    def key_arn(self, key: str) -> str:
        """ARN of a KMS key given by its id, alias or ARN; those of other accounts and regions are not looked up.

        Raises
        ------
        NoSuchKeyError
            The account has no such key.
        """
        named = key_arn(key, self._region)
        if not named.startswith(f"arn:aws:kms:{self._region}:{ACCOUNT_ID}:"):
            return named
        found = self._key(named)
        if found is None:
            raise NoSuchKeyError(named)
        return str(found.arn)

    def secret_of(self, access_key: str) -> str | None:
        """Secret key of an IAM user or an assumed role; None for root and for unknown keys."""
        session = sts_backends[ACCOUNT_ID]["aws"].get_assumed_role_from_access_key(access_key)
        if session is not None:
            return str(session.secret_access_key)
        keys = (key for user in list(self._iam.users.values()) for key in user.access_keys)
        return next((key.secret_access_key for key in keys if key.access_key_id == access_key), None)

    def caller(self, access_key: str) -> Principal | None:
        """The caller with an access key: root, an IAM user, or an assumed role; None for an unknown key."""
        if access_key == self._access_key:
            return Principal(ROOT_ARN, None, resources=self)
        session = sts_backends[ACCOUNT_ID]["aws"].get_assumed_role_from_access_key(access_key)
        if session is not None:
            role = self._role(session.role_arn)
            return None if role is None else self._principal(session.arn, role)
        users: list[User] = list(self._iam.users.values())
        user = next(
            (each for each in users if access_key in {key.access_key_id for key in each.access_keys}), None
        )
        if user is None:
            return None
        groups = [group for group in list(self._iam.groups.values()) if user in group.users]
        documents = [document for owner in (user, *groups) for document in self._documents(owner)]
        context = {"aws:username": (user.name,), "aws:principalarn": (user.arn,)}
        return Principal(user.arn, documents, context=context, resources=self)

    def role(self, arn: str) -> Principal:
        """A role in the hands of the service; a role that does not exist has no permissions."""
        role = self._role(arn)
        return Principal(arn, (), resources=self) if role is None else self._principal(arn, role)

    def is_assumable(self, arn: str, by: Principal | None = None) -> bool:
        """Whether a role exists and its trust policy lets SageMaker, or a caller, assume it."""
        role = self._role(arn)
        if role is None:
            return False
        kind, names = ("Service", {SERVICE}) if by is None else ("AWS", {by.arn, ROOT_ARN, ACCOUNT_ID, "*"})
        need = Need("sts:AssumeRole", "*", {**_COMMON, "aws:sourceaccount": (ACCOUNT_ID,)})
        effects = {
            statement.get("Effect")
            for statement in _listed(_parsed(role.assume_role_policy_document).get("Statement", ()))
            if not names.isdisjoint(_listed(_as_mapping(statement.get("Principal")).get(kind, ())))
            and _applies({**statement, "Resource": "*"}, need)
        }
        return effects == {"Allow"}

    def token_of(self, arn: str) -> str:
        """Token for which a job gets credentials of its role."""
        signature = hmac.digest(self._access_key.encode(), arn.encode(), "sha256").hex()
        return f"{signature} {arn}"

    def credentials(self, token: str) -> dict[str, str] | None:
        """New temporary credentials for a token, as containers get them; None for an invalid token."""
        arn = token.partition(" ")[2]
        if not hmac.compare_digest(token.encode(), self.token_of(arn).encode()):
            return None
        backend = sts_backends[ACCOUNT_ID]["aws"]
        made = backend.assume_role(self._region, "SageMaker", arn, "", _CREDENTIAL_SECONDS, "")
        return {
            "RoleArn": arn,
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "Token": made.session_token,
            "Expiration": made.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def check(self, principal: Principal, needs: Sequence[Need]) -> None:
        """Check that all actions are allowed.

        Raises
        ------
        DeniedError
            For the first one that is not.
        """
        for need in needs:
            if principal.decide(need) != "allowed":
                raise DeniedError(principal, need)

    @property
    def _iam(self) -> IAMBackend:
        return iam_backends[ACCOUNT_ID]["aws"]

    def _key(self, arn: str) -> Key | None:
        """A KMS key of the account by its ARN or that of an alias."""
        keys = kms_backends[ACCOUNT_ID][self._region]
        name = arn.rpartition(":")[2]
        number = keys.get_key_id_from_alias(name) if name.startswith("alias/") else name.removeprefix("key/")
        return None if number is None else keys.keys.get(number)

    def _role(self, arn: str) -> Role | None:
        return next((role for role in list(self._iam.roles.values()) if role.arn == arn), None)

    def _principal(self, shown: str, role: Role) -> Principal:
        boundary = role.permissions_boundary_arn
        limits = None if boundary is None else [self._managed(boundary)]
        return Principal(shown, list(self._documents(role)), limits, {"aws:principalarn": (role.arn,)}, self)

    def _managed(self, arn: str) -> Mapping[str, Any]:
        return _current(self._iam.get_policy(arn))

    def _documents(self, owner: Any) -> Iterator[Mapping[str, Any]]:
        """Inline and attached policies of a user, group or role."""
        for document in list(owner.policies.values()):
            yield _parsed(document)
        for policy in list(owner.managed_policies.values()):
            yield _current(policy)


def _current(policy: Any) -> Mapping[str, Any]:
    """Document of the default version of a managed policy."""
    return _parsed(next(version.document for version in policy.versions if version.is_default))


def _parsed(document: str | Mapping[str, Any]) -> Mapping[str, Any]:
    return _read(document) if isinstance(document, str) else document


@lru_cache(_CACHED)
def _read(document: str) -> Mapping[str, Any]:
    text = unquote(document) if document.lstrip().startswith("%") else document
    return _as_mapping(json.loads(text))


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


@final
class RoleObjects:
    """Objects of S3 as a role sees them: each call needs its permission.

    Raises
    ------
    DeniedError
        By all methods.
    """

    def __init__(self, store: ObjectStore, permissions: Permissions, role_arn: str) -> None:
        self._store = store
        self._permissions = permissions
        self._role_arn = role_arn

    def get(self, bucket: str, key: str) -> bytes:
        """As :meth:`ObjectStore.get`."""
        self._check(Need("s3:GetObject", object_arn(bucket, key), self._owner(bucket)))
        return self._store.get(bucket, key)

    def put(
        self,
        bucket: str,
        key: str,
        body: bytes,
        *,
        content_type: str = "binary/octet-stream",
        kms_key: str = "",
    ) -> None:
        """As :meth:`ObjectStore.put`; the role's use of the KMS key was checked with the request."""
        self._check(Need("s3:PutObject", object_arn(bucket, key), self._owner(bucket)))
        self._store.put(bucket, key, body, content_type=content_type, kms_key=kms_key)

    def delete(self, bucket: str, key: str) -> None:
        """As :meth:`ObjectStore.delete`."""
        self._check(Need("s3:DeleteObject", object_arn(bucket, key), self._owner(bucket)))
        self._store.delete(bucket, key)

    def objects(self, bucket: str, prefix: str = "") -> list[ObjectInfo]:
        """As :meth:`ObjectStore.objects`."""
        context = {"s3:prefix": (prefix,), **self._owner(bucket)}
        self._check(Need("s3:ListBucket", bucket_arn(bucket), context))
        return self._store.objects(bucket, prefix)

    def _owner(self, bucket: str) -> Context:
        return {"aws:resourceaccount": (self._store.owner(bucket) or ACCOUNT_ID,)}

    def _check(self, need: Need) -> None:
        self._permissions.check(self._permissions.role(self._role_arn), [need])


# ---- actions of a request


def bucket_arn(bucket: str) -> str:
    """ARN of a bucket."""
    return f"arn:aws:s3:::{bucket}"


def object_arn(bucket: str, key: str) -> str:
    """ARN of an object."""
    return f"arn:aws:s3:::{bucket}/{key}"


_BUCKET_ACTIONS: Final = {
    "accelerate": "AccelerateConfiguration",
    "acl": "BucketAcl",
    "cors": "BucketCORS",
    "encryption": "EncryptionConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation",
    "logging": "BucketLogging",
    "notification": "BucketNotification",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration",
    "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "website": "BucketWebsite",
}
"""Query of a request for a bucket -> its action, without Get or Put."""
_OBJECT_ACTIONS: Final = {"acl": "ObjectAcl", "retention": "ObjectRetention", "legal-hold": "ObjectLegalHold"}
_VERBS: Final = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "POST": "Put", "DELETE": "Delete"}
_PUT_TO_DELETE: Final = frozenset(
    {"encryption", "lifecycle", "publicAccessBlock", "ownershipControls", "tagging", "cors"}
)
"""Configurations of a bucket whose deletion needs the action of their change."""


def s3_needs(environ: WSGIEnvironment, bucket: str, key: str, find_key: Callable[[str], str]) -> list[Need]:
    """Actions of a request to S3.

    Parameters
    ----------
    environ
        Of the request; its body was read.
    bucket, key
        Empty without one.
    find_key
        Function of a KMS key that returns its ARN, such as :meth:`Permissions.key_arn`; its errors are passed on.
    """
    method = environ["REQUEST_METHOD"]
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if not bucket:
        return [Need("s3:ListAllMyBuckets", bucket_arn("*"))]
    if not key:
        return _bucket_needs(environ, method, bucket, query)
    arn = object_arn(bucket, key)
    verb = _VERBS.get(method, "Get")
    if "tagging" in query:
        return [Need(f"s3:{verb}ObjectTagging", arn)]
    for name, action in _OBJECT_ACTIONS.items():
        if name in query:
            return [Need(f"s3:{verb}{action}", arn)]
    if method in {"GET", "HEAD"}:
        if "uploadId" in query:
            return [Need("s3:ListMultipartUploadParts", arn)]
        return [Need("s3:GetObjectVersion" if "versionId" in query else "s3:GetObject", arn)]
    if method == "DELETE":
        if "uploadId" in query:
            return [Need("s3:AbortMultipartUpload", arn)]
        return [Need("s3:DeleteObjectVersion" if "versionId" in query else "s3:DeleteObject", arn)]
    return _write_needs(environ, arn, find_key)


def _write_needs(environ: WSGIEnvironment, arn: str, find_key: Callable[[str], str]) -> list[Need]:
    encryption = environ.get("HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION", "")
    kms_key = environ.get("HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID", "")
    context = {
        "s3:x-amz-server-side-encryption": (encryption,) if encryption else (),
        "s3:x-amz-server-side-encryption-aws-kms-key-id": (kms_key,) if kms_key else (),
    }
    needs = [Need("s3:PutObject", arn, context)]
    source = unquote(environ.get("HTTP_X_AMZ_COPY_SOURCE", "")).partition("?")[0].lstrip("/")
    if source:
        needs.append(Need("s3:GetObject", f"arn:aws:s3:::{source}"))
    if environ.get("HTTP_X_AMZ_TAGGING"):
        needs.append(Need("s3:PutObjectTagging", arn))
    if kms_key:
        needs.append(Need("kms:GenerateDataKey", find_key(kms_key)))
    return needs


def _bucket_needs(
    environ: WSGIEnvironment, method: str, bucket: str, query: Mapping[str, list[str]]
) -> list[Need]:
    arn = bucket_arn(bucket)
    if method == "POST" and "delete" in query:
        return [Need("s3:DeleteObject", object_arn(bucket, key)) for key in _deleted_keys(environ)]
    for name, action in _BUCKET_ACTIONS.items():
        if name in query:
            verb = "Put" if method == "DELETE" and name in _PUT_TO_DELETE else _VERBS.get(method, "Get")
            return [Need(f"s3:{verb}{action}", arn)]
    if method in {"GET", "HEAD"}:
        if "uploads" in query:
            return [Need("s3:ListBucketMultipartUploads", arn)]
        action = "s3:ListBucketVersions" if "versions" in query else "s3:ListBucket"
        return [Need(action, arn, {"s3:prefix": tuple(query.get("prefix", ()))})]
    return [Need("s3:DeleteBucket" if method == "DELETE" else "s3:CreateBucket", arn)]


def _deleted_keys(environ: WSGIEnvironment) -> list[str]:
    stream = environ["wsgi.input"]
    body = stream.read()
    stream.seek(0)
    try:
        root = ET.fromstring(body)  # noqa: S314 - of an admitted caller; entities are not expanded beyond expat's limits
    except ET.ParseError:
        return ["*"]
    return [each.text or "" for each in root.iter() if each.tag.rpartition("}")[2] == "Key"]


def key_arn(key: str, region: str) -> str:
    """ARN of a KMS key given by its id, alias or ARN."""
    if key.startswith("arn:"):
        return key
    return f"arn:aws:kms:{region}:{ACCOUNT_ID}:{key if key.startswith('alias/') else f'key/{key}'}"


def query_needs(form: bytes, service: str) -> list[Need]:
    """Actions of a request to IAM or STS in the query protocol."""
    members = {name: values[0] for name, values in parse_qs(form.decode("utf-8", "replace")).items()}
    action = members.get("Action", "")
    if service == "sts":
        if action in {"GetCallerIdentity", "GetSessionToken"}:
            return []  # needs no permission
        return [Need(f"sts:{action}", members.get("RoleArn", "*"))]
    kinds = {"RoleName": "role", "UserName": "user", "GroupName": "group", "PolicyArn": ""}
    for member, kind in kinds.items():
        if member in members:
            name = members[member]
            return [Need(f"iam:{action}", _iam_arn(kind, name) if kind else name)]
    return [Need(f"iam:{action}", "*")]


def _iam_arn(kind: str, name: str) -> str:
    backend = iam_backends[ACCOUNT_ID]["aws"]
    roles, users = list(backend.roles.values()), list(backend.users.values())
    arns = {owner.name: owner.arn for owner in (roles if kind == "role" else users)}
    found = arns.get(name) if kind in {"role", "user"} else None
    return found or f"arn:aws:iam::{ACCOUNT_ID}:{kind}/{name}"


def logs_need(operation: str, members: Mapping[str, Any], region: str) -> Need:
    """Action of a request to CloudWatch Logs."""
    group = members.get("logGroupName", "")
    stream = members.get("logStreamName", "")
    return Need(
        f"logs:{operation}", f"arn:aws:logs:{region}:{ACCOUNT_ID}:log-group:{group}:log-stream:{stream}"
    )


def secret_need(target: str, members: Mapping[str, Any], region: str) -> Need | None:
    """Action of a request for a secret's or parameter's value; None for other requests.

    Parameters
    ----------
    target
        Service and operation, as in the header X-Amz-Target.
    members
        Of the request.
    region
        Of the secret.
    """
    if target == "secretsmanager.GetSecretValue":
        given = str(members.get("SecretId", ""))
        secret = get_backend("secretsmanager")[ACCOUNT_ID][region].secrets.get(given)
        return Need("secretsmanager:GetSecretValue", given if secret is None else secret.arn)
    if target == "AmazonSSM.GetParameter":
        name = str(members.get("Name", ""))
        arn = f"arn:aws:ssm:{region}:{ACCOUNT_ID}:parameter/{name.lstrip('/')}"
        return Need("ssm:GetParameter", name if name.startswith("arn:") else arn)
    return None


def create_needs(request: Mapping[str, Any], job_arn: str, find_key: Callable[[str], str]) -> list[Need]:
    """Actions that the caller of CreateTrainingJob needs, by its request; ``find_key`` as for :func:`s3_needs`."""
    resources = _as_mapping(request.get("ResourceConfig"))
    network = _as_mapping(request.get("VpcConfig"))
    pairs = [_as_mapping(tag) for tag in _listed(request.get("Tags") or ())]
    tags = {str(tag.get("Key")): str(tag.get("Value")) for tag in pairs}
    groups = [_as_mapping(group) for group in _listed(resources.get("InstanceGroups") or ())]
    types = [str(each["InstanceType"]) for each in (resources, *groups) if "InstanceType" in each]
    volume_key = resources.get("VolumeKmsKeyId")
    context: dict[str, Sequence[str]] = {
        "sagemaker:instancetypes": types,
        "sagemaker:keepaliveperiod": _given(resources.get("KeepAlivePeriodInSeconds")),
        "sagemaker:maxruntimeinseconds": _given(
            _as_mapping(request.get("StoppingCondition")).get("MaxRuntimeInSeconds")
        ),
        "sagemaker:networkisolation": (str(bool(request.get("EnableNetworkIsolation"))).lower(),),
        "sagemaker:outputkmskey": _given(_as_mapping(request.get("OutputDataConfig")).get("KmsKeyId")),
        "sagemaker:volumekmskey": _given(volume_key),
        "sagemaker:vpcsubnets": [str(each) for each in _listed(network.get("Subnets", ()))],
        "sagemaker:vpcsecuritygroupids": [str(each) for each in _listed(network.get("SecurityGroupIds", ()))],
        "aws:tagkeys": list(tags),
        **{f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()},
    }
    needs = [Need("sagemaker:CreateTrainingJob", job_arn, context)]
    if tags:
        needs.append(Need("sagemaker:AddTags", job_arn, context))
    role = str(request.get("RoleArn", ""))
    needs.append(Need("iam:PassRole", role, {"iam:passedtoservice": (SERVICE,)}))
    if volume_key:
        needs.append(Need("kms:CreateGrant", find_key(str(volume_key))))
    return needs


def _given(value: object) -> Sequence[str]:
    return () if value is None or value == "" else (str(value),)


_PULL: Final = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_NETWORK: Final = (
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
_IMAGE: Final = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)")


def role_refusal(permissions: Permissions, request: Mapping[str, Any]) -> str | None:
    """Text of the ValidationException of a job whose role does not suffice; None if it does.

    Parameters
    ----------
    permissions
        Of the account.
    request
        A valid CreateTrainingJob request.

    Raises
    ------
    NoSuchKeyError
        The key of the output does not exist.
    """
    arn = request["RoleArn"]
    if not permissions.is_assumable(arn):
        return (
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
            f"'{SERVICE}' to assume the role."
        )
    role = permissions.role(arn)
    image = _IMAGE.match(request["AlgorithmSpecification"].get("TrainingImage", ""))
    if image is not None:
        repository = f"arn:aws:ecr:{image[2]}:{image[1]}:repository/{image[3]}"
        needs = [Need("ecr:GetAuthorizationToken"), *(Need(action, repository) for action in _PULL)]
        if any(role.decide(need) != "allowed" for need in needs):
            return (
                f"Access denied for repository: {image[3]} in registry ID: {image[1]}. Please check if your ECR repository and "
                f"image exist and role {arn} has proper pull permissions for SageMaker: {', '.join(_PULL)}"
            )
    if request.get("VpcConfig"):
        missing = [action for action in _NETWORK if role.decide(Need(action)) != "allowed"]
        if missing:
            return f"The role {arn} lacks permissions for VpcConfig: {', '.join(missing)}."
    output_key = request["OutputDataConfig"].get("KmsKeyId")
    if output_key:
        need = Need("kms:GenerateDataKey", permissions.key_arn(output_key))
        if role.decide(need) != "allowed":
            return f"The role {arn} may not use the KMS key {output_key}: {DeniedError(role, need)}"
    return None
