"""The picture of the terminal in the documentation: what verbs print beside the demo, drawn by a browser."""

from __future__ import annotations

import html
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.demo.run import Demo
from ampproxy.tap import build
from ampproxy.testing.script import Script
from tests.loopback.browser import MARKS, picture
from tests.reactor import in_reactor

pytestmark = [
    *MARKS,
    pytest.mark.skipif(
        "AMPPROXY_SCREENSHOTS" not in os.environ, reason="takes a picture: AMPPROXY_SCREENSHOTS"
    ),
]

_COLUMNS = 104
#: What is asked, in this order.
_ASKED = (
    ["try", "claude-opus-4-7", "Who answers?", "--as-amp"],
    ["status"],
    ["accounts"],
    ["log", "-n", "5"],
    ["explain", "claude-opus-4-7"],
)
#: The models of requests before that; the account of the last one is rate limited.
_BEFORE = ("gpt-5.4", "demo-chat", "claude-haiku-4-5-20251001", "gemini-3-flash-preview")
_STYLE = """
body { margin: 0; background: #16181d; }
pre { margin: 0; padding: 18px 20px; font: 13px/1.45 "DejaVu Sans Mono", monospace; color: #d6d9de; }
.p { color: #8fb6ff; } .b1 { font-weight: bold; color: #fff; }
.b31 { color: #ff8a80; } .b32 { color: #8ddb8c; }
.b33 { color: #f2cc60; } .b2 { color: #8b929c; } .b36 { color: #79d4e6; }
"""
#: A colour or a weight of the terminal (ECMA-48: SGR).
_SGR = re.compile(r"\x1b\[(\d*)m")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(
        reactor,
        build,
        lambda text, nl=True: None,
        lambda text, colour: text,
        lambda rows: (),
        state=tmp_path,
    )
    try:
        in_reactor(made.start, 0)
        yield made
    finally:
        in_reactor(made.stop)


def drawn(text: str) -> str:
    """A terminal's text as HTML."""
    parts, opened = [], 0
    at = 0
    for found in _SGR.finditer(text):
        parts.append(html.escape(text[at : found.start()]))
        at = found.end()
        if found[1] in ("", "0"):
            parts.append("</span>" * opened)
            opened = 0
        else:
            parts.append(f'<span class="b{found[1]}">')
            opened += 1
    return "".join(parts) + html.escape(text[at:]) + "</span>" * opened


def test_picture(demo: Demo, browser: Any, tmp_path: Path) -> None:
    """Each verb works beside the demo; an account cools down."""
    file = tmp_path / "config.yaml"
    file.write_text(demo.config_text + f"state-dir: {tmp_path}/0\n")
    file.chmod(0o600)
    environ = {**os.environ, "COLUMNS": str(_COLUMNS), "FORCE_COLOR": "1"}
    demo.stand_ins["gemini"].script(Script(status=429, retry_after=1800))

    def run(asked: list[str]) -> str:
        command = [sys.executable, "-m", "ampproxy", *asked, "--config", str(file)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    for model in _BEFORE:
        run(["try", model, "--as-amp"])
    shown = []
    for asked in _ASKED:
        shown.append(
            f'<span class="p">$</span> <b>ampproxy {html.escape(shlex.join(asked))}</b>\n{drawn(run(asked))}'
        )
    browser.get("data:text/html,<meta charset=utf-8>")
    script = "document.head.innerHTML = arguments[0]; document.body.innerHTML = arguments[1]"
    browser.execute_script(script, f"<style>{_STYLE}</style>", f"<pre>{chr(10).join(shown)}</pre>")
    size = browser.execute_script(
        "const r = document.querySelector('pre'); return [r.scrollWidth, r.scrollHeight]"
    )
    metrics = {"width": 900, "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert size[0] <= 900
    picture(browser, "terminal")
