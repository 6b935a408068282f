"""Tools that the client runs and that only this dialect can declare, as functions for another vendor.

Codex groups the tools of an MCP server in a ``namespace``, declares tools among the items
(``additional_tools``), and looks for more by a tool of its own (``tool_search`` with ``execution: client``,
whose output brings them). ``shell``, ``local_shell`` and ``apply_patch`` are run by the client, too, and
have schemas that OpenAI's models know. Each becomes a function under one name, and what the client has to
see in a call to it is kept with the tool (:class:`~ampproxy.model.request.Known`).

Source: ``openai.types.responses.response_input_item_param`` and ``tool_param``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ampproxy.adapt.names import Unique
from ampproxy.dialects.json import encode, is_object, loads, raw_str, to_raw
from ampproxy.dialects.openai_responses.tools import parse_tools
from ampproxy.model.base import RESPONSES
from ampproxy.model.parts import Opaque, ToolCall
from ampproxy.model.request import ChatRequest, HostedTool, Known, Tool, ToolChoice, Turn

#: Stands between a namespace and the name of a tool in it, as Codex writes names of MCP tools itself.
_BETWEEN: Final = "__"
#: Names are shortened where they are sent, by what the vendor takes.
_ANY_LENGTH: Final = 1 << 16
_STRING: Final = {"type": "string"}
_INTEGER: Final = {"type": "integer"}
#: Kinds of calls that hold their tool's name themselves.
PLAIN: Final = ("function_call", "custom_tool_call")
#: How a tool is loaded.
_OF_LOADING: Final = ("defer_loading", "allowed_callers", "async")


class _Kind(msgspec.Struct, frozen=True):
    """A tool that is known by its type, whose name as a function is that.

    :param prefix: how the ids of the items begin that call it.
    :param member: what of such an item has the arguments, of which ``written`` gives the item's own members.
    """

    description: str
    schema: Mapping[str, Any]
    prefix: str
    member: str
    written: Callable[[dict[str, Any]], dict[str, Any]]


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _shell(found: dict[str, Any]) -> dict[str, Any]:
    action: dict[str, Any] = {"commands": _texts(found.get("commands", found.get("command")))}
    for name in ("timeout_ms", "max_output_length"):
        action[name] = found.get(name) if isinstance(found.get(name), int) else None
    return {"action": action, "environment": None}


def _local_shell(found: dict[str, Any]) -> dict[str, Any]:
    command = found.get("command", found.get("commands"))
    argv = ["bash", "-lc", command] if isinstance(command, str) else _texts(command)
    environment = found.get("env")
    action: dict[str, Any] = {"type": "exec", "command": argv}
    action["env"] = environment if isinstance(environment, dict) else {}
    for name, kind in (("timeout_ms", int), ("working_directory", str)):
        action[name] = found.get(name) if isinstance(found.get(name), kind) else None
    return {"action": action}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    texts = value if isinstance(value, list) else []
    return [each if isinstance(each, str) else encode(each).decode() for each in texts]


#: Type of the tool -> what it is as a function. ``<type>_call`` is what calls it.
KINDS: Final[Mapping[str, _Kind]] = {
    "tool_search": _Kind(
        "Searches for tools that are not declared yet. Those that it finds can be called afterwards.",
        _object(["query"], query={**_STRING, "description": "What the tool should do."}),
        "tsc_",
        "arguments",
        lambda found: {"execution": "client", "arguments": found},
    ),
    "shell": _Kind(
        "Runs shell commands on the user's machine, one after another.",
        _object(
            ["commands"],
            commands={"type": "array", "items": _STRING, "description": "The commands, in their order."},
            timeout_ms={**_INTEGER, "description": "The longest time for all of them, in milliseconds."},
            max_output_length={**_INTEGER, "description": "The most characters of output to return."},
        ),
        "sh_",
        "action",
        _shell,
    ),
    "local_shell": _Kind(
        "Runs a command on the user's machine.",
        _object(
            ["command"],
            command={
                "type": "array",
                "items": _STRING,
                "description": 'The program and its arguments; ["bash", "-lc", "..."] for a shell\'s.',
            },
            working_directory={**_STRING, "description": "Where to run it."},
            timeout_ms={**_INTEGER, "description": "The longest time for it, in milliseconds."},
            env={"type": "object", "additionalProperties": _STRING},
        ),
        "lsh_",
        "action",
        _local_shell,
    ),
    "apply_patch": _Kind(
        "Creates, updates or deletes a file. The diff of an update has lines that begin with a blank, `-` or"
        " `+`, in hunks that begin with `@@`; that of a new file has only lines that begin with `+`.",
        _object(
            ["type", "path"],
            type={"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            path={**_STRING, "description": "Relative to the workspace."},
            diff={**_STRING, "description": "Not for delete_file."},
        ),
        "apc_",
        "operation",
        lambda found: {"operation": found},
    ),
}
#: Items that bring tools: the first hold nothing else for the model, the second do where the client searched.
ADDITIONAL: Final = "additional_tools"
_FOUND: Final = "tool_search_output"


class ClientTools:
    """The functions that stand for all tools of a request that its client runs.

    :param request: of this dialect.
    :ivar tools: the functions, in the order in which they were declared, each once.
    :ivar hosted: what the vendor itself would run.
    :ivar deferred: whether tools were to be loaded late: they are declared at once.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._unique = Unique(_ANY_LENGTH)
        self._names: dict[Known, str] = {}
        self._found: dict[str, Tool] = {}
        self.hosted: list[HostedTool] = []
        declared = [*_flat(request.tools, request.hosted), *_late(request.turns)]
        # A plain name stays what it is, so that no joined one may take its place.
        for tool, _ in declared:
            known = Known("", tool.name) if isinstance(tool, Tool) and tool.known is None else None
            if known is not None and known not in self._names:
                self._names[known] = self._unique(known.name)
        for tool, about in declared:
            self._add(tool, about)
        self.tools = tuple(self._found.values())

    def _add(self, tool: Tool | HostedTool, about: str) -> None:
        if isinstance(tool, HostedTool):
            self.hosted.append(tool)
            return
        name = tool.name if tool.known is None else self.name_of(tool.known)
        if about:
            about = f"{name.removesuffix(tool.name)}* are tools of one group: {about}"
            tool = replace(tool, description=f"{tool.description}\n\n{about}" if tool.description else about)
        # Declared anew it replaces what it was, in its old place: the vendor's cache is kept by the order.
        self._found[name] = replace(tool, name=name)

    def name_of(self, known: Known) -> str:
        """The name of the function that stands for a tool, declared or not; always the same."""
        kind = known.kind if known.kind not in PLAIN else ""
        key = Known(kind, known.name, known.namespace or None)
        if not kind and key.namespace is None:
            return known.name
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = self._unique(joined(known.namespace, known.name))
        return name

    def choice(self, request: ChatRequest) -> tuple[ToolChoice | None, bool]:
        """The choice among these functions, and whether the request's own words for it are used up."""
        raw = request.extras.get("tool_choice")
        wish = loads(raw) if raw is not None else None
        if not isinstance(wish, dict):
            return self._settled(request.choice), False
        name, namespace, kind = wish.get("name"), wish.get("namespace"), wish.get("type")
        if isinstance(kind, str) and kind in KINDS:
            return ToolChoice("named", self.name_of(Known(f"{kind}_call", kind))), True
        if isinstance(name, str) and isinstance(namespace, str):
            return ToolChoice("named", self.name_of(Known("function_call", name, namespace))), True
        return self._settled(request.choice), False

    def _settled(self, choice: ToolChoice | None) -> ToolChoice | None:
        """A choice whose bare names are those of the functions."""
        if choice is None or not (choice.name or choice.allowed):
            return choice
        bare = {tool.known.name: name for name, tool in self._found.items() if tool.known is not None}

        def found(name: str) -> str:
            return name if name in self._found else bare.get(name, name)

        name = found(choice.name) if choice.name is not None else None
        return replace(choice, name=name, allowed=tuple(map(found, choice.allowed)))


def joined(namespace: str | None, name: str) -> str:
    """``mcp__docs`` and ``search``: ``mcp__docs__search``."""
    if not namespace:
        return name
    return namespace + name if namespace.endswith(_BETWEEN) else f"{namespace}{_BETWEEN}{name}"


def _late(turns: Iterable[Turn]) -> Iterator[tuple[Tool | HostedTool, str]]:
    """The tools that items of the conversation bring."""
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, Opaque) and part.kind in (ADDITIONAL, _FOUND):
                found = loads(part.raw, {})
                listed = found.get("tools") if isinstance(found, dict) else None
                if isinstance(listed, list):
                    yield from _flat(*parse_tools(to_raw(listed)))


def _flat(tools: Iterable[Tool], hosted: Iterable[HostedTool]) -> Iterator[tuple[Tool | HostedTool, str]]:
    """Functions, and what their group is for, once in each group."""
    for tool in tools:
        yield _at_once(tool), ""
    for each in hosted:
        if each.dialect == RESPONSES:
            yield from _of_client(each)
        else:
            yield each, ""


def _at_once(tool: Tool) -> Tool:
    """The tool without the wish to have it loaded late."""
    extras = {name: value for name, value in tool.extras.items() if name not in _OF_LOADING}
    return tool if len(extras) == len(tool.extras) else replace(tool, extras=extras)


def _of_client(hosted: HostedTool) -> Iterator[tuple[Tool | HostedTool, str]]:
    found = loads(hosted.raw, {})
    if hosted.kind == "namespace":
        yield from _grouped(found)
    elif hosted.kind == "tool_search" and found.get("execution") != "client":
        return  # the vendor's own search among tools that are all declared at once here
    elif hosted.kind in KINDS and _runs_at_client(found):
        yield _known(hosted.kind, found), ""
    else:
        yield hosted, ""


def _runs_at_client(declaration: Mapping[str, Any]) -> bool:
    """Whether a shell is the client's, not one in the vendor's container."""
    environment = declaration.get("environment")
    return not isinstance(environment, dict) or environment.get("type") == "local"


def _grouped(declaration: Mapping[str, Any]) -> Iterator[tuple[Tool | HostedTool, str]]:
    listed, namespace = declaration.get("tools"), str(declaration.get("name") or "")
    about = str(declaration.get("description") or "")
    tools, hosted = parse_tools(to_raw(listed if isinstance(listed, list) else []))
    for tool in tools:
        kind = "custom_tool_call" if tool.freeform else "function_call"
        yield replace(_at_once(tool), known=Known(kind, tool.name, namespace)), about
        about = ""
    yield from ((each, "") for each in hosted)


def _known(kind: str, declaration: Mapping[str, Any]) -> Tool:
    what = KINDS[kind]
    schema = declaration.get("parameters")
    description = declaration.get("description")
    return Tool(
        kind,
        description if isinstance(description, str) and description else what.description,
        to_raw(schema if isinstance(schema, dict) else what.schema),
        known=Known(f"{kind}_call", kind),
    )


def call_of(part: Opaque, tools: ClientTools) -> ToolCall | None:
    """A call of the client's history as one of a function; ``None``: it is none that the client ran."""
    kind = part.kind.removesuffix("_call")
    if part.kind == kind or kind not in KINDS:
        return None
    found = loads(part.raw, {})
    id = found.get("call_id") or found.get("id")
    if not isinstance(id, str) or (kind == "tool_search" and found.get("execution") == "server"):
        return None
    arguments = found.get(KINDS[kind].member)
    if isinstance(arguments, dict):
        arguments = {name: value for name, value in arguments.items() if value is not None}
        if kind == "local_shell":
            arguments.pop("type", None)
    text = arguments if isinstance(arguments, str) else raw_str(to_raw(arguments or {}))
    return ToolCall(id, tools.name_of(Known(part.kind, kind)), text)


def call_members(known: Known, arguments: str) -> dict[str, Any]:
    """The members of an item that calls a tool which is known by its type, beside ``id``, ``call_id`` and
    ``status``.

    :param arguments: what the model wrote; where it did not keep to the schema, what can be made of it.
    """
    found = loads(arguments.encode("utf-8", "surrogatepass"), {}) if is_object(arguments) else {}
    return KINDS[known.name].written(found)
