"""Pods as real containers: started, probed, started again, ended."""

from __future__ import annotations

import time

from .conftest import IMAGE, containers_of


def status_of(kubectl, name):
    found = kubectl.get("pod", name)["status"]
    return found, found["containerStatuses"][0]


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
    return found


def reasons(kubectl):
    return {one["reason"] for one in kubectl.get("events")["items"]}


def test_a_pod_is_a_container_with_an_address_and_a_name(kubectl, pod, cluster):
    pod("one", "hostname; exec sleep 3600", spec="hostname: rank-0")
    kubectl.until("condition=ready", "pod/one")
    status, container = status_of(kubectl, "one")
    assert kubectl("exec", "one", "--", "hostname") == "rank-0"
    assert kubectl("exec", "one", "--", "hostname", "-i") == status["podIP"]
    until(lambda: kubectl("logs", "one") == "rank-0")
    assert container["containerID"].startswith("docker://")
    assert {"Scheduled", "Pulled", "Created", "Started"} <= reasons(kubectl)
    uid = kubectl.get("pod", "one")["metadata"]["uid"]
    assert len(containers_of(cluster, uid)) == 2
    kubectl("delete", "pod", "one")
    assert containers_of(cluster, uid) == {}
    assert not (cluster.folder / "pods" / uid).exists()


def test_it_is_ended_with_sigterm_and_its_hook_comes_first(kubectl, pod):
    kubectl("create", "configmap", "out")
    claim = "{name: kept, persistentVolumeClaim: {claimName: kept}}"
    kubectl.apply(
        """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
    )
    mount = "volumeMounts: [{name: kept, mountPath: /kept}]"
    hook = "lifecycle: {preStop: {exec: {command: [sh, -c, 'echo hook >> /kept/order']}}}"
    pod(
        "polite",
        'trap "echo term >> /kept/order; exit 0" TERM; while true; do sleep 0.05; done',
        spec=f"volumes: [{claim}]",
        container=f"{mount}\n    {hook}",
    )
    kubectl.until("condition=ready", "pod/polite")
    kubectl("delete", "pod", "polite")
    pod("reader", "cat /kept/order", spec=f"volumes: [{claim}]", container=mount, policy="Never")
    kubectl.until("jsonpath={.status.phase}=Succeeded", "pod/reader")
    assert kubectl("logs", "reader").split() == ["hook", "term"]


def test_one_that_ignores_sigterm_is_killed_when_its_grace_is_over(kubectl, pod):
    pod("deaf", 'trap "" TERM; while true; do sleep 0.05; done')
    kubectl.until("condition=ready", "pod/deaf")
    begun = time.monotonic()
    kubectl("delete", "pod", "deaf", "--grace-period=1")
    assert time.monotonic() - begun > 0.9
    assert kubectl.get("pods")["items"] == []


def test_crash_loop(kubectl, pod):
    pod("falls", "echo about to fall; exit 3")
    kubectl.until(
        "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff", "pod/falls"
    )
    status, container = status_of(kubectl, "falls")
    assert status["phase"] == "Running"
    assert container["restartCount"] >= 1
    assert container["lastState"]["terminated"]["exitCode"] == 3
    assert "back-off 10s restarting failed container=c pod=falls_" in container["state"]["waiting"]["message"]
    assert kubectl("logs", "falls", "--previous") == "about to fall"
    assert "BackOff" in reasons(kubectl)


def test_out_of_memory(kubectl, pod):
    pod("fat", "tail /dev/zero", container="resources: {limits: {memory: 32Mi, cpu: 500m}}", policy="Never")
    kubectl.until("jsonpath={.status.phase}=Failed", "pod/fat")
    ended = status_of(kubectl, "fat")[1]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_images_that_are_not_there(kubectl):
    for name, policy, reason in (
        ("never", "Never", "ErrImageNeverPull"),
        ("nowhere", "IfNotPresent", "ImagePullBackOff"),
    ):
        kubectl("run", name, "--image=127.0.0.1:9/nobody:1", f"--image-pull-policy={policy}")
        where = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
        kubectl.until(f"{where}={reason}", f"pod/{name}")
        assert kubectl.get("pod", name)["status"]["phase"] == "Pending"
    kubectl("delete", "pod", "never", "nowhere")


def test_init_containers_come_first_and_one_after_another(kubectl, pod):
    volume = "volumeMounts: [{name: v, mountPath: /v}]"
    inits = ", ".join(
        f"{{name: {name}, image: {IMAGE}, command: [sh, -c, 'echo {name} >> /v/order'], {volume}}}"
        for name in ("first", "second")
    )
    spec = f"initContainers: [{inits}]\n  volumes: [{{name: v, emptyDir: {{}}}}]"
    pod("ordered", "cat /v/order", spec=spec, container=volume, policy="Never")
    kubectl.until("jsonpath={.status.phase}=Succeeded", "pod/ordered")
    assert kubectl("logs", "ordered").split() == ["first", "second"]
    found = kubectl.get("pod", "ordered")["status"]["initContainerStatuses"]
    assert [one["state"]["terminated"]["reason"] for one in found] == ["Completed", "Completed"]


def test_probes(kubectl, pod):
    probes = """
    startupProbe: {exec: {command: [test, -e, /tmp/started]}, periodSeconds: 1, failureThreshold: 30}
    readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1, failureThreshold: 1}
    livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 1}"""
    pod("web", "mkdir /tmp/www; exec httpd -f -p 8080 -h /tmp/www", container=probes.strip())
    until(
        lambda: (
            "running"
            in (kubectl.get("pod", "web")["status"].get("containerStatuses") or [{"state": {}}])[0]["state"]
        )
    )
    assert not status_of(kubectl, "web")[1]["started"]
    kubectl("exec", "web", "--", "touch", "/tmp/started")
    until(lambda: status_of(kubectl, "web")[1]["started"])
    assert not status_of(kubectl, "web")[1]["ready"]
    kubectl("exec", "web", "--", "touch", "/tmp/www/ready")
    kubectl.until("condition=ready", "pod/web")
    kubectl("exec", "web", "--", "rm", "/tmp/www/ready")
    kubectl.until("condition=ready=False", "pod/web")
    assert status_of(kubectl, "web")[1]["restartCount"] == 0
    kubectl("exec", "web", "--", "touch", "/tmp/www/ready")
    said = " ".join(one["message"] for one in kubectl.get("events")["items"])
    assert "Readiness probe failed: HTTP probe failed with statuscode: 404" in said


def test_a_wedged_container_is_started_again(kubectl, pod):
    probe = "livenessProbe: {exec: {command: [test, '!', -e, /tmp/wedged]}, periodSeconds: 1, failureThreshold: 1}"
    pod("wedged", container=probe)
    kubectl.until("condition=ready", "pod/wedged")
    kubectl("exec", "wedged", "--", "touch", "/tmp/wedged")
    kubectl.until("jsonpath={.status.containerStatuses[0].restartCount}=1", "pod/wedged")
    kubectl.until("condition=ready", "pod/wedged")
    assert {"Unhealthy", "Killing"} <= reasons(kubectl)


def test_settings_reach_the_container(kubectl, pod):
    kubectl("create", "configmap", "settings", "--from-literal=a=1", "--from-literal=b=two words")
    kubectl("create", "secret", "generic", "hidden", "--from-literal=token=s3cret")
    container = """
    env:
    - {name: A, valueFrom: {configMapKeyRef: {name: settings, key: a}}}
    - {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: BOTH, value: "$(ME)/$(A)/$$(A)"}
    envFrom: [{secretRef: {name: hidden}, prefix: X_}]
    resources: {limits: {memory: 64Mi}}
    volumeMounts:
    - {name: settings, mountPath: /settings}
    - {name: hidden, mountPath: /hidden/token, subPath: token}
    - {name: labels, mountPath: /labels}"""
    volumes = """volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: hidden, secret: {secretName: hidden}}
  - {name: labels, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}"""
    script = "echo $A $ME $LIMIT $BOTH $X_token; cat /settings/b /hidden/token /labels/labels; echo; exec sleep 3600"
    pod("told", script, spec=volumes, container=container.strip(), labels="{tier: test}")
    kubectl.until("condition=ready", "pod/told")
    until(lambda: "tier" in kubectl("logs", "told"))
    assert kubectl("logs", "told") == "1 told 64 told/1/$(A) s3cret\ntwo wordss3cret" + 'tier="test"'
    kubectl("patch", "configmap", "settings", "-p", '{"data": {"b": "changed"}}')
    until(lambda: kubectl("exec", "told", "--", "cat", "/settings/b") == "changed")


def test_what_is_lacking_is_said_and_waited_for(kubectl, pod):
    pod("waits", container="envFrom: [{configMapRef: {name: later}}]")
    kubectl.until(
        "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError", "pod/waits"
    )
    assert status_of(kubectl, "waits")[1]["state"]["waiting"]["message"] == 'configmap "later" not found'
    kubectl("create", "configmap", "later")
    kubectl.until("condition=ready", "pod/waits")


def test_what_pods_may_not_have(kubectl, pod):
    pod("root", container="securityContext: {privileged: true}")
    kubectl.until(
        "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError", "pod/root"
    )
    assert "privileged" in status_of(kubectl, "root")[1]["state"]["waiting"]["message"]
    pod("host", spec="volumes: [{name: v, hostPath: {path: /}}]")
    until(lambda: "FailedMount" in reasons(kubectl))


def test_a_container_that_forks_without_end_stops_at_its_limit(kubectl, pod):
    pod("forks", "while true; do sleep 60 & done", policy="Never")
    kubectl.until("jsonpath={.status.phase}=Failed", "pod/forks", 60)
    assert "can't fork" in kubectl("logs", "forks", "--tail=1")


def test_one_that_fills_its_disk_is_evicted(kubectl, pod):
    pod(
        "fills", "dd if=/dev/zero of=/v/big bs=1M count=20; sleep 3600",
        spec="volumes: [{name: v, emptyDir: {sizeLimit: 10Mi}}]",
        container="volumeMounts: [{name: v, mountPath: /v}]",
    )  # fmt: skip
    kubectl.until("jsonpath={.status.reason}=Evicted", "pod/fills")
    assert kubectl.get("pod", "fills")["status"]["phase"] == "Failed"


def test_a_small_job(kubectl):
    kubectl("create", "job", "small", f"--image={IMAGE}", "--", "echo", "done")
    kubectl.until("condition=complete", "job/small")
    assert kubectl("logs", "job/small") == "done"


def test_a_job_whose_pod_fails_has_its_exit_code(kubectl):
    kubectl.apply(
        f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: fails}}
spec:
  backoffLimit: 0
  template:
    spec: {{restartPolicy: Never, containers: [{{name: c, image: {IMAGE}, command: [sh, -c, exit 7]}}]}}
"""
    )
    kubectl.until("condition=failed", "job/fails")
    ended = kubectl.get("pods")["items"][0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (7, "Error")
