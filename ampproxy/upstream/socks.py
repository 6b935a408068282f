"""The SOCKS5 handshake, without I/O. Loaded when a proxy needs it: its library is slow to load."""

from __future__ import annotations

from collections.abc import Callable

from socksio import (
    ProtocolError,
    SOCKS5AuthMethod,
    SOCKS5AuthMethodsRequest,
    SOCKS5AuthReply,
    SOCKS5Command,
    SOCKS5CommandRequest,
    SOCKS5Connection,
    SOCKS5ReplyCode,
    SOCKS5UsernamePasswordRequest,
)
from socksio.socks5 import SOCKS5State

from ampproxy.upstream.handshake import HandshakeRefused
from ampproxy.upstream.proxy import join


class SocksHandshake:
    """SOCKS5 (RFC 1928), with user name and password (RFC 1929).

    :param host: an address, or a name, which the proxy resolves.
    :param credentials: user name and password, up to 255 bytes each.
    """

    def __init__(self, host: str, port: int, credentials: tuple[str, str] | None = None) -> None:
        self.rest: bytes | None = None
        self._target = (host, port)
        self._credentials = credentials
        self._received = bytearray()
        self._socks = SOCKS5Connection()

    def start(self) -> bytes:
        """The ways of authentication that we offer."""
        methods = [SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if self._credentials is not None:
            methods.append(SOCKS5AuthMethod.USERNAME_PASSWORD)
        self._socks.send(SOCKS5AuthMethodsRequest(methods))
        return self._socks.data_to_send()

    def feed(self, data: bytes) -> bytes:
        """More of what the proxy says. The library wants its replies whole and one by one."""
        self._received += data
        try:
            while self.rest is None and self._STEPS[self._socks.state](self):
                pass
        except ProtocolError:
            raise HandshakeRefused("sent a SOCKS5 reply that cannot be read") from None
        return self._socks.data_to_send()

    def _take(self, length: int) -> bytes:
        taken = bytes(self._received[:length])
        del self._received[:length]
        return taken

    def _chose_method(self) -> bool:
        if self._received and self._received[0] != 5:
            hint = ", perhaps HTTP" if self._received[:1] == b"H" else ""
            raise HandshakeRefused(f"does not speak SOCKS5 but something else{hint}")
        if len(self._received) < 2:
            return False
        reply = self._socks.receive_data(self._take(2))
        method = reply.method if isinstance(reply, SOCKS5AuthReply) else None
        if method is SOCKS5AuthMethod.NO_AUTH_REQUIRED:
            self._ask()
        elif method is SOCKS5AuthMethod.USERNAME_PASSWORD and self._credentials is not None:
            user, password = self._credentials
            self._socks.send(SOCKS5UsernamePasswordRequest(user.encode(), password.encode()))
        elif self._credentials is None:
            raise HandshakeRefused("requires a user name and a password: write them into its URL")
        else:
            raise HandshakeRefused("accepts no authentication by user name and password")
        return True

    def _checked_password(self) -> bool:
        if len(self._received) < 2:
            return False
        # Some servers put SOCKS's version where that of the authentication belongs.
        self._socks.receive_data(b"\x01" + self._take(2)[1:])
        if self._socks.state is not SOCKS5State.CLIENT_AUTHENTICATED:
            raise HandshakeRefused("did not accept the user name and the password of its URL")
        self._ask()
        return True

    def _ask(self) -> None:
        self._socks.send(SOCKS5CommandRequest.from_address(SOCKS5Command.CONNECT, self._target))

    def _connected(self) -> bool:
        if len(self._received) < 2:
            return False
        # A refusal is told at once: some servers close without the rest of the reply.
        if self._received[0] == 5 and self._received[1]:
            code = self._received[1]
            words = _REPLY_WORDS.get(bytes([code]), "answered with a reply code that SOCKS5 does not know")
            raise HandshakeRefused(f"{words.format(target=join(*self._target))} (SOCKS5 reply {code})")
        if len(self._received) < 5:
            return False
        # VER, REP, RSV and ATYP, then the address that the proxy uses, and its port.
        length = {1: 4, 3: 1 + self._received[4], 4: 16}.get(self._received[3])
        if length is None:
            raise ProtocolError
        if len(self._received) < 4 + length + 2:
            return False
        head = self._take(4 + length + 2)[:3]
        # That address is of no use to us, and the library takes no long names for it.
        self._socks.receive_data(head + b"\x01" + bytes(6))
        self.rest = bytes(self._received)
        return True

    _STEPS: dict[SOCKS5State, Callable[[SocksHandshake], bool]] = {  # noqa: RUF012
        SOCKS5State.SERVER_AUTH_REPLY: _chose_method,
        SOCKS5State.SERVER_VERIFY_USERNAME_PASSWORD: _checked_password,
        SOCKS5State.CLIENT_AUTHENTICATED: _connected,
    }


_REPLY_WORDS: dict[bytes, str] = {
    SOCKS5ReplyCode.GENERAL_SERVER_FAILURE: "reported a general failure for {target}",
    SOCKS5ReplyCode.CONNECTION_NOT_ALLOWED_BY_RULESET: "forbids connections to {target}",
    SOCKS5ReplyCode.NETWORK_UNREACHABLE: "could not reach the network of {target}",
    SOCKS5ReplyCode.HOST_UNREACHABLE: "could not reach {target}",
    SOCKS5ReplyCode.CONNECTION_REFUSED: "was refused the connection by {target}",
    SOCKS5ReplyCode.TTL_EXPIRED: "could not reach {target}: a time to live expired",
    SOCKS5ReplyCode.COMMAND_NOT_SUPPORTED: "does not support connections",
    SOCKS5ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED: "does not support the type of address of {target}",
}
