from __future__ import annotations

import pytest
import yaml

from labkit.errors import WorkFault
from labkit.monitoring import check_rules, read_rules
from labkit.monitoring import test_rules as run_tests
from labkit.monitoring.stack import OUR_RULES


def test_our_rules_keep_what_their_tests_say(programs):
    assert check_rules(OUR_RULES) == len(read_rules(OUR_RULES)) == 4
    run_tests(OUR_RULES, yaml.safe_load(OUR_RULES.with_name("rules_test.yml").read_text()))


def test_a_rule_that_fires_too_late_is_told_from_ours(programs, tmp_path):
    late = tmp_path / "late.yml"
    late.write_text(OUR_RULES.read_text().replace("for: 5s", "for: 9s"))
    with pytest.raises(WorkFault, match=r"late\.yml") as found:
        run_tests(late, yaml.safe_load(OUR_RULES.with_name("rules_test.yml").read_text()))
    assert "TargetDown" in str(found.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("groups: 3", "no groups of rules"),
        ("groups: [{rules: [{expr: up}]}]", "neither alerts nor records"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_no_file_of_rules_is_refused(tmp_path, text, what):
    (tmp_path / "rules.yml").write_text(text)
    with pytest.raises(WorkFault, match=what):
        read_rules(tmp_path / "rules.yml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WorkFault, match=r"There is no rules\.yml"):
        read_rules(tmp_path / "rules.yml")


def test_promql_that_is_none_is_refused_in_promtools_words(programs, tmp_path):
    (tmp_path / "rules.yml").write_text("groups: [{name: a, rules: [{alert: A, expr: 'sum(('}]}]")
    with pytest.raises(WorkFault, match="parse error"):
        check_rules(tmp_path / "rules.yml")
