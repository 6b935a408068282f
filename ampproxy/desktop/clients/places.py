"""Where Amp's clients keep their settings and their keys, on Linux and macOS.

Seen on the CLIs of May 2026 (the newest that leaves model calls to the machine) and September 2026:

- ``AMP_URL`` goes before ``amp.url`` of the settings file, ``AMP_API_KEY`` before the secrets file.
- The settings are ``amp/settings.json`` below ``$XDG_CONFIG_HOME``, else ``settings.jsonc`` there; or
  the file that ``AMP_SETTINGS_FILE`` names. Comments and trailing commas may be in it, a byte order mark not.
- The secrets file is plain JSON: with a comment, a trailing comma or that mark the CLI does not start.
- The key is the member ``apiKey@URL`` of ``amp/secrets.json`` below ``$XDG_DATA_HOME``, where URL is the
  address letter by letter as it is set, with or without a slash at its end.
- ``amp.url`` in a workspace's ``.amp/settings.json`` or ``.vscode/settings.json`` does not count.

The extension of VS Code and its relatives has ``amp.url`` among the editor's settings, and its key in the
editor's secret storage, which is encrypted: no other program can put one there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: The setting, in every client's settings.
URL = "amp.url"
URL_VARIABLE = "AMP_URL"
KEY_VARIABLE = "AMP_API_KEY"
SETTINGS_VARIABLE = "AMP_SETTINGS_FILE"
#: Where a client goes that is told nothing.
AMP = "https://ampcode.com/"


def secret_member(url: str) -> str:
    """The member of the CLI's secrets file that holds the key for an address."""
    return f"apiKey@{url}"


@dataclass(frozen=True, slots=True)
class Machine:
    """What of a machine and its user decides where files are.

    :param platform: as ``sys.platform`` says it.
    :param root: what ``/`` stands for.
    """

    home: Path
    environ: Mapping[str, str]
    platform: str
    root: Path = Path("/")

    def config_folder(self) -> Path:
        """Where the CLI's folder is, and on Linux the editors' folders are."""
        return self._xdg("XDG_CONFIG_HOME", ".config")

    def data_folder(self) -> Path:
        """Where the folder of the CLI's data is."""
        return self._xdg("XDG_DATA_HOME", ".local/share")

    def _xdg(self, variable: str, default: str) -> Path:
        # By the XDG Base Directory Specification a relative path does not count.
        named = Path(self.environ.get(variable, ""))
        return named if named.is_absolute() else self.home / default


def cli_settings(machine: Machine) -> Path:
    """The CLI's settings file, whether it is there or not."""
    named = machine.environ.get(SETTINGS_VARIABLE, "")
    if named:
        return Path(named).absolute()
    file = machine.config_folder() / "amp" / "settings.json"
    commented = file.with_suffix(".jsonc")
    # Unlike a path's own methods these are false where one may not look.
    return commented if os.path.isfile(commented) and not os.path.isfile(file) else file


def cli_secrets(machine: Machine) -> Path:
    """The CLI's file of keys, whether it is there or not."""
    return machine.data_folder() / "amp" / "secrets.json"


def managed_settings(machine: Machine) -> Path:
    """The settings that the machine's administrator sets for all users."""
    if machine.platform == "darwin":
        return machine.root / "Library" / "Application Support" / "ampcode" / "managed-settings.json"
    return machine.root / "etc" / "ampcode" / "managed-settings.json"


@dataclass(frozen=True, slots=True)
class Editor:
    """VS Code or a relative of it.

    :param folder: of its settings, below where programs of this platform keep theirs.
    :param extensions: the folder of its extensions, below the home directory.
    :param server: the part of it that runs on a machine that one works on from afar.
    """

    name: str
    folder: str
    extensions: str
    server: bool = False

    def settings(self, machine: Machine) -> Path:
        """Its user's settings file, whether it is there or not."""
        if self.server:
            return machine.home / self.folder / "data" / "Machine" / "settings.json"
        base = machine.config_folder()
        if machine.platform == "darwin":
            base = machine.home / "Library" / "Application Support"
        return base / self.folder / "User" / "settings.json"

    def profiles(self, machine: Machine) -> list[Path]:
        """The settings files of its other profiles that are there."""
        return sorted(self.settings(machine).parent.glob("profiles/*/settings.json"))

    def extension_folders(self, machine: Machine) -> list[Path]:
        """Where Amp's extension is installed, one folder for each of its versions."""
        folder = machine.home / self.extensions / "extensions"
        return sorted(found for name in _EXTENSIONS for found in folder.glob(f"{name}-*"))


_EXTENSIONS = ("sourcegraph.amp", "ampcode.amp")

EDITORS = (
    Editor("VS Code", "Code", ".vscode"),
    Editor("VS Code Insiders", "Code - Insiders", ".vscode-insiders"),
    Editor("VSCodium", "VSCodium", ".vscode-oss"),
    Editor("Code - OSS", "Code - OSS", ".vscode-oss"),
    Editor("Cursor", "Cursor", ".cursor"),
    Editor("Windsurf", "Windsurf", ".windsurf"),
    Editor("VS Code Server", ".vscode-server", ".vscode-server", server=True),
    Editor("VS Code Insiders Server", ".vscode-server-insiders", ".vscode-server-insiders", server=True),
    Editor("Cursor Server", ".cursor-server", ".cursor-server", server=True),
    Editor("Windsurf Server", ".windsurf-server", ".windsurf-server", server=True),
)


def editors(machine: Machine) -> list[Editor]:
    """The editors that have Amp's extension."""
    return [editor for editor in _installed(machine) if editor.extension_folders(machine)]


def _installed(machine: Machine) -> Iterator[Editor]:
    """The editors; of those that share their extensions, the ones that have been started here."""
    for editor in EDITORS:
        shared = [other for other in EDITORS if other.extensions == editor.extensions]
        if len(shared) == 1 or os.path.isdir(editor.settings(machine).parent):
            yield editor


def workspace_folders(start: Path, home: Path) -> list[Path]:
    """The folders whose settings apply in ``start``: from there up to the root of its repository; without
    one, up to but without the home directory or the root of the file system.
    """
    folders = []
    for folder in (start, *start.parents):
        if folder in (home, Path(folder.anchor)) and folder != start:
            return [start]
        folders.append(folder)
        if os.path.exists(folder / ".git"):
            return folders
    return [start]


#: The files of a workspace in which settings of Amp's may stand, relative to one of its folders.
WORKSPACE_SETTINGS = (".vscode/settings.json", ".amp/settings.json", ".amp/settings.jsonc")


#: The files that a user's shells and sessions read at their start, relative to the home directory.
SHELL_FILES = (
    ".profile",
    ".bash_profile",
    ".bash_login",
    ".bashrc",
    ".bash_aliases",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".zlogin",
    ".kshrc",
    ".cshrc",
    ".tcshrc",
    ".login",
    ".xprofile",
    ".xsessionrc",
    ".pam_environment",
    ".config/fish/config.fish",
    ".config/fish/conf.d/*.fish",
    ".config/fish/fish_variables",
    ".config/environment.d/*.conf",
    ".config/nushell/env.nu",
    ".config/nushell/config.nu",
)
#: The same for all users of the machine, relative to the root of the file system.
SYSTEM_SHELL_FILES = (
    "etc/environment",
    "etc/profile",
    "etc/profile.d/*.sh",
    "etc/bash.bashrc",
    "etc/zshenv",
    "etc/zsh/zshenv",
)
