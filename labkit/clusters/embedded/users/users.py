"""Those who may talk to the cluster, each known by a token: its owner, and a guest."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Set
from dataclasses import dataclass

from labkit.clusters.embedded.api import Admission, Api, Object
from labkit.clusters.embedded.errors import ApiError, Cause
from labkit.clusters.embedded.requests import Target
from labkit.clusters.embedded.resources import Resource
from labkit.clusters.embedded.users import restrictions

GUESTS = "workbook.guests"
"""A label that the owner gives a namespace: `true` opens it to the cluster's guest."""
_READ_ANYWHERE = ("nodes", "nodes.metrics.k8s.io")
_OWN_PLACES = ("log", "exec", "attach", "portforward", "eviction", "scale")
_REVIEW = "selfsubjectaccessreviews.authorization.k8s.io"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class User:
    """Somebody with a token.

    Attributes:
        name: What messages call them.
        token: What they show.
        restricted: Whether they are a guest: in the namespaces that are open to them, with what the
            restrictions leave.
    """

    name: str
    token: str
    restricted: bool = False


class Users:
    """All who have a token.

    Args:
        api: The objects.
        known: The users.
        images: Gives the images that guests' pods may run.
    """

    def __init__(self, api: Api, known: list[User], images: Callable[[], Set[str]] = frozenset) -> None:
        self._api, self._known, self._images = api, known, images

    def find(self, authorization: str) -> User | None:
        """Whose header this is; None if it is nobody's."""
        given = authorization.encode()
        fits = [hmac.compare_digest(given, f"Bearer {user.token}".encode()) for user in self._known]
        return next((user for user, same in zip(self._known, fits, strict=True) if same), None)

    def authorize(self, user: User, method: str, target: Target) -> None:
        """Go on if the user may ask this at all.

        Raises:
            ApiError: 403, in the words in which Kubernetes refuses.
        """
        if not user.restricted or target.resource.key == _REVIEW:
            return
        resource, reads = target.resource, method == "GET"
        inside = self._is_open(target)
        if reads and not target.subresource and (inside or resource.key in _READ_ANYWHERE):
            return
        written = resource.key in restrictions.rules().guests_write or (
            resource.namespaced and not resource.definition and resource.schema is not None
        )
        if inside and (target.subresource in _OWN_PLACES or (written and not target.subresource)):
            return
        raise _not_allowed(user, method, target)

    def _is_open(self, target: Target) -> bool:
        """Whether it is about a namespace that guests may use."""
        name = target.namespace
        if target.resource.key == "namespaces":
            name = target.name
        found = self._api.find("namespaces", "", name) if name else None
        return found is not None and (found["metadata"].get("labels") or {}).get(GUESTS) == "true"

    def admission(self, user: User) -> Admission | None:
        """What looks at an object of theirs before it is kept; None if nothing has to."""
        return self._admit if user.restricted else None

    def _admit(self, resource: Resource, thing: Object, old: Object | None) -> None:
        """Go on if a guest may have this object.

        Raises:
            ApiError: 403, with each field and the reason.
        """
        restrictions.check(resource, thing, images=self._images())
        most = restrictions.rules().most_objects
        namespace = thing["metadata"].get("namespace", "")
        if old is None and sum(1 for _ in self._api.each(resource.key, namespace)) >= most:
            why = f"exceeded quota: guests have at most {most} {resource.plural} in a namespace"
            raise restrictions.refused(
                resource,
                thing["metadata"].get("name", ""),
                [Cause("Forbidden", "metadata.name", why)],
            )


def _not_allowed(user: User, method: str, target: Target) -> ApiError:
    resource = target.resource
    verb = _VERBS.get(method, "get" if target.name else "list")
    what = f"{resource.plural}/{target.subresource}" if target.subresource else resource.plural
    scope = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    named = f'{resource.key} "{target.name}"' if target.name else resource.key
    message = (
        f'{named} is forbidden: User "{user.name}" cannot {verb} resource "{what}" '
        f'in API group "{resource.group}" {scope}'
    )
    details = {"name": target.name, "group": resource.group, "kind": resource.plural}
    return ApiError(403, "Forbidden", message, {key: value for key, value in details.items() if value})
