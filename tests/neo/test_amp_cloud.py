"""AmpCloud refuses what Amp refuses, picks the connection that Amp picks, and sees bad answers."""

from __future__ import annotations

from functools import partial

import pytest

from ampproxy.testing.amp_cloud import AmpCloud
from ampproxy.testing.amp_formats import FORMATS, BadAnswer, ModelError, heading_of
from ampproxy.testing.amp_mapping import BadMapping, Line, mapped, parse_mapping
from ampproxy.testing.amp_routing import ModelRouting, Rejected

BASE = "https://gw.example.org/"


def connect(cloud, secret="s", *, format="anthropic-messages", base_url=BASE, **more):
    return cloud.connect(secret, format=format, base_url=base_url, **more).id


def test_grammar():
    """Lines or commas, comments, exclusions, renames, and a star at either end."""
    text = "openai/* # all\n-openai/gpt-4*,*/kimi*\n\nanthropic/claude-a -> b(high)\n*thinking/x*"
    assert parse_mapping(text) == (
        Line("openai/*"),
        Line("openai/gpt-4*", excluded=True),
        Line("*/kimi*"),
        Line("anthropic/claude-a", "b(high)"),
        Line("*thinking/x*"),
    )
    assert parse_mapping(None) == (Line("*/*"),)


@pytest.mark.parametrize(
    "text",
    ["gpt", "a/b c", "a/*b", "a/b*c", "-a/b", "-a/b,-c/d", "a/* -> b", "-a/b -> c\na/c", "a/b ->", "-> b",
     "a/b -> c*", "a/" + "x" * 256, "a/b," * 2600, "**/"],
)  # fmt: skip
def test_wrong_grammar(text):
    """What the grammar has not is refused."""
    with pytest.raises(BadMapping):
        parse_mapping(text)


def test_last_line_counts():
    """Of the lines that fit."""
    lines = parse_mapping("openai/*\n-openai/gpt-4*\nopenai/gpt-4.1 -> mine")
    assert mapped(lines, "openai/gpt-5") == "openai/gpt-5"
    assert mapped(lines, "openai/gpt-4o") is None
    assert mapped(lines, "openai/gpt-4.1") == "mine"
    assert mapped(lines, "xai/grok") is None
    assert mapped(parse_mapping("*/k3,a/*"), "b/c/k3") == "b/c/k3"
    assert mapped(parse_mapping("*ki/mi*"), "moonkikiki/mixed") == "moonkikiki/mixed"


def test_which_connection():
    """The user's before the workspace's, by priority, active ones only."""
    cloud = AmpCloud()
    call = cloud.routing.call
    shared = connect(cloud, target="workspace")
    first, second = connect(cloud, mapping="anthropic/*"), connect(cloud)
    assert cloud.connection_for("anthropic/x")[0].id == first
    assert cloud.connection_for("openai/x")[0].id == second
    call("setModelProviderKeyPriority", {"connectionID": second, "priority": 0})
    assert cloud.connection_for("anthropic/x")[0].id == second
    call("setModelProviderKeyActive", {"connectionID": second, "active": False})
    call("deleteModelProviderKey", {"connectionID": first})
    assert cloud.connection_for("anthropic/x")[0].id == shared
    assert [key["id"] for key in call("listModelProviderKeys", {"target": "workspace"})["keys"]] == [shared]
    call("setModelProviderKeyActive", {"connectionID": shared, "active": False})
    assert cloud.connection_for("anthropic/x") is None
    with pytest.raises(LookupError):
        cloud.talk("anthropic/x")


@pytest.mark.parametrize(
    "config",
    [
        {"base_url": "http://gw.example.org"},
        {"base_url": "http://127.0.0.1:8317"},
        {"base_url": "gw.example.org"},
        {"base_url": None},
        {"format": "gemini"},
        {"headers": [["a"]]},
        {"queryParams": {"a": 1}},
        {"unknown": 1},
        {"mapping": "gpt"},
    ],
)
def test_wrong_configuration(config):
    """As the server finds, not the CLI."""
    with pytest.raises(Rejected):
        connect(AmpCloud(ModelRouting(loopback=False)), **config)


def test_request():
    """The key stands in both places in Anthropic's format, in one elsewhere; headers and query are added."""
    cloud = AmpCloud()
    connect(cloud, "key", headers=[["x-edge", "token"]], queryParams={"a": "b"})
    talk = cloud.talk("anthropic/x", "T-1")
    talk.user("Hello")
    request = cloud.request("anthropic/x", talk)
    assert request.url == "https://gw.example.org/v1/messages?a=b"
    assert request.headers["authorization"] == "Bearer key"
    assert request.headers["x-api-key"] == "key"
    assert request.headers["x-edge"] == "token"
    assert not [name for name in request.headers if name.startswith("x-amp")]
    assert set(request.body) == {
        "model", "max_tokens", "messages", "system", "stream", "thinking", "output_config"
    }  # fmt: skip
    other = AmpCloud()
    connect(other, format="responses", base_url="https://gw.example.org/v1")
    talk = other.talk("openai/x")
    talk.user("Hello")
    request = other.request("openai/x", talk)
    assert request.url == "https://gw.example.org/v1/responses"
    assert "x-api-key" not in request.headers


STREAM = {"content-type": "text/event-stream"}
BAD = {
    "anthropic-messages": [
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        b'event: wrong\ndata: {"type":"message_start"}\n\n',
        b'data: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n',
    ],
    "responses": [
        b'event: response.completed\ndata: {"type":"response.completed","sequence_number":0}\n\n',
        b'event: response.created\ndata: {"type":"response.created","sequence_number":0}\n\n',
    ],
    "chat-completions": [
        b'data: {"object":"chat.completion.chunk","choices":[]}\n\n',
        b"data: [DONE]\n\n",
    ],
}


@pytest.mark.parametrize(("format", "body"), [(name, body) for name, rows in BAD.items() for body in rows])
def test_bad_answers(format, body):
    """A stream without its beginning, its end, its names or its usage is found out."""
    with pytest.raises(BadAnswer):
        FORMATS[format]().read(200, STREAM, body)


@pytest.mark.parametrize("format", FORMATS)
def test_bad_framing(format):
    """So is one that is no stream or is compressed; an error is one, whatever its form."""
    read = partial(FORMATS[format]().read)
    with pytest.raises(BadAnswer):
        read(200, {"content-type": "application/json"}, b"{}")
    with pytest.raises(BadAnswer):
        read(200, {**STREAM, "content-encoding": "gzip"}, b"")
    with pytest.raises(BadAnswer):
        read(500, {}, b"<html>")
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    with pytest.raises(ModelError) as error:
        read(529, {"retry-after": "3"}, body)
    assert (error.value.heading, error.value.retry_after) == ("Provider Overloaded", "3")


def test_headings():
    """Amp's client shows an error by its words: what quotes a 401 is shown as one of the key."""
    assert heading_of("api_error", "account 1: 401") == "Unauthorized"
    assert heading_of("not_found_error", "model: x is not there") == "Model Not Found"
    assert heading_of("invalid_request_error", "prompt is too long: 3 > 2") == "Context Limit Reached"
