# A network with a subnet in each of two zones. It is complete: leave it as it is, and use it.
data "aws_availability_zones" "here" {
  state = "available"
}

resource "aws_vpc" "ml" {
  cidr_block = "10.30.0.0/16"
}

resource "aws_subnet" "ml" {
  count             = 2
  vpc_id            = aws_vpc.ml.id
  availability_zone = data.aws_availability_zones.here.names[count.index]
  cidr_block        = cidrsubnet(aws_vpc.ml.cidr_block, 8, count.index)
}
