"""The folder of logins: full, read-only, removed and made again; and a wall clock that is set meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
from typing import Any

import pytest

from ampproxy.credentials.oauth.store import Store
from tests.credentials.oauth.doubles import login_file
from tests.credentials.oauth.house import House


@pytest.fixture
def house(tmp_path: Any) -> Any:
    house = House(tmp_path / "auth")
    yield house
    house.logins.stop()


def told(house: Any, words: str) -> int:
    return sum(words in line for line in house.lines)


class Disk:
    """The system's calls, as they fail on a disk that is full or read-only."""

    def __init__(self, house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trouble = 0
        self._open, self._write = os.open, os.write
        self._folder = str(house.folder)
        monkeypatch.setattr(os, "open", self.open)
        monkeypatch.setattr(os, "write", self.write)

    def open(self, path: Any, flags: int, *more: Any, **named: Any) -> int:
        if self.trouble == errno.EROFS and str(path).startswith(self._folder) and flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return self._open(path, flags, *more, **named)

    def write(self, file: int, data: bytes) -> int:
        if self.trouble == errno.ENOSPC:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(file, data)


@pytest.mark.parametrize(
    ("trouble", "words"), [(errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system")]
)
def test_disk(house: Any, monkeypatch: pytest.MonkeyPatch, trouble: int, words: str) -> None:
    """A login that is due is not renewed, for its new token could not be kept: told once, in an hour of
    tries. The old token serves on, nobody asks the vendor; room is noticed by itself.
    """
    name = login_file(house.world, house.folder)
    disk = Disk(house, monkeypatch)
    house.logins.start()
    before = house.token()
    disk.trouble = trouble
    house.pass_(5600, 10)
    assert told(house, f"cannot be written: {words}") == 1
    assert (house.state(), house.token(), house.sent) == (["failing"], before, [])
    disk.trouble = 0
    house.pass_(400, 10)
    assert house.state() == ["ok"]
    assert Store(house.folder).read(name).access_token == house.token() != before
    assert told(house, "its token was renewed") == 1


def test_folder_removed(house: Any) -> None:
    """One line for all of its logins; nothing makes the folder anew, and when it is back they serve again."""
    login_file(house.world, house.folder, "claude")
    login_file(house.world, house.folder, "codex")
    house.logins.start()
    kept = house.folder.with_name("kept")
    shutil.copytree(house.folder, kept)
    shutil.rmtree(house.folder)
    house.pass_(7200, 5)
    assert house.logins.accounts() == ()
    assert told(house, "is missing") == 1
    assert told(house, "restored: 2 logins (claude:anna@example.org, codex:anna@example.org)") == 1
    assert not house.folder.exists()
    shutil.copytree(kept, house.folder)
    house.pass_(3)
    assert len(house.logins.accounts()) == 2
    house.pass_(7200, 5)
    assert house.state() == ["ok", "ok"]
    assert not [line for line in house.lines if "could not" in line or "failed" in line]


def test_folder_removed_while_due(house: Any) -> None:
    """A renewal that begins before the folder is missed does not make it either."""
    login_file(house.world, house.folder)
    house.logins.start()
    house.pass_(1790, 10)
    shutil.rmtree(house.folder)
    house.logins.accounts()[0].token.refused(house.logins.accounts()[0].token.current())
    house.pass_(5)
    assert not house.folder.exists()
    assert house.logins.accounts() == ()
    assert house.sent == []


def test_server_down(house: Any) -> None:
    """A login server that is away for an hour is one line, and its return another."""
    login_file(house.world, house.folder)
    house.logins.start()
    house.mode = "down"
    house.pass_(5400, 10)
    assert told(house, "could not be renewed") == 1
    house.mode = "well"
    house.pass_(400, 10)
    assert (house.state(), told(house, "its token was renewed")) == (["ok"], 1)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_clock_set(house: Any, jump: float) -> None:
    """Set forward, tokens seem to end and are renewed at once; set back, nothing waits an hour longer."""
    login_file(house.world, house.folder)
    house.logins.start()
    house.mode = "down"
    house.pass_(2000, 10)
    assert house.state() == ["failing"]
    house.mode = "well"
    house.offset += jump
    house.logins.clock_set()
    # By the clock that was set back the token is young; the vendor's clock has it end when it always did.
    house.pass_(30 if jump > 0 else 3500, 10)
    assert house.state() == ["ok"]
    assert house.world.server.knows(house.token())
    assert len(house.world.server.grants[0].spent) >= 1
