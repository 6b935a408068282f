"""The protocol of a restart, seen from the process that takes the place; the test is the other one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.logger import Logger

from ampproxy.restart.control import VARIABLE
from ampproxy.restart.handover_new import Handover, write_pidfile
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback


class Place:
    """The place that is to be taken; the test holds the other end."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        self.control.settimeout(60)
        self.lines = self.control.makefile("rw")
        self.listening = socket.create_server(("127.0.0.1", 0))
        told = {
            "control": theirs.detach(),
            "stderr": os.dup(2),
            "pid": 1234,
            "generation": 7,
            "kept": {"key": [os.dup(self.listening.fileno())]},
            "activated": [os.dup(self.listening.fileno())],
            "names": ["web"],
        }
        self.environ = {VARIABLE: json.dumps(told)}
        succession = Handover.of(self.environ)
        assert succession is not None
        self.succession = succession
        self.took = 0
        self.why = ""

    def begin(self) -> None:
        in_reactor(self.succession.begin, reactor, self._take, self._give_up)
        assert self.hear() == {"ready": os.getpid()}

    def _take(self) -> None:
        self.took += 1

    def _give_up(self, why: str) -> None:
        self.why = why

    def say(self, **message: Any) -> None:
        self.lines.write(json.dumps(message) + "\n")
        self.lines.flush()

    def hear(self) -> Any:
        return json.loads(self.lines.readline())

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while not in_reactor(lambda: self.took or self.why):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def close(self) -> None:
        self.lines.close()
        self.control.close()
        self.listening.close()


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


def test_what_it_gets(place: Place) -> None:
    """The sockets, by what they were opened for, and what was said of the process before; once."""
    got = place.succession
    assert (got.generation, got.predecessor, got.inherited.names) == (7, 1234, ["web"])
    address = place.listening.getsockname()
    kept = got.inherited.take("key")
    assert kept is not None
    assert kept.getsockname() == got.inherited.activated[0].getsockname() == address
    assert not kept.get_inheritable()
    assert got.inherited.take("key") is None
    assert place.environ == {}
    assert Handover.of(place.environ) is None


def test_takes_over(place: Place) -> None:
    """When the other one makes way, and not before; it is told."""
    place.begin()
    assert place.took == 0
    place.say(go=True)
    assert place.hear() == {"took": os.getpid()}
    assert (place.took, place.why) == (1, "")
    assert (place.succession.generation, place.succession.followed) == (7, 7)


def test_read_meanwhile(place: Place) -> None:
    """The other one has read its configuration once more: this one hears of it before it serves."""
    place.begin()
    place.say(go=True, generation=9)
    assert place.hear() == {"took": os.getpid()}
    assert (place.succession.generation, place.succession.followed) == (7, 9)


def test_other_one_died(place: Place) -> None:
    """Then the place is free."""
    place.begin()
    place.close()
    place.wait()
    assert (place.took, place.why) == (1, "")


def test_other_one_stays(place: Place) -> None:
    """Then it is not taken, not even when the other one says no more."""
    place.begin()
    place.say(stop="no need")
    place.close()
    place.wait()
    assert (place.took, place.why) == (0, "no need")


def test_cannot(place: Place) -> None:
    """Why it cannot is told, before anything runs."""
    place.succession.failed("the file is wrong")
    assert place.hear() == {"failed": "the file is wrong"}
    place.close()
    place.succession.failed("nobody hears")


def test_options_of_twistd(place: Place, tmp_path: Path) -> None:
    """The pidfile names the other process for now, and another user it is already."""
    options: dict[str, Any] = {"pidfile": "p.pid", "uid": 5, "gid": 5}
    place.succession.adapt(options)
    assert options["pidfile"] == ""
    assert place.succession.pidfile == os.path.abspath("p.pid")
    assert (options["uid"] is None) == (os.geteuid() != 0)
    place.succession.pidfile = str(tmp_path / "p.pid")
    place.succession.own_pidfile(options, Logger(observer=lambda event: None))
    assert options["pidfile"] == place.succession.pidfile
    assert (tmp_path / "p.pid").read_text() == str(os.getpid())
    options = {"pidfile": ""}
    place.succession.adapt(options)
    assert place.succession.pidfile == ""


def test_pidfile_that_cannot_be_written(tmp_path: Path) -> None:
    """It is told what it names now, and the service goes on."""
    events: list[Any] = []
    assert not write_pidfile(tmp_path / "nowhere" / "p.pid", Logger(observer=events.append))
    assert "still names the previous process" in events[0]["log_format"]


def test_errors_go_where_they_went() -> None:
    """What the new process writes until it is ready is seen by the other one; after that it goes
    its own way.
    """
    code = (
        "import json, os, socket\n"
        "from twisted.internet import reactor\n"
        "from ampproxy.restart.handover_new import Handover\n"
        "ours, theirs = socket.socketpair()\n"
        "reading, writing = os.pipe()\n"
        "told = dict(control=theirs.detach(), stderr=writing, pid=1, generation=1)\n"
        "told.update(kept={}, activated=[], names=[])\n"
        "os.environ['AMPPROXY_SUCCEEDS'] = json.dumps(told)\n"
        "succession = Handover.of(os.environ)\n"
        "os.write(2, b'before')\n"
        "succession.begin(reactor, print, print)\n"
        "os.write(2, b'after')\n"
        "assert os.read(reading, 100) == b'after'\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"before")
