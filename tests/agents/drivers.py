"""How each agent is started without a person, which of its tools are used, and where its answer stands."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.agents import mcp
from tests.agents.programs import PROGRAMS, Program

#: A call: the tool's name and its arguments as JSON text.
Call = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Errand:
    """One run.

    :param home: throw-away, with nothing but what the driver writes.
    :param work: the folder in which the agent works.
    :param mcp: whether the tests' own MCP server is declared.
    :param search: whether the agent declares the web search that its vendor runs.
    """

    home: Path
    work: Path
    url: str
    key: str
    model: str
    prompt: str
    mcp: bool = True
    search: bool = True

    @property
    def record(self) -> Path:
        """What the MCP server was asked."""
        return self.home / "mcp-calls"

    @property
    def server(self) -> list[str]:
        """The command of the MCP server."""
        return [sys.executable, str(Path(mcp.__file__).resolve()), str(self.record)]


class Driver:
    """One agent.

    :cvar models: names that it is asked for; it behaves by some of them.
    :cvar transient: words that its own log may have and that are no failure.
    """

    name: ClassVar[str]
    models: ClassVar[tuple[str, ...]]
    #: A name of each kind of tool, the first that is declared: kind -> ((name, members), ...).
    tools: ClassVar[dict[str, tuple[tuple[str, dict[str, str]], ...]]] = {}
    #: The tool that finds other tools, and what it is asked for those of the MCP server.
    search: ClassVar[tuple[str, dict[str, Any]] | None] = None

    @property
    def program(self) -> Program:
        return PROGRAMS[self.name]

    def prepare(self, errand: Errand) -> dict[str, str]:
        """Write its settings; gives its environment."""
        raise NotImplementedError

    def arguments(self, errand: Errand) -> list[str]:
        raise NotImplementedError

    def answer(self, output: str) -> str:
        """The text that the user gets, from what it printed."""
        return output

    def is_main(self, tools: Mapping[str, Any]) -> bool:
        """Whether a request with these tools is the agent's own loop, and not a title or the like."""
        return any(name in tools for name, _ in self.tools["shell"])

    def call(self, kind: str, value: str, tools: Mapping[str, Any]) -> Call:
        """A call of one of its tools: ``read`` a file, run a ``shell`` command, or ``mcp``; where that one
        is to be found first, the call that finds it.

        :raises AssertionError: no such tool is declared.
        """
        if kind == "mcp":
            names = [name for name in tools if mcp.TOOL in name]
            if names:
                return names[0], json.dumps({"text": value}, ensure_ascii=False)
            if self.search is not None and self.search[0] in tools:
                return self.search[0], json.dumps(self.search[1])
        else:
            for name, members in self.tools[kind]:
                if name in tools:
                    filled = {key: text.replace("$", value) for key, text in members.items()}
                    return name, json.dumps(filled, ensure_ascii=False)
        raise AssertionError(f"no tool to {kind}: {sorted(tools)}")


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def _lines(output: str) -> Iterator[dict[str, Any]]:
    """The JSON objects among the lines."""
    for line in output.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


class ClaudeCode(Driver):
    """``claude -p``."""

    name = "claude-code"
    models = ("claude-opus-5-5", "claude-opus-4-6")
    tools: ClassVar = {
        "read": (("Read", {"file_path": "$"}),),
        "shell": (("Bash", {"command": "$", "description": "A test."}),),
    }
    search = ("ToolSearch", {"query": f"select:mcp__{mcp.SERVER}__{mcp.TOOL}", "max_results": 5})

    def prepare(self, errand: Errand) -> dict[str, str]:
        servers = {mcp.SERVER: {"command": errand.server[0], "args": errand.server[1:]}} if errand.mcp else {}
        _write(errand.home / "mcp.json", {"mcpServers": servers})
        return {"ANTHROPIC_BASE_URL": errand.url, "ANTHROPIC_AUTH_TOKEN": errand.key}

    def arguments(self, errand: Errand) -> list[str]:
        return [
            *("-p", errand.prompt, "--model", errand.model),
            *("--mcp-config", str(errand.home / "mcp.json"), "--strict-mcp-config"),
            *("--allowedTools", f"Read,Bash,mcp__{mcp.SERVER}__{mcp.TOOL}"),
        ]


class ClaudeCodeStreaming(ClaudeCode):
    """The transport of its SDK, and of what is interactive."""

    def arguments(self, errand: Errand) -> list[str]:
        return [*super().arguments(errand), "--output-format", "stream-json", "--verbose"]

    def answer(self, output: str) -> str:
        return next((str(one["result"]) for one in _lines(output) if one.get("type") == "result"), "")


class Codex(Driver):
    """``codex exec``, with a provider of its own."""

    name = "codex"
    models = ("gpt-5.5", "gpt-5.6-sol", "house-model")
    tools: ClassVar = {
        "read": (("exec_command", {"cmd": "cat $"}), ("shell_command", {"command": "cat $"})),
        "shell": (("exec_command", {"cmd": "$"}), ("shell_command", {"command": "$"})),
    }
    search = ("tool_search", {"query": "echo text probe"})
    #: With its newest models Codex has one tool that runs JavaScript, in which the others are functions.
    _SCRIPTS: ClassVar = {
        "read": "text((await tools.exec_command({cmd: $})).output)",
        "shell": "text((await tools.exec_command({cmd: $})).output)",
        "mcp": f"text(await tools.mcp__{mcp.SERVER}__{mcp.TOOL}({{text: $}}))",
    }
    _PROVIDER = (
        'model_provider = "gateway"\n[model_providers.gateway]\nname = "gateway"\nbase_url = "{url}/v1"\n'
        'env_key = "GATEWAY_KEY"\nwire_api = "responses"\n'
    )

    def prepare(self, errand: Errand) -> dict[str, str]:
        text = (
            f"check_for_update_on_startup = false\nweb_search = '{'live' if errand.search else 'disabled'}'\n"
        )
        text += self._PROVIDER.format(url=errand.url)
        text += (
            "[analytics]\nenabled = false\n[features]\nplugins = false\nremote_plugin = false\napps = false\n"
        )
        if errand.mcp:
            command, *arguments = errand.server
            text += f"[mcp_servers.{mcp.SERVER}]\ncommand = {json.dumps(command)}\n"
            text += f"args = {json.dumps(arguments)}\ndefault_tools_approval_mode = 'approve'\n"
        _write(errand.home / ".codex" / "config.toml", text)
        return {"GATEWAY_KEY": errand.key, "CODEX_API_KEY": errand.key}

    def arguments(self, errand: Errand) -> list[str]:
        return [
            *("exec", "--json", "--skip-git-repo-check", "--sandbox", "danger-full-access"),
            *("--model", errand.model, errand.prompt),
        ]

    def is_main(self, tools: Mapping[str, Any]) -> bool:
        return _script_tool(tools) is not None or super().is_main(tools)

    def call(self, kind: str, value: str, tools: Mapping[str, Any]) -> Call:
        name = _script_tool(tools)
        if name is None:
            return super().call(kind, value, tools)
        value = f"cat {value}" if kind == "read" else value
        script = self._SCRIPTS[kind].replace("$", json.dumps(value))
        schema = tools[name]
        return name, script if schema is None else json.dumps({next(iter(schema["properties"])): script})

    def answer(self, output: str) -> str:
        items = [one["item"] for one in _lines(output) if one.get("type") == "item.completed"]
        return "\n".join(one["text"] for one in items if one.get("type") == "agent_message")


def _script_tool(tools: Mapping[str, Any]) -> str | None:
    return next((name for name in tools if re.fullmatch(r"(functions\W?_*)?exec", name)), None)


class CodexByBaseUrl(Codex):
    """The built-in provider at another address: it tries WebSockets, and compacts at its vendor's."""

    _PROVIDER = 'openai_base_url = "{url}/v1"\n'


class GeminiCli(Driver):
    """``gemini -p``."""

    name = "gemini-cli"
    models = ("gemini-3.1-pro-preview", "gemini-2.5-pro")
    tools: ClassVar = {
        "read": (("read_file", {"file_path": "$"}),),
        "shell": (("run_shell_command", {"command": "$", "description": "A test."}),),
    }

    def prepare(self, errand: Errand) -> dict[str, str]:
        servers = {mcp.SERVER: {"command": errand.server[0], "args": errand.server[1:], "trust": True}}
        settings = {
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "mcpServers": servers if errand.mcp else {},
        }
        _write(errand.home / ".gemini" / "settings.json", settings)
        return {
            "GOOGLE_GEMINI_BASE_URL": errand.url,
            "GEMINI_API_KEY": errand.key,
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
            # It would start itself anew, with more memory.
            "GEMINI_CLI_NO_RELAUNCH": "true",
        }

    def arguments(self, errand: Errand) -> list[str]:
        # Without a model it asks a small one first, which is to take.
        model = ["--model", errand.model] if errand.model else []
        return ["--yolo", "--output-format", "json", *model, "--prompt", errand.prompt]

    def answer(self, output: str) -> str:
        start = output.find("{")
        return str(json.loads(output[start:])["response"]) if start >= 0 else ""


class OpenCode(Driver):
    """``opencode run``, by Chat Completions."""

    name = "opencode"
    models = ("house-model",)
    tools: ClassVar = {
        "read": (("read", {"filePath": "$"}),),
        "shell": (("bash", {"command": "$", "description": "A test."}),),
    }

    def prepare(self, errand: Errand) -> dict[str, str]:
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "name": "gateway",
            "options": {"baseURL": f"{errand.url}/v1", "apiKey": errand.key},
            "models": {errand.model: {"name": errand.model, "tool_call": True, "reasoning": True}},
        }
        servers = {mcp.SERVER: {"type": "local", "command": errand.server, "enabled": True}}
        settings = {
            "$schema": "https://opencode.ai/config.json",
            "provider": {"gateway": provider},
            "permission": "allow",
            "mcp": servers if errand.mcp else {},
        }
        _write(errand.home / ".config" / "opencode" / "opencode.json", settings)
        return {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}

    def arguments(self, errand: Errand) -> list[str]:
        return ["run", "--model", f"gateway/{errand.model}", errand.prompt]


class QwenCode(Driver):
    """``qwen -p``, by Chat Completions."""

    name = "qwen-code"
    models = ("house-model",)
    tools: ClassVar = {
        "read": (("read_file", {"file_path": "$"}),),
        "shell": (("run_shell_command", {"command": "$", "description": "A test."}),),
    }

    def prepare(self, errand: Errand) -> dict[str, str]:
        servers = {mcp.SERVER: {"command": errand.server[0], "args": errand.server[1:], "trust": True}}
        settings = {
            "security": {"auth": {"selectedType": "openai"}},
            "mcpServers": servers if errand.mcp else {},
        }
        _write(errand.home / ".qwen" / "settings.json", settings)
        return {
            "OPENAI_BASE_URL": f"{errand.url}/v1",
            "OPENAI_API_KEY": errand.key,
            "OPENAI_MODEL": errand.model,
        }

    def call(self, kind: str, value: str, tools: Mapping[str, Any]) -> Call:
        if kind == "mcp" and "tool_call" in tools:
            called = {"name": f"mcp__{mcp.SERVER}__{mcp.TOOL}", "arguments": {"text": value}}
            return "tool_call", json.dumps(called, ensure_ascii=False)
        return super().call(kind, value, tools)

    def arguments(self, errand: Errand) -> list[str]:
        return ["--yolo", "--auth-type", "openai", "--prompt", errand.prompt]


class Copilot(Driver):
    """``copilot -p`` with a provider of the user's own, by Chat Completions."""

    name = "copilot"
    models = ("house-model",)
    tools: ClassVar = {
        "read": (("view", {"path": "$"}),),
        "shell": (("bash", {"command": "$", "description": "A test."}),),
    }

    def prepare(self, errand: Errand) -> dict[str, str]:
        command, *arguments = errand.server
        server = {"type": "local", "command": command, "args": arguments, "tools": ["*"]}
        servers = {mcp.SERVER: server} if errand.mcp else {}
        _write(errand.home / ".copilot" / "mcp-config.json", {"mcpServers": servers})
        return {
            "COPILOT_PROVIDER_BASE_URL": f"{errand.url}/v1",
            "COPILOT_PROVIDER_API_KEY": errand.key,
            "COPILOT_MODEL": errand.model,
            "COPILOT_OFFLINE": "true",
        }

    def arguments(self, errand: Errand) -> list[str]:
        return ["--prompt", errand.prompt, "--allow-all-tools", "--no-color"]


class CopilotByMessages(Copilot):
    """The same by Anthropic Messages."""

    def prepare(self, errand: Errand) -> dict[str, str]:
        asked = super().prepare(errand)
        return asked | {"COPILOT_PROVIDER_TYPE": "anthropic", "COPILOT_PROVIDER_BASE_URL": errand.url}


class CopilotByResponses(Copilot):
    """The same by Responses."""

    def prepare(self, errand: Errand) -> dict[str, str]:
        return super().prepare(errand) | {"COPILOT_PROVIDER_WIRE_API": "responses"}


DRIVERS: dict[str, Driver] = {
    "claude-code": ClaudeCode(),
    "claude-code-streaming": ClaudeCodeStreaming(),
    "codex": Codex(),
    "codex-base-url": CodexByBaseUrl(),
    "gemini-cli": GeminiCli(),
    "opencode": OpenCode(),
    "qwen-code": QwenCode(),
    "copilot": Copilot(),
    "copilot-messages": CopilotByMessages(),
    "copilot-responses": CopilotByResponses(),
}
