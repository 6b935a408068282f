"""Whether a request of this dialect may have what its server, which speaks it too, does not take.

A search for the members' names decides, since most requests pass as they are and should not be taken apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from ampproxy.adapt.target import Target
from ampproxy.catalog.hosts import DEFAULT, Host
from ampproxy.dialects.openai_chat.profile import SERVERS, is_openai_own

_CALLS = b'"tool_calls"'
_RESULT = b'"tool"'
_SYSTEM = b'"system"'
_DEVELOPER = b'"developer"'
#: Where thinking may stand in a message.
_THOUGHTS = ("reasoning_content", "reasoning")
#: What sets how much a model is to think.
_EFFORT = b'"reasoning_effort"'
#: The members of a request that some servers refuse, or give another name.
_REFUSED = (
    *sorted({*SERVERS.sampling_members, *SERVERS.other_members}),
    *("safety_identifier", "store", "stream_options", "verbosity"),
)


def may_not_fit(body: bytes, target: Target) -> bool:
    """Whether a body has anything that is written otherwise, or not at all, to a target."""
    # From the end: in large bodies that search is several times faster.
    if any(body.rfind(mark) >= 0 for mark in _marks(target)):
        return True
    host = target.host
    return host.known and host.system == "first" and 0 <= body.find(_SYSTEM) < body.rfind(_SYSTEM)


def is_renamed(body: bytes, target: Target) -> bool:
    """Whether it has what is only called otherwise, which the vocabulary does not show."""
    return any(body.rfind(mark) >= 0 for mark in _new_names(target))


@lru_cache(maxsize=256)
def _marks(target: Target) -> tuple[bytes, ...]:
    known = _of_host(target.host) if target.host.known else ()
    return tuple(dict.fromkeys((*_new_names(target), *known)))


def _new_names(target: Target) -> tuple[bytes, ...]:
    """What OpenAI's own models alone are sure to know."""
    host = target.host
    if host.name != DEFAULT:
        limit, developer = host.output_limit == "max_tokens", not host.developer
    else:
        limit = developer = not is_openai_own(target)
    found = [b'"max_completion_tokens"'] if limit else []
    return (*found, _DEVELOPER) if developer else tuple(found)


def _of_host(host: Host) -> Iterator[bytes]:
    # With the colon: a value may be the same word, as the role ``user`` is.
    yield from (b'"%b":' % name.encode() for name in _REFUSED if name in host.renames or not host.takes(name))
    if host.efforts is not None or host.switch != "effort" or not host.asks_unknown:
        yield _EFFORT
    if host.call_ids != "any" or host.needs_thought or host.call_proofs:
        yield _CALLS
    if "tool" in host.plain or host.after_results != "any":
        yield _RESULT
    if len(host.choices) < len(Host().choices) or host.forced_tools != "always":
        yield b'"tool_choice"'
    if not host.strict_tools:
        yield b'"strict"'
    if host.thought != "by-model":
        yield from (b'"%b"' % name.encode() for name in _THOUGHTS if name != host.thought)
