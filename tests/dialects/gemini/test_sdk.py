"""Google's own SDK reads what the gateway writes, and the gateway reads what the SDK writes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from google import genai
from google.genai import _api_client, errors, types

from ampproxy.catalog.families import Family
from ampproxy.dialects.base import ModelInfo
from ampproxy.dialects.gemini import DIALECT
from ampproxy.dialects.proof import unwrap_signature
from ampproxy.model.events import Candidate, ChatResponse, Finished, Usage, WireError
from ampproxy.model.fold import unfold
from ampproxy.model.parts import Image, Inline, Reasoning, Signature, Text, ToolCall, ToolResult
from tests.dialects.laws import context_for

#: The HTTP library that this SDK uses: httpx2, and httpx in the last versions for Python 3.10.
httpx: Any = _api_client.httpx or _api_client.httpx2

#: What a vendor of another dialect answered.
FOREIGN = ChatResponse(
    id="msg_1",
    model="claude",
    candidates=(
        Candidate(
            (
                Reasoning("I should look.", Signature("anthropic", "EqoBCkgIARAB+/==")),
                Text("Looking \u2028 now."),
                ToolCall("toolu_01", "Bash", '{"cmd":"ls",\n"n":12345678901234567}'),
            ),
            Finished("tool_calls"),
        ),
    ),
    usage=Usage(input=10, cache_read=90, output=30, reasoning=12),
)


#: The SDK closes its connections when a client is collected, also in mid-stream.
KEPT: list[genai.Client] = []


def client(answer: Callable[[httpx.Request], httpx.Response]) -> genai.Client:
    options = types.HttpOptions(client_args={"transport": httpx.MockTransport(answer)})
    KEPT.append(genai.Client(api_key="k", http_options=options))
    return KEPT[-1]


def stream_of(*pieces: bytes) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(
        200, headers={"content-type": "text/event-stream"}, content=b"".join(pieces)
    )


def test_sdk_reads_a_stream() -> None:
    """Words, thoughts, a call with its id, the end and the usage arrive in the SDK."""
    data = DIALECT.stream_renderer(context_for("gemini-x")).feed(unfold(FOREIGN))
    chunks = list(client(stream_of(data)).models.generate_content_stream(model="gemini-x", contents="hi"))
    parts = [part for chunk in chunks for part in (chunk.candidates[0].content.parts or [])]
    assert "".join(part.text for part in parts if part.text and part.thought) == "I should look."
    assert "".join(part.text for part in parts if part.text and not part.thought) == "Looking \u2028 now."
    [call] = [part.function_call for part in parts if part.function_call]
    assert (call.id, call.name, call.args) == ("toolu_01", "Bash", {"cmd": "ls", "n": 12345678901234567})
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    usage = chunks[-1].usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (100, 90)
    assert (usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (
        18,
        12,
        130,
    )
    assert chunks[0].model_version == "gemini-x"


def test_foreign_proof_survives_the_sdk() -> None:
    """A proof of another vendor is bytes to the SDK, and comes home whole when it is sent back."""
    data = DIALECT.stream_renderer(context_for()).feed(unfold(FOREIGN))
    chunks = list(client(stream_of(data)).models.generate_content_stream(model="g", contents="hi"))
    parts = [part for chunk in chunks for part in (chunk.candidates[0].content.parts or [])]
    history = types.Content(role="model", parts=parts)
    body = sent(lambda sdk: sdk.models.generate_content(model="g", contents=["hi", history, "more"]))
    request = DIALECT.parse_request(body, model="g")
    said = request.turns[1].parts
    assert said[0] == Reasoning("I should look.", Signature("anthropic", "EqoBCkgIARAB+/=="))
    assert isinstance(said[-1], ToolCall)
    assert said[-1].id == "toolu_01"
    [mark] = [part.thought_signature for part in parts if part.thought_signature]
    assert unwrap_signature(base64.b64encode(mark).decode(), "gemini").vendor == "anthropic"


def test_sdk_reads_a_whole_answer() -> None:
    """The same without a stream."""
    body = DIALECT.render_response(FOREIGN, context_for("gemini-x"))
    answer = client(stream_of(body)).models.generate_content(model="gemini-x", contents="hi")
    assert answer.function_calls[0].id == "toolu_01"
    assert answer.text == "Looking \u2028 now."
    assert answer.candidates[0].content.parts[0].thought is True


def test_sdk_raises_an_error_in_mid_stream() -> None:
    """An error after the first words is raised by the SDK as a server error with its status."""
    renderer = DIALECT.stream_renderer(context_for())
    words = renderer.feed(unfold(FOREIGN)[:4])
    failed = renderer.error(WireError("overloaded", "Overloaded", 503))
    answer = client(stream_of(words, failed)).models.generate_content_stream(model="g", contents="hi")
    with pytest.raises(errors.ServerError) as caught:
        list(answer)
    assert (caught.value.code, caught.value.status, caught.value.message) == (
        503,
        "UNAVAILABLE",
        "Overloaded",
    )


def test_sdk_raises_an_error() -> None:
    """An error instead of an answer."""
    error = WireError("rate_limit", "Slow down", 429, retry_after=7)
    sdk = client(lambda request: httpx.Response(429, content=DIALECT.error_body(error)))
    with pytest.raises(errors.ClientError) as caught:
        sdk.models.generate_content(model="g", contents="hi")
    assert caught.value.status == "RESOURCE_EXHAUSTED"
    assert caught.value.details["error"]["details"][0]["retryDelay"] == "7s"


def test_sdk_reads_lists_and_counts() -> None:
    """Models and token counts are what the SDK expects."""
    family = Family(names=("x",), context=1_000_000, max_output=64_000, thinking="level", deprecated=True)
    info = ModelInfo("gemini-x", "google", 0, "Gemini X", family, "deprecated")
    listed = client(stream_of(DIALECT.models_body([info]))).models.list()
    assert [(model.name, model.display_name) for model in listed] == [("models/gemini-x", "Gemini X")]
    one = client(stream_of(DIALECT.model_body(info))).models.get(model="gemini-x")
    assert one.name == "models/gemini-x"
    assert (one.input_token_limit, one.output_token_limit, one.thinking) == (1_000_000, 64_000, True)
    count = client(stream_of(DIALECT.count_body(17))).models.count_tokens(model="g", contents="hi")
    assert count.total_tokens == 17
    assert DIALECT.parse_count(b'{"totalTokens": 17, "cachedContentTokenCount": 3}') == 17


def sent(ask: Callable[[genai.Client], Any]) -> bytes:
    """The body that the SDK sends."""
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(200, content=DIALECT.render_response(FOREIGN, context_for()))

    ask(client(answer))
    return seen[0]


def test_request_of_the_sdk_is_read() -> None:
    """What the SDK sends for a tool loop with an image is understood in full."""
    config = types.GenerateContentConfig(
        system_instruction=["Be brief.", "Be kind."],
        temperature=0.5,
        top_k=40,
        max_output_tokens=100,
        tools=[
            types.Tool(
                function_declarations=[
                    types.FunctionDeclaration(name="f", parameters_json_schema={"type": "object"})
                ]
            )
        ],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode="ANY", allowed_function_names=["f"])
        ),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        thinking_config=types.ThinkingConfig(thinking_level="LOW", include_thoughts=True),
    )
    contents = [
        types.Content(
            role="user", parts=[types.Part.from_bytes(data=b"\xfb\xff\xfe", mime_type="image/png")]
        ),
        types.Content(role="model", parts=[types.Part.from_function_call(name="f", args={"a": 1})]),
        types.Content(
            role="user", parts=[types.Part.from_function_response(name="f", response={"output": "x"})]
        ),
    ]
    body = sent(lambda sdk: sdk.models.generate_content(model="g", contents=contents, config=config))
    request = DIALECT.parse_request(body, model="g", stream=False)
    assert [text.text for text in request.system] == ["Be brief.", "Be kind."]
    assert request.turns[0].parts == (Image(Inline("image/png", "+//+")),)
    call, result = request.turns[1].parts[0], request.turns[2].parts[0]
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert call.id == result.call
    assert result.parts == (Text("x"),)
    assert request.sampling.top_k == 40
    assert request.choice is not None
    assert (request.choice.mode, request.choice.name) == ("named", "f")
    assert request.thinking is not None
    assert (request.thinking.level, request.thinking.show) == ("low", True)


def test_chat_of_the_sdk_keeps_the_turn() -> None:
    """The SDK's chat remembers a streamed answer, and its history is read as one turn."""
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        stream = DIALECT.stream_renderer(context_for()).feed(unfold(FOREIGN))
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)

    chat = client(answer).chats.create(model="g")
    list(chat.send_message_stream("hi"))
    result = types.Part.from_function_response(name="Bash", response={"output": "a"})
    list(chat.send_message_stream(result))
    request = DIALECT.parse_request(bodies[1], model="g")
    assert [turn.role for turn in request.turns] == ["user", "assistant", "user"]
    reasoning, text, called, *_ = request.turns[1].parts
    assert reasoning == Reasoning("I should look.", Signature("anthropic", "EqoBCkgIARAB+/=="))
    assert text == Text("Looking \u2028 now.")
    answered = request.turns[2].parts[0]
    assert isinstance(called, ToolCall)
    assert isinstance(answered, ToolResult)
    assert (called.id, answered.call) == ("toolu_01", "toolu_01")
