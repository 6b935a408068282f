"""A whole gateway on loopback, with strict stand-ins for all that it calls. For tests with real clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.logger import formatEventAsClassicLogText

from ampproxy.config.load import parse
from ampproxy.tap import build
from ampproxy.testing import amp, anthropic, gemini, openai_chat, openai_responses
from tests.reactor import in_reactor

#: Every secret is a canary: none may be seen anywhere but where it belongs.
CLIENT_KEY = "canary-client-key-5f1d"
ACCOUNT_KEYS = {
    "anthropic": "canary-anthropic-key-a81c",
    "openai-chat": "canary-chat-key-b92d",
    "openai-responses": "canary-responses-key-c03e",
    "gemini": "canary-gemini-key-d14f",
    "compatible": "canary-compatible-key-f361",
}
AMP_KEY = "canary-amp-key-e250"
SECRETS = (CLIENT_KEY, *ACCOUNT_KEYS.values(), AMP_KEY)

#: The model that each account serves, by the dialect of its backend.
MODELS = {
    "anthropic": "claude-sonnet-4-5",
    "openai-chat": "gpt-4.1-chat",
    "openai-responses": "gpt-5.4",
    "gemini": "gemini-2.5-pro",
}
#: One more: a server that speaks chat completions and tells its thoughts beside the text.
COMPATIBLE = "deepseek-reasoner"
#: Newer models of two vendors, which have rules of their own for thinking.
NEWER = {"anthropic": "claude-opus-4-6", "gemini": "gemini-3-pro-preview"}

_STARTERS = {
    "anthropic": anthropic.start,
    "openai-chat": openai_chat.start,
    "openai-responses": openai_responses.start,
    "gemini": gemini.start,
    "compatible": partial(openai_chat.start, flavour="compatible"),
}


@dataclass
class World:
    """What is running, and what it was told.

    :ivar vendors: the stand-ins by dialect, and ``compatible``; ``amp`` is the Amp upstream's.
    :ivar log: every line that the gateway logged.
    """

    vendors: dict[str, Any]
    amp: Any
    url: str = ""
    service: Any = None
    log: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The client's key."""
        return CLIENT_KEY

    def observe(self, event: Any) -> None:
        self.log.append(formatEventAsClassicLogText(event) or "")

    def stop(self) -> None:
        in_reactor(self.service.stopService)
        for stand_in in (*self.vendors.values(), self.amp):
            in_reactor(stand_in.stop)


def config_text(vendors: dict[str, Any], amp_url: str, more: str = "", *, cooling: bool = False) -> str:
    """The configuration of a gateway with one account for each dialect.

    :param cooling: whether an account that failed rests: one test would see what another did.
    """

    def models(dialect: str) -> str:
        # A model whose name ends in "+..." asks the stand-in to misbehave.
        name = MODELS.get(dialect, COMPATIBLE)
        odd = "".join(f", {{name: '{name}+{wish}'}}" for wish in MISBEHAVIOURS)
        newer = f", {{name: '{NEWER[dialect]}'}}" if dialect in NEWER else ""
        return f"[{{name: '{name}'}}{newer}{odd}]"

    return f"""
port: 0
disable-cooling: {str(not cooling).lower()}
api-keys: ["{CLIENT_KEY}"]
claude-api-key:
  - {{api-key: "{ACCOUNT_KEYS["anthropic"]}", base-url: "{vendors["anthropic"].url}",
     models: {models("anthropic")}}}
codex-api-key:
  - {{api-key: "{ACCOUNT_KEYS["openai-responses"]}", base-url: "{vendors["openai-responses"].url}/v1",
     models: {models("openai-responses")}}}
gemini-api-key:
  - {{api-key: "{ACCOUNT_KEYS["gemini"]}", base-url: "{vendors["gemini"].url}", models: {models("gemini")}}}
openai-compatibility:
  - name: chat
    base-url: "{vendors["openai-chat"].url}/v1"
    api-key-entries: [{{api-key: "{ACCOUNT_KEYS["openai-chat"]}"}}]
    models: {models("openai-chat")}
  - name: compatible
    base-url: "{vendors["compatible"].url}/v1"
    api-key-entries: [{{api-key: "{ACCOUNT_KEYS["compatible"]}"}}]
    models: {models("compatible")}
ampcode:
  upstream-url: "{amp_url}"
  upstream-api-key: "{AMP_KEY}"
  model-mappings:
    - {{from: wanted-anthropic, to: {MODELS["anthropic"]}}}
    - {{from: wanted-openai-chat, to: {MODELS["openai-chat"]}}}
    - {{from: wanted-openai-responses, to: {MODELS["openai-responses"]}}}
    - {{from: wanted-gemini, to: {MODELS["gemini"]}}}
    - {{from: wanted-compatible, to: {COMPATIBLE}}}
{more}"""


MISBEHAVIOURS = (
    "status=400", "status=401", "status=429+retry_after=7", "status=500", "status=529",
    "cut=3", "end=3", "error=3", "hang=stream", "hang=headers", "interval=0.2", "split=7", "events=500",
)  # fmt: skip


def start_world(more: str = "", home: Path = Path("/nonexistent"), *, cooling: bool = False) -> World:
    """Start everything; the test's own thread may then use any blocking client."""

    async def start() -> World:
        vendors = {
            dialect: await starter(
                reactor,
                keys=[ACCOUNT_KEYS[dialect]],
                forbidden=[secret for secret in SECRETS if secret != ACCOUNT_KEYS[dialect]],
            )
            for dialect, starter in _STARTERS.items()
        }
        upstream = await amp.start(
            reactor, keys=[AMP_KEY], forbidden=[secret for secret in SECRETS if secret != AMP_KEY]
        )
        for number, stand_in in enumerate(vendors.values()):
            # Ids are unique among vendors too, as those of real ones are.
            stand_in.vendor._count = number * 1_000_000
        world = World(vendors, upstream)
        text = config_text(vendors, upstream.url, more, cooling=cooling)
        config = parse(
            text, name="test.yaml", environ={}, home=home, read_secret=lambda path: path.read_text()
        )
        world.service = build(config, reactor, environ={}, home=home, observer=world.observe)
        await world.service.listen()
        world.url = f"http://127.0.0.1:{world.service.ports[0].getHost().port}"
        return world

    world: World = in_reactor(start)
    return world
