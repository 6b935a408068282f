"""OpenAI's own SDK over a WebSocket under TLS, at an account of another vendor."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from openai import AsyncOpenAI
from twisted.internet import reactor

from ampproxy.config.load import parse
from ampproxy.tap import build
from ampproxy.testing import anthropic
from ampproxy.testing.script import Script
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

KEY, ACCOUNT = "canary-client-key", "canary-account-key"
#: More than a socket's buffers hold.
LONG = "It is sunny in Zürich. " * 60_000


class Gateway:
    """A gateway under TLS in front of a stand-in."""

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        issued = self.authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(str(directory / "key.pem"))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(directory / "cert.pem"), append=True)
        self.directory = directory

    async def start(self) -> None:
        self.stand_in = await anthropic.start(reactor, keys=[ACCOUNT], forbidden=[KEY])
        text = f"""
port: 0
api-keys: [{KEY}]
tls: {{enable: true, cert: {self.directory}/cert.pem, key: {self.directory}/key.pem}}
claude-api-key: [{{api-key: {ACCOUNT}, base-url: "{self.stand_in.url}", models: [claude-sonnet-4-6]}}]
streaming: {{websockets: true}}
"""
        config = parse(
            text, name="c", environ={}, home=self.directory, read_secret=lambda path: path.read_text()
        )
        self.service = build(config, reactor, environ={}, observer=lambda _: None)
        await self.service.listen()
        self.port = self.service.ports[0].getHost().port

    def stop(self) -> None:
        in_reactor(self.service.stopService)
        in_reactor(self.stand_in.stop)


async def answered(connection: Any) -> Any:
    """The last event of an answer; the client takes its time at first."""
    await asyncio.sleep(0.2)
    while True:
        event = await connection.recv()
        if event.type in ("response.completed", "response.failed", "error"):
            return event


async def talk(gateway: Gateway) -> list[Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    gateway.authority.configure_trust(context)
    client = AsyncOpenAI(api_key=KEY, base_url=f"https://localhost:{gateway.port}/v1")
    found = []
    async with client.responses.connect(
        websocket_connection_options={"ssl": context, "max_size": None}
    ) as connection:
        await connection.response.create(model="claude-sonnet-4-6", input="go", store=False)
        found.append(await answered(connection))
        more = {"previous_response_id": found[0].response.id, "store": False}
        await connection.response.create(model="claude-sonnet-4-6", input="and?", **more)
        found.append(await answered(connection))
        await connection.response.create(model="nothing-like-it", input="go")
        found.append(await answered(connection))
    return found


def test_the_sdk(tmp_path: Path) -> None:
    """Two answers, of which the second goes on from the first, and an error, on one connection."""
    gateway = Gateway(tmp_path)
    in_reactor(gateway.start)
    try:
        gateway.stand_in.vendor.scripts.add([Script(text=LONG, events=20), Script(text="Rain.")])
        first, second, error = asyncio.run(talk(gateway))
        assert first.response.output_text == LONG
        assert second.response.output_text == "Rain."
        assert (error.type, error.status, error.error.code) == ("error", 404, "model_not_found")
        sent = gateway.stand_in.requests[-1].json["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "user"]
        assert sent[1]["content"][0]["text"] == LONG
        assert gateway.stand_in.leaks == []
    finally:
        gateway.stop()
