"""Prometheus, Alertmanager, the node exporter and the webhook, as one thing that is up or down.

Debian's packages, their programs started by us: everything listens on 127.0.0.1 and keeps its data in one
folder. Pods come and go by service discovery (`labkit.monitoring.discovery`): one that is annotated
`prometheus.io/scrape: "true"` is scraped at its own address as long as it lives.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from filelock import FileLock

from labkit import debian
from labkit.engines import places
from labkit.errors import WorkbookError
from labkit.monitoring.daemons import Daemon, answers, free_ports
from labkit.monitoring.discovery import TARGETS, write_targets
from labkit.monitoring.queries import Prometheus
from labkit.monitoring.rules import check_rules
from labkit.monitoring.webhook import Delivered, delivered

OUR_RULES = Path(__file__).parent / "data" / "rules.yml"
_NAMES = ("prometheus", "alertmanager", "node", "webhook")


@dataclass(frozen=True)
class Monitoring:
    """One monitoring; each folder is one of its own. As a context manager it is up within the block.

    Attributes:
        folder: Its configuration, data, pids and logs.
        kubeconfig: The cluster to watch; none by default.
        rules: Files of rules; those that fit any cluster by default.
        interval: Seconds between two scrapes, and between two evaluations of the rules.
    """

    folder: Path = field(default_factory=lambda: places.kept("monitoring"))
    kubeconfig: Path | None = None
    rules: Sequence[Path] = (OUR_RULES,)
    interval: float = 1.0

    @property
    def _state(self) -> Path:
        return self.folder / "ports.json"

    @property
    def ports(self) -> dict[str, int]:
        """Where each program listens on 127.0.0.1; empty if it was never up."""
        try:
            found: dict[str, int] = json.loads(self._state.read_text())
        except (OSError, ValueError):
            return {}
        return found

    @property
    def prometheus(self) -> Prometheus:
        """Prometheus' API.

        Raises:
            WorkbookError: It is not up.
        """
        return Prometheus(self._url("prometheus"))

    def _url(self, name: str) -> str:
        if name not in self.ports:
            raise WorkbookError("The monitoring is not up.", next_step="`workbook up monitoring` starts it.")
        return f"http://127.0.0.1:{self.ports[name]}"

    def alerts(self) -> list[Delivered]:
        """What Alertmanager delivered so far, in order."""
        return delivered(self.folder)

    def is_up(self) -> bool:
        """Whether Prometheus runs and is ready."""
        if not self.ports:
            return False
        daemon = self._daemons()["prometheus"]
        return daemon.process is not None and answers(daemon.ready)

    # ---- up and down --------------------------------------------------------------------------------------

    def up(self, say: debian.Say = debian.say_on_stderr) -> bool:
        """Start it unless it runs; gives whether it was started.

        Raises:
            Unavailable: The packages can't be had, or a program did not start.
            WorkFault: promtool refuses the rules.
        """
        debian.ensure("monitoring", say=say)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(self.folder / "lock"):
            if self.is_up():
                return False
            self._end()
            for path in self.rules:
                check_rules(path)
            self._state.write_text(json.dumps(dict(zip(_NAMES, free_ports(len(_NAMES)), strict=True))))
            self._configure()
            try:
                for daemon in self._daemons().values():
                    daemon.up()
            except WorkbookError:
                self._end()
                raise
        return True

    def down(self, *, purge: bool = False) -> bool:
        """Stop it; gives whether anything ran.

        Args:
            purge: Delete what it measured, too.
        """
        if not self.folder.exists():
            return False
        with FileLock(self.folder / "lock"):
            ran = self._end()
        if purge:
            shutil.rmtree(self.folder)
        return ran

    def reload(self, rules: Sequence[Path]) -> None:
        """Take other rules without a restart; what was measured and the state of alerts stay.

        Raises:
            WorkFault: promtool refuses them; the old ones stay in force then.
        """
        for path in rules:
            check_rules(path)
        self._lay_rules(rules)
        process = self._daemons()["prometheus"].process
        if process is None:
            raise WorkbookError("The monitoring is not up.", next_step="`workbook up monitoring` starts it.")
        process.send_signal(signal.SIGHUP)

    def wait_for(self, query: str, *, seconds: float = 20.0) -> bool:
        """Wait until a query gives something; gives whether it did in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.prometheus.instant(query):
                return True
            time.sleep(self.interval / 4)
        return False

    def __enter__(self) -> Monitoring:
        """Start it."""
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it; what it measured stays."""
        self.down()

    def _end(self) -> bool:
        if not self.ports:
            return False
        ran = [daemon.down() for daemon in reversed(self._daemons().values())]
        return any(ran)

    # ---- how it is set up ---------------------------------------------------------------------------------

    def _daemons(self) -> dict[str, Daemon]:
        ports, folder = self.ports, self.folder
        listen = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        watched = [str(self.kubeconfig)] if self.kubeconfig else []
        commands: dict[str, tuple[list[str], str]] = {
            "webhook": (
                [
                    *(sys.executable, "-m", "labkit.monitoring"),
                    *(str(folder), str(ports["webhook"]), *watched),
                ],
                "/ready",
            ),
            "alertmanager": (
                [
                    "prometheus-alertmanager",
                    f"--config.file={folder / 'alertmanager.yml'}",
                    f"--storage.path={folder / 'alertmanager'}",
                    f"--web.listen-address={listen['alertmanager']}",
                    "--cluster.listen-address=",  # one alone: it looks for no others
                ],
                "/-/ready",
            ),
            "node": (
                [
                    "prometheus-node-exporter",
                    f"--web.listen-address={listen['node']}",
                    "--collector.disable-defaults",
                    *(f"--collector.{each}" for each in ("cpu", "loadavg", "meminfo", "textfile")),
                    # Metrics that somebody lays there; and by this word it is known as ours.
                    f"--collector.textfile.directory={folder}",
                ],
                "/metrics",
            ),
            "prometheus": (
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={listen['prometheus']}",
                    "--log.level=warn",
                ],
                "/-/ready",
            ),
        }
        return {
            name: Daemon(name, tuple(command), folder, f"http://{listen[name]}{ready}")
            for name, (command, ready) in commands.items()
        }

    def _configure(self) -> None:
        self._lay_rules(self.rules)
        write_targets(self.folder, [])
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(self._prometheus(), sort_keys=False))
        url = f"http://127.0.0.1:{self.ports['webhook']}/alerts"
        alertmanager = {
            "route": {
                "receiver": "webhook",
                "group_by": ["..."],  # each alert by itself: when it came is what a report wants
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "4h",
            },
            "receivers": [{"name": "webhook", "webhook_configs": [{"url": url, "send_resolved": True}]}],
        }
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(alertmanager, sort_keys=False))

    def _lay_rules(self, rules: Sequence[Path]) -> None:
        folder = self.folder / "rules"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for number, path in enumerate(rules):
            shutil.copyfile(path, folder / f"{number:02}_{path.stem}.yml")

    def _prometheus(self) -> dict[str, Any]:
        jobs = [_job(name, self.ports[name]) for name in ("node", "webhook")]
        if self.kubeconfig is not None:
            jobs.append({"job_name": "pods", "file_sd_configs": [{"files": [str(self.folder / TARGETS)]}]})
        every = f"{round(self.interval * 1000)}ms"
        beside = [{"targets": [f"127.0.0.1:{self.ports['alertmanager']}"]}]
        return {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(self.folder / "rules" / "*.yml")],
            "alerting": {"alertmanagers": [{"static_configs": beside}]},
            "scrape_configs": jobs,
        }


def _job(name: str, port: int) -> dict[str, Any]:
    job = {"node": "node", "webhook": "cluster"}[name]
    return {
        "job_name": job,
        "honor_labels": True,  # of the cluster's pods, not of who tells of them
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
    }
