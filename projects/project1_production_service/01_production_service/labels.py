"""The labels service: it names digits. Other people run it; leave it as it is.

    GET /labels?digits=7,2    {"labels": ["seven", "two"]}
    GET /health               {"status": "alive"}

It listens on port 8090, and writes a line of JSON for each request that brings an `X-Request-ID`.
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Labels(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        parts = urlsplit(self.path)
        try:
            digits = [
                int(digit) for digit in parse_qs(parts.query).get("digits", [""])[0].split(",") if digit
            ]
            status, said = 200, {"labels": [NAMES[digit] for digit in digits]}
        except (ValueError, IndexError):
            status, said = 422, {"detail": "digits are 0 to 9"}
        if parts.path == "/health":
            status, said = 200, {"status": "alive"}
        body = json.dumps(said).encode()
        head = (
            f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.wfile.write(head.encode() + body)
        request_id = self.headers.get("X-Request-ID")
        if request_id:
            line = {"time": time.time(), "request_id": request_id, "path": parts.path, "status": status}
            print(json.dumps(line), flush=True)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8090), Labels).serve_forever()
