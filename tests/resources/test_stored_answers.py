"""A client of Responses goes on from an answer by its id, or fetches it, where another vendor made it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ampproxy.config.schema import Limits
from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import RESPONSES
from ampproxy.relay.stored import StoredAnswers
from tests.resources.harness import CLIENT_KEY, Connection, World
from tests.resources.test_bent_answers import CHAT, GEMINI, MESSAGES, config
from tests.resources.test_references import GO, SHAPES, TEXT, TOOL, answered, ask

ON = "\nlimits: {max-stored: 1MiB, store-for: 1h}\n"
REFERENCES = DIALECTS[RESPONSES].passthrough.references
assert REFERENCES is not None
STORING = REFERENCES.storing
assert STORING is not None


def world_of(limits: str = ON) -> World:
    text = config(MESSAGES).replace(f'["{CLIENT_KEY}"]', f'["{CLIENT_KEY}", "another-client-key"]')
    world = World(text + limits)
    numbers = iter(range(1, 1000))
    maker = world.generation.exchanges.bridges._origin
    msgspec.structs.force_setattr(maker, "new_id", lambda prefix: f"{prefix}{next(numbers)}")
    return world


def answer_of(shape: str, connection: Connection) -> dict[str, Any]:
    """The response object that the client was given."""
    if shape == "whole":
        found: dict[str, Any] = json.loads(connection.body)
        return found
    block = next(one for one in connection.body.split(b"\n\n") if b"event: response.completed" in one)
    event: dict[str, dict[str, Any]] = json.loads(block.partition(b"data: ")[2])
    return event["response"]


def first(world: World, shape: str = "whole", block: Any = TEXT, **more: Any) -> dict[str, Any]:
    connection = ask(world, shape, [GO], **more)
    answered(world, shape, block)
    return answer_of(shape, connection)


def fetch(world: World, path: str, method: str = "GET", key: str = CLIENT_KEY) -> Connection:
    return world.request(method, f"/v1/responses/{path}", key=key)


@pytest.mark.parametrize("shape", SHAPES)
def test_going_on(shape: str) -> None:
    """The vendor gets the whole conversation, turn after turn."""
    world = world_of()
    id_ = first(world, shape)["id"]
    for turn in ("and?", "and then?"):
        connection = ask(world, shape, [{"role": "user", "content": turn}], previous_response_id=id_)
        answered(world, shape, TEXT)
        id_ = answer_of(shape, connection)["id"]
    sent = json.loads(world.client.sent[-1].body)["messages"]
    texts = [part["text"] for message in sent for part in message["content"]]
    assert texts == ["go", TEXT["text"], "and?", TEXT["text"], "and then?"]
    assert [message["role"] for message in sent] == ["user", "assistant"] * 2 + ["user"]


def test_a_tool_loop() -> None:
    """A result stands behind the call of the answer before."""
    world = world_of()
    found = first(world, block=TOOL)
    call = found["output"][0]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "done"}
    ask(world, "whole", [result], previous_response_id=found["id"])
    sent = json.loads(world.client.sent[-1].body)["messages"]
    assert sent[1]["content"][0]["input"] == {"path": "a"}
    assert sent[2]["content"][0]["content"] == [{"type": "text", "text": "done"}]


def test_a_text_as_input() -> None:
    """Is the message that it stands for, before and behind."""
    world = world_of()
    ask(world, "whole", "go")  # type: ignore[arg-type]
    answered(world, "whole", TEXT)
    (key,) = world.generation.runtime.stored._answers
    ask(world, "whole", "and?", previous_response_id=key[1])  # type: ignore[arg-type]
    sent = json.loads(world.client.sent[-1].body)["messages"]
    assert [part["text"] for message in sent for part in message["content"]] == ["go", TEXT["text"], "and?"]


@pytest.mark.parametrize("who", ["another client", "not to be stored", "too old", "switched off", "deleted"])
def test_what_is_not_kept_is_refused(who: str) -> None:
    """With the setting that would keep it; and it cannot be fetched."""
    world = world_of("" if who == "switched off" else ON)
    clock = [0.0]
    world.generation.runtime.stored._clock = lambda: clock[0]
    id_ = first(world, **({"store": False} if who == "not to be stored" else {}))["id"]
    clock[0] = 3601.0 if who == "too old" else 3599.0
    key = "another-client-key" if who == "another client" else CLIENT_KEY
    if who == "deleted":
        assert json.loads(fetch(world, id_, "DELETE").body)["deleted"] is True
    connection = ask(world, "whole", [GO], key, previous_response_id=id_)
    assert connection.status == 400
    assert b"limits.max-stored" in connection.body
    fetched = fetch(world, id_, key=key)
    assert fetched.status == 404
    assert "error" in json.loads(fetched.body)
    assert len(world.client.sent) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_fetching(shape: str) -> None:
    """As the client was given it, with the id of the one before."""
    world = world_of()
    one = first(world, shape)
    connection = ask(world, shape, [GO], previous_response_id=one["id"])
    answered(world, shape, TEXT)
    two = answer_of(shape, connection)
    got = json.loads(fetch(world, two["id"]).body)
    assert got == {**two, "previous_response_id": one["id"], "store": True}
    assert fetch(world, two["id"] + "?stream=true").status == 400
    assert fetch(world, two["id"] + "/cancel", "POST").status == 400
    assert len(world.client.sent) == 2


def test_the_items_it_was_made_of() -> None:
    """Those of the whole conversation, newest first, page by page."""
    world = world_of()
    one = first(world)
    ask(world, "whole", [{"role": "user", "content": "and?"}], previous_response_id=one["id"])
    answered(world, "whole", TEXT)
    id_ = list(world.generation.runtime.stored._answers)[-1][1]

    def texts(query: str) -> list[str]:
        page = json.loads(fetch(world, f"{id_}/input_items{query}").body)
        assert page["object"] == "list"
        return [item["content"][0]["text"] for item in page["data"]]

    assert texts("") == ["and?", TEXT["text"], "go"]
    assert texts("?order=asc&limit=1") == ["go"]
    page = json.loads(fetch(world, f"{id_}/input_items?limit=2").body)
    assert page["has_more"] is True
    assert texts(f"?limit=2&after={page['last_id']}") == ["go"]
    assert fetch(world, f"{id_}/input_items?limit=0").status == 400


@pytest.mark.parametrize("kind", [CHAT, GEMINI])
def test_any_account(kind: str) -> None:
    """Whatever the account speaks, what goes on from an answer is sent whole."""
    world = World(config(kind) + ON)
    output = [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sunny."}]}
    ]
    body = json.dumps({"id": "resp_1", "output": output}).encode()
    client = world.request("GET", "/v1/models")
    label = client and world.exchanges[-1]["exchange"].client
    item = json.dumps(GO).encode()
    world.generation.runtime.stored.put(label, "resp_1", "", [item], body)
    ask(world, "whole", [{"role": "user", "content": "and?"}], previous_response_id="resp_1")
    sent = world.client.sent[-1].body
    assert all(text in sent for text in (b'"go"', b'"Sunny."', b'"and?"'))


def test_it_is_bounded() -> None:
    """By bytes and by age; of a conversation of which a part is gone nothing is used."""
    now = [0.0]
    stored = StoredAnswers(lambda: now[0])
    body = b'{"id": "resp_1", "output": []}'
    stored.put("ci", "resp_1", "", [b"{}"], body)
    assert stored.find("ci", "resp_1") is None
    stored.configure(Limits(max_stored=3000, store_for=60.0))
    for number in range(4):
        previous = f"resp_{number - 1}" if number else ""
        stored.put("ci", f"resp_{number}", previous, [b'{"n": %d}' % number], body)
    assert stored.before("ci", "resp_3", STORING) == [b'{"n": %d}' % number for number in range(4)]
    assert stored.before("another", "resp_3", STORING) is None
    stored.put("ci", "resp_large", "", [b'"' + b"x" * 1500 + b'"'], body)
    assert stored.find("ci", "resp_0") is None
    assert stored.before("ci", "resp_3", STORING) is None
    now[0] = 61.0
    assert stored.find("ci", "resp_large") is None
    assert stored._size == 0


def test_a_conversation_may_become_too_large() -> None:
    """Then the error names the limit."""
    world = world_of("\nlimits: {max-stored: 1MiB, max-body: 1KiB}\n")
    id_ = first(world)["id"]
    text = "x" * 500
    connection = ask(world, "whole", [{"role": "user", "content": text}], previous_response_id=id_)
    answered(world, "whole", TEXT)
    id_ = answer_of("whole", connection)["id"]
    refused = ask(world, "whole", [{"role": "user", "content": text}], previous_response_id=id_)
    assert refused.status == 413
    assert b"limits.max-body" in refused.body
