"""The process of the service that runs on this machine, as far as this user may look into it: its variables
and the files that it sees hold the secrets that its configuration names.

Linux shows them in ``/proc`` (``proc(5)``) to root and to the process's own user.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from ampproxy.config import files
from ampproxy.desktop.clients.owners import listening_inodes

#: What helps where a secret is not here.
HELP = (
    "set the variable or make the file readable here, or run this as root or as the service's own user while"
    " the service runs"
)
_NAME = b"ampproxy"
_MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Running:
    """A process that listens at an address.

    :param uid: its effective user; ``gid`` likewise.
    :param environ: the variables that it was started with.
    :param folder: its folder below ``/proc``.
    """

    pid: int
    uid: int
    gid: int
    environ: Mapping[str, str]
    folder: Path

    def read(self, path: Path) -> bytes:
        """What a file holds that it sees, with its rights and no more: whoever runs as that user could put a
        link there to something that only we may read.

        :raises OSError: it cannot be read.
        """
        root = os.open(self.folder / "root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _as_user(self.uid, self.gid):
                fd = os.open(
                    str(path.relative_to(path.anchor)),
                    os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY,
                    dir_fd=root,
                )
        finally:
            os.close(root)
        try:
            files.require_file(os.fstat(fd), path)
            return files.read_from(fd, files.MAX_CONFIG, path)
        finally:
            os.close(fd)


@contextmanager
def _as_user(uid: int, gid: int) -> Iterator[None]:
    """Give up root's rights for a moment; any other user has none to give up."""
    if os.geteuid() != 0 or uid == 0:
        yield
        return
    before, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)
        os.setgroups(groups)


def find_running(
    host: str,
    port: int,
    trusted: Collection[int],
    *,
    path: str = "",
    proc: Path = Path("/proc"),
) -> Running | None:
    """The process of ampproxy that listens there, if this user may look into it and it is a trusted user's.

    Of two, as at a restart, the younger.

    :param trusted: users whose word is taken for what the configuration's variables hold.
    :param path: of a Unix socket, instead of host and port.
    """
    try:
        inodes = listening_inodes(host, port, proc / "net", path)
        pids = sorted((int(name) for name in os.listdir(proc) if name.isdecimal()), reverse=True)
    except OSError:
        return None
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in pids:
        folder = proc / str(pid)
        try:
            found = _look(pid, folder) if _has(folder, wanted) and _is_ours(folder) else None
        except (OSError, ValueError):
            continue
        if found is not None and found.uid in trusted:
            return found
    return None


def _has(folder: Path, wanted: Collection[str]) -> bool:
    """Whether a process has one of these open."""
    fds = folder / "fd"
    return any(_link(fds / name) in wanted for name in os.listdir(fds))


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""  # closed by now


def _is_ours(folder: Path) -> bool:
    """Whether a process is ampproxy: not systemd, which may hold the same socket."""
    arguments = _read(folder / "cmdline").split(b"\0")
    return any(PurePath(os.fsdecode(one)).name.encode() == _NAME for one in arguments if one)


def _look(pid: int, folder: Path) -> Running:
    status = dict(
        line.split(":", 1) for line in _read(folder / "status").decode().splitlines() if ":" in line
    )
    pairs = (pair.partition(b"=") for pair in _read(folder / "environ").split(b"\0"))
    environ = {os.fsdecode(name): os.fsdecode(value) for name, equals, value in pairs if equals}
    uid, gid = (int(status[which].split()[1]) for which in ("Uid", "Gid"))
    return Running(pid, uid, gid, environ, folder)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES)
