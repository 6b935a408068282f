"""What a plain service loads, and when: before it listens hardly more than its configuration needs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import ampproxy
from ampproxy.dialects.registry import ROWS, directions
from ampproxy.resources.gate import PIECES
from tests.cases import each

CONFIG = """
port: 0
api-keys: [client-key]
auth-dir: {folder}/logins
state-dir: {folder}/state
claude-api-key: [{{api-key: k, base-url: "http://127.0.0.1:9", models: [{{name: a}}]}}]
openai-compatibility:
  - name: s
    base-url: "http://127.0.0.1:9"
    api-key-entries: [{{api-key: k}}]
    models: [{{name: b, alias: b}}]
"""
#: Starts a service, and tells what is loaded when it listens, and when it has had the time to load the rest.
PROGRAM = """
import json, sys
from ampproxy.start import Options, makeService
options = Options()
options["config"] = sys.argv[1]
options.postOptions()
service = makeService(options)
service.privilegedStartService()
service.startService()
print(json.dumps(sorted(sys.modules)))
for piece in service.tree.pieces():
    piece()
print(json.dumps(sorted(sys.modules)))
"""

#: What a service has only where something calls for it.
NEVER = (
    *directions(),
    "ampproxy.adapt.passes",
    "ampproxy.alerts.states",
    "ampproxy.catalog.newer",
    "ampproxy.config.changes",
    "ampproxy.credentials.oauth.service",
    "ampproxy.credentials.sharing",
    "ampproxy.credits.bound",
    "ampproxy.dashboard.feed",
    "ampproxy.dashboard.tree",
    "ampproxy.dashboard.visits",
    "ampproxy.desktop.doctor",
    "ampproxy.dialects.bending",
    "ampproxy.dialects.refusals",
    "ampproxy.ledger.query",
    "ampproxy.ledger.spool",
    "ampproxy.metrics.registry",
    "ampproxy.relay.amp_users",
    "ampproxy.relay.elsewhere",
    "ampproxy.relay.payload",
    "ampproxy.resources.neo",
    "ampproxy.resources.tunnel",
    "ampproxy.resources.vendor_calls",
    "ampproxy.state.redis",
    "ampproxy.state.view",
    "ampproxy.testing",
    "ampproxy.upstream.handshake",
    "ampproxy.upstream.proxy_tunnel",
    "ampproxy.wire.jsonpath",
    "ampproxy.workers",
    "click",
    "jinja2",
    "oauthlib",
    "prometheus_client",
    "psycopg",
    "pydantic",
    "redis",
    "regex",
    "sqlalchemy",
)
#: What requests need, and a service that listens does not yet.
LATER = (
    "ampproxy.amp.site",
    "ampproxy.providers",
    "treq",
    "twisted.web.server",
    *PIECES,
    *(row.module for row in ROWS),
)


@cache
def loaded() -> tuple[Collection[str], Collection[str]]:
    """The modules when it listens, and when it is idle."""
    with TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG.format(folder=folder))
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(config)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env={"HOME": folder, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
    listening, idle = map(json.loads, done.stdout.splitlines())
    return frozenset(listening), frozenset(idle)


@each("name", LATER)
def test_loaded_when_there_is_time(name: str) -> None:
    """A service listens without what only requests need; once it is idle all of that is there."""
    listening, idle = loaded()
    assert name not in listening
    assert name in idle


def test_patterns_are_compiled_when_they_are_used() -> None:
    """Those of what is loaded before it listens: all of them take longer than to read the modules."""
    listening, _ = loaded()
    places = [name.replace(".", "/") for name in listening if name.startswith("ampproxy")]
    package = Path(ampproxy.__file__).parent.parent
    compiled = [
        f"{place}: {ast.unparse(node)[:60]}"
        for place in sorted(places)
        if (source := package / f"{place}.py").exists()
        for node in ast.parse(source.read_text()).body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "re.compile"
    ]
    assert compiled == []


@each("name", NEVER)
def test_not_loaded(name: str) -> None:
    """What no setting, no login and no request calls for takes neither time nor memory."""
    _, idle = loaded()
    assert name not in idle


def test_names() -> None:
    """The names of our own above are those of modules, so that a test does not hold for what is gone."""
    ours = [name for name in (*NEVER, *LATER) if name.startswith("ampproxy")]
    assert [name for name in ours if find_spec(name) is None] == []
