"""More answers that bend their dialect, or break, as a client sees them: what stands elsewhere, or under
another name, than its dialect has it; see :mod:`tests.resources.test_bent_answers`.
"""

from __future__ import annotations

import json
from typing import Any

from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import CHAT as OPENAI_CHAT
from ampproxy.model.events import Delta
from tests.cases import each
from tests.resources.test_bent_answers import (
    CHAT,
    DONE,
    GEMINI,
    MESSAGES,
    RESPONSES,
    ROLE,
    SHAPES,
    START,
    STOP,
    answer,
    asked,
    both,
    call,
    calls,
    chunk,
    ended_well,
    event,
    every,
    failed,
    served,
    texts,
    thoughts,
    whole_chat,
)

TRANSLATED = ("anthropic", "responses", "gemini")


def message(content: str | None, **more: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": "stop"}


# ------------------------------------------------------------------------- a whole answer in a stream


@every
@each("form", ["one event", "one event in pieces", "behind comments", "one event behind comments"])
def test_a_whole_answer_within_a_stream(client: str, form: str) -> None:
    """A server's answer in one event is no empty stream; neither is JSON behind comments."""
    whole = whole_chat(message("whole answer"))
    if form == "behind comments":
        pieces = [b": PROCESSING\n\n: PRO", b"CESSING\n\n" + whole[:20], whole[20:]]
    else:
        pieces = [b"data: " + whole + b"\n\n", DONE]
    if form == "one event behind comments":
        pieces = [b": PROCESSING\r\n\r\n", *pieces]
    if form == "one event in pieces":
        pieces = [pieces[0][:7], pieces[0][7:60], pieces[0][60:], DONE]
    world, connection = served(CHAT, client, "streamed", *pieces)
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "whole answer"


@each("client", TRANSLATED)
def test_a_message_in_a_chunk(client: str) -> None:
    """Where nothing came in deltas it is the answer, calls included; else it repeats what came."""
    made = call("read_file", '{"path":"a"}')["tool_calls"]
    only = chunk({}, "stop").replace(b'"delta": {}', b'"message": {"content": "Hello"}')
    called = chunk({}, "tool_calls").replace(
        b'"delta": {}', b'"message": ' + json.dumps({"tool_calls": made}).encode()
    )
    both_ways = [
        chunk({"content": text}).replace(
            b'"delta"', b'"message": {"content": "%b"}, "delta"' % so_far.encode()
        )
        for text, so_far in (("He", "He"), ("ll", "Hell"), ("o", "Hello"))
    ]
    for pieces in ([ROLE, only, DONE], [*both_ways, only, DONE], [chunk({"content": "Hello"}), only, DONE]):
        world, connection = served(CHAT, client, "streamed", *pieces)
        assert ended_well(world, connection, "streamed")
        assert texts(client, "streamed", connection.body) == "Hello"
    world, connection = served(CHAT, client, "streamed", called, DONE)
    assert ended_well(world, connection, "streamed")
    assert calls(connection.body)


@each("client", TRANSLATED)
def test_a_delta_in_a_whole_answer(client: str) -> None:
    """A server that has one form for both."""
    choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}
    world, connection = served(CHAT, client, "whole", whole_chat(choice), mime="application/json")
    assert ended_well(world, connection, "whole")
    assert texts(client, "whole", connection.body) == "Hello"
    del choice["delta"]
    world, connection = served(CHAT, client, "whole", whole_chat(choice), mime="application/json")
    failed(world, connection, "whole", "a choice without a message")


@each(
    "pieces", [["", '{"path":', '"a"}', '{"path":"a"}'], ["{}", '{"path":"a"}'], ['{"path":"a"}'] * 2, ["{}"]]
)
def test_arguments_that_come_twice(pieces: list[str]) -> None:
    """Servers end a call with all of its arguments once more, or begin it with none: one object is sent."""
    deltas = [call("read_file", piece) for piece in pieces]
    for delta in deltas[1:]:
        del delta["tool_calls"][0]["function"]["name"]
    parser = DIALECTS[OPENAI_CHAT].stream_parser()
    events = parser.feed(b"".join((*map(chunk, deltas), chunk({}, "tool_calls"), DONE)))
    sent = "".join(event.text for event in events if isinstance(event, Delta))
    assert json.loads(sent) == ({"path": "a"} if len(pieces) > 1 else {})


@every
def test_what_says_nothing_is_no_fault(client: str) -> None:
    """Signs of life by any name, and what is no chunk behind the end."""
    pings = [b"event: ping\ndata: {}\n\n", b"event: heartbeat\ndata: 1\n\n"]
    pieces = [*pings, chunk({"content": "Hel"}), *pings, chunk({"content": "lo"}), chunk({}, "stop")]
    for last in (b"data: [done]\n\n", b"data: DONE\n\n", DONE):
        world, connection = served(CHAT, client, "streamed", *pieces, last)
        assert ended_well(world, connection, "streamed")
        if client != "chat":
            assert texts(client, "streamed", connection.body) == "Hello"
    world, connection = served(
        CHAT, client, "streamed", *pieces, b'data: {"error": {"message": "Gone."}}\n\n'
    )
    assert world.exchanges[-1]["outcome"] != "completed" or client == "chat"


@each("client", TRANSLATED)
def test_thinking_under_the_name_of_ollama(client: str) -> None:
    """A server's own name for it."""
    pieces = [chunk({"thinking": "Hm."}), chunk({"content": "Hello"}), chunk({}, "stop"), DONE]
    _, connection = served(CHAT, client, "streamed", *pieces)
    assert (texts(client, "streamed", connection.body), thoughts(client, "streamed", connection.body)) == (
        "Hello",
        "Hm.",
    )


# ----------------------------------------------------------------------------------------- errors


@every
@both
@each("error", ['""', "{}", "null", "false"])
def test_an_empty_error_is_none(client: str, shape: str, error: str) -> None:
    """Servers send the member with every answer."""
    whole = whole_chat(message("fine")).replace(b'"created"', f'"error": {error}, "created"'.encode())
    pieces = [chunk({"content": "fine"}), chunk({}, "stop")]
    pieces = [piece.replace(b'"created"', f'"error": {error}, "created"'.encode()) for piece in pieces]
    mime = "application/json" if shape == "whole" else "text/event-stream"
    world, connection = served(
        CHAT, client, shape, *([whole] if shape == "whole" else [*pieces, DONE]), mime=mime
    )
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "fine"


@each("client", TRANSLATED)
@each("shape", SHAPES)
@each("usage", ['""', "[]", "5"])
def test_a_usage_that_is_none(client: str, shape: str, usage: str) -> None:
    """What cannot be counted is no reason to lose an answer that was paid for."""
    pieces = [chunk({"content": "fine"}), chunk({}, "stop"), DONE]
    mime = "text/event-stream"
    if shape == "whole":
        pieces, mime = [whole_chat(message("fine"))], "application/json"
    pieces = [piece.replace(b'"created"', f'"usage": {usage}, "created"'.encode()) for piece in pieces]
    world, connection = served(CHAT, client, shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "fine"


@every
def test_a_status_that_is_written_as_text(client: str) -> None:
    """A client that is to wait has to see that."""
    body = b'{"error": {"code": "429", "message": "Slow down."}}'
    _, connection = served(CHAT, client, "whole", body, mime="application/json")
    assert connection.status == 429
    assert b"Slow down." in connection.body


# ----------------------------------------------------------------------------------------- Messages


TEXT = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
CALL = event(
    "content_block_start",
    index=0,
    content_block={"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": ""},
)
CLOSE = event("content_block_stop", index=0)


def words(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def arguments(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": text})


def ends(reason: str | None) -> bytes:
    return event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 4})


@every
@each(
    "pieces",
    {
        "no reason": ([START, TEXT, words("Half"), CLOSE, STOP], "answers-without-end: true"),
        "reason of null": (
            [START, TEXT, words("Half"), CLOSE, ends(None), STOP],
            "answers-without-end: true",
        ),
        "no call": ([START, ends("tool_use"), STOP], "has none"),
        "cut call": ([START, CALL, arguments('{"pa'), STOP], ""),
    }.values(),
)
def test_messages_without_an_end(client: str, pieces: tuple[list[bytes], str]) -> None:
    """Also for a client of the same dialect."""
    world, connection = served(MESSAGES, client, "streamed", *pieces[0])
    failed(world, connection, "streamed", pieces[1])


@every
def test_a_whole_call_is_an_end(client: str) -> None:
    """Its arguments show that it is; an input that begins as an empty text is none."""
    world, connection = served(
        MESSAGES, client, "streamed", START, CALL, arguments('{"path":"a"}'), CLOSE, STOP
    )
    assert ended_well(world, connection, "streamed")
    assert calls(connection.body)


@each("client", ["chat", "responses", "gemini"])
def test_an_input_that_is_written_as_text(client: str) -> None:
    """The text holds the object."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": '{"path":"a"}'}
    body = {"type": "message", "content": [block], "stop_reason": "tool_use", "usage": {}}
    world, connection = served(MESSAGES, client, "whole", json.dumps(body).encode(), mime="application/json")
    assert ended_well(world, connection, "whole")
    assert b'"path' in connection.body.replace(b"\\", b"")


@each("client", ["chat", "responses", "gemini"])
def test_messages_that_leave_something_out(client: str) -> None:
    """The type of an event that is named, that of the answer; a content that is a text."""
    pieces = [b"event: ping\ndata: {}\n\n", START, TEXT, words("Hello"), CLOSE, ends("end_turn"), STOP]
    world, connection = served(MESSAGES, client, "streamed", *pieces)
    assert ended_well(world, connection, "streamed")
    body: dict[str, Any] = {"role": "assistant", "content": "Hello", "stop_reason": "end_turn", "usage": {}}
    for content in ("Hello", [{"type": "text", "text": "Hello"}]):
        raw = json.dumps({**body, "content": content}).encode()
        world, connection = served(MESSAGES, client, "whole", raw, mime="application/json")
        assert ended_well(world, connection, "whole")
        assert texts(client, "whole", connection.body) == "Hello"


@each("shape", SHAPES)
def test_the_words_of_an_error_in_another_form(shape: str) -> None:
    """They reach a client of another dialect."""
    body = {"type": "error", "error": "The model is gone."}
    piece = json.dumps(body).encode() if shape == "whole" else START + event(**{"name": "error", **body})
    mime = "application/json" if shape == "whole" else "text/event-stream"
    for client in ("chat", "responses", "gemini"):
        world, connection = served(MESSAGES, client, shape, piece, mime=mime)
        failed(world, connection, shape, "The model is gone.")


# ---------------------------------------------------------------------------------------- Responses


CREATED = event("response.created", response={"id": "resp_1", "status": "in_progress", "output": []})
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant"}
WORDED = {**MESSAGE, "content": [{"type": "output_text", "text": "Hello"}]}
CALLED = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "read_file", "arguments": "{}"}


def item(name: str, value: dict[str, Any]) -> bytes:
    return event(f"response.output_item.{name}", output_index=0, item=value)


def completed(name: str, *output: dict[str, Any]) -> bytes:
    return event(f"response.{name}", response={"id": "resp_1", "status": "completed", "output": output})


@each("client", ["anthropic", "chat", "gemini"])
@each(
    "pieces",
    {
        "one number for all": [
            item("added", {**MESSAGE, "content": []}),
            event("response.output_text.delta", output_index=0, content_index=0, delta="Hello"),
            item("done", WORDED),
            item("added", CALLED),
            item("done", CALLED),
            completed("completed", WORDED, CALLED),
        ],
        "no deltas, no output": [
            item("added", {**MESSAGE, "content": []}),
            event("response.output_text.done", output_index=0, content_index=0, text="Hello"),
            completed("completed"),
        ],
        "the end by another name": [item("done", WORDED), completed("done", WORDED)],
    }.values(),
)
def test_responses_come_once(client: str, pieces: list[bytes]) -> None:
    """Not twice, and not at all neither."""
    world, connection = served(RESPONSES, client, "streamed", CREATED, *pieces)
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    assert calls(connection.body) is (len(pieces) > 4)


def pieces_of(*texts: str) -> list[bytes]:
    return [
        event("response.function_call_arguments.delta", output_index=0, item_id="fc_1", delta=text)
        for text in texts
    ]


#: A call of which its vendor says that it begins, and of whose arguments all but the end comes.
CUT = [item("added", {**CALLED, "arguments": ""}), *pieces_of('{"pa', "th", '":"a')]


@every
@each("together", [False, True])
def test_a_call_that_never_ends(client: str, together: bool) -> None:
    """What is said to be complete is not, for clients of the same dialect neither; a whole call may lack its
    end, and one of those that have theirs says nothing of another.
    """
    pieces = [CREATED, item("done", WORDED), *CUT, completed("completed")]
    world, connection = served(RESPONSES, client, "streamed", *([b"".join(pieces)] if together else pieces))
    failed(world, connection, "streamed", "in the middle of a tool call")
    for last in (
        [*pieces_of('"}'), completed("completed")],
        [item("done", CALLED), completed("completed", CALLED)],
    ):
        pieces = [CREATED, *CUT, *last]
        world, connection = served(
            RESPONSES, client, "streamed", *([b"".join(pieces)] if together else pieces)
        )
        assert ended_well(world, connection, "streamed")
    other = {**CALLED, "id": "fc_2", "call_id": "call_2"}
    ended = event("response.output_item.done", output_index=1, item=other)
    pieces = [CREATED, *CUT, event("response.output_item.added", output_index=1, item=other), ended]
    world, connection = served(RESPONSES, client, "streamed", *pieces, completed("completed"))
    failed(world, connection, "streamed", "in the middle of a tool call")


@every
def test_a_failure_that_is_called_complete(client: str) -> None:
    """Servers that end every stream alike report inside how it ended."""
    error = {"code": "server_error", "message": "It broke."}
    body = {"id": "resp_1", "status": "failed", "error": error, "output": []}
    failure = event("response.completed", response=body)
    world, connection = served(RESPONSES, client, "streamed", CREATED, item("done", WORDED), failure)
    failed(world, connection, "streamed", "It broke.")


@every
def test_a_policy_is_no_fault_of_the_account(client: str) -> None:
    """What is refused for what it asks is refused by every account, and at each try."""
    refusal = {"code": "cyber_policy", "message": "Not that."}
    failure = event("response.failed", response={"id": "resp_1", "status": "failed", "error": refusal})
    world, connection = served(RESPONSES, client, "streamed", CREATED, event("response.metadata"), failure)
    failed(world, connection, "streamed", "Not that.")
    assert connection.status == 400


@each("client", ["anthropic", "chat", "gemini"])
def test_arguments_that_are_an_object(client: str) -> None:
    """Where their JSON text is expected."""
    body = {"id": "resp_1", "status": "completed", "output": [{**CALLED, "arguments": {"path": "a"}}]}
    world, connection = served(RESPONSES, client, "whole", json.dumps(body).encode(), mime="application/json")
    assert ended_well(world, connection, "whole")
    assert calls(connection.body)


@each("client", ["anthropic", "chat", "gemini"])
def test_a_message_that_is_a_text(client: str) -> None:
    """In place of a list of one."""
    body = {"id": "resp_1", "status": "completed", "output": [{**MESSAGE, "content": "Hello"}]}
    _, connection = served(RESPONSES, client, "whole", json.dumps(body).encode(), mime="application/json")
    assert texts(client, "whole", connection.body) == "Hello"


# ------------------------------------------------------------------------------------------- Gemini


@each("client", ["anthropic", "chat", "responses"])
def test_what_is_written_otherwise(client: str) -> None:
    """Arguments as a text that holds the object, and the word for the end in small letters."""
    part = {"functionCall": {"name": "read_file", "args": '{"path":"a"}'}}
    for parts, end in (([part], "STOP"), ([{"text": "Hello"}], "stop")):
        body = {"candidates": [{"content": {"parts": parts}, "finishReason": end}]}
        raw = json.dumps(body).encode()
        world, connection = served("gemini-api-key", client, "whole", raw, mime="application/json")
        assert ended_well(world, connection, "whole")
        if end == "STOP":
            assert b'"{' not in connection.body.replace(b"\\", b"") or client != "anthropic"
            assert b'"path' in connection.body.replace(b"\\", b"")
        assert b"max_tokens" not in connection.body


@each("client", ["anthropic", "chat", "responses"])
def test_a_part_of_nulls(client: str) -> None:
    """A member that is null is none, so that the part is empty."""
    body = {
        "candidates": [{"content": {"parts": [{"text": None}, {"text": "fine"}]}, "finishReason": "STOP"}]
    }
    world, connection = served(
        "gemini-api-key", client, "whole", json.dumps(body).encode(), mime="application/json"
    )
    assert ended_well(world, connection, "whole")
    assert texts(client, "whole", connection.body) == "fine"
    assert not world.exchanges[-1]["losses"]


def nothing(kind: str, shape: str, counted: int) -> list[bytes]:
    """An answer that ended well and has no word.

    :param counted: the tokens that its vendor counts of it.
    """
    used = {"input_tokens": 9, "output_tokens": counted, "total_tokens": 9 + counted}
    chat = {"prompt_tokens": 9, "completion_tokens": counted, "total_tokens": 9 + counted}
    if kind == CHAT and shape == "whole":
        end = {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "stop"}
        return [whole_chat(end, usage=chat)]
    if kind == CHAT:
        last = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
        return [
            ROLE,
            chunk({}, "stop"),
            b"data: " + json.dumps({**last, "usage": chat}).encode() + b"\n\n",
            DONE,
        ]
    if kind == MESSAGES and shape == "whole":
        head = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []}
        return [json.dumps({**head, "stop_reason": "end_turn", "usage": used}).encode()]
    if kind == MESSAGES:
        head = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": used}
        end = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": counted})
        return [event("message_start", message=head), end, event("message_stop")]
    if kind == GEMINI:
        said = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}
        usage = {"promptTokenCount": 9, "totalTokenCount": 9 + counted}
        usage |= {"candidatesTokenCount": counted} if counted else {}
        body = json.dumps({"candidates": [said], "usageMetadata": usage}).encode()
        return [body if shape == "whole" else b"data: " + body + b"\r\n\r\n"]
    body = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "completed",
        "output": [],
    }
    done = {**body, "usage": used}
    if shape == "whole":
        return [json.dumps(done).encode()]
    begun = {**body, "status": "in_progress", "usage": None}
    return [event("response.created", response=begun), event("response.completed", response=done)]


@every
@both
@each("kind", [CHAT, MESSAGES, RESPONSES, GEMINI])
def test_an_answer_that_is_nothing(client: str, shape: str, kind: str) -> None:
    """Where its vendor counts no token of it, another account is asked, and without one that is an error;
    where tokens are counted, nothing is what the model had to say.
    """
    mime = "application/json" if shape == "whole" else "text/event-stream"
    world, connection = asked(kind, client, shape, count=2)
    answer(world, *nothing(kind, shape, 0), kind=mime, number=0)
    assert len(world.client.sent) == 2
    answer(world, *nothing(kind, shape, 0), kind=mime, number=1)
    assert connection.status == 502
    assert b"answered with nothing" in connection.body
    world, connection = served(kind, client, shape, *nothing(kind, shape, 3), mime=mime)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == ""
