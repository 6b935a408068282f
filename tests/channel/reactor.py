"""A reactor without a loop: it reads and writes when the test has it do so, and its clock stands still."""

from __future__ import annotations

import select
from typing import Any

from twisted.internet.task import Clock


class TurnedReactor(Clock):
    """Turned by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[Any, None] = {}
        self.writers: dict[Any, None] = {}

    def addReader(self, reader: Any) -> None:
        self.readers[reader] = None

    def removeReader(self, reader: Any) -> None:
        self.readers.pop(reader, None)

    def addWriter(self, writer: Any) -> None:
        self.writers[writer] = None

    def removeWriter(self, writer: Any) -> None:
        self.writers.pop(writer, None)

    def turn(self) -> bool:
        """Read and write what can be; whether anything could."""
        readers, writers = list(self.readers), list(self.writers)
        can_read, can_write, _ = select.select(readers, writers, [], 0)
        for writer in can_write:
            if writer in self.writers:
                writer.doWrite()
        for reader in can_read:
            if reader in self.readers:
                reader.doRead()
        return bool(can_read or can_write)

    def settle(self, pause: float = 0.02) -> None:
        """Turn until nothing moves any more."""
        while self.turn():
            self.advance(pause)
