# What a cluster on AWS needs around it, from lab 2: a network, and two roles. It is complete: leave it as it is.
resource "aws_vpc" "platform" {
  cidr_block = "10.40.0.0/16"
}

resource "aws_subnet" "platform" {
  count             = 2
  vpc_id            = aws_vpc.platform.id
  availability_zone = "${var.region}${["a", "b"][count.index]}"
  cidr_block        = cidrsubnet(aws_vpc.platform.cidr_block, 8, count.index)
}

locals {
  policies = {
    eks = ["AmazonEKSClusterPolicy"]
    ec2 = ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly"]
  }
}

# aws_iam_role.platform["eks"] is the cluster's, aws_iam_role.platform["ec2"] the nodes'.
resource "aws_iam_role" "platform" {
  for_each = local.policies
  name     = "${var.name}-${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "${each.key}.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "platform" {
  for_each = merge([
    for service, names in local.policies : { for name in names : name => service }
  ]...)
  role       = aws_iam_role.platform[each.value].name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}
