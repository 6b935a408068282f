"""``ampproxy models update``: newer data without a release, from a file or a URL, and back again."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from ampproxy.catalog.compile import SOURCE
from ampproxy.catalog.families import COMPILED, shipped
from ampproxy.cli import main
from ampproxy.config.load import load
from ampproxy.relay.knowledge import NewerData
from tests import forked

CONFIG = """
port: 0
claude-api-key: [{api-key: canary-key, models: [{name: claude-opus-5-5}, {name: claude-ballad-6}]}]
catalog: [{names: [claude-opus-5-5], context: 5555}]
"""
#: As models.dev lists models, cut short.
API = {
    "someone-else": {
        "id": "someone-else",
        "models": {"claude-opus-5-5": {"id": "claude-opus-5-5", "limit": {"context": 1, "output": 1}}},
    },
    "anthropic": {
        "id": "anthropic",
        "name": "Anthropic",
        "models": {
            "claude-opus-5-5": {
                "id": "claude-opus-5-5",
                "name": "Claude Opus 5.5",
                "attachment": True,
                "reasoning": True,
                "temperature": False,
                "tool_call": True,
                "release_date": "2026-11-04",
                "modalities": {"input": ["text", "image", "smell"], "output": ["text"]},
                "cost": {"input": 4, "output": 20},
                "limit": {"context": 1_000_000, "output": 131_072},
            },
            "claude-ballad-6": {"limit": {"context": 3_000_000, "output": "many"}, "status": "deprecated"},
        },
    },
    "odd": {"models": ["a"]},
    "none": 7,
}
TABLE = """\
as-of: 2027-03-01
vendors: []
shapes:
  - &ballad {vendor: anthropic, dialects: [anthropic], source: https://example.test, thinking: level}
families:
  - {<<: *ballad, names: [claude-ballad-6], levels: [low, max], can-disable: false, context: 4_000_000}
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def kept(home):
    return NewerData(home / ".cache" / "ampproxy")


def update(*args: object) -> str:
    result = CliRunner().invoke(main, ["models", "update", *map(str, args)])
    assert result.exit_code == 0, result.output
    return result.output


def fail(*args: object) -> str:
    result = CliRunner().invoke(main, ["models", "update", *map(str, args)])
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    return result.output


def shown(home: Path, model: str) -> tuple[dict[str, tuple[object, str]], str]:
    """What ``--verbose`` shows of a model, with the origins, and its remarks."""
    arguments = ["models", "--verbose", "--json", "--config", str(home / "config.yaml")]
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 0, found.output
    facts = next(row["facts"] for row in json.loads(found.stdout) if row["model"] == model)
    arguments.remove("--json")
    return {fact["member"]: (fact["value"], fact["origin"]) for fact in facts}, CliRunner().invoke(
        main, arguments
    ).stderr


def test_a_list_of_models(home, kept):
    """Each model gets what the list says of it; the rest stays, and the user has the last word."""
    file = home / "api.json"
    file.write_text(json.dumps(API))
    told = update(file)
    assert "Facts about 2 models, read on 20" in told
    assert f", from {file}: kept in {kept.path}" in told
    assert "ampproxy reload" in told
    opus, remark = shown(home, "claude-opus-5-5")
    assert opus["max-output"][0] == 131_072
    assert opus["max-output"][1].startswith(f"{file}, read on 20")
    assert opus["input"][0] == ["text", "image"]
    assert opus["context"][0] == 5555
    assert opus["context"][1].endswith("config.yaml:4")
    assert opus["can-disable"][1].startswith("ampproxy, ")
    assert f"from {file}: in use ({kept.path}" in remark
    ballad, _ = shown(home, "claude-ballad-6")
    assert (ballad["context"][0], ballad["max-output"][0]) == (3_000_000, 128_000)
    assert ballad["deprecated"][0] is True


@pytest.mark.parametrize("form", ["yaml", "compiled"])
def test_a_table_of_families(home, kept, form):
    """It takes the place of the shipped one, and is taken back by one command."""
    file = home / "families.yaml"
    file.write_text(TABLE)
    if form == "compiled":
        from ampproxy.catalog.compile import compiled

        file.write_bytes(compiled(TABLE, "t"))
    assert "1 families of models, as of 2027-03-01" in update(file)
    ballad, _ = shown(home, "claude-ballad-6")
    assert ballad["context"] == (4_000_000, f"{file}, 2027-03-01, https://example.test")
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert "is removed" in update("--undo")
    assert not kept.path.exists()
    assert shown(home, "claude-ballad-6")[0]["context"][1].startswith("ampproxy, ")
    assert shown(home, "claude-ballad-6")[1] == ""
    assert "There is no" in update("--undo")


def test_the_shipped_table_can_be_read_again(home):
    """Both of its forms are data sets."""
    for file in (SOURCE, COMPILED):
        assert f"families of models, as of {shipped().table.as_of}" in update(file)


def test_the_service_goes_by_it(home):
    """From its next reload on: what it reads of a configuration is what the command shows."""
    from ampproxy.relay.knowledge import Knowledge

    (home / "families.yaml").write_text(TABLE)
    update(home / "families.yaml")
    config = load(home / "config.yaml", environ={}, home=home)
    families = Knowledge(NewerData(home / ".cache/ampproxy"), lambda accounts: {})(config)
    assert families.find("claude-ballad-6").context == 4_000_000
    assert families.find("claude-opus-5-5").context == 5555
    assert families.find("claude-opus-5-5").levels is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1: expected a mapping of as-of, vendors and families"),
        ("[]", "it is neither a table of families nor a list of models"),
        ("{}", "it names no model in the form of models.dev's api.json"),
        ('{"a": {"models": {"": {}}}}', "it names no model"),
        ("<html>", "1: expected a mapping"),
        (TABLE.replace("2027", "2025"), "it is of 2025-03-01, and this ampproxy has data of"),
        (
            TABLE + "  - {names: [b], thinking: sometimes}\n",
            "families.yaml:7: Invalid enum value 'sometimes'",
        ),
        (TABLE.replace("[anthropic]", "[antropic]"), "for a dialect 'antropic', which is none"),
        ('{"as-of": "2027-01-01", "vendors": [], "families": [{"names": 3}]}', "Expected `array`"),
        ('{"as-of": "2027-01-01", "vendors": [], "families": []}', "it has 0 families"),
        ("[" * 10_000, "nested too deep"),
    ],
)
def test_what_is_no_data_set_changes_nothing(home, kept, text, told):
    """It is refused whole, with what is wrong; what was kept before stays."""
    (home / "api.json").write_text(json.dumps(API))
    update(home / "api.json")
    before = kept.path.read_bytes()
    (home / "families.yaml").write_text(text)
    assert told in fail(home / "families.yaml")
    assert kept.path.read_bytes() == before


def test_files_that_cannot_be_read(home):
    """Missing, too large, no text, no file."""
    assert "No such file" in fail(home / "gone.json")
    (home / "large.json").write_text(" " * 5000)
    assert "it has more than 2 KiB" in fail(home / "large.json", "--max-size", 2048)
    (home / "binary").write_bytes(b"\xff\x00")
    assert "it is neither JSON nor UTF-8 text" in fail(home / "binary")
    assert "directory" in fail(home)


def test_plain_http_is_for_this_machine():
    """Whoever is on the way could say what he likes of models."""
    assert "use https://" in fail("http://models.example/api.json")


@contextmanager
def serving(status: int, body: bytes, **headers: str):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api.json"
    finally:
        server.shutdown()
        server.server_close()


def fetch(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from ampproxy.cli import main; main()", "models", "update", *args]
    return forked.run(command, capture_output=True, text=True, timeout=60)


def test_a_url(kept):
    """It is read once; an error, a redirect, or more than the limit changes nothing."""
    with serving(200, json.dumps(API).encode() + b" " * 2000) as url:
        found = fetch(url)
        assert found.returncode == 0, found.stderr
        assert "Facts about 2 models" in found.stdout
        assert kept.read().source == url
        assert "answer is larger than 1024 bytes" in fetch(url, "--max-size", "1024").stderr
    with serving(302, b"", Location="https://elsewhere.test/") as url:
        told = fetch(url)
        assert told.returncode == 1
        assert "it is answered with status 302, and is at https://elsewhere.test/" in told.stderr
    assert "Traceback" not in fetch(url).stderr
    assert kept.read() is not None
