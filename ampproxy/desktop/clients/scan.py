"""Every place on a machine that tells Amp's clients an address or a key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ampproxy.desktop.clients import files
from ampproxy.desktop.clients.places import (
    EDITORS,
    KEY_VARIABLE,
    SETTINGS_VARIABLE,
    SHELL_FILES,
    SYSTEM_SHELL_FILES,
    URL,
    URL_VARIABLE,
    WORKSPACE_SETTINGS,
    Machine,
    cli_secrets,
    cli_settings,
    managed_settings,
    workspace_folders,
)
from ampproxy.wire import jsonc
from ampproxy.wire.redact import Secret, printable

#: What tells: the environment of this process, a file that shells read, the CLI's own settings, an
#: editor's, those that an administrator sets, or a file in the folder that one works in.
Scope = Literal["environment", "shell", "settings", "editor", "managed", "workspace"]

#: Not a setting of Amp's own, but other programs write it, and then a key lies in the file.
_KEY_SETTING = "amp.apiKey"


@dataclass(frozen=True, slots=True)
class Setting:
    """An address or a key that is set somewhere.

    :param where: the file, with the line where it has lines; for people.
    :param name: of the variable or the setting.
    :param value: of an address or the name of a settings file as it stands there.
    :param key: of a key.
    """

    scope: Scope
    where: str
    name: str
    value: str = ""
    key: Secret | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that cannot be read as what it should be."""

    scope: Scope
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A key of the CLI's secrets file, and the address that it is for."""

    url: str
    key: Secret


def shown_url(url: str) -> str:
    """An address as it may be shown: without user names, passwords and queries."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "(no address)"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "(no address)"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return printable(f"{parts.scheme}://{host}{port}{parts.path}")


def same_address(one: str, other: str) -> bool:
    """Whether two addresses lead to the same place. A slash at the end makes no difference, nor which of
    its names this machine goes by.
    """
    return _place(one) == _place(other)


def host_of(url: str) -> str:
    """The host of an address, lower case; empty if it has none."""
    return _place(url)[1]


def _place(url: str) -> tuple[str, str, int | None, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", "", None, url
    host = "localhost" if host in ("127.0.0.1", "::1") else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, host, port or default, parts.path.rstrip("/")


def scan(machine: Machine, cwd: Path) -> tuple[list[Setting], list[Unread]]:
    """All that is told on a machine to a client that is started in ``cwd``, and what could not be read."""
    settings: list[Setting] = []
    unread: list[Unread] = []
    for found in _everything(machine, cwd):
        if isinstance(found, Unread):
            unread.append(found)
        else:
            settings.append(found)
    return settings, unread


def secrets(machine: Machine) -> list[Kept]:
    """The keys in the CLI's secrets file; none if it is not there.

    :raises ampproxy.wire.jsonc.BadJsonc: it is damaged.
    :raises OSError: it cannot be read.
    """
    data = _content(cli_secrets(machine))
    if data is None:
        return []
    jsonc.require_plain(data)
    texts = {name: jsonc.string(value) for name, value in jsonc.read(data).items()}
    kept = ((name.partition("@")[2], text) for name, text in texts.items() if name.startswith("apiKey@"))
    return [Kept(url, Secret(text)) for url, text in kept if text]


def _everything(machine: Machine, cwd: Path) -> Iterator[Setting | Unread]:
    for name in (URL_VARIABLE, KEY_VARIABLE, SETTINGS_VARIABLE):
        value = machine.environ.get(name)
        if value:
            yield _variable("environment", "the environment", name, value)
    for base, patterns in ((machine.home, SHELL_FILES), (machine.root, SYSTEM_SHELL_FILES)):
        for path in _matching(base, patterns):
            yield from _lines("shell", path)
    yield from _settings("settings", cli_settings(machine))
    yield from _settings("managed", managed_settings(machine))
    for editor in EDITORS:
        for path in (editor.settings(machine), *editor.profiles(machine)):
            yield from _settings("editor", path)
    own = cli_settings(machine)
    for folder in workspace_folders(cwd, machine.home):
        for path in (folder / name for name in WORKSPACE_SETTINGS):
            if path != own:
                yield from _settings("workspace", path)
        for path in sorted(folder.glob("*.code-workspace")):
            yield from _settings("workspace", path, within="settings")
        for path in (folder / ".envrc", folder / ".env"):
            yield from _lines("workspace", path)


def _matching(base: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(base.glob(pattern)) if "*" in pattern else (base / pattern,)


def _settings(scope: Scope, path: Path, within: str = "") -> Iterator[Setting | Unread]:
    """What a settings file tells.

    :param within: the member whose members are the settings.
    """
    try:
        data = _content(path)
        members = {} if data is None else jsonc.read(data)
        if scope == "settings":
            jsonc.require_unmarked(data or b"")
        if within:
            members = jsonc.read(members.get(within, b"{}"))
    except OSError as error:
        yield Unread(scope, str(path), error.strerror or type(error).__name__)
        return
    except jsonc.BadJsonc as error:
        yield Unread(scope, str(path), str(error))
        return
    url, key = jsonc.string(members.get(URL)), jsonc.string(members.get(_KEY_SETTING))
    if url:
        yield Setting(scope, str(path), URL, url)
    if key:
        yield Setting(scope, str(path), _KEY_SETTING, key=Secret(key))


_NAMES = f"(?P<name>{URL_VARIABLE}|{KEY_VARIABLE}|{SETTINGS_VARIABLE})"
_VALUE = r"(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s;#&|)'\"]+)"
#: A variable that is set, as the shells, PAM and systemd write it.
_ASSIGNED = tuple(
    re.compile(pattern + _VALUE)
    for pattern in (
        rf"(?<![\w${{]){_NAMES}\s?=\s?",
        rf"\bset(?:env)?\b[^#;\n]{{0,200}}?\s{_NAMES}\s+",
        rf"\bSETUVAR\b[^\n]{{0,200}}?\s{_NAMES}:",
        rf"\b{_NAMES}\s+(?:DEFAULT|OVERRIDE)=",
    )
)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_FISH_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def _lines(scope: Scope, path: Path) -> Iterator[Setting | Unread]:
    try:
        data = _content(path)
    except OSError as error:
        yield Unread(scope, str(path), error.strerror or type(error).__name__)
        return
    for number, line in enumerate((data or b"").decode("utf-8", "replace").splitlines(), 1):
        if "AMP_" not in line:
            continue
        line = _COMMENT.sub("", line)
        for pattern in _ASSIGNED:
            for found in pattern.finditer(line):
                value = found["value"].strip("'\"")
                value = _FISH_ESCAPE.sub(lambda match: chr(int(match[1], 16)), value)
                if value:
                    yield _variable(scope, f"{path}:{number}", found["name"], value)


def _variable(scope: Scope, where: str, name: str, value: str) -> Setting:
    if name == KEY_VARIABLE:
        return Setting(scope, where, name, key=Secret(value))
    return Setting(scope, where, name, value)


def _content(path: Path) -> bytes | None:
    """A file's bytes, ``None`` if there is none: a folder may have the name, too (a virtual environment).

    :raises OSError: it cannot be read, or is far too large.
    """
    return files.content(path) if path.is_file() else None
