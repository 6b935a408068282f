"""The protocol of a restart, seen from the process whose place is taken; the other one is a script."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from ampproxy.restart.handover_old import Command, HandoverSource
from ampproxy.status import Reports, RestartReport
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

#: What a successor does: reads its task, then talks by the lines that follow.
PRELUDE = """
import json, os, socket, sys, time
told = json.loads(os.environ["AMPPROXY_SUCCEEDS"])
control = socket.socket(fileno=told["control"])
lines = control.makefile("rw")
def say(**message): lines.write(json.dumps(message) + "\\n"); lines.flush()
def hear(): return json.loads(lines.readline())
"""
GOOD = "say(ready=os.getpid())\nassert hear() == {'go': True, 'generation': 7}\nsay(took=os.getpid())\n"


class Ports:
    """The listening sockets, and what was done with them."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.done: list[str] = []

    def handed(self) -> tuple[dict[str, list[socket.socket]], list[socket.socket], list[str]]:
        return {"tcp:0:127.0.0.1": [self.socket]}, [], []

    def pause(self) -> None:
        self.done.append("pause")

    def resume(self) -> None:
        self.done.append("resume")

    def release(self) -> None:
        self.done.append("release")


class Restarting(unittest.TestCase):
    def setUp(self) -> None:
        self.ports = Ports()
        self.reports = Reports()
        self.addCleanup(self.ports.socket.close)
        self.mains: list[int] = []
        self.left: list[int] = []
        self.why = ""
        self.deaf = False

    def make(self, script: str, clock: Any = reactor, executable: str = sys.executable) -> HandoverSource:
        return HandoverSource(
            Command((executable, "-c", PRELUDE + script), dict(os.environ), Path.cwd()),
            self.ports,
            clock,
            Logger(observer=lambda event: None),
            reports=self.reports,
            generation=lambda: 7,
            keyed=lambda: True,
            obstacle=lambda: self.why,
            yield_to=self.yield_to,
            go_on=lambda: self.mains.append(os.getpid()),
            leave=self.left.append,
            wall=lambda: 1.0,
        )

    def begin(self, script: str, executable: str = sys.executable) -> HandoverSource:
        predecessor = self.make(script, executable=executable)
        in_reactor(predecessor.begin)
        return predecessor

    def yield_to(self, pid: int) -> Deferred[None]:
        self.mains.append(pid)
        return fail(OSError("nobody hears")) if self.deaf else succeed(None)

    def wait(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 30
        while not (got := in_reactor(condition)):
            self.assertLess(time.monotonic(), deadline, "not in time")
            time.sleep(0.01)
        return got

    def failure(self, predecessor: HandoverSource) -> str:
        def ended() -> RestartReport | None:
            report = self.reports.restart
            return report if report and report.why else None

        report = self.wait(ended)
        self.assertEqual(self.left, [])
        return str(report.why)

    def test_success(self) -> None:
        """The other process is the service before this one has let go; then this one leaves."""
        self.begin(GOOD)
        (pid,) = self.wait(lambda: self.left)
        self.assertEqual(self.ports.done, ["pause", "release"])
        self.assertEqual(self.mains, [pid])
        self.assertIsNone(self.reports.restart)

    def test_what_it_gets(self) -> None:
        """The sockets, the number of the configuration, and where its errors belong."""
        check = (
            "assert told['generation'] == 7 and told['pid'] == os.getppid()\n"
            "(fd,) = told['kept']['tcp:0:127.0.0.1']\n"
            "assert socket.socket(fileno=fd).getsockname()[1] == int(sys.argv[1])\n"
            "os.fstat(told['stderr'])\n"
        )
        port = self.ports.socket.getsockname()[1]
        self.begin(f"sys.argv.append('{port}')\n{check}{GOOD}")
        self.wait(lambda: self.left)

    def test_says_why_not(self) -> None:
        """Its own reason is told."""
        self.assertEqual(self.failure(self.begin("say(failed='the file is wrong')\n")), "the file is wrong")
        self.assertEqual(self.ports.done, [])

    def test_ends_before_it_can_say_why(self) -> None:
        """What it wrote last is told."""
        why = self.failure(self.begin("raise ImportError('half an upgrade')\n"))
        self.assertTrue(why.endswith("ImportError: half an upgrade"), why)

    def test_cannot_be_started(self) -> None:
        """An interpreter that is gone is told of."""
        self.assertIn("/nowhere/python: No such file", self.failure(self.begin(GOOD, "/nowhere/python")))

    def test_no_descriptor_is_left(self) -> None:
        """A process to which nobody can talk is not even started: it would find the place free."""
        full = Mock()
        full.adoptStreamConnection.side_effect = OSError(errno.EMFILE, "Too many open files")
        with patch("ampproxy.restart.handover_old.Popen") as started:
            predecessor = self.make(GOOD, full)
            predecessor.begin()
        self.assertEqual(self.failure(predecessor), "it could not be started: Too many open files")
        started.assert_not_called()

    def test_ends_in_the_midst(self) -> None:
        """One that ends after this process has made way: this one accepts again."""
        self.failure(self.begin("say(ready=os.getpid())\nhear()\nsys.exit(3)\n"))
        self.assertEqual(self.ports.done, ["pause", "resume"])
        self.assertEqual(self.mains[-1], os.getpid())
        self.assertEqual(len(self.mains), 2)

    def test_service_manager_is_deaf(self) -> None:
        """Who cannot be told of the new process would end it with this one: so this one stays."""
        self.deaf = True
        why = self.failure(self.begin(GOOD))
        self.assertIn("sd_notify for the new process failed: nobody hears", why)
        self.assertEqual(self.ports.done, ["pause", "resume"])

    def test_twice(self) -> None:
        """A second order while one is carried out changes nothing."""
        predecessor = self.begin("time.sleep(0.5)\n" + GOOD)
        in_reactor(predecessor.begin)
        self.wait(lambda: self.left)
        self.assertEqual(self.ports.done, ["pause", "release"])

    def test_again_after_a_failure(self) -> None:
        """One that failed does not stand in the way of the next."""
        predecessor = self.begin("say(failed='x')\n")
        self.failure(predecessor)
        in_reactor(predecessor.begin)
        self.wait(lambda: self.reports.restart is not None and self.reports.restart.why == "x")

    def test_obstacle(self) -> None:
        """Where there can be no restart, no process is started."""
        self.why = "it is too late"
        self.assertEqual(self.failure(self.begin(GOOD)), "it is too late")

    def test_this_one_ends(self) -> None:
        """Who ends by itself lets nobody take its place."""
        predecessor = self.begin("say(ready=os.getpid()) if hear() == {'stop': 'the service ends'} else 0\n")
        in_reactor(predecessor.cancel)
        self.failure(predecessor)
        self.assertEqual(self.ports.done, [])

    def test_hangs(self) -> None:
        """One that is not ready in time is ended, and so is one that does not take over."""
        for script, done in (("", []), ("say(ready=os.getpid())\n", ["pause", "resume"])):
            self.ports.done.clear()
            predecessor = self.begin(f"{script}print(hear(), file=sys.stderr); time.sleep(600)\n")
            attempt = predecessor._attempt
            assert attempt is not None
            if script:
                self.wait(lambda: self.ports.done)
            in_reactor(attempt._too_late)
            self.assertIn("has not", self.failure(predecessor))
            self.assertEqual(self.ports.done, done)
            self.assertEqual(attempt._child.wait(60), -signal.SIGKILL)
