"""Set up and taken back: every file ends as it began, byte by byte."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampproxy.desktop.clients import files
from ampproxy.desktop.clients.journal import Journal
from ampproxy.desktop.clients.setup import Refused, Text, Wanted, apply, look_back, new_key, plan, take_back
from tests.wire.test_jsonc import files as odd_files

#: What Amp's CLI takes for its keys.
plain_files = st.builds(
    lambda content, indent: json.dumps(content, indent=indent).encode(),
    st.dictionaries(st.text(max_size=9), st.none() | st.text(max_size=9) | st.lists(st.integers())),
    st.sampled_from([None, 0, 2, "\t"]),
)
URL, KEY = "http://127.0.0.1:8317", "canary-client-key-77ab"
SECRET = f"apiKey@{URL}"


class Desk:
    """The files of a CLI and of an editor, a configuration, and the journal of what was done to them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = home / "config/amp/settings.json"
        self.secrets = home / "data/amp/secrets.json"
        self.editor = home / "config/Code/settings.json"
        self.config = home / "config.yaml"
        self.journal = Journal(home / "state/setup")

    def wanted(self, url: str = URL, key: str = KEY) -> list[Wanted]:
        return [
            Wanted(self.settings, "settings", (Text("amp.url", url),)),
            Wanted(self.secrets, "keys", (Text(f"apiKey@{url}", key, secret=True),), "secrets"),
            Wanted(self.editor, "an editor", (Text("amp.url", url),), "editor"),
            Wanted(self.config, "configuration", (Text("api-keys", key, secret=True),), "config"),
        ]

    def set_up(self, url: str = URL, key: str = KEY) -> None:
        apply(plan(self.wanted(url, key), self.journal), self.journal)


def tree(folder: Path, *parts: str) -> dict[str, tuple[int, bytes | str]]:
    """All that is in a folder, or in parts of it: modes, contents, where links lead."""
    tops = [folder / part for part in parts or ("",)]
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b"",
        )
        for top in tops
        for path in sorted([top, *top.rglob("*")])
        if path.exists() or path.is_symlink()
    }


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.fixture
def desk(tmp_path):
    put(tmp_path / "config.yaml", "# mine\nport: 8317\n")
    return Desk(tmp_path)


def test_from_nothing(desk):
    """Files and folders that were not there are made for their owner alone, and are gone again."""
    before = tree(desk.home)
    desk.set_up()
    assert json.loads(desk.settings.read_text()) == {"amp.url": URL}
    assert json.loads(desk.secrets.read_text()) == {SECRET: KEY}
    assert desk.config.read_text() == f'# mine\nport: 8317\napi-keys:\n  - "{KEY}"\n'
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (desk.settings, desk.secrets)}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(desk.secrets.parent.stat().st_mode) == 0o700
    take_back(desk.journal)
    assert tree(desk.home) == before


@settings(deadline=None, max_examples=20)
@given(
    odd_files(),
    st.none() | plain_files,
    st.sampled_from(["port: 1\n", "api-keys: [] # c\r\nport: 1", "a: 1"]),
)
def test_any_files(tmp_path_factory, first, second, config):
    """Whatever the files look like: set up, they say what they should; taken back, they are as before."""
    desk = Desk(tmp_path_factory.mktemp("home"))
    put(desk.editor, first)
    if not first.startswith(b"\xef"):
        put(desk.settings, first)
    if second is not None:
        put(desk.secrets, second)
    put(desk.config, config)
    before = tree(desk.home)
    # Waiting for the disk is most of the time, and proves nothing here.
    with mock.patch.object(os, "fsync"):
        desk.set_up()
        assert plan(desk.wanted(), desk.journal) == []
        desk.set_up("https://other.test", "other-key")
        take_back(desk.journal)
    assert tree(desk.home) == before


def test_twice_is_once(desk):
    """A second time nothing is left to do, and nothing more to take back."""
    desk.set_up()
    after = tree(desk.home)
    assert plan(desk.wanted(), desk.journal) == []
    assert tree(desk.home) == after


def test_another_address(desk):
    """Set up for another gateway, nothing of the first is left; taken back, all is as before the first."""
    put(desk.settings, '{"amp.url": "https://ampcode.com/", "b": [1,], } // c')
    put(desk.secrets, '{"apiKey@https://ampcode.com/":"canary-amp-key"}')
    before = tree(desk.home)
    desk.set_up()
    desk.set_up("http://other.test:1", "other-key")
    assert KEY not in desk.secrets.read_text() + desk.config.read_text()
    assert json.loads(desk.secrets.read_text())["apiKey@https://ampcode.com/"] == "canary-amp-key"
    take_back(desk.journal)
    assert tree(desk.home) == before


def test_modes_and_links(desk):
    """A file keeps its mode, and the link that leads to it stays a link, to the same file."""
    target = put(desk.home / "dotfiles/amp.json", '{"a": 1}\n')
    target.chmod(0o640)
    desk.settings.parent.mkdir(parents=True)
    desk.settings.symlink_to("../../dotfiles/amp.json")
    desk.secrets.parent.mkdir(parents=True)
    desk.secrets.symlink_to(desk.home / "dotfiles/new/secrets.json")
    before = tree(desk.home)
    desk.set_up()
    assert os.readlink(desk.settings) == "../../dotfiles/amp.json"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert json.loads(target.read_text()) == {"a": 1, "amp.url": URL}
    assert json.loads((desk.home / "dotfiles/new/secrets.json").read_text()) == {SECRET: KEY}
    take_back(desk.journal)
    assert tree(desk.home) == before


def test_changed_since(desk):
    """What the user wrote meanwhile stays; only what setup wrote is taken out, or put back."""
    put(desk.settings, '{\n  "amp.url": "https://ampcode.com/"\n}\n')
    desk.set_up()
    put(desk.settings, desk.settings.read_text().replace("{\n", '{\n  "mine": 1, // mine\n'))
    put(desk.secrets, json.dumps({**json.loads(desk.secrets.read_text()), "mine": "x"}))
    put(desk.config, desk.config.read_text() + "debug: true # mine\n")
    done = take_back(desk.journal)
    assert desk.settings.read_text() == '{\n  "mine": 1, // mine\n  "amp.url": "https://ampcode.com/"\n}\n'
    assert json.loads(desk.secrets.read_text()) == {"mine": "x"}
    assert desk.config.read_text() == "# mine\nport: 8317\ndebug: true # mine\n"
    changed = [back.how for back in done.files if back.path != desk.editor]
    assert set(changed) == {"modified since; removing only what setup added"}
    assert not desk.journal.folder.exists()


def test_own_value_since(desk):
    """An address that the user has set since is the user's: it stays, and that is said."""
    desk.set_up()
    put(desk.settings, '{"amp.url": "http://mine.test"}')
    put(desk.secrets, "{\n\n}")
    (kept, emptied, *_) = take_back(desk.journal).files
    assert kept.left == ("amp.url",)
    assert desk.settings.read_text() == '{"amp.url": "http://mine.test"}'
    assert emptied.then is None
    assert not desk.secrets.exists()


def test_set_up_again_after_a_change(desk):
    """A change between two setups is the user's, too: it survives the taking back."""
    put(desk.settings, '{"a": 1}')
    desk.set_up()
    put(desk.settings, desk.settings.read_text().replace('"a": 1', '"a": 2 /* mine */'))
    desk.set_up("http://other.test", "other-key")
    take_back(desk.journal)
    assert desk.settings.read_text() == '{"a": 2 /* mine */}'


def test_gone_since(desk):
    """A file that the user has removed stays removed."""
    desk.set_up()
    desk.settings.unlink()
    done = take_back(desk.journal)
    assert done.files[0].how in ("is missing", "is as it was")
    assert not desk.settings.exists()
    assert not desk.settings.parent.exists()


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("settings", '{"a": 1,,}', "line 1"),
        ("settings", '{"amp.url": 1, "amp.url": 2}', "is defined twice"),
        ("settings", b"\xef\xbb\xbf{}", "byte order mark"),
        ("secrets", "[]", "expected an object"),
        ("secrets", '{"a": 1,}', "line 1: not plain JSON"),
        ("secrets", "{}\n// c", "line 2: not plain JSON"),
        ("editor", '{"a": }', "line 1: expected a value"),
        ("settings", b"\xff\xfe{\x00}\x00", "not UTF-8"),
        ("config", "{port: 1}", "no place for it"),
    ],
)
def test_broken_files_are_refused(desk, name, text, why):
    """One file that cannot be read stops everything: nothing is written anywhere."""
    put(getattr(desk, name), text)
    before = tree(desk.home)
    with pytest.raises(Refused, match=why):
        plan(desk.wanted(), desk.journal)
    assert tree(desk.home) == before


def test_broken_since(desk):
    """A file that has become unreadable since is left, told of, and tried again the next time."""
    desk.set_up()
    good = desk.settings.read_bytes()
    put(desk.settings, "{" + KEY)
    done = take_back(desk.journal)
    (failed,) = done.failed
    assert failed.path == desk.settings
    assert KEY not in str(failed)
    assert desk.settings.read_text() == "{" + KEY
    assert not desk.secrets.exists()
    put(desk.settings, good)
    assert take_back(desk.journal).failed == ()
    assert not desk.settings.exists()


def test_one_file_cannot_be_written(desk, monkeypatch):
    """If a file cannot be written, those before it are as they were."""
    before = tree(desk.home)
    write = files.write

    def failing(path: Path, data: bytes) -> None:
        if path == desk.config:
            raise PermissionError(13, "Permission denied")
        write(path, data)

    changes = plan(desk.wanted(), desk.journal)
    monkeypatch.setattr(files, "write", failing)
    with pytest.raises(Refused, match="Permission denied"):
        apply(changes, desk.journal)
    assert tree(desk.home) == before


def test_changed_at_this_moment(desk):
    """A file that changes between the question and the answer is not overwritten."""
    changes = plan(desk.wanted(), desk.journal)
    put(desk.secrets, '{"mine": 1}')
    with pytest.raises(Refused, match="has just been changed"):
        apply(changes, desk.journal)
    assert desk.secrets.read_text() == '{"mine": 1}'
    assert not desk.settings.exists()


class Died(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("moment", range(1, 8))
def test_killed_on_the_way(desk, monkeypatch, moment):
    """Whenever the process dies, what it had done can be taken back."""
    put(desk.settings, '{"a": 1}')
    config = desk.config.read_bytes()
    write, count = files.write, iter(range(1, 99))

    def dying(path: Path, data: bytes) -> None:
        if next(count) == moment:
            raise Died
        write(path, data)

    changes = plan(desk.wanted(), desk.journal)
    monkeypatch.setattr(files, "write", dying)
    with pytest.raises(Died):
        apply(changes, desk.journal)
    monkeypatch.undo()
    take_back(desk.journal)
    assert desk.settings.read_text() == '{"a": 1}'
    assert desk.config.read_bytes() == config
    assert not desk.secrets.exists()


def test_the_journal_holds_no_key(desk):
    """The list is of digests; copies of files are for their owner alone."""
    put(desk.settings, "{}")
    desk.set_up()
    assert KEY not in (desk.journal.folder / "manifest.json").read_text()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in desk.journal.folder.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(desk.journal.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("text", ["", "{", '{"version": 2}'])
def test_broken_journal(desk, text):
    """Without knowing what was changed, nothing is changed."""
    put(desk.journal.folder / "manifest.json", text)
    for action in (lambda: plan(desk.wanted(), desk.journal), lambda: look_back(desk.journal)):
        with pytest.raises(Refused, match=r"manifest\.json"):
            action()


def test_lost_copy(desk):
    """A file whose copy is gone is left as it is."""
    put(desk.settings, '{"a": 1}')
    desk.set_up()
    copies: Iterable[Path] = desk.journal.folder.glob("*.copy")
    for copy in copies:
        copy.unlink()
    changed = desk.settings.read_bytes()
    assert {failed.path for failed in take_back(desk.journal).failed} == {desk.settings, desk.config}
    assert desk.settings.read_bytes() == changed


def test_keys_are_new():
    """Each key is another, and long."""
    keys = {new_key() for _ in range(9)}
    assert len(keys) == 9
    assert min(map(len, keys)) >= 43
