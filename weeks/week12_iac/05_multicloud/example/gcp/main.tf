# A topic of notices on Google Cloud: who trains says when it is done.
variable "name" {
  type = string
}

variable "labels" {
  type    = map(string)
  default = {}
}

resource "google_pubsub_topic" "notices" {
  name   = "${var.name}-notices"
  labels = var.labels
}

output "topic" {
  value = google_pubsub_topic.notices.id
}
