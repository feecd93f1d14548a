"""What a Pulumi program declares, without an engine and without an account: for unit tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi


@dataclass(frozen=True)
class Resource:
    """One resource that a program declares.

    Attributes:
        type: As Pulumi's engine has it, `aws:s3/bucket:Bucket`.
        name: As the program calls it.
        inputs: Its arguments, named as the engine has them: `nodeGroupName` for `node_group_name`.
    """

    type: str
    name: str
    inputs: dict[str, Any]


class Declared:
    """What a program declared.

    Attributes:
        resources: All of it, in the order of declaration.
        outputs: What `build` returned, with its values.
    """

    def __init__(self) -> None:
        self.resources: list[Resource] = []
        self.outputs: dict[str, Any] = {}

    def of(self, kind: str) -> list[Resource]:
        """The resources whose type ends so: `of("NodeGroup")`."""
        return [each for each in self.resources if each.type.rpartition(":")[2] == kind]


def declared(build, **arguments) -> Declared:
    """Run a program's `build` with mocks, and give what it declared.

    Every resource gets its inputs as its outputs, an id, and an ARN that is made up.
    """
    found = Declared()

    class Mocks(pulumi.runtime.Mocks):
        def new_resource(self, args):
            found.resources.append(Resource(args.typ, args.name, args.inputs))
            return f"{args.name}-id", {"arn": f"arn:made-up:{args.name}", "name": args.name, **args.inputs}

        def call(self, args):
            return {}

    @pulumi.runtime.test
    def run():
        return pulumi.Output.all(**build(**arguments)).apply(found.outputs.update)

    pulumi.runtime.set_mocks(Mocks(), preview=False)
    run()
    return found
