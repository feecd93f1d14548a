variable "name" {
  type = string
}

variable "project" {
  type = string
}

variable "zone" {
  type = string
}

variable "min_nodes" {
  type = number
}

variable "max_nodes" {
  type = number
}

variable "labels" {
  type = map(string)
}
