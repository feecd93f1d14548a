# A topic of notices on AWS: who trains says when it is done.
variable "name" {
  type = string
}

variable "labels" {
  type    = map(string)
  default = {}
}

resource "aws_sns_topic" "notices" {
  name = "${var.name}-notices"
  tags = var.labels
}

output "topic" {
  value = aws_sns_topic.notices.arn
}
