"""What a bucket of the AWS provider 3.x does with its objects, read from its planned values."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fate:
    """What becomes of an object.

    Attributes:
        transitions: After how many days it moves, by storage class.
        expires: After how many days it is deleted; None if never.
        old_expire: After how many days a version that was overwritten is deleted; None if never.
    """

    transitions: dict[str, int] = field(default_factory=dict)
    expires: int | None = None
    old_expire: int | None = None


def first(blocks):
    """The first block of a kind as a dictionary; empty if there is none."""
    return blocks[0] if isinstance(blocks, list) and blocks and isinstance(blocks[0], dict) else {}


def on(switch):
    """A switch in words."""
    return "on" if switch else "off"


def rules(bucket):
    """The lifecycle rules that are switched on."""
    return [each for each in bucket["lifecycle_rule"] or [] if each.get("enabled")]


def _covering(rules, key):
    return [each for each in rules if key.startswith(each.get("prefix") or "") and not each.get("tags")]


def fate(rules, key):
    """What the rules do to an object of that key; of several rules, the earliest day counts."""
    transitions: dict[str, int] = {}
    expires, old = [], []
    for rule in _covering(rules, key):
        for move in rule.get("transition") or []:
            days = int(move.get("days") or 0)
            transitions[move["storage_class"]] = min(days, transitions.get(move["storage_class"], days))
        expires += [int(each["days"]) for each in rule.get("expiration") or [] if each.get("days")]
        old += [
            int(each["days"]) for each in rule.get("noncurrent_version_expiration") or [] if each.get("days")
        ]
    return Fate(transitions, min(expires, default=None), min(old, default=None))


def aborts(rules, key, days):
    """Whether an upload of that key that was broken off is cleared away within so many days."""
    found = [each.get("abort_incomplete_multipart_upload_days") or 0 for each in _covering(rules, key)]
    return any(0 < each <= days for each in found)


def denies_plain_http(policy, bucket):
    """Whether a bucket's policy denies everybody everything without TLS, for the bucket and its objects."""
    arn = f"arn:aws:s3:::{bucket}"
    covered = set()
    for statement in _listed(policy.get("Statement")):
        condition = statement.get("Condition", {}).get("Bool", {})
        if (
            statement.get("Effect") == "Deny"
            and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
            and {"s3:*", "*"} & set(_listed(statement.get("Action")))
            and _listed(condition.get("aws:SecureTransport")) in (["false"], [False])
        ):
            covered |= set(_listed(statement.get("Resource")))
    return "*" in covered or {arn, f"{arn}/*"} <= covered


def _listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]
