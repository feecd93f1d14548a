"""Jobs on a cluster: what their pods say, why they don't run, how they end."""

import copy
import time

from autograder.rubric import progress
from labkit.clusters.manifests import one_of_kind, read_manifests
from labkit.errors import WorkFault


def job_of(submitted, file):
    """The file's only Job."""
    return one_of_kind(read_manifests(submitted / file), "Job", file)


def container_of(job):
    """The first container of a Job's pods."""
    return job["spec"]["template"]["spec"]["containers"][0]


def said_of(resources):
    """Amounts in both halves of a container's resources, as text."""
    return {
        f"{half}.{name}": str(amount)
        for half in ("requests", "limits")
        for name, amount in ((resources or {}).get(half) or {}).items()
    }


def eventually(look, what, seconds=15.0):
    """The first thing that it gives.

    Raises:
        WorkFault: That took too long; says what was waited for.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise WorkFault(f"{what} did not happen within {seconds:.0f} s.")
        progress(f"waiting: {what}", deadline - time.monotonic())
        time.sleep(0.3)
    return found


def with_variables(job, **variables):
    """The Job with these variables for its first container, whatever it sets itself."""
    job = copy.deepcopy(job)
    container = container_of(job)
    others = [one for one in container.get("env") or () if one["name"] not in variables]
    container["env"] = others + [{"name": name, "value": value} for name, value in variables.items()]
    return job


def pods_of(space, job):
    """The Job's pods in the order in which they were made, without those that are being ended."""
    found = space.owner.get("pods", "-l", f"job-name={job['metadata']['name']}")["items"]
    return sorted(
        (pod for pod in found if "deletionTimestamp" not in pod["metadata"]),
        key=lambda pod: pod["metadata"]["creationTimestamp"],
    )


def trouble_of(space, job):
    """Why a Job's newest pod does not run, as kubectl would show it; empty if nothing is said."""
    for pod in reversed(pods_of(space, job)):
        for status in pod["status"].get("containerStatuses") or ():
            for state in (status.get("state") or {}).values():
                if state.get("reason") not in (None, "ContainerCreating", "Completed"):
                    last = space.owner("logs", pod["metadata"]["name"], "--tail=1")[-200:]
                    return f"{state['reason']} {state.get('message', '')} {last}".strip()
        for one in pod["status"].get("conditions") or ():
            if one["type"] == "PodScheduled" and one["status"] == "False":
                return str(one["message"])
    return ""


def finished(space, job, seconds):
    """Wait until a Job has ended; says whether it is complete."""
    name = job["metadata"]["name"]

    def look():
        status = space.owner.get("job", name).get("status", {})
        return {one["type"] for one in status.get("conditions") or () if one["status"] == "True"} & {
            "Complete",
            "Failed",
        }

    try:
        return "Complete" in eventually(look, f"Job {name} ended", seconds)
    except WorkFault as fault:
        raise WorkFault(f"{fault.what}", why=trouble_of(space, job)[:300]) from fault
