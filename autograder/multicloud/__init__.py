"""The judge of project 2: all four parts as one platform, through a bad day."""
