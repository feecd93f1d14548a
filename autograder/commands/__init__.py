"""The commands of `workbook`, one module a group, each thin over the packages."""
