"""What changes in the folder of logins is seen within 2 seconds, and nothing else is."""

from __future__ import annotations

import os

from ampproxy.credentials.oauth.watch import INTERVAL, Changes, Watcher

NOW = 2_000_000_000.0


def put(path, text, age=100.0):
    path.write_text(text)
    os.utime(path, (NOW - age, NOW - age))


def test_a_life(tmp_path):
    """A file appears, is left alone, changes, and goes."""
    watcher = Watcher(tmp_path)
    assert watcher.look(NOW) == Changes()
    file = tmp_path / "a.json"
    put(file, "1")
    assert watcher.look(NOW) == Changes(appeared=("a.json",))
    assert not watcher.look(NOW)
    put(file, "22")
    assert watcher.look(NOW) == Changes(changed=("a.json",))
    assert not watcher.look(NOW)
    file.unlink()
    assert not watcher.look(NOW)
    assert watcher.look(NOW) == Changes(vanished=("a.json",))
    assert not watcher.look(NOW)
    assert 2 * INTERVAL < 2


def test_replaced_by_rename(tmp_path):
    """A replacement by rename of the same size and age is a change."""
    file, other = tmp_path / "a.json", tmp_path / "b"
    put(file, "1")
    watcher = Watcher(tmp_path)
    watcher.look(NOW)
    put(other, "2")
    other.rename(file)
    assert watcher.look(NOW) == Changes(changed=("a.json",))


def test_removed_and_written_again(tmp_path):
    """A program that removes the file before it writes the new one logs nobody out."""
    file = tmp_path / "a.json"
    put(file, "1")
    watcher = Watcher(tmp_path)
    watcher.look(NOW)
    file.unlink()
    assert not watcher.look(NOW)
    put(file, "22")
    assert watcher.look(NOW) == Changes(changed=("a.json",))


def test_written_twice_within_a_second(tmp_path):
    """Where the file system's times are too coarse to tell two writes apart, the file is read once more."""
    file = tmp_path / "a.json"
    put(file, "1", age=0.5)
    watcher = Watcher(tmp_path)
    watcher.look(NOW)
    assert watcher.look(NOW) == Changes(changed=("a.json",))
    assert watcher.look(NOW + 5) == Changes(changed=("a.json",))
    assert not watcher.look(NOW + 6)


def test_what_is_no_login(tmp_path):
    """Locks, temporary files, notes and a folder that is not there yet mean nothing."""
    watcher = Watcher(tmp_path / "auth")
    assert not watcher.look(NOW)
    (tmp_path / "auth").mkdir()
    for name in (".a.json.lock", ".a.json.ff.tmp", "notes.txt", ".b.json"):
        put(tmp_path / "auth" / name, "1")
    assert not watcher.look(NOW)
    put(tmp_path / "auth" / "c.json", "1")
    assert watcher.look(NOW).appeared == ("c.json",)
