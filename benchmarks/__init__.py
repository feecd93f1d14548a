"""The project's own figures: `python -m benchmarks` prints them in one table."""
