"""Finds what would make Terraform run a program that a configuration names, before Terraform reads it.

Names of blocks and arguments can't be written any other way in HCL than as themselves, so looking for the
words is enough; the JSON form, where it would not be, is refused. The sandbox is what holds; this says it in
words, and keeps a program from telling Terraform's judges what to think.
"""

from __future__ import annotations

import re
from pathlib import Path

from labkit.terraform.faults import TerraformFault

_RUNS = re.compile(
    r"\b(?:(?P<provisioner>provisioner)\b[^=\n]*\{"
    r"|(?P<external>data\s+\"?external\"?\s)"
    r"|(?P<files>shared_credentials_files?|shared_config_files|credential_process|profile)\s*=)"
)
_WORDS = {
    "provisioner": "a provisioner runs a program",
    "external": "an external data source runs a program",
    "files": "a credentials file can name a program to run",
}


def refuse_programs(folder: Path) -> None:
    """Go on if no configuration below the folder has Terraform run a program.

    Raises:
        TerraformFault: One does; the message says where.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.endswith((".tf.json", ".tftest.json", ".tfmock.json")):
            raise TerraformFault(
                f"{name} is a configuration in JSON.", next_step="Write it in Terraform's own language."
            )
        if not path.is_file() or path.is_symlink() or not name.endswith((".tf", ".hcl", ".tofu")):
            continue
        text = path.read_text(errors="replace")
        if found := _RUNS.search(_without_comments(text)):
            line = text[: found.start()].count("\n") + 1
            raise TerraformFault(
                f"{name} line {line}: {_WORDS[str(found.lastgroup)]}, which these labs don't need.",
                next_step="Describe what there should be; leave how it is made to the provider.",
            )


def _without_comments(text: str) -> str:
    """The text with its whole-line comments blanked, at the same length."""
    return re.sub(r"(?m)^[ \t]*(?:#|//).*$", lambda found: " " * len(found[0]), text)
