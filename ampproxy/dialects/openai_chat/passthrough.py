"""What must be known of Chat Completions where bytes pass.

Servers that think send it as ``reasoning_content``, and clients give messages back as they got them.
OpenAI's own API takes no such member (400 "Unknown parameter"): for its models it is taken out. Other
servers need it in the middle of a tool loop, and get it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from ampproxy.catalog.families import Families, shipped
from ampproxy.dialects.base import LONGEST_SLEEP_SECONDS, Passthrough
from ampproxy.dialects.edit import edit_items
from ampproxy.dialects.json import Decoder, read_or_none
from ampproxy.dialects.limits import openai_limits
from ampproxy.dialects.monitor import given
from ampproxy.dialects.openai_chat.fitting import is_renamed, may_not_fit
from ampproxy.dialects.openai_chat.repairs import ChatRules
from ampproxy.dialects.openai_chat.tools_in import is_flat, is_foreign_choice
from ampproxy.dialects.openai_chunks import EVENTS, answer_usage, ends_well, is_answer
from ampproxy.dialects.shown import functions, shown_by
from ampproxy.dialects.state import Missing, VendorState
from ampproxy.dialects.tool_names import Declaring, an_object, declared, objects
from ampproxy.model.base import CHAT, RESPONSES, Json
from ampproxy.model.loss import Loss, Losses
from ampproxy.wire.json import NULL, Peek, members, remove_members

_MEMBER = b'"reasoning_content"'
_NAMES = frozenset(("reasoning_content",))


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


def _own(
    body: bytes, model: str, families: Families | None, *, cleaned: bool
) -> tuple[bytes, tuple[Loss, ...]]:
    return without_reasoning(body, model, families)


def _names(request: Declaring) -> Iterator[Any]:
    for tool in (*objects(request.tools), an_object(request.tool_choice)):
        yield from (an_object(tool.get(kind)).get("name") for kind in ("function", "custom"))


_STATE = VendorState(
    marks=(b'"file_id"',),
    members=frozenset(("file_id",)),
    prefixes=("file-", "file_"),
    missing={"": Missing(code="file_not_found", param="messages")},
)


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    image_url: msgspec.Raw = NULL


class _Message(msgspec.Struct, gc=False):
    type: str = ""
    content: msgspec.Raw = NULL
    reasoning_content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Body(Peek, frozen=True, gc=False):
    """:param foreign: whether messages have parts in the form of other dialects."""

    messages: list[_Message] = []  # noqa: RUF012  # msgspec gives each its own
    foreign: bool = False


_body = Decoder(_Body)
_parts = Decoder(list[_Part])
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
#: An address of a picture without the object around it.
_BARE_PICTURE = re.compile(rb'"image_url"\s?:\s?"')


def look(body: bytes) -> tuple[Peek, bool] | None:
    """What routing looks at, and whether a message holds thinking; ``None``: the body is odd. That is cheaper
    than searches.
    """
    found = read_or_none(_body, body)
    if found is None:
        return None
    thinks = foreign = False
    for message in found.messages:
        thinks = thinks or message.reasoning_content is not msgspec.UNSET
        foreign = foreign or message.type in _FOREIGN or _has_parts(message.content)
    # The texts of the messages are not kept.
    found.messages.clear()
    return (msgspec.structs.replace(found, foreign=True) if foreign else found), thinks


def _has_parts(content: msgspec.Raw) -> bool:
    """Whether a message's content has parts in the form of other dialects."""
    if _LIST.match(content) is None:
        return False
    parts = read_or_none(_parts, content)
    if parts is None:
        return _FOREIGN_PART.search(content) is not None
    return any(part.type in _FOREIGN or bytes(part.image_url)[:1] == b'"' for part in parts)


def _has_foreign_parts(found: Peek, body: bytes) -> bool:
    if isinstance(found, _Body):
        return found.foreign
    if _FOREIGN_PART.search(body) is not None:
        return True
    # From the end: that search is faster.
    return body.rfind(b'"image_url"') >= 0 and _BARE_PICTURE.search(body) is not None


def _is_of_responses(body: bytes) -> bool:
    """Whether it has an ``input`` and no messages; tools may have members of either name."""
    if body.rfind(b'"input"') < 0:
        return False
    values = members(body) or {}
    return given(values, "input") and not given(values, "messages")


def _mixed(found: Peek, body: bytes) -> str:
    """See :attr:`~ampproxy.dialects.base.Passthrough.mixed`: Cursor sends a body of Responses here, or
    tools and parts of messages in other dialects' form.
    """
    if _is_of_responses(body):
        return RESPONSES
    tools = bytes(found.tools)
    if tools != b"null" and (is_flat(tools) or is_foreign_choice(bytes(found.choice))):
        return CHAT
    return CHAT if _has_foreign_parts(found, body) else ""


PASSTHROUGH = Passthrough(
    mixed=_mixed,
    events=EVENTS,
    usage=answer_usage,
    is_answer=is_answer,
    ends_well=ends_well,
    traces=(_MEMBER,),
    look=look,
    look_from=0,
    may_not_fit=may_not_fit,
    is_renamed=is_renamed,
    own=_own,
    rules=ChatRules,
    declared=partial(declared, _names),
    shown=shown_by(functions),
    state=_STATE,
    limits=openai_limits,
    longest_sleep=LONGEST_SLEEP_SECONDS,
    gives_up=((b"user-agent", b"QwenCode/"),),
)
