"""What vendors declare of models in their lists is known of them: each vendor's own members."""

from __future__ import annotations

import datetime
import json
import typing

import anthropic.types
import pytest
from google.genai import types as genai

from ampproxy.catalog.families import Family
from ampproxy.providers import declared
from ampproxy.providers.listing import anthropic_page, gemini_page, openai_page

YES, NO = {"supported": True}, {"supported": False}


def claude(**changes):
    """An entry of Anthropic's Models API."""
    capabilities = {
        **dict.fromkeys(anthropic.types.ModelCapabilities.model_fields, YES),
        "context_management": YES,
        "effort": {"supported": True, "low": YES, "medium": YES, "high": YES, "max": YES, "xhigh": NO},
        "thinking": {
            "supported": True,
            "types": {"adaptive": YES, "enabled": NO, "disabled": NO, "between_tools": YES},
        },
        "pdf_input": NO,
        "server_tools": {"supported": True, "code_execution": YES, "web_search": YES},
    }
    entry = {
        "type": "model",
        "id": "claude-ballad-6",
        "display_name": "Claude Ballad 6",
        "created_at": "2026-11-20T00:00:00Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "max_input_tokens": 2_000_000,
        "max_tokens": 256_000,
        "capabilities": capabilities,
        **changes,
    }
    anthropic.types.ModelInfo.model_validate(entry)
    return entry


def read(page, entry, within="data") -> Family | None:
    found = page(json.dumps({within: [entry]}).encode())
    return found.families[0] if found.families else None


def test_anthropic():
    """Its forms of thinking, its levels, limits, media, and that it is there to stay."""
    assert read(anthropic_page, claude()) == Family(
        names=("claude-ballad-6",),
        dialects=("anthropic",),
        thinking="level",
        levels=("low", "medium", "high", "max"),
        can_disable=False,
        between_tools=True,
        context=2_000_000,
        max_output=256_000,
        input=("text", "image"),
        title="Claude Ballad 6",
        released=datetime.date(2026, 11, 20),
        deprecated=False,
        retired=False,
    )


@pytest.mark.parametrize(
    ("adaptive", "enabled", "form"),
    [(YES, YES, "both"), (YES, NO, "level"), (NO, YES, "budget"), (NO, NO, None), (None, YES, None)],
)
def test_forms_of_thinking(adaptive, enabled, form):
    """As the types that it takes say; what they do not say stays as it is known."""
    types = {"adaptive": adaptive, "enabled": enabled, "disabled": YES}
    capabilities = {"thinking": {"supported": True, "types": types}}
    found = declared.anthropic({"id": "m", "capabilities": capabilities})
    assert (found.get("thinking"), found["can_disable"]) == (form, True)
    capabilities["thinking"]["supported"] = False
    assert declared.anthropic({"id": "m", "capabilities": capabilities})["thinking"] == "none"


def test_what_is_gone_is_no_model_any_more():
    """A retired model stays in the list as a record; nobody is shown it, and its end is known."""
    retires = "2026-06-30T00:00:00Z"
    entries = [
        claude(id="claude-old", lifecycle="retired", deprecated_at=retires, retires_at=retires),
        claude(id="claude-late", lifecycle="deprecated", deprecated_at=retires, retires_at=retires),
    ]
    page = anthropic_page(json.dumps({"data": entries}).encode())
    assert page.names == ("claude-late",)
    old, late = page.families
    today = datetime.date(2026, 11, 29)
    assert (old.retired, old.gone(today), old.retires) == (True, True, datetime.date(2026, 6, 30))
    # A past date on a deprecated model means that its end is overdue.
    assert (late.deprecated, late.gone(today)) == (True, False)


def test_gemini():
    """Limits, and whether it thinks."""
    entry = {
        "name": "models/gemini-5-xenon",
        "displayName": "Gemini 5 Xenon",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent"],
        "thinking": True,
    }
    assert read(gemini_page, entry, "models") == Family(
        names=("gemini-5-xenon",),
        context=1_048_576,
        max_output=65_536,
        thinks=True,
        title="Gemini 5 Xenon",
    )
    for member in ("input_token_limit", "output_token_limit", "display_name", "thinking"):
        assert member in genai.Model.model_fields


#: Entries as servers that speak OpenAI's API list them -> what they declare.
SERVERS = {
    "openai": (
        {"id": "gpt-5.1", "object": "model", "created": 1762992000, "shutdown_date": "2027-04-01"},
        {
            "released": datetime.date(2025, 11, 13),
            "deprecated": True,
            "retires": datetime.date(2027, 4, 1),
        },
    ),
    "openrouter": (
        {
            "id": "qwen/qwen4",
            "name": "Qwen: Qwen4",
            "context_length": 262_144,
            "architecture": {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"]},
            "top_provider": {"context_length": 131_072, "max_completion_tokens": 65_536},
            "supported_parameters": ["max_tokens", "temperature", "tools"],
        },
        {
            "context": 131_072,
            "max_output": 65_536,
            "tools": True,
            "thinks": False,
            "sampling": True,
            "input": ("text", "image", "pdf"),
            "output": ("text",),
            "title": "Qwen: Qwen4",
        },
    ),
    "vllm": (
        {"id": "Qwen/Qwen4", "object": "model", "created": 1795968000, "max_model_len": 40_960},
        {"context": 40_960},
    ),
    "lm studio": (
        {"id": "qwen4", "max_context_length": 262_144, "loaded_context_length": 8192, "type": "llm"},
        {"context": 8192},
    ),
    "llama.cpp": (
        {"id": "m.gguf", "created": 1795968000, "meta": {"n_ctx_train": 131_072, "n_ctx": 16_384}},
        {"context": 16_384},
    ),
    "groq": (
        {"id": "kimi", "context_window": 131_072, "max_completion_tokens": 16_384, "active": True},
        {"context": 131_072, "max_output": 16_384},
    ),
    "mistral": (
        {
            "id": "mistral-large",
            "capabilities": {"function_calling": True, "vision": False, "reasoning": False},
            "max_context_length": 131_072,
            "deprecation": "2026-12-31T12:00:00Z",
            "deprecation_replacement_model": "mistral-larger",
        },
        {
            "context": 131_072,
            "tools": True,
            "thinks": False,
            "input": ("text",),
            "deprecated": True,
            "retires": datetime.date(2026, 12, 31),
            "successor": "mistral-larger",
        },
    ),
    "copilot": (
        {
            "id": "gpt-5.4",
            "name": "GPT-5.4",
            "capabilities": {
                "limits": {"max_context_window_tokens": 200_000, "max_output_tokens": 64_000},
                "supports": {"tool_calls": True, "vision": True},
            },
        },
        {
            "context": 200_000,
            "max_output": 64_000,
            "tools": True,
            "input": ("text", "image"),
            "title": "GPT-5.4",
        },
    ),
    "ollama": (
        {"id": "qwen3-coder:30b", "object": "model", "created": 1756684800, "owned_by": "library"},
        {"released": datetime.date(2025, 9, 1)},
    ),
}


@pytest.mark.parametrize("server", SERVERS)
def test_servers(server):
    """Of each the members that it has; what a model was loaded with goes before what it could take."""
    entry, members = SERVERS[server]
    assert read(openai_page, entry) == Family(names=(entry["id"],), **members)


STRANGE = (None, -1, 0, 1.5, "many", True, 10**12, [1], {"a": 1}, "x" * 10_000, "\x1b[2J", 1e300)


@pytest.mark.parametrize("strange", STRANGE, ids=lambda value: repr(value)[:12])
def test_strange_values_declare_nothing(strange):
    """A slip in one member is nobody's number; the others count, and the list stays a list."""
    paths = (*declared._CONTEXT, *declared._OUTPUT, *declared._TOOLS, *declared._SEES)
    names = {"shutdown_date", "created", "name", "architecture", "capabilities", "supported_parameters"}
    for name in names | {path[0] for path in paths}:
        found = read(openai_page, {"id": "m", name: strange})
        told = {} if found is None else {k for k in typing.get_type_hints(Family) if getattr(found, k)}
        assert set(told) - {"names"} <= {"title", "sampling"} or strange is True, name
        if found is not None:
            assert len(found.title) <= 100
            assert "\x1b" not in found.title
    for name in ("max_tokens", "max_input_tokens", "capabilities", "created_at", "lifecycle"):
        assert read(anthropic_page, {"id": "m", name: strange}) is None
    for name in ("inputTokenLimit", "outputTokenLimit"):
        entry = {"name": "models/m", "supportedGenerationMethods": ["generateContent"], name: strange}
        assert read(gemini_page, entry, "models") is None
