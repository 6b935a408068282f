"""Alerts of a real service, to a real webhook and a real command."""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from ampproxy.cli import main
from tests import forked
from tests.loopback.process import Service

pytestmark = pytest.mark.loopback


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.put((self.path, self.headers["X-Hook"], json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"seen")

    def log_message(self, *arguments: Any) -> None:
        """Be silent."""


@pytest.fixture
def hook() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Hook)
    server.posted = queue.Queue()
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_webhook_and_command(hook: Any, tmp_path: Path) -> None:
    """A refused file is alerted of, its mending too, and so is a test; with and without a service."""
    page = tmp_path / "page"
    paged = tmp_path / "paged"
    page.write_text(f'#!/bin/sh\ncat > /dev/null; echo "$AMPPROXY_ALERT_EVENT" >> "{paged}"; echo done\n')
    page.chmod(0o700)
    config = f"""
port: 0
state-dir: {tmp_path}/state
api-keys: [canary-client-key]
claude-api-key: [{{api-key: canary-key, base-url: "http://127.0.0.1:9", models: [{{name: a}}]}}]
metrics: {{enable: false}}
alerts:
  webhook: http://127.0.0.1:{hook.server_port}/services/canary-path
  webhook-headers: {{X-Hook: canary-header}}
  command: ["{page}"]
  interval: 100ms
  on: [config-refused]
"""
    service = Service(tmp_path, config)
    file = tmp_path / "config.yaml"
    options = ["--config", str(file), "--at", service.url.removeprefix("http://")]
    try:
        file.write_text(config + "port: 1\n")
        path, header, posted = hook.posted.get(timeout=60)
        assert (path, header) == ("/services/canary-path", "canary-header")
        assert (posted["event"], posted["kind"]) == ("firing", "config-refused")
        assert "port" in posted["message"]
        file.write_text(config)
        assert hook.posted.get(timeout=60)[2]["event"] == "resolved"
        # The command is told of it beside the webhook.
        service.wait_for(lambda: paged.exists() and "resolved" in paged.read_text())
        tested = CliRunner().invoke(main, ["alerts", "test", *options])
        assert tested.output.splitlines() == [
            f"webhook at 127.0.0.1:{hook.server_port}: delivered (status 200: seen).",
            f"command {page}: delivered (exit status 0: done).",
        ]
        listed = CliRunner().invoke(main, ["alerts", *options]).output
        assert "Nothing is wrong" in listed
        assert listed.count("Last sent to the ") == 2
    finally:
        assert service.stop() == 0
    assert "canary" not in service.log_text
    hook.posted.get(timeout=60)
    command = [sys.executable, "-c", "from ampproxy.cli import main; main()", "alerts", "test", *options]
    alone = forked.run(command, capture_output=True, text=True, env={"HOME": str(tmp_path)}, timeout=120)
    assert alone.stderr == "No service runs there: the test is sent by this command.\n"
    assert alone.stdout == tested.output
    assert hook.posted.get(timeout=60)[2]["event"] == "test"
    assert paged.read_text().split() == ["firing", "resolved", "test", "test"]
