"""What the labs stand on: servers, load, measurements, environments.

Notebooks import it; it knows nothing of grading (`autograder` imports it, never the other way round).
Importing it costs nothing: each module brings its own dependencies when it is imported.
"""

__version__ = "0.1.0"
