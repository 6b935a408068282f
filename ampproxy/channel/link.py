"""One end of a channel: frames both ways over a Unix stream socket, and descriptors along with them."""

from __future__ import annotations

import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

_HEAD = struct.Struct(">IB")
#: The largest payload; a configuration is a few kilobytes, the largest record of an exchange less. Bytes.
MAX_FRAME_BYTES = 64 * 1024 * 1024
#: What one read may bring.
_READ = 256 * 1024
#: The system passes at most so many descriptors with one message.
MAX_DESCRIPTORS = 250
_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class BrokenChannel(Exception):
    """What arrived is not made of frames."""


class Receiver(Protocol):
    """Who gets what arrives."""

    def received(self, payload: bytes, descriptors: list[int]) -> None:
        """A frame is whole.

        :param descriptors: are the receiver's to close.
        """

    def lost(self) -> None:
        """The other end is gone. Called once, and not after :meth:`Link.close`."""


class Frames:
    """Takes bytes apart into payloads, without I/O."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._descriptors: deque[int] = deque()

    def feed(self, data: bytes, descriptors: Iterable[int] = ()) -> list[tuple[bytes, list[int]]]:
        """The frames that are whole now, with the descriptors that came along.

        :raises BrokenChannel: a frame is too large, or lacks a descriptor.
        """
        self._descriptors.extend(descriptors)
        buffer, start, whole = self._bytes, 0, []
        buffer += data
        while len(buffer) - start >= _HEAD.size:
            length, count = _HEAD.unpack_from(buffer, start)
            if length > MAX_FRAME_BYTES:
                raise BrokenChannel(f"a frame of {length} bytes")
            end = start + _HEAD.size + length
            if len(buffer) < end:
                break
            if count > len(self._descriptors):
                raise BrokenChannel("a frame without its descriptors")
            own = [self._descriptors.popleft() for _ in range(count)]
            whole.append((bytes(buffer[start + _HEAD.size : end]), own))
            start = end
        del buffer[:start]
        return whole

    def close(self) -> None:
        """Close the descriptors that belong to no frame."""
        while self._descriptors:
            os.close(self._descriptors.popleft())


def frame(payload: bytes, descriptors: int = 0) -> bytes:
    """A payload as it is sent."""
    return _HEAD.pack(len(payload), descriptors) + payload


@implementer(IReadDescriptor, IWriteDescriptor)
class Link:
    """One end. Its methods are called in the reactor's thread, and none of them waits.

    :param sock: is the link's from now on.
    :param pause: seconds for which nothing is read after something was: many messages are then read at once.
        What is sent meanwhile waits in the kernel.
    :ivar waiting: how many bytes the socket has not taken yet.
    """

    def __init__(self, reactor: Any, sock: socket.socket, receiver: Receiver, *, pause: float = 0.0) -> None:
        sock.setblocking(False)
        self._reactor = reactor
        self._socket = sock
        self._receiver = receiver
        self._pause = pause
        self._frames = Frames()
        self._out: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._resume: Any = None
        self._open, self._deaf = True, False
        self.waiting = 0

    def start(self) -> None:
        """Read from now on."""
        self._reactor.addReader(self)

    @property
    def open(self) -> bool:
        """Whether there is another end, as far as is known."""
        return self._open

    def send(self, payload: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a message.

        :param descriptors: are copied; the caller keeps its own. At most :data:`MAX_DESCRIPTORS`.
        """
        if not self._open or self._deaf:
            return
        data, sent = memoryview(frame(payload, len(descriptors))), 0
        if not self._out:
            sent = self._write(data, descriptors)
            if sent == len(data) or self._deaf:
                return
            self._reactor.addWriter(self)
        copies = () if sent else tuple(os.dup(each) for each in descriptors)
        self._out.append((data[sent:], copies))
        self.waiting += len(data) - sent

    def _write(self, data: memoryview, descriptors: Sequence[int]) -> int:
        """How much of it the socket took."""
        try:
            if descriptors:
                return socket.send_fds(self._socket, [data], descriptors)
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            # Who reads finds out that the other end is gone, after what it has still sent.
            self._drop()
            self._deaf = True
            return 0

    def fileno(self) -> int:
        """See ``IFileDescriptor``."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """See ``ILoggingContext``."""
        return "channel"

    def doRead(self) -> None:
        """See ``IReadDescriptor``."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _READ, MAX_DESCRIPTORS, _FLAGS)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if not data:
            self._lose()
            return
        if self._pause and self._resume is None:
            self._reactor.removeReader(self)
            self._resume = self._reactor.callLater(self._pause, self._go_on)
        try:
            whole = self._frames.feed(data, descriptors)
        except BrokenChannel:
            self._lose()
            return
        for payload, own in whole:
            if self._open:
                self._receiver.received(payload, own)
            else:
                for descriptor in own:
                    os.close(descriptor)

    def _go_on(self) -> None:
        self._resume = None
        if self._open:
            self._reactor.addReader(self)

    def doWrite(self) -> None:
        """See ``IWriteDescriptor``."""
        while self._out:
            data, descriptors = self._out[0]
            sent = self._write(data, descriptors)
            if not sent:
                return
            self.waiting -= sent
            for descriptor in descriptors:
                os.close(descriptor)
            if sent < len(data):
                self._out[0] = data[sent:], ()
                return
            self._out.popleft()
        self._reactor.removeWriter(self)

    def connectionLost(self, reason: Failure) -> None:
        """See ``IFileDescriptor``: the reactor has found the socket closed."""
        self._lose()

    def close(self) -> None:
        """Neither send nor receive any more."""
        if not self._open:
            return
        self._open = False
        self._reactor.removeReader(self)
        resume, self._resume = self._resume, None
        if resume is not None:
            resume.cancel()
        self._drop()
        self._frames.close()
        self._socket.close()

    def flush(self, timeout: float) -> None:
        """Wait until all is sent, but no longer than so many seconds. For the end of a process."""
        wait = select.poll()
        wait.register(self._socket, select.POLLOUT)
        while self._open and self._out and wait.poll(timeout * 1000):
            before = self.waiting
            self.doWrite()
            if self.waiting >= before:
                break

    def _drop(self) -> None:
        """What waits is not sent any more."""
        self._reactor.removeWriter(self)
        for _, descriptors in self._out:
            for descriptor in descriptors:
                os.close(descriptor)
        self._out.clear()
        self.waiting = 0

    def _lose(self) -> None:
        if self._open:
            self.close()
            self._receiver.lost()


def pump(
    links: Iterable[Link], done: Callable[[], bool], seconds: Callable[[], float], timeout: float
) -> bool:
    """Have links send and receive until something holds, while all else waits; whether it does.

    :param seconds: monotonic.
    :param timeout: the most of them.
    """
    until = seconds() + timeout
    while not done():
        left = until - seconds()
        watched = {link.fileno(): link for link in links if link.open}
        if left <= 0 or not watched:
            return done()
        wait = select.poll()
        for number, link in watched.items():
            wait.register(number, select.POLLIN | (select.POLLOUT if link.waiting else 0))
        for number, event in wait.poll(left * 1000):
            link = watched[number]
            if event & select.POLLOUT and link.open:
                link.doWrite()
            if event & ~select.POLLOUT and link.open:
                link.doRead()
    return True
