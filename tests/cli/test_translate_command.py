"""``ampproxy translate`` and ``ampproxy explain --body``."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ampproxy.cli import VERBS, main
from ampproxy.cli.translate import ALIASES
from ampproxy.dialects.registry import DIALECTS

VECTORS = Path(__file__).parent.parent / "vectors"
SMART = str(VECTORS / "amp" / "anthropic.json")
CHAT_STREAM = str(VECTORS / "openai-chat" / "openai_text.sse")


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No configuration anywhere, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(socket, "socket", None)


def run(*args: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["translate", *args], input=stdin)


def test_is_a_verb():
    """``ampproxy --help`` names it."""
    assert "translate" in VERBS
    assert "translate" in CliRunner().invoke(main, ["--help"]).output


def test_request():
    """A request comes out in the other dialect, and what is lost stands in columns on standard error."""
    result = run("--from", "anthropic", "--to", "chat", "--model", "gpt-5.1", SMART)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["model"] == "gpt-5.1"
    assert said["messages"][0]["role"] == "system"
    assert [call["function"]["name"] for call in said["messages"][2]["tool_calls"]] == ["Bash", "Bash"]
    first, *lines = result.stderr.splitlines()
    assert first == f"{len(lines)} lost:"
    kinds = [line.split()[0] for line in lines]
    assert set(kinds) == {"cache_control", "foreign_proof", "thinking_budget"}
    column = lines[0].index("system[0]")
    assert all(line[column - 1] == " " != line[column] for line in lines)


def test_thinking_suffix_of_the_model():
    """The model's name may say how much it should think."""
    result = run("--from", "anthropic", "--to", "responses", "--model", "gpt-5.1(low)", SMART)
    said = json.loads(result.stdout)
    assert (said["model"], said["reasoning"]["effort"]) == ("gpt-5.1", "low")


def test_standard_input_and_full_names():
    """FILE may be standard input; a dialect may be told by its full name, in any case."""
    body = b'{"messages":[{"role":"user","content":"hi"}]}'
    result = run("--from", "OpenAI-Chat", "--to", "gemini", "--model", "gemini-3-pro", "-", stdin=body)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]
    assert result.stderr == "nothing is lost\n"


@pytest.mark.parametrize("source", ["anthropic", "chat", "responses", "gemini", "completions"])
@pytest.mark.parametrize("target", ["anthropic", "chat", "responses", "gemini", "completions"])
def test_every_pair(source, target):
    """Each dialect's requests, answers and streams can be said in each."""
    folder = VECTORS / ALIASES[source]
    request, answer, stream = (
        min(folder.glob(glob)) for glob in ("requests/*.json", "*text*.json", "*text*.sse")
    )
    for flags, file in (((), request), (("--response",), answer), (("--stream",), stream)):
        result = run("--from", source, "--to", target, *flags, str(file))
        assert result.exit_code == 0, (flags, file, result.output)
        assert result.stdout


def test_answer():
    """A whole answer; the same file gives the same result."""
    file = str(VECTORS / "openai-responses" / "hosted.json")
    result = run("--from", "responses", "--to", "anthropic", "--response", "--model", "claude-x", file)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["type"], said["model"]) == ("message", "claude-x")
    assert "opaque" in result.stderr
    again = run("--from", "responses", "--to", "anthropic", "--response", "--model", "claude-x", file)
    assert again.stdout == result.stdout


def test_stream():
    """An event stream comes out as one, whole."""
    result = run("--from", "chat", "--to", "anthropic", "--stream", CHAT_STREAM)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("event: message_start\n")
    assert result.stdout.endswith('data: {"type":"message_stop"}\n\n')


def test_stream_that_breaks_off():
    """What came before the break is shown, an error ends it, and the exit status tells."""
    data = Path(CHAT_STREAM).read_bytes()
    result = run("--from", "chat", "--to", "anthropic", "--stream", "-", stdin=data[: len(data) // 2])
    assert result.exit_code == 1
    assert "message_start" in result.stdout
    assert "event: error" in result.stdout
    assert "message_stop" not in result.stdout
    assert "broken off: " in result.stderr


def test_json():
    """Everything in one object on standard output."""
    result = run("--from", "anthropic", "--to", "chat", "--model", "gpt-5.1", "--json", SMART)
    told = json.loads(result.stdout)
    assert result.stderr == ""
    assert (told["from"], told["to"], told["kind"]) == ("anthropic", "openai-chat", "request")
    assert told["result"]["model"] == "gpt-5.1"
    by_kind = {loss["kind"]: loss["strict"] for loss in told["losses"]}
    assert by_kind == {"cache_control": False, "foreign_proof": True, "thinking_budget": False}
    stream = run("--from", "chat", "--to", "anthropic", "--stream", "--json", CHAT_STREAM)
    assert json.loads(stream.stdout)["result"].startswith("event: message_start")


def test_strict():
    """Exit status 2 for what strict translation refuses; hints for a cache do not count."""
    assert run("--from", "anthropic", "--to", "chat", "--strict", SMART).exit_code == 2
    body = json.loads(Path(SMART).read_bytes())
    del body["thinking"], body["messages"][1:]
    harmless = json.dumps(body).encode()
    result = run("--from", "anthropic", "--to", "chat", "--strict", "-", stdin=harmless)
    assert result.exit_code == 0, result.output
    assert "cache_control" in result.stderr


def test_names_that_change():
    """A tool's name that the vendor refuses is told with what is sent for it."""
    tool = {"type": "function", "function": {"name": "a.b", "parameters": {"type": "object"}}}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [tool]}
    args = ("--from", "chat", "--to", "anthropic", "-")
    assert "tool name: a.b is sent as a_b" in run(*args, stdin=json.dumps(body).encode()).stderr


@pytest.mark.parametrize(
    ("source", "flags", "data", "said"),
    [
        ("chat", (), b'{"model":"m","messages":[{"role":3}]}', "messages[0].role"),
        ("anthropic", (), b'{"model":"m","messages":[{"role":"user"}]}', "messages[0]"),
        ("responses", (), b'{"model":"m","input":"x","previous_response_id":"r"}', "previous_response_id"),
        ("gemini", (), b'{"contents": 1}', "contents"),
        ("completions", (), b'{"model":"m"}', "prompt"),
        ("chat", (), b"not json", "not valid"),
        ("chat", (), b'{"messages":[{"content":' + b"[" * 100_000, "nested too deeply"),
        ("gemini", ("--response",), b"[]", "answer"),
    ],
)
def test_bad_input(source, flags, data, said):
    """Exit status 1, and the dialect's own words with the member; as JSON too."""
    result = run("--from", source, "--to", "anthropic", *flags, "-", stdin=data)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert said in result.stderr
    result = run("--from", source, "--to", "anthropic", *flags, "--json", "-", stdin=data)
    assert result.exit_code == 1
    assert said in json.loads(result.stdout)["error"]["message"]


def test_unknown_dialect():
    """The dialects that there are, if one is misspelt."""
    result = run("--from", "claude", "--to", "chat", SMART)
    assert result.exit_code == 2
    assert all(name in result.output for name in (*ALIASES, *DIALECTS))


# ------------------------------------------------------------------------------------ explain --body

CONFIG = """
api-keys: [client-key]
openai-compatibility:
  - name: local
    base-url: http://127.0.0.1:11434/v1
    api-key-entries: [{api-key: local-key-canary}]
    models: [{name: "qwen3:8b", alias: qwen}]
"""


def explain(tmp_path: Path, *args: str, text: str = CONFIG, stdin: bytes | None = None) -> Result:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return CliRunner().invoke(main, ["explain", "qwen", "--config", str(file), *args], input=stdin)


def test_explain_body(tmp_path):
    """What the account that would be asked cannot be told, and whether that refuses the request."""
    result = explain(tmp_path, "--path", "/v1/messages", "--body", SMART)
    assert result.exit_code == 0, result.output
    assert "dropped in translation to openai-compatibility/local[0] (openai-chat):" in result.output
    assert "thinking       thinking   " in result.output
    assert "refuses" not in result.output
    strict = explain(
        tmp_path, "--path", "/v1/messages", "--body", SMART, text=CONFIG + "translation: strict\n"
    )
    assert "translation: strict refuses it for foreign_proof, thinking" in strict.output


def test_explain_body_without_losses(tmp_path):
    """A request of the account's own dialect passes as it is."""
    chat = str(VECTORS / "amp" / "openai-chat.json")
    result = explain(tmp_path, "--path", "/v1/chat/completions", "--body", chat)
    assert "openai-compatibility/local[0] receives it unchanged" in result.output


def test_explain_bad_body(tmp_path):
    """A body that is not valid is told with its member; one without a path cannot be read."""
    result = explain(
        tmp_path, "--path", "/v1/messages", "--body", "-", stdin=b'{"model":"qwen","messages":3}'
    )
    assert "would not be asked: messages" in result.output
    result = explain(tmp_path, "--body", SMART)
    assert result.exit_code == 2
    assert "--path" in result.output
