"""An MCP server for the agents, over its standard input and output: one tool, which repeats its text.

It is run as a program, by whatever Python there is; each call is appended to the file that is its argument.
"""

from __future__ import annotations

import json
import sys
from typing import Any

#: Its name where it is declared, and its tool's.
SERVER, TOOL = "probe", "echo_text"

_TOOL = {
    "name": TOOL,
    "description": "Repeat a text.",
    "inputSchema": {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "The text."}},
        "required": ["text"],
    },
}


def answer(method: str, params: dict[str, Any], record: str) -> dict[str, Any] | None:
    """The result of a request; ``None``: the method is not known."""
    match method:
        case "initialize":
            version = params.get("protocolVersion", "2025-06-18")
            named = {"name": SERVER, "version": "1"}
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": named}
        case "tools/list":
            return {"tools": [_TOOL]}
        case "tools/call":
            text = params["arguments"]["text"]
            with open(record, "a", encoding="utf-8") as file:
                file.write(json.dumps(text) + "\n")
            return {"content": [{"type": "text", "text": f"echo: {text}"}]}
        case "ping":
            return {}
    return None


def main(record: str) -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer(message["method"], message.get("params") or {}, record)
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if result is None:
            reply["error"] = {"code": -32601, "message": "Method not found"}
        else:
            reply["result"] = result
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
