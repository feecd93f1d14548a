"""Terraform from init to destroy, on any cloud of `labkit.clouds`, and under any guard."""

from labkit.terraform.faults import Diagnostic, StateLocked, TerraformFault
from labkit.terraform.plan import Change, Plan, Resource
from labkit.terraform.stack import Terraform

__all__ = ["Change", "Diagnostic", "Plan", "Resource", "StateLocked", "Terraform", "TerraformFault"]
