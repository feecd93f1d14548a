# The tests of the module above: one run for each thing that it promises. Write them here.
mock_provider "aws" {}
