from __future__ import annotations

import pytest

from labkit.errors import WorkbookError
from labkit.slo import AvailabilityObjective, Objective


def test_defaults_are_the_courses():
    objective = Objective()
    assert (objective.milliseconds, objective.quantile, objective.confidence) == (100, 0.99, 0.99)
    assert objective.name == "p99"
    assert objective.allowed == pytest.approx(0.01)
    assert objective.lag_limit == 10
    assert AvailabilityObjective().allowed == pytest.approx(0.001)
    assert Objective(quantile=0.999).name == "p99.9"


@pytest.mark.parametrize(
    "fields",
    [{"quantile": 1}, {"quantile": 99}, {"confidence": 0.4}, {"milliseconds": 0}, {"milliseconds": -1}],
)
def test_nonsense_is_refused(fields):
    with pytest.raises(WorkbookError):
        Objective(**fields)


def test_nonsense_availability_is_refused():
    with pytest.raises(WorkbookError, match=r"such as 0\.99"):
        AvailabilityObjective(share=99.9)
