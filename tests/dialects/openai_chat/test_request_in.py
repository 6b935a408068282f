"""What is understood of a client's request."""

from __future__ import annotations

import json
import unittest
from typing import Any

from ampproxy.dialects.openai_chat import DIALECT
from ampproxy.errors import ClientFault
from ampproxy.model.base import CHAT, Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, OutputFormat, Thinking, ToolChoice

USER = {"role": "user", "content": "hi"}
PDF = "data:application/pdf;base64,aGk="
BASH = {"type": "function", "function": {"name": "Bash", "arguments": "{}"}}


def parse(*messages: Any, **members: Any) -> ChatRequest:
    body = {"model": "m", "messages": list(messages) or [USER], **members}
    return DIALECT.parse_request(json.dumps(body).encode())


def only_part(message: dict[str, Any]) -> Any:
    return parse(message).turns[0].parts[0]


class Messages(unittest.TestCase):
    """Turns and parts."""

    def test_instructions(self) -> None:
        """Leading system and developer texts are instructions, a later one keeps its place."""
        request = parse(
            {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "system", "content": "c"},
            USER,
            {"role": "developer", "content": "d"},
        )
        self.assertEqual([text.text for text in request.system], ["a", "b", "c"])
        self.assertEqual([turn.role for turn in request.turns], ["user", "system"])

    def test_parts(self) -> None:
        """Every part of OpenAI's types, and what is not known is kept untouched."""
        cases: list[tuple[dict[str, Any], Any]] = [
            ({"type": "text", "text": "a"}, Text("a")),
            (
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
                Image(Inline("image/png", "aGk="), "low"),
            ),
            ({"type": "image_url", "image_url": "https://e.com/a"}, Image(Link("https://e.com/a"))),
            (
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
                Audio(Inline("audio/mpeg", "aGk=")),
            ),
            (
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
                },
                Document(Inline("application/pdf", "aGk="), name="a.pdf"),
            ),
            ({"type": "file", "file": {"file_id": "file-1"}}, Document(FileId(CHAT, "file-1"))),
            ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        ]
        for part, read in cases:
            with self.subTest(part=part):
                self.assertEqual(only_part({"role": "user", "content": [part]}), read)
        odd = only_part({"role": "user", "content": [{"type": "video_url", "video_url": {"url": "u"}}]})
        self.assertIsInstance(odd, Opaque)
        self.assertEqual(json.loads(bytes(odd.raw))["video_url"], {"url": "u"})

    def test_assistant(self) -> None:
        """Reasoning under either name comes first; then words, refusal, sound and calls."""
        for name in ("reasoning_content", "reasoning"):
            turn = parse(
                {
                    "role": "assistant",
                    name: "hm",
                    "content": "a",
                    "refusal": "no",
                    "audio": {"id": "audio_1"},
                    "annotations": [],
                    "function_call": None,
                    "tool_calls": [{"id": "c", **BASH}],
                }
            ).turns[0]
            self.assertEqual(
                turn.parts,
                (
                    Reasoning("hm"),
                    Text("a"),
                    Refusal("no"),
                    Audio(FileId(CHAT, "audio_1")),
                    ToolCall("c", "Bash", "{}"),
                ),
            )
            self.assertEqual(turn.extras, {})

    def test_members_of_one_server_stay_with_the_turn(self) -> None:
        """``name``, ``prefix``, ``reasoning_details`` are kept for the same dialect."""
        turn = parse({**USER, "name": "bob"}, {"role": "assistant", "content": "a", "prefix": True}).turns
        self.assertEqual([[*one.extras] for one in turn], [["name"], ["prefix"]])

    def test_results(self) -> None:
        """Results in a row are one turn; custom tools' results are known as such."""
        request = parse(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "a", **BASH},
                    {"id": "b", "type": "custom", "custom": {"name": "p", "input": "x"}},
                ],
            },
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            USER,
        )
        self.assertEqual(
            request.turns[1].parts,
            (ToolResult("b", (Text("2"),), freeform=True), ToolResult("a", (Text("1"),))),
        )
        self.assertEqual(len(request.turns), 3)

    def test_calls_without_ids_are_paired(self) -> None:
        """Old ``function_call`` threads and servers without ids keep call and result together."""
        request = parse(
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "tool_calls": [BASH, BASH]},
            {"role": "tool", "content": "2"},
            {"role": "tool", "content": "3"},
        )
        made = [part.id for turn in request.turns for part in turn.parts if isinstance(part, ToolCall)]
        answered = [
            part.call for turn in request.turns for part in turn.parts if isinstance(part, ToolResult)
        ]
        self.assertEqual(made, answered)
        self.assertEqual(len(set(made)), 3)

    def test_cache_marks(self) -> None:
        """Anthropic's marks, which Amp writes for Groq, are understood."""
        part = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
        cache = parse({"role": "system", "content": [part]}).system[0].cache
        assert cache is not None
        self.assertEqual(json.loads(bytes(cache)), {"type": "ephemeral"})


class Members(unittest.TestCase):
    """What stands beside the messages."""

    def test_choices(self) -> None:
        """All forms of ``tool_choice``, and ``function_call`` of old."""
        function, custom = ({"type": kind, kind: {"name": "f"}} for kind in ("function", "custom"))
        allowed = {"mode": "required", "tools": [function, {"type": "function", "name": "g"}]}
        cases: list[tuple[dict[str, Any], ToolChoice | None]] = [
            ({"tool_choice": "auto"}, ToolChoice("auto")),
            ({"tool_choice": "any"}, ToolChoice("required")),
            ({"tool_choice": function}, ToolChoice("named", "f")),
            ({"tool_choice": custom}, ToolChoice("named", "f")),
            (
                {"tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}},
                ToolChoice("required", allowed=("f", "g")),
            ),
            (
                {"tool_choice": {"type": "allowed_tools", **allowed}},
                ToolChoice("required", allowed=("f", "g")),
            ),
            ({"function_call": {"name": "f"}}, ToolChoice("named", "f")),
            ({"function_call": "none"}, ToolChoice("none")),
            ({"tool_choice": None}, None),
        ]
        for members, choice in cases:
            with self.subTest(members=members):
                self.assertEqual(parse(**members).choice, choice)

    def test_limits(self) -> None:
        """The newer name of the limit counts; one stop word is a list of one."""
        sampling = parse(max_tokens=5, max_completion_tokens=6, stop="x").sampling
        self.assertEqual((sampling.max_tokens, sampling.stop), (6, ("x",)))

    def test_thinking(self) -> None:
        """Every effort; a server's own word is kept for it."""
        self.assertEqual(parse(reasoning_effort="none").thinking, Thinking("off"))
        self.assertEqual(parse(reasoning_effort="xhigh").thinking, Thinking("level", level="xhigh"))
        odd = parse(reasoning_effort="default")
        self.assertIsNone(odd.thinking)
        self.assertEqual(bytes(odd.extras["reasoning_effort"]), b'"default"')

    def test_thinking_in_words_of_servers(self) -> None:
        """Other dialects get what a client wrote for one server; what stood beside it is kept."""
        off, budget = Thinking("off"), Thinking("budget", budget=2048)
        google = {"thinking_config": {"thinking_budget": 0, "include_thoughts": True}}
        cases: list[tuple[dict[str, Any], Thinking | None, set[str]]] = [
            ({"reasoning": {"enabled": False}}, off, set()),
            ({"enable_thinking": False, "thinking_budget": 9}, off, set()),
            ({"enable_thinking": True, "thinking_budget": 2048}, budget, set()),
            ({"enable_thinking": True}, Thinking("auto"), set()),
            ({"think": "high"}, Thinking("level", level="high"), set()),
            ({"chat_template_kwargs": {"enable_thinking": False}}, off, set()),
            (
                {"chat_template_kwargs": {"thinking": True, "x": 1}},
                Thinking("auto"),
                {"chat_template_kwargs"},
            ),
            ({"extra_body": {"google": google}}, off, set()),
            (
                {"google": {"thinking_config": {"thinking_level": "LOW"}}},
                Thinking("level", level="low"),
                set(),
            ),
            ({"extra_body": {"google": {"google": {"google": google}}}}, None, {"extra_body"}),
        ]
        for members, thinking, kept in cases:
            asked = DIALECT.for_others(parse(**members))
            self.assertEqual((asked.thinking, set(asked.extras)), (thinking, kept), members)

    def test_formats(self) -> None:
        """Structured output in both kinds."""
        self.assertIsNone(parse(response_format={"type": "text"}).output)
        self.assertEqual(parse(response_format={"type": "json_object"}).output, OutputFormat("json"))
        found = parse(
            response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
        ).output
        assert found is not None
        self.assertEqual((found.kind, found.name), ("schema", "n"))

    def test_numbers_keep_their_text(self) -> None:
        """A schema's huge numbers and a member nobody knows come through exactly."""
        body = (
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"odd":1.10,"tools":[{"type":"function",'
            b'"function":{"name":"f","parameters":{"maximum":123456789012345678901234567890}}}]}'
        )
        request = DIALECT.parse_request(body)
        self.assertEqual(request.extras.keys(), {"odd"})
        self.assertEqual(bytes(request.extras["odd"]), b"1.10")
        schema = request.tools[0].schema
        assert isinstance(schema, Json)
        self.assertIn(b"123456789012345678901234567890", bytes(schema))

    def test_path_beats_body(self) -> None:
        """A model in the path is the one that is asked."""
        body = json.dumps({"model": "m", "messages": [USER], "stream": True}).encode()
        request = DIALECT.parse_request(body, model="n", stream=False)
        self.assertEqual((request.model, request.stream), ("n", False))

    def test_complaints_name_the_member(self) -> None:
        """A wrong request is refused with the path of what is wrong."""
        cases: list[tuple[dict[str, Any], str]] = [
            ({"messages": []}, "messages"),
            ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
            (
                {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
                "messages[0].content[0].file",
            ),
            ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
            ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}, "messages[0].tool_calls[0]"),
            ({"temperature": "hot"}, "temperature"),
            ({"tools": [{"type": "function"}]}, "tools[0].function"),
            ({"tool_choice": "maybe"}, "tool_choice"),
            ({"response_format": {"type": "xml"}}, "response_format"),
            ({"model": ""}, "model"),
        ]
        for members, path in cases:
            body = json.dumps({"model": "m", "messages": [USER], **members}).encode()
            with self.subTest(members=members), self.assertRaises(ClientFault) as caught:
                DIALECT.parse_request(body)
            self.assertEqual(caught.exception.error.param, path)
            self.assertIn(path, caught.exception.error.message)
