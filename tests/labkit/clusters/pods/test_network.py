"""Services, their names, and what only some pods answer."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

from .conftest import IMAGE
from .test_life import until

WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: c
        image: {IMAGE}
        command: [sh, -c, 'mkdir /tmp/www; hostname > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www']
        ports: [{{name: http, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /, port: http}}, periodSeconds: 1, failureThreshold: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{type: NodePort, selector: {{app: web}}, ports: [{{name: main, port: 80, targetPort: http}}]}}
"""


def ask(address):
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
        return answer.read().decode().strip()


def answers(address):
    try:
        return ask(address)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return ""


def test_a_service_shares_its_calls_among_ready_pods(kubectl):
    kubectl.apply(WEB)
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    spec = kubectl.get("service", "web")["spec"]
    pods = {one["metadata"]["name"] for one in kubectl.get("pods")["items"]}
    until(lambda: {answers(spec["clusterIP"]) for _ in range(6)} == pods)
    assert {ask(f"127.0.0.1:{spec['ports'][0]['nodePort']}") for _ in range(6)} == pods
    call = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {spec['clusterIP']} 80"
    assert kubectl("exec", min(pods), "--", "sh", "-c", call).split()[-1] in pods
    kubectl("exec", min(pods), "--", "rm", "/tmp/www/index.html")
    until(lambda: {answers(spec["clusterIP"]) for _ in range(6)} == {max(pods)})
    kubectl("scale", "deployment/web", "--replicas=0")
    until(lambda: answers(spec["clusterIP"]) == "")


def test_no_call_is_lost_when_a_pod_is_deleted(kubectl):
    kubectl.apply(WEB)
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    address = kubectl.get("service", "web")["spec"]["clusterIP"]
    first = kubectl.get("pods")["items"][0]["metadata"]["name"]
    until(lambda: answers(address))
    kubectl("delete", "pod", first, "--wait=false")
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert ask(address)


def test_names(kubectl, pod):
    kubectl.apply(WEB)
    pod("asks")
    spec = "hostname: rank-0\n  subdomain: ranks"
    pod("rank", spec=spec, labels="{job: ranks}")
    kubectl.apply(
        """
apiVersion: v1
kind: Service
metadata: {name: ranks}
spec: {clusterIP: None, selector: {job: ranks}}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere}
spec: {type: ExternalName, externalName: example.com}
"""
    )
    kubectl.until("condition=ready", "pod/asks")
    kubectl.until("condition=ready", "pod/rank")
    address = kubectl.get("service", "web")["spec"]["clusterIP"]
    rank = kubectl.get("pod", "rank")["status"]["podIP"]
    domain = f"{kubectl.namespace}.svc.cluster.local"

    def named(name, kind="a"):
        return kubectl.run("exec", "asks", "--", "nslookup", f"-type={kind}", name).stdout

    assert f"Address: {address}" in named(f"web.{domain}")
    until(lambda: f"Address: {rank}" in named(f"ranks.{domain}"))
    assert f"Address: {rank}" in named(f"rank-0.ranks.{domain}")
    assert f"80 web.{domain}" in named(f"_main._tcp.web.{domain}", "srv")
    assert "canonical name = example.com" in named(f"elsewhere.{domain}")
    assert "NXDOMAIN" in named(f"nobody.{domain}")
    found = kubectl("exec", "asks", "--", "cat", "/etc/resolv.conf")
    assert f"search {domain} svc.cluster.local cluster.local" in found
    assert "ndots:5" in found


def test_ranks_of_an_indexed_job_find_each_other_by_name(kubectl):
    kubectl.apply(
        f"""
apiVersion: v1
kind: Service
metadata: {{name: ranks}}
spec: {{clusterIP: None, selector: {{job-name: ranks}}, publishNotReadyAddresses: true}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: ranks}}
spec:
  completions: 2
  parallelism: 2
  completionMode: Indexed
  template:
    spec:
      subdomain: ranks
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: {IMAGE}
        command:
        - sh
        - -c
        - |
          other=$((1 - JOB_COMPLETION_INDEX))
          name=ranks-$other.ranks.{kubectl.namespace}.svc.cluster.local
          echo hello from $JOB_COMPLETION_INDEX | nc -l -p 9000 &
          until address=$(nslookup -type=a $name | grep '^Address: '); do sleep 0.2; done
          address=${{address#* }}
          until nc $address 9000 < /dev/null; do sleep 0.2; done
          wait
"""
    )
    kubectl.until("condition=complete", "job/ranks", 50)
    said = {kubectl("logs", one["metadata"]["name"]) for one in kubectl.get("pods")["items"]}
    assert said == {"hello from 0", "hello from 1"}
