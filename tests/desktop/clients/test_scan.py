"""Every place that tells a client an address or a key is found."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampproxy.desktop.clients.files import MAX_FILE
from ampproxy.desktop.clients.places import Machine
from ampproxy.desktop.clients.scan import Unread, same_address, scan, secrets, shown_url
from ampproxy.wire.jsonc import BadJsonc
from tests.desktop.clients.test_places import machine, put

KEY = "canary-key-31d5"


def told(one: Machine, cwd) -> list[tuple[str, str, str, str]]:
    found, unread = scan(one, cwd)
    assert unread == []
    return [
        (
            place.scope,
            place.where.replace(str(one.home), "~"),
            place.name,
            place.value if place.key is None else place.key.reveal(),
        )
        for place in found
    ]


def test_environment(tmp_path):
    """Variables of the environment; a key is kept as a secret."""
    one = machine(tmp_path, AMP_URL="http://a.test", AMP_API_KEY=KEY, HOME="x")
    assert told(one, tmp_path) == [
        ("environment", "the environment", "AMP_URL", "http://a.test"),
        ("environment", "the environment", "AMP_API_KEY", KEY),
    ]
    assert KEY not in repr(scan(one, tmp_path))


@pytest.mark.parametrize(
    ("file", "line", "name", "value"),
    [
        (".bashrc", "export AMP_URL=http://a.test", "AMP_URL", "http://a.test"),
        (".zshrc", "alias amp='AMP_URL=http://a.test amp'", "AMP_URL", "http://a.test"),
        (".profile", f'A=1; AMP_API_KEY="{KEY}" ; export AMP_API_KEY', "AMP_API_KEY", KEY),
        (".config/fish/config.fish", "set -gx AMP_URL http://a.test", "AMP_URL", "http://a.test"),
        (".config/fish/conf.d/a.fish", f"set -x AMP_API_KEY '{KEY}'", "AMP_API_KEY", KEY),
        (
            ".config/fish/fish_variables",
            r"SETUVAR --export AMP_URL:http\x3a//a.test",
            "AMP_URL",
            "http://a.test",
        ),
        (".cshrc", "setenv AMP_URL http://a.test # mine", "AMP_URL", "http://a.test"),
        (".pam_environment", "AMP_URL DEFAULT=http://a.test", "AMP_URL", "http://a.test"),
        (".config/environment.d/1.conf", "AMP_URL=http://a.test", "AMP_URL", "http://a.test"),
        (".config/nushell/env.nu", '$env.AMP_URL = "http://a.test"', "AMP_URL", "http://a.test"),
        ("root/etc/environment", "AMP_URL=http://a.test", "AMP_URL", "http://a.test"),
        ("root/etc/profile.d/amp.sh", "export AMP_SETTINGS_FILE=/x", "AMP_SETTINGS_FILE", "/x"),
    ],
)
def test_shells(tmp_path, file, line, name, value):
    """A variable that a shell's file sets is found with its line, however that shell writes it."""
    put(tmp_path / file, f"# AMP_URL=http://no.test\n\n{line}\n")
    assert told(machine(tmp_path), tmp_path) == [("shell", f"~/{file}:3", name, value)]


def test_not_set(tmp_path):
    """What only reads, unsets or comments is not taken for a setting."""
    put(
        tmp_path / ".bashrc",
        'echo $AMP_URL "${AMP_URL:-x}"\nunset AMP_URL\nx=1 # AMP_URL=http://no.test\nMY_AMP_URL=http://no.test\n',
    )
    assert told(machine(tmp_path), tmp_path) == []


def test_settings(tmp_path):
    """The CLI's settings, those of editors and their profiles, and the administrator's."""
    text = f'// c\n{{"amp.url": "http://a.test/", "amp.apiKey": "{KEY}",}}'
    put(tmp_path / ".config/amp/settings.json", text)
    put(tmp_path / ".config/Cursor/User/settings.json", '{"amp.url": "http://b.test"}')
    put(tmp_path / ".config/Code/User/profiles/p/settings.json", '{"amp.url": "http://c.test"}')
    put(tmp_path / "root/etc/ampcode/managed-settings.json", '{"amp.url": "http://d.test"}')
    assert told(machine(tmp_path), tmp_path) == [
        ("settings", "~/.config/amp/settings.json", "amp.url", "http://a.test/"),
        ("settings", "~/.config/amp/settings.json", "amp.apiKey", KEY),
        ("managed", "~/root/etc/ampcode/managed-settings.json", "amp.url", "http://d.test"),
        ("editor", "~/.config/Code/User/profiles/p/settings.json", "amp.url", "http://c.test"),
        ("editor", "~/.config/Cursor/User/settings.json", "amp.url", "http://b.test"),
    ]


def test_workspace(tmp_path):
    """The files of a repository, from the folder that one works in up to its root."""
    repo = tmp_path / "repo"
    (repo / ".git").mkdir(parents=True)
    put(repo / ".vscode/settings.json", '{"amp.url": "http://a.test"}')
    put(repo / "sub/.amp/settings.jsonc", '{"amp.url": "http://b.test"}')
    put(repo / "x.code-workspace", '{"folders": [], "settings": {"amp.url": "http://c.test"}}')
    put(repo / ".envrc", f"export AMP_API_KEY={KEY}\n")
    assert told(machine(tmp_path), repo / "sub") == [
        ("workspace", "~/repo/sub/.amp/settings.jsonc", "amp.url", "http://b.test"),
        ("workspace", "~/repo/.vscode/settings.json", "amp.url", "http://a.test"),
        ("workspace", "~/repo/x.code-workspace", "amp.url", "http://c.test"),
        ("workspace", "~/repo/.envrc:1", "AMP_API_KEY", KEY),
    ]


def test_unread(tmp_path):
    """A file that is broken or too large is told of, and nothing of what is in it."""
    put(tmp_path / ".config/amp/settings.json", f'{{\n"amp.url" "{KEY}"}}')
    put(tmp_path / ".bashrc", "")
    os.truncate(tmp_path / ".bashrc", MAX_FILE + 1)
    found, unread = scan(machine(tmp_path), tmp_path)
    assert found == []
    assert unread[0] == Unread("shell", str(tmp_path / ".bashrc"), f"it has more than {MAX_FILE >> 20} MiB")
    assert "line 2: expected a colon" in unread[1].why
    assert KEY not in repr(unread)


def test_secrets(tmp_path):
    """The CLI's keys, by the address that each is for."""
    assert secrets(machine(tmp_path)) == []
    file = put(tmp_path / ".local/share/amp/secrets.json", f'{{"apiKey@http://a.test": "{KEY}", "x": "y"}}')
    (kept,) = secrets(machine(tmp_path))
    assert (kept.url, kept.key.reveal()) == ("http://a.test", KEY)
    for broken in ("[", f'{{"apiKey@http://a.test": "{KEY}",}}', "// c\n{}"):
        file.write_text(broken)
        with pytest.raises(BadJsonc):
            secrets(machine(tmp_path))


def test_byte_order_mark(tmp_path):
    """A mark that Amp's CLI does not take is told of."""
    file = put(tmp_path / ".config/amp/settings.json", "")
    file.write_bytes(b'\xef\xbb\xbf{"amp.url": "http://a.test"}')
    found, unread = scan(machine(tmp_path), tmp_path)
    assert found == []
    assert "byte order mark" in unread[0].why


def test_shown():
    """An address is shown without what could be a secret."""
    assert shown_url("https://user:pw@a.test:8317/x?key=1#f") == "https://a.test:8317/x"
    assert shown_url("http://[::1]:1/") == "http://[::1]:1/"
    assert [shown_url(url) for url in ("", "$X", "ftp://a", "http://a:b", "http://[")] == ["(no address)"] * 5
    assert same_address("http://A.test/", "http://a.test")


@settings(deadline=None, max_examples=40)
@given(
    st.one_of(st.binary(max_size=80), st.text("AMP_URLKEYI =:'\"$\n#{}set\\x", max_size=60).map(str.encode))
)
def test_any_bytes(tmp_path_factory, data):
    """Whatever is in the files, they are read or told of as unread."""
    home = tmp_path_factory.mktemp("home")
    for name in (".bashrc", ".config/amp/settings.json", "x.code-workspace", ".config/fish/fish_variables"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    found, _ = scan(machine(home), home)
    assert all(place.value or place.key for place in found)
