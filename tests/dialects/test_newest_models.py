"""The newest models get requests that they take, as the strict stand-ins of their vendors check them; what
they refuse is a declared loss.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampproxy.adapt.target import target_for
from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.model.request import ChatRequest
from ampproxy.relay.translate import render_for
from ampproxy.testing import anthropic_rules, gemini_rules, openai_chat_rules, openai_responses_rules
from ampproxy.testing.openai import check_sampling
from ampproxy.testing.vendor import VendorError
from tests import strategies
from tests.cases import each

HI = {"role": "user", "content": "hi"}
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


class Trusting:
    """Takes every proof for one of its own."""

    def knows(self, value: object, about: str) -> bool:
        return True


def check_anthropic(body: dict[str, Any], model: str) -> None:
    anthropic_rules.MESSAGES(body, ())
    for rule in anthropic_rules.RULES:
        rule(body, Trusting())  # type: ignore[arg-type]


def check_gemini(body: dict[str, Any], model: str) -> None:
    said: Any = gemini_rules.camel(body)
    gemini_rules.GENERATE[True](said, ())
    for rule in gemini_rules.RULES:
        rule(said, model, Trusting())  # type: ignore[arg-type]


def check_chat(body: dict[str, Any], model: str) -> None:
    openai_chat_rules.TABLES["openai"](body, ())
    check_sampling(body, body.get("reasoning_effort"))


def check_functions(body: dict[str, Any], model: str) -> None:
    check_chat(body, model)
    openai_chat_rules.check_functions(body, "openai")


def check_responses(body: dict[str, Any], model: str) -> None:
    openai_responses_rules.check_limits(body)


CHECKS = {ANTHROPIC: check_anthropic, GEMINI: check_gemini, CHAT: check_chat, RESPONSES: check_responses}


def said(source: str, target: str, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """A request as its vendor gets it, checked, and what it lost: kind -> why."""
    asked = DIALECTS[source].parse_request(json.dumps({"model": "x", **body}).encode(), model="x")
    rendered = DIALECTS[target].render_request(asked, target_for(target, model))
    sent = json.loads(rendered.body)
    CHECKS[target](sent, model)
    return sent, {loss.kind: loss.why for loss in rendered.losses}


@pytest.mark.parametrize("model", ["gpt-6.2-astra", "gpt-6.1-sol", "gpt-9"])
def test_gpt_6_thinks_and_draws_nothing(model):
    """No temperature, and the least effort in place of none, which these refuse."""
    body = {"max_tokens": 1000, "temperature": 0.7, "thinking": {"type": "disabled"}, "messages": [HI]}
    sent, losses = said(ANTHROPIC, RESPONSES, model, body)
    assert sent["reasoning"]["effort"] == "low"
    assert "temperature" not in sent
    assert {"thinking", "temperature"} <= losses.keys()


@pytest.mark.parametrize("model", ["gpt-6-sol", "gpt-6-luna", "gpt-6.1-terra", "gpt-5.6-sol"])
def test_some_of_gpt_6_go_without_thinking(model):
    """Where none is accepted it is sent, and lost is nothing."""
    body = {"max_tokens": 1000, "thinking": {"type": "disabled"}, "messages": [HI]}
    sent, losses = said(ANTHROPIC, RESPONSES, model, body)
    assert sent["reasoning"]["effort"] == "none"
    assert losses == {}


@pytest.mark.parametrize("model", ["gpt-6.1-sol", "gpt-5.6-terra"])
def test_the_highest_effort_arrives(model):
    """``max`` is ``max``, and long answers are cut to what the model writes."""
    body = {
        "max_tokens": 200_000,
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "max"},
        "messages": [HI],
    }
    sent, losses = said(ANTHROPIC, CHAT, model, body)
    assert sent["reasoning_effort"] == "max"
    assert sent["max_completion_tokens"] == 128_000
    assert losses.keys() == {"output_limit"}


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-5.6-sol", "gpt-6-luna"])
def test_functions_over_chat_at_openai_go_without_thinking(model):
    """OpenAI refuses both together; who sells its models elsewhere does not."""
    asked = DIALECTS[ANTHROPIC].parse_request(json.dumps(WITH_TOOLS).encode())
    for base_url, effort, lost in (
        ("https://api.openai.com/v1", "none", {"thinking"}),
        ("https://openrouter.ai/api/v1", "high", set()),
    ):
        rendered = render_for(asked, DIALECTS[CHAT], model, None, base_url=base_url)
        sent = json.loads(rendered.body)
        if lost:
            check_functions(sent, model)
        assert sent["reasoning_effort"] == effort
        assert {loss.kind for loss in rendered.losses} == lost


ALWAYS = ["claude-opus-5-5", "claude-fable-5-2", "claude-mythos-5-1", "claude-opus-9"]


@pytest.mark.parametrize("model", ALWAYS)
def test_claude_5_5_cannot_be_kept_from_thinking(model):
    """No ``disabled``: the least effort, and the loss is declared."""
    sent, losses = said(CHAT, ANTHROPIC, model, {"reasoning_effort": "none", "messages": [HI]})
    assert "thinking" not in sent
    assert sent["output_config"] == {"effort": "low"}
    assert sent["max_tokens"] == 128_000
    assert losses.keys() == {"thinking"}


def test_sonnet_5_5_thinks_between_calls_at_most():
    """What it takes in place of ``disabled`` is sent."""
    sent, losses = said(CHAT, ANTHROPIC, "claude-sonnet-5-5", {"reasoning_effort": "none", "messages": [HI]})
    assert sent["thinking"] == {"type": "between_tools"}
    assert "output_config" not in sent
    assert losses.keys() == {"thinking"}


@pytest.mark.parametrize("model", [*ALWAYS, "claude-sonnet-5-5"])
def test_claude_5_5_is_never_forced(model):
    """A demanded call becomes a possible one."""
    body = {"messages": [HI], "tools": [F], "tool_choice": "required", "temperature": 0.2}
    sent, losses = said(CHAT, ANTHROPIC, model, body)
    assert sent["tool_choice"] == {"type": "auto"}
    assert "thinking" not in sent
    assert {"tool_choice", "temperature"} <= losses.keys()


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-sonnet-5", "claude-haiku-5-5"])
def test_claude_5_is_forced_without_thinking(model):
    """It thinks unless told otherwise, and a demanded call wants that it does not."""
    sent, losses = said(CHAT, ANTHROPIC, model, {"messages": [HI], "tools": [F], "tool_choice": "required"})
    assert sent["tool_choice"] == {"type": "any"}
    assert sent["thinking"] == {"type": "disabled"}
    assert "thinking" in losses
    sent, losses = said(CHAT, ANTHROPIC, model, {"messages": [HI], "tools": [F]})
    assert "thinking" not in sent
    assert losses == {}


WITH_TOOLS = {
    "model": "x",
    "max_tokens": 1000,
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "high"},
    "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
    "messages": [HI],
}
BEGUN = {"messages": [HI, {"role": "assistant", "content": "{"}]}


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-haiku-5-5", "claude-opus-5-5"])
def test_a_begun_answer_is_not_continued_by_claude(model):
    """The conversation ends in a turn of the user's; older models go on from the assistant's."""
    sent, losses = said(CHAT, ANTHROPIC, model, BEGUN)
    assert [one["role"] for one in sent["messages"]] == ["user", "assistant", "user"]
    assert "prefill" in losses
    sent, losses = said(CHAT, ANTHROPIC, "claude-haiku-4-5", BEGUN)
    assert [one["role"] for one in sent["messages"]] == ["user", "assistant"]
    assert losses == {}


def test_a_clients_own_words_are_moved_to_another_family():
    """A client of Messages itself, whose model was mapped to a newer one."""
    body = {
        "max_tokens": 9000,
        "thinking": {"type": "enabled", "budget_tokens": 4000},
        "temperature": 1,
        "messages": BEGUN["messages"],
    }
    sent, losses = said(ANTHROPIC, ANTHROPIC, "claude-opus-5-5", body)
    assert sent["thinking"]["type"] == "adaptive"
    assert {"thinking_budget", "prefill"} <= losses.keys()
    body = {"max_tokens": 9000, "thinking": {"type": "disabled"}, "messages": [HI]}
    assert said(ANTHROPIC, ANTHROPIC, "claude-haiku-5-5", body)[0]["thinking"] == {"type": "disabled"}
    sent, losses = said(ANTHROPIC, ANTHROPIC, "claude-opus-5-5", body)
    assert "thinking" not in sent
    assert losses.keys() == {"thinking"}


NEW_GEMINI = ["gemini-4-neon", "gemini-4-argon", "gemini-3.8-flash", "gemini-flash-latest", "gemini-5-x"]


@pytest.mark.parametrize("model", NEW_GEMINI)
def test_gemini_4_thinks_a_little_for_a_short_answer(model):
    """Titles and summaries get the least effort that is accepted."""
    sent, losses = said(ANTHROPIC, GEMINI, model, {"max_tokens": 60, "messages": [HI]})
    config = sent["generationConfig"]
    assert config["thinkingConfig"] == {"thinkingLevel": "LOW"}
    assert config["maxOutputTokens"] > 1000
    assert losses.keys() == {"raised_limit"}


@pytest.mark.parametrize("model", NEW_GEMINI)
def test_gemini_4_takes_no_penalties_and_gives_one_answer(model):
    """They are left out, declared; so is a begun answer."""
    body = {"presence_penalty": 0.5, "frequency_penalty": 0, "n": 2, "temperature": 0.3, **BEGUN}
    sent, losses = said(CHAT, GEMINI, model, body)
    config = sent["generationConfig"]
    assert config["candidateCount"] == 1
    assert not {"presencePenalty", "frequencyPenalty"} & config.keys()
    assert ("temperature" in config) is (model != "gemini-4-neon")
    assert sent["contents"][-1] == {"role": "user", "parts": [{"text": "Continue."}]}
    assert losses.keys() == {"candidates", "sampling", "prefill"}


@pytest.mark.parametrize(
    ("target", "model", "found"),
    [
        (GEMINI, "gemini-2.5-flash", '"thinkingConfig":{"thinkingBudget":0'),
        (GEMINI, "gemini-3-flash-preview", '"thinkingConfig":{"thinkingLevel":"MINIMAL"'),
        (RESPONSES, "gpt-5.6-sol", '"effort":"none"'),
        (RESPONSES, "gpt-6.2-sol", '"effort":"low"'),
        (CHAT, "gpt-5", '"reasoning_effort":"minimal"'),
    ],
)
def test_thinking_between_tools_is_little_thinking(target, model, found):
    """Anthropic's ``between_tools`` asks for none up front; that no other vendor has it is a loss."""
    body = {"max_tokens": 1000, "thinking": {"type": "between_tools"}, "messages": [HI]}
    sent, losses = said(ANTHROPIC, target, model, body)
    assert found in json.dumps(sent, separators=(",", ":"))
    assert "extras" in losses


@pytest.mark.parametrize("target", [CHAT, GEMINI])
def test_an_answer_of_no_tokens_is_one_of_one(target):
    """``max_tokens: 0`` warms Anthropic's cache; elsewhere it would be refused."""
    model = {CHAT: "gpt-6-sol", GEMINI: "gemini-4-argon"}[target]
    sent, losses = said(ANTHROPIC, target, model, {"max_tokens": 0, "messages": [HI]})
    limit = sent["max_completion_tokens"] if target == CHAT else sent["generationConfig"]["maxOutputTokens"]
    assert limit == 1
    assert "max_tokens" in losses


NEWEST = [
    (RESPONSES, "gpt-6.2-astra"),
    (RESPONSES, "gpt-6-luna"),
    (RESPONSES, "gpt-5.6-sol"),
    (RESPONSES, "gpt-5.5-pro"),
]


@settings(max_examples=60, deadline=None)
@given(strategies.requests(), st.sampled_from(NEWEST))
def test_any_request_is_accepted(request: ChatRequest, at: tuple[str, str]) -> None:
    """However wild the wish for thinking, the effort is one that the model has."""
    dialect, model = at
    sent = json.loads(DIALECTS[dialect].render_request(request, target_for(dialect, model)).body)
    check_sampling(sent, (sent.get("reasoning") or {}).get("effort"))


@pytest.mark.parametrize(
    ("dialect", "model", "body"),
    [
        (ANTHROPIC, "claude-opus-5-5", {"max_tokens": 9, "messages": [HI], "thinking": {"type": "disabled"}}),
        (ANTHROPIC, "claude-haiku-5-5", {"max_tokens": 9, "messages": BEGUN["messages"]}),
        (ANTHROPIC, "claude-opus-4-7", {"max_tokens": 9, "messages": [HI], "temperature": 0.5}),
        (RESPONSES, "gpt-6.2-sol", {"input": "hi", "reasoning": {"effort": "none"}}),
        (CHAT, "gpt-5.1", {"messages": [HI], "reasoning_effort": "max"}),
        (
            GEMINI,
            "gemini-4-neon",
            {
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
                "generationConfig": {"candidateCount": 2},
            },
        ),
    ],
)
def test_the_stand_ins_refuse(dialect, model, body):
    """What the vendors refuse, their stand-ins refuse: else the tests above would show nothing."""
    with pytest.raises(VendorError):
        CHECKS[dialect](body if dialect == GEMINI else {"model": model, **body}, model)


TOOL_OF = {
    ANTHROPIC: {"name": "f", "input_schema": {"type": "object", "properties": {}}},
    CHAT: F,
    RESPONSES: {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}},
    GEMINI: {"functionDeclarations": [{"name": "f"}]},
}


def talk(client: str, *, begun: bool = False) -> dict[str, Any]:
    """A conversation, which may end in the assistant's turn."""
    if client == GEMINI:
        turns = [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "{"}]}]
        return {"contents": turns[: 1 + begun]}
    if client == RESPONSES:
        return {"input": [{**turn, "type": "message"} for turn in BEGUN["messages"][: 1 + begun]]}
    return {"messages": BEGUN["messages"][: 1 + begun]}


#: What clients ask that some of the newest models refuse: the wish -> its form in each dialect.
ASKED: dict[str, dict[str, dict[str, Any]]] = {
    "not to think": {
        ANTHROPIC: {"thinking": {"type": "disabled"}},
        CHAT: {"reasoning_effort": "none"},
        RESPONSES: {"reasoning": {"effort": "none"}},
        GEMINI: {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
    },
    "to think within a budget": {
        ANTHROPIC: {"thinking": {"type": "enabled", "budget_tokens": 4000}},
        GEMINI: {"generationConfig": {"thinkingConfig": {"thinkingBudget": 4000}}},
    },
    "to think as little as can be": {
        ANTHROPIC: {"thinking": {"type": "between_tools"}},
        CHAT: {"reasoning_effort": "minimal"},
        RESPONSES: {"reasoning": {"effort": "minimal"}},
        GEMINI: {"generationConfig": {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}},
    },
    "to think as much as can be": {
        ANTHROPIC: {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        CHAT: {"reasoning_effort": "max"},
        RESPONSES: {"reasoning": {"effort": "max"}},
        GEMINI: {"generationConfig": {"thinkingConfig": {"thinkingLevel": "XHIGH"}}},
    },
    "to draw otherwise": {
        ANTHROPIC: {"temperature": 0.7},
        CHAT: {"temperature": 0.7, "top_p": 0.9, "presence_penalty": 0.5, "frequency_penalty": 0.5, "n": 2},
        RESPONSES: {"temperature": 0.7, "top_p": 0.9},
        GEMINI: {"generationConfig": {"temperature": 0.7, "presencePenalty": 0.5, "candidateCount": 2}},
    },
    "for a call": {
        ANTHROPIC: {"tool_choice": {"type": "any"}},
        CHAT: {"tool_choice": "required"},
        RESPONSES: {"tool_choice": "required"},
        GEMINI: {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
    },
    "for one tool's call": {
        ANTHROPIC: {"tool_choice": {"type": "tool", "name": "f"}},
        CHAT: {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        RESPONSES: {"tool_choice": {"type": "function", "name": "f"}},
        GEMINI: {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}},
    },
    "for a short answer": {
        ANTHROPIC: {"max_tokens": 60},
        CHAT: {"max_tokens": 60},
        RESPONSES: {"max_output_tokens": 60},
        GEMINI: {"generationConfig": {"maxOutputTokens": 60}},
    },
    "for an endless answer": {
        ANTHROPIC: {"max_tokens": 200_000},
        CHAT: {"max_tokens": 200_000},
        RESPONSES: {"max_output_tokens": 200_000},
        GEMINI: {"generationConfig": {"maxOutputTokens": 200_000}},
    },
    "for no answer": {ANTHROPIC: {"max_tokens": 0}},
    "to go on": {},
}
NEW_MODELS = [
    *((ANTHROPIC, model) for model in (*ALWAYS, "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5")),
    *((RESPONSES, model) for model in ("gpt-6.2-astra", "gpt-6.1-sol", "gpt-6-luna", "gpt-5.6-sol", "gpt-9")),
    *((CHAT, model) for model in ("gpt-6.2-astra", "gpt-6.1-sol", "gpt-6-luna", "gpt-5.6-sol", "gpt-5.4")),
    *((GEMINI, model) for model in NEW_GEMINI),
]


def takes_functions_elsewhere(account: str, model: str) -> bool:
    """Whether OpenAI takes functions for a model over Responses alone: it cannot go without thinking."""
    return account == CHAT and model in ("gpt-6.2-astra", "gpt-6.1-sol")


def wished(client: str, wish: str, *, tools: bool) -> dict[str, Any]:
    body = {**talk(client, begun=wish == "to go on"), **ASKED[wish].get(client, {})}
    if client == ANTHROPIC:
        body = {"max_tokens": 5000, **body}
    return {**body, "tools": [TOOL_OF[client]]} if tools or wish.endswith("call") else body


def delivered(client: str, account: str, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """A request as the vendor itself gets it, checked with all that its stand-in knows; and the losses."""
    asked = DIALECTS[client].parse_request(json.dumps({"model": "x", **body}).encode(), model="x")
    url = "https://api.openai.com/v1" if account == CHAT else ""
    rendered = render_for(asked, DIALECTS[account], model, None, base_url=url)
    sent = json.loads(rendered.body)
    CHECKS[account](sent, model)
    if account == CHAT:
        check_functions(sent, model)
    elif account == RESPONSES:
        check_sampling(sent, (sent.get("reasoning") or {}).get("effort"))
    return sent, {loss.kind for loss in rendered.losses}


@each("client", ASKED["not to think"])
@each(("account", "model"), NEW_MODELS)
@each("tools", [False, True])
def test_no_wish_is_refused(client: str, account: str, model: str, tools: bool) -> None:
    """Whatever a client of any dialect asks, and if its model was mapped within its own dialect: the vendor
    takes it.
    """
    for wish in ASKED:
        if (tools or wish.endswith("call")) and takes_functions_elsewhere(account, model):
            continue
        try:
            delivered(client, account, model, wished(client, wish, tools=tools))
        except VendorError as refusal:
            pytest.fail(f"{wish}: {refusal}")


@each("client", ASKED["not to think"])
@each(("account", "model"), NEW_MODELS)
def test_each_bend_is_a_loss(client: str, account: str, model: str) -> None:
    """What a model is not sent as it was asked is declared."""
    target = target_for(account, model)
    sent, losses = delivered(client, account, model, wished(client, "not to think", tools=False))
    assert ("thinking" in losses) is not target.can_disable
    sent, losses = delivered(client, account, model, wished(client, "to draw otherwise", tools=False))
    asked = ("temperature", "top_p", "topP", "presence_penalty", "presencePenalty", "n")
    found = sent.get("generationConfig", sent)
    given = {name for name in asked if name in found}
    if len(given) < len(_members_of(wished(client, "to draw otherwise", tools=False), asked)):
        assert losses & {"temperature", "top_p", "presence_penalty", "sampling", "candidates"}
    if not takes_functions_elsewhere(account, model):
        sent, losses = delivered(client, account, model, wished(client, "for a call", tools=False))
        demanded = ({"type": "any"}, "required", {"functionCallingConfig": {"mode": "ANY"}})
        kept = sent.get("tool_choice", sent.get("toolConfig")) in demanded
        assert ("tool_choice" in losses) is not kept
    sent, losses = delivered(client, account, model, wished(client, "for an endless answer", tools=False))
    limits = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
    [limit] = [
        value for name, value in {**sent, **sent.get("generationConfig", {})}.items() if name in limits
    ]
    assert ("output_limit" in losses) is (limit != 200_000)
    sent, losses = delivered(client, account, model, wished(client, "to go on", tools=False))
    last = [*(sent.get("messages") or sent.get("contents") or sent["input"])][-1]["role"]
    assert ("prefill" in losses) is (last == "user")


def _members_of(body: dict[str, Any], names: tuple[str, ...]) -> set[str]:
    return {name for name in names if name in body.get("generationConfig", body)}
