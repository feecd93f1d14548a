"""What the containers of pods do: probes, ends, volumes, settings, streams, and Services between them.

They need containers that run: `CONFORMANCE_CLUSTER=containers`, `debian`, or a cluster of your own.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time

import pytest
from conformance.conftest import KUBECTL, eventually
from conformance.manifests import configmap, deployment, pod

pytestmark = pytest.mark.usefixtures("containers")

STAYS = "trap 'exit 0' TERM; while true; do sleep 0.2; done"


def get(place, path="/"):
    """A line of shell that asks for a page; Debian's static busybox has no wget that finds its way."""
    return f"printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {place}"


@pytest.fixture
def make(cluster, core, namespace):
    """Makes a pod of one container that runs a script; `spec` and further fields are laid over it."""

    def made(script=STAYS, name="p", *, spec=None, policy="Never", **fields):
        body = pod(cluster.image, name, policy=policy, spec=spec)
        body["spec"]["containers"][0].update({"command": ["sh", "-c", script], **fields})
        core.create_namespaced_pod(namespace, body)
        return name

    return made


@pytest.fixture
def status(core, namespace):
    """Gives a pod's status, and the status of its only container."""

    def look(name="p"):
        found = core.read_namespaced_pod_status(name, namespace).status
        return found, (found.container_statuses or [None])[0]

    return look


@pytest.fixture
def ended(status):
    """Waits for the end of a pod's container; gives the pod's phase and how the container ended."""

    def look(name="p"):
        found, container = status(name)
        return found.phase in ("Succeeded", "Failed") and (found.phase, container.state.terminated)

    return lambda name="p": eventually(lambda: look(name), 60)


def events(core, namespace, name="p"):
    """Reason and message of the events of a pod."""
    found = core.list_namespaced_event(namespace, field_selector=f"involvedObject.name={name}").items
    return [(one.reason, one.message) for one in found]


# ---- how they end -----------------------------------------------------------------------------------------


def test_a_pod_whose_container_ends_well(make, ended, kubectl):
    make("echo one; echo two; exit 0")
    phase, how = ended()
    assert (phase, how.exit_code, how.reason) == ("Succeeded", 0, "Completed")
    assert kubectl("logs", "p").splitlines() == ["one", "two"]
    assert kubectl("logs", "p", "--tail=1") == "two"


def test_a_pod_whose_container_fails(make, ended, kubectl):
    make("exit 3")
    phase, how = ended()
    assert (phase, how.exit_code, how.reason) == ("Failed", 3, "Error")
    heads, rows = kubectl.table("pod", "p")
    assert dict(zip(heads, rows[0], strict=True))["STATUS"] == "Error"


def test_a_container_that_takes_too_much_memory(make, ended):
    limits = {"limits": {"memory": "32Mi"}}
    make("x=$(head -c 100000000 /dev/zero | tr '\\0' a); echo ${#x}", resources=limits)
    phase, how = ended()
    assert (phase, how.exit_code, how.reason) == ("Failed", 137, "OOMKilled")


def test_a_container_that_fails_again_and_again(make, status, kubectl, core, namespace):
    make("echo tried; exit 1", policy="Always")
    eventually(lambda: status()[1] and status()[1].restart_count >= 1, 40)

    def waits():
        waiting = status()[1].state.waiting
        return waiting and waiting.reason == "CrashLoopBackOff" and waiting

    assert "restarting failed container" in eventually(waits, 60).message
    assert status()[0].phase == "Running"
    assert kubectl("logs", "p", "--previous") == "tried"
    assert "BackOff" in {reason for reason, _ in events(core, namespace)}


def test_on_failure_it_is_started_again_until_it_ends_well(make, ended, status):
    volume = {"volumes": [{"name": "kept", "emptyDir": {}}]}
    mount = [{"name": "kept", "mountPath": "/kept"}]
    script = "[ -e /kept/before ] && exit 0; touch /kept/before; exit 1"
    make(script, policy="OnFailure", spec=volume, volumeMounts=mount)
    assert ended()[0] == "Succeeded"
    assert status()[1].restart_count == 1
    assert status()[1].last_state.terminated.exit_code == 1


def test_one_that_ignores_sigterm_is_killed_when_its_grace_is_over(make, core, namespace, status):
    make("trap '' TERM; while true; do sleep 0.2; done")
    eventually(lambda: status()[0].phase == "Running")
    began = time.monotonic()
    core.delete_namespaced_pod("p", namespace, grace_period_seconds=3)
    eventually(lambda: not core.list_namespaced_pod(namespace).items, 40)
    assert time.monotonic() - began > 2.5


def test_the_hook_comes_before_sigterm(make, core, kubectl, namespace, status):
    """A log outlives neither cluster's pod, so what happened is followed while it does."""
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /proc/1/fd/1; sleep 1"]}}}
    make(
        "trap 'echo term; exit 0' TERM; echo up; while true; do sleep 0.1; done",
        lifecycle=hook,
        spec={"terminationGracePeriodSeconds": 10},
    )
    eventually(lambda: status()[0].phase == "Running")
    command = [KUBECTL, f"--kubeconfig={kubectl.kubeconfig}", "-n", namespace, "logs", "-f", "p"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        core.delete_namespaced_pod("p", namespace)
        said, _ = following.communicate(timeout=40)
    assert said.split()[:3] == ["up", "hook", "term"]  # an older kubelet then says that the log is gone


# ---- how they begin ---------------------------------------------------------------------------------------


def test_init_containers_come_one_after_another(cluster, core, namespace, ended, kubectl):
    body = pod(cluster.image, policy="Never", spec={"volumes": [{"name": "v", "emptyDir": {}}]})
    mounts = [{"name": "v", "mountPath": "/v"}]
    body["spec"]["initContainers"] = [
        {
            "name": name,
            "image": cluster.image,
            "command": ["sh", "-c", f"echo {name} >> /v/order"],
            "volumeMounts": mounts,
        }
        for name in ("first", "second")
    ]
    body["spec"]["containers"][0].update(command=["cat", "/v/order"], volumeMounts=mounts)
    core.create_namespaced_pod(namespace, body)
    assert ended()[0] == "Succeeded"
    assert kubectl("logs", "p", "-c", "c").split() == ["first", "second"]


def test_an_init_container_that_fails_lets_nothing_begin(cluster, core, namespace, status):
    body = pod(cluster.image, policy="Never")
    body["spec"]["initContainers"] = [{"name": "first", "image": cluster.image, "command": ["false"]}]
    core.create_namespaced_pod(namespace, body)
    found = eventually(lambda: status()[0].phase == "Failed" and status()[0], 40)
    assert found.init_container_statuses[0].state.terminated.exit_code == 1
    assert found.container_statuses[0].state.running is None
    assert found.container_statuses[0].state.terminated is None


def test_an_image_that_must_be_there_and_is_not(make, status):
    make(image="localhost/nowhere:1", imagePullPolicy="Never")

    def waits():
        container = status()[1]
        return container and container.state.waiting and container.state.waiting.reason == "ErrImageNeverPull"

    eventually(waits, 40)
    assert status()[0].phase == "Pending"


def test_settings_that_are_lacking_are_waited_for(make, core, namespace, status, kubectl):
    wanted = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "x"}}}
    make("echo $X", env=[wanted])

    def waits():
        container = status()[1]
        waiting = container and container.state.waiting
        return waiting and waiting.reason == "CreateContainerConfigError" and waiting

    assert 'configmap "later" not found' in eventually(waits, 40).message
    core.create_namespaced_config_map(namespace, configmap("later", {"x": "here"}))
    eventually(lambda: status()[0].phase == "Succeeded", 60)
    assert kubectl("logs", "p") == "here"


# ---- what they are given ----------------------------------------------------------------------------------


def test_settings_reach_the_container(make, ended, kubectl, core, namespace):
    core.create_namespaced_config_map(namespace, configmap("settings", {"colour": "green"}))
    core.create_namespaced_secret(namespace, {"metadata": {"name": "key"}, "stringData": {"k": "s3"}})
    field = {"fieldRef": {"fieldPath": "metadata.name"}}
    make(
        "echo $COLOUR $WHO $BOTH; cat /settings/colour /key/k; echo; stat -L -c %a /key/k",
        env=[
            {
                "name": "COLOUR",
                "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}},
            },
            {"name": "WHO", "valueFrom": field},
            {"name": "BOTH", "value": "$(COLOUR)-$(WHO)"},
        ],
        spec={
            "volumes": [
                {"name": "settings", "configMap": {"name": "settings"}},
                {"name": "key", "secret": {"secretName": "key", "defaultMode": 0o400}},
            ]
        },
        volumeMounts=[
            {"name": "settings", "mountPath": "/settings"},
            {"name": "key", "mountPath": "/key", "readOnly": True},
        ],
    )
    assert ended()[0] == "Succeeded"
    assert kubectl("logs", "p").splitlines() == ["green p green-p", "greens3", "400"]


def test_containers_of_a_pod_share_address_and_volumes(cluster, core, namespace, ended, kubectl):
    body = pod(cluster.image, policy="Never", spec={"volumes": [{"name": "v", "emptyDir": {}}]})
    mounts = [{"name": "v", "mountPath": "/v"}]
    one = body["spec"]["containers"][0]
    one.update(
        command=["sh", "-c", f"until {get('127.0.0.1 8080', '/said')}; do sleep 0.2; done"],
        volumeMounts=mounts,
    )
    serves = "echo shared > /v/said; httpd -p 8080 -h /v; until [ -e /v/done ]; do sleep 0.1; done"
    other = {**one, "name": "other", "command": ["sh", "-c", serves]}
    one["command"][2] += "; touch /v/done"
    body["spec"]["containers"].append(other)
    core.create_namespaced_pod(namespace, body)
    assert ended()[0] == "Succeeded"
    assert kubectl("logs", "p", "-c", "c").split()[-1] == "shared"


def test_its_name_and_address(make, status, kubectl):
    make()
    eventually(lambda: status()[0].phase == "Running")
    assert kubectl("exec", "p", "--", "hostname") == "p"
    assert status()[0].pod_ip in kubectl("exec", "p", "--", "hostname", "-i").split()


# ---- probes -----------------------------------------------------------------------------------------------


def test_a_wedged_container_is_started_again(make, status, core, namespace):
    probe = {"exec": {"command": ["test", "-e", "/tmp/well"]}, "periodSeconds": 1, "failureThreshold": 2}
    script = "touch /tmp/well; (sleep 2; rm /tmp/well) & " + STAYS
    make(script, policy="Always", livenessProbe=probe, spec={"terminationGracePeriodSeconds": 1})
    eventually(lambda: status()[1] and status()[1].restart_count >= 1, 60)
    said = dict(events(core, namespace))
    assert said["Unhealthy"].startswith("Liveness probe failed")
    assert "failed liveness probe" in said["Killing"]


def test_readiness_takes_traffic_away_and_starts_nothing_anew(make, status, kubectl):
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    serves = "mkdir /tmp/www; touch /tmp/www/ready; httpd -p 8080 -h /tmp/www; " + STAYS
    make(serves, readinessProbe=probe)

    def ready(wanted):
        container = status()[1]
        return container is not None and container.ready is wanted

    eventually(lambda: ready(True))
    kubectl("exec", "p", "--", "rm", "/tmp/www/ready")
    eventually(lambda: ready(False))
    kubectl("exec", "p", "--", "touch", "/tmp/www/ready")
    eventually(lambda: ready(True))
    assert status()[1].restart_count == 0


def test_liveness_is_not_asked_before_the_start_is_over(make, status):
    start = {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 30}
    alive = {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 1}
    make("sleep 4; touch /tmp/up; " + STAYS, policy="Always", startupProbe=start, livenessProbe=alive)
    eventually(lambda: status()[1] and status()[1].started, 40)
    assert status()[1].restart_count == 0


# ---- streams ----------------------------------------------------------------------------------------------


def test_exec_gives_output_and_exit_code(make, status, kubectl):
    make()
    eventually(lambda: status()[0].phase == "Running")
    assert kubectl("exec", "-i", "p", "--", "tr", "a-z", "A-Z", stdin="quiet") == "QUIET"
    done = kubectl.run("exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr.splitlines()[0] == "err"
    assert "command terminated with exit code 7" in done.stderr


def test_files_are_copied_both_ways(make, status, kubectl, tmp_path):
    make()
    eventually(lambda: status()[0].phase == "Running")
    (tmp_path / "there").write_bytes(bytes(range(256)) * 1000)
    kubectl("cp", str(tmp_path / "there"), "p:/tmp/there")
    kubectl("cp", "p:/tmp/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


def test_a_port_is_forwarded(make, status, kubectl, namespace):
    make("mkdir /tmp/www; echo hello > /tmp/www/index.html; httpd -p 8080 -h /tmp/www; " + STAYS)
    eventually(lambda: status()[0].phase == "Running")
    command = [KUBECTL, f"--kubeconfig={kubectl.kubeconfig}", "-n", namespace]
    with subprocess.Popen([*command, "port-forward", "p", ":8080"], stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            port = int(run.stdout.readline().split(":")[1].split()[0])

            def asked():
                with socket.create_connection(("127.0.0.1", port), timeout=10) as talk:
                    talk.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    return b"".join(iter(lambda: talk.recv(4096), b""))

            assert eventually(lambda: asked().endswith(b"hello\n"), 20)
        finally:
            run.terminate()


# ---- from pod to pod --------------------------------------------------------------------------------------


def test_a_service_shares_its_calls_among_ready_pods(
    request, cluster, core, apps, namespace, make, status, kubectl
):
    body = deployment(cluster.image, name="served", replicas=2)
    serves = f"mkdir /tmp/www; hostname > /tmp/www/index.html; httpd -p 8080 -h /tmp/www; {STAYS}"
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    body["spec"]["template"]["spec"]["containers"][0].update(
        command=["sh", "-c", serves], readinessProbe=probe
    )
    apps.create_namespaced_deployment(namespace, body)
    if os.environ.get("CONFORMANCE_CLUSTER") == "debian":
        request.applymarker(pytest.mark.xfail(reason="pods get no answer from a Service's address there"))
    ports = [{"port": 80, "targetPort": 8080}]
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "served"}, "ports": ports}}
    address = core.create_namespaced_service(namespace, service).spec.cluster_ip
    eventually(lambda: apps.read_namespaced_deployment("served", namespace).status.ready_replicas == 2, 60)
    make(name="asks")
    eventually(lambda: status("asks")[0].phase == "Running")
    once = f"{get(f'{address} 80')} | tail -n 1"
    eventually(lambda: kubectl("exec", "asks", "--", "sh", "-c", once))  # kube-proxy looks once a second
    said = kubectl("exec", "asks", "--", "sh", "-c", f"for i in $(seq 40); do {once}; done").split()
    pods = {
        one.metadata.name for one in core.list_namespaced_pod(namespace, label_selector="app=served").items
    }
    assert (len(said), set(said)) == (40, pods)


def test_deleted_pods_are_replaced(cluster, core, apps, namespace, kubectl):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=2))
    settled = "--for=jsonpath={.status.readyReplicas}=2"
    kubectl("wait", settled, "deployment/web", "--timeout=60s")
    before = {one.metadata.name for one in core.list_namespaced_pod(namespace).items}
    kubectl("delete", "pods", "-l", "app=web", "--wait=true")

    def healed():
        found = json.loads(kubectl("get", "pods", "-l", "app=web", "-o", "json"))["items"]
        ready = {
            one["metadata"]["name"]
            for one in found
            if any(
                c["type"] == "Ready" and c["status"] == "True" for c in one["status"].get("conditions", ())
            )
        }
        return len(ready) == 2 and ready

    assert not eventually(healed, 60) & before
