"""Serves the production model at the edge, where the line to the cloud comes and goes: `python edge.py`."""

import hashlib
import json
import os
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from safetensors.numpy import load
from store import Bucket, NotThere, Unreachable

CACHE = Path(__file__).parent / "cache"
MODEL = os.environ.get("MODEL", "digits")
POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "1"))
SHAPES = {"w1": (784, None), "b1": (None,), "w2": (None, 10), "b2": (10,)}
KEPT = 2


class NoModel(Exception):
    """There is no model that can be trusted."""


@dataclass(frozen=True)
class Serving:
    """A model in memory."""

    version: int
    arrays: dict

    def scores(self, features):
        hidden = np.maximum(features @ self.arrays["w1"] + self.arrays["b1"], 0)
        return hidden @ self.arrays["w2"] + self.arrays["b2"]


class Edge:
    """The device: what it serves now, and how it comes by another.

    A model becomes the one that is served in one assignment, when its bytes are verified, read and tried;
    until then, and whenever that fails, the one before goes on.
    """

    def __init__(self):
        self.bucket = Bucket()
        self.serving = None

    def start(self):
        CACHE.mkdir(exist_ok=True)
        for entry in self.cached():
            try:
                self.serving = verified(entry, (CACHE / entry["file"]).read_bytes())
                break
            except (OSError, ValueError) as error:
                print(f"version {entry['version']} in the cache is not used: {error}", flush=True)
        threading.Thread(target=self.look_for_news, daemon=True).start()

    def look_for_news(self):
        while True:
            try:
                self.update()
            except (Unreachable, NotThere, ValueError, KeyError, OSError) as error:
                print(f"no news: {type(error).__name__}: {error}", flush=True)
            time.sleep(POLL_SECONDS)

    def update(self):
        wanted = json.loads(self.bucket.read(f"models/{MODEL}/stages/production.json")[0])["version"]
        if self.serving is not None and wanted <= self.serving.version:
            return
        manifest = json.loads(self.bucket.read(f"models/{MODEL}/versions/{wanted:06d}.json")[0])
        content, _ = self.bucket.read(manifest["artifact"])
        fresh = verified(manifest, content)
        self.keep(manifest, content)
        self.serving = fresh

    def keep(self, manifest, content):
        """Put it on the disk: the file first, then the list that names it, each in one step."""
        entry = {
            "version": manifest["version"],
            "sha256": manifest["sha256"],
            "file": f"{manifest['version']:06d}-{manifest['sha256'][:16]}.safetensors",
        }
        replace(CACHE / entry["file"], content)
        entries = [entry, *(each for each in self.cached() if each["version"] != entry["version"])][:KEPT]
        replace(CACHE / "models.json", json.dumps(entries).encode())
        for file in CACHE.glob("*.safetensors"):
            if file.name not in {each["file"] for each in entries}:
                file.unlink(missing_ok=True)

    def cached(self):
        """What the cache says that it holds, the newest first."""
        try:
            return json.loads((CACHE / "models.json").read_bytes())
        except (OSError, ValueError):
            return []

    def predict(self, features):
        images = np.asarray(features, dtype=np.float64)
        if images.ndim != 2 or images.shape[1] != 784 or not len(images) or not np.isfinite(images).all():
            raise ValueError("features are n images of 784 numbers each")
        serving = self.serving
        if serving is None:
            raise NoModel("no model that can be trusted is here yet")
        return serving.scores(images), serving.version

    def version(self):
        if self.serving is None:
            raise NoModel("no model that can be trusted is here yet")
        return self.serving.version


def verified(manifest, content):
    """The model of these bytes. Raises ValueError if they are not what was registered, or no such model."""
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        raise ValueError("its bytes are not those that were registered")
    try:
        arrays = load(content)
    except Exception as error:  # whatever safetensors says of what is none
        raise ValueError(f"it is no safetensors file: {error}") from error
    if set(arrays) != set(SHAPES):
        raise ValueError(f"it holds {sorted(arrays)}")
    for name, shape in SHAPES.items():
        there = arrays[name].shape
        if len(there) != len(shape) or any(w not in (None, t) for w, t in zip(shape, there, strict=True)):
            raise ValueError(f"{name} has the shape {there}")
    serving = Serving(manifest["version"], {name: array.astype(np.float64) for name, array in arrays.items()})
    if not np.isfinite(serving.scores(np.zeros((1, 784)))).all():
        raise ValueError("its scores are no numbers")
    return serving


def replace(path, content):
    """Write a file so that a power cut leaves the old one or the new one."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


# ---- HTTP: as it was handed out -------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Answers for the device."""

    protocol_version = "HTTP/1.1"
    edge: Edge

    def do_GET(self):
        """`GET /health`."""
        if self.path != "/health":
            return self.answer(404, {"error": "there is /health and /predict"})
        try:
            return self.answer(200, {"version": self.edge.version()})
        except NoModel as error:
            return self.answer(503, {"error": str(error)})

    def do_POST(self):
        """`POST /predict`."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/predict":
            return self.answer(404, {"error": "there is /health and /predict"})
        try:
            scores, version = self.edge.predict(json.loads(body)["features"])
            return self.answer(200, {"scores": scores.tolist(), "version": version})
        except NoModel as error:
            return self.answer(503, {"error": str(error)})
        except (KeyError, TypeError, ValueError) as error:
            return self.answer(422, {"error": str(error)})

    def answer(self, status, value):
        """Send JSON."""
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing of each request."""


def main():
    edge = Edge()
    edge.start()
    Handler.edge = edge
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
