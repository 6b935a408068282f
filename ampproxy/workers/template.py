"""The template: a process that has loaded all code, has no reactor and no thread, and forks workers.

It is asked by a frame without payload and with one descriptor, the worker's end of its channel, and answers
with the worker's process; when a worker has ended it reports how. It ends when who asks has ended.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import NoReturn

import msgspec

from ampproxy.channel.link import Frames, frame

_REACTOR = "twisted.internet.reactor"
#: Signals that are for the supervisor, which gets them too where a whole group of processes does.
_NOT_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Forked(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A worker's process; 0: there is none, for this reason."""

    pid: int
    why: str = ""


class Exited(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A worker has ended.

    :param status: as ``os.waitstatus_to_exitcode`` gives it: negative for the signal that ended it.
    """

    pid: int
    status: int


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Forked | Exited).decode


def main(descriptor: int) -> NoReturn:
    """Be the template.

    :param descriptor: of the socket over which it is asked.
    """
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    named("ampproxy-template")
    work = load()
    gc.collect()
    gc.freeze()
    _Template(socket.socket(fileno=descriptor), work).run()


def named(name: str) -> None:
    """Have the system call this process so, where it can (Linux): at most 15 characters count."""
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(name)
    except OSError:
        pass


def load() -> Callable[[socket.socket], None]:
    """Load what workers need, without a reactor: a process that is forked makes its own. Gives a worker's
    main function.
    """
    # Twisted's proxy, of which Amp's resources are, takes the reactor for an argument's default when it is
    # loaded; ours always pass their own.
    stand_in = ModuleType(_REACTOR)
    sys.modules[_REACTOR] = stand_in
    try:
        from ampproxy.workers.worker import load_all, main

        load_all()
    finally:
        assert sys.modules.pop(_REACTOR) is stand_in
    return main


class _Template:
    def __init__(self, control: socket.socket, work: Callable[[socket.socket], None]) -> None:
        self._control = control
        self._work = work
        self._frames = Frames()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def run(self) -> NoReturn:
        while True:
            control = self._control.fileno()
            ready, _, _ = select.select([control, self._woken], [], [])
            if self._woken in ready:
                self._reap()
            if control in ready:
                self._asked()

    def _asked(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 4096, 16)
        except OSError:
            data, descriptors = b"", []
        if not data:
            os._exit(0)
        for _, own in self._frames.feed(data, descriptors):
            for number in own:
                self._report(self._fork(number))
                os.close(number)

    def _fork(self, number: int) -> Forked:
        try:
            pid = os.fork()
        except OSError as error:
            return Forked(0, str(error.strerror or error))
        if pid == 0:
            self._be_worker(number)
        return Forked(pid)

    def _be_worker(self, number: int) -> NoReturn:
        """In the process that was forked."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            os.close(self._woken)
            os.close(self._wake)
            self._work(socket.socket(fileno=number))
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            # Not by way of the template's own end.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        try:
            while os.read(self._woken, 4096):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._report(Exited(pid, os.waitstatus_to_exitcode(status)))

    def _report(self, what: Forked | Exited) -> None:
        try:
            self._control.sendall(frame(_encode(what)))
        except OSError:
            os._exit(0)
