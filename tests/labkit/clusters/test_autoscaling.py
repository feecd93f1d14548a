"""HorizontalPodAutoscalers on simulated pods, and metrics as they are served."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from labkit.clusters.embedded.agents import simulated
from labkit.clusters.embedded.agents.pretended import PretendedUsage
from labkit.clusters.embedded.api import timestamp
from labkit.clusters.embedded.autoscaling.controller import KEY, Autoscalers
from labkit.clusters.embedded.autoscaling.metrics import Metrics
from labkit.clusters.embedded.autoscaling.scraping import Scraper
from labkit.clusters.embedded.autoscaling.served import ServedMetrics
from labkit.clusters.embedded.errors import ApiError
from labkit.clusters.embedded.resources import built_in

PODS, SCALERS, DEPLOYMENTS = built_in("pods"), built_in(KEY), built_in("deployments.apps")
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}
FLIGHT = {
    "type": "Pods",
    "pods": {"metric": {"name": "in_flight"}, "target": {"type": "AverageValue", "averageValue": "10"}},
}
QUICK = {"scaleDown": {"stabilizationWindowSeconds": 0}}


class World:
    """A Deployment of simulated pods, and an autoscaler whose clock is turned by hand."""

    def __init__(self, api):
        self.api, self.now = api, 0.0
        self.metrics = Metrics(PretendedUsage(api), Scraper(api))
        self.scalers = Autoscalers(self.metrics, every=5.0, clock=lambda: self.now)
        api.create(built_in("nodes"), "", simulated.node("n"))
        template = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [{"name": "c", "image": "i:1", "resources": {"requests": {"cpu": "100m"}}}]
            },
        }
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        api.create(DEPLOYMENTS, "default", {"metadata": {"name": "web"}, "spec": spec})

    def pods(self, count, **annotations):
        """Have so many ready pods that say that they use so much."""
        for one in list(self.api.each("pods", "default")):
            self.api.store.delete("pods", "default", one["metadata"]["name"])
        said = {f"simulated.workbook/{name}": value for name, value in annotations.items()}
        started = timestamp(datetime.now(UTC) - timedelta(hours=1))
        for i in range(count):
            metadata = {"name": f"web-{i}", "labels": {"app": "web"}, "annotations": said}
            template = self.api.find("deployments.apps", "default", "web")["spec"]["template"]
            spec = {**template["spec"], "nodeName": "n"}
            self.api.create(PODS, "default", {"metadata": metadata, "spec": spec})
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": started}
            status = {"phase": "Running", "startTime": started, "podIP": "127.0.0.1", "conditions": [ready]}
            self.api.patch(PODS, "default", f"web-{i}", {"status": status}, status=True)

    def scaler(self, *metrics, most=10, behavior=QUICK, target="web"):
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
        spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": most, "metrics": list(metrics)}
        spec["behavior"] = behavior
        self.api.create(SCALERS, "default", {"metadata": {"name": "web"}, "spec": spec})

    def look(self):
        self.now += 5.0
        assert self.scalers.reconcile(self.api, "default", "web") == 5.0
        return self.api.find(KEY, "default", "web")["status"]

    @property
    def replicas(self):
        return self.api.find("deployments.apps", "default", "web")["spec"]["replicas"]

    def conditions(self):
        status = self.api.find(KEY, "default", "web")["status"]
        return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}

    def events(self):
        return {one["reason"]: one["message"] for one in self.api.each("events", "default")}


@pytest.fixture
def world(api):
    return World(api)


def test_it_scales_out_and_in_on_cpu(world):
    world.pods(2, cpu="90m")
    world.scaler(CPU)
    status = world.look()
    assert world.replicas == 4
    assert status["currentMetrics"] == [
        {
            "type": "Resource",
            "resource": {"name": "cpu", "current": {"averageUtilization": 90, "averageValue": "90m"}},
        }
    ]
    assert world.events()["SuccessfulRescale"] == (
        "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    )
    world.pods(4, cpu="10m")
    world.look()
    assert world.replicas == 1
    assert world.conditions()["AbleToScale"] == ("True", "SucceededRescale")
    assert world.conditions()["ScalingActive"] == ("True", "ValidMetricFound")


def test_it_scales_on_what_pods_say_of_themselves(world):
    world.pods(2, metrics="in_flight=25")
    world.scaler(FLIGHT)
    status = world.look()
    assert world.replicas == 5
    assert status["currentMetrics"][0]["pods"] == {
        "metric": {"name": "in_flight"},
        "current": {"averageValue": "25"},
    }


def test_the_metric_that_asks_for_most_decides(world):
    world.pods(2, cpu="60m", metrics="in_flight=40")
    world.scaler(CPU, FLIGHT)
    world.look()
    assert world.replicas == 6  # eight, but four more at a time
    assert world.conditions()["ScalingLimited"] == ("True", "ScaleUpLimit")


def test_without_metrics_nothing_is_scaled_and_it_says_why(world):
    world.pods(2)
    world.scaler(CPU)
    world.look()
    assert world.replicas == 2
    assert world.conditions()["ScalingActive"] == ("False", "FailedGetResourceMetric")
    said = world.events()
    assert said["FailedGetResourceMetric"] == (
        "failed to get cpu utilization: unable to get metrics for resource cpu: "
        "no metrics returned from resource metrics API"
    )
    assert said["FailedComputeMetricsReplicas"].startswith(
        "invalid metrics (1 invalid out of 1), first error is: "
    )


def test_one_unknown_metric_never_scales_in_but_another_scales_out(world):
    world.pods(2, cpu="10m")
    world.scaler(CPU, FLIGHT)
    world.look()
    assert world.replicas == 2
    world.pods(2, cpu="90m")
    world.look()
    assert world.replicas == 4


def test_pods_without_requests_have_no_utilization(world):
    template = {"spec": {"template": {"spec": {"containers": [{"name": "c", "resources": None}]}}}}
    world.api.patch(DEPLOYMENTS, "default", "web", template, kind="strategic")
    world.pods(2, cpu="90m")
    world.scaler(CPU)
    world.look()
    assert "missing request for cpu in container c of Pod web-0" in world.events()["FailedGetResourceMetric"]


def test_a_target_that_is_not_there(world):
    world.scaler(CPU, target="nobody")
    world.look()
    assert world.conditions() == {"AbleToScale": ("False", "FailedGetScale")}
    assert world.events()["FailedGetScale"] == 'deployments.apps "nobody" not found'


def test_a_target_of_no_replicas_is_left_alone(world):
    world.api.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 0}})
    world.scaler(CPU)
    world.look()
    assert world.replicas == 0
    assert world.conditions()["ScalingActive"] == ("False", "ScalingDisabled")


def test_bounds_come_first(world):
    world.api.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 20}})
    world.scaler(CPU, most=3)
    world.look()
    assert world.replicas == 3
    assert "Current number of replicas above Spec.MaxReplicas" in world.events()["SuccessfulRescale"]


def test_it_is_looked_at_once_a_period_or_when_it_changes(world):
    world.pods(2, cpu="50m")
    world.scaler(CPU)
    world.look()
    assert world.scalers.reconcile(world.api, "default", "web") is None
    world.api.patch(SCALERS, "default", "web", {"spec": {"maxReplicas": 11}})
    assert world.scalers.reconcile(world.api, "default", "web") == 5.0


# ---- as they are served ------------------------------------------------------------------------------------


def test_what_top_reads(world):
    world.pods(2, cpu="90m", memory="64Mi")
    served = ServedMetrics(world.api, world.metrics)
    found = served.answer(
        "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods", {"labelSelector": "app=web"}
    )
    assert found["kind"] == "PodMetricsList"
    assert [one["metadata"]["name"] for one in found["items"]] == ["web-0", "web-1"]
    assert found["items"][0]["containers"] == [
        {"name": "c", "usage": {"cpu": "90000000n", "memory": "65536Ki"}}
    ]
    node = served.answer("/apis/metrics.k8s.io/v1beta1/nodes/n", {})
    assert node["usage"] == {"cpu": "180000000n", "memory": "131072Ki"}
    assert served.answer("/apis/metrics.k8s.io/v1beta1/pods", {"labelSelector": "app=other"})["items"] == []
    with pytest.raises(ApiError) as refused:
        served.answer("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/nobody", {})
    assert refused.value.code == 404


def test_custom_metrics(world):
    world.pods(1, metrics="in_flight=2.5, nonsense=x")
    served = ServedMetrics(world.api, world.metrics)
    below = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods"
    (found,) = served.answer(f"{below}/*/in_flight", {})["items"]
    assert (found["metricName"], found["value"]) == ("in_flight", "2500m")
    served.announce()
    assert world.api.resources.find("custom.metrics.k8s.io", "v1beta2", "pods/in_flight") is not None
    with pytest.raises(ApiError) as refused:
        served.answer(f"{below}/web-0/nonsense", {})
    assert refused.value.code == 404


def test_gauges_as_they_are_and_counters_as_rates(world):
    scraper, at = world.metrics.scraper, datetime.now(UTC)
    first = '# TYPE in_flight gauge\nin_flight{worker="1"} 2\nin_flight{worker="2"} 3\n'
    counter = "# TYPE requests_total counter\nrequests_total {}\n"
    scraper.take("u", first + counter.format(100), at - timedelta(seconds=5))
    scraper.take("u", first + counter.format(150), at)
    pod = {"metadata": {"uid": "u"}}
    assert scraper.of_pod(pod, "in_flight").value == 5
    assert scraper.of_pod(pod, "requests_per_second").value == pytest.approx(10)
    scraper.take("u", counter.format(20), at + timedelta(seconds=5))
    assert scraper.of_pod(pod, "requests_per_second").value == pytest.approx(4)
    assert scraper.of_pod(pod, "in_flight") is None


def test_pods_are_read_over_http(world):
    async def answer(request):
        bad = request.path == "/bad"
        return web.Response(text="{" if bad else "# TYPE in_flight gauge\nin_flight 7\n")

    async def read():
        application = web.Application()
        application.router.add_get("/{path}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = str(runner.addresses[0][1])
        world.pods(2)
        for i, path in enumerate(("/metrics", "/bad")):
            notes = {"prometheus.io/scrape": "true", "prometheus.io/port": port, "prometheus.io/path": path}
            world.api.patch(PODS, "default", f"web-{i}", {"metadata": {"annotations": notes}})
        scraper = Scraper(world.api, every=0.01)
        reading = asyncio.create_task(scraper.run())
        good, bad = (world.api.find("pods", "default", f"web-{i}") for i in (0, 1))
        async with asyncio.timeout(10):
            while not (found := scraper.of_pod(good, "in_flight")):
                await asyncio.sleep(0.01)
        assert not reading.done()
        reading.cancel()
        await runner.cleanup()
        assert scraper.of_pod(bad, "in_flight") is None
        return found.value

    assert asyncio.run(read()) == 7
