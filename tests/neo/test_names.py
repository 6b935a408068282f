"""Models by the names that Amp sends, the thread that a system block names, and the shape of a request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ampproxy.amp.shapes import headers_shape, shape_of
from ampproxy.amp.threads import thread_of
from ampproxy.config.load import parse
from ampproxy.routing.decide import Router
from ampproxy.routing.neo import neo_endpoint
from ampproxy.testing.amp_formats import FORMATS
from tests.neo.test_gate import ACCOUNTS, KEYED, NEO_KEY
from tests.resources.harness import World

CONFIG = """
claude-api-key:
  - api-key: a
    base-url: http://claude.test
    models: [{name: claude-a}, {name: claude-b}, {name: openai/exact}, {name: accounts/f/models/k3}]
openai-compatibility:
  - name: local
    base-url: http://local.test/v1
    api-key-entries: [{api-key: b}]
    models: [{name: exact}, {name: zai-org/GLM-5.2}]
ampcode:
  upstream-url: https://amp.test
  upstream-api-key: amp
  model-mappings:
    - {from: gpt-a, to: claude-a}
    - {from: openai/gpt-b, to: claude-b(high)}
    - {from: "^claude-", to: claude-b, regex: true}
"""

NAMES = [
    ("claude-a", "local", "claude-a"),
    ("anthropic/claude-a", "local", "claude-a"),
    ("anthropic/claude-a(high)", "local", "claude-a(high)"),
    ("my-plugin/claude-a", "local", "claude-a"),
    ("openai/exact", "local", "openai/exact"),
    ("exact", "local", "exact"),
    ("xai/exact", "local", "exact"),
    ("fireworks-ai/accounts/f/models/k3", "local", "accounts/f/models/k3"),
    ("baseten/zai-org/GLM-5.2", "local", "zai-org/GLM-5.2"),
    ("openai/gpt-a", "mapped", "claude-a"),
    ("openai/gpt-a(low)", "mapped", "claude-a(low)"),
    ("openai/gpt-b", "mapped", "claude-b(high)"),
    ("anthropic/claude-zzz", "mapped", "claude-b"),
    ("openai/unknown", "none", ""),
    ("anthropic/", "none", ""),
    ("/claude-a", "local", "claude-a"),
    ("x/../claude-zzz", "none", ""),
]


def router(text=CONFIG):
    return Router(parse(text, name="c", environ={}, home=Path("/"), read_secret=lambda path: ""))


@pytest.mark.parametrize(("asked", "kind", "served"), NAMES)
def test_names(asked, kind, served):
    """Exactly first, then without the provider's word; mappings after that; never Amp."""
    route = router().route(asked, amp=False, neo=True)
    assert (route.kind.value, route.resolved_model, route.requested_model) == (kind, served, asked)


def test_forced_mappings():
    """They come first, as on Amp's paths, by either name."""
    forced = router(CONFIG.replace("ampcode:", "ampcode:\n  force-model-mappings: true"))
    assert forced.route("anthropic/claude-a", amp=False, neo=True).resolved_model == "claude-b"
    assert forced.route("openai/exact", amp=False, neo=True).resolved_model == "openai/exact"


def test_others_keep_their_rules():
    """At the root a provider's word means nothing to anybody else."""
    assert router().route("anthropic/claude-a", amp=False).kind.value == "none"
    assert router().route("openai/gpt-a", amp=False).kind.value == "none"


def test_unknown_model():
    """Amp shows it as a model that is not found, with what to do; nothing is sent anywhere."""
    world = World(KEYED)
    for path, body in (
        ("/v1/messages", {"max_tokens": 5, "messages": []}),
        ("/v1/chat/completions", {"messages": []}),
        ("/v1/responses", {"input": "hi"}),
    ):
        sent = json.dumps({"model": "openai/gpt-unknown", **body}).encode()
        got = world.request("POST", path, {}, sent, key=NEO_KEY, cloud=True)
        assert got.status == 404
        error = json.loads(got.body)["error"]
        assert error["message"].startswith("model: openai/gpt-unknown ")
        assert "-openai/gpt-unknown" in error["message"]
        if path == "/v1/messages":
            assert error["type"] == "not_found_error"
    assert world.client.sent == []


def test_mapped():
    """The target serves, and the answer has the asked name."""
    world = World(KEYED)
    body = json.dumps({"model": "anthropic/claude-wanted", "max_tokens": 5, "messages": []}).encode()
    got = world.request("POST", "/v1/messages", {}, body, key=NEO_KEY, cloud=True)
    (sent,) = world.client.sent
    assert json.loads(sent.body)["model"] == "claude-real"
    from tests.neo.test_gate import MESSAGE

    sent.respond_whole(200, MESSAGE)
    assert json.loads(got.body)["model"] == "anthropic/claude-wanted"
    assert world.exchanges[0]["exchange"].kind == "mapped"


def test_list_is_what_the_key_may_use():
    """A pattern that does not fit hides a model, and keeps it from being asked for."""
    text = f"{ACCOUNTS}\nneo: {{key: {NEO_KEY}, models: [vendor/*]}}"
    world = World(text)
    listed = json.loads(world.request("GET", "/v1/models", key=NEO_KEY).body)["data"]
    assert [one["id"] for one in listed] == ["vendor/with/slashes"]
    assert world.request("GET", "/v1/models/x/vendor/with/slashes", key=NEO_KEY).status == 200
    assert world.request("GET", "/v1/models/anthropic/claude-local", key=NEO_KEY).status == 403
    assert world.request("HEAD", "/v1/models", key=NEO_KEY).body == b""


def test_paths():
    """Names in a path may be encoded, and have slashes."""
    found = neo_endpoint(b"GET", b"/v1/models/fireworks-ai/accounts%2Ff/k3")
    assert found is not None
    assert found.model == "fireworks-ai/accounts/f/k3"
    assert neo_endpoint(b"POST", b"/v1/v1/chat/completions") == neo_endpoint(b"POST", b"/chat/completions")
    for path in (b"", b"/", b"/v1", b"/v1/", b"/v1/models/", b"/modelsx", b"/v1messages", b"messages"):
        assert neo_endpoint(b"GET", path) is None
        assert neo_endpoint(b"POST", path) is None


THREAD = "T-5a1e0f00-0000-4000-8000-00000000d3e0"
LINE = f"Amp Thread URL: https://ampcode.com/threads/{THREAD}"


@pytest.mark.parametrize("format", FORMATS)
def test_thread_of_each_format(format):
    """The label's line in the system text, wherever a format has that."""
    talk = FORMATS[format](thread=THREAD)
    talk.user("Hello")
    assert thread_of(json.dumps(talk.body("m")).encode()) == THREAD
    bare = FORMATS[format]()
    bare.user(f"Look at this:\n{LINE}")
    assert thread_of(json.dumps(bare.body("m")).encode()) == ""


OTHER = LINE.replace("T-5a", "T-5b")
TEXTS = [
    (LINE, THREAD),
    (f"a\n  {LINE}\nb", THREAD),
    (f"{LINE}\n{LINE}", THREAD),
    (f"{LINE}\n{OTHER}", ""),
    (f"<instructions>\n{OTHER}\n</instructions>\n{LINE}", THREAD),
    (f"<instructions>\n</instructions>\n{OTHER}\n</instructions>\n{LINE}", THREAD),
    (f"<instructions>\n{LINE}", ""),
    (f"see {LINE}", ""),
    ("Amp Thread URL: https://ampcode.com/threads/", ""),
    (f"https://ampcode.com/threads/{THREAD}", ""),
    ("Amp Thread URL: https://ampcode.com/threads/T-" + "x" * 500, "T-" + "x" * 64),
]


@pytest.mark.parametrize(("text", "thread"), TEXTS)
def test_thread_line(text, thread):
    """One thread by its label, in the system text alone, outside the user's own instructions."""
    body = {"system": [{"type": "text", "text": text}], "messages": [{"role": "user", "content": OTHER}]}
    assert thread_of(json.dumps(body).encode()) == thread
    assert thread_of(json.dumps({"instructions": text, "input": "x"}).encode()) == thread


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[1]", b'{"system": 1}', LINE.encode(), b'{"system": "' + b"\xff"]
)
def test_thread_of_nonsense(body):
    """Is none."""
    assert thread_of(body + LINE.encode()) == ""
    assert thread_of(body) == ""


CANARY = "canary-of-the-users-own-words"


@pytest.mark.parametrize("format", FORMATS)
def test_shape(format):
    """Names, words of the format, and sizes: nothing that anybody has written."""
    schema = {"type": "object", "properties": {CANARY: {"type": "string", "description": CANARY}}}
    talk = FORMATS[format](thread=f"T-{CANARY}", tools={CANARY: schema})
    talk.user(CANARY, "aGVsbG8=")
    talk.history.insert(0, {"role": CANARY, "type": CANARY, "content": CANARY, "input": {CANARY: CANARY}})
    shape = shape_of(json.dumps({**talk.body(CANARY), "metadata": {CANARY: 1}}).encode())
    assert "canary" not in shape
    assert f"model: text {len(CANARY)}" in shape
    assert "role: user" in shape
    assert "stream: flag" in shape


def test_shape_is_bounded():
    """However large or deep the body is."""
    deep = b'{"a":' * 500 + b"1" + b"}" * 500
    many = json.dumps({f"name{n}": [{"type": str(n), f"x{n}": n} for n in range(50)] for n in range(500)})
    for body in (deep, many.encode(), b"\xff", b"[" * 100_000):
        assert len(shape_of(body)) < 4100
    assert headers_shape([(b"X-Api-Key", b"secret"), (b"Accept", b"*/*")]) == "accept 3, x-api-key 6"


def test_shapes_are_logged_where_wanted():
    """One line for each request of Amp's cloud, without a value."""
    body = json.dumps({"model": "claude-local", "max_tokens": 5, "messages": [], "x": CANARY}).encode()
    for text, count in ((KEYED, 0), (f"{KEYED}  record-shapes: true\n", 1)):
        world = World(text)
        world.request("POST", "/v1/messages", {"X-Own": CANARY}, body, key=NEO_KEY, cloud=True)
        lines = [event for event in world.events if event.get("log_format", "").startswith("Shape")]
        assert len(lines) == count
        for line in lines:
            assert CANARY not in str(line)
            assert NEO_KEY not in str(line)
            assert "x-own" in line["headers"]
