"""A real Redis for tests, and a reactor that a test turns by hand while the threads of an engine run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from queue import Empty, SimpleQueue

import pytest
from redis import Redis
from twisted.internet.task import Clock

from ampproxy.model.sharing import RedisAddress, StateSettings

PROGRAM = shutil.which("redis-server") or ""
needs_redis = pytest.mark.skipif(not PROGRAM, reason="redis-server is not installed")


class RedisServer:
    """One server, without anything on the disk, on a Unix socket.

    :param options: more of its settings; ``--port`` among them makes it listen there, too.
    """

    def __init__(self, folder, *options):
        self.folder, self.options = folder, options
        self.socket = str(folder / "redis.sock")
        self.process = None

    def settings(self, **more):
        """Those by which a gateway shares by this server."""
        return StateSettings(url=RedisAddress(socket=self.socket), **({"timeout": 10.0} | more))

    def start(self):
        listen = () if "--port" in self.options else ("--port", "0")
        self.process = subprocess.Popen(
            [
                PROGRAM,
                "--unixsocket",
                self.socket,
                *listen,
                "--save",
                "",
                "--dir",
                str(self.folder),
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while not os.path.exists(self.socket) or not self.answers():
            assert time.monotonic() < until, "redis-server does not start"
            time.sleep(0.005)
        return self

    def answers(self):
        try:
            return self.client().ping()
        except Exception as error:
            return "NOAUTH" in str(error) or "NOPERM" in str(error)

    def client(self):
        return Redis(unix_socket_path=self.socket)

    def kill(self):
        self.process.kill()
        self.process.wait()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)


class Turned(Clock):
    """A reactor whose calls from threads wait for the test to turn it."""

    def __init__(self):
        super().__init__()
        self.queued = SimpleQueue()

    def callFromThread(self, function, *arguments):
        self.queued.put((function, arguments))

    def turn(self, seconds=0.01):
        """Do what was called for until now, or within so many seconds."""
        before = time.monotonic()
        try:
            function, arguments = self.queued.get(timeout=seconds)
            function(*arguments)
        except Empty:
            pass
        self.advance(time.monotonic() - before)

    def until(self, condition, seconds=60.0):
        """Turn until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            self.turn()
