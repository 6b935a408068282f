"""Bytes from one socket to another that never enter this process: splice(2), where the system has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from socket import socket

#: So much goes through the pipe at a time, if the system allows one of that size. What its end does not take
#: comes into memory. Bytes.
_PIPE = 256 * 1024
_SPLICE = getattr(os, "splice", None)
_SET_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)


def splice(source: socket, target: socket, most: int) -> tuple[int, bytes]:
    """Hand on what has come, as far as both sides go at once.

    An error of either socket is left for who reads or writes it next.

    :param source: does not block, and neither does ``target``.
    :param most: bytes.
    :return: how many bytes the source gave, and the last of these, which the target did not take. ``0``:
        nothing is there, or the system does not do this.
    """
    taken = 0
    if _SPLICE is None:
        return taken, b""
    with contextlib.suppress(OSError), _pipe() as (out, into):
        flags = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
        while taken < most:
            waiting = _SPLICE(source.fileno(), into, min(most - taken, _PIPE), flags=flags)
            if not waiting:
                break
            taken += waiting
            while waiting:
                try:
                    waiting -= _SPLICE(out, target.fileno(), waiting, flags=flags)
                except OSError:
                    return taken, os.read(out, waiting)
    return taken, b""


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    # One for each call: there is none to be closed later, none that a fork could share, and it takes a
    # few microseconds.
    out, into = os.pipe()
    try:
        with contextlib.suppress(OSError):
            fcntl.fcntl(into, _SET_SIZE, _PIPE)
        yield out, into
    finally:
        os.close(out)
        os.close(into)
