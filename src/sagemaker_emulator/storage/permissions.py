"""IAM's SimulatePrincipalPolicy, which moto does not know: clients ask it whether a role may do what they are about to do.

Permissions are not checked here, so every action of every role is allowed, and that is what the simulation answers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse

OPERATION: Final = "SimulatePrincipalPolicy"
_ACTION: Final = re.compile(r"ActionNames\.member\.\d+")
_NAMESPACE: Final = "https://iam.amazonaws.com/doc/2010-05-08/"


def is_simulation(body: bytes) -> bool:
    """Whether a form of IAM's protocol asks for this operation."""
    return f"Action={OPERATION}".encode() in body.split(b"&")


def answer_simulation(body: bytes, start_response: StartResponse) -> Iterable[bytes]:
    """Say of each action that was asked for that it is allowed.

    Parameters
    ----------
    body
        The form: ``ActionNames.member.N`` are the actions, such as ``sagemaker:CreateTrainingJob``.
    start_response
        Takes status and headers.
    """
    actions = [value for name, value in parse_qsl(body.decode("utf-8", "replace")) if _ACTION.fullmatch(name)]
    members = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        "<EvalResourceName>*</EvalResourceName><EvalDecision>allowed</EvalDecision></member>"
        for action in actions
    )
    answer = (
        f'<{OPERATION}Response xmlns="{_NAMESPACE}"><{OPERATION}Result><IsTruncated>false</IsTruncated>'
        f"<EvaluationResults>{members}</EvaluationResults></{OPERATION}Result></{OPERATION}Response>"
    ).encode()
    start_response("200 OK", [("Content-Type", "text/xml"), ("Content-Length", str(len(answer)))])
    return [answer]
