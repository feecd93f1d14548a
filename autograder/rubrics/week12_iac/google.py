"""The arguments of three of Google's resources, to judge Terraform by that can't be planned here.

Source: the Python package pulumi-gcp 10.2.0 of PyPI, which is made from the provider's own schema; its plural
names of blocks are singular in Terraform. What only newer releases have is not in it.
"""

import re

ARGUMENTS = {
    "google_storage_bucket": set(
        [
            "autoclass",
            "cors",
            "custom_placement_config",
            "default_event_based_hold",
            "enable_object_retention",
            "encryption",
            "force_destroy",
            "hierarchical_namespace",
            "ip_filter",
            "labels",
            "lifecycle_rule",
            "location",
            "logging",
            "name",
            "project",
            "public_access_prevention",
            "requester_pays",
            "retention_policy",
            "rpo",
            "soft_delete_policy",
            "storage_class",
            "uniform_bucket_level_access",
            "versioning",
            "website",
        ]
    ),
    "google_container_cluster": set(
        [
            "addons_config",
            "authenticator_groups_config",
            "binary_authorization",
            "cluster_autoscaling",
            "cluster_ipv4_cidr",
            "confidential_nodes",
            "control_plane_endpoints_config",
            "cost_management_config",
            "database_encryption",
            "datapath_provider",
            "default_max_pods_per_node",
            "default_snat_status",
            "deletion_protection",
            "description",
            "dns_config",
            "enable_autopilot",
            "enable_intranode_visibility",
            "enable_kubernetes_alpha",
            "enable_l4_ilb_subsetting",
            "enable_legacy_abac",
            "enable_shielded_nodes",
            "enable_tpu",
            "fleet",
            "gateway_api_config",
            "initial_node_count",
            "ip_allocation_policy",
            "location",
            "logging_config",
            "logging_service",
            "maintenance_policy",
            "master_auth",
            "master_authorized_networks_config",
            "min_master_version",
            "monitoring_config",
            "monitoring_service",
            "name",
            "network",
            "network_policy",
            "networking_mode",
            "node_config",
            "node_locations",
            "node_pool",
            "node_pool_auto_config",
            "node_pool_defaults",
            "node_version",
            "notification_config",
            "private_cluster_config",
            "project",
            "release_channel",
            "remove_default_node_pool",
            "resource_labels",
            "resource_usage_export_config",
            "secret_manager_config",
            "security_posture_config",
            "subnetwork",
            "vertical_pod_autoscaling",
            "workload_identity_config",
        ]
    ),
    "google_container_node_pool": set(
        [
            "autoscaling",
            "cluster",
            "initial_node_count",
            "location",
            "management",
            "max_pods_per_node",
            "name",
            "name_prefix",
            "network_config",
            "node_config",
            "node_count",
            "node_locations",
            "placement_policy",
            "project",
            "queued_provisioning",
            "upgrade_settings",
            "version",
        ]
    ),
}
_TERRAFORM = {"count", "for_each", "depends_on", "lifecycle", "provider", "timeouts", "dynamic"}
NODE_CONFIG = set(
    [
        "advanced_machine_features",
        "boot_disk_kms_key",
        "confidential_nodes",
        "containerd_config",
        "disk_size_gb",
        "disk_type",
        "ephemeral_storage_local_ssd_config",
        "fast_socket",
        "gcfs_config",
        "guest_accelerator",
        "gvnic",
        "host_maintenance_policy",
        "image_type",
        "kubelet_config",
        "labels",
        "linux_node_config",
        "local_nvme_ssd_block_config",
        "local_ssd_count",
        "logging_variant",
        "machine_type",
        "max_run_duration",
        "metadata",
        "min_cpu_platform",
        "node_group",
        "oauth_scopes",
        "preemptible",
        "reservation_affinity",
        "resource_labels",
        "resource_manager_tags",
        "secondary_boot_disks",
        "service_account",
        "shielded_instance_config",
        "sole_tenant_config",
        "spot",
        "storage_pools",
        "tags",
        "taint",
        "workload_metadata_config",
    ]
)
AMAZON = re.compile(r"\baws_|amazonaws|\barn:|us-east-1|STANDARD_IA|\b[cgmprt]\d\w*\.\d*x?large|NVIDIA\b|AL2")
"""What has no meaning on Google Cloud."""


def strangers(blocks):
    """What in these blocks no provider of Google's knows: types, and arguments of the three that are known."""
    found = []
    for each in blocks:
        if each.type not in ("resource", "data"):
            continue
        kind = each.labels[0]
        if not kind.startswith("google_"):
            found.append(f"{kind} is nothing of Google's")
        known = ARGUMENTS.get(kind) if each.type == "resource" else None
        if known is not None:
            inside = {*each.arguments, *(block.type for block in each.blocks)}
            found += [f"{kind} has no {name}" for name in sorted(inside - known - _TERRAFORM)]
        for config in each.of("node_config") if kind == "google_container_node_pool" else ():
            inside = {*config.arguments, *(block.type for block in config.blocks)}
            found += [f"node_config has no {name}" for name in sorted(inside - NODE_CONFIG - _TERRAFORM)]
    return found
