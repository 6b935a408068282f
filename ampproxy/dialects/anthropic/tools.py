"""Tools and the choice among them, said to Messages."""

from __future__ import annotations

from typing import Any, Final

from ampproxy.dialects.anthropic.schema import lower
from ampproxy.dialects.common import Losses, ToolNameMap
from ampproxy.dialects.freeform import SCHEMA, described
from ampproxy.dialects.hosted import carried
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.parts import ToolCall
from ampproxy.model.request import ChatRequest, HostedTool, Tool

#: https://docs.anthropic.com/en/docs/agents-and-tools/tool-use: ``^[a-zA-Z0-9_-]{1,128}$``.
ILLEGAL: Final = r"[^a-zA-Z0-9_-]"
MAX_NAME: Final = 128

_EMPTY: Final = Json(b'{"type":"object","properties":{}}')

#: A hosted tool as this vendor has it, and the beta feature that it needs.
_HOSTED: Final[dict[str, tuple[dict[str, str], str | None]]] = {
    "web_search": ({"type": "web_search_20250305", "name": "web_search"}, None),
    "code_execution": (
        {"type": "code_execution_20250825", "name": "code_execution"},
        "code-execution-2025-08-25",
    ),
    "url_context": ({"type": "web_fetch_20250910", "name": "web_fetch"}, "web-fetch-2025-09-10"),
}
#: The settings of a web search that this dialect has.
_SEARCH: Final = ("user_location", "allowed_domains", "blocked_domains")
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}


def tool_names(request: ChatRequest) -> ToolNameMap:
    """Legal names for all tools of a request, those in its history included."""
    called = [part.name for turn in request.turns for part in turn.parts if isinstance(part, ToolCall)]
    return ToolNameMap(ILLEGAL, MAX_NAME, [*(tool.name for tool in request.tools), *called])


class Tools:
    """The tools of one request, rendered.

    :ivar declared: the ``tools`` member.
    :ivar betas: beta features that they need.
    :ivar freeform: names, as sent, of functions that stand for freeform tools.
    """

    def __init__(self, request: ChatRequest, names: ToolNameMap, losses: Losses) -> None:
        self._request = request
        self._names = names
        self._losses = losses
        self._own = request.dialect == ANTHROPIC
        self.declared: list[Any] = []
        self.betas: list[str] = []
        self._offered: set[str] = set()
        allowed = frozenset(request.choice.allowed if request.choice else ())
        for number, tool in enumerate(request.tools):
            # A choice restricted to some tools: the others are not offered.
            if not allowed or tool.name in allowed:
                self._declare(tool, f"tools[{number}]")
        for number, hosted in enumerate(request.hosted):
            self._hosted(hosted, f"hosted[{number}]")
        self.freeform = frozenset(names(tool.name) for tool in request.tools if tool.freeform)
        self._stubs_only = self._stub()

    def _declare(self, tool: Tool, at: str) -> None:
        if tool.name in self._offered and not self._own:
            self._losses("tools", at, f"A tool {tool.name} was declared before; names are unique here.")
            return
        self._offered.add(tool.name)
        self.declared.append(self._tool(tool, at))

    def _tool(self, tool: Tool, at: str) -> dict[str, Any]:
        body: dict[str, Any] = {"name": self._names(tool.name)}
        if description := described(tool):
            body["description"] = description
        body["input_schema"] = self._schema(tool, at)
        if tool.strict is not None and self._own:
            body["strict"] = tool.strict
        elif tool.strict:
            self._losses(
                "strict", f"{at}.strict", "Whether arguments are held to the schema is the model's here."
            )
        if tool.cache is not None:
            body["cache_control"] = tool.cache
        if self._own:
            body.update(tool.extras)
        else:
            for name in tool.extras:
                self._losses(
                    "extras", f"{at}.extras.{name}", "Only the client's own dialect knows this member."
                )
        return body

    def _schema(self, tool: Tool, at: str) -> Json:
        if tool.freeform:
            if tool.grammar is not None:
                self._losses(
                    "grammar", f"{at}.grammar", "The model reads the grammar; its input is not held to it."
                )
            return SCHEMA
        if tool.schema is None:
            return _EMPTY
        text, lost = lower(tool.schema, f"{at}.schema")
        for loss in lost:
            self._losses(loss.kind, loss.path, loss.why)
        return Json(text)

    def _hosted(self, hosted: HostedTool, at: str) -> None:
        if hosted.dialect == ANTHROPIC:
            self.declared.append(hosted.raw)
            return
        if hosted.kind not in _HOSTED:
            self._losses("hosted_tool", at, f"Anthropic has no tool of its own like {hosted.kind}.")
            return
        declaration, beta = _HOSTED[hosted.kind]
        taken = _SEARCH if hosted.kind == "web_search" else ()
        self.declared.append({**declaration, **carried(hosted, taken, at, self._losses)})
        self.betas += [beta] if beta else []

    def _stub(self) -> bool:
        """A history with calls needs tools declared; a client that left them out wants no more calls."""
        if self.declared or self._own:
            return False
        calls = {
            self._names(part.name): None
            for turn in self._request.turns
            for part in turn.parts
            if isinstance(part, ToolCall)
        }
        self.declared += [{"name": name, "input_schema": _EMPTY} for name in calls]
        if calls:
            self._losses(
                "tools", "tools", "The calls in the history were declared as tools that must not be used."
            )
        return bool(calls)

    def forced(self) -> bool:
        """Whether the request demands a call."""
        choice = self._request.choice
        return (
            bool(self.declared and choice and choice.mode in ("required", "named")) and not self._stubs_only
        )

    def choice(self, *, give_up_force: str) -> dict[str, Any] | None:
        """The ``tool_choice`` member.

        :param give_up_force: why a demanded call must become a possible one; empty: it need not.
        """
        if not self.declared:
            if self._request.choice is not None and self._request.choice.mode == "required":
                self._losses("tool_choice", "choice", "There is no tool that could be chosen.")
            return None
        if self._stubs_only:
            return {"type": "none"}
        choice, single = self._request.choice, self._request.parallel is False
        if choice is None:
            return {"type": "auto", "disable_parallel_tool_use": True} if single else None
        mode = _CHOICES[choice.mode]
        if give_up_force and self.forced():
            self._losses("tool_choice", "choice", give_up_force)
            mode = "auto"
        body: dict[str, Any] = {"type": mode}
        if mode == "tool":
            body["name"] = self._names(choice.name or "")
        if mode != "none" and self._request.parallel is not None and (single or self._own):
            body["disable_parallel_tool_use"] = single
        return body
