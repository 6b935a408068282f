"""Where the actors' description leads a client."""

from __future__ import annotations

import json

import pytest

from ampproxy.amp.metadata import keep_here

HERE = "http://127.0.0.1:8317"


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        ("https://amp.test/actors", "http://127.0.0.1:8317/actors"),
        ("https://actors.amp.test:6420", "http://127.0.0.1:8317/actors"),
        ("https://space:pk_1@actors.amp.test/x", "http://space:pk_1@127.0.0.1:8317/actors"),
        ("http://127.0.0.1:8317/actors", "http://127.0.0.1:8317/actors"),
        ("http://127.0.0.1:8317", "http://127.0.0.1:8317"),
        ("not an address", "http://127.0.0.1:8317/actors"),
    ],
)
def test_endpoint(named: str, kept: str) -> None:
    """The client stays at its own address; namespace and token go with it; all other bytes stay."""
    body = '{ "n":1.0e400, "clientEndpoint" : %s,\n"clientNamespace":"default", "clientToken":"pk_1" }'
    assert keep_here((body % json.dumps(named)).encode(), HERE) == (body % json.dumps(kept)).encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"runtime":"rivetkit", "version":"2"}',
        b'{"clientEndpoint":null}',
        b'{"clientEndpoint":""}',
        b'{"inner":{"clientEndpoint":"https://amp.test"}}',
        b"[1]",
        b"not JSON",
        b"",
    ],
)
def test_untouched(body: bytes) -> None:
    """A description without an endpoint is the upstream's, byte for byte."""
    assert keep_here(body, HERE) == body
