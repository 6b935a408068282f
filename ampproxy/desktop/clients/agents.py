"""Coding agents beside Amp's: where each keeps the address and the key of what it asks, and how it is set up.

Each was driven in the version that its row names. A variable of the environment goes before the file, where
there is one. ``docs/clients.md`` shows what the rows tell.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ampproxy.desktop.clients import files
from ampproxy.desktop.clients.forms import FORMS, Kind
from ampproxy.desktop.clients.members import path_of
from ampproxy.desktop.clients.places import Machine
from ampproxy.desktop.clients.setup import Text, Wanted
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.wire.redact import Secret

#: The name of the provider that is declared in agents that name them.
PROVIDER = "ampproxy"


@dataclass(frozen=True, slots=True)
class Gateway:
    """What an agent is to be told.

    :param url: without a path.
    :param models: names that the gateway lists, for agents that want them declared.
    :param model: the one that the agent is to ask for; empty: its own.
    """

    url: str
    key: str
    model: str = ""
    models: tuple[str, ...] = ()


#: Some of the texts for one file: name -> value, whether it is secret.
Entries = Iterable[Text]


@dataclass(frozen=True, slots=True)
class Place:
    """A file of an agent's, and what is put there.

    :param file: the file, whether it is there or not.
    """

    kind: Kind
    file: Callable[[Machine], Path]
    texts: Callable[[Gateway], Entries]


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent.

    :param name: as ``ampproxy setup`` takes it.
    :param program: its command.
    :param path: what follows the gateway's address in the agent's.
    :param places: files, in the order in which they are written.
    :param url: the variable and the setting of the address: the setting's place and name.
    :param key: the same of the key.
    :param variables: those of the environment that go before the files: of the address, of the key; empty
        where there is none.
    :param version: in which it was driven.
    :param dialect: in which it asks.
    :param asks_again: whether it asks anew when an answer breaks off, or an error comes in its midst; else
        its turn ends there.
    :param wants_model: it has no model of its own that could be served.
    """

    name: str
    title: str
    program: str
    path: str
    places: tuple[Place, ...]
    url: tuple[int, str]
    key: tuple[int, str]
    variables: tuple[str, str]
    version: str
    dialect: str
    asks_again: bool = True
    wants_model: bool = False

    def address(self, url: str) -> str:
        """The address that it has to be told."""
        return url + self.path

    def wanted(self, machine: Machine, gateway: Gateway) -> list[Wanted]:
        """What has to be written; empty for one that has only variables."""
        return [
            Wanted(place.file(machine), f"{self.title}'s settings", tuple(place.texts(gateway)), place.kind)
            for place in self.places
        ]

    def exports(self, gateway: Gateway) -> dict[str, str]:
        """The variables that do the same in one shell, for an agent that has no file for it."""
        address, key = self.variables
        return {address: self.address(gateway.url), key: gateway.key, "COPILOT_MODEL": gateway.model}


def _json(name: str, value: object, *, secret: bool = False) -> Text:
    return Text(name, json.dumps(value, ensure_ascii=False), secret)


def _in_home(variable: str, folder: str, name: str) -> Callable[[Machine], Path]:
    """A file in the folder that a variable names, else in one of the home directory."""

    def found(machine: Machine) -> Path:
        named = machine.environ.get(variable, "")
        return (Path(named) if os.path.isabs(named) else machine.home / folder) / name

    return found


def _claude(gateway: Gateway) -> Entries:
    yield _json(path_of("env", "ANTHROPIC_BASE_URL"), gateway.url)
    yield _json(path_of("env", "ANTHROPIC_AUTH_TOKEN"), gateway.key, secret=True)
    if gateway.model:
        yield _json("model", gateway.model)


def _codex(gateway: Gateway) -> Entries:
    table = f"model_providers.{PROVIDER}"
    yield Text("model_provider", PROVIDER)
    if gateway.model:
        yield Text("model", gateway.model)
    yield Text(f"{table}.name", PROVIDER)
    yield Text(f"{table}.base_url", f"{gateway.url}/v1")
    yield Text(f"{table}.wire_api", "responses")
    yield Text(f"{table}.experimental_bearer_token", gateway.key, secret=True)


def _gemini_variables(gateway: Gateway) -> Entries:
    yield Text("GOOGLE_GEMINI_BASE_URL", gateway.url)
    yield Text("GEMINI_API_KEY", gateway.key, secret=True)


def _gemini_settings(gateway: Gateway) -> Entries:
    yield _json(path_of("security", "auth", "selectedType"), "gemini-api-key")
    if gateway.model:
        yield _json(path_of("model", "name"), gateway.model)


def _opencode(gateway: Gateway) -> Entries:
    at = ("provider", PROVIDER)
    yield _json(path_of(*at, "npm"), "@ai-sdk/openai-compatible")
    yield _json(path_of(*at, "name"), PROVIDER)
    yield _json(path_of(*at, "options", "baseURL"), f"{gateway.url}/v1")
    yield _json(path_of(*at, "options", "apiKey"), gateway.key, secret=True)
    names = dict.fromkeys((gateway.model, *gateway.models) if gateway.model else gateway.models)
    yield _json(path_of(*at, "models"), {name: {} for name in names})
    yield _json("model", f"{PROVIDER}/{next(iter(names), '')}")


def _qwen_variables(gateway: Gateway) -> Entries:
    yield Text("OPENAI_BASE_URL", f"{gateway.url}/v1")
    yield Text("OPENAI_API_KEY", gateway.key, secret=True)
    yield Text("OPENAI_MODEL", gateway.model)


def _qwen_settings(gateway: Gateway) -> Entries:
    yield _json(path_of("security", "auth", "selectedType"), "openai")
    yield _json(path_of("model", "name"), gateway.model)


def _opencode_file(machine: Machine) -> Path:
    folder = machine.config_folder() / "opencode"
    usual, commented = folder / "opencode.json", folder / "opencode.jsonc"
    return commented if os.path.isfile(commented) and not os.path.isfile(usual) else usual


AGENTS: tuple[Agent, ...] = (
    Agent(
        "claude-code",
        "Claude Code",
        "claude",
        "",
        (Place("members", _in_home("CLAUDE_CONFIG_DIR", ".claude", "settings.json"), _claude),),
        (0, path_of("env", "ANTHROPIC_BASE_URL")),
        (0, path_of("env", "ANTHROPIC_AUTH_TOKEN")),
        ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"),
        "2.1.332",
        ANTHROPIC,
    ),
    Agent(
        "codex",
        "Codex",
        "codex",
        "/v1",
        (Place("toml", _in_home("CODEX_HOME", ".codex", "config.toml"), _codex),),
        (0, f"model_providers.{PROVIDER}.base_url"),
        (0, f"model_providers.{PROVIDER}.experimental_bearer_token"),
        ("", ""),
        "0.171.0",
        RESPONSES,
    ),
    Agent(
        "gemini-cli",
        "Gemini CLI",
        "gemini",
        "",
        (
            Place("variables", lambda machine: machine.home / ".gemini" / ".env", _gemini_variables),
            Place("members", lambda machine: machine.home / ".gemini" / "settings.json", _gemini_settings),
        ),
        (0, "GOOGLE_GEMINI_BASE_URL"),
        (0, "GEMINI_API_KEY"),
        ("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"),
        "0.61.0",
        GEMINI,
    ),
    Agent(
        "opencode",
        "opencode",
        "opencode",
        "/v1",
        (Place("members", _opencode_file, _opencode),),
        (0, path_of("provider", PROVIDER, "options", "baseURL")),
        (0, path_of("provider", PROVIDER, "options", "apiKey")),
        ("", ""),
        "1.18.33",
        CHAT,
        wants_model=True,
    ),
    Agent(
        "qwen-code",
        "Qwen Code",
        "qwen",
        "/v1",
        (
            Place("variables", lambda machine: machine.home / ".qwen" / ".env", _qwen_variables),
            Place("members", lambda machine: machine.home / ".qwen" / "settings.json", _qwen_settings),
        ),
        (0, "OPENAI_BASE_URL"),
        (0, "OPENAI_API_KEY"),
        ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
        "0.24.4",
        CHAT,
        wants_model=True,
    ),
    Agent(
        "copilot",
        "Copilot CLI",
        "copilot",
        "/v1",
        (),
        (0, ""),
        (0, ""),
        ("COPILOT_PROVIDER_BASE_URL", "COPILOT_PROVIDER_API_KEY"),
        "1.0.102",
        CHAT,
        wants_model=True,
    ),
)
BY_NAME: Mapping[str, Agent] = {agent.name: agent for agent in AGENTS}


@dataclass(frozen=True, slots=True)
class Found:
    """An agent that is here, or is set up here.

    :param program: its command, if it is in PATH.
    :param url: the address that it is told; empty: none, so it goes to its own vendor.
    :param where: what tells it: the environment, or a file.
    :param why: why its file cannot be read.
    """

    agent: Agent
    program: Path | None
    url: str = ""
    where: str = ""
    key: Secret | None = None
    why: str = ""


def look_for(machine: Machine) -> list[Found]:
    """All agents that are installed, or have an address that is not their vendor's."""
    found = (_found(agent, machine) for agent in AGENTS)
    return [one for one in found if one.program or one.url or one.why]


def _found(agent: Agent, machine: Machine) -> Found:
    program = _program(agent.program, machine)
    url, key = (machine.environ.get(name, "") if name else "" for name in agent.variables)
    where = "the environment" if url else ""
    try:
        file_url, file_key = _stored(agent, machine, agent.url), _stored(agent, machine, agent.key)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Found(agent, program, url, where, Secret(key) if key else None, why)
    if not url and file_url:
        url, where = file_url, str(agent.places[agent.url[0]].file(machine))
    key = key or file_key
    return Found(agent, program, url, where, Secret(key) if key else None)


def _stored(agent: Agent, machine: Machine, place: tuple[int, str]) -> str:
    """A text in one of its files; empty if it is not there.

    :raises OSError: it cannot be read.
    :raises ValueError: it is broken.
    """
    if not agent.places:
        return ""
    at = agent.places[place[0]]
    data = files.content(at.file(machine))
    value = None if data is None else FORMS[at.kind].current(data, place[1])
    if value is None or at.kind != "members":
        return value or ""
    found = json.loads(value)
    return found if isinstance(found, str) else ""


def _program(name: str, machine: Machine) -> Path | None:
    folders = (*machine.environ.get("PATH", "").split(os.pathsep), str(machine.home / ".local" / "bin"))
    for folder in folders:
        path = Path(folder) / name
        if os.path.isabs(folder) and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None
