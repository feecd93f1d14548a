import aws_platform
import pytest
from declared import declared


@pytest.mark.parametrize("most", [1, 4, 9])
@pytest.mark.parametrize("name", ["vision", "radar"])
def test_the_platform_is_declared(name, most):
    platform = declared(
        aws_platform.build, name=name, gpu_nodes={"min": 0, "max": most}, labels={"team": name}
    )
    assert platform.resources
    assert platform.outputs
