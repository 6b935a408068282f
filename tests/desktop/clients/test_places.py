"""Where the clients keep what, on both platforms, and which of them are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampproxy.amp.clients import Generation
from ampproxy.desktop.clients.installed import (
    NEWEST_CLASSIC,
    installed_clis,
    installed_editors,
    parse_version,
)
from ampproxy.desktop.clients.places import (
    EDITORS,
    Machine,
    cli_secrets,
    cli_settings,
    editors,
    managed_settings,
    secret_member,
    workspace_folders,
)


def machine(home: Path, platform: str = "linux", **environ: str) -> Machine:
    return Machine(home, environ, platform, home / "root")


def put(path: Path, text: str = "{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_cli_files(tmp_path):
    """Below the home directory, unless the XDG variables say otherwise; relative ones do not count."""
    plain = machine(tmp_path)
    assert cli_settings(plain) == tmp_path / ".config/amp/settings.json"
    assert cli_secrets(plain) == tmp_path / ".local/share/amp/secrets.json"
    moved = machine(tmp_path, XDG_CONFIG_HOME=f"{tmp_path}/c", XDG_DATA_HOME=f"{tmp_path}/d")
    assert cli_settings(moved) == tmp_path / "c/amp/settings.json"
    assert cli_secrets(moved) == tmp_path / "d/amp/secrets.json"
    assert cli_settings(machine(tmp_path, XDG_CONFIG_HOME="c")) == tmp_path / ".config/amp/settings.json"
    assert cli_settings(machine(tmp_path, AMP_SETTINGS_FILE="/x/y.json")) == Path("/x/y.json")


def test_commented_settings(tmp_path):
    """settings.jsonc is the file where it is the only one."""
    commented = put(tmp_path / ".config/amp/settings.jsonc")
    assert cli_settings(machine(tmp_path)) == commented
    plain = put(tmp_path / ".config/amp/settings.json")
    assert cli_settings(machine(tmp_path)) == plain


def test_secret_member():
    """The address is taken letter by letter."""
    assert secret_member("http://127.0.0.1:8317") == "apiKey@http://127.0.0.1:8317"


def test_editors(tmp_path):
    """Settings are where each platform has them; an editor counts if Amp's extension is installed in it."""
    code = EDITORS[0]
    assert code.settings(machine(tmp_path)) == tmp_path / ".config/Code/User/settings.json"
    mac = tmp_path / "Library/Application Support/Code/User/settings.json"
    assert code.settings(machine(tmp_path, "darwin")) == mac
    assert editors(machine(tmp_path)) == []
    (tmp_path / ".cursor/extensions/sourcegraph.amp-0.0.1772799397-universal").mkdir(parents=True)
    (tmp_path / ".vscode/extensions/somebody.else-1.0.0").mkdir(parents=True)
    (tmp_path / ".vscode-oss/extensions/sourcegraph.amp-0.0.1767830505").mkdir(parents=True)
    (tmp_path / ".config/VSCodium/User").mkdir(parents=True)
    assert [editor.name for editor in editors(machine(tmp_path))] == ["VSCodium", "Cursor"]
    (tmp_path / ".cursor/extensions/sourcegraph.amp-0.0.1784106548-universal").mkdir()
    found = {one.name: one for one in installed_editors(machine(tmp_path))}
    assert found["Cursor"].version == parse_version("0.0.1784106548")
    assert found["VSCodium"].version.generation is Generation.CLASSIC


def test_profiles_and_servers(tmp_path):
    """Other profiles have settings of their own; servers have a machine's."""
    profile = put(tmp_path / ".config/Code/User/profiles/1a2b/settings.json")
    assert EDITORS[0].profiles(machine(tmp_path)) == [profile]
    server = next(editor for editor in EDITORS if editor.name == "VS Code Server")
    assert server.settings(machine(tmp_path)) == tmp_path / ".vscode-server/data/Machine/settings.json"


def test_managed(tmp_path):
    """An administrator's settings are the machine's."""
    assert managed_settings(machine(tmp_path)) == tmp_path / "root/etc/ampcode/managed-settings.json"
    assert "Application Support/ampcode" in str(managed_settings(machine(tmp_path, "darwin")))


def test_workspaces(tmp_path):
    """Folders up to the repository's root count; without a repository only the one that one is in."""
    inner = tmp_path / "repo/a/b"
    inner.mkdir(parents=True)
    assert workspace_folders(inner, tmp_path) == [inner]
    (tmp_path / "repo/.git").mkdir()
    assert workspace_folders(inner, tmp_path) == [inner, inner.parent, tmp_path / "repo"]
    assert workspace_folders(tmp_path, tmp_path) == [tmp_path]


@pytest.mark.parametrize(
    ("text", "version", "generation"),
    [
        (
            "0.0.1777897475-g2324e1 (released 2026-05-04T12:28:29.210Z, 6mo ago)",
            NEWEST_CLASSIC,
            Generation.CLASSIC,
        ),
        ("0.0.1784106548-gd81d8b", "0.0.1784106548-gd81d8b", Generation.NEO),
        ("0.0.1780000000-g0a0b0c", "0.0.1780000000-g0a0b0c", None),
        ("0.0.1790142911", "0.0.1790142911", Generation.NEO),
    ],
)
def test_versions(text, version, generation):
    """A version tells when it was built, and so its generation."""
    found = parse_version(text)
    assert (found.text, found.generation) == (version, generation)


def test_other_programs():
    """Editors and other vendors have programs of the same name."""
    assert parse_version("amp 0.7.1") is None
    assert parse_version("1.2.3456789012345") is None
    assert parse_version("0.0.1777897475-g2324e1").day == "2026-05-04"


def executable(path: Path) -> Path:
    put(path, "#!/bin/sh\n").chmod(0o755)
    return path


def test_installed_by_the_installer(tmp_path):
    """The installer's folder counts without being on PATH; AMP_HOME moves it."""
    usual, moved = executable(tmp_path / ".amp/bin/amp"), executable(tmp_path / "moved/bin/amp")

    def run(path: Path) -> str:
        return "0.0.1790142911-g7618fb"

    assert [one.path for one in installed_clis(machine(tmp_path), run)] == [usual]
    there = machine(tmp_path, AMP_HOME=str(tmp_path / "moved"))
    assert [one.path for one in installed_clis(there, run)] == [moved]


def test_installed_clis(tmp_path):
    """Each amp on PATH is found once, by its package or by asking it; others of that name are left out."""
    package = tmp_path / "lib/node_modules/@sourcegraph/amp"
    program = executable(package / "dist/main.js")
    put(package / "package.json", '{"name": "@sourcegraph/amp", "version": "0.0.1777897475-g2324e1"}')
    for folder in ("bin", "bin2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "amp").symlink_to(program)
    native = executable(tmp_path / "native/amp")
    executable(tmp_path / "editor/amp")
    put(tmp_path / "plain/amp")
    executable(tmp_path / ".amp/bin/amp")
    said = {native: "0.0.1790142911-g7618fb (released ...)", tmp_path / "editor/amp": "amp 0.7.1"}
    asked: list[Path] = []

    def run(path: Path) -> str:
        asked.append(path)
        return said.get(path, "")

    path = ":".join(str(tmp_path / name) for name in ("bin", "plain", "native", "bin2", "editor", "nowhere"))
    found = installed_clis(machine(tmp_path, PATH=f"relative:{path}"), run)
    assert [(one.path, one.version.text) for one in found] == [
        (tmp_path / "bin/amp", NEWEST_CLASSIC),
        (native, "0.0.1790142911-g7618fb"),
    ]
    assert asked == [native, tmp_path / "editor/amp", tmp_path / ".amp/bin/amp"]
