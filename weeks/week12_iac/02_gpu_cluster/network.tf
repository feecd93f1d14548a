# A network with a subnet in each of two zones. It is complete: leave it as it is, and use it.
data "aws_availability_zones" "here" {
  state = "available"
}

resource "aws_vpc" "training" {
  cidr_block = "10.20.0.0/16"
}

resource "aws_subnet" "training" {
  count             = 2
  vpc_id            = aws_vpc.training.id
  availability_zone = data.aws_availability_zones.here.names[count.index]
  cidr_block        = cidrsubnet(aws_vpc.training.cidr_block, 8, count.index)
}
