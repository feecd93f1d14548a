"""What moto 5.2.5 answers otherwise than AWS, mended where Terraform would see a change that nobody made.

Each patch has its reason beside it and its test in tests/labkit/clouds/test_emulator.py; one that moto no
longer needs fails there when moto is upgraded.
"""

from __future__ import annotations

import functools
import json
from typing import Any


def apply() -> None:
    """Apply all of them, before the first request."""
    node_groups_have_no_remote_access()
    templates_keep_their_own_tags_apart()
    models_have_no_empty_network()
    endpoints_have_no_empty_capture()
    budgets_tell_their_subscribers()
    policies_keep_their_conditions()


def node_groups_have_no_remote_access() -> None:
    """Moto gives every node group an SSH access that nobody asked for: a second plan would replace it."""
    from moto.eks import models

    models.DEFAULT_REMOTE_ACCESS = None


def templates_keep_their_own_tags_apart() -> None:
    """Moto copies a launch template's own tags into what it launches: a second plan would remove them."""
    from moto.ec2.responses.launch_templates import LaunchTemplates

    create = LaunchTemplates.create_launch_template

    @functools.wraps(create)
    def without_own_tags(self: Any) -> Any:
        answer = create(self)
        template = self.ec2_backend.get_launch_template_by_name(self._get_param("LaunchTemplateName"))
        data = template.versions[0].data
        others = [
            each for each in data.get("TagSpecifications", []) if each["ResourceType"] != "launch-template"
        ]
        data.pop("TagSpecifications", None)
        if others:
            data["TagSpecifications"] = others
        return answer

    LaunchTemplates.create_launch_template = without_own_tags


def models_have_no_empty_network() -> None:
    """Moto gives a SageMaker model without a network an empty one: a second plan would replace the model."""
    from moto.sagemaker.models import Model

    make = Model.__init__

    @functools.wraps(make)
    def made(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        self.vpc_config = self.vpc_config or None

    Model.__init__ = made


def endpoints_have_no_empty_capture() -> None:
    """Moto gives an endpoint's configuration an empty capture of data: the provider would stop at it."""
    from moto.core.responses import ActionResult
    from moto.sagemaker.responses import SageMakerResponse

    def described(self: Any) -> Any:
        found = dict(self.sagemaker_backend.describe_endpoint_config(self._get_param("EndpointConfigName")))
        if not found.get("DataCaptureConfig"):
            found.pop("DataCaptureConfig", None)
        return ActionResult(found)

    SageMakerResponse.describe_endpoint_config = described


def budgets_tell_their_subscribers() -> None:
    """Moto lacks the call that asks who is told of a budget: a budget with a notification would not apply."""
    from moto.budgets.responses import BudgetsResponse

    def subscribers(self: Any) -> str:
        budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
        wanted = self._get_param("Notification")
        for each in budget.notifications:
            if all(each.details.get(key) == value for key, value in wanted.items() if key in each.details):
                return json.dumps({"Subscribers": each.subscribers, "NextToken": None})
        return json.dumps({"Subscribers": [], "NextToken": None})

    BudgetsResponse.describe_subscribers_for_notification = subscribers


def policies_keep_their_conditions() -> None:
    """With moto, what a policy denies on a condition is denied always: no TLS, no bucket, for anybody.

    Such statements are left out when a request is decided, as if each came with TLS; they are kept and shown.
    """
    from moto.iam.access_control import IAMPolicy, PermissionResult
    from moto.s3.models import FakeBucket

    def permission(self: Any, action: str, resource: str) -> Any:
        if self.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(self.policy)
        statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
        policy["Statement"] = [each for each in statements if not each.get("Condition")]
        return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)

    FakeBucket.get_permission = permission
