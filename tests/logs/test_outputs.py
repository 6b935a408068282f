"""Where lines go: a stream, a file that is moved away or grows too large, syslog."""

from __future__ import annotations

import os
import syslog
from pathlib import Path
from threading import Thread

import pytest
from twisted.internet.task import Clock

from ampproxy.config.schema import Logging
from ampproxy.logs.outputs import LOOK, FileOutput, StreamOutput, SyslogOutput
from ampproxy.logs.twistd import output_of


def writer(path: Path, **settings: int) -> tuple[FileOutput, Clock]:
    clock = Clock()
    output = FileOutput(str(path), clock.seconds)
    output.use(Logging(**settings))  # type: ignore[arg-type]
    return output, clock


def test_file_is_appended_to(tmp_path: Path) -> None:
    """What is there stays; the file is not for everybody."""
    path = tmp_path / "log"
    path.write_text("before\n")
    output, _ = writer(path)
    output.write("ünï\n", "info")
    output.write("a\udc80\n", "info")
    assert path.read_text() == "before\nünï\na\\udc80\n"
    fresh, _ = writer(tmp_path / "fresh")
    fresh.write("x\n", "info")
    assert (tmp_path / "fresh").stat().st_mode & 0o007 == 0


def test_two_writers(tmp_path: Path) -> None:
    """Two processes of a restart write to one file, and neither overwrites the other."""
    first, _ = writer(tmp_path / "log")
    second, _ = writer(tmp_path / "log")
    for number in range(3):
        first.write(f"first {number}\n", "info")
        second.write(f"second {number}\n", "info")
    assert (tmp_path / "log").read_text() == "".join(f"first {n}\nsecond {n}\n" for n in range(3))


def test_moved_away(tmp_path: Path) -> None:
    """After logrotate has moved the file, lines go to a new one: by itself, or at once by a signal."""
    path = tmp_path / "log"
    output, clock = writer(path)
    output.write("one\n", "info")
    path.rename(tmp_path / "log.1")
    output.write("two\n", "info")
    clock.advance(LOOK)
    output.write("three\n", "info")
    path.rename(tmp_path / "log.2")
    output.reopen()
    output.write("four\n", "info")
    found = {each.name: each.read_text() for each in tmp_path.iterdir()}
    assert found == {"log.1": "one\ntwo\n", "log.2": "three\n", "log": "four\n"}


def test_set_aside_when_large(tmp_path: Path) -> None:
    """A file that grows too large is set aside; so many are kept and no more."""
    path = tmp_path / "log"
    output, _ = writer(path, rotate_size=10, rotate_keep=2)
    for number in range(8):
        output.write(f"line{number}\n", "info")
    found = {each.name: each.read_text() for each in tmp_path.iterdir()}
    assert found == {"log.2": "line4\nline5\n", "log.1": "line6\nline7\n", "log": ""}


def test_large_and_left_to_logrotate(tmp_path: Path) -> None:
    """However large the file is, the path is looked at no more often: not with every line."""
    path = tmp_path / "log"
    output, clock = writer(path, rotate_size=10, rotate_keep=0)
    output.write("many characters\n", "info")
    path.rename(tmp_path / "log.1")
    output.write("one\n", "info")
    assert not path.exists()
    clock.advance(LOOK)
    output.write("two\n", "info")
    assert path.read_text() == "two\n"


def test_left_to_logrotate(tmp_path: Path) -> None:
    """It grows for ever if the settings leave that to others, and a signal opens it anew, no more."""
    output, _ = writer(tmp_path / "log", rotate_size=10, rotate_keep=0)
    for _ in range(10):
        output.write("0123456789\n", "info")
    output.reopen()
    assert [each.name for each in tmp_path.iterdir()] == ["log"]


def test_a_signal_sets_it_aside(tmp_path: Path) -> None:
    """As with any daemon of twistd's, if nobody has moved it."""
    output, _ = writer(tmp_path / "log")
    output.write("one\n", "info")
    output.reopen()
    output.write("two\n", "info")
    assert (tmp_path / "log.1").read_text() == "one\n"
    assert (tmp_path / "log").read_text() == "two\n"


def test_what_another_process_set_aside(tmp_path: Path) -> None:
    """The old process of a restart does not set aside the file that the new one has begun."""
    old, _ = writer(tmp_path / "log", rotate_size=20, rotate_keep=3)
    new, _ = writer(tmp_path / "log", rotate_size=20, rotate_keep=3)
    new.write("new, and long enough\n", "info")
    old.write("old, and long enough\n", "info")
    old.write("old goes on\n", "info")
    assert (tmp_path / "log.1").read_text() == "new, and long enough\nold, and long enough\n"
    assert (tmp_path / "log").read_text() == "old goes on\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_folder_is_gone(tmp_path: Path) -> None:
    """Then the open file is written on, it is said once, and all is well when the folder is back."""
    folder = tmp_path / "logs"
    folder.mkdir()
    output, clock = writer(folder / "log")
    output.write("one\n", "info")
    os.rename(folder, tmp_path / "other")
    for _ in range(3):
        clock.advance(LOOK)
        output.write("two\n", "info")
    told = (tmp_path / "other" / "log").read_text()
    assert told.count("two\n") == 3
    assert told.count("cannot be reopened: No such file or directory") == 1
    folder.mkdir()
    clock.advance(LOOK)
    output.write("three\n", "info")
    assert (folder / "log").read_text() == "three\n"


def test_full_disk(tmp_path: Path) -> None:
    """Lines that cannot be written are counted, and that is said as soon as there is room again."""
    output, _ = writer(tmp_path / "log")
    good = output._descriptor
    output._descriptor = full = os.open("/dev/full", os.O_WRONLY) if os.path.exists("/dev/full") else -1
    output.write("lost\nand lost\n", "info")
    output.write("lost\n", "info")
    output._descriptor = good
    output.write("found\n", "info")
    output.write("again\n", "info")
    told = (tmp_path / "log").read_text()
    assert told == "3 lines of the log could not be written before this one\nfound\nagain\n"
    if full >= 0:
        os.close(full)


def test_stream_that_does_not_block() -> None:
    """Somebody who shares standard output may have made it so: nothing is lost or torn for that."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    line = "x" * 99_999 + "\n"
    writing = Thread(target=StreamOutput(theirs).write, args=(line * 5, "info"), daemon=True)
    writing.start()
    read = b""
    while len(read) < len(line) * 5:
        read += os.read(ours, 65536)
    writing.join(60)
    os.close(theirs)
    assert read + os.read(ours, 1) == line.encode() * 5
    os.close(ours)


def test_stream_whose_reader_left() -> None:
    """Standard output that nobody reads any more stops no service."""
    ours, theirs = os.pipe()
    os.close(ours)
    output = StreamOutput(theirs)
    output.write("x\n", "info")
    output.reopen()
    os.close(theirs)


def test_syslog() -> None:
    """A line of syslog for each of ours, with its priority."""
    met: list[tuple[int, str]] = []
    output = SyslogOutput("x", lambda priority, text: met.append((priority, text)))
    output.write("a\n    b\n", "warn")
    output.write("c\udc80\n", "critical")
    assert met == [(syslog.LOG_WARNING, "a"), (syslog.LOG_WARNING, "    b"), (syslog.LOG_CRIT, "c\\udc80")]


def test_options_of_twistd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log goes where twistd's own options say, as with any service."""
    monkeypatch.chdir(tmp_path)
    clock = Clock()
    assert output_of(None, clock.seconds) is None
    assert output_of({"logger": object(), "logfile": "x"}, clock.seconds) is None
    assert isinstance(output_of({"logfile": "named", "nodaemon": True}, clock.seconds), FileOutput)
    assert isinstance(output_of({"logfile": None, "nodaemon": False}, clock.seconds), FileOutput)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["named", "twistd.log"]
    assert isinstance(output_of({"syslog": True, "prefix": "x"}, clock.seconds), SyslogOutput)


@pytest.mark.parametrize(
    ("options", "word"), [({"logfile": "-"}, "daemon"), ({"logfile": "/no/such/folder/log"}, "No such file")]
)
def test_options_that_cannot_be(options: dict[str, object], word: str) -> None:
    """A log that cannot be written keeps the service from starting, with a sentence."""
    with pytest.raises(SystemExit, match=word):
        output_of(options, Clock().seconds)
