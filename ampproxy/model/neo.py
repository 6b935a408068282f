"""What Amp's cloud may ask for: Amp's present generation, Neo, makes its requests to models there, and its
Model Routing sends them to an address of the user's.
"""

from __future__ import annotations

from ampproxy.model.base import Value
from ampproxy.model.clients import ClientKey


class Slowing(Value, frozen=True, kw_only=True):
    """How requests without the key are slowed. Times are in seconds.

    :param failure_delay: what the first refusal of a peer waits, doubled with each; 0: none does.
    :param failure_longest: the most that one waits.
    :param failure_reset: after so long without a failure a peer begins anew.
    :param failure_peers: how many are remembered; those that failed longest ago make room.
    :param failure_waiting: how many refusals wait at a time; what comes beyond is refused at once.
    :param failure_logged: how many peers the log names within ``failure_reset``.
    """

    failure_delay: float = 0.25
    failure_longest: float = 8.0
    failure_reset: float = 3600.0
    failure_peers: int = 1024
    failure_waiting: int = 64
    failure_logged: int = 20


class Neo(Slowing, frozen=True, kw_only=True):
    """What Amp's cloud may ask for (our own section ``neo``).

    :param client: its key, with rights and limits.
    :param public_url: the origin that it uses; empty: not known.
    :param host: of the listener of its own; ``None``: there is none, likewise ``port``.
    :param tls: whether that one speaks TLS.
    :param first_sign: seconds after which a stream begins without its vendor; 0: never.
    :param record_shapes: log the shape of each request.
    """

    client: ClientKey
    public_url: str = ""
    host: str | None = None
    port: int | None = None
    tls: bool = False
    first_sign: float = 25.0
    record_shapes: bool = False

    @property
    def listen(self) -> str:
        """The address as it stands in the file; empty: there is none."""
        if self.host is None:
            return ""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def public_host(self) -> str:
        """The host of ``public_url``, with its port where that is named; empty: not known."""
        return self.public_url.partition("://")[2]
