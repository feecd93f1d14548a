# How it runs today: twelve machines, day and night, whether there is work or not.
provider "aws" {
  region = "us-east-1"
}

resource "aws_launch_template" "training" {
  name          = "training"
  instance_type = "c5.2xlarge"
  image_id      = "ami-12c6146b"
}

resource "aws_autoscaling_group" "training" {
  name                = "training"
  min_size            = 4
  max_size            = 4
  desired_capacity    = 4
  vpc_zone_identifier = aws_subnet.ml[*].id

  launch_template {
    name = aws_launch_template.training.name
  }
}

resource "aws_launch_template" "serving" {
  name          = "serving"
  instance_type = "c5.xlarge"
  image_id      = "ami-12c6146b"
}

resource "aws_autoscaling_group" "serving" {
  name                = "serving"
  min_size            = 8
  max_size            = 8
  desired_capacity    = 8
  vpc_zone_identifier = aws_subnet.ml[*].id

  launch_template {
    name = aws_launch_template.serving.name
  }
}
