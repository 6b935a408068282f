"""What ``generateContent`` takes, as far as it is no matter of a single model."""

from __future__ import annotations

from typing import Final

from ampproxy.adapt.profile import DRAWING, DialectProfile, Hosted
from ampproxy.dialects.proof import SKIP_SIGNATURE
from ampproxy.model.base import GEMINI
from ampproxy.model.parts import Signature

PROFILE: Final = DialectProfile(
    dialect=GEMINI,
    vendor="Gemini",
    kin=frozenset((GEMINI,)),
    thinking="amount",
    sampling=DRAWING - {"logit_bias"} | {"max_tokens", "stop", "seed", "candidates"},
    drawing=frozenset(("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty")),
    drawing_kind="sampling",
    stops=5,
    candidates=8,
    tiers={"auto": "", "default": ""},
    modalities=True,
    # The first must be a letter or an underscore.
    name=(r"^[^a-zA-Z_]|[^a-zA-Z0-9_.:-]", 64),
    parallel=False,
    hosted={
        "web_search": Hosted({"googleSearch": {}}),
        "code_execution": Hosted({"codeExecution": {}}),
        "url_context": Hosted({"urlContext": {}}),
    },
    # Newer models take both with toolConfig.includeServerSideToolInvocations, and want their own toolCall
    # parts back then, which no other dialect carries. Vertex has no such member at all.
    hosted_beside_tools=False,
    unique_tools=True,
    output_beside_tools=False,
    provers=frozenset((GEMINI,)),
    part_proofs=True,
    unsigned="earlier_thinking",
    own_unsigned=True,
    error_results=True,
    media_roles=frozenset(("user", "assistant", "system")),
    sounds=frozenset("*"),
    joins="roles",
    titled_orphans=True,
    named_results=True,
    kinds_are_members=True,
    result_media="beside",
    no_proof=Signature(GEMINI, SKIP_SIGNATURE),
    opening="Continue.",
    closing="Continue.",
)
