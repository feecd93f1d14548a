"""Says at once, and as AWS would, that the emulator lacks a call; Terraform would try a failure for minutes.

Only the services of the course are let in. Some of the others would run what they are given, with the rights
of this process (Lambda and Batch start containers).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

CODE = "NotInTheEmulator"
SERVICES = frozenset(
    [
        "application-autoscaling",
        "autoscaling",
        "budgets",
        "ce",
        "cloudwatch",
        "dynamodb",
        "ec2",
        "ecr",
        "eks",
        "elasticloadbalancing",
        "events",
        "iam",
        "kms",
        "logs",
        "monitoring",
        "resource-groups",
        "route53",
        "s3",
        "sagemaker",
        "secretsmanager",
        "sns",
        "sqs",
        "ssm",
        "sts",
        "tagging",
    ]
)
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")


class Refusing:
    """The emulator behind a door that only the course's services pass.

    Args:
        application: The emulator, a WSGI application.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Pass a request on, or refuse it."""
        service = service_of(environ)
        if service and service not in SERVICES:
            body, kind = sentence(service, environ, f"The emulator has no service {service}.")
            start("400 Bad Request", [("Content-Type", kind), ("x-amzn-ErrorType", CODE)])
            return [body]
        return self.application(environ, start)


def answering(create: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make of what creates a service's application one whose missing calls are refused with a sentence."""

    def created(service: Any) -> Any:
        from flask import Response, request

        application = create(service)

        def missing(error: NotImplementedError) -> Response:
            environ = request.environ
            name = service_of(environ) or str(service)
            body, kind = sentence(name, environ, f"The emulator lacks this call of {name}: {error}.")
            return Response(body, 400, {"x-amzn-ErrorType": CODE}, content_type=kind)

        application.register_error_handler(NotImplementedError, missing)
        return application

    return created


def service_of(environ: dict[str, Any]) -> str:
    """The service that a request is signed for; empty if it is not signed."""
    found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return found[1] if found else ""


def sentence(service: str, environ: dict[str, Any], message: str) -> tuple[bytes, str]:
    """The error in the form that the service's clients read, and its content type."""
    error = f"<Error><Code>{CODE}</Code><Message>{escape(message)}</Message></Error>"
    if service == "s3":
        return error.encode(), "application/xml"
    if service == "ec2":
        text = f"<Response><Errors>{error}</Errors><RequestID>none</RequestID></Response>"
        return text.encode(), "application/xml"
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        text = f"<ErrorResponse>{error}<RequestId>none</RequestId></ErrorResponse>"
        return text.encode(), "text/xml"
    return json.dumps({"__type": CODE, "message": message}).encode(), "application/json"
