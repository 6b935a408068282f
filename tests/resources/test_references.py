"""A client of Responses refers to items of an answer that the gateway translated, as the AI SDK does from the
second turn on.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.config.schema import Limits
from ampproxy.dialects.openai_responses.stored import with_items
from ampproxy.relay.remembered import Remembered
from tests.resources.harness import CLIENT_KEY, Connection, World
from tests.resources.test_bent_answers import MESSAGES, config, messages, objects

SHAPES = ("streamed", "whole")
TEXT = {"type": "text", "text": "It is sunny."}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a"}}
USAGE = {"input_tokens": 1, "output_tokens": 1}


def ask(world: World, shape: str, items: list[Any], key: str = CLIENT_KEY, **more: Any) -> Connection:
    body = {"model": "model", "stream": shape == "streamed", "input": items, **more}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    connection = world.request("POST", "/v1/responses", headers, json.dumps(body).encode(), key=None)
    world.turn()
    return connection


def answered(world: World, shape: str, block: dict[str, Any]) -> None:
    sent = world.client.sent[-1]
    if shape == "whole":
        head = {"id": "m", "type": "message", "role": "assistant", "model": "vendor-model", "usage": USAGE}
        body = json.dumps({**head, "content": [block], "stop_reason": "end_turn"}).encode()
        sent.respond_whole(200, body, {"Content-Type": ["application/json"]})
    else:
        out = sent.respond(200, {"Content-Type": ["text/event-stream"]})
        delta = (
            {"type": "text_delta", "text": block["text"]}
            if block["type"] == "text"
            else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        )
        empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
        for piece in messages(empty, delta, "end_turn" if block["type"] == "text" else "tool_use"):
            out.data(piece)
            world.turn()
        out.done()
    world.turn()


def item_of(shape: str, connection: Connection) -> dict[str, Any]:
    """The item that the client was given."""
    found: dict[str, Any]
    if shape == "whole":
        (found,) = json.loads(connection.body)["output"]
        return found
    (found,) = (
        each["item"] for each in objects(shape, connection.body) if each["type"].endswith("item.done")
    )
    return found


GO = {"role": "user", "content": "go"}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_second_turn(shape: str) -> None:
    """The vendor, which has never seen the id, gets the words."""
    world = World(config(MESSAGES))
    first = ask(world, shape, [GO])
    answered(world, shape, TEXT)
    id_ = item_of(shape, first)["id"]
    second = ask(
        world, shape, [GO, {"type": "item_reference", "id": id_}, {"role": "user", "content": "and?"}]
    )
    assert len(world.client.sent) == 2, second.body
    sent = json.loads(world.client.sent[-1].body)["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert sent[1]["content"] == [TEXT]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tool_loop(shape: str) -> None:
    """A call that is referred to stands before its result."""
    world = World(config(MESSAGES))
    first = ask(world, shape, [GO])
    answered(world, shape, TOOL)
    item = item_of(shape, first)
    result = {"type": "function_call_output", "call_id": item["call_id"], "output": "done"}
    ask(world, shape, [GO, {"type": "item_reference", "id": item["id"]}, result])
    sent = json.loads(world.client.sent[-1].body)["messages"]
    assert sent[1]["content"][0]["input"] == {"path": "a"}
    assert sent[2]["content"][0]["content"] == [{"type": "text", "text": "done"}]


def asked_about(world: World, id_: str, key: str = CLIENT_KEY) -> Connection:
    return ask(world, "whole", [GO, {"type": "item_reference", "id": id_}], key)


def given(world: World, **more: Any) -> str:
    connection = ask(world, "whole", [GO], **more)
    answered(world, "whole", TEXT)
    return str(item_of("whole", connection)["id"])


@pytest.mark.parametrize("who", ["another client", "a made up id", "one that was not to be stored"])
def test_what_is_not_known_is_refused_with_the_way_out(who: str) -> None:
    """Before any account is asked."""
    world = World(config(MESSAGES).replace(f'["{CLIENT_KEY}"]', f'["{CLIENT_KEY}", "another-client-key"]'))
    id_ = given(world, **({"store": False} if "stored" in who else {}))
    key = "another-client-key" if who == "another client" else CLIENT_KEY
    connection = asked_about(world, "msg_made_up" if who == "a made up id" else id_, key)
    assert connection.status == 400
    assert b"store: false" in connection.body
    assert len(world.client.sent) == 1


def test_the_setting_bounds_it() -> None:
    """With no room for it nothing is remembered."""
    world = World("limits: {max-remembered: 1}\n" + config(MESSAGES))
    assert asked_about(world, given(world)).status == 400


def test_what_is_remembered_is_bounded() -> None:
    """By bytes, the oldest first, and by time; what is given again is new again."""
    now = [0.0]
    remembered = Remembered(lambda: now[0])
    remembered.configure(Limits(max_remembered=2000, remember_for=10))
    for number in range(5):
        remembered.put("anna", [(f"msg_{number}", b"x" * 300)])
    known = [number for number in range(5) if remembered.find("anna", f"msg_{number}")]
    assert known == [2, 3, 4]
    now[0] = 6.0
    remembered.put("anna", [("msg_3", b"y")])
    now[0] = 11.0
    assert [remembered.find("anna", f"msg_{number}") for number in (2, 3, 4)] == [None, b"y", None]
    remembered.configure(Limits(max_remembered=0))
    assert remembered.find("anna", "msg_3") is None


def test_requests_without_known_references_stay_as_they_are() -> None:
    """The same object: nothing is put together anew."""
    for text in (
        '"item_reference"',
        '[{"type": "item_reference", "id": "x"}]',
        '[{"content": "item_reference"}]',
    ):
        body = f'{{"model": "m", "input": {text}}}'.encode()
        assert with_items(body, lambda id_: None) is body
