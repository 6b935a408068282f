"""Long requests and answers are translated apart from the reactor, short ones in their turn."""

from __future__ import annotations

import gzip
import json

import pytest
from msgspec.structs import replace

from ampproxy.generation import Generation
from ampproxy.relay.record import Outcome
from ampproxy.relay.workers import LARGE, LONG_LOOK, Workers
from ampproxy.resources.root import Root
from tests.relay.test_workers import Threads
from tests.resources.harness import CONFIG, World

CHAT = CONFIG + (
    "openai-compatibility:\n  - {name: other, base-url: http://chat.test/v1, api-key-entries: [{api-key: k}],"
    " models: [{name: real, alias: chat-local}]}\n"
)
WORDS = "word " * (LARGE // 5 + 1)
AMP = "/api/provider/anthropic/v1/messages"
#: What it is for shows in its body, too.
OF_AMP = {"X-Amp-Thread-Id": "T-1"}
JSON = {"Content-Type": ["application/json"]}


RULES = "  fallback:\n    - {model: 'not-*', action: allow}\n"


def world(threads: Threads, config: str = CHAT) -> World:
    """A gateway whose threads end when the test says so."""
    made = World(config)
    made.generation = Generation(made.config, replace(made.generation.runtime, workers=Workers(threads)))
    made.site.resource = Root(made.generation)
    return made


def asked(words: str, model: str = "chat-local") -> bytes:
    return json.dumps(
        {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": words}]}
    ).encode()


def answered(words: str) -> bytes:
    message = {"role": "assistant", "content": words}
    return json.dumps(
        {"id": "c", "model": "real", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    ).encode()


def test_short_ones_stay_in_their_turn() -> None:
    """A short question is asked in the turn in which it came, and its answer said in the turn of its end."""
    threads = Threads()
    made = world(threads)
    connection = made.request("POST", AMP, body=asked("hi"))
    made.client.sent[0].respond_whole(200, answered("hello"), JSON)
    assert not threads.jobs
    assert b"hello" in connection.answer


def test_long_ones_are_translated_apart() -> None:
    """A long question is looked through and translated in threads, as is a long answer; both arrive whole."""
    threads = Threads()
    made = world(threads)
    connection = made.request("POST", AMP, OF_AMP, asked(WORDS))
    assert (len(threads.jobs), made.client.sent) == (1, [])  # looked through
    threads.end()
    assert (len(threads.jobs), made.client.sent) == (1, [])  # translated
    threads.end()
    (sent,) = made.client.sent
    assert json.loads(sent.body)["messages"] == [{"role": "user", "content": WORDS}]
    sent.respond_whole(200, answered(WORDS), JSON)
    assert len(threads.jobs) == 1
    threads.end()
    made.turn()
    assert WORDS.encode() in connection.answer


def test_what_shows_nothing_is_not_looked_through() -> None:
    """A long question of a client that tells nothing of its purpose, without thinking, is only translated."""
    threads = Threads()
    made = world(threads)
    made.request("POST", AMP, body=asked(WORDS))
    assert (len(threads.jobs), made.client.sent) == (1, [])
    threads.end()
    assert (len(threads.jobs), len(made.client.sent)) == (0, 1)


def test_what_only_passes_is_not_kept_waiting() -> None:
    """A long request that goes on as it came needs no thread."""
    threads = Threads()
    made = world(threads)
    made.request("POST", "/v1/messages", body=asked(WORDS, "claude-local"))
    assert not threads.jobs
    assert len(made.client.sent) == 1


def test_a_huge_one_is_looked_at_apart() -> None:
    """Where one look at it would keep others waiting, although nothing but its model's name changes."""
    threads = Threads()
    made = world(threads)
    words = "word " * (LONG_LOOK // 5 + 1)
    made.request("POST", "/v1/messages", body=asked(words, "claude-local"))
    for _ in ("its pieces are joined", "it is looked at"):
        assert (len(threads.jobs), made.client.sent) == (1, [])
        threads.end()
    (sent,) = made.client.sent
    assert json.loads(sent.body) == json.loads(asked(words, "claude-real"))
    refused = made.request("POST", "/v1/messages", body=asked(words, "claude-local")[:-1])
    threads.end()
    threads.end()
    assert len(threads.jobs) == 1  # whether halves of characters are what is wrong with it
    threads.end()
    assert b"400" in refused.answer.partition(b"\r\n")[0]


@pytest.mark.parametrize("jobs", [0, 1])
def test_a_client_that_leaves_meanwhile(jobs: int) -> None:
    """Its request is over at once; what the thread makes of it later goes nowhere."""
    threads = Threads()
    made = world(threads)
    connection = made.request("POST", AMP, OF_AMP, asked(WORDS))
    for _ in range(jobs):
        threads.end()
    connection.leave()
    assert made.exchanges[-1]["outcome"] == Outcome.CLIENT_LEFT.value
    while threads.jobs:
        threads.end()
    assert made.client.sent == []


def test_a_bad_long_request() -> None:
    """A mistake in a long request is told as it is in a short one."""
    threads = Threads()
    made = world(threads)
    connection = made.request("POST", AMP, body=asked(WORDS).replace(b'"user"', b'"odd"'))
    while threads.jobs:
        threads.end()
    assert b"400" in connection.answer.partition(b"\r\n")[0]
    assert b"messages[0].role" in connection.answer


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_an_unknown_path(coding: str) -> None:
    """A long body, or one that may become long, is looked at apart there, too, before Amp is asked."""
    threads = Threads()
    made = world(threads, CONFIG + RULES)
    body = json.dumps({"model": "not-here", "input": WORDS}).encode()
    headers = {"Content-Encoding": coding} if coding else {}
    sent = gzip.compress(body) if coding else body
    connection = made.request("POST", "/api/provider/openai/v1/unheard-of", headers, sent)
    assert (len(threads.jobs), made.client.sent, connection.answer) == (1, [], b"")
    threads.end()
    (asked_of_amp,) = made.client.sent
    assert asked_of_amp.body == body
