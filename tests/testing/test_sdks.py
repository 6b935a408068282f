"""The vendors' own SDKs understand the stand-ins: this is what makes them worth testing against."""

from __future__ import annotations

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

#: What the SDKs would take from the environment of whoever runs the tests.
SETTINGS = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
SETTINGS += ("OPENAI_CUSTOM_HEADERS", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_API_KEY", "GEMINI_API_KEY")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No setting of the developer's own reaches a stand-in."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


def test_anthropic(claude):
    """Whole, streamed, with tools and thinking, counted, and refused."""
    client = anthropic.Anthropic(base_url=claude.stand_in.url, api_key="vendor-key", max_retries=0)
    asked = {"model": "claude-sonnet-4-6", "max_tokens": 4000}
    tools = [{"name": "Read", "input_schema": SCHEMA}]
    messages = [{"role": "user", "content": "use the tool Read"}]
    asked |= {"tools": tools, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    with client.messages.stream(messages=messages, **asked) as stream:
        first = stream.get_final_message()
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    assert first.content[1].input == {"path": "demo"}
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "forty-two"}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(messages=messages, **asked)
    assert "forty-two" in second.content[-1].text
    counted = client.messages.count_tokens(
        model="claude-sonnet-4-6", messages=[{"role": "user", "content": "hi"}]
    )
    assert counted.input_tokens > 0
    assert client.models.list().data[0].id == "claude-opus-4-6"
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(
            model="c+status=429", max_tokens=5, messages=[{"role": "user", "content": "hi"}]
        )
    assert caught.value.body["error"]["type"] == "rate_limit_error"


def test_openai_chat(chat):
    """Whole, streamed, with tools, embeddings, models, and refused."""
    client = openai.OpenAI(base_url=chat.stand_in.url + "/v1", api_key="vendor-key", max_retries=0)
    messages = [{"role": "user", "content": "use the tool Read"}]
    tools = [{"type": "function", "function": {"name": "Read", "parameters": SCHEMA}}]
    with pytest.raises(openai.BadRequestError, match="Please use /v1/responses instead"):
        client.chat.completions.create(model="gpt-5.4", messages=messages, tools=tools)
    asked = {"model": "gpt-5.4", "tools": tools, "reasoning_effort": "none"}
    with client.chat.completions.stream(messages=messages, **asked) as stream:
        first = stream.get_final_completion().choices[0].message
    call = first.tool_calls[0]
    messages.append(
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
            ],
        }
    )
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "forty-two"})
    second = client.chat.completions.create(messages=messages, **asked)
    assert "forty-two" in second.choices[0].message.content
    assert second.usage.total_tokens == second.usage.prompt_tokens + second.usage.completion_tokens
    embedded = client.embeddings.create(model="text-embedding-3-small", input="hi", dimensions=5)
    assert len(embedded.data[0].embedding) == 5
    assert client.models.list().data
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")


def test_openai_responses(responses):
    """Whole, streamed, with tools and reasoning that comes back, and failed in mid-stream."""
    client = openai.OpenAI(base_url=responses.stand_in.url + "/v1", api_key="vendor-key", max_retries=0)
    asked = {"model": "gpt-5.4", "store": False, "include": ["reasoning.encrypted_content"]}
    asked |= {"reasoning": {"effort": "low", "summary": "auto"}}
    asked |= {"tools": [{"type": "function", "name": "Read", "parameters": SCHEMA, "strict": False}]}
    items = [{"role": "user", "content": "use the tool Read"}]
    with client.responses.stream(input=items, **asked) as stream:
        first = stream.get_final_response()
    assert [item.type for item in first.output] == ["reasoning", "function_call"]
    items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    items.append({"type": "function_call_output", "call_id": first.output[1].call_id, "output": "forty-two"})
    second = client.responses.create(input=items, **asked)
    assert "forty-two" in second.output_text
    events = list(client.responses.create(model="gpt-5.4+error=5", input="hi", stream=True))
    assert events[-1].type == "response.failed"


def test_google(google):
    """Whole, streamed, with tools and signatures, counted, embedded, and refused."""
    client = genai.Client(api_key="vendor-key", http_options={"base_url": google.stand_in.url})
    declared = types.FunctionDeclaration(name="Read", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    contents = [types.Content(role="user", parts=[types.Part(text="use the tool Read")])]
    model = "gemini-3-flash-preview"
    chunks = list(client.models.generate_content_stream(model=model, contents=contents, config=config))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    assert parts[-1].function_call.name == "Read"
    given = types.Part.from_function_response(name="Read", response={"output": "forty-two"})
    contents += [types.Content(role="model", parts=parts), types.Content(role="user", parts=[given])]
    second = client.models.generate_content(model=model, contents=contents, config=config)
    assert "forty-two" in second.text
    assert client.models.count_tokens(model=model, contents="hi").total_tokens > 0
    assert client.models.embed_content(model="gemini-embedding-001", contents="hi").embeddings[0].values
    with pytest.raises(errors.ServerError):
        client.models.generate_content(model=model + "+status=503", contents="hi")
