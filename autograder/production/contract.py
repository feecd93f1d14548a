"""What project 1 asks of a service: the names that its judge and its monitoring know it by."""

from __future__ import annotations

SERVICE = "digits"
COLOURS = ("blue", "green")
PORT = 8080
LABELS = "labels"
LABELS_PORT = 8090
LIMIT_MS = 100.0

REQUESTS = "http_requests_total"
SECONDS = "http_request_seconds"
IN_FLIGHT = "http_requests_in_flight"
LABEL_REQUESTS = "labels_requests_total"
METRICS = (REQUESTS, f"{SECONDS}_bucket", f"{SECONDS}_count", IN_FLIGHT, LABEL_REQUESTS)
"""Under these names a server says what happens to it."""

FROM_THE_CLUSTER = (
    "up",
    "ALERTS",
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_available",
    "kube_pod_status_ready",
    "kube_pod_container_status_restarts_total",
    "kube_node_spec_unschedulable",
    "container_memory_working_set_bytes",
    "workbook_container_cpu_cores",
    "node_cpu_seconds_total",
    "node_load1",
    "node_memory_MemAvailable_bytes",
)
"""What the monitoring knows besides."""

ERRORS, SLOW, LABELS_DOWN, ABSENT = "ServiceErrors", "ServiceSlow", "LabelsDown", "ServiceAbsent"
ALERTS = (ERRORS, SLOW, LABELS_DOWN, ABSENT)
"""The alerts that a submission has, whatever else it alerts of."""

LOG_FIELDS = ("time", "level", "request_id", "path", "status", "milliseconds", "version")
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
