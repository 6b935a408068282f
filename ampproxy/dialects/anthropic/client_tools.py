"""Tools that Anthropic's models know by heart and that the client runs itself.

For other vendors' models they are functions with the schema that Anthropic documents. Calls of them are plain
calls in this dialect, so that nothing has to be turned back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ampproxy.dialects.json import NULL, loads, members, to_raw
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.request import ChatRequest, HostedTool, Tool

_TEXT: Final = {"type": "string"}
_LINES: Final = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "First and last line; -1: end.",
}
_EDITS: Final[dict[str, Any]] = {
    "path": {**_TEXT, "description": "The absolute path of a file or a folder."},
    "file_text": {**_TEXT, "description": "What is to be in the new file (create)."},
    "old_str": {**_TEXT, "description": "The text to be replaced, which stands there once (str_replace)."},
    "new_str": {**_TEXT, "description": "The text that replaces it (str_replace), or is put in (insert)."},
    "insert_line": {"type": "integer", "description": "The line after which text is put in (insert)."},
    "view_range": _LINES,
}


def _schema(properties: Mapping[str, Any], *required: str) -> Json:
    return to_raw({"type": "object", "properties": properties, "required": list(required)})


def _command(*names: str) -> dict[str, Any]:
    return {"command": {"type": "string", "enum": list(names)}}


_EDIT_COMMANDS: Final = ("view", "create", "str_replace", "insert")
_BASH: Final = {
    "command": {**_TEXT, "description": "The command to be run."},
    "restart": {"type": "boolean", "description": "Start the shell anew instead."},
}
_OF_MEMORY: Final = {
    **_EDITS,
    "insert_text": {**_TEXT, "description": "The text that is put in (insert)."},
    "old_path": {**_TEXT, "description": "What is to be renamed (rename)."},
    "new_path": {**_TEXT, "description": "Its new path (rename)."},
}
#: Beginning of a dated type -> what the tool does, and its arguments.
_KNOWN: Final[tuple[tuple[str, str, Json], ...]] = (
    ("bash_", "Runs commands in a bash shell that keeps its state.", _schema(_BASH)),
    (
        "text_editor_20250124",
        "Views, creates and edits files.",
        _schema({**_command(*_EDIT_COMMANDS, "undo_edit"), **_EDITS}, "command", "path"),
    ),
    (
        "text_editor_",
        "Views, creates and edits files.",
        _schema({**_command(*_EDIT_COMMANDS), **_EDITS}, "command", "path"),
    ),
    (
        "memory_",
        "Keeps notes as files in the folder /memories, over conversations. View it before anything else.",
        _schema({**_command(*_EDIT_COMMANDS, "delete", "rename"), **_OF_MEMORY}, "command"),
    ),
)
_NOT_EXTRAS: Final = frozenset(("type", "name", "cache_control"))


def as_functions(request: ChatRequest) -> ChatRequest:
    """The request with such tools as functions; the same object where it has none."""
    found = [(tool, _function(tool)) for tool in request.hosted]
    functions = tuple(function for _, function in found if function is not None)
    if not functions:
        return request
    left = tuple(tool for tool, function in found if function is None)
    return msgspec.structs.replace(request, tools=(*request.tools, *functions), hosted=left)


def _function(tool: HostedTool) -> Tool | None:
    if tool.dialect != ANTHROPIC:
        return None
    known = next((row for row in _KNOWN if tool.kind.startswith(row[0])), None)
    fields = members(tool.raw)
    name = loads(fields.get("name", NULL))
    if known is None or not isinstance(name, str) or not name:
        return None
    extras = {key: value for key, value in fields.items() if key not in _NOT_EXTRAS and value != NULL}
    return Tool(name, known[1], known[2], cache=fields.get("cache_control"), extras=extras)
