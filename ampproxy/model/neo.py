"""What Amp's cloud may ask for: Amp's present generation, Neo, makes its requests to models there, and its
Model Routing sends them to an address of the user's.
"""

from __future__ import annotations

from dataclasses import dataclass

from ampproxy.model.clients import ClientKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Neo:
    """What Amp's cloud may ask for (our own section ``neo``).

    :param client: its key, with rights and limits.
    :param public_url: the origin that it uses; empty: not known.
    :param host: of the listener of its own; ``None``: there is none, likewise ``port``.
    :param tls: whether that one speaks TLS.
    :param first_sign: seconds after which a stream begins without its vendor; 0: never.
    :param failure_delay: seconds that the first refusal of a peer waits; 0: none does.
    :param record_shapes: log the shape of each request.
    """

    client: ClientKey
    public_url: str = ""
    host: str | None = None
    port: int | None = None
    tls: bool = False
    first_sign: float = 25.0
    failure_delay: float = 0.25
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
