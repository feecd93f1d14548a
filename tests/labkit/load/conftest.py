from __future__ import annotations

import ssl
from contextlib import ExitStack

import pytest

from tests.labkit.load.servers import serving


@pytest.fixture
def serve():
    """Starts servers that are gone when the test ends."""
    with ExitStack() as stack:
        yield lambda handler, tls=None: stack.enter_context(serving(handler, tls))


@pytest.fixture(scope="session")
def tls_server_context(tmp_path_factory):
    from tests.labkit.load.servers import certificate

    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
