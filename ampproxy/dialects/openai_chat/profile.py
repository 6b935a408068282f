"""What Chat Completions take: of OpenAI's own models, and of other servers.

Sources: the docstrings of ``openai.types.chat``; the vendors' error texts. The servers that follow
OpenAI check less, so what obeys these rules is good for them, too.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from msgspec.structs import replace

from ampproxy.adapt.profile import DRAWING, DialectProfile, Hosted, alike
from ampproxy.adapt.target import Target, is_known
from ampproxy.dialects.openai import SHARED, SHARED_OF_PARTS
from ampproxy.dialects.proof import SKIP_SIGNATURE
from ampproxy.model.base import CHAT, GEMINI, RESPONSES
from ampproxy.model.parts import Signature

#: Call ids: at most 40 characters. Kimi's (``functions.bash:0``) have dots and colons, so all visible
#: characters of ASCII pass.
_ID: Final = re.compile(r"[!-~]{1,40}")
_NINE: Final = re.compile(r"[a-zA-Z0-9]{9}")


def is_openai_own(target: Target) -> bool:
    """Whether it is one of OpenAI's own models, which know what its dialect had added to it since."""
    return is_known(target, "openai_members")


def call_id(given: str, form: str = "any") -> str:
    """A call's id as it may be sent: itself, or one that is always the same for it.

    :param form: see :attr:`ampproxy.catalog.hosts.Host.call_ids`.
    """
    if (_NINE if form == "nine" else _ID).fullmatch(given):
        return given
    mark = hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()
    return mark[:9] if form == "nine" else f"call_{mark[:24]}"


#: Media type -> ``format`` of ``input_audio``.
AUDIO_FORMATS: Final = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}

SERVERS: Final = DialectProfile(
    dialect=CHAT,
    vendor="A server of Chat Completions",
    kin=frozenset((CHAT, RESPONSES)),
    chat_tools=True,
    sampling_members={**{name: name for name in (DRAWING - {"top_k"}) | {"stop", "seed"}}, "n": "candidates"},
    other_members={
        "response_format": "output",
        "parallel_tool_calls": "parallel",
        "prompt_cache_key": "cache_key",
        **alike("user", "metadata", "service_tier", "modalities"),
    },
    sampling=DRAWING - {"top_k"} | {"max_tokens", "stop", "seed", "candidates"},
    drawing=DRAWING - {"top_k"},
    temperature=2,
    stops=4,
    # "string too long"; Anthropic's ids of users are longer.
    user=64,
    own_custom_tools=True,
    allowed_tools=False,
    schema="object",
    strict="taken",
    trusted_choice=True,
    schema_names="response",
    # Where Gemini's own server speaks the dialect.
    provers=frozenset((GEMINI, CHAT)),
    unsigned="",
    own_arguments=True,
    details=True,
    picture_files=False,
    links=("https://", "http://", "data:"),
    file_links=(),
    decoded=("text/",),
    own_decoded=True,
    file_names=True,
    sounds=frozenset(AUDIO_FORMATS),
    own_sounds=frozenset("*"),
    named_speech=True,
    lost_sources=True,
    empty_turns=True,
    given_order=True,
    interrupted="interrupted",
    result_media="moved",
    calls_last=True,
    no_proof=Signature(GEMINI, SKIP_SIGNATURE),
    proof_extra="extra_content",
)
_OPENAI: Final = replace(
    SERVERS,
    vendor="OpenAI",
    sampled_stops=True,
    metadata=(16, 64, 512),
    tiers=alike("auto", "default", "flex", "scale", "priority", "fast"),
    cache_key=True,
    custom_tools=True,
    refusals=True,
    object_arguments=False,
    kin_extras={"text": frozenset(("verbosity",)), **{name: frozenset() for name in SHARED}},
    kin_part_extras=SHARED_OF_PARTS,
    allowed_tools=True,
)
_SEARCH: Final = Hosted(
    {"web_search_options": {}},
    {name: f"web_search_options.{name}" for name in ("search_context_size", "user_location")},
    nested_place=True,
)
_SEARCHING: Final = replace(_OPENAI, hosted={"web_search": _SEARCH})
#: For a client that speaks the dialect, and knows a server that is not described.
_TRUSTED: Final = replace(SERVERS, metadata=_OPENAI.metadata, allowed_tools=True)


def profile_of(target: Target, dialect: str) -> DialectProfile:
    """The rules that a target's server follows, for a client of that dialect."""
    if is_openai_own(target):
        return _SEARCHING if is_known(target, "searches") else _OPENAI
    return _TRUSTED if dialect == CHAT and not target.host.known else SERVERS
