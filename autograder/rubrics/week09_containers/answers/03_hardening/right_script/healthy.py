"""Ends with 0 if the server answers a prediction rightly shaped within two seconds, else with an error."""

import json
import urllib.request

body = json.dumps({"features": [[0] * 784]}).encode()
request = urllib.request.Request("http://127.0.0.1:8080/predict", body, {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=2) as answer:
    assert len(json.load(answer)["prediction"][0]) == 10
