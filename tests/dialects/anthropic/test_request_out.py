"""Requests of other dialects, said to Anthropic."""

from __future__ import annotations

import json
import unittest
from typing import Any

import msgspec

from ampproxy.dialects.anthropic import DIALECT
from ampproxy.dialects.anthropic.profile import PROFILE
from ampproxy.dialects.base import Target
from ampproxy.model.base import ANTHROPIC, CHAT, RESPONSES, Json
from ampproxy.model.parts import (
    Document,
    Image,
    Inline,
    Link,
    Reasoning,
    Refusal,
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
from tests.dialects.builders import assistant, user

CALL, RESULT = ToolCall("c1", "Bash", '{"cmd":"ls"}'), ToolResult("c1", (Text("a"),))
BASH = Tool("Bash", schema=Json(b'{"type":"object"}'))
PROOF = Signature(ANTHROPIC, "EqoB")
BUDGET = Target("claude-sonnet-4-5", thinking="budget", max_output=64_000)
LEVEL = Target(
    "claude-opus-4-6", thinking="both", levels=("low", "medium", "high", "max"), max_output=128_000
)


def request(*turns: Turn, dialect: str = CHAT, **fields: Any) -> ChatRequest:
    return ChatRequest(dialect=dialect, model="asked", turns=turns or (user("hi"),), **fields)


class RenderCase(unittest.TestCase):
    def render(self, asked: ChatRequest, target: Target = BUDGET) -> tuple[dict[str, Any], set[str]]:
        """The body, and the kinds of losses."""
        rendered = DIALECT.render_request(asked, target)
        return json.loads(rendered.body), {loss.kind for loss in rendered.losses}

    def contents(self, *turns: Turn, **fields: Any) -> tuple[list[Any], set[str]]:
        """The messages as (role, block types)."""
        body, lost = self.render(request(*turns, **fields))
        told = [(one["role"], [block["type"] for block in one["content"]]) for one in body["messages"]]
        return told, lost


class TurnTests(RenderCase):
    def test_results_come_first_and_all_of_them(self) -> None:
        """Results in any order, with text between them, stand before the text in the next message."""
        second = ToolCall("c2", "Bash", "{}")
        told, lost = self.contents(
            user("go"),
            assistant("ok", CALL, second),
            user("wait", ToolResult("c2", (Text("b"),))),
            user(RESULT, "and then"),
        )
        self.assertEqual(
            told,
            [
                ("user", ["text"]),
                ("assistant", ["text", "tool_use", "tool_use"]),
                ("user", ["tool_result", "tool_result", "text", "text"]),
            ],
        )
        self.assertEqual(lost, {"tools"})

    def test_call_without_result_is_said_to_be_interrupted(self) -> None:
        """A thread that was cut off in a tool call goes on."""
        body, lost = self.render(request(user("go"), assistant(CALL), user("stop that"), tools=(BASH,)))
        result, text = body["messages"][2]["content"]
        self.assertEqual((result["tool_use_id"], result["is_error"]), ("c1", True))
        self.assertEqual(result["content"][0]["text"], PROFILE.interrupted)
        self.assertEqual(text["text"], "stop that")
        self.assertEqual(lost, {"unanswered_call"})

    def test_result_without_call_becomes_text(self) -> None:
        """A result whose call was trimmed away keeps its words and is not refused."""
        told, lost = self.contents(user("go", RESULT), tools=(BASH,))
        self.assertEqual(told, [("user", ["text", "text"])])
        self.assertEqual(lost, {"orphan_result"})

    def test_ids_are_never_there_twice(self) -> None:
        """Two rounds with one id stay two calls, each with its own result."""
        rounds = [assistant(CALL), user(RESULT), assistant(CALL), user(ToolResult("c1", (Text("b"),)))]
        body, lost = self.render(request(user("go"), *rounds, tools=(BASH,)))
        calls = [body["messages"][at]["content"][0]["id"] for at in (1, 3)]
        results = [body["messages"][at]["content"][0] for at in (2, 4)]
        self.assertEqual(calls, ["c1", "c1_2"])
        self.assertEqual([result["tool_use_id"] for result in results], calls)
        self.assertEqual([result["content"][0]["text"] for result in results], ["a", "b"])
        self.assertEqual(lost, {"call_id"})

    def test_one_id_for_everything(self) -> None:
        """A long thread of a server that gives one id to all calls neither mixes results nor takes long."""
        rounds = [
            turn
            for number in range(2000)
            for turn in (assistant(CALL), user(ToolResult("c1", (Text(str(number)),))))
        ]
        body, _ = self.render(request(user("go"), *rounds, tools=(BASH,)))
        results = [one["content"][0] for one in body["messages"][2::2]]
        self.assertEqual([result["content"][0]["text"] for result in results], [str(n) for n in range(2000)])
        self.assertEqual(len({result["tool_use_id"] for result in results}), 2000)

    def test_ids_that_the_vendor_refuses(self) -> None:
        """Ids of servers with dots and colons in them still pair."""
        odd = ToolCall("functions.Bash:0", "Bash", "{}")
        body, _ = self.render(
            request(user("go"), assistant(odd), user(ToolResult(odd.id, (Text("x"),))), tools=(BASH,))
        )
        sent = body["messages"][1]["content"][0]["id"]
        self.assertRegex(sent, r"^[a-zA-Z0-9_-]+$")
        self.assertEqual(body["messages"][2]["content"][0]["tool_use_id"], sent)

    def test_first_turn_is_the_users(self) -> None:
        """A thread that begins with the model is accepted."""
        body, lost = self.render(request(assistant("welcome"), user("hi")))
        self.assertEqual(
            body["messages"][0], {"role": "user", "content": [{"type": "text", "text": PROFILE.opening}]}
        )
        self.assertEqual(lost, {"first_turn"})

    def test_blank_texts_and_empty_turns_vanish(self) -> None:
        """Nothing blank is sent, and roles still alternate."""
        told, lost = self.contents(user("a"), assistant(""), user("b", "  "), assistant("x \n"))
        self.assertEqual(told, [("user", ["text", "text"]), ("assistant", ["text"])])
        self.assertEqual(lost, {"blank_text", "trailing_blanks"})

    def test_late_system_text_is_told(self) -> None:
        """A system text in mid-conversation is never dropped."""
        told, lost = self.contents(user("a"), assistant("b"), Turn("system", (Text("now in French"),)))
        self.assertEqual(told[-1], ("user", ["text"]))
        self.assertEqual(lost, {"system_turn"})

    def test_refusal_keeps_its_words(self) -> None:
        """The model's refusal is still in its history."""
        body, _ = self.render(request(user("a"), assistant(Refusal("no")), user("why")))
        self.assertEqual(body["messages"][1]["content"], [{"type": "text", "text": "no"}])

    def test_arguments_keep_their_exact_text(self) -> None:
        """Large numbers and key order survive; broken arguments are kept and said."""
        exact = ToolCall("c1", "Bash", '{"z": 12345678901234567890123, "a": 1.50}')
        rendered = DIALECT.render_request(request(user("x"), assistant(exact), user(RESULT)), BUDGET)
        self.assertIn(b'"input":{"z": 12345678901234567890123, "a": 1.50}', rendered.body)
        body, lost = self.render(request(user("x"), assistant(ToolCall("c1", "Bash", '{"cut')), user(RESULT)))
        self.assertEqual(body["messages"][1]["content"][0]["input"], {"_raw": '{"cut'})
        self.assertIn("arguments", lost)


class ThinkingTests(RenderCase):
    LOOP = (user("go"), assistant(Reasoning("hm", PROOF), CALL), user(RESULT))

    def test_own_proof_goes_back(self) -> None:
        """Claude gets its thinking back with the signature, from a client that can carry it."""
        body, lost = self.render(
            request(*self.LOOP, dialect=RESPONSES, tools=(BASH,), thinking=Thinking("budget", 2000))
        )
        self.assertEqual(
            body["messages"][1]["content"][0], {"type": "thinking", "thinking": "hm", "signature": "EqoB"}
        )
        self.assertEqual(body["thinking"], {"type": "enabled", "budget_tokens": 2000})
        self.assertEqual(lost, set())

    def test_foreign_proof_stays_out_and_thinking_rests(self) -> None:
        """A thread that came from another vendor in mid-loop is accepted, without thinking."""
        foreign = Reasoning("hm", Signature("openai-responses", "gAAA", "rs_1"))
        turns = (user("go"), assistant(foreign, CALL), user(RESULT))
        for target, member in ((BUDGET, None), (LEVEL, {"type": "disabled"})):
            asked = request(
                *turns, dialect=RESPONSES, tools=(BASH,), thinking=Thinking("level", level="high")
            )
            body, lost = self.render(asked, target)
            self.assertEqual(body.get("thinking"), member)
            self.assertEqual(lost, {"foreign_proof", "thinking"})
            self.assertNotIn("hm", json.dumps(body))

    def test_client_without_proofs(self) -> None:
        """A chat client's tool loop goes on without thinking; its next question thinks again."""
        loop = (user("go"), assistant(CALL), user(RESULT))
        asked = request(*loop, tools=(BASH,), thinking=Thinking("level", level="low"))
        self.assertNotIn("thinking", self.render(asked)[0])
        self.assertEqual(self.render(asked, LEVEL)[0]["thinking"], {"type": "disabled"})
        again = msgspec.structs.replace(asked, turns=(*loop, assistant("done"), user("more")))
        self.assertEqual(self.render(again)[0]["thinking"], {"type": "enabled", "budget_tokens": 1024})

    def test_model_that_chose_not_to_think(self) -> None:
        """With adaptive thinking a call without a thought is in order, and thinking stays on."""
        loop = (user("go"), assistant(CALL), user(RESULT))
        asked = request(*loop, dialect=RESPONSES, tools=(BASH,), thinking=Thinking("auto"))
        self.assertEqual(self.render(asked, LEVEL)[0]["thinking"], {"type": "adaptive"})

    def test_limit_is_above_the_budget(self) -> None:
        """A client's small limit never makes a budget impossible."""
        for tokens, budget, most in [
            (100, 2000, 64_000),
            (4096, 24_576, 64_000),
            (4096, 24_576, 8192),
            (1, 1, 2048),
        ]:
            asked = request(sampling=Sampling(max_tokens=tokens), thinking=Thinking("budget", budget))
            body, lost = self.render(asked, msgspec.structs.replace(BUDGET, max_output=most))
            self.assertGreaterEqual(body["thinking"]["budget_tokens"], 1024)
            self.assertLess(body["thinking"]["budget_tokens"], body["max_tokens"])
            self.assertLessEqual(body["max_tokens"], most)
            self.assertIn("max_tokens", lost)

    def test_level_and_budget_by_model(self) -> None:
        """Each model is asked in the way that it takes."""
        for wish, target, member, effort in [
            (Thinking("level", level="high"), BUDGET, {"type": "enabled", "budget_tokens": 24_576}, None),
            (Thinking("level", level="xhigh"), LEVEL, {"type": "adaptive"}, "max"),
            (
                Thinking("budget", 8192, show=True),
                LEVEL,
                {"type": "adaptive", "display": "summarized"},
                "medium",
            ),
            (Thinking("off"), LEVEL, {"type": "disabled"}, None),
            (Thinking("auto"), LEVEL, {"type": "adaptive"}, None),
            (Thinking("level", level="high"), Target("x", thinking="none"), None, None),
        ]:
            with self.subTest(wish=wish, target=target.thinking):
                body, _ = self.render(request(thinking=wish), target)
                self.assertEqual(body.get("thinking"), member)
                self.assertEqual(body.get("output_config", {}).get("effort"), effort)

    def test_sampling_gives_way(self) -> None:
        """Temperature and its like are dropped where the vendor refuses them, and that is said."""
        sampling = Sampling(temperature=0.7, top_k=4, top_p=0.5, stop=("END", " "))
        body, lost = self.render(request(sampling=sampling, thinking=Thinking("budget", 1024)))
        self.assertEqual({"temperature", "top_k", "top_p"} & set(body), set())
        self.assertEqual(body["stop_sequences"], ["END"])
        self.assertEqual(lost, {"temperature", "top_k", "top_p", "stop"})
        body, lost = self.render(request(sampling=Sampling(temperature=1.7)))
        self.assertEqual((body["temperature"], lost), (1, {"temperature"}))
        _, lost = self.render(request(sampling=sampling), msgspec.structs.replace(LEVEL, sampling=False))
        self.assertEqual(lost, {"temperature", "top_k", "top_p", "stop"})

    def test_demanded_call_or_thinking(self) -> None:
        """A demanded call wins over thinking; a model that must think gets the call as a wish."""
        asked = request(tools=(BASH,), choice=ToolChoice("required"), thinking=Thinking("budget", 2000))
        body, lost = self.render(asked)
        self.assertEqual((body["tool_choice"], "thinking" in body), ({"type": "any"}, False))
        self.assertEqual(lost, {"thinking"})
        body, lost = self.render(asked, msgspec.structs.replace(BUDGET, can_disable=False))
        self.assertEqual((body["tool_choice"], "thinking" in body), ({"type": "auto"}, True))
        self.assertEqual(lost, {"tool_choice"})


class ToolTests(RenderCase):
    def test_names_are_made_legal_and_told(self) -> None:
        """A tool with a dotted name works, and its calls can be told by the client's name."""
        asked = request(
            user("x"),
            assistant(ToolCall("c1", "get.weather", "{}")),
            user(RESULT),
            tools=(Tool("get.weather"), Tool("get_weather")),
            choice=ToolChoice("named", "get.weather"),
        )
        rendered = DIALECT.render_request(asked, BUDGET)
        body = json.loads(rendered.body)
        sent = [tool["name"] for tool in body["tools"]]
        self.assertEqual(sent, ["get_weather_2", "get_weather"])
        self.assertEqual(rendered.names, {"get_weather_2": "get.weather"})
        self.assertEqual(body["tool_choice"], {"type": "tool", "name": "get_weather_2"})
        self.assertEqual(body["messages"][1]["content"][0]["name"], "get_weather_2")
        self.assertEqual(body["tools"][0]["input_schema"], {"type": "object", "properties": {}})

    def test_freeform_tool(self) -> None:
        """A tool whose input is text is offered as a function with one string."""
        patch = Tool("apply_patch", freeform=True, grammar=Json(b'{"syntax":"lark"}'))
        call = ToolCall("c1", "apply_patch", "*** Begin", freeform=True)
        rendered = DIALECT.render_request(
            request(user("x"), assistant(call), user(RESULT), tools=(patch,)), BUDGET
        )
        body = json.loads(rendered.body)
        self.assertEqual(body["tools"][0]["input_schema"]["required"], ["input"])
        self.assertEqual(body["messages"][1]["content"][0]["input"], {"input": "*** Begin"})
        self.assertEqual(rendered.freeform, frozenset({"apply_patch"}))
        self.assertEqual({loss.kind for loss in rendered.losses}, {"grammar"})

    def test_choice(self) -> None:
        """The choice among tools and one call at a time, in the vendor's one member."""
        other = Tool("Other")
        for fields, choice in [
            ({}, None),
            ({"parallel": False}, {"type": "auto", "disable_parallel_tool_use": True}),
            ({"parallel": True, "choice": ToolChoice("auto")}, {"type": "auto"}),
            (
                {"parallel": False, "choice": ToolChoice("required")},
                {"type": "any", "disable_parallel_tool_use": True},
            ),
            ({"parallel": False, "choice": ToolChoice("none")}, {"type": "none"}),
        ]:
            with self.subTest(fields):
                body, _ = self.render(request(tools=(BASH, other), **fields))
                self.assertEqual(body.get("tool_choice"), choice)
        body, _ = self.render(request(tools=(BASH, other), choice=ToolChoice("required", allowed=("Bash",))))
        self.assertEqual([tool["name"] for tool in body["tools"]], ["Bash"])
        self.assertNotIn("tool_choice", self.render(request(choice=ToolChoice("required")))[0])

    def test_hosted_tools(self) -> None:
        """Web search of another vendor becomes Anthropic's; what it has not is said."""
        hosted = (
            HostedTool("web_search", "gemini", Json(b'{"googleSearch":{"timeRangeFilter":{}}}')),
            HostedTool("image_generation", "x", Json(b"{}")),
        )
        rendered = DIALECT.render_request(request(hosted=hosted), BUDGET)
        self.assertEqual([tool["name"] for tool in json.loads(rendered.body)["tools"]], ["web_search"])
        self.assertEqual({loss.kind for loss in rendered.losses}, {"hosted_settings", "hosted_tool"})
        code = HostedTool("code_execution", "gemini", Json(b"{}"))
        headers = DIALECT.render_request(request(hosted=(code,)), BUDGET).headers
        self.assertEqual(headers, {"anthropic-beta": "code-execution-2025-08-25"})


class RestTests(RenderCase):
    def test_limit_is_always_there(self) -> None:
        """A request without a limit gets the model's own, or a generous one."""
        self.assertEqual(self.render(request())[0]["max_tokens"], 64_000)
        self.assertGreaterEqual(self.render(request(), Target("x"))[0]["max_tokens"], 4096)

    def test_what_cannot_be_said_is_a_loss(self) -> None:
        """Nothing is dropped in silence."""
        sampling = Sampling(
            seed=0,
            presence_penalty=0.5,
            frequency_penalty=0.5,
            logit_bias=Json(b'{"1":1}'),
            logprobs=True,
            top_logprobs=2,
            candidates=2,
        )
        _, lost = self.render(
            request(
                sampling=sampling,
                output=OutputFormat("json"),
                cache_key="k",
                metadata={"a": "b"},
                service_tier="flex",
                modalities=("text", "audio"),
                extras={"store": Json(b"true")},
            )
        )
        self.assertEqual(
            lost,
            {
                "seed",
                "presence_penalty",
                "frequency_penalty",
                "logit_bias",
                "logprobs",
                "top_logprobs",
                "candidates",
                "output_format",
                "cache_key",
                "metadata",
                "service_tier",
                "modalities",
                "extras",
            },
        )
        quiet = Sampling(presence_penalty=0, logprobs=False, candidates=1, logit_bias=Json(b"{}"))
        self.assertEqual(self.render(request(sampling=quiet, modalities=("text",)))[1], set())

    def test_schema_is_closed(self) -> None:
        """An output schema is enforced, closed as the vendor demands it."""
        schema = Json(b'{"type":"object","properties":{"a":{"type":"array","items":{"type":"object"}}}}')
        body, lost = self.render(request(output=OutputFormat("schema", schema, "x"), user="u" * 300))
        told = body["output_config"]["format"]
        self.assertEqual(told["type"], "json_schema")
        self.assertIs(told["schema"]["additionalProperties"], False)
        self.assertIs(told["schema"]["properties"]["a"]["items"]["additionalProperties"], False)
        self.assertEqual(lost, {"open_schema", "schema_name", "user"})
        self.assertLessEqual(len(body["metadata"]["user_id"]), 256)

    def test_beta_features_go_into_the_header(self) -> None:
        """The SDK's ``betas`` of a body reach the vendor as it wants them."""
        body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"betas":["a","b"]}'
        rendered = DIALECT.render_request(DIALECT.parse_request(body), BUDGET)
        self.assertEqual(rendered.headers, {"anthropic-beta": "a,b"})
        self.assertNotIn(b"betas", rendered.body)

    def test_suffix_beats_the_body(self) -> None:
        """A thinking wish that replaced the client's is what the model hears."""
        raw = b'{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"x"}]%s}'
        for extra in (b"", b',"thinking":{"type":"adaptive"}'):
            asked = DIALECT.parse_request(raw % extra)
            asked = msgspec.structs.replace(asked, thinking=Thinking("level", level="low"))
            body, _ = self.render(asked, LEVEL)
            self.assertEqual((body["thinking"]["type"], body["output_config"]["effort"]), ("adaptive", "low"))

    def test_picture_of_a_kind_that_is_refused(self) -> None:
        """A picture in a format that Claude cannot read is left out and said, not a 400."""
        _, lost = self.render(request(user("see", Image(Inline("image/svg+xml", "PHN2Zy8+"), "low"))))
        self.assertEqual(lost, {"image", "detail"})

    def test_file_in_the_place_of_a_picture(self) -> None:
        """A PDF is sent as one; a film is left out, as bytes and as a link."""
        pdf, film = Inline("application/pdf", "aGk="), Inline("video/mp4", "aGk=")
        body, lost = self.render(request(user("see", Image(pdf))))
        self.assertEqual(body["messages"][0]["content"][1]["type"], "document")
        self.assertEqual(lost, set())
        link = Document(Link("https://example.org/a", "video/mp4"))
        for part in (Image(film), link):
            self.assertEqual(self.render(request(user("see", part)))[1], {"document"})
        odd = Image(Link("https://example.org/a", "image/jpg"))
        self.assertEqual(self.render(request(user("see", odd)))[1], set())

    def test_counting_request(self) -> None:
        """What is counted is what would be sent, without the members of an answer."""
        dialect = DIALECT
        body = dialect.render_request(request(system=(Text("s"),), stream=True, tools=(BASH,)), BUDGET).body
        told = json.loads(dialect.count_request(body, "m"))
        self.assertEqual(set(told), {"model", "system", "messages", "tools"})
