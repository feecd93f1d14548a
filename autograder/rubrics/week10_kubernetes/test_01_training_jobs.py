"""Lab week10/training_jobs: a training that gets what it needs, outlives its pod, leaves nothing."""

import json
import shutil
import time

import pytest

from autograder.namespaces import Namespace, provide
from autograder.rubric import after, credit, measured_on, needs, points, progress, reading, require
from autograder.rubrics.week10_kubernetes.jobs import (
    container_of,
    eventually,
    finished,
    job_of,
    pods_of,
    said_of,
    trouble_of,
    with_variables,
)
from autograder.rubrics.week10_kubernetes.training_runs import DRIVER, Truth, steps_of
from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.clusters.kubectl import Kubectl
from labkit.clusters.manifests import completed, one_of_kind, read_manifests
from labkit.clusters.pod_logs import PodLog
from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.verdicts import Tier

what_the_log_says = reading(
    "what_the_log_says",
    points=4,
    criteria=[
        (1, "names the steps that were done twice and why: what came after the last checkpoint was lost"),
        (1, "tells a pod's time until its first step: scheduling, the image, PyTorch's import"),
        (
            2,
            "weighs how often to write: its cost against steps lost, and what SIGTERM's notice changes",
        ),
    ],
)

IMAGE = "workbook/torch:2.13.0-cpu"
GPU = "nvidia.com/gpu"
STEPS, EVERY, BATCH = 40, 5, 50
KILLED_AT = (18, 33)
MOST_TTL = 30
"""Seconds for which the GPU Job may stay when it has ended."""


# ---- a GPU ------------------------------------------------------------------------------------------------

TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
GPU_NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "gpu-1", "labels": {"workbook.agent": "simulated"}},
    "spec": {"taints": [TAINT]},
    "status": {
        kind: {"cpu": "8", "memory": "61Gi", "pods": "110", GPU: "1"} for kind in ("capacity", "allocatable")
    },
}
"""A p3.2xlarge, as its provider would have it enter the cluster."""


@pytest.fixture(scope="session")
def gpu_job(submitted):
    return job_of(submitted, "gpu_job.yaml")


@points(
    1,
    hints=[
        "kubectl apply --dry-run=server -f gpu_job.yaml: what does the API server say of first_notes.yaml?",
        "A GPU can't be given away twice, so it stands in limits; its request follows by itself.",
        "limits: cpu, memory and nvidia.com/gpu; tolerations: key nvidia.com/gpu, operator Exists.",
    ],
)
def test_gpu_manifest(gpu_job):
    """asks for one GPU, says what else it needs, and tolerates the GPU nodes' taint"""
    said = said_of(container_of(completed(gpu_job)).get("resources"))
    spec = gpu_job["spec"]["template"]["spec"]
    tolerated = any(
        one.get("key") in (None, GPU) and one.get("effect") in (None, "NoSchedule")
        for one in spec.get("tolerations") or ()
        if one.get("operator") == "Exists" or one.get("value") == TAINT["value"]
    )
    parts = {
        f"limits.{GPU} of 1": said.get(f"limits.{GPU}") == "1",
        "requests for cpu and memory": {"requests.cpu", "requests.memory"} <= said.keys(),
        "a limit for memory": "limits.memory" in said,
        f"a toleration of {GPU}:NoSchedule": tolerated,
    }
    lacks = [name for name, there in parts.items() if not there]
    require(
        not lacks, f"{len(parts) - len(lacks)} of {len(parts)} parts", cause=f"Lacks: {', '.join(lacks)}."
    )


@pytest.fixture(scope="session")
def simulated(scratch):
    """kubectl on a cluster of its own whose nodes are all simulated: nothing of a manifest runs anywhere."""
    cluster = EmbeddedCluster(scratch / "gpu-cluster", containers=False)
    progress("starting a cluster without a GPU", 3)
    cluster.up()
    try:
        yield Kubectl(cluster.kubeconfig, "default")
    finally:
        cluster.down(purge=True)


@pytest.fixture(scope="session")
def gpu_run(simulated, gpu_job):
    """The Job on a cluster without a GPU, then with one; gives why it waited, and where it ran."""
    measured_on(Tier.SIMULATED)
    name = gpu_job["metadata"]["name"]
    simulated.apply({key: value for key, value in gpu_job.items() if key != "status"})

    def waits():
        for pod in simulated.get("pods")["items"]:
            if pod["spec"].get("nodeName"):
                return f"it runs on {pod['spec']['nodeName']}, which has none"
            for one in pod["status"].get("conditions") or ():
                if one["type"] == "PodScheduled" and one["status"] == "False":
                    return str(one["message"])
        return ""

    why = eventually(waits, "a pod of the Job")
    simulated("create", "-f", "-", stdin=json.dumps(GPU_NODE))

    def ended():
        pods = simulated.get("pods")["items"]
        done = [pod for pod in pods if pod["status"].get("phase") == "Succeeded"]
        return [pod["spec"].get("nodeName") for pod in done]

    try:
        where = eventually(ended, f"the end of Job {name} on a node with a GPU")
    except WorkFault as fault:
        raise WorkFault(f"Job {name} does not run where there is a GPU: {waits() or fault}.") from fault
    return why, where[0], time.monotonic()


@after("test_gpu_manifest")
@needs("scripts")
@points(
    2,
    hints=[
        "kubectl describe pod: the event FailedScheduling says what each node lacks.",
        "Does the node with the GPU take the pod? It has a taint, and 8 cpu and 61Gi.",
    ],
)
def test_waits_for_gpu(gpu_run):
    """waits where there is no GPU, for that reason, and runs where there is one"""
    measured_on(Tier.SIMULATED)
    why, where, _ = gpu_run
    require(f"Insufficient {GPU}" in why, f"without a GPU: {why}"[:200])
    require(where == "gpu-1", f"with one it ran on {where}", cause="not on the node that has the GPU")


@after("test_waits_for_gpu")
@needs("scripts")
@points(
    1,
    hints=[
        "A Job and its pods stay when they have ended, for their logs. For how long?",
        f"ttlSecondsAfterFinished, here at most {MOST_TTL}, so that it can be watched.",
    ],
)
def test_cleans_up(gpu_run, gpu_job, simulated):
    """the GPU Job goes by itself when it has ended, and its pods with it"""
    measured_on(Tier.SIMULATED)
    ttl = gpu_job["spec"].get("ttlSecondsAfterFinished")
    said = "it stays for ever" if ttl is None else f"it stays for {ttl} s"
    require(ttl is not None and 0 <= ttl <= MOST_TTL, said, cause=f"at most {MOST_TTL} s are asked for")
    left = max(0.0, gpu_run[2] + ttl - time.monotonic())

    def gone():
        return not any(simulated.get(kind)["items"] for kind in ("jobs", "pods"))

    eventually(gone, "Job and pod are gone", left + 15)
    require(True, f"gone {ttl} s after its end")


# ---- a training that goes on ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def train(work, handout, logs):
    """Calls the driver, in a process that has PyTorch, beside the learner's files."""
    (work / "drive.py").write_text(DRIVER)
    for name in ("model.py", "digits.txt"):
        shutil.copyfile(handout / name, work / name)
    for name in ("train.py", "train_ranks.py"):
        if not (work / name).is_file():
            raise WorkFault(f"There is no {name}.", next_step="Put it back.")
    progress("starting PyTorch", 15)
    with LearnerFunction("drive:call", work, log=logs / "training_jobs.log", seconds=90) as call:
        yield call


@pytest.fixture(scope="session")
def truth(train):
    return Truth(**train("truth", STEPS))


def last_words(tries):
    """The last thing that a process said which was no step."""
    said = next((one["last"] for one in reversed(tries) if one["last"]), "")
    return f"It said: {said}" if said else ""


@points(
    3,
    hints=[
        "What does the next process need to know? The step, the weights, and how the optimizer got there.",
        "torch.save a dict of step, network.state_dict(), optimizer.state_dict(); load it with weights_only.",
        "stop only has to set `stopping`: the loop saves after the step and ends with a code that is not 0.",
    ],
)
@needs("scripts")
def test_resumes(train, truth):
    """killed twice, or asked to end: it goes on from its checkpoint, to the very same network"""
    cases = {
        "killed twice": (
            [{"steps": STEPS, "kill_at": at} for at in KILLED_AT] + [{"steps": STEPS}],
            # what came after the checkpoint, and the step that runs while the kill is on its way
            EVERY + 1,
        ),
        "asked to end (SIGTERM)": ([{"steps": STEPS, "kill_at": 13, "signal": 15}, {"steps": STEPS}], 0),
        "started again when all is done": ([{"steps": STEPS}, {"steps": STEPS}], 0),
    }
    wrong = []
    for title, (plans, repeated) in cases.items():
        progress(title, 10)
        tries = train("runs", "train.py", f"checkpoints-{len(title)}", plans, 20)
        flaw = truth.flaw([one["said"] for one in tries], STEPS, repeated)
        late = next((number for number, one in enumerate(tries, 1) if one["late"]), None)
        if late is not None:
            flaw = f"try {late} had not ended after 20 s"
        elif not flaw and title.startswith("asked") and tries[0]["code"] == 0:
            flaw = "it ended with exit code 0, which says that the work is done"
        if flaw:
            wrong.append(f"{title}: {flaw}. {last_words(tries)}".strip())
    credit(
        len(cases) - len(wrong),
        len(cases),
        f"{len(cases) - len(wrong)} of {len(cases)} ways",
        cause="; ".join(wrong)[:400],
    )


@after("test_resumes")
@needs("scripts")
@points(
    1,
    hints=[
        "What is in the folder if the process dies half-way through torch.save?",
        "Write to another name first. What puts a whole file in the place of another, at once?",
    ],
)
def test_torn_checkpoint(train, truth):
    """dies in the middle of writing a checkpoint, and the one before is still whole"""
    first = {"steps": STEPS, "kill_at": 13}
    (whole,) = train("runs", "train.py", "torn", [first], 20)
    torn = {"steps": STEPS, "file_bytes": max(512, whole["largest"] // 2)}
    tries = [whole, *train("runs", "train.py", "torn", [torn, {"steps": STEPS}], 20)]
    flaw = truth.flaw([one["said"] for one in tries], STEPS, EVERY + 1)
    require(not flaw, flaw or "goes on from the last whole one", cause=last_words(tries))


# ---- on the cluster ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def training(submitted):
    """All objects of training_job.yaml."""
    return read_manifests(submitted / "training_job.yaml")


@points(
    2,
    hints=[
        "What of a pod is left when it is gone? What it wrote into a PersistentVolumeClaim.",
        "How often may it fail until the Job is given up, and for how long is it kept when it has ended?",
        "A claim, volume and mount; CHECKPOINTS; requests, limits; backoffLimit; ttlSecondsAfterFinished.",
    ],
)
def test_training_manifest(training):
    """says what it needs and may use, how often it may fail, where checkpoints stay and when it may go"""
    job = one_of_kind(training, "Job", "training_job.yaml")
    spec = job["spec"]
    pod = spec["template"]["spec"]
    claims = {one["metadata"]["name"] for one in training if one["kind"] == "PersistentVolumeClaim"}
    kept = {
        volume["name"]
        for volume in pod.get("volumes") or ()
        if (volume.get("persistentVolumeClaim") or {}).get("claimName") in claims
    }
    mounts = container_of(job).get("volumeMounts") or ()
    said = said_of(container_of(completed(job)).get("resources"))
    backoff, ttl = spec.get("backoffLimit"), spec.get("ttlSecondsAfterFinished")
    parts = {
        "requests for cpu and memory": {"requests.cpu", "requests.memory"} <= said.keys(),
        "limits for cpu and memory": {"limits.cpu", "limits.memory"} <= said.keys(),
        "a backoffLimit from 2 to 10": backoff is not None and 2 <= backoff <= 10,
        "a ttlSecondsAfterFinished up to a day": ttl is not None and 60 <= ttl <= 86_400,
        "a mounted claim": any(mount["name"] in kept and not mount.get("readOnly") for mount in mounts),
    }
    lacks = [name for name, there in parts.items() if not there]
    right = len(parts) - len(lacks)
    credit(right, len(parts), f"{right} of {len(parts)} parts", cause=f"Lacks: {', '.join(lacks)}.")


@pytest.fixture(scope="session")
def space(cluster, handout, work):
    """A namespace with the learner's code in it."""
    measured_on(cluster.capabilities.tier)
    progress("providing an image with PyTorch (made once, some minutes)")
    provide(cluster, IMAGE)
    with Namespace(cluster, "training") as space:
        files = [handout / "model.py", handout / "digits.txt", work / "train.py", work / "train_ranks.py"]
        space.owner.config_map("training-code", *files)
        yield space


FIRST_STEP_SECONDS = 60.0
"""A pod has to start and to import PyTorch, on a machine that may be busy."""


@after("test_resumes", "test_training_manifest")
@needs("cluster", "torch_images", "quiet machine")
@points(
    2,
    hints=[
        "kubectl logs -f job/train: at which step does the second pod begin?",
        "CHECKPOINTS has to name a folder in the claim's mount.",
    ],
)
def test_survives(space, training, truth):
    """on the cluster: its pod is lost half-way, and another one goes on from the checkpoint"""
    job = with_variables(one_of_kind(training, "Job", "training_job.yaml"), STEPS=str(STEPS), PAUSE="0.15")
    claims = [one for one in training if one["kind"] == "PersistentVolumeClaim"]
    space.learner.apply([*claims, job])
    tries = []
    lost = set()
    for last in (False, True):
        pod = eventually(
            lambda: next((p for p in pods_of(space, job) if p["metadata"]["name"] not in lost), None),
            "a pod of the Job",
            30,
        )
        name = pod["metadata"]["name"]
        eventually(
            lambda name=name: space.owner.get("pod", name)["status"].get("phase") != "Pending",
            f"pod {name} runs",
            FIRST_STEP_SECONDS,
        )
        log = PodLog(space.owner, name)
        if last:
            done = finished(space, job, 90)
        else:
            if not log.wait_for(STEPS // 2, FIRST_STEP_SECONDS):
                log.close()
                raise WorkFault(
                    f"Pod {name} did not come to step {STEPS // 2} within {FIRST_STEP_SECONDS:.0f} s.",
                    why=trouble_of(space, job)[:300],
                )
            space.owner("delete", "pod", name, "--grace-period=0", "--force")
            lost.add(name)
        log.close()
        tries.append(log.said)
    require(done, "the Job is complete" if done else "the Job failed", cause=trouble_of(space, job)[:300])
    flaw = truth.flaw(tries, STEPS, EVERY + 1)
    first, second = (steps_of(said) for said in tries)
    seen = (
        f"one pod did steps {first[0]} to {first[-1]}, the next {second[0]} to {second[-1]}"
        if second
        else flaw
    )
    require(not flaw, flaw or seen)


# ---- two ranks --------------------------------------------------------------------------------------------


@points(
    2,
    hints=[
        "dist.init_process_group('gloo', rank=..., world_size=...) reads MASTER_ADDR and MASTER_PORT itself.",
        "rows[rank::world] is a part. Which parts would overlap, or leave rows out?",
        "dist.all_reduce(parameter.grad) adds the gradients of all ranks up; an average is a sum divided.",
    ],
)
@needs("scripts")
def test_ranks(train, truth):
    """two processes with half a batch each make the same network as one with all of it"""
    progress("two ranks", 20)
    found = train("ranks", "train_ranks.py", 2, STEPS, 40)
    flaw = truth.flaw_of_ranks([one["said"] for one in found], BATCH)
    require(not flaw, flaw or "the same network", cause=last_words(found))


@pytest.fixture(scope="session")
def ranks_objects(submitted):
    return read_manifests(submitted / "ranks_job.yaml")


@points(
    1,
    hints=[
        "Who tells a pod which rank it is? See completionMode.",
        "A pod has a name in DNS if its subdomain is a headless Service's name: ranks-0.trainers.",
        "completionMode: Indexed, completions and parallelism 2, subdomain, a Service with clusterIP: None.",
    ],
)
def test_ranks_manifest(ranks_objects):
    """an Indexed Job of two pods at once, which find each other by name"""
    job = one_of_kind(ranks_objects, "Job", "ranks_job.yaml")
    service = one_of_kind(ranks_objects, "Service", "ranks_job.yaml")
    spec, labels = job["spec"], job["spec"]["template"]["metadata"].get("labels") or {}
    selector = service["spec"].get("selector") or {}
    parts = {
        "completionMode Indexed": spec.get("completionMode") == "Indexed",
        "two completions": spec.get("completions") == 2,
        "both at once": spec.get("parallelism") == 2,
        "a headless Service": service["spec"].get("clusterIP") == "None",
        "a selector of its pods": bool(selector) and selector.items() <= labels.items(),
        "its name as subdomain": spec["template"]["spec"].get("subdomain") == service["metadata"]["name"],
    }
    lacks = [name for name, there in parts.items() if not there]
    require(
        not lacks, f"{len(parts) - len(lacks)} of {len(parts)} parts", cause=f"Lacks: {', '.join(lacks)}."
    )


@after("test_ranks", "test_ranks_manifest")
@needs("cluster", "torch_images", "quiet machine")
@points(
    1,
    hints=[
        "kubectl logs -l app=ranks --prefix: who waits for whom?",
        "MASTER_ADDR is the name of the pod with index 0: JOB-0.SERVICE. WORLD_SIZE is 2.",
    ],
)
def test_joined(space, ranks_objects, truth):
    """on the cluster: both pods join, and end with the same network"""
    job = with_variables(one_of_kind(ranks_objects, "Job", "ranks_job.yaml"), STEPS=str(STEPS))
    service = one_of_kind(ranks_objects, "Service", "ranks_job.yaml")
    job["spec"]["backoffLimit"] = 0  # the first failure tells enough
    space.learner.apply([service, job])
    done = finished(space, job, FIRST_STEP_SECONDS + 30)
    require(done, "both pods ended well" if done else "a pod failed", cause=trouble_of(space, job)[:300])
    said = {}
    for pod in pods_of(space, job):
        index = pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
        lines = space.owner("logs", pod["metadata"]["name"]).splitlines()
        said[index] = [json.loads(line) for line in lines if line.startswith("{")]
    flaw = truth.flaw_of_ranks([said[index] for index in sorted(said)], BATCH)
    require(not flaw, flaw or f"{len(said)} ranks, the same network")
