<<<<<<< HEAD
"""The commands of `workbook`, one module a group, each thin over the packages."""
=======
"""The sub-commands of `workbook`, one module each."""
>>>>>>> load
