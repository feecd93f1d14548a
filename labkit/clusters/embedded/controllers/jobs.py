"""Jobs: pods that run to their end, counted, tried again, given up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from labkit.clusters.embedded.api import Api, moment, suffix, timestamp
from labkit.clusters.embedded.controllers.base import (
    Key,
    active,
    of_owner,
    owned,
    pod_from,
    ready,
    record,
    set_status,
)
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FIRST_DELAY, LONGEST_DELAY = 10.0, 600.0
_SOURCE = "job-controller"


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as `0-2,5`."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a},{b}" if b == a + 1 else f"{a}-{b}" for a, b in parts)


def numbers(text: str) -> set[int]:
    """The numbers in `0-2,5`."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _index(pod: Object) -> int | None:
    text = (pod["metadata"].get("annotations") or {}).get(INDEX)
    return int(text) if text is not None else None


class Jobs:
    """Runs Jobs."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Jobs, and those whose pods change."""
        return of_owner(change, "Job", "jobs.batch", "pods")

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Count what has ended, then make, delete or finish."""
        job = api.find("jobs.batch", namespace, name)
        if job is None:
            return None
        status: Object = {**job.get("status", {})}
        pods = owned(api, "pods", job)
        if "deletionTimestamp" in job["metadata"]:
            self._release(api, pods)
            return None
        if any(
            c["type"] in ("Complete", "Failed") and c["status"] == "True"
            for c in status.get("conditions") or ()
        ):
            self._release(api, pods)
            return self._expire(api, job)
        now = datetime.now(UTC)
        suspended = bool(job["spec"].get("suspend"))
        self._suspend(api, job, status, suspended)
        if not suspended:
            status.setdefault("startTime", timestamp(now))
        self._count(job, status, pods)
        running = [pod for pod in pods if active(pod)]
        waits = None
        if (end := self._verdict(job, status, running, now)) is not None:
            self._finish(api, job, status, running, *end)
            running = []
        elif suspended:
            self._delete(api, job, running)
            running = []
        else:
            running, waits = self._fill(api, job, status, pods, running, now)
        for field, count in (("active", len(running)), ("ready", sum(map(ready, running)))):
            status[field] = count
        if not status["active"]:
            del status["active"]
        set_status(api, "jobs.batch", job, status)
        self._release(api, pods)
        return waits

    def _count(self, job: Object, status: Object, pods: list[Object]) -> None:
        """Count each pod that ended, once: its finalizer keeps it until it is written down."""
        counted = status.get("uncountedTerminatedPods") or {}
        noted: Object = {}
        done = numbers(status.get("completedIndexes", ""))
        for pod in pods:
            phase = pod.get("status", {}).get("phase")
            lost = "deletionTimestamp" in pod["metadata"] and phase not in ("Succeeded", "Failed")
            if FINALIZER not in (pod["metadata"].get("finalizers") or ()) or (
                phase not in ("Succeeded", "Failed") and not lost
            ):
                continue
            field, uid = "succeeded" if phase == "Succeeded" else "failed", pod["metadata"]["uid"]
            noted.setdefault(field, []).append(uid)
            index = _index(pod)
            if uid not in (counted.get(field) or ()) and not (field == "succeeded" and index in done):
                status[field] = status.get(field, 0) + 1
            if field == "succeeded" and index is not None:
                done.add(index)
        if job["spec"]["completionMode"] == "Indexed" and done:
            status["completedIndexes"] = ranges(done)
        status["uncountedTerminatedPods"] = noted

    def _verdict(
        self, job: Object, status: Object, running: list[Object], now: datetime
    ) -> tuple[str, str, str] | None:
        spec = job["spec"]
        wanted, succeeded = spec.get("completions"), status.get("succeeded", 0)
        limit = spec.get("activeDeadlineSeconds")
        if (
            limit is not None
            and "startTime" in status
            and (now - moment(status["startTime"])).total_seconds() >= limit
        ):
            return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
        restarts = sum(
            one.get("restartCount", 0)
            for pod in running
            if pod["spec"].get("restartPolicy") == "OnFailure"
            for one in pod.get("status", {}).get("containerStatuses") or ()
        )
        if status.get("failed", 0) > spec["backoffLimit"] or (restarts and restarts > spec["backoffLimit"]):
            return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        if (wanted is not None and succeeded >= wanted) or (wanted is None and succeeded and not running):
            return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
        return None

    def _finish(
        self,
        api: Api,
        job: Object,
        status: Object,
        running: list[Object],
        kind: str,
        reason: str,
        message: str,
    ) -> None:
        self._delete(api, job, running)
        before = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
        for one in (before, kind):
            _condition(status, one, "True", reason, message)
        if kind == "Complete":
            status["completionTime"] = timestamp()
            record(api, job, "Completed", "Job completed", _SOURCE)
        else:
            record(api, job, reason, message, _SOURCE, "Warning")

    def _suspend(self, api: Api, job: Object, status: Object, suspended: bool) -> None:
        """Note that a Job was suspended, or goes on; its time begins anew then."""
        was = any(c["type"] == "Suspended" and c["status"] == "True" for c in status.get("conditions") or ())
        if suspended and not was:
            status.pop("startTime", None)
            _condition(status, "Suspended", "True", "JobSuspended", "Job suspended")
            record(api, job, "Suspended", "Job suspended", _SOURCE)
        elif was and not suspended:
            _condition(status, "Suspended", "False", "JobResumed", "Job resumed")
            record(api, job, "Resumed", "Job resumed", _SOURCE)

    def _fill(
        self, api: Api, job: Object, status: Object, pods: list[Object], running: list[Object], now: datetime
    ) -> tuple[list[Object], float | None]:
        spec, namespace = job["spec"], job["metadata"]["namespace"]
        left = [] if spec.get("completions") is None else [spec["completions"] - status.get("succeeded", 0)]
        wanted = min([spec["parallelism"], *left])
        if spec.get("completions") is None and status.get("succeeded"):
            wanted = len(running)  # a work queue: those that are at it finish, none is begun
        stopping = sum(
            "deletionTimestamp" in pod["metadata"]
            for pod in pods
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        )
        waits = self._delay(status, pods, now)
        if len(running) > wanted:
            self._delete(api, job, running[wanted:])
            return running[:wanted], None
        if waits is None:
            done = numbers(status.get("completedIndexes", "")) | {
                i for pod in running if (i := _index(pod)) is not None
            }
            free = (i for i in range(spec.get("completions") or 0) if i not in done)
            for _ in range(wanted - len(running) - stopping):
                index = next(free, None) if spec["completionMode"] == "Indexed" else None
                made, _ = api.create(built_in("pods"), namespace, self._pod(job, index))
                record(
                    api, job, "SuccessfulCreate", f"Created pod: {made.object['metadata']['name']}", _SOURCE
                )
                running.append(made.object)
        limit = spec.get("activeDeadlineSeconds")
        ends = [limit - (now - moment(status["startTime"])).total_seconds()] if limit is not None else []
        return running, min([*ends, *([waits] if waits is not None else [])], default=None)

    def _delay(self, status: Object, pods: list[Object], now: datetime) -> float | None:
        """How long until a failed pod is replaced: longer with each that failed."""
        ends = [
            moment(one["state"]["terminated"]["finishedAt"])
            for pod in pods
            if pod.get("status", {}).get("phase") == "Failed"
            for one in pod["status"].get("containerStatuses") or ()
            if one.get("state", {}).get("terminated", {}).get("finishedAt")
        ]
        if not ends or not status.get("failed"):
            return None
        delay = min(FIRST_DELAY * 2 ** (status["failed"] - 1), LONGEST_DELAY)
        left = delay - (now - max(ends)).total_seconds()
        return left if left > 0 else None

    def _pod(self, job: Object, index: int | None) -> Object:
        name = job["metadata"]["name"]
        named = f"{name[:57]}-{suffix()}" if index is None else f"{name[:50]}-{index}-{suffix()}"
        pod = pod_from(job["spec"]["template"], job, named)
        pod["metadata"]["finalizers"] = [FINALIZER]
        if index is not None:
            pod["metadata"].setdefault("annotations", {})[INDEX] = str(index)
            pod["metadata"].setdefault("labels", {})[INDEX] = str(index)
            pod["spec"].setdefault("hostname", f"{name}-{index}")
            source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
            variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}
            pod["spec"]["containers"] = [
                {**one, "env": [*(one.get("env") or []), variable]} for one in pod["spec"]["containers"]
            ]
        return pod

    def _delete(self, api: Api, job: Object, pods: list[Object]) -> None:
        for pod in pods:
            api.delete(built_in("pods"), job["metadata"]["namespace"], pod["metadata"]["name"])
            record(api, job, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}", _SOURCE)

    def _release(self, api: Api, pods: list[Object]) -> None:
        """Let go of pods that are counted."""
        for pod in pods:
            found = api.find("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            if found is None or FINALIZER not in (found["metadata"].get("finalizers") or ()) or active(found):
                continue
            kept = [one for one in found["metadata"]["finalizers"] if one != FINALIZER]
            api.patch(
                built_in("pods"),
                found["metadata"]["namespace"],
                found["metadata"]["name"],
                {"metadata": {"finalizers": kept or None}},
            )

    def _expire(self, api: Api, job: Object) -> float | None:
        """Delete a finished Job when its time is over."""
        keep = job["spec"].get("ttlSecondsAfterFinished")
        if keep is None:
            return None
        ends = [
            moment(c["lastTransitionTime"])
            for c in job["status"]["conditions"]
            if c["type"] in ("Complete", "Failed")
        ]
        left = keep - (datetime.now(UTC) - max(ends)).total_seconds()
        if left > 0:
            return float(left)
        options = {"propagationPolicy": "Background"}
        api.delete(built_in("jobs.batch"), job["metadata"]["namespace"], job["metadata"]["name"], options)
        return None


def _condition(status: Object, kind: str, word: str, reason: str, message: str) -> None:
    """Set one of a Job's conditions, in place."""
    others = [one for one in status.get("conditions") or () if one["type"] != kind]
    times = dict.fromkeys(("lastProbeTime", "lastTransitionTime"), timestamp())
    status["conditions"] = [
        *others,
        {"type": kind, "status": word, **times, "reason": reason, "message": message},
    ]
