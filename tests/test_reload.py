"""A changed configuration file takes effect once, whole, and however it was changed."""

from __future__ import annotations

import os
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.task import Clock
from twisted.logger import Logger

from ampproxy.config.load import load
from ampproxy.config.schema import Config
from ampproxy.reload import INTERVAL, ConfigWatch

FIRST = "port: 1001\n"
SECOND = "port: 1002\n"


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
        self.watch()

    def watch(self) -> None:
        def read() -> Config:
            return load(self.path, environ={}, home=self.folder)

        self.watched = ConfigWatch(
            self.path,
            read,
            lambda config: self.ports.append(config.port),
            clock=self.clock,
            log=Logger(observer=self.events.append),
        )
        self.watched.start()
        self.addCleanup(self.watched.stop)

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
        """A link to another file, as in mounted secrets and config maps."""
        one, two = self.folder / "one", self.folder / "two"
        one.write_text(FIRST)
        two.write_text(SECOND)
        self.path.unlink()
        self.path.symlink_to(one)
        self.watch()
        self.ports.clear()
        link = self.folder / "link"
        link.symlink_to(two)
        os.replace(link, self.path)
        self.wait()
        self.assertIn(1002, self.ports)

    def test_two_writes(self) -> None:
        """A file that is being written is not read by halves."""
        with self.path.open("w") as file:
            file.write("port: 10")
            file.flush()
            self.clock.advance(INTERVAL)
            file.write("02\n")
        self.wait()
        self.assertEqual(self.ports, [1002])

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
        self.path.write_text(SECOND)
        self.wait()
        self.assertEqual(self.ports, [1002])

    def test_asked_for(self) -> None:
        """A signal reads it at once, changed or not."""
        self.assertTrue(self.watched.load())
        self.assertEqual(self.ports, [1001])
