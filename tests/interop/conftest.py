"""One gateway for all tests of a module's process; each client's SDK against each backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.interop.clients import CLIENTS, Client
from tests.reactor import in_reactor
from tests.running import SECRETS, World, start_world

#: What the SDKs would take from the environment of whoever runs the tests.
SETTINGS = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
SETTINGS += ("OPENAI_CUSTOM_HEADERS", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_API_KEY", "GEMINI_API_KEY")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of one authority: each client would load all of the system's, and needs none."""
    file = tmp_path_factory.mktemp("authority") / "authority.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return file


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """No setting of the developer's own reaches the gateway."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def running() -> Iterator[World]:
    world = start_world()
    yield world
    world.stop()


@pytest.fixture(scope="module")
def watched(running: World) -> Iterator[World]:
    """After each module: no secret went where it does not belong, neither to a vendor nor into the log."""
    yield running
    leaks = {name: one.leaks for name, one in {**running.vendors, "amp": running.amp}.items() if one.leaks}
    assert not leaks
    told = "\n".join(running.log)
    assert not [secret for secret in SECRETS if secret in told]
    defects = [line for line in running.log if "Traceback" in line or "Unhandled" in line]
    assert not defects, defects[0]


@pytest.fixture
def world(watched: World) -> Iterator[World]:
    """The gateway with empty records; an error that a test lets through shows what was refused."""
    for stand_in in watched.vendors.values():
        stand_in.requests.clear()
        in_reactor(_forget, stand_in)
    start = len(watched.log)
    yield watched
    print("\n".join(watched.log[start:])[-4000:])


def _forget(stand_in: Any) -> None:
    stand_in.vendor.scripts._queues.clear()
    stand_in.always(None)


@pytest.fixture
def talk(world: World) -> Callable[..., Client]:
    """Begins a conversation with a client's SDK: ``talk("anthropic")``."""

    def begin(dialect: str, *, root: bool = False) -> Client:
        return CLIENTS[dialect](world.url, world.key, root)

    return begin
