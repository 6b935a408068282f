"""Which of Amp's clients are installed, and of which generation each is.

A version is ``0.0.SECONDS-gCOMMIT``, its number the time at which it was built.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from ampproxy.amp.clients import Generation, generation_of
from ampproxy.config import files
from ampproxy.desktop.clients.places import Machine, editors

#: The newest classic CLI on npm (see :data:`ampproxy.amp.clients.NEWEST_CLASSIC`).
NEWEST_CLASSIC = "0.0.1777897475-g2324e1"

_VERSION = re.compile(r"\b\d+\.\d+\.(?P<built>1[5-9]\d{8}|2\d{9})(?:-g(?P<commit>[0-9a-f]{4,40}))?\b")
_PACKAGES = re.compile(r"@(?:sourcegraph|ampcode)/(?:amp|cli)(?:-[a-z0-9-]+)?")
#: No program and no package.json of ours is looked at beyond this. Bytes.
_MAX_FILE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Version:
    """A client's version.

    :param built: seconds since the epoch.
    """

    text: str
    built: int

    @property
    def generation(self) -> Generation | None:
        """Who makes its model calls: the client itself, or Amp's cloud; ``None``: that is not known."""
        return generation_of(self.text)

    @property
    def day(self) -> str:
        """When it was built: ``2026-05-04``."""
        return datetime.fromtimestamp(self.built, timezone.utc).strftime("%Y-%m-%d")


def parse_version(text: str) -> Version | None:
    """The version that a text names, as ``amp --version`` prints it; ``None``: it names none of Amp's."""
    found = _VERSION.search(text)
    return None if found is None else Version(found.group(), int(found["built"]))


@dataclass(frozen=True, slots=True)
class Installed:
    """A client that is there.

    :param name: what it is called: ``amp``, ``VS Code``.
    :param path: the program, or the extension's folder.
    :param version: ``None``: it did not say.
    """

    name: str
    path: Path
    version: Version | None
    kind: Literal["cli", "editor"] = "cli"


def installed_clis(machine: Machine, run: Callable[[Path], str]) -> list[Installed]:
    """Every ``amp`` of ``PATH`` that is Amp's, in the order in which a shell would find them. Other
    programs of that name are left out.

    :param run: runs a program with ``--version`` and gives what it prints; empty if it cannot.
    """
    found: dict[Path, Installed] = {}
    for path in _programs(machine):
        real = path.resolve()
        if real in found:
            continue
        packaged = _package_version(real)
        version = packaged if packaged is not None else parse_version(run(path))
        if version is not None:
            found[real] = Installed("amp", path, version)
    return list(found.values())


def installed_editors(machine: Machine) -> list[Installed]:
    """Every editor with Amp's extension, with its newest version there."""
    found = []
    for editor in editors(machine):
        folders = editor.extension_folders(machine)
        known = [(version, path) for path in folders if (version := parse_version(path.name)) is not None]
        version, path = max(known, key=lambda one: one[0].built) if known else (None, folders[-1])
        found.append(Installed(editor.name, path, version, "editor"))
    return found


def _programs(machine: Machine) -> Iterator[Path]:
    path, home = machine.environ.get("PATH", ""), machine.home
    # The installer puts it there and asks the user to extend PATH.
    own = Path(machine.environ.get("AMP_HOME", "") or home / ".amp") / "bin"
    for folder in (*path.split(os.pathsep), str(own), str(home / ".local" / "bin")):
        if not os.path.isabs(folder):
            continue
        program = Path(folder) / "amp"
        if os.path.isfile(program) and os.access(program, os.X_OK):
            yield program


def _package_version(program: Path) -> Version | None:
    """What the npm package says that a program belongs to. Nothing is run."""
    for folder in list(program.parents)[:4]:
        try:
            package = json.loads(files.read(folder / "package.json", _MAX_FILE_BYTES))
        except (OSError, ValueError):
            continue
        if isinstance(package, dict) and _PACKAGES.fullmatch(str(package.get("name"))):
            return parse_version(str(package.get("version")))
        return None
    return None
