variable "name" {
  description = "Of the platform; its bucket is called NAME-models."
  type        = string
}

variable "region" {
  description = "Where it lies, in the cloud's own words."
  type        = string
}

variable "gpu_nodes" {
  description = "How many GPU nodes there may be, in all zones together."
  type        = object({ min = number, max = number })
}

variable "labels" {
  description = "On all that takes labels or tags."
  type        = map(string)
}
