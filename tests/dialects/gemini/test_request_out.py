"""What is sent to Gemini obeys Gemini's rules, and what it cannot say is named."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from ampproxy.adapt.target import target_for
from ampproxy.dialects.base import Target
from ampproxy.dialects.gemini import DIALECT
from ampproxy.model.base import Json
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
    Signature,
    Text,
    ToolCall,
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
from tests.dialects.builders import assistant as model
from tests.dialects.builders import rendered, result, user

OLD = target_for("gemini", "gemini-2.5-flash")
NEW = target_for("gemini", "gemini-3-flash-preview")
PNG = Image(Inline("image/png", "aGk="))


def ask(
    *turns: Turn, target: Target = OLD, dialect: str = "anthropic", **fields: Any
) -> tuple[Any, list[str]]:
    """The body and the kinds of losses of a request."""
    request = ChatRequest(dialect=dialect, model=target.model, turns=turns, **fields)
    return rendered(DIALECT, request, target)


def call(id: str, name: str = "f", **fields: Any) -> ToolCall:
    return ToolCall(id, name, '{"x":1}', **fields)


def response(name: str, **body: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": body}}


# -- turns, calls, results


def test_results_follow_the_order_of_their_calls() -> None:
    """A client may answer in any order and in several messages; Gemini pairs by place."""
    body, losses = ask(
        user("go"),
        model(call("a", "one"), call("b", "two")),
        user("late", result("b", "B")),
        user(result("a", "A"), "and now?"),
    )
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][2]["parts"] == [
        response("one", result="A"),
        response("two", result="B"),
        {"text": "late"},
        {"text": "and now?"},
    ]
    assert losses == []


def test_results_of_two_turns_are_not_joined() -> None:
    """A turn between two rounds of tools that has nothing to say does not join their results."""
    body, _ = ask(
        user("go"),
        model(call("a")),
        user(result("a", "A")),
        model(call("b")),
        user(result("b", "B")),
    )
    assert [len(content["parts"]) for content in body["contents"]] == [1, 1, 1, 1, 1]


def test_ids_that_come_twice_keep_their_results() -> None:
    """A vendor without ids may repeat one; each call keeps its own result."""
    body, losses = ask(
        user("go"), model(call("a")), user(result("a", "1")), model(call("a")), user(result("a", "2"))
    )
    said = [content["parts"][0] for content in body["contents"] if "functionResponse" in content["parts"][0]]
    assert said == [response("f", result="1"), response("f", result="2")]
    assert losses == []


def test_missing_result_is_told_as_interrupted() -> None:
    """As many results as calls, also when the user stopped a tool."""
    body, losses = ask(user("go"), model(call("a"), call("b")), user(result("a", "A")))
    first, second = body["contents"][2]["parts"]
    assert first == response("f", result="A")
    assert "interrupted" in second["functionResponse"]["response"]["error"]
    assert losses == ["unanswered_call"]


def test_orphan_result_becomes_text() -> None:
    """A result without its call is kept as words."""
    body, losses = ask(user(result("gone", "words", PNG, name="Bash")))
    assert body["contents"][0]["parts"] == [
        {"text": "Result of Bash: words"},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
    ]
    assert losses == ["orphan_result"]


def test_the_user_comes_first() -> None:
    """A thread that the model begins gets a user's turn before it."""
    body, losses = ask(model("Hi"), user("yo"))
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    assert losses == ["first_turn"]


def test_an_empty_thread_still_has_a_content() -> None:
    """A request without a word would be refused."""
    body, losses = ask()
    assert len(body["contents"]) == 1
    assert losses == ["first_turn"]


def test_system_text_inside_the_thread_is_kept() -> None:
    """It is told where it stood, by the user."""
    body, losses = ask(user("a"), Turn("system", (Text("mind the gap"),)), system=(Text("s1"), Text("s2")))
    assert body["systemInstruction"] == {"parts": [{"text": "s1"}, {"text": "s2"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "a"}, {"text": "mind the gap"}]}]
    assert losses == ["system_turn"]


def test_errors_and_images_in_results() -> None:
    """An error is told as one; images stand inside the result for newer models, after it for others."""
    turns = (user("go"), model(call("a")), user(result("a", "bad", PNG, is_error=True), "next"))
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    old, _ = ask(*turns)
    assert old["contents"][2]["parts"] == [response("f", error="bad"), image, {"text": "next"}]
    new, _ = ask(*turns, target=NEW)
    said = new["contents"][2]["parts"][0]["functionResponse"]
    assert (said["response"], said["parts"], said["id"]) == ({"error": "bad"}, [image], "a")


def test_ids_only_for_models_that_know_them() -> None:
    """Gemini 2.5 has no ids of calls."""
    body, _ = ask(user("go"), model(call("a")), user(result("a", "A")))
    assert "id" not in body["contents"][1]["parts"][0]["functionCall"]


def test_structured_results_go_back_exactly() -> None:
    """A result object of a Gemini client is not wrapped again."""
    one = result("a", "x", structured=Json(b'{"output":"x","n":1.50}'))
    request = ChatRequest(dialect="gemini", model="g", turns=(user("q"), model(call("a")), user(one)))
    assert b'"response":{"output":"x","n":1.50}' in DIALECT.render_request(request, OLD).body


def test_arguments_that_are_no_object_are_wrapped() -> None:
    """A model's slip does not make the whole thread invalid."""
    body, losses = ask(user("go"), model(ToolCall("a", "f", '["x"')), user(result("a", "A")))
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"_raw": '["x"'}
    assert losses == ["arguments"]


# -- proofs


def test_own_proofs_go_back_in_their_place() -> None:
    """Gemini's signature stands on the call or text that it was issued on."""
    own = Signature("gemini", "YWJj")
    body, losses = ask(
        user("go"),
        model(Reasoning("hm", own), Text("Let me", signature=own), call("a", signature=own), call("b")),
        user(result("a", "A"), result("b", "B")),
        target=NEW,
    )
    assert [part.get("thoughtSignature") for part in body["contents"][1]["parts"]] == ["YWJj"] * 3 + [None]
    assert losses == []


def test_foreign_proofs_are_dropped_and_thoughts_never_become_text() -> None:
    """Gemini refuses another vendor's proof, and thoughts are not the assistant's words."""
    foreign = Signature("anthropic", "EqoB")
    body, losses = ask(
        user("go"), model(Reasoning("secret plan", foreign), Reasoning("bare"), Text("Hi", signature=foreign))
    )
    assert body["contents"][1]["parts"] == [{"text": "Hi"}]
    assert losses == ["foreign_proof", "earlier_thinking", "foreign_proof"]


def test_newer_models_get_googles_skip_value() -> None:
    """The first call of a turn needs a signature at Gemini 3; without one its check is skipped."""
    turns = (user("go"), model(call("a"), call("b")), user(result("a", "A"), result("b", "B")))
    body, losses = ask(*turns, target=NEW)
    first, second = body["contents"][1]["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second
    assert losses == ["missing_signature"]
    assert ask(*turns)[1] == []


def test_the_skip_value_is_nobodys_proof() -> None:
    """A client that sends it back is not taken to have a proof."""
    part = {"functionCall": {"name": "f"}, "thoughtSignature": "skip_thought_signature_validator"}
    body = json.dumps({"contents": [{"role": "model", "parts": [part]}]}).encode()
    [said] = DIALECT.parse_request(body, model="g").turns[0].parts
    assert isinstance(said, ToolCall)
    assert said.signature is None


# -- media


def test_media() -> None:
    """Files go by address or inline; a file of another vendor is a declared loss."""
    body, losses = ask(
        user(
            Image(Link("https://x.example/a.webp?q=1"), detail="high"),
            Image(FileId("openai-responses", "file_1")),
            Document(Inline("application/pdf", "JVBE"), name="a.pdf"),
            Document(None, text="plain words"),
            Audio(Inline("audio/wav", "aGk=")),
            Document(Link("https://x.example/doc")),
        )
    )
    assert body["contents"][0]["parts"] == [
        {"fileData": {"fileUri": "https://x.example/a.webp?q=1", "mimeType": "image/webp"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        {"text": "plain words"},
        {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}},
        {"fileData": {"fileUri": "https://x.example/doc", "mimeType": "application/pdf"}},
    ]
    assert losses == ["detail", "file", "document_name"]


def test_parts_without_a_like() -> None:
    """Refusals become text; parts of one dialect are left out and named."""
    body, losses = ask(user("q"), model(Refusal("No."), Opaque("anthropic", "server_tool_use", Json(b"{}"))))
    assert body["contents"][1]["parts"] == [{"text": "No."}]
    assert losses == ["refusal", "opaque"]


# -- tools


def test_tool_names_are_legal_and_remembered() -> None:
    """Names that Gemini refuses are changed, one for one, and can be changed back."""
    names = ["ok.name:x-1", "1st", "naïve tool", "naïve_tool", "a" * 80, "_x"]
    tools = tuple(Tool(name) for name in names)
    request = ChatRequest(dialect="anthropic", model="g", turns=(user("q"),), tools=tools)
    rendered = DIALECT.render_request(request, OLD)
    sent = [tool["name"] for tool in json.loads(rendered.body)["tools"][0]["functionDeclarations"]]
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}", name) for name in sent)
    assert len(set(sent)) == len(sent)
    assert [rendered.names.get(name, name) for name in sent] == names
    assert sent[0] == names[0]


def test_schemas_go_as_json_schema() -> None:
    """Nothing of a schema is lost, down to the text of its numbers."""
    tool = Tool("f", "d", Json(b'{"type":"object","$defs":{"a":{"const":1.50}}}'), strict=True)
    request = ChatRequest(dialect="anthropic", model="g", turns=(user("q"),), tools=(tool,))
    rendered = DIALECT.render_request(request, OLD)
    assert b'"parametersJsonSchema":{"type":"object","$defs":{"a":{"const":1.50}}}' in rendered.body
    assert [loss.kind for loss in rendered.losses] == ["strict"]


def test_freeform_tools_become_functions() -> None:
    """A custom tool takes its text in one member, also in the history."""
    request = ChatRequest(
        dialect="openai-responses",
        model="g",
        turns=(user("q"), model(ToolCall("a", "patch", "*** x", freeform=True)), user(result("a", "ok"))),
        tools=(Tool("patch", "d", freeform=True, grammar=Json(b"{}")),),
    )
    rendered = DIALECT.render_request(request, OLD)
    body = json.loads(rendered.body)
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": "*** x"}
    assert rendered.freeform == {"patch"}
    assert [loss.kind for loss in rendered.losses] == ["grammar"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", "f g"), {"mode": "ANY", "allowedFunctionNames": ["f_g"]}),
        (ToolChoice("required", allowed=("f g",)), {"mode": "ANY", "allowedFunctionNames": ["f_g"]}),
        (ToolChoice("auto", allowed=("f g",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f_g"]}),
    ],
)
def test_tool_choice(choice: ToolChoice, expected: dict[str, Any]) -> None:
    """Each choice has its mode; names are those that were sent."""
    body, losses = ask(user("q"), tools=(Tool("f g"),), choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": expected}
    assert losses == []


def test_hosted_tools() -> None:
    """Tools that Gemini has too are asked for in its way; beside functions they are left out."""
    hosted = (
        HostedTool("web_search", "anthropic", Json(b"{}")),
        HostedTool("computer", "anthropic", Json(b"{}")),
    )
    assert ask(user("q"), hosted=hosted)[0]["tools"] == [{"googleSearch": {}}]
    body, losses = ask(user("q"), hosted=hosted[:1], tools=(Tool("f"),))
    assert len(body["tools"]) == 1
    assert losses == ["hosted_tool"]
    body, losses = ask(user("q"), hosted=hosted[:1], tools=(Tool("f"),), target=NEW)
    assert (len(body["tools"]), losses) == (1, ["hosted_tool"])


# -- settings


def test_settings() -> None:
    """Limits are Gemini's; what it has no word for is named."""
    body, losses = ask(
        user("q"),
        sampling=Sampling(
            max_tokens=100_000,
            temperature=0.5,
            top_p=0.9,
            top_k=7,
            stop=("a", "b", "c", "d", "e", "f"),
            seed=3,
            candidates=20,
            logprobs=True,
            top_logprobs=4,
            logit_bias=Json(b'{"1": 2}'),
        ),
        parallel=False,
        tools=(Tool("f"),),
        user="u",
        metadata={"a": "b"},
        cache_key="k",
        service_tier="flex",
        extras={"betas": Json(b"[]")},
    )
    assert body["generationConfig"] == {
        "maxOutputTokens": 65_536,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 7,
        "seed": 3,
        "responseLogprobs": True,
        "logprobs": 4,
        "candidateCount": 8,
        "stopSequences": ["a", "b", "c", "d", "e"],
    }
    assert set(losses) == {
        *("extras", "output_limit", "stop", "candidates", "logit_bias", "user", "metadata", "cache_key"),
        *("parallel", "service_tier"),
    }
    assert not {"model", "stream", "user", "betas"} & body.keys()


def test_cache_marks_are_named() -> None:
    """Anthropic's marks for the cache are not sent, and that is said for each place."""
    mark = Json(b'{"type":"ephemeral"}')
    body, losses = ask(
        user(Text("q", cache=mark)), system=(Text("s", cache=mark),), tools=(Tool("f", cache=mark),)
    )
    assert "cache" not in json.dumps(body)
    assert losses == ["cache_control"] * 3


def test_structured_output() -> None:
    """A schema is said as it is; beside functions older models refuse it."""
    output = OutputFormat("schema", Json(b'{"type":"object"}'), "x")
    expected = {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}
    assert ask(user("q"), output=output)[0]["generationConfig"] == expected
    assert ask(user("q"), output=output)[1] == ["schema_name"]
    body, losses = ask(user("q"), output=output, tools=(Tool("f"),))
    assert "generationConfig" not in body
    assert losses == ["output_format"]
    assert ask(user("q"), output=output, tools=(Tool("f"),), target=NEW)[0]["generationConfig"] == expected
    plain = ask(user("q"), output=OutputFormat("json"))[0]["generationConfig"]
    assert plain == {"responseMimeType": "application/json"}


PRO, LITE, THREE, NONE = (
    target_for("gemini", name)
    for name in ("gemini-2.5-pro", "gemini-2.5-flash-lite", "gemini-3-pro-preview", "gemini-2.0-flash")
)
UNKNOWN = Target("g")


@pytest.mark.parametrize(
    ("target", "thinking", "expected", "lost"),
    [
        (OLD, Thinking("off"), {"thinkingBudget": 0}, ""),
        (OLD, Thinking("auto"), {"thinkingBudget": -1}, ""),
        (
            OLD,
            Thinking("budget", budget=4000, show=True),
            {"thinkingBudget": 4000, "includeThoughts": True},
            "",
        ),
        (OLD, Thinking("budget", budget=99_999), {"thinkingBudget": 24_576}, "thinking_budget"),
        (OLD, Thinking("level", level="medium"), {"thinkingBudget": 8192}, ""),
        (OLD, Thinking("off", show=True), {"thinkingBudget": 0}, ""),
        (PRO, Thinking("off"), {"thinkingBudget": 128}, "thinking"),
        (PRO, Thinking("budget", budget=1), {"thinkingBudget": 128}, "thinking_budget"),
        (LITE, Thinking("off"), {"thinkingBudget": 0}, ""),
        (LITE, Thinking("budget", budget=100), {"thinkingBudget": 512}, "thinking_budget"),
        (NEW, Thinking("off"), {"thinkingLevel": "MINIMAL"}, "thinking"),
        (NEW, Thinking("auto", show=True), {"includeThoughts": True}, ""),
        (NEW, Thinking("budget", budget=4000), {"thinkingLevel": "MEDIUM"}, "thinking_budget"),
        (NEW, Thinking("level", level="high"), {"thinkingLevel": "HIGH"}, ""),
        (THREE, Thinking("level", level="medium"), {"thinkingLevel": "HIGH"}, "thinking_level"),
        (THREE, Thinking("level", level="minimal"), {"thinkingLevel": "LOW"}, "thinking_level"),
        (NONE, Thinking("level", level="high"), None, "thinking"),
        (NONE, Thinking("off"), None, ""),
        (UNKNOWN, Thinking("level", level="high"), {"thinkingBudget": 24_576}, ""),
    ],
)
def test_thinking(target: Target, thinking: Thinking, expected: Any, lost: str) -> None:
    """Each model is told to think in its own way, within its bounds."""
    body, losses = ask(user("q"), target=target, thinking=thinking)
    assert body.get("generationConfig", {}).get("thinkingConfig") == expected
    assert losses == ([lost] if lost else [])


def test_a_level_for_an_unknown_model_of_a_gemini_client_stays_a_level() -> None:
    """A new model is trusted to take what its own client says."""
    body, _ = ask(user("q"), target=UNKNOWN, thinking=Thinking("level", level="xhigh"), dialect="gemini")
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "XHIGH"}


def test_a_suffix_beats_the_body() -> None:
    """A changed wish of a Gemini client is what is sent, not the original text."""
    config = {"thinkingConfig": {"includeThoughts": True}}
    body = {"contents": [{"parts": [{"text": "q"}]}], "generationConfig": config}
    request = DIALECT.parse_request(json.dumps(body).encode(), model="gemini-2.5-flash")
    changed = msgspec.structs.replace(request, thinking=Thinking("budget", budget=1024, show=True))
    sent = json.loads(DIALECT.render_request(changed, OLD).body)
    assert sent["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 1024, "includeThoughts": True}


@pytest.mark.parametrize(
    ("target", "limit", "dialect", "expected"),
    [
        (OLD, 60, "anthropic", {"thinkingBudget": 0}),
        (NEW, 60, "anthropic", {"thinkingLevel": "MINIMAL"}),
        (PRO, 60, "anthropic", {"thinkingBudget": 128}),
        (OLD, 4000, "anthropic", None),
        (OLD, 60, "gemini", None),
        (NONE, 60, "anthropic", None),
    ],
)
def test_small_answers_are_not_spent_on_thinking(
    target: Target, limit: int, dialect: str, expected: Any
) -> None:
    """A title of sixty tokens comes back as a title."""
    body, losses = ask(user("q"), target=target, dialect=dialect, sampling=Sampling(max_tokens=limit))
    config = body["generationConfig"]
    assert config.get("thinkingConfig") == expected
    # This one cannot go without, and its limit counts the thinking.
    thinks = target is PRO
    assert config["maxOutputTokens"] == limit + (128 if thinks else 0)
    assert losses == (["raised_limit"] if thinks else [])
