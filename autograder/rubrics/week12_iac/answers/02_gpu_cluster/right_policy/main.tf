locals {
  managed = "arn:aws:iam::aws:policy"
}

data "aws_iam_policy_document" "assume" {
  for_each = toset(["eks", "ec2"])

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "cluster" {
  name               = "ml-cluster"
  assume_role_policy = data.aws_iam_policy_document.assume["eks"].json
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "${local.managed}/AmazonEKSClusterPolicy"
}

resource "aws_iam_role" "nodes" {
  name               = "ml-gpu-nodes"
  assume_role_policy = data.aws_iam_policy_document.assume["ec2"].json
}

resource "aws_iam_role_policy_attachment" "nodes" {
  for_each   = toset(["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly"])
  role       = aws_iam_role.nodes.name
  policy_arn = "${local.managed}/${each.key}"
}

variable "bucket" {
  description = "Where models are."
  type        = string
  default     = "ml-model-artifacts"
}

resource "aws_iam_policy" "models" {
  name = "ml-models"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject"], Resource = "arn:aws:s3:::${var.bucket}/*" },
      { Effect = "Allow", Action = "s3:ListBucket", Resource = "arn:aws:s3:::${var.bucket}" },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "models" {
  role       = aws_iam_role.nodes.name
  policy_arn = aws_iam_policy.models.arn
}

resource "aws_eks_cluster" "ml_cluster" {
  name     = "ml-cluster"
  role_arn = aws_iam_role.cluster.arn

  vpc_config {
    subnet_ids = aws_subnet.training[*].id
  }

  depends_on = [aws_iam_role_policy_attachment.cluster]
}

# This provider's node groups have no taint block: the kubelet taints the node when it joins.
resource "aws_launch_template" "gpu_nodes" {
  name = "gpu-nodes"

  user_data = base64encode(<<-EOT
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary="=="

    --==
    Content-Type: text/x-shellscript; charset="us-ascii"

    #!/bin/bash
    sed -i '/^KUBELET_EXTRA_ARGS=/a KUBELET_EXTRA_ARGS+=" --register-with-taints=nvidia.com/gpu=true:NoSchedule"' \
      /etc/eks/bootstrap.sh
    --==--
    EOT
  )
}

resource "aws_eks_node_group" "gpu_nodes" {
  cluster_name    = aws_eks_cluster.ml_cluster.name
  node_group_name = "gpu-nodes"
  node_role_arn   = aws_iam_role.nodes.arn
  subnet_ids      = aws_subnet.training[*].id
  instance_types  = ["g5.xlarge", "g4dn.xlarge"]
  ami_type        = "AL2_x86_64_GPU"

  launch_template {
    id      = aws_launch_template.gpu_nodes.id
    version = aws_launch_template.gpu_nodes.latest_version
  }

  scaling_config {
    desired_size = 2
    max_size     = 10
    min_size     = 1
  }

  labels = {
    workload = "ml-training"
    gpu      = "true"
  }

  depends_on = [aws_iam_role_policy_attachment.nodes]
}
