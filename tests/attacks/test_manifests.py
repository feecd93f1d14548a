"""Manifests as attacks: what hostile objects and their pods can't do to the cluster or the machine."""

from __future__ import annotations

import copy
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
import yaml
from attacks.fenced_engine import IMAGE, fenced_engine

from labkit.clusters.guarded import OPEN, GuardedCluster, kubeconfig_for_work, network_of
from labkit.engines import machine
from labkit.isolation.limits import MIB, Limits

LIMITS = Limits(memory_bytes=400 * MIB, processes=300, cores=2.0, disk_bytes=1500 * MIB)
PODS = "/api/v1/namespaces/work/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/work/deployments"
JOBS = "/apis/batch/v1/namespaces/work/jobs"


class Asker:
    """Talks to the cluster in somebody's name, without a client that might refuse first."""

    def __init__(self, kubeconfig: Path, authority: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.server = config["clusters"][0]["cluster"]["server"]
        self.token = config["users"][0]["user"]["token"]
        self._context = ssl.create_default_context(cafile=str(authority))

    def __call__(self, method, path, thing=None, kind="application/json"):
        data = None if thing is None else json.dumps(thing).encode()
        request = urllib.request.Request(self.server + path, data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", kind)
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=20) as answer:
                text = answer.read()
                code = answer.status
        except urllib.error.HTTPError as error:
            with error:
                text, code = error.read(), error.code
        plain = path in ("/readyz",) or (path.endswith("/log") and code == 200)
        return code, {"text": text.decode(errors="replace")} if plain else json.loads(text)


@pytest.fixture(scope="module")
def engine():
    with fenced_engine("workbook-manifests", LIMITS) as engine:
        yield engine


@pytest.fixture(scope="module")
def cluster(engine):
    with GuardedCluster(engine) as cluster:
        cluster.load_image(IMAGE)
        process = cluster.process
        yield cluster
        assert cluster.process == process, "it was started anew"
    assert not process.is_running()


@pytest.fixture(scope="module")
def owner(cluster):
    ask = Asker(cluster.kubeconfig, cluster.folder / "ca.crt")
    for name in ("work", "closed"):
        labels = OPEN if name == "work" else {}
        assert ask("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})[0] == 201
    secret = {"metadata": {"name": "answers"}, "stringData": {"reference": "hidden"}}
    assert ask("POST", "/api/v1/namespaces/closed/secrets", secret)[0] == 201
    return ask


@pytest.fixture
def guest(cluster, owner):
    """Asks as the guest; the cluster is as good afterwards as before."""
    yield Asker(kubeconfig_for_work(cluster), cluster.folder / "ca.crt")
    for path in (DEPLOYMENTS, JOBS, PODS):
        owner("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
    assert owner("GET", "/readyz")[0] == 200


def pod(name="one", **spec):
    container = {"name": "main", "image": IMAGE, "command": ["sleep", "60"], **spec.pop("container", {})}
    return {"metadata": {"name": name}, "spec": {"containers": [container], "restartPolicy": "Never", **spec}}


def deployment(spec, **more):
    labels = {"app": "one"}
    return {
        "metadata": {"name": "one"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {**spec, "restartPolicy": "Always"}},
            **more,
        },
    }


def in_container(**fields):
    return {"container": fields}


def volume(**source):
    return {"volumes": [{"name": "v", **source}]}


PROBE = {"httpGet": {"host": "127.0.0.1", "port": 6443, "path": "/api/v1/secrets"}}
HOSTILE = {
    "the node's network": ({"hostNetwork": True}, "hostNetwork", "Host Namespaces"),
    "the node's processes": ({"hostPID": True}, "hostPID", "Host Namespaces"),
    "the node's memory": ({"hostIPC": True}, "hostIPC", "Host Namespaces"),
    "a device": (
        in_container(volumeDevices=[{"name": "v", "devicePath": "/dev/vda"}]),
        "containers[0].volumeDevices[0].devicePath",
        "Devices",
    ),
    "a process of the node": (
        {"securityContext": {"windowsOptions": {"hostProcess": True}}},
        "securityContext.windowsOptions.hostProcess",
        "HostProcess",
    ),
    "privilege": (
        in_container(securityContext={"privileged": True}),
        "containers[0].securityContext.privileged",
        "Privileged Containers",
    ),
    "escalation": (
        in_container(securityContext={"allowPrivilegeEscalation": True}),
        "containers[0].securityContext.allowPrivilegeEscalation",
        "Privilege Escalation",
    ),
    "capabilities": (
        in_container(securityContext={"capabilities": {"add": ["NET_BIND_SERVICE", "SYS_ADMIN"]}}),
        "containers[0].securityContext.capabilities.add[1]",
        "Capabilities",
    ),
    "all capabilities": (
        in_container(securityContext={"capabilities": {"add": ["ALL"]}}),
        "containers[0].securityContext.capabilities.add[0]",
        "Capabilities",
    ),
    "the node's files": (volume(hostPath={"path": "/"}), "volumes[0].hostPath", "Volume Types"),
    "a share": (volume(nfs={"server": "10.0.0.1", "path": "/"}), "volumes[0].nfs", "Volume Types"),
    "a driver": (volume(csi={"driver": "x"}), "volumes[0].csi", "Volume Types"),
    "a token": (
        volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}),
        "volumes[0].projected.sources[0].serviceAccountToken",
        "API Credentials",
    ),
    "a port of the node": (
        in_container(ports=[{"containerPort": 80, "hostPort": 80}]),
        "containers[0].ports[0].hostPort",
        "Host Ports",
    ),
    "a probe of the node": (
        in_container(livenessProbe=PROBE),
        "containers[0].livenessProbe.httpGet.host",
        "Host Probes and Lifecycle Hooks",
    ),
    "a hook to the node": (
        in_container(lifecycle={"postStart": PROBE}),
        "containers[0].lifecycle.postStart.httpGet.host",
        "Host Probes and Lifecycle Hooks",
    ),
    "no seccomp": (
        {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
        "securityContext.seccompProfile.type",
        "Seccomp",
    ),
    "no AppArmor": (
        in_container(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
        "containers[0].securityContext.appArmorProfile.type",
        "AppArmor",
    ),
    "another label": (
        {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
        "securityContext.seLinuxOptions.type",
        "SELinux",
    ),
    "a bare /proc": (
        in_container(securityContext={"procMount": "Unmasked"}),
        "containers[0].securityContext.procMount",
        "/proc Mount Type",
    ),
    "the kernel's settings": (
        {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
        "securityContext.sysctls[0].name",
        "Sysctls",
    ),
    "a link below a volume": (
        {
            **volume(emptyDir={}),
            **in_container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "link"}]),
        },
        "containers[0].volumeMounts[0].subPath",
        "Paths Below Volumes",
    ),
    "another's image": (in_container(image="somebody/else:1"), "containers[0].image", "not among the images"),
    "an image by the back door": (
        {"initContainers": [{"name": "first", "image": "somebody/else:1"}]},
        "initContainers[0].image",
        "not among the images",
    ),
    "privilege before all else": (
        {"initContainers": [{"name": "first", "image": IMAGE, "securityContext": {"privileged": True}}]},
        "initContainers[0].securityContext.privileged",
        "Privileged Containers",
    ),
}


def refused(answer, *words):
    code, said = answer
    assert (code, said.get("reason")) == (403, "Forbidden"), said
    for word in words:
        assert word in said["message"]
    return said


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pod_that_asks_for_too_much(guest, owner, name):
    fields, place, control = HOSTILE[name]
    hostile = pod("hostile", **copy.deepcopy(fields))
    said = refused(guest("POST", PODS, hostile), f"spec.{place}", control, 'pods "hostile" is forbidden')
    assert said["details"]["causes"][0]["field"] == f"spec.{place}"
    template = f"spec.template.spec.{place}"
    refused(guest("POST", DEPLOYMENTS, deployment(hostile["spec"])), template, control)
    job = {"metadata": {"name": "one"}, "spec": {"template": {"spec": hostile["spec"]}}}
    refused(guest("POST", JOBS, job), template, control)
    for path in (PODS, DEPLOYMENTS, JOBS):
        assert owner("GET", path)[1]["items"] == []


CUSTOM = {
    "metadata": {"name": "things.x.io"},
    "spec": {
        "group": "x.io",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}
CONFIG = {"metadata": {"name": "c"}, "data": {}}
ELSEWHERE = {
    "a namespace": ("POST", "/api/v1/namespaces", {"metadata": {"name": "mine", "labels": OPEN}}),
    "its own namespace": ("PATCH", "/api/v1/namespaces/work", {"metadata": {"labels": {"x": "y"}}}),
    "another's namespace": ("PATCH", "/api/v1/namespaces/closed", {"metadata": {"labels": OPEN}}),
    "the end of a namespace": ("DELETE", "/api/v1/namespaces/closed", None),
    "a node": ("POST", "/api/v1/nodes", {"metadata": {"name": "mine"}}),
    "the node's taints": ("PATCH", "/api/v1/nodes/node-1", {"spec": {"unschedulable": True}}),
    "a definition": ("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CUSTOM),
    "a pod elsewhere": ("POST", "/api/v1/namespaces/closed/pods", pod()),
    "a pod of the system": ("POST", "/api/v1/namespaces/kube-system/pods", pod()),
    "settings elsewhere": ("POST", "/api/v1/namespaces/closed/configmaps", CONFIG),
    "a secret elsewhere": ("GET", "/api/v1/namespaces/closed/secrets/answers", None),
    "secrets elsewhere": ("GET", "/api/v1/namespaces/closed/secrets", None),
    "everybody's secrets": ("GET", "/api/v1/secrets", None),
    "everybody's secrets as they come": ("GET", "/api/v1/secrets?watch=1", None),
    "everybody's pods away": ("DELETE", "/api/v1/pods", None),
    "forged endpoints": ("POST", "/api/v1/namespaces/work/endpoints", {"metadata": {"name": "e"}}),
    "forged events": ("POST", "/api/v1/namespaces/work/events", {"metadata": {"name": "e"}}),
    "a token": ("POST", "/api/v1/namespaces/work/serviceaccounts/default/token", {}),
    "a scheduler's work": ("POST", f"{PODS}/one/binding", {"target": {"name": "node-1"}}),
    "a forged status": ("PATCH", f"{PODS}/one/status", {"status": {"phase": "Succeeded"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_not_the_guest_s(guest, name):
    method, path, thing = ELSEWHERE[name]
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    refused(guest(method, path, thing, kind), 'User "guest" cannot')


def test_a_namespace_in_the_object_that_is_not_the_path_s(guest):
    thing = pod()
    thing["metadata"]["namespace"] = "closed"
    assert guest("POST", PODS, thing)[0] == 400


OBJECTS = {
    "an address of somebody": ("services", {"spec": {"externalIPs": ["10.0.0.1"], "ports": [{"port": 80}]}}),
    "a name of somebody": ("services", {"spec": {"type": "ExternalName", "externalName": "x.closed.svc"}}),
    "another's volume": (
        "persistentvolumeclaims",
        {
            "spec": {
                "volumeName": "../../../..",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            }
        },
    ),
    "a token": ("secrets", {"type": "kubernetes.io/service-account-token"}),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_other_objects_that_lead_out(guest, name):
    plural, thing = OBJECTS[name]
    metadata = {"name": "x", "annotations": {"kubernetes.io/service-account.name": "default"}}
    refused(guest("POST", f"/api/v1/namespaces/work/{plural}", {**thing, "metadata": metadata}), plural)


def test_what_comes_in_through_a_later_change(guest):
    assert guest("POST", DEPLOYMENTS, deployment(pod()["spec"], replicas=0))[0] == 201
    place = f"{DEPLOYMENTS}/one"
    spec = {"template": {"spec": {"hostNetwork": True}}}
    refused(guest("PATCH", place, {"spec": spec}, "application/merge-patch+json"), "hostNetwork")
    refused(guest("PATCH", place, {"spec": spec}, "application/strategic-merge-patch+json"), "hostNetwork")
    steps = [{"op": "add", "path": "/spec/template/spec/hostPID", "value": True}]
    refused(guest("PATCH", place, steps, "application/json-patch+json"), "hostPID")
    whole = guest("GET", place)[1]
    whole["spec"]["template"]["spec"]["hostIPC"] = True
    refused(guest("PUT", place, whole), "hostIPC")
    refused(
        guest("PATCH", f"{place}/scale", {"spec": {"replicas": 5000}}, "application/merge-patch+json"), "5000"
    )
    refused(guest("PATCH", place, {"spec": {"replicas": 5000}}, "application/merge-patch+json"), "5000")
    assert (
        guest("PATCH", f"{place}/scale", {"spec": {"replicas": 1}}, "application/merge-patch+json")[0] == 200
    )


def test_more_objects_than_there_is_room_for(guest, owner):
    path = "/api/v1/namespaces/work/configmaps"
    codes = [guest("POST", path, {"metadata": {"generateName": "many-"}})[0] for _ in range(45)]
    assert codes.count(201) <= 40
    refused(guest("POST", path, {"metadata": {"name": "more"}}), "exceeded quota")
    owner("DELETE", path)


def test_more_pods_than_there_is_room_for(guest):
    spec = {"template": {"spec": pod()["spec"]}, "parallelism": 1000, "completions": 100000}
    said = refused(
        guest("POST", JOBS, {"metadata": {"name": "many"}, "spec": spec}), "parallelism", "completions"
    )
    assert {cause["field"] for cause in said["details"]["causes"]} == {"spec.parallelism", "spec.completions"}


def test_no_token_and_a_wrong_one(cluster, guest):
    for token in ("", "x" * 43, "\u00e9"):
        guest.token = token.encode().decode("latin-1")
        assert guest("GET", PODS)[0] == 401


# ---- what runs ------------------------------------------------------------------------------------------


def printed(guest, program, seconds=90, **spec):
    """Run a program in a pod of the guest's; gives its phase and what it printed."""
    command = ["python3", "-c", program]
    code, said = guest(
        "POST", PODS, pod("program", container={"command": command, **spec.pop("container", {})}, **spec)
    )
    assert code == 201, said
    deadline = time.monotonic() + seconds
    while (status := guest("GET", f"{PODS}/program")[1]["status"]).get("phase") not in (
        "Succeeded",
        "Failed",
    ):
        assert time.monotonic() < deadline, status
        time.sleep(0.2)
    return status, guest("GET", f"{PODS}/program/log")[1].get("text", "")


REACH = """
import glob, os, socket
for place in {places!r}:
    try:
        socket.create_connection(tuple(place), 0.5).close()
        print("REACHED", place)
    except OSError as error:
        print(place, "refused:", error)
print("TOKENS", [one for one in glob.glob("/var/run/secrets/**", recursive=True) if os.path.isfile(one)])
print("SOCKETS", glob.glob("/run/**/*.sock", recursive=True))
print("users:", open("/proc/self/uid_map").read().split())
print("more rights:", open("/proc/self/status").read().split("NoNewPrivs:")[1].split()[0])
for name in ("/proc/sys/kernel/core_pattern", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
    try:
        open(name, "w").write("-1")
        print("WROTE", name)
    except OSError as error:
        print(name, "refused:", error)
"""


def test_a_pod_that_reaches_out(guest, cluster):
    addresses = {
        a.address for each in psutil.net_if_addrs().values() for a in each if a.family == socket.AF_INET
    }
    inner = yaml.safe_load((cluster.folder / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"]
    outer = int(guest.server.rpartition(":")[2])
    with socket.create_server(("0.0.0.0", 0)) as listening:
        listening.setblocking(False)
        ports = (listening.getsockname()[1], outer, int(inner.rpartition(":")[2]))
        gateways = ("10.201.0.1", "172.17.0.1", "172.18.0.1", "10.96.0.1")
        aims = [(address, port) for address in sorted({*addresses, *gateways}) for port in ports]
        status, said = printed(guest, REACH.format(places=[*aims, ("1.1.1.1", 53)]))
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert status["phase"] == "Succeeded", said
    assert "REACHED" not in said
    assert "WROTE" not in said
    assert "TOKENS []" in said
    assert "SOCKETS []" in said
    assert "users: ['0', '1800000000', '65536']" in said
    assert "more rights: 1" in said


def test_a_pod_that_forks_without_end(guest, engine):
    status, _ = printed(guest, "import os\nwhile True:\n    os.fork()\n")
    assert status["phase"] == "Failed"
    deadline = time.monotonic() + 20
    while len(machine.processes_in_cgroup(f"{engine.daemon.group}/containers")) > 60:
        assert time.monotonic() < deadline, "its processes go on"
        time.sleep(0.2)


def test_a_pod_without_limits_that_takes_all_memory(guest):
    status, _ = printed(guest, "kept = []\nwhile True:\n    kept.append(bytearray(20 << 20))\n")
    assert status["phase"] == "Failed"
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


FILL = """
block = bytes(1 << 20)
try:
    with open("/v/big", "wb") as file:
        while True:
            file.write(block)
except OSError as error:
    print("stopped:", error.strerror)
"""


def test_a_pod_that_fills_its_volume(guest):
    free = psutil.disk_usage("/var/tmp").free
    mounts = {"container": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}}
    status, said = printed(guest, FILL, volumes=[{"name": "v", "emptyDir": {}}], **mounts)
    assert "stopped: No space left on device" in said or status["phase"] == "Failed"
    assert free - psutil.disk_usage("/var/tmp").free < LIMITS.disk_bytes * 1.2


def test_a_pod_that_says_it_is_a_node_port(guest, cluster):
    before = {c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    ports = [{"port": 80, "nodePort": 30080}]
    service = {
        "metadata": {"name": "open"},
        "spec": {"type": "NodePort", "selector": {"app": "one"}, "ports": ports},
    }
    code, said = guest("POST", "/api/v1/namespaces/work/services", service)
    assert code == 201, said
    time.sleep(1)
    now = {c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert 30080 not in {place.port for place in now - before}
    assert network_of(cluster) is not None
    guest("DELETE", "/api/v1/namespaces/work/services/open")


# ---- and the honest -------------------------------------------------------------------------------------


def test_honest_manifests_are_admitted_and_run(guest):
    settings = {"metadata": {"name": "settings"}, "data": {"greeting": "hello"}}
    assert guest("POST", "/api/v1/namespaces/work/configmaps", settings)[0] == 201
    mounts = [{"name": "settings", "mountPath": "/settings"}, {"name": "room", "mountPath": "/room"}]
    context = {
        "runAsNonRoot": True, "runAsUser": 1000, "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    program = "text = open('/settings/greeting').read(); open('/room/x', 'w').write(text); print(text)"
    status, said = printed(
        guest,
        program,
        volumes=[{"name": "settings", "configMap": {"name": "settings"}}, {"name": "room", "emptyDir": {}}],
        container={
            "volumeMounts": mounts,
            "securityContext": context,
            "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
        },
    )
    assert (status["phase"], said) == ("Succeeded", "hello\n")
    guest("DELETE", "/api/v1/namespaces/work/configmaps/settings")


def test_an_honest_service_answers_inside(guest, owner):
    server = {
        "command": ["python3", "-m", "http.server", "8080"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    assert guest("POST", DEPLOYMENTS, deployment(pod(container=server)["spec"], replicas=2))[0] == 201
    spec = {"selector": {"app": "one"}, "ports": [{"port": 80, "targetPort": 8080}]}
    service = {"metadata": {"name": "web"}, "spec": spec}
    assert guest("POST", "/api/v1/namespaces/work/services", service)[0] == 201
    deadline = time.monotonic() + 60
    while guest("GET", f"{DEPLOYMENTS}/one")[1]["status"].get("readyReplicas") != 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    ask = "import urllib.request; print(urllib.request.urlopen('http://web.work.svc', timeout=10).status)"
    status, said = printed(guest, ask)
    assert (status["phase"], said) == ("Succeeded", "200\n")
    guest("DELETE", "/api/v1/namespaces/work/services/web")
