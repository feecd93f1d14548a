"""Project 2: a platform in two clouds, of which any part may be gone in the next moment."""

from autograder.rubric import reading
from autograder.rubrics.project2_multicloud_platform import (
    edge_checks,
    planner_checks,
    registry_checks,
    training_checks,
)

what_the_timeline_shows = reading(
    "what_the_timeline_shows",
    points=5,
    criteria=[
        (
            2,
            "says for notice and kill which steps were trained again, with their numbers, and why",
        ),
        (2, "weighs the interval: a checkpoint's own seconds against the steps that a kill costs"),
        (1, "names what the run would have cost with a machine in a second cloud whose data is far away"),
    ],
)
design_review = reading(
    "design_review",
    points=15,
    criteria=[
        (3, "what is atomic in their registry, by which request, and what two racing promoters each see"),
        (3, "for a crash between any two writes: what stays behind, who sees it, who clears it away"),
        (3, "what the edge trusts and why; what an attacker who may write to the bucket could still do"),
        (
            3,
            "where it breaks first at a hundred times the size, with an estimate",
        ),
        (3, "one alternative that they turned down, for a reason that their measurements support"),
    ],
)

# The checks in their order; those of each part stand in a module of their own.

test_trains = training_checks.test_trains
test_leaves_with_a_notice = training_checks.test_leaves_with_a_notice
test_survives_a_kill = training_checks.test_survives_a_kill
test_refuses_a_damaged_checkpoint = training_checks.test_refuses_a_damaged_checkpoint

test_keeps_versions = registry_checks.test_keeps_versions
test_registers_at_once = registry_checks.test_registers_at_once
test_refuses_damage = registry_checks.test_refuses_damage
test_promotes_atomically = registry_checks.test_promotes_atomically
test_survives_broken_lines = registry_checks.test_survives_broken_lines
test_prunes = registry_checks.test_prunes

test_edge_serves = edge_checks.test_edge_serves
test_edge_updates = edge_checks.test_edge_updates
test_edge_refuses = edge_checks.test_edge_refuses
test_edge_offline = edge_checks.test_edge_offline

test_plans_in_time = planner_checks.test_plans_in_time
test_plans_for_least = planner_checks.test_plans_for_least
test_follows_prices = planner_checks.test_follows_prices
