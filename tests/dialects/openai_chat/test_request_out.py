"""What an account is asked: OpenAI's rules for a request, whoever the client is."""

from __future__ import annotations

import json
import unittest
from typing import Any

from ampproxy.dialects.base import Rendered, Target
from ampproxy.dialects.openai_chat import DIALECT
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES, Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Reasoning,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import (
    ChatRequest,
    HostedTool,
    OutputFormat,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
)
from tests.dialects.builders import assistant, call, result, user

PNG = Image(Inline("image/png", "aGk="))


class Rendering(unittest.TestCase):
    """Shared means."""

    def render(
        self, *turns: Turn, target: Target | str = "local-model", dialect: str = ANTHROPIC, **fields: Any
    ) -> Any:
        """The body; losses are kept by kind."""
        request = ChatRequest(dialect=dialect, model="m", turns=turns, **fields)
        aim = Target(target) if isinstance(target, str) else target
        self.rendered: Rendered = DIALECT.render_request(request, aim)
        self.lost = sorted({loss.kind for loss in self.rendered.losses})
        return json.loads(self.rendered.body)

    def roles(self, *turns: Turn) -> list[str]:
        return [message["role"] for message in self.render(*turns)["messages"]]


class Pairing(Rendering):
    """Each call is answered by one message right after its own."""

    def test_results_come_right_after_their_calls(self) -> None:
        """Text that stood beside results follows them, and a model sees every result."""
        body = self.render(
            user(Text("go")),
            assistant(Text("ok"), call("a"), call("b")),
            user(result("b"), result("a"), Text("and?")),
        )
        self.assertEqual([m["role"] for m in body["messages"]], ["user", "assistant", "tool", "tool", "user"])
        self.assertEqual([m["tool_call_id"] for m in body["messages"][2:4]], ["b", "a"])
        self.assertEqual(body["messages"][1]["content"], "ok")
        self.assertEqual(self.lost, [])

    def test_interrupted_call_is_answered(self) -> None:
        """A call that the user interrupted does not make the vendor refuse the thread."""
        body = self.render(assistant(call("a"), call("b")), user(result("b"), Text("stop")))
        self.assertEqual(
            [(m.get("tool_call_id"), m["content"]) for m in body["messages"][1:]],
            [("b", "result of b"), ("a", "interrupted"), (None, "stop")],
        )
        self.assertEqual(self.lost, ["unanswered_call"])

    def test_result_without_a_call_is_told_as_text(self) -> None:
        """A result whose call was trimmed away is not lost, and not refused."""
        body = self.render(user(result("gone")))
        self.assertEqual(body["messages"], [{"role": "user", "content": "result of gone"}])
        self.assertEqual(self.lost, ["orphan_result"])

    def test_second_result_of_a_call_is_told_as_text(self) -> None:
        """No call is answered twice."""
        self.assertEqual(
            self.roles(assistant(call("a")), user(result("a")), user(result("a"))),
            ["assistant", "tool", "user"],
        )

    def test_same_id_in_two_rounds(self) -> None:
        """A server that counts its calls anew in each round still gets each result in its round."""
        body = self.render(
            assistant(call("0")),
            user(ToolResult("0", (Text("one"),))),
            assistant(call("0")),
            user(ToolResult("0", (Text("two"),))),
        )
        self.assertEqual([m["content"] for m in body["messages"] if m["role"] == "tool"], ["one", "two"])
        self.assertEqual(self.lost, [])

    def test_calls_in_neighbouring_turns_are_one_message(self) -> None:
        """Parallel calls that came as several turns (Responses' items) are answered together."""
        turns = (assistant(call("a")), assistant(call("b")), user(result("a"), result("b")))
        self.assertEqual(self.roles(*turns), ["assistant", "tool", "tool"])
        self.assertEqual(self.lost, [])

    def test_pictures_of_results_follow_all_results(self) -> None:
        """A screenshot that a tool took reaches the model, after the last tool message."""
        body = self.render(
            assistant(call("a"), call("b")), user(result("a", Text("see"), PNG), result("b"), Text("well?"))
        )
        self.assertEqual([m["role"] for m in body["messages"]], ["assistant", "tool", "tool", "user", "user"])
        self.assertEqual(body["messages"][3]["content"][0]["type"], "image_url")
        self.assertEqual(self.lost, ["result_media"])

    def test_error_flag_is_a_loss_and_words_stay(self) -> None:
        """A failed tool's words are told as they are."""
        body = self.render(assistant(call("a")), user(result("a", Text("boom"), is_error=True)))
        self.assertEqual(body["messages"][1]["content"], "boom")
        self.assertEqual(self.lost, ["is_error"])

    def test_text_after_a_call(self) -> None:
        """Words after a call stand before it: said as a loss, since the order changed."""
        body = self.render(assistant(call("a"), Text("done")), user(result("a")))
        self.assertEqual(body["messages"][0]["content"], "done")
        self.assertEqual(self.lost, ["order"])


class Names(Rendering):
    """Names and ids that OpenAI takes."""

    def test_names_are_shortened_apart_and_told_back(self) -> None:
        """Two long names that begin alike stay two tools, and the answer's calls can be named back."""
        names = ["mcp__" + "x" * 80 + "1", "mcp__" + "x" * 80 + "2", "a.b", "a_b"]
        body = self.render(
            assistant(call("c", names[0])), user(result("c")), tools=tuple(Tool(name) for name in names)
        )
        sent = [tool["function"]["name"] for tool in body["tools"]]
        self.assertEqual(len(set(sent)), 4)
        for name in sent:
            self.assertRegex(name, r"^[a-zA-Z0-9_-]{1,64}$")
        self.assertEqual([self.rendered.names.get(name, name) for name in sent], names)
        self.assertEqual(body["messages"][0]["tool_calls"][0]["function"]["name"], sent[0])

    def test_long_ids_are_short_and_the_same_everywhere(self) -> None:
        """An id longer than 40 characters leads from the result to its call, in every request."""
        long = "fc_" + "9" * 60
        turns = (assistant(call(long)), user(result(long)))
        first, second = self.render(*turns)["messages"], self.render(*turns)["messages"]
        id_ = first[0]["tool_calls"][0]["id"]
        self.assertLessEqual(len(id_), 40)
        self.assertEqual(first[1]["tool_call_id"], id_)
        self.assertEqual(first, second)

    def test_kimis_ids_stay(self) -> None:
        """Kimi reads its own form of ids."""
        body = self.render(assistant(call("functions.Bash:0")), user(result("functions.Bash:0")))
        self.assertEqual(body["messages"][1]["tool_call_id"], "functions.Bash:0")


class Content(Rendering):
    """Parts of messages."""

    def test_files_and_sound(self) -> None:
        """A PDF goes as a file with a name, text documents as text, sound as wav or mp3."""
        body = self.render(
            user(
                Document(Inline("application/pdf", "aGk=")),
                Document(Inline("text/plain", "aGk=")),
                Document(None, "words"),
                Document(FileId(RESPONSES, "file-1")),
                Audio(Inline("audio/mpeg", "aGk=")),
                Image(Link("https://example.com/a.png"), "low"),
            )
        )
        parts = body["messages"][0]["content"]
        self.assertEqual(
            parts[0]["file"], {"filename": "document.pdf", "file_data": "data:application/pdf;base64,aGk="}
        )
        self.assertEqual([part.get("text") for part in parts[1:3]], ["hi", "words"])
        self.assertEqual(parts[3]["file"], {"file_id": "file-1"})
        self.assertEqual(parts[4]["input_audio"]["format"], "mp3")
        self.assertEqual(parts[5]["image_url"], {"url": "https://example.com/a.png", "detail": "low"})
        self.assertEqual(self.lost, [])

    def test_what_cannot_be_sent_is_a_loss(self) -> None:
        """Files of another vendor and unknown sound are declared, and the rest goes on."""
        body = self.render(
            user(
                Image(FileId(ANTHROPIC, "f")),
                Document(Link("https://example.com/a.pdf")),
                Audio(Inline("audio/ogg", "aGk=")),
                Text("hi", cache=Json(b'{"type":"ephemeral"}')),
            )
        )
        self.assertEqual(body["messages"][0]["content"], "hi")
        self.assertEqual(self.lost, ["audio_format", "cache_control", "document_source", "image_source"])

    def test_reasoning_of_another_vendor_is_not_sent(self) -> None:
        """No proof and no thinking leaves for a vendor that did not write it."""
        signature = Reasoning("hm", Signature(ANTHROPIC, "sig"))
        body = self.render(
            assistant(signature, Reasoning("so"), Text("x")),
            assistant(Reasoning("", Signature(GEMINI, "s"), True)),
        )
        self.assertEqual(body["messages"], [{"role": "assistant", "content": "x"}])
        self.assertEqual(self.lost, ["foreign_proof", "reasoning"])

    def test_reasoning_goes_back_to_models_that_demand_it(self) -> None:
        """DeepSeek and Kimi refuse a tool loop without the thinking that led to it."""
        turns = (assistant(Reasoning("hm"), call("a")), user(result("a")))
        body = self.render(*turns, target="moonshotai/Kimi-K2.5")
        self.assertEqual(body["messages"][0]["reasoning_content"], "hm")
        body = self.render(*turns, dialect=CHAT)
        self.assertEqual(body["messages"][0]["reasoning_content"], "hm")
        self.assertEqual(self.lost, [])


class Tools(Rendering):
    """Tools and choices."""

    tools = (Tool("Bash", schema=Json(b'{"type":"object","properties":{}}')), Tool("Read"))

    def test_choices(self) -> None:
        """Every kind of choice has its form."""
        cases: list[tuple[ToolChoice, Any]] = [
            (ToolChoice("auto"), "auto"),
            (ToolChoice("required"), "required"),
            (ToolChoice("none"), "none"),
            (ToolChoice("named", "Read"), {"type": "function", "function": {"name": "Read"}}),
        ]
        for choice, sent in cases:
            with self.subTest(choice=choice):
                body = self.render(user(Text("x")), tools=self.tools, choice=choice, parallel=False)
                self.assertEqual(body["tool_choice"], sent)
                self.assertIs(body["parallel_tool_calls"], False)

    def test_allowed_tools(self) -> None:
        """OpenAI is told which tools are allowed; another server is shown only those."""
        choice = ToolChoice("required", allowed=("Read",))
        body = self.render(user(Text("x")), tools=self.tools, choice=choice, target="gpt-5.1")
        self.assertEqual(body["tool_choice"]["allowed_tools"]["tools"][0]["function"]["name"], "Read")
        self.assertEqual(len(body["tools"]), 2)
        body = self.render(user(Text("x")), tools=self.tools, choice=choice)
        self.assertEqual((len(body["tools"]), body["tool_choice"]), (1, "required"))

    def test_no_choice_without_tools(self) -> None:
        """OpenAI refuses a choice and ``parallel_tool_calls`` without tools."""
        body = self.render(user(Text("x")), choice=ToolChoice("required"), parallel=True)
        self.assertEqual(body.keys(), {"model", "messages"})
        self.assertEqual(self.lost, ["tool_choice"])

    def test_freeform_tools(self) -> None:
        """A tool with free text is itself at OpenAI, and a function elsewhere, in the history too."""
        tool = Tool(
            "patch", freeform=True, grammar=Json(b'{"type":"grammar","syntax":"lark","definition":"x"}')
        )
        turns = (assistant(ToolCall("c", "patch", "*** x", freeform=True)), user(result("c")))
        body = self.render(*turns, tools=(tool,), target="gpt-5", dialect=RESPONSES)
        told = body["tools"][0]["custom"]["format"]["grammar"]
        self.assertEqual(told, {"syntax": "lark", "definition": "x"})
        self.assertEqual(body["messages"][0]["tool_calls"][0]["custom"]["input"], "*** x")
        body = self.render(*turns, tools=(tool,), dialect=RESPONSES)
        self.assertEqual(body["tools"][0]["function"]["parameters"]["required"], ["input"])
        arguments = body["messages"][0]["tool_calls"][0]["function"]["arguments"]
        self.assertEqual(json.loads(arguments), {"input": "*** x"})
        self.assertEqual(self.rendered.freeform, {"patch"})

    def test_schemas_are_objects(self) -> None:
        """OpenAI refuses a function whose schema is no object or has no properties, Kimi one without."""
        body = self.render(user(Text("x")), tools=(Tool("a", schema=Json(b"{}")), Tool("b")))
        for tool in body["tools"]:
            self.assertEqual(tool["function"]["parameters"], {"type": "object", "properties": {}})

    def test_hosted_tools(self) -> None:
        """A vendor's own search becomes OpenAI's where the model searches, and a loss elsewhere."""
        hosted = (HostedTool("web_search", ANTHROPIC, Json(b"{}")),)
        body = self.render(user(Text("x")), hosted=hosted, target="gpt-4o-search-preview")
        self.assertEqual(body["web_search_options"], {})
        self.assertNotIn("web_search_options", self.render(user(Text("x")), hosted=hosted, target="gpt-4o"))
        self.assertEqual(self.lost, ["hosted_tool"])


class Members(Rendering):
    """Everything beside messages and tools."""

    def test_limit_has_the_name_that_the_server_knows(self) -> None:
        """OpenAI's models take ``max_completion_tokens``, older and other servers ``max_tokens``."""
        sampling = Sampling(max_tokens=50)
        for model, member in [
            ("gpt-4.1-mini", "max_completion_tokens"),
            ("openai/gpt-5", "max_completion_tokens"),
            ("o4-mini", "max_completion_tokens"),
            ("gpt-4-turbo", "max_tokens"),
            ("openai/gpt-oss-120b", "max_tokens"),
            ("qwen3", "max_tokens"),
        ]:
            with self.subTest(model=model):
                body = self.render(user(Text("x")), sampling=sampling, target=model)
                self.assertEqual(body.keys() - {"model", "messages"}, {member})

    def test_limits_of_the_backend(self) -> None:
        """Too much is lowered and too many are cut, and it is said."""
        sampling = Sampling(max_tokens=64_000, temperature=2.5, top_k=4, stop=("a", "b", "c", "d", "e"))
        body = self.render(user(Text("x")), sampling=sampling, target=Target("m", max_output=8192))
        self.assertEqual(
            (body["max_tokens"], body["temperature"], len(body["stop"]), "top_k" in body),
            (8192, 2.0, 4, False),
        )
        self.assertEqual(self.lost, ["output_limit", "stop", "temperature", "top_k"])

    def test_models_that_refuse_sampling(self) -> None:
        """A reasoning model gets no temperature, with which it would refuse the request."""
        sampling = Sampling(temperature=0.5, top_p=0.9, presence_penalty=0.1, logprobs=True, seed=1)
        body = self.render(user(Text("x")), sampling=sampling, target=Target("gpt-5", sampling=False))
        self.assertEqual(body.keys() - {"model", "messages"}, {"seed"})
        self.assertEqual(self.lost, ["logprobs", "presence_penalty", "temperature", "top_p"])

    def test_thinking(self) -> None:
        """A wish for thinking becomes an effort that the model takes."""
        plain = Target("m")
        level = Target("gpt-5", "level", levels=("low", "medium", "high"), can_disable=False)
        cases: list[tuple[Thinking, Target, str | None, list[str]]] = [
            (Thinking("budget", 1024), plain, "low", ["thinking_budget"]),
            (Thinking("budget", 4000), plain, "medium", ["thinking_budget"]),
            (Thinking("budget", 20_000), plain, "high", ["thinking_budget"]),
            (Thinking("budget", 64_000), plain, "high", ["thinking_budget"]),
            (Thinking("level", level="medium"), plain, "medium", []),
            (Thinking("level", level="max"), level, "high", ["thinking_level"]),
            (Thinking("off"), plain, "none", []),
            (Thinking("off"), level, "low", ["thinking"]),
            (Thinking("auto"), level, None, []),
            (Thinking("level", level="high"), Target("gpt-4o", "none"), None, ["thinking"]),
            (Thinking("off"), Target("gpt-4o", "none"), None, []),
        ]
        for thinking, target, effort, lost in cases:
            with self.subTest(thinking=thinking, target=target):
                body = self.render(user(Text("x")), thinking=thinking, target=target)
                self.assertEqual(body.get("reasoning_effort"), effort)
                self.assertEqual(self.lost, lost)

    def test_usage_is_always_asked_for_in_a_stream(self) -> None:
        """The gateway counts tokens whether the client wants to see them or not."""
        body = self.render(user(Text("x")), stream=True, include_usage=False)
        self.assertEqual(body["stream_options"], {"include_usage": True})

    def test_members_of_one_account_only(self) -> None:
        """What other servers may refuse is sent to OpenAI alone."""
        fields: dict[str, Any] = {
            "metadata": {"k": "v"},
            "service_tier": "flex",
            "cache_key": "t",
            "user": "u",
            "dialect": RESPONSES,
        }
        body = self.render(user(Text("x")), **fields)
        self.assertEqual(body.keys(), {"model", "messages", "user"})
        self.assertEqual(self.lost, ["cache_key", "metadata", "service_tier"])
        body = self.render(user(Text("x")), **fields, target="gpt-4.1")
        self.assertEqual(
            body.keys() - {"model", "messages"}, {"user", "metadata", "service_tier", "prompt_cache_key"}
        )

    def test_long_users_are_short_and_stay_apart(self) -> None:
        """Anthropic's long ids of users are not refused, and two users stay two."""
        ids = [self.render(user(Text("x")), user="user_" + "a" * 90 + end)["user"] for end in "112"]
        self.assertEqual([len(id_) for id_ in ids], [64] * 3)
        self.assertEqual((ids[0] == ids[1], ids[0] == ids[2]), (True, False))
        self.assertEqual(self.lost, ["user"])

    def test_metadata_keeps_openais_limits(self) -> None:
        """Sixteen pairs of limited length; the rest is a loss and not a refusal."""
        metadata = {f"k{n}": "v" for n in range(20)} | {"long": "x" * 600}
        body = self.render(user(Text("x")), metadata=metadata, target="gpt-4.1")
        self.assertEqual(len(body["metadata"]), 16)
        self.assertEqual(self.lost, ["metadata"])

    def test_schema_gets_a_name(self) -> None:
        """OpenAI wants a name for the schema of an answer; other dialects have none."""
        body = self.render(user(Text("x")), output=OutputFormat("schema", Json(b'{"type":"object"}')))
        self.assertEqual(
            body["response_format"],
            {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}},
        )
