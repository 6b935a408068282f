"""The log's reader hangs, and nothing waits for it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from ampproxy.config.schema import Logging
from ampproxy.logs import queued
from ampproxy.logs.outputs import FileOutput, StreamOutput
from ampproxy.logs.queued import QueuedOutput

#: More than a pipe holds.
PIPE = 70_000
LINE = "x" * 99
LOST = re.compile(r"([0-9]+) lines of the log could not be written before this one\n")


class Hanging:
    """An output that writes nothing until it may."""

    def __init__(self) -> None:
        self.may = Event()
        self.done: list[str] = []

    def write(self, line: str, level: str) -> None:
        self.may.wait(60)
        self.done.append(f"{level} {line}")

    def start(self) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        raise NotImplementedError

    def use(self, logging: Logging) -> None:
        self.done.append(f"use {logging.buffer}")

    def reopen(self) -> None:
        self.done.append("reopen")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ours, theirs = os.pipe()
    yield ours, theirs
    for descriptor in (ours, theirs):
        try:
            os.close(descriptor)
        except OSError:
            pass


def read_all(descriptor: int, until: str) -> str:
    text = b""
    while until.encode() not in text:
        text += os.read(descriptor, 65536)
    return text.decode()


def test_nobody_waits(pipe: tuple[int, int]) -> None:
    """A pipe that is not read stops nobody. When it is read again, all lines are there, in order, but for
    those that are counted.
    """
    output = QueuedOutput(StreamOutput(pipe[1]))
    output.use(Logging(buffer=PIPE))
    output.start()
    began = time.thread_time()
    for number in range(5000):
        output.write(f"{number} {LINE}\n", "info")
    assert time.thread_time() - began < 2
    assert queued_of(output) <= PIPE
    read = ""
    os.set_blocking(pipe[0], False)
    while queued_of(output):
        try:
            read += os.read(pipe[0], 65536).decode()
        except BlockingIOError:
            time.sleep(0.001)
    os.set_blocking(pipe[0], True)
    output.write("the last\n", "info")
    read += read_all(pipe[0], "the last\n")
    # Gaps depend on when the thread gets its turn; where each is and how long is said in its place.
    expected = gaps = 0
    for line in read.removesuffix("the last\n").splitlines(keepends=True):
        if lost := LOST.fullmatch(line):
            expected += int(lost[1])
            gaps += 1
        else:
            assert line == f"{expected} {LINE}\n"
            expected += 1
    assert expected == 5000
    assert gaps
    assert read.endswith("the last\n")


def queued_of(output: QueuedOutput) -> int:
    return output._came - output._gone


def test_one_line_longer_than_the_buffer(pipe: tuple[int, int]) -> None:
    """It is written where nothing else waits."""
    output = QueuedOutput(StreamOutput(pipe[1]))
    output.use(Logging(buffer=10))
    output.start()
    output.write(f"{LINE}\n", "info")
    assert read_all(pipe[0], "\n") == f"{LINE}\n"


def test_before_the_fork(pipe: tuple[int, int]) -> None:
    """What is told before the daemon forks is written at once: a thread would be left behind."""
    output = QueuedOutput(StreamOutput(pipe[1]))
    output.write("early\n", "info")
    assert os.read(pipe[0], 100) == b"early\n"
    output.settle()


def test_in_turn(tmp_path: Path) -> None:
    """Settings, and the signal that has the file opened anew, take their turn among the lines."""
    hanging = Hanging()
    output = QueuedOutput(hanging)
    output.start()
    output.start()
    output.write("a\n", "info")
    output.reopen()
    output.write("b\n", "warn")
    output.use(Logging(buffer=1))
    hanging.may.set()
    output.settle()
    assert hanging.done == ["info a\n", "reopen", "warn b\n", "use 1"]
    path = tmp_path / "log"
    output = QueuedOutput(FileOutput(str(path), time.monotonic))
    output.start()
    output.write("one\n", "info")
    output.settle()
    path.rename(tmp_path / "log.1")
    output.reopen()
    output.write("two\n", "info")
    assert path.read_text() == "two\n"
    assert (tmp_path / "log.1").read_text() == "one\n"


def test_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end what waits is written, but whoever hangs does not keep the process."""
    monkeypatch.setattr(queued, "FLUSH_TIMEOUT", 0.1)
    hanging = Hanging()
    output = QueuedOutput(hanging)
    output.start()
    output.write("a\n", "info")
    began = time.monotonic()
    output.settle()
    assert time.monotonic() - began >= 0.1
    monkeypatch.setattr(queued, "FLUSH_TIMEOUT", 3600)
    output.write("b\n", "info")
    output.settle()
    hanging.may.set()


def test_last_lines(pipe: tuple[int, int]) -> None:
    """What is told after the end of the service is written, and so is how much was lost."""
    output = QueuedOutput(StreamOutput(pipe[1]))
    output.use(Logging(buffer=5))
    output.start()
    output._lost = 3
    output.settle()
    output.write("last words\n", "info")
    told = "3 lines of the log could not be written before this one\nlast words\n"
    assert os.read(pipe[0], 1000).decode() == told


def test_an_output_with_a_defect() -> None:
    """It loses its line, not the log."""
    hanging = Hanging()
    hanging.may.set()
    output = QueuedOutput(hanging)
    output.start()
    output._in_turn(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    output.write("a\n", "info")
    output.settle()
    assert hanging.done == ["info a\n"]
