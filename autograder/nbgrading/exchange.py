"""nbgrader's exchange, collected with care: anybody can put anything into its inbound folder.

nbgrader's own `collect` follows links while it copies as the instructor, takes a folder for that of whoever
its name says, and stops at the first name that it can't read.
"""

from __future__ import annotations

import pwd
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.exchange.default.collect import ExchangeCollect

from autograder.nbgrading.files import LEARNER_NAME, copy_plain, replace_folder
from labkit.errors import WorkbookError

LEFT_OUT = "Left out: "
"""What each line of the log begins with that names something that was not collected."""


class CollectPlainFiles(ExchangeCollect):  # type: ignore[misc]
    """Takes each learner's newest folder of their own, and of it the plain files."""

    src_records: list[dict[str, Any]]

    def init_src(self) -> None:
        """Find what is to be collected."""
        super().init_src()
        self.src_records = [record for record in self.src_records if record["username"]]

    def _path_to_record(self, path: str) -> dict[str, Any]:
        """Whose it is and of when; nobody's if that can't be, so that nobody's own work is hidden by it."""
        name = Path(path).name
        try:
            record: dict[str, Any] = super()._path_to_record(path)
            reason = self._why_not(record["username"], Path(path))
        except Exception:  # nbgrader ends the whole run
            reason = "its name holds no learner and time"
        if not reason:
            return record
        self.log.error(f"{LEFT_OUT}{name!a}: {reason}.")
        return {"username": "", "filename": name, "timestamp": datetime.min}

    def _why_not(self, learner: str, path: Path) -> str:
        if not LEARNER_NAME.fullmatch(learner):
            return "that can't be a learner's name"
        if path.is_symlink() or not path.is_dir():
            return "it is not a folder"
        if self.check_owner and (owner := _owner(path)) != learner:
            return f"it is of {owner} (to take it nevertheless: c.ExchangeCollect.check_owner = False)"
        return ""

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        """Copy the plain files; what can't be taken is named, and the others' work is collected."""
        target = Path(dest)
        prepared = target.with_name(f".{target.name}.collected")
        try:
            left_out = copy_plain(Path(src), prepared).left_out
            replace_folder(prepared, target)
        except WorkbookError as error:
            left_out = [str(error)]
        for sentence in left_out:
            self.log.error(f"{LEFT_OUT}{target.parent.name}: {sentence}")


def _owner(path: Path) -> str:
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except KeyError:
        return "somebody unknown"
