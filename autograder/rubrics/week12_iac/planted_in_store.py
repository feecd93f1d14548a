"""What is planted in the module `store` of lab 4: faults that its promises forbid, and harmless changes."""

from labkit.terraform.planted import Fault

FAULTS = (
    Fault("no versions", "versioning {\n    enabled = true", "versioning {\n    enabled = false"),
    Fault("production goes with its models", "= !local.production", "= true"),
    Fault("a dev bucket is never cleared away", "= !local.production", "= false"),
    Fault("one name for all environments", '"${var.team}-models-${var.environment}"', '"${var.team}-models"'),
    Fault("old models go after a week everywhere", "local.production ? 90 : 7", "7"),
    Fault("old models stay for months in dev", "local.production ? 90 : 7", "90"),
    Fault("checkpoints stay as long as ever", "days = var.checkpoint_days", "days = 14"),
    Fault("models are deleted like checkpoints", 'prefix  = "checkpoints/"', 'prefix  = ""'),
    Fault("another kind of encryption", '"aws:kms"', '"AES256"'),
    Fault("one switch of four is off", "restrict_public_buckets = true", "restrict_public_buckets = false"),
    Fault("a policy for everybody", "{ AWS = var.readers }", '"*"'),
    Fault("readers may write", '["s3:GetObject"]', '["s3:GetObject", "s3:PutObject"]'),
    Fault("readers read the checkpoints, too", "${local.name}/models/*", "${local.name}/*"),
    Fault("a policy without readers", "length(var.readers) > 0 ? 1 : 0", "1"),
    Fault(
        "a caller's tags replace the module's",
        "merge(var.tags, { team = var.team, environment = var.environment })",
        "merge({ team = var.team, environment = var.environment }, var.tags)",
    ),
    Fault("a caller's tags are lost", "merge(var.tags, {", "merge({}, {"),
    Fault(
        "any environment",
        'contains(["dev", "production"], var.environment)',
        "length(var.environment) > 0",
        "variables.tf",
    ),
    Fault("no day at all", "var.checkpoint_days >= 1 &&", "var.checkpoint_days >= 0 &&", "variables.tf"),
    Fault(
        "half a year of checkpoints",
        "var.checkpoint_days <= 90",
        "var.checkpoint_days <= 180",
        "variables.tf",
    ),
    Fault("an address without its prefix", "${local.name}/models/", "${local.name}/", "outputs.tf"),
)

WRITTEN_OTHERWISE = (
    Fault(
        "the name by another function",
        '"${var.team}-models-${var.environment}"',
        'join("-", [var.team, "models", var.environment])',
    ),
    Fault(
        "a condition the other way round", "local.production ? 90 : 7", "local.production == false ? 7 : 90"
    ),
    Fault("a flag by comparing", "= !local.production", '= var.environment == "dev"'),
    Fault(
        "another comment", "# Where one team keeps its models in one environment.", "# The models of a team."
    ),
    Fault(
        "a condition by an expression",
        'contains(["dev", "production"], var.environment)',
        'can(regex("^(dev|production)$", var.environment))',
        "variables.tf",
    ),
    Fault("another rule's name", 'id      = "checkpoints"', 'id      = "training-checkpoints"'),
)
"""The module keeps each of its promises with all of these: a test that fails now asks for too much."""
