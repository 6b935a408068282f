"""What Messages takes, as far as it is no matter of a single model."""

from __future__ import annotations

from typing import Final

from ampproxy.adapt.profile import DialectProfile, Hosted, alike
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, Json

PROFILE: Final = DialectProfile(
    dialect=ANTHROPIC,
    vendor="Anthropic",
    kin=frozenset((ANTHROPIC,)),
    sampling_members={**alike("temperature", "top_p", "top_k"), "stop_sequences": "stop"},
    other_members={"metadata": "user", "service_tier": "service_tier"},
    thinking="planned",
    between_tools=Json(b'{"type":"between_tools"}'),
    proofless=frozenset((CHAT, COMPLETIONS)),
    sampling=frozenset(("max_tokens", "temperature", "top_p", "top_k", "stop")),
    drawing=frozenset(("temperature", "top_p", "top_k")),
    temperature=1,
    one_of_draws=True,
    trusted_output=True,
    user=256,
    tiers={"auto": "auto", "default": "standard_only"},
    # https://docs.anthropic.com/en/docs/agents-and-tools/tool-use: ``^[a-zA-Z0-9_-]{1,128}$``.
    name=(r"[^a-zA-Z0-9_-]", 128),
    cache_marks=True,
    allowed_tools=False,
    unique_tools=True,
    history_tools=True,
    schema="flat",
    trusted_choice=True,
    hosted={
        "web_search": Hosted(
            {"type": "web_search_20250305", "name": "web_search"},
            alike("user_location", "allowed_domains", "blocked_domains"),
        ),
        "code_execution": Hosted(
            {"type": "code_execution_20250825", "name": "code_execution"}, beta="code-execution-2025-08-25"
        ),
        "url_context": Hosted(
            {"type": "web_fetch_20250910", "name": "web_fetch"}, beta="web-fetch-2025-09-10"
        ),
    },
    hosted_choice=True,
    json_output=False,
    output_schema="closed",
    unsigned="unsigned_thinking",
    whole_thoughts=True,
    blank_texts=False,
    error_results=True,
    media_roles=frozenset(("user", "system")),
    pictures=frozenset(("image/jpeg", "image/png", "image/gif", "image/webp")),
    links=("https://", "http://"),
    file_links=("https://", "http://"),
    documents=frozenset(("application/pdf",)),
    # What is words, whatever it is called.
    decoded=("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml"),
    text_documents=True,
    file_names=True,
    all_names=True,
    joins="roles",
    unique_calls=True,
    ids_noted=True,
    call_id=128,
    vain_thinking="trailing_thinking",
    opening="...",
    closing="Continue.",
)
