variable "team" {
  description = "Whose models these are; a part of the bucket's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.team))
    error_message = "A team is 3 to 20 lowercase letters, digits and hyphens."
  }
}

variable "environment" {
  description = "dev, where everything may go, or production, where nothing is lost by mistake."
  type        = string

  validation {
    condition     = contains(["dev", "production"], var.environment)
    error_message = "An environment is dev or production."
  }
}

variable "checkpoint_days" {
  description = "After how many days a training run's checkpoints are deleted."
  type        = number
  default     = 14

  validation {
    condition     = var.checkpoint_days >= 1 && var.checkpoint_days <= 90
    error_message = "Checkpoints are kept for 1 to 90 days."
  }
}

variable "readers" {
  description = "The ARNs of the roles that may read models; nobody by default."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "More tags; they never replace the module's own."
  type        = map(string)
  default     = {}
}
