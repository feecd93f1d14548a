"""Ends with an error unless the server says within two seconds that it is alive."""

import urllib.request

urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=2)
