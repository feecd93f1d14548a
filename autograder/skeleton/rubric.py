"""Lab $lab: a greeting. (Say in a line what the lab's work is.)"""

import tomllib

from autograder.rubric import points, reading, require
from labkit.errors import WorkFault

why_outside = reading(
    "why_outside",
    points=1,
    criteria=[(1, "code that is asked about itself can say what it likes; a file is what it is")],
)


@points(
    2,
    hints=[
        "The check reads greeting.toml, under the key text.",
        "The name that it looks for stands in the notebook's task.",
        'text = "Hello, world!"',
    ],
)
def test_greets(submitted):
    """greets the world by name"""
    try:
        text = tomllib.loads((submitted / "greeting.toml").read_text())["text"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise WorkFault(
            "greeting.toml holds no text.", why=str(error), next_step='Write a line such as text = "...".'
        ) from error
    require("world" in str(text).lower(), f"it says {text!r}", cause="Nobody in it is called world.")
