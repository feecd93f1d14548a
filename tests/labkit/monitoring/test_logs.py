from __future__ import annotations

from labkit.monitoring import joined, parse
from labkit.monitoring.discovery import targets_of, write_targets
from labkit.monitoring.gpu_metrics import as_metrics


def test_a_line_of_json_has_fields_and_any_other_has_none():
    line = parse('{"request_id": "r1", "status": 200}', "digits-1")
    assert (line.pod, line.request, line.fields["status"]) == ("digits-1", "r1", 200)
    assert parse("INFO: started").fields == {}
    assert parse('["a"]').request == ""
    assert parse("[" * 100_000).fields == {}


def test_requests_are_joined_over_the_hops_that_name_them():
    server = [parse('{"request_id": "a"}'), parse('{"request_id": "b"}')]
    labels = [parse('{"request_id": "a"}'), parse("nothing of the kind")]
    assert joined([server, labels], ["a", "b", "c"]) == {"a": 2, "b": 1, "c": 0}


def test_gpus_are_told_under_the_names_of_dcgm():
    assert as_metrics("0, 87, 1024\n1, [N/A], 12\n").splitlines() == [
        'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 87',
        'DCGM_FI_DEV_FB_USED{gpu="0"} 1024',
        'DCGM_FI_DEV_FB_USED{gpu="1"} 12',
    ]


def pod(**status):
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    metadata = {"name": "digits-1", "namespace": "default", "annotations": notes, "labels": {"app": "digits"}}
    return {"metadata": metadata, "status": {"phase": "Running", "podIP": "10.0.0.7"} | status}


def test_only_pods_that_run_and_ask_for_it_are_scraped(tmp_path):
    (group,) = targets_of([pod(), pod(phase="Pending"), pod(podIP=None), {"metadata": {"name": "other"}}])
    assert group["targets"] == ["10.0.0.7:8080"]
    expected = {"namespace": "default", "pod": "digits-1", "app": "digits", "__metrics_path__": "/metrics"}
    assert group["labels"] == expected
    assert write_targets(tmp_path, [group])
    assert not write_targets(tmp_path, [group])
    assert write_targets(tmp_path, [])
