"""The log has one line for an exchange that failed, which says what there is to say."""

from __future__ import annotations

from twisted.internet.error import ConnectionRefusedError
from twisted.logger import formatEvent

from tests.resources.harness import World
from tests.resources.test_accounts import BROKEN, Several

DEAD = "openai-compatibility: [{name: ghost, base-url: 'http://127.0.0.1:1/v1', models: [ghost]}]\n"
LOCAL = "claude-api-key: [{api-key: canary-k, models: [%s]}]\n"
MODEL_COUNT = 12


def lines(world: World) -> list[str]:
    found = []
    for event in world.events:
        event["exchange"] = event.get("exchange", "")
        found.append(formatEvent(event) or "")
    return found


def dead(world: World) -> None:
    world.request("POST", "/v1/chat/completions", body=b'{"model":"ghost","messages":[]}', key=None)
    for sent in world.client.sent:
        sent.answer.errback(ConnectionRefusedError())
    world.client.sent.clear()
    world.turn()


def test_a_dead_server() -> None:
    """That it rests is told once; each exchange has its own line, and nothing says it a second time."""
    world = World(DEAD)
    dead(world)
    first, second = lines(world)
    assert first.startswith("openai-compatibility/ghost[0] cannot be reached for ghost")
    assert "cooling down until " in first
    assert " ghost -> ghost openai-compatibility/ghost[0] " in second
    del world.events[:]
    dead(world)
    early, only = lines(world)
    assert early.endswith("is tried again for ghost, early: every account for it is cooling down")
    assert " POST /v1/chat/completions " in only


def test_others_that_failed() -> None:
    """Of several that were asked each has its line, whether or not one of them served in the end."""
    world = Several("ab", "disable-cooling: true\n")
    world.behaviour = {"a": BROKEN, "b": BROKEN}
    assert world.ask().status == 500
    words = " failed for m: 500 Internal server error"
    failed = [line.split()[0] for line in lines(world) if words in line]
    assert failed == ["claude-api-key[0]", "claude-api-key[1]"]
    del world.events[:]
    world.behaviour = {"a": BROKEN}
    assert world.ask().status == 200
    failed = [line.split()[0] for line in lines(world) if words in line]
    assert failed == ["claude-api-key[0]"]


def test_tried_early() -> None:
    """A rest that is broken off, for there is nobody else, is not said to be over."""
    world = Several("a")
    world.behaviour = {"a": BROKEN}
    world.ask()
    world.clock.advance(30)
    world.ask()
    early = [line for line in lines(world) if "is tried again for m" in line]
    assert early == ["claude-api-key[0] is tried again for m, early: every account for it is cooling down"]
    world.clock.advance(3600)
    world.behaviour = {}
    assert world.ask().status == 200
    assert "claude-api-key[0] is tried again for m after its cooldown" in lines(world)


def test_an_unknown_model() -> None:
    """The line ends with a sentence, and counts what was sent; the client has the YAML, too."""
    names = ", ".join(f"claude-{number}" for number in range(MODEL_COUNT))
    world = World(LOCAL % names)
    connection = world.request("POST", "/v1/messages", body=b'{"model":"claude-99","max_tokens":1}', key=None)
    assert connection.status == 404
    text = connection.body.decode()
    assert f"Nearest of the {MODEL_COUNT} models here: claude-9, " in text
    assert "What would serve it:" in text
    (told,) = world.exchanges
    assert told["why"].rstrip(".").endswith("claude-9, " + told["why"].partition("claude-9, ")[2].rstrip("."))
    assert "What would serve it" not in told["why"]
    assert told["bytes"] == len(connection.body) > 0


def test_turned_away() -> None:
    """What is refused before it is served counts what was sent, too."""
    world = World()
    connection = world.request("GET", "/v1/models", key="canary-wrong")
    assert connection.status == 401
    assert world.exchanges[-1]["bytes"] == len(connection.body) > 0
