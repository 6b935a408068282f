"""AmpCloud refuses what Amp refuses, picks the connection that Amp picks, and sees bad answers."""

from __future__ import annotations

import json
from functools import partial

import pytest

from ampproxy.testing.amp import Amp
from ampproxy.testing.amp_cloud import (
    CUSTOM_URL,
    METHODS,
    AmpCloud,
    CloudError,
    Line,
    mapped,
    parse_mapping,
)
from ampproxy.testing.amp_formats import FORMATS, BadAnswer, ModelError, heading_of
from ampproxy.testing.vendor import Recorded, Scripts

CONFIG = {"baseURL": "https://gw.example.org/", "apiFormat": "anthropic-messages"}


def create(cloud, name="a", target="user", active=True, secret="s", **config):
    params = {"target": target, "type": CUSTOM_URL, "name": name, "secret": secret, "active": active}
    return cloud.call("createModelProviderKey", {**params, "config": {**CONFIG, **config}})["key"]["id"]


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
    with pytest.raises(CloudError):
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
    shared = create(cloud, target="workspace")
    first, second = create(cloud, modelMapping="anthropic/*"), create(cloud)
    assert cloud.connection_for("anthropic/x")[0].id == first
    assert cloud.connection_for("openai/x")[0].id == second
    cloud.call("setModelProviderKeyPriority", {"connectionID": second, "priority": 0})
    assert cloud.connection_for("anthropic/x")[0].id == second
    cloud.call("setModelProviderKeyActive", {"connectionID": second, "active": False})
    cloud.call("deleteModelProviderKey", {"connectionID": first})
    assert cloud.connection_for("anthropic/x")[0].id == shared
    cloud.call("setModelProviderKeyActive", {"connectionID": shared, "active": False})
    assert cloud.connection_for("anthropic/x") is None
    with pytest.raises(LookupError):
        cloud.talk("anthropic/x")


@pytest.mark.parametrize(
    "config",
    [
        {"baseURL": "http://gw.example.org"},
        {"baseURL": "http://127.0.0.1:8317"},
        {"baseURL": "https://localhost"},
        {"baseURL": "gw.example.org"},
        {"baseURL": None},
        {"apiFormat": "gemini"},
        {"headers": [["a"]]},
        {"queryParams": {"a": 1}},
        {"unknown": 1},
        {"modelMapping": "gpt"},
    ],
)
def test_wrong_configuration(config):
    """As the server finds, not the CLI."""
    with pytest.raises(CloudError):
        create(AmpCloud(), **config)


def test_wrong_calls():
    """Kinds that the account may not have, unknown members, missing ones, unknown ids and methods."""
    with pytest.raises(CloudError, match="plan"):
        create(AmpCloud(available=()))
    cloud = AmpCloud()
    calls = [
        ("createModelProviderKey", {"target": "user"}),
        ("listModelProviderKeys", {"target": "user", "more": 1}),
        ("testModelProviderKey", {"connectionID": "none"}),
        ("nothing", {}),
    ]
    for method, params in calls:
        with pytest.raises(CloudError):
            cloud.call(method, params)
    with pytest.raises(CloudError):
        create(cloud, secret=" ")


def test_secrets_are_not_shown():
    """Neither in lists nor in what was called."""
    cloud = AmpCloud()
    made = create(cloud, secret="canary")
    cloud.call("setModelProviderKeySecret", {"target": "user", "connectionID": made, "secret": "canary-2"})
    listed = cloud.call("listModelProviderKeys", {"target": "user"})
    assert "canary" not in json.dumps(listed) + repr(cloud.calls) + repr(cloud.connections)
    assert cloud.connections[made].secret == "canary-2"


def test_update():
    """A patch changes members, and a mapping is replaced whole."""
    cloud = AmpCloud()
    made = create(cloud, modelMapping="a/*")
    where = {"target": "user", "connectionID": made}
    cloud.call("updateModelProviderKey", {**where, "configPatch": {"modelMapping": "b/*"}})
    assert cloud.connections[made].config == {**CONFIG, "modelMapping": "b/*"}
    cloud.call("updateModelProviderKey", {**where, "configPatch": {"modelMapping": None}})
    assert cloud.connection_for("c/d") is not None
    with pytest.raises(CloudError):
        cloud.call("updateModelProviderKey", where)


def test_request():
    """The key stands in both places in Anthropic's format, in one elsewhere; headers and query are added."""
    cloud = AmpCloud()
    create(cloud, headers=[["x-edge", "token"]], queryParams={"a": "b"}, secret=" key ")
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
    create(other, apiFormat="responses", baseURL="https://gw.example.org/v1")
    talk = other.talk("openai/x")
    talk.user("Hello")
    request = other.request("openai/x", talk)
    assert request.url == "https://gw.example.org/v1/responses"
    assert "x-api-key" not in request.headers


def test_server():
    """Its calls are those of Amp's stand-in, errors and all."""
    amp = Amp(Scripts(), ["key"])

    def call(method, params):
        body = json.dumps({"method": method, "params": params}).encode()
        headers = {"authorization": "Bearer key", "x-api-key": "key", "content-type": "application/json"}
        request = Recorded("POST", f"/api/internal?{method}", headers, body)
        return json.loads(amp.respond(request).body)

    assert call("listModelProviderKeys", {"target": "user"})["result"]["keys"] == []
    assert call("checkModelProviderAccess", {"operation": "add", "type": CUSTOM_URL})["result"]["allowed"]
    assert call("deleteModelProviderKey", {"connectionID": "x"})["error"]["code"] == "not-found"
    assert "testModelProviderKey" in METHODS


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
