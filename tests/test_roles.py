"""Which role a request has: one row for each request that Amp's clients were seen to send."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.amp.roles import RULES, Signs, role_of, signs_of
from ampproxy.dialects.registry import shown_in
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.model.roles import ROLES
from ampproxy.wire.json import peek

THREAD = {"x-amp-thread-id": "T-1", "x-amp-feature": "amp.chat"}
TURN = THREAD | {"x-amp-message-id": "0"}
MAIN_TOOLS = ("Bash", "Read", "Grep", "glob", "edit_file", "create_file", "Task", "oracle", "finder")


def flat(*names):
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


def functions(*names):
    return [{"type": "function", "function": {"name": name}} for name in names]


def declarations(*names):
    return [{"functionDeclarations": [{"name": name} for name in names]}]


def forced(name):
    return {"type": "tool", "name": name, "disable_parallel_tool_use": True}


def calling(mode, *names):
    return {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": list(names)}}


FILE = [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}]
SEEN = [
    ("smart", ANTHROPIC, "claude-opus-4-5-20251101", TURN | {"x-amp-mode": "smart"}, {}),
    ("smart", ANTHROPIC, "claude-opus-4-7", TURN, {"tools": flat(*MAIN_TOOLS)}),
    ("smart", ANTHROPIC, "claude-opus-4-7", THREAD, {"tools": flat(*MAIN_TOOLS)}),
    ("rush", ANTHROPIC, "claude-haiku-4-5-20251001", TURN, {}),
    ("free", ANTHROPIC, "claude-haiku-4-5-20251001", TURN | {"x-amp-mode": "free"}, {}),
    ("large", ANTHROPIC, "claude-sonnet-4-5-20250929", TURN | {"x-amp-mode": "large"}, {}),
    ("large", ANTHROPIC, "claude-opus-4-6", TURN | {"x-amp-mode": "large"}, {}),
    ("deep", RESPONSES, "gpt-5.4", TURN, {"tools": flat("shell_command", "oracle")}),
    ("main", CHAT, "accounts/fireworks/models/kimi-k2p5", TURN, {"tools": functions(*MAIN_TOOLS)}),
    ("main", GEMINI, "gemini-3-pro-preview", TURN, {"tools": declarations(*MAIN_TOOLS)}),
    ("title", ANTHROPIC, "claude-haiku-4-5-20251001", {}, {"tool_choice": forced("set_title")}),
    ("handoff", ANTHROPIC, "claude-opus-4-6", THREAD, {"tool_choice": forced("create_handoff_context")}),
    ("handoff", GEMINI, "gemini-3", THREAD, {"toolConfig": calling("ANY", "create_handoff_context")}),
    # Nothing but the mode says so: with one tool, it is the one that is forced.
    (
        "handoff",
        GEMINI,
        "gemini-3",
        THREAD,
        {"toolConfig": calling("ANY"), "tools": declarations("create_handoff_context")},
    ),
    (
        "title",
        ANTHROPIC,
        "claude-haiku-4-5",
        {},
        {"tool_choice": {"type": "any"}, "tools": flat("set_title")},
    ),
    ("title", CHAT, "gpt-5", {}, {"tool_choice": "required", "tools": functions("set_title")}),
    ("", GEMINI, "gemini-3", {}, {"toolConfig": calling("AUTO"), "tools": declarations("set_title")}),
    (
        "",
        ANTHROPIC,
        "claude-haiku-4-5",
        {},
        {"tool_choice": {"type": "any"}, "tools": flat("set_title", "x")},
    ),
    ("finder", GEMINI, "gemini-3-flash-preview", THREAD, {"tools": declarations("Grep", "glob", "Read")}),
    ("oracle", RESPONSES, "gpt-5.4", THREAD, {"tools": flat("Read", "Grep", "web_search", "read_web_page")}),
    ("task", ANTHROPIC, "claude-opus-4-6", THREAD, {"tools": flat("Bash", "edit_file", "Read", "finder")}),
    ("task", RESPONSES, "gpt-5.4", THREAD, {"tools": flat("apply_patch", "shell_command")}),
    ("librarian", ANTHROPIC, "claude-sonnet-4-6", THREAD, {"tools": flat("read_github", "search_github")}),
    ("look_at", GEMINI, "gemini-3-flash-preview", THREAD, {"contents": FILE}),
    ("read_thread", GEMINI, "gemini-3", THREAD, {"generationConfig": {"responseJsonSchema": {}}}),
    ("painter", GEMINI, "gemini-3-pro-image-preview", {"x-amp-feature": "amp.painter"}, {}),
    ("painter", GEMINI, "gemini-3", THREAD, {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}),
    ("painter", RESPONSES, "gpt-image-2", {"x-amp-feature": "amp.image-generation"}, {}),
    ("review", GEMINI, "gemini-3.1-pro-preview", {"x-amp-feature": "amp.review"}, {}),
    ("analyze", ANTHROPIC, "claude-haiku-4-5", {"x-amp-feature": "amp.context-analyze"}, {}),
    # Programs that are not Amp's tell nothing by their tools.
    ("", ANTHROPIC, "claude-opus-4-6", {}, {"tools": flat(*MAIN_TOOLS)}),
    ("", CHAT, "gpt-5", {"x-amp-mode": "smart"}, {"tools": functions("Bash")}),
    ("", ANTHROPIC, "claude-opus-4-6", THREAD, {}),
]


def read(dialect, model, headers, content):
    body = json.dumps({"model": model, **content}).encode()
    return role_of(signs_of(dialect, model, headers.items(), shown_in(dialect, peek(body), body)))


@pytest.mark.parametrize(("role", "dialect", "model", "headers", "content"), SEEN)
def test_seen(role, dialect, model, headers, content):
    assert read(dialect, model, headers, content) == role


def test_every_role_is_seen():
    assert {row[0] for row in SEEN} - {""} == set(ROLES) == {rule.role for rule in RULES}


def test_tools_of_a_turn_are_not_read():
    """A main conversation's headers tell it; its twenty tools need not be gone through."""

    def declared():
        raise AssertionError

    headers = TURN | {"x-amp-mode": "rush"}
    assert role_of(Signs(headers=headers, model="claude-haiku-4-5", declared=declared)) == "rush"


PLAIN = st.sampled_from([None, True, 3, "x", "ANY", [], {}])
NAMES = ["name", "function", "functionDeclarations", "functionCallingConfig", "responseModalities"]
INNER = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.sampled_from(NAMES), PLAIN, max_size=2)
ODD = INNER | st.lists(INNER, max_size=2) | st.dictionaries(st.sampled_from(NAMES), INNER, max_size=2)


@given(
    st.sampled_from([ANTHROPIC, CHAT, GEMINI, RESPONSES]),
    st.dictionaries(
        st.sampled_from(["tools", "tool_choice", "toolConfig", "generationConfig", "contents"]), ODD
    ),
)
def test_odd_bodies_harm_nothing(dialect, content):
    """What is not as its vendor wants it is for its reader to refuse; here it is only no sign."""
    assert read(dialect, "m", THREAD, content) in {"", *ROLES}
