"""What becomes of what a server refuses, with the right value and a declared loss."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ampproxy.adapt.target import Target, target_at
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.proof import Place, wrap_signature
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.model.fold import fold
from ampproxy.model.parts import Signature, ToolCall
from ampproxy.model.request import ChatRequest, Turn
from ampproxy.relay.translate import render_for, rendered_for
from tests.adapt.test_servers import COMPLETIONS, MESSAGES, SCHEMA
from tests.cases import each

HI = {"role": "user", "content": "hi"}
TOOL = {"name": "read_file", "input_schema": SCHEMA}
CALL = {"type": "tool_use", "id": "toolu_01AbC", "name": "read_file", "input": {"path": "a"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_01AbC", "content": "file text"}
LOOP = [HI, {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [RESULT]}]


def asked(body: dict[str, Any], dialect: str = ANTHROPIC) -> ChatRequest:
    whole = {"model": "m", **({"max_tokens": 4000} if dialect == ANTHROPIC else {}), **body}
    return DIALECTS[dialect].parse_request(json.dumps(whole).encode())


def chat(body: dict[str, Any], model: str, base_url: str = "", profile: str = "", suffix: str | None = None):
    """A Messages request to a server of Chat Completions: the body, and each loss by kind."""
    rendered = render_for(asked(body), DIALECTS[CHAT], model, suffix, base_url=base_url, profile=profile)
    return json.loads(rendered.body), {loss.kind: loss.path for loss in rendered.losses}


DEEPSEEK = "https://api.deepseek.com"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"


def test_gemini_wants_its_proofs_back_beside_the_calls() -> None:
    """Google's server of Chat Completions refuses the next turn without; one that it did not issue has the
    documented stand-in.
    """
    sent, lost = chat({"messages": LOOP, "tools": [TOOL]}, "gemini-3.1-pro-preview", GOOGLE)
    proof = sent["messages"][1]["tool_calls"][0]["extra_content"]
    assert proof == {"google": {"thought_signature": "skip_thought_signature_validator"}}
    assert lost == {"missing_signature": "turns[1].parts[0]"}


@pytest.mark.parametrize("vendor", [GEMINI, CHAT])
def test_gemini_gets_the_proofs_that_it_issued(vendor: str) -> None:
    """By either of Google's dialects; a later call of the same message needs none."""
    calls = (
        ToolCall("c1", "f", "{}", signature=Signature(vendor, "c2ln")),
        ToolCall("c2", "f", "{}"),
    )
    request = ChatRequest(dialect=ANTHROPIC, model="m", turns=(Turn("assistant", calls),))
    rendered = rendered_for(request, DIALECTS[CHAT], target_at(CHAT, "gemini-3.1-pro-preview", GOOGLE))
    first, second = json.loads(rendered.body)["messages"][0]["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert "extra_content" not in second
    assert not {"missing_signature", "foreign_proof"} & {loss.kind for loss in rendered.losses}


def test_another_vendors_proof_is_no_proof_to_gemini() -> None:
    """It is left out, and the stand-in takes its place."""
    calls = (ToolCall("c1", "f", "{}", signature=Signature(ANTHROPIC, "c2ln")),)
    request = ChatRequest(dialect=ANTHROPIC, model="m", turns=(Turn("assistant", calls),))
    rendered = rendered_for(request, DIALECTS[CHAT], target_at(CHAT, "gemini-3-flash", GOOGLE))
    assert b"c2ln" not in rendered.body
    assert {"missing_signature", "foreign_proof"} <= {loss.kind for loss in rendered.losses}


@pytest.mark.parametrize(
    ("base_url", "model", "member"),
    [
        ("https://api.cerebras.ai/v1", "zai-glm-4.7", "reasoning"),
        ("https://api.groq.com/openai/v1", "openai/gpt-oss-120b", "reasoning"),
        ("https://openrouter.ai/api/v1", "z-ai/glm-5", "reasoning"),
        ("https://api.z.ai/api/paas/v4", "glm-5.1", "reasoning_content"),
        (DEEPSEEK, "deepseek-v4-pro", "reasoning_content"),
        ("http://127.0.0.1:11434/v1", "gpt-oss:20b", "reasoning"),
        ("http://gpu.test/v1", "glm-5", "reasoning_content"),
        ("https://api.mistral.ai/v1", "mistral-large-latest", None),
        (GOOGLE, "gemini-3.5-flash", None),
    ],
)
def test_thinking_goes_back_under_the_servers_name_for_it(
    base_url: str, model: str, member: str | None
) -> None:
    """Or not at all, which is a loss."""
    sent, lost = chat({"messages": MESSAGES["messages"]}, model, base_url)
    said = next(message for message in sent["messages"] if message["role"] == "assistant")
    names = {"reasoning", "reasoning_content"} & said.keys()
    assert names == ({member} if member else set())
    assert ("reasoning" in lost) == (member is None)
    if member:
        assert said[member] == "I should read it."


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        (DEEPSEEK, "deepseek-v4-pro"),
        ("https://api.moonshot.cn/v1", "kimi-k2.5"),
        ("", "deepseek-ai/deepseek-v4"),
    ],
)
def test_calls_without_thinking_have_the_empty_member_that_the_server_demands(
    base_url: str, model: str
) -> None:
    """A conversation that began with a model that does not think goes on with one that does."""
    sent, lost = chat({"messages": LOOP, "tools": [TOOL]}, model, base_url)
    assert sent["messages"][1]["reasoning_content"] == ""
    assert lost == {}


FORCED = {"messages": [HI], "tools": [TOOL], "tool_choice": {"type": "tool", "name": "read_file"}}


def test_thinking_is_turned_off_where_a_call_is_demanded() -> None:
    """DeepSeek refuses a demanded call of a model that thinks."""
    sent, lost = chat(FORCED, "deepseek-v4-pro", DEEPSEEK)
    assert sent["thinking"] == {"type": "disabled"}
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "read_file"}}
    assert lost == {"thinking": "thinking"}
    sent, lost = chat({**FORCED, "thinking": {"type": "disabled"}}, "deepseek-v4-pro", DEEPSEEK)
    assert sent["thinking"] == {"type": "disabled"}
    assert lost == {}


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://api.z.ai/api/paas/v4", "glm-5.1"),
        ("https://api.moonshot.ai/v1", "kimi-k3"),
        ("http://gpu.test/v1", "deepseek-v4-flash"),
    ],
)
def test_a_demanded_call_is_the_models_choice_where_none_can_be_demanded(base_url: str, model: str) -> None:
    """The loss says so."""
    sent, lost = chat(FORCED, model, base_url)
    assert sent["tool_choice"] == "auto"
    assert lost == {"tool_choice": "choice"}


def test_one_tool_alone_is_shown_where_it_cannot_be_named() -> None:
    """``required`` with the one tool says the same."""
    other = {"name": "other", "input_schema": SCHEMA}
    sent, lost = chat({**FORCED, "tools": [other, TOOL]}, "zai-glm-4.7", "https://api.cerebras.ai/v1")
    assert sent["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["read_file"]
    assert lost == {}


def test_no_tools_are_shown_where_no_call_cannot_be_asked_for() -> None:
    """A call would be made otherwise."""
    sent, lost = chat({**FORCED, "tool_choice": {"type": "none"}}, "glm-5.1", "https://api.z.ai/v1")
    assert "tools" not in sent
    assert "tool_choice" not in sent
    assert lost == {"tool_choice": "choice"}


THINK = {"messages": [HI], "thinking": {"type": "enabled", "budget_tokens": 2048}}
#: Server, model, and what asks it to think; and not to think.
WAYS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (DEEPSEEK, "deepseek-v4-pro", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
     {"thinking": {"type": "disabled"}}),
    ("https://api.z.ai/v1", "glm-5.1", {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}),
    ("https://api.moonshot.ai/v1", "kimi-k2.5", {"thinking": {"type": "enabled"}},
     {"thinking": {"type": "disabled"}}),
    ("https://api.minimax.io/v1", "MiniMax-M3", {"thinking": {"type": "adaptive"}},
     {"thinking": {"type": "disabled"}}),
    ("https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen3.7-max",
     {"enable_thinking": True, "thinking_budget": 2048}, {"enable_thinking": False}),
    ("https://api.groq.com/openai/v1", "qwen/qwen3-32b", {"reasoning_effort": "default"},
     {"reasoning_effort": "none"}),
    ("https://api.groq.com/openai/v1", "openai/gpt-oss-20b", {"reasoning_effort": "medium"},
     {"reasoning_effort": "low"}),
    ("https://api.cerebras.ai/v1", "gpt-oss-120b", {"reasoning_effort": "medium"},
     {"reasoning_effort": "low"}),
    ("https://api.x.ai/v1", "grok-4.5", {"reasoning_effort": "medium"}, {"reasoning_effort": "low"}),
    ("https://api.x.ai/v1", "grok-4.20-reasoning", {}, {}),
    ("https://openrouter.ai/api/v1", "anthropic/claude-opus-5-5", {"reasoning_effort": "medium"},
     {"reasoning_effort": "none"}),
    (GOOGLE, "gemini-3.1-pro-preview", {"reasoning_effort": "medium"}, {"reasoning_effort": "low"}),
    (GOOGLE, "gemini-2.5-flash", {"reasoning_effort": "medium"}, {"reasoning_effort": "none"}),
    ("http://127.0.0.1:11434/v1", "qwen3-coder:30b", {}, {}),
    ("http://127.0.0.1:11434/v1", "deepseek-r1:14b", {"reasoning_effort": "medium"},
     {"reasoning_effort": "none"}),
    ("http://gpu.test/v1", "my-own-model", {}, {}),
]  # fmt: skip
ASKING = ("reasoning_effort", "thinking", "enable_thinking", "thinking_budget", "reasoning")


@pytest.mark.parametrize(("base_url", "model", "on", "off"), WAYS, ids=lambda value: str(value)[:30])
def test_thinking_is_asked_for_in_the_servers_way(
    base_url: str, model: str, on: dict[str, Any], off: dict[str, Any]
) -> None:
    """With its own member and words, or not at all of a model of which it is not known that it thinks."""
    sent, lost = chat(THINK, model, base_url)
    assert {name: sent[name] for name in ASKING if name in sent} == on
    if "thinking_budget" not in on:
        assert lost.keys() & {"thinking", "thinking_budget"}
    sent, _ = chat({"messages": [HI], "thinking": {"type": "disabled"}}, model, base_url)
    assert {name: sent[name] for name in ASKING if name in sent} == off


def test_the_models_name_may_ask_an_unknown_model_to_think() -> None:
    """Whoever writes ``model(high)`` knows that it thinks."""
    sent, lost = chat({"messages": [HI]}, "my-own-model", "http://gpu.test/v1", suffix="high")
    assert sent["reasoning_effort"] == "high"
    assert lost == {}


SYSTEM = {"role": "system", "content": "Available agent types: x"}
REMINDER = "<system-reminder>\nAvailable agent types: x\n</system-reminder>"


@pytest.mark.parametrize(
    ("turns", "found"),
    [
        (
            [HI, SYSTEM, {"role": "assistant", "content": "ok"}, HI],
            {"role": "user", "content": ["hi", REMINDER]},
        ),
        (
            [HI, {"role": "assistant", "content": "ok"}, SYSTEM, HI],
            {"role": "user", "content": [REMINDER, "hi"]},
        ),
        ([HI, {"role": "assistant", "content": "ok"}, SYSTEM], {"role": "user", "content": REMINDER}),
    ],
    ids=["after", "before", "alone"],
)
@pytest.mark.parametrize("base_url", ["http://127.0.0.1:11434/v1", "http://gpu.test/v1"])
def test_a_system_text_in_mid_conversation_goes_to_the_users_turn(
    base_url: str, turns: list[Any], found: Any
) -> None:
    """Qwen's chat template and others refuse all but the first; the words are kept, and marked."""
    sent, lost = chat({"system": "You are an agent.", "messages": turns}, "qwen3-coder:30b", base_url)
    assert [message["role"] for message in sent["messages"]].count("system") == 1
    texts = [
        {**m, "content": [p["text"] for p in m["content"]]} if isinstance(m["content"], list) else m
        for m in sent["messages"]
    ]
    assert found in texts
    assert lost.keys() == {"system_turn"}


def test_a_system_text_between_calls_and_results_does_not_part_them() -> None:
    """The results stay right behind the calls."""
    turns = [LOOP[0], LOOP[1], SYSTEM, LOOP[2]]
    sent, lost = chat({"messages": turns, "tools": [TOOL]}, "qwen3", "http://127.0.0.1:11434/v1")
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool", "user"]
    assert sent["messages"][3]["content"] == REMINDER
    assert lost.keys() == {"system_turn"}


def test_results_of_several_texts_are_one_string() -> None:
    """DeepSeek and others take nothing else."""
    texts = [{"type": "text", "text": "part one"}, {"type": "text", "text": "part two"}]
    turns = [LOOP[0], LOOP[1], {"role": "user", "content": [{**RESULT, "content": texts}]}]
    for base_url in (DEEPSEEK, "http://gpu.test/v1"):
        sent, _ = chat({"messages": turns, "tools": [TOOL]}, "any-model", base_url)
        assert sent["messages"][2]["content"] == "part one\n\npart two"


def test_ids_of_calls_are_the_same_in_the_result() -> None:
    """Mistral takes nine letters and digits; an id of that form is kept."""
    sent, _ = chat({"messages": LOOP, "tools": [TOOL]}, "mistral-large-latest", "https://api.mistral.ai/v1")
    made = sent["messages"][1]["tool_calls"][0]["id"]
    assert sent["messages"][2]["tool_call_id"] == made
    again, _ = chat({"messages": LOOP, "tools": [TOOL]}, "mistral-large-latest", "https://api.mistral.ai/v1")
    assert again["messages"][1]["tool_calls"][0]["id"] == made
    turns = json.loads(json.dumps(LOOP).replace("toolu_01AbC", "a1b2c3d4e"))
    kept, _ = chat({"messages": turns, "tools": [TOOL]}, "mistral-large-latest", "https://api.mistral.ai/v1")
    assert kept["messages"][1]["tool_calls"][0]["id"] == "a1b2c3d4e"


@each(
    ("model", "base_url"),
    [
        ("mistral-large-latest", "https://api.mistral.ai/v1"),
        ("mistralai/mistral-small-4-119b-2603", "https://integrate.api.nvidia.com/v1"),
        ("mistralai/mistral-medium-3.1", "https://openrouter.ai/api/v1"),
    ],
)
def test_the_order_of_mistrals_roles(model: str, base_url: str) -> None:
    """Wherever it is served: no user behind a tool, and no system behind an assistant."""
    turns = [*LOOP[:2], {"role": "user", "content": [RESULT, {"type": "text", "text": "and?"}]}]
    turns += [{"role": "assistant", "content": "Well."}, {"role": "system", "content": "Be brief."}, HI]
    sent, losses = chat({"messages": turns, "tools": [TOOL]}, model, base_url)
    roles = [message["role"] for message in sent["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user", "assistant", "user"]
    assert "Be brief." in json.dumps(sent["messages"][-1])
    assert {"turns", "system_turn"} <= set(losses)


@each(
    ("model", "base_url", "effort"),
    [
        ("gemini-3.8-flash", "https://generativelanguage.googleapis.com/v1beta/openai", "low"),
        ("gemini-4-neon", "https://generativelanguage.googleapis.com/v1beta/openai", "low"),
        ("gemini-3.5-flash", "https://generativelanguage.googleapis.com/v1beta/openai", "minimal"),
        ("google/gemini-3.1-pro-preview", "https://openrouter.ai/api/v1", "low"),
        ("minimax/minimax-m2.5", "https://openrouter.ai/api/v1", "low"),
        ("openai/gpt-oss-120b", "https://openrouter.ai/api/v1", "low"),
        ("deepseek/deepseek-v4", "https://openrouter.ai/api/v1", "none"),
    ],
)
def test_thinking_that_is_mandatory(model: str, base_url: str, effort: str) -> None:
    """Where a server refuses to switch it off, it is asked for the least that the model has."""
    sent, losses = chat({"messages": [HI], "thinking": {"type": "disabled"}}, model, base_url)
    assert sent["reasoning_effort"] == effort
    assert ("thinking" in losses) is (effort != "none")


def test_a_renamed_and_a_refused_member() -> None:
    """Mistral's seed is ``random_seed``; what it does not know is a loss."""
    request = asked({**COMPLETIONS, "logit_bias": {"1": 1}, "messages": [HI], "store": True}, CHAT)
    rendered = render_for(request, DIALECTS[CHAT], "mistral-large", None, profile="mistral")
    sent = json.loads(rendered.body)
    assert sent["random_seed"] == 7
    assert not {"seed", "logit_bias", "store", "reasoning_effort"} & sent.keys()
    assert {"logit_bias", "extras", "thinking_level"} <= {loss.kind for loss in rendered.losses}


def test_openais_chat_has_no_max_for_gpt_5_6() -> None:
    """Responses does."""
    body = {"messages": [HI], "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}
    sent, lost = chat(body, "gpt-5.6-sol", "https://api.openai.com/v1")
    assert sent["reasoning_effort"] == "xhigh"
    assert lost == {"thinking_level": "thinking.level"}
    rendered = render_for(asked(body), DIALECTS[RESPONSES], "gpt-5.6-sol", None)
    assert json.loads(rendered.body)["reasoning"]["effort"] == "max"


@pytest.mark.parametrize("model", ["openai.gpt-5.6-sol", "us.openai.gpt-5.6-sol", "gpt-6-sol", "gpt-7"])
def test_names_of_openais_models_at_others(model: str) -> None:
    """Bedrock's prefix is no part of the name; no sampling, and the new name of the limit."""
    sent, lost = chat({"messages": [HI], "temperature": 0.2}, model, "http://gpu.test/v1")
    assert "temperature" not in sent
    assert sent["max_completion_tokens"] == 4000
    assert lost == {"temperature": "sampling.temperature"}


JUDGE = {"max_tokens": 64, "thinking": {"type": "disabled"}, "messages": [HI], "stop_sequences": ["</block>"]}


@pytest.mark.parametrize(
    ("dialect", "model", "limit"),
    [
        (RESPONSES, "gpt-5", lambda body: body["max_output_tokens"]),
        (RESPONSES, "gpt-6.2-astra", lambda body: body["max_output_tokens"]),
        (CHAT, "o3", lambda body: body["max_completion_tokens"]),
        (GEMINI, "gemini-3.1-pro-preview", lambda body: body["generationConfig"]["maxOutputTokens"]),
        (GEMINI, "gemini-2.5-pro", lambda body: body["generationConfig"]["maxOutputTokens"]),
        (ANTHROPIC, "claude-opus-5-5", lambda body: body["max_tokens"]),
    ],
)
def test_a_small_limit_has_room_for_thinking_that_cannot_be_switched_off(dialect, model, limit) -> None:
    """The vendor counts it; without room there would be no answer at all."""
    request = msgspec.structs.replace(asked(JUDGE), dialect=CHAT if dialect == ANTHROPIC else ANTHROPIC)
    rendered = render_for(request, DIALECTS[dialect], model, None)
    assert limit(json.loads(rendered.body)) >= 64 + 128
    assert {"thinking", "raised_limit"} <= {loss.kind for loss in rendered.losses}


@pytest.mark.parametrize(("model", "effort"), [("gpt-5", "minimal"), ("o3", "low"), ("gpt-6.2-astra", "low")])
def test_a_small_answer_of_who_asked_for_no_thinking(model: str, effort: str) -> None:
    """Its limit would be used up before the title of a thread, say; a cache is warmed with one token."""
    body = {"max_tokens": 60, "messages": [HI]}
    sent = render_for(asked(body), DIALECTS[RESPONSES], model, None)
    told = json.loads(sent.body)
    assert told["reasoning"]["effort"] == effort
    assert told["max_output_tokens"] > 60 + 127
    assert {loss.kind for loss in sent.losses} == {"raised_limit"}
    warm = render_for(asked({**body, "max_tokens": 1}), DIALECTS[RESPONSES], model, None)
    assert json.loads(warm.body)["max_output_tokens"] == 16
    for dialect, limit in ((CHAT, "max_completion_tokens"), (RESPONSES, "max_output_tokens")):
        own = {limit: 60, **({"messages": [HI]} if dialect == CHAT else {"input": "hi"})}
        told = json.loads(render_for(asked(own, dialect), DIALECTS[RESPONSES], model, None).body)
        assert (told["max_output_tokens"], "reasoning" in told) == (60, False)


@pytest.mark.parametrize(
    ("model", "thinking", "limit"),
    [
        ("claude-opus-5-5", None, 60 + 1024),
        ("claude-sonnet-5-5", {"type": "between_tools"}, 60),
        ("claude-opus-5", {"type": "disabled"}, 60),
        ("claude-opus-4-6", None, 60),
    ],
)
def test_a_small_answer_of_a_claude_that_thinks_unasked(model: str, thinking: Any, limit: int) -> None:
    """As little as the model can, or room for it; the vendor's own client is left as it is."""
    body = {"max_completion_tokens": 60, "messages": [HI]}
    sent = json.loads(render_for(asked(body, CHAT), DIALECTS[ANTHROPIC], model, None).body)
    assert (sent.get("thinking"), sent["max_tokens"]) == (thinking, limit)
    assert ("output_config" in sent) is (limit > 60)
    own = {"max_tokens": 60, "messages": [HI]}
    sent = json.loads(render_for(asked(own), DIALECTS[ANTHROPIC], model, None).body)
    assert (sent["max_tokens"], "thinking" in sent, "output_config" in sent) == (60, False, False)


def test_nothing_changes_without_a_server() -> None:
    """A target by itself has a server that takes all of the dialect."""
    assert Target("m").host.known is False
    assert Target("m").host.takes("anything")


def items(*between: dict[str, Any]) -> ChatRequest:
    """A tool loop of Responses with an item before its call."""
    body = {
        "model": "m",
        "store": False,
        "reasoning": {"effort": "high", "summary": "auto"},
        "tools": [{"type": "function", "name": "read_file", "parameters": SCHEMA}],
        "input": [
            HI,
            *between,
            {"type": "function_call", "call_id": "toolu_1", "name": "read_file", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "toolu_1", "output": "text"},
        ],
    }
    dialect = DIALECTS[RESPONSES]
    return dialect.for_others(dialect.parse_request(json.dumps(body).encode()))


def reasoning(place: Place, *texts: str) -> dict[str, Any]:
    """Anthropic's thinking, as a client of Responses gives it back."""
    summary = [{"type": "summary_text", "text": text} for text in texts]
    proof = wrap_signature(RESPONSES, Signature(ANTHROPIC, "c2ln"), place)
    return {"type": "reasoning", "summary": summary, "encrypted_content": proof, "id": "rs_1"}


@pytest.mark.parametrize(
    ("item", "found", "lost"),
    [
        (reasoning("reasoning"), None, "unsigned_thinking"),
        (reasoning("reasoning", "I think."), "thinking", None),
        (reasoning("bare"), "redacted_thinking", None),
        ({"type": "item_reference", "id": "rs_000000000000000000000002"}, None, "orphan_reasoning"),
    ],
    ids=["text-dropped", "with-its-text", "redacted", "reference"],
)
def test_a_signature_goes_back_with_its_text_or_not_at_all(
    item: Any, found: str | None, lost: str | None
) -> None:
    """Anthropic refuses a signature in the place of redacted thinking; a client may have kept it alone."""
    rendered = render_for(items(item), DIALECTS[ANTHROPIC], "claude-sonnet-4-6", None)
    said = json.loads(rendered.body)["messages"][1]["content"]
    assert [block["type"] for block in said] == [*([found] if found else []), "tool_use"]
    about = {"unsigned_thinking", "orphan_reasoning", "foreign_proof"}
    assert {loss.kind for loss in rendered.losses} & about == ({lost} if lost else set())


@pytest.mark.parametrize("dialect", [CHAT, GEMINI])
def test_a_reference_to_stored_thinking_is_a_loss(dialect: str) -> None:
    """Nothing of the conversation's words is missing."""
    request = items({"type": "item_reference", "id": "rs_1"})
    rendered = render_for(request, DIALECTS[dialect], "m", None)
    assert "orphan_reasoning" in {loss.kind for loss in rendered.losses}
    assert b"rs_1" not in rendered.body


def test_thinking_without_a_proof_keeps_its_text() -> None:
    """Codex gives thinking that no vendor proves back with an id of ours: a server that wants its
    thinking back in a tool loop gets it, and nothing is lost.
    """
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I think."}]}
    rendered = render_for(
        items({**thought, "encrypted_content": None}), DIALECTS[CHAT], "deepseek-reasoner", None
    )
    said = json.loads(rendered.body)["messages"][-2]
    assert (said["reasoning_content"], len(said["tool_calls"])) == ("I think.", 1)
    assert {loss.kind for loss in rendered.losses} & {
        "foreign_proof",
        "orphan_reasoning",
        "reasoning",
    } == set()


def test_a_reference_to_stored_words_is_refused_with_the_way_out() -> None:
    """An answer without them would be none."""
    with pytest.raises(ClientFault, match=r"store: false.*\.chat"):
        items({"type": "item_reference", "id": "msg_1"})


STREAMED = [
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [],
     "model": "c", "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0,
     "content_block": {"type": "redacted_thinking", "data": "Emw="}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "hi"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]  # fmt: skip
WHOLE = {
    **STREAMED[0]["message"],
    "content": [STREAMED[1]["content_block"], {"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
}
CONTEXT = AnswerContext("m", 0, lambda prefix: prefix + "1")


def kept_of_stream(dialect: str) -> list[Any]:
    """The messages, items or contents that a client keeps of a stream."""
    renderer = DIALECTS[dialect].stream_renderer(CONTEXT)
    data = b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in STREAMED)
    text = renderer.feed(DIALECTS[ANTHROPIC].stream_parser().feed(data)).decode()
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    if dialect == RESPONSES:
        return [event["item"] for event in events if event["type"] == "response.output_item.done"]
    parts = [part for event in events for part in event["candidates"][0].get("content", {}).get("parts", ())]
    return [{"role": "model", "parts": parts}]


def kept_of_answer(dialect: str) -> list[Any]:
    """Likewise of a whole answer."""
    response = DIALECTS[ANTHROPIC].parse_response(json.dumps(WHOLE).encode())
    answer = json.loads(DIALECTS[dialect].render_response(response, CONTEXT))
    return answer["output"] if dialect == RESPONSES else [answer["candidates"][0]["content"]]


@pytest.mark.parametrize("kept", [kept_of_stream, kept_of_answer], ids=["stream", "whole"])
@pytest.mark.parametrize("dialect", [RESPONSES, GEMINI])
def test_redacted_thinking_comes_back_as_such(kept: Any, dialect: str) -> None:
    """What Anthropic answered without a text goes through a client of another dialect and back."""
    body = (
        {"model": "m", "input": [HI, *kept(dialect), HI]}
        if dialect == RESPONSES
        else {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, *kept(dialect)]}
    )
    request = DIALECTS[dialect].parse_request(json.dumps(body).encode(), model="m", stream=False)
    rendered = render_for(request, DIALECTS[ANTHROPIC], "claude-sonnet-4-6", None)
    said = json.loads(rendered.body)["messages"][1]["content"]
    assert said == [{"type": "redacted_thinking", "data": "Emw="}, {"type": "text", "text": "hi"}]


SHELL = [
    HI,
    {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls -l"]}},
    {"type": "shell_call_output", "call_id": "c1", "output": [{"stdout": "a file", "stderr": ""}]},
    {"type": "mcp_call", "id": "x", "name": "look", "server_label": "s", "arguments": "{}", "output": "seen"},
]
FOUND = [
    {"role": "user", "content": [{"type": "compaction", "content": "the summary"}]},
    {
        "role": "user",
        "content": [
            {
                "type": "search_result",
                "source": "http://a",
                "title": "a title",
                "content": [{"type": "text", "text": "passage"}],
            }
        ],
    },
]


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        *((RESPONSES, target, ("ls -l", "a file", "seen")) for target in (ANTHROPIC, CHAT, GEMINI)),
        *((ANTHROPIC, target, ("the summary", "passage", "a title")) for target in (CHAT, RESPONSES, GEMINI)),
    ],
)
def test_words_of_parts_that_only_one_dialect_has_are_told(
    source: str, target: str, words: tuple[str, ...]
) -> None:
    """The conversation goes on from them; that they lost their form is declared, and no turn is empty."""
    body = {"input": SHELL} if source == RESPONSES else {"messages": FOUND}
    rendered = render_for(asked(body, source), DIALECTS[target], "m", None)
    for word in words:
        assert word.encode() in rendered.body
    assert {loss.kind for loss in rendered.losses} == {"opaque"}
    sent = json.loads(rendered.body)
    turns = sent.get("messages") or sent.get("contents") or sent["input"]
    assert all(turn.get("content") or turn.get("parts") for turn in turns)


def test_a_turn_of_which_nothing_can_be_told_is_left_out() -> None:
    """Some servers refuse an empty one."""
    unknown = {"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}
    sent, lost = chat({"messages": [unknown, HI]}, "m")
    assert sent["messages"] == [HI]
    assert lost.keys() == {"opaque"}


def test_members_of_parts_are_no_silent_loss_to_responses() -> None:
    """A document's title, context and citations, and a message's name."""
    source = {"type": "text", "media_type": "text/plain", "data": "doc"}
    document = {"type": "document", "title": "T", "context": "C", "source": source}
    rendered = render_for(
        asked({"messages": [{"role": "user", "content": [document]}]}), DIALECTS[RESPONSES], "m", None
    )
    assert {loss.kind for loss in rendered.losses} == {"document_name", "extras"}
    rendered = render_for(asked({"messages": [{**HI, "name": "ada"}]}, CHAT), DIALECTS[RESPONSES], "m", None)
    assert {(loss.kind, loss.path) for loss in rendered.losses} == {("extras", "turns[0]")}


GOOGLES = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "read_file", "arguments": '{"path":"a"}'},
    "extra_content": {"google": {"thought_signature": "c2lnbmF0dXJl"}},
}
GOOGLES_ANSWER = {
    "id": "c",
    "model": "g",
    "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": [GOOGLES]}}
    ],
}


def blocks_of_answer() -> list[Any]:
    """A Messages client's history of Google's answer, whole."""
    response = DIALECTS[CHAT].parse_response(json.dumps(GOOGLES_ANSWER).encode())
    return json.loads(DIALECTS[ANTHROPIC].render_response(response, CONTEXT))["content"]


def blocks_of_stream() -> list[Any]:
    """Likewise, streamed: thinking blocks come whole, a call's input in pieces."""
    chunks = [
        {"index": 0, "delta": {"tool_calls": [{"index": 0, **GOOGLES}]}},
        {"index": 0, "delta": {}, "finish_reason": "tool_calls"},
    ]
    data = b"".join(
        b"data: %b\n\n" % json.dumps({"id": "c", "model": "g", "choices": [chunk]}).encode()
        for chunk in chunks
    )
    renderer = DIALECTS[ANTHROPIC].stream_renderer(CONTEXT)
    text = renderer.feed(DIALECTS[CHAT].stream_parser().feed(data + b"data: [DONE]\n\n")).decode()
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    return [{**block, "input": {"path": "a"}} if block["type"] == "tool_use" else block for block in blocks]


@pytest.mark.parametrize("read", [blocks_of_answer, blocks_of_stream], ids=["whole", "stream"])
def test_gemini_proofs_go_through_a_client_of_messages_and_back(read: Any) -> None:
    """What Google's server of Chat Completions put beside a call stands there in the next turn."""
    blocks = read()
    call = next(block for block in blocks if block["type"] == "tool_use")
    results = [{**RESULT, "tool_use_id": call["id"]}]
    turns = [HI, {"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    sent, lost = chat({"messages": turns, "tools": [TOOL]}, "gemini-3.1-pro-preview", GOOGLE)
    assert sent["messages"][1]["tool_calls"][0]["extra_content"] == GOOGLES["extra_content"]
    assert lost == {}


@pytest.mark.parametrize("late", [{"thoughtSignature": "c2ln"}, {"text": "", "thoughtSignature": "c2ln"}])
@pytest.mark.parametrize("together", [True, False])
def test_a_proof_that_comes_after_its_call_is_the_calls(late: dict[str, Any], together: bool) -> None:
    """Gemini may send it in a part, or a chunk, of its own; any client can give it back all the same."""
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    parts = [[call, late]] if together else [[call], [late]]
    chunks = [{"candidates": [{"content": {"role": "model", "parts": found}}]} for found in parts]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    parser = DIALECTS[GEMINI].stream_parser()
    events = [
        event for chunk in chunks for event in parser.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    ]
    answer = fold([*events, *parser.end()])
    (part,) = answer.candidates[0].parts
    assert isinstance(part, ToolCall)
    assert part.signature == Signature(GEMINI, "c2ln")
    assert json.loads(part.arguments) == {"a": 1}
