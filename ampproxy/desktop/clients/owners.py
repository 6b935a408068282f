"""Whose a listening socket of this machine is: any user can listen on a port whose service is down, and would
be sent the client key that the service is asked with.

Linux tells in ``/proc/net/tcp`` and ``tcp6`` (``proc_pid_net(5)``); macOS has ``lsof``, which shows a user
the sockets of that user's own processes. Elsewhere nobody tells.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from ampproxy.config.schema import Config

#: The folder of state where the shipped units and the init script have it.
SYSTEM_STATE = Path("/var/lib/ampproxy")
_LSOF = Path("/usr/sbin/lsof")
_TIMEOUT = 10.0
_CONNECTED, _LISTENS = "01", "0A"
_ROOT = 0


def trusted_uids(config: Config) -> frozenset[int]:
    """The users who may be the service of a configuration: this one, root, and those who could make it do
    anything as it is: the owners of the file and of its folder of state.
    """
    found = {os.geteuid(), _ROOT}
    for path in (config.source, config.state_dir, SYSTEM_STATE):
        try:
            found.update(() if path is None else (os.stat(path).st_uid,))
        except OSError:
            continue
    return frozenset(found)


def distrust(host: str, port: int, trusted: Collection[int], net: Path = Path("/proc/net")) -> str:
    """Why whoever listens there should be sent no key, as a sentence; empty where the user is a trusted one.

    :param host: the address of the other end of a connection.
    :param net: where Linux tells.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    uids = listening_uids(host, port, net)
    if uids is None:
        return f"whose socket {where} is cannot be found out on this system"
    if not uids:
        return f"{where} is a socket of another machine or of another user, as far as can be seen from here"
    strangers = sorted(uids - set(trusted))
    if strangers:
        return (
            f"{where} belongs to {_name(strangers[0])}, and not to you, to root, or to the owner of the"
            " configuration or of its state-dir"
        )
    return ""


def listening_uids(host: str, port: int, net: Path = Path("/proc/net")) -> set[int] | None:
    """Who listens at an address of this machine.

    :returns: none if nobody does, or on macOS nobody whom this user may see; ``None``: nobody can tell.
    """
    try:
        return {uid for uid, _ in _of_linux(host, port, net)}
    except OSError:
        return _of_lsof(port) if sys.platform == "darwin" else None


def listening_inodes(host: str, port: int, net: Path, path: str = "") -> set[str]:
    """The inodes of the sockets that listen at an address of this machine: ``/proc/PID/fd`` names them so.

    :param path: of a Unix socket, instead.
    :raises OSError: nobody tells.
    """
    if not path:
        return {inode for _, inode in _of_linux(host, port, net)}
    lines = (line.split() for line in (net / "unix").read_text().splitlines())
    return {fields[6] for fields in lines if len(fields) > 7 and fields[7] == os.path.abspath(path)}


def connected_uid(host: str, port: int, net: Path = Path("/proc/net")) -> int | None:
    """Whose the connection from that address of this machine is; ``None`` where nobody tells."""
    try:
        return next((uid for here, uid, _ in _sockets(port, _CONNECTED, net) if here == _plain(host)), None)
    except OSError:
        return None


def _of_linux(host: str, port: int, net: Path) -> Iterator[tuple[int, str]]:
    wanted = _plain(host)
    for here, uid, inode in _sockets(port, _LISTENS, net):
        if here == wanted or ip_address(here).is_unspecified:
            yield uid, inode


def _sockets(port: int, state: str, net: Path) -> Iterator[tuple[str, int, str]]:
    """The sockets of a port that are in a state: address, user and inode."""
    listing = (net / "tcp").read_text()
    try:
        listing += (net / "tcp6").read_text()
    except FileNotFoundError:
        pass  # a system without IPv6
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) < 10 or fields[3] != state:
            continue
        address, _, number = fields[1].partition(":")
        if int(number, 16) == port:
            yield _plain(_address(address)), int(fields[7]), fields[9]


def _address(text: str) -> str:
    """An address as the kernel writes it: words of 32 bits, each a number in the machine's own order."""
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _plain(host: str) -> str:
    """An address without its zone; an IPv4 address in IPv6's clothes as what it is."""
    address = ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _of_lsof(port: int, program: Path = _LSOF) -> set[int] | None:
    command = [str(program), "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fu"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {int(uid) for uid in re.findall(r"^u(\d+)$", done.stdout, re.MULTILINE)}


def _name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"user {uid}"
