"""What lateness costs, from a second to weeks."""

import pytest

from autograder.classroom.late import LatePolicy, read_late_policy
from labkit.errors import WorkbookError

DAY = 86_400
POLICY = LatePolicy(grace_minutes=15, percent_per_day=10, most_percent=35)


@pytest.mark.parametrize(
    ("seconds", "lost"),
    [(1, 0), (900, 0), (901, 2), (DAY, 2), (DAY + 1, 4), (3 * DAY, 6), (30 * DAY, 7)],
)
def test_each_day_begun_costs_up_to_the_most(seconds, lost):
    assert POLICY.penalty(20, seconds) == pytest.approx(lost)


def test_without_a_file_lateness_costs_nothing(tmp_path):
    assert read_late_policy(tmp_path).penalty(20, 30 * DAY) == 0


def test_late_by_a_second_without_grace(tmp_path):
    (tmp_path / "late.toml").write_text("percent_per_day = 10\n")
    assert read_late_policy(tmp_path).penalty(20, 1) == pytest.approx(2)


@pytest.mark.parametrize(
    "text", ["percent_per_day = 'ten'", "percent_per_day = 101", "per_day = 10", "grace_minutes ="]
)
def test_a_policy_that_can_not_be_meant(tmp_path, text):
    (tmp_path / "late.toml").write_text(text)
    with pytest.raises(WorkbookError, match=r"late\.toml can't be used"):
        read_late_policy(tmp_path)
