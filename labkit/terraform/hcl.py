"""What stands in a configuration's files, block by block, without running Terraform.

The values are Terraform's business: what an argument is set to is given as it is written. Whatever has a
value to be judged is judged in a plan; this is for what can't be planned, and for what has to be found in
a file (the runs of a test, the resources of a cloud whose provider is not there).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hcl2
from lark import Tree
from lark.exceptions import LarkError

from labkit.terraform.faults import TerraformFault

FILE_CHARACTERS = 200_000
"""No configuration of these labs comes near it."""


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        type: `resource`, `variable`, `run`.
        labels: What stands between the type and the brace, without quotes.
        arguments: What is set in it: the name, and the expression as it is written.
        blocks: The blocks in it.
        inside: Where its body begins in the text, behind the opening brace.
    """

    type: str
    labels: tuple[str, ...]
    arguments: Mapping[str, str]
    blocks: tuple[Block, ...]
    inside: int

    def of(self, kind: str) -> list[Block]:
        """The blocks in it that are of that type; those that `dynamic` makes count as one."""
        made = [each for each in self.blocks if (each.type, each.labels) == ("dynamic", (kind,))]
        contents = [found for each in made for found in each.blocks if found.type == "content"]
        return [*(each for each in self.blocks if each.type == kind), *contents]

    def text(self, argument: str) -> str:
        """What is written there for an argument, without the quotes of a plain string; empty if nothing."""
        written = self.arguments.get(argument, "")
        plain = written.startswith('"') and written.endswith('"') and "${" not in written
        return written[1:-1] if plain else written


def blocks(text: str, name: str = "the text") -> list[Block]:
    """The blocks of a configuration.

    Args:
        text: The configuration.
        name: Of its file, for the message.

    Raises:
        TerraformFault: It does not parse, or is far too long.
    """
    if len(text) > FILE_CHARACTERS:
        raise TerraformFault(f"{name} has {len(text):,} characters.", why=f"{FILE_CHARACTERS:,} are read.")
    try:
        tree = hcl2.parses_to_tree(text)
    except (LarkError, RecursionError) as error:
        line = getattr(error, "line", 0)
        raise TerraformFault(
            f"{name} does not parse{f': line {line}' if line and line > 0 else ''}.",
            why=str(error).splitlines()[0][:200] if str(error) else type(error).__name__,
            next_step="terraform validate says more of it.",
        ) from error
    return list(_blocks(tree.children[0], text))


def blocks_of(folder: Path) -> list[Block]:
    """The blocks of all `.tf` files of a folder, not of those below it.

    Raises:
        TerraformFault: One does not parse, or there is none.
    """
    paths = sorted(path for path in folder.glob("*.tf") if path.is_file() and not path.is_symlink())
    if not paths:
        raise TerraformFault(f"There is no configuration in {folder.name}.")
    return [
        each
        for path in paths
        for each in blocks(path.read_text(errors="replace"), f"{folder.name}/{path.name}")
    ]


def _blocks(body: Tree[Any], text: str) -> Iterator[Block]:
    for node in body.children:
        if not isinstance(node, Tree) or node.data != "block":
            continue
        words, inner, brace = [], None, 0
        for part in node.children:
            if isinstance(part, Tree) and part.data == "body":
                inner = part
            elif isinstance(part, Tree) and part.data in ("identifier", "string"):
                words.append(text[part.meta.start_pos : part.meta.end_pos].strip('"'))
            elif not isinstance(part, Tree) and part.type == "LBRACE":
                brace = part.end_pos or 0
        kind, *labels = words
        arguments = dict(_arguments(inner, text)) if inner else {}
        children = tuple(_blocks(inner, text)) if inner else ()
        yield Block(kind, tuple(labels), arguments, children, brace)


def _arguments(body: Tree[Any], text: str) -> Iterator[tuple[str, str]]:
    for node in body.children:
        if isinstance(node, Tree) and node.data == "attribute":
            name, *_, value = [part for part in node.children if isinstance(part, Tree)]
            yield (
                text[name.meta.start_pos : name.meta.end_pos],
                text[value.meta.start_pos : value.meta.end_pos].strip(),
            )
