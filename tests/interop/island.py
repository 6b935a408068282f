"""A program in a network namespace of its own, where only some ports of this machine's ``127.0.0.1`` are.

They are led through Unix sockets, which know no network namespaces: :class:`Bridge` has the outer ends, and
this file, run as a program, the inner ones::

    unshare --map-root-user --net python island.py FOLDER COMMAND...
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

_SET_FLAGS, _UP = 0x8914, 0x1


def possible() -> bool:
    """Whether this machine lets us make one."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "--map-root-user", "--net", "true"], capture_output=True).returncode == 0
    )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def _both(
    here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    await asyncio.gather(_copy(here[0], there[1]), _copy(there[0], here[1]))


class Bridge:
    """The outer ends.

    :param folder: where the sockets are; its path is short.
    :param ports: of ``127.0.0.1``, that are to be there inside.
    """

    def __init__(self, folder: Path, ports: Iterable[int]) -> None:
        self.folder = folder
        self._ports = tuple(ports)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def command(self, *words: str) -> list[str]:
        """The command that runs another one inside."""
        inner = [sys.executable, str(Path(__file__).resolve()), str(self.folder)]
        return ["unshare", "--map-root-user", "--net", *inner, *words]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        for port in self._ports:

            async def lead(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port
            ) -> None:
                await _both((reader, writer), await asyncio.open_connection("127.0.0.1", port))

            await asyncio.start_unix_server(lead, self.folder / str(port))


def _bring_up() -> None:
    """``ip link set lo up``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        fcntl.ioctl(any_, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


async def _inside(folder: Path, command: list[str]) -> int:
    for path in folder.iterdir():

        async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: Path = path) -> None:
            await _both((reader, writer), await asyncio.open_unix_connection(path))

        await asyncio.start_server(lead, "127.0.0.1", int(path.name))
    process = await asyncio.create_subprocess_exec(*command, env=os.environ)
    return await process.wait()


if __name__ == "__main__":
    _bring_up()
    raise SystemExit(asyncio.run(_inside(Path(sys.argv[1]), sys.argv[2:])))
