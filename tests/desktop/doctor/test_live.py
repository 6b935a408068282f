"""Roles and accounts are tried with real requests to stand-ins; nothing goes to Amp."""

from __future__ import annotations

import time

import pytest
from msgspec import structs
from msgspec.structs import replace
from twisted.internet import reactor

from ampproxy.amp.asks import Ask
from ampproxy.credentials.secrets import secrets_of
from ampproxy.desktop.doctor.live import Trial
from ampproxy.model.base import ANTHROPIC, GEMINI, RESPONSES
from ampproxy.routing.decide import Router
from ampproxy.upstream.client import UpstreamClient
from ampproxy.wire.redact import Redactor
from tests.reactor import in_reactor
from tests.running import COMPATIBLE, MODELS, SECRETS, start_world

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def world():
    running = start_world()
    yield running
    running.stop()


def tried(world, *asks: Ask):
    generation = world.service.current

    async def run():
        client = UpstreamClient(reactor, connect_timeout=20)
        trial = Trial(
            generation.config, generation.router, client, reactor,
            redactor=Redactor(secrets_of(generation.config)), wall=time.time,
        )  # fmt: skip
        rows = await trial.run(asks)
        await client.close()
        return rows

    rows = in_reactor(run, timeout=60)
    assert not [row for row in rows if any(secret in repr(row) for secret in SECRETS)]
    return rows


def asked(world) -> dict[str, int]:
    return {name: len(vendor.requests) for name, vendor in (*world.vendors.items(), ("amp", world.amp))}


def test_roles_and_accounts(world):
    """Each role goes to the account that would serve it, in its dialect, translated where it must be; then
    each account that no role came to. What would cost credits is told and not sent.
    """
    before = asked(world)
    rows = tried(
        world,
        Ask("smart", MODELS["anthropic"], ANTHROPIC),
        Ask("task", MODELS["anthropic"], ANTHROPIC),
        Ask("oracle", MODELS["openai-responses"], RESPONSES),
        Ask("finder", "wanted-compatible", GEMINI),
        Ask("title", "wanted-gemini", ANTHROPIC),
        Ask("deep", "gpt-9", RESPONSES),
    )
    assert [(row.role, row.account, row.model, row.dialect, row.pays, row.result) for row in rows] == [
        ("smart", "claude-api-key[0]", MODELS["anthropic"], "anthropic", "local", "ok"),
        ("task", "claude-api-key[0]", MODELS["anthropic"], "anthropic", "local", "ok"),
        ("oracle", "codex-api-key[0]", MODELS["openai-responses"], "openai-responses", "local", "ok"),
        ("finder", "openai-compatibility/compatible[0]", COMPATIBLE, "openai-chat", "local", "ok"),
        ("title", "gemini-api-key[0]", MODELS["gemini"], "gemini", "local", "ok"),
        ("deep", "", "", "openai-responses", "amp credits", "not sent"),
        ("", "openai-compatibility/chat[0]", MODELS["openai-chat"], "openai-chat", "local", "ok"),
    ]
    after = asked(world)
    assert {name: after[name] - before[name] for name in after} == {
        "anthropic": 1,
        "openai-chat": 1,
        "openai-responses": 1,
        "gemini": 1,
        "compatible": 1,
        "amp": 0,
    }
    assert all(not vendor.leaks for vendor in world.vendors.values())
    assert world.amp.leaks == []


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("status=401", "invalid"),
        ("status=429+retry_after=7", "limit"),
        ("cut=3", "claude-api-key[0]"),
    ],
)
def test_failures(world, wish, words):
    """What an account answers instead is told in its words."""
    (row, *_) = tried(world, Ask("smart", f"{MODELS['anthropic']}+{wish}", ANTHROPIC))
    assert (row.result, row.ms) == ("failed", None)
    assert words in row.text.lower() or words in row.text


def test_nobody(world):
    """Where there is no Amp upstream, a model that nobody serves is told of."""
    generation = world.service.current
    config = replace(generation.config, ampcode=structs.replace(generation.config.ampcode, upstream_url=""))
    trial = Trial(
        config, Router(config), UpstreamClient(reactor, connect_timeout=20), reactor,
        redactor=Redactor(), wall=time.time,
    )  # fmt: skip
    (row, *_) = in_reactor(trial.run, [Ask("deep", "gpt-9", RESPONSES)], timeout=60)
    assert (row.pays, row.result) == ("nobody", "not sent")
