"""What `terraform show -json` says of a plan or a state, as far as labs and checks ask.

Source: https://developer.hashicorp.com/terraform/internals/json-format
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Resource:
    """A resource as it is, or as it is planned to be.

    Attributes:
        address: `aws_s3_bucket.models`, with the module in front if it is in one.
        type: `aws_s3_bucket`.
        name: `models`.
        values: Its arguments and attributes; what is not known before it is applied is not in them.
    """

    address: str
    type: str
    name: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, argument: str) -> Any:
        """The value of an argument; None if it is not set or not yet known."""
        return self.values.get(argument)


@dataclass(frozen=True)
class Change:
    """What is to become of one resource.

    Attributes:
        address: Which.
        type: Of what type.
        actions: `create`, `update`, `delete`; a replacement is two of them.
        before: Its values now; None if it is not there.
        after: Its values then, as far as they are known; None if it will be gone.
    """

    address: str
    type: str
    actions: tuple[str, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def differing(self) -> list[str]:
        """The arguments that differ."""
        before, after = self.before or {}, self.after or {}
        return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


@dataclass(frozen=True)
class Plan:
    """A plan.

    Attributes:
        json: All that Terraform says of it.
        seconds: How long it took.
    """

    json: Mapping[str, Any]
    seconds: float = 0.0

    @property
    def changes(self) -> list[Change]:
        """What applying it would do; resources that stay as they are are left out."""
        return [each for each in _changes(self.json.get("resource_changes")) if each.actions != ("no-op",)]

    @property
    def drift(self) -> list[Change]:
        """What somebody's hand changed in the account, and applying would change back.

        Terraform also names what the provider only words otherwise after it was made; that is left out.
        """
        planned = {each.address for each in self.changes}
        return [each for each in _changes(self.json.get("resource_drift")) if each.address in planned]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not [each for each in self.changes if each.actions != ("read",)]

    @property
    def resources(self) -> list[Resource]:
        """All managed resources as they are planned to be."""
        return list(_resources(self.json.get("planned_values", {}).get("root_module", {})))

    def of(self, kind: str) -> list[Resource]:
        """The planned resources of a type."""
        return [each for each in self.resources if each.type == kind]

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs, as far as they are known."""
        found = self.json.get("planned_values", {}).get("outputs", {})
        return {name: each.get("value") for name, each in found.items()}

    def __str__(self) -> str:
        """In a line: Plan: 3 to create, 1 to update, nothing to delete."""
        words = []
        for action in ("create", "update", "delete"):
            count = sum(action in each.actions for each in self.changes)
            words.append(f"{count or 'nothing'} to {action}")
        return f"Plan: {', '.join(words)}."


def resources_of(state: Mapping[str, Any]) -> list[Resource]:
    """The managed resources of a state, from the JSON of `terraform show`."""
    return list(_resources(state.get("values", {}).get("root_module", {})))


def _changes(found: Any) -> list[Change]:
    return [
        Change(
            each["address"],
            each["type"],
            tuple(each["change"]["actions"]),
            each["change"].get("before"),
            each["change"].get("after"),
        )
        for each in found or []
        if each.get("mode") == "managed"
    ]


def _resources(module: Mapping[str, Any]) -> Iterator[Resource]:
    for each in module.get("resources", []):
        if each.get("mode") == "managed":
            yield Resource(each["address"], each["type"], each["name"], each.get("values") or {})
    for child in module.get("child_modules", []):
        yield from _resources(child)
