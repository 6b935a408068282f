"""Messages requests, read."""

from __future__ import annotations

import json
import unittest
from typing import Any

import pytest

from ampproxy.dialects.anthropic import DIALECT
from ampproxy.dialects.anthropic.blocks import parse_block, parse_content
from ampproxy.dialects.places import settle
from ampproxy.dialects.proof import wrap_signature
from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.parts import (
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Opaque,
    Reasoning,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, Thinking, ToolChoice
from tests.dialects.laws import VECTORS

USER: Any = [{"role": "user", "content": "hi"}]


def parsed(**members: Any) -> ChatRequest:
    body = {"model": "m", "max_tokens": 9, "messages": USER, **members}
    return DIALECT.parse_request(json.dumps(body).encode())


def vector(name: str) -> ChatRequest:
    return DIALECT.parse_request((VECTORS / "anthropic/requests" / f"{name}.json").read_bytes())


class ContentTests(unittest.TestCase):
    def test_leading_messages_of_the_system(self) -> None:
        """They are the text of the system for any vendor; later ones, and those with a setting, stay."""
        first, later = {"role": "system", "content": "Be brief."}, {"role": "system", "content": "Now."}
        request = parsed(system="You are an agent.", messages=[first, first, *USER, later])
        self.assertEqual([text.text for text in request.system], ["You are an agent.", *["Be brief."] * 2])
        self.assertEqual([turn.role for turn in request.turns], ["user", "system"])
        request = parsed(messages=[{**first, "output_config": {"effort": "low"}}, *USER])
        self.assertEqual([turn.role for turn in request.turns], ["system", "user"])

    def test_tool_loop(self) -> None:
        """An agent's thread means the same to every vendor: thinking, calls, results, pictures, errors."""
        request = vector("smart")
        self.assertEqual([text.text for text in request.system], ["You are an agent.", "Be brief."])
        _, assistant, user = request.turns
        thought, redacted, text, call, bare = assistant.parts
        self.assertEqual(thought, Reasoning("Use ls.", Signature(ANTHROPIC, "EqoBCkgI")))
        self.assertEqual(redacted, Reasoning("", Signature(ANTHROPIC, "Emw="), redacted=True))
        self.assertEqual(text, Text("Listing."))
        assert isinstance(call, ToolCall)
        assert isinstance(bare, ToolCall)
        self.assertEqual(
            (call.id, call.name, json.loads(call.arguments)), ("toolu_1", "Bash", {"cmd": "ls", "n": 1})
        )
        self.assertEqual(bare.arguments, "{}")
        first, second, after = user.parts
        assert isinstance(first, ToolResult)
        assert isinstance(second, ToolResult)
        self.assertEqual(first.parts, (Text("a.png"), Image(Inline("image/png", "iVBORw0KGgo="))))
        self.assertEqual((first.is_error, second.is_error), (False, True))
        self.assertEqual(second.parts, (Text("no command"),))
        self.assertEqual(json.loads(bytes(second.cache or b"")), {"type": "ephemeral", "ttl": "5m"})
        self.assertEqual(after, Text("go on"))
        self.assertEqual([tool.name for tool in request.tools], ["Bash"])
        self.assertEqual([hosted.kind for hosted in request.hosted], ["web_search"])

    def test_every_source_and_block(self) -> None:
        """Pictures and documents are known whatever they come from; what only Anthropic knows stays whole."""
        request = vector("content")
        parts = request.turns[0].parts
        self.assertEqual(parts[0].source, Link("https://example.com/a.png"))  # type: ignore[union-attr]
        self.assertEqual(parts[1].source, FileId(ANTHROPIC, "file_1"))  # type: ignore[union-attr]
        pdf = parts[2]
        assert isinstance(pdf, Document)
        self.assertEqual((pdf.source, pdf.name), (Inline("application/pdf", "JVBERi0="), "a.pdf"))
        self.assertEqual(set(pdf.extras), {"citations", "context"})
        self.assertEqual((parts[5].text, parts[5].name), ("plain words", "notes"))  # type: ignore[union-attr]
        self.assertEqual(parts[6].text, "one\ntwo")  # type: ignore[union-attr]
        self.assertEqual([p.kind for p in parts if isinstance(p, Opaque)], ["document", "search_result"])
        call = request.turns[1].parts[3]
        assert isinstance(call, ToolCall)
        self.assertIn("123456789012345678901234567890", call.arguments)
        self.assertIn("tool_reference", request.turns[2].parts[0].parts[0].text)  # type: ignore[union-attr]
        self.assertEqual(
            [turn.role for turn in request.turns], ["user", "assistant", "user", "system", "user"]
        )

    def test_carried_proof_returns_to_its_call(self) -> None:
        """Gemini's proof, which an Amp thread carried in a thinking block, sits on the call again."""
        gemini, openai = Signature("gemini", "Zm9v"), Signature("openai-responses", "Zm9v", "rs_1")
        content = [
            {"type": "thinking", "thinking": "hm", "signature": wrap_signature(ANTHROPIC, openai)},
            {"type": "text", "text": "ok"},
            {"type": "redacted_thinking", "data": wrap_signature(ANTHROPIC, gemini, "text")},
            {"type": "redacted_thinking", "data": wrap_signature(ANTHROPIC, gemini, "call")},
            {"type": "tool_use", "id": "a", "name": "A", "input": {}},
            {"type": "tool_use", "id": "b", "name": "B", "input": {}},
        ]
        parts = parsed(messages=[*USER, {"role": "assistant", "content": content}]).turns[1].parts
        self.assertEqual(
            parts,
            (
                Reasoning("hm", openai),
                Text("ok", signature=gemini),
                ToolCall("a", "A", "{}", signature=gemini),
                ToolCall("b", "B", "{}"),
            ),
        )

    def test_thinking_without_signature_has_no_proof(self) -> None:
        """What another proxy handed out without a signature is known to be worthless."""
        for block in [
            {"thinking": "x"},
            {"thinking": "x", "signature": ""},
            {"thinking": "x", "signature": None},
        ]:
            content = [{"type": "thinking", **block}]
            request = parsed(messages=[{"role": "assistant", "content": content}])
            self.assertEqual(request.turns[0].parts, (Reasoning("x"),))


class ShortWayTests(unittest.TestCase):
    def test_both_ways_give_the_same(self) -> None:
        """How common a message's blocks are changes nothing but the time that they take."""
        signed = {"type": "thinking", "thinking": "hm", "signature": "EqoB"}
        mark = {"type": "ephemeral"}
        for block in [
            {"type": "text", "text": "é\u2028", "cache_control": mark},
            {"type": "text", "text": "", "cache_control": None},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/"}},
            signed,
            {"type": "redacted_thinking", "data": "Emw="},
            {"type": "redacted_thinking", "data": wrap_signature(ANTHROPIC, Signature("gemini", "Zm9v"))},
            {**signed, "signature": ""},
            {**signed, "signature": wrap_signature(ANTHROPIC, Signature("gemini", "Zm9v"))},
            {"type": "tool_use", "id": "a", "name": "A", "input": {"n": 10**30}, "cache_control": mark},
            {"type": "tool_use", "id": "a", "name": "A", "input": None},
            {"type": "tool_result", "tool_use_id": "a"},
            {"type": "tool_result", "tool_use_id": "a", "content": ""},
            {
                "type": "tool_result",
                "tool_use_id": "a",
                "content": [],
                "is_error": True,
                "cache_control": mark,
            },
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "x"}]},
        ]:
            with self.subTest(block):
                raw = json.dumps([block]).encode()
                long_way = settle([parse_block(Json(json.dumps(block).encode()), "")])
                self.assertEqual(parse_content(Json(raw), ""), long_way)

    def test_wrong_blocks_are_refused_on_both_ways(self) -> None:
        """A call whose input is no object is a complaint, not a call."""
        content = [{"type": "tool_use", "id": "a", "name": "A", "input": [1]}]
        with self.assertRaises(ClientFault) as caught:
            parsed(messages=[{"role": "assistant", "content": content}])
        self.assertEqual(caught.exception.error.param, "messages[0].content[0].input")


class WishTests(unittest.TestCase):
    def test_thinking(self) -> None:
        """How much and whether to show it, in all of the vendor's spellings."""
        high = {"output_config": {"effort": "high"}}
        for members, wish in [
            ({}, None),
            ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, Thinking("budget", 4000, show=True)),
            ({"thinking": {"type": "disabled"}}, Thinking("off")),
            ({"thinking": {"type": "adaptive"}}, Thinking("auto")),
            ({"thinking": {"type": "adaptive", "display": "omitted"}}, Thinking("auto", show=False)),
            ({"thinking": {"type": "adaptive"}, **high}, Thinking("level", level="high")),
            (high, Thinking("level", level="high")),
            ({"thinking": {"type": "between_tools"}}, Thinking("off")),
        ]:
            with self.subTest(members):
                self.assertEqual(parsed(**members).thinking, wish)

    def test_choice_and_parallel_calls(self) -> None:
        """A demanded call is demanded, and one at a time if so wished."""
        forced = parsed(tool_choice={"type": "tool", "name": "x", "disable_parallel_tool_use": True})
        self.assertEqual((forced.choice, forced.parallel), (ToolChoice("named", "x"), False))
        self.assertEqual(parsed(tool_choice={"type": "any"}).choice, ToolChoice("required"))
        self.assertIsNone(parsed(tool_choice={"type": "none"}).parallel)

    def test_rest(self) -> None:
        """Limits, user, format and what only Anthropic knows."""
        request = vector("disabled")
        self.assertEqual(request.user, "u-1")
        self.assertEqual(request.sampling.stop, ("\n\nHuman:", "END"))
        self.assertEqual((request.sampling.top_p, request.sampling.top_k), (0.9, 5))
        self.assertEqual(request.service_tier, "standard_only")
        self.assertEqual(vector("effort_only").output.kind, "schema")  # type: ignore[union-attr]
        self.assertLessEqual(
            {"container", "context_management", "cache_control"}, set(vector("content").extras)
        )
        self.assertTrue(request.include_usage and request.include_signatures)
        self.assertEqual(parsed(system="").system, ())


class ComplaintTests(unittest.TestCase):
    def test_complaints_name_the_member(self) -> None:
        """Whoever wrote the request finds the place from the message."""
        text = {"type": "text", "text": 3}
        for members, param in [
            ({"messages": None}, "messages"),
            ({"messages": "hi"}, "messages"),
            ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
            ({"messages": [{"role": "user"}]}, "messages[0].content"),
            ({"messages": [*USER, {"role": "user", "content": [{}]}]}, "messages[1].content[0].type"),
            ({"messages": [{"role": "user", "content": [text]}]}, "messages[0].content[0].text"),
            ({"model": None}, "model"),
            ({"max_tokens": "many"}, "max_tokens"),
            ({"temperature": "hot"}, "temperature"),
            ({"tools": [{"description": "x"}]}, "tools[0].name"),
            ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
            ({"thinking": {"type": "enabled", "budget_tokens": "all"}}, "thinking.budget_tokens"),
            ({"system": [{"type": "image", "source": {"type": "url", "url": "x"}}]}, "system[0]"),
        ]:
            with self.subTest(param), self.assertRaises(ClientFault) as caught:
                parsed(**members)
            self.assertEqual(caught.exception.error.param, param)

    def test_model_and_stream_of_the_path_win(self) -> None:
        """A route that names the model needs none in the body."""
        body = json.dumps({"messages": USER}).encode()
        request = DIALECT.parse_request(body, model="from-path", stream=True)
        self.assertEqual((request.model, request.stream), ("from-path", True))


_PLAIN_TOOL = {"name": "t", "description": None, "input_schema": {"type": "object"}, "strict": True}
_MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": ""},
    {"role": "user", "content": "hé"},
    {"role": "assistant", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {"a": [1]}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]},
    {"role": "system", "content": [{"type": "text", "text": "s"}]},
]


@pytest.mark.parametrize("message", _MESSAGES)
def test_a_plain_message_is_read_as_any_other(message: dict[str, Any]) -> None:
    """Whether it has a member that is not known makes no difference to what is read of the others."""
    plain = parsed(messages=[message]).turns[0]
    other = parsed(messages=[{**message, "x": 1}]).turns[0]
    assert (plain.role, plain.parts) == (other.role, other.parts)
    assert (plain.extras, other.extras) == ({}, {"x": Json(b"1")})


def test_plain_tools_are_read_as_any_others() -> None:
    """One unusual tool makes no difference to what is read of the others."""
    tools = [_PLAIN_TOOL, {"type": "custom", "name": "u", "cache_control": {"type": "ephemeral"}}]
    unusual = [{"name": "v", "x": 1}, {"type": "bash_20250124", "name": "bash"}]
    plain = parsed(messages=[], tools=tools)
    other = parsed(messages=[], tools=[*tools, *unusual])
    assert plain.tools == other.tools[:2]
    assert plain.tools[0].extras == {}
    assert other.tools[2].extras == {"x": Json(b"1")}
    assert [hosted.kind for hosted in other.hosted] == ["bash_20250124"]


def test_the_unusual_is_named_where_it_stands() -> None:
    """An error names the member among those that are in order."""
    bad: dict[str, Any] = {
        "messages": [*_MESSAGES, {"role": "user", "content": [{"type": "text", "text": 1}]}]
    }
    with pytest.raises(ClientFault) as caught:
        parsed(**bad)
    assert caught.value.error.param == "messages[6].content[0].text"
    with pytest.raises(ClientFault) as caught:
        parsed(messages=[], tools=[_PLAIN_TOOL, {"name": 1}])
    assert caught.value.error.param == "tools[1].name"


def test_a_level_and_a_budget_are_read_once() -> None:
    """Members that express one wish together are read together."""
    asked = parsed(messages=[], thinking={"type": "adaptive"}, output_config={"effort": "high", "x": 1})
    assert asked.thinking is not None
    assert (asked.thinking.mode, asked.thinking.level) == ("level", "high")
    assert asked.extras["output_config"] == Json(b'{"x":1}')
