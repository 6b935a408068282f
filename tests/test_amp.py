"""What Amp's clients need beyond the dialect."""

# ruff: noqa: E501 - wire text stays in one piece

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ampproxy.dialects.anthropic.clean import clean_beta
from ampproxy.dialects.openai_responses import repairs as of_responses
from ampproxy.dialects.registry import DIALECTS
from ampproxy.dialects.tool_names import ToolNames
from ampproxy.relay.passthrough import passing
from ampproxy.relay.rewrite import AnswerRewriter
from ampproxy.wire.json import members
from tests.cases import each

ANTHROPIC, CHAT, RESPONSES, GEMINI = "anthropic", "openai-chat", "openai-responses", "gemini"
BIG = b"12345678901234567890"

REQUESTS = {
    ANTHROPIC: b'{"tools":[{"name":"Bash"},{"name":"edit_file"}],"tool_choice":{"type":"tool","name":"Finder"}}',
    CHAT: b'{"tools":[{"type":"function","function":{"name":"Bash"}},{"type":"function","function":{"name":'
    b'"edit_file"}}],"tool_choice":{"type":"function","function":{"name":"Finder"}}}',
    RESPONSES: b'{"tools":[{"type":"function","name":"Bash"},{"type":"web_search"},{"type":"custom","name":'
    b'"edit_file"}],"tool_choice":{"type":"function","name":"Finder"}}',
    GEMINI: b'{"tools":[{"functionDeclarations":[{"name":"Bash"}]},{"function_declarations":[{"name":"edit_file"}]}],'
    b'"toolConfig":{"functionCallingConfig":{"allowedFunctionNames":["Finder"]}}}',
}


def rewriter(dialect: str, *, drop: bool = False) -> AnswerRewriter:
    return AnswerRewriter(DIALECTS[dialect], "asked(high)", REQUESTS[dialect], drop)


def mender(dialect: str) -> Callable[[bytes], bytes]:
    """What every client's answers go through first."""
    mending = DIALECTS[dialect].passthrough.mending
    assert mending is not None
    mend = mending.of_one(lambda prefix: prefix + "made")

    def mended(data: bytes) -> bytes:
        values = members(data)
        return data if values is None or not mending.signs(data) else mend(data, values)

    return mended


def event(dialect: str, data: bytes, name: bytes = b"") -> bytes:
    return rewriter(dialect).event(name, data)[1]


# Requests.


def body(content: bytes, role: bytes = b"assistant") -> bytes:
    return b'{"n": %s, "messages": [{"role":"%s","content":%s}, {"role":"user","content":"x"}]}' % (
        BIG,
        role,
        content,
    )


SIGNED = b'{"type":"thinking","thinking":"t","signature":"s"}'
TEXT = b'{"type":"text", "text":"the \\"thinking\\" is \\u0041", "n":1.0E400}'


@pytest.mark.parametrize(
    "signature", [b"", b',"signature":""', b',"signature":" \\n"', b',"signature":null', b',"signature":5']
)
def test_unsigned_thinking_does_not_reach_the_vendor(signature: bytes) -> None:
    """A thread with thinking that nobody signed goes on instead of failing with the vendor's 400."""
    unsigned = b'{"type":"thinking","thinking":"t"' + signature + b"}"
    cleaned = DIALECTS[ANTHROPIC].passthrough.clean(
        body(b"[" + unsigned + b"," + TEXT + b"," + SIGNED + b"]")
    )
    assert cleaned == body(b"[" + TEXT + b"," + SIGNED + b"]").replace(b"}, {", b"},{")


def test_tool_calls_lose_their_signature() -> None:
    """The signature that a tool call was given for Amp's sake does not come back to the vendor."""
    call = b'{"type":"tool_use","id":"t","name":"Bash","input":{"n":%s}%s}'
    cleaned = DIALECTS[ANTHROPIC].passthrough.clean(body(b"[" + call % (BIG, b',"signature":""') + b"]"))
    assert cleaned == body(b"[" + call % (BIG, b"") + b"]").replace(b"}, {", b"},{")


def test_a_message_of_unsigned_thinking_goes_whole() -> None:
    """No empty message is left behind, which the vendor would refuse."""
    cleaned = DIALECTS[ANTHROPIC].passthrough.clean(body(b'[{"type":"thinking","thinking":"t"}]'))
    assert json.loads(cleaned)["messages"] == [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    "untouched",
    [
        body(b"[" + SIGNED + b"," + TEXT + b"]"),
        body(b'[{"type":"thinking","thinking":"t"}]', role=b"user"),
        body(b'"thinking"'),
        body(b'["thinking",5,null,{"type":"redacted_thinking","data":"x"},{"type":["thinking"]}]'),
        b'{"thinking":{"type":"enabled"},"messages":[]}',
        b'{"messages":"signature","x":"signature"}',
        b'{"messages":["signature", 1, null]}',
        b'{"messages":[{"role":"assistant","content":[{"type":"thinking"}',
        b"",
    ],
)
def test_unchanged_requests_are_the_same_object(untouched: bytes) -> None:
    """What needs no cleaning, or is broken, passes byte for byte."""
    assert DIALECTS[ANTHROPIC].passthrough.clean(untouched) is untouched


def test_other_dialects_are_not_cleaned() -> None:
    """Only Anthropic checks signatures in this form."""
    unclean = body(b'[{"type":"thinking","thinking":"t"}]')
    assert DIALECTS[CHAT].passthrough.clean(unclean) is unclean


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("context-1m-2025-08-07", ""),
        ("a,context-1m-2025-08-07, b", "a,b"),
        ("a, b", "a, b"),
        ("context-1m-2025-08-07-x", "context-1m-2025-08-07-x"),
    ],
)
def test_clean_beta(value: str, expected: str) -> None:
    """The long-context feature that the user's own accounts lack is not asked for."""
    assert clean_beta(value) == expected


# Tool names.


@pytest.mark.parametrize("dialect", REQUESTS)
def test_declared_tools(dialect: str) -> None:
    """The names of all tools that a request declares or forces are known in every dialect."""
    assert DIALECTS[dialect].passthrough.declared(REQUESTS[dialect]).names == {"Bash", "edit_file", "Finder"}
    assert (
        DIALECTS[dialect].passthrough.declared(b'{"tools":{"a":1},"tool_choice":"auto"}').names == frozenset()
    )
    assert (
        DIALECTS[dialect]
        .passthrough.declared(b'{"tools":[{"name":5,"function":7},null],"toolConfig":[]}')
        .names
        == frozenset()
    )
    assert DIALECTS[dialect].passthrough.declared(b"broken").names == frozenset()


def test_restoring_names() -> None:
    """A tool is called as the client wrote it; a doubtful name stays as it is."""
    names = ToolNames(["Edit_File", "x", "X", "GLOB"])
    assert [names.restore(n) for n in ("edit_file", "Edit_File", "x", "X", "glob")] == [
        "Edit_File",
        "Edit_File",
        "x",
        "X",
        "GLOB",
    ]
    assert [ToolNames().restore(n) for n in ("bash", "READ", "Glob", "unknown")] == [
        "Bash",
        "Read",
        "glob",
        "unknown",
    ]
    bent = (
        "default_api:Bash",
        "default_api.bash",
        "functions.Bash:0",
        "Bash:3",
        " bash\n",
        "to=functions.Bash",
        "Bash<|channel|>commentary",
    )
    assert {ToolNames(["Bash"]).restore(name) for name in bent} == {"Bash"}
    kept = ("default_api:Other", "functions.", "<|channel|>")
    assert tuple(ToolNames(["Bash", "functions.Other"]).restore(name) for name in kept) == kept


CALLS = {
    ANTHROPIC: [
        b'{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"NAME","input":{},"signature":""}}'
    ],
    CHAT: [
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"NAME","arguments":""}}]}}]}'
    ],
    RESPONSES: [
        b'{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","name":"NAME"}}',
        b'{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","name":"NAME","n":12345678901234567890}}',
        b'{"type":"response.completed","response":{"output":[{"type":"message"},{"type":"function_call","name":"NAME"}]}}',
    ],
    GEMINI: [
        b'{"candidates": [{"content": {"parts": [{"text":"x"},{"functionCall": {"name": "NAME", "args":{"n":1.0e400}}}]}}]}'
    ],
}


@pytest.mark.parametrize(
    ("dialect", "data"), [(dialect, data) for dialect, all_ in CALLS.items() for data in all_]
)
@pytest.mark.parametrize(
    ("said", "known"), [(b"BASH", b"Bash"), (b"Edit_File", b"edit_file"), (b"read", b"Read")]
)
def test_streamed_calls_get_their_casing(dialect: str, data: bytes, said: bytes, known: bytes) -> None:
    """The client finds its tool, and nothing else of the event changes."""
    assert event(dialect, data.replace(b"NAME", said)) == data.replace(b"NAME", known)
    unknown = data.replace(b"NAME", b"other")
    assert event(dialect, unknown) is unknown


WHOLE = {
    ANTHROPIC: b'{"model":"MODEL","content":[{"type":"text","text":"x"},{"type":"tool_use","name":"NAME","input":{"n":12345678901234567890},"signature":""}],"stop_reason":"tool_use"}',
    CHAT: b'{"model":"MODEL","choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"NAME","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}',
    RESPONSES: b'{"model":"MODEL","output":[{"type":"function_call","name":"NAME"}]}',
    GEMINI: b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"NAME"}}]}}],"modelVersion":"MODEL"}',
}


@pytest.mark.parametrize("dialect", WHOLE)
def test_whole_answers(dialect: str) -> None:
    """A whole answer gets the asked model's name and its tools' casing; all else is exact."""
    wire = WHOLE[dialect].replace(b"MODEL", b"vendor").replace(b"NAME", b"bash")
    assert rewriter(dialect).whole(wire) == WHOLE[dialect].replace(b"MODEL", b"asked(high)").replace(
        b"NAME", b"Bash"
    )
    for other in (b"[1]", b"", b"nonsense", b'{"error":{"message":"x"}}'):
        assert rewriter(dialect).whole(other) is other


# Names of models.


@pytest.mark.parametrize(
    ("dialect", "data"),
    [
        (ANTHROPIC, b'{"type":"message_start", "message":{"model":"M", "usage":{"n":12345678901234567890}}}'),
        (CHAT, b'{"model": "M", "choices":[{"delta":{"model":"stays","content":"\\"model\\":\\"x\\""}}]}'),
        (RESPONSES, b'{"type":"response.created","response":{"model":"M","output":[{"model":"stays"}]}}'),
        (GEMINI, b'{"candidates":[{"content":{"role":"model"}}],"modelVersion": "M","model":"M"}'),
        (GEMINI, b'{"response":{"modelVersion":"M","candidates":[]}}'),
    ],
)
def test_model_names_become_the_asked_one(dialect: str, data: bytes) -> None:
    """The client sees the name it asked for, at the places where its dialect tells it."""
    assert event(dialect, data.replace(b'"M"', b'"vendor"')) == data.replace(b'"M"', b'"asked(high)"')


def test_an_empty_asked_name_leaves_names_alone() -> None:
    """Where nobody asked by name the vendor's stays."""
    data = b'{"model":"vendor","choices":[]}'
    assert AnswerRewriter(DIALECTS[CHAT], "").event(b"", data)[1] is data


@pytest.mark.parametrize("dialect", WHOLE)
def test_other_clients_get_the_model_name_only(dialect: str) -> None:
    """A client that is not Amp's gets the vendor's answer as it is, under the name it asked for."""
    plain = AnswerRewriter(DIALECTS[dialect], "asked", REQUESTS[dialect], repairs=False)
    wire = WHOLE[dialect].replace(b',"signature":""', b"").replace(b"NAME", b"bash")
    assert plain.whole(wire) == wire.replace(b"MODEL", b"asked")
    for data in (*CALLS[dialect], b'{"usage":{}}', b'{"type":"message_delta"}'):
        assert plain.event(b"", data) == (b"", data)


# Repairs.


def test_anthropic_repairs() -> None:
    """Signatures are there when Amp's client looks for them; usage and the stop reason for every client."""
    thinking = b'{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}'
    data = rewriter(ANTHROPIC).event(b"content_block_start", thinking)[1]
    assert json.loads(data)["content_block"]["signature"] == ""
    mended = mender(ANTHROPIC)
    end = b'{"type":"message_delta","delta":{"stop_reason":"end_turn"}}'
    assert json.loads(mended(end)) == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 0},
    }
    call = b'{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","name":"Bash","input":{}}}'
    assert json.loads(mended(call))["content_block"]["id"] == "toolu_made"
    end = b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":1}}'
    assert json.loads(mended(end)) == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use"},
        "usage": {"input_tokens": 1, "output_tokens": 0},
    }


@pytest.mark.parametrize(
    ("drop", "kinds"), [(True, ["text", "tool_use"]), (False, ["thinking", "text", "tool_use"])]
)
def test_whole_anthropic_answers_with_calls(drop: bool, kinds: list[str]) -> None:
    """Thinking whose proof would not hold leaves a whole answer with a call, when it was mapped."""
    answer = b'{"content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"x"},{"type":"tool_use","name":"a"}],"stop_reason":"end_turn"}'
    new = json.loads(rewriter(ANTHROPIC, drop=drop).whole(mender(ANTHROPIC)(answer)))
    assert [block["type"] for block in new["content"]] == kinds
    assert new["stop_reason"] == "tool_use"
    assert all(block.get("signature", "") == "" for block in new["content"])


def test_whole_answer_without_calls_keeps_its_thinking() -> None:
    """Without a tool call nothing is dropped."""
    answer = b'{"content":[{"type":"thinking","thinking":"t","signature":"s"}],"stop_reason":"end_turn"}'
    assert rewriter(ANTHROPIC, drop=True).whole(answer) is answer


def test_chat_repairs() -> None:
    """Chunks have choices, calls have numbers, and calls end with ``tool_calls``."""
    mended = mender(CHAT)

    def calls(*deltas: dict) -> list:
        data = json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": deltas}}]}).encode()
        chunk = json.loads(mended(data))
        return [call["index"] for call in chunk["choices"][0]["delta"]["tool_calls"]]

    end = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    assert mended(end) is end
    assert mended(b'{"usage":{}}') == b'{"usage":{},"choices":[]}'
    for error in (b'{"error":{"message":"x"}}', b'{"error":{"message":"x"},"usage":{}}', b"[DONE]"):
        assert mended(error) is error
    assert calls({"id": "a", "function": {"name": "x"}}, {"id": "b", "function": {"name": "y"}}) == [0, 1]
    assert calls({"function": {"arguments": "1"}}) == [1]
    assert calls({"id": "a", "function": {"arguments": "1"}}) == [0]
    assert calls({"index": 7, "id": "q", "function": {"name": "z"}}) == [2]
    assert calls({"id": "new", "function": {"name": "z"}}) == [3]
    assert mended(end) == end.replace(b"stop", b"tool_calls")
    other = end.replace(b'"index":0', b'"index":1')
    assert mended(other) is other


def test_whole_chat_answer_with_calls_says_so() -> None:
    """A whole answer with calls and the reason ``stop`` would end the client silently."""
    call = b'{"id":"c","type":"function","function":{"name":"a","arguments":"{}"}}'
    answer = b'{"choices":[{"message":{"tool_calls":[%b]},"finish_reason":"stop"}]}' % call
    assert mender(CHAT)(answer) == answer.replace(b'"stop"', b'"tool_calls"')


DONE = b'{"type":"response.output_item.done","sequence_number":1,"output_index":%d,"item":{"type":"function_call","name":"bash","n":%s}}'
COMPLETED = (
    b'{"type":"response.completed","sequence_number":2,"response":{"model":"v","output":%s,"usage":null}}'
)


def named(data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (json.loads(data)["type"].encode(), data)


@pytest.mark.parametrize("empty", [b"[]", b"null"])
def test_responses_output_is_whole(empty: bytes) -> None:
    """The last event holds all items although the backend left them out, with the names of the request."""
    stream = passing(DIALECTS[RESPONSES], rewriter(RESPONSES))
    for index in (1, 0):
        stream.feed(named(DONE % (index, b"%d" % index)))
    output = b'[{"type":"function_call","name":"Bash","n":0},{"type":"function_call","name":"Bash","n":1}]'
    new = stream.feed(named(COMPLETED % empty))
    assert new == named((COMPLETED % output).replace(b'"v"', b'"asked(high)"'))


def test_responses_output_that_is_there_stays() -> None:
    """What the backend says itself is not replaced."""
    stream = passing(DIALECTS[RESPONSES], rewriter(RESPONSES))
    stream.feed(named(DONE % (0, b"0")))
    new = stream.feed(named(COMPLETED % b'[{"type":"message"}]'))
    assert b'"output":[{"type":"message"}]' in new


def test_responses_items_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of endless items cannot fill the memory."""
    monkeypatch.setattr(of_responses, "MAX_KEPT", 100)
    stream = passing(DIALECTS[RESPONSES], rewriter(RESPONSES))
    for index in range(5):
        stream.feed(named(DONE % (index, b"0")))
    assert b'"output":[]' in stream.feed(named(COMPLETED % b"[]"))


@each("dialect", REQUESTS)
@each(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"broken",
        b'{"type":5}',
        b'{"type":"content_block_start"}',
        b'{"type":"content_block_start","content_block":7}',
        b'{"type":"response.completed"}',
        b'{"type":"response.completed","response":[]}',
        b'{"type":"response.output_item.done","item":null,"output_index":"x"}',
        b'{"choices":{"tool_calls":1},"candidates":7}',
        b'{"choices":[null,{"delta":{"tool_calls":[5]}}],"candidates":[{"content":{"parts":[{"functionCall":5}]}}]}',
    ],
)
def test_strange_events_do_not_break_the_stream(dialect: str, data: bytes) -> None:
    """What a vendor should never send is passed on, not answered with an error of ours."""
    assert isinstance(event(dialect, data), bytes)
    assert isinstance(rewriter(dialect).whole(data), bytes)
