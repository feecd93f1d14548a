"""Recording and alerting rules: read as data, checked and unit-tested by Prometheus' own promtool."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from labkit import debian
from labkit.errors import WorkFault

SECONDS = 30.0
_BYTES = 256 << 10


def read_rules(path: Path) -> list[dict[str, Any]]:
    """All rules of a file, recording and alerting, in order.

    Raises:
        WorkFault: It is not there, or no file of rules.
    """
    content = read_yaml(path)
    try:
        rules = [rule for group in content["groups"] for rule in group["rules"]]
    except (KeyError, TypeError) as error:
        raise WorkFault(
            f"{path.name} holds no groups of rules.", next_step="It begins with `groups:`; each has `rules:`."
        ) from error
    if not all(isinstance(rule, dict) and ("alert" in rule or "record" in rule) for rule in rules):
        raise WorkFault(f"{path.name} holds a rule that neither alerts nor records.")
    return rules


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        WorkFault: It is not there, too long, or no YAML.
    """
    if not path.is_file() or path.is_symlink():
        raise WorkFault(f"There is no {path.name}.", next_step="Put it back beside the other files.")
    if path.stat().st_size > _BYTES:
        raise WorkFault(f"{path.name} holds more than {_BYTES >> 10} KiB.", next_step="Shorten it.")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise WorkFault(f"{path.name} is not YAML.", why=" ".join(str(error).split())[:200]) from error


def check_rules(path: Path) -> int:
    """Have promtool check the file; gives how many rules it holds.

    Raises:
        WorkFault: promtool finds a fault.
        Unavailable: promtool can't be had here.
    """
    said = _promtool(path.name, "check", "rules", str(path))
    found = re.search(r"SUCCESS: (\d+) rules? found", said)
    return int(found[1]) if found else 0


def test_rules(rules: Path, tests: Any) -> None:
    """Run promtool's unit tests against a file of rules.

    Args:
        rules: The file.
        tests: What a file of tests holds, as data; the files of rules that it names are replaced by `rules`.

    Raises:
        WorkFault: A test fails; the message has what was expected and what was seen.
        Unavailable: promtool can't be had here.
    """
    if not isinstance(tests, dict):
        raise WorkFault("The tests of the rules hold no `tests:`.")
    with tempfile.TemporaryDirectory(prefix="rules-") as folder:
        (Path(folder) / "rules.yml").write_bytes(rules.read_bytes())
        file = Path(folder) / "tests.yml"
        file.write_text(yaml.safe_dump(tests | {"rule_files": ["rules.yml"]}))
        _promtool(rules.name, "test", "rules", str(file))


# The name is promtool's own command; pytest must not take it for a test.
test_rules.__test__ = False  # type: ignore[attr-defined]


def _promtool(name: str, *arguments: str) -> str:
    debian.ensure("monitoring")
    try:
        ran = subprocess.run(
            ["promtool", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise WorkFault(f"promtool did not end with {name} within {SECONDS:.0f} s.") from error
    if ran.returncode:
        lines = [line.strip() for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith(("Unit Testing", "Checking", "FAILED:"))]
        raise WorkFault(f"promtool refuses {name}.", why=" ".join(told)[:2000])
    return ran.stdout
