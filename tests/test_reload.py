"""A changed configuration file takes effect once, whole, and however it was changed."""

from __future__ import annotations

import os
import unittest
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from unittest.mock import patch

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger

from ampproxy.cli.reload import _by_itself
from ampproxy.config.load import load
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError
from ampproxy.reload import (
    INTERVAL,
    STILL,
    WRITING_TIMEOUT,
    ConfigWatch,
    Reloader,
    Snapshot,
    is_being_written,
)
from ampproxy.status import ReloadReport, Status

FIRST = "port: 1001\n"
SECOND = "port: 1002\n"


def system_tells() -> bool:
    with NamedTemporaryFile() as file:
        return is_being_written(Path(file.name))


class Watching(unittest.TestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "config.yaml"
        self.path.write_text(FIRST)
        self.clock = Clock()
        self.events: list[dict[str, object]] = []
        self.ports: list[int] = []
        self.keys: list[tuple[str, ...]] = []
        self.watched: ConfigWatch | None = None
        self.watch()

    def watch(self) -> None:
        def read(by: Callable[[Path], bytes]) -> Config:
            return load(self.path, environ={}, home=self.folder, read=by)

        def use(config: Config) -> tuple[str, ...]:
            if config.port == 666:
                raise ConfigError(("port: 666 is taken",))
            if config.port == 500:
                raise KeyError("a defect")
            self.ports.append(config.port)
            self.keys.append(tuple(key.reveal() for key in config.api_keys))
            return (f"port: {config.port}",)

        snapshot = Snapshot()
        read(snapshot.read)
        log = Logger(observer=self.events.append)
        reloader = Reloader(
            self.path,
            read,
            use,
            generation=lambda: len(self.ports) + 1,
            snapshot=snapshot,
            wall=lambda: 1_700_000_000.0,
            log=log,
        )
        if self.watched is not None:
            self.watched.stop()
        self.watched = ConfigWatch(reloader, clock=self.clock, log=log)
        self.watched.start()
        self.addCleanup(self.watched.stop)

    def load(self) -> ReloadReport:
        assert self.watched is not None
        return self.watched.load()

    @property
    def last(self) -> ReloadReport:
        assert self.watched is not None
        assert self.watched.last is not None
        return self.watched.last

    def wait(self, seconds: float = 2.0) -> None:
        self.clock.pump([INTERVAL] * int(seconds / INTERVAL))

    def test_nothing_changed(self) -> None:
        """A file that stays as it is is read once, at the start."""
        self.wait(60)
        self.assertEqual(self.ports, [])

    def test_written_in_place(self) -> None:
        """Within two seconds, once."""
        self.path.write_text(SECOND)
        self.wait()
        self.assertEqual(self.ports, [1002])

    def test_replaced_by_rename(self) -> None:
        """As most editors and configuration managers do it."""
        other = self.folder / "new"
        other.write_text(SECOND)
        os.replace(other, self.path)
        self.wait()
        self.assertEqual(self.ports, [1002])

    def test_removed_and_made_again(self) -> None:
        """While it is gone the old one holds, which is said once."""
        self.path.unlink()
        self.wait(10)
        self.assertEqual(self.ports, [])
        self.assertEqual(len(self.events), 1)
        self.path.write_text(SECOND)
        self.wait()
        self.assertEqual(self.ports, [1002])

    def test_turned_link(self) -> None:
        """A link to another file."""
        one, two = self.folder / "one", self.folder / "two"
        one.write_text(FIRST)
        two.write_text(SECOND)
        self.path.unlink()
        self.path.symlink_to(one)
        self.wait()
        turn(self.path, two)
        self.wait()
        self.assertEqual(self.ports, [1002])

    def test_turned_link_of_a_folder(self) -> None:
        """A link further up, as in mounted config maps: the configuration and its secrets change together."""
        for name, port in (("one", 1001), ("two", 1002)):
            (self.folder / name).mkdir()
            (self.folder / name / "key").write_text(name)
            text = f'port: {port}\napi-keys: ["file:{self.folder}/..data/key"]\n'
            (self.folder / name / "config.yaml").write_text(text)
        (self.folder / "..data").symlink_to("one")
        self.path.unlink()
        self.path.symlink_to("..data/config.yaml")
        self.watch()
        self.wait()
        self.ports.clear()
        self.keys.clear()
        turn(self.folder / "..data", Path("two"))
        self.wait()
        self.assertEqual(self.ports, [1002])
        self.assertEqual(self.keys, [("two",)])

    def test_two_writes(self) -> None:
        """A file that is being written is not read by halves, though the half would be right."""
        with self.path.open("w") as file:
            file.write("port: 10")
            file.flush()
            self.wait(STILL - INTERVAL)
            file.write("02\n")
        self.wait()
        self.assertEqual(self.ports, [1002])

    @unittest.skipUnless(system_tells(), "not every system tells who has a file open")
    def test_two_writes_far_apart(self) -> None:
        """As long as the writer has it open, for some seconds, it may pause in the midst of it."""
        with self.path.open("w") as file:
            file.write("port: 10")
            file.flush()
            self.wait(WRITING_TIMEOUT - 1)
            self.assertEqual(self.ports, [])
            file.write("02\n")
        self.wait()
        self.assertEqual(self.ports, [1002])

    @unittest.skipUnless(system_tells(), "not every system tells who has a file open")
    def test_kept_open(self) -> None:
        """Who never closes it does not keep it from being read for ever."""
        with self.path.open("w") as file:
            file.write(SECOND)
            file.flush()
            self.wait(WRITING_TIMEOUT + 2)
            self.assertEqual(self.ports, [1002])

    def test_opened_and_closed_twice(self) -> None:
        """As a script does that adds to it."""
        self.path.write_text("port: 10")
        self.wait(STILL - INTERVAL)
        with self.path.open("a") as file:
            file.write("02\n")
        self.wait()
        self.assertEqual(self.ports, [1002])

    def test_changes_each_time(self) -> None:
        """One change after another, each in force once."""
        for port in range(1002, 1010):
            self.path.write_text(f"port: {port}\n")
            self.wait()
        self.assertEqual(self.ports, [*range(1002, 1010)])

    def test_secret_in_a_file(self) -> None:
        """Another secret in the same file is another configuration; so is one that was not there."""
        key = self.folder / "key"
        self.path.write_text(f'port: 1001\napi-keys: ["file:{key}"]\n')
        self.wait()
        self.assertIn("cannot be read", self.last.complaints[0])
        for secret in ("first", "second"):
            key.write_text(secret)
            self.wait()
        self.assertEqual(self.keys, [("first",), ("second",)])

    def test_certificate(self) -> None:
        """Another certificate in the same file, too."""
        cert, pem = self.folder / "cert.pem", self.folder / "key.pem"
        cert.write_text("one")
        pem.write_text("one")
        self.path.write_text(f"tls: {{enable: true, cert: {cert}, key: {pem}}}\n")
        self.wait()
        cert.write_text("two")
        pem.write_text("two")
        self.wait()
        self.assertEqual(len(self.ports), 2)

    def test_unreadable_now(self) -> None:
        """A key that could be read at the start stays, if the service may not read it any more."""
        key = self.folder / "key"
        key.write_text("secret")
        before = Snapshot()
        self.assertEqual(before.read(key), b"secret")
        self.assertTrue(before.is_current())
        with patch("ampproxy.reload._read", side_effect=PermissionError(13, "Permission denied")):
            after = Snapshot(before)
            self.assertEqual(after.read(key), b"secret")
            self.assertEqual(after.unreadable, [key])
            self.assertTrue(before.is_current())
            self.assertTrue(after.is_current())
            fresh = Snapshot()
            with self.assertRaises(PermissionError):
                fresh.read(key)
            self.assertTrue(fresh.is_current())
        self.assertFalse(fresh.is_current())
        self.assertTrue(after.is_current())
        key.write_text("another")
        self.assertFalse(after.is_current())

    def test_unreadable_is_told(self) -> None:
        """Who asks for a reload hears that the file could not be read, and not only that nothing changed."""
        self.wait()
        self.path.write_text(SECOND)
        with patch("ampproxy.reload._read", side_effect=PermissionError(13, "Permission denied")):
            report = self.load()
        self.assertEqual(self.ports, [1001])
        self.assertTrue(report.ok)
        said = f"{self.path} can no longer be read; its earlier content stays active"
        self.assertEqual(report.warnings, (said,))
        self.assertEqual([event.get("warning") for event in self.events], [said])

    def test_folder_in_its_place(self) -> None:
        """As container engines make one for a mount whose source is missing: the file cannot be read."""
        self.path.unlink()
        self.path.mkdir()
        self.wait()
        self.assertEqual(self.ports, [])
        self.assertEqual(self.last.complaints, (f"{self.path}:1: file: cannot be read: Is a directory",))
        self.path.rmdir()
        self.path.write_text(SECOND)
        self.wait()
        self.assertEqual(self.ports, [1002])

    def test_folder_is_told_once(self) -> None:
        """Also where the configuration before it was made of more files than one."""
        (self.folder / "key").write_text("k")
        self.path.write_text(f"api-keys: ['file:{self.folder / 'key'}']\n")
        self.wait()
        del self.events[:]
        self.path.unlink()
        self.path.mkdir()
        self.wait(10)
        self.assertEqual([event["log_level"].name for event in self.events], ["error"])

    def test_pipe(self) -> None:
        """What can be read only once is read only once."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.write(writing, b"secret\n")
        os.close(writing)
        pipe = Path(f"/dev/fd/{reading}")
        before = Snapshot()
        self.assertEqual(before.read(pipe), b"secret\n")
        self.assertTrue(before.is_current())
        self.assertEqual(Snapshot(before).read(pipe), b"secret\n")

    def test_touched(self) -> None:
        """The same content with another time is no change."""
        os.utime(self.path, (1, 1))
        self.wait()
        self.assertEqual(self.ports, [])

    def test_wrong(self) -> None:
        """A wrong file is told with its line, once, and changes nothing; a right one after it does."""
        self.path.write_text("port: many\n")
        self.wait(10)
        self.assertEqual(self.ports, [])
        (event,) = self.events
        self.assertIn(f"{self.path}:1: port", str(event["complaints"]))
        self.assertFalse(self.last.ok)
        self.assertEqual(self.last.generation, 1)
        self.path.write_text(SECOND)
        self.wait()
        self.assertEqual(self.ports, [1002])
        self.assertTrue(self.last.ok)
        self.assertEqual(self.last.changes, ("port: 1002",))

    def test_wrong_and_back(self) -> None:
        """Who undoes a mistake is told that all is well again."""
        self.path.write_text("port: many\n")
        self.wait()
        self.path.write_text(FIRST)
        self.wait()
        self.assertTrue(self.last.ok)

    def test_cannot_be_put_in_force(self) -> None:
        """Nor does one that only then shows to be wrong; not even a defect ends the watching."""
        for port, words in ((666, "666 is taken"), (500, "a bug in ampproxy")):
            self.path.write_text(f"port: {port}\n")
            self.wait()
            self.assertIn(words, self.last.complaints[0])
        self.assertEqual(self.ports, [])
        self.path.write_text(SECOND)
        self.wait()
        self.assertEqual(self.ports, [1002])

    def test_asked_for(self) -> None:
        """A signal reads it at once, changed or not."""
        self.assertTrue(self.load().ok)
        self.assertEqual(self.ports, [1001])

    def test_asked_for_in_the_midst_of_a_change(self) -> None:
        """What is asked for is read; the rest of the change follows."""
        with self.path.open("w") as file:
            file.write("port: 10")
            file.flush()
            self.assertTrue(self.load().ok)
            file.write("02\n")
        self.wait()
        self.assertEqual(self.ports, [10, 1002])
        self.wait(10)
        self.assertEqual(self.ports, [10, 1002])


def turn(link: Path, target: Path) -> None:
    """Let a link lead elsewhere, at one moment."""
    new = link.with_name("new-link")
    new.symlink_to(target)
    os.replace(new, link)


@pytest.mark.parametrize(
    ("asked", "age", "told"),
    [
        (False, 5, ("port: 1 -> 2", "(in force for 5 s already, as configuration 2)")),
        (True, 5, ()),
        (False, 61, ()),
    ],
)
def test_news(asked: bool, age: float, told: tuple[str, ...]) -> None:
    """``ampproxy reload`` tells what the service has just read by itself; never what an order brought."""
    last = ReloadReport(True, 100.0, 2, changes=("port: 1 -> 2",), asked=asked)
    assert _by_itself(Status("ready", 2, 0.0, reload=last), 100.0 + age) == told
