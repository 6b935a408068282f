"""Whose a listening socket is, as Linux and macOS tell it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampproxy.config.schema import Config
from ampproxy.desktop.clients import owners
from ampproxy.desktop.clients.owners import connected_uid, distrust, listening_uids, trusted_uids

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
#: Listening: 127.0.0.1 (user 1000), every IPv4 address (0), ::1 (1001), every address (1002), one of IPv4's
#: in IPv6's clothes (1003). Not listening: a connection of user 9 to the first.
TCP = (
    "   0: 0100007F:207D 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100\n"
    "   1: 00000000:207E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100\n"
    "   2: 0100007F:207D 0100007F:9999 01 00000000:00000000 00:00000000 00000000     9        0 3 1 0 100\n"
)
TCP6 = "".join(
    f"   0: {address} 00000000000000000000000000000000:0000 0A 0:0 00:0 0  {uid} 0 4\n"
    for address, uid in (
        ("00000000000000000000000001000000:207F", 1001),
        ("00000000000000000000000000000000:2080", 1002),
        ("0000000000000000FFFF00000100007F:2081", 1003),
    )
)
little = pytest.mark.skipif(sys.byteorder != "little", reason="the kernel's words are in another order here")


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "tcp").write_text(HEAD + TCP)
    (tmp_path / "tcp6").write_text(HEAD + TCP6)
    return tmp_path


@little
@pytest.mark.parametrize(
    ("host", "port", "uids"),
    [
        ("127.0.0.1", 8317, {1000}),
        ("127.0.0.2", 8317, set()),
        ("::1", 8317, set()),
        ("127.0.0.1", 8318, {0}),
        ("::1", 8319, {1001}),
        ("127.0.0.1", 8319, set()),
        ("127.0.0.1", 8320, {1002}),
        ("::1", 8320, {1002}),
        ("127.0.0.1", 8321, {1003}),
        ("::ffff:127.0.0.1", 8317, {1000}),
        ("fe80::1%eth0", 8320, {1002}),
    ],
)
def test_table(net: Path, host: str, port: int, uids: set[int]) -> None:
    """The address itself, or every address, in either family."""
    assert listening_uids(host, port, net) == uids


@little
def test_without_ipv6(net: Path) -> None:
    """A system without it has no such table."""
    (net / "tcp6").unlink()
    assert listening_uids("127.0.0.1", 8317, net) == {1000}


@little
def test_words(net: Path) -> None:
    """Why somebody is not trusted, for people; nothing for a trusted one."""
    assert distrust("127.0.0.1", 8317, {1000}, net) == ""
    assert distrust("127.0.0.1", 8317, {0, 1}, net).startswith("127.0.0.1:8317 belongs to user ")
    assert "another machine" in distrust("192.0.2.1", 8317, {0}, net)


def test_nobody_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be found out, nobody is trusted."""
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert listening_uids("127.0.0.1", 1, tmp_path / "none") is None
    assert "cannot be found out" in distrust("127.0.0.1", 1, {0}, tmp_path / "none")


def test_lsof(tmp_path: Path) -> None:
    """macOS has it: one line for each process, one for its user."""
    program = tmp_path / "lsof"
    program.write_text('#!/bin/sh\n[ "$2" = -iTCP:8317 ] && printf "p123\\nu501\\nf7\\n"\nexit 1\n')
    program.chmod(0o755)
    assert owners._of_lsof(8317, program) == {501}
    assert owners._of_lsof(8318, program) == set()
    assert owners._of_lsof(8317, tmp_path / "none") is None


@pytest.fixture(params=["127.0.0.1", "::1", ""])
def listening(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    family = socket.AF_INET if request.param == "127.0.0.1" else socket.AF_INET6
    try:
        sock = socket.create_server((request.param, 0), family=family, dualstack_ipv6=not request.param)
    except OSError:
        pytest.skip("the system has no IPv6")
    with sock:
        yield request.param or "127.0.0.1", sock.getsockname()[1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells")
def test_real(listening: tuple[str, int]) -> None:
    """A socket of ours is ours."""
    assert listening_uids(*listening) == {os.geteuid()}
    assert distrust(*listening, {os.geteuid()}) == ""
    assert distrust(*listening, {os.geteuid() + 1}) != ""


def test_connection(listening: tuple[str, int]) -> None:
    """Whose a connection is."""
    if sys.platform.startswith("linux"):
        with socket.create_connection(listening) as client:
            assert connected_uid(*client.getsockname()[:2]) == os.geteuid()
        assert connected_uid("127.0.0.1", 0) is None


def test_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This user, root, and who owns the configuration and the state."""
    monkeypatch.setattr(owners, "SYSTEM_STATE", tmp_path / "none")
    (tmp_path / "state").mkdir()
    file = tmp_path / "config.yaml"
    file.touch()
    config = Config(source=file, state_dir=tmp_path / "state")
    assert trusted_uids(config) == {0, os.geteuid()}
    if os.geteuid() == 0:
        os.chown(file, 4711, 4711)
        os.chown(tmp_path / "state", 4712, 4712)
        assert trusted_uids(config) == {0, 4711, 4712}
