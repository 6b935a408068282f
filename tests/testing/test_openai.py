"""The stand-ins of OpenAI's two APIs refuse what OpenAI refuses, and take well-formed tool loops."""

from __future__ import annotations

import pytest

from ampproxy.testing.script import Script

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
FUNCTION = {"type": "function", "function": {"name": "Read", "parameters": SCHEMA}}
FLAT = {"type": "function", "name": "Read", "parameters": SCHEMA, "strict": False}
HELLO = {"role": "user", "content": "Hello there"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "Read", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD = {"role": "tool", "tool_call_id": "call_1", "content": "contents"}


def chat_request(**changes):
    return {"model": "gpt-4.1", "messages": [HELLO], **changes}


def response_request(**changes):
    return {"model": "gpt-5.4", "input": [HELLO], "store": False, **changes}


def part(kind, role="user"):
    return [{"role": role, "content": [{"type": kind, "text": "x"}]}]


CHAT_REFUSED = [
    ({"foo": 1}, "Unknown parameter: 'foo'."),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "at the same time"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "array too long"),
    ({"stream_options": {"include_usage": True}}, "only allowed when 'stream'"),
    ({"tool_choice": "auto"}, "only allowed when 'tools'"),
    ({"parallel_tool_calls": False}, "only allowed when 'tools'"),
    ({"reasoning_effort": "huge", "model": "gpt-5.4"}, "Invalid value: 'huge'"),
    ({"model": "gpt-5.4", "temperature": 0.5}, "'temperature' is not supported"),
    ({"model": "gpt-5.4", "max_tokens": 100}, "Use 'max_completion_tokens' instead"),
    ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    ({"messages": [HELLO, TOLD]}, "must be a response to a preceeding message"),
    ({"messages": [HELLO, CALLED, HELLO]}, "did not have response messages: call_1"),
    ({"messages": [HELLO, CALLED]}, "did not have response messages: call_1"),
    ({"messages": [HELLO, CALLED, {**TOLD, "tool_call_id": "call_2"}]}, "must be a response"),
    ({"messages": [HELLO, {"role": "assistant", "content": None}]}, "expected a string, got null"),
    (
        {"messages": [HELLO, {"role": "assistant", "content": "x", "reasoning_content": "y"}, HELLO]},
        "Unknown parameter",
    ),
    ({"messages": [HELLO, {**CALLED, "tool_calls": [{**CALL, "id": "c" * 41}]}, TOLD]}, "maximum length 40"),
    ({"messages": part("input_text")}, "Invalid value: 'input_text'"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]},
        "cache_control",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:application/pdf;base64,x"}}],
                }
            ]
        },
        "Only image types",
    ),
    ({"tools": [{"type": "function", "function": {"name": "a.b"}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {}}}]}, "Invalid schema"),
    (
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": SCHEMA, "strict": True}}]},
        "additionalProperties",
    ),
    ({"tools": [FLAT]}, "Unknown parameter: 'tools[0].name'"),
]


@pytest.mark.parametrize(("changes", "words"), CHAT_REFUSED)
def test_chat_refuses(chat, changes, words):
    """A request that OpenAI would refuse is a 400 with its error body."""
    answered = chat("POST", CHAT, chat_request(**changes))
    assert answered.status == 400, answered.body
    assert words in answered.json["error"]["message"]
    assert set(answered.json["error"]) == {"message", "type", "param", "code"}


ITEM = {"type": "function_call", "call_id": "call_1", "name": "Read", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "contents"}
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAfromelsewhere"}
RESPONSES_REFUSED = [
    ({"foo": 1}, 400, "Unknown parameter: 'foo'."),
    ({"max_output_tokens": 15}, 400, ">= 16"),
    ({"max_tokens": 20}, 400, "Unknown parameter: 'max_tokens'."),
    ({"temperature": 0.2}, 400, "'temperature' is not supported"),
    ({"stop": ["x"]}, 400, "Unknown parameter: 'stop'."),
    ({"input": part("text")}, 400, "Invalid value: 'text'"),
    ({"input": part("output_text")}, 400, "Invalid value: 'output_text'"),
    ({"input": part("input_text", "assistant")}, 400, "Invalid value: 'input_text'"),
    ({"input": [HELLO, ITEM]}, 400, "No tool output found for function call call_1."),
    ({"input": [HELLO, OUTPUT]}, 400, "No tool call found"),
    ({"input": [HELLO, OUTPUT, ITEM]}, 400, "No tool call found"),
    ({"input": [HELLO, {**ITEM, "id": "toolu_1"}, OUTPUT]}, 400, "begins with 'fc'"),
    ({"input": [HELLO, {**ITEM, "call_id": "c" * 65}, OUTPUT]}, 400, "maximum length 64"),
    ({"input": [HELLO, SEALED, ITEM, OUTPUT]}, 400, "could not be verified"),
    ({"input": [HELLO, {"type": "reasoning", "id": "rs_1", "summary": []}, ITEM, OUTPUT]}, 404, "not found"),
    ({"tools": [FUNCTION]}, 400, "Unknown parameter: 'tools[0].function'"),
    ({"include": ["reasoning"]}, 400, "Invalid value: 'reasoning'"),
    ({"previous_response_id": "resp_nope"}, 400, "not found"),
    (
        {"text": {"format": {"type": "json_schema", "schema": {}}}},
        400,
        "Missing required parameter: 'text.format.name'",
    ),
    ({"stream_options": {"include_obfuscation": False}}, 400, "only allowed when 'stream'"),
]


@pytest.mark.parametrize(("changes", "status", "words"), RESPONSES_REFUSED)
def test_responses_refuse(responses, changes, status, words):
    """A request that the Responses API would refuse has its status and its words."""
    answered = responses("POST", RESPONSES, response_request(**changes))
    assert answered.status == status, answered.body
    assert words in answered.json["error"]["message"]


def test_credentials(chat, responses):
    """Only the right bearer token, alone, is let in."""
    for client, path, body in ((chat, CHAT, chat_request()), (responses, RESPONSES, response_request())):
        for headers in ({}, {"authorization": "Bearer no"}, {**client.headers, "x-api-key": "client-key"}):
            assert client("POST", path, body, headers).status == 401
        assert client.stand_in.leaks


def test_chat_tool_loop(chat):
    """A call that is answered under its id leads to an answer that quotes the result."""
    messages = [{"role": "user", "content": 'use the tool Read with {"path": "a b"}'}]
    first = chat("POST", CHAT, chat_request(messages=messages, tools=[FUNCTION])).json["choices"][0]
    call = first["message"]["tool_calls"][0]
    assert (first["finish_reason"], call["function"]["arguments"]) == ("tool_calls", '{"path": "a b"}')
    sent = {
        name: value for name, value in first["message"].items() if name in ("role", "content", "tool_calls")
    }
    messages += [sent, {"role": "tool", "tool_call_id": call["id"], "content": "forty-two"}]
    second = chat("POST", CHAT, chat_request(messages=messages, tools=[FUNCTION])).json["choices"][0]
    assert "forty-two" in second["message"]["content"]
    assert second["finish_reason"] == "stop"


def test_named_results(chat):
    """The vendor takes the tool's name beside what it returned: LangChain for JavaScript sends it."""
    messages = [HELLO, CALLED, {**TOLD, "name": "Read"}]
    assert chat("POST", CHAT, chat_request(messages=messages)).status == 200


def test_chat_stream(chat):
    """A usage chunk comes only when asked for; the deltas are the answer; ``[DONE]`` is last."""
    whole = chat("POST", CHAT, chat_request(model="gpt-5.4")).json
    assert whole["model"] == "gpt-5.4-2026-03-05"
    plain = chat("POST", CHAT, chat_request(stream=True))
    assert all(event["choices"] for event in plain.events)
    asked = chat("POST", CHAT, chat_request(stream=True, stream_options={"include_usage": True}))
    assert asked.events[-1]["choices"] == []
    assert asked.events[-1]["usage"]["total_tokens"] > 2
    assert asked.body.endswith(b"data: [DONE]\n\n")
    text = "".join(one["choices"][0]["delta"].get("content") or "" for one in plain.events)
    assert text == "gpt-4.1 answers: Hello there"


def test_responses_tool_loop(responses):
    """Sealed reasoning passes under its own id, before its call, and nowhere else."""
    extra = {"tools": [FLAT], "reasoning": {"effort": "high", "summary": "auto"}}
    extra["include"] = ["reasoning.encrypted_content"]
    items = [{"role": "user", "content": "use the tool Read"}]
    first = responses("POST", RESPONSES, response_request(input=items, **extra)).json
    reasoning, call = first["output"]
    assert reasoning["summary"][0]["text"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "forty-two"}
    good = responses("POST", RESPONSES, response_request(input=[*items, reasoning, call, output], **extra))
    assert "forty-two" in good.json["output"][-1]["content"][0]["text"]
    for bad in ([*items, {**reasoning, "id": "rs_9"}, call, output], [*items, call, output, reasoning]):
        assert responses("POST", RESPONSES, response_request(input=bad, **extra)).status == 400


def test_responses_stream(responses):
    """Events are numbered from 0 and the last holds the whole output."""
    events = responses("POST", RESPONSES, response_request(stream=True)).events
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] == "response.completed"
    deltas = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == deltas


def test_responses_remember(responses):
    """A stored response can be continued by its id; one that was not stored can not."""
    first = responses("POST", RESPONSES, response_request(store=True)).json
    again = response_request(previous_response_id=first["id"])
    second = responses("POST", RESPONSES, again)
    assert second.status == 200
    again["previous_response_id"] = second.json["id"]
    assert responses("POST", RESPONSES, again).status == 400


def test_words_choose_the_end(chat, responses):
    """``please be cut off`` and ``please refuse`` end as they say."""
    for words, finish, reason in (
        ("please be cut off", "length", "max_output_tokens"),
        ("please refuse", "content_filter", "content_filter"),
    ):
        message = {"role": "user", "content": words}
        assert (
            chat("POST", CHAT, chat_request(messages=[message])).json["choices"][0]["finish_reason"] == finish
        )
        body = response_request(input=[message], stream=True)
        last = responses("POST", RESPONSES, body).events[-1]
        assert (last["type"], last["response"]["incomplete_details"]) == (
            "response.incomplete",
            {"reason": reason},
        )


def test_other_endpoints(chat, responses):
    """Completions, embeddings, models and token counts answer."""
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once"}
    assert "Once" in chat("POST", "/v1/completions", body).json["choices"][0]["text"]
    body = {"model": "text-embedding-3-small", "input": ["a", "bc"], "dimensions": 4}
    assert [len(row["embedding"]) for row in chat("POST", "/v1/embeddings", body).json["data"]] == [4, 4]
    assert chat("GET", "/v1/models").json["data"]
    assert responses("POST", "/v1/responses/input_tokens", response_request()).json["input_tokens"] > 5


def test_what_codex_sends(responses):
    """A request with all that Codex sends is taken, and a summary that is not OpenAI's own is refused."""
    zoo = {"type": "namespace", "name": "mcp__zoo", "description": "", "tools": [FLAT]}
    items = [
        {"type": "additional_tools", "role": "developer", "tools": [FLAT, zoo]},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAAx"},
        HELLO,
        {"type": "agent_message", "author": "a", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}, "status": "completed"},
        {"type": "shell_call_output", "call_id": "c", "output": []},
        {"type": "configuration_update", "reasoning": {"effort": "low"}},
        {"type": "compaction_trigger"},
    ]
    search = {"type": "tool_search", "execution": "client", "description": "d", "parameters": SCHEMA}
    tools = [FLAT, zoo, search, {"type": "shell"}, {"type": "apply_patch"}]
    asked = response_request(input=items, tools=tools, client_metadata={"a": "b"})
    assert responses("POST", RESPONSES, asked).status == 200
    ours = {"type": "compaction", "encrypted_content": "AMPPROXYSEALEDBYAg=="}
    assert responses("POST", RESPONSES, response_request(input=[ours, HELLO])).status == 400


def test_tools_that_a_client_brings_late(responses):
    """Tools of a namespace, those that are added in the midst and those that a search found are called as
    what they are, whole and streamed; each call wants what it returned.
    """
    probe = {"type": "function", "name": "echo", "parameters": {"type": "object"}}
    group = {"type": "namespace", "name": "probe", "description": "", "tools": [probe]}
    free = {"type": "custom", "name": "exec", "description": "", "format": {"type": "text"}}
    search = {"type": "tool_search", "execution": "client"}
    begin = [
        {"type": "additional_tools", "role": "developer", "tools": [free]},
        {"role": "user", "content": "Go on"},
    ]
    wanted = (("tool_search", '{"query": "x"}'), ("probe.echo", "{}"), ("exec", "text(1)"))
    responses.stand_in.script(Script(calls=wanted))
    body = response_request(input=begin, tools=[search, group], tool_choice="auto", stream=True)
    events = responses("POST", RESPONSES, body).events
    searched, called, ran = events[-1]["response"]["output"]
    assert (searched["type"], searched["arguments"]) == ("tool_search_call", {"query": "x"})
    assert (called["type"], called["namespace"], called["name"]) == ("function_call", "probe", "echo")
    assert (ran["type"], ran["name"], ran["input"]) == ("custom_tool_call", "exec", "text(1)")
    assert [one["item"] for one in events if one["type"] == "response.output_item.done"] == [
        searched,
        called,
        ran,
    ]
    found = {
        "type": "tool_search_output",
        "execution": "client",
        "call_id": searched["call_id"],
        "tools": [group],
    }
    back = [
        found,
        {"type": "function_call_output", "call_id": called["call_id"], "output": "echo"},
        {"type": "custom_tool_call_output", "call_id": ran["call_id"], "output": "1"},
    ]
    items = [*begin, searched, called, ran, *back]
    assert responses("POST", RESPONSES, response_request(input=items)).status == 200
    for at in range(3):
        missing = [*begin, searched, called, ran, *back[:at], *back[at + 1 :]]
        assert (
            "No tool output found"
            in responses("POST", RESPONSES, response_request(input=missing)).body.decode()
        )
    responses.stand_in.script(Script(calls=(("probe.echo", "{}"),)))
    answered = responses("POST", RESPONSES, response_request(input=items)).json
    assert answered["output"][-1]["namespace"] == "probe"
