"""The credit firewall: what ``ampcode.fallback`` does not let through reaches Amp on no path."""

from __future__ import annotations

import gzip
import json
import sqlite3
import time

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger, formatEvent

from ampproxy.credits.allowance import NAME, Allowance, Used
from ampproxy.resources import shared_credits
from ampproxy.server.limiter import Limiter
from ampproxy.tenants.counting import Amounts
from ampproxy.tenants.store import Counts, CountsFailed, Look
from tests.cases import each
from tests.resources.harness import AMP_KEY, CLIENT_KEY, World

JSON = {"content-type": ["application/json"]}
BASE = f"""
api-keys: ["{CLIENT_KEY}", "second-client-key"]
claude-api-key:
  - {{api-key: account-key-0123456789, base-url: "http://claude.test", models: [{{name: claude-local}}]}}
ampcode:
  upstream-url: https://amp.test
  upstream-api-key: {AMP_KEY}
"""
NEVER = World, BASE + "  fallback: never\n"


def world(fallback: str) -> World:
    return World(BASE + "  fallback:" + fallback)


def ask(on: World, model: str = "gpt-9", path: str = "/api/provider/openai/v1/responses", **more):
    headers = more.pop("headers", None)
    key = more.pop("key", CLIENT_KEY)
    body = json.dumps({"model": model, "input": "hi", **more}).encode()
    return on.request("POST", path, headers=headers, body=body, key=key)


BODY = json.dumps({"model": "m-9", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}).encode()
STREAM = BODY[:-1] + b', "stream": true}'
CONTENTS = b'{"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}'
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}
PROVIDER = "/api/provider"
EVERY_PATH = [
    ("POST", f"{PROVIDER}/anthropic/v1/messages", BODY),
    ("POST", f"{PROVIDER}/anthropic/v1/messages", STREAM),
    ("POST", f"{PROVIDER}/anthropic/v1/messages/count_tokens", BODY),
    ("POST", f"{PROVIDER}/openai/v1/chat/completions", BODY),
    ("POST", f"{PROVIDER}/openai/v1/chat/completions", STREAM),
    ("POST", f"{PROVIDER}/groq/chat/completions", BODY),
    ("POST", f"{PROVIDER}/openai/v1/completions", b'{"model": "m-9", "prompt": "hi"}'),
    ("POST", f"{PROVIDER}/openai/v1/responses", b'{"model": "m-9", "input": "hi"}'),
    ("POST", f"{PROVIDER}/openai/v1/responses", b'{"model": "m-9", "input": "hi", "stream": true}'),
    ("POST", f"{PROVIDER}/openai/v1/responses/input_tokens", b'{"model": "m-9", "input": "hi"}'),
    ("POST", f"{PROVIDER}/openai/v1/embeddings", b'{"model": "m-9", "input": "hi"}'),
    ("POST", f"{PROVIDER}/google/v1beta/models/m-9:generateContent", CONTENTS),
    ("POST", f"{PROVIDER}/google/v1beta/models/m-9:streamGenerateContent?alt=sse", CONTENTS),
    ("POST", f"{PROVIDER}/google/v1beta/models/m-9:countTokens", CONTENTS),
    ("POST", f"{PROVIDER}/google/v1beta/models/m-9:predictLongRunning", CONTENTS),
    ("POST", f"{PROVIDER}/google/v1beta1/publishers/google/models/m-9:generateContent", CONTENTS),
    ("POST", f"{PROVIDER}/google/v1beta1/publishers/google/models/m-9:streamGenerateContent", CONTENTS),
    ("POST", f"{PROVIDER}/google/v1beta1/projects/p/locations/l/publishers/google/models/m:x", CONTENTS),
    ("POST", f"{PROVIDER}/openai/v1/images/generations", BODY),
    ("POST", f"{PROVIDER}/openai/v1/audio/speech", b"not json"),
    ("POST", f"{PROVIDER}/new-vendor/v9/whatever", BODY),
    ("GET", f"{PROVIDER}/cerebras/v1/tcp_warming", None),
    ("GET", f"{PROVIDER}/openai/v1/responses/resp_1", None),
    ("DELETE", f"{PROVIDER}/openai/v1/files/1", None),
    ("PUT", f"{PROVIDER}/x", BODY),
    ("POST", f"{PROVIDER}", BODY),
    ("POST", f"{PROVIDER}/", BODY),
    # A lenient server would read these as model routes.
    ("POST", "/api//provider/openai/v1/responses", BODY),
    ("POST", "/api/./provider/openai/v1/responses", BODY),
    ("POST", "/api/x/../provider/openai/v1/responses", BODY),
    ("POST", "/api/%70rovider/openai/v1/responses", BODY),
    ("POST", "/api/%2570rovider/openai/v1/responses", BODY),
    ("POST", "/api/provider%2Fopenai/v1/responses", BODY),
    ("POST", "/api/Provider/openai/v1/responses", BODY),
    ("POST", "/api/provider;x=1/openai/v1/responses", BODY),
    ("POST", "/api\\provider\\openai\\v1\\responses", BODY),
    ("POST", "/auth/../api/provider/openai/v1/responses", BODY),
    ("POST", "/threads/%2e%2e/api/provider/openai/v1/responses", BODY),
    ("POST", f"{PROVIDER}/openai/v1/%72esponses", BODY),
    ("POST", f"{PROVIDER}/openai//v1/responses", BODY),
]


@each(("method", "path", "body"), EVERY_PATH)
@each("fallback", [" never\n", "\n    - {model: 'other-*', action: allow}\n"])
def test_nothing_passes(method, path, body, fallback):
    """With ``never``, and where no rule is for it: refused here, and Amp is asked nothing at all."""
    on = world(fallback)
    connection = on.request(method, path, body=body)
    assert connection.status in (400, 403, 404)
    assert on.client.sent == []
    assert b"X-Ampproxy-Route: amp" not in connection.answer


@pytest.mark.parametrize("path", [f"{PROVIDER}/openai/v1/realtime", f"{PROVIDER}/openai/v1/responses"])
def test_no_socket_passes(path):
    on = world(" never\n")
    connection = on.request("GET", path, headers=UPGRADE)
    assert connection.status in (403, 426)
    assert on.client.sent == []


def test_management_still_passes():
    on = world(" never\n")
    on.request("POST", "/api/internal?getUserInfo", body=b"{}")
    assert [sent.url for sent in on.client.sent] == ["https://amp.test/api/internal?getUserInfo"]


def test_refusal_tells_all():
    """The model, its role, what is there, why, and the YAML that would serve it; and nothing secret."""
    on = world(" never\n")
    headers = {"x-amp-feature": "amp.chat", "x-amp-message-id": "0", "x-amp-mode": "smart"}
    connection = ask(on, "claude-loca", headers=headers)
    assert connection.status == 404
    error = json.loads(connection.body)["error"]
    assert error["code"] == "model_not_found"
    for words in (
        "'claude-loca'",
        "role smart",
        " Nearest of what is here: claude-local.\nWhat would serve it:\n",
        "ampcode.fallback, line",
        'role: smart  # or from: "claude-loca"\n      to: "claude-local"',
    ):
        assert words in error["message"]
    assert on.exchanges[-1]["role"] == "smart"


RULES = """
    - {model: ["claude-h*", "x-*"], role: title, action: allow}
    - {role: [oracle, finder], action: never}
    - {model: "GPT-*", action: allow}
"""
TITLE = {"tool_choice": {"type": "function", "name": "set_title"}}
ORACLE = {"tools": [{"type": "function", "name": "Read"}, {"type": "function", "name": "web_search"}]}
OF_AMP = {"x-amp-thread-id": "T-1"}


@pytest.mark.parametrize(
    ("model", "more", "headers", "passes"),
    [
        ("claude-haiku-9", TITLE, {}, True),
        ("claude-haiku-9(high)", TITLE, {}, True),
        ("claude-haiku-9", {}, {}, False),
        ("claude-opus-9", TITLE, {}, False),
        ("gpt-9", {}, {}, True),
        ("gpt-9", ORACLE, OF_AMP, False),
        ("gpt-9", ORACLE, {}, True),
        ("other", {}, {}, False),
    ],
)
def test_first_rule_counts(model, more, headers, passes):
    on = world(RULES)
    ask(on, model, headers=headers, **more)
    assert bool(on.client.sent) is passes


def test_unknown_paths_by_the_model_in_their_body():
    on = world(RULES)
    path = f"{PROVIDER}/openai/v1/images/generations"
    assert ask(on, "dall-e", path).status == 404
    ask(on, "gpt-image-2", path, prompt="a cat")
    (sent,) = on.client.sent
    assert (sent.url, json.loads(sent.body)["prompt"]) == (f"https://amp.test{path}", "a cat")
    assert sent.header("authorization") == [f"Bearer {AMP_KEY}"]
    (warning,) = [formatEvent(event) for event in on.events if "ampcode.com" in event["log_format"]]
    assert warning.endswith(f"credits): gpt-image-2, at {path}, which no account could serve")


def test_compressed_bodies():
    """A rule sees through them; and what is sent plain is not called compressed."""
    on = world(RULES)
    path = f"{PROVIDER}/openai/v1/responses"
    for model in ("gpt-9", "other"):
        body = gzip.compress(json.dumps({"model": model, "input": "hi"}).encode())
        on.request("POST", path, headers={"Content-Encoding": "gzip"}, body=body)
    (sent,) = on.client.sent
    assert json.loads(sent.body)["model"] == "gpt-9"
    assert sent.header("content-encoding") == []


LIMITED = """
    - {daily-requests: 2, per: client}
"""


def test_requests_a_day():
    on = world(LIMITED)
    for _ in range(2):
        ask(on)
        on.client.sent[-1].respond_whole(200, b"{}", JSON)
    connection = ask(on)
    assert (connection.status, len(on.client.sent)) == (402, 2)
    error = json.loads(connection.body)["error"]
    assert error["code"] == "amp_limit_reached"
    assert "'gpt-9'" in error["message"]
    assert "2 of 2 requests are used by this client (ampcode.fallback, line" in error["message"]
    assert b"X-Ampproxy-Route: none" in connection.answer
    # Nor do log and ledger say that it went to Amp.
    assert [event["kind"] for event in on.exchanges] == ["amp", "amp", "none"]
    assert sum("forwarding to ampcode.com" in event["log_format"] for event in on.events) == 2
    assert ask(on, key="second-client-key").transport.disconnecting is False
    assert len(on.client.sent) == 3


def test_what_amp_refuses_is_not_counted():
    on = world(LIMITED)
    for _ in range(5):
        connection = ask(on)
        on.client.sent[-1].respond_whole(402, b'{"error": "no credits"}', JSON)
        on.turn()
        assert connection.body == b'{"error": "no credits"}'
    assert len(on.client.sent) == 5


USAGE = {"input_tokens": 100, "output_tokens": 50, "input_tokens_details": {"cached_tokens": 40}}
ANSWER = json.dumps({"object": "response", "usage": USAGE}).encode()
EVENTS = (
    b"event: response.created\ndata: {}\n\n"
    b'event: response.completed\ndata: {"type": "response.completed", "response": %b}\n\n' % ANSWER
)
TOKENS = """
    - {daily-tokens: 2000}
"""


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_a_day(stream):
    """Counted by what the answer says: six times 150 fit below 2000 where each may cost some 1130 at most."""
    on = world(TOKENS)
    served = 0
    while True:
        connection = ask(on, stream=stream, max_output_tokens=90)
        if len(on.client.sent) == served:
            break
        served += 1
        kind = {"content-type": ["text/event-stream"]} if stream else JSON
        on.client.sent[-1].respond_whole(200, EVENTS if stream else ANSWER, kind)
        on.turn()
        assert " tokens=100+50 " in str(on.exchanges[-1]["exchange"])
    assert served == 6
    assert connection.status == 402
    assert (
        "900 of 2000 tokens (this request may cost up to" in json.loads(connection.body)["error"]["message"]
    )


def test_a_crowd_takes_no_more_tokens_than_there_are():
    """Of fifty that nobody has answered yet, as many went as may cost the limit together."""
    on = world("\n    - {daily-tokens: 30000}\n")
    for _ in range(50):
        ask(on, max_output_tokens=460)
    used = on.generation.runtime.allowance.used(on.config.ampcode.fallback[0])
    assert used.requests == len(on.client.sent) == 30000 // (used.tokens // used.requests)
    assert used.tokens <= 30000


def test_what_nobody_counted_stays_taken():
    """A stream that broke off may have cost all that it could."""
    on = world("\n    - {daily-tokens: 3000}\n")
    ask(on, stream=True, max_output_tokens=800)
    stream = on.client.sent[-1].respond(200, {"content-type": ["text/event-stream"]})
    stream.data(b"event: response.created\ndata: {}\n\n")
    on.turn()
    stream.lose()
    assert ask(on, max_output_tokens=500).status == 402
    ask(on, max_output_tokens=10)
    assert len(on.client.sent) == 2


def test_bound_that_is_not_named_is_high():
    on = world(TOKENS)
    connection = ask(on)
    assert connection.status == 402
    assert on.client.sent == []


GEMINI = f"{PROVIDER}/google/v1beta/models/m-9:generateContent"


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (f"{PROVIDER}/openai/v1/chat/completions", {"max_tokens": 90, "n": 20}),
        (f"{PROVIDER}/openai/v1/completions", {"prompt": "hi", "max_tokens": 90, "best_of": 20}),
        (GEMINI, {"generationConfig": {"maxOutputTokens": 90, "candidateCount": 20}}),
        (GEMINI, {"generation_config": {"max_output_tokens": 90, "candidate_count": 20}}),
        (GEMINI, {"generation_config": {"maxOutputTokens": 10_000}}),
    ],
)
def test_all_that_a_request_may_cost(path, more):
    """Several answers cost several times as much; Google's members have two spellings."""
    on = world("\n    - {daily-tokens: 2500}\n")
    assert ask(on, path=path, **more).status == 402
    assert on.client.sent == []


def test_google_bounds_are_read():
    on = world("\n    - {daily-tokens: 2500}\n")
    for config in (
        {"generationConfig": {"maxOutputTokens": 90}},
        {"generation_config": {"max_output_tokens": 90.0}},
    ):
        ask(on, path=GEMINI, **config)
    assert len(on.client.sent) == 2


def test_warming_up_costs_no_tokens():
    """The CLI does so before each call at one provider. It is a request all the same."""
    on = world("\n    - {daily-tokens: 100, daily-requests: 2}\n")
    path = f"{PROVIDER}/cerebras/v1/tcp_warming"
    for _ in range(2):
        on.request("GET", path)
        on.client.sent[-1].respond_whole(200, b"{}", JSON)
    assert len(on.client.sent) == 2
    assert on.request("GET", path).status == 402
    other = world("\n    - {daily-tokens: 100}\n")
    assert other.request("POST", path, body=b"").status == 402
    assert other.client.sent == []


def test_counting_costs_no_tokens():
    on = world("\n    - {daily-tokens: 0}\n")
    ask(on, path=f"{PROVIDER}/openai/v1/responses/input_tokens")
    assert len(on.client.sent) == 1


STRICT = """
    - {model: ["claude-opus-*", "gemini-3*", "gpt-6*"], action: never}
    - {action: allow}
"""
MULTIPART = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-6\r\n--b--\r\n'
ASKED = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("anthropic/v1/messages/batches", {"requests": [{"params": {"model": "claude-opus-4", **ASKED}}]}),
        ("google/v1/projects/p/locations/l/publishers/google/models/gemini-3-pro:generateContent", {}),
        ("google/v1beta1/projects/p/locations/l/publishers/google/models/gemini-3-pro:generateContent", {}),
        ("google/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4@1:rawPredict", ASKED),
        ("google/v1alpha/models/gemini-3-pro:generateContent", {"contents": []}),
        ("google/V1BETA/Models/gemini-3-pro:generateContent", {"model": "cheap"}),
        ("bedrock/model/us.anthropic.claude-opus-4-v1%3A0/invoke", ASKED),
        ("azure/openai/deployments/gpt-6/chat/completions", {"model": "cheap", **ASKED}),
        ("azure/openai/deployments/mine/chat/completions", {"model": "cheap", **ASKED}),
        ("openai/v1/images/edits", MULTIPART),
        ("openai/v1/images/generations", json.dumps({"model": "gpt-6"}).encode("utf-16")),
        ("openai/v1/images/generations", b'[{"model": "gpt-6"}]'),
        ("openai/v1/batches", {"input_file_id": "file-1", "model": "cheap"}),
    ],
)
def test_a_model_that_is_hard_to_find(path, body):
    """The strictest rule counts that could be for it; a plain request for another model goes."""
    on = world(STRICT)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert on.request("POST", f"{PROVIDER}/{path}", body=content).status == 404
    assert on.client.sent == []
    ask(on, "gpt-image-2", f"{PROVIDER}/openai/v1/images/generations")
    assert len(on.client.sent) == 1


@pytest.mark.parametrize(
    "name", [" claude-opus-4", "anthropic/claude-opus-4", "models/claude-opus-4", "claude\u2010opus\u20104"]
)
@pytest.mark.parametrize("path", ["openai/v1/chat/completions", "openai/v1/whatever"])
def test_other_spellings(name, path):
    on = world(STRICT)
    assert ask(on, name, f"{PROVIDER}/{path}").status == 404
    assert on.client.sent == []


@pytest.mark.parametrize("path", ["openai/v1/chat/completions", "openai/v1/responses"])
@pytest.mark.parametrize("key", [b'"model"', b'"mod\\u0065l"'])
def test_a_model_that_stands_twice(path, key):
    """What was decided on is what is sent: the other one is not there any more."""
    on = world(STRICT)
    body = b'{%b: "claude-opus-4", "input": "hi", "n": 12345678901234567890, "model": "cheap"}' % key
    on.request("POST", f"{PROVIDER}/{path}", body=body)
    (sent,) = on.client.sent
    assert b"opus" not in sent.body
    assert sent.body.count(b'"model":"cheap"') == 1
    assert b"12345678901234567890" in sent.body


def test_names_that_differ_in_case_only():
    """One name to some servers."""
    on = world(STRICT)
    body = b'{"Model": "claude-opus-4", "input": "hi", "model": "cheap"}'
    assert on.request("POST", f"{PROVIDER}/openai/v1/responses", body=body).status == 400
    assert on.client.sent == []


def test_without_rules_bodies_stay():
    """Where everything may go, every byte does."""
    on = World(BASE)
    body = b'{ "model": "a", "input": "hi",  "model": "b" }'
    on.request("POST", f"{PROVIDER}/openai/v1/responses", body=body)
    assert on.client.sent[-1].body == body


BOUND = {"max_output_tokens": 100}
CHAT_PATH = f"{PROVIDER}/openai/v1/chat/completions"
MESSAGES = f"{PROVIDER}/anthropic/v1/messages"


@pytest.mark.parametrize(
    ("path", "more", "why"),
    [
        (None, {"previous_response_id": "resp_1", **BOUND}, "previous_response_id"),
        (None, {"conversation": {"id": "conv_1"}, **BOUND}, "conversation"),
        (None, {"prompt": {"id": "pmpt_1"}, **BOUND}, "prompt"),
        (None, {"input": [{"type": "item_reference", "id": "i"}], **BOUND}, "item_reference"),
        (None, {"input": [{"content": [{"type": "input_file", "file_id": "f"}]}], **BOUND}, "file_id"),
        (None, {"tools": [{"type": "web_search"}], **BOUND}, "web_search"),
        (CHAT_PATH, {"max_tokens": 5, "n": "100"}, "number of answers"),
        (
            CHAT_PATH,
            {"max_tokens": 5, "messages": [{"content": [{"image_url": {"url": "https://x/y"}}]}]},
            "image_url",
        ),
        (
            MESSAGES,
            {"max_tokens": 5, "messages": [{"content": [{"type": "document", "source": {"type": "url"}}]}]},
            "url",
        ),
        (GEMINI, {"cachedContent": "c"}, "cachedContent"),
        (GEMINI, {"contents": [{"parts": [{"fileData": {"fileUri": "f"}}]}]}, "fileData"),
        (GEMINI, {"tools": [{"googleSearch": {}}]}, "googleSearch"),
        (
            f"{MESSAGES}/batches",
            {"requests": [{"params": {"model": "gpt-9", "max_tokens": 64000}}] * 500},
            "path",
        ),
        (GEMINI.replace("generateContent", "batchGenerateContent"), {"batch": {}}, "batchGenerateContent"),
    ],
)
def test_what_has_no_bound_is_refused(path, more, why):
    """Under a limit in tokens, however high, with the reason; under one in requests it goes."""
    for rule, status in (("daily-tokens: 900000000", 402), ("daily-requests: 1", None)):
        on = world(f"\n    - {{{rule}}}\n")
        answer = ask(on, path=path or f"{PROVIDER}/openai/v1/responses", **more)
        assert len(on.client.sent) == (status is None)
        if status is not None:
            assert answer.status == status
            error = json.loads(answer.body)["error"]
            message = error if isinstance(error, str) else error["message"]
            assert why in message
            assert "daily-requests" in message
            assert "line" in message


@pytest.mark.parametrize("count", [50, 100])
@pytest.mark.parametrize(
    ("path", "more", "input_tokens", "output_tokens"),
    [
        (None, {}, 100, 128_000),
        (None, {"max_output_tokens": "16"}, 100, 128_000),
        (None, {"max_output_tokens": 4000}, 1100, 4000),
        (CHAT_PATH, {"max_tokens": 2000, "n": 3}, 100, 6000),
        (None, {"previous_response_id": "resp_1", **BOUND}, 400_000, 100),
    ],
)
def test_a_crowd_never_overruns_a_limit(count, path, more, input_tokens, output_tokens):
    """All at once, each costing what it may at most; then, those answered, as many again."""
    limit = 2_000_000
    on = world(f"\n    - {{daily-tokens: {limit}}}\n")
    usage = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    usage |= {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
    told = json.dumps({"object": "response", "choices": [], "usage": usage}).encode()
    for _ in range(3):
        before = len(on.client.sent)
        for _ in range(count):
            ask(on, "gpt-6-sol", path=path or f"{PROVIDER}/openai/v1/responses", **more)
        for sent in on.client.sent[before:]:
            sent.respond_whole(200, told, JSON)
        on.turn()
    used = on.generation.runtime.allowance.used(on.config.ampcode.fallback[0])
    assert used.tokens <= limit
    assert used.tokens == (input_tokens + output_tokens) * len(on.client.sent)
    assert bool(on.client.sent) is ("previous_response_id" not in more)


@pytest.fixture
def counted(tmp_path):
    """A gateway with counters on disk, and another program's connection to them."""
    allowance = Allowance(tmp_path, lambda: "2026-11-29")
    on = World(BASE + "  fallback: [{daily-requests: 5}]\n", allowance=allowance)
    rule = on.config.ampcode.fallback[0]
    allowance.used(rule)
    other = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    yield on, other, lambda: allowance.used(rule)
    other.close()
    allowance.close()


def test_locked_counters_hold_nobody_up(counted):
    """While another program has them, a request waits by the clock and not in the reactor; it goes as soon as
    they are free, and what else comes meanwhile is served.
    """
    on, other, used = counted
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    waiting = [ask(on) for _ in range(3)]
    on.clock.pump([0.1] * 10)
    # Each of their tries would wait for a tenth of a second at the least.
    assert time.monotonic() - began < 2
    assert on.request("GET", "/healthz").status == 200
    on.request("GET", "/api/user")
    assert [sent.url for sent in on.client.sent] == ["https://amp.test/api/user"]
    assert used() == Used()
    other.execute("COMMIT")
    on.clock.advance(0.1)
    assert len(on.client.sent) == 1 + len(waiting)
    assert used() == Used(3)


def test_locked_for_too_long(counted):
    """Fails closed within two seconds: 503, nothing sent, nothing counted."""
    on, other, used = counted
    other.execute("BEGIN IMMEDIATE")
    answer = ask(on)
    on.clock.pump([0.1] * 21)
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["code"] == "amp_limit_unknown"
    other.execute("COMMIT")
    on.clock.pump([0.1] * 21)
    assert on.client.sent == []
    assert used() == Used()


def test_a_client_that_leaves_while_it_waits_takes_nothing(counted):
    on, other, used = counted
    other.execute("BEGIN IMMEDIATE")
    ask(on).leave()
    other.execute("COMMIT")
    on.clock.pump([0.1] * 3)
    assert on.client.sent == []
    assert used() == Used()
    assert on.exchanges[-1]["outcome"] == "client-left"


def test_giving_back_waits_behind_the_answer(counted):
    """The client has its answer at once; what it did not use is given back when the counters are free."""
    on, other, used = counted
    answer = ask(on)
    other.execute("BEGIN IMMEDIATE")
    on.client.sent[-1].respond_whole(429, b"{}", JSON)
    on.turn()
    assert answer.body == b"{}"
    on.clock.pump([0.1] * 100)
    assert used() == Used(1)
    other.execute("COMMIT")
    on.clock.advance(0.1)
    assert used() == Used(0)


def test_giving_back_that_fails_is_told(counted):
    """All stays counted, and the log says so."""
    on, other, used = counted
    ask(on)
    other.execute("BEGIN IMMEDIATE")
    on.client.sent[-1].respond_whole(429, b"{}", JSON)
    on.clock.pump([0.1] * 610)
    assert used() == Used(1)
    assert "cannot be counted" in formatEvent(on.events[-1])


SHARED = (
    "  fallback:\n    - {model: 'gpt-*', daily-requests: 3, daily-tokens: 100000}\n"
    "state: {url: 'redis://h'}\n"
)


def test_a_limit_of_all_gateways():
    """Gateways that share their state count together, what is given back as well."""
    counts = Counts(None, lambda: 1_700_000_000.0)
    log = Logger(namespace="ampproxy", observer=lambda event: None)
    many = [World(BASE + SHARED, limiter=Limiter(lambda: counts, maybeDeferred, log)) for _ in range(2)]
    for on in (many[0], many[0], many[1]):
        ask(on, max_output_tokens=50)
        on.client.sent[-1].respond_whole(200, ANSWER, JSON)
    refused = ask(many[1], max_output_tokens=50)
    assert refused.status == 402
    assert b"3 of 3 requests" in refused.body
    rule = many[0].config.ampcode.fallback[0]
    assert [on.generation.runtime.allowance.used(rule).requests for on in many] == [2, 1]
    (window,) = counts.work([Look(shared_credits._tenant(rule, None), shared_credits._limits(rule))])
    assert window["day"] == Amounts(3, 450)


def test_what_was_not_served_is_no_one_s():
    """A request that Amp refuses counts in neither."""
    on = World(BASE + SHARED)
    for _ in range(5):
        ask(on, max_output_tokens=50)
        on.client.sent[-1].respond_whole(500, b"{}", JSON)
    assert ask(on, max_output_tokens=50).answer == b""


def test_what_all_use_cannot_be_counted():
    """Nothing is sent to Amp, and the gateway's own count is given back."""

    class Broken:
        def work(self, orders):
            raise CountsFailed("Redis cannot be reached (settings: state.url, state.when-away)")

        def close(self):
            pass

    log = Logger(namespace="ampproxy", observer=lambda event: None)
    on = World(BASE + SHARED, limiter=Limiter(Broken, maybeDeferred, log))
    refused = ask(on, max_output_tokens=50)
    assert refused.status == 503
    assert b"state.when-away" in refused.body
    assert b"state-dir" not in refused.body
    assert on.client.sent == []
    assert on.generation.runtime.allowance.used(on.config.ampcode.fallback[0]) == Used()
