"""An account that refuses a member of a request: it is left out, once, and from then on at once."""

# ruff: noqa: E501  (what vendors say is quoted whole)

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from twisted.logger import formatEvent

from ampproxy.credentials.kept import PAUSE
from ampproxy.credentials.lessons import NAME
from ampproxy.credentials.names import account_name
from ampproxy.metrics.state import StateCollector
from tests.resources.harness import ACCOUNT_KEY, CLIENT_KEY, Connection, World

CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
claude-api-key:
  - api-key: {ACCOUNT_KEY}
    base-url: http://claude.test
    models: [{{name: claude-real, alias: claude-local}}]
openai-compatibility:
  - name: first
    base-url: http://first.test/v1
    api-key-entries: [{{api-key: first-key}}, {{api-key: second-key}}]
    models: [{{name: m}}]
"""
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5, "seed": 7}
MESSAGES = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hi"}],
    "temperature": 0.5,
}
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"yes"},"finish_reason":"stop"}]}'
)
CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"content":"yes"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
MODEL_ANSWER = (
    b'{"id":"m","type":"message","role":"assistant","model":"claude-real","content":[{"type":"text","text":"yes"}],'
    b'"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}'
)


def refusal(member: str) -> bytes:
    message = f"Unsupported parameter: '{member}' is not supported with this model."
    return json.dumps(
        {"error": {"message": message, "type": "x", "param": member, "code": "unsupported_parameter"}}
    ).encode()


JSON = {"content-type": ["application/json"]}
NO_TEMPERATURE = refusal("temperature")


def ask(world: World, body: dict[str, Any] | None = None, path: str = "/v1/chat/completions") -> Connection:
    return world.request(
        "POST", path, headers={"X-Ampproxy-Losses": "1"}, body=json.dumps(body or CHAT).encode()
    )


def sent(world: World) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in world.client.sent]


def refuse(world: World, body: bytes = NO_TEMPERATURE, status: int = 400) -> None:
    world.client.sent[-1].respond_whole(status, body, JSON)
    world.turn()


def answer(world: World, body: bytes = ANSWER) -> None:
    world.client.sent[-1].respond_whole(200, body, JSON)
    world.turn()


def learned(**arguments: Any) -> World:
    """A world whose first account has taught that it takes no temperature."""
    world = World(CONFIG, **arguments)
    connection = ask(world)
    refuse(world)
    answer(world)
    assert connection.status == 200, connection.answer
    return world


@pytest.mark.parametrize("status", [400, 422])
def test_refused_member_is_left_out_once(status: int) -> None:
    """The same account is asked again without it; the rest is as it came; the client gets the answer, and the
    loss is declared.
    """
    world = World(CONFIG)
    connection = ask(world)
    refuse(world, status=status)
    assert len(world.client.sent) == 2
    assert world.client.sent[0].url == world.client.sent[1].url
    assert world.client.sent[0].header("authorization") == world.client.sent[1].header("authorization")
    answer(world)
    first, second = sent(world)
    assert first == CHAT
    assert second == {name: value for name, value in CHAT.items() if name != "temperature"}
    assert connection.status == 200
    assert b"X-Ampproxy-Losses: refused_member;temperature" in connection.answer
    (told,) = world.exchanges
    assert told["losses"] == {"refused_member": 1}
    assert any("temperature" in attempt for attempt in told["attempts"])
    assert world.generation.pool.state.begun == {}


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (
            "Unexpected value(s) `context-1m-2025-08-07` for the `anthropic-beta` header.",
            "a-2026-01-01,b-2026-01-01",
        ),
        ("The long context beta is not yet available for this subscription.", "a-2026-01-01,b-2026-01-01"),
        (
            "This authentication style is incompatible with the long context beta header.",
            "a-2026-01-01,b-2026-01-01",
        ),
        ("invalid beta flag", None),
    ],
)
def test_betas_that_are_refused(message: str, kept: str | None) -> None:
    """They stand in a header, and are left out of it; the next request with the same has them not."""
    world = World(CONFIG)
    told = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    betas = {"anthropic-beta": "a-2026-01-01, context-1m-2025-08-07, b-2026-01-01"}
    body = json.dumps({**MESSAGES, "model": "claude-local"}).encode()
    connection = world.request("POST", "/v1/messages", headers=betas, body=body)
    refuse(world, json.dumps(told).encode())
    answer(world, MODEL_ANSWER)
    assert connection.status == 200
    assert world.exchanges[-1]["losses"] == {"refused_value": 1}
    world.request("POST", "/v1/messages", headers=betas, body=body)
    first, *others = [one.header("anthropic-beta") for one in world.client.sent]
    assert first == [betas["anthropic-beta"]]
    assert others == [[kept] if kept else []] * 2


def test_a_value_is_no_beta() -> None:
    """Other refusals leave the header as it is."""
    world = World(CONFIG)
    body = json.dumps({**MESSAGES, "model": "claude-local"}).encode()
    told = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "messages.0: invalid value"},
    }
    connection = world.request("POST", "/v1/messages", headers={"anthropic-beta": "a-2026-01-01"}, body=body)
    refuse(world, json.dumps(told).encode())
    assert connection.status == 400
    assert len(world.client.sent) == 1


def test_next_request_goes_right_at_once() -> None:
    """Also of another client in another dialect, whose request is translated."""
    world = learned()
    key = world.client.sent[0].header("authorization")
    for body, path in ((CHAT, "/v1/chat/completions"), (MESSAGES, "/v1/messages")) * 2:
        before = len(world.client.sent)
        connection = ask(world, body, path)
        answer(world)
        assert len(world.client.sent) == before + 1
        assert connection.status == 200
        mine = world.client.sent[-1].header("authorization") == key
        assert ("temperature" in sent(world)[-1]) is not mine
        assert (b"refused_member;temperature" in connection.answer) is mine


def test_streams() -> None:
    """A streamed request is repeated before its first byte."""
    world = World(CONFIG)
    connection = ask(world, {**CHAT, "stream": True})
    refuse(world)
    body = world.client.sent[-1].respond(200, {"content-type": ["text/event-stream"]})
    body.data(CHUNK)
    body.done()
    world.turn()
    assert "temperature" not in sent(world)[-1]
    assert connection.ended_cleanly
    assert b"yes" in connection.body


def test_refusal_within_a_stream() -> None:
    """A vendor that refuses by the first event of a stream teaches just so."""
    world = World(CONFIG)
    connection = ask(world, {**CHAT, "stream": True})
    body = world.client.sent[-1].respond(200, {"content-type": ["text/event-stream"]})
    body.data(b"data: " + NO_TEMPERATURE.replace(b'"x"', b'"invalid_request_error"') + b"\n\n")
    world.turn()
    assert len(world.client.sent) == 2
    assert "temperature" not in sent(world)[-1]
    body = world.client.sent[-1].respond(200, {"content-type": ["text/event-stream"]})
    body.data(CHUNK)
    body.done()
    world.turn()
    assert connection.ended_cleanly


def test_translated() -> None:
    """What is left out of a translated request is the account's member, not the client's."""
    world = World(CONFIG)
    connection = ask(world, MESSAGES, "/v1/messages")
    message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    refuse(world, json.dumps({"error": {"message": message, "param": "max_tokens"}}).encode())
    answer(world)
    first, second = sent(world)
    limit = first.pop("max_tokens")
    assert second.pop("max_completion_tokens") == limit
    assert first == second
    assert connection.status == 200


def test_one_member_at_a_time() -> None:
    """Servers name the first that they do not know: each further one is left out, too, a few times."""
    world = World(CONFIG.replace(", {api-key: second-key}", ""))
    members = {"temperature": 0, "seed": 1, "top_k": 3, "mirostat": 2}
    body = {**{name: CHAT[name] for name in ("model", "messages")}, **members}
    connection = ask(world, body)
    for name in members:
        assert not connection.answer
        refuse(world, refusal(name))
    assert len(world.client.sent) == 4
    assert connection.status == 400
    assert b"mirostat" in connection.body
    connection = ask(world, body)
    assert sent(world)[-1].keys() & members.keys() == {"mirostat"}
    refuse(world, refusal("mirostat"))
    answer(world)
    assert connection.status == 200
    ask(world, body)
    answer(world)
    assert len(world.client.sent) == 7
    assert not sent(world)[-1].keys() & members.keys()


def test_never_the_same_twice() -> None:
    """Where leaving a member out does not help, the refusal is the client's to hear."""
    world = World(CONFIG.replace(", {api-key: second-key}", ""))
    connection = ask(world)
    refuse(world)
    refuse(world)
    assert len(world.client.sent) == 2
    assert connection.status == 400


@pytest.mark.parametrize("second", [(400, NO_TEMPERATURE), (429, b"{}"), (500, b"{}")])
def test_what_does_not_help_is_not_kept(second: tuple[int, bytes]) -> None:
    """What the repeated request did not prove is forgotten."""
    world = World(CONFIG.replace(", {api-key: second-key}", ""))
    ask(world)
    refuse(world)
    refuse(world, second[1], second[0])
    assert world.generation.runtime.lessons.empty


def test_a_client_that_leaves() -> None:
    """The repeated request is closed with it, and nothing is believed."""
    world = World(CONFIG)
    connection = ask(world)
    refuse(world)
    connection.leave()
    world.turn()
    assert world.client.sent[-1].cancelled
    assert world.generation.runtime.lessons.empty


def test_what_carries_meaning_is_the_clients_to_change() -> None:
    """The refusal reaches the client as the vendor sent it."""
    world = World(CONFIG)
    connection = ask(world)
    refuse(world, refusal("messages"))
    assert len(world.client.sent) == 1
    assert connection.status == 400
    assert connection.body == refusal("messages")


@pytest.mark.parametrize(
    "config",
    [
        CONFIG + "learning: false\n",
        CONFIG.replace("    models: [{name: m}]", "    models: [{name: m}]\n    learning: false"),
        CONFIG + "translation: strict\n",
    ],
    ids=["off", "off for the account", "strict"],
)
def test_switched_off(config: str) -> None:
    """Nothing is repeated; under strict translation nothing that takes something from the request."""
    world = World(config)
    connection = ask(world)
    refuse(world)
    assert len(world.client.sent) == 1
    assert connection.body == NO_TEMPERATURE


TOO_LONG = b"""{"error": {"message": "This model's maximum context length is 32768 tokens and your request has 4096
 input tokens (32000 > 32768 - 4096).", "type": "BadRequestError", "code": 400}}""".replace(b"\n", b"")


@pytest.mark.parametrize("after", [200, 400])
def test_what_holds_for_one_request_alone(after: int) -> None:
    """What is left beside one question says nothing of the next."""
    world = World(CONFIG)
    connection = ask(world, {**CHAT, "max_tokens": 32000})
    refuse(world, TOO_LONG)
    assert sent(world)[-1]["max_tokens"] == 28672
    if after == 200:
        answer(world)
        assert connection.status == 200
    else:
        refuse(world, TOO_LONG)
        assert connection.status == 400
    for _ in range(2):
        ask(world, {**CHAT, "max_tokens": 32000})
        assert sent(world)[-1]["max_tokens"] == 32000
        answer(world)
    assert world.generation.runtime.lessons.proven() == []


def test_a_template_that_fails() -> None:
    """llama.cpp and Ollama report it as a fault of their own."""
    world = World(CONFIG)
    late = {"role": "system", "content": "late"}
    connection = ask(world, {**CHAT, "messages": [*CHAT["messages"], late, *CHAT["messages"]]})
    message = b"Jinja Exception: System message must be at the beginning."
    refuse(world, b'{"error":{"code":500,"message":"%b","type":"server_error"}}' % message, status=500)
    assert world.client.sent[0].url == world.client.sent[1].url
    assert [message["role"] for message in sent(world)[-1]["messages"]] == ["user"]
    answer(world)
    assert connection.status == 200


def test_a_gateway_before_a_login() -> None:
    """It adds nothing of its own to what the backend wants; a whole answer is made of the stream."""
    world = World(
        f"""
api-keys: ["{CLIENT_KEY}"]
codex-api-key:
  - {{api-key: k-0123456789, base-url: 'http://relay.test/v1', models: [{{name: gpt-5.5, alias: m}}]}}
"""
    )
    body = {"model": "m", "input": "go"}
    done = (
        b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"r","object":"response",'
        b'"status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text",'
        b'"text":"yes"}]}]}}\n\n'
    )
    for number in range(2):
        connection = ask(world, body, "/v1/responses")
        if not number:
            refuse(world, b'{"detail":"Stream must be set to true"}')
        assert len(world.client.sent) == 2 + number
        assert sent(world)[-1]["stream"] is True
        stream = world.client.sent[-1].respond(200, {"content-type": ["text/event-stream"]})
        stream.data(done)
        stream.done()
        world.turn()
        assert json.loads(connection.body)["output"][0]["content"][0]["text"] == "yes"


def test_strict_sends_what_was_learned_before() -> None:
    """What was learned under lenient translation is not done under strict: the vendor refuses it instead."""
    world = learned()
    world.use(CONFIG + "translation: strict\n")
    ask(world)
    answer(world)
    ask(world)
    answer(world)
    assert [body["temperature"] for body in sent(world)[2:]] == [0.5, 0.5]


def test_strict_renames() -> None:
    """Another name takes nothing from a request."""
    world = World(CONFIG + "translation: strict\n")
    connection = ask(world, {**CHAT, "max_tokens": 5})
    message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    refuse(world, json.dumps({"error": {"message": message}}).encode())
    answer(world)
    assert connection.status == 200
    assert sent(world)[-1]["max_completion_tokens"] == 5


def test_by_account_and_model() -> None:
    """Another account is not bent by what this one taught, nor is another call."""
    world = learned()
    ask(world, {**CHAT, "messages": [{"role": "user", "content": "another conversation"}]})
    answer(world)
    keys = [one.header("authorization") for one in world.client.sent]
    assert keys[-1] != keys[0]
    assert sent(world)[-1]["temperature"] == 0.5


def test_betas_tell_requests_apart() -> None:
    """What Anthropic refuses without a beta it may take with it."""
    world = World(CONFIG)
    body = {**MESSAGES, "model": "claude-local", "context_management": {"edits": []}}
    words = b'{"type":"error","error":{"type":"invalid_request_error","message":"context_management: Extra inputs are not permitted"}}'
    ask(world, body, "/v1/messages")
    refuse(world, words)
    assert "context_management" not in sent(world)[-1]
    answer(world, MODEL_ANSWER)
    world.request(
        "POST",
        "/v1/messages",
        headers={"anthropic-beta": "context-management-2025-06-27"},
        body=json.dumps(body).encode(),
    )
    assert sent(world)[-1]["context_management"] == {"edits": []}


def test_survives_a_restart(tmp_path: Path) -> None:
    """What was learned is in a file of the owner's alone, written by and by; the next process knows it."""
    world = learned(state=tmp_path)
    assert not (tmp_path / NAME).exists()
    world.clock.advance(PAUSE)
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert ACCOUNT_KEY.encode() not in (tmp_path / NAME).read_bytes()
    assert b"first-key" not in (tmp_path / NAME).read_bytes()
    again = World(CONFIG, state=tmp_path)
    ask(again)
    assert "temperature" not in sent(again)[0]


def test_ends_by_its_age() -> None:
    """A vendor may have changed its mind: after max-age the request goes as it came."""
    world = learned()
    world.clock.advance(7 * 86400 + 1)
    ask(world)
    answer(world)
    ask(world)
    answer(world)
    assert all("temperature" in body for body in sent(world)[2:])


def test_bounded() -> None:
    """The oldest make room."""
    world = World(CONFIG.replace(", {api-key: second-key}", "") + "learning: {max-lessons: 1}\n")
    for member in ("temperature", "seed"):
        ask(world)
        refuse(world, refusal(member))
        answer(world)
        world.clock.advance(1)
    ask(world)
    assert sent(world)[-1].keys() == {"model", "messages", "temperature"}


def test_doubt() -> None:
    """A vendor that refuses what a lesson led to has the lesson forgotten."""
    world = World(CONFIG.replace(", {api-key: second-key}", ""))
    ask(world)
    refuse(world)
    answer(world)
    connection = ask(world)
    refuse(world, b'{"error":{"message":"temperature: Field required"}}')
    assert connection.status == 400
    ask(world)
    assert sent(world)[-1]["temperature"] == 0.5


def order(world: World, query: str = "", method: str = "POST", **arguments: Any) -> Connection:
    return world.request(method, "/ampproxy/forget" + query, body=b"", **arguments)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        ("?account=openai-compatibility/first[0]", 1),
        ("?account=openai-compatibility/first[1]", 0),
        ("?model=m", 1),
        ("?model=other", 0),
        ("?account=openai-compatibility/first[0]&account=claude-api-key[0]&model=m", 1),
    ],
)
def test_forgotten_by_order(query: str, count: int, tmp_path: Path) -> None:
    """At once, in the file too, also where it was just about to be written: of all accounts, or of those named."""
    world = learned(state=tmp_path)
    answered = order(world, query)
    assert answered.status == 200
    assert json.loads(answered.body) == {"forgotten": count}
    ask(world)
    assert ("temperature" in sent(world)[-1]) is bool(count)
    world.clock.advance(PAUSE)
    again = World(CONFIG, state=tmp_path)
    ask(again)
    assert ("temperature" in sent(again)[0]) is bool(count)


def test_what_another_process_forgot_stays_forgotten(tmp_path: Path) -> None:
    """While one process takes another's place both write the file; what each has learned is kept, and what was
    forgotten by order does not come back.
    """
    world = learned(state=tmp_path)
    world.clock.advance(PAUSE)
    successor = World(CONFIG, state=tmp_path)
    successor.clock.advance(10)
    ask(successor, {**CHAT, "model": "m"})
    refuse(successor, refusal("seed"))
    answer(successor)
    successor.clock.advance(PAUSE)
    kept = json.loads((tmp_path / NAME).read_bytes())["lessons"]
    assert [one["lesson"]["place"] for one in kept] == [["temperature"], ["seed"]]
    order(successor)
    successor.generation.runtime.lessons.close()
    assert json.loads((tmp_path / NAME).read_bytes())["lessons"] == []


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status"),
    [
        ("GET", "", {}, 405),
        ("POST", "/more", {}, 404),
        ("POST", "?account=nobody", {}, 404),
        ("POST", "", {"key": "wrong"}, 401),
        ("POST", "", {"peer": "192.0.2.1"}, 403),
        ("POST", "", {"headers": {"Origin": "http://127.0.0.1:8317"}}, 403),
    ],
)
def test_who_may_order(method: str, path: str, arguments: Any, status: int) -> None:
    """The owner alone, from this machine, and no web page."""
    world = learned()
    assert order(world, path, method, **arguments).status == status
    assert not world.generation.runtime.lessons.empty


def test_shown() -> None:
    """The account's report says what it refuses, since when, until when, and how often that counted."""
    world = learned()
    ask(world)
    answer(world)
    told = json.loads(world.request("GET", "/ampproxy/accounts").body)["accounts"]
    shown = {one["label"]: one["lessons"] for one in told}
    (lesson,) = shown.pop("openai-compatibility/first[0]")
    assert lesson == {
        "model": "m",
        "call": "openai-chat generate",
        "member": "temperature",
        "about": "is left out",
        "learned_at": 1_700_000_000.0,
        "ends_at": 1_700_000_000.0 + 7 * 86400,
        "used": 2,
    }
    assert set(map(len, shown.values())) == {0}
    metrics = generate_latest(_registry(world)).decode()
    names = [account_name(account) for account in world.config.accounts]
    for metric in ("ampproxy_account_lessons", "ampproxy_lessons_total"):
        counts = [
            f'{metric}{{account="{name}"}} {count}.0' in metrics
            for name, count in zip(names, (0, 1, 0), strict=True)
        ]
        assert counts == [True] * 3


def _registry(world: World) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(StateCollector(lambda: world.generation, {}))
    return registry


def test_the_log_says_it_once() -> None:
    """With the vendor's words, when it is learned; not for every request that profits."""
    world = learned()
    ask(world)
    answer(world)
    told = [formatEvent(event) for event in world.events if "refuses" in str(event.get("log_format"))]
    assert len(told) == 1
    assert "openai-compatibility/first[0] refuses temperature for m" in told[0]
    assert "is left out" in told[0]


def test_disk_that_takes_nothing(tmp_path: Path) -> None:
    """It is logged once, and what was learned holds as long as the process."""
    place = tmp_path / "file"
    place.write_bytes(b"")
    world = learned(state=place)
    for _ in range(3):
        world.clock.advance(PAUSE)
    told = [
        formatEvent(event) for event in world.events if "cannot be written" in str(event.get("log_format"))
    ]
    assert len(told) == 1
    ask(world)
    assert "temperature" not in sent(world)[-1]
    refused = order(world)
    assert refused.status == 500
    assert b"only until a restart" in refused.body


@pytest.mark.parametrize("content", [b"", b"{", b'{"lessons":[{}]}', b"[" * 5000, b"\xff"])
def test_broken_file(content: bytes, tmp_path: Path) -> None:
    """A file that cannot be read teaches nothing, and is replaced."""
    (tmp_path / NAME).write_bytes(content)
    world = learned(state=tmp_path)
    world.clock.advance(PAUSE)
    assert len(json.loads((tmp_path / NAME).read_bytes())["lessons"]) == 1


def test_huge_body_is_looked_at_in_a_thread() -> None:
    """Nothing of a request of megabytes keeps the reactor waiting: neither what a refusal says of it, nor what
    is left out of the next.
    """
    world = World(CONFIG.replace(", {api-key: second-key}", ""))
    ask(world)
    refuse(world)
    answer(world)
    jobs: list[int] = []
    workers = world.generation.runtime.workers
    run = workers.run

    def noted(work: Any, size: int) -> Any:
        jobs.append(size)
        return run(work, size)

    workers.run = noted  # type: ignore[method-assign]
    text = "x" * 3_000_000
    ask(world, {**CHAT, "messages": [{"role": "user", "content": text}]})
    assert "temperature" not in sent(world)[-1]
    assert jobs
    jobs.clear()
    refuse(world, refusal("seed"))
    assert len(jobs) == 2
    answer(world)
    assert sent(world)[-1].keys() == {"model", "messages"}
