"""An image of the workbook's own is made where it is needed, and no registry is asked for it."""

import pytest

from labkit.engines import bases
from labkit.engines.base import Image
from labkit.errors import WorkFault

(NAME,) = bases.TORCH_IMAGES


class Engine:
    """Has the base, and notes what it is asked to build."""

    address = "unix:///nowhere"
    bases_from = None
    name = "stand-in"

    def __init__(self):
        self.there = {"python:3.11-slim": {bases.RECIPE: bases.VERSION, bases.STAND_IN: "it"}}
        self.built = []
        self.said = []
        self.say = self.said.append

    def inspect(self, name):
        if name not in self.there:
            raise WorkFault(f"There is no image {name}.")
        return Image(
            id=name, tags=(name,), digests=(), bytes=1, layers=(), config={"Labels": self.there[name]}
        )

    def build(self, context, *, tag, seconds):
        self.built.append((context / "Dockerfile").read_text())
        self.there[tag.removeprefix("docker.io/")] = {bases.RECIPE: bases.VERSION}
        return type("Build", (), {"image": self.inspect(tag.removeprefix("docker.io/"))})


@pytest.fixture(autouse=True)
def no_registry(monkeypatch, tmp_path):
    def asked():
        pytest.fail("a registry was asked for an image that none has")

    monkeypatch.setattr(bases, "hub_in_reach", asked)
    monkeypatch.setattr(bases.places, "cache", lambda name: tmp_path)


def test_it_is_made_upon_its_base_once():
    engine = Engine()
    assert bases.provide(engine, NAME).tags == (NAME,)
    bases.provide(engine, NAME)
    (dockerfile,) = engine.built
    assert dockerfile.startswith("FROM docker.io/library/python:3.11-slim\nRUN pip install")
    assert bases.STAND_IN not in dockerfile
    assert engine.said == [f"Making {NAME} from python:3.11-slim (once)."]
