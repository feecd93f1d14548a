"""The seed's manifests, word for word, and what mends them."""

TRAINING_JOB = """
apiVersion: batch/v1
kind: Job
metadata:
  name: model-training
spec:
  template:
    spec:
      containers:
      - name: trainer
        image: ml-training:latest
        resources:
          requests:
            memory: "8Gi"
            cpu: "4"
            nvidia.com/gpu: "1"
      restartPolicy: OnFailure
"""

MODEL_SERVER = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: model-server
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: model
        image: model-serve:latest
        ports:
        - containerPort: 8080
        livenessProbe:
          httpGet:
            path: /health
            port: 8080
        readinessProbe:
          httpGet:
            path: /ready
            port: 8080
"""

# An extended resource can't be overcommitted: its limit has to be set, and equals the request.
MENDED_JOB = TRAINING_JOB.replace(
    '            nvidia.com/gpu: "1"\n',
    '            nvidia.com/gpu: "1"\n          limits:\n            nvidia.com/gpu: "1"\n',
)

MENDED_SERVER = MODEL_SERVER.replace(
    "  template:\n",
    "  selector: {matchLabels: {app: model}}\n  template:\n    metadata: {labels: {app: model}}\n",
)

GPU_NODE = """
apiVersion: v1
kind: Node
metadata:
  name: gpu-NAME
  labels: {workbook.agent: simulated, node.kubernetes.io/instance-type: p3.2xlarge}
status:
  capacity: {cpu: "8", memory: 61Gi, pods: "110", nvidia.com/gpu: "1"}
  allocatable: {cpu: "8", memory: 61Gi, pods: "110", nvidia.com/gpu: "1"}
"""


def container(image, *, runs=None, exit_code=0, ready_after=0, **more):
    """A container that runs for a while (or on and on), ends with a code, and is ready after a while."""
    if runs is None:
        begin = f"sleep {ready_after}; " if ready_after else ""
        line = f"trap 'exit 0' TERM; {begin}touch /tmp/ready; while true; do sleep 0.2; done"
    else:
        line = f"sleep {runs}; exit {exit_code}"
    made = {"name": "c", "image": image, "command": ["sh", "-c", line], **more}
    if ready_after:
        made["readinessProbe"] = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
    return made


def template(
    image, *, labels=None, policy="Always", runs=None, exit_code=0, ready_after=0, spec=None, **more
):
    """A pod's metadata and spec; the annotations say to a simulated node what the command does on a real one."""
    said = {
        "ready-seconds": ready_after,
        "exit-code": exit_code,
        **({} if runs is None else {"run-seconds": runs}),
    }
    return {
        "metadata": {
            "labels": labels or {"app": "web"},
            "annotations": {f"simulated.workbook/{name}": str(value) for name, value in said.items()},
        },
        "spec": {
            "restartPolicy": policy,
            "terminationGracePeriodSeconds": 2,
            "containers": [container(image, runs=runs, exit_code=exit_code, ready_after=ready_after, **more)],
            **(spec or {}),
        },
    }


def pod(image, name="p", **how):
    """A pod of one container."""
    made = template(image, **how)
    made["metadata"]["name"] = name
    return {"apiVersion": "v1", "kind": "Pod", **made}


def deployment(image, name="web", replicas=1, strategy=None, more=None, **how):
    """A Deployment of pods of one container."""
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, **(more or {})}
    if strategy:
        spec["strategy"] = strategy
    spec["template"] = template(image, labels={"app": name}, **how)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def job(image, name="work", runs=0.2, policy="Never", more=None, **how):
    """A Job of pods of one container."""
    spec = {
        "template": template(image, labels={"job": name}, policy=policy, runs=runs, **how),
        **(more or {}),
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def configmap(name="a", data=None, **metadata):
    """A ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": {"x": "1"} if data is None else data,
    }
