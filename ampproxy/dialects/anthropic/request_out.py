"""A request as Messages has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ampproxy.adapt.names import ToolNameMap
from ampproxy.adapt.passes import adapt
from ampproxy.adapt.target import Target
from ampproxy.adapt.thinking import MEMBER, without_member
from ampproxy.dialects.anthropic.blocks_out import BlockWriter
from ampproxy.dialects.anthropic.profile import PROFILE
from ampproxy.dialects.anthropic.request_in import read_thinking
from ampproxy.dialects.base import Rendered
from ampproxy.dialects.json import NULL, Members, encode, loads, members, put
from ampproxy.dialects.unsupported import is_harmless
from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest, Tool

#: Extras that are written with something else.
_WRITTEN: Final = frozenset((MEMBER, "output_config", "betas"))
#: Members of a body that a counting request may have.
_COUNTED: Final = frozenset(
    ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
)
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}


def render_request(asked: ChatRequest, target: Target) -> Rendered:
    """Write a request for ``target``. Never raises."""
    losses = Losses()
    known = without_stale_member(asked, target)
    request, names, wrapped = adapt(known, PROFILE, target, losses, is_harmless)
    writer = BlockWriter(names, ToolNameMap(*PROFILE.name))
    body: dict[str, Any] = {"model": target.model, "max_tokens": request.sampling.max_tokens}
    if request.system:
        body["system"] = [writer.block(text) for text in request.system]
    body["messages"] = [
        {"role": turn.role, "content": [writer.block(part) for part in turn.parts], **turn.extras}
        for turn in request.turns
    ]
    put(body, {"tools": declared(request, names) or None, "tool_choice": choice_of(request, names)})
    put(body, {"thinking": thinking_member(request)})
    _write_sampling(request, body)
    if request.stream:
        body["stream"] = True
    put(body, {"output_config": _output_config(request) or None})
    _write_account(request, body)
    if request.dialect == ANTHROPIC:
        body |= {name: raw for name, raw in request.extras.items() if name not in _WRITTEN}
    return Rendered(encode(body), losses.all(), names.changed, _headers(asked), wrapped)


def _write_sampling(request: ChatRequest, body: dict[str, Any]) -> None:
    found = request.sampling
    put(body, {name: getattr(found, name) for name in ("temperature", "top_p", "top_k")})
    put(body, {"stop_sequences": found.stop or None})


def _write_account(request: ChatRequest, body: dict[str, Any]) -> None:
    user = {} if request.user is None else {"user_id": request.user}
    put(body, {"metadata": {**user, **request.metadata} or None, "service_tier": request.service_tier})


def _output_config(request: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if request.dialect == ANTHROPIC and (rest := request.extras.get("output_config")) is not None:
        config |= members(rest)
    if request.thinking is not None:
        put(config, {"effort": request.thinking.level})
    if request.output is not None:
        config["format"] = {"type": "json_schema", "schema": request.output.schema}
    return config


def _headers(asked: ChatRequest) -> dict[str, str]:
    wished = loads(asked.extras.get("betas", b"[]")) if asked.dialect == ANTHROPIC else []
    own = [beta for beta in wished if isinstance(beta, str)] if isinstance(wished, list) else []
    wanted = list(dict.fromkeys([*own, *betas(asked)]))
    return {"anthropic-beta": ",".join(wanted)} if wanted else {}


def for_counting(body: bytes, model: str) -> bytes:
    """The counting request of a body that :func:`render_request` made."""
    found: Members = members(body)
    return encode({name: raw for name, raw in found.items() if name in _COUNTED})


def declared(request: ChatRequest, names: Callable[[str], str]) -> list[Any]:
    """The ``tools`` member.

    :param names: gives the names to send.
    """
    tools: list[Any] = [_tool(tool, names(tool.name)) for tool in request.tools]
    return [*tools, *(hosted.raw for hosted in request.hosted)]


def _tool(tool: Tool, name: str) -> dict[str, Any]:
    body: dict[str, Any] = {"name": name}
    put(body, {"description": tool.description or None, "input_schema": tool.schema})
    put(body, {"strict": tool.strict, "cache_control": tool.cache})
    return {**body, **tool.extras}


def betas(request: ChatRequest) -> list[str]:
    """The beta features that tools of other vendors' need here."""
    likes = [PROFILE.hosted.get(one.kind) for one in request.hosted if one.dialect != ANTHROPIC]
    return [like.beta for like in likes if like is not None and like.beta]


def choice_of(request: ChatRequest, names: Callable[[str], str]) -> dict[str, Any] | None:
    """The ``tool_choice`` member."""
    choice, single = request.choice, request.parallel is False
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if single else None
    body: dict[str, Any] = {"type": _CHOICES[choice.mode]}
    if choice.mode == "named":
        body["name"] = names(choice.name or "")
    if choice.mode != "none" and request.parallel is not None and (single or request.dialect == ANTHROPIC):
        body["disable_parallel_tool_use"] = single
    return body


def thinking_member(request: ChatRequest) -> Json | dict[str, Any] | None:
    """The member of a request whose thinking is planned; ``None``: it is left out."""
    raw, wish = request.extras.get(MEMBER), request.thinking
    if raw is not None:
        return None if raw == NULL else raw
    if wish is None:
        return None
    if wish.mode == "off":
        return {"type": "disabled"}
    if wish.mode == "budget":
        member: dict[str, Any] = {"type": "enabled", "budget_tokens": wish.budget}
        # Models that take a budget show their thinking unless they are told not to.
        return member if wish.show is not False else {**member, "display": "omitted"}
    member = {"type": "adaptive"}
    put(member, {"display": None if wish.show is None else "summarized" if wish.show else "omitted"})
    return member


def without_stale_member(request: ChatRequest, target: Target) -> ChatRequest:
    """The request without its client's own ``thinking`` member (``null`` for an effort alone), unless that is
    still what is wished, and of a kind that the model takes.
    """
    raw, wish = request.extras.get(MEMBER), request.thinking
    if request.dialect != ANTHROPIC or raw is None:
        return request
    try:
        same = wish is not None and read_thinking(raw, wish.level) == wish
    except ClientFault:
        same = False
    if same and _fits(loads(raw), target):
        return request
    return without_member(request)


def _fits(value: Any, target: Target) -> bool:
    """Whether a model takes a ``thinking`` member of this dialect; one without a description takes any."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "disabled":
        return target.can_disable
    if kind == "between_tools":
        return target.between_tools or target.thinking == "unknown"
    if kind == "enabled":
        return target.thinking != "level"
    return target.thinking != "budget"
