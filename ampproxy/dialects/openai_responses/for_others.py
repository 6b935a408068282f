"""A request of this dialect as another vendor may be asked it: what only this dialect knows, in plain terms.

Pure: each step takes a request and gives one. What no other vendor can be sent at all stays as it is, and
is a declared loss where it is rendered.

A client of Responses may say "go on from there" instead of sending the conversation. The vendor that answers
has never seen what it refers to; an answer without it would look like one and be none, so it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from msgspec.structs import replace

from ampproxy.dialects.base import is_harmless
from ampproxy.dialects.json import NULL, loads, members, to_raw
from ampproxy.dialects.openai_responses.client_tools import ADDITIONAL, ClientTools, call_of, joined
from ampproxy.dialects.openai_responses.request_in import leading_system, parse_output, parse_thinking
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.parts import (
    Document,
    Image,
    Opaque,
    Part,
    Reasoning,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, Known, ToolChoice, Turn

#: What the model is asked for in place of a ``compaction_trigger``.
SUMMARIZE: Final = (
    "The conversation above has become too long and will be replaced by your next message. Write a summary"
    " from which another assistant can go on without having seen it: what the user wants, in the user's own"
    " words where they matter; all decisions, constraints and preferences; what was done and found, with"
    " exact names of files, commands, identifiers and values; the state of things now; what is left to do,"
    " and the very next step. Do not call any tool, and write nothing but the summary."
)
_NOTES: Final = ("caller", "environment", "max_output_length")


def plain(request: ChatRequest) -> ChatRequest:
    """The request with functions, calls, texts and settings in place of what only this dialect has.

    :raises ampproxy.errors.ClientFault: an item is not valid.
    """
    if not _has_own(request):
        return request
    tools = ClientTools(request)
    choice, used = tools.choice(request)
    for part in _opaque(request):
        # Its settings hold from there on.
        request = _updated(request, part) if part.kind == "configuration_update" else request
    compacts = any(part.kind == "compaction_trigger" for part in _opaque(request))
    turns = tuple(_joined(_turns(request, tools)))
    system, turns = leading_system(request.system, turns)
    if compacts:
        turns = (*turns, Turn("user", (Text(SUMMARIZE),)))
        choice, used = ToolChoice("none") if tools.tools else None, True
        request = replace(request, output=None)
    extras = {name: raw for name, raw in request.extras.items() if not (used and name == "tool_choice")}
    return replace(
        request,
        system=system,
        turns=turns,
        tools=tools.tools,
        hosted=() if compacts else tuple(tools.hosted),
        choice=choice,
        extras=extras,
        compacts=compacts or request.compacts,
    )


def _opaque(request: ChatRequest) -> Iterator[Opaque]:
    return (part for turn in request.turns for part in turn.parts if isinstance(part, Opaque))


def _has_own(request: ChatRequest) -> bool:
    """Whether there is anything of the kind, so that most requests are looked at once."""
    if request.hosted or any(tool.extras for tool in request.tools):
        return True
    if "tool_choice" in request.extras:
        return True
    parts = (part for turn in request.turns for part in turn.parts)
    return any(
        type(part) is Opaque or (isinstance(part, ToolCall | ToolResult) and part.extras) for part in parts
    )


def _turns(request: ChatRequest, tools: ClientTools) -> Iterator[Turn]:
    ids: dict[str, str] = {}
    for turn in request.turns:
        parts = [piece for part in turn.parts for piece in _part(part, tools, ids)]
        if parts:
            yield Turn(turn.role, tuple(parts), turn.extras)


def _joined(turns: Iterable[Turn]) -> list[Turn]:
    """Calls, and results, that stood apart because of an item between them are those of one turn again."""
    joined: list[Turn] = []
    for turn in turns:
        last = joined[-1] if joined else None
        kind = ToolCall if turn.role == "assistant" else ToolResult
        apart = last is None or last.role != turn.role or not isinstance(last.parts[-1], kind)
        if last is None or apart or not isinstance(turn.parts[0], kind):
            joined.append(turn)
        else:
            joined[-1] = Turn(last.role, last.parts + turn.parts, last.extras)
    return joined


def _part(part: Part, tools: ClientTools, ids: dict[str, str]) -> Iterator[Part]:
    """What stands for a part, mostly itself; ``ids``: those of the items of calls -> the calls' own."""
    if isinstance(part, ToolCall):
        yield _plain_call(part, tools)
    elif isinstance(part, ToolResult):
        extras = _called_directly(part.extras)
        yield part if extras is part.extras else replace(part, extras=extras)
    elif not isinstance(part, Opaque) or part.dialect != RESPONSES:
        yield part
    elif (call := call_of(part, tools)) is not None:
        ids[str(loads(part.raw, {}).get("id"))] = call.id
        yield replace(call, extras=_noted(part))
    elif (render := _ITEMS.get(part.kind)) is not None:
        yield from render(part, loads(part.raw, {}), ids)
    elif part.kind not in _ELSEWHERE:
        yield part


def _plain_call(part: ToolCall, tools: ClientTools) -> ToolCall:
    namespace = loads(part.extras.get("namespace", b"null"))
    extras = _without(_called_directly(part.extras), ("namespace",))
    if not isinstance(namespace, str) or not namespace:
        return part if extras is part.extras else replace(part, extras=extras)
    return replace(part, name=tools.name_of(Known("function_call", part.name, namespace)), extras=extras)


def _without(extras: dict[str, Json], names: tuple[str, ...]) -> dict[str, Json]:
    if not any(name in extras for name in names):
        return extras
    return {name: value for name, value in extras.items() if name not in names}


def _called_directly(extras: dict[str, Json]) -> dict[str, Json]:
    """The members without the note that the model itself made the call, as it does elsewhere."""
    direct = loads(extras.get("caller", b"null")) == {"type": "direct"}
    return _without(extras, ("caller",)) if direct else extras


def _noted(part: Opaque) -> dict[str, Json]:
    """Members of an item that no function's call or result has: who called, and where it ran."""
    found = {name: value for name, value in loads(part.raw, {}).items() if name in _NOTES and value}
    usual = ({"type": "direct"}, {"type": "local"})
    return {name: to_raw(value) for name, value in found.items() if value not in usual}


def _search_output(part: Opaque, found: dict[str, Any], ids: dict[str, str]) -> Iterator[Part]:
    id = found.get("call_id")
    if not isinstance(id, str) or found.get("execution") == "server":
        return
    names = list(_names(found.get("tools"), ""))
    text = "These tools can be called now: " + ", ".join(names) if names else "No tools were found."
    yield ToolResult(id, (Text(text),))


def _names(tools: Any, namespace: str) -> Iterator[str]:
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict):
            continue
        name = str(tool.get("name") or tool.get("type") or "")
        if tool.get("type") == "namespace":
            yield from _names(tool.get("tools"), name)
        else:
            yield joined(namespace, name)


def _shell_output(part: Opaque, found: dict[str, Any], ids: dict[str, str]) -> Iterator[Part]:
    id = found.get("call_id")
    outputs = found.get("output")
    if not isinstance(id, str):
        yield part
        return
    runs = outputs if isinstance(outputs, list) else [{"stdout": outputs}]
    words = "\n".join(_run(each) for each in runs if isinstance(each, dict))
    yield ToolResult(id, (Text(words),), extras=_noted(part))


def _run(output: dict[str, Any]) -> str:
    """What one command wrote, and how it ended where that was not well."""
    words = [str(output[name]).rstrip("\n") for name in ("stdout", "stderr") if output.get(name)]
    outcome = output.get("outcome")
    if isinstance(outcome, dict) and outcome.get("type") == "timeout":
        words.append("[the time ran out]")
    elif isinstance(outcome, dict) and outcome.get("exit_code"):
        words.append(f"[exit status {outcome['exit_code']}]")
    return "\n".join(words)


def _local_output(part: Opaque, found: dict[str, Any], ids: dict[str, str]) -> Iterator[Part]:
    id = str(found.get("call_id") or found.get("id") or "")
    output = found.get("output")
    words = output if isinstance(output, str) else bytes(part.raw).decode("utf-8", "replace")
    yield ToolResult(ids.get(id, id), (Text(words),)) if id else part


def _patch_output(part: Opaque, found: dict[str, Any], ids: dict[str, str]) -> Iterator[Part]:
    id, failed = found.get("call_id"), found.get("status") == "failed"
    if not isinstance(id, str):
        yield part
        return
    words = str(found.get("output") or ("The patch failed." if failed else "Done."))
    yield ToolResult(id, (Text(words),), is_error=failed, extras=_noted(part))


def _agent_message(part: Opaque, found: dict[str, Any], ids: dict[str, str]) -> Iterator[Part]:
    """What another of the client's agents wrote. An encrypted one only its vendor can read."""
    content = found.get("content")
    pieces = [content] if isinstance(content, str) else content if isinstance(content, list) else []
    texts = [piece if isinstance(piece, str) else piece.get("text") for piece in pieces if piece]
    words = "\n".join(text for text in texts if isinstance(text, str) and text)
    if not words:
        yield part
        return
    who = [f"{word} {found[name]}" for word, name in _ENDS if isinstance(found.get(name), str)]
    yield Text(f"[Message {' '.join(who)}]\n{words}" if who else words)


_ENDS: Final = (("from", "author"), ("to", "recipient"))
#: What stands elsewhere in the request; of a search that the vendor made, the tools are declared.
_ELSEWHERE: Final = (ADDITIONAL, "compaction_trigger", "configuration_update", "tool_search_call")
_ITEMS: Final[dict[str, Callable[[Opaque, dict[str, Any], dict[str, str]], Iterator[Part]]]] = {
    "tool_search_output": _search_output,
    "shell_call_output": _shell_output,
    "local_shell_call_output": _local_output,
    "apply_patch_call_output": _patch_output,
    "agent_message": _agent_message,
}


def _updated(request: ChatRequest, part: Opaque) -> ChatRequest:
    found = members(part.raw)
    thinking, output = found.get("reasoning"), found.get("text")
    if thinking is not None and thinking != NULL:
        wish, _ = parse_thinking(thinking)
        show = request.thinking
        if wish is not None and show is not None:
            wish = replace(wish, show=show.show, summary=show.summary)
        if wish is not None:
            request = replace(request, thinking=wish)
    if output is not None and output != NULL:
        form, _ = parse_output(output)
        request = replace(request, output=form)
    return request


#: Members of the request that refer to what the vendor stores, and what the client can do instead.
STATEFUL = {
    "previous_response_id": (
        "send the whole conversation in `input` (and `store: false`), or have the gateway keep its answers"
        " (setting: limits.max-stored)"
    ),
    "conversation": "send the whole conversation in `input` (and `store: false`)",
    "prompt": "send the prompt's text in `instructions` or `input`",
}
#: Items of ``input`` that stand for what the vendor stores or what only it can read.
STATEFUL_ITEMS = {
    "item_reference": (
        "send the item itself, as clients do that send `store: false` "
        "(AI SDK: `providerOptions: {openai: {store: false}}`, or its `.chat(...)`)"
    )
}
#: What Codex notes of an item for itself, where it believes to be at its own vendor.
_OF_ITEMS = "internal_chat_message_metadata_passthrough"
#: What a message is called, and what its words are for: the client's and its vendor's own notes.
_OF_MESSAGES = frozenset(("id", "phase", _OF_ITEMS))


def _stored_state(request: ChatRequest) -> tuple[str, str] | None:
    """The first reference to stored state in a request that came in this dialect: the member's path and
    what to send instead; ``None`` if the request is complete in itself.
    """
    if request.dialect != RESPONSES:
        return None
    for member, instead in STATEFUL.items():
        if member in request.extras:
            return member, instead
    if "background" in request.extras and bytes(request.extras["background"]) == b"true":
        return "background", "leave it out: an answer made in the background is fetched from its vendor later"
    for number, turn in enumerate(request.turns):
        for part in turn.parts:
            if isinstance(part, Opaque) and part.kind in STATEFUL_ITEMS and not is_thought(part):
                return f"input ({part.kind}, turn {number})", STATEFUL_ITEMS[part.kind]
    return None


def is_thought(part: Opaque) -> bool:
    """Whether it refers to a reasoning item: none of the conversation's words is missing without it."""
    return part.kind == "item_reference" and str(loads(part.raw, {}).get("id", "")).startswith("rs_")


def require_self_contained(request: ChatRequest) -> None:
    """Refuse a request that another vendor could only answer without part of its conversation.

    To be asked before a request of this dialect is rendered to another one.

    :raises ampproxy.errors.ClientFault: it refers to stored state.
    """
    if (found := _stored_state(request)) is not None:
        raise not_stored(*found, "this model is served by another API that has never seen it")


def not_stored(member: str, instead: str, why: str) -> ExchangeError:
    """The refusal of a request that refers to what is not stored where it goes.

    :param instead: what the client can do.
    """
    message, param = f"`{member}` refers to what OpenAI stores, and {why}.", member.partition(" ")[0]
    message = f"{message} Please {instead}."
    return ClientFault.of("invalid_request", message, code="unsupported_parameter", param=param)


def self_contained(request: ChatRequest) -> ChatRequest:
    """A request of this dialect as another dialect may be asked it.

    Without what means nothing anywhere else, so that no loss is reported of it: ids of messages, ``store:
    false``, how the stream is padded. What other vendors know under other names is written in those (see
    :mod:`ampproxy.dialects.openai_responses.for_others`).

    :raises ampproxy.errors.ClientFault: it refers to stored state.
    """
    require_self_contained(request)
    if request.dialect != RESPONSES:
        return request
    request = plain(request)
    extras = {name: raw for name, raw in request.extras.items() if not is_harmless(RESPONSES, name, raw)}
    turns = tuple(Turn(one.role, tuple(map(_for_another, one.parts)), one.extras) for one in request.turns)
    system = tuple(text for part in request.system if isinstance(text := _for_another(part), Text))
    return replace(request, system=system, turns=turns, extras=extras)


def _for_another(part: Part) -> Part:
    if isinstance(part, Opaque) and is_thought(part):
        return Reasoning("", Signature(RESPONSES, "", loads(part.raw)["id"]))
    if not isinstance(part, (Text, ToolCall, ToolResult, Image, Document)) or not part.extras:
        return part
    notes = _OF_MESSAGES if isinstance(part, Text) else frozenset((_OF_ITEMS,))
    if notes.isdisjoint(part.extras):
        return part
    return replace(part, extras={name: value for name, value in part.extras.items() if name not in notes})
