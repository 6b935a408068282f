"""Ports for what must be told its own before it listens."""

from __future__ import annotations

import random
import socket
from pathlib import Path

#: Where the kernel's own choice begins, for listeners that ask for any port and for connections.
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST, _FEWEST = 10_000, 1000
# Workers are copies of one process: they must not all draw the same.
_random = random.SystemRandom()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing uses now, and that nobody gets who asks for any port: another test's
    server would answer there, or be taken for this one's.
    """
    end = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    for _ in range(100 if end - _LOWEST >= _FEWEST else 0):
        port = _random.randrange(_LOWEST, end)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])
