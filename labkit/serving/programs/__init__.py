"""What runs inside a framework's own environment: one program each, beside `serving` and the model's handler.

These files are copied beside the model and run by another Python, so they stand on the framework, NumPy and
each other alone, and never import `labkit`.
"""
