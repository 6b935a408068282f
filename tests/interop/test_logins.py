"""The vendors' own SDKs through the gateway at accounts that are logins, against the strict backends."""

from __future__ import annotations

import time
from types import SimpleNamespace

import anthropic
import openai
import pytest
from google import genai
from msgspec.structs import replace
from twisted.internet import reactor
from twisted.logger import formatEventAsClassicLogText

from ampproxy.assembly import Outside, assemble
from ampproxy.config.load import parse
from ampproxy.credentials.oauth.service import Logins
from ampproxy.service import GatewayService
from ampproxy.testing import logins as backends
from ampproxy.testing.oauth import settings_for
from tests.credentials.oauth.doubles import World, login_file
from tests.reactor import in_reactor

KEY = "canary-client-key-77aa"
MODELS = {"claude": "claude-sonnet-4-5", "codex": "gpt-5.4", "gemini": "gemini-2.5-pro"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("auth")

    async def start():
        stand_in = await backends.start(reactor, clock=time.time)
        granting = World()
        granting.server, granting.time = stand_in.vendor, time.time()
        login_file(granting, folder, "claude")
        login_file(granting, folder, "codex", account_id="account-1")
        login_file(granting, folder, "gemini")
        text = f"port: 0\napi-keys: [{KEY}]\nauth-dir: {folder}\n{settings_for(stand_in.url)}"
        config = parse(text, name="c", environ={}, home=folder, read_secret=lambda path: "")
        outside = Outside(
            reactor=reactor,
            environ={},
            home=folder,
            observer=lambda event: lines.append(formatEventAsClassicLogText(event) or ""),
        )
        parts = assemble(config, outside)
        send, log = parts.runtime.client.send, parts.runtime.log
        found = Logins(config, reactor, send, log, wall=time.time, random=lambda: 0.5)
        service = GatewayService(replace(parts, logins=lambda _: found))
        service.attach_logins()
        found.start()
        await service.listen()
        url = f"http://127.0.0.1:{service.ports[0].getHost().port}"
        return SimpleNamespace(
            stand_in=stand_in, server=stand_in.vendor, logins=found, service=service, url=url
        )

    lines = []
    running = in_reactor(start)
    running.lines = lines
    yield running
    in_reactor(running.service.stopService)
    in_reactor(running.stand_in.stop)


def by_anthropic(world, model, stream):
    with anthropic.Anthropic(base_url=world.url, api_key=KEY, max_retries=0) as client:
        asked = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "Say hello."}]}
        if stream:
            with client.messages.stream(**asked) as found:
                return found.get_final_text()
        return client.messages.create(**asked).content[0].text


def by_responses(world, model, stream):
    with openai.OpenAI(base_url=f"{world.url}/v1", api_key=KEY, max_retries=0) as client:
        if stream:
            with client.responses.stream(model=model, input="Say hello.") as found:
                return found.get_final_response().output_text
        return client.responses.create(model=model, input="Say hello.").output_text


def by_chat(world, model, stream):
    with openai.OpenAI(base_url=f"{world.url}/v1", api_key=KEY, max_retries=0) as client:
        asked = {"model": model, "messages": [{"role": "user", "content": "Say hello."}]}
        if stream:
            chunks = client.chat.completions.create(**asked, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        return client.chat.completions.create(**asked).choices[0].message.content


def by_gemini(world, model, stream):
    client = genai.Client(api_key=KEY, http_options={"base_url": world.url})
    if stream:
        found = client.models.generate_content_stream(model=model, contents="Say hello.")
        return "".join(chunk.text or "" for chunk in found)
    return client.models.generate_content(model=model, contents="Say hello.").text


CLIENTS = {"anthropic": by_anthropic, "responses": by_responses, "chat": by_chat, "gemini": by_gemini}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("asks", CLIENTS)
def test_every_client_at_every_login(world, asks, kind, stream):
    """Each SDK is answered from each login's backend, whole and streamed, as if it were its own vendor."""
    before = len(world.stand_in.requests)
    text = CLIENTS[asks](world, MODELS[kind], stream)
    assert text, world.lines[-3:]
    (request,) = world.stand_in.requests[before:]
    assert world.server.knows(request.bearer()).kind == kind
    assert world.server.disguises == []
    assert KEY not in str(request.header_list) + request.uri


@pytest.mark.parametrize("kind", MODELS)
def test_token_that_ended_early(world, kind):
    """A token that the vendor refuses before its time is renewed, and the same request is sent once more."""
    account = next(a for a in world.logins.accounts() if a.kind == f"{kind}-login")
    old = account.token.current()
    grant = world.server.knows(old.reveal())
    grant.access.clear()
    assert by_anthropic(world, MODELS[kind], False)
    assert account.token.current() != old
    assert world.server.knows(account.token.current().reveal())
    assert old.reveal() not in "".join(world.lines)
    assert world.server.reused == 0
