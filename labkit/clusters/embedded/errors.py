"""The API's own errors: a Status with code, reason, message and causes, as every client reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from labkit.clusters.embedded.resources import Resource


@dataclass(frozen=True)
class Cause:
    """One field that is not as it must be.

    Attributes:
        kind: `Required`, `Invalid`, `NotSupported`, `Duplicate`, `Forbidden` or `TooLong`.
        path: The field, `spec.template.spec.containers[0].image`.
        detail: What is wrong with it, in Kubernetes' own words.
        value: What it holds; printed for all but the first and the last two kinds.
    """

    kind: str
    path: str
    detail: str = ""
    value: Any = None

    def __str__(self) -> str:
        """As Kubernetes prints it."""
        return f"{self.path}: {self.body}"

    @property
    def body(self) -> str:
        """The message without the field's name."""
        words, _ = _WORDS[self.kind]
        shown = "" if self.kind in ("Required", "Forbidden", "TooLong") else f": {_shown(self.value)}"
        return f"{words}{shown}" + (f": {self.detail}" if self.detail else "")

    def as_json(self) -> dict[str, str]:
        """An entry of `details.causes`."""
        return {"reason": _WORDS[self.kind][1], "message": self.body, "field": self.path}


_WORDS = {
    "Required": ("Required value", "FieldValueRequired"),
    "Invalid": ("Invalid value", "FieldValueInvalid"),
    "NotSupported": ("Unsupported value", "FieldValueNotSupported"),
    "Duplicate": ("Duplicate value", "FieldValueDuplicate"),
    "Forbidden": ("Forbidden", "FieldValueForbidden"),
    "TooLong": ("Too long", "FieldValueTooLong"),
    "NotFound": ("Not found", "FieldValueNotFound"),
}


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()


def required(path: str, detail: str = "") -> Cause:
    """A field that has to be there."""
    return Cause("Required", path, detail)


def invalid(path: str, value: Any, detail: str) -> Cause:
    """A field whose value can't be."""
    return Cause("Invalid", path, detail, value)


def unsupported(path: str, value: Any, allowed: Sequence[str]) -> Cause:
    """A field whose value is none of those that are known."""
    words = ", ".join(f'"{one}"' for one in sorted(allowed))
    return Cause("NotSupported", path, f"supported values: {words}", value)


@dataclass
class ApiError(Exception):
    """What a request is answered with when it is refused.

    Attributes:
        code: The HTTP status.
        reason: The word that programs look at, `NotFound`.
        message: The sentence that people read.
        details: The object that is meant, and causes.
        headers: To add to the answer.
    """

    code: int
    reason: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The message."""
        return self.message

    def status(self) -> dict[str, Any]:
        """The body of the answer."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            body["details"] = self.details
        return {**body, "code": self.code}


def _details(resource: Resource, name: str, **more: Any) -> dict[str, Any]:
    named = {"name": name, "group": resource.group, "kind": resource.plural, **more}
    return {key: value for key, value in named.items() if value}


def not_found(resource: Resource, name: str) -> ApiError:
    """There is no object of that name."""
    return ApiError(404, "NotFound", f'{resource.key} "{name}" not found', _details(resource, name))


def no_such_path() -> ApiError:
    """There is nothing at that path at all."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str) -> ApiError:
    """There is an object of that name already."""
    message = f'{resource.key} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> ApiError:
    """The object is not in the state that the request takes for granted."""
    message = f'Operation cannot be fulfilled on {resource.key} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def precondition(resource: Resource, name: str, why: str) -> ApiError:
    """The object to delete is not the one that was meant."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    message = f'Operation cannot be fulfilled on {kind} "{name}": {why}'
    return ApiError(409, "Conflict", message, {**_details(resource, name), "kind": resource.kind})


def unprocessable(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """The object's fields are not valid."""
    words = [str(cause) for cause in causes]
    told = words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = {**_details(resource, name), "kind": resource.kind, "causes": [c.as_json() for c in causes]}
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {told}', details)


def bad_request(message: str) -> ApiError:
    """The request can't be understood."""
    return ApiError(400, "BadRequest", message)


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    """The request is understood and refused."""
    message = f'{resource.key} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, _details(resource, name))


def unauthorized() -> ApiError:
    """No token, or a wrong one."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def expired(asked: int, oldest: int) -> ApiError:
    """The events that a watch asks for are gone: it has to list again."""
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def continue_expired() -> ApiError:
    """A `continue` token from a list that is gone."""
    message = (
        "The provided continue parameter is too old to display a consistent list result. "
        "You can start a new list without the continue parameter."
    )
    return ApiError(410, "Expired", message)


def method_not_allowed(method: str) -> ApiError:
    """The resource is there, but does not do that."""
    return ApiError(
        405, "MethodNotAllowed", f"the server does not allow this method on the requested resource ({method})"
    )


def too_large() -> ApiError:
    """The object is larger than an object may be."""
    return ApiError(413, "RequestEntityTooLarge", "Request entity too large: limit is 1572864")


def unsupported_media(kind: str) -> ApiError:
    """A body in a form that is not read here."""
    message = (
        f"the body of the request was in an unknown format ({kind}) - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def not_here(what: str) -> ApiError:
    """A feature of Kubernetes that no lab needs and the embedded cluster does not have."""
    message = (
        f"the embedded cluster does not have {what}; a full Kubernetes does: "
        "workbook up cluster --backend kind, debian or kubeconfig"
    )
    return ApiError(501, "NotImplemented", message)
