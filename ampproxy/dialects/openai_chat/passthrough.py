"""What must be known of Chat Completions where bytes pass.

Servers that think send it as ``reasoning_content``, and clients give messages back as they got them.
OpenAI's own API takes no such member (400 "Unknown parameter"): for its models it is taken out. Other
servers need it in the middle of a tool loop, and get it.

Whether a request may have what its server does not take is decided by a search for the members' names, since
most requests pass as they are and should not be taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import msgspec

from ampproxy.adapt.target import Target
from ampproxy.catalog.families import Families, shipped
from ampproxy.catalog.hosts import DEFAULT, Host
from ampproxy.dialects.base import LONGEST_SLEEP_SECONDS, VERCEL, Mending, Passthrough
from ampproxy.dialects.edit import edit_items
from ampproxy.dialects.facts import Looked
from ampproxy.dialects.json import Decoder, read_or
from ampproxy.dialects.limits import openai_limits
from ampproxy.dialects.monitor import Members, given
from ampproxy.dialects.openai_chat.profile import SERVERS, is_openai_own
from ampproxy.dialects.openai_chat.repairs import SIGNS, ChatMending, ChatRules, with_stop
from ampproxy.dialects.openai_chat.tools_in import is_flat, is_foreign_choice
from ampproxy.dialects.openai_chunks import EVENTS, answer_usage, ends_well, is_answer
from ampproxy.dialects.state import Missing, VendorState
from ampproxy.dialects.tool_names import Declaring, an_object, declared, functions, objects, shown_by
from ampproxy.model.base import CHAT, GEMINI, RESPONSES, Json
from ampproxy.model.loss import Loss, Losses
from ampproxy.model.parts import PICTURES
from ampproxy.wire.json import NULL, Peek, members, remove_members

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
_MEMBER = b'"reasoning_content"'
_NAMES = frozenset(("reasoning_content",))
_STATE = VendorState(
    marks=(b'"file_id"',),
    members=frozenset(("file_id",)),
    prefixes=("file-", "file_"),
    missing={"": Missing(code="file_not_found", param="messages")},
)
#: Members of other dialects' requests that mean something beside messages, too.
_BESIDE = ("system", "instructions", "max_output_tokens", "stop_sequences", "input")


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


def without_reasoning(
    body: bytes, model: str, families: Families | None = None
) -> tuple[bytes, tuple[Loss, ...]]:
    """The body as ``model`` takes it; the same object where nothing is to be taken out.

    :param families: what is known of models; ``None``: the shipped table.
    :returns: the body, and what was left out.
    """
    if _MEMBER not in body or (families or shipped()).find(model).openai_members is not True:
        return body, ()
    losses = Losses()

    def without(number: int, message: Json) -> bytes | Json:
        if _MEMBER not in bytes(message) or "reasoning_content" not in (members(message) or {}):
            return message
        losses("reasoning", f"messages[{number}]", "This vendor accepts no thinking in the history.")
        return remove_members(message, _NAMES)

    return bytes(edit_items(body, "messages", without)), losses.all()


def _names(request: Declaring) -> Iterator[Any]:
    for tool in (*objects(request.tools), an_object(request.tool_choice)):
        yield from (an_object(tool.get(kind)).get("name") for kind in ("function", "custom"))


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    image_url: msgspec.Raw = NULL


class _Message(msgspec.Struct, gc=False):
    type: str = ""
    content: msgspec.Raw = NULL
    reasoning_content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Body(Peek, frozen=True, gc=False):
    messages: list[_Message] = []  # noqa: RUF012  # msgspec gives each its own
    input: msgspec.Raw = NULL
    contents: msgspec.Raw = NULL
    system: msgspec.Raw = NULL
    instructions: msgspec.Raw = NULL
    max_output_tokens: msgspec.Raw = NULL
    stop_sequences: msgspec.Raw = NULL


def _written(values: Members, *, messages: bool) -> str:
    """The dialect that the members of a body show; empty: plainly this one.

    :param messages: whether it has any.
    """
    if not messages:
        return RESPONSES if given(values, "input") else GEMINI if given(values, "contents") else ""
    return CHAT if any(given(values, name) for name in _BESIDE) else ""


_body = Decoder(_Body)
_parts = Decoder(list[_Part])
#: Of a content that is a list: to match it costs less than to take its first character.
_LIST = re.compile(rb"\[")
#: The types of other dialects' parts of a message, and of items in place of messages, which agents send for
#: models of theirs, and servers of this one refuse.
_FOREIGN = frozenset(
    (
        *("tool_use", "tool_result", "image", "document", "thinking", "redacted_thinking"),
        *("input_text", "output_text", "input_image", "input_file", "function_call", "function_call_output"),
    )
)
_FOREIGN_PART = re.compile(rb'"type"\s?:\s?"(?:%b)"' % "|".join(sorted(_FOREIGN)).encode())
#: What stands for a picture's address: one without the object around it, or base64 in its place.
_PICTURE = rb'"|\{\s*"url"\s*:\s*"(?:%b)' % b"|".join(start.encode() for start in PICTURES)
_ODD_PICTURE = re.compile(_PICTURE)
_ODD_PICTURES = re.compile(rb'"image_url"\s*:\s*(?:%b)' % _PICTURE)


def look(body: bytes) -> tuple[Peek, bool] | None:
    """What routing looks at, and whether a message holds thinking; ``None``: the body is odd. That is cheaper
    than searches.
    """
    found = read_or(_body, body, None)
    if found is None:
        return None
    thinks = foreign = False
    for message in found.messages:
        thinks = thinks or message.reasoning_content is not msgspec.UNSET
        foreign = foreign or message.type in _FOREIGN or _has_parts(message.content)
    plain = found.system is found.instructions is found.max_output_tokens is found.stop_sequences is NULL
    if foreign or not plain or found.input is not NULL or not found.messages:
        values = {name: getattr(found, name) for name in (*_BESIDE, "contents")}
        dialect = _written(values, messages=bool(found.messages)) or (CHAT if foreign else "")
        return Looked.of(found, dialect), thinks
    # The texts of the messages are not kept.
    found.messages.clear()
    return found, thinks


def _has_parts(content: msgspec.Raw) -> bool:
    """Whether a message's content has parts in the form of other dialects."""
    if _LIST.match(content) is None:
        return False
    parts = read_or(_parts, content, None)
    if parts is None:
        return _FOREIGN_PART.search(content) is not None
    return any(
        part.type in _FOREIGN or (part.image_url is not NULL and _ODD_PICTURE.match(part.image_url))
        for part in parts
    )


def _of_an_odd_body(body: bytes) -> str:
    """The same of a body whose messages are no objects."""
    values = members(body) or {}
    written = _written(values, messages=given(values, "messages"))
    return written or (CHAT if _FOREIGN_PART.search(body) or _ODD_PICTURES.search(body) else "")


def _mixed(found: Peek, body: bytes) -> str:
    """See :attr:`~ampproxy.dialects.base.Passthrough.mixed`: Cursor sends a body of Responses here, or
    tools and parts of messages in other dialects' form.
    """
    if type(found) is Peek and (dialect := _of_an_odd_body(body)):
        return dialect
    tools = bytes(found.tools)
    if tools != b"null" and (is_flat(tools) or is_foreign_choice(bytes(found.choice))):
        return CHAT
    return ""


PASSTHROUGH = Passthrough(
    mixed=_mixed,
    mending=Mending(signs=SIGNS.search, of_one=ChatMending, uncalled=with_stop),
    events=EVENTS,
    usage=answer_usage,
    is_answer=is_answer,
    ends_well=ends_well,
    traces=(_MEMBER,),
    look=look,
    may_not_fit=may_not_fit,
    is_renamed=is_renamed,
    own=lambda body, model, families, *, cleaned: without_reasoning(body, model, families),
    rules=ChatRules,
    declared=partial(declared, _names),
    shown=shown_by(functions),
    state=_STATE,
    limits=openai_limits,
    longest_sleep=LONGEST_SLEEP_SECONDS,
    gives_up=((b"user-agent", b"QwenCode/"),),
    reads_errors=VERCEL,
)
