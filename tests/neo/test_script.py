"""AmpCloud's whole script, over each of the three formats, by an account of each of the four dialects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.testing.amp_formats import COMPACTION, ModelError
from ampproxy.testing.script import Script
from tests.interop.backends import PROVERS, proofs
from tests.neo.world import MODELS, PAIRS, CloudWorld

THREAD = "T-11111111-2222-3333-4444-55555555000{}"
TOOLS: dict[str, Any] = {
    name: {
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
        "additionalProperties": False,
    }
    for name in ("Read", "Grep")
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="

pytestmark = pytest.mark.parametrize(("format", "backend"), PAIRS)


def text_of(world: CloudWorld) -> str:
    """What the vendor was sent last."""
    return world.vendors.asked[-1][1].body.decode()


def test_main(format, backend):
    """Two turns of a thread: text, usage, and an honest end; the account is the same."""
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1), tools=TOOLS)
    talk.user("Hello from Neo")
    first = world.ask(talk)
    assert "Hello from Neo" in first.text
    assert first.input_tokens > 0
    talk.user("And again")
    second = world.ask(talk)
    assert "And again" in second.text
    assert json.dumps(first.text) in text_of(world)
    assert len(set(world.accounts)) == 1
    records = [event["exchange"] for event in world.world.exchanges]
    assert {(one.client, one.thread, one.kind) for one in records} == {
        ("amp-cloud", THREAD.format(1), "local")
    }
    assert {one.asked for one in records} == {world.model}
    assert all(one.usage is not None for one in records)
    world.check_secrets()


def test_tool_loop(format, backend):
    """A call, its result under the id that Amp made of it, and the answer to that."""
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1), tools=TOOLS)
    talk.user('Please use the tool Read with {"path": "a.py"}')
    asked = world.ask(talk)
    ((id, name, arguments),) = asked.calls
    assert (name, arguments, asked.stop) == ("Read", {"path": "a.py"}, "tool_use")
    assert len(id) == 25
    talk.give({id: "the content of a.py"})
    answer = world.ask(talk)
    assert "the content of a.py" in answer.text
    if backend in PROVERS and format != "chat-completions":
        # What the vendor sealed comes back to it as it was, and it knows it again.
        assert proofs(backend, world.vendors.asked[-1][1].json)
    talk.user("Thanks")
    assert "Thanks" in world.ask(talk).text
    world.check_secrets()


def test_parallel_tools(format, backend):
    """Two calls in one answer."""
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1), tools=TOOLS)
    talk.user("Please use the tools Read and Grep")
    asked = world.ask(talk)
    assert [name for _, name, _ in asked.calls] == ["Read", "Grep"]
    assert len({id for id, _, _ in asked.calls}) == 2
    talk.give({id: f"result of {name}" for id, name, _ in asked.calls})
    answer = world.ask(talk)
    assert "result of Read" in answer.text
    assert "result of Grep" in answer.text
    world.check_secrets()


def test_image(format, backend):
    """The vendor sees it."""
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1))
    talk.user("What is this?", PNG)
    assert "What is this?" in world.ask(talk).text
    assert PNG in text_of(world)
    world.check_secrets()


def test_compaction(format, backend):
    """The whole history and a notice; then a history that begins with the summary, at the same account."""
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1), tools=TOOLS)
    talk.user("Hello")
    world.ask(talk)
    talk.user(COMPACTION)
    world.vendors.script(backend, Script(text="A short summary."))
    summary = world.ask(talk).text
    assert summary == "A short summary."
    talk.compact(summary)
    assert summary in world.ask(talk).text
    assert len(set(world.accounts)) == 1
    world.check_secrets()


def test_one_shot(format, backend):
    """Without tools and without a thread, as for titles."""
    world = CloudWorld(format, backend)
    talk = world.talk(max_tokens=2000)
    talk.user("A title, please")
    assert "A title, please" in world.ask(talk).text
    assert world.world.exchanges[0]["exchange"].thread == ""
    world.check_secrets()


def test_interleaved_threads(format, backend):
    """Two threads of one user, whose first words are the same, each keep to an account of their own."""
    world = CloudWorld(format, backend)
    talks = [world.talk(THREAD.format(number), tools=TOOLS) for number in (1, 2)]
    for _ in range(3):
        for talk in talks:
            talk.user("Hello")
            world.ask(talk)
    assert world.accounts == [*world.accounts[:2]] * 3
    assert len(set(world.accounts)) == 2
    world.check_secrets()


def test_cut(format, backend):
    """A vendor that breaks off in mid-answer is an error for the user, and never a clean end."""
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1))
    talk.user("Hello")
    world.vendors.script(backend, Script(cut=12, events=50))
    asked = world.finish(world.begin(talk))
    with pytest.raises(ModelError) as error:
        asked.read()
    assert error.value.status == 200
    assert asked.connection.closed
    assert not asked.connection.ended_cleanly
    world.check_secrets()


def test_overloaded(format, backend):
    """529 (503 at OpenAI's and Google's) at every account: an overload, with a time to come back."""
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1))
    talk.user("Hello")
    status = 529 if backend == "anthropic" else 503
    world.vendors.script(backend, *[Script(status=status, retry_after=3)] * 2)
    asked = world.finish(world.begin(talk))
    with pytest.raises(ModelError) as error:
        asked.read()
    assert error.value.status in (429, 503, 529)
    assert error.value.heading != "Unauthorized"
    assert error.value.retry_after
    assert len(world.accounts) == 2
    talk.history.clear()
    talk.user("Hello")
    world.world.clock.advance(60)
    assert "Hello" in world.ask(talk).text
    world.check_secrets()


def test_overloaded_once(format, backend):
    """At one account: the other answers, and nobody notices."""
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1))
    talk.user("Hello")
    world.vendors.script(backend, Script(status=529 if backend == "anthropic" else 503))
    assert "Hello" in world.ask(talk).text
    assert len(set(world.accounts)) == 2


def waits(world: CloudWorld, asked: Any, seconds: int) -> list[float]:
    """Lets time pass; gives the longest silences that an edge in front of the gateway saw."""
    silences, quiet, seen = [], 0, 0
    for _ in range(seconds):
        world.world.clock.advance(1)
        quiet += 1
        if len(asked.connection.answer) > seen:
            silences.append(quiet)
            quiet, seen = 0, len(asked.connection.answer)
    return [*silences, quiet]


def test_silent_vendor(format, backend):
    """An edge that cuts what is silent for 100 s does not: signs of life come before the vendor begins, which
    then answers as ever.
    """
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1))
    talk.user("Hello")
    world.vendors.script(backend, Script(hang="headers"))
    asked = world.begin(talk)
    assert max(waits(world, asked, 110)) < 100
    assert asked.connection.status == 200
    # It answers now.
    late = world.vendors
    dialect, recorded = late.asked[-1]
    assert dialect == backend
    reply = late.vendors[backend].respond(recorded)
    body = late.sent[-1].respond(reply.status, {"content-type": [reply.content_type]})
    assert reply.events is not None
    for event in reply.events:
        body.data(event)
    body.done()
    world.finish(asked)
    assert "Hello" in asked.read().text
    assert asked.connection.ended_cleanly
    world.check_secrets()


def test_silent_vendor_that_fails(format, backend):
    """After a sign of life the status is gone: the error is the stream's, in its format, and no clean end."""
    world = CloudWorld(format, backend)
    world.vendors.script(backend, *[Script(hang="headers")] * 2)
    talk = world.talk(THREAD.format(1))
    talk.user("Hello")
    asked = world.begin(talk)
    waits(world, asked, 700)
    waits(world, asked, 700)
    with pytest.raises(ModelError) as error:
        asked.read()
    assert error.value.status == 200
    assert not asked.connection.ended_cleanly
    assert asked.connection.closed
    assert not [call for call in world.world.clock.getDelayedCalls() if "Sign" in str(call)]
    world.check_secrets()


def test_silent_vendor_whose_user_leaves(format, backend):
    """Cancelled while it waits: the vendor's connection is closed, and no sign is sent to nobody."""
    world = CloudWorld(format, backend)
    world.vendors.script(backend, Script(hang="headers"))
    talk = world.talk(THREAD.format(1))
    talk.user("Hello")
    asked = world.begin(talk)
    waits(world, asked, 30)
    asked.connection.leave()
    assert world.vendors.sent[-1].cancelled
    world.world.clock.advance(100)
    assert world.world.exchanges[0]["exchange"].outcome.value == "client-left"


def test_cancelled(format, backend):
    """A user who stops in mid-answer closes the vendor's connection, too."""
    world = CloudWorld(format, backend)
    talk = world.talk(THREAD.format(1))
    talk.user("Hello")
    world.vendors.script(backend, Script(events=50, interval=1))
    asked = world.begin(talk)
    world.world.clock.pump([1] * 10)
    assert len(asked.connection.answer) > 200
    asked.connection.leave()
    assert world.world.exchanges[0]["exchange"].outcome.value == "client-left"


EFFORTS = ("low", "medium", "high")


def test_check_access(format, backend):
    """What ``check-access`` asks: a short answer, at each effort."""
    for effort in ("",) if backend == "openai-chat" else ("", *EFFORTS):
        world = CloudWorld(format, backend)
        talk = world.talk(THREAD.format(1), effort=effort, max_tokens=2000 if effort else 64)
        talk.user("Say OK")
        assert "Say OK" in world.ask(talk).text
        world.check_secrets()


def test_listing(format, backend):
    """The list before the first request: in the format's dialect, with limits and what it takes; and of one
    model by Amp's name.
    """
    world = CloudWorld(format, backend)
    asked = world.finish(world.send(world.cloud.listing(world.connection)))
    listed = json.loads(asked.connection.body)["data"]
    assert {one["id"] for one in listed} == set(MODELS.values())
    one = world.finish(world.send(world.cloud.listing(world.connection, world.model)))
    found = json.loads(one.connection.body)
    assert found["id"] == world.model
    own = next(row for row in listed if row["id"] == MODELS[backend])
    named = {name: own[name] for name in ("id", "display_name") if name in own}
    assert {**found, **named} == own
    if format == "anthropic-messages" and backend != "openai-chat":
        assert found["max_input_tokens"] > 0
        assert found["max_tokens"] > 0
        assert found["capabilities"]["image_input"]["supported"] is True
