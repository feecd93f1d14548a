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
