"""Services, and the endpoints that they find."""

from __future__ import annotations

import pytest
from conformance.conftest import eventually, refused
from conformance.manifests import deployment, pod


def service(name="web", **spec):
    """A Service of the pods labelled `app: web`."""
    given = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
    return {"metadata": {"name": name}, "spec": given}


def addresses(core, namespace, name="web", *, ready=True):
    """The addresses behind a Service."""
    found = core.list_namespaced_endpoints(namespace, field_selector=f"metadata.name={name}").items
    subsets = found[0].subsets or [] if found else []
    every = [subset.addresses if ready else subset.not_ready_addresses for subset in subsets]
    return {one.ip for some in every for one in some or ()}


def test_what_a_service_is_given(core, namespace):
    spec = core.create_namespaced_service(namespace, service()).spec
    assert spec.type == "ClusterIP"
    assert spec.session_affinity == "None"
    assert spec.ports[0].protocol == "TCP"
    assert spec.cluster_ip.count(".") == 3
    other = core.create_namespaced_service(namespace, service("other")).spec
    assert other.cluster_ip != spec.cluster_ip


def test_a_port_leads_to_itself_unless_told_otherwise(core, namespace):
    spec = core.create_namespaced_service(namespace, service(ports=[{"port": 81}])).spec
    assert spec.ports[0].target_port == 81


def test_an_address_never_changes(core, namespace):
    core.create_namespaced_service(namespace, service())
    said = refused(422, core.patch_namespaced_service, "web", namespace, {"spec": {"clusterIP": "10.1.2.3"}})
    assert "field is immutable" in said["message"] or "may not change once set" in said["message"]


def test_headless(core, namespace):
    spec = core.create_namespaced_service(namespace, service(clusterIP="None")).spec
    assert spec.cluster_ip == "None"


def test_a_node_port(core, namespace):
    spec = core.create_namespaced_service(namespace, service(type="NodePort")).spec
    assert 30000 <= spec.ports[0].node_port < 32768
    taken = service("other", type="NodePort", ports=[{"port": 80, "nodePort": spec.ports[0].node_port}])
    said = refused(422, core.create_namespaced_service, namespace, taken)
    assert "provided port is already allocated" in said["message"]


def test_a_node_port_out_of_range(core, namespace):
    body = service(type="NodePort", ports=[{"port": 80, "nodePort": 80}])
    said = refused(422, core.create_namespaced_service, namespace, body)
    assert (
        "provided port is not in the valid range. The range of valid ports is 30000-32767" in said["message"]
    )


def test_a_name_for_somewhere_else(core, namespace):
    body = {"metadata": {"name": "far"}, "spec": {"type": "ExternalName", "externalName": "example.com"}}
    spec = core.create_namespaced_service(namespace, body).spec
    assert (spec.external_name, spec.cluster_ip) == ("example.com", None)


def test_it_finds_ready_pods(cluster, core, apps, namespace):
    core.create_namespaced_service(namespace, service())
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=2))
    eventually(lambda: len(addresses(core, namespace)) == 2, 60)
    pods = core.list_namespaced_pod(namespace).items
    assert addresses(core, namespace) == {one.status.pod_ip for one in pods}
    (subset,) = core.read_namespaced_endpoints("web", namespace).subsets
    assert [(port.port, port.protocol) for port in subset.ports] == [(8080, "TCP")]
    assert {one.target_ref.name for one in subset.addresses} == {pod.metadata.name for pod in pods}


def test_who_is_not_ready_gets_no_traffic(cluster, core, namespace):
    core.create_namespaced_service(namespace, service())
    core.create_namespaced_pod(namespace, pod(cluster.image, ready_after=2))
    eventually(lambda: addresses(core, namespace, ready=False))
    assert not addresses(core, namespace)
    eventually(lambda: addresses(core, namespace))
    assert not addresses(core, namespace, ready=False)


def test_who_goes_gets_no_traffic(cluster, core, namespace):
    core.create_namespaced_service(namespace, service())
    core.create_namespaced_pod(namespace, pod(cluster.image))
    eventually(lambda: addresses(core, namespace))
    core.delete_namespaced_pod("p", namespace)
    eventually(lambda: not addresses(core, namespace))


def test_a_port_by_its_name(cluster, core, namespace):
    core.create_namespaced_service(namespace, service(ports=[{"port": 80, "targetPort": "http"}]))
    ports = [{"name": "http", "containerPort": 9090}]
    core.create_namespaced_pod(namespace, pod(cluster.image, ports=ports))
    eventually(lambda: addresses(core, namespace))
    assert core.read_namespaced_endpoints("web", namespace).subsets[0].ports[0].port == 9090


def test_another_selector_finds_other_pods(cluster, core, namespace):
    core.create_namespaced_service(namespace, service())
    for name, label in (("blue", "web"), ("green", "next")):
        core.create_namespaced_pod(namespace, pod(cluster.image, name=name, labels={"app": label}))
    eventually(lambda: addresses(core, namespace))
    blue = addresses(core, namespace)
    core.patch_namespaced_service("web", namespace, {"spec": {"selector": {"app": "next"}}})
    eventually(lambda: addresses(core, namespace) and addresses(core, namespace) != blue)
    green = core.read_namespaced_pod("green", namespace).status.pod_ip
    assert addresses(core, namespace) == {green}


def test_its_endpoints_go_with_it(core, kubectl, namespace):
    core.create_namespaced_service(namespace, service())
    eventually(lambda: core.list_namespaced_endpoints(namespace).items)
    assert kubectl("delete", "service", "web") in (
        'service "web" deleted',
        f'service "web" deleted from {namespace} namespace',
    )
    eventually(lambda: not core.list_namespaced_endpoints(namespace).items)


@pytest.mark.since(21)
def test_slices(cluster, core, namespace):
    from kubernetes.client import DiscoveryV1Api

    core.create_namespaced_service(namespace, service())
    core.create_namespaced_pod(namespace, pod(cluster.image))
    slices = DiscoveryV1Api(cluster.client)
    label = "kubernetes.io/service-name=web"

    def look():
        found = slices.list_namespaced_endpoint_slice(namespace, label_selector=label).items
        return found if found and found[0].endpoints and found[0].endpoints[0].conditions.ready else None

    (one,) = eventually(look)
    assert one.endpoints[0].addresses == [core.read_namespaced_pod("p", namespace).status.pod_ip]
    assert (one.address_type, one.ports[0].port) == ("IPv4", 8080)
