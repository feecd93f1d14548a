provider "aws" {
  region = "us-east-1"

  # What every resource carries; a group hands its own tags on to its machines, and has to be told them.
  default_tags {
    tags = local.tags
  }
}

locals {
  tags = {
    owner       = "ml-platform"
    environment = "production"
    cost_center = "4711"
  }
  pools = {
    training = ["c5.2xlarge", "m5.2xlarge", "r5.2xlarge"]
    serving  = ["c5.xlarge", "m5.xlarge"]
  }
}

resource "aws_launch_template" "ml" {
  for_each      = local.pools
  name          = each.key
  instance_type = each.value[0]
  image_id      = "ami-12c6146b"
}

# Training can be interrupted, as it goes on from its last checkpoint: spot machines alone, and only at night.
resource "aws_autoscaling_group" "training" {
  name                = "training"
  min_size            = 0
  max_size            = 4
  desired_capacity    = 0
  vpc_zone_identifier = aws_subnet.ml[*].id
  capacity_rebalance  = true

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = 0
      on_demand_percentage_above_base_capacity = 0
      spot_allocation_strategy                 = "capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_name = aws_launch_template.ml["training"].name
      }

      dynamic "override" {
        for_each = local.pools.training
        content {
          instance_type = override.value
        }
      }
    }
  }

  dynamic "tag" {
    for_each = local.tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  # The schedules change it.
  lifecycle {
    ignore_changes = [desired_capacity]
  }
}

resource "aws_autoscaling_schedule" "training" {
  for_each               = { evening = { hour = 20, size = 4 }, morning = { hour = 6, size = 0 } }
  autoscaling_group_name = aws_autoscaling_group.training.name
  scheduled_action_name  = each.key
  recurrence             = "0 ${each.value.hour} * * *"
  min_size               = 0
  max_size               = 4
  desired_capacity       = each.value.size
}

# Serving keeps two machines that nobody takes away; what it needs beyond them may be spot.
resource "aws_autoscaling_group" "serving" {
  name                = "serving"
  min_size            = 2
  max_size            = 10
  vpc_zone_identifier = aws_subnet.ml[*].id

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = 2
      on_demand_percentage_above_base_capacity = 50
      spot_allocation_strategy                 = "capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_name = aws_launch_template.ml["serving"].name
      }

      dynamic "override" {
        for_each = local.pools.serving
        content {
          instance_type = override.value
        }
      }
    }
  }

  dynamic "tag" {
    for_each = local.tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }
}

# Two minutes before a spot machine is taken away, AWS says so.
resource "aws_sns_topic" "operations" {
  name = "operations"
}

resource "aws_cloudwatch_event_rule" "interruption" {
  name = "spot-interruption"

  event_pattern = jsonencode({
    source      = ["aws.ec2"]
    detail-type = ["EC2 Spot Instance Interruption Warning"]
  })
}

resource "aws_cloudwatch_event_target" "interruption" {
  rule = aws_cloudwatch_event_rule.interruption.name
  arn  = aws_sns_topic.operations.arn
}

resource "aws_budgets_budget" "monthly" {
  name              = "ml-monthly"
  budget_type       = "COST"
  limit_amount      = "1500.0"
  limit_unit        = "USD"
  time_unit         = "MONTHLY"
  time_period_start = "2026-01-01_00:00"

  notification {
    notification_type          = "FORECASTED"
    comparison_operator        = "GREATER_THAN"
    threshold                  = 80
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = ["ml-platform@example.com"]
  }
}

# What is watched, said once: CloudWatch and Grafana each have their own words for it.
locals {
  panels = {
    GroupInServiceInstances = "machines in service"
    GroupDesiredCapacity    = "machines asked for"
  }
}

resource "aws_cloudwatch_dashboard" "cost" {
  dashboard_name = "ml-cost"

  dashboard_body = jsonencode({
    widgets = [
      for row, metric in keys(local.panels) : {
        type = "metric", x = 0, y = 6 * row, width = 24, height = 6
        properties = {
          title   = local.panels[metric]
          region  = "us-east-1"
          stat    = "Average"
          period  = 300
          metrics = [for name in keys(local.pools) : ["AWS/AutoScaling", metric, "AutoScalingGroupName", name]]
        }
      }
    ]
  })
}

output "grafana_dashboard" {
  description = "The same for Grafana: import it, or lay it where Grafana's provisioning looks."

  value = jsonencode({
    title         = "ml-cost"
    schemaVersion = 39
    panels = [
      for row, metric in keys(local.panels) : {
        id         = row + 1
        type       = "timeseries"
        title      = local.panels[metric]
        datasource = { type = "cloudwatch" }
        gridPos    = { x = 0, y = 6 * row, w = 24, h = 6 }
        targets = [
          for name in keys(local.pools) : {
            refId      = name
            namespace  = "AWS/AutoScaling"
            metricName = metric
            dimensions = { AutoScalingGroupName = [name] }
            region     = "us-east-1"
            statistic  = "Average"
            period     = "300"
          }
        ]
      }
    ]
  })
}
