"""What Responses take, as far as it is no matter of a single model."""

from __future__ import annotations

from typing import Final

from ampproxy.adapt.profile import DialectProfile, Hosted, alike
from ampproxy.dialects.openai import SHARED, SHARED_OF_PARTS
from ampproxy.model.base import CHAT, RESPONSES

PROFILE: Final = DialectProfile(
    dialect=RESPONSES,
    kin=frozenset((CHAT, RESPONSES)),
    kin_extras={name: frozenset() for name in ("verbosity", "store", *SHARED)},
    kin_part_extras=SHARED_OF_PARTS,
    trusted_levels=True,
    vendor="Responses",
    sampling=frozenset(("max_tokens", "temperature", "top_p", "logprobs", "top_logprobs", "candidates")),
    drawing=frozenset(("temperature", "top_p")),
    candidates=1,
    least_output=16,
    user=64,
    metadata=(16, 64, 512),
    tiers=alike("auto", "default", "flex", "priority", "scale", "fast"),
    cache_key=True,
    custom_tools=True,
    schema="object",
    strict="closed",
    trusted_choice=True,
    choice_alone=True,
    hosted={
        "web_search": Hosted(
            {"type": "web_search"},
            {**alike("search_context_size", "user_location"), "allowed_domains": "filters.allowed_domains"},
        ),
        "code_execution": Hosted({"type": "code_interpreter", "container": {"type": "auto"}}),
    },
    hosted_choice=True,
    output_schema="strict",
    schema_names="output",
    thinkers_alone=True,
    stores=True,
    refusals=True,
    object_arguments=False,
    media_roles=frozenset(("user", "system")),
    details=True,
    text_documents=True,
    trusted_pairs=True,
    unique_calls=True,
    vain_thinking="orphan_reasoning",
    file_names=True,
    own_sounds=frozenset(("audio/wav", "audio/mpeg")),
)
