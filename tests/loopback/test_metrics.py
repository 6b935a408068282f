"""Metrics of the service as twistd starts it, read as Prometheus reads them."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor

from ampproxy.testing import amp, anthropic
from tests.loopback.process import Service
from tests.reactor import in_reactor
from tests.running import ACCOUNT_KEYS, AMP_KEY, CLIENT_KEY, SECRETS

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    vendor = in_reactor(anthropic.start, reactor, keys=[ACCOUNT_KEYS["anthropic"]], forbidden=[CLIENT_KEY])
    upstream = in_reactor(amp.start, reactor, keys=[AMP_KEY], forbidden=[CLIENT_KEY])
    config = f"""
port: 0
metrics: {{listen: "127.0.0.1:0"}}
api-keys: ["{CLIENT_KEY}"]
claude-api-key:
  - api-key: "{ACCOUNT_KEYS["anthropic"]}"
    base-url: "{vendor.url}"
    models: [{{name: {MODEL}}}]
ampcode: {{upstream-url: "{upstream.url}", upstream-api-key: "{AMP_KEY}"}}
"""
    running = Service(tmp_path_factory.mktemp("metrics"), config)
    yield running
    running.stop()
    in_reactor(vendor.stop)
    in_reactor(upstream.stop)


def scrape(service: Service) -> tuple[str, dict[tuple[str, frozenset[tuple[str, str]]], float]]:
    """The text, and the value of each series."""
    deadline = time.monotonic() + 60
    while not (found := re.search(r"Serving metrics at http://127\.0\.0\.1:(\d+)/metrics", service.log_text)):
        assert time.monotonic() < deadline, service.log_text
        time.sleep(0.02)
    connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert answer.status == 200
    text = answer.read().decode()
    connection.close()
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return text, {(each.name, frozenset(each.labels.items())): each.value for each in samples}


def series(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"ampproxy_{name}", frozenset(labels.items())


def ask(service: Service, path: str, **body: Any) -> None:
    connection = service.connect()
    connection.request("POST", path, json.dumps(body), {"X-Api-Key": CLIENT_KEY})
    connection.getresponse().read()
    connection.close()


def test_scrape(service: Service) -> None:
    """After some exchanges their counts, times and tokens are there, and the process's own figures."""
    question = {"max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
    for _ in range(2):
        ask(service, "/v1/messages", model=MODEL, stream=True, **question)
    ask(service, "/api/provider/anthropic/v1/messages", model="claude-unheard", **question)
    ask(service, "/v1/messages", model="made-up", **question)
    (only,) = (dict(labels) for name, labels in scrape(service)[1] if name == "ampproxy_account_info")
    assert only["label"] == "claude-api-key[0]"
    account = {"account": only["account"]}
    labels = {"kind": "local", "model": MODEL, **account}
    key = series("exchanges_total", **labels, role="", outcome="completed")
    deadline = time.monotonic() + 60
    while True:
        # The line of an exchange may be told a moment after its answer is out.
        text, told = scrape(service)
        if told.get(key) == 2 and 'kind="none"' in text:
            break
        assert time.monotonic() < deadline, text
    assert told[series("tokens_total", **labels, **{"class": "output"})] > 0
    assert told[series("first_byte_seconds_count", kind="local", **account)] == 2
    assert told[series("added_seconds_count", kind="local")] == 2
    assert told[series("stream_gap_seconds_count", kind="local")] >= 0
    assert told[series("open_streams")] == 0
    assert told[series("account_state", **account, state="ready")] == 1
    assert told["process_open_fds", frozenset()] > 5
    assert told["process_resident_memory_bytes", frozenset()] > 10_000_000
    assert "made-up" not in text
    for secret in SECRETS:
        assert secret not in text
