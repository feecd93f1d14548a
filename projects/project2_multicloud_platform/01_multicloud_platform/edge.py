"""Serves the production model at the edge, where the line to the cloud comes and goes: `python edge.py`.

Variables: PORT, MODEL (its name in the registry), POLL_SECONDS, STORE_URL and STORE_BUCKET (see store.py).
`cache/` beside this file is the device's disk: it outlives a restart. registry.py says the registry's format.

    POST /predict   {"features": [[784 numbers], ...]}  ->  {"scores": [[10 numbers], ...], "version": 3}
                    422 for anything else; 503 while there is no model that can be trusted
    GET /health     {"version": 3}, or 503
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CACHE = Path(__file__).parent / "cache"
MODEL = os.environ.get("MODEL", "digits")
POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "1"))


class NoModel(Exception):
    """There is no model that can be trusted."""


class Edge:
    """The device: what it serves now, and how it comes by another."""

    def start(self):
        """Serve what the cache holds, if it can be trusted; then look for news every POLL_SECONDS, for ever.

        A version is served only if its bytes are those that were registered. The line may be cut any time.
        """
        raise NotImplementedError("edge.py does not serve yet")

    def predict(self, features):
        """The scores `(n, 10)` of images `(n, 784)`, and the version that gave them.

        relu(features @ w1 + b1) @ w2 + b2, with the arrays that model.artifact wrote. Raises ValueError if
        the features are no such images, and NoModel.
        """
        raise NotImplementedError

    def version(self):
        """The version that is served. Raises NoModel."""
        raise NotImplementedError


# ---- HTTP: this part is whole ---------------------------------------------------------------------------


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
