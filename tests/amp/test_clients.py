"""Which client a request comes from."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from ampproxy.amp.clients import AmpClient, Generation, generation_of, recognise

CLASSIC, NEO = Generation.CLASSIC, Generation.NEO
JAN, MAY = "0.0.1767830505-ga62310", "0.0.1777897475-g2324e1"
JUL, SEP = "0.0.1784106548-gd81d8b", "0.0.1790142911-g7618fb"


def headers(version: str = "", application: str = "", **more: str) -> dict[str, str]:
    named = {"x-amp-client-version": version, "x-amp-client-application": application}
    return {**{name: value for name, value in named.items() if value}, **more}


def parameters(text: str) -> dict[str, str]:
    offers = f"rivet, rivet_encoding.bare, rivet_skip_ready_wait, rivet_conn_params.{quote(text, safe='')}"
    return {"sec-websocket-protocol": offers}


PROVIDER = "/api/provider/anthropic/v1/messages"
SOCKET = "/actors/gateway/threadActor/websocket/"
BUN = {"user-agent": "Bun/1.3.2"}

CASES: list[tuple[str, dict[str, str], AmpClient | None]] = [
    # Classic: by its model calls, else by its version.
    (PROVIDER, headers(MAY, "CLI Execute Mode"), AmpClient("CLI Execute Mode", MAY, CLASSIC)),
    (PROVIDER, headers(JAN, "CLI"), AmpClient("CLI", JAN, CLASSIC)),
    ("/api/internal?getUserInfo", headers(MAY, "CLI"), AmpClient("CLI", MAY, CLASSIC)),
    ("/api/internal?getUserInfo", {"user-agent": "node"}, None),
    # Neo: by its paths, by its version, by the library that it is built with.
    ("/api/thread-actors", {"user-agent": "Bun/1.3.2"}, AmpClient("client", "", NEO)),
    ("/api/thread-actors/T-1", headers(SEP, "CLI"), AmpClient("CLI", SEP, NEO)),
    ("/api/user-actor-credentials", {}, AmpClient("client", "", NEO)),
    ("/actors/metadata", {}, AmpClient("client", "", NEO)),
    ("/api/internal?getThreadTail", {}, AmpClient("client", "", NEO)),
    ("/api/internal?getUserInfo", BUN, AmpClient("client", "", NEO)),
    ("/api/internal?getUserInfo", headers(JUL, "CLI", **BUN), AmpClient("CLI", JUL, NEO)),
    # A classic version that has its threads in Amp's cloud: what it does there counts.
    ("/api/thread-actors", headers(MAY, "CLI"), AmpClient("CLI", MAY, NEO)),
    # A version between the two, or none of the known form.
    ("/api/internal?x", headers("0.0.1780000000-ga1b2", "CLI"), AmpClient("CLI", "0.0.1780000000-ga1b2")),
    ("/api/internal?getUserInfo", headers("2.1", "VS Code"), AmpClient("VS Code", "2.1")),
    ("/api/internal?getUserInfo", headers("x\x1b[1m", "a\nb"), AmpClient("client")),
    # Sockets: what their parameters tell.
    (
        SOCKET,
        parameters(f'{{"wsToken":"secret","clientName":"amp-cli","clientVersion":"{SEP}","transport":"json-rpc"}}'),
        AmpClient("amp-cli", SEP, NEO),
    ),
    (SOCKET, parameters(f'{{"client": {{"name": "cli", "version": "{JUL}"}}}}'), AmpClient("cli", JUL, NEO)),
    (SOCKET, parameters('{"wsToken":"0.0.1"}'), AmpClient("client", "", NEO)),
    (SOCKET, parameters("%ff%"), AmpClient("client", "", NEO)),
    (SOCKET, parameters("x" * 100_000), AmpClient("client", "", NEO)),
    (SOCKET, {}, AmpClient("client", "", NEO)),
    # Other programs.
    (PROVIDER, {"user-agent": "Anthropic/JS"}, None),
    (PROVIDER, BUN, None),
    ("/api/user", {"user-agent": "curl/8"}, None),
    ("/threads", {"user-agent": "Mozilla/5.0"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("target", "sent", "expected"), CASES)
def test_recognised(target: str, sent: dict[str, str], expected: AmpClient | None) -> None:
    """A client is known by its headers, its paths, its version, or the parameters of its socket."""
    path, _, query = target.partition("?")

    def get(name: bytes) -> Any:
        value = sent.get(name.decode())
        return None if value is None else [value.encode()]

    assert recognise(path.encode(), query.encode(), get) == expected


@pytest.mark.parametrize(
    ("version", "generation"),
    [(JAN, CLASSIC), (MAY, CLASSIC), (JUL, NEO), (SEP, NEO), ("0.0.1780000000-gabcdef", None), ("1.0", None)],
)
def test_generations(version: str, generation: Generation | None) -> None:
    """A version tells when it was built."""
    assert generation_of(version) is generation
