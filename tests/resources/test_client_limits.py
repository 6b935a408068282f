"""Limits of a client: counted once by each exchange, told in its dialect, kept whatever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from ampproxy.credits.bound import most_tokens
from ampproxy.server.limiter import Limiter
from ampproxy.tenants.store import Counts, CountsFailed
from tests.resources.harness import CLIENT_KEY, World
from tests.resources.test_provider import AMP, ANSWER, DELTA, JSON, ROOT, SSE, START, STOP, body

KEY = "key-of-ci-0123456789"
#: The clock of the harness: 2023-11-14 22:13:20, a Tuesday.
MIDNIGHT, MONTH_END = 6400, 1388800
ACCOUNTS = """
claude-api-key:
  - api-key: first-account-key
    base-url: http://one.test
    models: [{name: claude-real, alias: claude-local}]
  - api-key: second-account-key
    base-url: http://two.test
    models: [{name: claude-dear}]
openai-compatibility:
  - name: chat
    base-url: http://chat.test/v1
    api-key-entries: [{api-key: chat-account-key}]
    models: [{name: gpt-local}]
ampcode: {upstream-url: "https://amp.test", upstream-api-key: amp-key-0123456789}
"""
USED = (
    b'{"id":"m","type":"message","model":"claude-real","content":[],'
    b'"usage":{"input_tokens":30,"output_tokens":12}}'
)
CHAT = (
    b'{"id":"c","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"x"}}]}'
)


class Dollars:
    """A dollar for a hundred tokens in, ten for as many out; the dear model has no price."""

    def most(self, account: Any, model: str, input: int, output: int) -> int | None:
        return None if model == "claude-dear" else input * 10_000 + output * 100_000

    def of(self, account: Any, model: str, usage: Any) -> int | None:
        return self.most(account, model, usage.input, usage.output)


def world(limiter: Limiter | None = None, **limits: object) -> World:
    shown = json.dumps({name.replace("_", "-"): value for name, value in limits.items()})
    entry = f"{{name: ci, key: {KEY}, limits: {shown}}}"
    return World(
        f"api-keys: [{CLIENT_KEY}, {entry}]\n{ACCOUNTS}", limiter=limiter, costs=lambda config: Dollars()
    )


def ask(world: World, model: str = "claude-local", path: str = ROOT, key: str = KEY, **members: object):
    return world.request("POST", path, body=body(model, **members), key=key)


def served(world: World, answer: bytes = USED, **members: object):
    connection = ask(world, **members)
    world.client.sent[-1].respond_whole(200, answer, JSON)
    return connection


def error_of(connection) -> dict:
    return json.loads(connection.body)["error"]


def headers_of(connection) -> dict[str, str]:
    lines = connection.answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def test_requests() -> None:
    """The limit's last request is served, the next refused until the day is over; others are not counted."""
    here = world(requests_per_day=2)
    assert [served(here).status for _ in range(2)] == [200, 200]
    refused = ask(here)
    assert refused.status == 429
    error = error_of(refused)
    assert error["type"] == "rate_limit_error"
    assert "ci has 0 requests of 2 requests left of its limit requests-per-day" in error["message"]
    assert "renews at 2023-11-15 00:00 UTC (in 1 h 47 min)" in error["message"]
    assert "api-keys[].limits.requests-per-day" in error["message"]
    assert headers_of(refused)["retry-after"] == str(MIDNIGHT)
    assert headers_of(refused)["anthropic-ratelimit-requests-remaining"] == "0"
    assert len(here.client.sent) == 2
    assert served(here, key=CLIENT_KEY).status == 200
    here.wall += MIDNIGHT
    assert served(here).status == 200
    assert here.exchanges[2]["code"] == "client_limit_reached"


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        (ROOT, {"messages": []}, b'"rate_limit_error"'),
        ("/v1/chat/completions", {"messages": []}, b'"client_limit_reached"'),
        ("/v1/responses", {"input": "hi"}, b'"client_limit_reached"'),
        ("/v1beta/models/claude-local:generateContent", {"contents": []}, b'"RESOURCE_EXHAUSTED"'),
    ],
)
def test_in_every_dialect(path: str, content: dict, kind: bytes) -> None:
    """A client's own SDK understands the refusal, and waits as long as it says."""
    here = world(requests_per_minute=1)
    served(here)
    asked = json.dumps({"model": "claude-local", **content}).encode()
    refused = here.request("POST", path, body=asked, key=KEY)
    assert refused.status == 429
    assert headers_of(refused)["retry-after"] == "40"
    assert kind in refused.body


def test_remaining_in_the_vendors_headers() -> None:
    """Each answer says what is left, its own request counted, as the dialect's own vendor does."""
    here = world(requests_per_day=5, tokens_per_month=100_000)
    told = headers_of(served(here))
    bound = most_tokens(body("claude-local"), 0)
    assert told["anthropic-ratelimit-requests-limit"] == "5"
    assert told["anthropic-ratelimit-requests-remaining"] == "4"
    assert told["anthropic-ratelimit-requests-reset"] == "2023-11-15T00:00:00Z"
    assert told["anthropic-ratelimit-tokens-limit"] == "100000"
    assert bound <= 100_000 - int(told["anthropic-ratelimit-tokens-remaining"]) <= bound + 5
    assert told["x-ampproxy-limits"].startswith(
        "requests-per-day;limit=5;left=4;renews=2023-11-15T00:00:00Z, "
    )
    asked = json.dumps({"model": "gpt-local", "messages": [], "max_tokens": 5}).encode()
    connection = here.request("POST", "/v1/chat/completions", body=asked, key=KEY)
    here.client.sent[-1].respond_whole(200, CHAT, JSON)
    told = headers_of(connection)
    assert told["x-ratelimit-remaining-requests"] == "3"
    assert told["x-ratelimit-reset-requests"] == "1h46m40s"
    assert "x-ampproxy-limits" not in headers_of(served(here, key=CLIENT_KEY))


def test_the_clients_limits_hide_the_accounts() -> None:
    """With passthrough-headers, too, a client with limits hears of its own."""
    entry = f"{{name: ci, key: {KEY}, limits: {{requests-per-day: 5}}}}"
    here = World(f"passthrough-headers: true\napi-keys: [{entry}]\n{ACCOUNTS}")
    connection = ask(here)
    vendor = {**JSON, "anthropic-ratelimit-requests-remaining": ["77"], "x-echo": ["echo"]}
    here.client.sent[-1].respond_whole(200, ANSWER, vendor)
    told = headers_of(connection)
    assert told["anthropic-ratelimit-requests-remaining"] == "4"
    assert told["x-echo"] == "echo"


def used(world: World) -> Any:
    counts = world.generation.runtime.limiter._counts
    (client,) = [client for client in world.config.clients if client.name]
    return counts.used("name:ci", client.limits)  # type: ignore[union-attr]


def test_tokens_are_settled_by_usage() -> None:
    """An answer costs what its vendor says, not what it might have."""
    here = world(tokens_per_day=100_000)
    served(here)
    assert used(here)["day"].tokens == 42
    connection = ask(here, stream=True)
    stream = here.client.sent[-1].respond(200, SSE)
    stream.data(START + DELTA)
    here.turn()
    assert used(here)["day"].tokens > 1000
    stream.data(STOP)
    stream.done()
    here.turn()
    assert connection.ended_cleanly
    assert used(here)["day"].tokens == 42 + 5
    assert used(here)["day"].requests == 2


def test_a_request_that_may_use_more_than_is_left() -> None:
    """It is refused before it is sent: by waiting, if that helps, else by a smaller one."""
    here = world(tokens_per_minute=3000)
    waits = ask(here, max_tokens=1000)
    assert here.client.sent
    refused = ask(here, max_tokens=1000)
    assert refused.status == 429
    assert "this request may use up to 2,0" in error_of(refused)["message"]
    never = ask(here, max_tokens=5000)
    assert never.status == 402
    assert "more than the whole limit" in error_of(never)["message"]
    assert "retry-after" not in headers_of(never)
    here.client.sent[0].respond_whole(200, USED, JSON)
    assert waits.status == 200
    ask(here, max_tokens=1000)
    assert len(here.client.sent) == 2


def test_two_bounds_in_one_body() -> None:
    """A body with two bounds of its answer is counted by the one that is sent."""
    here = world(tokens_per_day=4000)
    twice = b'{"model":"claude-local","max_tokens":900000,"messages":[],"max_tokens":5}'
    here.request("POST", ROOT, body=twice, key=KEY)
    assert here.client.sent[0].body.count(b"max_tokens") == 1


def test_a_thinking_suffix() -> None:
    """It may have the answer be longer than the client's own bound, which then does not count."""
    here = world(tokens_per_day=20_000)
    assert ask(here, "claude-local(high)").status == 402
    ask(here)
    assert len(here.client.sent) == 1


def test_what_cannot_be_bounded() -> None:
    """Under a limit in tokens what nobody can count is refused, with why; one in requests does not mind."""
    asked = json.dumps({"model": "claude-local", "input": "x", "previous_response_id": "r"}).encode()
    here = world(tokens_per_day=100_000)
    refused = here.request("POST", "/v1/responses", body=asked, key=KEY)
    assert refused.status == 402
    assert b"previous_response_id" in refused.body
    assert b"client_limit_unbounded" in refused.body


def test_money() -> None:
    """Dollars stop at most one request late, also with many at once; they renew with the month."""
    here = world(usd_per_month=20)
    connections = [ask(here, max_tokens=100) for _ in range(5)]
    # Each may cost 10 dollars for its answer and some for its question: the third finds nothing left.
    assert len(here.client.sent) == 1
    assert [connection.status for connection in connections[1:]] == [402] * 4
    error = error_of(connections[1])
    assert "$0.00 of $20.00" in error["message"]
    assert headers_of(connections[1])["retry-after"] == str(MONTH_END)
    here.client.sent[0].respond_whole(200, USED, JSON)
    assert used(here)["month"].usd == 30 * 10_000 + 12 * 100_000
    spent = 0
    while (connection := ask(here, max_tokens=100)) and len(here.client.sent) == 2 + spent:
        here.client.sent[-1].respond_whole(200, USED, JSON)
        spent += 1
    assert connection.status == 402
    # 1.50 dollars each: thirteen are 19.50, and one more is late.
    assert spent + 1 == 14
    assert used(here)["month"].usd == 14 * 1_500_000
    assert headers_of(connection)["retry-after"] == str(MONTH_END)


def test_money_without_a_price() -> None:
    """What a model costs must be known: it would be served for nothing."""
    refused = ask(world(usd_per_day=20), "claude-dear")
    assert refused.status == 402
    assert "ledger.prices" in error_of(refused)["message"]


def test_money_where_nobody_can_bound_it() -> None:
    """Such a request has all that is left to itself until it ends."""
    here = world(usd_per_day=20)
    linked = json.dumps(
        {
            "model": "claude-local",
            "max_tokens": 5,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "source": {"type": "url", "url": "https://a/b"}}],
                }
            ],
        }
    ).encode()
    first = here.request("POST", ROOT, body=linked, key=KEY)
    assert ask(here).status == 402
    here.client.sent[0].respond_whole(200, USED, JSON)
    assert first.status == 200
    ask(here)
    assert len(here.client.sent) == 2


FAILED = b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'


def test_what_a_vendor_refuses() -> None:
    """It counts as a request and costs no tokens."""
    here = world(tokens_per_day=100_000, requests_per_day=5)
    assert ask(here).answer == b""
    here.client.sent[0].respond_whole(400, FAILED, JSON)
    assert (used(here)["day"].requests, used(here)["day"].tokens) == (1, 0)


def test_what_is_refused_here() -> None:
    """An unknown model and a foreign one are not counted at all."""
    here = world(requests_per_day=1)
    assert ask(here, "gpt-unheard").status == 404
    assert served(here).status == 200


def test_a_client_that_leaves() -> None:
    """What was made of an answer is billed, how much nobody tells: its bound stays counted."""
    here = world(tokens_per_day=100_000)
    connection = ask(here, stream=True, max_tokens=1000)
    here.client.sent[0].respond(200, SSE).data(START + DELTA)
    here.turn()
    connection.leave()
    here.turn()
    assert used(here)["day"].tokens > 2000


def test_concurrent() -> None:
    """As many as are allowed are under way; one that ends makes room, however it ends."""
    here = world(concurrent=2)
    connections = [ask(here, stream=True) for _ in range(3)]
    assert connections[2].status == 429
    assert headers_of(connections[2])["retry-after"] == "1"
    assert "concurrent" in error_of(connections[2])["message"]
    connections[0].leave()
    here.turn()
    ask(here, stream=True)
    assert len(here.client.sent) == 3
    assert ask(here).status == 429
    here.client.sent[1].respond_whole(400, FAILED, JSON)
    assert served(here).status == 200


def test_swapped_keys() -> None:
    """Two entries change places, one is taken out and put back: each goes on where it was."""
    two = [
        f"{{name: ci, key: {KEY}, limits: {{requests-per-day: 3}}}}",
        "{key: unnamed-key-of-ben, limits: {requests-per-day: 3}}",
    ]
    here = World(f"api-keys: [{', '.join(two)}]\n{ACCOUNTS}")
    served(here)
    served(here)
    served(here, key="unnamed-key-of-ben")
    for keys in (two[::-1], two[:1], two):
        here.use(f"api-keys: [{', '.join(keys)}]\n{ACCOUNTS}")
    assert headers_of(served(here))["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers_of(served(here, key="unnamed-key-of-ben"))["anthropic-ratelimit-requests-remaining"] == "1"


def test_amp() -> None:
    """What goes to Amp is within the same limits."""
    here = world(requests_per_day=1)
    ask(here, "claude-unheard", AMP)
    here.client.sent[0].respond_whole(200, USED, JSON)
    assert ask(here, "claude-unheard", AMP).status == 429
    assert len(here.client.sent) == 1


class _Slow:
    """A thread that works when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, Deferred[Any]]] = []

    def __call__(self, work: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.waiting.append((work, done))
        return done

    def go_on(self) -> None:
        work, done = self.waiting.pop(0)
        try:
            done.callback(work())
        except Exception as error:
            done.errback(error)


def slow_world(counts: Any = None) -> tuple[World, _Slow]:
    slow = _Slow()
    here = world(None, requests_per_day=20)
    log = here.generation.runtime.log
    limiter = Limiter(lambda: counts or Counts(None, lambda: here.wall), slow, log)
    return world(limiter, requests_per_day=20), slow


def test_fifty_at_once() -> None:
    """Of fifty at once twenty are served. All that come meanwhile are one transaction."""
    here, slow = slow_world()
    connections = [ask(here) for _ in range(50)]
    assert here.client.sent == []
    assert len(slow.waiting) == 1
    while slow.waiting:
        slow.go_on()
    assert len(here.client.sent) == 20
    assert sum(connection.answer.startswith(b"HTTP/1.1 429") for connection in connections) == 30


def test_gone_while_it_waited() -> None:
    """A client that leaves before it was counted has used nothing."""
    here, slow = slow_world()
    connection = ask(here)
    connection.leave()
    while slow.waiting:
        slow.go_on()
    assert here.client.sent == []
    assert used(here)["day"].requests == 0
    (exchange,) = here.exchanges
    assert exchange["outcome"] == "client-left"


class _Broken:
    def work(self, orders: Any) -> Any:
        raise CountsFailed("/state/clients.sqlite3: disk I/O error")

    def close(self) -> None:
        pass


def test_counts_that_fail() -> None:
    """Nobody is served beyond a limit because a disk is full; who has none is served."""
    here, slow = slow_world(_Broken())
    connection = ask(here)
    slow.go_on()
    assert connection.status == 503
    assert "/state/clients.sqlite3: disk I/O error" in error_of(connection)["message"]
    assert served(here, key=CLIENT_KEY).status == 200


def test_without_limits_nothing_is_counted() -> None:
    """A key with rights alone opens no file."""
    here = World(f"api-keys: [{{name: ci, key: {KEY}, models: ['*']}}]\n{ACCOUNTS}")
    served(here)
    assert here.generation.runtime.limiter._counts is None
